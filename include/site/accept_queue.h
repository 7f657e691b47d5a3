/*
 * accept_queue: accepted connections that one worker gives to another.
 *
 * The kernel spreads connections over the workers' sockets as dice do: a few long ones may all land
 * on one worker. So a worker that has clearly more of them than another hands over what it accepts
 * (accept_queue_prefers). Each worker has one queue, bounded, written by all others and read by it;
 * the registry owns them, so that a queue outlives its worker. Nothing waits, but for the reader's
 * own end.
 */
#ifndef SITE_ACCEPT_QUEUE_H
#define SITE_ACCEPT_QUEUE_H

#include "base/mailbox.h"

#include <stdint.h>

struct listener_state;
struct snapshot;

enum { ACCEPT_QUEUE_SIZE = 64 }; /* a bit each of accept_queue.used */

struct accepted {
	int                          fd;
	const struct listener_state *listener; /* whose address it came to */
};

struct accept_place {
	struct mail     mail;
	struct accepted accepted;
};

struct accept_queue {
	_Alignas(64) _Atomic uint32_t load; /* connections that its worker has, or is given here */
	_Atomic bool is_open;               /* its worker takes */
	int          wake_fd;               /* an eventfd, while it is open */
	/* What its worker lives by. Only who lives by the same gives to it: it knows the address. */
	_Atomic(const struct snapshot *) snapshot;
	_Alignas(64) _Atomic uint32_t givers; /* threads that are giving to it */
	_Atomic uint64_t    used;             /* of *places* */
	struct mailbox      box;              /* struct accept_place.mail */
	struct accept_place places[ACCEPT_QUEUE_SIZE];
};

/* Its worker alone: connections may be given to it from now on, if they may not already. */
void accept_queue_open(struct accept_queue *queue, int wake_fd);
/* Its worker alone: nothing is put in any more when this returns, and what was is still to be taken.
 * Waits for threads that are just putting something in. */
void accept_queue_close(struct accept_queue *queue);

/* Its worker alone: has *more* connections (modulo 2^32: fewer) than before, apart from those that
 * are in here. */
static inline void accept_queue_count(struct accept_queue *queue, uint32_t more)
{
	atomic_fetch_add_explicit(&queue->load, more, memory_order_relaxed);
}

/* A worker with *own* connections does well to give the next one to one with *others*: else some
 * worker may come to have more than a quarter above its fair share. With many connections dice do
 * well enough, and handing over costs a wake-up. */
bool accept_queue_prefers(uint32_t own, uint32_t others);

/* True: it is the other worker's from now on. False: closed or full. *wake* is told the queue's
 * wake_fd when its worker may sleep. Any thread. */
MUST_CHECK bool accept_queue_give(struct accept_queue *queue, struct accepted accepted,
                                  void (*wake)(int wake_fd));

/* Its worker alone: all that came, the oldest first, at most ACCEPT_QUEUE_SIZE. How many. */
uint32_t accept_queue_take(struct accept_queue *queue, struct accepted out[ACCEPT_QUEUE_SIZE]);

#endif
