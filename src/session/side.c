#include "session/side.h"

#include "io/pipe.h"
#include "io/sock.h"
#include "session/conn.h"
#include "site/resolve.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

static struct conn *side_conn(struct side *side)
{
	return side->is_upstream ? container_of(side, struct conn, upstream)
	                         : container_of(side, struct conn, client);
}

static void side_landed(struct conn *c, const struct op *op)
{
	if (!op->busy) {
		CHECK(c->inflight > 0);
		c->inflight--;
	}
}

/* Of a receive of many, behind input that nobody has looked at: into one buffer where it fits. Where
 * it does not, those two are more than a receive of many brings, so it was the last. */
static void side_put_behind(struct conn *c, struct side *side, int res, uint16_t lease)
{
	struct bufring *buffers = &c->shard->buffers;

	if (res > 0 && (uint32_t)(side->input_res + res) <= buffers->size) {
		memcpy(bufring_data(buffers, side->lease) + side->input_res,
		       bufring_data(buffers, lease), (size_t)res);
		side->input_res += res;
		bufring_give_back(buffers, lease);
		return;
	}
	CHECK(!(side->facts & SIDE_BEHIND));
	side->behind_res = res;
	side->behind_lease = lease;
	side->facts |= SIDE_BEHIND;
}

static void on_input(struct op *op, int res, unsigned flags)
{
	struct side *side = container_of(op, struct side, input);
	struct conn *c = side_conn(side);
	uint16_t     lease = bufring_lease(&c->shard->buffers, flags);

	/* Kernels differ in whether an end of file uses up a buffer. */
	if (res <= 0 && lease != BUFRING_NONE) {
		bufring_give_back(&c->shard->buffers, lease);
		lease = BUFRING_NONE;
	}
	if (side->facts & SIDE_INPUT) {
		side_put_behind(c, side, res, lease);
	} else {
		side->input_res = res;
		side->lease = lease;
		side->facts |= SIDE_INPUT;
	}
	side_landed(c, op);
	/* Its place is that of what came, not that of a send that has landed, too: else who is
	 * answered at once goes ahead of all that have waited, turn after turn. */
	conn_wake_last(c);
}

static void on_output(struct op *op, int res, unsigned flags)
{
	struct side *side = container_of(op, struct side, output);

	(void)flags;
	side->output_res = res;
	side->facts |= SIDE_OUTPUT;
	side_landed(side_conn(side), op);
	conn_wake(side_conn(side));
}

static void on_writable(struct op *op, int res, unsigned flags)
{
	struct side *side = container_of(op, struct side, writable);

	(void)flags;
	/* POLLRDHUP alone says nothing about writing. */
	if (res > 0 && (res & (POLLOUT | POLLERR | POLLHUP)) != 0)
		side->facts |= SIDE_WRITABLE;
	if (res > 0 && (res & POLLERR) != 0)
		side->has_error = true;
	side_landed(side_conn(side), op);
	conn_wake(side_conn(side));
}

void side_init(struct side *side, bool is_upstream)
{
	*side = (struct side){.fd = -1,
	                      .lease = BUFRING_NONE,
	                      .behind_lease = BUFRING_NONE,
	                      .is_upstream = is_upstream};
	op_init(&side->input, on_input);
	op_init(&side->output, on_output);
	op_init(&side->writable, on_writable);
}

void side_recv(struct conn *c, struct side *side, uint32_t max)
{
	c->inflight++;
	ring_recv(&c->shard->ring, &side->input, side->fd, &c->shard->buffers, max);
}

void side_recv_many(struct conn *c, struct side *side)
{
	struct shard *shard = c->shard;

	if (!shard->ring.receives_many) {
		side_recv(c, side, shard->buffers.size);
		return;
	}
	c->inflight++;
	ring_recv_many(&shard->ring, &side->input, side->fd, &shard->buffers, shard->buffers.size);
}

void side_poll_readable(struct conn *c, struct side *side)
{
	c->inflight++;
	ring_poll(&c->shard->ring, &side->input, side->fd, POLLIN | POLLRDHUP);
}

void side_splice_in(struct conn *c, struct side *side, int pipe_fd)
{
	c->inflight++;
	ring_splice(&c->shard->ring, &side->input, side->fd, pipe_fd, PIPE_FILL_MAX);
}

void side_send(struct conn *c, struct side *side, const void *data, uint32_t len, bool wait)
{
	side->facts &= (uint8_t)~SIDE_WRITABLE; /* an older edge: this send sees for itself */
	c->inflight++;
	ring_send(&c->shard->ring, &side->output, side->fd, data, len, wait);
}

void side_open_fast(struct conn *c, struct side *side, const struct endpoint *to, struct span data)
{
	side->facts &= (uint8_t)~SIDE_WRITABLE;
	c->inflight++;
	ring_open_fast(&c->shard->ring, &side->output, side->fd, &to->any, to->len, data);
}

void side_splice_out(struct conn *c, struct side *side, int pipe_fd, uint32_t len)
{
	side->facts &= (uint8_t)~SIDE_WRITABLE;
	c->inflight++;
	ring_splice(&c->shard->ring, &side->output, pipe_fd, side->fd, len);
}

void side_wait_connected(struct conn *c, struct side *side)
{
	c->inflight++;
	ring_poll(&c->shard->ring, &side->input, side->fd, POLLOUT);
}

int side_connected(struct side *side)
{
	int res = side->input_res;

	side->facts &= (uint8_t)~SIDE_INPUT;
	if (res < 0)
		return res;
	return (res & (POLLERR | POLLHUP)) ? sock_take_error(side->fd) : 0;
}

void side_watch(struct conn *c, struct side *side)
{
	if (side->writable.busy)
		return;
	c->inflight++;
	ring_poll_edges(&c->shard->ring, &side->writable, side->fd, POLLOUT);
}

void side_block(struct conn *c, struct side *side)
{
	side->is_blocked = true;
	c->shard->bulk_presses = true;
	side_watch(c, side);
	/* An edge may have passed between the short output and this line. */
	if (!side->is_rechecked && sock_is_writable(side->fd)) {
		side->is_rechecked = true;
		side->facts |= SIDE_WRITABLE;
	}
}

bool side_may_write(struct conn *c, struct side *side)
{
	if (side->is_blocked && (side->facts & SIDE_WRITABLE)) {
		side->facts &= (uint8_t)~SIDE_WRITABLE;
		side->is_blocked = false;
	}
	/* The kernel may end a multishot poll by itself (a full completion queue), with POLLRDHUP
	 * alone too. */
	if (side->is_blocked)
		side_watch(c, side);
	return !side->is_blocked;
}

void side_cancel(struct conn *c, struct side *side)
{
	struct op *ops[] = {&side->input, &side->output, &side->writable};

	for (size_t i = 0; i < COUNT(ops); i++)
		if (ops[i]->busy)
			ring_cancel(&c->shard->ring, ops[i]);
}

bool side_is_fatal(int64_t res)
{
	return res < 0 && res != -EAGAIN && res != -EINTR && res != -ENOBUFS && res != -ENOMEM;
}

void side_next_input(struct side *side)
{
	side->lease = side->behind_lease;
	side->behind_lease = BUFRING_NONE;
	if (side->facts & SIDE_BEHIND)
		side->input_res = side->behind_res;
	else
		side->facts &= (uint8_t)~SIDE_INPUT;
	side->facts &= (uint8_t)~SIDE_BEHIND;
}

void side_drop_input(struct conn *c, struct side *side)
{
	while (side->facts & SIDE_INPUT) {
		if (side->lease != BUFRING_NONE)
			bufring_give_back(&c->shard->buffers, side->lease);
		side_next_input(side);
	}
}
