/*
 * crew: all the workers: those that accept, and those that a smaller number of workers has retired
 * and that still have sessions.
 *
 * Owns the workers and what they reply to. Only control calls it, on its thread.
 */
#ifndef PROCESS_CREW_H
#define PROCESS_CREW_H

#include "process/reactor.h"
#include "process/worker.h"

enum { CREW_MAX = COUNTERS_WORKERS }; /* workers at one time, retired ones included */

struct crew_totals {
	uint64_t sessions, pipes, leases, hellos_pending, lingering;
	uint64_t accepted, ended, buffers_exhausted, pipes_exhausted, hellos_dropped;
};

struct crew {
	struct worker    *workers[CREW_MAX]; /* *active* of them accept; the rest is leaving */
	uint32_t          active, count;
	bool              has_index[CREW_MAX];
	uint64_t          next_ids[CREW_MAX]; /* of sessions, by index; 0 = none was there yet */
	struct worker_job pings[CREW_MAX];    /* by index */
	uint32_t          pings_left;         /* not answered yet */
	struct worker_replies replies;
	struct watch          watch; /* of the replies */
	struct reactor       *reactor;
	struct crew_totals    departed; /* what workers that are no more have counted */
};

/* 0 or -errno. */
MUST_CHECK int crew_open(struct crew *crew, struct reactor *reactor);
/* Once no worker is left. */
void crew_close(struct crew *crew);

/* The index that the next worker will get; CREW_MAX = there is no room for another. */
uint32_t crew_next_index(const struct crew *crew);
/* Starts another worker: *plan* with crew_next_index in it; replies are filled in. False: *why*
 * tells. */
MUST_CHECK bool crew_add(struct crew *crew, struct worker_plan *plan, char why[256]);

/* Ends those beyond the first *keep* at once, and waits for that: they have accepted nothing
 * yet. */
void crew_dismiss(struct crew *crew, uint32_t keep);

/* The first *keep* go on accepting, the others retire. */
void crew_shrink(struct crew *crew, uint32_t keep);
void crew_drain(struct crew *crew, uint32_t drain_ms);
void crew_stop(struct crew *crew);

/* Joins those that are done. */
void crew_reap(struct crew *crew);

/* True: every worker has gone through its loop since the call that returned true last; then they
 * are asked again. For a watchdog: a ring that is stuck makes it false. */
MUST_CHECK bool crew_has_answered(struct crew *crew);

/* The worker of the smallest index from *index* on; NULL = there is none. */
struct worker *crew_worker(const struct crew *crew, uint32_t index);

struct crew_totals crew_totals(const struct crew *crew);

#endif
