#include "sim/directed.h"

#include "session/secure.h"
#include "sim/sim.h"
#include "sim/speaker.h"

#include <string.h>

enum { CALLERS_MAX = 12, PATIENCE_MS = 5000 };

/* TLS's ends in a scenario: clients, or servers. Who is deaf reads nothing. */
static struct {
	struct speaker     speakers[CALLERS_MAX];
	bool               is_deaf[CALLERS_MAX];
	int                count;
	struct tls_client *caller, *proxy; /* whom clients call with; whom the proxy does */
} cast;

static bool everybody_speaks(bool all)
{
	uint64_t before = kernel.moves;

	(void)all;
	for (int i = 0; i < cast.count; i++) {
		struct sock *sock = cast.speakers[i].sock;

		if (sock->is_connecting)
			continue;
		if (!cast.is_deaf[i])
			(void)peer_read(sock, UINT32_MAX);
		speaker_hear(&cast.speakers[i]);
		if (sock->in_sent < sock->wire->in_len)
			peer_send(sock, UINT32_MAX);
	}
	return kernel.moves != before;
}

static int answer_in_tls(struct sock *sock, const struct addr *to)
{
	sock->server = (to->ip[3] - 1) * SERVERS_MAX + to->port - 1000;
	world.dialled[world.dial_count++] = sock;
	CHECK(cast.count < CALLERS_MAX);
	sock->stream.base = 200000;
	speaker_answer(&cast.speakers[cast.count++], sock, speaker_contexts.tls13);
	return 0;
}

static struct world_plan terminating(void)
{
	struct world_plan plan = world_default();

	plan.tls = speaker_contexts.tls13;
	plan.handshake_timeout_ms = PATIENCE_MS;
	return plan;
}

static void open_secure(struct world_plan plan, bool with_servers)
{
	memset(&cast, 0, sizeof(cast));
	cast.caller = speaker_client_new();
	cast.proxy = speaker_client_new();
	if (with_servers)
		plan.upstream_tls = cast.proxy;
	open_world(plan);
	kernel.act = everybody_speaks;
	if (with_servers)
		kernel.dial = answer_in_tls;
}

static void close_secure(void)
{
	(void)everybody_speaks(true);
	close_world();
	for (int i = 0; i < cast.count; i++)
		speaker_fini(&cast.speakers[i]);
	tls_client_free(cast.caller);
	tls_client_free(cast.proxy);
}

/* Its hello goes out at the next turn. */
static struct speaker *call(void)
{
	struct speaker *speaker = &cast.speakers[cast.count];
	struct sock    *sock = world_connect((struct stream){.base = 1000});

	CHECK(cast.count < CALLERS_MAX);
	cast.count++;
	speaker_call(speaker, sock, cast.caller, "a.test");
	speaker_hear(speaker);
	return speaker;
}

static struct speaker *connected(void)
{
	struct speaker *speaker = call();

	settle();
	EXPECT(speaker->sock->wire->is_shaken);
	return speaker;
}

static void set_deaf(struct speaker *speaker, bool is_deaf)
{
	cast.is_deaf[speaker - cast.speakers] = is_deaf;
}

/* Its socket takes *room* bytes and passes none on. */
static void stop_up(struct speaker *speaker, uint32_t room)
{
	set_deaf(speaker, true);
	speaker->sock->window = 0;
	speaker->sock->send_cap = room;
}

static void open_up(struct speaker *speaker)
{
	set_deaf(speaker, false);
	speaker->sock->window = 4096;
	speaker->sock->send_cap = 4096;
	settle();
}

static void stop_all(void)
{
	for (int i = 0; i < world.client_count; i++)
		world.outcomes[i].was_stopped = true;
	shard_stop(&world.shard);
	settle();
}

/* ------------------------------------------------------------------ talking */

static void talk(bool with_servers)
{
	struct speaker *client;
	struct sock    *server;

	open_secure(terminating(), with_servers);
	client = connected();
	server = server_of(client->sock);
	speaker_say(client, 5000);
	settle();
	if (with_servers) {
		speaker_say(&cast.speakers[1], 7000);
		settle();
		EXPECT(server->wire->heard == 5000);
	} else {
		for (int i = 0; i < 7; i++) {
			peer_send(server, 1000);
			settle();
		}
		EXPECT(server->out_accepted == 5000);
	}
	EXPECT(client->sock->wire->heard == 7000);
	speaker_say_end(client);
	settle();
	if (with_servers) {
		EXPECT(server->wire->has_heard_end);
		speaker_say_end(&cast.speakers[1]);
	} else {
		EXPECT(server->fin_out);
		peer_finish(server);
	}
	settle();
	EXPECT(client->sock->wire->has_heard_end);
	EXPECT(outcome_of(client->sock)->ended && outcome_of(client->sock)->reason == REASON_OK);
	EXPECT(outcome_of(client->sock)->bytes_up == 5000);
	EXPECT(outcome_of(client->sock)->bytes_down == 7000);
	close_secure();
}

static void tls_ends_here_and_plain_bytes_go_on(void)
{
	talk(false);
}

static void tls_is_spoken_to_both_sides(void)
{
	talk(true);
}

static void a_client_that_just_ends_is_logged_as_cut_off(void)
{
	struct speaker *client;

	open_secure(terminating(), false);
	client = connected();
	speaker_say(client, 100);
	settle();
	peer_finish(client->sock);
	settle();
	EXPECT(server_of(client->sock)->out_accepted == 100);
	peer_finish(server_of(client->sock));
	settle();
	EXPECT(outcome_of(client->sock)->reason == REASON_TRUNCATED);
	close_secure();
}

/* Its good bytes wait for a server that does not read, and what tells first is a write to it. */
static void a_client_that_breaks_tls_is_logged_for_that_however_it_is_told(void)
{
	struct speaker *client;
	struct sock    *server;

	open_secure(terminating(), false);
	client = connected();
	server = server_of(client->sock);
	server->window = 0;
	server->send_cap = 100;
	speaker_say(client, 4000);
	speaker_garble(client);
	settle();
	EXPECT(world_conn(client->sock)->up.held > 0);
	peer_send(server, 100);
	settle();
	EXPECT(client->sock->wire->heard_alert > 0);
	pass(2200);
	EXPECT(outcome_of(client->sock)->ended && server->rst_out);
	EXPECT(outcome_of(client->sock)->reason == REASON_TRUNCATED);
	close_secure();
}

/* ------------------------------------------------------------------ ends */

/* The server answers and ends before the proxy looks. */
static void answer_and_end(const struct speaker *client)
{
	struct sock *server = server_of(client->sock);

	peer_send(server, 300);
	peer_finish(server);
}

static void expect_answer_and_end(const struct speaker *client)
{
	EXPECT(client->sock->is_finished_by_proxy);
	EXPECT(client->sock->wire->heard == 300 && client->sock->wire->has_heard_end);
}

static void expect_good_end(struct speaker *client)
{
	speaker_say_end(client);
	settle();
	EXPECT(outcome_of(client->sock)->reason == REASON_OK);
}

/* Of an answer and its end that have both come: records, close_notify and FIN in one turn, in one
 * send. */
static void an_answer_in_tls_and_its_end_leave_together(void)
{
	struct speaker *client;

	open_secure(terminating(), false);
	client = connected();
	answer_and_end(client);
	world_turn();
	EXPECT(client->sock->is_finished_by_proxy);
	settle();
	expect_answer_and_end(client);
	expect_good_end(client);
	close_secure();
}

/* The same where the client's half has ended: what is sent last goes with the end all the same. */
static void an_answer_in_tls_to_one_that_has_ended_leaves_with_its_end(void)
{
	struct speaker *client;

	open_secure(terminating(), false);
	client = connected();
	speaker_say_end(client);
	settle();
	EXPECT(server_of(client->sock)->fin_out);
	answer_and_end(client);
	world_turn();
	EXPECT(client->sock->is_finished_by_proxy);
	settle();
	expect_answer_and_end(client);
	EXPECT(outcome_of(client->sock)->reason == REASON_OK);
	close_secure();
}

/* The other way round: what close_notify is behind goes to the server with its FIN. */
static void a_clients_last_words_in_tls_and_its_end_leave_together(void)
{
	struct speaker *client;
	struct sock    *server;

	open_secure(terminating(), false);
	client = connected();
	server = server_of(client->sock);
	speaker_say(client, 300);
	speaker_say_end(client);
	peer_send(client->sock, UINT32_MAX);
	world_turn();
	EXPECT(server->out_accepted == 300 && server->is_finished_by_proxy);
	peer_finish(server);
	settle();
	EXPECT(outcome_of(client->sock)->reason == REASON_OK);
	close_secure();
}

/* What it takes at once is the beginning; the end waits for all of it. */
static void an_answer_in_tls_with_its_end_waits_for_a_slow_reader(void)
{
	struct speaker *client;

	open_secure(terminating(), false);
	client = connected();
	stop_up(client, 100);
	answer_and_end(client);
	settle();
	EXPECT(!client->sock->is_finished_by_proxy);
	open_up(client);
	expect_answer_and_end(client);
	expect_good_end(client);
	close_secure();
}

/* A server that has ended and is then reset: its bytes wait for the client no longer than those of
 * one that was reset at once. */
static void a_server_reset_behind_its_end_does_not_wait_long_for_a_slow_reader(void)
{
	struct speaker *client;

	open_secure(terminating(), false);
	client = connected();
	stop_up(client, 100);
	answer_and_end(client);
	settle();
	peer_reset(server_of(client->sock));
	settle();
	pass(2200);
	EXPECT(outcome_of(client->sock)->ended);
	EXPECT(outcome_of(client->sock)->reason == REASON_UPSTREAM_RESET);
	close_secure();
}

/* ------------------------------------------------------------------ slow readers */

static void a_client_that_does_not_read_holds_back_its_server(void)
{
	struct speaker *client;
	struct sock    *server;
	uint32_t        limit;

	open_secure(terminating(), false);
	client = connected();
	server = server_of(client->sock);
	stop_up(client, 2000);
	for (int i = 0; i < 50; i++) {
		peer_send(server, 1000);
		settle();
	}
	limit = client->sock->send_cap + 2 * world.plan.sizes.buffer_size;
	EXPECT(server->in_read > 0 && server->in_read <= limit);
	EXPECT(world.shard.buffers.leased == 0);
	open_up(client);
	EXPECT(client->sock->wire->heard == server->in_sent);
	stop_all();
	close_secure();
}

/* The receive from the server was begun before. */
static void what_lands_while_new_keys_are_confirmed_keeps_no_buffer(void)
{
	struct speaker *client;
	struct sock    *server;

	open_secure(terminating(), false);
	client = connected();
	server = server_of(client->sock);
	stop_up(client, 20);
	speaker_update_keys(client);
	speaker_say(client, 1);
	settle();
	EXPECT(server->out_accepted == 1);
	EXPECT(secure_is_sending(&world_conn(client->sock)->client));
	peer_send(server, 100);
	settle();
	EXPECT(server->in_read == 100 && world.shard.buffers.leased == 0);
	open_up(client);
	EXPECT(client->sock->wire->heard == 100);
	stop_all();
	close_secure();
}

/* Each is answered, and nobody takes the answers. */
static void who_asks_for_new_keys_for_ever_is_read_no_more(void)
{
	enum { UPDATES = 9000 };
	struct speaker    *client;
	struct sock       *server;
	const struct side *side;
	struct world_plan  plan = terminating();

	plan.floods = true;
	open_secure(plan, false);
	client = connected();
	server = server_of(client->sock);
	stop_up(client, 20);
	for (int i = 0; i < UPDATES; i++) {
		speaker_update_keys(client);
		speaker_say(client, 1);
		if (i % 50 == 49)
			settle();
		(void)peer_read(server, UINT32_MAX);
	}
	side = &world_conn(client->sock)->client;
	EXPECT(side->secure->was_full && secure_is_sending(side));
	EXPECT(side->secure->output_end <= world.shard.records_size);
	EXPECT(server->out_accepted > UPDATES / 4 && server->out_accepted < UPDATES);
	EXPECT(world.shard.buffers.leased == 0);
	stop_all();
	close_secure();
}

static void a_refused_client_that_has_ended_is_told_why_to_the_last_byte(void)
{
	struct speaker *client;

	open_secure(terminating(), false);
	for (int i = 0; i < SERVERS_MAX; i++)
		world.answers[i] = DIAL_IGNORED;
	client = connected();
	stop_up(client, 10);
	peer_finish(client->sock);
	for (int i = 0; i < 2; i++)
		pass(world.plan.connect_timeout_ms);
	EXPECT(world_conn(client->sock) && world_conn(client->sock)->state == CONN_REFUSE);
	EXPECT(client->sock->wire->heard_alert == 0);
	open_up(client);
	EXPECT(client->sock->wire->heard_alert == ALERT_INTERNAL_ERROR);
	EXPECT(outcome_of(client->sock)->reason == REASON_CONNECT_TIMEOUT);
	close_secure();
}

/* ------------------------------------------------------------------ PostgreSQL */

/* A client whose handshake is done and who has said nothing yet. */
static struct speaker *asked_for_tls(void)
{
	static const uint8_t request[] = {0, 0, 0, 8, 4, 210, 22, 47};
	static const uint8_t startup[] = {0, 0, 0, 15, 0, 3, 0, 0, 'u', 's', 'e', 'r', 0, 'x', 0};
	struct world_plan    plan = terminating();
	struct speaker      *client = &cast.speakers[0];

	plan.starttls = true;
	open_secure(plan, false);
	speaker_call(client, world_connect((struct stream){startup, sizeof(startup), 1000}),
	             cast.caller, "a.test");
	client->awaits = 1;
	speaker_put_raw(client, request, sizeof(request));
	cast.count = 1;
	settle();
	EXPECT(client->sock->wire->is_shaken);
	EXPECT(world_conn(client->sock)->state == CONN_FIRST && world.dial_count == 0);
	return client;
}

static void new_keys_are_confirmed_ahead_of_the_first_packet(void)
{
	struct speaker *client = asked_for_tls();
	uint32_t        read = client->sock->out_read;

	speaker_update_keys(client);
	speaker_say(client, 4);
	settle();
	EXPECT(client->sock->out_read > read && world.dial_count == 0);
	speaker_say(client, 11);
	settle();
	EXPECT(server_of(client->sock)->out_accepted == 15);
	stop_all();
	close_secure();
}

static void a_broken_first_packet_is_logged_with_its_alert(void)
{
	enum { BAD_RECORD_MAC = 20 };
	struct speaker *client = asked_for_tls();

	speaker_say(client, 4);
	speaker_garble(client);
	settle();
	peer_finish(client->sock);
	settle();
	EXPECT(client->sock->wire->heard_alert == BAD_RECORD_MAC);
	EXPECT(outcome_of(client->sock)->reason == REASON_HANDSHAKE_FAILED);
	EXPECT(outcome_of(client->sock)->alert == BAD_RECORD_MAC);
	close_secure();
}

/* ------------------------------------------------------------------ turns */

static int count_begun(struct speaker *const callers[], int count)
{
	int begun = 0;

	for (int i = 0; i < count; i++) {
		const struct conn *c = world_conn(callers[i]->sock);

		if (!c || !c->client.secure || !c->client.secure->session)
			continue;
		if (begun < i)
			fail("client %d had its turn before an earlier one", i);
		begun++;
	}
	return begun;
}

/* A look at the clock after each of them takes *look_us*: at most *most* begin in a turn. */
static void storm(uint64_t look_us, int most)
{
	enum { STORM = 8, BYTES = 10 };
	struct speaker *running, *callers[STORM];
	struct sock    *server;
	int             begun = 0, turns = 0;

	open_secure(terminating(), false);
	running = connected();
	server = server_of(running->sock);
	kernel.look_us = look_us;
	for (int i = 0; i < STORM; i++)
		callers[i] = call();
	while (begun < STORM) {
		int before = begun;

		speaker_say(running, BYTES);
		world_turn();
		begun = count_begun(callers, STORM);
		EXPECT(begun - before <= most);
		/* Those that wait for a turn get one. */
		EXPECT(before == 0 || begun > before);
		turns++;
		/* Whoever runs takes his two turns for a byte from the client to the server. */
		EXPECT(server->out_accepted + 3 * BYTES >= (uint32_t)(turns * BYTES));
		EXPECT(turns < 100);
	}
	EXPECT(turns >= STORM / most);
	kernel.look_us = 0;
	settle();
	for (int i = 0; i < STORM; i++)
		EXPECT(callers[i]->sock->wire->is_shaken);
	stop_all();
	close_secure();
}

static void a_storm_of_handshakes_is_served_in_order_within_its_share_of_a_turn(void)
{
	storm(300, 2);
}

static void however_long_a_handshake_takes_each_turn_serves_one(void)
{
	storm(100000, 1);
}

static void a_client_that_goes_no_further_is_ended_by_its_timeout(void)
{
	struct speaker *client;

	open_secure(terminating(), false);
	client = call();
	set_deaf(client, true);
	settle();
	pass(PATIENCE_MS);
	EXPECT(outcome_of(client->sock)->reason == REASON_HANDSHAKE_TIMEOUT);
	EXPECT(world.dial_count == 0);
	close_secure();
}

const struct directed directed_secure[] = {
	DIRECTED(tls_ends_here_and_plain_bytes_go_on),
	DIRECTED(tls_is_spoken_to_both_sides),
	DIRECTED(a_client_that_just_ends_is_logged_as_cut_off),
	DIRECTED(a_client_that_breaks_tls_is_logged_for_that_however_it_is_told),
	DIRECTED(an_answer_in_tls_and_its_end_leave_together),
	DIRECTED(an_answer_in_tls_to_one_that_has_ended_leaves_with_its_end),
	DIRECTED(a_clients_last_words_in_tls_and_its_end_leave_together),
	DIRECTED(an_answer_in_tls_with_its_end_waits_for_a_slow_reader),
	DIRECTED(a_server_reset_behind_its_end_does_not_wait_long_for_a_slow_reader),
	DIRECTED(a_client_that_does_not_read_holds_back_its_server),
	DIRECTED(what_lands_while_new_keys_are_confirmed_keeps_no_buffer),
	DIRECTED(who_asks_for_new_keys_for_ever_is_read_no_more),
	DIRECTED(a_refused_client_that_has_ended_is_told_why_to_the_last_byte),
	DIRECTED(new_keys_are_confirmed_ahead_of_the_first_packet),
	DIRECTED(a_broken_first_packet_is_logged_with_its_alert),
	DIRECTED(a_storm_of_handshakes_is_served_in_order_within_its_share_of_a_turn),
	DIRECTED(however_long_a_handshake_takes_each_turn_serves_one),
	DIRECTED(a_client_that_goes_no_further_is_ended_by_its_timeout),
	{NULL, NULL},
};
