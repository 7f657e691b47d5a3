/* Listening sockets that stay: from one configuration to the next, and from one number of workers
 * to another. */
#include "process/ports.h"

#include "port_steps.h"
#include "report_text.h"
#include "test.h"

#include <sys/wait.h>

/* ---- the number of workers ---- */

TEST(two_workers_become_four_and_one_and_four_and_no_socket_is_closed)
{
	uint16_t     port = free_port();
	struct ports ports;
	int          fds[4];

	ports_init(&ports);
	BECOME(&ports, 2, WEB("127.0.0.1:%u"), port);
	fds[0] = fd_of(&ports, 0);
	fds[1] = fd_of(&ports, 1);
	BECOME(&ports, 4, WEB("127.0.0.1:%u"), port);
	fds[2] = fd_of(&ports, 2);
	fds[3] = fd_of(&ports, 3);
	EXPECT_EQ(fd_of(&ports, 0), fds[0]);
	EXPECT_EQ(fd_of(&ports, 1), fds[1]);
	for (uint32_t i = 0; i < 4; i++)
		for (uint32_t j = 0; j < i; j++)
			EXPECT(fds[i] != fds[j]);
	BECOME(&ports, 1, WEB("127.0.0.1:%u"), port);
	EXPECT_EQ(port_count_of(&ports, 0), 4);
	for (uint32_t i = 0; i < 4; i++)
		EXPECT_EQ(nth_port_of(&ports, 0, i)->fd, fds[i]);
	EXPECT(!ports_have_dropped(&ports));
	BECOME(&ports, 4, WEB("127.0.0.1:%u"), port);
	for (uint32_t i = 0; i < 4; i++) {
		EXPECT_EQ(port_count_of(&ports, i), 1);
		EXPECT_EQ(fd_of(&ports, i), fds[i]);
	}
	ports_close(&ports);
}

TEST(sockets_of_workers_that_are_no_more_go_round_among_the_others)
{
	uint16_t     port = free_port();
	struct ports ports;

	ports_init(&ports);
	BECOME(&ports, 5, WEB("127.0.0.1:%u"), port);
	BECOME(&ports, 3, WEB("127.0.0.1:%u"), port);
	EXPECT_EQ(port_count_of(&ports, 0), 2);
	EXPECT_EQ(port_count_of(&ports, 1), 2);
	EXPECT_EQ(port_count_of(&ports, 2), 1);
	ports_close(&ports);
}

TEST(what_waits_in_an_orphaned_socket_is_served_by_who_takes_it_over)
{
	enum { DIALS = 60 };
	uint16_t     port = free_port();
	int          fds[DIALS_MAX];
	struct ports ports;

	ports_init(&ports);
	BECOME(&ports, 4, WEB("127.0.0.1:%u"), port);
	dial_many(port, fds, DIALS);
	BECOME(&ports, 1, WEB("127.0.0.1:%u"), port);
	EXPECT_EQ(accept_of_worker(&ports, 0), DIALS);
	hang_up(fds, DIALS);
	/* And who comes later. */
	dial_many(port, fds, DIALS);
	EXPECT_EQ(accept_of_worker(&ports, 0), DIALS);
	hang_up(fds, DIALS);
	ports_close(&ports);
}

TEST(added_workers_get_connections_of_a_kept_port)
{
	enum { DIALS = 60 };
	uint16_t     port = free_port();
	int          fds[DIALS_MAX];
	struct ports ports;

	ports_init(&ports);
	BECOME(&ports, 1, WEB("127.0.0.1:%u"), port);
	BECOME(&ports, 3, WEB("127.0.0.1:%u"), port);
	dial_many(port, fds, DIALS);
	/* The kernel's hash leaves one of three out once in 3^59. */
	EXPECT(accept_of_worker(&ports, 1) > 0);
	EXPECT(accept_of_worker(&ports, 2) > 0);
	hang_up(fds, DIALS);
	ports_close(&ports);
}

/* ---- what is kept ---- */

TEST(what_waits_in_a_kept_socket_survives_a_change)
{
	enum { DIALS = 20 };
	uint16_t     port = free_port(), other = free_port();
	int          fds[DIALS_MAX], taken;
	struct ports ports;
	ino_t        inode;
	char         word[4] = "";

	ports_init(&ports);
	BECOME(&ports, 1, WEB("127.0.0.1:%u"), port);
	inode = inode_of(fd_of(&ports, 0));
	dial_many(port, fds, DIALS);
	EXPECT_EQ(write(fds[0], "abc", 3), 3);
	/* Another name, another place in the file, another backlog. */
	BECOME(&ports, 1, TWO("127.0.0.1:%u") WEB("127.0.0.1:%u") "backlog = 9\n", other, port);
	EXPECT(!ports_have_dropped(&ports));
	EXPECT_EQ(nth_port_of(&ports, 0, 0)->listener, 0);
	EXPECT_EQ(nth_port_of(&ports, 0, 1)->listener, 1);
	EXPECT_EQ(inode_of(nth_port_of(&ports, 0, 1)->fd), inode);
	taken = accept4(nth_port_of(&ports, 0, 1)->fd, NULL, NULL, SOCK_CLOEXEC);
	EXPECT_EQ(read(taken, word, 3), 3);
	EXPECT(strcmp(word, "abc") == 0);
	EXPECT_EQ(accept_of_worker(&ports, 0), DIALS - 1);
	close(taken);
	hang_up(fds, DIALS);
	ports_close(&ports);
}

TEST(a_socket_stays_with_its_address_when_the_listener_is_renamed_or_split)
{
	uint16_t     port = free_port(), other = free_port();
	struct ports ports;
	int          one, two;

	ports_init(&ports);
	BECOME(&ports, 1, WEB("127.0.0.1:%u") "listen = 127.0.0.1:%u\n", port, other);
	one = nth_port_of(&ports, 0, 0)->fd;
	two = nth_port_of(&ports, 0, 1)->fd;
	BECOME(&ports, 1, TWO("127.0.0.1:%u") WEB("127.0.0.1:%u"), other, port);
	EXPECT_EQ(nth_port_of(&ports, 0, 0)->fd, two);
	EXPECT_EQ(nth_port_of(&ports, 0, 0)->listener, 0);
	EXPECT_EQ(nth_port_of(&ports, 0, 1)->fd, one);
	EXPECT_EQ(nth_port_of(&ports, 0, 1)->listener, 1);
	ports_close(&ports);
}

TEST(changed_socket_options_are_set_on_kept_sockets_and_taken_back)
{
	uint16_t     port = free_port();
	struct ports ports;

	ports_init(&ports);
	BECOME(&ports, 2, WEB("127.0.0.1:%u"), port);
	expect_plain(fd_of(&ports, 0));
	BECOME(&ports, 3, WEB("127.0.0.1:%u") "%s", port, TUNED);
	for (uint32_t worker = 0; worker < 3; worker++)
		expect_tuned(fd_of(&ports, worker));
	BECOME(&ports, 3, WEB("127.0.0.1:%u"), port);
	for (uint32_t worker = 0; worker < 3; worker++)
		expect_plain(fd_of(&ports, worker));
	ports_close(&ports);
}

/* ---- after root is given up ---- */

static void change_as_another(struct ports *ports, uint16_t port)
{
	struct step step;
	size_t      count;
	int         fds[DIALS_MAX];

	step_init(&step, ports, 2, WEB("127.0.0.1:%u") TWO("127.0.0.1:7"), port);
	EXPECT(!step.ok);
	EXPECT(report_says(step.made.report,
	                   "t.ini:6: [listener two] listen = 127.0.0.1:7: Permission denied to the "
	                   "user that penstock has become: needs a restart\n"));
	step_fini(&step);
	step_init(&step, ports, 2, WEB("0.0.0.0:%u"), port);
	EXPECT(!step.ok);
	EXPECT(report_says(step.made.report,
	                   ": Address already in use by the running configuration, opened as "
	                   "another user: needs a restart\n"));
	step_fini(&step);
	/* The kernel lets nobody but root join root's sockets: added workers share them. */
	BECOME(ports, 5, WEB("127.0.0.1:%u") TWO("127.0.0.1:%u"), port, free_port());
	EXPECT(fd_of(ports, 2) == fd_of(ports, 0) && fd_of(ports, 3) == fd_of(ports, 1) &&
	       fd_of(ports, 4) == fd_of(ports, 0) && fd_of(ports, 0) != fd_of(ports, 1));
	/* What it opens itself is its own. */
	EXPECT(nth_port_of(ports, 4, 1)->fd != nth_port_of(ports, 0, 1)->fd);
	EXPECT(ports_of(ports, 4, &count) && count == 2);
	dial_many(port, fds, 10);
	EXPECT_EQ(accept_of_all(ports), 10);
	hang_up(fds, 10);
	ports_close(ports);
}

TEST(without_root_its_ports_are_kept_and_what_needs_it_is_told)
{
	uint16_t     port = free_port();
	struct ports ports;
	pid_t        child;
	int          status = -1;

	if (geteuid() != 0)
		return;
	ports_init(&ports);
	BECOME(&ports, 2, WEB("127.0.0.1:%u"), port);
	fflush(stdout);
	child = fork();
	if (child == 0) {
		test_failed = false;
		EXPECT(setresuid(65534, 65534, 65534) == 0);
		change_as_another(&ports, port);
		fflush(stdout);
		_exit(test_failed);
	}
	EXPECT(waitpid(child, &status, 0) == child);
	EXPECT_EQ(status, 0);
	ports_close(&ports);
}

int main(void)
{
	return test_main();
}
