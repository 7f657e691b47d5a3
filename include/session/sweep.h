/*
 * sweep: ends the sessions that have no future here: all of them while the worker drains, those of
 * listeners that the configuration no longer has.
 *
 * Looks at a page of sessions at a time, so that a hundred thousand cost no other one a noticeable
 * pause. Whoever is idle goes in the second half of the time that was given, spread over it, lest
 * all come back to the successor at once; whoever is not has the whole of it. Of the shard, on its
 * thread.
 */
#ifndef SESSION_SWEEP_H
#define SESSION_SWEEP_H

#include "policy/wheel.h"

#include <stdbool.h>
#include <stdint.h>

struct shard;

struct sweep {
	struct timer timer; /* armed while there is something to sweep */
	uint32_t     next;  /* slot in shard->conns */
	uint64_t     pass_began_ms;
	uint64_t     begin_ms, until_ms; /* the whole worker drains; 0 = it does not */
	uint64_t     last_ms;            /* the latest end of anything that is swept for */
};

void sweep_init(struct sweep *sweep);

/* Every session of the shard is to end by *until_ms* (shard->now_ms's clock). */
void sweep_all(struct shard *shard, uint64_t until_ms);

/* Sessions of listeners that say so (listener_state.leaves_until_ms) are to end; the last of them
 * by *until_ms*. */
void sweep_leavers(struct shard *shard, uint64_t until_ms);

/* The timer is due: one page. */
void sweep_page(struct shard *shard);

#endif
