#include "tls/tls_settings.h"

#include "tls/tls_tickets.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>

enum { VERIFY_DEPTH_MAX = 8 /* MAX_CHAIN_DEPTH is 9, and counts the client's own certificate */ };

/* ---- reading ---- */

void tls_report_file(const char *section, const char *key, const struct conf_file *file, int error,
                     struct conf_report *report)
{
	const char *why = strerror(-error);

	if (error == -ENODATA)
		why = "it is empty";
	else if (error == -EFBIG)
		why = "it is too large";
	if (error == -EACCES || error == -EPERM)
		/* -1 asks who we are to the file system: [global] user, see privs_borrow */
		conf_error(report, file->pos, "[%s] %s = %s cannot be read by uid %d: %s", section,
		           key, file->path, setfsuid((uid_t)-1), why);
	else
		conf_error(report, file->pos, "[%s] %s = %s cannot be read: %s", section, key,
		           file->path, why);
}

bool tls_read_file(const char *section, const char *key, const struct conf_file *from,
                   struct tls_file *file, struct conf_report *report)
{
	int error;

	if (!from->path)
		return true;
	error = tls_file_read(from->path, file);
	if (error < 0)
		tls_report_file(section, key, from, error, report);
	return error == 0;
}

static bool read_files(struct tls_settings *settings, struct conf_report *report)
{
	const struct conf_tls *conf = settings->conf;
	bool                   ok = true;

	if (conf->verify_client != CONF_VERIFY_OFF) {
		ok &= tls_read_file(conf->section, "ssl_client_certificate",
		                    &conf->client_certificate, &settings->authorities, report);
		ok &= tls_read_file(conf->section, "ssl_crl", &conf->crl, &settings->revocations,
		                    report);
	}
	ok &= tls_read_file(conf->section, "ssl_stapling_file", &conf->stapling_file,
	                    &settings->staple, report);
	ok &= tls_read_file(conf->section, "ssl_password_file", &conf->password_file,
	                    &settings->passwords, report);
	return ok;
}

/* The configuration has judged the lists; only what was made without it could be wrong. */
bool tls_settings_lists(struct tls_settings *settings, struct conf_report *report)
{
	const struct conf_tls *conf = settings->conf;
	const char            *ciphers = conf->ciphers.text, *suites = conf->ciphersuites.text;
	const char            *curves = conf->curves.text;
	struct span            token;

	if (ciphers_parse(span_text(ciphers ? ciphers : "DEFAULT"), &settings->ciphers, &token) !=
	    CIPHERS_OK) {
		conf_error(report, conf->ciphers.pos, "[%s] ssl_ciphers = %s: see \"%.*s\"",
		           conf->section, ciphers, (int)token.len, (const char *)token.data);
		return false;
	}
	if (ciphers_parse_suites(span_text(suites ? suites : "DEFAULT"), &settings->suites,
	                         &token) != CIPHERS_OK) {
		conf_error(report, conf->ciphersuites.pos,
		           "[%s] ssl_ciphersuites = %s: see \"%.*s\"", conf->section, suites,
		           (int)token.len, (const char *)token.data);
		return false;
	}
	if (curves_parse(span_text(curves ? curves : CURVES_DEFAULT), &settings->curves, &token) !=
	    CURVES_OK) {
		conf_error(report, conf->curves.pos, "[%s] ssl_ecdh_curve = %s: see \"%.*s\"",
		           conf->section, curves, (int)token.len, (const char *)token.data);
		return false;
	}
	return true;
}

/* ---- digests ---- */

/* What a client must show, and to whom: tickets of one such digest never open under another. */
static void digest_demands(const struct tls_settings *settings, uint8_t out[TLS_DIGEST_SIZE])
{
	const struct conf_tls *conf = settings->conf;
	struct tls_digest      digest;

	tls_digest_start(&digest);
	tls_digest_add(&digest, span_text(conf->section));
	tls_digest_add_number(&digest, conf->verify_client);
	tls_digest_add_number(&digest, conf->verify_depth);
	tls_digest_add(&digest, tls_file_span(&settings->authorities));
	tls_digest_add(&digest, tls_file_span(&settings->revocations));
	tls_digest_end(&digest, out);
}

static void add_suites(struct tls_digest *digest, const struct ciphers *ciphers)
{
	tls_digest_add_number(digest, ciphers->count);
	for (size_t i = 0; i < ciphers->count; i++)
		tls_digest_add_number(digest, ciphers->suites[i]->id);
}

/* All that tls_settings_apply looks at. The tickets' digest stands for their keys and timeout. */
static void digest_all(struct tls_settings *settings, const uint8_t demands[TLS_DIGEST_SIZE])
{
	const struct conf_tls *conf = settings->conf;
	struct tls_digest      digest;

	tls_digest_start(&digest);
	tls_digest_add(&digest, span_of(demands, TLS_DIGEST_SIZE));
	if (settings->tickets)
		tls_digest_add(&digest, span_of(settings->tickets->digest, TLS_DIGEST_SIZE));
	tls_digest_add_number(&digest, conf->protocols);
	tls_digest_add_number(&digest, conf->prefer_server_ciphers);
	tls_digest_add_number(&digest, conf->session_timeout_ms);
	add_suites(&digest, &settings->suites);
	add_suites(&digest, &settings->ciphers);
	tls_digest_add_number(&digest, settings->curves.count);
	for (size_t i = 0; i < settings->curves.count; i++)
		tls_digest_add_number(&digest, settings->curves.list[i]->id);
	tls_digest_add(&digest, tls_file_span(&settings->staple));
	tls_digest_add(&digest, tls_file_span(&settings->passwords));
	tls_digest_end(&digest, settings->digest);
}

bool tls_settings_init(struct tls_settings *settings, const struct conf_tls *conf,
                       struct tls_store *store, struct conf_report *report)
{
	uint8_t demands[TLS_DIGEST_SIZE];
	bool    ok;

	*settings = (struct tls_settings){.conf = conf};
	ok = read_files(settings, report);
	ok = tls_settings_lists(settings, report) && ok;
	if (!ok)
		return false;
	digest_demands(settings, demands);
	if (conf->session_tickets) {
		settings->tickets = tls_tickets_get(conf, demands, store, report);
		if (!settings->tickets)
			return false;
	}
	digest_all(settings, demands);
	return true;
}

void tls_settings_fini(struct tls_settings *settings)
{
	tls_file_wipe(&settings->authorities);
	tls_file_wipe(&settings->revocations);
	tls_file_wipe(&settings->staple);
	tls_file_wipe(&settings->passwords);
}

/* ---- applying ---- */

static WOLFSSL_CTX *new_library(unsigned protocols)
{
	WOLFSSL_CTX *library;

	if (protocols == CONF_TLS12)
		return wolfSSL_CTX_new(wolfTLSv1_2_server_method());
	if (protocols == CONF_TLS13)
		return wolfSSL_CTX_new(wolfTLSv1_3_server_method());
	library = wolfSSL_CTX_new(wolfSSLv23_server_method());
	if (library && wolfSSL_CTX_SetMinVersion(library, WOLFSSL_TLSV1_2) != WOLFSSL_SUCCESS) {
		wolfSSL_CTX_free(library);
		return NULL;
	}
	return library;
}

/* The library takes both versions' suites in one list, in its own spelling: that is OpenSSL's. */
static bool apply_ciphers(const struct tls_settings *settings, WOLFSSL_CTX *library)
{
	char   list[2 * CIPHERS_MAX * 48] = "";
	size_t len = 0;

	for (size_t i = 0; i < settings->suites.count; i++)
		if (settings->conf->protocols & CONF_TLS13)
			len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%s",
			                        len ? ":" : "", settings->suites.suites[i]->name);
	for (size_t i = 0; i < settings->ciphers.count; i++)
		if (settings->conf->protocols & CONF_TLS12)
			len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%s",
			                        len ? ":" : "", settings->ciphers.suites[i]->name);
	CHECK(len < sizeof(list));
	if (!settings->conf->prefer_server_ciphers && wolfSSL_CTX_UseClientSuites(library) != 0)
		return false;
	return wolfSSL_CTX_set_cipher_list(library, list) == WOLFSSL_SUCCESS;
}

static bool apply_curves(const struct tls_settings *settings, WOLFSSL_CTX *library)
{
	int groups[CURVES_MAX];

	for (size_t i = 0; i < settings->curves.count; i++)
		groups[i] = settings->curves.list[i]->id;
	return wolfSSL_CTX_set_groups(library, groups, (int)settings->curves.count) ==
	       WOLFSSL_SUCCESS;
}

/* There is a callback so that the library keeps the name, which it then binds tickets to: one is
 * not taken under another name (RFC 6066 3), whatever the two have in common. */
static int keep_name(WOLFSSL *ssl, int *alert, void *context)
{
	(void)ssl;
	(void)alert;
	(void)context;
	return 0;
}

/* The library's session cache has one table for all of its objects, so a session of one section
 * could be resumed in another: off. Early data is replayable: off by its default of 0 bytes, and
 * said once more. */
static bool apply_resumption(const struct tls_settings *settings, WOLFSSL_CTX *library)
{
	wolfSSL_CTX_set_session_cache_mode(library, WOLFSSL_SESS_CACHE_OFF);
	wolfSSL_CTX_set_servername_callback(library, keep_name);
	if (((settings->conf->protocols & CONF_TLS13) &&
	     wolfSSL_CTX_set_max_early_data(library, 0) < 0) ||
	    wolfSSL_CTX_set_timeout(library, settings->conf->session_timeout_ms / 1000) !=
	            WOLFSSL_SUCCESS)
		return false;
	if (settings->tickets)
		return tls_tickets_install(settings->tickets, library);
	if ((settings->conf->protocols & CONF_TLS13) && wolfSSL_CTX_no_ticket_TLSv13(library) != 0)
		return false;
	return !(settings->conf->protocols & CONF_TLS12) ||
	       wolfSSL_CTX_NoTicketTLSv12(library) == WOLFSSL_SUCCESS;
}

static int verify_mode(enum conf_verify_client verify)
{
	switch (verify) {
	case CONF_VERIFY_OFF:
		break;
	case CONF_VERIFY_ON:
		return WOLFSSL_VERIFY_PEER | WOLFSSL_VERIFY_FAIL_IF_NO_PEER_CERT;
	case CONF_VERIFY_OPTIONAL:
		return WOLFSSL_VERIFY_PEER;
	}
	return WOLFSSL_VERIFY_NONE;
}

/* What the library calls depth is the most certificates that a client may send; OpenSSL's is the
 * most that may stand between its own and a trusted one. */
static bool apply_verification(const struct tls_settings *settings, WOLFSSL_CTX *library,
                               struct conf_report *report)
{
	const struct conf_tls *conf = settings->conf;

	wolfSSL_CTX_set_verify(library, verify_mode(conf->verify_client), tls_peer_verified);
	if (conf->verify_client == CONF_VERIFY_OFF)
		return true;
	wolfSSL_CTX_set_verify_depth(library,
	                             (int)min_u32(conf->verify_depth, VERIFY_DEPTH_MAX) + 1);
	if (wolfSSL_CTX_load_verify_buffer(library, settings->authorities.data,
	                                   (long)settings->authorities.len,
	                                   WOLFSSL_FILETYPE_PEM) != WOLFSSL_SUCCESS) {
		conf_error(report, conf->client_certificate.pos,
		           "[%s] ssl_client_certificate = %s holds no certificates of authorities "
		           "in PEM that can be loaded",
		           conf->section, conf->client_certificate.path);
		return false;
	}
	if (settings->revocations.len == 0)
		return true;
	if (wolfSSL_CTX_EnableCRL(library, 0) == WOLFSSL_SUCCESS &&
	    wolfSSL_CTX_LoadCRLBuffer(library, settings->revocations.data,
	                              (long)settings->revocations.len,
	                              WOLFSSL_FILETYPE_PEM) == WOLFSSL_SUCCESS)
		return true;
	conf_error(report, conf->crl.pos,
	           "[%s] ssl_crl = %s holds no revocation list in PEM of an authority in "
	           "ssl_client_certificate",
	           conf->section, conf->crl.path);
	return false;
}

bool tls_settings_apply_lists(const struct tls_settings *settings, WOLFSSL_CTX *library)
{
	return apply_ciphers(settings, library) && apply_curves(settings, library);
}

WOLFSSL_CTX *tls_settings_apply(const struct tls_settings *settings, struct conf_report *report)
{
	WOLFSSL_CTX *library = new_library(settings->conf->protocols);
	size_t       errors = conf_report_errors(report);

	if (library && tls_settings_apply_lists(settings, library) &&
	    apply_resumption(settings, library) && apply_verification(settings, library, report))
		return library;
	if (conf_report_errors(report) == errors)
		conf_error(report, settings->conf->pos,
		           "[%s]: the TLS library cannot be set up like this",
		           settings->conf->section);
	if (library)
		wolfSSL_CTX_free(library);
	return NULL;
}
