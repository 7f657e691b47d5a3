#include "conf/map.h"

#include "base/hash.h"

enum { SLOTS_AT_FIRST = 64 };

void map_init(struct map *map, struct arena *arena)
{
	*map = (struct map){.arena = arena};
}

static struct map_entry *find(const struct map *map, struct span key, uint64_t hash)
{
	struct map_entry *entry;

	if (!map->slot_count)
		return 0;
	for (entry = map->slots[hash & (map->slot_count - 1)]; entry; entry = entry->next_in_slot)
		if (entry->hash == hash && span_equal(entry->key, key))
			return entry;
	return 0;
}

void *map_find(const struct map *map, struct span key)
{
	struct map_entry *entry = find(map, key, hash_bytes(key));

	return entry ? entry->value : 0;
}

static void insert(struct map *map, struct map_entry *entry)
{
	struct map_entry **slot = &map->slots[entry->hash & (map->slot_count - 1)];

	entry->next_in_slot = *slot;
	*slot = entry;
}

static void grow(struct map *map)
{
	map->slot_count = map->slot_count ? map->slot_count * 2 : SLOTS_AT_FIRST;
	map->slots = arena_alloc(map->arena, map->slot_count * sizeof(struct map_entry *));
	for (struct map_entry *entry = map->first; entry; entry = entry->next)
		insert(map, entry);
}

void *map_add(struct map *map, struct span key, void *value)
{
	uint64_t          hash = hash_bytes(key);
	struct map_entry *entry = find(map, key, hash);

	if (entry)
		return entry->value;
	if (map->count >= map->slot_count)
		grow(map);
	entry = arena_alloc(map->arena, sizeof(*entry));
	*entry = (struct map_entry){.key = key, .value = value, .hash = hash};
	if (map->last)
		map->last->next = entry;
	else
		map->first = entry;
	map->last = entry;
	map->count++;
	insert(map, entry);
	return 0;
}
