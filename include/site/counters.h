/*
 * counters: what every worker counts for the metrics, by listener and in all.
 *
 * A worker writes only the block of its own number, on cache lines of its own: counting costs a
 * load and a store, and a scrape, which adds the blocks up, costs the workers nothing. The registry
 * owns the blocks, so they outlive a configuration and the worker, too.
 */
#ifndef SITE_COUNTERS_H
#define SITE_COUNTERS_H

#include "base/gauge.h"
#include "base/util.h"
#include "conf/conf.h"
#include "site/reason.h"

#include <stdint.h>

enum { COUNTERS_WORKERS = CONF_WORKERS_MAX };

enum counters_direction { COUNTERS_UP, COUNTERS_DOWN, COUNTERS_DIRECTIONS };

enum counters_tls { COUNTERS_TLS12, COUNTERS_TLS13, COUNTERS_TLS_VERSIONS };

/* "TLSv1.2" or "TLSv1.3", and back. */
enum counters_tls counters_tls_version(const char *word);
const char       *counters_tls_word(enum counters_tls version);

/* One listener's connections on one worker. */
struct listener_counters {
	_Alignas(64) _Atomic uint64_t accepted;
	_Atomic uint64_t bytes[COUNTERS_DIRECTIONS]; /* as the access log counts them */
	_Atomic uint64_t ended[REASON_COUNT];
	_Atomic uint64_t handshakes[COUNTERS_TLS_VERSIONS][2]; /* done; full and resumed */
};

/* How bytes were moved; the words of zero_copy. */
enum counters_strategy {
	COUNTERS_COPY,
	COUNTERS_SPLICE,
	COUNTERS_URING_SPLICE,
	COUNTERS_STRATEGIES
};

/* The word of the access log, of metrics and of ctl. */
const char *counters_strategy_word(enum counters_strategy strategy);

enum { HISTOGRAM_BOUNDS = 14 };

extern const uint32_t histogram_bounds_us[HISTOGRAM_BOUNDS]; /* upper, inclusive */

struct histogram {
	_Atomic uint64_t buckets[HISTOGRAM_BOUNDS + 1]; /* the last is above every bound */
	_Atomic uint64_t sum_us;
};

struct worker_counters {
	_Alignas(64) _Atomic uint64_t relayed[COUNTERS_STRATEGIES]; /* bytes */
	struct histogram handshake; /* from the whole hello to the end of the handshake */
	struct histogram connect;   /* from connect to the server's answer, successes only */
};

/* Blocks for COUNTERS_WORKERS workers, all zero, lazily touched. NULL: no memory. */
void *counters_map(size_t block_size);
void  counters_unmap(void *blocks, size_t block_size);

/* A connection has ended. What else it counted before is seen by whoever sees its end. */
static inline void counters_end(struct listener_counters *counters, enum reason reason)
{
	atomic_store_explicit(&counters->ended[reason], GAUGE_GET(counters->ended[reason]) + 1,
	                      memory_order_release);
}

void histogram_observe(struct histogram *histogram, uint64_t us);

struct listener_totals {
	uint64_t accepted, active; /* active: accepted and not ended */
	uint64_t bytes[COUNTERS_DIRECTIONS];
	uint64_t ended[REASON_COUNT];
	uint64_t handshakes[COUNTERS_TLS_VERSIONS][2];
};

struct worker_totals {
	uint64_t relayed[COUNTERS_STRATEGIES];
	uint64_t connect[HISTOGRAM_BOUNDS + 1], connect_sum_us;
	uint64_t handshake[HISTOGRAM_BOUNDS + 1], handshake_sum_us;
};

/* Sums over the blocks of the first *workers* workers. Any thread. */
struct listener_totals counters_of_listener(const struct listener_counters *blocks,
                                            uint32_t                        workers);
struct worker_totals   counters_of_workers(const struct worker_counters *blocks, uint32_t workers);

#endif
