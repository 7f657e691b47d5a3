/*
 * report: the part of conf_report that only conf uses; the rest is in conf/conf.h.
 */
#ifndef CONF_REPORT_H
#define CONF_REPORT_H

#include "conf/conf.h"

/* Messages come out in the order in which their files were named here (or, failing that, first
 * met). */
void report_file(struct conf_report *report, const char *file);

enum { REPORT_VALUE_MAX = 128 };

/* *value* as it may stand in a message: control characters shown as `?`, the long cut with
 * `...`. */
const char *report_value(const char *value, char out[REPORT_VALUE_MAX]);

#endif
