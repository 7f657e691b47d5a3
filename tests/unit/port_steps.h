/*
 * port_steps: ports from one configuration to the next, as the test writes them, and what they are
 * then seen to do.
 */
#ifndef TESTS_UNIT_PORT_STEPS_H
#define TESTS_UNIT_PORT_STEPS_H

#include "conf_maker.h"
#include "port_maker.h"

#include <dirent.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <sys/stat.h>

/* A listener in the INI text of a test, as far as `listen =` and behind. */
#define WEB(listen) "[listener web]\nproxy_pass = 192.0.2.1:443\nlisten = " listen "\n"
#define TWO(listen) "[listener two]\nproxy_pass = 192.0.2.1:443\nlisten = " listen "\n"

/* ---- changes ---- */

/* A configuration, and a change to it that may be committed or not. */
struct step {
	struct made_conf    made;
	struct ports_change change;
	bool                ok;
};

static inline void step_fini(struct step *step)
{
	made_free(&step->made);
}

static inline PRINTF(4, 5) void step_init(struct step *step, const struct ports *now,
                                          uint32_t workers, const char *format, ...)
{
	char    text[2048];
	va_list arguments;

	va_start(arguments, format);
	CHECK(vsnprintf(text, sizeof(text), format, arguments) < (int)sizeof(text));
	va_end(arguments);
	step->made = make_conf(text);
	CHECK(step->made.errors == 0);
	step->ok = ports_change(now,
	                        &(struct ports_plan){.conf = step->made.conf, .workers = workers},
	                        step->made.report, &step->change);
}

/* The configuration is gone right after the commit: nothing of ports may need it. */
#define BECOME(ports, workers, ...)                                                                \
	do {                                                                                       \
		struct step become;                                                                \
		step_init(&become, ports, workers, __VA_ARGS__);                                   \
		EXPECT(become.ok);                                                                 \
		if (become.ok)                                                                     \
			ports_commit(ports, &become.change);                                       \
		else                                                                               \
			conf_report_print(become.made.report, stdout);                             \
		step_fini(&become);                                                                \
	} while (0)

/* ---- looking ---- */

static inline size_t open_fds(void)
{
	DIR   *all = opendir("/proc/self/fd");
	size_t count = 0;

	CHECK(all);
	while (readdir(all))
		count++;
	closedir(all);
	return count;
}

static inline ino_t inode_of(int fd)
{
	struct stat status;

	CHECK(fstat(fd, &status) == 0);
	return status.st_ino;
}

static inline int option_of(int fd, int level, int name)
{
	int       value = -1;
	socklen_t len = sizeof(value);

	EXPECT(getsockopt(fd, level, name, &value, &len) == 0);
	return value;
}

/* tcp(7): of a listening socket the fields mean something else. */
static inline unsigned backlog_of(int fd)
{
	struct tcp_info info = {0};
	socklen_t       len = sizeof(info);

	EXPECT(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0);
	return info.tcpi_sacked;
}

/* Connections made to *port*, all of which wait in a backlog. */
enum { DIALS_MAX = 64 };

static inline void dial_many(uint16_t port, int fds[DIALS_MAX], int count)
{
	for (int i = 0; i < count; i++) {
		fds[i] = dial_port(port);
		EXPECT(fds[i] >= 0);
	}
}

static inline void hang_up(const int fds[DIALS_MAX], int count)
{
	for (int i = 0; i < count; i++)
		close(fds[i]);
}

static inline unsigned accept_of_worker(const struct ports *ports, uint32_t worker)
{
	unsigned count = 0;

	for (size_t i = 0; i < port_count_of(ports, worker); i++)
		count += accept_all(nth_port_of(ports, worker, i)->fd);
	return count;
}

static inline unsigned accept_of_all(const struct ports *ports)
{
	unsigned count = 0;

	for (uint32_t worker = 0; worker < ports->workers; worker++)
		count += accept_of_worker(ports, worker);
	return count;
}

/* ---- socket options ---- */

#define TUNED                                                                                      \
	"backlog = 77\nuser_timeout = 7s\ndeferred = on\nfastopen = 33\nrcvbuf = 20k\nsndbuf = 30k\n"

static inline void expect_tuned(int fd)
{
	EXPECT_EQ(backlog_of(fd), 77);
	EXPECT_EQ(option_of(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 7000);
	EXPECT(option_of(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT) > 0);
	EXPECT_EQ(option_of(fd, IPPROTO_TCP, TCP_FASTOPEN), 33);
	EXPECT_EQ(option_of(fd, SOL_SOCKET, SO_RCVBUF), 2 * 20 * 1024);
	EXPECT_EQ(option_of(fd, SOL_SOCKET, SO_SNDBUF), 2 * 30 * 1024);
}

static inline void expect_plain(int fd)
{
	int fresh = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	EXPECT(backlog_of(fd) > 77);
	EXPECT_EQ(option_of(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 0);
	EXPECT_EQ(option_of(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT), 0);
	EXPECT_EQ(option_of(fd, IPPROTO_TCP, TCP_FASTOPEN), 0);
	EXPECT_EQ(option_of(fd, SOL_SOCKET, SO_RCVBUF), option_of(fresh, SOL_SOCKET, SO_RCVBUF));
	EXPECT_EQ(option_of(fd, SOL_SOCKET, SO_SNDBUF), option_of(fresh, SOL_SOCKET, SO_SNDBUF));
	EXPECT_EQ(option_of(fd, SOL_SOCKET, SO_BUF_LOCK), 0); /* the kernel tunes them */
	close(fresh);
}

#endif
