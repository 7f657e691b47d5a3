#include "process/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void notify_systemd(const char *state)
{
	const char        *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	size_t             len = path ? strlen(path) : 0;
	int                fd;

	if (len < 2 || len >= sizeof(to.sun_path) || (path[0] != '/' && path[0] != '@'))
		return;
	memcpy(to.sun_path, path, len);
	if (path[0] == '@')
		to.sun_path[0] = '\0'; /* the abstract name space */
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	(void)sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&to,
	             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
	close(fd);
}

/* A number of the environment, strictly digits; false: not there or none. */
static bool read_environment(const char *name, uint64_t *number)
{
	const char *text = getenv(name);
	char       *end;

	if (!text || *text < '0' || *text > '9')
		return false;
	errno = 0;
	*number = strtoull(text, &end, 10);
	return errno == 0 && *end == '\0';
}

uint32_t notify_watchdog_interval_ms(void)
{
	enum { USEC_PER_MS = 1000, MOST_MS = 3600000 };
	uint64_t interval_us, pid, half_ms;

	if (!read_environment("WATCHDOG_USEC", &interval_us) || interval_us == 0)
		return 0;
	/* Without a pid it is for whoever reads it. */
	if (getenv("WATCHDOG_PID") &&
	    (!read_environment("WATCHDOG_PID", &pid) || pid != (uint64_t)getpid()))
		return 0;
	half_ms = interval_us / USEC_PER_MS / 2;
	return half_ms < 1 ? 1 : half_ms > MOST_MS ? MOST_MS : (uint32_t)half_ms;
}

int pid_file_write(const char *path)
{
	char text[32];
	int  len = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
	int  fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	int  result = 0;

	if (fd < 0)
		return -errno;
	errno = 0;
	if (write(fd, text, (size_t)len) != len)
		result = errno ? -errno : -ENOSPC;
	close(fd);
	if (result < 0)
		(void)unlink(path);
	return result;
}

void pid_file_remove(const char *path)
{
	FILE *file = fopen(path, "re");
	long  pid = 0;

	if (!file)
		return;
	if (fscanf(file, "%ld", &pid) != 1)
		pid = 0;
	fclose(file);
	if (pid == (long)getpid())
		(void)unlink(path);
}
