/*
 * registry: what lives across configurations and holds over the whole process.
 *
 * Server states, listeners' and routes' session counts, the per-address table, the round robins'
 * places, the total of sessions. Keyed by name, so that a new configuration finds the same entry
 * again. Entries are looked up while a snapshot is built and walked over by a scrape, under a lock,
 * and used by pointer from every worker. None is ever removed.
 */
#ifndef SITE_REGISTRY_H
#define SITE_REGISTRY_H

#include "policy/balance.h"
#include "policy/limit.h"
#include "site/accept_queue.h"
#include "site/counters.h"
#include "tls/tls_context.h"

struct listener_state {
	_Alignas(64) _Atomic uint32_t active; /* for max_conns */
	uint32_t scope;                       /* its number in the per-address table */
	/* It is gone from the configuration, and its sessions have this long (CLOCK_MONOTONIC); 0 =
	 * it stays. */
	_Atomic uint64_t leaves_from_ms, leaves_until_ms;

	/* Never written once it is made, hence apart from the above. */
	_Alignas(64) struct span name;
	struct listener_counters *counters; /* COUNTERS_WORKERS of them, by the worker's number */
	struct listener_state    *next;     /* private, see registry_next_listener */
};

struct route_state {
	_Alignas(64) _Atomic uint32_t active; /* for max_conns */
};

struct registry {
	_Alignas(64) _Atomic uint32_t
		sessions; /* connections held, all workers; for max_connections */
	struct limit_table      *per_ip;
	struct worker_counters  *workers; /* COUNTERS_WORKERS of them, by the worker's number */
	struct accept_queue     *queues;  /* as many */
	_Atomic uint32_t         worker_count; /* every worker that ever ran has a lower number */
	struct tls_store        *tls;          /* certificates that are loaded; for who builds */
	struct registry_entries *entries;      /* private */
};

/* NULL: no memory. *max_connections* sizes the per-address table. */
struct registry *registry_new(uint32_t max_connections);
void             registry_free(struct registry *registry);

/* Found or made; NULL: no memory. Pointers stay valid until registry_free. */
struct server_state   *registry_server(struct registry *registry, const char *upstream,
                                       const char *address);
struct listener_state *registry_listener(struct registry *registry, const char *name);
struct route_state    *registry_route(struct registry *registry, const char *name);
_Atomic uint32_t      *registry_cursor(struct registry *registry, const char *upstream);

/* The counters of worker number *index*, which is to write to them. */
struct worker_counters *registry_worker(struct registry *registry, uint32_t index);

/* All listeners that there ever were, in the order of their appearance: NULL begins and ends. Any
 * thread. */
const struct listener_state *registry_next_listener(struct registry             *registry,
                                                    const struct listener_state *previous);

#endif
