#include "io/sock.h"

#include <errno.h>
#include <linux/socket.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int set_int(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

/* What a socket of that family begins with, as setsockopt would be told it: the kernel doubles what
 * it is told, socket(7). Or -errno. */
static int system_buffer(int family, int name)
{
	int       size = 0, result;
	socklen_t len = sizeof(size);
	int       fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	result = getsockopt(fd, SOL_SOCKET, name, &size, &len) < 0 ? -errno : size / 2;
	close(fd);
	return result;
}

/* As if the size had never been set: the kernel tunes it again. SO_BUF_LOCK, Linux 5.14. */
static int restore_buffer(int fd, int family, int name)
{
	int       lock = name == SO_RCVBUF ? SOCK_RCVBUF_LOCK : SOCK_SNDBUF_LOCK;
	int       size = system_buffer(family, name), locks = 0;
	socklen_t len = sizeof(locks);
	int       result = size < 0 ? size : set_int(fd, SOL_SOCKET, name, size);

	if (result < 0)
		return result;
	if (getsockopt(fd, SOL_SOCKET, SO_BUF_LOCK, &locks, &len) < 0)
		return -errno;
	return set_int(fd, SOL_SOCKET, SO_BUF_LOCK, locks & ~lock);
}

/* Those that can be set at any time, where they differ. */
static int set_changing_options(int fd, int family, const struct sock_listen_options *from,
                                const struct sock_listen_options *to, const char **step)
{
	bool ip = family == AF_INET || family == AF_INET6;
	struct {
		bool        applies;
		const char *step;
		int         level, name, from, to;
	} rows[] = {
		{true, "SO_RCVBUF", SOL_SOCKET, SO_RCVBUF, from->rcvbuf, to->rcvbuf},
		{true, "SO_SNDBUF", SOL_SOCKET, SO_SNDBUF, from->sndbuf, to->sndbuf},
		{ip, "TCP_DEFER_ACCEPT", IPPROTO_TCP, TCP_DEFER_ACCEPT, from->deferred,
	         to->deferred},
		{ip, "TCP_FASTOPEN", IPPROTO_TCP, TCP_FASTOPEN, from->fastopen, to->fastopen},
		{ip, "TCP_USER_TIMEOUT", IPPROTO_TCP, TCP_USER_TIMEOUT, (int)from->user_timeout_ms,
	         (int)to->user_timeout_ms},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		int name = rows[i].name, result;

		if (!rows[i].applies || rows[i].from == rows[i].to)
			continue;
		*step = rows[i].step;
		result = (name == SO_RCVBUF || name == SO_SNDBUF) && rows[i].to == 0
		                 ? restore_buffer(fd, family, name)
		                 : set_int(fd, rows[i].level, name, rows[i].to);
		if (result < 0)
			return result;
	}
	return 0;
}

/* Those that a socket has from before its bind on. */
static int set_lasting_options(int fd, int family, const struct sock_listen_options *options,
                               const char **step)
{
	bool ip = family == AF_INET || family == AF_INET6;
	struct {
		bool        wanted;
		const char *step;
		int         level, name, value;
	} rows[] = {
		{ip, "SO_REUSEADDR", SOL_SOCKET, SO_REUSEADDR, 1},
		{ip && options->reuseport, "SO_REUSEPORT", SOL_SOCKET, SO_REUSEPORT, 1},
		{family == AF_INET6, "IPV6_V6ONLY", IPPROTO_IPV6, IPV6_V6ONLY, options->ipv6only},
		{ip, "TCP_NODELAY", IPPROTO_TCP, TCP_NODELAY, 1},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		int result = rows[i].wanted
		                     ? set_int(fd, rows[i].level, rows[i].name, rows[i].value)
		                     : 0;

		*step = rows[i].step;
		if (result < 0)
			return result;
	}
	*step = "SO_BINDTODEVICE";
	if (options->interface && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, options->interface,
	                                     (socklen_t)strlen(options->interface)) < 0)
		return -errno;
	return 0;
}

int sock_listen(const struct sockaddr *at, socklen_t len, const struct sock_listen_options *options,
                const char **step)
{
	const struct sock_listen_options none = {0};

	int fd, result;

	*step = "socket";
	fd = socket(at->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	result = set_lasting_options(fd, at->sa_family, options, step);
	if (result == 0)
		result = set_changing_options(fd, at->sa_family, &none, options, step);
	if (result == 0) {
		*step = "bind";
		result = bind(fd, at, len) < 0 ? -errno : 0;
	}
	if (result == 0) {
		*step = "listen";
		result = listen(fd, options->backlog) < 0 ? -errno : 0;
	}
	if (result == 0)
		return fd;
	close(fd);
	return result;
}

int sock_change_listen(int fd, const struct sock_listen_options *from,
                       const struct sock_listen_options *to, const char **step)
{
	int       family = AF_UNSPEC;
	socklen_t len = sizeof(family);

	*step = "listen";
	if (from->backlog != to->backlog && listen(fd, to->backlog) < 0)
		return -errno;
	*step = "SO_DOMAIN";
	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len) < 0)
		return -errno;
	return set_changing_options(fd, family, from, to, step);
}

/* 0, or -errno of an option that cannot be missed. */
static int set_dial_options(int fd, sa_family_t family, const struct sock_dial_options *options)
{
	int result = 0;

	if (family != AF_UNIX) {
		result = set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
		if (result == 0 && options->user_timeout_ms > 0)
			result = set_int(fd, IPPROTO_TCP, TCP_USER_TIMEOUT,
			                 (int)options->user_timeout_ms);
	}
	if (result == 0 && options->bind_len > 0) {
		/* The port is chosen at connect, when the destination is known: more than one range
		 * of them. */
		result = set_int(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
		if (result == 0 && bind(fd, options->bind, options->bind_len) < 0)
			result = -errno;
	}
	return result;
}

int sock_open(sa_family_t family, const struct sock_dial_options *options)
{
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int result;

	if (fd < 0)
		return -errno;
	result = set_dial_options(fd, family, options);
	if (result == 0)
		return fd;
	close(fd);
	return result;
}

int sock_connect(int fd, const struct sockaddr *to, socklen_t len)
{
	return connect(fd, to, len) < 0 && errno != EINPROGRESS ? -errno : 0;
}

int sock_dial(const struct sockaddr *to, socklen_t len, const struct sock_dial_options *options)
{
	int fd = sock_open(to->sa_family, options);
	int result;

	if (fd < 0)
		return fd;
	result = sock_connect(fd, to, len);
	if (result == 0)
		return fd;
	close(fd);
	return result;
}

int sock_take_error(int fd)
{
	int       error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return -errno;
	return -error;
}

int sock_peer(int fd, struct addr *peer)
{
	struct sockaddr_storage from;
	socklen_t               len = sizeof(from);

	if (getpeername(fd, (struct sockaddr *)&from, &len) < 0)
		return -errno;
	*peer = addr_from_sockaddr((const struct sockaddr *)&from, len);
	return 0;
}

int sock_local(int fd, struct addr *local)
{
	struct sockaddr_storage at;
	socklen_t               len = sizeof(at);

	if (getsockname(fd, (struct sockaddr *)&at, &len) < 0)
		return -errno;
	*local = addr_from_sockaddr((const struct sockaddr *)&at, len);
	return 0;
}

ssize_t sock_send_now(int fd, const void *data, size_t len)
{
	ssize_t n = send(fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);

	return n < 0 ? -errno : n;
}

ssize_t sock_send_last(int fd, const void *data, size_t len)
{
	ssize_t n = send(fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT | MSG_MORE);

	return n < 0 ? -errno : n;
}

ssize_t sock_recv_now(int fd, void *data, size_t size)
{
	ssize_t n = recv(fd, data, size, MSG_DONTWAIT);

	return n < 0 ? -errno : n;
}

bool sock_is_writable(int fd)
{
	struct pollfd item = {.fd = fd, .events = POLLOUT};

	return poll(&item, 1, 0) == 1 && (item.revents & (POLLOUT | POLLERR | POLLHUP)) != 0;
}

int sock_unsent(int fd)
{
	struct tcp_info info;
	socklen_t       len = sizeof(info);
	int             unsent = 0;

	/* Of a connection that is no more, SIOCOUTQ goes on telling what was never acknowledged. */
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 && info.tcpi_state == TCP_CLOSE)
		return 0;
	return ioctl(fd, SIOCOUTQ, &unsent) < 0 ? 0 : unsent;
}

void sock_keep_alive(int fd)
{
	(void)set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
}

void sock_finish(int fd)
{
	/* ENOTCONN: the peer reset it; the next read says so. */
	(void)shutdown(fd, SHUT_WR);
}

void sock_close(int fd)
{
	close(fd);
}

void sock_reset(int fd)
{
	struct linger now = {.l_onoff = 1, .l_linger = 0};

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fd);
}
