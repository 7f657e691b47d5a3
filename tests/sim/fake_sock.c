#include "io/sock.h"
#include "sim/kernel.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

int sock_listen(const struct sockaddr *at, socklen_t len, const struct sock_listen_options *options,
                const char **step)
{
	(void)at;
	(void)len;
	(void)options;
	*step = "socket";
	return -EOPNOTSUPP;
}

int sock_open(sa_family_t family, const struct sock_dial_options *options)
{
	struct sock *sock = kernel_sock_new();

	(void)family;
	(void)options;
	sock->is_upstream = true;
	sock->is_unconnected = true;
	return kernel_fd_new(sock, NULL);
}

int sock_connect(int fd, const struct sockaddr *to, socklen_t len)
{
	struct sock *sock = kernel_sock(fd);
	struct addr  addr = addr_from_sockaddr(to, len);
	int          result = sock_begin(sock, &addr);

	if (result == 0)
		sock_syn(sock);
	return result;
}

int sock_dial(const struct sockaddr *to, socklen_t len, const struct sock_dial_options *options)
{
	int fd = sock_open(to->sa_family, options);
	int result = sock_connect(fd, to, len);

	if (result == 0)
		return fd;
	sock_close(fd);
	return result;
}

int sock_take_error(int fd)
{
	return -sock_error(kernel_sock(fd));
}

int sock_peer(int fd, struct addr *peer)
{
	*peer = kernel_sock(fd)->peer;
	return 0;
}

int sock_local(int fd, struct addr *local)
{
	(void)kernel_sock(fd);
	*local = (struct addr){.ip = {192, 0, 2, 1}, .port = 443, .family = ADDR_IP4};
	return 0;
}

/* Used for alerts only, so what it sends need not be a stream's. */
ssize_t sock_send_now(int fd, const void *data, size_t len)
{
	struct sock *sock = kernel_sock(fd);

	if (sock->is_dead || sock->fin_out)
		return sock->error ? -sock_error(sock) : -EPIPE;
	if (sock->wire)
		memcpy(sock->wire->out + sock->out_accepted, data, len);
	if (len == 1) {
		sock->preface[sock->preface_len++] = *(const uint8_t *)data;
		sock->told++;
		sock->out_accepted++;
		kernel.moves++;
		return 1;
	}
	if (sock->out_accepted > sock->told || len > sizeof(sock->alert))
		fail("fd %d: an alert behind %u other bytes", fd, sock->out_accepted);
	memcpy(sock->alert, data, len);
	sock->alert_len = (uint32_t)len;
	sock->out_accepted += (uint32_t)len;
	kernel.moves++;
	return (ssize_t)len;
}

ssize_t sock_send_last(int fd, const void *data, size_t len)
{
	struct sock *sock = kernel_sock(fd);
	int          n = sock_write(sock, data, NULL, (uint32_t)len);

	sock->is_held_back = n == (int)len;
	return n;
}

ssize_t sock_recv_now(int fd, void *data, size_t size)
{
	struct sock *sock = kernel_sock(fd);
	uint32_t     n = min_u32(sock_unread(sock), (uint32_t)size);

	if (kernel_fault())
		return kernel_chance(2) ? -EAGAIN : -EINTR;
	if (n == 0)
		return sock->is_dead || sock->fin_in ? sock_read_end(sock) : -EAGAIN;
	n = kernel_some(n);
	sock_read(sock, data, n);
	trace("fd %d: %u more received", fd, n);
	return n;
}

bool sock_is_writable(int fd)
{
	return (sock_poll_mask(kernel_sock(fd)) & (POLLOUT | POLLERR | POLLHUP)) != 0;
}

int sock_unsent(int fd)
{
	return (int)sock_queued(kernel_sock(fd));
}

/* The peer of *sock* will read a clean end: that is a promise that all is there. In TLS it is
 * close_notify that promises, to the actor. */
static void expect_clean_end(const struct sock *sock, const struct sock *source)
{
	if (sock->wire)
		return;
	if (!sock_has_said_end(source)) {
		if (!source->fin_read)
			fail("fd %d: a clean end, but fd %d has not ended", sock->fd, source->fd);
		return; /* cut off: the log has to tell */
	}
	if (sock->out_accepted + sock->skip - sock->preface_len !=
	    (source->wire ? source->wire->said : source->in_sent))
		fail("fd %d: a clean end at %u, but fd %d sent %u", sock->fd, sock->out_accepted,
		     source->fd, source->in_sent);
}

void sock_keep_alive(int fd)
{
	kernel_sock(fd)->is_kept_alive = true;
}

void sock_finish(int fd)
{
	struct sock *sock = kernel_sock(fd);

	if (sock->is_dead)
		return;
	if (sock->fin_out)
		fail("fd %d: finished twice", fd);
	if (sock->source && sock->source->is_open && sock->source->was_connected &&
	    sock->alert_len == 0 && !kernel.refuses(sock))
		expect_clean_end(sock, sock->source);
	trace("fd %d: finished at %u", fd, sock->out_accepted);
	sock->is_held_back = false;
	sock->fin_out = sock->is_finished_by_proxy = true;
	sock->fin_out_ms = kernel.now_ms;
	kernel.moves++;
}

void sock_close(int fd)
{
	sock_shut(kernel_sock(fd), false);
}

void sock_reset(int fd)
{
	sock_shut(kernel_sock(fd), true);
}
