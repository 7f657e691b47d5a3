#include "process/listing.h"

#include "base/escape.h"

#include <inttypes.h>
#include <string.h>

enum { NAME_WIDTH = 16, GAP = 2, DURATION_MAX = 32 };

static void pad(FILE *to, size_t written, size_t width)
{
	fprintf(to, "%*s", (int)(written < width ? width - written + GAP : GAP), "");
}

/* How many characters it became. */
static size_t put_escaped(FILE *to, const char *text, bool is_json)
{
	struct span rest = span_text(text);
	char        out[ESCAPE_MAX];
	size_t      written = 0;

	while (rest.len > 0) {
		size_t len = is_json ? escape_json(&rest, out) : escape_text(&rest, "", out);

		(void)!fwrite(out, 1, len, to);
		written += len;
	}
	return written;
}

void listing_json_string(FILE *to, const char *text)
{
	putc('"', to);
	(void)put_escaped(to, text, true);
	putc('"', to);
}

/* ---- the frame around the cells ---- */

static void begin(struct listing *listing, FILE *to, bool is_json, const struct column *columns,
                  size_t count)
{
	CHECK(count > 0);
	*listing = (struct listing){
		.to = to, .columns = columns, .count = count, .is_json = is_json};
}

void listing_begin(struct listing *listing, FILE *to, bool is_json, const struct column *columns,
                   size_t count)
{
	begin(listing, to, is_json, columns, count);
	if (is_json) {
		putc('[', to);
		return;
	}
	for (size_t i = 0; i < count; i++) {
		fputs(columns[i].name, to);
		if (i + 1 < count)
			pad(to, strlen(columns[i].name), columns[i].width);
	}
	putc('\n', to);
}

void listing_begin_record(struct listing *listing, FILE *to, bool is_json,
                          const struct column *columns, size_t count)
{
	begin(listing, to, is_json, columns, count);
	listing->is_record = true;
}

void listing_end(struct listing *listing)
{
	CHECK(listing->at == 0);
	if (listing->is_json && !listing->is_record)
		fputs(listing->rows > 0 ? "\n]\n" : "]\n", listing->to);
}

static void begin_json_cell(struct listing *listing, const char *suffix)
{
	if (listing->at > 0)
		fputs(", ", listing->to);
	else if (listing->is_record)
		putc('{', listing->to);
	else
		fputs(listing->rows > 0 ? ",\n{" : "\n{", listing->to);
	fprintf(listing->to, "\"%s%s\": ", listing->columns[listing->at].name, suffix);
}

static void begin_cell(struct listing *listing, const char *suffix)
{
	const char *name = listing->columns[listing->at].name;

	if (listing->is_json) {
		begin_json_cell(listing, suffix);
	} else if (listing->is_record) {
		fputs(name, listing->to);
		pad(listing->to, strlen(name), NAME_WIDTH);
	}
}

static void end_row(struct listing *listing)
{
	listing->at = 0;
	listing->rows++;
	if (!listing->is_json)
		putc('\n', listing->to);
	else
		fputs(listing->is_record ? "}\n" : "}", listing->to);
}

static void end_cell(struct listing *listing, size_t written)
{
	const struct column *column = &listing->columns[listing->at++];

	if (listing->at == listing->count)
		end_row(listing);
	else if (listing->is_json)
		return;
	else if (listing->is_record)
		putc('\n', listing->to);
	else
		pad(listing->to, written, column->width);
}

/* ---- cells ---- */

static void put_literal(struct listing *listing, const char *suffix, const char *literal)
{
	begin_cell(listing, suffix);
	fputs(literal, listing->to);
	end_cell(listing, strlen(literal));
}

void listing_literal(struct listing *listing, const char *literal)
{
	put_literal(listing, "", literal);
}

void listing_absent(struct listing *listing)
{
	put_literal(listing, "", listing->is_json ? "null" : "-");
}

void listing_text(struct listing *listing, const char *text)
{
	size_t written;

	if (!text) {
		listing_absent(listing);
		return;
	}
	begin_cell(listing, "");
	if (listing->is_json) {
		listing_json_string(listing->to, text);
		written = 0;
	} else if (*text == '\0' || strcmp(text, "-") == 0) {
		/* Not to be taken for nothing, nor for what is absent. */
		written = (size_t)fprintf(listing->to, "%s", *text ? "\\x2d" : "\"\"");
	} else {
		written = put_escaped(listing->to, text, false);
	}
	end_cell(listing, written);
}

void listing_name(struct listing *listing, const char *text)
{
	listing_text(listing, text && *text ? text : NULL);
}

void listing_number(struct listing *listing, uint64_t number)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, number);
	put_literal(listing, "", text);
}

static void format_duration(uint64_t ms, char out[DURATION_MAX])
{
	uint64_t seconds = ms / 1000, minutes = seconds / 60, hours = minutes / 60;

	if (minutes == 0)
		snprintf(out, DURATION_MAX, "%" PRIu64 ".%" PRIu64 "s", seconds, ms % 1000 / 100);
	else if (hours == 0)
		snprintf(out, DURATION_MAX, "%" PRIu64 "m%02" PRIu64 "s", minutes, seconds % 60);
	else if (hours < 24)
		snprintf(out, DURATION_MAX, "%" PRIu64 "h%02" PRIu64 "m", hours, minutes % 60);
	else
		snprintf(out, DURATION_MAX, "%" PRIu64 "d%02" PRIu64 "h", hours / 24, hours % 24);
}

void listing_duration(struct listing *listing, uint64_t ms)
{
	char text[DURATION_MAX];

	if (listing->is_json)
		snprintf(text, sizeof(text), "%" PRIu64, ms);
	else
		format_duration(ms, text);
	put_literal(listing, "_ms", text);
}
