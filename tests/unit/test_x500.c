#include "proto/x500.h"
#include "test.h"

#include <stdlib.h>

/* ---- DER made backwards would be shorter, forwards it is read more easily ---- */

struct der {
	uint8_t bytes[600];
	size_t  len;
};

static struct span whole(const struct der *der)
{
	return span_of(der->bytes, der->len);
}

static void add(struct der *to, uint8_t tag, struct span contents)
{
	to->bytes[to->len++] = tag;
	if (contents.len >= 0x80) {
		to->bytes[to->len++] = 0x82;
		to->bytes[to->len++] = (uint8_t)(contents.len >> 8);
	}
	to->bytes[to->len++] = (uint8_t)contents.len;
	memcpy(to->bytes + to->len, contents.data, contents.len);
	to->len += contents.len;
}

/* One type and value; *oid* is a literal of DER. */
static struct der pair(const char *oid, uint8_t tag, struct span value)
{
	struct der inner = {0}, outer = {0};

	add(&inner, 0x06, span_text(oid));
	add(&inner, tag, value);
	add(&outer, 0x30, whole(&inner));
	return outer;
}

static void add_name(struct der *name, const char *oid, uint8_t tag, struct span value)
{
	struct der one = pair(oid, tag, value);

	add(name, 0x31, whole(&one));
}

#define CN "\x55\x04\x03"
#define O  "\x55\x04\x0a"
#define C  "\x55\x04\x06"

enum { UTF8 = 0x0c, PRINTABLE = 0x13, BMP = 0x1e, INTEGER = 0x02 };

static bool formats_as(const struct der *name, const char *want)
{
	char text[200];

	x500_format(whole(name), text, sizeof(text));
	if (strcmp(text, want) != 0)
		printf("  %s\n", text);
	return strcmp(text, want) == 0;
}

static bool value_formats_as(uint8_t tag, struct span value, const char *want)
{
	struct der name = {0};

	add_name(&name, CN, tag, value);
	return formats_as(&name, want);
}

TEST(a_name_is_written_from_its_end)
{
	struct der name = {0};

	add_name(&name, C, PRINTABLE, span_text("CH"));
	add_name(&name, O, UTF8, span_text("Example, Inc"));
	add_name(&name, CN, UTF8, span_text("client"));
	EXPECT(formats_as(&name, "CN=client,O=Example\\, Inc,C=CH"));
}

TEST(an_empty_name_is_empty)
{
	struct der name = {0};

	EXPECT(formats_as(&name, ""));
}

TEST(what_could_be_taken_for_syntax_is_escaped)
{
	EXPECT(value_formats_as(UTF8, span_text("a,b+c\"d\\e<f>g;h=i"),
	                        "CN=a\\,b\\+c\\\"d\\\\e\\<f\\>g\\;h=i"));
	EXPECT(value_formats_as(UTF8, span_text("#1 # "), "CN=\\#1 #\\ "));
	EXPECT(value_formats_as(UTF8, span_text(" "), "CN=\\ "));
	EXPECT(value_formats_as(UTF8, span_text("a\nb\x7f\xc3\xa4"), "CN=a\\0Ab\\7F\\C3\\A4"));
	EXPECT(value_formats_as(UTF8, span_of("a\0b", 3), "CN=a\\00b"));
}

TEST(two_bytes_a_character_are_read)
{
	EXPECT(value_formats_as(BMP, span_of("\0a\0,\x20\xac", 6), "CN=a\\,\\20\\AC"));
}

TEST(what_is_no_string_is_written_in_hex_and_unknown_types_as_numbers)
{
	struct der name = {0};

	EXPECT(value_formats_as(INTEGER, span_of("\x07", 1), "CN=#020107"));
	add_name(&name, "\x2a\x86\x48\x01", UTF8, span_text("x"));
	add_name(&name, "\x88\x37\x03", UTF8, span_text("y"));
	EXPECT(formats_as(&name, "2.999.3=y,1.2.840.1=x"));
}

TEST(several_values_at_one_place_are_joined)
{
	struct der set = {0}, name = {0}, one = pair(CN, UTF8, span_text("a")),
		   two = pair(O, UTF8, span_text("b"));

	memcpy(set.bytes, one.bytes, one.len);
	memcpy(set.bytes + one.len, two.bytes, two.len);
	set.len = one.len + two.len;
	add(&name, 0x31, whole(&set));
	EXPECT(formats_as(&name, "CN=a+O=b"));
}

TEST(a_name_is_cut_to_the_room_there_is)
{
	struct der name = {0};
	char       text[6] = "zzzzz";

	add_name(&name, CN, UTF8, span_text("client"));
	x500_format(whole(&name), text, sizeof(text));
	EXPECT(strcmp(text, "CN=cl") == 0);
	x500_format(whole(&name), text, 1);
	EXPECT(strcmp(text, "") == 0);
	text[0] = 'z';
	x500_format(whole(&name), text, 0);
	EXPECT(text[0] == 'z');
}

/* ---- certificates ---- */

/* With the subject CN=holder and, of version 3, alternative names. */
static struct der certificate(bool is_v3)
{
	struct der name = {0}, names = {0}, octets = {0}, extension = {0}, other = {0}, list = {0},
		   sequence = {0}, body = {0}, outer = {0}, all = {0};

	add_name(&name, CN, UTF8, span_text("holder"));
	add(&names, 0x82, span_text("www.example.com"));
	add(&names, 0x86, span_text("mail.example.com")); /* a URI */
	add(&names, 0x82, span_of("good.example\0.bad.example", 25));
	add(&names, 0x87, span_of("\xc0\0\x02\x01", 4));
	add(&octets, 0x30, whole(&names));
	add(&other, 0x06, span_text("\x55\x1d\x13"));
	add(&other, 0x04, span_text("0"));
	add(&extension, 0x06, span_text("\x55\x1d\x11"));
	add(&extension, 0x01, span_text("\xff"));
	add(&extension, 0x04, whole(&octets));
	add(&list, 0x30, whole(&other));
	add(&list, 0x30, whole(&extension));
	add(&sequence, 0x30, whole(&list));
	if (is_v3)
		add(&body, 0xa0, span_of("\x02\x01\x02", 3));
	add(&body, 0x02, span_text("\x01"));
	add(&body, 0x30, span_text("")); /* signature algorithm, issuer, validity */
	add(&body, 0x30, span_text(""));
	add(&body, 0x30, span_text(""));
	add(&body, 0x30, whole(&name));
	add(&body, 0x30, span_text("")); /* key */
	if (is_v3)
		add(&body, 0xa3, whole(&sequence));
	add(&outer, 0x30, whole(&body));
	add(&outer, 0x30, span_text(""));
	add(&outer, 0x03, span_text(""));
	add(&all, 0x30, whole(&outer));
	return all;
}

static bool has(const struct der *der, enum x500_kind kind, const char *value, size_t len)
{
	return x500_has(whole(der), kind, span_of(value, len));
}

TEST(the_subject_of_a_certificate_is_found)
{
	for (int is_v3 = 0; is_v3 < 2; is_v3++) {
		struct der  der = certificate(is_v3);
		struct span name;
		char        text[32];

		EXPECT(x500_subject(whole(&der), &name));
		x500_format(name, text, sizeof(text));
		EXPECT(strcmp(text, "CN=holder") == 0);
	}
}

TEST(a_certificate_has_its_alternative_names_and_no_others)
{
	struct der v1 = certificate(false), v3 = certificate(true);

	EXPECT(has(&v3, X500_DNS, "www.example.com", 15));
	EXPECT(has(&v3, X500_DNS, "WWW.Example.COM", 15));
	EXPECT(has(&v3, X500_ADDRESS, "\xc0\0\x02\x01", 4));
	EXPECT(!has(&v3, X500_ADDRESS, "\xc0\0\x02\x02", 4));
	EXPECT(!has(&v3, X500_DNS, "ww.example.com", 14));
	EXPECT(!has(&v3, X500_DNS, "mail.example.com", 16));
	EXPECT(!has(&v3, X500_DNS, "holder", 6));
	EXPECT(!has(&v3, X500_DNS, "\xc0\0\x02\x01", 4));
	EXPECT(!has(&v3, X500_DNS, "", 0));
	EXPECT(!has(&v1, X500_DNS, "www.example.com", 15));
}

/* The bug of many verifiers: a NUL that ends the comparison, not the name. */
TEST(a_nul_within_a_name_matches_nothing)
{
	struct der v3 = certificate(true);

	EXPECT(!has(&v3, X500_DNS, "good.example", 12));
	EXPECT(!has(&v3, X500_DNS, "good.example\0.bad.example", 25));
	EXPECT(!has(&v3, X500_DNS, "good.example\0.any.example", 25));
}

TEST(a_certificate_that_is_cut_anywhere_is_none)
{
	struct der v3 = certificate(true);

	for (size_t len = 0; len < v3.len; len++) {
		uint8_t    *cut = malloc(len ? len : 1); /* a sanitizer sees what is read beyond */
		struct span name;

		memcpy(cut, v3.bytes, len);
		EXPECT(!x500_subject(span_of(cut, len), &name));
		EXPECT(!x500_has(span_of(cut, len), X500_DNS, span_text("www.example.com")));
		free(cut);
	}
}

TEST(lengths_without_sense_are_refused)
{
	static const char *const broken[] = {"\x30\x80\x30\x80", "\x30\x84\x01\x01\x01\x01zz",
	                                     "\x30\x83\xff\xff\xff", "\x30\xff"};

	for (size_t i = 0; i < COUNT(broken); i++) {
		struct span name;
		char        text[8] = "z";

		EXPECT(!x500_subject(span_text(broken[i]), &name));
		x500_format(span_text(broken[i]), text, sizeof(text));
		EXPECT(strcmp(text, "") == 0);
	}
}

int main(void)
{
	return test_main();
}
