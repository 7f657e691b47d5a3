/*
 * tls_internal: what the files of src/tls share; nobody else includes it, or wolfSSL.
 */
#ifndef TLS_TLS_INTERNAL_H
#define TLS_TLS_INTERNAL_H

#include "tls/tls_context.h"

#include <wolfssl/options.h>
#include <wolfssl/ssl.h>

struct tls_identity;
struct tls_reuse;
struct tls_session;

/* The library's object for one certificate of a context; a session that is made from it holds
 * it. */
WOLFSSL_CTX *tls_context_library(const struct tls_context *context, uint32_t identity);
/* Sets up in a new session what the library's object cannot hold: the key log, groups of TLS 1.2.
 * False: no memory. */
MUST_CHECK bool tls_context_attach(const struct tls_context *context, WOLFSSL *ssl);

/* Immutable once built. */
struct tls_client {
	WOLFSSL_CTX         *library; /* the identity's */
	struct tls_reuse    *reuse;   /* NULL = nothing is resumed */
	char                *alpn;    /* offered, "a,b" as wolfSSL_UseALPN takes it; NULL = none */
	bool                 verifies;
	struct tls_identity *identity; /* shared by all upstreams that are set up alike */
	struct tls_store    *store;
};

/* What a session runs on. After the handshake it tells keys, IVs and sequence numbers of both
 * directions (wolfSSL_GetServerWriteKey, wolfSSL_GetSequenceNumber ...), which is all that the
 * kernel would need to go on with it. It must not be read from or written to meanwhile. */
WOLFSSL *tls_session_library(const struct tls_session *session);

/* VerifyCallback for wolfSSL_CTX_set_verify of both kinds of context: makes nothing good that is
 * not, but without it a session knows nothing of its peer's certificate. */
int tls_peer_verified(int is_good, WOLFSSL_X509_STORE_CTX *store);

#endif
