#include "session/starttls.h"

#include "io/sock.h"
#include "session/preread.h"
#include "session/secure.h"
#include "session/steps.h"

#include <errno.h>

bool starttls_is_clear(const struct conn *c)
{
	return c->listener->conf->starttls != CONF_STARTTLS_OFF &&
	       !(c->starttls & (STARTTLS_AGREED | STARTTLS_DIRECT));
}

/* A client that came with TLS at once knows that its server takes that: it passes as it came. */
bool starttls_asks_server(const struct conn *c)
{
	switch (c->route->mode) {
	case CONF_PASSTHROUGH:
		return (c->starttls & STARTTLS_AGREED) != 0;
	case CONF_TERMINATE:
		return c->route->upstream->starttls != CONF_STARTTLS_OFF;
	case CONF_REJECT:
		break;
	}
	return false;
}

/* SQLSTATEs: PostgreSQL's documentation, appendix A. Whatever is not listed is between us and the
 * servers. */
static const struct refusal {
	enum reason reason;
	const char *code, *text;
} refusals[] = {
	{REASON_PLAINTEXT, "28000",
         "this port takes TLS only: connect with sslmode=require or better"},
	{REASON_STARTTLS_REFUSED, "08P01", "data was sent in the clear ahead of TLS"},
	{REASON_DENIED, "28000", "connections from this address are not allowed"},
	{REASON_LIMITED, "53300", "too many connections"},
	{REASON_OVERLOAD, "53300", "too many connections"},
	{REASON_OK, "57P03", "no server can be reached"},
};

size_t starttls_write_error(const struct conn *c, uint8_t out[PGWIRE_ERROR_MAX])
{
	const struct refusal *refusal = refusals;

	if (!starttls_is_clear(c))
		return 0;
	while (refusal->reason != c->reason && refusal->reason != REASON_OK)
		refusal++;
	return pgwire_write_error(refusal->code, refusal->text, out);
}

/* ------------------------------------------------------------------ STARTTLS */

/* Answers a request of *len* bytes, once. Nothing may come behind it before the answer. */
static enum conn_state starttls_answer(struct conn *c, size_t len, enum starttls_flag flag,
                                       uint8_t answer)
{
	if (preread_bytes(c).len > len || (c->starttls & flag))
		return conn_refuse(c, REASON_STARTTLS_REFUSED, ALERT_NONE);
	preread_skip(c, len);
	if (sock_send_now(c->client.fd, &answer, 1) != 1)
		return conn_end(c, REASON_CLIENT_GONE);
	c->starttls |= (uint8_t)flag;
	if (flag == STARTTLS_AGREED)
		return CONN_HELLO;
	preread_more(c);
	return CONN_STARTTLS;
}

static enum conn_state starttls_take(struct conn *c)
{
	struct span bytes = preread_bytes(c);
	size_t      len;

	switch (pgwire_read(bytes, &len)) {
	case PGWIRE_MORE:
		preread_more(c);
		return CONN_STARTTLS;
	case PGWIRE_SSL_REQUEST:
		return starttls_answer(c, len, STARTTLS_AGREED, PGWIRE_YES);
	case PGWIRE_GSSENC_REQUEST:
		return starttls_answer(c, len, STARTTLS_GSS, PGWIRE_NO);
	case PGWIRE_CANCEL_REQUEST:
		preread_cut(c, len);
		return CONN_CANCEL;
	case PGWIRE_STARTUP:
	case PGWIRE_NONE:
		break;
	}
	/* TLS at once, or on_plaintext says what becomes of it. */
	if (bytes.data[0] == 0x16)
		c->starttls |= STARTTLS_DIRECT;
	return CONN_HELLO;
}

enum conn_state step_starttls(struct conn *c)
{
	return conn_read_ahead(c, starttls_take);
}

/* ------------------------------------------------------------------ FIRST */

/* Of those that came with TLS at once, the ones that say that they speak PostgreSQL. */
bool starttls_awaits_packet(const struct conn *c)
{
	struct tls_agreed agreed;

	if (c->listener->conf->starttls == CONF_STARTTLS_OFF)
		return false;
	if (c->starttls & STARTTLS_AGREED)
		return true;
	tls_session_agreed(c->client.secure->session, &agreed);
	return span_equal(agreed.alpn, span_text("postgresql"));
}

/* Decrypts one record, so that what it brings has room beside the rest of a packet. */
static enum tls_result first_decrypt(struct conn *c)
{
	uint8_t        *plain = shard_records(c->shard);
	uint32_t        len;
	enum tls_result result;

	result = secure_read(c, &c->client, span_of(NULL, 0), plain, TLS_RECORD_MAX, &len);
	preread_append(c, span_of(plain, len));
	slab_put(&c->shard->records, plain);
	return result;
}

/* True: *next* is where it goes on; else there is more to be received. What it said that is no
 * CancelRequest is for the server, who is dialled only now. */
static bool first_take(struct conn *c, enum conn_state *next)
{
	enum tls_result result = first_decrypt(c);
	size_t          len;

	switch (pgwire_read(preread_bytes(c), &len)) {
	case PGWIRE_MORE:
		break;
	case PGWIRE_CANCEL_REQUEST:
		preread_cut(c, len);
		*next = CONN_CANCEL;
		return true;
	case PGWIRE_SSL_REQUEST:
	case PGWIRE_GSSENC_REQUEST:
	case PGWIRE_STARTUP:
	case PGWIRE_NONE:
		*next = CONN_DIAL;
		return true;
	}
	if (result == TLS_CLOSED)
		*next = conn_end(c, REASON_CLIENT_GONE);
	else if (result == TLS_FAILED)
		*next = conn_refuse(c, REASON_HANDSHAKE_FAILED,
		                    (enum alert)tls_session_alert(c->client.secure->session));
	else if (result == TLS_FULL)
		*next = CONN_FIRST; /* what is to be sent goes first */
	else
		return false;
	return true;
}

enum conn_state step_first(struct conn *c)
{
	struct side    *client = &c->client;
	enum conn_state next;

	if (conn_take_fact(c, CONN_STOP))
		return conn_end(c, c->stop_reason);
	if (conn_take_fact(c, CONN_TIMER)) /* the handshake's */
		return conn_end(c, REASON_HELLO_TIMEOUT);
	(void)!secure_flush(c, client);
	for (;;) {
		if (secure_has_more(client->secure) && first_take(c, &next)) {
			(void)!secure_flush(c, client);
			return next;
		}
		if (secure_has_more(client->secure))
			continue;
		switch (handshake_receive(c, client)) {
		case HANDSHAKE_WAITS:
			(void)!secure_flush(c, client); /* an answer to a KeyUpdate */
			return CONN_FIRST;
		case HANDSHAKE_GONE:
			return conn_end(c, REASON_CLIENT_GONE);
		case HANDSHAKE_BYTES:
			break;
		}
	}
}

/* ------------------------------------------------------------------ ANSWER */

/* One byte is awaited; room for another shows whether something came behind it. */
enum { ANSWER_MAX = 2 };

static enum conn_state answer_refuse(struct conn *c, enum reason reason)
{
	const struct upstream *upstream = c->route->upstream;

	balance_failed(upstream->balance, &upstream->states[c->server], c->shard->now_ms);
	return conn_refuse(c, reason, conn_alert(c, ALERT_INTERNAL_ERROR));
}

static enum conn_state answer_take(struct conn *c)
{
	struct side *upstream = &c->upstream;
	int          res = upstream->input_res;
	bool         is_yes = res == 1 && c->up.held == 0 &&
	              *bufring_data(&c->shard->buffers, upstream->lease) == PGWIRE_YES;

	side_drop_input(c, upstream);
	if (is_yes) {
		flow_hold_hello(&c->up, HELLO_HEADROOM + c->hello_start, c->hello_len);
		return dial_done(c);
	}
	if (res == -ENOBUFS)
		conn_starve(c);
	else if (res == -EAGAIN || res == -EINTR)
		side_recv(c, upstream, ANSWER_MAX);
	else
		return answer_refuse(c, REASON_STARTTLS_REFUSED);
	return CONN_ANSWER;
}

/* Time is up: what is in flight goes first, for its buffer would find nobody in another state. */
static enum conn_state answer_give_up(struct conn *c)
{
	struct side *upstream = &c->upstream;

	if (upstream->input.busy) {
		side_cancel(c, upstream);
		return CONN_ANSWER;
	}
	if (conn_take_fact(c, CONN_STOP))
		return conn_end(c, c->stop_reason);
	return answer_refuse(c, REASON_CONNECT_TIMEOUT);
}

enum conn_state step_answer(struct conn *c)
{
	struct side *upstream = &c->upstream;
	bool         is_over;

	/* Not what is left of the dial's time: connecting may have raced its end. */
	if (conn_enters(c))
		conn_set_timer(c, c->shard->now_ms + c->route->upstream->connect_timeout_ms);
	if (c->client.secure)
		(void)!secure_flush(c, &c->client);
	is_over = (c->facts & (CONN_TIMER | CONN_STOP)) != 0;
	flow_push(c, &c->up, &c->client, upstream);
	if ((upstream->facts & SIDE_INPUT) && (upstream->input_res != -ECANCELED || !is_over))
		return answer_take(c);
	if (is_over) {
		side_drop_input(c, upstream);
		return answer_give_up(c);
	}
	if (!upstream->input.busy)
		side_recv(c, upstream, ANSWER_MAX);
	return CONN_ANSWER;
}
