/*
 * pipe: the pipes through which bulk is spliced, a bounded pool per ring.
 *
 * Made at start (their size sticks, whatever the user's page budget says later), borrowed only
 * while bytes are on their way. An empty pool costs speed, never a connection: the caller copies
 * instead. Sources: pipe(7), splice(2).
 */
#ifndef IO_PIPE_H
#define IO_PIPE_H

#include "base/util.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct pipe {
	int          read_fd, write_fd;
	struct pipe *next; /* in the pool */
};

struct pipe_pool {
	struct pipe *pipes;
	struct pipe *idle;
	uint32_t     count; /* pipes that work */
	uint32_t     used;
	uint32_t     size; /* bytes the smallest of them holds */
};

/* Makes up to *count* pipes of *size* bytes. Fewer or smaller ones (EMFILE, pipe-user-pages-soft)
 * are not an error: pool->count and pool->size tell. Pipes smaller than PIPE_SIZE_MIN are not kept.
 * 0, or -ENOMEM. */
MUST_CHECK int pipe_pool_init(struct pipe_pool *pool, uint32_t count, uint32_t size);
void           pipe_pool_fini(struct pipe_pool *pool);

enum {
	PIPE_SIZE_MIN = 65536,
	/* The most that one fill takes, whatever the pipe could hold: so much can be moved to
	 * memory. */
	PIPE_FILL_MAX = 262144,
};

/* NULL when all are in use. */
MUST_CHECK struct pipe *pipe_get(struct pipe_pool *pool);

/* *dirty*: bytes are left in it (its session died): it is replaced by a fresh one, or leaves the
 * pool. */
void pipe_put(struct pipe_pool *pool, struct pipe *pipe, bool dirty);

/* Bytes moved from a socket into an empty pipe: count, 0 = EOF, -EAGAIN = none there, -errno. Never
 * waits. */
MUST_CHECK ssize_t pipe_fill(struct pipe *pipe, int fd);

/* Reads all of the *len* bytes that the pipe holds into *data*. */
void pipe_read(struct pipe *pipe, uint8_t *data, uint32_t len);

/* Bytes moved from the pipe to a socket: count, -EAGAIN = it is full, -errno. Never waits, never
 * SIGPIPE (which the process ignores: splice has no MSG_NOSIGNAL). */
MUST_CHECK ssize_t pipe_drain(struct pipe *pipe, int fd, uint32_t len);

#endif
