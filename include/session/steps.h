/*
 * steps: the decisions of a connection's life, in the order in which it lives them (steps.c,
 * handshake.c, dial.c, relay.c), and what they need of the connection itself (conn.c). Private to the
 * session layer.
 */
#ifndef SESSION_STEPS_H
#define SESSION_STEPS_H

#include "session/conn.h"

/* A step looks at the facts gathered so far and returns the state to wait in next; its own state
 * means "nothing new, keep waiting". */
struct conn_step {
	enum conn_state (*run)(struct conn *c);
	unsigned may_follow; /* BIT of each state that it may return beside its own */
};

extern const struct conn_step conn_steps[CONN_STATES];

/* starttls.c, dial.c, relay.c, cancel.c */
enum conn_state step_starttls(struct conn *c);
enum conn_state step_dial(struct conn *c);
enum conn_state step_answer(struct conn *c);
enum conn_state step_first(struct conn *c);
enum conn_state step_relay(struct conn *c);
enum conn_state step_flush(struct conn *c);
enum conn_state step_cancel(struct conn *c);

/* The server is there and wants to be asked nothing more in the clear. */
enum conn_state dial_done(struct conn *c);

/* The step of a state that waits for the client's first bytes: *take* looks at all that came
 * (preread_bytes), whenever there is more. */
enum conn_state conn_read_ahead(struct conn *c, enum conn_state (*take)(struct conn *c));

/* handshake.c */
enum conn_state step_handshake(struct conn *c);
enum conn_state step_upstream_handshake(struct conn *c);
/* Its hello has led to a route that terminates TLS. */
enum conn_state conn_terminate(struct conn *c, const struct hello *hello);

/* ---- endings (steps.c) ---- */

enum conn_state conn_end(struct conn *c, enum reason reason);

/* *alert*: what a TLS client shall read; ALERT_NONE for others. */
enum conn_state conn_refuse(struct conn *c, enum reason reason, enum alert alert);

/* *alert*, or ALERT_NONE for a client that is known not to speak TLS, or not known to. */
enum alert conn_alert(const struct conn *c, enum alert alert);

/* ---- the connection (conn.c) ---- */

void conn_set_timer(struct conn *c, uint64_t at_ms);

/* True once when *fact* was noted. */
bool conn_take_fact(struct conn *c, enum conn_fact fact);

/* True on the first step in a state. */
bool conn_enters(struct conn *c);

void conn_release_server(struct conn *c);
void conn_leave_pending(struct conn *c);

/* Counts what the last output took, then gives back what *flow* holds. *to* has no output in
 * flight. */
void conn_close_flow(struct conn *c, struct flow *flow, const struct side *to);

/* ---- bytes that TLS will take (handshake.c) ---- */

enum handshake_progress { HANDSHAKE_WAITS, HANDSHAKE_BYTES, HANDSHAKE_GONE };

/* Keeps what the peer of *side* sent, or receives more. */
MUST_CHECK enum handshake_progress handshake_receive(struct conn *c, struct side *side);

#endif
