/* The keys that a running process cannot change (KEY_FIXED), by the table: what a value prints as
 * is the value, so kept is what is printed of the old one and read into the new configuration. */
#include "conf/build.h"

#include <stdlib.h>

enum { LINT_NEEDS_RESTART = 11 }; /* the table of lints is in lint.c */

/* As it would stand behind `key = `; NULL: it is not set. */
static const char *value_text_of(struct build *build, const struct key *key,
                                 const struct conf_global *global)
{
	const void *field = (const char *)global + key->offset;
	char       *text = NULL, *copy = NULL;
	size_t      len = 0;
	FILE       *to;

	if (!key->preset && key->kind->is_unset && key->kind->is_unset(field))
		return NULL;
	to = open_memstream(&text, &len);
	if (to) {
		key->kind->print(key, field, to);
		if (fclose(to) == 0)
			copy = arena_try_copy(build->arena, span_of(text, len));
	}
	free(text);
	if (!copy)
		longjmp(*build->arena->no_memory, 1);
	return copy;
}

static bool is_same(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static struct conf_pos place_of(const struct build *build, const struct source *source,
                                const struct key *key)
{
	const char *type = keys_section_type(key->section);

	for (const struct source_section *section = source->first; section;
	     section = section->next) {
		const struct source_entry *entry;

		if (!section->object || strcmp(section->type, type) != 0)
			continue;
		entry = source_find(section, key->name);
		if (entry)
			return entry->pos;
	}
	return (struct conf_pos){build->conf->path, 0};
}

static void tell_kept(struct build *build, const struct key *key, struct conf_pos pos,
                      const char *asked, const char *kept)
{
	char old[REPORT_VALUE_MAX], new[REPORT_VALUE_MAX];

	if (!asked)
		conf_warn(build->report, pos, LINT_NEEDS_RESTART,
		          "[global] %s is not set: keeps %s until a restart", key->name,
		          report_value(kept, old));
	else if (!kept)
		conf_warn(build->report, pos, LINT_NEEDS_RESTART,
		          "[global] %s = %s: stays unset until a restart", key->name,
		          report_value(asked, new));
	else
		conf_warn(build->report, pos, LINT_NEEDS_RESTART,
		          "[global] %s = %s: keeps %s until a restart", key->name,
		          report_value(asked, new), report_value(kept, old));
}

static void keep(struct build *build, const struct key *key, struct conf_pos pos, const char *kept)
{
	char          *field = (char *)&build->conf->global + key->offset;
	struct reading reading = {.build = build,
	                          .arena = build->arena,
	                          .key = key,
	                          .name = key->name,
	                          .value = kept,
	                          .pos = pos};

	if (kept)
		CHECK(key->kind->read(&reading, field));
	else
		memset(field, 0, key->kind->item_size);
}

void build_keep_fixed(struct build *build, const struct source *source,
                      const struct conf_global *running)
{
	for (const struct key *key = keys; key < keys + keys_count; key++) {
		const char     *asked, *kept;
		struct conf_pos pos;

		if (!(key->flags & KEY_FIXED) || key->kind == &value_later)
			continue;
		CHECK(key->section == SECTION_GLOBAL && !(key->flags & KEY_MANY));
		asked = value_text_of(build, key, &build->conf->global);
		kept = value_text_of(build, key, running);
		if (is_same(asked, kept))
			continue;
		pos = place_of(build, source, key);
		tell_kept(build, key, pos, asked, kept);
		keep(build, key, pos, kept);
	}
}
