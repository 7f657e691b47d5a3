/*
 * admin_client: an admin server on a socket of its own, its reactor turned by hand, and clients of
 * it.
 */
#ifndef TESTS_UNIT_ADMIN_CLIENT_H
#define TESTS_UNIT_ADMIN_CLIENT_H

#include "process/admin.h"

#include "base/clock.h"
#include "proto/ctlwire.h"

#include "test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { LIMIT_MS = 20000 };

static struct reactor reactor;
static struct admin   admin;
static char           folder[64], path[96];

static inline void open_admin(void (*start)(struct admin_request *request), void *context)
{
	const char *step = "";

	strcpy(folder, P_tmpdir "/penstock-admin-XXXXXX");
	EXPECT(mkdtemp(folder) != NULL);
	snprintf(path, sizeof(path), "%s/ctl", folder);
	EXPECT_EQ(reactor_init(&reactor), 0);
	EXPECT_EQ(admin_open(&admin, &reactor, path, geteuid(), start, context, &step), 0);
}

static inline void close_admin(void)
{
	admin_close(&admin);
	reactor_fini(&reactor);
	EXPECT(access(path, F_OK) < 0);
	EXPECT_EQ(rmdir(folder), 0);
}

static inline void turn(int count)
{
	while (count-- > 0)
		reactor_turn(&reactor, 0);
}

static inline int dial(void)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int                fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(at.sun_path, path);
	EXPECT_EQ(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

/* *line* is split at spaces. */
static inline size_t request_of(const char *line, uint8_t out[256])
{
	const char *words[CTLWIRE_WORDS_MAX];
	char        copy[256], *word, *rest = copy;
	size_t      count = 0;

	snprintf(copy, sizeof(copy), "%s", line);
	while ((word = strsep(&rest, " ")))
		words[count++] = word;
	return ctlwire_write_request(words, count, out, 256);
}

static inline int ask(const char *line)
{
	uint8_t bytes[256];
	size_t  len = request_of(line, bytes);
	int     fd = dial();

	EXPECT_EQ(write(fd, bytes, len), (ssize_t)len);
	return fd;
}

struct reply {
	char   out[4 << 20], err[4096];
	size_t out_len, err_len;
	int    code;     /* -1: there was none */
	bool   is_ended; /* by the server */
};

static struct reply reply;

static inline void take_frame(const struct ctlwire_frame *frame)
{
	EXPECT_EQ(reply.code, -1); /* nothing comes behind the exit code */
	switch (frame->type) {
	case CTLWIRE_OUT:
		memcpy(reply.out + reply.out_len, frame->payload.data, frame->payload.len);
		reply.out_len += frame->payload.len;
		return;
	case CTLWIRE_ERR:
		memcpy(reply.err + reply.err_len, frame->payload.data, frame->payload.len);
		reply.err_len += frame->payload.len;
		return;
	case CTLWIRE_EXIT:
		reply.code = frame->payload.data[0];
		return;
	}
}

/* Turns the reactor until the server has closed. */
static inline void read_reply(int fd)
{
	static uint8_t bytes[4 << 20];
	size_t         len = 0, at = 0;
	uint64_t       give_up_ms = clock_ms() + LIMIT_MS;

	reply.out_len = reply.err_len = 0;
	reply.code = -1;
	reply.is_ended = false;
	while (!reply.is_ended && clock_ms() < give_up_ms) {
		struct ctlwire_frame frame;
		ssize_t              got;

		turn(1);
		got = recv(fd, bytes + len, sizeof(bytes) - len, MSG_DONTWAIT);
		reply.is_ended = got == 0 || (got < 0 && errno != EAGAIN);
		len += got > 0 ? (size_t)got : 0;
		while (ctlwire_parse_frame(span_of(bytes + at, len - at), &frame) == CTLWIRE_OK) {
			take_frame(&frame);
			at += frame.len;
		}
	}
	EXPECT_EQ(at, len);
	reply.out[reply.out_len] = reply.err[reply.err_len] = '\0';
	close(fd);
}

#endif
