#include "io/bufring.h"
#include "sim/kernel.h"

#include <errno.h>
#include <string.h>

static uint8_t area[BUFFERS_AREA];

static uint32_t free_buffers(const struct bufring *buffers)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < buffers->count; i++)
		n += kernel.buffer_state[i] == BUFFER_FREE;
	return n;
}

static void lend(struct bufring *buffers)
{
	uint32_t n = lending_lend(&buffers->lending, free_buffers(buffers));

	for (uint32_t i = 0; n > 0; i++)
		if (kernel.buffer_state[i] == BUFFER_FREE) {
			kernel.buffer_state[i] = BUFFER_KERNEL;
			n--;
		}
}

int bufring_init(struct bufring *buffers, struct ring *ring, uint32_t count, uint32_t size)
{
	if (count > BUFFERS_MAX || (uint64_t)count * size > sizeof(area))
		return -ENOMEM;
	*buffers = (struct bufring){.memory = area, .count = count, .size = size, .ring = ring};
	for (uint32_t i = 0; i < count; i++)
		kernel.buffer_state[i] = BUFFER_FREE;
	lending_init(&buffers->lending, count);
	lend(buffers);
	return 0;
}

void bufring_fini(struct bufring *buffers)
{
	for (uint32_t i = 0; i < buffers->count; i++)
		if (kernel.buffer_state[i] != BUFFER_KERNEL &&
		    kernel.buffer_state[i] != BUFFER_FREE)
			fail("receive buffer %u never came back", i);
}

uint16_t bufring_group(const struct bufring *buffers)
{
	(void)buffers;
	return 0;
}

uint16_t bufring_lease(struct bufring *buffers, unsigned cqe_flags)
{
	uint16_t lease = (uint16_t)(cqe_flags >> IORING_CQE_BUFFER_SHIFT);

	if (!(cqe_flags & IORING_CQE_F_BUFFER))
		return BUFRING_NONE;
	if (kernel.buffer_state[lease] != BUFFER_FILLED)
		fail("receive buffer %u is leased twice", lease);
	kernel.buffer_state[lease] = BUFFER_LEASED;
	buffers->leased++;
	lending_take(&buffers->lending);
	return lease;
}

uint8_t *bufring_data(const struct bufring *buffers, uint16_t lease)
{
	if (lease >= buffers->count || kernel.buffer_state[lease] != BUFFER_LEASED)
		fail("receive buffer %u is looked into without a lease", lease);
	return buffers->memory + (size_t)lease * buffers->size;
}

void bufring_give_back(struct bufring *buffers, uint16_t lease)
{
	if (lease >= buffers->count || kernel.buffer_state[lease] != BUFFER_LEASED)
		fail("receive buffer %u is given back without a lease", lease);
	kernel.buffer_state[lease] = BUFFER_FREE;
	buffers->leased--;
	memset(buffers->memory + (size_t)lease * buffers->size, 0xdd, buffers->size);
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
	return free_buffers(buffers) == 0;
}
