#include "tls/tls_store.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { STORE_CHAINS = 4096 };

struct tls_store {
	/* Held for a look-up alone: contexts are given back on control's thread while the loader
	 * builds. */
	pthread_mutex_t      lock;
	size_t               loaded;
	struct tls_tickets  *tickets;
	struct tls_identity *chains[STORE_CHAINS]; /* by the first bytes of the digest */
};

struct tls_store *tls_store_new(void)
{
	struct tls_store *store = calloc(1, sizeof(*store));

	if (!store)
		return NULL;
	if (pthread_mutex_init(&store->lock, NULL) != 0) {
		free(store);
		return NULL;
	}
	return store;
}

void tls_store_free(struct tls_store *store)
{
	if (!store)
		return;
	for (size_t i = 0; i < STORE_CHAINS; i++)
		CHECK(!store->chains[i]); /* contexts are gone before their store */
	while (store->tickets) {
		struct tls_tickets *tickets = store->tickets;

		store->tickets = tickets->next;
		tls_tickets_free(tickets);
	}
	pthread_mutex_destroy(&store->lock);
	free(store);
}

size_t tls_store_loaded(const struct tls_store *store)
{
	return store->loaded;
}

static struct tls_identity **chain_of(struct tls_store *store,
                                      const uint8_t     digest[TLS_DIGEST_SIZE])
{
	return &store->chains[(digest[0] | digest[1] << 8) % STORE_CHAINS];
}

struct tls_identity *tls_store_find(struct tls_store *store, const uint8_t digest[TLS_DIGEST_SIZE])
{
	struct tls_identity *identity;

	pthread_mutex_lock(&store->lock);
	identity = *chain_of(store, digest);
	while (identity && memcmp(identity->digest, digest, TLS_DIGEST_SIZE) != 0)
		identity = identity->next;
	if (identity)
		identity->uses++;
	pthread_mutex_unlock(&store->lock);
	return identity;
}

void tls_store_add(struct tls_store *store, struct tls_identity *identity)
{
	struct tls_identity **chain = chain_of(store, identity->digest);

	pthread_mutex_lock(&store->lock);
	identity->uses = 1;
	identity->next = *chain;
	*chain = identity;
	store->loaded++;
	pthread_mutex_unlock(&store->lock);
}

void tls_store_put(struct tls_store *store, struct tls_identity *identity)
{
	struct tls_identity **link = chain_of(store, identity->digest);
	bool                  last;

	pthread_mutex_lock(&store->lock);
	last = --identity->uses == 0;
	if (last) {
		while (*link != identity)
			link = &(*link)->next;
		*link = identity->next;
	}
	pthread_mutex_unlock(&store->lock);
	if (last)
		tls_identity_free(identity);
}

struct tls_tickets *tls_store_find_tickets(struct tls_store *store,
                                           const uint8_t     digest[TLS_DIGEST_SIZE])
{
	struct tls_tickets *tickets = store->tickets;

	while (tickets && memcmp(tickets->digest, digest, TLS_DIGEST_SIZE) != 0)
		tickets = tickets->next;
	return tickets;
}

void tls_store_add_tickets(struct tls_store *store, struct tls_tickets *tickets)
{
	tickets->next = store->tickets;
	store->tickets = tickets;
}
