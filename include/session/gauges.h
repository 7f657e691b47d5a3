/*
 * gauges: what one worker counts about itself, for whoever wants to look: written by its thread
 * only, relaxed, read by any.
 */
#ifndef SESSION_GAUGES_H
#define SESSION_GAUGES_H

#include "base/gauge.h"

#include <stdint.h>

struct worker_gauges {
	_Atomic uint32_t sessions; /* connections held, refusals that linger included */
	_Atomic uint32_t pipes_in_use, leases_in_use;
	_Atomic uint32_t hellos_pending; /* connections waiting in PREAMBLE or HELLO */
	_Atomic uint32_t lingering;      /* refusals that wait for their client's EOF */
	_Atomic uint64_t accepted_total, ended_total; /* connections that it has, or had */
	_Atomic uint64_t handed_over_total; /* accepted for a worker with fewer, not in the above */
	_Atomic uint64_t buffers_exhausted_total, pipes_exhausted_total, cq_overflow_total;
	_Atomic uint64_t
		hellos_dropped_total; /* oldest pending hello dropped for a newer connection */
	_Atomic uint64_t
		lingers_skipped_total; /* refusals closed at once, because too many lingered */
	_Atomic uint64_t accept_pauses_total;
	_Atomic uint64_t cancels_total; /* PostgreSQL's CancelRequests */
};

#endif
