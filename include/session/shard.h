/*
 * shard: what all connections of one worker share: its ring, buffers, pipes, timers, slabs and
 * counters.
 *
 * Single-threaded. Process/worker makes one per thread and runs its loop; the simulation makes one
 * over a fake ring. Memory is sized at start from the configuration and lazily touched; none is
 * allocated afterwards.
 */
#ifndef SESSION_SHARD_H
#define SESSION_SHARD_H

#include "base/list.h"
#include "base/log.h"
#include "base/slab.h"
#include "io/bufring.h"
#include "io/pipe.h"
#include "io/ring.h"
#include "policy/wheel.h"
#include "session/gauges.h"
#include "session/sweep.h"
#include "session/tenure.h"

/* Sizes of one worker, resolved from the configuration (0 or UINT32_MAX there = tuned). */
struct worker_sizes {
	uint32_t            max_connections; /* of the process */
	uint32_t            ring_entries;
	uint32_t            recv_buffers, buffer_size;
	uint32_t            pipe_pool, pipe_size;
	uint32_t            splice_min;
	uint32_t            splice_wait_us; /* 0 = off */
	uint32_t            busy_poll_us;   /* 0 = off */
	uint32_t            pending_hellos; /* connections that may wait in PREAMBLE and HELLO */
	uint32_t            lingering;      /* refusals that may linger */
	enum conf_zero_copy zero_copy;
};

struct conn;

struct shard {
	struct ring      ring;
	struct bufring   buffers;
	struct pipe_pool pipes;
	struct wheel     wheel;
	uint64_t         now_ms;       /* CLOCK_MONOTONIC at the start of this loop turn */
	bool             was_busy;     /* it began with a completion */
	bool             bulk_is_dry;  /* in it a direction in bulk took all that had come, */
	bool             bulk_presses; /* and one did not, or its reader was slow */
	uint64_t         quick_ms;     /* when something was last served that is not bulk */
	struct list      running;      /* conn.in_ready: with new facts, those in RELAY, */
	struct list      others;       /* and those that come or go */
	struct list      all;          /* conn.in_all */
	struct list      pending;      /* conn.in_pending: PREAMBLE and HELLO, oldest first */
	struct list      starved;      /* conn.in_starved: found no receive buffer */
	struct list      handshakes; /* conn.in_handshakes: wait for their turn, see handshake.h */
	struct list      stalled;    /* conn.in_stalled: a slow reader's bytes are in a pipe */
	struct slab      conns, names;
	struct slab      hellos_small, hellos_large;
	struct slab      stalls; /* what a slow reader has not taken yet, shard_stall_size each */
	struct slab big_stalls;  /* what was in a pipe that another needed, PIPE_FILL_MAX each */
	struct slab secures;     /* of sides that speak TLS */
	struct slab records;     /* their input, output and plaintext, shard_records_size each */
	uint32_t    records_size;
	uint8_t    *scratch; /* for hello_parse, HELLO_LARGE_SIZE bytes */
	struct worker_sizes  sizes;
	struct tenure       *tenure; /* the current snapshot's */
	struct registry     *registry;
	struct log_port     *log;
	struct log_limiter   handshake_failures;
	struct log_limiter   shortage; /* of EMFILE, ENOBUFS and their like */
	struct worker_gauges gauges;
	struct list          listeners;    /* listener.in_shard; the worker's */
	struct timer         accept_retry; /* armed while a listener is paused */
	bool                 accept_is_due;
	struct sweep         sweep;
	uint64_t             random; /* splitmix64's state */
	uint64_t             next_id;

	uint32_t                index;    /* of the worker */
	struct worker_counters *counters; /* the registry's of that number */
	struct accept_queue    *queue;    /* the same: what others give to this worker */
	void (*wake)(int wake_fd);        /* of accept_queue_give; NULL: it gives nothing away */
};

enum {
	/* A session's id has its worker's index in the bits from here on. */
	SESSION_ID_BITS = 48,
	/* Accepted beyond max_connections before accepting paused: refused, not dropped. */
	SESSIONS_SLACK = 1024,
	/* In front of the client's bytes: room for the PROXY header that we may put there. */
	HELLO_HEADROOM = 128,
	/* Client's bytes in the small class: nearly every hello. */
	HELLO_SMALL_SIZE = 2048,
	/* In the large class: whatever a later configuration may allow, as only what is used gets
	 * touched. */
	HELLO_LARGE_SIZE = CONF_PREREAD_BUFFER_MAX + PROXYPROTO_IN_MAX,
	/* A side that speaks TLS: its input and output, and the plaintext of the flow from it. */
	SHARD_RECORDS_PER_SIDE = 3,
};

struct shard_plan {
	uint32_t index;    /* of the worker; makes ids unique, picks its counters */
	uint64_t first_id; /* of its connections, for one index used again; 0 = the first */
	struct worker_sizes sizes;
	struct tenure      *tenure; /* of the first snapshot */
	struct registry    *registry;
	struct log_port    *log;
	void (*wake)(int wake_fd); /* see struct shard */
	uint64_t seed;
};

/* Bytes of one buffer of shard.stalls: all that a receive of many may bring. */
uint32_t shard_stall_size(const struct worker_sizes *sizes);

/* Bytes of one buffer of shard.records. */
uint32_t shard_records_size(const struct worker_sizes *sizes);

/* On the thread that will use it. 0 or -errno; *step* names what failed. Nothing is held on
 * failure. */
MUST_CHECK int shard_init(struct shard *shard, const struct shard_plan *plan, const char **step);

/* Ends every connection as soon as its operations land. */
void shard_stop(struct shard *shard);

/* Begins the connections that other workers gave; each turn does. */
void shard_take_accepted(struct shard *shard);

/* Another snapshot takes over; the caller renews the listeners. */
void shard_renew(struct shard *shard, struct tenure *tenure);

/* Checks that every connection, buffer, pipe and timer came back. */
void shard_fini(struct shard *shard);

uint64_t shard_random(struct shard *shard);

/* A buffer of records_size bytes for what goes into TLS or comes out of it; back into
 * shard->records. */
uint8_t *shard_records(struct shard *shard);

/* The process has *percent* of max_connections, or more. */
bool shard_is_full(const struct shard *shard, uint32_t percent);

/* As many hellos are waited for as may be (sizes.pending_hellos). */
bool shard_has_many_hellos(const struct shard *shard);

/* Then the one that has waited longest, if that is long enough for any client that means it; else
 * NULL. */
struct conn *shard_stale_hello(struct shard *shard);

/* One turn: waits for completions, makes them facts, then transitions. False when the ring is
 * broken. */
MUST_CHECK bool shard_turn(struct shard *shard);

#endif
