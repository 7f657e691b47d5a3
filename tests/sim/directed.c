#include "sim/directed.h"

#include "sim/rules.h"

/* ------------------------------------------------------------------ the words that scenarios are
 * told in */

void open_world(struct world_plan plan)
{
	world_open(&plan, 1, true);
}

/* Until nothing moves any more, at this moment. */
void settle(void)
{
	uint64_t before;

	uint64_t limit = kernel.turns + 10000;

	do {
		before = kernel.moves;
		world_turn();
		if (kernel.turns > limit)
			fail("it does not settle");
	} while (kernel.moves != before || kernel.queue_len > 0 || kernel.doomed_count > 0);
	if (kernel.held_kinds == 0)
		rules_check_liveness();
}

/* A tick more, as a timer may be that late. */
void pass(uint64_t ms)
{
	kernel.now_ms += ms + WHEEL_TICK_MS;
	settle();
}

struct sock *connect_saying(enum hello_kind kind)
{
	struct span  hello = hello_of(kind);
	struct sock *sock = world_connect((struct stream){hello.data, (uint32_t)hello.len, 1000});

	peer_send(sock, (uint32_t)hello.len);
	settle();
	return sock;
}

/* The server that was dialled last. */
struct sock *server_of(const struct sock *client)
{
	struct sock *server = world.last_server[client->peer.port - CLIENT_PORT];

	EXPECT(server);
	if (server->stream.base == 0)
		server->stream.base = 200000;
	return server;
}

struct outcome *outcome_of(const struct sock *client)
{
	return &world.outcomes[client->peer.port - CLIENT_PORT];
}

/* *n* bytes more from one end to the other, which reads all that it was ever sent. */
void pump(struct sock *from, struct sock *to, uint32_t n)
{
	uint32_t until = from->in_sent + n;
	uint64_t before;

	do {
		before = kernel.moves;
		peer_send(from, until - from->in_sent);
		settle();
		(void)peer_read(to, UINT32_MAX);
	} while (kernel.moves != before);
	EXPECT(from->in_sent == until && to->out_read - to->preface_len + to->skip == until);
}

/* Both ends close; nothing is left. */
void finish(struct sock *client)
{
	struct sock *server = server_of(client);

	peer_finish(client);
	settle();
	(void)peer_read(server, UINT32_MAX);
	settle();
	EXPECT(peer_sees_eof(server));
	peer_finish(server);
	settle();
	(void)peer_read(client, UINT32_MAX);
	settle();
	EXPECT(peer_sees_eof(client));
	EXPECT(outcome_of(client)->reason == REASON_OK && outcome_of(client)->ended);
}

void close_world(void)
{
	for (int i = 0; i < world.client_count; i++)
		rules_check_end(i);
	world_close();
}

struct world_plan blind(void)
{
	struct world_plan plan = world_default();

	plan.reads_hello = false;
	return plan;
}

struct world_plan copying(enum conf_zero_copy zero_copy)
{
	struct world_plan plan = world_default();

	plan.sizes.zero_copy = zero_copy;
	return plan;
}
