#include "sim/rules.h"

#include "session/secure.h"
#include "sim/rules_secure.h"
#include "sim/world.h"

#include <string.h>

/* ------------------------------------------------------------------ after every turn */

struct tally {
	uint32_t leases, pipes, lingering, pending, sessions, counted, secures, records;
};

static void check_ops(const struct conn *c)
{
	const struct op *ops[] = {&c->client.input,   &c->client.output,   &c->client.writable,
	                          &c->upstream.input, &c->upstream.output, &c->upstream.writable};
	unsigned         busy = 0;

	for (size_t i = 0; i < COUNT(ops); i++)
		busy += ops[i]->busy;
	if (busy != c->inflight)
		fail("connection %llu counts %u operations in flight, there are %u",
		     (unsigned long long)c->id, c->inflight, busy);
}

/* Read from the source and not yet the flow's: in completions. */
static uint32_t bytes_on_their_way(const struct flow *flow, const struct side *from)
{
	uint32_t n = 0;

	if (flow->mode != FLOW_COPY && !flow->is_filling)
		return 0; /* the input is a poll */
	if ((from->facts & SIDE_INPUT) && from->input_res > 0)
		n += (uint32_t)from->input_res;
	if ((from->facts & SIDE_BEHIND) && from->behind_res > 0)
		n += (uint32_t)from->behind_res;
	return n + kernel_unseen(&from->input);
}

/* Bytes read from the source = bytes written to the sink + bytes held + bytes on their way. Of TLS, what was said and
 * not heard may also lie, encrypted, on either side. */
static void check_bytes(const struct flow *flow, const struct side *from, const struct side *to)
{
	const struct sock *source = kernel_sock(from->fd), *sink = kernel_sock(to->fd);
	uint64_t read = (uint64_t)source->in_read + sink->preface_len - sink->told - sink->skip;
	uint32_t landed;

	if (!to->secure && !to->output.busy && !(to->facts & SIDE_OUTPUT) &&
	    sink->out_accepted - sink->told != flow->bytes)
		fail("fd %d took %u bytes, its flow counts %llu", to->fd, sink->out_accepted,
		     (unsigned long long)flow->bytes);
	if (source->wire || sink->wire)
		rules_check_secure_flow(flow, from, to);
	if (flow->has_ended || from->secure)
		return;
	landed = bytes_on_their_way(flow, from);
	if (read != flow->bytes + flow->held + landed)
		fail("fd %d gave %llu bytes, %llu were written, %u are held, %u have landed",
		     from->fd, (unsigned long long)read, (unsigned long long)flow->bytes,
		     flow->held, landed);
}

static void check_flow(const struct conn *c, const struct flow *flow, const struct side *to,
                       struct tally *tally)
{
	if (flow->hold == FLOW_LEASE) {
		tally->leases++;
		if (!to->output.busy && c->state != CONN_CLOSING)
			fail("a flow to fd %d holds a lease without a send in flight", to->fd);
	}
	tally->pipes += flow->hold == FLOW_PIPE;
	if (flow->held > 0 && flow->hold == FLOW_NOTHING)
		fail("a flow to fd %d holds %u bytes nowhere", to->fd, flow->held);
}

/* *to*: where its bytes go. */
static void check_side(const struct conn *c, const struct side *side, const struct side *to,
                       struct tally *tally)
{
	tally->leases += side->lease != BUFRING_NONE;
	tally->leases += side->behind_lease != BUFRING_NONE;
	if (side->lease != BUFRING_NONE && c->state != CONN_CLOSING &&
	    (c->state != CONN_RELAY || !to->output.busy))
		fail("fd %d keeps a lease that nobody looks at", side->fd);
	if (side->fd >= 0 && kernel_sock(side->fd)->is_held_back)
		fail("fd %d holds back its last bytes for an end that was not said", side->fd);
}

static void check_conn(const struct conn *c, struct tally *tally)
{
	check_ops(c);
	check_side(c, &c->client, &c->upstream, tally);
	check_side(c, &c->upstream, &c->client, tally);
	check_flow(c, &c->up, &c->upstream, tally);
	check_flow(c, &c->down, &c->client, tally);
	tally->secures += c->client.secure != NULL;
	tally->secures += c->upstream.secure != NULL;
	tally->records += rules_count_records(c);
	tally->sessions++;
	tally->counted += (c->claims & CLAIM_SESSION) != 0;
	tally->lingering += c->state == CONN_REFUSE;
	tally->pending += !list_is_empty(&((struct conn *)(uintptr_t)c)->in_pending);
	if (!list_is_empty(&((struct conn *)(uintptr_t)c)->in_ready))
		fail("connection %llu was left with facts nobody looked at",
		     (unsigned long long)c->id);
	if (c->state != CONN_CLOSING && !timer_is_armed(&c->timer) && !(c->facts & CONN_TIMER))
		fail("connection %llu waits in state %u without a timer", (unsigned long long)c->id,
		     c->state);
	if (c->state == CONN_RELAY) {
		check_bytes(&c->up, &c->client, &c->upstream);
		check_bytes(&c->down, &c->upstream, &c->client);
		if (c->hello && c->up.hold != FLOW_HELLO)
			fail("connection %llu keeps its hello buffer", (unsigned long long)c->id);
	}
}

/* Beyond the bound only the young may wait: those that came within 300 ms of the newest. */
static bool keeps_stale_hellos(const struct shard *shard)
{
	const struct conn *oldest, *newest;

	if (shard->gauges.hellos_pending <= shard->sizes.pending_hellos)
		return false;
	oldest = container_of(shard->pending.next, struct conn, in_pending);
	newest = container_of(shard->pending.prev, struct conn, in_pending);
	return newest->active_ms - oldest->active_ms > 300;
}

void rules_check(void)
{
	struct shard *shard = &world.shard;
	struct tally  tally = {0};

	for (struct list *link = shard->all.next; link != &shard->all; link = link->next)
		check_conn(container_of(link, struct conn, in_all), &tally);
	if (tally.leases != shard->buffers.leased)
		fail("%u buffers are leased, %u are held", shard->buffers.leased, tally.leases);
	if (tally.pipes != shard->pipes.used)
		fail("%u pipes are taken, %u are held", shard->pipes.used, tally.pipes);
	if (tally.secures != slab_in_use(&shard->secures))
		fail("%u sides' TLS is lent, %u have it", slab_in_use(&shard->secures),
		     tally.secures);
	if (tally.records != slab_in_use(&shard->records))
		fail("%u buffers of records are lent, %u are held", slab_in_use(&shard->records),
		     tally.records);
	if (tally.lingering != shard->gauges.lingering || tally.lingering > shard->sizes.lingering)
		fail("%u refusals linger, %u are counted, %u may", tally.lingering,
		     shard->gauges.lingering, shard->sizes.lingering);
	if (tally.pending != shard->gauges.hellos_pending || keeps_stale_hellos(shard))
		fail("%u hellos are pending, %u are counted, %u may", tally.pending,
		     shard->gauges.hellos_pending, shard->sizes.pending_hellos);
	if (tally.sessions != shard->gauges.sessions || tally.counted != world.registry.sessions)
		fail("%u connections of which %u are counted, the gauge says %u, the registry %u",
		     tally.sessions, tally.counted, shard->gauges.sessions,
		     world.registry.sessions);
}

/* ------------------------------------------------------------------ liveness */

static bool has_news(const struct sock *sock)
{
	return sock_unread(sock) > 0 || (sock->fin_in && !sock->fin_read) ||
	       (sock->is_dead && !sock->is_reset_read);
}

static void check_flow_lives(const struct flow *flow, const struct side *from,
                             const struct side *to)
{
	const struct sock *source = kernel_sock(from->fd), *sink = kernel_sock(to->fd);

	if (flow->has_ended || rules_output_waits(to))
		return;
	if (flow->held > 0) {
		if (to->secure)
			fail("lost wake-up: %u bytes are held for fd %d, which has nothing to send",
			     flow->held, to->fd);
		/* Refused for want of memory while bytes were on their way: an edge is due once
		 * they are taken. */
		bool edge_is_due = sink->has_nospace && sock_queued(sink) > 0;

		if (sock_is_ready(sink) && !edge_is_due)
			fail("lost wake-up: %u bytes are held and fd %d would take them (%s%s, facts %u)",
			     flow->held, to->fd, to->is_blocked ? "blocked" : "",
			     to->writable.busy ? ", watched" : "", to->facts);
		return;
	}
	if (flow->has_eof)
		fail("lost wake-up: fd %d was never told of the end", to->fd);
	if (from->facts & SIDE_INPUT)
		fail("lost wake-up: what fd %d brought lies about", from->fd);
	if (from->secure && rules_output_waits(from) &&
	    (from->secure->was_full || from->secure->has_failed))
		return;
	if (from->secure && secure_has_more(from->secure))
		fail("lost wake-up: fd %d has sent more than was decrypted", from->fd);
	if (has_news(source))
		fail("lost wake-up: fd %d has %u bytes unread%s%s", from->fd, sock_unread(source),
		     source->fin_in ? " and a FIN" : "", source->is_dead ? " and a RST" : "");
}

static void check_handshake_lives(const struct side *side)
{
	if (rules_output_waits(side) && side->secure->was_full)
		return;
	if (secure_has_more(side->secure) || has_news(kernel_sock(side->fd)))
		fail("lost wake-up: fd %d shakes hands and has %u bytes unread", side->fd,
		     sock_unread(kernel_sock(side->fd)));
}

static void check_conn_lives(const struct conn *c)
{
	const struct sock *client = kernel_sock(c->client.fd);

	/* Waits for room, looking again by its timer. */
	if (!(c->claims & CLAIM_SESSION) && timer_is_armed(&c->timer))
		return;
	if (c->state != CONN_CLOSING && c->state != CONN_FLUSH) {
		(void)rules_output_waits(&c->client);
		if (c->state != CONN_REFUSE) /* it was told once why it is left */
			(void)rules_output_waits(&c->upstream);
	}
	switch ((enum conn_state)c->state) {
	case CONN_PREAMBLE:
	case CONN_STARTTLS:
	case CONN_HELLO:
	case CONN_REFUSE:
		if (has_news(client))
			fail("lost wake-up: in state %u fd %d has %u bytes unread", c->state,
			     c->client.fd, sock_unread(client));
		break;
	case CONN_DIAL:
		if (kernel_sock(c->upstream.fd)->is_unconnected)
			fail("fd %d waits for an answer to a SYN that was never sent",
			     c->upstream.fd);
		if (!kernel_sock(c->upstream.fd)->is_connecting)
			fail("lost wake-up: fd %d has been answered", c->upstream.fd);
		break;
	case CONN_HANDSHAKE:
		check_handshake_lives(&c->client);
		break;
	case CONN_UPSTREAM_HANDSHAKE:
		check_handshake_lives(&c->upstream);
		break;
	case CONN_RELAY:
		check_flow_lives(&c->up, &c->client, &c->upstream);
		check_flow_lives(&c->down, &c->upstream, &c->client);
		break;
	case CONN_ANSWER:
	case CONN_CANCEL:
		if (has_news(kernel_sock(c->upstream.fd)))
			fail("lost wake-up: fd %d has answered", c->upstream.fd);
		break;
	case CONN_FIRST:
		check_handshake_lives(&c->client);
		break;
	case CONN_FLUSH:
		break; /* a timer looks again */
	case CONN_CLOSING:
		fail("connection %llu waits for %u operations that will not land",
		     (unsigned long long)c->id, c->inflight);
	case CONN_FREE:
	case CONN_STATES:
		break;
	}
}

void rules_check_liveness(void)
{
	struct shard *shard = &world.shard;

	for (struct list *link = shard->all.next; link != &shard->all; link = link->next)
		check_conn_lives(container_of(link, struct conn, in_all));
	if (!world.listener.is_stopped && !world.listener.accept.busy &&
	    !timer_is_armed(&shard->accept_retry))
		fail("lost wake-up: accepting has stopped for good");
}

/* ------------------------------------------------------------------ the end of a client */

static bool is_refusal(enum reason reason)
{
	switch (reason) {
	case REASON_NO_MATCH:
	case REASON_NO_SNI:
	case REASON_REJECTED:
	case REASON_MALFORMED:
	case REASON_PLAINTEXT:
	case REASON_HELLO_TOO_LONG:
	case REASON_PROXY_HEADER:
	case REASON_HANDSHAKE_FAILED:
	case REASON_CLIENT_CERT:
	case REASON_UPSTREAM_HANDSHAKE_FAILED:
	case REASON_UPSTREAM_VERIFY_FAILED:
	case REASON_CONNECT_FAILED:
	case REASON_CONNECT_TIMEOUT:
	case REASON_NO_SERVER:
	case REASON_DENIED:
	case REASON_LIMITED:
	case REASON_OVERLOAD:
	case REASON_STARTTLS_REFUSED:
		return true;
	case REASON_OK:
	case REASON_HELLO_TIMEOUT:
	case REASON_CLIENT_GONE:
	case REASON_HANDSHAKE_TIMEOUT:
	case REASON_TRUNCATED:
	case REASON_IDLE_TIMEOUT:
	case REASON_HALF_CLOSE_TIMEOUT:
	case REASON_SESSION_TIMEOUT:
	case REASON_UPSTREAM_RESET:
	case REASON_CLIENT_RESET:
	case REASON_DRAINED:
	case REASON_CLOSED_BY_ADMIN:
	case REASON_INTERNAL:
	case REASON_COUNT:
		break;
	}
	return false;
}

static void check_refused(int number, const struct sock *client, const struct outcome *outcome)
{
	const uint8_t alert[] = {0x15, 3, 3, 0, 2, 2, outcome->alert};
	bool          lingered_long;

	if (client->is_dead)
		return;
	if (client->wire && client->alert_len == 0) {
		rules_check_told(number, outcome);
		return;
	}
	if (outcome->alert == ALERT_NONE) {
		if (client->alert_len > 0 && (!world.plan.starttls || client->alert[0] != 'E'))
			fail("client %d was sent %u bytes though it is not told why", number,
			     client->out_accepted);
	} else if (client->alert_len != sizeof(alert) ||
	           memcmp(client->alert, alert, sizeof(alert)) != 0) {
		fail("client %d was not sent the alert %u", number, outcome->alert);
	}
	if (world.shard.gauges.lingers_skipped_total > 0 || outcome->was_stopped)
		return;
	lingered_long = client->in_sent >= 64 * 1024 ||
	                client->closed_ms - client->fin_out_ms >= 1000;
	if (client->fin_out_ms == 0 || (client->lost_bytes && !lingered_long))
		fail("client %d was refused without a clean end", number);
	if (!lingered_long && client->closed_ms - client->fin_out_ms < 1000 && !client->fin_in)
		fail("client %d was closed before it had ended", number);
}

/* All that *from* sent, exactly, and then a clean end. */
static void check_whole(int number, const struct sock *from, const struct sock *to)
{
	if (to->is_dead || (to->wire && to->is_closed_by_actor))
		return; /* after it had ended: the proxy need not have noticed */
	if (!rules_has_ended(from) || (to->wire ? !to->wire->has_heard_end : to->fin_out_ms == 0))
		fail("client %d ended as ok without an end from fd %d to fd %d", number, from->fd,
		     to->fd);
	if (rules_heard(to) != rules_said(from, to))
		fail("client %d ended as ok with %u of %u bytes to fd %d", number, rules_heard(to),
		     rules_said(from, to), to->fd);
	if (to->is_reset_by_proxy || to->lost_bytes)
		fail("client %d ended as ok, but fd %d saw a reset", number, to->fd);
}

static void check_reset(int number, const struct sock *reset, const struct sock *survivor,
                        const struct outcome *outcome)
{
	if (!reset->is_dead)
		fail("client %d ended by a reset that fd %d never saw", number, reset->fd);
	if (survivor->is_dead || (survivor->is_closed_by_actor && survivor->fin_out_ms > 0) ||
	    rules_is_cut_off(survivor))
		return; /* it had no use for more, or no right to it */
	if (!survivor->is_reset_by_proxy)
		fail("client %d: fd %d was reset, but fd %d saw a clean end", number, reset->fd,
		     survivor->fd);
	/* Who takes nothing for two seconds is not waited for. */
	if (rules_heard(survivor) != rules_said(reset, survivor) && rules_was_sent(reset) &&
	    !(survivor->wire && survivor->lost_bytes) &&
	    survivor->closed_ms < reset->rst_in_ms + 2000)
		fail("client %d: of %u bytes of the reset fd %d only %u were passed on", number,
		     rules_said(reset, survivor), reset->fd, rules_heard(survivor));
	if (survivor->lost_bytes && !outcome->was_stopped &&
	    !(survivor->wire && rules_heard(survivor) == rules_said(reset, survivor)) &&
	    survivor->closed_ms - reset->rst_in_ms < 2000)
		fail("client %d: fd %d was reset before it had taken what it was owed", number,
		     survivor->fd);
}

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t first_end(const struct sock *client, const struct sock *server)
{
	const uint64_t times[] = {
		client->fin_in_ms, client->rst_in_ms, client->wire ? client->wire->end_ms : 0,
		server->fin_in_ms, server->rst_in_ms, server->wire ? server->wire->end_ms : 0};
	uint64_t first = UINT64_MAX;

	for (size_t i = 0; i < COUNT(times); i++)
		if (times[i] > 0 && times[i] < first)
			first = times[i];
	return first;
}

static void check_timeout(int number, uint64_t since, uint64_t limit, const struct outcome *outcome)
{
	if (since == UINT64_MAX || outcome->ended_ms - since < limit)
		fail("client %d ended as %s too early", number, reason_word(outcome->reason));
}

static void check_dial(int number, const struct sock *server, const struct outcome *outcome)
{
	if (outcome->reason == REASON_CONNECT_TIMEOUT && server)
		check_timeout(number, server->begun_ms, world.plan.connect_timeout_ms, outcome);
	if (outcome->reason == REASON_CONNECT_FAILED && server && server->is_open)
		fail("client %d: a server that failed was kept", number);
}

/* The first packet inside TLS belongs to the handshake's time. */
static uint32_t hello_limit_ms(void)
{
	const struct world_plan *plan = &world.plan;

	return plan->tls && plan->starttls
	               ? min_u32(plan->preread_timeout_ms, plan->handshake_timeout_ms)
	               : plan->preread_timeout_ms;
}

static void check_log(int number, const struct sock *client, const struct sock *server,
                      const struct outcome *outcome)
{
	if (client->wire || (server && server->wire)) {
		rules_check_secure_end(number, outcome);
		return;
	}
	if (outcome->bytes_down != client->out_accepted - client->told - client->alert_len)
		fail("client %d: %llu bytes down in the log, %u were", number,
		     (unsigned long long)outcome->bytes_down, client->out_accepted);
	if (outcome->bytes_up > 0 && (!server || outcome->bytes_up != server->out_accepted))
		fail("client %d: %llu bytes up in the log", number,
		     (unsigned long long)outcome->bytes_up);
}

void rules_check_end(int number)
{
	const struct sock    *client = world.clients[number], *server = world.last_server[number];
	const struct outcome *outcome = &world.outcomes[number];
	uint64_t moved = server ? later(client->moved_ms, server->moved_ms) : client->moved_ms;

	if (client->fd < 0)
		return; /* never accepted */
	if (!outcome->ended)
		fail("client %d has no line in the log", number);
	if (client->is_open || (server && server->is_open))
		fail("client %d: a socket is left open", number);
	check_log(number, client, server, outcome);
	if (outcome->reason == REASON_CLIENT_CERT ||
	    outcome->reason == REASON_UPSTREAM_VERIFY_FAILED ||
	    (outcome->reason == REASON_HANDSHAKE_FAILED && !client->wire) ||
	    (outcome->reason == REASON_UPSTREAM_HANDSHAKE_FAILED && !(server && server->wire)))
		fail("client %d ended as %s", number, reason_word(outcome->reason));
	if (is_refusal(outcome->reason)) {
		check_dial(number, server, outcome);
		check_refused(number, client, outcome);
		return;
	}
	if (client->alert_len > 0)
		fail("client %d was sent an alert though it ended as %s", number,
		     reason_word(outcome->reason));
	switch (outcome->reason) {
	case REASON_OK:
		check_whole(number, client, server);
		check_whole(number, server, client);
		break;
	case REASON_CLIENT_RESET:
		check_reset(number, client, server, outcome);
		break;
	case REASON_UPSTREAM_RESET:
		check_reset(number, server, client, outcome);
		break;
	case REASON_IDLE_TIMEOUT:
		check_timeout(number, moved, world.plan.proxy_timeout_ms, outcome);
		break;
	case REASON_HALF_CLOSE_TIMEOUT:
		check_timeout(number, later(moved, first_end(client, server)),
		              world.plan.half_close_timeout_ms, outcome);
		break;
	case REASON_SESSION_TIMEOUT:
		check_timeout(number, client->begun_ms, world.plan.session_timeout_ms, outcome);
		break;
	case REASON_HELLO_TIMEOUT:
		if (world.shard.gauges.hellos_dropped_total == 0)
			check_timeout(number, client->begun_ms, hello_limit_ms(), outcome);
		break;
	case REASON_CLIENT_GONE:
		if (!client->fin_in && !client->is_dead)
			fail("client %d is said to be gone and is not", number);
		break;
	case REASON_DRAINED:
	case REASON_CLOSED_BY_ADMIN:
		if (!outcome->was_stopped)
			fail("client %d was ended without being told to", number);
		break;
	case REASON_HANDSHAKE_TIMEOUT:
		check_timeout(number, client->begun_ms, world.plan.handshake_timeout_ms, outcome);
		break;
	case REASON_TRUNCATED:
		if (!rules_is_cut_off(client) && !rules_is_cut_off(server))
			fail("client %d is said to be cut off and is not", number);
		break;
	case REASON_INTERNAL:
	case REASON_COUNT:
		fail("client %d ended as internal", number);
	case REASON_NO_MATCH: /* refusals, dealt with above */
	case REASON_NO_SNI:
	case REASON_REJECTED:
	case REASON_MALFORMED:
	case REASON_PLAINTEXT:
	case REASON_HELLO_TOO_LONG:
	case REASON_PROXY_HEADER:
	case REASON_CONNECT_FAILED:
	case REASON_CONNECT_TIMEOUT:
	case REASON_NO_SERVER:
	case REASON_DENIED:
	case REASON_LIMITED:
	case REASON_OVERLOAD:
	case REASON_STARTTLS_REFUSED:
	case REASON_HANDSHAKE_FAILED:
	case REASON_CLIENT_CERT:
	case REASON_UPSTREAM_HANDSHAKE_FAILED:
	case REASON_UPSTREAM_VERIFY_FAILED:
		break;
	}
}
