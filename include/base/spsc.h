/*
 * spsc: a byte ring of records for one producer thread and one consumer thread; lock-free, bounded.
 *
 * Records are contiguous (a record never wraps; the ring skips to its start instead) and 8-byte
 * aligned.
 */
#ifndef BASE_SPSC_H
#define BASE_SPSC_H

#include "base/span.h"
#include "base/util.h"

#include <stdatomic.h>

struct spsc {
	uint8_t *memory;
	uint32_t size;                      /* a power of two */
	uint32_t reserved;                  /* producer: length of the open reservation */
	_Alignas(64) _Atomic uint64_t head; /* written by the producer */
	_Alignas(64) _Atomic uint64_t tail; /* written by the consumer */
};

/* *size* is a power of two, at least 4096. Lazily touched. False: no memory. */
MUST_CHECK bool spsc_init(struct spsc *ring, uint32_t size);
void            spsc_fini(struct spsc *ring);

/* Room for one record of *len* bytes, or NULL when the ring is full or the record larger than half
 * of it. One reservation at a time. */
MUST_CHECK void *spsc_reserve(struct spsc *ring, uint32_t len);
void             spsc_commit(struct spsc *ring); /* publishes it */

/* The oldest record; len 0 and data NULL when there is none. Valid until spsc_release. */
struct span spsc_peek(struct spsc *ring);
void        spsc_release(struct spsc *ring);

/* Where the newest record ends; any thread. */
uint64_t spsc_end(const struct spsc *ring);
/* Consumer: all in front of that place is released. */
bool spsc_has_passed(const struct spsc *ring, uint64_t end);

/* For a consumer that sleeps. Producer: whoever reads spsc_is_empty after a sequentially consistent
 * step that follows this one sees what was committed before it. */
void spsc_announce(struct spsc *ring);
bool spsc_is_empty(const struct spsc *ring); /* consumer */

#endif
