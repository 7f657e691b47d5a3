#include "process/listing.h"

#include "test.h"

#include <stdlib.h>
#include <string.h>

static const struct column columns[] = {{"name", 6}, {"active", 6}, {"age", 0}};

static char          *shown;
static size_t         shown_len;
static struct listing listing;

static void open_table(bool is_json)
{
	free(shown);
	shown = NULL;
	listing_begin(&listing, open_memstream(&shown, &shown_len), is_json, columns,
	              COUNT(columns));
}

static void add_row(const char *name, uint64_t active, uint64_t age_ms)
{
	listing_text(&listing, name);
	listing_number(&listing, active);
	listing_duration(&listing, age_ms);
}

static void expect(const char *wanted)
{
	listing_end(&listing);
	fclose(listing.to);
	EXPECT(strcmp(shown, wanted) == 0);
	if (strcmp(shown, wanted) != 0)
		printf("%s", shown);
	free(shown);
	shown = NULL;
}

TEST(a_table_is_a_line_of_names_and_a_line_a_row)
{
	open_table(false);
	add_row("a", 7, 1234);
	add_row("longer-than-six", 100, 0);
	expect("name    active  age\n"
	       "a       7       1.2s\n"
	       "longer-than-six  100     0.0s\n");
}

TEST(the_same_in_json_is_an_array_of_objects)
{
	open_table(true);
	add_row("a", 7, 1234);
	add_row("b", 0, 0);
	expect("[\n"
	       "{\"name\": \"a\", \"active\": 7, \"age_ms\": 1234},\n"
	       "{\"name\": \"b\", \"active\": 0, \"age_ms\": 0}\n"
	       "]\n");
}

TEST(a_table_without_rows_is_still_a_table)
{
	open_table(false);
	expect("name    active  age\n");
	open_table(true);
	expect("[]\n");
}

TEST(a_record_is_a_line_a_value_or_one_object)
{
	free(shown);
	shown = NULL;
	listing_begin_record(&listing, open_memstream(&shown, &shown_len), false, columns,
	                     COUNT(columns));
	add_row("a", 7, 60000);
	expect("name              a\n"
	       "active            7\n"
	       "age               1m00s\n");
	listing_begin_record(&listing, open_memstream(&shown, &shown_len), true, columns,
	                     COUNT(columns));
	add_row("a", 7, 60000);
	expect("{\"name\": \"a\", \"active\": 7, \"age_ms\": 60000}\n");
}

TEST(hostile_names_add_no_cell_and_no_line)
{
	open_table(false);
	add_row("a b\nc\x1b[2J\"", 1, 0);
	expect("name    active  age\n"
	       "a\\x20b\\x0ac\\x1b[2J\\x22  1       0.0s\n");
	open_table(true);
	add_row("a\", \"active\": 9\n\\\xff", 1, 0);
	expect("[\n"
	       "{\"name\": \"a\\\", \\\"active\\\": 9\\u000a\\\\\\u00ff\", \"active\": 1, "
	       "\"age_ms\": 0}\n"
	       "]\n");
}

TEST(what_is_absent_is_not_what_is_empty_nor_a_dash)
{
	open_table(false);
	add_row(NULL, 1, 0);
	add_row("", 1, 0);
	add_row("-", 1, 0);
	listing_name(&listing, "");
	listing_literal(&listing, "true");
	listing_absent(&listing);
	expect("name    active  age\n"
	       "-       1       0.0s\n"
	       "\"\"      1       0.0s\n"
	       "\\x2d    1       0.0s\n"
	       "-       true    -\n");
	open_table(true);
	add_row(NULL, 1, 0);
	add_row("", 1, 0);
	listing_name(&listing, "");
	listing_literal(&listing, "true");
	listing_absent(&listing);
	expect("[\n"
	       "{\"name\": null, \"active\": 1, \"age_ms\": 0},\n"
	       "{\"name\": \"\", \"active\": 1, \"age_ms\": 0},\n"
	       "{\"name\": null, \"active\": true, \"age\": null}\n"
	       "]\n");
}

TEST(durations_are_short)
{
	static const struct {
		uint64_t    ms;
		const char *text;
	} rows[] = {
		{999, "0.9s"},       {59999, "59.9s"},        {60000, "1m00s"},
		{3599999, "59m59s"}, {3600000, "1h00m"},      {86399999, "23h59m"},
		{86400000, "1d00h"}, {9000000000, "104d04h"},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		char wanted[128];

		open_table(false);
		add_row("x", 1, rows[i].ms);
		snprintf(wanted, sizeof(wanted), "name    active  age\nx       1       %s\n",
		         rows[i].text);
		expect(wanted);
	}
}

int main(void)
{
	return test_main();
}
