/*
 * port_maker: listening sockets of ports, and the other ends of them.
 */
#ifndef TESTS_UNIT_PORT_MAKER_H
#define TESTS_UNIT_PORT_MAKER_H

#include "process/ports.h"
#include "test.h"

#include <errno.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

/* Changes *ports* at once. */
static inline bool ports_become(struct ports *ports, const struct ports_plan *plan,
                                struct conf_report *report)
{
	struct ports_change change;
	bool                ok = ports_change(ports, plan, report, &change);

	if (ok)
		ports_commit(ports, &change);
	return ok;
}

static inline size_t port_count_of(const struct ports *ports, uint32_t worker)
{
	size_t count;

	(void)ports_of(ports, worker, &count);
	return count;
}

static inline const struct worker_port *nth_port_of(const struct ports *ports, uint32_t worker,
                                                    size_t nth)
{
	size_t                    count;
	const struct worker_port *first = ports_of(ports, worker, &count);

	CHECK(nth < count);
	return first + nth;
}

static inline int fd_of(const struct ports *ports, uint32_t worker)
{
	return nth_port_of(ports, worker, 0)->fd;
}

static inline struct sockaddr_in loopback(uint16_t port)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
	                            .sin_port = htons(port),
	                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static inline uint16_t port_of(int fd)
{
	struct sockaddr_in at = {0};
	socklen_t          len = sizeof(at);

	EXPECT(getsockname(fd, (struct sockaddr *)&at, &len) == 0);
	return ntohs(at.sin_port);
}

/* A socket of somebody else's; *port* 0 = any free one. */
static inline int stranger(uint16_t port, bool reuseport)
{
	struct sockaddr_in at = loopback(port);
	int                one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (reuseport)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	EXPECT(bind(fd, (const struct sockaddr *)&at, sizeof(at)) == 0);
	EXPECT(listen(fd, 8) == 0);
	return fd;
}

/* Never the same twice in one program: the kernel is free to offer one again as soon as it is
 * closed. */
static inline uint16_t free_port(void)
{
	static uint8_t seen[UINT16_MAX + 1];

	for (;;) {
		int      fd = stranger(0, false);
		uint16_t port = port_of(fd);

		close(fd);
		if (!seen[port]++)
			return port;
	}
}

static inline int dial(const struct sockaddr *to, socklen_t len)
{
	int fd = socket(to->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (connect(fd, to, len) == 0)
		return fd;
	close(fd);
	return -errno;
}

static inline int dial_port(uint16_t port)
{
	struct sockaddr_in to = loopback(port);

	return dial((const struct sockaddr *)&to, sizeof(to));
}

static inline unsigned accept_all(int fd)
{
	unsigned count = 0;
	int      taken;

	while ((taken = accept4(fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		close(taken);
		count++;
	}
	return count;
}

static inline int dial_path(const char *path)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};

	snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
	return dial((const struct sockaddr *)&to, sizeof(to));
}

#endif
