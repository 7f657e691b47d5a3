/* An access record by an operator's template. */
#include "process/access_format.h"
#include "test.h"

#include <stdlib.h>

static char line[ACCESS_LINE_MAX + 1];

static struct access_record record_of(const char *sni, const char *route)
{
	struct access_record record = {
		.head.time_ms = 1795527907123,
		.id = 42,
		.bytes_up = 1234,
		.hello_ms = -1,
		.connect_ms = -1,
		.duration_ms = 7,
		.client = {.ip = {192, 0, 2, 7}, .port = 5000, .family = ADDR_IP4},
		.mode = 255,
		.reason = REASON_NO_MATCH,
		.alert = 112,
	};

	for (size_t i = 0; i < ACCESS_TEXTS; i++)
		record.text_len[i] = ACCESS_ABSENT;
	if (sni)
		record.text_len[ACCESS_SNI] = (uint16_t)strlen(sni);
	if (route)
		record.text_len[ACCESS_ROUTE] = (uint16_t)strlen(route);
	return record;
}

static const char *format(const struct access_record *record, const char *texts, const char *text)
{
	struct template template;
	size_t len;

	EXPECT(template_init(&template, text));
	len = access_format_template(record, (const uint8_t *)texts, &template, line,
	                             ACCESS_LINE_MAX);
	line[len] = '\0';
	template_fini(&template);
	return line;
}

TEST(a_template_gives_its_line_and_nothing_else)
{
	struct access_record record = record_of("a.example", NULL);

	EXPECT(strcmp(format(&record, "a.example",
	                     "{time} [{client}] \"{sni}\" {reason}/{alert} {{{bytes_up}}} {id}"),
	              "2026-11-24T13:45:07.123Z [192.0.2.7:5000] \"a.example\" no_match/112 {1234} 42\n") ==
	       0);
}

TEST(an_absent_value_is_a_dash_or_what_the_template_says)
{
	struct access_record record = record_of(NULL, NULL);

	EXPECT(strcmp(format(&record, "",
	                     "{sni} {peer|nobody} <{route|}> {connect_ms|0} {tls|no=\"tls\"}"),
	              "- nobody <> 0 no=\"tls\"\n") == 0);
}

TEST(a_hostile_name_cannot_leave_its_place_in_a_template)
{
	static const char    name[] = "a\" b\n=\\\x7f{id}";
	struct access_record record = record_of(name, NULL);

	EXPECT(strcmp(format(&record, name, "\"{sni}\" {reason}"),
	              "\"a\\x22\\x20b\\x0a\\x3d\\x5c\\x7f{id}\" no_match\n") == 0);
}

TEST(a_name_that_is_a_dash_is_not_an_absent_one_in_a_template)
{
	struct access_record record = record_of("-", NULL);

	EXPECT(strcmp(format(&record, "-", "{sni|-}"), "\\x2d\n") == 0);
}

/* Every key once, with texts that take the most room, and as much text around as conf allows. */
TEST(the_longest_template_fits_a_line)
{
	static char          texts[ACCESS_TEXTS * 8000];
	static char          text[TEMPLATE_LONGEST + 1];
	struct access_record record = record_of(NULL, NULL);
	size_t               len = 0, got;

	memset(texts, 1, sizeof(texts));
	for (size_t i = 0; i < ACCESS_TEXTS; i++)
		record.text_len[i] = 8000;
	for (unsigned key = 0; key < TEMPLATE_KEYS; key++)
		len += (size_t)sprintf(text + len, "{%s}",
		                       template_key_name((enum template_key)key));
	memset(text + len, 'x', TEMPLATE_LONGEST - len);
	text[TEMPLATE_LONGEST] = '\0';
	got = strlen(format(&record, texts, text));
	EXPECT(got > TEMPLATE_LONGEST);
	EXPECT(line[got - 1] == '\n');
}

TEST(a_line_of_a_template_that_does_not_fit_is_not_written_half)
{
	struct access_record record = record_of("a.example", NULL);
	struct template template;
	size_t full = strlen(format(&record, "a.example", "{sni} {id}"));

	EXPECT(template_init(&template, "{sni} {id}"));
	for (size_t size = 0; size <= full; size++) {
		char *exact = malloc(size ? size : 1);

		EXPECT_EQ(access_format_template(&record, (const uint8_t *)"a.example", &template,
		                                 exact, size),
		          size < full ? 0 : full);
		free(exact);
	}
	template_fini(&template);
}

int main(void)
{
	return test_main();
}
