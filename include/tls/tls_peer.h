/*
 * tls_peer: who the other side has to be, and who it proved to be.
 *
 * wolfSSL, built lean, forgets a certificate once it is verified; this takes the subject from it
 * while it is there. It never makes good what the library found wrong. For src/tls alone.
 */
#ifndef TLS_TLS_PEER_H
#define TLS_TLS_PEER_H

#include <stdbool.h>
#include <stddef.h>

struct tls_peer {
	bool  is_known; /* a certificate came and was verified */
	char *subject;  /* malloc'ed; NULL = none, or no memory */

	/* What the certificate must have word for word: malloc'ed, a name or an address as
	 * proto/addr reads it; NULL = anything. */
	char *expected;
};

void tls_peer_fini(struct tls_peer *peer);
void tls_peer_subject(const struct tls_peer *peer, char *text, size_t size);

#endif
