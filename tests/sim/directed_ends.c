#include "sim/directed.h"
#include "sim/sim.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

/* ------------------------------------------------------------------ connecting */

static void a_connect_timeout_tries_the_next_server(void)
{
	struct sock *client;

	open_world(world_default());
	world.answers[0] = world.answers[1] = DIAL_IGNORED;
	client = connect_saying(SAYS_A);
	EXPECT(world.dial_count == 1);
	world.answers[0] = world.answers[1] = DIAL_ACCEPTED;
	pass(1000);
	EXPECT(world.dial_count == 2 && !world.dialled[0]->is_open);
	EXPECT(world.dialled[0]->server != world.dialled[1]->server);
	pump(client, server_of(client), 1000);
	finish(client);
	EXPECT(outcome_of(client)->tries == 2);
	close_world();
}

static void a_connect_that_races_its_timeout_wins(void)
{
	struct sock *client;

	open_world(world_default());
	world.answers[0] = world.answers[1] = DIAL_IGNORED;
	client = connect_saying(SAYS_A);
	kernel.held_kinds = BIT(OP_SEND);
	peer_accept(world.dialled[0]);
	settle();
	pass(1000);
	kernel.held_kinds = 0;
	settle();
	EXPECT(world.dial_count == 1);
	pump(client, server_of(client), 1000);
	finish(client);
	close_world();
}

static void a_refused_connect_tries_the_next_server_then_refuses(void)
{
	struct sock *client;

	open_world(world_default());
	world.answers[0] = DIAL_REFUSED;
	world.answers[1] = DIAL_FAILS_AT_ONCE;
	client = connect_saying(SAYS_A);
	EXPECT(peer_read(client, UINT32_MAX) == 7 && client->alert[6] == ALERT_INTERNAL_ERROR &&
	       peer_sees_eof(client));
	peer_finish(client);
	settle();
	EXPECT(outcome_of(client)->reason == REASON_CONNECT_FAILED &&
	       outcome_of(client)->tries == 2);
	close_world();
}

static void our_own_shortage_is_no_servers_fault(void)
{
	for (int fast = 0; fast < 2; fast++) {
		struct world_plan plan = world_default();
		struct sock      *client;

		plan.fastopen = fast;
		open_world(plan);
		world.answers[0] = world.answers[1] = DIAL_SHORTAGE;
		client = connect_saying(SAYS_A);
		peer_finish(client);
		settle();
		EXPECT(outcome_of(client)->reason == REASON_OVERLOAD &&
		       outcome_of(client)->tries == 1);
		EXPECT(world.server_states[0][0].failed_total +
		               world.server_states[0][1].failed_total ==
		       0);
		close_world();
	}
}

/* ------------------------------------------------------------------ connecting with data in the
 * SYN */

/* A client whose hello has gone with the SYN to a server that answers as told; PROXY header and
 * all. */
static struct sock *connect_fast(enum dial_answer first, enum dial_answer second)
{
	struct world_plan plan = world_default();
	struct sock      *client;

	plan.fastopen = true;
	plan.send_proxy = PROXYPROTO_V1;
	open_world(plan);
	kernel.has_cookies = true;
	world.answers[0] = first;
	world.answers[1] = second;
	client = connect_saying(SAYS_A);
	EXPECT(world.dial_count > 0);
	return client;
}

static void what_a_syn_took_is_sent_once_and_counted_once_the_server_has_answered(void)
{
	struct sock *client = connect_fast(DIAL_IGNORED, DIAL_ACCEPTED);

	EXPECT(world.dialled[0]->out_accepted > client->header_len);
	EXPECT(world_conn(client)->state == CONN_DIAL && world_conn(client)->up.bytes == 0);
	pass(100);
	EXPECT(world_conn(client)->hello);
	peer_accept(world.dialled[0]);
	settle();
	EXPECT(world.dial_count == 1 && !world_conn(client)->hello);
	EXPECT(world_conn(client)->up.bytes == client->in_sent + client->header_len);
	EXPECT(world_conn(client)->connect_ms >= 100);
	pump(client, server_of(client), 1000);
	finish(client);
	close_world();
}

static void a_refused_syn_gives_the_next_server_all_that_it_took(void)
{
	struct sock *client = connect_fast(DIAL_REFUSED, DIAL_ACCEPTED);

	EXPECT(world.dial_count == 2 && !world.dialled[0]->is_open);
	EXPECT(world.dialled[0]->out_accepted > client->header_len);
	EXPECT(world.server_states[0][0].failed_total == 1);
	EXPECT(server_of(client)->out_accepted == client->in_sent + client->header_len);
	pump(client, server_of(client), 1000);
	finish(client);
	EXPECT(outcome_of(client)->tries == 2);
	close_world();
}

static void a_syn_that_cannot_be_sent_tries_the_next_server(void)
{
	struct sock *client = connect_fast(DIAL_FAILS_AT_ONCE, DIAL_ACCEPTED);

	EXPECT(world.dial_count == 1 && world.dialled[0]->server == 1);
	EXPECT(world.server_states[0][0].failed_total == 1);
	pump(client, server_of(client), 1000);
	finish(client);
	EXPECT(outcome_of(client)->tries == 2);
	close_world();
}

static void where_no_fast_open_is_allowed_the_same_socket_connects(void)
{
	static const enum dial_answer firsts[] = {DIAL_ACCEPTED, DIAL_REFUSED, DIAL_FAILS_AT_ONCE};

	for (size_t i = 0; i < COUNT(firsts); i++) {
		struct world_plan plan = world_default();
		struct sock      *client;
		int               dials = firsts[i] == DIAL_REFUSED ? 2 : 1;

		plan.fastopen = true;
		open_world(plan);
		kernel.denies_fastopen = true;
		world.answers[0] = firsts[i];
		client = connect_saying(SAYS_A);
		EXPECT(world.dial_count == dials && world.dialled[dials - 1]->was_connected);
		EXPECT(world.server_states[0][0].failed_total == (firsts[i] != DIAL_ACCEPTED));
		pump(client, server_of(client), 1000);
		finish(client);
		EXPECT(outcome_of(client)->tries == (firsts[i] == DIAL_ACCEPTED ? 1 : 2));
		/* A socket each, the client's too. */
		EXPECT((int)kernel.sock_count == 1 + outcome_of(client)->tries);
		close_world();
	}
}

static void where_no_fast_open_is_allowed_the_connect_has_its_time(void)
{
	struct world_plan plan = world_default();
	struct sock      *client;

	plan.fastopen = true;
	open_world(plan);
	kernel.denies_fastopen = true;
	world.answers[0] = DIAL_IGNORED;
	client = connect_saying(SAYS_A);
	pass(900);
	EXPECT(world.dial_count == 1);
	pass(100);
	EXPECT(world.dial_count == 2 && !world.dialled[0]->is_open);
	finish(client);
	close_world();
}

static void an_unanswered_syn_that_took_data_times_out(void)
{
	struct sock *client = connect_fast(DIAL_IGNORED, DIAL_ACCEPTED);

	pass(900);
	EXPECT(world.dial_count == 1);
	pass(100);
	EXPECT(world.dial_count == 2 && !world.dialled[0]->is_open);
	pump(client, server_of(client), 1000);
	finish(client);
	close_world();
}

static void a_syn_that_took_nothing_is_a_connect_like_any_other(void)
{
	struct world_plan plan = world_default();
	struct sock      *client;

	plan.fastopen = true;
	open_world(plan);
	world.answers[0] = DIAL_IGNORED;
	client = connect_saying(SAYS_A);
	EXPECT(world.dial_count == 1 && world.dialled[0]->out_accepted == 0);
	peer_accept(world.dialled[0]);
	settle();
	EXPECT(world.dialled[0]->out_accepted == client->in_sent);
	pump(client, server_of(client), 1000);
	finish(client);
	EXPECT(outcome_of(client)->tries == 1);
	close_world();
}

static void a_stop_while_a_syn_is_unanswered_ends_the_session(void)
{
	struct sock *client = connect_fast(DIAL_IGNORED, DIAL_IGNORED);

	conn_stop(world_conn(client), REASON_DRAINED);
	world.outcomes[0].was_stopped = true;
	settle();
	EXPECT(outcome_of(client)->ended && outcome_of(client)->reason == REASON_DRAINED);
	EXPECT(outcome_of(client)->bytes_up == 0);
	close_world();
}

static void without_a_greeting_nothing_is_opened_fast(void)
{
	struct world_plan plan = blind();
	struct sock      *client;

	plan.fastopen = true;
	open_world(plan);
	kernel.has_cookies = true;
	client = world_connect((struct stream){NULL, 0, 1000});
	settle();
	EXPECT(world.dial_count == 1 && world.dialled[0]->was_connected);
	pump(server_of(client), client, 1000);
	finish(client);
	close_world();
}

/* ------------------------------------------------------------------ resets */

static void a_reset_delivers_what_was_held_then_resets(void)
{
	static const enum conf_zero_copy copies[] = {CONF_ZERO_COPY_OFF, CONF_ZERO_COPY_SPLICE,
	                                             CONF_ZERO_COPY_URING};

	for (size_t i = 0; i < COUNT(copies); i++) {
		struct sock *client, *server;

		open_world(copying(copies[i]));
		kernel.window = 100;
		client = connect_saying(SAYS_A);
		server = server_of(client);
		server->window = 4096;
		peer_send(server, 4096);
		settle();
		peer_send(server, 4096);
		settle();
		peer_reset(server);
		settle();
		EXPECT(client->is_open);
		for (int j = 0; j < 200; j++) {
			(void)peer_read(client, UINT32_MAX);
			pass(20);
		}
		EXPECT(client->out_read == server->in_sent);
		EXPECT(client->rst_out && client->is_reset_by_proxy);
		EXPECT(outcome_of(client)->reason == REASON_UPSTREAM_RESET);
		close_world();
	}
}

static void a_survivor_that_does_not_read_is_reset_after_two_seconds(void)
{
	static const enum conf_zero_copy copies[] = {CONF_ZERO_COPY_OFF, CONF_ZERO_COPY_SPLICE,
	                                             CONF_ZERO_COPY_URING};

	for (size_t i = 0; i < COUNT(copies); i++) {
		struct sock *client, *server;

		open_world(copying(copies[i]));
		kernel.window = 100;
		client = connect_saying(SAYS_A);
		server = server_of(client);
		server->window = 4096;
		peer_send(server, 4096);
		settle();
		peer_reset(server);
		settle();
		pass(1900);
		EXPECT(!client->rst_out);
		pass(300);
		EXPECT(client->rst_out && client->is_reset_by_proxy);
		EXPECT(outcome_of(client)->reason == REASON_UPSTREAM_RESET);
		close_world();
	}
}

/* The kernel tells of a reset once: here to the write, so that the read sees a plain end. */
static void a_reset_that_only_a_write_was_told_of_is_no_clean_end(void)
{
	struct sock *client, *server;

	open_world(world_default());
	client = connect_saying(SAYS_A);
	server = server_of(client);
	peer_send(server, 100);
	while (server->in_read < 100)
		world_turn();
	peer_reset(client); /* between the receive and the send */
	settle();
	EXPECT(!peer_sees_eof(server) && server->rst_out);
	EXPECT(outcome_of(client)->reason == REASON_CLIENT_RESET);
	close_world();
}

/* And while bytes of the client wait for a server that does not read, so that nothing is read of the
 * client: the watch sees no error either. */
static void a_reset_that_only_a_write_was_told_of_does_not_wait_for_a_server_that_does_not_read(
	void)
{
	struct sock *client, *server;

	open_world(copying(CONF_ZERO_COPY_OFF));
	client = connect_saying(SAYS_A);
	server = server_of(client);
	server->window = 0;
	server->send_cap = 100;
	peer_send(client, 4096);
	settle();
	EXPECT(world_conn(client)->up.held > 0);
	peer_send(server, 100);
	while (server->in_read < 100)
		world_turn();
	peer_reset(client);
	settle();
	EXPECT(!world_conn(client)->client.has_error);
	pass(1900);
	EXPECT(!server->rst_out);
	pass(300);
	EXPECT(server->rst_out && server->is_reset_by_proxy);
	EXPECT(outcome_of(client)->reason == REASON_CLIENT_RESET);
	close_world();
}

static void nothing_is_held_for_a_side_that_was_reset(void)
{
	struct sock *client, *server;

	open_world(world_default());
	kernel.window = 100;
	client = connect_saying(SAYS_A);
	server = server_of(client);
	client->window = 0;
	peer_send(server, 500);
	settle();
	peer_reset(server);
	settle();
	EXPECT(world_conn(client)->state == CONN_FLUSH);
	peer_send(client, 500);
	settle();
	EXPECT(world.shard.buffers.leased == 0 && slab_in_use(&world.shard.stalls) == 0);
	pass(2000);
	EXPECT(outcome_of(client)->reason == REASON_UPSTREAM_RESET && client->rst_out);
	close_world();
}

/* ------------------------------------------------------------------ hellos and refusals */

static struct sock *connect_in_silence(void)
{
	struct span  hello = hello_of(SAYS_A);
	struct sock *sock = world_connect((struct stream){hello.data, (uint32_t)hello.len, 1000});

	settle();
	return sock;
}

static void speak_up(struct sock *client)
{
	peer_send(client, client->stream.head_len);
	settle();
	pump(client, server_of(client), 1000);
	finish(client);
}

static void the_oldest_pending_hello_makes_room_for_the_newest(void)
{
	struct world_plan plan = world_default();
	struct sock      *clients[3];

	plan.sizes.pending_hellos = 2;
	open_world(plan);
	clients[0] = connect_in_silence();
	clients[1] = connect_in_silence();
	pass(300);
	clients[2] = connect_in_silence();
	pass(100);
	EXPECT(outcome_of(clients[0])->ended &&
	       outcome_of(clients[0])->reason == REASON_HELLO_TIMEOUT);
	for (size_t i = 1; i < COUNT(clients); i++) {
		EXPECT(!outcome_of(clients[i])->ended);
		speak_up(clients[i]);
	}
	close_world();
}

static void a_burst_of_clients_waits_in_the_backlog_while_the_oldest_hello_is_young(void)
{
	struct world_plan plan = world_default();
	struct sock      *clients[3];

	plan.sizes.pending_hellos = 2;
	plan.sizes.max_connections = 100; /* below the backlog: one accept at a time */
	open_world(plan);
	for (size_t i = 0; i < COUNT(clients); i++)
		clients[i] = connect_in_silence();
	pass(100);
	EXPECT(clients[2]->fd < 0);
	speak_up(clients[0]);
	pass(100);
	EXPECT(clients[2]->fd >= 0);
	speak_up(clients[1]);
	speak_up(clients[2]);
	close_world();
}

static void a_refused_client_reads_its_alert_then_an_end(void)
{
	static const struct {
		enum hello_kind says;
		enum reason     reason;
		enum alert      alert;
	} rows[] = {
		{SAYS_UNKNOWN, REASON_NO_MATCH, ALERT_UNRECOGNIZED_NAME},
		{SAYS_NO_NAME, REASON_NO_SNI, ALERT_UNRECOGNIZED_NAME},
		{SAYS_REJECTED, REASON_REJECTED, ALERT_UNRECOGNIZED_NAME},
		{SAYS_MALFORMED, REASON_MALFORMED, ALERT_DECODE_ERROR},
		{SAYS_TOO_MUCH, REASON_HELLO_TOO_LONG, ALERT_DECODE_ERROR},
		{SAYS_PLAINTEXT, REASON_PLAINTEXT, ALERT_NONE},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct sock *client;

		open_world(world_default());
		client = connect_saying(rows[i].says);
		for (int j = 0; j < 20; j++) { /* it still sends */
			peer_send(client, 2000);
			settle();
		}
		EXPECT(peer_read(client, UINT32_MAX) == (rows[i].alert == ALERT_NONE ? 0 : 7));
		EXPECT(rows[i].alert == ALERT_NONE || client->alert[6] == rows[i].alert);
		EXPECT(peer_sees_eof(client) && client->is_open);
		peer_finish(client);
		settle();
		EXPECT(!client->rst_out && !client->is_open &&
		       outcome_of(client)->reason == rows[i].reason);
		close_world();
	}
}

static void a_refusal_throws_away_64_kib_and_no_more(void)
{
	struct sock *client;

	open_world(world_default());
	client = connect_saying(SAYS_UNKNOWN);
	for (int i = 0; i < 100 && client->is_open; i++) {
		EXPECT(client->in_read < 64 * 1024 + 1024);
		peer_send(client, 4096);
		settle();
	}
	EXPECT(!client->is_open && client->in_read >= 64 * 1024);
	close_world();
}

static void a_refusal_waits_one_second_for_the_clients_end(void)
{
	struct sock *client;

	open_world(world_default());
	client = connect_saying(SAYS_UNKNOWN);
	pass(900);
	EXPECT(client->is_open);
	pass(100);
	EXPECT(!client->is_open);
	close_world();
}

static void refusals_beyond_the_bound_do_not_linger(void)
{
	struct world_plan plan = world_default();
	struct sock      *clients[3];

	plan.sizes.lingering = 2;
	open_world(plan);
	for (size_t i = 0; i < COUNT(clients); i++)
		clients[i] = connect_saying(SAYS_UNKNOWN);
	EXPECT(clients[0]->is_open && clients[1]->is_open && !clients[2]->is_open);
	EXPECT(peer_read(clients[2], UINT32_MAX) == 7 && peer_sees_eof(clients[2]));
	pass(1000);
	close_world();
}

/* ------------------------------------------------------------------ time */

static void the_half_close_timeout_counts_from_the_half_close(void)
{
	struct sock *client;

	open_world(world_default());
	client = connect_saying(SAYS_A);
	pass(100000);
	peer_finish(client);
	settle();
	pass(29000);
	EXPECT(!outcome_of(client)->ended);
	pump(server_of(client), client, 100);
	pass(29000);
	EXPECT(!outcome_of(client)->ended);
	pass(1000);
	EXPECT(outcome_of(client)->reason == REASON_HALF_CLOSE_TIMEOUT);
	close_world();
}

static void timeouts_are_punctual(void)
{
	struct world_plan plan = world_default();
	struct sock      *client;

	plan.connect_timeout_ms = 60000;
	plan.proxy_timeout_ms = 3000;
	open_world(plan);
	client = connect_saying(SAYS_A);
	pass(2900);
	EXPECT(!outcome_of(client)->ended);
	pump(client, server_of(client), 100);
	pass(2900);
	EXPECT(!outcome_of(client)->ended);
	pass(100);
	EXPECT(outcome_of(client)->ended && outcome_of(client)->reason == REASON_IDLE_TIMEOUT);
	close_world();
}

static void a_silent_client_is_dropped_after_preread_timeout(void)
{
	struct sock *client;

	open_world(world_default());
	client = connect_saying(SAYS_NOTHING);
	pass(4900);
	EXPECT(!outcome_of(client)->ended);
	pass(100);
	EXPECT(outcome_of(client)->reason == REASON_HELLO_TIMEOUT);
	close_world();
}

/* ------------------------------------------------------------------ accepting */

static void accepting_resumes_after_fds_ran_out(void)
{
	struct sock *client;

	open_world(world_default());
	settle();
	EXPECT(kernel_land(world.listener.fd, OP_ACCEPT, -EMFILE));
	settle();
	EXPECT(!kernel_has_op(world.listener.fd, OP_ACCEPT));
	client = connect_saying(SAYS_A);
	EXPECT(client->fd < 0);
	pass(50);
	EXPECT(client->fd >= 0);
	pump(client, server_of(client), 100);
	finish(client);
	close_world();
}

static void accepting_ends_for_good_when_the_socket_was_shut_down(void)
{
	open_world(world_default());
	EXPECT(kernel_land(world.listener.fd, OP_ACCEPT, -EINVAL));
	settle();
	pass(1000);
	EXPECT(!kernel_has_op(world.listener.fd, OP_ACCEPT) && world.listener.is_stopped);
	EXPECT(!timer_is_armed(&world.shard.accept_retry));
	close_world();
}

static void accepting_pauses_at_max_connections(void)
{
	struct world_plan plan = world_default();
	struct sock      *clients[4];

	plan.sizes.max_connections = 2;
	open_world(plan);
	for (size_t i = 0; i < 2; i++)
		clients[i] = connect_saying(SAYS_A);
	for (size_t i = 2; i < 4; i++)
		clients[i] = connect_saying(SAYS_A);
	pass(100);
	EXPECT(clients[2]->fd < 0 && clients[3]->fd < 0);
	finish(clients[0]);
	finish(clients[1]);
	pass(100);
	EXPECT(clients[2]->fd >= 0 && clients[3]->fd >= 0);
	finish(clients[2]);
	finish(clients[3]);
	close_world();
}

/* How many sockets are still to be closed as the log tells of the client's end. */
static uint32_t doomed_as_it_ends(struct sock *client)
{
	struct sock *server = server_of(client);

	peer_finish(client);
	settle();
	peer_finish(server);
	while (!outcome_of(client)->ended)
		world_turn();
	EXPECT(client->is_open == (kernel.doomed_count > 0));
	return kernel.doomed_count;
}

static void files_are_back_ahead_of_their_sessions_place_when_half_are_taken(void)
{
	struct world_plan plan = world_default();
	struct sock      *clients[2];

	plan.sizes.max_connections = 4;
	open_world(plan);
	for (size_t i = 0; i < COUNT(clients); i++)
		clients[i] = connect_saying(SAYS_A);
	EXPECT(doomed_as_it_ends(clients[0]) == 0);
	EXPECT(doomed_as_it_ends(clients[1]) == 2);
	settle();
	EXPECT(!clients[1]->is_open);
	close_world();
}

static void a_server_with_max_conns_has_been_left_before_another_may_come(void)
{
	struct world_plan plan = world_default();
	struct sock      *client;

	plan.server_max_conns = 1;
	open_world(plan);
	client = connect_saying(SAYS_A);
	EXPECT(doomed_as_it_ends(client) == 0);
	close_world();
}

const struct directed directed_ends[] = {
	DIRECTED(a_connect_timeout_tries_the_next_server),
	DIRECTED(a_connect_that_races_its_timeout_wins),
	DIRECTED(a_refused_connect_tries_the_next_server_then_refuses),
	DIRECTED(our_own_shortage_is_no_servers_fault),
	DIRECTED(what_a_syn_took_is_sent_once_and_counted_once_the_server_has_answered),
	DIRECTED(a_refused_syn_gives_the_next_server_all_that_it_took),
	DIRECTED(a_syn_that_cannot_be_sent_tries_the_next_server),
	DIRECTED(where_no_fast_open_is_allowed_the_same_socket_connects),
	DIRECTED(where_no_fast_open_is_allowed_the_connect_has_its_time),
	DIRECTED(an_unanswered_syn_that_took_data_times_out),
	DIRECTED(a_syn_that_took_nothing_is_a_connect_like_any_other),
	DIRECTED(a_stop_while_a_syn_is_unanswered_ends_the_session),
	DIRECTED(without_a_greeting_nothing_is_opened_fast),
	DIRECTED(a_reset_delivers_what_was_held_then_resets),
	DIRECTED(a_survivor_that_does_not_read_is_reset_after_two_seconds),
	DIRECTED(a_reset_that_only_a_write_was_told_of_is_no_clean_end),
	DIRECTED(
		a_reset_that_only_a_write_was_told_of_does_not_wait_for_a_server_that_does_not_read),
	DIRECTED(nothing_is_held_for_a_side_that_was_reset),
	DIRECTED(a_burst_of_clients_waits_in_the_backlog_while_the_oldest_hello_is_young),
	DIRECTED(the_oldest_pending_hello_makes_room_for_the_newest),
	DIRECTED(a_refused_client_reads_its_alert_then_an_end),
	DIRECTED(a_refusal_throws_away_64_kib_and_no_more),
	DIRECTED(a_refusal_waits_one_second_for_the_clients_end),
	DIRECTED(refusals_beyond_the_bound_do_not_linger),
	DIRECTED(the_half_close_timeout_counts_from_the_half_close),
	DIRECTED(timeouts_are_punctual),
	DIRECTED(a_silent_client_is_dropped_after_preread_timeout),
	DIRECTED(accepting_resumes_after_fds_ran_out),
	DIRECTED(accepting_ends_for_good_when_the_socket_was_shut_down),
	DIRECTED(accepting_pauses_at_max_connections),
	DIRECTED(files_are_back_ahead_of_their_sessions_place_when_half_are_taken),
	DIRECTED(a_server_with_max_conns_has_been_left_before_another_may_come),
	{NULL, NULL},
};
