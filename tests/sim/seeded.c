#include "sim/hellos.h"
#include "sim/rules.h"
#include "sim/runs.h"
#include "sim/sim.h"
#include "sim/world.h"

#include <errno.h>
#include <string.h>

/* What an actor does when it has sent all that it is going to send. */
enum ending { END_FINISH, END_CLOSE, END_RESET, END_VANISH };

enum proxy_header { HEADER_NONE, HEADER_V1, HEADER_V2, HEADER_BAD };

/* A client or a server: sends in pieces, reads with pauses, ends somehow. */
struct actor {
	struct sock *sock;
	bool         is_server;
	bool         is_done;
	bool         has_ended; /* its ending is made */
	bool         waits_eof; /* which it does only once it has read an end */
	enum ending  ending;
	uint32_t     end_at;    /* bytes sent before it ends */
	uint32_t     piece;     /* sends at most so much at once */
	uint32_t     wait_read; /* sends payload only when it has read so much */
	uint32_t     reset_at_read;
	uint32_t     stall_at, stall_ms; /* stops reading here, for so long */
	uint32_t     pause;              /* one in so many acts is followed by a pause */
	uint64_t     next_ms;
	uint64_t     answer_ms; /* server: when it answers the connect */
	enum { ANSWERS, REFUSES, IGNORES } answer;

	/* Client. */
	enum hello_kind   says;
	enum proxy_header header;
	uint8_t           head[8192];
};

enum { ACTORS_MAX = 64, TURNS_MAX = 200000 };

static struct {
	struct actor actors[ACTORS_MAX];
	int          count;
	int          to_come; /* clients that have not connected yet */
	uint64_t     come_ms;
	uint32_t     scale; /* of payloads */
} cast;

/* ------------------------------------------------------------------ drawing */

static enum conf_action draw_action(void)
{
	return kernel_chance(2) ? CONF_ACTION_DEFAULT : CONF_ACTION_REJECT;
}

static struct worker_sizes draw_sizes(void)
{
	static const enum conf_zero_copy copies[] = {CONF_ZERO_COPY_AUTO, CONF_ZERO_COPY_SPLICE,
	                                             CONF_ZERO_COPY_URING, CONF_ZERO_COPY_OFF};
	uint32_t                         shift = kernel_draw(8);

	/* Large payloads are moved in large pieces, so that no world takes long. */
	cast.scale = shift < 5 ? 1 : shift < 7 ? 8 : 64;
	return (struct worker_sizes){
		.max_connections = 2 + kernel_draw(8),
		.ring_entries = 64,
		.recv_buffers = 1u << (1 + kernel_draw(4)),
		.buffer_size = (64u << kernel_draw(4)) * (cast.scale == 64 ? 16 : cast.scale),
		.pipe_pool = kernel_draw(5),
		.pipe_size = (128u << kernel_draw(4)) * cast.scale,
		.splice_min = kernel_draw(1000) * cast.scale,
		.pending_hellos = 1 + kernel_draw(6),
		.lingering = kernel_draw(4),
		.busy_poll_us = kernel_chance(4) ? 50 : 0,
		.splice_wait_us = kernel_chance(2) ? 200 : 0,
		.zero_copy = copies[kernel_draw(COUNT(copies))],
	};
}

static struct world_plan draw_plan(void)
{
	static const enum balance_kind kinds[] = {BALANCE_ROUND_ROBIN, BALANCE_LEAST_CONN,
	                                          BALANCE_HASH, BALANCE_RANDOM};

	return (struct world_plan){
		.sizes = draw_sizes(),
		.reads_hello = !kernel_chance(4),
		.has_fallback = kernel_chance(2),
		.on_no_match = draw_action(),
		.on_no_sni = draw_action(),
		.on_plaintext = draw_action(),
		.accept_proxy = (enum conf_proxy_in)(!kernel_chance(3) ? CONF_PROXY_OFF
	                                                               : 1 + kernel_draw(2)),
		.trusts_proxy = !kernel_chance(8),
		.denies = kernel_chance(8),
		.preread_timeout_ms = 50 + kernel_draw(3000),
		.preread_buffer_size = 1024u << kernel_draw(3),
		.max_conns = kernel_chance(8) ? 1 + kernel_draw(3) : 0,
		.max_conns_per_ip = kernel_chance(8) ? 1 + kernel_draw(2) : 0,
		.session_timeout_ms = kernel_chance(8) ? 100 + kernel_draw(5000) : 0,
		.proxy_timeout_ms = 200 + kernel_draw(8000),
		.half_close_timeout_ms = 100 + kernel_draw(4000),
		.connect_timeout_ms = 50 + kernel_draw(1000),
		.tries = (uint8_t)(1 + kernel_draw(3)),
		.max_fails = kernel_draw(3),
		.server_max_conns = kernel_chance(8) ? 1 + kernel_draw(2) : 0,
		.servers = 1 + kernel_draw(SERVERS_MAX),
		.fastopen = kernel_chance(2),
		.balance = kinds[kernel_draw(COUNT(kinds))],
		.send_proxy = (enum proxyproto_version)(kernel_chance(2) ? 0 : 1 + kernel_draw(2)),
		.fault_rate = kernel_chance(3) ? 0 : 8 + kernel_draw(60),
		.is_old = kernel_chance(3),
	};
}

static enum ending draw_ending(void)
{
	if (!kernel_chance(4))
		return END_FINISH;
	return (enum ending)(1 + kernel_draw(3));
}

static struct actor *actor_new(struct sock *sock)
{
	struct actor *actor;

	CHECK(cast.count < ACTORS_MAX);
	actor = &cast.actors[cast.count++];
	memset(actor, 0, offsetof(struct actor, head));
	actor->sock = sock;
	actor->ending = draw_ending();
	actor->waits_eof = kernel_chance(3);
	actor->piece = (kernel_chance(4) ? 1 + kernel_draw(40) : 1 + kernel_draw(2000)) *
	               cast.scale;
	actor->reset_at_read = kernel_chance(16) ? runs_draw_size(2000 * cast.scale) : UINT32_MAX;
	actor->stall_at = kernel_chance(4) ? runs_draw_size(2000 * cast.scale) : UINT32_MAX;
	actor->stall_ms = kernel_chance(8) ? 100000 : kernel_draw(4000);
	actor->pause = kernel_chance(2) ? 1 + kernel_draw(20) : 0;
	sock->actor = actor;
	sock->send_cap = (200 + runs_draw_size(4000)) * cast.scale;
	sock->recv_cap = (50 + runs_draw_size(4000)) * cast.scale;
	sock->window = (50 + runs_draw_size(4000)) * cast.scale;
	return actor;
}

/* All, or for an ending that is no proper one: some of it. */
static uint32_t draw_end(const struct actor *actor, uint32_t total)
{
	return actor->ending == END_FINISH || kernel_chance(3) ? total : runs_draw_size(total);
}

/* ------------------------------------------------------------------ clients */

static size_t write_header(struct actor *actor, struct sock *sock)
{
	static const struct addr source = {
		.ip = {203, 0, 113, 5}, .port = 4321, .family = ADDR_IP4};
	static const struct addr local = {.ip = {203, 0, 113, 6}, .port = 443, .family = ADDR_IP4};
	size_t                   len = 0;

	switch (actor->header) {
	case HEADER_NONE:
		break;
	case HEADER_BAD:
		memcpy(actor->head, "PROXY TCP9 x\r\n", 14);
		return 14;
	case HEADER_V1:
		len = proxyproto_write(PROXYPROTO_V1, &source, &local, actor->head);
		break;
	case HEADER_V2:
		len = proxyproto_write(PROXYPROTO_V2, &source, &local, actor->head);
		break;
	}
	if (len > 0 && world.plan.accept_proxy != CONF_PROXY_OFF && world.plan.trusts_proxy) {
		sock->skip_in = (uint32_t)len;
		world_expect_header(sock, &source, &local);
	}
	return len;
}

static void client_arrives(void)
{
	struct sock  *sock = world_connect((struct stream){0});
	struct actor *actor = actor_new(sock);
	struct span   hello;
	size_t        len;
	uint32_t      total;

	actor->says = (enum hello_kind)(kernel_chance(2) ? kernel_draw(4)
	                                                 : kernel_draw(HELLO_KINDS));
	if (world.plan.accept_proxy == CONF_PROXY_OFF || kernel_chance(8))
		actor->header = HEADER_NONE;
	else
		actor->header = kernel_chance(16)  ? HEADER_BAD
		                : kernel_chance(2) ? HEADER_V1
		                                   : HEADER_V2;
	len = write_header(actor, sock);
	hello = hello_of(actor->says);
	memcpy(actor->head + len, hello.data, hello.len);
	len += hello.len;
	sock->stream = (struct stream){actor->head, (uint32_t)len, kernel_draw(PAYLOAD_MAX)};
	total = (uint32_t)len + runs_draw_size(3000 * cast.scale);
	actor->end_at = draw_end(actor, total);
	actor->wait_read = kernel_chance(4) ? kernel_draw(200) : 0;
}

/* ------------------------------------------------------------------ servers */

static int server_dialled(struct sock *sock, const struct addr *to)
{
	struct actor *actor;

	sock->server = (to->ip[3] - 1) * SERVERS_MAX + to->port - 1000;
	if (cast.count == ACTORS_MAX || kernel_chance(16))
		return kernel_chance(2) ? -ECONNREFUSED : -EADDRNOTAVAIL;
	actor = actor_new(sock);
	actor->is_server = true;
	actor->answer = !kernel_chance(8) ? ANSWERS : kernel_chance(2) ? REFUSES : IGNORES;
	actor->answer_ms = kernel.now_ms +
	                   (kernel_chance(2) ? 0
	                                     : kernel_draw(world.plan.connect_timeout_ms + 100));
	actor->end_at = draw_end(actor, runs_draw_size(3000 * cast.scale));
	actor->wait_read = kernel_chance(2) ? kernel_draw(500) : 0;
	sock->stream = (struct stream){NULL, 0, kernel_draw(PAYLOAD_MAX)};
	return 0;
}

static void server_answers(struct actor *actor)
{
	if (actor->answer == ANSWERS)
		peer_accept(actor->sock);
	else if (actor->answer == REFUSES)
		peer_refuse(actor->sock, kernel_chance(8) ? EADDRNOTAVAIL : ECONNREFUSED);
	actor->is_done |= actor->answer != ANSWERS;
}

/* ------------------------------------------------------------------ acting */

static bool actor_is_stalled(const struct actor *actor)
{
	return actor->sock->out_read >= actor->stall_at;
}

static void actor_reads(struct actor *actor, bool all)
{
	struct sock *sock = actor->sock;
	uint32_t     unread = sock->out_delivered - sock->out_read, n;

	if (unread == 0)
		return;
	n = all || kernel_chance(2) ? unread : 1 + kernel_draw(unread);
	if (sock->out_read < actor->stall_at)
		n = min_u32(n, actor->stall_at - sock->out_read);
	if (actor_is_stalled(actor)) {
		/* Once; then it reads again. */
		actor->next_ms = kernel.now_ms + actor->stall_ms;
		actor->stall_at = UINT32_MAX;
		return;
	}
	(void)peer_read(sock, n);
	if (sock->out_read >= actor->reset_at_read) {
		peer_reset(sock);
		actor->is_done = true;
	}
}

static void actor_sends(struct actor *actor)
{
	struct sock *sock = actor->sock;
	uint32_t     n = min_u32(actor->piece, actor->end_at - sock->in_sent);

	/* Who waits for an answer says at least what opens the conversation. */
	if (sock->out_read < actor->wait_read && !sock->fin_delivered && !sock->rst_out) {
		if (sock->in_sent >= sock->stream.head_len)
			return;
		n = min_u32(n, sock->stream.head_len - sock->in_sent);
	}
	peer_send(sock, n);
}

static void actor_ends(struct actor *actor)
{
	struct sock *sock = actor->sock;

	if (actor->waits_eof && !peer_sees_eof(sock) && actor->ending != END_VANISH)
		return;
	actor->has_ended = true;
	switch (actor->ending) {
	case END_FINISH:
		peer_finish(sock);
		return;
	case END_CLOSE:
		peer_close(sock);
		break;
	case END_RESET:
		peer_reset(sock);
		break;
	case END_VANISH:
		trace("fd %d: its peer has vanished", sock->fd);
		break;
	}
	actor->is_done = true;
}

static bool actor_acts(struct actor *actor, bool all)
{
	struct sock *sock = actor->sock;
	uint64_t     before = kernel.moves;

	if (actor->is_done || kernel.now_ms < actor->next_ms)
		return false;
	if (sock->is_connecting) {
		if (kernel.now_ms >= actor->answer_ms)
			server_answers(actor);
		return kernel.moves != before;
	}
	if (sock->is_dead || sock->rst_out) {
		actor->is_done = true;
		return false;
	}
	actor_reads(actor, all);
	if (actor->is_done || kernel.now_ms < actor->next_ms)
		return true;
	if (sock->in_sent < actor->end_at)
		actor_sends(actor);
	else if (!actor->has_ended)
		actor_ends(actor);
	if (actor->has_ended && peer_sees_eof(sock))
		actor->is_done = true;
	if (kernel.moves != before && actor->pause > 0 && kernel_chance(actor->pause))
		actor->next_ms = kernel.now_ms + kernel_draw(kernel_chance(10) ? 1000 : 20);
	return kernel.moves != before;
}

static bool cast_acts(bool all)
{
	bool moved = false;

	while (cast.to_come > 0 && kernel.now_ms >= cast.come_ms) {
		client_arrives();
		cast.to_come--;
		cast.come_ms = kernel.now_ms + (kernel_chance(2) ? 0 : kernel_draw(300));
		moved = true;
	}
	for (int i = 0; i < cast.count; i++)
		if (all || kernel_chance(2))
			moved |= actor_acts(&cast.actors[i], all);
	return moved;
}

static uint64_t cast_next_ms(void)
{
	uint64_t next = cast.to_come > 0 ? cast.come_ms : UINT64_MAX;

	for (int i = 0; i < cast.count; i++) {
		const struct actor *actor = &cast.actors[i];
		uint64_t at = actor->sock->is_connecting ? actor->answer_ms : actor->next_ms;

		if (!actor->is_done && at > kernel.now_ms && at < next)
			next = at;
	}
	return next;
}

/* ------------------------------------------------------------------ what is expected */

/* What a hello must lead to, given that nothing else comes in between. */
struct expected {
	int         upstream; /* -1 = refused, *reason* */
	enum reason reason;
	enum alert  alert;
};

static struct expected expect_action(bool is_default, enum reason reason, enum alert alert)
{
	if (is_default && world.plan.has_fallback)
		return (struct expected){.upstream = 0};
	return (struct expected){-1, reason, alert};
}

static struct expected expect_hello(enum hello_kind says)
{
	const struct world_plan *plan = &world.plan;

	switch (says) {
	case SAYS_A:
	case SAYS_A_PADDED:
	case SAYS_A_RECORDS:
	case SAYS_TOO_MUCH:
		if (hello_of(says).len > plan->preread_buffer_size)
			return (struct expected){-1, REASON_HELLO_TOO_LONG, ALERT_DECODE_ERROR};
		return (struct expected){.upstream = 0};
	case SAYS_B:
		return (struct expected){.upstream = 1};
	case SAYS_REJECTED:
		return (struct expected){-1, REASON_REJECTED, ALERT_UNRECOGNIZED_NAME};
	case SAYS_UNKNOWN:
		return expect_action(plan->on_no_match == CONF_ACTION_DEFAULT, REASON_NO_MATCH,
		                     ALERT_UNRECOGNIZED_NAME);
	case SAYS_NO_NAME:
		return expect_action(plan->on_no_sni == CONF_ACTION_DEFAULT, REASON_NO_SNI,
		                     ALERT_UNRECOGNIZED_NAME);
	case SAYS_MALFORMED:
		return (struct expected){-1, REASON_MALFORMED, ALERT_DECODE_ERROR};
	case SAYS_PLAINTEXT:
		return expect_action(plan->on_plaintext == CONF_ACTION_DEFAULT, REASON_PLAINTEXT,
		                     ALERT_NONE);
	case SAYS_NOTHING:
	case HELLO_KINDS:
		break;
	}
	return (struct expected){-1, REASON_HELLO_TIMEOUT, ALERT_NONE};
}

/* *maybe*: the answer depends on how much had come when it was given. */
static struct expected expect_client(const struct actor *actor, bool *maybe)
{
	const struct world_plan *plan = &world.plan;

	*maybe = actor->says == SAYS_NOTHING; /* then its payload is what is read */
	if (plan->accept_proxy != CONF_PROXY_OFF && plan->trusts_proxy) {
		if (actor->header == HEADER_BAD ||
		    (actor->header == HEADER_NONE && plan->accept_proxy == CONF_PROXY_ON)) {
			*maybe = true; /* whether an alert is due depends on the first byte */
			return (struct expected){-1, REASON_PROXY_HEADER, ALERT_NONE};
		}
	} else if (plan->accept_proxy == CONF_PROXY_ON) {
		*maybe = true;
		return (struct expected){-1, REASON_PROXY_HEADER, ALERT_NONE};
	} else if (actor->header != HEADER_NONE && plan->reads_hello) {
		bool is_v2 = actor->header == HEADER_V2;

		*maybe |= is_v2; /* begins with a carriage return: plaintext as well */
		return expect_hello(SAYS_PLAINTEXT);
	}
	if (!plan->reads_hello)
		return (struct expected){.upstream = 0};
	return expect_hello(actor->says);
}

static bool is_dial_failure(enum reason reason)
{
	return reason == REASON_CONNECT_FAILED || reason == REASON_CONNECT_TIMEOUT ||
	       reason == REASON_NO_SERVER || reason == REASON_OVERLOAD;
}

static bool is_decision(enum reason reason)
{
	return reason == REASON_NO_MATCH || reason == REASON_NO_SNI || reason == REASON_REJECTED ||
	       reason == REASON_MALFORMED || reason == REASON_PLAINTEXT ||
	       reason == REASON_HELLO_TOO_LONG || reason == REASON_PROXY_HEADER;
}

static void check_expected(int number)
{
	const struct sock    *client = world.clients[number], *server = world.last_server[number];
	const struct outcome *outcome = &world.outcomes[number];
	bool                  maybe;
	struct expected       expected;

	if (client->fd < 0)
		return;
	expected = expect_client(client->actor, &maybe);
	if (server && !server->is_unconnected && !maybe &&
	    server->server / SERVERS_MAX != expected.upstream)
		fail("client %d was led to upstream %d, not %d", number,
		     server->server / SERVERS_MAX, expected.upstream);
	if (is_decision(outcome->reason) && !maybe) {
		if (expected.upstream >= 0 || outcome->reason != expected.reason)
			fail("client %d ended as %s, that is not what it said", number,
			     reason_word(outcome->reason));
		if (outcome->alert != expected.alert)
			fail("client %d was sent the alert %u, not %u", number, outcome->alert,
			     expected.alert);
	}
	if (world.plan.denies && client->peer.ip[3] == 3 && client->skip_in == 0 &&
	    (server || is_dial_failure(outcome->reason)))
		fail("client %d was not denied", number);
	if (outcome->reason == REASON_DENIED && !world.plan.denies)
		fail("client %d was denied", number);
	if (is_dial_failure(outcome->reason) && !maybe) {
		bool speaks_tls = world.plan.reads_hello &&
		                  client->stream.head[client->skip_in] == 0x16;

		if (outcome->alert != (speaks_tls ? ALERT_INTERNAL_ERROR : ALERT_NONE))
			fail("client %d was sent the alert %u when no server was to be had", number,
			     outcome->alert);
		if (outcome->tries > world.plan.tries)
			fail("client %d was tried on %u servers", number, outcome->tries);
	}
}

/* ------------------------------------------------------------------ a run */

static void seeded_run(uint64_t seed)
{
	struct world_plan plan;
	uint32_t          stop_rate;

	kernel_reset(seed, false);
	plan = draw_plan();
	world_open(&plan, seed ^ 0x5eed, false);
	kernel.dial = server_dialled;
	kernel.syn = NULL;
	kernel.act = cast_acts;
	kernel.next_ms = cast_next_ms;
	kernel.quiet = rules_check_liveness;
	cast.count = 0;
	cast.to_come = (int)(1 + kernel_draw(8));
	cast.come_ms = kernel.now_ms;
	stop_rate = kernel_chance(4) ? 10 + kernel_draw(300) : 0;
	while (cast.to_come > 0 || !runs_is_over()) {
		if (kernel.turns > TURNS_MAX)
			fail("it does not end");
		if (kernel.is_idle)
			fail("it hangs without a timer");
		world_turn();
		if (stop_rate > 0 && kernel_chance(stop_rate))
			runs_stop_something();
	}
	runs_drain_network();
	for (int i = 0; i < world.client_count; i++) {
		rules_check_end(i);
		check_expected(i);
	}
	world_close();
}

const struct sim_program sim_program = {
	.name = "simulation",
	.seeds = 100000,
	.directed = {directed_relays, directed_ends, directed_starttls, directed_sweeps,
                     directed_accepts},
	.run = seeded_run,
};
