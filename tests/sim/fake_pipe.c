#include "io/pipe.h"
#include "sim/kernel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool pipe_open(struct pipe *pipe, uint32_t size)
{
	struct contents *contents;

	if (kernel.pipe_count == SOCKS_MAX)
		return false;
	contents = &kernel.pipes[kernel.pipe_count++];
	*contents = (struct contents){.cap = size, .is_open = true};

	pipe->read_fd = contents->read_fd = kernel_fd_new(NULL, contents);
	pipe->write_fd = contents->write_fd = kernel_fd_new(NULL, contents);
	return true;
}

static void pipe_close(const struct pipe *pipe)
{
	kernel_fd_close(pipe->read_fd);
	kernel_fd_close(pipe->write_fd);
}

int pipe_pool_init(struct pipe_pool *pool, uint32_t count, uint32_t size)
{
	*pool = (struct pipe_pool){.size = size};
	pool->pipes = calloc(count + 1, sizeof(*pool->pipes));
	if (!pool->pipes)
		return -ENOMEM;
	for (uint32_t i = 0; i < count && pipe_open(&pool->pipes[i], size); i++) {
		pool->pipes[i].next = pool->idle;
		pool->idle = &pool->pipes[i];
		pool->count++;
	}
	return 0;
}

void pipe_pool_fini(struct pipe_pool *pool)
{
	if (pool->used > 0)
		fail("%u pipes never came back", pool->used);
	for (struct pipe *pipe = pool->idle; pipe; pipe = pipe->next)
		pipe_close(pipe);
	free(pool->pipes);
}

struct pipe *pipe_get(struct pipe_pool *pool)
{
	struct pipe *pipe = pool->idle;

	if (!pipe)
		return NULL;
	if (kernel_pipe(pipe->read_fd)->len > 0)
		fail("a pipe is taken that holds another session's bytes");
	pool->idle = pipe->next;
	pool->used++;
	return pipe;
}

void pipe_put(struct pipe_pool *pool, struct pipe *pipe, bool dirty)
{
	if (pool->used == 0)
		fail("a pipe is put back that was not taken");
	kernel_expect_quiet(pipe->read_fd);
	kernel_expect_quiet(pipe->write_fd);
	if (!dirty && kernel_pipe(pipe->read_fd)->len > 0)
		fail("a pipe is put back as clean with %u bytes in it",
		     kernel_pipe(pipe->read_fd)->len);
	pool->used--;
	if (dirty) {
		pipe_close(pipe);
		if (kernel_fault() || !pipe_open(pipe, pool->size)) {
			pool->count--;
			return;
		}
	}
	pipe->next = pool->idle;
	pool->idle = pipe;
}

static ssize_t noticed(int fd, ssize_t n)
{
	if (n > 0)
		sock_noticed(kernel_sock(fd));
	return n;
}

ssize_t pipe_fill(struct pipe *pipe, int fd)
{
	return noticed(fd, kernel_fill(kernel_pipe(pipe->write_fd), fd, PIPE_FILL_MAX));
}

void pipe_read(struct pipe *pipe, uint8_t *data, uint32_t len)
{
	struct contents *contents = kernel_pipe(pipe->read_fd);

	kernel_expect_quiet(pipe->read_fd);
	if (contents->len != len)
		fail("%u bytes are read of a pipe that holds %u", len, contents->len);
	stream_bytes(&contents->from->stream, contents->offset, data, len);
	contents->len = 0;
}

ssize_t pipe_drain(struct pipe *pipe, int fd, uint32_t len)
{
	return noticed(fd, kernel_drain(kernel_pipe(pipe->read_fd), fd, len));
}
