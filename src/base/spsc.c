#include "base/spsc.h"

#include <sys/mman.h>

/* In front of every record; *len* is SKIP where the rest of the memory up to its end holds
 * nothing. */
struct header {
	uint32_t len;
	uint32_t unused; /* keeps records 8-byte aligned */
};

#define SKIP UINT32_MAX

enum { SMALLEST = 4096 };

static uint32_t space_of(uint32_t len)
{
	return (uint32_t)sizeof(struct header) + (len + 7) / 8 * 8;
}

static struct header *header_at(const struct spsc *ring, uint64_t position)
{
	return (struct header *)(void *)(ring->memory + (position & (ring->size - 1)));
}

/* Bytes from *position* to the end of the memory. */
static uint32_t rest_from(const struct spsc *ring, uint64_t position)
{
	return ring->size - (uint32_t)(position & (ring->size - 1));
}

bool spsc_init(struct spsc *ring, uint32_t size)
{
	void *memory;

	CHECK(size >= SMALLEST && (size & (size - 1)) == 0);
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ring->memory = memory == MAP_FAILED ? NULL : memory;
	ring->size = size;
	ring->reserved = 0;
	atomic_init(&ring->head, 0);
	atomic_init(&ring->tail, 0);
	return ring->memory != NULL;
}

void spsc_fini(struct spsc *ring)
{
	if (ring->memory)
		munmap(ring->memory, ring->size);
	ring->memory = NULL;
}

void *spsc_reserve(struct spsc *ring, uint32_t len)
{
	uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
	uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
	uint32_t space, skipped = 0;

	CHECK(ring->reserved == 0);
	/* With more than half of the ring, whether it fits would depend on where the head happens
	 * to be. */
	if (len > ring->size / 2 - sizeof(struct header))
		return NULL;
	space = space_of(len);
	if (space > rest_from(ring, head))
		skipped = rest_from(ring, head);
	if (head + skipped + space - tail > ring->size)
		return NULL;
	if (skipped)
		header_at(ring, head)->len = SKIP;
	header_at(ring, head + skipped)->len = len;
	ring->reserved = skipped + space;
	return header_at(ring, head + skipped) + 1;
}

void spsc_commit(struct spsc *ring)
{
	uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);

	CHECK(ring->reserved != 0);
	atomic_store_explicit(&ring->head, head + ring->reserved, memory_order_release);
	ring->reserved = 0;
}

void spsc_announce(struct spsc *ring)
{
	/* A read-modify-write and not a fence: the thread sanitizer does not understand fences. */
	(void)atomic_fetch_add_explicit(&ring->head, 0, memory_order_seq_cst);
}

bool spsc_is_empty(const struct spsc *ring)
{
	return atomic_load_explicit(&ring->head, memory_order_seq_cst) ==
	       atomic_load_explicit(&ring->tail, memory_order_relaxed);
}

struct span spsc_peek(struct spsc *ring)
{
	uint64_t       head = atomic_load_explicit(&ring->head, memory_order_acquire);
	uint64_t       tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
	struct header *header;

	if (head == tail)
		return (struct span){0};
	header = header_at(ring, tail);
	if (header->len == SKIP) {
		/* A skip is published together with the record behind it. */
		tail += rest_from(ring, tail);
		atomic_store_explicit(&ring->tail, tail, memory_order_release);
		header = header_at(ring, tail);
	}
	return span_of(header + 1, header->len);
}

void spsc_release(struct spsc *ring)
{
	uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
	uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);

	/* Only after a peek that found a record: the tail then stands on it, never on a skip. */
	CHECK(head != tail && header_at(ring, tail)->len != SKIP);
	atomic_store_explicit(&ring->tail, tail + space_of(header_at(ring, tail)->len),
	                      memory_order_release);
}

uint64_t spsc_end(const struct spsc *ring)
{
	return atomic_load_explicit(&ring->head, memory_order_acquire);
}

bool spsc_has_passed(const struct spsc *ring, uint64_t end)
{
	return atomic_load_explicit(&ring->tail, memory_order_relaxed) >= end;
}
