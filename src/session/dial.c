#include "base/clock.h"
#include "base/hash.h"
#include "io/sock.h"
#include "session/preread.h"
#include "session/secure.h"
#include "session/starttls.h"
#include "session/steps.h"

#include <errno.h>
#include <string.h>

enum { SHORTAGE_LOG_MS = 10000 };

static uint64_t dial_hash(const struct conn *c, const struct upstream *upstream)
{
	switch (upstream->hash_key) {
	case CONF_HASH_SERVER_NAME:
		return c->name ? hash_bytes(span_of(c->name->name, c->name->name_len)) : 0;
	case CONF_HASH_CLIENT_IP:
		break;
	}
	return hash_bytes(span_of(c->source.ip, sizeof(c->source.ip)));
}

/* The machine is short of something, or has no way to say which server is at fault. */
static bool is_own_shortage(int error)
{
	return error == -EMFILE || error == -ENFILE || error == -ENOBUFS || error == -ENOMEM ||
	       error == -EADDRNOTAVAIL || error == -EADDRINUSE;
}

/* Our own shortage: said once in a while, never blamed on a server. */
static void dial_report_shortage(struct conn *c, const char *what, int error)
{
	uint32_t held_back;

	if (log_limiter_pass(&c->shard->shortage, c->shard->now_ms, SHORTAGE_LOG_MS, &held_back))
		log_line(c->shard->log, LOG_LEVEL_WARN, "%s: %s (%u more since the last such line)",
		         what, strerrordesc_np(-error), held_back);
}
static bool dial_choose(struct conn *c)
{
	const struct upstream     *upstream = c->route->upstream;
	const struct balance_query query = {
		.now_ms = c->shard->now_ms,
		.hash = upstream->kind == BALANCE_HASH ? dial_hash(c, upstream) : 0,
		.random = upstream->kind == BALANCE_RANDOM ? shard_random(c->shard) : 0,
		.tried = c->tried,
		.tried_count = c->tries,
	};
	int server = balance_choose(upstream->balance, &query);

	if (server == BALANCE_NONE)
		return false;
	c->server = (int16_t)server;
	c->tried[c->tries] = (uint16_t)server;
	c->tries++;
	c->claims |= CLAIM_SERVER;
	return true;
}

static const struct server *dial_server(const struct conn *c)
{
	return &c->route->upstream->servers[c->server];
}

/* The greeting, on a socket that connects. */
static void dial_greet(struct conn *c)
{
	side_send(c, &c->upstream, c->hello + c->up.offset, c->up.held, true);
}

/* Begins to connect to the chosen server: 0 or -errno. */
static int dial_connect(struct conn *c)
{
	const struct upstream *upstream = c->route->upstream;
	const struct endpoint *to = &dial_server(c)->endpoint;
	/* With TLS nothing is sent before the connection stands: see UPSTREAM_HANDSHAKE; but for
	 * the question whether it may be spoken. */
	bool greets = c->up.held > 0 && (!upstream->tls || starttls_asks_server(c));
	bool is_fast = greets && dial_server(c)->fastopen;
	int  fd;
	const struct sock_dial_options options = {
		.bind = &upstream->bind.any,
		.bind_len = upstream->bind.len,
		.user_timeout_ms = upstream->user_timeout_ms,
	};

	fd = is_fast ? sock_open(to->any.sa_family, &options)
	             : sock_dial(&to->any, to->len, &options);
	if (fd < 0)
		return fd;
	c->upstream.fd = fd;
	c->dialled_us = clock_us();
	if (is_fast)
		side_open_fast(c, &c->upstream, to, span_of(c->hello + c->up.offset, c->up.held));
	else if (greets)
		dial_greet(c);
	/* Behind the fast open, which begins the connect; the ring keeps their order. */
	if (!greets || is_fast)
		side_wait_connected(c, &c->upstream);
	conn_set_timer(c, c->shard->now_ms + upstream->connect_timeout_ms);
	return 0;
}

/* No fast open is allowed here: nothing has happened to the socket yet. The timer goes on. */
static int dial_connect_plainly(struct conn *c)
{
	const struct endpoint *to = &dial_server(c)->endpoint;
	int                    result = sock_connect(c->upstream.fd, &to->any, to->len);

	if (result == 0)
		dial_greet(c);
	return result;
}

static enum conn_state dial_refuse(struct conn *c, enum reason reason)
{
	return conn_refuse(c, reason, conn_alert(c, ALERT_INTERNAL_ERROR));
}

/* The chosen server did not take the connection. */
static void dial_failed(struct conn *c, enum reason reason)
{
	const struct upstream *upstream = c->route->upstream;

	balance_failed(upstream->balance, &upstream->states[c->server], c->shard->now_ms);
	conn_release_server(c);
	if (c->upstream.fd >= 0)
		sock_close(c->upstream.fd);
	c->upstream.fd = -1;
	c->reason = (uint8_t)reason;
}

/* Tries servers until one has a connect under way, or there is none left. */
static enum conn_state dial_next(struct conn *c)
{
	while (c->tries < c->route->upstream->tries && dial_choose(c)) {
		int result = dial_connect(c);

		if (result == 0)
			return CONN_DIAL;
		if (is_own_shortage(result)) {
			dial_report_shortage(c, "cannot connect to a server", result);
			conn_release_server(c);
			return dial_refuse(c, REASON_OVERLOAD);
		}
		dial_failed(c, REASON_CONNECT_FAILED);
	}
	return dial_refuse(c, c->tries == 0 ? REASON_NO_SERVER : (enum reason)c->reason);
}

static void dial_prepare(struct conn *c)
{
	uint32_t offset, len;

	conn_leave_pending(c);
	if (c->route->upstream->send_proxy_protocol != PROXYPROTO_OFF &&
	    c->local.family == ADDR_NONE)
		(void)sock_local(c->client.fd, &c->local);
	preread_greet(c, &offset, &len);
	if (len > 0)
		flow_hold_hello(&c->up, offset, len);
}

/* The first send ended in a way that needs no word of the poll's. -EINPROGRESS: a fast open whose
 * SYN took no data. */
static bool dial_is_refused(const struct side *upstream)
{
	return (upstream->facts & SIDE_OUTPUT) && upstream->output_res < 0 &&
	       upstream->output_res != -EINPROGRESS;
}

/* The dial's outcome: bytes of the greeting taken (0 = connected, none yet) or -errno. What a SYN
 * took counts only now: a server that refused it never had it, and the next is to have all of
 * it. */
static int dial_result(struct conn *c)
{
	struct side *upstream = &c->upstream;
	bool         is_refused = dial_is_refused(upstream);
	int          taken = upstream->facts & SIDE_OUTPUT ? upstream->output_res : 0;
	int          verdict = upstream->facts & SIDE_INPUT ? side_connected(upstream) : 0;

	upstream->facts &= (uint8_t)~SIDE_OUTPUT;
	if (is_refused)
		return taken;
	if (verdict < 0)
		return verdict;
	return taken > 0 ? taken : 0;
}

/* Finer than the turn's time: a server near by answers within the same millisecond. */
static void dial_note_time(struct conn *c)
{
	uint64_t took_us = clock_us() - c->dialled_us;

	c->connect_ms = (int32_t)(took_us / 1000);
	histogram_observe(&c->shard->counters->connect, took_us);
}

enum conn_state dial_done(struct conn *c)
{
	const struct upstream *upstream = c->route->upstream;

	if (upstream->tls)
		return CONN_UPSTREAM_HANDSHAKE;
	balance_succeeded(&upstream->states[c->server]);
	return CONN_RELAY;
}

static enum conn_state dial_land(struct conn *c)
{
	bool timed_out = conn_take_fact(c, CONN_TIMER);
	int  result = dial_result(c);

	if (result > 0)
		flow_wrote(c, &c->up, (uint32_t)result);
	if (c->facts & CONN_STOP)
		return conn_end(c, REASON_DRAINED);
	if (result == -EOPNOTSUPP && !timed_out) {
		result = dial_connect_plainly(c);
		if (result == 0)
			return CONN_DIAL;
	}
	if (result >= 0) {
		dial_note_time(c);
		if (starttls_asks_server(c))
			return CONN_ANSWER;
		return dial_done(c);
	}
	if (is_own_shortage(result)) {
		dial_report_shortage(c, "cannot connect to a server", result);
		conn_release_server(c);
		return dial_refuse(c, REASON_OVERLOAD);
	}
	dial_failed(c, timed_out ? REASON_CONNECT_TIMEOUT : REASON_CONNECT_FAILED);
	return dial_next(c);
}

enum conn_state step_dial(struct conn *c)
{
	struct side *upstream = &c->upstream;

	if (c->client.secure)
		(void)!secure_flush(c, &c->client);
	if (conn_enters(c)) {
		dial_prepare(c);
		return dial_next(c);
	}
	if (!upstream->output.busy && !upstream->input.busy)
		return upstream->facts & (SIDE_OUTPUT | SIDE_INPUT) ? dial_land(c) : CONN_DIAL;
	if ((c->facts & (CONN_TIMER | CONN_STOP)) || dial_is_refused(upstream))
		side_cancel(c, upstream); /* lands with -ECANCELED, or has just succeeded */
	return CONN_DIAL;
}
