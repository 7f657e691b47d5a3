/* Listening sockets that come and go from one configuration to the next; and changes that are not
 * made. */
#include "process/ports.h"

#include "port_steps.h"
#include "report_text.h"
#include "test.h"

static char folder[64];

/* ---- what comes and goes ---- */

TEST(a_dropped_port_serves_until_it_is_closed)
{
	uint16_t     port = free_port(), other = free_port();
	struct ports ports;
	int          fd, old;

	ports_init(&ports);
	BECOME(&ports, 2, WEB("127.0.0.1:%u"), port);
	old = fd_of(&ports, 0);
	BECOME(&ports, 2, WEB("127.0.0.1:%u"), other);
	EXPECT_EQ(port_count_of(&ports, 0), 1);
	EXPECT(fd_of(&ports, 0) != old);
	EXPECT(ports_have_dropped(&ports));
	fd = dial_port(port);
	EXPECT(fd >= 0);
	close(fd);
	ports_close_dropped(&ports);
	EXPECT(!ports_have_dropped(&ports));
	EXPECT_EQ(dial_port(port), -ECONNREFUSED);
	fd = dial_port(other);
	EXPECT(fd >= 0);
	close(fd);
	ports_close(&ports);
	EXPECT_EQ(dial_port(other), -ECONNREFUSED);
}

TEST(a_dropped_port_that_is_wanted_again_before_it_is_closed_is_kept)
{
	uint16_t     port = free_port(), other = free_port();
	int          old, fds[DIALS_MAX];
	struct ports ports;

	ports_init(&ports);
	BECOME(&ports, 2, WEB("127.0.0.1:%u"), port);
	old = fd_of(&ports, 1);
	BECOME(&ports, 2, WEB("127.0.0.1:%u"), other);
	dial_many(port, fds, 10);
	BECOME(&ports, 2, WEB("127.0.0.1:%u") "backlog = 77\n", port);
	ports_close_dropped(&ports); /* the other one */
	EXPECT_EQ(fd_of(&ports, 1), old);
	EXPECT_EQ(backlog_of(old), 77);
	EXPECT_EQ(accept_of_all(&ports), 10);
	hang_up(fds, 10);
	EXPECT_EQ(dial_port(other), -ECONNREFUSED);
	ports_close(&ports);
}

/* Listens at *from*, then at *to*, which the kernel takes for the same. */
static void expect_replaced(const char *from, const char *to, uint16_t port)
{
	int          fds[DIALS_MAX];
	struct ports ports;

	ports_init(&ports);
	BECOME(&ports, 2, WEB("%s"), from);
	BECOME(&ports, 2, WEB("%s"), to);
	EXPECT(ports_have_dropped(&ports));
	ports_close_dropped(&ports);
	dial_many(port, fds, 10);
	EXPECT_EQ(accept_of_all(&ports), 10);
	hang_up(fds, 10);
	ports_close(&ports);
}

TEST(an_address_can_be_replaced_by_one_that_overlaps)
{
	uint16_t port = free_port();
	char     one[64], all[64], bare[64], through[64];

	snprintf(one, sizeof(one), "127.0.0.1:%u", port);
	snprintf(all, sizeof(all), "0.0.0.0:%u", port);
	snprintf(bare, sizeof(bare), "%u", port);
	snprintf(through, sizeof(through), "127.0.0.1:%u\ninterface = lo", port);
	expect_replaced(one, all, port);
	expect_replaced(all, one, port);
	expect_replaced(bare, one, port);
	expect_replaced(one, bare, port);
	expect_replaced(one, through, port);
	expect_replaced(through, one, port);
}

TEST(an_address_of_both_families_can_give_up_ipv4)
{
	uint16_t     port = free_port();
	struct ports ports;
	int          fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return; /* a host without IPv6 */
	close(fd);
	ports_init(&ports);
	BECOME(&ports, 2, WEB("[::]:%u"), port);
	/* The same in other words. */
	BECOME(&ports, 2, WEB("%u"), port);
	EXPECT(!ports_have_dropped(&ports));
	BECOME(&ports, 2, WEB("%u") "ipv6only = on\n", port);
	EXPECT(ports_have_dropped(&ports));
	ports_close_dropped(&ports);
	EXPECT_EQ(dial_port(port), -ECONNREFUSED);
	ports_close(&ports);
}

TEST(an_address_that_others_have_a_part_of_cannot_be_widened_to)
{
	struct sockaddr_in at = loopback(free_port());
	struct ports       ports;
	struct step        step;
	int                other = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
	EXPECT(bind(other, (const struct sockaddr *)&at, sizeof(at)) == 0 && listen(other, 8) == 0);
	ports_init(&ports);
	BECOME(&ports, 2, WEB("127.0.0.1:%u"), ntohs(at.sin_port));
	step_init(&step, &ports, 2, WEB("0.0.0.0:%u"), ntohs(at.sin_port));
	EXPECT(!step.ok);
	EXPECT(report_says(step.made.report,
	                   ": Address already in use, not by the running configuration alone\n"));
	step_fini(&step);
	ports_close(&ports);
	close(other);
}

/* ---- what does not happen ---- */

TEST(a_change_that_fails_leaves_everything_as_it_was)
{
	int          other = stranger(0, true);
	uint16_t     port = free_port(), added = free_port();
	struct ports ports;
	struct step  step;
	char         path[96];
	int          old[2];
	size_t       fds;

	snprintf(path, sizeof(path), "%s/failed", folder);
	ports_init(&ports);
	BECOME(&ports, 2, WEB("127.0.0.1:%u"), port);
	old[0] = fd_of(&ports, 0);
	old[1] = fd_of(&ports, 1);
	fds = open_fds();
	step_init(&step, &ports, 4,
	          WEB("127.0.0.1:%u") "%s" TWO("127.0.0.1:%u\nlisten = unix:%s\nlisten = "
	                                       "127.0.0.1:%u"),
	          port, TUNED, added, path, port_of(other));
	EXPECT(!step.ok);
	EXPECT_EQ(conf_report_errors(step.made.report), 1);
	EXPECT(report_says(step.made.report, "t.ini:14: [listener two] listen = 127.0.0.1:"));
	step_fini(&step);
	EXPECT_EQ(open_fds(), fds);
	EXPECT_EQ(dial_port(added), -ECONNREFUSED);
	EXPECT(access(path, F_OK) < 0);
	EXPECT_EQ(ports.workers, 2);
	EXPECT_EQ(fd_of(&ports, 0), old[0]);
	EXPECT_EQ(fd_of(&ports, 1), old[1]);
	expect_plain(old[0]);
	expect_plain(old[1]);
	ports_close(&ports);
	close(other);
}

TEST(a_change_that_is_abandoned_leaves_everything_as_it_was)
{
	uint16_t     port = free_port(), added = free_port();
	struct ports ports;
	struct step  step;
	char         kept[96], made[96];
	size_t       count, fds;
	int          fd;

	snprintf(kept, sizeof(kept), "%s/kept", folder);
	snprintf(made, sizeof(made), "%s/made", folder);
	ports_init(&ports);
	BECOME(&ports, 2, WEB("127.0.0.1:%u\nlisten = unix:%s"), port, kept);
	fds = open_fds();
	step_init(
		&step, &ports, 3,
		WEB("127.0.0.1:%u\nlisten = unix:%s\nlisten = unix:%s\nlisten = 127.0.0.1:%u") "%s",
		port, kept, made, added, TUNED);
	EXPECT(step.ok);
	expect_tuned(fd_of(&ports, 0));
	/* What it would be. */
	EXPECT(ports_of(&step.change.next, 2, &count)[0].fd != fd_of(&ports, 0));
	EXPECT_EQ(count, 4);
	ports_abandon(&step.change);
	step_fini(&step);
	EXPECT_EQ(open_fds(), fds);
	EXPECT_EQ(dial_port(added), -ECONNREFUSED);
	EXPECT(access(made, F_OK) < 0);
	EXPECT(access(kept, F_OK) == 0);
	expect_plain(fd_of(&ports, 0));
	expect_plain(fd_of(&ports, 1));
	fd = dial_path(kept);
	EXPECT(fd >= 0);
	close(fd);
	ports_close(&ports);
}

/* ---- unix sockets ---- */

TEST(a_unix_socket_is_kept_and_its_file_stays)
{
	struct ports ports;
	char         path[96];
	ino_t        inode;
	int          fd;

	snprintf(path, sizeof(path), "%s/stays", folder);
	ports_init(&ports);
	BECOME(&ports, 1, WEB("unix:%s"), path);
	inode = inode_of(fd_of(&ports, 0));
	BECOME(&ports, 3, TWO("unix:%s"), path);
	ports_close_dropped(&ports);
	for (uint32_t worker = 0; worker < 3; worker++)
		EXPECT_EQ(inode_of(fd_of(&ports, worker)), inode);
	fd = dial_path(path);
	EXPECT(fd >= 0);
	close(fd);
	EXPECT_EQ(accept_of_worker(&ports, 2), 1);
	ports_close(&ports);
	EXPECT(access(path, F_OK) < 0);
}

TEST(a_dropped_unix_socket_s_file_goes_when_it_is_closed)
{
	struct ports ports;
	char         path[96];

	snprintf(path, sizeof(path), "%s/goes", folder);
	ports_init(&ports);
	BECOME(&ports, 1, WEB("unix:%s"), path);
	BECOME(&ports, 1, WEB("127.0.0.1:%u"), free_port());
	EXPECT(access(path, F_OK) == 0);
	/* Wanted again, and not any more. */
	BECOME(&ports, 1, WEB("unix:%s"), path);
	ports_close_dropped(&ports);
	EXPECT(access(path, F_OK) == 0);
	BECOME(&ports, 1, WEB("127.0.0.1:%u"), free_port());
	ports_close_dropped(&ports);
	EXPECT(access(path, F_OK) < 0);
	ports_close(&ports);
}

TEST(files_can_be_removed_while_the_sockets_stay)
{
	struct ports ports;
	char         path[96], dropped[96];
	int          fd;

	snprintf(path, sizeof(path), "%s/one", folder);
	snprintf(dropped, sizeof(dropped), "%s/two", folder);
	ports_init(&ports);
	BECOME(&ports, 1, WEB("unix:%s"), dropped);
	BECOME(&ports, 1, WEB("unix:%s"), path);
	fd = dial_path(path);
	EXPECT(fd >= 0);
	ports_remove_files(&ports);
	EXPECT(access(path, F_OK) < 0 && access(dropped, F_OK) < 0);
	EXPECT_EQ(accept_of_worker(&ports, 0), 1);
	close(fd);
	ports_close(&ports);
}

TEST(a_unix_socket_whose_file_was_removed_is_made_anew)
{
	struct ports ports;
	char         path[96];
	int          fd;

	snprintf(path, sizeof(path), "%s/anew", folder);
	ports_init(&ports);
	BECOME(&ports, 1, WEB("unix:%s"), path);
	EXPECT(unlink(path) == 0);
	BECOME(&ports, 1, WEB("unix:%s"), path);
	ports_close_dropped(&ports);
	fd = dial_path(path);
	EXPECT(fd >= 0);
	close(fd);
	EXPECT_EQ(accept_of_worker(&ports, 0), 1);
	ports_close(&ports);
	EXPECT(access(path, F_OK) < 0);
}

/* ---- many ---- */

TEST(a_hundred_changes_lose_no_connection_and_leave_no_socket_behind)
{
	enum { CHANGES = 100, DIALS = 8 };
	uint16_t     port = free_port(), first = free_port(), second = free_port();
	size_t       before = open_fds(), with_eight = 0;
	int          fds[DIALS_MAX];
	struct ports ports;
	char         path[96];

	snprintf(path, sizeof(path), "%s/many", folder);
	ports_init(&ports);
	for (unsigned i = 0; i < CHANGES; i++) {
		uint32_t workers = 1 + i % 4 * 2;

		if (i > 0)
			dial_many(port, fds, DIALS);
		BECOME(&ports, workers,
		       WEB("127.0.0.1:%u") "backlog = %u\n" TWO("unix:%s\nlisten = 127.0.0.1:%u"),
		       port, 100 + i, path, i % 2 ? first : second);
		EXPECT_EQ(accept_of_all(&ports), i > 0 ? DIALS : 0);
		hang_up(fds, i > 0 ? DIALS : 0);
		ports_close_dropped(&ports);
		if (i == 7)
			with_eight = open_fds();
	}
	/* 7 of *port*, which keeps those of workers that are no more; 7 of the last change's;
	 * unix. */
	EXPECT_EQ(open_fds(), with_eight);
	EXPECT_EQ(open_fds(), before + 7 + 7 + 1);
	EXPECT_EQ(ports.workers, 7);
	ports_close(&ports);
	EXPECT_EQ(open_fds(), before);
}

int main(void)
{
	int result;

	snprintf(folder, sizeof(folder), "%s", P_tmpdir "/penstock-test-XXXXXX");
	if (!mkdtemp(folder))
		return 1;
	result = test_main();
	(void)rmdir(folder);
	return result;
}
