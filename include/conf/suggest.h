/*
 * suggest: did you mean "…"?
 *
 * Picks, of the words tried, the one nearest to what was written: by insertions, deletions,
 * replacements and swaps of neighbours, without regard to case, and only when near enough that it
 * is likely meant. Pure.
 */
#ifndef CONF_SUGGEST_H
#define CONF_SUGGEST_H

#include "conf/map.h"

struct suggest {
	const char *written;
	const char *best; /* NULL = nothing near */
	size_t      distance;
};

enum { SUGGEST_TEXT_MAX = 96 };

void suggest_init(struct suggest *suggest, const char *written);
void suggest_try(struct suggest *suggest, const char *word);
/* Tries every key of *map*, or none where there are too many to be worth it. Keys must be
 * NUL-terminated. */
void suggest_try_map(struct suggest *suggest, const struct map *map);

/* `; did you mean "BEST"?`, or nothing. Returns *out*. */
const char *suggest_text(const struct suggest *suggest, char out[SUGGEST_TEXT_MAX]);

#endif
