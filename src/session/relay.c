#include "io/sock.h"
#include "session/preread.h"
#include "session/secure.h"
#include "session/steps.h"

enum {
	/* For the surviving side to take what it was sent before the reset. */
	FLUSH_LIMIT_MS = 2000,
	/* Nothing tells when the last byte is acknowledged: look this often. */
	FLUSH_LOOK_MS = 20,
	/* Until TCP keeps a session's sockets alive; the first probe is due much later. */
	KEEPALIVE_AFTER_MS = 1000,
};

/* ------------------------------------------------------------------ RELAY */

/* Its peer is gone, or has sent what is no TLS: all that is left is to pass on what came before. */
static bool side_is_broken(const struct side *side)
{
	return side->has_error || side->is_reset;
}

static bool side_has_failed(const struct side *side)
{
	return side->secure && side->secure->has_failed;
}

/* Where TLS failed that was the end, whatever the sockets said later. */
static enum reason relay_reset_reason(const struct conn *c, const struct side *broken)
{
	if (side_has_failed(&c->client) || side_has_failed(&c->upstream))
		return REASON_TRUNCATED;
	return broken->is_upstream ? REASON_UPSTREAM_RESET : REASON_CLIENT_RESET;
}

/* Which time runs, from the last byte that moved, and what its end is called. */
static uint32_t relay_patience_ms(const struct conn *c, enum reason *reason)
{
	if (c->is_broken) {
		*reason = relay_reset_reason(c, side_is_broken(&c->upstream) ? &c->upstream
		                                                             : &c->client);
		return FLUSH_LIMIT_MS;
	}
	*reason = c->is_half_closed ? REASON_HALF_CLOSE_TIMEOUT : REASON_IDLE_TIMEOUT;
	return c->is_half_closed ? c->route->half_close_timeout_ms : c->route->proxy_timeout_ms;
}

static uint64_t relay_deadline(const struct conn *c, enum reason *reason)
{
	uint32_t session_ms = c->listener->conf->session_timeout_ms;
	uint64_t at = c->active_ms + relay_patience_ms(c, reason);

	if (session_ms > 0 && c->accepted_ms + session_ms < at) {
		*reason = REASON_SESSION_TIMEOUT;
		at = c->accepted_ms + session_ms;
	}
	return at;
}

/* True: time is up; else the timer stands where it may be next. It is not moved at every byte: it
 * looks again when it fires. */
static bool relay_is_overdue(struct conn *c, enum reason *reason)
{
	uint64_t now_ms = c->shard->now_ms, at = relay_deadline(c, reason);

	if (at <= now_ms)
		return true;
	if (!c->is_kept_alive && at > now_ms + KEEPALIVE_AFTER_MS)
		at = now_ms + KEEPALIVE_AFTER_MS;
	conn_set_timer(c, at);
	return false;
}

/* Only of a session that lasts: of a short one the kernel would set and take back two timers. */
static void relay_keep_alive(struct conn *c)
{
	if (c->is_kept_alive)
		return;
	c->is_kept_alive = true;
	if (c->listener->conf->so_keepalive)
		sock_keep_alive(c->client.fd);
	if (c->route->upstream->so_keepalive)
		sock_keep_alive(c->upstream.fd);
}

/* One side was reset and all that came from it was passed on. */
static bool side_is_over_by_reset(const struct side *side, const struct flow *from_it)
{
	return side->is_reset && from_it->has_ended;
}

static enum conn_state relay_reset(struct conn *c, bool client_survives)
{
	c->reason = (uint8_t)relay_reset_reason(c, client_survives ? &c->upstream : &c->client);
	c->client_survives = client_survives;
	return CONN_FLUSH;
}

/* A side has ended, or is broken while its bytes wait for the other: a shorter time begins now,
 * however long it was quiet. */
static void relay_note_changes(struct conn *c)
{
	bool half_closed = c->up.has_ended || c->down.has_ended;
	bool broken = side_is_broken(&c->client) || side_is_broken(&c->upstream);

	if (c->is_half_closed == half_closed && c->is_broken == broken)
		return;
	c->is_half_closed = half_closed;
	c->is_broken = broken;
	c->active_ms = c->shard->now_ms;
	wheel_cancel(&c->shard->wheel, &c->timer);
}

/* Reading may have made something to send: an answer to a KeyUpdate, an alert. */
static void relay_flush(struct conn *c)
{
	if (c->client.secure)
		(void)!secure_flush(c, &c->client);
	if (c->upstream.secure)
		(void)!secure_flush(c, &c->upstream);
}

static bool side_is_truncated(const struct side *side)
{
	return side_has_failed(side) || (side->secure && side->secure->is_truncated);
}

static enum reason relay_reason(const struct conn *c, enum reason reason)
{
	return side_is_truncated(&c->client) || side_is_truncated(&c->upstream) ? REASON_TRUNCATED
	                                                                        : reason;
}

enum conn_state step_relay(struct conn *c)
{
	enum reason reason = REASON_OK;

	if (conn_take_fact(c, CONN_STOP))
		return conn_end(c, c->stop_reason);
	if (conn_enters(c)) {
		c->active_ms = c->shard->now_ms;
		wheel_cancel(&c->shard->wheel, &c->timer); /* the dial's; ours may be due sooner */
	}
	relay_flush(c);
	flow_step(c, &c->up, &c->client, &c->upstream);
	flow_step(c, &c->down, &c->upstream, &c->client);
	relay_flush(c);
	if (c->hello && c->up.hold != FLOW_HELLO)
		preread_fini(c);
	if (side_is_over_by_reset(&c->upstream, &c->down))
		return relay_reset(c, true);
	if (side_is_over_by_reset(&c->client, &c->up))
		return relay_reset(c, false);
	if (c->up.has_ended && c->down.has_ended)
		return conn_end(c, relay_reason(c, REASON_OK));
	relay_note_changes(c);
	if (conn_take_fact(c, CONN_TIMER))
		relay_keep_alive(c);
	else if (timer_is_armed(&c->timer))
		return CONN_RELAY;
	if (!relay_is_overdue(c, &reason))
		return CONN_RELAY;
	c->ends_by_reset = c->is_broken && reason != REASON_SESSION_TIMEOUT;
	return conn_end(c, reason);
}

/* ------------------------------------------------------------------ FLUSH */

/* No byte moves any more: what is still held for the side that was reset goes back, not only at the
 * end. */
static void flush_give_back(struct conn *c, struct flow *flow, struct side *from,
                            const struct side *to)
{
	bool pipe_is_being_filled = flow->is_filling && from->input.busy;

	side_drop_input(c, from);
	if (!pipe_is_being_filled && !to->output.busy)
		conn_close_flow(c, flow, to);
}

enum conn_state step_flush(struct conn *c)
{
	const struct side *survivor = c->client_survives ? &c->client : &c->upstream;
	uint64_t           now_ms = c->shard->now_ms;
	bool               first = conn_enters(c);

	if (first) {
		c->ends_by_reset = true;
		c->flush_until_ms = now_ms + FLUSH_LIMIT_MS;
		side_cancel(c, &c->client);
		side_cancel(c, &c->upstream);
	}
	flush_give_back(c, &c->up, &c->client, &c->upstream);
	flush_give_back(c, &c->down, &c->upstream, &c->client);
	if (!first && !conn_take_fact(c, CONN_TIMER) && !(c->facts & CONN_STOP))
		return CONN_FLUSH;
	if (now_ms >= c->flush_until_ms || (c->facts & CONN_STOP) || sock_unsent(survivor->fd) == 0)
		return CONN_CLOSING;
	conn_set_timer(c, now_ms + FLUSH_LOOK_MS);
	return CONN_FLUSH;
}
