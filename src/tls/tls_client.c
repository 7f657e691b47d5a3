#include "tls/tls_reuse.h"
#include "tls/tls_store.h"

#include <stdlib.h>
#include <string.h>

struct build {
	const struct conf_tls_client *conf;
	struct conf_report           *report;
	const char                   *authorities_path;
	struct tls_file               authorities, certificate, key;
};

/* Where distributions keep the one file of all authorities. */
static const char *const system_files[] = {
	"/etc/ssl/certs/ca-certificates.crt",
	"/etc/pki/tls/certs/ca-bundle.crt",
	"/etc/ssl/ca-bundle.pem",
	"/etc/ssl/cert.pem",
};

/* ---- reading ---- */

static bool read_system_authorities(struct build *build)
{
	for (size_t i = 0; i < COUNT(system_files); i++) {
		build->authorities_path = system_files[i];
		if (tls_file_read(system_files[i], &build->authorities) == 0)
			return true;
	}
	conf_error(build->report, build->conf->pos,
	           "[%s] proxy_ssl_verify = on needs authorities to trust: the system has "
	           "no %s (package ca-certificates), and there is no "
	           "proxy_ssl_trusted_certificate",
	           build->conf->section, system_files[0]);
	return false;
}

static bool read_files(struct build *build)
{
	const struct conf_tls_client *conf = build->conf;
	bool                          ok = true;

	if (conf->verify && conf->trusted_certificate.path) {
		build->authorities_path = conf->trusted_certificate.path;
		ok = tls_read_file(conf->section, "proxy_ssl_trusted_certificate",
		                   &conf->trusted_certificate, &build->authorities, build->report);
	} else if (conf->verify) {
		ok = read_system_authorities(build);
	}
	ok &= tls_read_file(conf->section, "proxy_ssl_certificate", &conf->certificate,
	                    &build->certificate, build->report);
	ok &= tls_read_file(conf->section, "proxy_ssl_certificate_key", &conf->key, &build->key,
	                    build->report);
	return ok;
}

/* ---- the library's object ---- */

/* The same as a section [tls] has by default; servers choose from it. */
static bool apply_lists(struct build *build, WOLFSSL_CTX *library)
{
	struct conf_tls     conf = {.section = build->conf->section,
	                            .protocols = CONF_TLS12 | CONF_TLS13,
	                            .prefer_server_ciphers = true};
	struct tls_settings settings = {.conf = &conf};

	return tls_settings_lists(&settings, build->report) &&
	       tls_settings_apply_lists(&settings, library);
}

/* Of the system's list an authority that has expired, or that the library cannot take, is nothing
 * that the operator could mend; of his own it is. */
static bool apply_authorities(struct build *build, WOLFSSL_CTX *library)
{
	const struct conf_file *own = &build->conf->trusted_certificate;
	bool                    ok;

	if (!build->conf->verify) {
		wolfSSL_CTX_set_verify(library, WOLFSSL_VERIFY_NONE, NULL);
		return true;
	}
	wolfSSL_CTX_set_verify(library, WOLFSSL_VERIFY_PEER, tls_peer_verified);
	ok = wolfSSL_CTX_load_verify_buffer_ex(
		     library, build->authorities.data, (long)build->authorities.len,
		     WOLFSSL_FILETYPE_PEM, 0,
		     own->path ? WOLFSSL_LOAD_FLAG_NONE : WOLFSSL_LOAD_FLAG_IGNORE_ERR) ==
	     WOLFSSL_SUCCESS;
	if (!ok)
		conf_error(build->report, own->path ? own->pos : build->conf->pos,
		           "[%s] proxy_ssl_trusted_certificate = %s holds no certificates "
		           "of authorities in PEM that can be loaded, or one that has expired",
		           build->conf->section, build->authorities_path);
	return ok;
}

static bool apply_pair(struct build *build, WOLFSSL_CTX *library)
{
	static const struct tls_file  no_passwords;
	const struct conf_tls_client *conf = build->conf;
	const char                   *wrong;

	if (!conf->certificate.path)
		return true;
	if (wolfSSL_CTX_use_certificate_chain_buffer(library, build->certificate.data,
	                                             (long)build->certificate.len) !=
	    WOLFSSL_SUCCESS) {
		conf_error(build->report, conf->certificate.pos,
		           "[%s] proxy_ssl_certificate = %s holds no chain in PEM that "
		           "can be loaded",
		           build->conf->section, conf->certificate.path);
		return false;
	}
	wrong = tls_identity_load_key(library, &build->key, &no_passwords);
	if (!wrong && wolfSSL_CTX_check_private_key(library) != WOLFSSL_SUCCESS)
		wrong = "does not belong to proxy_ssl_certificate";
	if (wrong)
		conf_error(build->report, conf->key.pos, "[%s] proxy_ssl_certificate_key = %s %s",
		           build->conf->section, conf->key.path, wrong);
	return !wrong;
}

static WOLFSSL_CTX *new_library(struct build *build)
{
	WOLFSSL_CTX *library = wolfSSL_CTX_new(wolfSSLv23_client_method());
	size_t       errors = conf_report_errors(build->report);

	if (library && wolfSSL_CTX_SetMinVersion(library, WOLFSSL_TLSV1_2) == WOLFSSL_SUCCESS &&
	    wolfSSL_CTX_UseSessionTicket(library) == WOLFSSL_SUCCESS &&
	    apply_lists(build, library) && apply_authorities(build, library) &&
	    apply_pair(build, library)) {
		/* what is kept is kept by us, per upstream: tls_reuse */
		wolfSSL_CTX_set_session_cache_mode(library, WOLFSSL_SESS_CACHE_OFF);
		return library;
	}
	if (library)
		wolfSSL_CTX_free(library);
	if (conf_report_errors(build->report) == errors)
		conf_error(build->report, build->conf->pos,
		           "[%s]: the TLS library cannot be set up like this",
		           build->conf->section);
	return NULL;
}

static void digest_files(const struct build *build, uint8_t out[TLS_DIGEST_SIZE])
{
	struct tls_digest digest;

	tls_digest_start(&digest);
	tls_digest_add(&digest, span_text("penstock client"));
	tls_digest_add_number(&digest, build->conf->verify);
	tls_digest_add(&digest, tls_file_span(&build->authorities));
	tls_digest_add(&digest, tls_file_span(&build->certificate));
	tls_digest_add(&digest, tls_file_span(&build->key));
	tls_digest_end(&digest, out);
}

static struct tls_identity *get_identity(struct build *build, struct tls_store *store)
{
	uint8_t              digest[TLS_DIGEST_SIZE];
	struct tls_identity *identity;

	digest_files(build, digest);
	identity = tls_store_find(store, digest);
	if (identity)
		return identity;
	identity = calloc(1, sizeof(*identity));
	if (!identity)
		return NULL;
	memcpy(identity->digest, digest, TLS_DIGEST_SIZE);
	identity->library = new_library(build);
	if (!identity->library) {
		tls_identity_free(identity);
		return NULL;
	}
	tls_store_add(store, identity);
	return identity;
}

/* ---- the whole ---- */

static char *join_alpn(const struct conf_tls_client *conf)
{
	size_t len = 1;
	char  *text, *at;

	for (size_t i = 0; i < conf->alpn_count; i++)
		len += conf->alpn[i].len + 1;
	text = malloc(len);
	if (!text)
		return NULL;
	at = text;
	for (size_t i = 0; i < conf->alpn_count; i++) {
		if (i > 0)
			*at++ = ',';
		memcpy(at, conf->alpn[i].data, conf->alpn[i].len);
		at += conf->alpn[i].len;
	}
	*at = 0;
	return text;
}

struct tls_client *tls_client_build(const struct conf_tls_client *conf, struct tls_store *store,
                                    struct conf_report *report)
{
	struct build       build = {.conf = conf, .report = report};
	struct tls_client *client = calloc(1, sizeof(*client));
	size_t             errors = conf_report_errors(report);
	bool               ok = client != NULL;

	if (ok) {
		client->store = store;
		client->verifies = conf->verify;
		client->reuse = tls_reuse_new();
		client->alpn = conf->alpn_count ? join_alpn(conf) : NULL;
		ok = client->reuse && (client->alpn || conf->alpn_count == 0);
	}
	if (ok && read_files(&build))
		client->identity = get_identity(&build, store);
	ok = ok && client->identity;
	tls_file_wipe(&build.authorities);
	tls_file_wipe(&build.certificate);
	tls_file_wipe(&build.key);
	if (ok) {
		client->library = client->identity->library;
		return client;
	}
	if (conf_report_errors(report) == errors)
		conf_error(report, conf->pos, "[%s]: no memory left", conf->section);
	tls_client_free(client);
	return NULL;
}

void tls_client_free(struct tls_client *client)
{
	if (!client)
		return;
	if (client->identity)
		tls_store_put(client->store, client->identity);
	tls_reuse_put(client->reuse);
	free(client->alpn);
	free(client);
}
