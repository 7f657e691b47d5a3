/*
 * flow: one direction of a session: bytes from one side to the other, all of them, once, in order.
 *
 * Owns no operation; holds at most one lease, stall buffer or pipe. It asks for more only when it
 * holds nothing, so that a slow reader holds back its writer. Small exchanges are copied; a direction
 * that turned out to be bulk is spliced through a pooled pipe and goes back to copying when it
 * falls quiet. Where a side speaks TLS it decrypts and encrypts on the way and never splices. End
 * of file is passed on as shutdown(SHUT_WR) behind the last byte, in one segment with it where both
 * have come.
 */
#ifndef SESSION_FLOW_H
#define SESSION_FLOW_H

#include "io/bufring.h"
#include "io/pipe.h"

#include <stdbool.h>
#include <stdint.h>

struct conn;
struct side;

enum flow_mode { FLOW_COPY, FLOW_SPLICE, FLOW_URING_SPLICE };

/* Where the bytes are that were read and not yet written. */
enum flow_hold {
	FLOW_NOTHING,
	FLOW_LEASE,
	FLOW_STALL,
	FLOW_BIG_STALL,
	FLOW_HELLO,
	FLOW_PIPE,
	FLOW_RECORDS, /* decrypted */
};

struct flow {
	uint64_t bytes; /* taken by the sink; of one that speaks TLS: encrypted for it */
	union {
		uint16_t     lease;
		uint8_t     *stall;
		struct pipe *pipe;
	};
	uint32_t held;   /* bytes not yet written */
	uint32_t offset; /* of the first of them: in the lease, stall or hello buffer */
	uint32_t
		run; /* COPY: bytes since it began copying; SPLICE: since the source last ran dry */
	uint8_t mode;         /* enum flow_mode */
	uint8_t hold;         /* enum flow_hold */
	bool    was_full : 1; /* COPY: the last receive filled its buffer; SPLICE: much came last */
	bool    is_readable : 1; /* SPLICE: the source may have bytes */
	bool    is_filling : 1;  /* URING_SPLICE: the input in flight is a splice, not a poll */
	bool    has_eof : 1;     /* the source has ended */
	bool    has_ended : 1;   /* EOF passed on, or no use: a side was reset */
};

void flow_init(struct flow *flow);

/* What the client sent before the relay began lies in the connection's hello buffer and goes
 * first. */
void flow_hold_hello(struct flow *flow, uint32_t offset, uint32_t len);

/* *n* of the held bytes were taken by the sink. */
void flow_wrote(struct conn *c, struct flow *flow, uint32_t n);

/* Goes as far as the facts allow. Afterwards it waits for an operation in flight, or
 * flow->has_ended. */
void flow_step(struct conn *c, struct flow *flow, struct side *from, struct side *to);

/* Writes what it holds, as far as the facts allow, and reads nothing. */
void flow_push(struct conn *c, struct flow *flow, struct side *from, struct side *to);

/* Frees the pipe in which its bytes wait for *to*, a slow reader: they wait in memory instead.
 * False: it has none, or one that is in use. */
MUST_CHECK bool flow_yield_pipe(struct conn *c, struct flow *flow, const struct side *to);

/* Gives back what it holds; unwritten bytes are lost. */
void flow_release(struct conn *c, struct flow *flow);

#endif
