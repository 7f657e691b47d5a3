#include "session/steps.h"

#include "io/sock.h"
#include "proto/proxyproto.h"
#include "session/preread.h"
#include "session/secure.h"
#include "session/starttls.h"

enum {
	/* Read and thrown away so that a refused client can read its alert. */
	REFUSE_DISCARD_MAX = 64 * 1024,
	REFUSE_LINGER_MS = 1000,
	/* Nothing tells when a session of another worker ends: look this often. */
	ROOM_LOOK_MS = 20,
};

/* ------------------------------------------------------------------ endings */

enum conn_state conn_end(struct conn *c, enum reason reason)
{
	c->reason = (uint8_t)reason;
	return CONN_CLOSING;
}

enum conn_state conn_refuse(struct conn *c, enum reason reason, enum alert alert)
{
	c->reason = (uint8_t)reason;
	c->alert = (uint8_t)alert;
	return CONN_REFUSE;
}

/* ------------------------------------------------------------------ admission */

static bool conn_reads_hello(const struct conn *c)
{
	return c->listener->conf->reads_hello;
}

/* The alert for a client that may be speaking TLS, as far as is known. */
enum alert conn_alert(const struct conn *c, enum alert alert)
{
	struct span bytes = preread_bytes(c);

	if (c->client.secure)
		return alert;
	if (!conn_reads_hello(c) || starttls_is_clear(c) ||
	    (bytes.len > 0 && bytes.data[0] != 0x16))
		return ALERT_NONE;
	return alert;
}

/* One of max_connections. */
static bool conn_has_room(struct conn *c)
{
	struct shard *shard = c->shard;

	if (c->claims & CLAIM_SESSION)
		return true;
	if (!counter_acquire(&shard->registry->sessions, shard->sizes.max_connections))
		return false;
	c->claims |= CLAIM_SESSION;
	c->facts &= (uint8_t)~CONN_TIMER; /* of the waiting for room */
	return true;
}

/* ACL and limits, judged once the client's address is known. True: admitted; else *reason* says why
 * not. */
static bool conn_is_admitted(struct conn *c, enum reason *reason)
{
	const struct listener_site *listener = c->listener;
	const struct conf_listener *conf = listener->conf;

	*reason = REASON_DENIED;
	if (!acl_allows(&listener->acl, &c->source))
		return false;
	*reason = REASON_LIMITED;
	if (!counter_acquire(&listener->state->active, conf->session.max_conns))
		return false;
	c->claims |= CLAIM_LISTENER;
	if (conf->max_conns_per_ip == 0 || c->source.family == ADDR_UNIX ||
	    c->source.family == ADDR_NONE)
		return true; /* neighbours on this host have no address to count by */
	if (limit_acquire(c->shard->registry->per_ip, listener->state->scope, &c->source,
	                  conf->max_conns_per_ip, &c->ip_ticket) != LIMIT_OK)
		return false;
	c->claims |= CLAIM_IP;
	return true;
}

static enum conn_state conn_choose(struct conn *c, const struct route *route,
                                   const struct hello *hello);

static enum conn_state conn_admit(struct conn *c)
{
	enum reason reason;

	if (!conn_is_admitted(c, &reason))
		return conn_refuse(c, reason, conn_alert(c, ALERT_ACCESS_DENIED));
	if (!conn_reads_hello(c))
		return conn_choose(c, c->listener->fallback, NULL);
	return c->listener->conf->starttls == CONF_STARTTLS_OFF ? CONN_HELLO : CONN_STARTTLS;
}

/* ------------------------------------------------------------------ PREAMBLE */

/* Too many wait: the oldest go, never the newest, for a client that answers at once must get
 * through. They have had their chance, though: while the oldest is young the listeners pause
 * instead (listener.c). */
static void conn_enter_pending(struct conn *c)
{
	struct shard *shard = c->shard;
	struct conn  *oldest;

	while ((oldest = shard_stale_hello(shard))) {
		GAUGE_ADD(shard->gauges.hellos_dropped_total, 1);
		oldest->facts |= CONN_EVICTED;
		conn_leave_pending(oldest);
		conn_wake(oldest);
	}
	c->active_ms = shard->now_ms;
	list_append(&shard->pending, &c->in_pending);
	GAUGE_ADD(shard->gauges.hellos_pending, 1);
}

/* What ends the states before a route is known whatever the bytes are; false: nothing did. */
static bool preread_is_over(struct conn *c, enum conn_state *next)
{
	if (conn_take_fact(c, CONN_STOP))
		*next = conn_end(c, c->stop_reason);
	else if (conn_take_fact(c, CONN_TIMER) || conn_take_fact(c, CONN_EVICTED))
		*next = conn_end(c, REASON_HELLO_TIMEOUT);
	else
		return false;
	return true;
}

/* What has landed is handed to *take*. */
static enum conn_state conn_take_landed(struct conn *c, enum conn_state (*take)(struct conn *c))
{
	switch (preread_take(c)) {
	case PREREAD_NOTHING:
		return (enum conn_state)c->state;
	case PREREAD_GONE:
		return conn_end(c, REASON_CLIENT_GONE);
	case PREREAD_BYTES:
		break;
	}
	return take(c);
}

enum conn_state conn_read_ahead(struct conn *c, enum conn_state (*take)(struct conn *c))
{
	enum conn_state next;

	if (preread_is_over(c, &next))
		return next;
	/* Behind a PROXY header they may be here already. */
	if (conn_enters(c) && c->hello_len > 0)
		return take(c);
	return conn_take_landed(c, take);
}

static enum conn_state conn_take_header(struct conn *c)
{
	struct proxyproto header;

	switch (proxyproto_parse(preread_bytes(c), &header)) {
	case PROXYPROTO_MORE:
		preread_more(c);
		return CONN_PREAMBLE;
	case PROXYPROTO_OK:
		preread_skip(c, header.len);
		if (header.has_addresses) {
			c->source = header.source;
			c->local = header.destination;
		}
		return conn_admit(c);
	case PROXYPROTO_NONE:
		if (c->listener->conf->accept_proxy_protocol == CONF_PROXY_OPTIONAL)
			return conn_admit(c);
		break;
	case PROXYPROTO_BAD:
		break;
	}
	return conn_refuse(c, REASON_PROXY_HEADER, conn_alert(c, ALERT_ACCESS_DENIED));
}

/* Accepted beyond max_connections, as a worker may before it hears of the others' connections: it
 * waits here as it would have waited in the backlog. */
static enum conn_state preamble_wait_for_room(struct conn *c)
{
	uint64_t now_ms = c->shard->now_ms;

	if (conn_take_fact(c, CONN_STOP))
		return conn_end(c, c->stop_reason);
	if (now_ms >= c->accepted_ms + c->listener->conf->preread_timeout_ms)
		return conn_refuse(c, REASON_LIMITED, conn_alert(c, ALERT_ACCESS_DENIED));
	conn_set_timer(c, now_ms + ROOM_LOOK_MS);
	return CONN_PREAMBLE;
}

static enum conn_state step_preamble(struct conn *c)
{
	const struct conf_listener *conf = c->listener->conf;
	enum conn_state             next;

	if (!conn_has_room(c))
		return preamble_wait_for_room(c);
	if (preread_is_over(c, &next))
		return next;
	if (conn_enters(c)) {
		if (conf->accept_proxy_protocol != CONF_PROXY_OFF || conn_reads_hello(c)) {
			conn_enter_pending(c);
			conn_set_timer(c, c->accepted_ms + conf->preread_timeout_ms);
		}
		if (conf->accept_proxy_protocol == CONF_PROXY_OFF)
			return conn_admit(c);
		if (!cidr_list_contains(conf->set_real_ip_from, conf->set_real_ip_from_count,
		                        &c->peer)) {
			if (conf->accept_proxy_protocol == CONF_PROXY_OPTIONAL)
				return conn_admit(c);
			return conn_refuse(c, REASON_PROXY_HEADER,
			                   conn_alert(c, ALERT_ACCESS_DENIED));
		}
	}
	return conn_take_landed(c, conn_take_header);
}

/* ------------------------------------------------------------------ HELLO */

static void conn_keep_name(struct conn *c, const struct hello *hello, struct router_query *query)
{
	struct conn_name *name;
	struct span       list = hello->alpn, protocol;

	*query = (struct router_query){
		.alpn = hello->alpn, .versions = hello->versions, .client = c->source};
	if (hello->name.len == 0 && hello->alpn.len == 0)
		return;
	name = slab_get(&c->shard->names);
	CHECK(name); /* there are as many as connections */
	c->name = name;
	name->name_len = (uint8_t)hello_fold_name(hello->name, name->name);
	query->name = span_of(name->name, name->name_len);
	name->alpn_len = 0;
	while (hello_next_alpn(&list, &protocol)) {
		if (name->alpn_len + 1 + protocol.len > sizeof(name->alpn))
			break;
		name->alpn[name->alpn_len] = (uint8_t)protocol.len;
		memcpy(&name->alpn[name->alpn_len + 1], protocol.data, protocol.len);
		name->alpn_len = (uint8_t)(name->alpn_len + 1 + protocol.len);
	}
}

static enum conn_state conn_route(struct conn *c, const struct hello *hello)
{
	const struct listener_site *listener = c->listener;
	struct router_query         query;
	enum conf_action            action;
	int                         rule;

	conn_keep_name(c, hello, &query);
	rule = router_find(listener->router, &query);
	if (rule != ROUTER_NO_RULE)
		return conn_choose(c, &c->tenure->snapshot->routes[listener->rules[rule].target],
		                   hello);
	action = query.name.len > 0 ? listener->conf->on_no_match : listener->conf->on_no_sni;
	if (action == CONF_ACTION_DEFAULT && listener->fallback)
		return conn_choose(c, listener->fallback, hello);
	return conn_refuse(c, query.name.len > 0 ? REASON_NO_MATCH : REASON_NO_SNI,
	                   ALERT_UNRECOGNIZED_NAME);
}

static enum conn_state conn_take_hello(struct conn *c)
{
	const struct conf_listener *conf = c->listener->conf;
	struct hello                hello;

	switch (hello_parse(preread_bytes(c), conf->preread_buffer_size, c->shard->scratch,
	                    &hello)) {
	case HELLO_MORE:
		preread_more(c);
		return CONN_HELLO;
	case HELLO_OK:
		c->hello_ms = (int32_t)(c->shard->now_ms - c->accepted_ms);
		return conn_route(c, &hello);
	case HELLO_BAD:
		return conn_refuse(c, REASON_MALFORMED, ALERT_DECODE_ERROR);
	case HELLO_TOO_LONG:
		return conn_refuse(c, REASON_HELLO_TOO_LONG, ALERT_DECODE_ERROR);
	case HELLO_PLAINTEXT:
		if (c->starttls & STARTTLS_AGREED)
			return conn_refuse(c, REASON_STARTTLS_REFUSED, ALERT_DECODE_ERROR);
		if (conf->on_plaintext == CONF_ACTION_DEFAULT && c->listener->fallback)
			return conn_choose(c, c->listener->fallback, NULL);
		return conn_refuse(c, REASON_PLAINTEXT, ALERT_NONE);
	}
	return conn_end(c, REASON_INTERNAL);
}

static enum conn_state step_hello(struct conn *c)
{
	return conn_read_ahead(c, conn_take_hello);
}

/* *hello*: what the client said; NULL = no TLS, or it is none of our business. */
static enum conn_state conn_choose(struct conn *c, const struct route *route,
                                   const struct hello *hello)
{
	c->route = route;
	if (route->mode == CONF_REJECT)
		return conn_refuse(c, REASON_REJECTED, ALERT_UNRECOGNIZED_NAME);
	if (!acl_allows(&route->acl, &c->source))
		return conn_refuse(c, REASON_DENIED, conn_alert(c, ALERT_ACCESS_DENIED));
	if (!counter_acquire(&route->state->active, route->max_conns))
		return conn_refuse(c, REASON_LIMITED, conn_alert(c, ALERT_ACCESS_DENIED));
	c->claims |= CLAIM_ROUTE;
	if (route->mode != CONF_TERMINATE)
		return CONN_DIAL;
	if (!hello)
		return conn_refuse(c, REASON_PLAINTEXT, ALERT_NONE);
	return conn_terminate(c, hello);
}

/* ------------------------------------------------------------------ REFUSE */

/* Ends our half behind what is still to be sent. */
static void refuse_finish(struct conn *c)
{
	if (c->is_finished || (c->client.secure && !secure_flush(c, &c->client)))
		return;
	c->is_finished = true;
	sock_finish(c->client.fd);
}

/* A session that failed has told the client why. */
static void refuse_say_secure(struct conn *c)
{
	if (c->client.secure->is_established && c->alert != ALERT_NONE)
		secure_refuse(c, &c->client, (enum alert)c->alert);
	(void)!secure_flush(c, &c->client);
}

static size_t refuse_message(const struct conn *c, uint8_t out[PGWIRE_ERROR_MAX])
{
	_Static_assert((int)ALERT_RECORD_SIZE <= (int)PGWIRE_ERROR_MAX, "both fit");

	if (c->alert == ALERT_NONE)
		return starttls_write_error(c, out);
	alert_write((enum alert)c->alert, out);
	return ALERT_RECORD_SIZE;
}

/* Says why and ends our half. False: too many refusals linger, or there is nobody left to hear
 * it. */
static bool refuse_say(struct conn *c)
{
	struct shard *shard = c->shard;
	uint8_t       message[PGWIRE_ERROR_MAX];
	size_t        len = refuse_message(c, message);

	conn_leave_pending(c);
	if (c->client.secure)
		refuse_say_secure(c);
	else if (len > 0 && sock_send_now(c->client.fd, message, len) < 0)
		return false;
	if (atomic_load_explicit(&shard->gauges.lingering, memory_order_relaxed) >=
	    shard->sizes.lingering) {
		GAUGE_ADD(shard->gauges.lingers_skipped_total, 1);
		return false;
	}
	refuse_finish(c);
	return true;
}

/* What the client still sends is thrown away, so that no RST overtakes the alert. */
static bool refuse_discard(struct conn *c)
{
	struct side *client = &c->client;

	if (client->input.busy)
		return true;
	if (c->is_half_closed)
		return false;
	if (client->facts & SIDE_INPUT) {
		side_drop_input(c, client);
		if (client->input_res == -ENOBUFS) {
			conn_starve(c);
			return true;
		}
		c->is_half_closed = client->input_res == 0;
		if (client->input_res <= 0 && client->input_res != -EAGAIN &&
		    client->input_res != -EINTR)
			return false;
		if (client->input_res > 0)
			c->discarded += (uint32_t)client->input_res;
		if (c->discarded >= REFUSE_DISCARD_MAX)
			return false;
	}
	side_recv(c, client, c->shard->buffers.size);
	return true;
}

/* A client that has ended may still be reading why it is refused. */
static bool refuse_waits(struct conn *c)
{
	if (c->facts & (CONN_TIMER | CONN_STOP))
		return false;
	return refuse_discard(c) || (c->is_half_closed && !c->is_finished);
}

static enum conn_state step_refuse(struct conn *c)
{
	if (conn_enters(c)) {
		if (!refuse_say(c))
			return CONN_CLOSING;
		GAUGE_ADD(c->shard->gauges.lingering, 1);
		conn_set_timer(c, c->shard->now_ms + REFUSE_LINGER_MS);
	}
	side_drop_input(c, &c->upstream);
	refuse_finish(c);
	if (refuse_waits(c))
		return CONN_REFUSE;
	GAUGE_ADD(c->shard->gauges.lingering, -1u);
	return CONN_CLOSING;
}

/* ------------------------------------------------------------------ CLOSING */

static enum conn_state step_closing(struct conn *c)
{
	if (conn_enters(c)) {
		wheel_cancel(&c->shard->wheel, &c->timer);
		side_cancel(c, &c->client);
		side_cancel(c, &c->upstream);
	}
	return c->inflight > 0 ? CONN_CLOSING : CONN_FREE;
}

/* ------------------------------------------------------------------ the machine */

const struct conn_step conn_steps[CONN_STATES] = {
	[CONN_PREAMBLE] = {step_preamble, BIT(CONN_STARTTLS) | BIT(CONN_HELLO) | BIT(CONN_DIAL) |
                                                  BIT(CONN_REFUSE) | BIT(CONN_CLOSING)},
	[CONN_STARTTLS] = {step_starttls, BIT(CONN_HELLO) | BIT(CONN_CANCEL) | BIT(CONN_REFUSE) |
                                                  BIT(CONN_CLOSING)},
	[CONN_HELLO] = {step_hello, BIT(CONN_HANDSHAKE) | BIT(CONN_DIAL) | BIT(CONN_REFUSE) |
                                            BIT(CONN_CLOSING)},
	[CONN_HANDSHAKE] = {step_handshake, BIT(CONN_FIRST) | BIT(CONN_DIAL) | BIT(CONN_REFUSE) |
                                                    BIT(CONN_CLOSING)},
	[CONN_FIRST] = {step_first,
                        BIT(CONN_CANCEL) | BIT(CONN_DIAL) | BIT(CONN_REFUSE) | BIT(CONN_CLOSING)},
	[CONN_DIAL] = {step_dial, BIT(CONN_ANSWER) | BIT(CONN_UPSTREAM_HANDSHAKE) |
                                          BIT(CONN_RELAY) | BIT(CONN_REFUSE) | BIT(CONN_CLOSING)},
	[CONN_ANSWER] = {step_answer, BIT(CONN_UPSTREAM_HANDSHAKE) | BIT(CONN_RELAY) |
                                              BIT(CONN_REFUSE) | BIT(CONN_CLOSING)},
	[CONN_UPSTREAM_HANDSHAKE] = {step_upstream_handshake,
                                     BIT(CONN_RELAY) | BIT(CONN_REFUSE) | BIT(CONN_CLOSING)},
	[CONN_RELAY] = {step_relay, BIT(CONN_FLUSH) | BIT(CONN_CLOSING)},
	[CONN_FLUSH] = {step_flush, BIT(CONN_CLOSING)},
	[CONN_CANCEL] = {step_cancel, BIT(CONN_CLOSING)},
	[CONN_REFUSE] = {step_refuse, BIT(CONN_CLOSING)},
	[CONN_CLOSING] = {step_closing, BIT(CONN_FREE)},
};
