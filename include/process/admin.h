/*
 * admin: the server behind admin_socket: takes requests, holds them open, streams what answers
 * them.
 *
 * On the control thread, on its reactor; never waits, so that a client that is slow, stuck or
 * hostile costs its own buffer and nothing else. Knows no command: whoever opens it is handed each
 * request's words. Answers go into request->out and request->err; long ones are made piece by piece
 * as the client takes them.
 */
#ifndef PROCESS_ADMIN_H
#define PROCESS_ADMIN_H

#include "base/list.h"
#include "process/admin_socket.h"
#include "process/reactor.h"

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

enum {
	ADMIN_CLIENTS_MAX = 16,
	ADMIN_REQUEST_MS = 5000,    /* from connecting to the whole request */
	ADMIN_STUCK_MS = 10000,     /* without taking a byte of what waits for it */
	ADMIN_ANSWER_MAX = 1 << 20, /* bytes that wait for one client; what is beyond is left out */
};

/* One request, from its last byte to its exit code. */
struct admin_request {
	void              *context; /* admin_open's */
	uint64_t           ticket;  /* never used twice; for answers that come later */
	const char *const *words;   /* at least one; NULL behind the last */
	size_t             word_count;
	pid_t              pid; /* whose it is (SO_PEERCRED) */
	uid_t              uid;
	FILE *out, *err; /* the client's stdout and stderr; not to be closed or flushed */

	/* What the command sets, in *start* or later: */
	void *state;
	/* Adds a piece to a long answer; called while there is room for it, until it returns false
	 * or the request is ended. NULL: there are no pieces. */
	bool (*more)(struct admin_request *request);
	/* It is over, answered or its client gone: frees *state*. Called once. NULL: nothing to. */
	void (*over)(struct admin_request *request);
};

struct admin {
	struct reactor     *reactor;
	struct watch        listening;
	struct list         clients; /* oldest first */
	uint32_t            client_count;
	uint64_t            next_ticket;
	uint64_t            accept_again_ms; /* after a shortage; 0 = accepting */
	struct admin_socket socket;
	uid_t               owner;
	void (*start)(struct admin_request *request);
	void *context;
};

/* Listens at *path* (admin_socket_open), for root, *owner* and whoever we are by then, and nobody
 * else. *start* is called for each request. 0 or -errno; *step* names what failed. */
MUST_CHECK int admin_open(struct admin *admin, struct reactor *reactor, const char *path,
                          uid_t owner, void (*start)(struct admin_request *request), void *context,
                          const char **step);
/* Ends all requests (their clients are told that it is over) and removes the file, if it is still
 * ours. */
void admin_close(struct admin *admin);

/* Drops clients that are too slow. Call it at the time that it returned last, or earlier;
 * UINT64_MAX = there is nothing to wait for. After each turn of the reactor. */
MUST_CHECK uint64_t admin_tick(struct admin *admin, uint64_t now_ms);

/* The request of that ticket; NULL when its client has gone or it was ended. */
struct admin_request *admin_find(const struct admin *admin, uint64_t ticket);

/* For answers that come later: sends what was written, and calls request->more from now on. The
 * request may be gone when it returns. */
void admin_resume(struct admin_request *request);

/* The last word: what was written is sent, then the code, then the client is let go. The request is
 * gone when it returns, but for a caller within *start* and *more*: then when that returns. */
void admin_end(struct admin_request *request, int exit_code);

#endif
