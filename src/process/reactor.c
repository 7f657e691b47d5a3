#include "process/reactor.h"

#include <errno.h>
#include <unistd.h>

int reactor_init(struct reactor *reactor)
{
	reactor->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	return reactor->epoll_fd < 0 ? -errno : 0;
}

void reactor_fini(struct reactor *reactor)
{
	close(reactor->epoll_fd);
}

static int reactor_control(struct reactor *reactor, int operation, struct watch *watch,
                           uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = watch};

	return epoll_ctl(reactor->epoll_fd, operation, watch->fd, &event) < 0 ? -errno : 0;
}

int reactor_add(struct reactor *reactor, struct watch *watch, uint32_t events)
{
	return reactor_control(reactor, EPOLL_CTL_ADD, watch, events);
}

void reactor_change(struct reactor *reactor, struct watch *watch, uint32_t events)
{
	CHECK(reactor_control(reactor, EPOLL_CTL_MOD, watch, events) == 0);
}

void reactor_remove(struct reactor *reactor, struct watch *watch)
{
	CHECK(reactor_control(reactor, EPOLL_CTL_DEL, watch, 0) == 0);
}

/* One event a turn, so that a handler may free any watch: none waits in a batch. The kernel takes
 * the ready ones in turn (epoll_wait(2)), so that a busy one does not starve the others. */
void reactor_turn(struct reactor *reactor, int timeout_ms)
{
	struct epoll_event event;
	struct watch      *watch;

	if (epoll_wait(reactor->epoll_fd, &event, 1, timeout_ms) != 1)
		return;
	watch = event.data.ptr;
	watch->on_ready(watch, event.events);
}
