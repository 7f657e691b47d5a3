#include "sim/runs.h"

#include "sim/world.h"

uint32_t runs_draw_size(uint32_t most)
{
	uint32_t size = kernel_draw(most + 1);

	return kernel_chance(3) ? size : kernel_draw(size + 1);
}

void runs_stop_something(void)
{
	struct list *link = world.shard.all.next;

	if (list_is_empty(&world.shard.all))
		return;
	if (kernel_chance(3)) {
		for (; link != &world.shard.all; link = link->next) {
			struct conn *c = container_of(link, struct conn, in_all);

			world.outcomes[c->peer.port - CLIENT_PORT].was_stopped = true;
		}
		shard_stop(&world.shard);
		return;
	}
	for (uint32_t n = kernel_draw(4); n > 0 && link->next != &world.shard.all; n--)
		link = link->next;
	world.outcomes[container_of(link, struct conn, in_all)->peer.port - CLIENT_PORT]
		.was_stopped = true;
	conn_stop(container_of(link, struct conn, in_all), REASON_DRAINED);
}

bool runs_is_over(void)
{
	if (world.accepted_count < world.client_count || kernel.doomed_count > 0)
		return false;
	for (int i = 0; i < world.client_count; i++)
		if (!world.outcomes[i].ended)
			return false;
	return true;
}

void runs_drain_network(void)
{
	for (uint32_t i = 0; i < kernel.sock_count; i++) {
		struct sock *sock = &kernel.socks[i];

		do
			(void)peer_read(sock, UINT32_MAX);
		while (!sock->is_closed_by_actor && sock_deliver(sock, UINT32_MAX));
		(void)peer_read(sock, UINT32_MAX);
		if (sock->fd >= 0 && sock->was_connected && !sock->is_dead &&
		    !sock->is_closed_by_actor && !sock->rst_out && !peer_sees_eof(sock))
			fail("fd %d: its peer is never told of the end", sock->fd);
	}
}
