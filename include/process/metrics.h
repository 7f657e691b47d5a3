/*
 * metrics: everything that is counted, as Prometheus reads it (text exposition format 0.0.4).
 *
 * Reads what the workers write and never writes it: a scrape costs the rings nothing. The names are
 * a promise (INTERFACE.md, Metrics). Called by control for /metrics.
 */
#ifndef PROCESS_METRICS_H
#define PROCESS_METRICS_H

#include "base/util.h"
#include "session/gauges.h"
#include "site/snapshot.h"

#include <stdbool.h>
#include <stdio.h>

struct metrics_worker {
	uint32_t                    index;
	const struct worker_gauges *gauges;
};

/* What there is to be told of. All of it stays the caller's. */
struct metrics_view {
	struct registry             *registry;
	const struct snapshot       *snapshot; /* the newest: its upstreams are shown */
	const struct metrics_worker *workers;  /* those that run; no two of one index */
	size_t                       worker_count;
	uint64_t                     now_ms;   /* CLOCK_MONOTONIC */
	uint64_t                     began_ms; /* CLOCK_REALTIME: when the program started */
	uint32_t                     max_connections;
	uint64_t                     generation; /* of the configuration; the first is 1 */
	uint64_t                     reloads_ok, reloads_failed;
	uint64_t                     log_lines_dropped;
	bool                         is_draining;
};

extern const char metrics_content_type[];

/* False: no memory. */
MUST_CHECK bool metrics_print(const struct metrics_view *view, FILE *to);

#endif
