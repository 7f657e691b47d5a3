/*
 * fuzz_conf: any bytes as a configuration file. Reading never fails but by reporting; what is
 * accepted prints as a file that is accepted too and prints the same again.
 */
#include "conf/conf.h"

#include <stdlib.h>

enum { INPUT_MAX = 100000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What it prints; data NULL: it was refused. */
static struct span printed(struct span text)
{
	struct conf_report *report = conf_report_new();
	struct conf        *conf = report ? conf_read_text("fuzz.ini", text, report) : 0;
	char               *out = 0;
	size_t              len = 0;
	FILE               *to = open_memstream(&out, &len);

	if (!conf || !to)
		abort();
	if (conf_report_errors(report) == 0)
		conf_print(conf, to);
	else
		conf_report_print(report, to);
	fclose(to);
	if (conf_report_errors(report) || len == 0) {
		if (len == 0)
			abort(); /* refused without a word */
		free(out);
		out = 0;
	}
	conf_free(conf);
	conf_report_free(report);
	return span_of(out, out ? len : 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span first, second;

	if (size > INPUT_MAX)
		return 0;
	first = printed(span_of(data, size));
	if (!first.data)
		return 0;
	second = printed(first);
	if (!second.data || !span_equal(first, second))
		abort();
	free((void *)(uintptr_t)first.data);
	free((void *)(uintptr_t)second.data);
	return 0;
}
