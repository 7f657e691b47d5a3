#include "base/escape.h"

#include "test.h"

static char shown[1024];

/* All of *bytes*, one character after the other. */
static const char *json(const char *bytes, size_t len)
{
	struct span rest = span_of(bytes, len);
	size_t      at = 0;

	while (rest.len > 0)
		at += escape_json(&rest, shown + at);
	shown[at] = '\0';
	return shown;
}

static const char *text(const char *bytes, const char *also)
{
	struct span rest = span_text(bytes);
	size_t      at = 0;

	while (rest.len > 0)
		at += escape_text(&rest, also, shown + at);
	shown[at] = '\0';
	return shown;
}

static const char *label(const char *name)
{
	struct span bytes = span_text(name);
	size_t      len = 0;

	while (bytes.len > 0)
		len += escape_label(&bytes, shown + len);
	shown[len] = '\0';
	return shown;
}

#define EXPECT_TEXT(got, want)                                                                     \
	do {                                                                                       \
		const char *test_text = (got);                                                     \
		EXPECT(strcmp(test_text, (want)) == 0);                                            \
		if (strcmp(test_text, (want)) != 0)                                                \
			printf("  %s\n", test_text);                                               \
	} while (0)

#define JSON(literal) json(literal, sizeof(literal) - 1)

TEST(plain_text_stays_as_it_is)
{
	EXPECT_TEXT(JSON("www.example.com:443 ~!"), "www.example.com:443 ~!");
	EXPECT_TEXT(text("www.example.com:443~!", ""), "www.example.com:443~!");
}

TEST(nothing_ends_a_json_string)
{
	EXPECT_TEXT(JSON("a\"b\\c"), "a\\\"b\\\\c");
	EXPECT_TEXT(JSON("\n\r\t\0\x1b\x7f"), "\\u000a\\u000d\\u0009\\u0000\\u001b\\u007f");
}

TEST(utf8_becomes_code_points_in_json)
{
	EXPECT_TEXT(JSON("\xc3\xa9"), "\\u00e9");
	EXPECT_TEXT(JSON("\xe2\x82\xac!"), "\\u20ac!");
	EXPECT_TEXT(JSON("\xf0\x9f\x98\x80"), "\\ud83d\\ude00");
	EXPECT_TEXT(JSON("\xf4\x8f\xbf\xbf"), "\\udbff\\udfff");
}

TEST(bytes_that_are_not_utf8_become_their_value_in_json)
{
	EXPECT_TEXT(JSON("\xff"), "\\u00ff");
	EXPECT_TEXT(JSON("\xc3"), "\\u00c3");                                  /* cut */
	EXPECT_TEXT(JSON("\xc0\x80"), "\\u00c0\\u0080");                       /* overlong */
	EXPECT_TEXT(JSON("\xe2\x82"), "\\u00e2\\u0082");                       /* cut */
	EXPECT_TEXT(JSON("\xed\xa0\x80"), "\\u00ed\\u00a0\\u0080");            /* a surrogate */
	EXPECT_TEXT(JSON("\xf4\x90\x80\x80"), "\\u00f4\\u0090\\u0080\\u0080"); /* too far */
	EXPECT_TEXT(JSON("\xe0\x80\x80z"), "\\u00e0\\u0080\\u0080z");
}

TEST(nothing_ends_a_value_of_a_line)
{
	EXPECT_TEXT(text("a b=c\"d\\e", ""), "a\\x20b\\x3dc\\x22d\\x5ce");
	EXPECT_TEXT(text("\n\x1b[2J\x7f\xc3\xa9", ""), "\\x0a\\x1b[2J\\x7f\\xc3\\xa9");
}

TEST(what_else_has_a_meaning_is_escaped_on_demand)
{
	EXPECT_TEXT(text("h2,http/1.1", ""), "h2,http/1.1");
	EXPECT_TEXT(text("h2,http/1.1", ",/"), "h2\\x2chttp\\x2f1.1");
}

TEST(nothing_ends_a_label_value)
{
	EXPECT_TEXT(label("10.0.0.1:443 a=b,{}"), "10.0.0.1:443 a=b,{}");
	EXPECT_TEXT(label("a\"b\\c\nd"), "a\\\"b\\\\c\\nd");
}

TEST(a_label_value_is_utf8_whatever_the_name_is)
{
	EXPECT_TEXT(label("\xc3\xa9\xf0\x9f\x98\x80"), "\xc3\xa9\xf0\x9f\x98\x80");
	EXPECT_TEXT(label("\xff"
	                  "a\xc3"),
	            "\\\\xffa\\\\xc3");
	EXPECT_TEXT(label("\x1b[2J\r\x7f"), "\\\\x1b[2J\\\\x0d\\\\x7f");
}

int main(void)
{
	return test_main();
}
