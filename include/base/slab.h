/*
 * slab: objects of one size, all paid for by one mapping at start.
 *
 * Owns the mapping; lends objects out. The last object put back is the next one lent, and memory
 * that was never lent is never touched, so that a limit of a million costs nothing until it is
 * used. Never grows, never allocates after init. One thread at a time: each worker has its own
 * slabs. Putting back what was not lent is a bug of the program and ends it.
 */
#ifndef BASE_SLAB_H
#define BASE_SLAB_H

#include "base/util.h"

#include <stdbool.h>

struct slab {
	uint8_t          *memory; /* *count* objects, behind them one bit each: is it lent? */
	uint64_t         *lent;
	struct slab_free *free; /* threaded through the objects that were put back */
	size_t            stride;
	size_t            mapped;
	uint32_t          count;
	uint32_t          touched; /* objects from here on were never lent */
	uint32_t          in_use;
};

/* Objects of 64 bytes and more start on a multiple of 64, of 16 and more on a multiple of 16. Sizes
 * and counts of 0 are taken as 1. False: no memory; *slab* is then empty (slab_get gives NULL,
 * slab_fini is harmless). */
MUST_CHECK bool slab_init(struct slab *slab, size_t object_size, uint32_t count);
void            slab_fini(struct slab *slab);

/* An object with undefined contents; NULL when all are lent. */
MUST_CHECK void *slab_get(struct slab *slab);
void             slab_put(struct slab *slab, void *object);

/* The object in slot *index* below slab->touched; NULL when it is not lent. For walks over all. */
void *slab_at(const struct slab *slab, uint32_t index);

uint32_t slab_in_use(const struct slab *slab);

/* Gives the memory back to the system if nothing is lent and more than *keep* bytes of it were
 * touched: a flood then does not stay resident for ever. Call now and then, not per connection. */
void slab_trim(struct slab *slab, size_t keep);

#endif
