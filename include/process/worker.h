/*
 * worker: one thread with one ring, and all the connections that it accepted.
 *
 * Owns the ring, the buffers, the pipes and the timers of its thread. Control starts it, has it do
 * things by jobs, and reads its gauges; nothing else is shared.
 */
#ifndef PROCESS_WORKER_H
#define PROCESS_WORKER_H

#include "base/log.h"
#include "base/mailbox.h"
#include "session/gauges.h"
#include "session/shard.h"

#include <pthread.h>

/* A listening socket given to one worker. Unix sockets are one fd given to every worker. */
struct worker_port {
	int fd; /* owned by whoever opened it (process/ports); closed after all workers let go */
	uint32_t listener; /* index in snapshot.listeners */
};

/* Where workers leave what control is to hear of: jobs that are done, their own end. */
struct worker_replies {
	struct mailbox box;     /* struct worker_job.mail */
	int            wake_fd; /* eventfd, written when there is something new; control's */
};

struct worker_plan {
	uint32_t                  index;
	int                       cpu;      /* -1 = not pinned */
	uint64_t                  first_id; /* as in shard_plan */
	struct tenure            *tenure;   /* of the snapshot to begin with */
	struct registry          *registry;
	struct log_port          *log;
	struct worker_replies    *replies;
	const struct worker_port *ports;
	size_t                    port_count;
	struct worker_sizes       sizes;
};

struct worker;

/* Starts the thread and waits until it accepts on all its ports. NULL: *why* (256 bytes) says what
 * failed, in words for an operator; nothing is left behind. */
struct worker *worker_start(const struct worker_plan *plan, char why[256]);

/* ---- jobs ---- */

/* Something that control wants done on the worker's thread. Control's memory, the worker's from
 * worker_call until it is taken out of the replies. */
struct worker_job {
	struct mail mail;
	/* On the worker's thread, between two turns of its loop. Short. Calls worker_reply, now or
	 * in a later turn. */
	void (*run)(struct worker *worker, struct worker_job *job);
	/* On control's thread. */
	void (*done)(struct worker_job *job);
	void *context; /* the caller's */
	bool  is_lost; /* the worker had ended before: it never ran */
};

void worker_call(struct worker *worker, struct worker_job *job);
/* On the worker's thread: hands the job back. */
void worker_reply(struct worker *worker, struct worker_job *job);
/* For jobs, on the worker's thread. */
struct shard *worker_shard(struct worker *worker);

/* On control's thread, when replies->wake_fd is readable: calls done of every job that came
 * back. */
void worker_take_replies(struct worker_replies *replies);

/* Another configuration takes over: the worker accepts on *ports* from now on and on no other, for
 * the tenure's snapshot. Done once the ports that are not among them have been let go of. */
struct worker_renewal {
	struct worker_job         job; /* its done is the caller's; the rest is filled in */
	struct tenure            *tenure;
	const struct worker_port *ports;            /* the caller's, until done */
	size_t                    port_count;       /* no more than there is room for */
	uint64_t                  leavers_until_ms; /* see sweep_leavers; 0 = no listener is gone */
	struct list               spare;            /* struct listener.in_shard: private */
};

/* Room for as many new ports. False: no memory. */
MUST_CHECK bool worker_renewal_init(struct worker_renewal *renewal, size_t port_count);
/* Frees what it holds, not *renewal* itself: after done, or when it was not used. */
void worker_renewal_fini(struct worker_renewal *renewal);
void worker_renew(struct worker *worker, struct worker_renewal *renewal);

/* ---- the end ---- */

/* Stop accepting and let sessions end by themselves, for as long as they like. */
void worker_retire(struct worker *worker);
/* Stop accepting; idle sessions are ended spread over the second half of *drain_ms* (from now), all
 * others when it is over. */
void worker_drain(struct worker *worker, uint32_t drain_ms);
/* End every session now. */
void worker_stop(struct worker *worker);

/* True once it was told to end and its last session has. The replies' fd wakes then. */
bool worker_is_done(const struct worker *worker);
/* Waits for the thread, checks that every pipe, lease and slab came back, frees it. Jobs that came
 * too late are done, as lost. */
void worker_join(struct worker *worker);

const struct worker_gauges *worker_gauges(const struct worker *worker);
uint32_t                    worker_index(const struct worker *worker);
/* The index of the worker that has, or had, the session of that id (access_record.id). */
uint32_t worker_index_of_id(uint64_t id);
/* What the next worker of that index begins with. Once it is done. */
uint64_t worker_next_id(const struct worker *worker);

#endif
