/*
 * tls_choice: which kinds of key a client can verify, and whether there is a group for both, as its
 * hello tells.
 *
 * Private to src/tls. Pure: a table and a few look-ups, on every handshake.
 */
#ifndef TLS_TLS_CHOICE_H
#define TLS_TLS_CHOICE_H

#include "policy/ciphers.h"
#include "policy/curves.h"
#include "proto/hello.h"
#include "tls/tls_certificate.h"

/* What the server's side of a context allows. */
struct tls_preference {
	unsigned protocols;               /* CONF_TLS12 | CONF_TLS13 */
	uint16_t ciphers[2][CIPHERS_MAX]; /* TLS 1.2, ids by authentication: ECDSA, RSA */
	size_t   cipher_counts[2];
	uint16_t groups[CURVES_MAX];
	size_t   group_count;
};

void tls_preference_init(struct tls_preference *preference, unsigned protocols,
                         const struct ciphers *ciphers, const struct curves *curves);

enum { TLS_RANK_NONE = 255 };

/* Lower is better: cheap to sign with; TLS_RANK_NONE = the client cannot verify it. */
unsigned tls_preference_rank(const struct tls_preference *preference, const struct hello *hello,
                             enum tls_key key);

/* False: there is no group that both have, and no cipher goes without. */
bool tls_preference_shares_group(const struct tls_preference *preference,
                                 const struct hello          *hello);

#endif
