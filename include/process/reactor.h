/*
 * reactor: what the control thread waits for: signals, mail from the workers, admin and metrics
 * sockets.
 *
 * A thin hand on epoll (epoll(7), level-triggered). Owns nothing but the epoll fd: whoever embeds a
 * watch keeps its fd, and takes the watch out before closing it. One thread only; never a ring's.
 */
#ifndef PROCESS_REACTOR_H
#define PROCESS_REACTOR_H

#include "base/util.h"

#include <stdint.h>
#include <sys/epoll.h>

struct watch {
	int fd;
	/* *events* as of epoll: EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR. May take out and free any
	 * watch, its own too. */
	void (*on_ready)(struct watch *watch, uint32_t events);
};

struct reactor {
	int epoll_fd;
};

/* 0 or -errno. */
MUST_CHECK int reactor_init(struct reactor *reactor);
void           reactor_fini(struct reactor *reactor);

/* Calls watch->on_ready for *events* from now on. 0 or -errno. */
MUST_CHECK int reactor_add(struct reactor *reactor, struct watch *watch, uint32_t events);
/* For other events than before. */
void reactor_change(struct reactor *reactor, struct watch *watch, uint32_t events);
/* No more calls. Before its fd is closed. */
void reactor_remove(struct reactor *reactor, struct watch *watch);

/* Waits for at most *timeout_ms* (-1 = for ever) and tells at most one watch. */
void reactor_turn(struct reactor *reactor, int timeout_ms);

#endif
