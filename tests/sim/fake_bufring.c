#include "io/bufring.h"
#include "sim/kernel.h"

#include <errno.h>
#include <string.h>

static uint8_t area[BUFFERS_AREA];

int bufring_init(struct bufring *buffers, struct ring *ring, uint32_t count, uint32_t size)
{
	if (count > BUFFERS_MAX || (uint64_t)count * size > sizeof(area))
		return -ENOMEM;
	*buffers = (struct bufring){.memory = area, .count = count, .size = size, .ring = ring};
	return 0;
}

void bufring_fini(struct bufring *buffers)
{
	for (uint32_t i = 0; i < buffers->count; i++)
		if (kernel.buffer_state[i] != BUFFER_KERNEL)
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
	kernel.buffer_state[lease] = BUFFER_KERNEL;
	buffers->leased--;
	memset(buffers->memory + (size_t)lease * buffers->size, 0xdd, buffers->size);
}
