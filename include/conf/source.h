/*
 * source: an INI file and what it includes, as sections of key and value, each with its place.
 *
 * Owns reading (inih), `include`, `${NAME}` and the rules about lines (docs of inih's build: line
 * numbers on, a call for every section). Knows no key but `include`; a line that cannot be told is
 * an error in the report, never dropped or cut. Called by conf_read.
 */
#ifndef CONF_SOURCE_H
#define CONF_SOURCE_H

#include "conf/arena.h"
#include "conf/report.h"

struct source_entry {
	const char          *key, *value;
	struct conf_pos      pos;
	bool                 continues;   /* an indented line: one more value of the entry before */
	bool                 refused;     /* an error about it has been told already */
	struct source_entry *next, *same; /* the next one in the section; the next one of its key */
};

struct source_section {
	const char            *title;       /* what stands between the brackets, for messages */
	const char            *type, *name; /* "listener", "web"; name is NULL when there is none */
	void                  *object;      /* the struct that it becomes; NULL = none */
	struct conf_pos        pos;
	struct source_entry   *first, *last;
	struct source_section *next;
};

struct source {
	struct arena          *arena;
	struct conf_report    *report;
	struct source_section *first, *last;
	struct source_file    *files; /* all read so far: a file is read once */
	bool                   no_memory;
};

/* The first entry of that key; NULL: none. */
const struct source_entry *source_find(const struct source_section *section, const char *key);

enum {
	SOURCE_LINE_MAX = 16 * 1024,
	SOURCE_TITLE_MAX = 200,
	SOURCE_FILE_MAX = 64 * 1024 * 1024,
	SOURCE_DEPTH_MAX = 10,
};

/* Reads *path* and its includes. False: no memory. Errors of the operator's go to *report*. */
MUST_CHECK bool source_read(struct source *source, struct arena *arena, struct conf_report *report,
                            const char *path);

/* The same of text already in memory, which may not include anything. */
MUST_CHECK bool source_read_text(struct source *source, struct arena *arena,
                                 struct conf_report *report, const char *name, struct span text);

#endif
