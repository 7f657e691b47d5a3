/*
 * sock: the socket system calls that are not ring operations, each wrapped once.
 *
 * All fds are non-blocking and close-on-exec. Results are 0 (or an fd, or a count) or -errno. The
 * session layer sees sockets only through here and through io/ring, so that the simulation can
 * stand in for both.
 */
#ifndef IO_SOCK_H
#define IO_SOCK_H

#include "base/util.h"
#include "proto/addr.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

struct sock_listen_options {
	int         backlog;
	int         fastopen; /* queue length, 0 = off */
	bool        deferred; /* TCP_DEFER_ACCEPT */
	bool        ipv6only;
	bool        reuseport;
	const char *interface;       /* SO_BINDTODEVICE, NULL = any */
	int         rcvbuf, sndbuf;  /* 0 = the system's */
	unsigned    user_timeout_ms; /* TCP_USER_TIMEOUT, 0 = the system's */
};

/* Bound and listening; the fd or -errno. *step* names the call that failed ("bind"). tcp(7),
 * unix(7). */
MUST_CHECK int sock_listen(const struct sockaddr *at, socklen_t len,
                           const struct sock_listen_options *options, const char **step);

/* Sets on a socket that listens what in *to* is not as in *from*: 0 or -errno, with *step* as
 * above. Not what belongs to its address: ipv6only, reuseport and interface. What was accepted
 * before keeps what it has. */
MUST_CHECK int sock_change_listen(int fd, const struct sock_listen_options *from,
                                  const struct sock_listen_options *to, const char **step);

struct sock_dial_options {
	const struct sockaddr *bind; /* NULL = the system's choice */
	socklen_t              bind_len;
	unsigned               user_timeout_ms;
};

/* A socket of that family that is to connect, by sock_connect or ring_open_fast; the fd or -errno of
 * the call that failed. socket(2). */
MUST_CHECK int sock_open(sa_family_t family, const struct sock_dial_options *options);

/* 0 once the connect has begun (or, for unix sockets, is done), or -errno. The outcome of the
 * connect comes with the first send or writability, see sock_take_error. connect(2). */
MUST_CHECK int sock_connect(int fd, const struct sockaddr *to, socklen_t len);

/* Both: the fd of a socket whose connect has begun, or -errno. */
MUST_CHECK int sock_dial(const struct sockaddr *to, socklen_t len,
                         const struct sock_dial_options *options);

/* SO_ERROR: 0 or the -errno of an asynchronous failure, which is cleared by reading it. */
int sock_take_error(int fd);

int sock_peer(int fd, struct addr *peer);
int sock_local(int fd, struct addr *local);

/* Bytes at once, without waiting: count or -errno (-EAGAIN). Never raises SIGPIPE. */
MUST_CHECK ssize_t sock_send_now(int fd, const void *data, size_t len);

/* The same, of bytes behind which sock_finish follows at once: one segment takes both. What was taken
 * whole may be held back until then. MSG_MORE in send(2). */
MUST_CHECK ssize_t sock_send_last(int fd, const void *data, size_t len);

/* What is there, without waiting: count, 0 at the end, or -errno (-EAGAIN). */
MUST_CHECK ssize_t sock_recv_now(int fd, void *data, size_t size);

/* True if a send would take at least a byte now, or fail at once. */
bool sock_is_writable(int fd);

/* Bytes the peer has not acknowledged yet (SIOCOUTQ); 0 where that cannot be told, and where they
 * never will be: the connection is no more. */
int sock_unsent(int fd);

/* SO_KEEPALIVE, socket(7). */
void sock_keep_alive(int fd);

void sock_finish(int fd); /* shutdown(SHUT_WR): the peer reads EOF behind what was sent */
void sock_close(int fd);
void sock_reset(int fd); /* close so that the peer reads ECONNRESET */

#endif
