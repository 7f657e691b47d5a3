#include "session/flow_parts.h"

#include "session/conn.h"

#include <string.h>

void flow_init(struct flow *flow)
{
	*flow = (struct flow){0};
}

void flow_hold_hello(struct flow *flow, uint32_t offset, uint32_t len)
{
	flow->hold = FLOW_HELLO;
	flow->offset = offset;
	flow->held = len;
}

void flow_hold_lease(struct flow *flow, uint16_t lease, uint32_t len)
{
	flow->hold = FLOW_LEASE;
	flow->lease = lease;
	flow->offset = 0;
	flow->held = len;
}

void flow_hold_records(struct flow *flow, uint8_t *plain, uint32_t len)
{
	flow->hold = FLOW_RECORDS;
	flow->stall = plain;
	flow->offset = 0;
	flow->held = len;
}

void flow_release(struct conn *c, struct flow *flow)
{
	struct shard *shard = c->shard;

	switch ((enum flow_hold)flow->hold) {
	case FLOW_NOTHING:
		break;
	case FLOW_LEASE:
		bufring_give_back(&shard->buffers, flow->lease);
		break;
	case FLOW_STALL:
		slab_put(&shard->stalls, flow->stall);
		break;
	case FLOW_BIG_STALL:
		slab_put(&shard->big_stalls, flow->stall);
		break;
	case FLOW_HELLO:
		break; /* the connection's */
	case FLOW_RECORDS:
		slab_put(&shard->records, flow->stall);
		break;
	case FLOW_PIPE:
		pipe_put(&shard->pipes, flow->pipe, flow->held > 0 || flow->is_filling);
		break;
	}
	flow->hold = FLOW_NOTHING;
	flow->held = 0;
}

const uint8_t *flow_data(const struct conn *c, const struct flow *flow)
{
	switch ((enum flow_hold)flow->hold) {
	case FLOW_LEASE:
		return bufring_data(&c->shard->buffers, flow->lease) + flow->offset;
	case FLOW_STALL:
	case FLOW_BIG_STALL:
	case FLOW_RECORDS:
		return flow->stall + flow->offset;
	case FLOW_HELLO:
		return c->hello + flow->offset;
	case FLOW_NOTHING:
	case FLOW_PIPE:
		break;
	}
	die(__FILE__, __LINE__, "a flow that writes from memory holds bytes there");
}

void flow_lose(struct conn *c, struct flow *flow, struct side *reset)
{
	reset->is_reset = true;
	flow->has_ended = true;
	flow_release(c, flow);
}

void flow_stall(struct conn *c, struct flow *flow)
{
	uint8_t *stall;

	if (flow->hold != FLOW_LEASE)
		return;
	stall = slab_get(&c->shard->stalls);
	CHECK(stall); /* there are as many as flows */
	memcpy(stall, flow_data(c, flow), flow->held);
	bufring_give_back(&c->shard->buffers, flow->lease);
	flow->hold = FLOW_STALL;
	flow->stall = stall;
	flow->offset = 0;
}

void flow_append(struct conn *c, struct flow *flow, struct side *from)
{
	uint32_t end = flow->offset + flow->held, n = (uint32_t)from->input_res;

	CHECK(flow->hold == FLOW_STALL && end + n <= shard_stall_size(&c->shard->sizes));
	memcpy(flow->stall + end, bufring_data(&c->shard->buffers, from->lease), n);
	bufring_give_back(&c->shard->buffers, from->lease);
	side_next_input(from);
	flow->held += n;
}

bool flow_yield_pipe(struct conn *c, struct flow *flow, const struct side *to)
{
	struct pipe *pipe = flow->pipe;
	uint8_t     *stall;

	if (flow->hold != FLOW_PIPE || !to->is_blocked || to->output.busy || flow->held == 0)
		return false;
	stall = slab_get(&c->shard->big_stalls);
	CHECK(stall); /* there are as many as flows */
	pipe_read(pipe, stall, flow->held);
	pipe_put(&c->shard->pipes, pipe, false);
	flow->hold = FLOW_BIG_STALL;
	flow->stall = stall;
	flow->offset = 0;
	return true;
}
