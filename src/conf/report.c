#include "conf/report.h"

#include <stdarg.h>
#include <stdlib.h>

struct message {
	size_t   file; /* index in files */
	unsigned line;
	size_t   number; /* as reported; keeps the order within a line */
	char    *text;
};

struct conf_report {
	struct message *messages;
	size_t          count, room;
	char          **files;
	size_t          file_count;
	size_t          errors;
	size_t          lost; /* for want of memory; counted as errors all the same */
};

struct conf_report *conf_report_new(void)
{
	return calloc(1, sizeof(struct conf_report));
}

void conf_report_free(struct conf_report *report)
{
	if (!report)
		return;
	for (size_t i = 0; i < report->count; i++)
		free(report->messages[i].text);
	for (size_t i = 0; i < report->file_count; i++)
		free(report->files[i]);
	free(report->messages);
	free(report->files);
	free(report);
}

/* Finds or adds; -1: no memory. The file asked for last is the likeliest, so it looks from the
 * end. */
static long file_number(struct conf_report *report, const char *file)
{
	size_t count = report->file_count;
	char **files;
	char  *copy;

	for (size_t i = count; i-- > 0;)
		if (strcmp(report->files[i], file) == 0)
			return (long)i;
	copy = strdup(file);
	files = realloc(report->files, (count + 1) * sizeof(*files));
	if (files)
		report->files = files;
	if (!files || !copy) {
		free(copy);
		return -1;
	}
	files[count] = copy;
	report->file_count++;
	return (long)count;
}

void report_file(struct conf_report *report, const char *file)
{
	/* When there is no memory for it the messages that need it say so. */
	(void)file_number(report, file);
}

static bool message_add(struct conf_report *report, struct conf_pos pos, char *text)
{
	long file = file_number(report, pos.file ? pos.file : "");

	if (file < 0)
		return false;
	if (report->count == report->room) {
		size_t          room = report->room ? report->room * 2 : 16;
		struct message *grown = realloc(report->messages, room * sizeof(*grown));

		if (!grown)
			return false;
		report->messages = grown;
		report->room = room;
	}
	report->messages[report->count] = (struct message){(size_t)file, pos.line, report->count,
	                                                   text};
	report->count++;
	return true;
}

static void add(struct conf_report *report, struct conf_pos pos, char *text)
{
	if (text && message_add(report, pos, text))
		return;
	free(text);
	report->lost++;
}

static PRINTF(1, 0) char *format_text(const char *format, va_list arguments)
{
	char *text;

	return vasprintf(&text, format, arguments) < 0 ? 0 : text;
}

void conf_error(struct conf_report *report, struct conf_pos pos, const char *format, ...)
{
	va_list arguments;

	report->errors++;
	va_start(arguments, format);
	add(report, pos, format_text(format, arguments));
	va_end(arguments);
}

void conf_warn(struct conf_report *report, struct conf_pos pos, unsigned lint, const char *format,
               ...)
{
	va_list arguments;
	char   *text, *whole;

	va_start(arguments, format);
	text = format_text(format, arguments);
	va_end(arguments);
	if (!text || asprintf(&whole, "warning: %s (L%02u)", text, lint) < 0)
		whole = 0;
	free(text);
	add(report, pos, whole);
}

size_t conf_report_errors(const struct conf_report *report)
{
	return report->errors;
}

static int by_place(const void *a, const void *b)
{
	const struct message *x = a, *y = b;

	if (x->file != y->file)
		return x->file < y->file ? -1 : 1;
	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	return x->number < y->number ? -1 : x->number > y->number;
}

/* Sorts in place: the order is the report's, whenever it is printed. */
void conf_report_print(const struct conf_report *report, FILE *to)
{
	if (report->count)
		qsort(report->messages, report->count, sizeof(struct message), by_place);
	for (size_t i = 0; i < report->count; i++) {
		const struct message *message = &report->messages[i];
		const char           *file = report->files[message->file];

		if (*file && message->line)
			fprintf(to, "%s:%u: %s\n", file, message->line, message->text);
		else if (*file)
			fprintf(to, "%s: %s\n", file, message->text);
		else
			fprintf(to, "%s\n", message->text);
	}
	if (report->lost)
		fprintf(to, "and %zu more, lost for want of memory\n", report->lost);
}

const char *report_value(const char *value, char out[REPORT_VALUE_MAX])
{
	enum { SHOWN = REPORT_VALUE_MAX - 4 };
	size_t len = strnlen(value, SHOWN + 1);
	bool   cut = len > SHOWN;

	if (cut)
		len = SHOWN;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)value[i];

		out[i] = c < 0x20 || c == 0x7f ? '?' : value[i];
	}
	strcpy(out + len, cut ? "..." : "");
	return out;
}
