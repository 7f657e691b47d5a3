/*
 * tls_settings: what a [tls] section says beside its certificates, read and checked once, then
 * applied to each of the library's objects that are made from it.
 *
 * Private to src/tls. Lives while a context is built.
 */
#ifndef TLS_TLS_SETTINGS_H
#define TLS_TLS_SETTINGS_H

#include "policy/ciphers.h"
#include "policy/curves.h"
#include "tls/tls_file.h"
#include "tls/tls_internal.h"

struct tls_settings {
	const struct conf_tls *conf;
	struct ciphers         suites;  /* TLS 1.3 */
	struct ciphers         ciphers; /* TLS 1.2 */
	struct curves          curves;
	struct tls_file        authorities, revocations, staple, passwords;
	struct tls_tickets    *tickets; /* the store's; NULL = none */
	uint8_t                digest[TLS_DIGEST_SIZE];
};

/* False: errors went to *report*. tls_settings_fini in any case. */
MUST_CHECK bool tls_settings_init(struct tls_settings *settings, const struct conf_tls *conf,
                                  struct tls_store *store, struct conf_report *report);
void            tls_settings_fini(struct tls_settings *settings);

/* A new object of the library with all of them; NULL: an error went to *report*. */
WOLFSSL_CTX *tls_settings_apply(const struct tls_settings *settings, struct conf_report *report);

/* Both in parts, for what speaks TLS to servers: of a *settings* that has its *conf* and nothing
 * else, the lists of ciphers and curves alone. */
MUST_CHECK bool tls_settings_lists(struct tls_settings *settings, struct conf_report *report);
MUST_CHECK bool tls_settings_apply_lists(const struct tls_settings *settings, WOLFSSL_CTX *library);

/* Reads the file that *key* of *section* names; false: an error went to *report*. No path: true,
 * and *file* stays as it is. */
MUST_CHECK bool tls_read_file(const char *section, const char *key, const struct conf_file *from,
                              struct tls_file *file, struct conf_report *report);
/* "file: [section] key = PATH: why not" */
void tls_report_file(const char *section, const char *key, const struct conf_file *file, int error,
                     struct conf_report *report);

#endif
