#include "io/bufring.h"

#include "io/mapped.h"
#include "io/ring.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { GROUP = 0 };

static void lend(struct bufring *buffers)
{
	uint32_t count = lending_lend(&buffers->lending, buffers->free_count);

	for (uint32_t i = 0; i < count; i++) {
		uint16_t index = buffers->free[--buffers->free_count];

		io_uring_buf_ring_add(
			buffers->shared, buffers->memory + (size_t)index * buffers->size,
			buffers->size, index, io_uring_buf_ring_mask(buffers->count), (int)i);
	}
	if (count > 0)
		io_uring_buf_ring_advance(buffers->shared, (int)count);
}

int bufring_init(struct bufring *buffers, struct ring *ring, uint32_t count, uint32_t size)
{
	size_t bytes = (size_t)count * size;
	int    result;

	buffers->free = malloc(count * sizeof(*buffers->free));
	if (!buffers->free)
		return -ENOMEM;
	buffers->memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
	                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (buffers->memory == MAP_FAILED) {
		result = -errno;
		goto no_memory;
	}
	buffers->shared = io_uring_setup_buf_ring(&ring->uring, count, GROUP, 0, &result);
	if (!buffers->shared)
		goto no_ring;
	MAPPED();
	buffers->ring = ring;
	buffers->count = count;
	buffers->size = size;
	buffers->leased = 0;
	for (buffers->free_count = 0; buffers->free_count < count; buffers->free_count++)
		buffers->free[buffers->free_count] = (uint16_t)(count - 1 - buffers->free_count);
	lending_init(&buffers->lending, count);
	lend(buffers);
	return 0;
no_ring:
	munmap(buffers->memory, bytes);
no_memory:
	free(buffers->free);
	return result;
}

void bufring_fini(struct bufring *buffers)
{
	UNMAPPING();
	io_uring_free_buf_ring(&buffers->ring->uring, buffers->shared, buffers->count, GROUP);
	munmap(buffers->memory, (size_t)buffers->count * buffers->size);
	free(buffers->free);
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
	lending_take(&buffers->lending);
	return (uint16_t)(cqe_flags >> IORING_CQE_BUFFER_SHIFT);
}

uint8_t *bufring_data(const struct bufring *buffers, uint16_t lease)
{
	CHECK(lease < buffers->count);
	return buffers->memory + (size_t)lease * buffers->size;
}

void bufring_give_back(struct bufring *buffers, uint16_t lease)
{
	CHECK(buffers->leased > 0 && lease < buffers->count);
	buffers->leased--;
	buffers->free[buffers->free_count++] = lease;
}

void bufring_lend(struct bufring *buffers, bool starved)
{
	if (starved)
		lending_grow(&buffers->lending);
	else
		lending_turn(&buffers->lending);
	lend(buffers);
}

bool bufring_is_exhausted(const struct bufring *buffers)
{
	return buffers->free_count == 0;
}
