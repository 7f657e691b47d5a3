/*
 * speaker: an actor's end of TLS: a real session over its socket's wire.
 *
 * What it hears must be the bytes that the actor at the far end said, in order. Knows nothing of
 * when actors act, nor how. All that it does takes the same number of bytes in every run, whatever
 * they are: a seed stays a seed. Used by the programs of the simulation that have TLS.
 */
#ifndef TESTS_SIM_SPEAKER_H
#define TESTS_SIM_SPEAKER_H

#include "sim/kernel.h"
#include "tls/tls_session.h"

/* Made once, for all worlds. */
struct speaker_contexts {
	struct tls_store   *store;
	struct tls_context *tls12, *tls13;
};

extern struct speaker_contexts speaker_contexts;

void speaker_contexts_open(void);
void speaker_contexts_close(void);

/* For one world: in another nothing is resumed. */
struct tls_client *speaker_client_new(void);

struct speaker {
	struct sock        *sock;
	struct tls_session *session;
	uint32_t            fed;    /* of the wire's out */
	uint32_t            awaits; /* says no hello before so many bytes came ahead of TLS */
	bool                has_failed;
};

/* *sock* gets a wire. */
void speaker_call(struct speaker *speaker, struct sock *sock, const struct tls_client *client,
                  const char *name);
void speaker_answer(struct speaker *speaker, struct sock *sock, const struct tls_context *context);
void speaker_fini(struct speaker *speaker);

/* Bytes ahead of TLS; before the first *speaker_hear*. */
void speaker_put_raw(struct speaker *speaker, const void *data, size_t len);

/* All that the actor has read of its socket; goes on with the handshake, answers. */
void speaker_hear(struct speaker *speaker);

/* Puts on the wire, not yet into the socket. The handshake is done. */
void speaker_say(struct speaker *speaker, uint32_t n); /* of the socket's stream */
void speaker_say_end(struct speaker *speaker);
void speaker_update_keys(struct speaker *speaker);
/* At any time: a record that is none. */
void speaker_garble(struct speaker *speaker);

#endif
