/*
 * tls_session_parts: what the parts of a session share: its bytes in and out (tls_wire.c), what its
 * failures are called (tls_outcome.c) and its course (tls_session.c). Private to them.
 */
#ifndef TLS_TLS_SESSION_PARTS_H
#define TLS_TLS_SESSION_PARTS_H

#include "tls/tls_internal.h"
#include "tls/tls_peer.h"
#include "tls/tls_session.h"

enum {
	TLS_RECORD_HEADER = 5,

	/* Records in a row without data: KeyUpdates, tickets, empty ones, warnings. */
	TLS_QUIET_RECORDS_MAX = 32,
	/* What one record may be answered with: a KeyUpdate and an alert. */
	TLS_REPLIES_MAX = 2,
};

/* wolfSSL reads a record's five bytes, then its body; this goes along. */
struct tls_framing {
	uint8_t  header[TLS_RECORD_HEADER];
	uint32_t header_len, body_left;
};

struct tls_session {
	WOLFSSL          *library;
	struct tls_reuse *reuse; /* client: where it goes when it is done; NULL = nowhere */
	uint64_t          resume_key;
	struct tls_peer   peer;

	/* Of the call that runs; NULL between calls. */
	struct span       *input;
	struct tls_output *output;

	struct tls_framing framing;
	uint32_t           quiet_records, replies;
	uint32_t           bulk_bytes; /* written since the last pause, as far as it matters */
	uint64_t           written_ms;

	enum tls_failure failure;
	const char      *failure_text;
	uint8_t          alert;
	bool is_client, has_offered, has_new_ticket, established, is_blocked, is_closed, has_closed,
		has_failed;
};

static inline uint32_t tls_room_of(const struct tls_output *output)
{
	return output->size - output->len;
}

static inline bool tls_is_at_record_start(const struct tls_framing *framing)
{
	return framing->body_left == 0 && framing->header_len == 0;
}

/* CallbackIORecv and CallbackIOSend of every session. Once the handshake is done no record is begun
 * whose answer might not fit, so that wolfSSL never stops half-way through one. */
int tls_wire_receive(WOLFSSL *library, char *to, int size, void *context);
int tls_wire_transmit(WOLFSSL *library, char *from, int size, void *context);

/* Notes what went wrong, and the alert that was sent or received for it. TLS_FAILED. *error*:
 * wolfSSL's. */
enum tls_result tls_failed(struct tls_session *session, int error);
enum tls_result tls_failed_as(struct tls_session *session, enum tls_failure failure,
                              const char *text);

/* Of a call of wolfSSL that returned *code*, not success. */
enum tls_result tls_outcome(struct tls_session *session, int code);

#endif
