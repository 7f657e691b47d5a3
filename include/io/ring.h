/*
 * ring: one io_uring, wrapped once: arming operations, waiting, handing out completions.
 *
 * An operation is embedded in its owner; its address is the user_data. It is in flight from arming
 * until a completion without IORING_CQE_F_MORE; that one rule covers multishot and cancellation.
 * done() is called from ring_reap only, never from arming, and must only note what happened. Memory
 * named to an operation must stay until it has landed. One thread owns a ring. Source: io_uring(7),
 * io_uring_enter(2).
 */
#ifndef IO_RING_H
#define IO_RING_H

#include "base/span.h"
#include "base/util.h"

#include <liburing.h>
#include <stdbool.h>
#include <sys/socket.h>

struct op {
	/* *res*: as cqe->res; *flags*: as cqe->flags. op->busy is already false unless F_MORE. */
	void (*done)(struct op *op, int res, unsigned flags);
	bool busy;
};

struct ring {
	struct io_uring uring;
	bool            receives_many; /* ring_recv_many may be used: Linux 6.17 */
	bool            gathers;       /* ring_gather does: Linux 6.12 */
};

struct bufring;

enum {
	RING_IOWQ_WORKERS =
		4, /* most kernel threads a ring may use (only uring_splice needs any) */
};

/* 0 or -errno. *entries*: submission queue size; the completion queue is four times that, at least
 * 4096. *spins*: ring_spin will be called. The calling thread becomes the only one allowed to use
 * it. */
MUST_CHECK int ring_init(struct ring *ring, unsigned entries, bool spins);
/* Submits what was armed before it ends. */
void ring_fini(struct ring *ring);

void op_init(struct op *op, void (*done)(struct op *op, int res, unsigned flags));

/* Receives at most *max* bytes into a buffer of *buffers* (the completion tells which); waits for
 * data. */
void ring_recv(struct ring *ring, struct op *op, int fd, struct bufring *buffers, uint32_t max);

/* The same again and again, each time with a completion and a buffer of its own, until *limit* bytes
 * have come (the last receive may bring more than were left of them), or an end or an error has; all
 * but the last completion have F_MORE. So less than *limit* and one buffer more can come ahead of
 * whoever takes them. Saves arming a receive for each small message. */
void ring_recv_many(struct ring *ring, struct op *op, int fd, struct bufring *buffers,
                    uint32_t limit);

/* Sends. *wait*: park until the socket can take a byte (for a connecting socket: until the
 * connect's outcome is known, which the completion then carries); else one try, -EAGAIN or a short
 * count when it is full. */
void ring_send(struct ring *ring, struct op *op, int fd, const void *data, uint32_t len, bool wait);

/* Connects and sends in one: *fd* is of sock_open and TCP's, *data* goes with the SYN. The
 * completion comes at once: how much of it the SYN took; -EINPROGRESS, it took none, for the kernel
 * has no cookie of this server and asks for one; -EOPNOTSUPP, nothing has happened, for fast open
 * is not allowed (net.ipv4.tcp_fastopen); or what else connect(2) would say. The outcome of the
 * connect comes with writability: ask for that behind this operation, for a socket that does not
 * connect yet is always writable. MSG_FASTOPEN, tcp(7), RFC 7413; a send takes an address since
 * Linux 6.0. */
void ring_open_fast(struct ring *ring, struct op *op, int fd, const struct sockaddr *to,
                    socklen_t to_len, struct span data);

/* One completion when any of *events* is there; POLLERR, POLLHUP and POLLRDHUP always are among
 * them. */
void ring_poll(struct ring *ring, struct op *op, int fd, unsigned events);

/* A completion for every edge until cancelled. The only correct way to wait for POLLOUT: once the
 * peer has half-closed, a one-shot poll completes at once for ever (measured on 6.18: POLLRDHUP is
 * always added). */
void ring_poll_edges(struct ring *ring, struct op *op, int fd, unsigned events);

/* A completion with a non-blocking, close-on-exec fd for every connection until cancelled or an
 * error. */
void ring_accept(struct ring *ring, struct op *op, int fd);

/* The same for one connection only: no more are taken off the backlog than can be served. */
void ring_accept_one(struct ring *ring, struct op *op, int fd);

/* Moves at most *len* bytes without waiting for either end. Runs on a kernel thread
 * (REQ_F_FORCE_ASYNC). */
void ring_splice(struct ring *ring, struct op *op, int from_fd, int to_fd, uint32_t len);

/* Reads *len* bytes (an eventfd's count). */
void ring_read(struct ring *ring, struct op *op, int fd, void *data, uint32_t len);

/* Asks for the end of a busy operation; it still lands on its own, mostly with -ECANCELED. */
void ring_cancel(struct ring *ring, struct op *op);

/* Closes *fd* as what was armed is submitted, without a word back: until then its number is not
 * given to another. No operation on it is in flight. */
void ring_close(struct ring *ring, int fd);

/* Submits what was armed, ahead of work that it need not wait for. */
void ring_submit(struct ring *ring);

/* Submits what was armed and waits for a completion, at most *timeout_ms* (UINT64_MAX = without
 * limit). 0 or -errno of a failure that is not a timeout or a signal. */
MUST_CHECK int ring_wait(struct ring *ring, uint64_t timeout_ms);

/* The same, but the first completion does not end the wait: others gather behind it for *us* from
 * the call on, or until there are many. On an older kernel nothing gathers. */
MUST_CHECK int ring_gather(struct ring *ring, uint64_t timeout_ms, uint32_t us);

/* Submits what was armed and looks for a completion without sleeping, for at most *us*. True: there
 * is one; else ring_wait waits for it. */
MUST_CHECK bool ring_spin(struct ring *ring, uint32_t us);

/* Hands out the completions that are there; how many. */
unsigned ring_reap(struct ring *ring);

/* Completions that once found the completion queue full (kept by the kernel, not lost). */
bool ring_has_overflowed(struct ring *ring);

#endif
