/*
 * report_text: what a conf_report would print, as a string.
 */
#ifndef TESTS_UNIT_REPORT_TEXT_H
#define TESTS_UNIT_REPORT_TEXT_H

#include "conf/conf.h"

#include <stdlib.h>
#include <string.h>

static inline bool report_says(const struct conf_report *report, const char *wanted)
{
	char  *text = NULL;
	size_t len = 0;
	FILE  *to = open_memstream(&text, &len);
	bool   found;

	if (!to)
		return false;
	conf_report_print(report, to);
	fclose(to);
	found = strstr(text, wanted) != NULL;
	if (!found)
		printf("  the report says:\n%s", text);
	free(text);
	return found;
}

#endif
