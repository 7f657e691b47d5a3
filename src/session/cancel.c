/* A CancelRequest comes on a connection of its own, and says by a secret which query to end. It
 * names neither a database nor, in the clear, a host: only the servers can tell whose it is, so it
 * goes to each that the listener leads to, one after another, and the client reads the end when all
 * have had it. As libpq does, it is sent in the clear also to servers that take TLS. */
#include "io/sock.h"
#include "proto/proxyproto.h"
#include "session/preread.h"
#include "session/starttls.h"
#include "session/steps.h"

enum {
	CANCEL_SERVER_MS = 1000, /* for one server to connect, take it, and end */
	CANCEL_ALL_MS = 10000,
};

/* The server whose turn it is, with its upstream; NULL: all have had theirs. */
static const struct server *cancel_server(struct conn *c, const struct upstream **upstream)
{
	const struct listener_site *listener = c->listener;
	/* Inside TLS the client has said by its name where it belongs. */
	size_t count = c->route ? 1 : listener->upstream_count;

	for (; c->cancel_upstream < count; c->cancel_upstream++) {
		*upstream = c->route ? c->route->upstream : listener->upstreams[c->cancel_upstream];
		if (c->cancel_server < (*upstream)->server_count)
			return &(*upstream)->servers[c->cancel_server++];
		c->cancel_server = 0;
	}
	return NULL;
}

static void cancel_hold(struct conn *c, const struct upstream *upstream)
{
	uint8_t  header[PROXYPROTO_OUT_MAX];
	size_t   len;
	uint64_t bytes = c->up.bytes;

	if (upstream->send_proxy_protocol != PROXYPROTO_OFF && c->local.family == ADDR_NONE)
		(void)sock_local(c->client.fd, &c->local);
	len = proxyproto_write(upstream->send_proxy_protocol, &c->source, &c->local, header);
	flow_init(&c->up);
	c->up.bytes = bytes;
	flow_hold_hello(&c->up, preread_put_in_front(c, header, len), (uint32_t)len + c->hello_len);
}

static bool cancel_dial(struct conn *c, const struct upstream *upstream,
                        const struct server *server)
{
	uint64_t at = c->shard->now_ms + CANCEL_SERVER_MS;

	c->tries = (uint8_t)min_u32(c->tries + 1u, UINT8_MAX);
	c->upstream.fd = sock_dial(&server->endpoint.any, server->endpoint.len,
	                           &(struct sock_dial_options){
					   .bind = &upstream->bind.any,
					   .bind_len = upstream->bind.len,
				   });
	if (c->upstream.fd < 0) {
		c->upstream.fd = -1;
		return false;
	}
	cancel_hold(c, upstream);
	side_send(c, &c->upstream, c->hello + c->up.offset, c->up.held, true);
	conn_set_timer(c, at < c->flush_until_ms ? at : c->flush_until_ms);
	return true;
}

static enum conn_state cancel_next(struct conn *c)
{
	const struct upstream *upstream;
	const struct server   *server;

	while (c->shard->now_ms < c->flush_until_ms && (server = cancel_server(c, &upstream)))
		if (cancel_dial(c, upstream, server))
			return CONN_CANCEL;
	if (c->up.bytes > 0)
		return conn_end(c, REASON_OK);
	return conn_end(c, c->tries > 0 ? REASON_CONNECT_FAILED : REASON_NO_SERVER);
}

/* True: the server needs to be given no more time. */
static bool cancel_is_taken(struct conn *c)
{
	struct side *upstream = &c->upstream;
	bool         has_ended;

	flow_push(c, &c->up, &c->client, upstream);
	if (c->up.has_ended)
		return true; /* it was not to be reached */
	if (c->up.held > 0 || upstream->output.busy || upstream->input.busy)
		return false;
	has_ended = (upstream->facts & SIDE_INPUT) && upstream->input_res <= 0;
	side_drop_input(c, upstream);
	if (!has_ended)
		side_recv(c, upstream, c->shard->buffers.size);
	return has_ended;
}

/* Lets go of the server, once nothing is in flight there. */
static bool cancel_let_go(struct conn *c)
{
	struct side *upstream = &c->upstream;

	side_cancel(c, upstream);
	if (upstream->input.busy || upstream->output.busy || upstream->writable.busy)
		return false;
	side_drop_input(c, upstream);
	conn_close_flow(c, &c->up, upstream);
	sock_close(upstream->fd);
	side_init(upstream, true);
	return true;
}

enum conn_state step_cancel(struct conn *c)
{
	if (conn_enters(c)) {
		conn_leave_pending(c);
		GAUGE_ADD(c->shard->gauges.cancels_total, 1);
		c->flush_until_ms = c->shard->now_ms + CANCEL_ALL_MS;
		return cancel_next(c);
	}
	if (c->facts & CONN_STOP)
		return conn_end(c, c->stop_reason);
	if (!(c->facts & CONN_TIMER) && !cancel_is_taken(c))
		return CONN_CANCEL;
	c->facts |= CONN_TIMER; /* whatever lands from here on, this one has had its turn */
	if (!cancel_let_go(c))
		return CONN_CANCEL;
	return cancel_next(c);
}
