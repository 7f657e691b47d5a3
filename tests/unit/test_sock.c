#include "io/ring.h"
#include "io/sock.h"
#include "port_maker.h"
#include "test.h"

#include <errno.h>
#include <linux/tcp.h>
#include <poll.h>

/* Two ends of one connection. */
static void connect_pair(int *near, int *far)
{
	int listener = stranger(0, false);

	*near = dial_port(port_of(listener));
	*far = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	EXPECT(*near >= 0 && *far >= 0);
	close(listener);
}

static void fill_up(int fd)
{
	static const char bytes[65536];

	while (send(fd, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
		;
}

static void expect_soon(int fd, short events)
{
	struct pollfd look = {fd, events, 0};

	EXPECT(poll(&look, 1, 10000) == 1);
}

TEST(what_the_peer_has_not_acknowledged_is_unsent)
{
	int near, far;

	connect_pair(&near, &far);
	EXPECT_EQ(sock_unsent(near), 0);
	fill_up(near);
	EXPECT(sock_unsent(near) > 0);
	close(near);
	close(far);
}

TEST(nothing_is_unsent_to_a_peer_that_has_reset)
{
	int near, far;

	connect_pair(&near, &far);
	fill_up(near);
	close(far); /* with bytes unread: a reset */
	expect_soon(near, POLLHUP);
	EXPECT_EQ(sock_unsent(near), 0);
	close(near);
}

TEST(nothing_is_unsent_on_no_socket)
{
	EXPECT_EQ(sock_unsent(-1), 0);
}

static unsigned segments_of(int fd)
{
	struct tcp_info info;
	socklen_t       len = sizeof(info);

	EXPECT_EQ(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
	return info.tcpi_segs_out;
}

/* Segments that it took. */
static unsigned send_last(void)
{
	char     got[8];
	int      near, far;
	unsigned before, after;

	connect_pair(&near, &far);
	before = segments_of(near);
	EXPECT_EQ(sock_send_last(near, "bye", 3), 3);
	sock_finish(near);
	after = segments_of(near);
	EXPECT_EQ(recv(far, got, sizeof(got), MSG_WAITALL), 3);
	EXPECT_EQ(recv(far, got, sizeof(got), 0), 0);
	close(near);
	close(far);
	return after - before;
}

TEST(the_last_bytes_and_the_end_go_in_one_segment)
{
	int tries = 10; /* the kernel waits for 200 ms, we may be stopped for longer */

	while (--tries > 0 && send_last() != 1)
		;
	EXPECT(tries > 0);
}

TEST(last_bytes_that_do_not_fit_are_sent_as_far_as_they_do)
{
	static char got[65536];
	ssize_t     sent = 0, taken = 0, n;
	int         near, far;

	connect_pair(&near, &far);
	while ((n = sock_send_last(near, got, sizeof(got))) > 0)
		sent += n;
	EXPECT_EQ(n, -EAGAIN);
	while (taken < sent && (n = recv(far, got, sizeof(got), 0)) > 0)
		taken += n;
	EXPECT_EQ(taken, sent);
	close(near);
	close(far);
}

struct note {
	struct op op;
	int       res;
};

static void on_note(struct op *op, int res, unsigned flags)
{
	(void)flags;
	container_of(op, struct note, op)->res = res;
}

/* What a fast open of *fd* says, and a poll behind it. */
static void open_fast(struct ring *ring, int fd, const struct sockaddr_in *to, struct note *opening,
                      struct note *outcome)
{
	op_init(&opening->op, on_note);
	op_init(&outcome->op, on_note);
	ring_open_fast(ring, &opening->op, fd, (const struct sockaddr *)to, sizeof(*to),
	               span_text("hello"));
	ring_poll(ring, &outcome->op, fd, POLLOUT);
	while (opening->op.busy || outcome->op.busy) {
		EXPECT_EQ(ring_wait(ring, 10000), 0);
		(void)ring_reap(ring);
	}
}

/* Whatever this host allows, and whichever cookies it has. */
static void try_to_open_fast(struct ring *ring, const struct sockaddr_in *to, bool is_refused)
{
	const struct sock_dial_options plain = {0};
	int                            fd = sock_open(AF_INET, &plain);
	struct note                    opening, outcome;

	EXPECT(fd >= 0);
	open_fast(ring, fd, to, &opening, &outcome);
	if (opening.res == -EOPNOTSUPP) {
		EXPECT_EQ(outcome.res, POLLOUT | POLLHUP); /* as of any that does not connect */
		EXPECT_EQ(sock_connect(fd, (const struct sockaddr *)to, sizeof(*to)), 0);
	} else {
		EXPECT(opening.res == 5 || opening.res == -EINPROGRESS);
		EXPECT_EQ(outcome.res & ~POLLRDHUP,
		          is_refused ? POLLOUT | POLLERR | POLLHUP : POLLOUT);
	}
	expect_soon(fd, POLLOUT);
	EXPECT_EQ(sock_take_error(fd), is_refused ? -ECONNREFUSED : 0);
	sock_close(fd);
}

TEST(a_fast_open_tells_at_once_and_writability_the_outcome)
{
	int                listener = stranger(0, false);
	struct sockaddr_in to = loopback(port_of(listener));
	struct ring        ring;

	if (ring_init(&ring, 8, false) == 0) { /* else io_uring is denied, which test_host judges */
		try_to_open_fast(&ring, &to, false);
		close(listener);
		try_to_open_fast(&ring, &to, true);
		ring_fini(&ring);
	}
}

int main(void)
{
	return test_main();
}
