#include "conf/lines.h"

#include <ctype.h>
#include <ini.h>
#include <stdlib.h>

#if !INI_HANDLER_LINENO || !INI_CALL_HANDLER_ON_NEW_SECTION || !INI_ALLOW_MULTILINE ||             \
	INI_STOP_ON_FIRST_ERROR
#error "inih must be built with line numbers, section calls and multi-line values: see .ci/setup"
#endif

/* What inih takes at most, its newline and NUL aside. */
enum { LINE_MAX_HERE = INI_MAX_LINE - 2 < SOURCE_LINE_MAX ? INI_MAX_LINE - 2 : SOURCE_LINE_MAX };

struct lines {
	struct source *source;
	const char    *path;
	struct span    rest;   /* not yet handed to inih */
	struct span    line;   /* the one it has now, without its newline */
	struct span    shown;  /* of *line*, what it is given: nothing when the line is in error */
	size_t         handed; /* bytes of *shown* and its newline given so far */
	unsigned       number;
	bool           awaited; /* the line says something and inih has not come back with it */
	struct source_section *section;      /* NULL: none, or its header was in error */
	bool                   section_lost; /* keys cannot be judged: theirs was in error */
	bool inih_continues;     /* inih would take an indented line for one more value */
	bool value_can_continue; /* and so do we: the line before was in order */
	void (*on_entry)(struct source_section *section, struct source_entry *entry, void *context);
	void *context;
};

static struct conf_pos here(const struct lines *lines)
{
	return (struct conf_pos){lines->path, lines->number};
}

static bool is_indented(const struct lines *lines)
{
	return lines->line.len && isspace(lines->line.data[0]);
}

static struct span trim(struct span text)
{
	while (text.len && isspace(text.data[0])) {
		text.data++;
		text.len--;
	}
	while (text.len && isspace(text.data[text.len - 1]))
		text.len--;
	return text;
}

/* inih answers a line that it cannot read only with the number of the first such line. */
static void settle_line(struct lines *lines)
{
	struct span text = trim(lines->line);

	if (!lines->awaited)
		return;
	lines->awaited = false;
	lines->value_can_continue = false;
	if (text.data[0] == '[') {
		conf_error(lines->source->report, here(lines), "a section's name ends with ]");
		lines->section = 0;
		lines->section_lost = true;
		return;
	}
	conf_error(lines->source->report, here(lines),
	           "not understood: a line is [section] or key = value");
}

static bool check_line(struct lines *lines)
{
	if (lines->line.len > LINE_MAX_HERE)
		conf_error(lines->source->report, here(lines), "the line is longer than %d bytes",
		           LINE_MAX_HERE);
	else if (memchr(lines->line.data, 0, lines->line.len))
		conf_error(lines->source->report, here(lines), "the line holds a NUL byte");
	else
		return true;
	return false;
}

static void take_line(struct lines *lines)
{
	const uint8_t *end = memchr(lines->rest.data, '\n', lines->rest.len);
	size_t         len = end ? (size_t)(end - lines->rest.data) : lines->rest.len;
	struct span    text;

	lines->line = span_of(lines->rest.data, len);
	lines->rest.data += min_size(len + 1, lines->rest.len);
	lines->rest.len -= min_size(len + 1, lines->rest.len);
	lines->number++;
	lines->handed = 0;
	lines->shown = lines->line;
	if (!check_line(lines)) {
		/* An empty line instead keeps inih's count right; what continues the line is not
		 * judged. */
		lines->shown = span_of("", 0);
		lines->value_can_continue = false;
		if (lines->line.len && lines->line.data[0] == '[') {
			lines->section = 0;
			lines->section_lost = true;
		}
	}
	text = trim(lines->shown);
	lines->awaited = text.len && text.data[0] != '#' && text.data[0] != ';';
}

/* inih's reader: as fgets, it may take a line in pieces. The last line gets a newline if it has
 * none, so that inih never asks for more of it. */
static char *on_read(char *out, int room, void *context)
{
	struct lines *lines = context;
	size_t        left, piece;

	if (lines->number == 0 || lines->handed > lines->shown.len) {
		settle_line(lines);
		if (lines->rest.len == 0 || lines->source->no_memory)
			return 0;
		take_line(lines);
	}
	if (room < 2)
		return 0;
	left = lines->shown.len - lines->handed;
	piece = min_size(left, (size_t)room - 1);
	if (piece)
		memcpy(out, lines->shown.data + lines->handed, piece);
	lines->handed += piece;
	if (piece == left && piece < (size_t)room - 1) {
		out[piece++] = '\n';
		lines->handed++;
	}
	out[piece] = '\0';
	return out;
}

static bool section_add(struct lines *lines, struct span title)
{
	struct source         *source = lines->source;
	struct source_section *section = arena_try(source->arena, sizeof(*section));
	size_t                 type_len = 0;
	struct span            name;

	if (!section)
		return false;
	while (type_len < title.len && !isspace(title.data[type_len]))
		type_len++;
	name = trim(span_of(title.data + type_len, title.len - type_len));
	section->title = arena_try_copy(source->arena, title);
	section->type = arena_try_copy(source->arena, span_of(title.data, type_len));
	section->name = name.len ? arena_try_copy(source->arena, name) : 0;
	if (!section->title || !section->type || (name.len && !section->name))
		return false;
	section->pos = here(lines);
	if (source->last)
		source->last->next = section;
	else
		source->first = section;
	source->last = section;
	lines->section = section;
	return true;
}

static bool has_control(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if (iscntrl(text.data[i]) && text.data[i] != '\t')
			return true;
	return false;
}

/* The name is taken from the line itself: inih would cut a long one. */
static bool on_section(struct lines *lines)
{
	struct conf_report *report = lines->source->report;
	struct span         text = trim(lines->line);
	const uint8_t      *end = memchr(text.data, ']', text.len);
	struct span         title = trim(span_of(text.data + 1, (size_t)(end - text.data) - 1));
	struct span after = trim(span_of(end + 1, (size_t)(text.data + text.len - end) - 1));

	lines->section = 0;
	lines->section_lost = true;
	lines->inih_continues = false;
	lines->value_can_continue = false;
	if (title.len > SOURCE_TITLE_MAX) {
		conf_error(report, here(lines), "the section's name is longer than %d bytes",
		           SOURCE_TITLE_MAX);
		return true;
	}
	if (title.len == 0 || has_control(title)) {
		conf_error(report, here(lines), "a section is [type] or [type name]");
		return true;
	}
	if (after.len && after.data[0] != ';')
		conf_error(report, here(lines),
		           "nothing but a comment may stand behind a section's ]");
	lines->section_lost = false;
	return section_add(lines, title);
}

/* The value of the variable that *text* begins with, as `${NAME}`; *len* is how much of *text* that
 * takes. NULL: told why. */
static const char *variable(struct lines *lines, const char *text, size_t *len)
{
	const char *close = strchr(text, '}');
	const char *value;
	char        name[128];
	size_t      name_len = close ? (size_t)(close - text) - 2 : 0;

	if (!close || name_len == 0 || name_len >= sizeof(name)) {
		conf_error(lines->source->report, here(lines),
		           "${ begins a variable's name, which } must end");
		return 0;
	}
	memcpy(name, text + 2, name_len);
	name[name_len] = '\0';
	*len = name_len + 3;
	value = getenv(name);
	if (!value) {
		char shown[REPORT_VALUE_MAX];

		conf_error(lines->source->report, here(lines),
		           "${%s}: no such variable in the environment", report_value(name, shown));
	}
	return value;
}

/* What came out of the environment must read the same when it is printed and read again. */
static bool check_substituted(struct lines *lines, struct span text)
{
	const char *wrong = 0;

	if (has_control(text))
		wrong = "a control character";
	else if (text.len && text.data[0] == ';')
		wrong = "a comment";
	for (size_t i = 0; i + 1 < text.len && !wrong; i++) {
		if (text.data[i] == '$' && text.data[i + 1] == '{')
			wrong = "${";
		else if (isspace(text.data[i]) && text.data[i + 1] == ';')
			wrong = "a comment";
	}
	if (!wrong && text.len > SOURCE_LINE_MAX - SOURCE_TITLE_MAX - 512)
		wrong = "too much for one line";
	if (!wrong)
		return true;
	conf_error(lines->source->report, here(lines),
	           "the value would hold %s once its variables are put in", wrong);
	return false;
}

enum substitution { SUBSTITUTED, SUBSTITUTION_WRONG, SUBSTITUTION_NO_MEMORY };

static enum substitution substitute(struct lines *lines, const char *value, const char **out)
{
	char       *text = 0;
	size_t      size = 0, len;
	FILE       *stream;
	const char *replaced = "";
	bool        written;

	stream = open_memstream(&text, &size);
	if (!stream)
		return SUBSTITUTION_NO_MEMORY;
	for (; *value && replaced; value += len) {
		len = 1;
		if (value[0] == '$' && value[1] == '{') {
			replaced = variable(lines, value, &len);
			if (replaced)
				fputs(replaced, stream);
		} else {
			fputc(*value, stream);
		}
	}
	written = fflush(stream) == 0 && !ferror(stream);
	fclose(stream);
	if (!written || !text) {
		free(text);
		return SUBSTITUTION_NO_MEMORY;
	}
	*out = "";
	if (replaced && check_substituted(lines, trim(span_of(text, size))))
		*out = arena_try_copy(lines->source->arena, trim(span_of(text, size)));
	else
		replaced = 0;
	free(text);
	if (!*out)
		return SUBSTITUTION_NO_MEMORY;
	return replaced ? SUBSTITUTED : SUBSTITUTION_WRONG;
}

static bool value_of(struct lines *lines, const char *value, struct source_entry *entry)
{
	if (!strstr(value, "${")) {
		entry->value = arena_try_copy(lines->source->arena, span_text(value));
		return entry->value != 0;
	}
	switch (substitute(lines, value, &entry->value)) {
	case SUBSTITUTED:
		return true;
	case SUBSTITUTION_WRONG:
		entry->refused = true;
		return true;
	case SUBSTITUTION_NO_MEMORY:
		return false;
	}
	return false;
}

static bool entry_add(struct lines *lines, const char *key, const char *value, bool continues)
{
	struct source_section *section = lines->section;
	struct source_entry   *entry = arena_try(lines->source->arena, sizeof(*entry));

	if (!entry)
		return false;
	entry->pos = here(lines);
	entry->continues = continues;
	/* inih repeats the key for a continuation, but only as much of it as it kept. */
	entry->key = continues ? section->last->key
	                       : arena_try_copy(lines->source->arena, span_text(key));
	if (!entry->key || !value_of(lines, value, entry))
		return false;
	if (section->last)
		section->last->next = entry;
	else
		section->first = entry;
	section->last = entry;
	lines->on_entry(section, entry, lines->context);
	return true;
}

static bool on_key(struct lines *lines, const char *key, const char *value)
{
	struct conf_report *report = lines->source->report;
	bool                continues = is_indented(lines) && lines->inih_continues;
	const uint8_t      *equals = memchr(lines->line.data, '=', lines->line.len);
	const uint8_t      *colon = memchr(lines->line.data, ':', lines->line.len);

	lines->inih_continues = continues || *key;
	if (lines->section_lost || (continues && !lines->value_can_continue))
		return true;
	if (!continues && (!equals || (colon && colon < equals))) {
		conf_error(report, here(lines), "a key and its value are joined by =, not by :");
		lines->value_can_continue = false;
		return true;
	}
	if (!continues && !*key) {
		conf_error(report, here(lines),
		           "not understood: a line is [section] or key = value");
		lines->value_can_continue = false;
		return true;
	}
	if (!lines->section) {
		conf_error(report, here(lines), "a key must stand below a [section]");
		lines->section_lost = true; /* once is enough */
		return true;
	}
	if (!entry_add(lines, key, value, continues))
		return false;
	lines->value_can_continue = true;
	return true;
}

static int on_inih(void *context, const char *title, const char *key, const char *value, int number)
{
	struct lines *lines = context;

	(void)title;
	CHECK((unsigned)number == lines->number);
	lines->awaited = false;
	if (!(key ? on_key(lines, key, value) : on_section(lines)))
		lines->source->no_memory = true;
	return 1;
}

bool lines_parse(struct source *source, const char *path, struct span text,
                 void (*on_entry)(struct source_section *section, struct source_entry *entry,
                                  void *context),
                 void *context)
{
	struct lines lines = {.source = source,
	                      .path = path,
	                      .rest = text,
	                      .on_entry = on_entry,
	                      .context = context};
	int          result;

	if (text.len >= 3 && memcmp(text.data, "\xef\xbb\xbf", 3) == 0)
		lines.rest = span_of(text.data + 3, text.len - 3);
	result = ini_parse_stream(on_read, &lines, on_inih, &lines);
	/* Above zero is the number of a line that it did not understand: settle_line has told of
	 * each. */
	return result >= 0 && !source->no_memory;
}
