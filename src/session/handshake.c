#include "base/clock.h"
#include "base/hash.h"
#include "session/preread.h"
#include "session/secure.h"
#include "session/starttls.h"
#include "session/steps.h"

#include <errno.h>

enum { FAILURE_LOG_MS = 1000 };

/* ------------------------------------------------------------------ turns */

/* A handshake costs as much as several small exchanges: it waits until those that run have been
 * served, and its worker's share of the turn has come. True: it may go on now, once. */
static bool handshake_has_turn(struct conn *c)
{
	if (c->has_turn) {
		c->has_turn = false;
		return true;
	}
	if (list_is_empty(&c->in_handshakes))
		list_append(&c->shard->handshakes, &c->in_handshakes);
	return false;
}

/* ------------------------------------------------------------------ either side's */

/* A lease must not wait for a turn. */
enum handshake_progress handshake_receive(struct conn *c, struct side *side)
{
	int res = side->input_res;

	if (side->input.busy)
		return HANDSHAKE_WAITS;
	if (!(side->facts & SIDE_INPUT)) {
		side_recv(c, side, c->shard->buffers.size);
		return HANDSHAKE_WAITS;
	}
	if (res > 0)
		secure_keep(c, side,
		            span_of(bufring_data(&c->shard->buffers, side->lease), (size_t)res));
	side_drop_input(c, side);
	if (res > 0)
		return HANDSHAKE_BYTES;
	if (res == -ENOBUFS) {
		conn_starve(c);
		return HANDSHAKE_WAITS;
	}
	if (res == -EAGAIN || res == -EINTR) {
		side_recv(c, side, c->shard->buffers.size);
		return HANDSHAKE_WAITS;
	}
	return HANDSHAKE_GONE;
}

/* What it may be resumed from is told apart by server and name. */
static struct tls_session *connect_session(const struct conn *c)
{
	const struct upstream *upstream = c->route->upstream;
	const struct server   *server = &upstream->servers[c->server];
	struct span            name;

	if (upstream->tls_name)
		name = span_text(upstream->tls_name);
	else if (c->name && c->name->name_len > 0)
		name = span_of(c->name->name, c->name->name_len);
	else
		name = span_text(server->host);
	return tls_session_connect(upstream->tls, name,
	                           hash_mix(hash_bytes(span_text(server->text))) ^
	                                   hash_bytes(name));
}

static bool handshake_begin(struct conn *c, struct side *side)
{
	struct secure *secure = side->secure;

	if (secure->session)
		return true;
	secure->session = side->is_upstream ? connect_session(c)
	                                    : tls_session_accept(c->route->tls, &secure->choice);
	return secure->session;
}

enum handshake_result {
	HANDSHAKE_GOES_ON,
	HANDSHAKE_DONE,
	HANDSHAKE_FAILED, /* see the session; it may have left an alert to be sent */
	HANDSHAKE_NO_MEMORY,
	HANDSHAKE_PEER_GONE,
};

static enum handshake_result handshake_advance(struct conn *c, struct side *side)
{
	struct secure *secure = side->secure;
	bool           is_sent = secure_flush(c, side), is_first = !secure->session;

	if (side->is_reset)
		return HANDSHAKE_PEER_GONE;
	if (secure->was_full && !is_sent)
		return HANDSHAKE_GOES_ON;
	if (!is_first && !secure_has_more(secure)) {
		switch (handshake_receive(c, side)) {
		case HANDSHAKE_WAITS:
			return HANDSHAKE_GOES_ON;
		case HANDSHAKE_GONE:
			return HANDSHAKE_PEER_GONE;
		case HANDSHAKE_BYTES:
			break;
		}
	}
	if (!handshake_has_turn(c))
		return HANDSHAKE_GOES_ON;
	if (!handshake_begin(c, side))
		return HANDSHAKE_NO_MEMORY;
	switch (secure_handshake(c, side)) {
	case TLS_DONE:
		(void)!secure_flush(c, side);
		return HANDSHAKE_DONE;
	case TLS_FAILED:
		return HANDSHAKE_FAILED;
	case TLS_MORE:
	case TLS_FULL:
	case TLS_DATA:
	case TLS_CLOSED:
		break;
	}
	(void)!secure_flush(c, side);
	if (!secure_has_more(secure) && handshake_receive(c, side) == HANDSHAKE_GONE)
		return HANDSHAKE_PEER_GONE;
	return HANDSHAKE_GOES_ON;
}

/* Whoever looks on can make any number of these. */
static void handshake_report(struct conn *c, const char *whose, const struct secure *secure,
                             const char *text)
{
	const struct addr *addr = &c->source;
	char               source[ADDR_TEXT_MAX];
	uint32_t           held_back;

	if (atomic_load_explicit(&log_threshold, memory_order_relaxed) > LOG_LEVEL_INFO ||
	    !log_limiter_pass(&c->shard->handshake_failures, c->shard->now_ms, FAILURE_LOG_MS,
	                      &held_back))
		return;
	addr_format(addr, source);
	log_line(c->shard->log, LOG_LEVEL_INFO,
	         "[listener %s] client %s, connection %llu: TLS handshake with the %s: %s (alert "
	         "%u, %u more since the last such line)",
	         c->listener->conf->name, source, (unsigned long long)c->id, whose, text,
	         secure->session ? tls_session_alert(secure->session) : 0u, held_back);
}

/* ------------------------------------------------------------------ HANDSHAKE */

/* The hello goes first, as one record: TLS libraries are less sure of one that came in several, and
 * what the two ends agree on does not depend on it (RFC 8446 4.4.1). */
static void keep_hello(struct conn *c, const struct hello *hello)
{
	struct span bytes = preread_bytes(c);
	uint8_t     header[] = {bytes.data[0], bytes.data[1], bytes.data[2],
	                        (uint8_t)(hello->message.len >> 8), (uint8_t)hello->message.len};

	if (hello->message.len > TLS_RECORD_MAX) {
		secure_keep(c, &c->client, bytes);
	} else {
		secure_keep(c, &c->client, span_of(header, sizeof(header)));
		secure_keep(c, &c->client, hello->message);
		secure_keep(c, &c->client,
		            span_of(bytes.data + hello->wire_len, bytes.len - hello->wire_len));
	}
	preread_fini(c);
	c->hello_start = c->hello_len = 0;
}

enum conn_state conn_terminate(struct conn *c, const struct hello *hello)
{
	struct span       name = span_of(NULL, 0);
	struct tls_choice choice;
	enum alert        alert;

	if (c->name)
		name = span_of(c->name->name, c->name->name_len);
	alert = tls_context_choose(c->route->tls, hello, name, &choice);
	if (alert != ALERT_NONE)
		return conn_refuse(c, REASON_HANDSHAKE_FAILED, alert);
	secure_begin(c, &c->client);
	c->client.secure->choice = choice;
	keep_hello(c, hello);
	return CONN_HANDSHAKE;
}

static enum conn_state handshake_failed(struct conn *c)
{
	struct secure   *secure = c->client.secure;
	enum tls_failure failure = tls_session_failure(secure->session);
	enum reason      reason = REASON_HANDSHAKE_FAILED;

	if (failure == TLS_FAILURE_CERTIFICATE)
		reason = REASON_CLIENT_CERT;
	else if (failure == TLS_FAILURE_MEMORY)
		reason = REASON_OVERLOAD;
	handshake_report(c, "client", secure, tls_session_failure_text(secure->session));
	/* Whoever sent it: it is what ended the handshake, and the log's only word on why. */
	return conn_refuse(c, reason, (enum alert)tls_session_alert(secure->session));
}

static void handshake_count(struct conn *c)
{
	struct tls_agreed agreed;

	tls_session_agreed(c->client.secure->session, &agreed);
	GAUGE_ADD(c->counters->handshakes[counters_tls_version(agreed.version)][agreed.resumed], 1);
	histogram_observe(&c->shard->counters->handshake, clock_us() - c->client.secure->began_us);
}

enum conn_state step_handshake(struct conn *c)
{
	if (conn_enters(c)) {
		conn_leave_pending(c);
		conn_set_timer(c, c->accepted_ms + c->route->tls_conf->handshake_timeout_ms);
	}
	if (conn_take_fact(c, CONN_STOP))
		return conn_end(c, c->stop_reason);
	if (conn_take_fact(c, CONN_TIMER))
		return conn_end(c, REASON_HANDSHAKE_TIMEOUT);
	switch (handshake_advance(c, &c->client)) {
	case HANDSHAKE_GOES_ON:
		return CONN_HANDSHAKE;
	case HANDSHAKE_DONE:
		handshake_count(c);
		return starttls_awaits_packet(c) ? CONN_FIRST : CONN_DIAL;
	case HANDSHAKE_FAILED:
		return handshake_failed(c);
	case HANDSHAKE_NO_MEMORY:
		return conn_refuse(c, REASON_OVERLOAD, ALERT_INTERNAL_ERROR);
	case HANDSHAKE_PEER_GONE:
		break;
	}
	return conn_end(c, REASON_CLIENT_GONE);
}

/* ------------------------------------------------------------------ UPSTREAM_HANDSHAKE */

/* The header for the server goes ahead of TLS. */
static void send_header(struct conn *c)
{
	uint32_t header_len = c->up.held - c->hello_len;

	if (header_len == 0)
		return;
	secure_put_raw(c, &c->upstream, span_of(c->hello + c->up.offset, header_len));
	flow_wrote(c, &c->up, header_len);
}

static enum conn_state upstream_handshake_failed(struct conn *c, const char *text)
{
	const struct upstream *upstream = c->route->upstream;
	struct secure         *secure = c->upstream.secure;
	enum reason            reason = REASON_UPSTREAM_HANDSHAKE_FAILED;

	if (secure->has_failed) {
		if (tls_session_failure(secure->session) == TLS_FAILURE_CERTIFICATE)
			reason = REASON_UPSTREAM_VERIFY_FAILED;
		text = tls_session_failure_text(secure->session);
		(void)!secure_flush(c, &c->upstream); /* the alert that tells it why */
	}
	handshake_report(c, "server", secure, text);
	balance_failed(upstream->balance, &upstream->states[c->server], c->shard->now_ms);
	side_cancel(c, &c->upstream);
	return conn_refuse(c, reason, conn_alert(c, ALERT_INTERNAL_ERROR));
}

enum conn_state step_upstream_handshake(struct conn *c)
{
	const struct upstream *upstream = c->route->upstream;

	if (conn_enters(c)) {
		conn_set_timer(c, c->shard->now_ms + upstream->connect_timeout_ms);
		secure_begin(c, &c->upstream);
		send_header(c);
	}
	if (conn_take_fact(c, CONN_STOP))
		return conn_end(c, c->stop_reason);
	if (conn_take_fact(c, CONN_TIMER))
		return upstream_handshake_failed(c, "it took longer than proxy_connect_timeout");
	if (c->client.secure)
		(void)!secure_flush(c, &c->client);
	switch (handshake_advance(c, &c->upstream)) {
	case HANDSHAKE_GOES_ON:
		return CONN_UPSTREAM_HANDSHAKE;
	case HANDSHAKE_DONE:
		balance_succeeded(&upstream->states[c->server]);
		return CONN_RELAY;
	case HANDSHAKE_FAILED:
		break;
	case HANDSHAKE_NO_MEMORY:
		return conn_refuse(c, REASON_OVERLOAD, conn_alert(c, ALERT_INTERNAL_ERROR));
	case HANDSHAKE_PEER_GONE:
		return upstream_handshake_failed(c, "the server ended the connection");
	}
	return upstream_handshake_failed(c, "");
}
