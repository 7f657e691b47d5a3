/*
 * tls_store: certificates that are loaded and the secrets that tickets are sealed with.
 *
 * Private to src/tls. A certificate stays as long as a context uses it, so that a reload finds it
 * again by its digest; ticket keys stay as long as the process: a few hundred bytes a section.
 * Looked into on the thread that builds, given back on any.
 */
#ifndef TLS_TLS_STORE_H
#define TLS_TLS_STORE_H

#include "tls/tls_identity.h"
#include "tls/tls_tickets.h"

/* One more use of the certificate with this digest; NULL: not loaded. */
struct tls_identity *tls_store_find(struct tls_store *store, const uint8_t digest[TLS_DIGEST_SIZE]);
/* A newly built one, whose first use is the caller's. */
void tls_store_add(struct tls_store *store, struct tls_identity *identity);
/* Gives one use back; the last frees it. */
void tls_store_put(struct tls_store *store, struct tls_identity *identity);

/* Ticket keys, found by what they were made from; NULL: not there. */
struct tls_tickets *tls_store_find_tickets(struct tls_store *store,
                                           const uint8_t     digest[TLS_DIGEST_SIZE]);
void                tls_store_add_tickets(struct tls_store *store, struct tls_tickets *tickets);

#endif
