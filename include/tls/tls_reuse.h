/*
 * tls_reuse: what servers gave us to resume by, the last few sessions of one tls_client.
 *
 * A session is handed out once and then is the taker's alone: wolfSSL writes to the one it resumes,
 * and a ticket shown twice lets an onlooker link connections (RFC 8446 C.4). Counted, for sessions
 * outlive the client they began with. Any thread; the lock is held for a few moves of a pointer.
 */
#ifndef TLS_TLS_REUSE_H
#define TLS_TLS_REUSE_H

#include <stdint.h>

struct WOLFSSL_SESSION;
struct tls_reuse;

/* NULL: no memory. */
struct tls_reuse *tls_reuse_new(void);

/* One more user, given back by tls_reuse_put; the last one frees. NULL is nothing. */
struct tls_reuse *tls_reuse_get(struct tls_reuse *reuse);
void              tls_reuse_put(struct tls_reuse *reuse);

/* The session kept last under *key*, the caller's now to free; NULL = none. */
struct WOLFSSL_SESSION *tls_reuse_take(struct tls_reuse *reuse, uint64_t key);

/* Takes *session* over, whatever happens; the oldest one goes if there are too many. */
void tls_reuse_keep(struct tls_reuse *reuse, uint64_t key, struct WOLFSSL_SESSION *session);

#endif
