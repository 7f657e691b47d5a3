#include "process/logger_sink.h"
#include "base/clock.h"
#include "conf/conf.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum sink_kind { SINK_FILE, SINK_SOCKET, SINK_STREAM, SINK_SYSLOG, SINK_SYSLOG_UDP };

static const char syslog_path[] = "/dev/log";

enum {
	BACKOFF_MIN_MS = 10,
	BACKOFF_FULL_MS = 100,   /* at most, for a reader that does not read */
	BACKOFF_ERROR_MS = 1000, /* at most, for a disk that is full or a reader that is gone */
	PATIENCE_MS = 100,       /* in every PATIENCE_WINDOW_MS */
	PATIENCE_WINDOW_MS = 1000,
	/* A datagram to a dead server seems sent; the refusal meets a later one. */
	UDP_TRUST_MS = 5000,
};

static void count_dropped(struct logger_sink *sink, uint64_t lines)
{
	sink->dropped += lines;
	atomic_fetch_add_explicit(sink->dropped_total, lines, memory_order_relaxed);
}

static int standard_fd(const char *name)
{
	if (strcmp(name, "stdout") == 0)
		return STDOUT_FILENO;
	return strcmp(name, "stderr") == 0 ? STDERR_FILENO : -1;
}

static enum sink_kind kind_of(int fd)
{
	struct stat status;

	if (fstat(fd, &status) != 0)
		return SINK_STREAM;
	if (S_ISREG(status.st_mode))
		return SINK_FILE;
	return S_ISSOCK(status.st_mode) ? SINK_SOCKET : SINK_STREAM;
}

/*
 * stdout and stderr are usually shared with a shell or a supervisor; O_NONBLOCK belongs to the open
 * file and would hit them as well. Opening through /proc gives an open file of our own. Where that
 * fails (a socket, no /proc) a plain duplicate must do, and write_once keeps it from blocking. A
 * file never blocks, and its offset has to stay the one that the others write at.
 */
static int open_standard(int standard)
{
	char path[32];
	int  fd = -1;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", standard);
	if (kind_of(standard) == SINK_STREAM)
		fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	return fd >= 0 ? fd : fcntl(standard, F_DUPFD_CLOEXEC, 3);
}

static int open_name(const char *name, char why[256])
{
	int standard = standard_fd(name);
	int fd = standard >= 0
	                 ? open_standard(standard)
	                 : open(name,
	                        O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
	                        0640);

	if (fd < 0) {
		int error = errno;

		/* A FIFO that nobody reads: opening it would otherwise wait for ever. */
		snprintf(why, 256, "cannot open log %.180s: %s", name,
		         error == ENXIO ? "nobody reads it" : strerrordesc_np(error));
	}
	return fd;
}

/* True: nobody but root could have put another file, or a link to one, where *path* leads. */
static bool is_folder_of_root(const char *path)
{
	char        folder[PATH_MAX];
	struct stat status;
	const char *slash = strrchr(path, '/');
	size_t      len = slash ? (size_t)(slash - path) + 1 : 0;

	if (len >= sizeof(folder))
		return false;
	memcpy(folder, path, len);
	strcpy(folder + len, ".");
	return stat(folder, &status) == 0 && status.st_uid == 0 && (status.st_mode & 022) == 0;
}

/*
 * Gives a file of root's to the user that will have to open it again after a rotation. Never one
 * that somebody else may have put there: a link to a file of the system's would be a gift.
 */
static void give_to_owner(const struct logger_sink *sink, const struct privs *owner)
{
	struct stat at_path, status;

	if (!owner || !owner->wanted || geteuid() != 0 || sink->kind != SINK_FILE ||
	    standard_fd(sink->name) >= 0)
		return;
	if (lstat(sink->name, &at_path) < 0 || fstat(sink->fd, &status) < 0 ||
	    !S_ISREG(at_path.st_mode) || at_path.st_ino != status.st_ino ||
	    at_path.st_dev != status.st_dev)
		return;
	if (status.st_uid != 0 || status.st_nlink != 1 || !is_folder_of_root(sink->name))
		return;
	(void)!fchown(sink->fd, owner->uid, owner->gid);
}

/* Tries at once, so that one that is not there is told from the start. */
static void open_syslog(struct logger_sink *sink, enum conf_log_target target,
                        const struct addr *to, const char *path)
{
	bool is_local = target == CONF_LOG_TO_SYSLOG;

	sink->kind = is_local ? SINK_SYSLOG : SINK_SYSLOG_UDP;
	syslog_init(&sink->syslog, is_local ? (path ? path : syslog_path) : NULL, to);
	sink->fd = syslog_open(&sink->syslog);
	if (sink->fd < 0)
		sink->failure = -sink->fd;
}

bool logger_sink_open(struct logger_sink *sink, const char *name, const struct logger_sink_how *how,
                      char why[256])
{
	struct addr          to = {0};
	enum conf_log_target target = conf_log_target(name, &to);

	*sink = (struct logger_sink){.fd = -1, .dropped_total = how->dropped_total};
	sink->name = strdup(name);
	sink->buffer = malloc(LOGGER_SINK_BUFFER);
	if (!sink->name || !sink->buffer) {
		snprintf(why, 256, "no memory for log %.180s", name);
		logger_sink_close(sink);
		return false;
	}
	if (target == CONF_LOG_TO_SYSLOG || target == CONF_LOG_TO_UDP) {
		open_syslog(sink, target, &to, how->syslog_path);
		return true;
	}
	sink->fd = open_name(name, why);
	if (sink->fd < 0) {
		logger_sink_close(sink);
		return false;
	}
	sink->kind = kind_of(sink->fd);
	give_to_owner(sink, how->owner);
	return true;
}

static uint64_t count_lines(const char *at, size_t len)
{
	const char *end = at + len;
	uint64_t    lines = 0;

	for (; at < end && (at = memchr(at, '\n', (size_t)(end - at))) != NULL; at++)
		lines++;
	return lines;
}

void logger_sink_close(struct logger_sink *sink)
{
	if (sink->len > 0)
		count_dropped(sink, count_lines(sink->buffer, sink->len));
	if (sink->fd >= 0)
		close(sink->fd);
	free(sink->buffer);
	free(sink->name);
	*sink = (struct logger_sink){.fd = -1};
}

bool logger_sink_is_syslog(const struct logger_sink *sink)
{
	return sink->kind == SINK_SYSLOG || sink->kind == SINK_SYSLOG_UDP;
}

static void disconnect(struct logger_sink *sink)
{
	if (sink->fd >= 0)
		close(sink->fd);
	sink->fd = -1;
}

bool logger_sink_reopen(struct logger_sink *sink, char why[256])
{
	int fd;

	if (standard_fd(sink->name) >= 0)
		return true;
	if (logger_sink_is_syslog(sink)) {
		disconnect(sink);
		sink->retry_ms = 0;
		return true;
	}
	fd = open_name(sink->name, why);
	if (fd < 0)
		return false;
	close(sink->fd);
	sink->fd = fd;
	sink->kind = kind_of(fd);
	sink->retry_ms = 0;
	return true;
}

static bool is_full_for_now(int error)
{
	return error == EAGAIN || error == EINTR || error == ENOBUFS || error == ENOMEM;
}

/* One line, as a datagram without its newline. What was taken, or -errno: then the line is still to
 * be sent. */
static ssize_t send_line(struct logger_sink *sink, const char *bytes, size_t len)
{
	const char *end = memchr(bytes, '\n', len);
	size_t      line = end ? (size_t)(end - bytes) : len;
	int         error;

	if (sink->fd < 0)
		sink->fd = syslog_open(&sink->syslog);
	if (sink->fd < 0)
		return sink->fd;
	if (send(sink->fd, bytes, line, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return (ssize_t)min_size(line + 1, len);
	error = errno;
	if (error == EMSGSIZE) {
		count_dropped(sink, 1); /* it will never go */
		return (ssize_t)min_size(line + 1, len);
	}
	if (error == ECONNREFUSED && sink->kind == SINK_SYSLOG_UDP) {
		count_dropped(sink, 1); /* one that seemed sent was not */
		sink->refused_ms = clock_ms();
	}
	if (!is_full_for_now(error))
		disconnect(sink);
	return -error;
}

/* What one write to a pipe may take: it polls writable when there is room for PIPE_BUF bytes, and
 * that many it takes as one piece (pipe(7)). So, of whole lines: others may write to the same pipe,
 * and a line of theirs must not come to stand inside one of ours. */
static size_t pipe_piece(const char *bytes, size_t len)
{
	size_t      most = min_size(len, PIPE_BUF);
	const char *newline = memrchr(bytes, '\n', most);

	return newline ? (size_t)(newline - bytes) + 1 : most;
}

/* The outcome of one write(2) that does not wait: bytes or -errno. */
static ssize_t write_once(struct logger_sink *sink, const char *bytes, size_t len)
{
	struct pollfd ready = {.fd = sink->fd, .events = POLLOUT};
	ssize_t       written = 0;

	switch ((enum sink_kind)sink->kind) {
	case SINK_FILE:
		written = write(sink->fd, bytes, len);
		break;
	case SINK_SOCKET:
		written = send(sink->fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		break;
	case SINK_STREAM:
		if (poll(&ready, 1, 0) <= 0)
			return -EAGAIN;
		written = write(sink->fd, bytes, pipe_piece(bytes, len));
		break;
	case SINK_SYSLOG:
	case SINK_SYSLOG_UDP:
		return send_line(sink, bytes, len);
	}
	return written >= 0 ? written : -errno;
}

static void back_off(struct logger_sink *sink, int error)
{
	uint32_t most = is_full_for_now(error) ? BACKOFF_FULL_MS : BACKOFF_ERROR_MS;

	sink->backoff_ms = min_u32(most, sink->backoff_ms ? sink->backoff_ms * 2 : BACKOFF_MIN_MS);
	sink->retry_ms = clock_ms() + sink->backoff_ms;
	if (!is_full_for_now(error))
		sink->failure = error;
}

static void note_success(struct logger_sink *sink)
{
	if (sink->refused_ms && clock_ms() - sink->refused_ms < UDP_TRUST_MS)
		return;
	sink->refused_ms = 0;
	sink->backoff_ms = 0;
	sink->failure = 0;
}

/* Writes until all is written or one write is refused. */
static void write_now(struct logger_sink *sink)
{
	size_t done = 0;

	while (done < sink->len) {
		ssize_t written = write_once(sink, sink->buffer + done, sink->len - done);

		if (written == -EINTR)
			continue;
		if (written <= 0) {
			back_off(sink, written ? (int)-written : EIO);
			break;
		}
		done += (size_t)written;
		note_success(sink);
	}
	if (done == sink->len)
		sink->retry_ms = 0;
	sink->len -= done;
	memmove(sink->buffer, sink->buffer + done, sink->len);
}

void logger_sink_write(struct logger_sink *sink)
{
	if (sink->len > 0 && (sink->retry_ms == 0 || clock_ms() >= sink->retry_ms))
		write_now(sink);
}

static bool has_room(const struct logger_sink *sink)
{
	return LOGGER_SINK_BUFFER - sink->len >= LOGGER_SINK_LINE_MAX;
}

/* Waits for the reader as long as patience lasts. */
static void wait_for_room(struct logger_sink *sink)
{
	uint64_t now = clock_ms();

	if (now - sink->patience_ms >= PATIENCE_WINDOW_MS) {
		sink->patience_ms = now;
		sink->waited_ms = 0;
	}
	while (!has_room(sink) && sink->failure == 0 && sink->waited_ms < PATIENCE_MS) {
		struct pollfd ready = {.fd = sink->fd, .events = POLLOUT};
		uint64_t      start = clock_ms();
		size_t        before = sink->len;
		int           polled = poll(&ready, 1, (int)(PATIENCE_MS - sink->waited_ms));

		sink->waited_ms += (uint32_t)(clock_ms() - start);
		if (polled <= 0)
			break;
		write_now(sink);
		if (sink->len == before)
			break; /* said to be ready, and is not: no spinning on that */
	}
}

char *logger_sink_room(struct logger_sink *sink)
{
	if (!has_room(sink))
		logger_sink_write(sink);
	if (!has_room(sink))
		wait_for_room(sink);
	if (has_room(sink))
		return sink->buffer + sink->len;
	count_dropped(sink, 1);
	return NULL;
}

size_t logger_sink_begin(const struct logger_sink *sink, enum log_level level, const char *kind,
                         uint64_t real_ms, char *line)
{
	return logger_sink_is_syslog(sink)
	               ? syslog_header(&sink->syslog, level, kind, real_ms, line)
	               : 0;
}

void logger_sink_add(struct logger_sink *sink, size_t len)
{
	CHECK(len <= LOGGER_SINK_BUFFER - sink->len);
	sink->len += len;
}
