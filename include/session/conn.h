/*
 * conn: one connection, from accept to its access-log line.
 *
 * A state names what the connection waits for. Completions and timers note facts and wake it;
 * conn_advance runs the step of its state until the state stops changing. Only conn_advance frees,
 * and only when no operation is in flight. Called by session/shard and session/listener.
 */
#ifndef SESSION_CONN_H
#define SESSION_CONN_H

#include "base/list.h"
#include "policy/balance.h"
#include "policy/wheel.h"
#include "proto/alert.h"
#include "proto/hello.h"
#include "session/flow.h"
#include "session/listener.h"
#include "session/shard.h"
#include "session/side.h"
#include "site/reason.h"

enum conn_state {
	CONN_PREAMBLE,  /* the PROXY header in front of everything */
	CONN_STARTTLS,  /* a request for TLS, or TLS at once */
	CONN_HELLO,     /* a whole ClientHello */
	CONN_HANDSHAKE, /* the client's part of a TLS handshake, or its own turn to go on with it */
	CONN_FIRST,     /* with starttls: the first packet inside TLS */
	CONN_DIAL,      /* the server's answer to connect, and the greeting's first bytes taken */
	CONN_ANSWER,    /* the server's answer to our request for TLS */
	CONN_UPSTREAM_HANDSHAKE, /* the same with the server */
	CONN_RELAY,              /* bytes, either way */
	CONN_FLUSH,              /* one side was reset: the other to take what it was sent */
	CONN_CANCEL,             /* a server to take a CancelRequest, one after another */
	CONN_REFUSE,             /* the refused client's EOF */
	CONN_CLOSING,            /* the last operation in flight */
	CONN_FREE,
	CONN_STATES
};

enum conn_fact {
	CONN_TIMER = BIT(0),   /* the timer fired */
	CONN_EVICTED = BIT(1), /* too many pending hellos: this one was the oldest */
	CONN_STOP = BIT(2),    /* somebody else ends it: stop_reason */
};

/* What it counts in, each to be given back once. */
enum conn_claim {
	CLAIM_SESSION = BIT(0), /* of max_connections; a connection without it waits */
	CLAIM_LISTENER = BIT(1),
	CLAIM_IP = BIT(2),
	CLAIM_ROUTE = BIT(3),
	CLAIM_SERVER = BIT(4),
};

/* Kept for routing and the log; from a slab, only when there is something to keep. */
struct conn_name {
	uint8_t name_len, alpn_len;
	char    name[HELLO_NAME_MAX];
	uint8_t alpn[80]; /* as in the hello, cut at a protocol's end */
};

struct conn {
	/* Hot: all that RELAY touches. */
	struct shard *shard;
	struct list   in_ready; /* in shard->running or shard->others */
	struct timer  timer;
	uint64_t active_ms; /* when a byte was last moved; before: since when a hello is awaited */
	uint16_t inflight;  /* the kernel's claim on this memory */
	uint8_t  state;     /* enum conn_state */
	uint8_t  facts;     /* enum conn_fact */
	bool     is_entered : 1; /* the state's opening move is made */
	bool     is_half_closed : 1;
	bool     is_broken : 1;     /* a side is; what came from it waits for the other */
	bool     is_kept_alive : 1; /* by TCP, where that is wanted */
	bool     has_turn : 1;      /* to do a piece of a TLS handshake */
	bool     is_finished : 1;   /* REFUSE: our half is ended */
	bool     streak_is_down : 1;
	uint8_t  relay;      /* access_record.relay: the most that was used */
	uint16_t streak_kib; /* whole ones that went one way since a byte went the other way */
	struct side               client, upstream;
	struct flow               up, down; /* client to upstream; back */
	struct listener_counters *counters; /* its listener's, this worker's */

	/* Cold. */
	struct list                 in_all, in_pending, in_starved, in_stalled, in_handshakes;
	struct tenure              *tenure; /* holds the snapshot that it lives by */
	const struct listener_site *listener;
	const struct route         *route; /* NULL until chosen */
	uint8_t *hello; /* HELLO_HEADROOM, then the client's bytes; NULL = none */
	uint32_t hello_start, hello_len,
		hello_size;                    /* of the client's bytes, headroom not counted */
	struct conn_name *name;                /* NULL = neither name nor ALPN */
	struct addr       source, peer, local; /* the client; the TCP peer; where it arrived */
	uint64_t          id, accepted_ms, dialled_us;
	uint64_t          flush_until_ms;       /* FLUSH, CANCEL */
	int32_t           hello_ms, connect_ms; /* -1 = absent */
	uint32_t          ip_ticket;
	uint32_t          discarded; /* REFUSE: bytes thrown away */
	int16_t           server;    /* index in route->upstream, -1 = none */
	uint16_t          tried[BALANCE_TRIES_MAX];
	uint8_t           tries;
	uint8_t           claims;          /* enum conn_claim */
	uint8_t           starttls;        /* enum starttls_flag */
	uint8_t           cancel_upstream; /* CANCEL: whose turn it is */
	uint16_t          cancel_server;
	uint8_t           reason;          /* enum reason */
	uint8_t           stop_reason;     /* why, of CONN_STOP */
	uint8_t           alert;           /* enum alert; see access_record */
	bool              client_survives; /* FLUSH: which side was not reset */
	bool              ends_by_reset;
};

/* Takes over an accepted fd. False (the fd is closed, nothing is left): no memory. */
MUST_CHECK bool conn_begin(const struct listener *listener, int fd);

/* Asks for the address of its peer, unless it is known: a system call that is spared where the
 * configuration needs no address. Afterwards it may still be unknown: of a peer that is gone. */
void conn_learn_peer(struct conn *c);

/* Notes that there are new facts; it runs later in this turn. */
void conn_wake(struct conn *c);

/* The same for bytes that came: in the order in which they did, whatever it was woken for before. */
void conn_wake_last(struct conn *c);

/* Ends it as soon as its operations land; the first reason stands. */
void conn_stop(struct conn *c, enum reason reason);

/* Runs those connections with new facts that are in RELAY. */
void conn_advance_running(struct shard *shard);

/* Runs every connection with new facts. */
void conn_advance_ready(struct shard *shard);

/* Its bytes wait in a pipe for a slow reader: the pipe may be taken for others. */
void conn_stall(struct conn *c);

/* A pipe that waits with a slow reader's bytes comes back to the pool; false: there is none. */
MUST_CHECK bool conn_yield_a_pipe(struct shard *shard);

/* Puts it in line for a receive buffer: woken when one came back. */
void conn_starve(struct conn *c);

#endif
