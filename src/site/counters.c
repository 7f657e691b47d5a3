#include "site/counters.h"

#include <string.h>
#include <sys/mman.h>

/* Prometheus' usual ones, and finer below: on a LAN a connect takes less than a millisecond. */
const uint32_t histogram_bounds_us[HISTOGRAM_BOUNDS] = {
	500,    1000,   2500,   5000,    10000,   25000,   50000,
	100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000,
};

const char *counters_strategy_word(enum counters_strategy strategy)
{
	static const char *const words[COUNTERS_STRATEGIES] = {
		[COUNTERS_COPY] = "copy",
		[COUNTERS_SPLICE] = "splice",
		[COUNTERS_URING_SPLICE] = "uring_splice",
	};

	return words[strategy];
}

enum counters_tls counters_tls_version(const char *word)
{
	return strcmp(word, counters_tls_word(COUNTERS_TLS12)) == 0 ? COUNTERS_TLS12
	                                                            : COUNTERS_TLS13;
}

const char *counters_tls_word(enum counters_tls version)
{
	static const char *const words[COUNTERS_TLS_VERSIONS] = {
		[COUNTERS_TLS12] = "TLSv1.2",
		[COUNTERS_TLS13] = "TLSv1.3",
	};

	return words[version];
}

void *counters_map(size_t block_size)
{
	void *blocks = mmap(NULL, block_size * COUNTERS_WORKERS, PROT_READ | PROT_WRITE,
	                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return blocks == MAP_FAILED ? NULL : blocks;
}

void counters_unmap(void *blocks, size_t block_size)
{
	if (blocks)
		CHECK(munmap(blocks, block_size * COUNTERS_WORKERS) == 0);
}

void histogram_observe(struct histogram *histogram, uint64_t us)
{
	size_t bucket = 0;

	while (bucket < HISTOGRAM_BOUNDS && us > histogram_bounds_us[bucket])
		bucket++;
	GAUGE_ADD(histogram->buckets[bucket], 1);
	GAUGE_ADD(histogram->sum_us, us);
}

/* The ends first: a connection whose end is seen was accepted before, so active is never below
 * 0. */
static void add_listener(struct listener_totals *totals, const struct listener_counters *block)
{
	for (size_t i = 0; i < REASON_COUNT; i++)
		totals->ended[i] += atomic_load_explicit(&block->ended[i], memory_order_acquire);
	for (size_t i = 0; i < COUNTERS_DIRECTIONS; i++)
		totals->bytes[i] += GAUGE_GET(block->bytes[i]);
	for (size_t i = 0; i < COUNTERS_TLS_VERSIONS; i++)
		for (size_t resumed = 0; resumed < 2; resumed++)
			totals->handshakes[i][resumed] += GAUGE_GET(block->handshakes[i][resumed]);
	totals->accepted += GAUGE_GET(block->accepted);
}

struct listener_totals counters_of_listener(const struct listener_counters *blocks,
                                            uint32_t                        workers)
{
	struct listener_totals totals = {0};

	for (uint32_t i = 0; i < workers; i++)
		add_listener(&totals, &blocks[i]);
	totals.active = totals.accepted;
	for (size_t i = 0; i < REASON_COUNT; i++)
		totals.active -= totals.ended[i];
	return totals;
}

static void add_worker(struct worker_totals *totals, const struct worker_counters *block)
{
	for (size_t i = 0; i < COUNTERS_STRATEGIES; i++)
		totals->relayed[i] += GAUGE_GET(block->relayed[i]);
	for (size_t i = 0; i <= HISTOGRAM_BOUNDS; i++) {
		totals->connect[i] += GAUGE_GET(block->connect.buckets[i]);
		totals->handshake[i] += GAUGE_GET(block->handshake.buckets[i]);
	}
	totals->handshake_sum_us += GAUGE_GET(block->handshake.sum_us);
	totals->connect_sum_us += GAUGE_GET(block->connect.sum_us);
}

struct worker_totals counters_of_workers(const struct worker_counters *blocks, uint32_t workers)
{
	struct worker_totals totals = {0};

	for (uint32_t i = 0; i < workers; i++)
		add_worker(&totals, &blocks[i]);
	return totals;
}
