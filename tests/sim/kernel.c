#include "sim/kernel.h"

#include "base/hash.h"
#include "io/bufring.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct kernel kernel;

/* ------------------------------------------------------------------ chance */

static uint64_t next_random(void)
{
	kernel.random += 0x9e3779b97f4a7c15u;
	return hash_mix(kernel.random);
}

uint32_t kernel_draw(uint32_t n)
{
	if (kernel.is_obedient)
		return n - 1;
	return (uint32_t)((next_random() >> 32) * n >> 32);
}

bool kernel_chance(uint32_t n)
{
	return !kernel.is_obedient && kernel_draw(n) == 0;
}

uint32_t kernel_some(uint32_t n)
{
	if (n <= 1 || kernel.is_obedient || kernel_draw(4) > 0)
		return n;
	return 1 + kernel_draw(n);
}

bool kernel_fault(void)
{
	return kernel.fault_rate > 0 && kernel_chance(kernel.fault_rate);
}

void kernel_reset(uint64_t seed, bool is_obedient)
{
	bool is_verbose = kernel.is_verbose;

	memset(kernel.fds, 0, sizeof(kernel.fds[0]) * (size_t)kernel.fd_count);
	memset(kernel.socks, 0, sizeof(kernel.socks[0]) * kernel.sock_count);
	memset(kernel.buffer_state, 0, sizeof(kernel.buffer_state));
	kernel.fd_count = kernel.open_fds = 0;
	kernel.doomed_count = 0;
	kernel.sock_count = kernel.pipe_count = kernel.wire_count = 0;
	kernel.request_count = kernel.queue_len = kernel.completion_count = kernel.batch_len = 0;
	kernel.spare_count = 0;
	for (uint32_t i = 0; i < REQUESTS_MAX; i++)
		kernel.spare[kernel.spare_count++] = &kernel.pool[i];
	kernel.now_ms = 1000000;
	kernel.look_us = kernel.looks_us = 0;
	kernel.random = seed;
	kernel.is_obedient = is_obedient;
	kernel.is_verbose = is_verbose;
	kernel.is_idle = kernel.heeds_no_cancel = kernel.is_old = false;
	kernel.has_cookies = kernel.denies_fastopen = false;
	kernel.held_kinds = kernel.fault_rate = 0;
	kernel.moves = kernel.turns = 0;
	kernel.spins = 0;
	kernel.looks = kernel.gathers = 0;
	kernel.act = NULL;
	kernel.next_ms = NULL;
	kernel.quiet = NULL;
	kernel.dial = NULL;
	kernel.syn = NULL;
	kernel.refuses = NULL;
	kernel.backlog = NULL;
	kernel.send_cap = kernel.recv_cap = kernel.window = 4096;
}

void trace(const char *format, ...)
{
	va_list args;

	if (!kernel.is_verbose)
		return;
	printf("%8llu  ", (unsigned long long)kernel.now_ms);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

/* ------------------------------------------------------------------ fds */

struct sock *kernel_sock_new(void)
{
	struct sock *sock;

	if (kernel.sock_count == SOCKS_MAX)
		fail("the simulation has no room for another socket");
	sock = &kernel.socks[kernel.sock_count++];
	*sock = (struct sock){
		.fd = -1,
		.send_cap = kernel.send_cap,
		.recv_cap = kernel.recv_cap,
		.window = kernel.window,
		.begun_ms = kernel.now_ms,
		.moved_ms = kernel.now_ms,
	};
	return sock;
}

int kernel_fd_new(struct sock *sock, struct contents *pipe)
{
	int index = kernel.fd_count++;

	if (index == FDS_MAX)
		fail("the simulation has no room for another fd");
	kernel.fds[index].sock = sock;
	kernel.fds[index].pipe = pipe;
	kernel.fds[index].is_open = true;
	kernel.open_fds++;
	if (sock) {
		sock->fd = index + FD_FIRST;
		sock->is_open = true;
	}
	return index + FD_FIRST;
}

int kernel_listener_new(void)
{
	int fd = kernel_fd_new(NULL, NULL);

	kernel.fds[fd - FD_FIRST].is_listener = true;
	return fd;
}

int kernel_fd_index(int fd)
{
	int index = fd - FD_FIRST;

	if (index < 0 || index >= kernel.fd_count)
		fail("fd %d was never opened", fd);
	if (!kernel.fds[index].is_open || kernel.fds[index].is_doomed)
		fail("fd %d is used after it was closed", fd);
	return index;
}

struct sock *kernel_sock(int fd)
{
	struct sock *sock = kernel.fds[kernel_fd_index(fd)].sock;

	if (!sock)
		fail("fd %d is no socket", fd);
	return sock;
}

struct contents *kernel_pipe(int fd)
{
	struct contents *pipe = kernel.fds[kernel_fd_index(fd)].pipe;

	if (!pipe)
		fail("fd %d is no pipe", fd);
	return pipe;
}

void kernel_fd_close(int fd)
{
	int index = kernel_fd_index(fd);

	if (kernel.fds[index].ops > 0)
		fail("fd %d is closed under %u operations in flight", fd, kernel.fds[index].ops);
	kernel.fds[index].is_open = false;
	kernel.open_fds--;
}

void kernel_fd_doom(int fd)
{
	kernel_expect_quiet(kernel_sock(fd)->fd);
	kernel.fds[fd - FD_FIRST].is_doomed = true;
	kernel.doomed[kernel.doomed_count++] = fd;
}

void kernel_close_doomed(void)
{
	for (uint32_t i = 0; i < kernel.doomed_count; i++) {
		kernel.fds[kernel.doomed[i] - FD_FIRST].is_doomed = false;
		sock_shut(kernel_sock(kernel.doomed[i]), false);
	}
	kernel.doomed_count = 0;
}
