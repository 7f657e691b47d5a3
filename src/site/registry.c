#include "site/registry.h"

#include "base/hash.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>

enum { BUCKETS_MIN = 64, PER_IP_MIN = 4096, CACHE_LINE = 64 };

enum entry_kind { ENTRY_SERVER, ENTRY_LISTENER, ENTRY_ROUTE, ENTRY_CURSOR };

/* An entry's two names tell it from all others of its kind; only a server has a second. */
struct entry_key {
	enum entry_kind kind;
	struct span     name, detail;
};

struct entry {
	struct entry    *next;
	struct entry_key key; /* points into *text* */
	uint64_t         hash;
	void            *state; /* never moves */
	uint8_t          text[];
};

struct registry_entries {
	pthread_mutex_t         lock; /* of all below */
	struct entry          **buckets;
	size_t                  mask, count;
	struct listener_state  *first_listener;
	struct listener_state **listeners_end;
	uint32_t                scopes; /* listeners numbered so far */
};

static uint64_t hash_key(const struct entry_key *key)
{
	return hash_mix(hash_bytes(key->name) + 3 * hash_bytes(key->detail) + key->kind);
}

/* Whole lines, so that no two states share one. */
static void *new_state(size_t size)
{
	size_t lines = (size + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
	void  *state = aligned_alloc(CACHE_LINE, lines);

	if (state)
		memset(state, 0, lines);
	return state;
}

static bool grow(struct registry_entries *entries)
{
	size_t         size = entries->buckets ? 2 * (entries->mask + 1) : BUCKETS_MIN;
	struct entry **buckets = calloc(size, sizeof(*buckets));

	if (!buckets)
		return false;
	for (size_t i = 0; entries->buckets && i <= entries->mask; i++) {
		struct entry *entry, *next;

		for (entry = entries->buckets[i]; entry; entry = next) {
			next = entry->next;
			entry->next = buckets[entry->hash & (size - 1)];
			buckets[entry->hash & (size - 1)] = entry;
		}
	}
	free(entries->buckets);
	entries->buckets = buckets;
	entries->mask = size - 1;
	return true;
}

static struct entry *new_entry(const struct entry_key *key, uint64_t hash, size_t state_size)
{
	struct entry *entry = calloc(1, sizeof(*entry) + key->name.len + key->detail.len);

	if (!entry)
		return NULL;
	entry->state = new_state(state_size);
	if (!entry->state) {
		free(entry);
		return NULL;
	}
	memcpy(entry->text, key->name.data, key->name.len);
	memcpy(entry->text + key->name.len, key->detail.data, key->detail.len);
	entry->key.kind = key->kind;
	entry->key.name = span_of(entry->text, key->name.len);
	entry->key.detail = span_of(entry->text + key->name.len, key->detail.len);
	entry->hash = hash;
	return entry;
}

static bool has_key(const struct entry *entry, const struct entry_key *key)
{
	return entry->key.kind == key->kind && span_equal(entry->key.name, key->name) &&
	       span_equal(entry->key.detail, key->detail);
}

/* Found, or made with a state that is all zero. NULL: no memory. */
static struct entry *find_or_make(struct registry_entries *entries, const struct entry_key *key,
                                  size_t state_size)
{
	uint64_t      hash = hash_key(key);
	struct entry *entry;

	for (entry = entries->buckets[hash & entries->mask]; entry; entry = entry->next) {
		if (entry->hash == hash && has_key(entry, key))
			return entry;
	}
	if (entries->count > entries->mask && !grow(entries))
		return NULL;
	entry = new_entry(key, hash, state_size);
	if (!entry)
		return NULL;
	entry->next = entries->buckets[hash & entries->mask];
	entries->buckets[hash & entries->mask] = entry;
	entries->count++;
	return entry;
}

static void *look_up(struct registry *registry, const struct entry_key *key, size_t state_size)
{
	struct entry *entry;

	pthread_mutex_lock(&registry->entries->lock);
	entry = find_or_make(registry->entries, key, state_size);
	pthread_mutex_unlock(&registry->entries->lock);
	return entry ? entry->state : NULL;
}

/* The kernel's pool is ready long before a service starts; without it nothing would keep clients
 * from aiming at one set of the table, so there is no way on. */
static bool draw_secret(uint64_t secret[2])
{
	return getrandom(secret, 2 * sizeof(*secret), 0) == 2 * sizeof(*secret);
}

static struct registry_entries *new_entries(void)
{
	struct registry_entries *entries = calloc(1, sizeof(*entries));

	if (!entries)
		return NULL;
	pthread_mutex_init(&entries->lock, NULL);
	entries->listeners_end = &entries->first_listener;
	return entries;
}

struct registry *registry_new(uint32_t max_connections)
{
	struct registry *registry = new_state(sizeof(*registry));
	size_t           addresses = (size_t)max_connections * 2;
	uint64_t         secret[2];

	if (!registry)
		return NULL;
	registry->workers = counters_map(sizeof(*registry->workers));
	registry->queues = counters_map(sizeof(*registry->queues));
	registry->entries = new_entries();
	registry->tls = tls_store_new();
	if (!registry->workers || !registry->queues || !registry->entries || !registry->tls ||
	    !grow(registry->entries) || !draw_secret(secret))
		goto fail;
	registry->per_ip = limit_build(addresses > PER_IP_MIN ? addresses : PER_IP_MIN, secret);
	if (!registry->per_ip)
		goto fail;
	return registry;
fail:
	registry_free(registry);
	return NULL;
}

static void free_entry(struct entry *entry)
{
	struct listener_state *listener = entry->state;

	if (entry->key.kind == ENTRY_LISTENER)
		counters_unmap(listener->counters, sizeof(*listener->counters));
	free(entry->state);
	free(entry);
}

static void free_entries(struct registry_entries *entries)
{
	for (size_t i = 0; entries->buckets && i <= entries->mask; i++) {
		struct entry *entry, *next;

		for (entry = entries->buckets[i]; entry; entry = next) {
			next = entry->next;
			free_entry(entry);
		}
	}
	free(entries->buckets);
	pthread_mutex_destroy(&entries->lock);
	free(entries);
}

void registry_free(struct registry *registry)
{
	if (!registry)
		return;
	if (registry->entries)
		free_entries(registry->entries);
	counters_unmap(registry->workers, sizeof(*registry->workers));
	counters_unmap(registry->queues, sizeof(*registry->queues));
	limit_free(registry->per_ip);
	tls_store_free(registry->tls);
	free(registry);
}

struct server_state *registry_server(struct registry *registry, const char *upstream,
                                     const char *address)
{
	struct entry_key key = {ENTRY_SERVER, span_text(upstream), span_text(address)};

	return look_up(registry, &key, sizeof(struct server_state));
}

/* An entry whose counters could not be had stays unfinished until it is asked for again. */
static bool finish_listener(struct registry_entries *entries, const struct entry *entry)
{
	struct listener_state *state = entry->state;

	if (state->counters)
		return true;
	state->counters = counters_map(sizeof(*state->counters));
	if (!state->counters)
		return false;
	state->name = entry->key.name;
	state->scope = entries->scopes++;
	*entries->listeners_end = state;
	entries->listeners_end = &state->next;
	return true;
}

struct listener_state *registry_listener(struct registry *registry, const char *name)
{
	struct entry_key         key = {ENTRY_LISTENER, span_text(name), span_text("")};
	struct registry_entries *entries = registry->entries;
	struct listener_state   *state = NULL;
	struct entry            *entry;

	pthread_mutex_lock(&entries->lock);
	entry = find_or_make(entries, &key, sizeof(*state));
	if (entry && finish_listener(entries, entry))
		state = entry->state;
	pthread_mutex_unlock(&entries->lock);
	return state;
}

const struct listener_state *registry_next_listener(struct registry             *registry,
                                                    const struct listener_state *previous)
{
	struct registry_entries     *entries = registry->entries;
	const struct listener_state *next;

	pthread_mutex_lock(&entries->lock);
	next = previous ? previous->next : entries->first_listener;
	pthread_mutex_unlock(&entries->lock);
	return next;
}

struct worker_counters *registry_worker(struct registry *registry, uint32_t index)
{
	uint32_t count = atomic_load_explicit(&registry->worker_count, memory_order_relaxed);

	CHECK(index < COUNTERS_WORKERS);
	while (count <= index &&
	       !atomic_compare_exchange_weak_explicit(&registry->worker_count, &count, index + 1,
	                                              memory_order_relaxed, memory_order_relaxed))
		continue;
	return &registry->workers[index];
}

struct route_state *registry_route(struct registry *registry, const char *name)
{
	struct entry_key key = {ENTRY_ROUTE, span_text(name), span_text("")};

	return look_up(registry, &key, sizeof(struct route_state));
}

_Atomic uint32_t *registry_cursor(struct registry *registry, const char *upstream)
{
	struct entry_key key = {ENTRY_CURSOR, span_text(upstream), span_text("")};

	return look_up(registry, &key, sizeof(_Atomic uint32_t));
}
