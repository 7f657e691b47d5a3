/* What the simulation cannot show of io/ring: the real kernel's part. */
#include "io/ring.h"
#include "test.h"

#include "base/clock.h"
#include "io/bufring.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

struct watch {
	struct ring ring;
	struct op   op;
	int         fd; /* an eventfd; *op* waits for it */
	int         res;
	bool        is_open; /* false: io_uring is denied here, which test_host judges */
};

static void on_event(struct op *op, int res, unsigned flags)
{
	(void)flags;
	container_of(op, struct watch, op)->res = res;
}

static void on_nothing(struct op *op, int res, unsigned flags)
{
	(void)op;
	(void)res;
	(void)flags;
}

static bool watch_init(struct watch *watch)
{
	*watch = (struct watch){.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
	watch->is_open = ring_init(&watch->ring, 64, true) == 0;
	op_init(&watch->op, on_event);
	if (watch->is_open)
		ring_poll(&watch->ring, &watch->op, watch->fd, POLLIN);
	return watch->is_open;
}

static void watch_fini(struct watch *watch)
{
	if (watch->is_open)
		ring_fini(&watch->ring);
	close(watch->fd);
}

static void *write_soon(void *argument)
{
	struct watch *watch = argument;
	uint64_t      one = 1;

	usleep(2000);
	EXPECT(write(watch->fd, &one, sizeof(one)) == sizeof(one));
	return NULL;
}

TEST(spinning_ends_with_what_another_thread_brings)
{
	enum { LIMIT_US = 20 * 1000 * 1000 };
	struct watch watch;
	pthread_t    thread;
	uint64_t     begun_us = clock_us();

	if (watch_init(&watch) && pthread_create(&thread, NULL, write_soon, &watch) == 0) {
		EXPECT(ring_spin(&watch.ring, LIMIT_US));
		EXPECT(clock_us() - begun_us < LIMIT_US);
		EXPECT_EQ(ring_reap(&watch.ring), 1);
		EXPECT_EQ(watch.res, POLLIN);
		EXPECT(!watch.op.busy);
		pthread_join(thread, NULL);
	}
	watch_fini(&watch);
}

TEST(spinning_in_vain_ends_and_loses_nothing)
{
	struct watch watch;
	uint64_t     one = 1, begun_us;

	if (watch_init(&watch)) {
		begun_us = clock_us();
		EXPECT(!ring_spin(&watch.ring, 3000));
		EXPECT(clock_us() - begun_us >= 3000);
		EXPECT_EQ(ring_reap(&watch.ring), 0);
		EXPECT(write(watch.fd, &one, sizeof(one)) == sizeof(one));
		EXPECT_EQ(ring_wait(&watch.ring, UINT64_MAX), 0);
		EXPECT_EQ(ring_reap(&watch.ring), 1);
		EXPECT_EQ(watch.res, POLLIN);
	}
	watch_fini(&watch);
}

TEST(spinning_finds_what_is_there_already)
{
	struct watch watch;
	uint64_t     one = 1;

	if (watch_init(&watch)) {
		EXPECT(write(watch.fd, &one, sizeof(one)) == sizeof(one));
		EXPECT(ring_spin(&watch.ring, 1));
		EXPECT_EQ(ring_reap(&watch.ring), 1);
	}
	watch_fini(&watch);
}

/* Woken for the first, it would find no second. */
TEST(completions_gather_for_their_time_and_no_longer)
{
	enum { GATHER_US = 20 * 1000 };
	struct watch watch;
	uint64_t     one = 1, begun_us = clock_us();

	if (watch_init(&watch) && watch.ring.gathers) {
		EXPECT(write(watch.fd, &one, sizeof(one)) == sizeof(one));
		EXPECT_EQ(ring_gather(&watch.ring, UINT64_MAX, GATHER_US), 0);
		EXPECT(clock_us() - begun_us >= GATHER_US);
		EXPECT_EQ(ring_reap(&watch.ring), 1);
		EXPECT_EQ(watch.res, POLLIN);
	}
	watch_fini(&watch);
}

TEST(a_gathering_in_vain_ends_with_the_next_completion)
{
	struct watch watch;
	pthread_t    thread;

	if (watch_init(&watch) && pthread_create(&thread, NULL, write_soon, &watch) == 0) {
		EXPECT_EQ(ring_gather(&watch.ring, UINT64_MAX, 1), 0);
		while (ring_reap(&watch.ring) == 0)
			EXPECT_EQ(ring_gather(&watch.ring, UINT64_MAX, 1), 0);
		EXPECT_EQ(watch.res, POLLIN);
		pthread_join(thread, NULL);
	}
	watch_fini(&watch);
}

TEST(where_the_kernel_gathers_nothing_one_completion_ends_the_wait)
{
	struct watch watch;
	uint64_t     one = 1;

	if (watch_init(&watch)) {
		watch.ring.gathers = false;
		EXPECT(write(watch.fd, &one, sizeof(one)) == sizeof(one));
		EXPECT_EQ(ring_gather(&watch.ring, UINT64_MAX, UINT32_MAX), 0);
		EXPECT_EQ(ring_reap(&watch.ring), 1);
	}
	watch_fini(&watch);
}

TEST(what_is_submitted_happens_ahead_of_the_wait)
{
	struct watch watch;
	struct op    send;
	int          ends[2];
	char         byte = 0;

	EXPECT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
	if (watch_init(&watch)) {
		op_init(&send, on_nothing);
		ring_send(&watch.ring, &send, ends[0], "x", 1, false);
		EXPECT(read(ends[1], &byte, 1) < 0);
		ring_submit(&watch.ring);
		EXPECT(read(ends[1], &byte, 1) == 1 && byte == 'x');
		EXPECT_EQ(ring_reap(&watch.ring), 1);
	}
	watch_fini(&watch);
	close(ends[0]);
	close(ends[1]);
}

/* A send completes as it is submitted, what another end brings does when the kernel is entered to
 * wait. */
TEST(a_completion_at_hand_hides_no_other)
{
	struct watch watch;
	struct op    send;
	uint64_t     one = 1;
	int          ends[2];

	EXPECT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
	for (int i = 0; i < 2; i++) {
		if (watch_init(&watch)) {
			op_init(&send, on_nothing);
			ring_send(&watch.ring, &send, ends[0], "x", 1, false);
			ring_submit(&watch.ring);
			EXPECT(write(watch.fd, &one, sizeof(one)) == sizeof(one));
			EXPECT_EQ(ring_wait(&watch.ring, i == 0 ? 0 : 10000), 0);
			EXPECT_EQ(ring_reap(&watch.ring), 2);
			EXPECT(!watch.op.busy && !send.busy);
		}
		watch_fini(&watch);
	}
	close(ends[0]);
	close(ends[1]);
}

struct landed {
	struct op       op;
	struct bufring *buffers;
	int             res[8];
	bool            goes_on[8];
	unsigned        count;
};

static void on_received(struct op *op, int res, unsigned flags)
{
	struct landed *landed = container_of(op, struct landed, op);
	uint16_t       lease = bufring_lease(landed->buffers, flags);

	if (lease != BUFRING_NONE)
		bufring_give_back(landed->buffers, lease);
	EXPECT(landed->count < COUNT(landed->res));
	landed->res[landed->count] = res;
	landed->goes_on[landed->count++] = op->busy;
}

static void receive(struct watch *watch, struct landed *landed, int from, const char *text)
{
	unsigned before = landed->count;

	EXPECT(send(from, text, strlen(text), 0) == (ssize_t)strlen(text));
	EXPECT_EQ(ring_wait(&watch->ring, 0), 0);
	(void)ring_reap(&watch->ring);
	EXPECT_EQ(landed->count, before + 1);
	EXPECT_EQ(landed->res[before], (int)strlen(text));
	bufring_lend(landed->buffers, false);
}

/* The last may bring more than was left; what comes then stays in the socket. */
TEST(a_receive_of_many_ends_with_its_limit)
{
	struct watch   watch;
	struct bufring buffers;
	struct landed  landed = {.buffers = &buffers};
	int            ends[2];
	char           rest[16];

	EXPECT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
	if (watch_init(&watch) && watch.ring.receives_many) {
		EXPECT_EQ(bufring_init(&buffers, &watch.ring, 64, 4096), 0);
		op_init(&landed.op, on_received);
		ring_recv_many(&watch.ring, &landed.op, ends[0], &buffers, 8);
		ring_submit(&watch.ring);
		receive(&watch, &landed, ends[1], "one");
		receive(&watch, &landed, ends[1], "four");
		receive(&watch, &landed, ends[1], "seventeen");
		EXPECT(landed.goes_on[0] && landed.goes_on[1] && !landed.goes_on[2]);
		EXPECT(send(ends[1], "late", 4, 0) == 4);
		EXPECT_EQ(ring_wait(&watch.ring, 0), 0);
		EXPECT_EQ(ring_reap(&watch.ring), 0);
		EXPECT(recv(ends[0], rest, sizeof(rest), MSG_DONTWAIT) == 4);
		bufring_fini(&buffers);
	}
	watch_fini(&watch);
	close(ends[0]);
	close(ends[1]);
}

TEST(a_receive_of_many_ends_with_its_source)
{
	struct watch   watch;
	struct bufring buffers;
	struct landed  landed = {.buffers = &buffers};
	int            ends[2];

	EXPECT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
	if (watch_init(&watch) && watch.ring.receives_many) {
		EXPECT_EQ(bufring_init(&buffers, &watch.ring, 64, 4096), 0);
		op_init(&landed.op, on_received);
		ring_recv_many(&watch.ring, &landed.op, ends[0], &buffers, 4096);
		ring_submit(&watch.ring);
		receive(&watch, &landed, ends[1], "last words");
		EXPECT(shutdown(ends[1], SHUT_WR) == 0);
		EXPECT_EQ(ring_wait(&watch.ring, 0), 0);
		EXPECT_EQ(ring_reap(&watch.ring), 1);
		EXPECT(landed.goes_on[0] && !landed.goes_on[1] && landed.res[1] == 0);
		bufring_fini(&buffers);
	}
	watch_fini(&watch);
	close(ends[0]);
	close(ends[1]);
}

/* A ring that has nothing to wait for, and a connection: *ends*[0] is to be closed. */
static bool pair_init(struct ring *ring, int ends[2])
{
	EXPECT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
	return ring_init(ring, 4, false) == 0;
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

TEST(a_close_happens_as_it_is_submitted_and_says_nothing)
{
	struct ring ring;
	char        byte;
	int         ends[2];

	if (pair_init(&ring, ends)) {
		ring_close(&ring, ends[0]);
#ifndef __SANITIZE_THREAD__ /* there it is at once */
		EXPECT(is_open(ends[0]));
		EXPECT(read(ends[1], &byte, 1) < 0 && errno == EAGAIN);
#endif
		EXPECT_EQ(ring_wait(&ring, 0), 0);
		EXPECT(!is_open(ends[0]));
		EXPECT(read(ends[1], &byte, 1) == 0);
		EXPECT_EQ(ring_reap(&ring), 0);
		ring_fini(&ring);
	}
	close(ends[1]);
}

TEST(a_close_wakes_nobody_from_a_wait)
{
	enum { WAIT_MS = 30 };
	struct ring ring;
	uint64_t    begun_us = clock_us();
	int         ends[2];

	if (pair_init(&ring, ends)) {
		ring_close(&ring, ends[0]);
		EXPECT_EQ(ring_wait(&ring, WAIT_MS), 0);
		EXPECT(clock_us() - begun_us >= WAIT_MS * 1000);
		EXPECT_EQ(ring_reap(&ring), 0);
		ring_fini(&ring);
	}
	close(ends[1]);
}

TEST(a_ring_that_ends_closes_what_it_was_told_to)
{
	struct ring ring;
	char        byte;
	int         ends[2];

	if (pair_init(&ring, ends)) {
		ring_close(&ring, ends[0]);
		ring_fini(&ring);
		EXPECT(!is_open(ends[0]));
		EXPECT(read(ends[1], &byte, 1) == 0);
	}
	close(ends[1]);
}

/* More than the submission queue holds. */
TEST(many_closes_at_once_are_all_done)
{
	enum { PAIRS = 50 };
	struct ring ring;
	char        byte;
	int         ends[PAIRS][2];

	if (ring_init(&ring, 4, false) != 0)
		return;
	for (int i = 0; i < PAIRS; i++) {
		EXPECT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends[i]) == 0);
		ring_close(&ring, ends[i][0]);
	}
	EXPECT_EQ(ring_wait(&ring, 0), 0);
	EXPECT_EQ(ring_reap(&ring), 0);
	for (int i = 0; i < PAIRS; i++) {
		EXPECT(read(ends[i][1], &byte, 1) == 0);
		close(ends[i][1]);
	}
	ring_fini(&ring);
}

int main(void)
{
	return test_main();
}
