#include "io/sock.h"
#include "port_maker.h"
#include "test.h"

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

int main(void)
{
	return test_main();
}
