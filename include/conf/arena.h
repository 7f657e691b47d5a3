/*
 * arena: memory that is given back all at once; what one configuration is made of.
 *
 * Zeroed, aligned for anything. Never frees a part. Two ways to run out: arena_try answers NULL;
 * arena_alloc and arena_copy jump to *no_memory*, so that the code which puts structs together
 * needs no error path of its own for it. Jump only across frames that hold nothing but arena
 * memory. Used by conf alone.
 */
#ifndef CONF_ARENA_H
#define CONF_ARENA_H

#include "base/span.h"
#include "base/util.h"

#include <setjmp.h>

struct arena_chunk;

struct arena {
	struct arena_chunk *chunks;
	jmp_buf            *no_memory; /* must be set before arena_alloc */
};

void arena_fini(struct arena *arena);

/* NULL: no memory. */
MUST_CHECK void *arena_try(struct arena *arena, size_t size);
/* A NUL-terminated copy; NULL: no memory. */
MUST_CHECK char *arena_try_copy(struct arena *arena, struct span text);

/* Never NULL; see above. */
MUST_CHECK void *arena_alloc(struct arena *arena, size_t size);
MUST_CHECK char *arena_copy(struct arena *arena, struct span text);

/* *array* of *count* items of *item_size* if one more fits, else a copy with twice the room: for
 * arrays that grow by one item at a time and by nothing else. */
MUST_CHECK void *arena_room(struct arena *arena, void *array, size_t count, size_t item_size);

#endif
