#include "process/ctl.h"

#include "conf/conf.h"
#include "proto/ctlwire.h"
#include "site/resolve.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FAILED = -1, CHUNK = 64 << 10 };

static int PRINTF(1, 2) fail(const char *format, ...)
{
	va_list arguments;

	fputs("penstock: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	return FAILED;
}

/* ---- where it listens ---- */

/* By the configuration, which may have errors by now: the program runs on an older one. */
static bool find_in_file(const char *file, char path[PATH_MAX])
{
	struct conf_report *report = conf_report_new();
	struct conf        *conf = report ? conf_read(file, report) : NULL;
	const char         *found = conf ? conf->global.admin_socket : NULL;

	if (found)
		snprintf(path, PATH_MAX, "%s", found);
	else
		(void)fail("%s sets no admin_socket in [global]; -s SOCKET names one", file);
	conf_free(conf);
	if (report)
		conf_report_free(report);
	return found != NULL;
}

static bool find_socket(const struct options *options, char path[PATH_MAX])
{
	if (options->socket) {
		snprintf(path, PATH_MAX, "%s", options->socket);
		return true;
	}
	if (access(options->file, R_OK) < 0) {
		(void)fail("%s: %s; -c FILE names the configuration, -s SOCKET the socket",
		           options->file, strerror(errno));
		return false;
	}
	return find_in_file(options->file, path);
}

static int explain_failure(const char *path, int error)
{
	switch (error) {
	case ENOENT:
		return fail("%s: there is no such socket; is penstock running, with this "
		            "admin_socket?",
		            path);
	case ECONNREFUSED:
		return fail("%s: nobody listens there; penstock does not run", path);
	case EACCES:
		return fail("%s: permission denied; only root and the user of penstock may speak "
		            "to it",
		            path);
	default:
		return fail("%s: %s", path, strerror(error));
	}
}

/* The connection, or FAILED (told). */
static int dial(const char *path)
{
	struct endpoint at;
	int             fd;

	if (!endpoint_from_path(path, &at))
		return fail("%s: not a path that a socket can have", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fail("cannot make a socket: %s", strerror(errno));
	if (connect(fd, &at.any, at.len) == 0)
		return fd;
	(void)explain_failure(path, errno);
	close(fd);
	return FAILED;
}

/* ---- what it is asked ---- */

static bool send_request(int fd, const struct options *options)
{
	static uint8_t bytes[CTLWIRE_REQUEST_MAX];
	size_t         len = ctlwire_write_request(options->words, options->word_count, bytes,
	                                           sizeof(bytes));
	size_t         at = 0;

	if (len == 0) {
		(void)fail("the command has more than %d words or is longer than %d bytes",
		           CTLWIRE_WORDS_MAX, CTLWIRE_REQUEST_MAX);
		return false;
	}
	while (at < len) {
		ssize_t sent = send(fd, bytes + at, len - at, MSG_NOSIGNAL);

		/* Turned away: why stands in the reply. */
		if (sent < 0 && errno != EINTR)
			break;
		at += sent > 0 ? (size_t)sent : 0;
	}
	return true;
}

/* ---- what it answers ---- */

/*
 * Frames as they came. They are read as fast as they come and written as fast as whoever reads us
 * takes them: the program lets a client go that takes nothing for 10 s, and somebody who reads a
 * long table through a pager is not to feel that.
 */
struct reply {
	int      fd;
	uint8_t *bytes;
	size_t   at, len, size; /* frames from *at* on are not yet written */
	size_t   shown;         /* bytes of the payload at *at* that are */
	bool     is_over;       /* no more will come */
};

static bool read_more(struct reply *reply)
{
	ssize_t got;

	if (reply->at > 0 && reply->len == reply->size) {
		memmove(reply->bytes, reply->bytes + reply->at, reply->len - reply->at);
		reply->len -= reply->at;
		reply->at = 0;
	}
	if (reply->size - reply->len < CHUNK) {
		size_t   size = reply->size ? 2 * reply->size : 4 * CHUNK;
		uint8_t *bytes = realloc(reply->bytes, size);

		if (!bytes)
			return false;
		reply->bytes = bytes;
		reply->size = size;
	}
	got = recv(reply->fd, reply->bytes + reply->len, reply->size - reply->len, 0);
	if (got < 0 && errno == EINTR)
		return true;
	if (got <= 0)
		reply->is_over = true;
	else
		reply->len += (size_t)got;
	return true;
}

/* As much as is taken without waiting: PIPE_BUF is what a pipe that polls writable has room for. */
static bool write_some(struct reply *reply, const struct ctlwire_frame *frame, int to)
{
	size_t  left = frame->payload.len - reply->shown;
	ssize_t written = left ? write(to, frame->payload.data + reply->shown,
	                               min_size(left, PIPE_BUF))
	                       : 0;

	if (written < 0 && errno != EINTR && errno != EAGAIN) {
		(void)fail("cannot write: %s", strerror(errno));
		return false;
	}
	reply->shown += written > 0 ? (size_t)written : 0;
	if (reply->shown == frame->payload.len) {
		reply->at += frame->len;
		reply->shown = 0;
	}
	return true;
}

/* Reads, or writes the frame (NULL: there is none) to *to*, whichever can be done. */
static bool step(struct reply *reply, const struct ctlwire_frame *frame, int to)
{
	struct pollfd fds[] = {
		{.fd = reply->is_over ? -1 : reply->fd, .events = POLLIN},
		{.fd = frame ? to : -1, .events = POLLOUT},
	};

	if (poll(fds, COUNT(fds), -1) < 0)
		return errno == EINTR;
	/* Writes first: reading may move what *frame* points into. */
	if (fds[1].revents != 0)
		return write_some(reply, frame, to);
	if (fds[0].revents != 0 && !read_more(reply)) {
		(void)fail("no memory");
		return false;
	}
	return true;
}

/* Shows it all; the exit code, or FAILED (told). */
static int show_reply(struct reply *reply)
{
	for (;;) {
		struct ctlwire_frame        frame;
		const struct ctlwire_frame *whole = NULL;
		struct span rest = span_of(reply->bytes + reply->at, reply->len - reply->at);

		switch (ctlwire_parse_frame(rest, &frame)) {
		case CTLWIRE_OK:
			if (frame.type == CTLWIRE_EXIT)
				return frame.payload.data[0];
			whole = &frame;
			break;
		case CTLWIRE_MORE:
			if (reply->is_over)
				return fail("the connection ended before the answer did");
			break;
		case CTLWIRE_BAD:
		case CTLWIRE_OTHER:
			return fail("whoever listens there is not penstock");
		}
		if (!step(reply, whole,
		          whole && frame.type == CTLWIRE_ERR ? STDERR_FILENO : STDOUT_FILENO))
			return FAILED;
	}
}

int ctl_run(const struct options *options)
{
	char         path[PATH_MAX];
	struct reply reply = {.fd = -1};
	int          code = FAILED;

	if (find_socket(options, path))
		reply.fd = dial(path);
	if (reply.fd >= 0 && send_request(reply.fd, options))
		code = show_reply(&reply);
	if (reply.fd >= 0)
		close(reply.fd);
	free(reply.bytes);
	return code == FAILED ? 1 : code;
}
