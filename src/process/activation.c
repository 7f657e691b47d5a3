#include "process/activation.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FIRST_FD = 3, FDS_MAX = 4096 };

/* A number of the environment, strictly digits; -1 = not there or none. */
static long environment_number(const char *name)
{
	const char *text = getenv(name);
	char       *end;
	long        value;

	if (!text || *text < '0' || *text > '9')
		return -1;
	errno = 0;
	value = strtol(text, &end, 10);
	return errno == 0 && *end == '\0' ? value : -1;
}

/* How many were passed to this very process; a child of whoever was meant inherits the words,
 * too. */
static size_t count_all(void)
{
	long count = environment_number("LISTEN_FDS");

	if (environment_number("LISTEN_PID") != (long)getpid())
		return 0;
	return count > 0 && count <= FDS_MAX ? (size_t)count : 0;
}

/* The fd of number *nth* of the name; -1 = no such. *count*: of all. */
static int find(const char *name, size_t nth, size_t *count)
{
	const char *names = getenv("LISTEN_FDNAMES");
	size_t      total = count_all(), len = strlen(name);
	int         fd = -1;

	*count = 0;
	for (size_t i = 0; names && i < total; i++) {
		size_t word = strcspn(names, ":");

		if (word == len && memcmp(names, name, len) == 0) {
			if (*count == nth)
				fd = FIRST_FD + (int)i;
			(*count)++;
		}
		names += word;
		if (*names != ':')
			break;
		names++;
	}
	return fd;
}

size_t activation_count(const char *name)
{
	size_t count;

	(void)find(name, 0, &count);
	return count;
}

/* 0, or -errno. */
static int check_listening(int fd)
{
	int       value = 0;
	socklen_t len = sizeof(value);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &len) < 0)
		return -errno;
	if (value != SOCK_STREAM)
		return -EINVAL;
	len = sizeof(value);
	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &len) < 0)
		return -errno;
	return value ? 0 : -EINVAL;
}

int activation_take(const char *name, size_t nth)
{
	size_t count;
	int    fd = find(name, nth, &count);
	int    result, flags, copy;

	if (fd < 0)
		return -ENOENT;
	result = check_listening(fd);
	if (result < 0)
		return result;
	/* Not for programs that we might start; the original stays for a later configuration. */
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return -errno;
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	copy = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_FD);
	return copy < 0 ? -errno : copy;
}
