#include "io/ring.h"

#include "base/clock.h"
#include "io/bufring.h"
#include "io/mapped.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	GATHER_MANY = 256,
	GATHER_LIMIT_MS = 3600 * 1000,
};

/* Receives until *limit* bytes have come; where sqe->optlen is not known yet it is called file_index,
 * and a receive that names one is refused. */
static void prepare_recv_many(struct io_uring_sqe *sqe, int fd, unsigned group, uint32_t limit)
{
	io_uring_prep_recv_multishot(sqe, fd, NULL, 0, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = (uint16_t)group;
	sqe->file_index = limit;
}

/* One that names no file is refused for that, or for its limit. 0 or -errno. */
static int learn_recv_many(struct ring *ring)
{
	struct io_uring_cqe *cqe;
	int                  result;

	prepare_recv_many(io_uring_get_sqe(&ring->uring), -1, 0, 1);
	result = io_uring_submit_and_wait(&ring->uring, 1);
	if (result >= 0)
		result = io_uring_wait_cqe(&ring->uring, &cqe);
	if (result < 0)
		return result;
	ring->receives_many = cqe->res == -EBADF;
	io_uring_cqe_seen(&ring->uring, cqe);
	return 0;
}

int ring_init(struct ring *ring, unsigned entries, bool spins)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
	                 IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
		.cq_entries = entries * 4 < 4096 ? 4096 : entries * 4,
	};
	unsigned workers[2] = {RING_IOWQ_WORKERS, RING_IOWQ_WORKERS};
	int      result;

	if (spins)
		params.flags |= IORING_SETUP_TASKRUN_FLAG; /* ring_spin sees work without asking */
	result = io_uring_queue_init_params(entries, &ring->uring, &params);
	if (result < 0)
		return result;
	MAPPED();
	ring->gathers = params.features & IORING_FEAT_MIN_TIMEOUT;
	result = io_uring_register_iowq_max_workers(&ring->uring, workers);
	if (result == 0)
		result = learn_recv_many(ring);
	if (result < 0) {
		ring_fini(ring);
		return result;
	}
	/* Saves the fd look-up of each enter; without it the ring works all the same. */
	(void)io_uring_register_ring_fd(&ring->uring);
#ifdef HAVE_IO_URING_SET_IOWAIT
	/* An idle worker is idle, not waiting for a disk (kernel 6.15). */
	(void)io_uring_set_iowait(&ring->uring, false);
#endif
	return 0;
}

void ring_fini(struct ring *ring)
{
	ring_submit(ring); /* a close that is armed would be lost, and the fd stay open */
	UNMAPPING();
	io_uring_queue_exit(&ring->uring);
}

void op_init(struct op *op, void (*done)(struct op *op, int res, unsigned flags))
{
	op->done = done;
	op->busy = false;
}

/* A full submission queue is submitted, never waited for. */
static struct io_uring_sqe *ring_next(struct ring *ring)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring);

	while (!sqe) {
		int result = io_uring_submit(&ring->uring);

		CHECK(result >= 0 || result == -EBUSY || result == -EAGAIN || result == -EINTR);
		sqe = io_uring_get_sqe(&ring->uring);
	}
	return sqe;
}

static struct io_uring_sqe *ring_arm(struct ring *ring, struct op *op)
{
	CHECK(!op->busy);
	op->busy = true;
	return ring_next(ring);
}

void ring_recv(struct ring *ring, struct op *op, int fd, struct bufring *buffers, uint32_t max)
{
	struct io_uring_sqe *sqe = ring_arm(ring, op);

	io_uring_prep_recv(sqe, fd, NULL, max, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = bufring_group(buffers);
	io_uring_sqe_set_data(sqe, op);
}

void ring_recv_many(struct ring *ring, struct op *op, int fd, struct bufring *buffers,
                    uint32_t limit)
{
	struct io_uring_sqe *sqe = ring_arm(ring, op);

	prepare_recv_many(sqe, fd, bufring_group(buffers), limit);
	io_uring_sqe_set_data(sqe, op);
}

void ring_send(struct ring *ring, struct op *op, int fd, const void *data, uint32_t len, bool wait)
{
	struct io_uring_sqe *sqe = ring_arm(ring, op);

	io_uring_prep_send(sqe, fd, data, len, wait ? MSG_NOSIGNAL : MSG_NOSIGNAL | MSG_DONTWAIT);
	io_uring_sqe_set_data(sqe, op);
}

void ring_open_fast(struct ring *ring, struct op *op, int fd, const struct sockaddr *to,
                    socklen_t to_len, struct span data)
{
	struct io_uring_sqe *sqe = ring_arm(ring, op);

	/* MSG_DONTWAIT: whatever happens is told at once, so that the ring never tries twice. */
	io_uring_prep_send(sqe, fd, data.data, data.len,
	                   MSG_NOSIGNAL | MSG_DONTWAIT | MSG_FASTOPEN);
	io_uring_prep_send_set_addr(sqe, to, (__u16)to_len);
	io_uring_sqe_set_data(sqe, op);
}

void ring_poll(struct ring *ring, struct op *op, int fd, unsigned events)
{
	struct io_uring_sqe *sqe = ring_arm(ring, op);

	io_uring_prep_poll_add(sqe, fd, events);
	io_uring_sqe_set_data(sqe, op);
}

void ring_poll_edges(struct ring *ring, struct op *op, int fd, unsigned events)
{
	struct io_uring_sqe *sqe = ring_arm(ring, op);

	io_uring_prep_poll_multishot(sqe, fd, events);
	io_uring_sqe_set_data(sqe, op);
}

void ring_accept(struct ring *ring, struct op *op, int fd)
{
	struct io_uring_sqe *sqe = ring_arm(ring, op);

	io_uring_prep_multishot_accept(sqe, fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	io_uring_sqe_set_data(sqe, op);
}

void ring_accept_one(struct ring *ring, struct op *op, int fd)
{
	struct io_uring_sqe *sqe = ring_arm(ring, op);

	io_uring_prep_accept(sqe, fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	io_uring_sqe_set_data(sqe, op);
}

void ring_splice(struct ring *ring, struct op *op, int from_fd, int to_fd, uint32_t len)
{
	struct io_uring_sqe *sqe = ring_arm(ring, op);

	io_uring_prep_splice(sqe, from_fd, -1, to_fd, -1, len, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	io_uring_sqe_set_data(sqe, op);
}

void ring_read(struct ring *ring, struct op *op, int fd, void *data, uint32_t len)
{
	struct io_uring_sqe *sqe = ring_arm(ring, op);

	io_uring_prep_read(sqe, fd, data, len, 0);
	io_uring_sqe_set_data(sqe, op);
}

void ring_cancel(struct ring *ring, struct op *op)
{
	struct io_uring_sqe *sqe;

	CHECK(op->busy);
	sqe = ring_next(ring);
	io_uring_prep_cancel(sqe, op, 0);
	sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
	/* No owner: "not found" means that the operation has just landed by itself. */
	io_uring_sqe_set_data(sqe, NULL);
}

void ring_close(struct ring *ring, int fd)
{
	struct io_uring_sqe *sqe;

#ifdef __SANITIZE_THREAD__
	/* ThreadSanitizer sees system calls alone: a number that is another socket's by now would
	 * pass for the old one's. */
	close(fd);
	return;
#endif
	sqe = ring_next(ring);
	io_uring_prep_close(sqe, fd);
	sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
	io_uring_sqe_set_data(sqe, NULL);
}

void ring_submit(struct ring *ring)
{
	(void)io_uring_submit(&ring->uring); /* ring_wait will meet the same error, and judge it */
}

static struct __kernel_timespec time_of_ms(uint64_t ms)
{
	return (struct __kernel_timespec){
		.tv_sec = (long long)(ms / 1000),
		.tv_nsec = (long long)(ms % 1000) * 1000000,
	};
}

/* EBUSY, EAGAIN: the kernel wants completions reaped, or memory back, before it takes more. */
static int outcome_of_wait(int result)
{
	if (result == -ETIME || result == -EINTR || result == -EBUSY || result == -EAGAIN ||
	    result > 0)
		return 0;
	return result;
}

int ring_wait(struct ring *ring, uint64_t timeout_ms)
{
	struct __kernel_timespec limit = time_of_ms(timeout_ms);
	struct io_uring_cqe     *cqe;
	int                      result;

	/* With a completion at hand liburing would not enter to wait, and so not hear of others. */
	if (timeout_ms == 0 || io_uring_cq_ready(&ring->uring) > 0)
		result = io_uring_submit_and_get_events(&ring->uring);
	else if (timeout_ms == UINT64_MAX)
		result = io_uring_submit_and_wait(&ring->uring, 1);
	else
		result = io_uring_submit_and_wait_timeout(&ring->uring, &cqe, 1, &limit, NULL);
	return outcome_of_wait(result);
}

int ring_gather(struct ring *ring, uint64_t timeout_ms, uint32_t us)
{
	struct __kernel_timespec limit;
	struct io_uring_cqe     *cqe;

	if (!ring->gathers || timeout_ms == 0 || io_uring_cq_ready(&ring->uring) > 0)
		return ring_wait(ring, timeout_ms);
	/* Never without a limit: liburing would then wait until there are so many. */
	limit = time_of_ms(timeout_ms < GATHER_LIMIT_MS ? timeout_ms : GATHER_LIMIT_MS);
	return outcome_of_wait(io_uring_submit_and_wait_min_timeout(&ring->uring, &cqe, GATHER_MANY,
	                                                            &limit, us, NULL));
}

/* To the CPU: this is a loop that waits for another one. */
static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

bool ring_spin(struct ring *ring, uint32_t us)
{
	uint64_t             until;
	struct io_uring_cqe *cqe;

	if (io_uring_submit_and_get_events(&ring->uring) < 0)
		return false; /* ring_wait will meet the same error, and judge it */
	until = clock_us() + us;
	/* Enters the kernel only when it has said (IORING_SQ_TASKRUN) that there is work for us. */
	while (io_uring_peek_cqe(&ring->uring, &cqe) < 0) {
		if (clock_us() >= until)
			return false;
		relax();
	}
	return true;
}

unsigned ring_reap(struct ring *ring)
{
	struct io_uring_cqe *cqe;
	unsigned             head, count = 0;

	io_uring_for_each_cqe(&ring->uring, head, cqe)
	{
		struct op *op = io_uring_cqe_get_data(cqe);

		count++;
		if (!op)
			continue;
		if (!(cqe->flags & IORING_CQE_F_MORE))
			op->busy = false;
		op->done(op, cqe->res, cqe->flags);
	}
	io_uring_cq_advance(&ring->uring, count);
	return count;
}

bool ring_has_overflowed(struct ring *ring)
{
	return io_uring_cq_has_overflow(&ring->uring);
}
