#include "sim/rules_secure.h"

#include "session/secure.h"

/* ------------------------------------------------------------------ after every turn */

/* A flow reads on only when all that it gave before is sent: no more than one reading, and what it
 * took besides, waits, and what the session says by itself. */
void rules_check_secure_flow(const struct flow *flow, const struct side *from,
                             const struct side *to)
{
	enum { OF_ITS_OWN = 4096 };
	const struct sock *source = kernel_sock(from->fd), *sink = kernel_sock(to->fd);
	uint64_t           passed = flow->bytes + flow->held;

	if (passed > (uint64_t)sock_said(source) + sink->preface_len)
		fail("fd %d said %u bytes, %llu are passed on", from->fd, sock_said(source),
		     (unsigned long long)passed);
	if (secure_is_sending(to) && !from->secure && !world.plan.floods) {
		uint32_t waiting = to->secure->output_end - to->secure->output_start;

		if (waiting >
		    tls_session_wire_size(world.shard.buffers.size + SECURE_MORE_MAX) + OF_ITS_OWN)
			fail("%u bytes wait to be sent to fd %d", waiting, to->fd);
	}
}

uint32_t rules_count_records(const struct conn *c)
{
	const struct side *sides[] = {&c->client, &c->upstream};
	bool               held[] = {c->up.hold == FLOW_RECORDS, c->down.hold == FLOW_RECORDS};
	uint32_t           count = 0;

	for (size_t i = 0; i < COUNT(sides); i++) {
		const struct secure *secure = sides[i]->secure;

		count += held[i];
		count += secure && secure->received;
		count += secure && secure->output;
	}
	return count;
}

/* ------------------------------------------------------------------ liveness */

bool rules_output_waits(const struct side *side)
{
	const struct sock *sock;

	if (!secure_is_sending(side) || side->is_reset)
		return false;
	sock = kernel_sock(side->fd);
	/* As with plain bytes: an edge is due once those on their way are taken. */
	if (sock_is_ready(sock) && !(sock->has_nospace && sock_queued(sock) > 0))
		fail("lost wake-up: fd %d would take what TLS has to send (%s%s, facts %u)",
		     side->fd, side->is_blocked ? "blocked" : "",
		     side->writable.busy ? ", watched" : "", side->facts);
	return true;
}

/* ------------------------------------------------------------------ the end */

uint32_t rules_said(const struct sock *from, const struct sock *to)
{
	return from->wire ? from->wire->said : from->in_sent - to->skip;
}

uint32_t rules_heard(const struct sock *to)
{
	return to->wire ? to->wire->heard : to->out_accepted - to->preface_len;
}

bool rules_was_sent(const struct sock *from)
{
	return !from->wire || (from->in_sent == from->wire->in_len && !from->wire->is_garbled);
}

bool rules_has_ended(const struct sock *from)
{
	return from->wire ? from->wire->end_at > 0 : from->fin_in;
}

bool rules_is_cut_off(const struct sock *from)
{
	return from && from->wire &&
	       (from->wire->is_garbled ||
	        (from->fin_in && (from->wire->end_at == 0 || from->in_sent < from->wire->end_at)));
}

void rules_check_told(int number, const struct outcome *outcome)
{
	const struct sock *client = world.clients[number];

	/* Its garbage may have been answered before it was refused for something else. */
	if (client->wire->is_garbled && outcome->alert == ALERT_INTERNAL_ERROR)
		return;
	if (client->wire->heard_alert > 0 && client->wire->heard_alert != outcome->alert)
		fail("client %d heard the alert %u, the log has %u", number,
		     client->wire->heard_alert, outcome->alert);
	if (client->refused_ms == 0 || client->closed_ms - client->refused_ms >= 1000 ||
	    outcome->was_stopped || client->rst_out || client->is_closed_by_actor ||
	    !client->wire->is_shaken)
		return; /* there were too many, or it took too long */
	if (client->wire->heard_alert != outcome->alert)
		fail("client %d was not told why, which is %u", number, outcome->alert);
}

/* A close_notify vouches for all that was said. */
static void check_heard_end(int number, const struct sock *from, const struct sock *to)
{
	if (!to->wire || !to->wire->has_heard_end)
		return;
	if (!from || !rules_has_ended(from))
		fail("client %d: fd %d heard an end that nobody had said", number, to->fd);
	if (to->wire->heard != rules_said(from, to))
		fail("client %d: fd %d heard the end behind %u bytes of %u", number, to->fd,
		     to->wire->heard, rules_said(from, to));
}

static void check_count(int number, const struct sock *from, const struct sock *to, uint64_t logged)
{
	uint32_t least = to->wire ? to->wire->heard + to->preface_len - to->told
	                          : to->out_accepted - to->told - to->alert_len;
	uint64_t most = to->wire ? (uint64_t)(from ? rules_said(from, to) : 0) + to->preface_len
	                         : least;

	if (to->wire && to->wire->heard == 0)
		least = 0; /* the header may be all that went, or less */
	if (logged < least || logged > most)
		fail("client %d: %llu bytes to fd %d in the log, at least %u were heard, at most "
		     "%llu said",
		     number, (unsigned long long)logged, to->fd, least, (unsigned long long)most);
}

/* Who speaks garbage inside TLS is told so, unless it does not listen. */
static void check_scolded(int number, const struct sock *sock, const struct outcome *outcome)
{
	if (!sock->wire || !sock->wire->is_garbled || !sock->wire->is_shaken || sock->is_dead ||
	    sock->rst_out || sock->is_closed_by_actor || sock->is_finished_by_proxy ||
	    outcome->reason != REASON_TRUNCATED)
		return;
	if (sock->in_read == sock->wire->in_len && sock->wire->heard_alert == 0 &&
	    !sock->wire->has_heard_end)
		fail("client %d: fd %d spoke garbage and heard no alert", number, sock->fd);
}

void rules_check_secure_end(int number, const struct outcome *outcome)
{
	const struct sock *client = world.clients[number], *server = world.last_server[number];

	check_scolded(number, client, outcome);
	if (server)
		check_scolded(number, server, outcome);
	check_heard_end(number, server, client);
	check_count(number, server, client, outcome->bytes_down);
	if (server) {
		check_heard_end(number, client, server);
		if (outcome->bytes_up > 0 || server->is_open)
			check_count(number, client, server, outcome->bytes_up);
	} else if (outcome->bytes_up > 0) {
		fail("client %d: %llu bytes up in the log", number,
		     (unsigned long long)outcome->bytes_up);
	}
}
