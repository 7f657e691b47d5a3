/*
 * secure: the TLS of one side of a connection: its session, what the peer sent that the session has
 * not taken, and what the session wants sent.
 *
 * All output of a side that speaks TLS goes through here, in the order in which it was made. Holds
 * memory of the shard's only while something lies in it: an idle session has neither buffer. The
 * socket's operations stay the side's. Used by flow, handshake and steps.
 */
#ifndef SESSION_SECURE_H
#define SESSION_SECURE_H

#include "base/span.h"
#include "session/side.h"
#include "tls/tls_session.h"

enum {
	/* A receive buffer's worth of plaintext in records of its own, and two records more: one
	 * kept inside the session, one to write into. */
	SECURE_RECORDS_EXTRA = 2 * TLS_RECORD_WIRE_MAX,
	/* What a flow in TLS reads besides, when its receive buffer came full: with that one about
	 * the most that the kernel makes one segment of. */
	SECURE_MORE_MAX = 3 * TLS_RECORD_MAX,
};

struct secure {
	struct tls_session *session;           /* NULL until its handshake has a turn */
	struct tls_choice   choice;            /* client side */
	uint8_t            *received, *output; /* of shard->records; NULL = nothing there */
	uint32_t            received_start, received_end;
	uint32_t            output_start, output_end, output_sending;
	uint64_t            began_us;           /* the handshake */
	bool                is_established : 1; /* the handshake is done */
	bool                was_full : 1;    /* the session goes on once there is room for output */
	bool                has_failed : 1;  /* the session is of no more use */
	bool                is_finished : 1; /* nothing more is to be written */
	bool                peer_has_closed : 1; /* by close_notify */
	bool                is_truncated : 1;    /* the peer ended without one */
};

/* Gives *side* its secure; there are as many as sides. */
void secure_begin(struct conn *c, struct side *side);

/* Gives back all. No operation of *side* is in flight. */
void secure_fini(struct conn *c, struct side *side);

/* Keeps bytes that came from the peer, behind those that are kept already. */
void secure_keep(struct conn *c, struct side *side, struct span bytes);

/* Bytes to be sent as they are; before the first of the session's. */
void secure_put_raw(struct conn *c, struct side *side, struct span bytes);

/* Sends what is to be sent; takes note of what was. True: all of it is with the kernel, or
 * side->is_reset: nothing can be. */
MUST_CHECK bool secure_flush(struct conn *c, struct side *side);

/* Something is still to be sent; false for a side that speaks no TLS. */
bool secure_is_sending(const struct side *side);

/* Goes on with the handshake, with all that is kept. TLS_FULL: when there is room. */
MUST_CHECK enum tls_result secure_handshake(struct conn *c, struct side *side);

/* Decrypts what is kept and then *received* into *plain* (*size* bytes, at least TLS_RECORD_MAX, at
 * most shard->records'); *len* is what came out, whatever the result is. TLS_DATA: there is more,
 * call again; TLS_MORE: all was taken; TLS_FULL: when there is room for output; TLS_CLOSED,
 * TLS_FAILED. */
MUST_CHECK enum tls_result secure_read(struct conn *c, struct side *side, struct span received,
                                       uint8_t *plain, uint32_t size, uint32_t *len);

/* There is something to read without receiving. */
bool secure_has_more(const struct secure *secure);

/* The output has room for *len* bytes of plaintext. */
bool secure_has_room(const struct conn *c, const struct side *side, uint32_t len);

/* Encrypts: TLS_DONE, TLS_FULL (what was taken is off *plain*) or TLS_FAILED. */
MUST_CHECK enum tls_result secure_write(struct conn *c, struct side *side, struct span *plain);

/* Ends our half of an established session by a fatal alert. */
void secure_refuse(struct conn *c, struct side *side, enum alert alert);

/* Ends our half, *with_notify* by close_notify; what is sent last waits for the sock_finish that the
 * caller owes once all is with the kernel, or nothing can be: true. */
MUST_CHECK bool secure_finish(struct conn *c, struct side *side, bool with_notify);

#endif
