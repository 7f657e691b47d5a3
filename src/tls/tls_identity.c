#include "tls/tls_identity.h"

#include <stdlib.h>
#include <string.h>

/* ---- the key ---- */

/* What the library asks for a password: one line of the password file. */
struct password {
	struct span line;
	bool        asked;
};

static int give_password(char *out, int size, int rw, void *context)
{
	struct password *password = context;

	(void)rw;
	password->asked = true;
	if (size < 0 || password->line.len > (size_t)size)
		return 0;
	if (password->line.len > 0)
		memcpy(out, password->line.data, password->line.len);
	return (int)password->line.len;
}

static bool try_key(WOLFSSL_CTX *library, const struct tls_file *key, struct password *password)
{
	bool fits;

	wolfSSL_CTX_set_default_passwd_cb(library, give_password);
	wolfSSL_CTX_set_default_passwd_cb_userdata(library, password);
	fits = wolfSSL_CTX_use_PrivateKey_buffer(library, key->data, (long)key->len,
	                                         WOLFSSL_FILETYPE_PEM) == WOLFSSL_SUCCESS;
	wolfSSL_CTX_set_default_passwd_cb(library, NULL);
	wolfSSL_CTX_set_default_passwd_cb_userdata(library, NULL);
	return fits;
}

/* Takes the next line off *text*, without its end; false at the end. */
static bool next_line(struct span *text, struct span *line)
{
	const uint8_t *end;

	if (text->len == 0)
		return false;
	end = memchr(text->data, '\n', text->len);
	*line = span_of(text->data, end ? (size_t)(end - text->data) : text->len);
	*text = span_of(text->data + line->len + (end ? 1 : 0),
	                text->len - line->len - (end ? 1 : 0));
	if (line->len > 0 && line->data[line->len - 1] == '\r')
		line->len--;
	return true;
}

const char *tls_identity_load_key(WOLFSSL_CTX *library, const struct tls_file *key,
                                  const struct tls_file *passwords)
{
	struct password password = {0};
	struct span     text = tls_file_span(passwords);

	if (try_key(library, key, &password))
		return NULL;
	if (!password.asked)
		return "holds no private key that can be read";
	if (passwords->len == 0)
		return "is encrypted: ssl_password_file must give its password";
	while (next_line(&text, &password.line))
		if (try_key(library, key, &password))
			return NULL;
	return "is encrypted, and no line of ssl_password_file opens it";
}

/* ---- the whole ---- */

static bool fail(const struct tls_settings *settings, struct conf_report *report, const char *key,
                 const struct conf_file *file, const char *wrong)
{
	conf_error(report, file->pos, "[%s] %s = %s %s", settings->conf->section, key, file->path,
	           wrong);
	return false;
}

/* The library frees what it is given with its own allocator. */
static int give_staple(WOLFSSL *ssl, void *context)
{
	const struct tls_identity *identity = context;
	unsigned char             *copy;

	copy = wolfSSL_Malloc(identity->staple.len);
	if (!copy)
		return WOLFSSL_OCSP_STATUS_CB_NOACK;
	memcpy(copy, identity->staple.data, identity->staple.len);
	if (wolfSSL_set_tlsext_status_ocsp_resp(ssl, copy, (int)identity->staple.len) <= 0) {
		wolfSSL_Free(copy);
		return WOLFSSL_OCSP_STATUS_CB_NOACK;
	}
	return WOLFSSL_OCSP_STATUS_CB_OK;
}

static bool copy_staple(struct tls_identity *identity, const struct tls_file *from)
{
	if (from->len == 0)
		return true;
	identity->staple.data = malloc(from->len);
	if (!identity->staple.data)
		return false;
	memcpy(identity->staple.data, from->data, from->len);
	identity->staple.len = from->len;
	return wolfSSL_CTX_set_tlsext_status_cb(identity->library, give_staple) ==
	               WOLFSSL_SUCCESS &&
	       wolfSSL_CTX_set_tlsext_status_arg(identity->library, identity) == WOLFSSL_SUCCESS;
}

static bool load(struct tls_identity *identity, const struct tls_pair *pair,
                 const struct tls_settings *settings, struct conf_report *report)
{
	const char *wrong;

	wrong = tls_certificate_read(tls_file_span(&pair->certificate), &identity->certificate);
	if (wrong)
		return fail(settings, report, pair->certificate_word, &pair->certificate_file,
		            wrong);
	identity->library = tls_settings_apply(settings, report);
	if (!identity->library)
		return false;
	if (wolfSSL_CTX_use_certificate_chain_buffer(identity->library, pair->certificate.data,
	                                             (long)pair->certificate.len) !=
	    WOLFSSL_SUCCESS)
		return fail(settings, report, pair->certificate_word, &pair->certificate_file,
		            "holds a chain that cannot be loaded");
	wrong = tls_identity_load_key(identity->library, &pair->key, &settings->passwords);
	if (wrong)
		return fail(settings, report, pair->key_word, &pair->key_file, wrong);
	/* Loading a key that does not fit succeeds; this is what tells. */
	if (wolfSSL_CTX_check_private_key(identity->library) != WOLFSSL_SUCCESS) {
		conf_error(report, pair->key_file.pos,
		           "[%s] %s = %s does not belong to the certificate %s",
		           settings->conf->section, pair->key_word, pair->key_file.path,
		           pair->certificate_file.path);
		return false;
	}
	if (!copy_staple(identity, &settings->staple)) {
		conf_error(report, settings->conf->pos, "[%s]: no memory left",
		           settings->conf->section);
		return false;
	}
	return true;
}

struct tls_identity *tls_identity_build(const struct tls_pair     *pair,
                                        const struct tls_settings *settings,
                                        const uint8_t              digest[TLS_DIGEST_SIZE],
                                        struct conf_report        *report)
{
	struct tls_identity *identity = calloc(1, sizeof(*identity));

	if (!identity) {
		conf_error(report, settings->conf->pos, "[%s]: no memory left",
		           settings->conf->section);
		return NULL;
	}
	memcpy(identity->digest, digest, TLS_DIGEST_SIZE);
	if (load(identity, pair, settings, report))
		return identity;
	tls_identity_free(identity);
	return NULL;
}

void tls_identity_free(struct tls_identity *identity)
{
	if (identity->library)
		wolfSSL_CTX_free(identity->library);
	tls_certificate_fini(&identity->certificate);
	tls_file_wipe(&identity->staple);
	free(identity);
}
