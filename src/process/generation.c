#include "process/generation.h"

#include <stdlib.h>

/* By itself in the cache: the worker counts in it. */
struct generation_tenure {
	_Alignas(64) struct tenure tenure;
	struct generation_tenure *next;
};

struct generation *generation_new(struct snapshot *snapshot, uint32_t number)
{
	struct generation *generation = calloc(1, sizeof(*generation));

	if (!generation)
		return NULL;
	generation->snapshot = snapshot;
	generation->number = number;
	list_init(&generation->in_all);
	return generation;
}

void generation_free(struct generation *generation)
{
	if (!generation)
		return;
	while (generation->tenures)
		generation_drop_tenure(generation);
	list_remove(&generation->in_all);
	snapshot_free(generation->snapshot);
	free(generation);
}

struct tenure *generation_add_tenure(struct generation *generation)
{
	struct generation_tenure *added = aligned_alloc(64, sizeof(*added));

	if (!added)
		return NULL;
	*added = (struct generation_tenure){
		.tenure = {.snapshot = generation->snapshot},
		.next = generation->tenures,
	};
	generation->tenures = added;
	return &added->tenure;
}

void generation_drop_tenure(struct generation *generation)
{
	struct generation_tenure *last = generation->tenures;

	generation->tenures = last->next;
	free(last);
}

bool generation_is_over(const struct generation *generation)
{
	for (const struct generation_tenure *at = generation->tenures; at; at = at->next)
		if (!tenure_is_over(&at->tenure))
			return false;
	return true;
}
