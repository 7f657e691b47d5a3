#include "sim/directed.h"
#include "sim/sim.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

/* ------------------------------------------------------------------ relaying */

static void whole_session(enum conf_zero_copy zero_copy)
{
	struct sock *client;

	open_world(copying(zero_copy));
	client = connect_saying(SAYS_A);
	pump(client, server_of(client), 50000);
	pump(server_of(client), client, 70000);
	finish(client);
	close_world();
}

static void every_strategy_relays_all_bytes(void)
{
	whole_session(CONF_ZERO_COPY_OFF);
	whole_session(CONF_ZERO_COPY_SPLICE);
	whole_session(CONF_ZERO_COPY_URING);
	whole_session(CONF_ZERO_COPY_AUTO);
}

static void tcp_keeps_alive_what_lasts_and_is_to_be(void)
{
	struct sock *client;

	open_world(copying(CONF_ZERO_COPY_AUTO));
	world.conf_listener.so_keepalive = true;
	client = connect_saying(SAYS_A);
	pass(900);
	EXPECT(!client->is_kept_alive);
	pass(200);
	EXPECT(client->is_kept_alive);
	EXPECT(!server_of(client)->is_kept_alive);
	finish(client);
	world.upstreams[0].so_keepalive = true;
	client = connect_saying(SAYS_A);
	peer_finish(client);
	pass(1100);
	EXPECT(server_of(client)->is_kept_alive);
	finish(client);
	close_world();
}

static void an_idle_tunnel_holds_no_buffer_and_no_pipe(void)
{
	static const enum conf_zero_copy copies[] = {CONF_ZERO_COPY_OFF, CONF_ZERO_COPY_SPLICE,
	                                             CONF_ZERO_COPY_URING, CONF_ZERO_COPY_AUTO};

	for (size_t i = 0; i < COUNT(copies); i++) {
		struct sock *client;

		open_world(copying(copies[i]));
		client = connect_saying(SAYS_A);
		pump(client, server_of(client), 50000);
		EXPECT(world.shard.buffers.leased == 0 && world.shard.pipes.used == 0);
		EXPECT(slab_in_use(&world.shard.stalls) == 0 &&
		       slab_in_use(&world.shard.hellos_small) == 0);
		finish(client);
		close_world();
	}
}

static void busy_poll_looks_only_behind_what_has_just_moved(void)
{
	struct world_plan plan = copying(CONF_ZERO_COPY_AUTO);
	struct sock      *client;
	uint64_t          looks;

	plan.sizes.busy_poll_us = 50;
	open_world(plan);
	for (int i = 0; i < 10; i++)
		world_turn();
	EXPECT(kernel.looks == 0);
	client = connect_saying(SAYS_A);
	EXPECT(kernel.looks > 0);
	world_turn();
	looks = kernel.looks;
	for (int i = 0; i < 10; i++)
		world_turn();
	pass(1000);
	EXPECT(kernel.looks == looks);
	pump(client, server_of(client), 1000);
	EXPECT(kernel.looks > looks);
	finish(client);
	close_world();
}

static void a_spliced_direction_copies_again_when_it_falls_quiet_not_for_a_last_piece(void)
{
	struct sock *client, *server;

	open_world(copying(CONF_ZERO_COPY_AUTO));
	client = connect_saying(SAYS_A);
	server = server_of(client);
	for (int i = 0; i < 2; i++) {
		pump(server, client, 10 * kernel.recv_cap);
		EXPECT(world_conn(client)->down.mode == FLOW_SPLICE);
		pump(server, client, 10);
		EXPECT(world_conn(client)->down.mode == FLOW_SPLICE);
	}
	pump(server, client, 10);
	EXPECT(world_conn(client)->down.mode == FLOW_COPY);
	finish(client);
	close_world();
}

static bool bulk_gathers(struct sock *client)
{
	uint64_t gathers = kernel.gathers;

	pump(server_of(client), client, 300 * 1024);
	return kernel.gathers > gathers;
}

static void bulk_gathers_where_it_is_all_that_is_served(void)
{
	struct world_plan plan = copying(CONF_ZERO_COPY_AUTO);
	struct sock      *client, *other;

	plan.sizes.splice_wait_us = 200;
	open_world(plan);
	client = connect_saying(SAYS_A);
	EXPECT(!bulk_gathers(client)); /* it has just come */
	pass(20);
	EXPECT(bulk_gathers(client));
	pump(client, server_of(client), 10); /* a request, whose answer is bulk again */
	EXPECT(bulk_gathers(client));
	other = connect_saying(SAYS_A);
	EXPECT(!bulk_gathers(client));
	pass(20);
	EXPECT(bulk_gathers(client));
	pump(other, server_of(other), 10);
	EXPECT(!bulk_gathers(client));
	pass(20);
	EXPECT(bulk_gathers(client));
	finish(other);
	finish(client);
	close_world();
}

/* Of two that are served in one turn one has all it wants, the other would go on at once. */
static void bulk_gathers_behind_no_piece_that_is_left(void)
{
	struct world_plan plan = copying(CONF_ZERO_COPY_AUTO);
	struct sock      *dry, *other;
	uint64_t          gathers;

	plan.sizes.splice_wait_us = 200;
	for (int is_slow = 0; is_slow < 2; is_slow++) {
		plan.sizes.pipe_size = 1024;
		open_world(plan);
		kernel.recv_cap = kernel.send_cap = kernel.window = 32 * 1024;
		dry = connect_saying(SAYS_A);
		pump(server_of(dry), dry, 50000);
		other = connect_saying(SAYS_A);
		pump(server_of(other), other, 50000);
		pass(20);
		EXPECT(bulk_gathers(dry) && bulk_gathers(other));
		if (is_slow)
			other->send_cap = other->window = 1000;
		peer_send(server_of(dry), 1000);
		peer_send(server_of(other), is_slow ? 2000 : 20000); /* eight pipes and more */
		world_turn();
		gathers = kernel.gathers;
		world_turn();
		EXPECT(kernel.gathers == gathers);
		pump(server_of(dry), dry, 0);
		pump(server_of(other), other, 0);
		finish(dry);
		finish(other);
		close_world();
	}
}

static void nothing_gathers_that_is_not_to(void)
{
	struct world_plan plan = copying(CONF_ZERO_COPY_AUTO);
	struct sock      *client;

	open_world(plan); /* splice_wait is off */
	client = connect_saying(SAYS_A);
	for (int i = 0; i < 3; i++, pass(20))
		EXPECT(!bulk_gathers(client));
	finish(client);
	close_world();
	plan.sizes.splice_wait_us = 200;
	open_world(plan);
	client = connect_saying(SAYS_A);
	pump(server_of(client), client, 50000);
	pass(20);
	world.conf_listener.rcvbuf = 65536;
	EXPECT(!bulk_gathers(client));
	world.conf_listener.rcvbuf = 0;
	world.conf_listener.sndbuf = 65536;
	EXPECT(!bulk_gathers(client));
	world.conf_listener.sndbuf = 0;
	for (int i = 0; i < 100; i++) { /* a message and its answer, spliced as they are */
		pump(client, server_of(client), 10);
		pump(server_of(client), client, plan.sizes.splice_min);
	}
	EXPECT(kernel.gathers == 0);
	finish(client);
	close_world();
}

/* ------------------------------------------------------------------ who goes first */

static struct conn *watched;
static int (*true_dial)(struct sock *sock, const struct addr *to);

static int dial_behind_watched(struct sock *sock, const struct addr *to)
{
	EXPECT(watched->upstream.output.busy);
	return true_dial(sock, to);
}

static void sessions_that_run_go_ahead_of_those_that_come(void)
{
	struct span  hello = hello_of(SAYS_A);
	struct sock *running, *coming;

	open_world(copying(CONF_ZERO_COPY_OFF));
	running = connect_saying(SAYS_A);
	watched = world_conn(running);
	coming = world_connect((struct stream){hello.data, (uint32_t)hello.len, 1000});
	settle();
	pump(running, server_of(running), 10); /* its receive is the younger now, and lands later */
	true_dial = kernel.dial;
	kernel.dial = dial_behind_watched;
	peer_send(coming, (uint32_t)hello.len);
	peer_send(running, 10);
	world_turn();
	EXPECT(world.dial_count == 2);
	kernel.dial = true_dial;
	settle();
	finish(coming);
	finish(running);
	close_world();
}

static void sessions_that_run_go_ahead_of_those_that_leave(void)
{
	struct shard *shard = &world.shard;
	struct sock  *running, *leaving;

	open_world(copying(CONF_ZERO_COPY_OFF));
	leaving = connect_saying(SAYS_A);
	running = connect_saying(SAYS_A);
	pump(running, server_of(running), 10);
	watched = world_conn(running);
	peer_finish(leaving);
	settle();
	peer_finish(server_of(leaving));
	peer_send(running, 10);
	EXPECT(ring_wait(&shard->ring, 0) == 0);
	EXPECT(ring_reap(&shard->ring) == 2);
	conn_advance_running(shard);
	EXPECT(watched->upstream.output.busy);
	EXPECT(slab_in_use(&shard->conns) == 2);
	conn_advance_ready(shard);
	EXPECT(slab_in_use(&shard->conns) == 1);
	finish(running);
	close_world();
}

/* Nor does a session whose send has landed meanwhile go ahead of one whose message came before its
 * own. */
static void messages_are_passed_on_in_the_order_in_which_they_came(void)
{
	struct sock *waiting, *quick;

	open_world(copying(CONF_ZERO_COPY_OFF));
	waiting = connect_saying(SAYS_A);
	quick = connect_saying(SAYS_A);
	kernel.held_kinds = BIT(OP_SEND);
	peer_send(quick, 10);
	world_turn();
	world_turn();
	kernel.held_kinds = BIT(OP_SEND) | BIT(OP_RECV);
	peer_send(waiting, 10);
	world_turn();
	peer_send(server_of(quick), 10);
	world_turn();
	kernel.held_kinds = 0;
	EXPECT(ring_wait(&world.shard.ring, 0) == 0);
	EXPECT(ring_reap(&world.shard.ring) == 3);
	conn_advance_running(&world.shard);
	EXPECT(kernel.queue_len >= 2);
	EXPECT(kernel.queue[0]->kind == OP_SEND && kernel.queue[0]->fd == server_of(waiting)->fd);
	EXPECT(kernel.queue[1]->kind == OP_SEND && kernel.queue[1]->fd == quick->fd);
	settle();
	finish(quick);
	finish(waiting);
	close_world();
}

/* True: what brought these *n* bytes goes on receiving. */
static bool goes_on_behind(struct sock *client, uint32_t n)
{
	struct shard *shard = &world.shard;
	struct conn  *c = world_conn(client);
	bool          goes_on;

	peer_send(client, n);
	EXPECT(ring_wait(&shard->ring, 0) == 0);
	EXPECT(ring_reap(&shard->ring) == 1);
	goes_on = c->client.input.busy;
	conn_advance_ready(shard);
	settle();
	EXPECT(server_of(client)->out_delivered == client->in_sent);
	(void)peer_read(server_of(client), UINT32_MAX);
	return goes_on;
}

static void one_receive_brings_small_messages_up_to_a_bufferful(void)
{
	struct world_plan plan = copying(CONF_ZERO_COPY_AUTO);
	struct sock      *client;

	for (int old = 0; old < 2; old++) {
		plan.is_old = old;
		open_world(plan);
		client = connect_saying(SAYS_A);
		EXPECT(goes_on_behind(client, 400) == !old);
		EXPECT(goes_on_behind(client, 623) == !old);
		EXPECT(!goes_on_behind(client, 1)); /* the bufferful's last */
		EXPECT(goes_on_behind(client, 1023) == !old);
		EXPECT(!goes_on_behind(client, 1024));
		EXPECT(!goes_on_behind(client, 100)); /* behind a full buffer there is bulk */
		EXPECT(goes_on_behind(client, 100) == !old);
		finish(client);
		close_world();
	}
}

static void small_messages_ahead_of_a_slow_reader_are_bounded_and_hold_no_buffer(void)
{
	struct sock *client, *server;
	uint32_t     before;

	open_world(copying(CONF_ZERO_COPY_OFF));
	kernel.window = 0;
	kernel.send_cap = 1000;
	client = connect_saying(SAYS_A);
	server = server_of(client);
	before = client->in_read;
	for (int i = 0; i < 20; i++) {
		peer_send(client, 300);
		settle();
		EXPECT(world.shard.buffers.leased == 0);
	}
	EXPECT(world_conn(client)->up.hold == FLOW_STALL);
	EXPECT(client->in_read - before >= 900 && client->in_read - before < 3 * 1024);
	server->window = 100000;
	settle();
	EXPECT(server->out_delivered == client->in_sent);
	(void)peer_read(server, UINT32_MAX);
	finish(client);
	close_world();
}

static void a_server_may_speak_first_where_no_hello_is_read(void)
{
	struct sock *client;

	open_world(blind());
	client = world_connect((struct stream){NULL, 0, 1000});
	settle();
	pump(server_of(client), client, 300);
	pump(client, server_of(client), 300);
	finish(client);
	close_world();
}

/* One turn has seen both: it passes on both. */
static void an_answer_and_its_end_leave_together(void)
{
	struct sock *client, *server;
	uint32_t     taken;

	open_world(copying(CONF_ZERO_COPY_AUTO));
	client = connect_saying(SAYS_A);
	server = server_of(client);
	taken = client->out_accepted;
	peer_send(server, 300);
	peer_finish(server);
	world_turn();
	EXPECT(client->out_accepted == taken + 300);
	EXPECT(client->is_finished_by_proxy);
	finish(client);
	close_world();
}

/* What it takes at once is the beginning; the end waits for all of it. */
static void an_answer_with_its_end_waits_for_a_slow_reader(void)
{
	struct sock *client, *server;

	open_world(copying(CONF_ZERO_COPY_AUTO));
	client = connect_saying(SAYS_A);
	client->window = 0;
	client->send_cap = 100;
	server = server_of(client);
	peer_send(server, 300);
	peer_finish(server);
	settle();
	EXPECT(client->out_accepted == 100 && !client->is_finished_by_proxy);
	client->window = 1 << 20;
	settle();
	(void)peer_read(client, UINT32_MAX);
	settle();
	EXPECT(client->out_accepted == 300 && client->is_finished_by_proxy);
	finish(client);
	close_world();
}

/* The other direction has ended: no end is said, the session closes, so nothing may be held back. */
static void an_answer_with_its_end_to_one_that_has_ended_is_not_held_back(void)
{
	struct sock *client, *server;

	open_world(copying(CONF_ZERO_COPY_AUTO));
	client = connect_saying(SAYS_A);
	server = server_of(client);
	peer_finish(client);
	settle();
	peer_send(server, 300);
	peer_finish(server);
	settle();
	(void)peer_read(client, UINT32_MAX);
	settle();
	EXPECT(outcome_of(client)->ended && outcome_of(client)->bytes_down == 300);
	close_world();
}

/* A watch is armed; the next send comes short; its edge is seen before its completion, and no other
 * will come. */
static void writability_seen_before_the_short_sends_completion_is_not_lost(void)
{
	struct sock *client, *server;

	open_world(world_default());
	kernel.window = 0;
	kernel.send_cap = 800;
	client = connect_saying(SAYS_A);
	server = server_of(client);
	peer_send(client, 2000);
	settle();
	EXPECT(kernel_has_op(server->fd, OP_EDGES));
	server->window = 100000;
	settle();
	(void)peer_read(server, UINT32_MAX);
	EXPECT(server->out_read == client->in_sent);

	server->window = 0;
	kernel.held_kinds = BIT(OP_SEND);
	peer_send(client, 1000);
	settle();
	EXPECT(sock_queued(server) == 0 || !sock_is_ready(server));
	server->window = 100000;
	settle();
	EXPECT(server->out_delivered < client->in_sent);
	kernel.held_kinds = 0;
	settle();
	(void)peer_read(server, UINT32_MAX);
	EXPECT(server->out_read == client->in_sent);
	finish(client);
	close_world();
}

/* A full completion queue ends a multishot poll, here with news that says nothing about writing. */
static void a_watch_that_the_kernel_ended_is_renewed(void)
{
	struct sock *client, *server;

	open_world(world_default());
	kernel.window = 0;
	kernel.send_cap = 800;
	client = connect_saying(SAYS_A);
	server = server_of(client);
	peer_send(client, 2000);
	settle();
	EXPECT(kernel_land(server->fd, OP_EDGES, POLLRDHUP));
	settle();
	server->window = 100000;
	settle();
	(void)peer_read(server, UINT32_MAX);
	EXPECT(server->out_read == client->in_sent);
	finish(client);
	close_world();
}

static void half_close_passes_with_data_in_flight_both_ways(void)
{
	struct sock *client, *server;

	open_world(copying(CONF_ZERO_COPY_AUTO));
	client = connect_saying(SAYS_A);
	server = server_of(client);
	client->window = server->window = 500;
	peer_send(client, 4000);
	peer_send(server, 4000);
	peer_finish(client);
	settle();
	EXPECT(!peer_sees_eof(server));
	pump(server, client, 20000);
	for (int i = 0; i < 100; i++) {
		settle();
		(void)peer_read(server, UINT32_MAX);
		(void)peer_read(client, UINT32_MAX);
	}
	EXPECT(peer_sees_eof(server) && server->out_read == client->in_sent);
	EXPECT(!peer_sees_eof(client) && client->out_read == server->in_sent);
	pump(server, client, 20000);
	peer_finish(server);
	settle();
	EXPECT(peer_sees_eof(client) && outcome_of(client)->reason == REASON_OK);
	close_world();
}

static void a_greeting_longer_than_the_server_takes_at_first_arrives_whole(void)
{
	struct world_plan plan = world_default();
	struct sock      *client;

	plan.send_proxy = PROXYPROTO_V1;
	open_world(plan);
	kernel.window = kernel.send_cap = 200;
	client = connect_saying(SAYS_A_PADDED);
	for (int i = 0; i < 100; i++) {
		(void)peer_read(server_of(client), UINT32_MAX);
		settle();
	}
	EXPECT(server_of(client)->out_read == client->in_sent + client->header_len);
	EXPECT(server_of(client)->out_read > 5 * server_of(client)->send_cap);
	EXPECT(!world_conn(client)->hello);
	finish(client);
	close_world();
}

static void a_proxy_header_is_read_and_written_once(void)
{
	static const struct addr source = {
		.ip = {203, 0, 113, 5}, .port = 4321, .family = ADDR_IP4};
	static const struct addr local = {.ip = {203, 0, 113, 6}, .port = 443, .family = ADDR_IP4};
	struct world_plan        plan = world_default();
	struct span              hello = hello_of(SAYS_A);
	uint8_t                  head[1024];
	size_t                   len;
	struct sock             *client;

	plan.accept_proxy = CONF_PROXY_ON;
	plan.trusts_proxy = true;
	plan.send_proxy = PROXYPROTO_V2;
	open_world(plan);
	len = proxyproto_write(PROXYPROTO_V1, &source, &local, head);
	memcpy(head + len, hello.data, hello.len);
	client = world_connect((struct stream){head, (uint32_t)(len + hello.len), 1000});
	client->skip_in = (uint32_t)len;
	world_expect_header(client, &source, &local);
	for (size_t i = 0; i < len + hello.len; i++) {
		peer_send(client, 1);
		settle();
	}
	pump(client, server_of(client), 1000);
	finish(client);
	close_world();
}

/* ------------------------------------------------------------------ buffers and pipes */

static void connections_that_find_no_buffer_are_all_served(void)
{
	struct world_plan plan = world_default();
	struct sock      *clients[8];

	plan.sizes.recv_buffers = 2;
	open_world(plan);
	for (size_t i = 0; i < COUNT(clients); i++)
		clients[i] = connect_saying(SAYS_A);
	for (size_t i = 0; i < COUNT(clients); i++)
		peer_send(clients[i], 3000);
	settle();
	EXPECT(world.shard.gauges.buffers_exhausted_total > 0);
	for (size_t i = 0; i < COUNT(clients); i++)
		pump(clients[i], server_of(clients[i]), 2000);
	for (size_t i = 0; i < COUNT(clients); i++)
		finish(clients[i]);
	close_world();
}

static void slow_readers_keep_no_buffer_from_others(void)
{
	struct world_plan plan = world_default();
	struct sock      *slow[4], *client;

	plan.sizes.recv_buffers = 2;
	open_world(plan);
	kernel.window = 100;
	for (size_t i = 0; i < COUNT(slow); i++) {
		slow[i] = connect_saying(SAYS_A);
		peer_send(server_of(slow[i]), 4096);
		settle();
		peer_send(server_of(slow[i]), 4096);
		settle();
		EXPECT(world_conn(slow[i])->down.hold == FLOW_STALL);
	}
	EXPECT(world.shard.buffers.leased == 0);
	kernel.window = 4096;
	client = connect_saying(SAYS_A);
	pump(server_of(client), client, 50000);
	finish(client);
	shard_stop(&world.shard);
	settle();
	for (size_t i = 0; i < COUNT(slow); i++)
		outcome_of(slow[i])->was_stopped = true;
	close_world();
}

static void stop_with_bytes_in_a_pipe(enum conf_zero_copy zero_copy, unsigned held_kinds)
{
	struct sock *client, *server;

	open_world(copying(zero_copy));
	kernel.window = 10;
	kernel.send_cap = 1000;
	client = connect_saying(SAYS_A);
	server = server_of(client);
	/* Held: a splice into the pipe is in flight; else what the client does not take stays in
	 * it. */
	kernel.held_kinds = held_kinds;
	peer_send(server, 4000);
	settle();
	EXPECT(world.shard.pipes.used > 0);
	outcome_of(client)->was_stopped = true;
	conn_stop(world_conn(client), REASON_DRAINED);
	settle();
	EXPECT(held_kinds == 0 || world_conn(client)); /* never freed under an operation */
	kernel.held_kinds = 0;
	settle();
	EXPECT(outcome_of(client)->reason == REASON_DRAINED);
	EXPECT(world.shard.pipes.used == 0 && world.shard.pipes.count == 2);
	close_world();
}

static void a_stop_during_a_splice_gives_back_an_empty_pipe(void)
{
	stop_with_bytes_in_a_pipe(CONF_ZERO_COPY_SPLICE, 0);
	stop_with_bytes_in_a_pipe(CONF_ZERO_COPY_URING, 0);
	stop_with_bytes_in_a_pipe(CONF_ZERO_COPY_URING, BIT(OP_SPLICE));
}

static void without_a_pipe_it_copies(void)
{
	struct world_plan plan = copying(CONF_ZERO_COPY_SPLICE);
	struct sock      *client;

	plan.sizes.pipe_pool = 0;
	open_world(plan);
	client = connect_saying(SAYS_A);
	pump(server_of(client), client, 50000);
	finish(client);
	EXPECT(world.shard.gauges.pipes_exhausted_total > 0);
	close_world();
}

const struct directed directed_relays[] = {
	DIRECTED(every_strategy_relays_all_bytes),
	DIRECTED(tcp_keeps_alive_what_lasts_and_is_to_be),
	DIRECTED(an_idle_tunnel_holds_no_buffer_and_no_pipe),
	DIRECTED(busy_poll_looks_only_behind_what_has_just_moved),
	DIRECTED(a_spliced_direction_copies_again_when_it_falls_quiet_not_for_a_last_piece),
	DIRECTED(bulk_gathers_where_it_is_all_that_is_served),
	DIRECTED(bulk_gathers_behind_no_piece_that_is_left),
	DIRECTED(nothing_gathers_that_is_not_to),
	DIRECTED(sessions_that_run_go_ahead_of_those_that_come),
	DIRECTED(sessions_that_run_go_ahead_of_those_that_leave),
	DIRECTED(messages_are_passed_on_in_the_order_in_which_they_came),
	DIRECTED(one_receive_brings_small_messages_up_to_a_bufferful),
	DIRECTED(small_messages_ahead_of_a_slow_reader_are_bounded_and_hold_no_buffer),
	DIRECTED(a_server_may_speak_first_where_no_hello_is_read),
	DIRECTED(an_answer_and_its_end_leave_together),
	DIRECTED(an_answer_with_its_end_waits_for_a_slow_reader),
	DIRECTED(an_answer_with_its_end_to_one_that_has_ended_is_not_held_back),
	DIRECTED(writability_seen_before_the_short_sends_completion_is_not_lost),
	DIRECTED(a_watch_that_the_kernel_ended_is_renewed),
	DIRECTED(half_close_passes_with_data_in_flight_both_ways),
	DIRECTED(a_greeting_longer_than_the_server_takes_at_first_arrives_whole),
	DIRECTED(a_proxy_header_is_read_and_written_once),
	DIRECTED(connections_that_find_no_buffer_are_all_served),
	DIRECTED(slow_readers_keep_no_buffer_from_others),
	DIRECTED(a_stop_during_a_splice_gives_back_an_empty_pipe),
	DIRECTED(without_a_pipe_it_copies),
	{NULL, NULL},
};
