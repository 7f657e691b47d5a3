/*
 * map: text to pointer, in arena memory; how a configuration finds names and notices a second one.
 *
 * Keys are borrowed. Nothing is ever removed. Walking goes in the order of insertion. Used by conf
 * alone.
 */
#ifndef CONF_MAP_H
#define CONF_MAP_H

#include "conf/arena.h"

struct map_entry {
	struct span       key;
	void             *value;
	uint64_t          hash;
	struct map_entry *next_in_slot;
	struct map_entry *next; /* in the order of insertion */
};

struct map {
	struct arena      *arena;
	struct map_entry **slots;
	size_t             slot_count, count;
	struct map_entry  *first, *last;
};

void map_init(struct map *map, struct arena *arena);

/* The value, or NULL when there is none. */
void *map_find(const struct map *map, struct span key);

/* Puts *value* there unless the key is there already; returns what was there, or NULL. Jumps as
 * arena_alloc. */
void *map_add(struct map *map, struct span key, void *value);

#endif
