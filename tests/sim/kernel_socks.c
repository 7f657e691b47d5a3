#include "base/hash.h"
#include "sim/kernel.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>

static uint8_t table[TABLE_SIZE];

/* ------------------------------------------------------------------ bytes */

/* Made once, the same in every run. */
static const uint8_t *random_bytes(void)
{
	if (table[0] == 0) {
		for (uint64_t i = 0; i < TABLE_SIZE; i += 8) {
			uint64_t word = hash_mix(i + 8) | 1;

			memcpy(table + i, &word, 8);
		}
	}
	return table;
}

void stream_bytes(const struct stream *stream, uint32_t offset, uint8_t *out, uint32_t len)
{
	uint32_t n = 0;

	if (offset < stream->head_len) {
		n = min_u32(len, stream->head_len - offset);
		memcpy(out, stream->head + offset, n);
	}
	if (len > n)
		memcpy(out + n, random_bytes() + stream->base + offset + n, len - n);
}

bool stream_has(const struct stream *stream, uint32_t offset, const uint8_t *data, uint32_t len)
{
	uint32_t n = 0;

	if (offset < stream->head_len) {
		n = min_u32(len, stream->head_len - offset);
		if (memcmp(data, stream->head + offset, n) != 0)
			return false;
	}
	return len == n ||
	       memcmp(data + n, random_bytes() + stream->base + offset + n, len - n) == 0;
}

void sock_give_wire(struct sock *sock)
{
	static struct wire wires[WIRES_MAX];
	struct wire       *wire;

	if (kernel.wire_count == WIRES_MAX)
		fail("the simulation has no room for another wire");
	wire = &wires[kernel.wire_count++];
	memset((uint8_t *)wire + offsetof(struct wire, in_len), 0,
	       sizeof(*wire) - offsetof(struct wire, in_len));
	sock->wire = wire;
}

void sock_read(struct sock *sock, uint8_t *out, uint32_t len)
{
	if (sock->wire)
		memcpy(out, sock->wire->in + sock->in_read, len);
	else
		stream_bytes(&sock->stream, sock->in_read, out, len);
	sock->in_read += len;
}

uint32_t sock_said(const struct sock *sock)
{
	return sock->wire ? sock->wire->said : sock->in_read;
}

bool sock_has_said_end(const struct sock *sock)
{
	if (!sock->wire)
		return sock->fin_read;
	return sock->wire->end_at > 0 && sock->in_read >= sock->wire->end_at;
}

/* The bytes that the proxy puts on *sock* must be the next ones that it owes. */
static void sock_judge(const struct sock *sock, const uint8_t *data, uint32_t len)
{
	uint32_t at = sock->out_accepted, n = 0;

	if (sock->alert_len > 0)
		fail("fd %d: %u bytes behind an alert", sock->fd, len);
	if (at < sock->preface_len) {
		n = min_u32(len, sock->preface_len - at);
		if (memcmp(data, sock->preface + at, n) != 0)
			fail("fd %d: a wrong PROXY header", sock->fd);
	}
	if (n == len)
		return;
	if (!sock->source)
		fail("fd %d: %u bytes of nobody's", sock->fd, len - n);
	at = at + n - sock->preface_len + sock->skip;
	if (at + len - n > sock_said(sock->source))
		fail("fd %d: bytes that were never read: up to %u of %u", sock->fd, at + len - n,
		     sock_said(sock->source));
	if (!stream_has(&sock->source->stream, at, data + n, len - n))
		fail("fd %d: wrong bytes at offset %u, %u of them", sock->fd, at, len - n);
}

/* What is stored the actor will judge. */
static void sock_take(struct sock *sock, const uint8_t *data, uint32_t len)
{
	if (!sock->wire) {
		sock_judge(sock, data, len);
		return;
	}
	if (sock->out_accepted + len > WIRE_MAX)
		fail("fd %d: the simulation has no room for more bytes", sock->fd);
	memcpy(sock->wire->out + sock->out_accepted, data, len);
}

static void sock_judge_pipe(const struct sock *sock, const struct contents *pipe)
{
	if (sock->wire || pipe->from->wire)
		fail("fd %d: bytes of TLS in a pipe", sock->fd);
	if (sock->out_accepted < sock->preface_len || !sock->source || pipe->from != sock->source)
		fail("fd %d: bytes of a pipe that are not its own", sock->fd);
	if (sock->out_accepted - sock->preface_len + sock->skip != pipe->offset)
		fail("fd %d: bytes of a pipe at offset %u are due at %u", sock->fd, pipe->offset,
		     sock->out_accepted - sock->preface_len + sock->skip);
}

/* ------------------------------------------------------------------ sockets */

uint32_t sock_unread(const struct sock *sock)
{
	return sock->in_sent - sock->in_read;
}

uint32_t sock_queued(const struct sock *sock)
{
	return sock->out_accepted - sock->out_delivered;
}

bool sock_takes_bytes(const struct sock *sock)
{
	return sock_queued(sock) < sock->send_cap;
}

bool sock_is_ready(const struct sock *sock)
{
	if (sock->is_connecting)
		return false;
	return sock->is_dead || sock->fin_out ||
	       (uint64_t)sock_queued(sock) * 3 <= (uint64_t)sock->send_cap * 2;
}

/* As tcp_poll: asking for writability in vain orders an edge. */
unsigned sock_poll_mask(struct sock *sock)
{
	unsigned mask = 0;

	if (sock->is_unconnected)
		return POLLOUT | POLLHUP;
	if (sock->is_connecting)
		return 0;
	if (sock->is_dead || (sock->fin_in && sock->fin_out))
		mask |= POLLHUP;
	if (sock->is_dead || sock->fin_in)
		mask |= POLLIN | POLLRDHUP;
	if (sock_unread(sock) > 0)
		mask |= POLLIN;
	if (sock_is_ready(sock))
		mask |= POLLOUT;
	else
		sock->has_nospace = true;
	if (sock->error)
		mask |= POLLERR;
	return mask;
}

void sock_changed(struct sock *sock)
{
	kernel.moves++;
	for (uint32_t i = 0; i < kernel.request_count; i++)
		if (kernel.requests[i]->fd == sock->fd && kernel.requests[i]->kind == OP_EDGES)
			kernel.requests[i]->is_woken = true;
}

/* sock_error(): told once. */
int sock_error(struct sock *sock)
{
	int error = sock->error;

	sock->error = 0;
	return error;
}

int sock_read_end(struct sock *sock)
{
	if (sock->fin_in) {
		sock->fin_read = true;
		return 0;
	}
	sock->is_reset_read = true;
	return -sock_error(sock);
}

int sock_begin(struct sock *sock, const struct addr *to)
{
	int result;

	if (!sock->is_unconnected)
		fail("fd %d: connected twice", sock->fd);
	result = kernel.dial(sock, to);
	if (result < 0)
		return result;
	sock->is_unconnected = false;
	sock->is_connecting = true;
	return 0;
}

void sock_syn(struct sock *sock)
{
	kernel.moves++;
	if (kernel.syn)
		kernel.syn(sock);
}

/* tcp_sendmsg_fastopen: as much as a SYN holds, or none without a cookie. A fresh peer's kernel
 * takes so much whatever its reader does: it does not keep the socket full. */
int sock_open_fast(struct sock *sock, const struct request *request)
{
	uint32_t n;
	int      result;

	if (kernel.denies_fastopen || kernel_chance(8))
		return -EOPNOTSUPP;
	result = sock_begin(sock, &request->to);
	if (result < 0)
		return result;
	n = kernel_some(min_u32(min_u32(request->len, sock->send_cap / 2), 1400));
	if (!kernel.has_cookies && (kernel.is_obedient || kernel_chance(4)))
		n = 0;
	if (n > 0)
		sock_take(sock, request->data, n);
	sock->out_accepted += n;
	trace("fd %d: %u of %u go with the SYN", sock->fd, n, request->len);
	sock_syn(sock);
	return n > 0 ? (int)n : -EINPROGRESS;
}

int sock_write(struct sock *sock, const uint8_t *data, const struct contents *pipe, uint32_t len)
{
	uint32_t room, n;

	if (sock->is_unconnected)
		fail("fd %d: %u bytes for nobody", sock->fd, len);
	if (sock->is_connecting)
		return -EAGAIN;
	if (sock->is_dead || sock->fin_out)
		return sock->error ? -sock_error(sock) : -EPIPE;
	room = sock->send_cap > sock_queued(sock) ? sock->send_cap - sock_queued(sock) : 0;
	/* Out of memory for a moment; as bytes are on their way, an edge will follow. */
	if (room > 0 && sock_queued(sock) > 0 && kernel_fault()) {
		sock->has_nospace = true;
		return kernel_chance(2) ? -EAGAIN : -ENOBUFS;
	}
	if (room == 0) {
		sock->has_nospace = true;
		return -EAGAIN;
	}
	n = kernel_some(min_u32(room, len));
	if (pipe)
		sock_judge_pipe(sock, pipe);
	else
		sock_take(sock, data, n);
	if (n < len)
		sock->has_nospace = true;
	sock->out_accepted += n;
	kernel.moves++;
	trace("fd %d takes %u of %u", sock->fd, n, len);
	return (int)n;
}

/* Moves bytes that the proxy wrote to the actor's end, then the FIN. */
bool sock_deliver(struct sock *sock, uint32_t most)
{
	uint32_t unread = sock->out_delivered - sock->out_read;
	uint32_t n = min_u32(sock_queued(sock), sock->window > unread ? sock->window - unread : 0);

	if (sock->is_dead || sock->rst_out || sock->is_connecting)
		return false;
	n = min_u32(n, most);
	if (n > 0 && sock->is_closed_by_actor) {
		peer_reset(sock); /* its kernel: nobody is there any more */
		return true;
	}
	sock->out_delivered += n;
	if (n > 0)
		trace("fd %d: %u delivered, %u queued of %u, %d", sock->fd, n, sock_queued(sock),
		      sock->send_cap, sock->has_nospace);
	if (n > 0 && sock->has_nospace && sock_is_ready(sock)) {
		sock->has_nospace = false;
		sock_changed(sock);
	}
	if (sock->fin_out && !sock->fin_delivered && sock_queued(sock) == 0) {
		sock->fin_delivered = true;
		n++;
	}
	kernel.moves += n;
	return n > 0;
}

void sock_shut(struct sock *sock, bool by_reset)
{
	int fd = sock->fd;

	kernel_fd_close(fd);
	sock->is_open = false;
	sock->closed_ms = kernel.now_ms;
	kernel.moves++;
	trace("fd %d: %s at %u", fd, by_reset ? "reset" : "closed", sock->out_accepted);
	if (sock->is_dead || (sock->is_closed_by_actor && sock->fin_out))
		return;
	/* tcp_close: bytes that nobody read turn the FIN into a RST. */
	sock->is_reset_by_proxy = by_reset;
	if (by_reset || sock_unread(sock) > 0 || sock->is_connecting) {
		sock->lost_bytes = sock_queued(sock) > 0;
		sock->rst_out = true;
	}
	sock->is_connecting = false;
	if (!sock->rst_out && !sock->fin_out)
		sock->fin_out_ms = kernel.now_ms;
	sock->fin_out = true;
}

/* ------------------------------------------------------------------ the actor's end */

void peer_send(struct sock *sock, uint32_t n)
{
	uint32_t room = sock->recv_cap - sock_unread(sock);

	if (sock->is_dead || sock->fin_in || sock->rst_out || sock->is_connecting)
		return;
	if (!sock->is_open && sock->fd >= 0) {
		sock->rst_out = true; /* the proxy's kernel: nobody is there any more */
		kernel.moves++;
		return;
	}
	n = min_u32(n, room);
	if (sock->wire)
		n = min_u32(n, sock->wire->in_len - sock->in_sent);
	sock->in_sent += n;
	kernel.moves += n;
}

void peer_finish(struct sock *sock)
{
	if (sock->is_dead || sock->fin_in || sock->is_connecting)
		return;
	trace("fd %d: FIN at %u", sock->fd, sock->in_sent);
	sock->fin_in = true;
	sock->fin_in_ms = kernel.now_ms;
	sock_changed(sock);
}

static void sock_kill(struct sock *sock, int error)
{
	sock->is_dead = true;
	sock->is_connecting = false;
	sock->error = error;
	sock->rst_in_ms = kernel.now_ms;
	sock_changed(sock);
}

void peer_reset(struct sock *sock)
{
	if (sock->is_dead)
		return;
	trace("fd %d: RST at %u", sock->fd, sock->in_sent);
	/* tcp_reset: EPIPE when the FIN had come before and ours had not gone. */
	sock_kill(sock, sock->fin_in && !sock->fin_out ? EPIPE
	                : kernel_chance(8)             ? ETIMEDOUT
	                                               : ECONNRESET);
}

void peer_close(struct sock *sock)
{
	if (sock->out_delivered > sock->out_read) {
		peer_reset(sock);
		return;
	}
	sock->is_closed_by_actor = true;
	peer_finish(sock);
}

uint32_t peer_read(struct sock *sock, uint32_t n)
{
	n = min_u32(n, sock->out_delivered - sock->out_read);
	sock->out_read += n;
	kernel.moves += n;
	return n;
}

bool peer_sees_eof(const struct sock *sock)
{
	return sock->fin_delivered && sock->out_read == sock->out_delivered && !sock->rst_out;
}

void peer_accept(struct sock *sock)
{
	if (!sock->is_connecting || (sock->fd >= 0 && !sock->is_open))
		return;
	trace("fd %d: connected", sock->fd);
	sock->is_connecting = false;
	sock->was_connected = true;
	sock_changed(sock);
}

void peer_refuse(struct sock *sock, int error)
{
	if (!sock->is_connecting || (sock->fd >= 0 && !sock->is_open))
		return;
	trace("fd %d: refused", sock->fd);
	sock_kill(sock, error);
}

void sock_noticed(struct sock *sock)
{
	if (!sock->is_closing)
		sock->moved_ms = kernel.now_ms;
}

/* ------------------------------------------------------------------ pipes */

ssize_t kernel_fill(struct contents *pipe, int fd, uint32_t most)
{
	struct sock *sock = kernel_sock(fd);
	uint32_t     n = min_u32(min_u32(sock_unread(sock), pipe->cap - pipe->len), most);

	if (pipe->len > 0 && (pipe->from != sock || pipe->offset + pipe->len != sock->in_read))
		fail("a pipe is filled that holds another's bytes");
	if (n > 0) {
		n = kernel_some(n);
		if (pipe->len == 0)
			pipe->offset = sock->in_read;
		pipe->from = sock;
		pipe->len += n;
		sock->in_read += n;
		kernel.moves++;
		trace("fd %d: %u into a pipe", fd, n);
		return n;
	}
	if (sock_unread(sock) > 0)
		return -EAGAIN; /* the pipe is full */
	if (sock->fin_in) {
		sock->fin_read = true;
		return 0;
	}
	if (sock->is_dead) {
		int error = sock_error(sock);

		sock->is_reset_read = true;
		return -error;
	}
	return -EAGAIN;
}

ssize_t kernel_drain(struct contents *pipe, int fd, uint32_t len)
{
	struct sock *sock = kernel_sock(fd);
	int          n;

	if (len > pipe->len)
		fail("%u bytes are asked of a pipe that holds %u", len, pipe->len);
	n = sock_write(sock, NULL, pipe, len);
	if (n > 0) {
		pipe->len -= (uint32_t)n;
		pipe->offset += (uint32_t)n;
	}
	return n;
}
