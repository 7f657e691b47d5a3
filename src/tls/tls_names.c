#include "tls/tls_names.h"

#include <stdlib.h>
#include <string.h>

bool tls_names_add(struct tls_names *names, const struct tls_name *name, uint32_t identity)
{
	struct tls_names_entry *grown;

	if (names->count == names->room) {
		names->room = names->room ? names->room * 2 : 8;
		grown = realloc(names->entries, names->room * sizeof(*grown));
		if (!grown)
			return false;
		names->entries = grown;
	}
	names->entries[names->count++] = (struct tls_names_entry){name->name, name->wildcard,
	                                                          identity};
	return true;
}

static int compare_names(const struct tls_names_entry *entry, struct span name, bool wildcard)
{
	if (entry->wildcard != wildcard)
		return entry->wildcard ? 1 : -1;
	if (entry->name.len != name.len)
		return entry->name.len < name.len ? -1 : 1;
	return memcmp(entry->name.data, name.data, name.len);
}

static int compare_entries(const void *a, const void *b)
{
	const struct tls_names_entry *left = a, *right = b;
	int                           order = compare_names(left, right->name, right->wildcard);

	if (order != 0)
		return order;
	return left->identity < right->identity ? -1 : left->identity > right->identity;
}

void tls_names_sort(struct tls_names *names)
{
	if (names->count > 0)
		qsort(names->entries, names->count, sizeof(*names->entries), compare_entries);
}

void tls_names_fini(struct tls_names *names)
{
	free(names->entries);
	*names = (struct tls_names){0};
}

/* The first entry that is not below; names->count if there is none. */
static size_t lower_bound(const struct tls_names *names, struct span name, bool wildcard)
{
	size_t low = 0, high = names->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare_names(&names->entries[middle], name, wildcard) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const struct tls_names_entry *tls_names_find(const struct tls_names *names, struct span name,
                                             bool wildcard, size_t *count)
{
	size_t first, end;

	*count = 0;
	if (wildcard) {
		const uint8_t *dot = name.len > 0 ? memchr(name.data, '.', name.len) : NULL;

		if (!dot || dot == name.data)
			return NULL;
		name = span_of(dot + 1, name.len - (size_t)(dot + 1 - name.data));
	}
	if (name.len == 0)
		return NULL;
	first = end = lower_bound(names, name, wildcard);
	while (end < names->count && compare_names(&names->entries[end], name, wildcard) == 0)
		end++;
	*count = end - first;
	return *count ? &names->entries[first] : NULL;
}
