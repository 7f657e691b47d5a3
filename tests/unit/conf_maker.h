/*
 * conf_maker: a configuration from text that stands in the test, and what reading it said.
 */
#ifndef TESTS_UNIT_CONF_MAKER_H
#define TESTS_UNIT_CONF_MAKER_H

#include "conf/conf.h"

#include <stdlib.h>
#include <string.h>

struct made_conf {
	struct conf        *conf;
	struct conf_report *report;
	char               *said;    /* the whole report */
	char               *printed; /* -T's; NULL where there were errors */
	size_t              errors;
};

static inline char *text_from(void (*print)(const struct made_conf *made, FILE *to),
                              const struct made_conf *made)
{
	char  *text = NULL;
	size_t len = 0;
	FILE  *to = open_memstream(&text, &len);

	if (!to)
		abort();
	print(made, to);
	fclose(to);
	return text;
}

static inline void print_said(const struct made_conf *made, FILE *to)
{
	conf_report_print(made->report, to);
}

static inline void print_conf(const struct made_conf *made, FILE *to)
{
	conf_print(made->conf, to);
}

static inline struct made_conf make_done(struct made_conf made)
{
	if (!made.conf)
		abort();
	made.errors = conf_report_errors(made.report);
	made.said = text_from(print_said, &made);
	if (made.errors == 0)
		made.printed = text_from(print_conf, &made);
	return made;
}

static inline struct made_conf make_conf(const char *text)
{
	struct made_conf made = {.report = conf_report_new()};

	made.conf = conf_read_text("t.ini", span_text(text), made.report);
	return make_done(made);
}

static inline struct made_conf make_conf_from(const char *path)
{
	struct made_conf made = {.report = conf_report_new()};

	made.conf = conf_read(path, made.report);
	return make_done(made);
}

static inline void made_free(struct made_conf *made)
{
	conf_free(made->conf);
	conf_report_free(made->report);
	free(made->said);
	free(made->printed);
}

/* The report holds exactly these lines. */
static inline bool says(const char *text, const char *wanted)
{
	struct made_conf made = make_conf(text);
	bool             same = strcmp(made.said, wanted) == 0;

	if (!same)
		printf("  said:\n%s  not:\n%s", made.said, wanted);
	made_free(&made);
	return same;
}

/* Somewhere in the report stands this. */
static inline bool mentions(const char *text, const char *wanted)
{
	struct made_conf made = make_conf(text);
	bool             found = strstr(made.said, wanted) != NULL;

	if (!found)
		printf("  said:\n%s  without:\n  %s\n", made.said, wanted);
	made_free(&made);
	return found;
}

static inline bool is_silent(const char *text)
{
	return says(text, "");
}

#endif
