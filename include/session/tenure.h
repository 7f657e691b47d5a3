/*
 * tenure: the time that one snapshot serves on one worker.
 *
 * Counts what of the worker still uses the snapshot, without an atomic per connection: sessions,
 * listeners, and the shard while it is the current one. Made by control for every worker, freed by
 * control once it is over everywhere; in between it is the worker's.
 */
#ifndef SESSION_TENURE_H
#define SESSION_TENURE_H

#include "site/snapshot.h"

#include <stdatomic.h>
#include <stdbool.h>

struct tenure {
	const struct snapshot *snapshot;
	uint32_t               holders;
	_Atomic bool           is_over; /* set once, by the worker, which then lets go of it */
};

static inline void tenure_hold(struct tenure *tenure)
{
	tenure->holders++;
}

static inline void tenure_drop(struct tenure *tenure)
{
	CHECK(tenure->holders > 0);
	if (--tenure->holders == 0)
		atomic_store_explicit(&tenure->is_over, true, memory_order_release);
}

/* Nobody will ever hold it. */
static inline void tenure_give_up(struct tenure *tenure)
{
	CHECK(tenure->holders == 0);
	atomic_store_explicit(&tenure->is_over, true, memory_order_release);
}

static inline bool tenure_is_over(const struct tenure *tenure)
{
	return atomic_load_explicit(&tenure->is_over, memory_order_acquire);
}

#endif
