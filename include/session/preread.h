/*
 * preread: the bytes a client has sent before its route is known, kept in one growing run.
 *
 * They lie behind HELLO_HEADROOM free bytes, where the PROXY header for the server is written, so
 * that header and hello are one greeting. Memory comes from two size classes of the shard's.
 */
#ifndef SESSION_PREREAD_H
#define SESSION_PREREAD_H

#include "base/span.h"
#include "session/conn.h"

enum preread_result {
	PREREAD_NOTHING, /* no new bytes; a receive is in flight or was put in line for a buffer */
	PREREAD_BYTES,
	PREREAD_GONE, /* the client ended or reset */
};

/* Takes in what the client's receive brought. */
MUST_CHECK enum preread_result preread_take(struct conn *c);

/* Receives more, at most so much that preread_limit holds. */
void preread_more(struct conn *c);

struct span preread_bytes(const struct conn *c);
void        preread_skip(struct conn *c, size_t len); /* what is in front was read */
void        preread_cut(struct conn *c, size_t len);  /* what is behind is of no use */

/* Behind those that are held; HELLO_LARGE_SIZE in all. */
void preread_append(struct conn *c, struct span bytes);

/* The most bytes that may be held for this listener, the PROXY header included. */
uint32_t preread_limit(const struct conn *c);

/* Writes *len* bytes, at most HELLO_HEADROOM, in front of those held; where they begin in
 * c->hello. */
uint32_t preread_put_in_front(struct conn *c, const uint8_t *bytes, size_t len);

/* Writes the PROXY header for the server in front of the bytes, where its upstream wants one. What
 * the server shall be sent first is then in c->hello at *offset, *len bytes (0 = it is sent
 * nothing); where it is asked for TLS first, that is all but the client's bytes. */
void preread_greet(struct conn *c, uint32_t *offset, uint32_t *len);

void preread_fini(struct conn *c);

#endif
