/*
 * peers: the connections of a load generator, the clients' and the backend's, in one epoll:
 * opening, accepting, sending, closing, waiting. What is said over them is struct ends', plain
 * (ends.c) or TLS (tls_ends.c). Nothing here waits but peers_turn. An error of a connection is
 * counted, too many end the run; one of the set-up ends it.
 */
#ifndef BENCH_PEERS_H
#define BENCH_PEERS_H

#include "load.h"

#include <sys/types.h>

#define PEERS_ENDLESS UINT64_MAX

enum {
	PEERS_FILE_SIZE = 16 * 1024 * 1024,
	PEERS_PIECE = 64 * 1024, /* bytes of one send */
	PEERS_TAKE = 256 * 1024, /* bytes of one receive */
	PEERS_BURST = 4,         /* sends of one connection in a row */
};

/* Of clients. ENDING: has said its end of TLS, and reads until the proxy's: a client that left
 * unread tickets behind would reset. */
enum stage { CONNECTING, OPEN, ENDING };

struct peer {
	struct peer   *next, *prev;
	struct ssl_st *ssl; /* OpenSSL's, of clients that speak TLS */
	int            fd;
	enum stage     stage;
	bool           is_backend;
	bool           is_resuming; /* a session of TLS */
	bool           is_waiting;  /* for its next paced request */
	uint32_t       interest;
	uint64_t       due;      /* bytes still to send */
	uint64_t       received; /* clients: of this answer; backends: all, the hello included */
	off_t          file_at;  /* backends: in load->file */
	uint64_t begun_ns; /* of the connection or the request; a paced one: when it was due */
};

struct ends {
	/* A client that connects; false: it is broken. */
	bool (*begin_client)(struct load *load, struct peer *peer);
	/* Accepted, before it waits for its first event; NULL when there is nothing to do. */
	void (*begin_backend)(struct load *load, struct peer *peer);
	/* Something happened: these close and fail peers themselves. */
	void (*advance_client)(struct load *load, struct peer *peer, uint32_t events);
	void (*advance_backend)(struct load *load, struct peer *peer, uint32_t events);
	/* Sends what is due by time; how long the next wait may be, at most *wait_ns*. NULL:
	 * nothing ever is. */
	uint64_t (*send_due)(struct load *load, uint64_t wait_ns);
	/* Why a peer failed, beside errno; NULL: there is nothing beside it. */
	const char *(*last_error)(void);
	/* Gives back what is the end's own of a peer; NULL: nothing is. */
	void (*release)(struct peer *peer);
};

extern uint8_t     peers_payload[PEERS_PIECE]; /* what is sent */
extern uint8_t     peers_scratch[PEERS_TAKE];  /* what was received last, where it is of interest */
extern struct peer peers;                      /* the head of the list of all that are open */

/* Makes the epoll and the backend's listener; *fastopen* is the length of its queue, 0 is off. */
void peers_init(struct load *load, uint64_t fastopen);

/* Closes every connection. */
void peers_fini(struct load *load);

/* Opens the clients that are missing; one that fails at once is missing again. */
void peers_open_missing(struct load *load);

/* Handles what happened, or waits for it at most so long, less than a second. */
void peers_turn(struct load *load, int timeout_ms);

/* Waits for readability, and while anything is due for writability. */
void peer_wait(struct load *load, struct peer *peer);

/* The same with interest of the caller's. */
void peer_set_interest(struct load *load, struct peer *peer, uint32_t interest);

/* Sends what is due, plain, until the socket is full. False: the connection is broken. */
bool peer_send(struct load *load, struct peer *peer);

/* Reads up to PEERS_TAKE bytes that are of no interest, as recv. */
ssize_t peer_discard(const struct peer *peer);

void peer_close(struct load *load, struct peer *peer);
void peer_fail(struct load *load, struct peer *peer);

#endif
