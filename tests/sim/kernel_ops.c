#include "io/bufring.h"
#include "sim/kernel.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

/* ------------------------------------------------------------------ operations */

uint64_t kernel_sum(const uint8_t *data, uint32_t len)
{
	uint64_t sum = len, word;
	uint32_t i = 0;

	for (; i + 8 <= len; i += 8) {
		memcpy(&word, data + i, 8);
		sum = (sum ^ word) * 0x9fb21c651e98df25u;
		sum ^= sum >> 29;
	}
	for (; i < len; i++)
		sum = (sum ^ data[i]) * 0x100000001b3u;
	return sum;
}

static void fd_hold(int fd, int by)
{
	if (fd >= 0)
		kernel.fds[fd - FD_FIRST].ops = (uint16_t)(kernel.fds[fd - FD_FIRST].ops + by);
}

void kernel_expect_quiet(int fd)
{
	if (kernel.fds[kernel_fd_index(fd)].ops > 0)
		fail("fd %d is given away or closed under an operation in flight", fd);
}

void kernel_use(int fd)
{
	(void)kernel_fd_index(fd);
	fd_hold(fd, 1);
}

struct request *kernel_arm(struct op *op, enum op_kind kind, int fd)
{
	struct request *request;

	if (kind != OP_CANCEL) {
		if (op->busy)
			fail("an operation is armed that is in flight");
		op->busy = true;
		(void)kernel_fd_index(fd);
		fd_hold(fd, 1);
	}
	if (kernel.spare_count == 0)
		fail("the simulation has no room for another operation");
	request = kernel.spare[--kernel.spare_count];
	*request = (struct request){.op = op, .kind = kind, .fd = fd, .to_fd = -1};
	kernel.queue[kernel.queue_len++] = request;
	if (kind != OP_CANCEL)
		kernel.requests[kernel.request_count++] = request;
	return request;
}

bool kernel_has_op(int fd, enum op_kind kind)
{
	for (uint32_t i = 0; i < kernel.request_count; i++)
		if (kernel.requests[i]->kind == kind && kernel.requests[i]->fd == fd &&
		    !kernel.requests[i]->has_landed)
			return true;
	return false;
}

static void post(struct request *request, int res, unsigned flags);

uint32_t kernel_unseen(const struct op *op)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < kernel.completion_count; i++) {
		const struct completion *c = &kernel.completions[i];

		if (c->request->op == op && c->res > 0)
			n += (uint32_t)c->res;
	}
	return n;
}

bool kernel_land(int fd, enum op_kind kind, int res)
{
	for (uint32_t i = 0; i < kernel.request_count; i++) {
		struct request *request = kernel.requests[i];

		if (request->kind == kind && request->fd == fd && !request->has_landed) {
			post(request, res, 0);
			return true;
		}
	}
	return false;
}

/* Completions of one operation stay in order; among those of different ones there is none. */
static void post(struct request *request, int res, unsigned flags)
{
	uint32_t first = kernel.completion_count, at;

	if (kernel.completion_count == REQUESTS_MAX)
		fail("the simulation has no room for another completion");
	while (first > 0 && kernel.completions[first - 1].request != request)
		first--;
	at = kernel.is_obedient ? kernel.completion_count
	                        : first + kernel_draw(kernel.completion_count - first + 1);
	memmove(&kernel.completions[at + 1], &kernel.completions[at],
	        (kernel.completion_count - at) * sizeof(kernel.completions[0]));
	kernel.completions[at] = (struct completion){request, res, flags};
	kernel.completion_count++;
	request->has_landed = !(flags & IORING_CQE_F_MORE);
	kernel.moves++;
}

static int buffer_take(const struct bufring *buffers)
{
	for (uint32_t i = 0; i < buffers->count; i++) {
		if (kernel.buffer_state[i] == BUFFER_KERNEL) {
			kernel.buffer_state[i] = BUFFER_FILLED;
			return (int)i;
		}
	}
	return -1;
}

static bool has_buffer(const struct bufring *buffers)
{
	for (uint32_t i = 0; i < buffers->count; i++)
		if (kernel.buffer_state[i] == BUFFER_KERNEL)
			return true;
	return false;
}

/* The kernel may end a receive of many by itself (a full completion queue). */
static void post_received(struct request *request, uint32_t n, int buffer)
{
	bool goes_on = n < request->limit && !kernel_fault();

	request->limit -= goes_on ? n : request->limit;
	post(request, (int)n,
	     (unsigned)buffer << IORING_CQE_BUFFER_SHIFT | IORING_CQE_F_BUFFER |
	             (goes_on ? IORING_CQE_F_MORE : 0));
}

static void recv_end(struct request *request, struct sock *sock)
{
	int error = sock_read_end(sock);

	/* Kernels differ in whether an end of file uses up a buffer. */
	if (error == 0 && kernel_chance(8))
		post(request, 0,
		     (unsigned)buffer_take(request->buffers) << IORING_CQE_BUFFER_SHIFT |
		             IORING_CQE_F_BUFFER);
	else
		post(request, error, 0);
}

static void try_recv(struct request *request, bool is_submission)
{
	struct sock *sock = kernel_sock(request->fd);
	uint32_t     n = min_u32(min_u32(sock_unread(sock), request->len), request->buffers->size);
	int          buffer;

	if (n == 0 && !sock->is_dead && !sock->fin_in) {
		if (is_submission && !has_buffer(request->buffers) && !kernel_chance(4))
			post(request, -ENOBUFS, 0);
		return;
	}
	if (!has_buffer(request->buffers)) {
		post(request, -ENOBUFS, 0);
		return;
	}
	if (kernel_fault()) {
		post(request, kernel_chance(2) ? -EAGAIN : kernel_chance(2) ? -EINTR : -ENOBUFS, 0);
		return;
	}
	if (n == 0) {
		recv_end(request, sock);
		return;
	}
	n = kernel_some(n);
	buffer = buffer_take(request->buffers);
	sock_read(sock, request->buffers->memory + (size_t)buffer * request->buffers->size, n);
	trace("fd %d: %u received", request->fd, n);
	post_received(request, n, buffer);
}

static void check_sent(const struct request *request)
{
	if (kernel_sum(request->data, request->len) != request->sum)
		fail("fd %d: the memory of a send was changed under it", request->fd);
}

static void try_send(struct request *request)
{
	struct sock *sock = kernel_sock(request->fd);

	if (request->wait && (sock->is_connecting ||
	                      (!sock->is_dead && !sock->fin_out && !sock_takes_bytes(sock)))) {
		sock->has_nospace = true;
		return;
	}
	check_sent(request);
	if (request->opens_fast) {
		post(request, sock_open_fast(sock, request), 0);
		return;
	}
	post(request, sock_write(sock, request->data, NULL, request->len), 0);
}

static void try_poll(struct request *request)
{
	unsigned mask = sock_poll_mask(kernel_sock(request->fd)) &
	                (request->events | POLLERR | POLLHUP | POLLRDHUP);

	if (mask)
		post(request, (int)mask, 0);
}

static void try_edges(struct request *request)
{
	unsigned mask;

	/* Woken for nothing, now and then: it looks, and reports what it sees. */
	if (!request->is_woken && !kernel_chance(64))
		return;
	request->is_woken = false;
	mask = sock_poll_mask(kernel_sock(request->fd)) &
	       (request->events | POLLERR | POLLHUP | POLLRDHUP);
	if (mask) {
		trace("fd %d: an edge, %#x", request->fd, mask);
		post(request, (int)mask, kernel_fault() ? 0 : IORING_CQE_F_MORE);
	}
}

static void try_accept(struct request *request)
{
	static const int errors[] = {EMFILE, ENFILE, ECONNABORTED, ENOBUFS, EINTR, EAGAIN};
	struct sock     *sock;

	if (kernel_fault()) {
		post(request, -errors[kernel_draw(COUNT(errors))], 0);
		return;
	}
	sock = kernel.backlog ? kernel.backlog() : NULL;
	if (!sock)
		return;
	(void)kernel_fd_new(sock, NULL);
	trace("fd %d: accepted", sock->fd);
	post(request, sock->fd, request->is_single || kernel_fault() ? 0 : IORING_CQE_F_MORE);
}

static void try_splice(struct request *request)
{
	ssize_t n;

	if (kernel.fds[kernel_fd_index(request->to_fd)].pipe)
		n = kernel_fill(kernel_pipe(request->to_fd), request->fd, request->len);
	else
		n = kernel_drain(kernel_pipe(request->fd), request->to_fd, request->len);
	post(request, (int)n, 0);
}

static void try_request(struct request *request)
{
	switch (request->kind) {
	case OP_RECV:
		try_recv(request, false);
		break;
	case OP_SEND:
		try_send(request);
		break;
	case OP_POLL:
		try_poll(request);
		break;
	case OP_EDGES:
		try_edges(request);
		break;
	case OP_ACCEPT:
		try_accept(request);
		break;
	case OP_SPLICE:
		try_splice(request);
		break;
	case OP_CANCEL:
		break;
	}
}

static void cancel(const struct op *op)
{
	for (uint32_t i = 0; i < kernel.request_count; i++) {
		struct request *request = kernel.requests[i];

		if (request->op != op || request->has_landed)
			continue;
		/* It may be that it lands in this very moment. */
		if (kernel.heeds_no_cancel || kernel_chance(4))
			try_request(request);
		/* A splice runs on a thread: too late to stop it, mostly. */
		if (!request->has_landed && !kernel.heeds_no_cancel &&
		    (request->kind != OP_SPLICE || kernel_chance(4)))
			post(request, -ECANCELED, 0);
	}
}

static void submit(struct request *request)
{
	if (request->kind == OP_CANCEL) {
		cancel(request->op);
		kernel.spare[kernel.spare_count++] = request;
		return;
	}
	request->is_submitted = true;
	switch (request->kind) {
	case OP_RECV:
		try_recv(request, true);
		break;
	case OP_SEND:
		/* Tried at once, before what was armed behind it, unless it waits for the socket. */
		if (request->wait && !kernel.is_obedient && kernel_chance(2))
			break;
		try_send(request);
		break;
	case OP_EDGES:
		request->is_woken = true; /* it looks when it is armed */
		try_edges(request);
		break;
	case OP_POLL:
		try_poll(request);
		break;
	case OP_ACCEPT:
	case OP_SPLICE:
	case OP_CANCEL:
		break;
	}
}

static void submit_all(void)
{
	uint32_t n = kernel.queue_len;

	for (uint32_t i = 0; i < n; i++)
		submit(kernel.queue[i]);
	kernel.queue_len = 0;
	kernel_close_doomed();
}

/* ------------------------------------------------------------------ turns */

/* Lets some of what can happen happen; when *all*, as much as there is. */
static void kernel_round(bool all)
{
	all |= kernel.is_obedient;
	for (uint32_t i = 0; i < kernel.sock_count; i++) {
		struct sock *sock = &kernel.socks[i];

		if (all || kernel_chance(2))
			(void)sock_deliver(sock,
			                   kernel_chance(4) ? 1 + kernel_draw(2000) : UINT32_MAX);
	}
	if (kernel.act)
		(void)kernel.act(all);
	for (uint32_t i = 0; i < kernel.request_count; i++)
		if (kernel.requests[i]->is_submitted && !kernel.requests[i]->has_landed &&
		    (all || kernel_chance(2)))
			try_request(kernel.requests[i]);
}

/* Hands over some completions, of each operation the oldest first. */
static void release(bool all)
{
	uint32_t kept = 0, limit = all || kernel_chance(2)
	                                   ? UINT32_MAX
	                                   : kernel_draw(kernel.completion_count + 1);

	for (uint32_t i = 0; i < kernel.completion_count; i++) {
		struct completion *c = &kernel.completions[i];

		if (kernel.batch_len < limit && !(kernel.held_kinds & BIT(c->request->kind)))
			kernel.batch[kernel.batch_len++] = *c;
		else
			kernel.completions[kept++] = *c;
	}
	kernel.completion_count = kept;
}

/* Time passes by itself, so that timers and completions race. */
static void drift(void)
{
	if (kernel_chance(8))
		kernel.now_ms += kernel_draw(30);
	if (kernel_chance(400))
		kernel.now_ms += kernel_draw(3000);
}

static bool wait_obediently(void)
{
	uint64_t before;

	do {
		before = kernel.moves;
		kernel_round(true);
	} while (kernel.moves != before);
	release(true);
	return true;
}

static int kernel_wait_until(uint64_t deadline)
{
	kernel.turns++;
	submit_all();
	if (kernel.is_obedient)
		return wait_obediently() ? 0 : -1;
	drift();
	for (;;) {
		uint64_t before = kernel.moves, next;

		kernel_round(false);
		release(false);
		if (kernel.batch_len > 0 || kernel.now_ms >= deadline || kernel_chance(64))
			return 0;
		if (kernel.moves != before)
			continue;
		kernel_round(true);
		release(true);
		if (kernel.batch_len > 0)
			return 0;
		if (kernel.moves != before)
			continue;
		if (kernel.quiet)
			kernel.quiet();
		next = kernel.next_ms ? kernel.next_ms() : UINT64_MAX;
		next = next < deadline ? next : deadline;
		if (next == UINT64_MAX) {
			kernel.is_idle = true;
			return 0;
		}
		kernel.now_ms = next > kernel.now_ms ? next : kernel.now_ms;
	}
}

/* Who asks not to wait has something to do. */
static void check_spinning(uint64_t timeout_ms, uint64_t moves_before)
{
	if (timeout_ms > 0 || kernel.batch_len > 0 || kernel.moves != moves_before)
		kernel.spins = 0;
	else if (++kernel.spins > 200)
		fail("it spins");
}

int kernel_wait(uint64_t timeout_ms)
{
	uint64_t before = kernel.moves;
	int      result = kernel_wait_until(
		     timeout_ms > UINT64_MAX - kernel.now_ms ? UINT64_MAX : kernel.now_ms + timeout_ms);

	check_spinning(timeout_ms, before);
	return result;
}

bool kernel_spin(void)
{
	kernel.looks++;
	(void)kernel_wait_until(kernel.now_ms);
	return kernel.batch_len > 0;
}

static void note_bytes(const struct request *request, int res)
{
	if (res <= 0 ||
	    (request->kind != OP_RECV && request->kind != OP_SEND && request->kind != OP_SPLICE))
		return;
	if (request->kind == OP_RECV && kernel_sock(request->fd)->is_unheard)
		return;
	if (kernel.fds[request->fd - FD_FIRST].sock)
		sock_noticed(kernel.fds[request->fd - FD_FIRST].sock);
	else
		sock_noticed(kernel.fds[request->to_fd - FD_FIRST].sock);
}

static void forget(struct request *request)
{
	for (uint32_t i = 0; i < kernel.request_count; i++) {
		if (kernel.requests[i] != request)
			continue;
		memmove(&kernel.requests[i], &kernel.requests[i + 1],
		        (kernel.request_count - i - 1) * sizeof(kernel.requests[0]));
		kernel.request_count--;
		break;
	}
	fd_hold(request->fd, -1);
	fd_hold(request->to_fd, -1);
	kernel.spare[kernel.spare_count++] = request;
}

unsigned kernel_reap(void)
{
	unsigned n = kernel.batch_len;

	for (unsigned i = 0; i < n; i++) {
		struct completion c = kernel.batch[i];
		struct op        *op = c.request->op;

		trace("    fd %d, operation %u: %d, %#x", c.request->fd, c.request->kind, c.res,
		      c.flags);
		if (c.request->kind == OP_SEND)
			check_sent(c.request);
		note_bytes(c.request, c.res);
		if (!(c.flags & IORING_CQE_F_MORE)) {
			op->busy = false;
			forget(c.request);
		}
		op->done(op, c.res, c.flags);
	}
	kernel.batch_len = 0;
	return n;
}
