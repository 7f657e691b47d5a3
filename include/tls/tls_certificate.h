/*
 * tls_certificate: what is read out of a PEM chain: that all of it parses, and of its first
 * certificate the names, the end and the kind of key.
 *
 * Private to src/tls. Trusts nothing and checks no signature: chains are the clients' to judge.
 */
#ifndef TLS_TLS_CERTIFICATE_H
#define TLS_TLS_CERTIFICATE_H

#include "base/span.h"
#include "base/util.h"

/* What a client must be able to verify. */
enum tls_key {
	TLS_KEY_P256,
	TLS_KEY_P384,
	TLS_KEY_P521,
	TLS_KEY_ED25519,
	TLS_KEY_RSA,
	TLS_KEY_RSA_PSS,
};

/* A DNS name, folded; of "*.example.com" it is "example.com". */
struct tls_name {
	struct span name;
	bool        wildcard;
};

struct tls_certificate {
	enum tls_key key;
	/* Of subjectAltName; the CN alone if it has none (RFC 6125 6.4.4). */
	struct tls_name *names;
	size_t           name_count;
	char            *label;   /* first name as written, "-" = none */
	int64_t          expires; /* seconds since the epoch */
};

/* NULL: done, else why not (static text). tls_certificate_fini in any case. */
MUST_CHECK const char *tls_certificate_read(struct span pem, struct tls_certificate *certificate);
void                   tls_certificate_fini(struct tls_certificate *certificate);

#endif
