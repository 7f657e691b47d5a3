#include "io/bufring.h"

#include "io/mapped.h"
#include "io/ring.h"

#include <errno.h>
#include <sys/mman.h>

enum { GROUP = 0 };

int bufring_init(struct bufring *buffers, struct ring *ring, uint32_t count, uint32_t size)
{
	size_t bytes = (size_t)count * size;
	int    result;

	buffers->memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
	                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (buffers->memory == MAP_FAILED)
		return -errno;
	buffers->shared = io_uring_setup_buf_ring(&ring->uring, count, GROUP, 0, &result);
	if (!buffers->shared) {
		munmap(buffers->memory, bytes);
		return result;
	}
	MAPPED();
	buffers->ring = ring;
	buffers->count = count;
	buffers->size = size;
	buffers->leased = 0;
	for (uint32_t i = 0; i < count; i++)
		io_uring_buf_ring_add(buffers->shared, buffers->memory + (size_t)i * size, size,
		                      (uint16_t)i, io_uring_buf_ring_mask(count), (int)i);
	io_uring_buf_ring_advance(buffers->shared, (int)count);
	return 0;
}

void bufring_fini(struct bufring *buffers)
{
	UNMAPPING();
	io_uring_free_buf_ring(&buffers->ring->uring, buffers->shared, buffers->count, GROUP);
	munmap(buffers->memory, (size_t)buffers->count * buffers->size);
}

uint16_t bufring_group(const struct bufring *buffers)
{
	(void)buffers;
	return GROUP;
}

uint16_t bufring_lease(struct bufring *buffers, unsigned cqe_flags)
{
	if (!(cqe_flags & IORING_CQE_F_BUFFER))
		return BUFRING_NONE;
	CHECK(buffers->leased < buffers->count);
	buffers->leased++;
	return (uint16_t)(cqe_flags >> IORING_CQE_BUFFER_SHIFT);
}

uint8_t *bufring_data(const struct bufring *buffers, uint16_t lease)
{
	CHECK(lease < buffers->count);
	return buffers->memory + (size_t)lease * buffers->size;
}

void bufring_give_back(struct bufring *buffers, uint16_t lease)
{
	CHECK(buffers->leased > 0);
	buffers->leased--;
	io_uring_buf_ring_add(buffers->shared, bufring_data(buffers, lease), buffers->size, lease,
	                      io_uring_buf_ring_mask(buffers->count), 0);
	io_uring_buf_ring_advance(buffers->shared, 1);
}
