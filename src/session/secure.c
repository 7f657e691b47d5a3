#include "session/secure.h"

#include "base/clock.h"
#include "io/sock.h"
#include "session/conn.h"

#include <errno.h>
#include <string.h>

static void records_put(struct conn *c, uint8_t **records)
{
	if (*records)
		slab_put(&c->shard->records, *records);
	*records = NULL;
}

void secure_begin(struct conn *c, struct side *side)
{
	CHECK(!side->secure);
	side->secure = slab_get(&c->shard->secures);
	CHECK(side->secure);
	*side->secure = (struct secure){.began_us = clock_us()};
}

void secure_fini(struct conn *c, struct side *side)
{
	struct secure *secure = side->secure;

	if (!secure)
		return;
	records_put(c, &secure->received);
	records_put(c, &secure->output);
	if (secure->session)
		tls_session_free(secure->session);
	slab_put(&c->shard->secures, secure);
	side->secure = NULL;
}

/* ------------------------------------------------------------------ input */

void secure_keep(struct conn *c, struct side *side, struct span bytes)
{
	struct secure *secure = side->secure;

	if (bytes.len == 0)
		return;
	if (!secure->received) {
		secure->received = shard_records(c->shard);
		secure->received_start = secure->received_end = 0;
	}
	CHECK(bytes.len <= c->shard->records_size - secure->received_end);
	memcpy(secure->received + secure->received_end, bytes.data, bytes.len);
	secure->received_end += (uint32_t)bytes.len;
}

static struct span secure_kept(const struct secure *secure)
{
	if (!secure->received)
		return span_of(NULL, 0);
	return span_of(secure->received + secure->received_start,
	               secure->received_end - secure->received_start);
}

/* The session has left *rest* of what was kept. */
static void secure_took(struct conn *c, struct secure *secure, struct span rest)
{
	secure->received_start = secure->received_end - (uint32_t)rest.len;
	if (rest.len == 0)
		records_put(c, &secure->received);
}

bool secure_has_more(const struct secure *secure)
{
	return secure->received || secure->was_full;
}

/* ------------------------------------------------------------------ output */

static bool output_is_moving(const struct side *side)
{
	return side->output.busy || (side->facts & SIDE_OUTPUT);
}

/* Behind what is to be sent already. Nothing moves that the kernel may be reading. */
static struct tls_output output_open(struct conn *c, struct side *side)
{
	struct secure *secure = side->secure;

	if (!secure->output) {
		secure->output = shard_records(c->shard);
		secure->output_start = secure->output_end = 0;
	}
	if (secure->output_start > 0 && !output_is_moving(side)) {
		secure->output_end -= secure->output_start;
		memmove(secure->output, secure->output + secure->output_start, secure->output_end);
		secure->output_start = 0;
	}
	return (struct tls_output){secure->output, secure->output_end, c->shard->records_size};
}

static void output_close(struct conn *c, struct side *side, const struct tls_output *output)
{
	struct secure *secure = side->secure;

	/* A session that was ended may still want to answer; there is no way to send it. */
	if (!secure->is_finished)
		secure->output_end = output->len;
	if (secure->output_start == secure->output_end && !output_is_moving(side))
		records_put(c, &secure->output);
}

void secure_put_raw(struct conn *c, struct side *side, struct span bytes)
{
	struct tls_output output = output_open(c, side);

	CHECK(bytes.len <= output.size - output.len);
	memcpy(output.data + output.len, bytes.data, bytes.len);
	output.len += (uint32_t)bytes.len;
	output_close(c, side, &output);
}

/* A send has landed. */
static void output_landed(struct conn *c, struct side *side)
{
	struct secure *secure = side->secure;
	int32_t        sent = side->output_res;

	side->facts &= (uint8_t)~SIDE_OUTPUT;
	if (side_is_fatal(sent)) {
		side->is_reset = true;
		return;
	}
	if (sent > 0) {
		side->is_rechecked = false;
		secure->output_start += (uint32_t)sent;
		secure->output_sending -= (uint32_t)sent;
		c->active_ms = c->shard->now_ms;
	}
	if (secure->output_sending > 0)
		side_block(c, side);
}

/* All is with the kernel, or nothing can be. */
static bool output_is_gone(struct conn *c, struct side *side)
{
	struct secure *secure = side->secure;

	if (!secure->output)
		return true;
	if (!side->is_reset && secure->output_start < secure->output_end)
		return false;
	records_put(c, &secure->output);
	return true;
}

static void output_send_last(struct conn *c, struct side *side)
{
	struct secure *secure = side->secure;

	side->facts &= (uint8_t)~SIDE_WRITABLE; /* an older edge: this send sees for itself */
	side->output_res = (int32_t)sock_send_last(side->fd, secure->output + secure->output_start,
	                                           secure->output_sending);
	output_landed(c, side);
}

/* *is_last*: sock_finish follows in this step, if all is taken. */
static bool output_flush(struct conn *c, struct side *side, bool is_last)
{
	struct secure *secure = side->secure;

	if (side->output.busy)
		return false;
	if (side->facts & SIDE_OUTPUT)
		output_landed(c, side);
	if (output_is_gone(c, side))
		return true;
	if (!side_may_write(c, side))
		return false;
	secure->output_sending = secure->output_end - secure->output_start;
	if (is_last) {
		output_send_last(c, side);
		return output_is_gone(c, side);
	}
	side_send(c, side, secure->output + secure->output_start, secure->output_sending, false);
	return false;
}

bool secure_flush(struct conn *c, struct side *side)
{
	return output_flush(c, side, false);
}

bool secure_is_sending(const struct side *side)
{
	return side->secure && side->secure->output;
}

/* ------------------------------------------------------------------ the session */

enum tls_result secure_handshake(struct conn *c, struct side *side)
{
	struct secure    *secure = side->secure;
	struct tls_output output = output_open(c, side);
	struct span       input = secure_kept(secure);
	enum tls_result   result;

	result = tls_session_handshake(secure->session, &input, &output);
	secure->was_full = result == TLS_FULL;
	secure->has_failed = result == TLS_FAILED;
	secure->is_established = result == TLS_DONE;
	if (secure->received)
		secure_took(c, secure, input);
	output_close(c, side, &output);
	return result;
}

/* Until the input is used up or no further record fits; *len* grows. */
static enum tls_result read_records(struct secure *secure, struct span *input,
                                    struct tls_output *output, uint8_t *plain, uint32_t size,
                                    uint32_t *len)
{
	enum tls_result result = TLS_DATA;

	while (result == TLS_DATA && size - *len >= TLS_RECORD_MAX) {
		uint32_t got = 0;

		result = tls_session_read(secure->session, input, output, plain + *len, size - *len,
		                          &got);
		*len += got;
	}
	return result;
}

enum tls_result secure_read(struct conn *c, struct side *side, struct span received, uint8_t *plain,
                            uint32_t size, uint32_t *len)
{
	struct secure    *secure = side->secure;
	struct tls_output output = output_open(c, side);
	struct span       input = secure->received ? secure_kept(secure) : received;
	enum tls_result   result;

	*len = 0;
	CHECK(!secure->received || received.len == 0); /* nothing is received before it is taken */
	result = read_records(secure, &input, &output, plain, size, len);
	secure->was_full = result == TLS_FULL || result == TLS_DATA;
	secure->has_failed = result == TLS_FAILED;
	secure->peer_has_closed = result == TLS_CLOSED;
	if (result == TLS_CLOSED || result == TLS_FAILED)
		input.len = 0;
	if (secure->received)
		secure_took(c, secure, input);
	else
		secure_keep(c, side, input);
	output_close(c, side, &output);
	return result;
}

bool secure_has_room(const struct conn *c, const struct side *side, uint32_t len)
{
	uint32_t used = side->secure->output ? side->secure->output_end : 0;

	return tls_session_wire_size(len) <= c->shard->records_size - used;
}

enum tls_result secure_write(struct conn *c, struct side *side, struct span *plain)
{
	struct tls_output output = output_open(c, side);
	enum tls_result   result;

	result = tls_session_write(side->secure->session, plain, c->shard->now_ms, &output);
	/* Reading may have failed already behind good records, and not have told it yet. */
	if (result == TLS_FAILED)
		side->secure->has_failed = true;
	output_close(c, side, &output);
	return result;
}

void secure_refuse(struct conn *c, struct side *side, enum alert alert)
{
	struct tls_output output = output_open(c, side);
	enum tls_result   result = tls_session_refuse(side->secure->session, alert, &output);

	(void)result; /* where there is no room for it, the end has to tell */
	output_close(c, side, &output);
	side->secure->is_finished = true;
}

bool secure_finish(struct conn *c, struct side *side, bool with_notify)
{
	struct secure    *secure = side->secure;
	struct tls_output output;

	if (secure->is_finished)
		return output_flush(c, side, true);
	if (with_notify && !secure->has_failed) {
		enum tls_result result;

		output = output_open(c, side);
		result = tls_session_close(secure->session, &output);
		output_close(c, side, &output);
		if (result == TLS_FULL)
			return secure_flush(c, side) && side->is_reset;
	}
	secure->is_finished = true;
	return output_flush(c, side, true);
}
