#include "session/conn.h"

#include "io/sock.h"
#include "session/access.h"
#include "session/preread.h"
#include "session/secure.h"
#include "session/steps.h"

_Static_assert(sizeof(struct conn) <= 576, "an idle tunnel takes less than a KiB in all");

static void conn_init(struct conn *c, const struct listener *listener, int fd)
{
	struct shard *shard = listener->shard;

	*c = (struct conn){
		.shard = shard,
		.tenure = listener->tenure,
		.listener = listener->site,
		.counters = &listener->site->state->counters[shard->index],
		.state = CONN_PREAMBLE,
		.id = shard->next_id++,
		.accepted_ms = shard->now_ms,
		.active_ms = shard->now_ms,
		.hello_ms = -1,
		.connect_ms = -1,
		.server = -1,
		.reason = REASON_OK,
	};
	timer_init(&c->timer);
	side_init(&c->client, false);
	side_init(&c->upstream, true);
	flow_init(&c->up);
	flow_init(&c->down);
	list_init(&c->in_ready);
	list_init(&c->in_pending);
	list_init(&c->in_starved);
	list_init(&c->in_stalled);
	list_init(&c->in_handshakes);
	c->client.fd = fd;
	if (listener->site->wants_peer)
		conn_learn_peer(c);
}

void conn_learn_peer(struct conn *c)
{
	struct addr peer;

	if (c->peer.family != ADDR_NONE || sock_peer(c->client.fd, &peer) < 0)
		return;
	c->peer = peer;
	c->source = peer;
}

bool conn_begin(const struct listener *listener, int fd)
{
	struct shard             *shard = listener->shard;
	struct listener_counters *counters = &listener->site->state->counters[shard->index];
	struct conn              *c = slab_get(&shard->conns);

	GAUGE_ADD(counters->accepted, 1);
	if (!c) {
		sock_close(fd);
		counters_end(counters, REASON_OVERLOAD);
		GAUGE_ADD(shard->gauges.ended_total, 1);
		return false;
	}
	conn_init(c, listener, fd);
	tenure_hold(c->tenure);
	list_append(&shard->all, &c->in_all);
	GAUGE_ADD(shard->gauges.sessions, 1);
	accept_queue_count(shard->queue, 1);
	conn_wake(c);
	return true;
}

void conn_wake(struct conn *c)
{
	if (list_is_empty(&c->in_ready))
		conn_wake_last(c);
}

void conn_wake_last(struct conn *c)
{
	struct shard *shard = c->shard;

	list_remove(&c->in_ready);
	if (c->state == CONN_RELAY) {
		list_append(&shard->running, &c->in_ready);
		return;
	}
	list_append(&shard->others, &c->in_ready);
	shard->quick_ms = shard->now_ms;
}

void conn_stop(struct conn *c, enum reason reason)
{
	if (!(c->facts & CONN_STOP))
		c->stop_reason = (uint8_t)reason;
	c->facts |= CONN_STOP;
	conn_wake(c);
}

void conn_stall(struct conn *c)
{
	if (list_is_empty(&c->in_stalled))
		list_append(&c->shard->stalled, &c->in_stalled);
}

bool conn_yield_a_pipe(struct shard *shard)
{
	struct list *link;

	while ((link = list_take(&shard->stalled))) {
		struct conn *c = container_of(link, struct conn, in_stalled);
		bool         down = flow_yield_pipe(c, &c->down, &c->client);

		if (flow_yield_pipe(c, &c->up, &c->upstream) || down)
			return true;
	}
	return false;
}

void conn_starve(struct conn *c)
{
	if (!list_is_empty(&c->in_starved))
		return;
	if (bufring_is_exhausted(&c->shard->buffers))
		GAUGE_ADD(c->shard->gauges.buffers_exhausted_total, 1);
	list_append(&c->shard->starved, &c->in_starved);
}

void conn_set_timer(struct conn *c, uint64_t at_ms)
{
	c->facts &= (uint8_t)~CONN_TIMER;
	wheel_set(&c->shard->wheel, &c->timer, at_ms);
}

bool conn_take_fact(struct conn *c, enum conn_fact fact)
{
	bool noted = c->facts & fact;

	c->facts &= (uint8_t)~fact;
	return noted;
}

bool conn_enters(struct conn *c)
{
	bool first = !c->is_entered;

	c->is_entered = true;
	return first;
}

void conn_release_server(struct conn *c)
{
	if (c->claims & CLAIM_SERVER)
		balance_release(&c->route->upstream->states[c->server]);
	c->claims &= (uint8_t)~CLAIM_SERVER;
}

static void conn_release_claims(struct conn *c)
{
	conn_release_server(c);
	if (c->claims & CLAIM_ROUTE)
		counter_release(&c->route->state->active);
	if (c->claims & CLAIM_IP)
		limit_release(c->shard->registry->per_ip, c->ip_ticket);
	if (c->claims & CLAIM_LISTENER)
		counter_release(&c->listener->state->active);
	if (c->claims & CLAIM_SESSION)
		counter_release(&c->shard->registry->sessions);
}

void conn_leave_pending(struct conn *c)
{
	if (list_is_empty(&c->in_pending))
		return;
	list_remove(&c->in_pending);
	GAUGE_ADD(c->shard->gauges.hellos_pending, -1u);
}

/* max_connections is what the files suffice for. */
enum { CROWDED_PERCENT = 50 };

/* Its sockets are closed before it is counted out: whoever takes its place, on any worker, needs its
 * files, or its server takes no more connections than it is allowed. */
static bool conn_is_waited_for(const struct conn *c)
{
	return shard_is_full(c->shard, CROWDED_PERCENT) ||
	       ((c->claims & CLAIM_SERVER) && c->route->upstream->states[c->server].max_conns > 0);
}

static void side_fini(struct conn *c, struct side *side)
{
	side_drop_input(c, side);
	if (side->fd < 0)
		return;
	if (c->ends_by_reset && !side->is_reset)
		sock_reset(side->fd);
	else if (conn_is_waited_for(c))
		sock_close(side->fd);
	else
		ring_close(&c->shard->ring, side->fd);
	side->fd = -1;
}

/* What landed after the last step was written all the same: the log counts it. */
void conn_close_flow(struct conn *c, struct flow *flow, const struct side *to)
{
	if (!to->secure && (to->facts & SIDE_OUTPUT) && to->output_res > 0 && flow->held > 0)
		flow_wrote(c, flow, (uint32_t)to->output_res);
	flow_release(c, flow);
}

static void conn_free(struct conn *c)
{
	struct shard *shard = c->shard;

	CHECK(c->inflight == 0);
	conn_close_flow(c, &c->up, &c->upstream);
	conn_close_flow(c, &c->down, &c->client);
	side_fini(c, &c->client);
	side_fini(c, &c->upstream);
	access_write(c);
	secure_fini(c, &c->client);
	secure_fini(c, &c->upstream);
	conn_leave_pending(c);
	conn_release_claims(c);
	preread_fini(c);
	if (c->name)
		slab_put(&shard->names, c->name);
	wheel_cancel(&shard->wheel, &c->timer);
	list_remove(&c->in_starved);
	list_remove(&c->in_stalled);
	list_remove(&c->in_handshakes);
	list_remove(&c->in_all);
	GAUGE_ADD(shard->gauges.sessions, -1u);
	accept_queue_count(shard->queue, -1u);
	GAUGE_ADD(shard->gauges.ended_total, 1);
	counters_end(c->counters, c->reason);
	tenure_drop(c->tenure);
	slab_put(&shard->conns, c);
}

static void conn_advance(struct conn *c)
{
	for (;;) {
		enum conn_state last = (enum conn_state)c->state, next = conn_steps[last].run(c);

		if (next == last)
			return;
		CHECK(conn_steps[last].may_follow & BIT(next));
		c->state = (uint8_t)next;
		c->is_entered = false;
		if (next == CONN_FREE) {
			conn_free(c);
			return;
		}
		/* To end it costs more than an exchange: behind those that run. */
		if (last == CONN_RELAY) {
			conn_wake(c);
			return;
		}
	}
}

static void advance_line(struct list *line)
{
	struct list *link;

	while ((link = list_take(line)))
		conn_advance(container_of(link, struct conn, in_ready));
}

void conn_advance_running(struct shard *shard)
{
	advance_line(&shard->running);
}

void conn_advance_ready(struct shard *shard)
{
	while (!list_is_empty(&shard->running) || !list_is_empty(&shard->others)) {
		advance_line(&shard->running);
		advance_line(&shard->others);
	}
}
