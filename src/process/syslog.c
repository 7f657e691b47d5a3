#include "process/syslog.h"
#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { FACILITY_DAEMON = 3 };

void syslog_init(struct syslog *syslog, const char *path, const struct addr *to)
{
	char *at;

	*syslog = (struct syslog){.path = path};
	if (to)
		syslog->to = *to;
	if (gethostname(syslog->host, sizeof(syslog->host) - 1) < 0 || !syslog->host[0])
		strcpy(syslog->host, "-");
	for (at = syslog->host; *at; at++)
		if (*at <= ' ' || *at >= 0x7f)
			*at = '?';
}

static int open_socket(const struct sockaddr *to, socklen_t len)
{
	int fd = socket(to->sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int error;

	if (fd < 0)
		return -errno;
	if (connect(fd, to, len) == 0)
		return fd;
	error = errno;
	close(fd);
	return -error;
}

static int open_local(const char *path)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof(to.sun_path))
		return -ENAMETOOLONG;
	strcpy(to.sun_path, path);
	return open_socket((const struct sockaddr *)&to, sizeof(to));
}

/* Connected, so that an ICMP refusal comes back as an error: the one sign that nobody listens. */
int syslog_open(const struct syslog *syslog)
{
	struct sockaddr_storage to;
	socklen_t               len;

	if (syslog->path)
		return open_local(syslog->path);
	len = addr_to_sockaddr(&syslog->to, &to);
	return open_socket((const struct sockaddr *)&to, len);
}

/* RFC 5424 6.2.1 */
static unsigned severity_of(enum log_level level)
{
	switch (level) {
	case LOG_LEVEL_DEBUG:
		return 7;
	case LOG_LEVEL_INFO:
		return 6;
	case LOG_LEVEL_NOTICE:
		return 5;
	case LOG_LEVEL_WARN:
		return 4;
	case LOG_LEVEL_ERROR:
		return 3;
	}
	return 3;
}

size_t syslog_header(const struct syslog *syslog, enum log_level level, const char *kind,
                     uint64_t real_ms, char out[SYSLOG_HEADER_MAX])
{
	unsigned  priority = FACILITY_DAEMON * 8 + severity_of(level);
	time_t    seconds = (time_t)(real_ms / 1000);
	struct tm local = {0};
	char      when[CLOCK_TEXT_LEN + 1];
	int       len;

	if (syslog->path) {
		/* RFC 3164 4.1.2: local time, and no host between programs of one host. */
		(void)localtime_r(&seconds, &local);
		(void)strftime(when, sizeof(when), "%b %e %H:%M:%S", &local);
		len = snprintf(out, SYSLOG_HEADER_MAX, "<%u>%s penstock[%ld]: ", priority, when,
		               (long)getpid());
	} else {
		clock_format(real_ms, when);
		when[CLOCK_TEXT_LEN] = '\0';
		len = snprintf(out, SYSLOG_HEADER_MAX, "<%u>1 %s %s penstock %ld %s - ", priority,
		               when, syslog->host, (long)getpid(), kind);
	}
	return min_size((size_t)len, SYSLOG_HEADER_MAX - 1);
}
