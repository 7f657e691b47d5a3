#include "io/bufring.h"
#include "io/ring.h"
#include "sim/kernel.h"

int ring_init(struct ring *ring, unsigned entries, bool spins)
{
	(void)spins;
	(void)entries;
	ring->receives_many = !kernel.is_old;
	return 0;
}

void ring_fini(struct ring *ring)
{
	(void)ring;
	if (kernel.request_count > 0)
		fail("%u operations are in flight as the ring is closed", kernel.request_count);
	kernel_close_doomed();
}

void op_init(struct op *op, void (*done)(struct op *op, int res, unsigned flags))
{
	op->done = done;
	op->busy = false;
}

void ring_recv(struct ring *ring, struct op *op, int fd, struct bufring *buffers, uint32_t max)
{
	struct request *request = kernel_arm(op, OP_RECV, fd);

	(void)ring;
	(void)kernel_sock(fd);
	if (max == 0)
		fail("a receive of no bytes reads as an end of file");
	request->buffers = buffers;
	request->len = max;
}

void ring_recv_many(struct ring *ring, struct op *op, int fd, struct bufring *buffers,
                    uint32_t limit)
{
	if (!ring->receives_many)
		fail("fd %d: this kernel has no receive of many", fd);
	ring_recv(ring, op, fd, buffers, buffers->size);
	kernel.queue[kernel.queue_len - 1]->limit = limit;
}

void ring_send(struct ring *ring, struct op *op, int fd, const void *data, uint32_t len, bool wait)
{
	struct request *request = kernel_arm(op, OP_SEND, fd);

	(void)ring;
	(void)kernel_sock(fd);
	if (len == 0)
		fail("a send of no bytes tells nothing");
	request->data = data;
	request->len = len;
	request->wait = wait;
	request->sum = kernel_sum(data, len);
}

void ring_open_fast(struct ring *ring, struct op *op, int fd, const struct sockaddr *to,
                    socklen_t to_len, struct span data)
{
	struct request *request;

	ring_send(ring, op, fd, data.data, (uint32_t)data.len, false);
	request = kernel.queue[kernel.queue_len - 1];
	request->opens_fast = true;
	request->to = addr_from_sockaddr(to, to_len);
}

void ring_poll(struct ring *ring, struct op *op, int fd, unsigned events)
{
	(void)ring;
	(void)kernel_sock(fd);
	kernel_arm(op, OP_POLL, fd)->events = events;
}

void ring_poll_edges(struct ring *ring, struct op *op, int fd, unsigned events)
{
	(void)ring;
	(void)kernel_sock(fd);
	kernel_arm(op, OP_EDGES, fd)->events = events;
}

void ring_accept(struct ring *ring, struct op *op, int fd)
{
	(void)ring;
	(void)kernel_arm(op, OP_ACCEPT, fd);
}

void ring_accept_one(struct ring *ring, struct op *op, int fd)
{
	(void)ring;
	kernel_arm(op, OP_ACCEPT, fd)->is_single = true;
}

void ring_splice(struct ring *ring, struct op *op, int from_fd, int to_fd, uint32_t len)
{
	struct request *request = kernel_arm(op, OP_SPLICE, from_fd);

	(void)ring;
	kernel_use(to_fd);
	request->to_fd = to_fd;
	request->len = len;
}

void ring_read(struct ring *ring, struct op *op, int fd, void *data, uint32_t len)
{
	(void)ring;
	(void)op;
	(void)data;
	fail("nothing in the session layer reads files (fd %d, %u bytes)", fd, len);
}

void ring_cancel(struct ring *ring, struct op *op)
{
	(void)ring;
	if (!op->busy)
		fail("an operation is cancelled that is not in flight");
	(void)kernel_arm(op, OP_CANCEL, -1);
}

void ring_close(struct ring *ring, int fd)
{
	(void)ring;
	kernel_fd_doom(fd);
}

/* What is armed may land at any time, submitted or not. */
void ring_submit(struct ring *ring)
{
	(void)ring;
}

int ring_wait(struct ring *ring, uint64_t timeout_ms)
{
	(void)ring;
	return kernel_wait(timeout_ms);
}

int ring_gather(struct ring *ring, uint64_t timeout_ms, uint32_t us)
{
	(void)ring;
	if (us == 0)
		fail("it gathers for no time at all");
	kernel.gathers++;
	return kernel_wait(timeout_ms);
}

bool ring_spin(struct ring *ring, uint32_t us)
{
	(void)ring;
	if (us == 0)
		fail("it looks for no time at all");
	return kernel_spin();
}

unsigned ring_reap(struct ring *ring)
{
	(void)ring;
	return kernel_reap();
}

bool ring_has_overflowed(struct ring *ring)
{
	(void)ring;
	return false;
}
