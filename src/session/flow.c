#include "session/flow_parts.h"

#include "io/sock.h"
#include "session/conn.h"
#include "session/secure.h"

#include <errno.h>

enum {
	ROUNDS_MAX = 8,   /* pipes filled in one step before others get their turn */
	STREAM_KIB = 256, /* that went one way: it is bulk, see shard_wait */
	QUIET = 4096,     /* a spliced direction that moves less at a time goes back to copying */
};

static enum flow_mode spliced_mode(const struct shard *shard)
{
	return shard->sizes.zero_copy == CONF_ZERO_COPY_URING ? FLOW_URING_SPLICE : FLOW_SPLICE;
}

/* All spliced flows of a worker are spliced in one way; a pipe may hold bytes of one that copies by
 * now. */
static enum counters_strategy flow_strategy(const struct conn *c, const struct flow *flow)
{
	if (flow->hold != FLOW_PIPE)
		return COUNTERS_COPY;
	return spliced_mode(c->shard) == FLOW_SPLICE ? COUNTERS_SPLICE : COUNTERS_URING_SPLICE;
}

/* One way without a word the other way: a message and its answer are no bulk, however many. */
static void flow_note_streak(struct conn *c, const struct flow *flow, uint32_t n)
{
	bool is_down = flow == &c->down;

	if (c->streak_is_down != is_down)
		c->streak_kib = 0;
	c->streak_is_down = is_down;
	c->streak_kib = (uint16_t)min_u32(c->streak_kib + n / 1024, UINT16_MAX);
}

void flow_wrote(struct conn *c, struct flow *flow, uint32_t n)
{
	enum counters_direction direction = flow == &c->up ? COUNTERS_UP : COUNTERS_DOWN;

	CHECK(n <= flow->held);
	GAUGE_ADD(c->counters->bytes[direction], n);
	GAUGE_ADD(c->shard->counters->relayed[flow_strategy(c, flow)], n);
	flow->bytes += n;
	flow->held -= n;
	flow->offset += n;
	flow->run = flow->run > UINT32_MAX - n ? UINT32_MAX : flow->run + n;
	flow_note_streak(c, flow, n);
	c->active_ms = c->shard->now_ms;
}

/* *n*: what writing to *to* returned, a count or -errno. */
static enum flow_verdict flow_after_write(struct conn *c, struct flow *flow, struct side *from,
                                          struct side *to, int64_t n)
{
	if (side_is_fatal(n)) {
		flow_lose(c, flow, to);
		return FLOW_GOES_ON;
	}
	if (n > 0) {
		to->is_rechecked = false;
		flow_wrote(c, flow, (uint32_t)n);
	}
	if (flow->held == 0) {
		if (flow->hold != FLOW_PIPE || flow->mode == FLOW_COPY)
			flow_release(c, flow);
		return FLOW_GOES_ON;
	}
	flow_stall(c, flow);
	if (flow->hold == FLOW_PIPE)
		conn_stall(c);
	side_block(c, to);
	side_watch(c, from);
	return FLOW_GOES_ON;
}

/* *is_last*: sock_finish follows in this step, if all is taken. */
static enum flow_verdict flow_write(struct conn *c, struct flow *flow, struct side *from,
                                    struct side *to, bool is_last)
{
	int64_t n;

	if (to->secure)
		return flow_encrypt(c, flow, to);
	if (to->output.busy)
		return FLOW_WAITS;
	if (to->facts & SIDE_OUTPUT) {
		to->facts &= (uint8_t)~SIDE_OUTPUT;
		return flow_after_write(c, flow, from, to, to->output_res);
	}
	if (!side_may_write(c, to))
		return FLOW_WAITS;
	if (flow->hold != FLOW_PIPE && !is_last) {
		/* By the ring, not by send(2): the sends of a turn in one batch cost a tenth less
		 * CPU (small exchanges on 128 connections). */
		side_send(c, to, flow_data(c, flow), flow->held, false);
		return FLOW_WAITS;
	}
	if (flow->hold == FLOW_PIPE && flow->mode == FLOW_URING_SPLICE) {
		side_splice_out(c, to, flow->pipe->read_fd, flow->held);
		return FLOW_WAITS;
	}
	to->facts &= (uint8_t)~SIDE_WRITABLE; /* an older edge: this write sees for itself */
	n = flow->hold == FLOW_PIPE ? pipe_drain(flow->pipe, to->fd, flow->held)
	                            : sock_send_last(to->fd, flow_data(c, flow), flow->held);
	return flow_after_write(c, flow, from, to, n);
}

/* A pipe to fill, or false: none is left, copy instead. */
static bool flow_take_pipe(struct conn *c, struct flow *flow)
{
	struct pipe *pipe;

	if (flow->hold == FLOW_PIPE)
		return true;
	pipe = pipe_get(&c->shard->pipes);
	if (!pipe && conn_yield_a_pipe(c->shard))
		pipe = pipe_get(&c->shard->pipes);
	if (!pipe) {
		GAUGE_ADD(c->shard->gauges.pipes_exhausted_total, 1);
		flow->mode = FLOW_COPY;
		flow->run = 0;
		return false;
	}
	flow->pipe = pipe;
	flow->hold = FLOW_PIPE;
	return true;
}

static bool flow_is_bulk(const struct conn *c, const struct flow *flow)
{
	if (c->client.secure || c->upstream.secure)
		return false;
	switch (c->shard->sizes.zero_copy) {
	case CONF_ZERO_COPY_OFF:
		return false;
	case CONF_ZERO_COPY_SPLICE:
	case CONF_ZERO_COPY_URING:
		return flow->run > 0 ||
		       c->shard->pipes.idle; /* with no pipe left: after it has copied a while */
	case CONF_ZERO_COPY_AUTO:
		break;
	}
	return flow->was_full && flow->run >= c->shard->sizes.splice_min;
}

static const struct flow *flow_back(const struct conn *c, const struct flow *flow)
{
	return flow == &c->up ? &c->down : &c->up;
}

/* A socket tells of its reset once: a write to the source may have been told, and the read then saw
 * a plain end. So that write is heard first. */
static enum flow_verdict flow_end(struct conn *c, struct flow *flow, struct side *from,
                                  struct side *to)
{
	if (from->output.busy)
		return FLOW_WAITS;
	if ((from->facts & SIDE_OUTPUT) && side_is_fatal(from->output_res))
		from->is_reset = true;
	if (to->secure && !from->is_reset &&
	    !secure_finish(c, to, !from->secure || from->secure->peer_has_closed)) {
		if (to->is_blocked)
			side_watch(c, from);
		return FLOW_WAITS;
	}
	/* Where the other direction has ended too, the close that follows says it; but TLS's last
	 * bytes wait for it. */
	if (!from->is_reset && (to->secure || !flow_back(c, flow)->has_ended))
		sock_finish(to->fd);
	flow->has_ended = true;
	return FLOW_GOES_ON;
}

/* Behind what it holds nothing but the end of the source has come, and flow_end will pass that on
 * without a wait: in one segment with the last bytes, and without a turn in between. */
static bool flow_is_at_end(const struct flow *flow, const struct side *from)
{
	bool is_there = flow->has_eof ||
	                ((from->facts & SIDE_INPUT) && from->input_res == 0 && !from->secure);

	return is_there && !from->is_reset && !from->output.busy && !(from->facts & SIDE_OUTPUT);
}

/* *n*: what reading from *from* returned: 0 or -errno. */
static enum flow_verdict flow_source_over(struct conn *c, struct flow *flow, struct side *from,
                                          int64_t n)
{
	flow_release(c, flow);
	if (n < 0) {
		flow_lose(c, flow, from);
		return FLOW_GOES_ON;
	}
	flow->has_eof = true;
	return FLOW_GOES_ON;
}

static enum flow_verdict flow_await_input(struct conn *c, struct flow *flow, struct side *from)
{
	/* Waiting, it holds nothing: the pipe may serve another. */
	flow_release(c, flow);
	if (flow->mode != FLOW_COPY)
		side_poll_readable(c, from);
	else if (from->secure || flow->was_full)
		side_recv(c, from, c->shard->buffers.size); /* large, or more than fits behind it */
	else
		side_recv_many(c, from);
	return FLOW_WAITS;
}

/* In bulk: it has moved much, and nothing went the other way since. Not where sockets were given
 * buffers that do not grow: what fits into them may be all that a wait brings. */
static bool flow_streams(const struct conn *c, const struct flow *flow)
{
	const struct conf_listener *conf = c->listener->conf;

	return flow->mode == FLOW_SPLICE && c->streak_is_down == (flow == &c->down) &&
	       c->streak_kib >= STREAM_KIB && conf->rcvbuf == 0 && conf->sndbuf == 0;
}

/* The source has no more for now. */
static enum flow_verdict flow_ran_dry(struct conn *c, struct flow *flow, struct side *from)
{
	bool was_quiet = flow->run < QUIET;

	if (flow_streams(c, flow))
		c->shard->bulk_is_dry = true;
	/* Not for the last piece of an answer, nor where one ended just at its promotion: there are
	 * larger ones to come. */
	if (c->shard->sizes.zero_copy == CONF_ZERO_COPY_AUTO && was_quiet && !flow->was_full)
		flow->mode = FLOW_COPY;
	flow->was_full = !was_quiet;
	flow->is_readable = false;
	flow->run = 0;
	return flow_await_input(c, flow, from);
}

static enum flow_verdict flow_after_fill(struct conn *c, struct flow *flow, struct side *from,
                                         int64_t n)
{
	if (n == -EAGAIN || n == -EINTR)
		return flow_ran_dry(c, flow, from);
	if (n <= 0)
		return flow_source_over(c, flow, from, n);
	flow->held = (uint32_t)n;
	c->active_ms = c->shard->now_ms;
	return FLOW_GOES_ON;
}

static enum flow_verdict flow_take_received(struct conn *c, struct flow *flow, struct side *from,
                                            int32_t n, uint16_t lease)
{
	if (n == -ENOBUFS) {
		conn_starve(c);
		return FLOW_WAITS;
	}
	if (n == -EAGAIN || n == -EINTR)
		return FLOW_GOES_ON;
	if (n <= 0) {
		/* An end without close_notify: what came before may be all, or not. */
		if (from->secure && n == 0)
			from->secure->is_truncated = true;
		return flow_source_over(c, flow, from, n);
	}
	if (c->relay == 0)
		c->relay = COUNTERS_COPY + 1;
	c->active_ms = c->shard->now_ms;
	if (flow_back(c, flow)->mode == FLOW_COPY)
		c->shard->quick_ms = c->shard->now_ms;
	flow->was_full = (uint32_t)n == c->shard->buffers.size;
	if (from->secure) {
		enum flow_verdict verdict = flow_decrypt(
			c, flow, from, span_of(bufring_data(&c->shard->buffers, lease), (size_t)n));

		bufring_give_back(&c->shard->buffers, lease);
		return verdict;
	}
	flow_hold_lease(flow, lease, (uint32_t)n);
	return FLOW_GOES_ON;
}

/* Input has landed: in SPLICE mode a poll, in URING_SPLICE mode a poll or a splice. */
static enum flow_verdict flow_take_input(struct conn *c, struct flow *flow, struct side *from)
{
	int32_t  res = from->input_res;
	uint16_t lease = from->lease;

	side_next_input(from);
	switch ((enum flow_mode)flow->mode) {
	case FLOW_COPY:
		return flow_take_received(c, flow, from, res, lease);
	case FLOW_SPLICE:
		flow->is_readable = true;
		return FLOW_GOES_ON;
	case FLOW_URING_SPLICE:
		if (flow->is_filling) {
			flow->is_filling = false;
			return flow_after_fill(c, flow, from, res);
		}
		flow->is_readable = true;
		return FLOW_GOES_ON;
	}
	return FLOW_WAITS;
}

static enum flow_verdict flow_read(struct conn *c, struct flow *flow, struct side *from,
                                   bool may_fill)
{
	if (from->facts & SIDE_INPUT)
		return flow_take_input(c, flow, from);
	if (from->input.busy)
		return FLOW_WAITS;
	if (from->secure && from->secure->has_failed) {
		if (!secure_flush(c, from)) /* the alert that tells it why */
			return FLOW_WAITS;
		flow_lose(c, flow, from);
		return FLOW_GOES_ON;
	}
	if (from->secure && secure_has_more(from->secure))
		return flow_decrypt(c, flow, from, span_of(NULL, 0));
	if (flow->mode == FLOW_COPY && flow_is_bulk(c, flow)) {
		flow->mode = (uint8_t)spliced_mode(c->shard);
		flow->is_readable = flow->run > 0; /* its last buffer was full: there is more */
		flow->run = 0;
	}
	if (flow->is_readable && !may_fill)
		c->shard->bulk_presses = true;
	if (flow->mode == FLOW_COPY || !flow->is_readable || !may_fill)
		return flow_await_input(c, flow, from);
	if (!flow_take_pipe(c, flow))
		return flow_await_input(c, flow, from);
	if (flow->mode == FLOW_URING_SPLICE) {
		flow->is_filling = true;
		c->relay = COUNTERS_URING_SPLICE + 1;
		side_splice_in(c, from, flow->pipe->write_fd);
		return FLOW_WAITS;
	}
	c->relay = COUNTERS_SPLICE + 1;
	return flow_after_fill(c, flow, from, pipe_fill(flow->pipe, from->fd));
}

void flow_push(struct conn *c, struct flow *flow, struct side *from, struct side *to)
{
	while (flow->held > 0 && !flow->has_ended)
		if (flow_write(c, flow, from, to, false) == FLOW_WAITS)
			break;
}

static void flow_go(struct conn *c, struct flow *flow, struct side *from, struct side *to)
{
	enum flow_verdict verdict = FLOW_GOES_ON;

	/* Each round reads once; the poll that follows the last one fires at once if there is
	 * more. */
	for (int rounds = 0; verdict == FLOW_GOES_ON && !flow->has_ended;) {
		/* At the end flow_end sends it: records, close_notify and FIN in one. */
		if (to->secure && (flow->held > 0 || !flow_is_at_end(flow, from)) &&
		    !flow_is_sent(c, flow, from, to))
			return;
		if (flow->has_ended)
			return;
		if (flow->held > 0) {
			verdict = flow_write(c, flow, from, to,
			                     flow_is_at_end(flow, from) &&
			                             !flow_back(c, flow)->has_ended);
			flow_encrypt_more(c, flow, from, to);
		} else if (flow->has_eof) {
			verdict = flow_end(c, flow, from, to);
		} else {
			verdict = flow_read(c, flow, from, rounds++ < ROUNDS_MAX);
		}
	}
}

/* Bytes land also while nothing is read: of a receive of many, or of one that was begun before *to*
 * had something to send (an answer to a KeyUpdate, say). Their buffers may wait for a send that is
 * under way, as its own does, not for a slow reader. */
static void flow_keep_input(struct conn *c, struct flow *flow, struct side *from,
                            const struct side *to)
{
	if (flow->has_ended)
		side_drop_input(c, from);
	if (from->lease == BUFRING_NONE)
		return;
	c->active_ms = c->shard->now_ms;
	if (to->output.busy && !to->secure)
		return;
	while (from->lease != BUFRING_NONE) {
		if (flow->held > 0) {
			flow_append(c, flow, from);
		} else {
			(void)flow_take_input(c, flow, from);
			flow_stall(c, flow);
		}
	}
}

void flow_step(struct conn *c, struct flow *flow, struct side *from, struct side *to)
{
	flow_go(c, flow, from, to);
	flow_keep_input(c, flow, from, to);
}
