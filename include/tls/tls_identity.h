/*
 * tls_identity: one certificate chain with its key, as the library's object for handshakes, and
 * what was read out of the certificate: names, end, kind of key.
 *
 * Private to src/tls. Immutable once built; counted and cached by tls_store, by the digest of the
 * files and of the settings it was built with. Built on the loader's thread.
 */
#ifndef TLS_TLS_IDENTITY_H
#define TLS_TLS_IDENTITY_H

#include "tls/tls_certificate.h"
#include "tls/tls_settings.h"

struct tls_identity {
	uint8_t                digest[TLS_DIGEST_SIZE]; /* of all that it was built from */
	WOLFSSL_CTX           *library;
	struct tls_certificate certificate;
	struct tls_file        staple; /* OCSP response; len 0 = none */
	size_t                 uses;   /* the store's, under its lock */
	struct tls_identity   *next;   /* likewise */
};

/* The files of one pair; *key_file* may be *certificate_file* (a bundle). */
struct tls_pair {
	const char      *certificate_word, *key_word; /* the keys of the configuration */
	struct conf_file certificate_file, key_file;
	struct tls_file  certificate, key;
};

/* NULL: an error went to *report*. *digest* as the store knows it. */
struct tls_identity *tls_identity_build(const struct tls_pair     *pair,
                                        const struct tls_settings *settings,
                                        const uint8_t              digest[TLS_DIGEST_SIZE],
                                        struct conf_report        *report);
void                 tls_identity_free(struct tls_identity *identity);

/* Loads a PEM key, encrypted ones with the first line of *passwords* that opens it. NULL: done,
 * else why not. Whether it fits the certificate is for the caller to check. */
MUST_CHECK const char *tls_identity_load_key(WOLFSSL_CTX *library, const struct tls_file *key,
                                             const struct tls_file *passwords);

#endif
