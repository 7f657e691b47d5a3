#include "conf/suggest.h"

#include <ctype.h>
#include <stdio.h>

enum { WORD_MAX = 48, FAR = 1000 };

/* 10,000 wrong references to 10,000 names must not cost 10^8 comparisons. */
enum { NAMES_WORTH_TRYING = 1000 };

void suggest_init(struct suggest *suggest, const char *written)
{
	*suggest = (struct suggest){.written = written, .distance = FAR};
}

static bool same_letter(char a, char b)
{
	return tolower((unsigned char)a) == tolower((unsigned char)b);
}

static size_t least(size_t a, size_t b, size_t c)
{
	return min_size(a, min_size(b, c));
}

/* Three rows of the usual table: the one being filled, the one above it, and the one above that
 * (for swaps). */
static size_t distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	size_t  rows[3][WORD_MAX + 1];
	size_t *before = rows[0], *above = rows[1], *row = rows[2];

	for (size_t j = 0; j <= b_len; j++)
		above[j] = j;
	for (size_t i = 1; i <= a_len; i++) {
		size_t *spare = before;

		row[0] = i;
		for (size_t j = 1; j <= b_len; j++) {
			size_t replaced = above[j - 1] + !same_letter(a[i - 1], b[j - 1]);

			row[j] = least(above[j] + 1, row[j - 1] + 1, replaced);
			if (i > 1 && j > 1 && same_letter(a[i - 1], b[j - 2]) &&
			    same_letter(a[i - 2], b[j - 1]))
				row[j] = min_size(row[j], before[j - 2] + 1);
		}
		before = above;
		above = row;
		row = spare;
	}
	return above[b_len];
}

void suggest_try(struct suggest *suggest, const char *word)
{
	size_t written_len = strlen(suggest->written), word_len = strlen(word);
	size_t allowed = written_len < 4 ? 1 : written_len < 9 ? 2 : 3;
	size_t found;

	if (written_len > WORD_MAX || word_len > WORD_MAX || written_len == 0)
		return;
	if (written_len + allowed < word_len || word_len + allowed < written_len)
		return;
	found = distance(suggest->written, written_len, word, word_len);
	if (found > allowed || found >= suggest->distance || found >= written_len)
		return;
	suggest->best = word;
	suggest->distance = found;
}

void suggest_try_map(struct suggest *suggest, const struct map *map)
{
	if (map->count > NAMES_WORTH_TRYING)
		return;
	for (const struct map_entry *entry = map->first; entry; entry = entry->next)
		suggest_try(suggest, (const char *)entry->key.data);
}

const char *suggest_text(const struct suggest *suggest, char out[SUGGEST_TEXT_MAX])
{
	out[0] = '\0';
	if (suggest->best)
		snprintf(out, SUGGEST_TEXT_MAX, "; did you mean \"%s\"?", suggest->best);
	return out;
}
