/*
 * Scenarios of several workers: which of them has a connection.
 */
#include "sim/directed.h"
#include "sim/sim.h"

static int wakes;

static void count_wake(int fd)
{
	EXPECT(fd == 7);
	wakes++;
}

/* A worker beside the shard's, with so many connections. */
static struct accept_queue *open_neighbour(uint32_t load)
{
	struct accept_queue *queue = &world.queues[1];

	wakes = 0;
	world.shard.wake = count_wake;
	world.registry.worker_count = 2;
	queue->load = load;
	queue->snapshot = &world.snapshot;
	accept_queue_open(queue, 7);
	return queue;
}

static void open_worlds(uint32_t load)
{
	open_world(world_default());
	accept_queue_open(&world.queues[0], 7);
	(void)open_neighbour(load);
}

static void finish_all(struct sock *const *clients, size_t count)
{
	for (size_t i = 0; i < count; i++)
		finish(clients[i]);
	close_world();
}

static void a_worker_with_clearly_more_gives_what_it_accepts_away(void)
{
	struct accepted out[ACCEPT_QUEUE_SIZE];
	struct sock    *clients[4];

	open_worlds(0);
	for (size_t i = 0; i < COUNT(clients); i++)
		clients[i] = connect_saying(SAYS_A);
	EXPECT(world.shard.gauges.sessions == 3 && world.shard.gauges.accepted_total == 3);
	EXPECT(world.shard.gauges.handed_over_total == 1 && wakes == 1);
	EXPECT(world.queues[0].load == 3 && world.queues[1].load == 1);
	EXPECT(accept_queue_take(&world.queues[1], out) == 1);
	EXPECT(out[0].fd == clients[2]->fd && out[0].listener == &world.listener_state);

	/* Given back, it is served like any other. */
	EXPECT(accept_queue_give(&world.queues[0], out[0], count_wake));
	settle();
	EXPECT(world.shard.gauges.sessions == 4 && world.shard.gauges.accepted_total == 4);
	pump(clients[2], server_of(clients[2]), 1000);
	finish_all(clients, COUNT(clients));
}

static void a_worker_gives_nothing_to_one_that_cannot_take_it(void)
{
	static const struct snapshot another;
	struct sock                 *clients[6];

	open_worlds(0);
	accept_queue_close(&world.queues[1]);
	for (size_t i = 0; i < 3; i++)
		clients[i] = connect_saying(SAYS_A);
	open_neighbour(0)->snapshot = &another;
	clients[3] = connect_saying(SAYS_A);
	open_neighbour(0)->used = UINT64_MAX;
	clients[4] = connect_saying(SAYS_A);
	open_neighbour(4)->used = 0;
	clients[5] = connect_saying(SAYS_A);
	EXPECT(world.shard.gauges.sessions == COUNT(clients) && wakes == 0);
	EXPECT(world.shard.gauges.handed_over_total == 0);
	finish_all(clients, COUNT(clients));
}

static void what_came_to_an_address_that_is_gone_is_closed(void)
{
	static const struct listener_state gone;
	struct sock                       *client;
	struct accepted                    out[ACCEPT_QUEUE_SIZE];
	struct sock                       *stays[2];

	open_worlds(0);
	stays[0] = connect_saying(SAYS_A);
	stays[1] = connect_saying(SAYS_A);
	client = connect_saying(SAYS_A);
	EXPECT(accept_queue_take(&world.queues[1], out) == 1);
	out[0].listener = &gone;
	EXPECT(accept_queue_give(&world.queues[0], out[0], count_wake));
	settle();
	EXPECT(!client->is_open && world.shard.gauges.sessions == 2);
	finish(stays[0]);
	finish(stays[1]);
	/* As if it had never left the backlog. */
	client->fd = -1;
	world.accepted_count--;
	listener_stop(&world.listener);
	close_world();
}

const struct directed directed_accepts[] = {
	DIRECTED(a_worker_with_clearly_more_gives_what_it_accepts_away),
	DIRECTED(a_worker_gives_nothing_to_one_that_cannot_take_it),
	DIRECTED(what_came_to_an_address_that_is_gone_is_closed),
	{NULL, NULL},
};
