/*
 * side: one socket of a connection, the operations in flight on it and what they reported.
 *
 * Completions only note facts here and wake the connection; conn and flow decide. At most one input
 * (a receive of one or of many, a poll or a splice in), one output (a send or a splice out) and one
 * watch for writability at a time.
 */
#ifndef SESSION_SIDE_H
#define SESSION_SIDE_H

#include "io/ring.h"

#include <stdint.h>

struct conn;
struct endpoint;
struct secure;

enum side_fact {
	SIDE_INPUT = BIT(0),    /* input landed: input_res, lease */
	SIDE_OUTPUT = BIT(1),   /* output landed: output_res */
	SIDE_WRITABLE = BIT(2), /* an edge of writability since the last send began; sticky */
	SIDE_BEHIND = BIT(3),   /* behind that input the last of a receive of many: behind_* */
};

struct side {
	struct op      input, output, writable;
	struct secure *secure; /* its TLS; NULL = plain bytes */
	int            fd;     /* -1 = none */
	int32_t        input_res, output_res, behind_res;
	uint16_t       lease; /* the buffer that input filled, BUFRING_NONE = none */
	uint16_t       behind_lease;
	uint8_t        facts; /* enum side_fact */
	bool           is_upstream : 1;
	bool is_blocked : 1;   /* its last output came back short: no more before SIDE_WRITABLE */
	bool is_rechecked : 1; /* blocked, found writable by a look, and nothing taken since */
	bool has_error : 1;    /* the watch saw an error; reading or writing will tell which */
	bool is_reset : 1;     /* an operation on it failed: the peer is gone */
};

void side_init(struct side *side, bool is_upstream);

void side_recv(struct conn *c, struct side *side, uint32_t max);
/* Less than two buffers in all, in any number of pieces; where the kernel cannot do that, one. */
void side_recv_many(struct conn *c, struct side *side);
void side_poll_readable(struct conn *c, struct side *side);
void side_splice_in(struct conn *c, struct side *side, int pipe_fd);
void side_send(struct conn *c, struct side *side, const void *data, uint32_t len, bool wait);
/* Connects, the data with the SYN: see ring_open_fast. *to* stays until it has landed. */
void side_open_fast(struct conn *c, struct side *side, const struct endpoint *to, struct span data);
void side_splice_out(struct conn *c, struct side *side, int pipe_fd, uint32_t len);

/* For a connect whose outcome no send tells: SIDE_INPUT once it is known, see side_connected. */
void side_wait_connected(struct conn *c, struct side *side);
/* What that input said: 0 or -errno. Forgets it. */
MUST_CHECK int side_connected(struct side *side);

/* Its output came back short: no more until it can take bytes again. Watches for that, and looks
 * once more by itself, so that no edge is lost between the two (once: a kernel short of memory says
 * "writable" and takes none). */
void side_block(struct conn *c, struct side *side);
/* Hears of an error of *side* although nothing is read from it: while its bytes wait for the other
 * side. */
void side_watch(struct conn *c, struct side *side);

/* True when output may be tried (again); else it is being watched. */
bool side_may_write(struct conn *c, struct side *side);

/* Asks every operation in flight to end. */
void side_cancel(struct conn *c, struct side *side);

/* Did output that returned *res* find the peer gone? Else it took as many bytes, or none for
 * now. */
bool side_is_fatal(int64_t res);

/* The input that has landed was looked at, and its buffer is somebody else's: what is behind it
 * comes next. */
void side_next_input(struct side *side);

/* Forgets input that nobody will look at, giving its buffers back. */
void side_drop_input(struct conn *c, struct side *side);

#endif
