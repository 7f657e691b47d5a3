#include "conf/arena.h"

#include <stdlib.h>

enum { CHUNK_SIZE = 64 * 1024, ALIGNMENT = 16 };

struct arena_chunk {
	struct arena_chunk *next;
	size_t              used, size;
	_Alignas(ALIGNMENT) unsigned char memory[];
};

void arena_fini(struct arena *arena)
{
	while (arena->chunks) {
		struct arena_chunk *next = arena->chunks->next;

		free(arena->chunks);
		arena->chunks = next;
	}
}

static struct arena_chunk *chunk_add(struct arena *arena, size_t at_least)
{
	size_t              size = at_least > CHUNK_SIZE ? at_least : CHUNK_SIZE;
	struct arena_chunk *chunk = calloc(1, sizeof(*chunk) + size);

	if (!chunk)
		return 0;
	chunk->size = size;
	chunk->next = arena->chunks;
	arena->chunks = chunk;
	return chunk;
}

void *arena_try(struct arena *arena, size_t size)
{
	struct arena_chunk *chunk = arena->chunks;
	size_t              rounded = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	void               *memory;

	if (rounded < size)
		return 0;
	if (!chunk || chunk->size - chunk->used < rounded)
		chunk = chunk_add(arena, rounded);
	if (!chunk)
		return 0;
	memory = chunk->memory + chunk->used;
	chunk->used += rounded;
	return memory;
}

char *arena_try_copy(struct arena *arena, struct span text)
{
	char *copy = arena_try(arena, text.len + 1);

	if (copy && text.len)
		memcpy(copy, text.data, text.len);
	return copy;
}

void *arena_alloc(struct arena *arena, size_t size)
{
	void *memory = arena_try(arena, size);

	if (!memory)
		longjmp(*arena->no_memory, 1);
	return memory;
}

char *arena_copy(struct arena *arena, struct span text)
{
	char *copy = arena_try_copy(arena, text);

	if (!copy)
		longjmp(*arena->no_memory, 1);
	return copy;
}

void *arena_room(struct arena *arena, void *array, size_t count, size_t item_size)
{
	enum { AT_FIRST = 8 };
	bool   is_full = count == 0 || (count >= AT_FIRST && (count & (count - 1)) == 0);
	size_t room = count ? count * 2 : AT_FIRST;
	void  *grown;

	if (!is_full)
		return array;
	grown = arena_alloc(arena, room * item_size);
	if (count)
		memcpy(grown, array, count * item_size);
	return grown;
}
