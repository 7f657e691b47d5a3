/*
 * tls_context: what one [tls] section (or the ssl_* keys of a listener, a route or an upstream)
 * built, ready for handshakes: certificates, keys, ciphers, curves, authorities, ticket keys.
 *
 * Immutable once built, counted, shared by all workers and by the snapshots that give it unchanged;
 * a store remembers what is loaded, so that a reload parses only what changed. Built off the ring
 * threads, by site/snapshot; no function here writes to a socket or log. The only folder that
 * includes wolfSSL is src/tls.
 */
#ifndef TLS_TLS_CONTEXT_H
#define TLS_TLS_CONTEXT_H

#include "conf/conf.h"
#include "proto/alert.h"
#include "proto/hello.h"

struct tls_store;   /* certificates that are loaded, ticket secrets; lives as long as the process */
struct tls_context; /* server side */
struct tls_client;  /* client side: an upstream's proxy_ssl */

/* NULL: no memory. Outlives every context. Contexts are built with it on one thread at a time. */
struct tls_store *tls_store_new(void);
void              tls_store_free(struct tls_store *store);
/* Certificates parsed since it began; what is found loaded counts nothing. */
size_t tls_store_loaded(const struct tls_store *store);

/* Reads every file that *conf* names, checks that chains parse and that keys fit, builds. Errors
 * and lints go to *report* with file and line of the key; NULL then. */
struct tls_context *tls_context_build(const struct conf_tls *conf, struct tls_store *store,
                                      struct conf_report *report);
/* On any thread. The sessions that began with it must be gone. */
void tls_context_free(struct tls_context *context);

/* The same for what speaks TLS to servers. */
struct tls_client *tls_client_build(const struct conf_tls_client *conf, struct tls_store *store,
                                    struct conf_report *report);
void               tls_client_free(struct tls_client *client);

/* What a server is going to answer a hello with. */
struct tls_choice {
	uint32_t    identity; /* the certificate; the context's own number */
	struct span alpn;     /* the protocol chosen, points into the context; len 0 = none */
};

/* Chooses certificate and protocol for a hello; *name* is folded, len 0 = none sent. ALERT_NONE:
 * *choice* is filled in; else the alert that refuses it: handshake_failure (no group in
 * common), unrecognized_name (ssl_strict_sni), no_application_protocol. Versions and ciphers are left
 * to the handshake. Allocates nothing, any thread. */
MUST_CHECK enum alert tls_context_choose(const struct tls_context *context,
                                         const struct hello *hello, struct span name,
                                         struct tls_choice *choice);

/* For metrics and lints: the certificates of a context, in order; false behind the last. *name* is
 * the first DNS name of its subjectAltName, else the CN; *expires* in seconds since the epoch. */
MUST_CHECK bool tls_context_certificate(const struct tls_context *context, size_t index,
                                        const char **name, int64_t *expires);

/* True: some certificate covers the folded *name* (RFC 6125 6.4.3). */
MUST_CHECK bool tls_context_covers(const struct tls_context *context, struct span name);

#endif
