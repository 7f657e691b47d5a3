#include "sim/rules.h"
#include "sim/runs.h"
#include "sim/sim.h"
#include "sim/speaker.h"
#include "sim/world.h"

#include <errno.h>
#include <string.h>

/* What an actor does when it has said all that it is going to say. */
enum ending {
	END_FINISH, /* close_notify, then a FIN, at once or when the other end has come */
	END_CUT,    /* a FIN alone; of a plain actor: END_FINISH */
	END_CLOSE,
	END_RESET,
	END_VANISH,
	END_GARBLE,
	ENDINGS
};

/* A client or a server, that speaks TLS or plainly. */
struct actor {
	struct sock   *sock;
	struct speaker speaker; /* session NULL: it speaks plainly */
	bool           is_server;
	bool           is_done, has_ended;
	bool           waits_eof;  /* it ends only once it has read an end */
	bool           keeps_open; /* close_notify, and no FIN before the other end */
	enum ending    ending;
	uint32_t       end_at;             /* bytes said before it ends */
	uint32_t       quit_at;            /* ends amid the handshake, having read so much */
	uint32_t       piece;              /* says at most so much at once */
	uint32_t       ahead;              /* says no more while so much waits on the wire */
	uint32_t       wait_heard;         /* says something only when it has heard so much */
	uint32_t       stall_at, stall_ms; /* stops reading here, for so long */
	uint32_t       update;             /* one in so many pieces goes with a KeyUpdate */
	uint32_t       updates_left;       /* its own library takes no flood of answers */
	uint32_t       pause;              /* one in so many acts is followed by a pause */
	uint64_t       next_ms;
	uint64_t       answer_ms; /* server: when it answers the connect */
	enum { ANSWERS, REFUSES, IGNORES } answer;
	int name; /* client: in *names* */
};

enum { ACTORS_MAX = 64, TURNS_MAX = 300000, NEVER = -1 };

static const struct {
	const char *name;
	int         upstream; /* -1: it is refused */
} names[] = {{"a.test", 0}, {"b.test", 1}, {"r.test", -1}, {"www.example.com", -1}};

static struct {
	struct actor       actors[ACTORS_MAX];
	int                count;
	int                to_come; /* clients that have not connected yet */
	uint64_t           come_ms;
	uint32_t           scale; /* of payloads */
	bool               clients_speak, servers_speak;
	struct tls_client *callers; /* what clients call with */
	/* Servers; of one version, for a server that changes to another resumes nothing. */
	const struct tls_context *answers;
} cast;

/* ------------------------------------------------------------------ drawing */

static struct worker_sizes draw_sizes(void)
{
	uint32_t shift = kernel_draw(8);

	/* Large payloads are moved in large pieces, so that no world takes long. */
	cast.scale = shift < 4 ? 1 : shift < 6 ? 8 : 64;
	return (struct worker_sizes){
		.max_connections = 2 + kernel_draw(8),
		.ring_entries = 64,
		.recv_buffers = 1u << kernel_draw(4),
		.buffer_size = (64u << kernel_draw(4)) * (cast.scale == 64 ? 32 : cast.scale),
		.pipe_pool = kernel_draw(3),
		.pipe_size = 4096,
		.pending_hellos = 1 + kernel_draw(6),
		.lingering = kernel_draw(4),
		.zero_copy = kernel_chance(2) ? CONF_ZERO_COPY_SPLICE : CONF_ZERO_COPY_OFF,
	};
}

/* TLS with the clients, with the servers, or with both. */
static void draw_speakers(struct world_plan *plan)
{
	uint32_t kind = kernel_draw(4);

	cast.clients_speak = kind != 0;
	cast.servers_speak = kind == 0 || kind == 1;
	if (cast.clients_speak)
		plan->tls = kernel_chance(3) ? speaker_contexts.tls12 : speaker_contexts.tls13;
	if (cast.clients_speak)
		cast.callers = speaker_client_new();
	if (cast.servers_speak)
		plan->upstream_tls = speaker_client_new();
	cast.answers = kernel_chance(3) ? speaker_contexts.tls12 : speaker_contexts.tls13;
	plan->starttls = cast.clients_speak && kernel_chance(6);
	plan->reads_hello = cast.clients_speak;
}

static struct world_plan draw_plan(void)
{
	struct world_plan plan = {
		.sizes = draw_sizes(),
		.on_no_match = CONF_ACTION_REJECT,
		.on_no_sni = CONF_ACTION_REJECT,
		.on_plaintext = CONF_ACTION_REJECT,
		.accept_proxy = kernel_chance(4) ? CONF_PROXY_ON : CONF_PROXY_OFF,
		.trusts_proxy = true,
		.preread_timeout_ms = 500 + kernel_draw(3000),
		.preread_buffer_size = 4096u << kernel_draw(2),
		.max_conns = kernel_chance(8) ? 1 + kernel_draw(3) : 0,
		.session_timeout_ms = kernel_chance(8) ? 100 + kernel_draw(5000) : 0,
		.proxy_timeout_ms = 200 + kernel_draw(8000),
		.half_close_timeout_ms = 100 + kernel_draw(4000),
		.connect_timeout_ms = 50 + kernel_draw(1000),
		.handshake_timeout_ms = 100 + kernel_draw(3000),
		.tries = (uint8_t)(1 + kernel_draw(3)),
		.max_fails = kernel_draw(3),
		.servers = 1 + kernel_draw(SERVERS_MAX),
		.fastopen = kernel_chance(2),
		.balance = BALANCE_ROUND_ROBIN,
		.send_proxy = (enum proxyproto_version)(kernel_chance(2) ? 0 : 1 + kernel_draw(2)),
		.fault_rate = kernel_chance(3) ? 0 : 8 + kernel_draw(60),
		.is_old = kernel_chance(3),
	};

	draw_speakers(&plan);
	return plan;
}

static uint32_t draw_most(uint32_t most)
{
	return most * cast.scale;
}

static struct actor *actor_new(struct sock *sock)
{
	struct actor *actor;

	CHECK(cast.count < ACTORS_MAX);
	actor = &cast.actors[cast.count++];
	*actor = (struct actor){
		.sock = sock,
		.ending = kernel_chance(3) ? (enum ending)kernel_draw(ENDINGS) : END_FINISH,
		.waits_eof = kernel_chance(3),
		.keeps_open = kernel_chance(3),
		.quit_at = kernel_chance(10) ? runs_draw_size(2000) : UINT32_MAX,
		.piece = draw_most(kernel_chance(4) ? 1 + kernel_draw(40) : 1 + kernel_draw(2000)),
		.ahead = kernel_chance(2) ? 1 : draw_most(kernel_draw(2000)),
		.stall_at = kernel_chance(3) ? runs_draw_size(draw_most(2000)) : UINT32_MAX,
		.stall_ms = kernel_chance(8) ? 100000 : kernel_draw(4000),
		.update = kernel_chance(3) ? 1 + kernel_draw(8) : 0,
		.updates_left = 16,
		.pause = kernel_chance(2) ? 1 + kernel_draw(20) : 0,
	};
	sock->actor = actor;
	sock->stream.base = kernel_draw(PAYLOAD_MAX);
	sock->send_cap = draw_most(200 + runs_draw_size(4000));
	sock->recv_cap = draw_most(50 + runs_draw_size(4000));
	sock->window = draw_most(50 + runs_draw_size(4000));
	return actor;
}

/* All, or for an ending that is no proper one: some of it. */
static uint32_t draw_end(const struct actor *actor, uint32_t total)
{
	return actor->ending == END_FINISH || kernel_chance(3) ? total : runs_draw_size(total);
}

/* ------------------------------------------------------------------ arriving */

static size_t write_header(struct sock *sock, uint8_t header[PROXYPROTO_OUT_MAX])
{
	static const struct addr source = {
		.ip = {203, 0, 113, 5}, .port = 4321, .family = ADDR_IP4};
	static const struct addr local = {.ip = {203, 0, 113, 6}, .port = 443, .family = ADDR_IP4};

	if (world.plan.accept_proxy == CONF_PROXY_OFF)
		return 0;
	world_expect_header(sock, &source, &local);
	return proxyproto_write(PROXYPROTO_V2, &source, &local, header);
}

/* As PostgreSQL's clients do: "may I?", and its first packet inside TLS. */
static void ask_for_tls(struct actor *actor)
{
	static const uint8_t request[] = {0, 0, 0, 8, 4, 210, 22, 47};
	static const uint8_t startup[] = {0, 0, 0, 15, 0, 3, 0, 0, 'u', 's', 'e', 'r', 0, 'x', 0};

	speaker_put_raw(&actor->speaker, request, sizeof(request));
	actor->speaker.awaits = 1;
	actor->sock->stream.head = startup;
	actor->sock->stream.head_len = sizeof(startup);
	actor->end_at += sizeof(startup);
}

static void client_arrives(void)
{
	static uint8_t headers[CLIENTS_MAX][PROXYPROTO_OUT_MAX];
	struct sock   *sock = world_connect((struct stream){0});
	uint8_t       *header = headers[sock->peer.port - CLIENT_PORT];
	struct actor  *actor = actor_new(sock);
	size_t         len = write_header(sock, header);

	actor->name = (int)(kernel_chance(8) ? kernel_draw(COUNT(names)) : kernel_draw(2));
	actor->end_at = draw_end(actor, runs_draw_size(draw_most(3000)));
	actor->wait_heard = kernel_chance(4) ? kernel_draw(200) : 0;
	if (cast.clients_speak) {
		speaker_call(&actor->speaker, sock, cast.callers, names[actor->name].name);
		speaker_put_raw(&actor->speaker, header, len);
		if (world.plan.starttls)
			ask_for_tls(actor);
		speaker_hear(&actor->speaker);
		return;
	}
	sock->stream.head = header;
	sock->stream.head_len = sock->skip_in = (uint32_t)len;
	actor->end_at += (uint32_t)len;
}

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
	actor->end_at = draw_end(actor, runs_draw_size(draw_most(3000)));
	actor->wait_heard = kernel_chance(2) ? kernel_draw(500) : 0;
	if (cast.servers_speak)
		speaker_answer(&actor->speaker, sock, cast.answers);
	return 0;
}

static void server_answers(struct actor *actor)
{
	if (actor->answer == ANSWERS)
		peer_accept(actor->sock);
	else if (actor->answer == REFUSES)
		peer_refuse(actor->sock, ECONNREFUSED);
	actor->is_done |= actor->answer != ANSWERS;
}

/* ------------------------------------------------------------------ reading */

static void actor_reads(struct actor *actor, bool all)
{
	struct sock *sock = actor->sock;
	uint32_t     unread = sock->out_delivered - sock->out_read, n;

	if (unread == 0)
		return;
	if (sock->out_read >= actor->stall_at) {
		/* Once; then it reads again. */
		actor->next_ms = kernel.now_ms + actor->stall_ms;
		actor->stall_at = UINT32_MAX;
		return;
	}
	n = all || kernel_chance(2) ? unread : 1 + kernel_draw(unread);
	n = min_u32(n, actor->stall_at - sock->out_read);
	(void)peer_read(sock, n);
	if (sock->wire)
		speaker_hear(&actor->speaker);
}

/* ------------------------------------------------------------------ saying */

static bool is_waiting(const struct actor *actor)
{
	const struct sock *sock = actor->sock;
	uint32_t           heard = sock->wire ? sock->wire->heard : sock->out_read;

	if (sock->wire && sock->wire->said < sock->stream.head_len)
		return false;
	return heard < actor->wait_heard && !sock->fin_delivered && !sock->rst_out &&
	       !(sock->wire && sock->wire->has_heard_end);
}

/* Puts some on the wire, if there is anything to be said now. */
static void actor_speaks(struct actor *actor)
{
	struct sock *sock = actor->sock;
	struct wire *wire = sock->wire;

	if (!wire->is_shaken || wire->is_garbled || wire->end_at > 0 || actor->speaker.has_failed ||
	    is_waiting(actor) || wire->said >= actor->end_at ||
	    wire->in_len - sock->in_sent >= actor->ahead)
		return;
	if (actor->update > 0 && actor->updates_left > 0 && kernel_chance(actor->update)) {
		actor->updates_left--;
		speaker_update_keys(&actor->speaker);
	}
	speaker_say(&actor->speaker, min_u32(actor->piece, actor->end_at - wire->said));
}

static void actor_talks(struct actor *actor)
{
	struct sock *sock = actor->sock;
	uint32_t     n = actor->piece;

	if (sock->wire)
		actor_speaks(actor);
	else
		n = min_u32(n, actor->end_at - sock->in_sent);
	if (!sock->wire && is_waiting(actor) && sock->in_sent >= sock->stream.head_len)
		return;
	if (!sock->wire && is_waiting(actor))
		n = min_u32(n, sock->stream.head_len - sock->in_sent);
	if (n > 0 && !(sock->wire && sock->in_sent == sock->wire->in_len))
		peer_send(sock, n);
}

/* ------------------------------------------------------------------ ending */

static bool has_sent_all(const struct actor *actor)
{
	const struct sock *sock = actor->sock;

	if (!sock->wire)
		return sock->in_sent >= actor->end_at;
	return sock->in_sent == sock->wire->in_len;
}

static bool wants_to_end(const struct actor *actor)
{
	const struct sock *sock = actor->sock;
	const struct wire *wire = sock->wire;

	if (!has_sent_all(actor))
		return false;
	if (!wire)
		return true;
	if (!wire->is_shaken && !actor->speaker.has_failed)
		return sock->out_read >= actor->quit_at;
	return wire->said >= actor->end_at || actor->speaker.has_failed || wire->is_garbled ||
	       wire->end_at > 0;
}

/* True: a last word is on the wire now, to be sent first. */
static bool says_last_word(struct actor *actor)
{
	struct wire *wire = actor->sock->wire;

	if (!wire || wire->is_garbled || wire->end_at > 0 || actor->speaker.has_failed ||
	    actor->sock->out_read < actor->speaker.awaits)
		return false;
	if (actor->ending == END_GARBLE) {
		speaker_garble(&actor->speaker);
		return true;
	}
	if (!wire->is_shaken || (actor->ending != END_FINISH && actor->ending != END_CLOSE))
		return false;
	speaker_say_end(&actor->speaker);
	return true;
}

static bool hears_end(const struct actor *actor)
{
	const struct wire *wire = actor->sock->wire;

	return peer_sees_eof(actor->sock) ||
	       (wire && (wire->has_heard_end || actor->speaker.has_failed));
}

static void actor_ends(struct actor *actor)
{
	struct sock *sock = actor->sock;
	bool         is_shaken = sock->wire && sock->wire->is_shaken;

	if (actor->waits_eof && !hears_end(actor) && actor->ending != END_VANISH &&
	    (is_shaken || !sock->wire))
		return;
	if (says_last_word(actor))
		return;
	if (actor->keeps_open && sock->wire && sock->wire->end_at > 0 && !peer_sees_eof(sock))
		return;
	actor->has_ended = true;
	switch (actor->ending) {
	case END_FINISH:
	case END_CUT:
	case END_GARBLE:
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
	case ENDINGS:
		break;
	}
	actor->is_done = true;
}

/* ------------------------------------------------------------------ acting */

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
	if (kernel.now_ms < actor->next_ms)
		return true;
	actor_talks(actor);
	if (!actor->has_ended && wants_to_end(actor))
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

static void check_expected(int number)
{
	const struct sock    *client = world.clients[number], *server = world.last_server[number];
	const struct outcome *outcome = &world.outcomes[number];
	int                   expected;

	if (client->fd < 0)
		return;
	expected = cast.clients_speak ? names[client->actor->name].upstream : 0;
	if (server && !server->is_unconnected && server->server / SERVERS_MAX != expected)
		fail("client %d was led to upstream %d, not %d", number,
		     server->server / SERVERS_MAX, expected);
	if (expected >= 0 &&
	    (outcome->reason == REASON_REJECTED || outcome->reason == REASON_NO_MATCH))
		fail("client %d was refused: %s", number, reason_word(outcome->reason));
	if (outcome->reason == REASON_MALFORMED || outcome->reason == REASON_PLAINTEXT ||
	    outcome->reason == REASON_HELLO_TOO_LONG || outcome->reason == REASON_PROXY_HEADER)
		fail("client %d was not understood: %s", number, reason_word(outcome->reason));
}

/* ------------------------------------------------------------------ a run */

static void cast_fini(void)
{
	for (int i = 0; i < cast.count; i++)
		speaker_fini(&cast.actors[i].speaker);
	cast.count = 0;
	tls_client_free(cast.callers);
	tls_client_free(world.plan.upstream_tls);
	cast.callers = NULL;
	world.plan.upstream_tls = NULL;
}

/* What the network brought last, they hear, too. */
static void cast_hears_all(void)
{
	for (int i = 0; i < cast.count; i++)
		if (cast.actors[i].sock->wire && cast.actors[i].sock->was_connected)
			speaker_hear(&cast.actors[i].speaker);
}

static void run_secure(uint64_t seed)
{
	struct world_plan plan;
	uint32_t          stop_rate;

	kernel_reset(seed, false);
	cast.count = 0;
	plan = draw_plan();
	world_open(&plan, seed ^ 0x5eed, false);
	kernel.dial = server_dialled;
	kernel.syn = NULL;
	kernel.act = cast_acts;
	kernel.next_ms = cast_next_ms;
	kernel.quiet = rules_check_liveness;
	/* Memory as short as TLS can do with, so that there is no room at times. */
	if (kernel_chance(2))
		world.shard.records_size = TLS_RECORD_MAX + 512 + kernel_draw(2048);
	kernel.look_us = kernel_chance(2) ? 0 : kernel_draw(700);
	cast.to_come = (int)(1 + kernel_draw(6));
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
	cast_hears_all();
	for (int i = 0; i < world.client_count; i++) {
		rules_check_end(i);
		check_expected(i);
	}
	world_close();
	cast_fini();
}

const struct sim_program sim_program = {
	.name = "secure_simulation",
	.seeds = 2000,
	.directed = {directed_secure},
	.run = run_secure,
	.open = speaker_contexts_open,
	.close = speaker_contexts_close,
};
