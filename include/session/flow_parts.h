/*
 * flow_parts: what the parts of a flow share: what it holds (flow_hold.c), its way through TLS
 * (flow_tls.c) and its course (flow.c). Private to them.
 */
#ifndef SESSION_FLOW_PARTS_H
#define SESSION_FLOW_PARTS_H

#include "base/span.h"
#include "session/flow.h"

/* What the flow does next. */
enum flow_verdict { FLOW_WAITS, FLOW_GOES_ON };

/* ---- what it holds (flow_hold.c) ---- */

/* A receive's buffer, which becomes the flow's. */
void flow_hold_lease(struct flow *flow, uint16_t lease, uint32_t len);

/* Decrypted bytes in memory of shard->records, which becomes the flow's. */
void flow_hold_records(struct flow *flow, uint8_t *plain, uint32_t len);

/* Its bytes, where they lie in memory: not in a pipe. */
const uint8_t *flow_data(const struct conn *c, const struct flow *flow);

/* A lease must not outlive the turn in which its send came back short: a slow reader costs memory
 * of its own, never a neighbour's buffer. */
void flow_stall(struct conn *c, struct flow *flow);

/* Behind what a slow reader has not taken: what *from* received. It fits: all of it is of one
 * receive of many. */
void flow_append(struct conn *c, struct flow *flow, struct side *from);

/* *reset*, one of its sides, is gone: nothing moves any more. */
void flow_lose(struct conn *c, struct flow *flow, struct side *reset);

/* ---- through TLS (flow_tls.c) ---- */

/* Into the output of *to*, which is empty; all of it is sent before more is read. */
MUST_CHECK enum flow_verdict flow_encrypt(struct conn *c, struct flow *flow, struct side *to);

/* Fewer, larger sends cost less: more of a plain source's bytes behind those just encrypted. */
void flow_encrypt_more(struct conn *c, struct flow *flow, struct side *from, struct side *to);

/* True: all that went before is with the kernel. */
MUST_CHECK bool flow_is_sent(struct conn *c, struct flow *flow, struct side *from, struct side *to);

/* *received* came from a side that speaks TLS (none: what its session has kept): plaintext to be
 * held, or its end. */
MUST_CHECK enum flow_verdict flow_decrypt(struct conn *c, struct flow *flow, struct side *from,
                                          struct span received);

#endif
