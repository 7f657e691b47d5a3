#include "io/pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* The pipe's real size, or -errno. */
static int pipe_open(struct pipe *pipe, uint32_t size)
{
	int fds[2], got;

	if (pipe2(fds, O_NONBLOCK | O_CLOEXEC) < 0)
		return -errno;
	/* EPERM past the user's budget: keep what the kernel gave, if that is enough. */
	(void)fcntl(fds[1], F_SETPIPE_SZ, (int)size);
	got = fcntl(fds[1], F_GETPIPE_SZ);
	if (got < PIPE_SIZE_MIN) {
		close(fds[0]);
		close(fds[1]);
		return -EPERM;
	}
	pipe->read_fd = fds[0];
	pipe->write_fd = fds[1];
	return got;
}

int pipe_pool_init(struct pipe_pool *pool, uint32_t count, uint32_t size)
{
	*pool = (struct pipe_pool){.size = size};
	pool->pipes = calloc(count ? count : 1, sizeof(*pool->pipes));
	if (!pool->pipes)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++) {
		int got = pipe_open(&pool->pipes[i], size);

		if (got < 0)
			break;
		pool->size = min_u32(pool->size, (uint32_t)got);
		pool->pipes[i].next = pool->idle;
		pool->idle = &pool->pipes[i];
		pool->count++;
	}
	return 0;
}

void pipe_pool_fini(struct pipe_pool *pool)
{
	CHECK(pool->used == 0);
	for (struct pipe *pipe = pool->idle; pipe; pipe = pipe->next) {
		close(pipe->read_fd);
		close(pipe->write_fd);
	}
	free(pool->pipes);
}

struct pipe *pipe_get(struct pipe_pool *pool)
{
	struct pipe *pipe = pool->idle;

	if (!pipe)
		return NULL;
	pool->idle = pipe->next;
	pool->used++;
	return pipe;
}

void pipe_put(struct pipe_pool *pool, struct pipe *pipe, bool dirty)
{
	CHECK(pool->used > 0);
	pool->used--;
	if (dirty) {
		close(pipe->read_fd);
		close(pipe->write_fd);
		if (pipe_open(pipe, pool->size) < 0) {
			pool->count--;
			return;
		}
	}
	pipe->next = pool->idle;
	pool->idle = pipe;
}

ssize_t pipe_fill(struct pipe *pipe, int fd)
{
	ssize_t n = splice(fd, NULL, pipe->write_fd, NULL, PIPE_FILL_MAX,
	                   SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

	return n < 0 ? -errno : n;
}

void pipe_read(struct pipe *pipe, uint8_t *data, uint32_t len)
{
	while (len > 0) {
		ssize_t n = read(pipe->read_fd, data, len);

		CHECK(n > 0 || (n < 0 && errno == EINTR));
		if (n < 0)
			continue;
		data += n;
		len -= (uint32_t)n;
	}
}

ssize_t pipe_drain(struct pipe *pipe, int fd, uint32_t len)
{
	/* Never SPLICE_F_MORE: it corks the last piece for 200 ms although TCP_NODELAY is set. */
	ssize_t n = splice(pipe->read_fd, NULL, fd, NULL, len, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

	return n < 0 ? -errno : n;
}
