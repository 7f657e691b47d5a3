#include "hello_maker.h"
#include "proto/proxyproto.h"
#include "test.h"

#include <stdlib.h>

#define SIGNATURE                       "0d0a0d0a000d0a515549540a "
#define ADDRESSES4                      "c0000201 c6336402 cafe 01bb "
#define ADDRESSES6                      "20010db8 00*11 01 20010db8 00*11 02 cafe 01bb "
#define BLOCK(command, family, content) SIGNATURE command family " [2 " content "] "
#define TLVS                            " 01 [2 'h2' ] 04 [2 00*5 ] ea [2 ] "

static struct made       made;
static struct proxyproto header;

/* In a heap block of the exact size, so that a sanitizer sees what is read beyond. */
static enum proxyproto_result parse_span(struct span bytes)
{
	uint8_t               *copy = malloc(bytes.len ? bytes.len : 1);
	enum proxyproto_result result;

	if (!copy)
		abort();
	if (bytes.len > 0)
		memcpy(copy, bytes.data, bytes.len);
	result = proxyproto_parse(span_of(copy, bytes.len), &header);
	free(copy);
	return result;
}

static enum proxyproto_result parse(const char *recipe)
{
	return parse_span(make(&made, recipe));
}

static enum proxyproto_result parse_text(const char *text)
{
	return parse_span(span_text(text));
}

static bool is_addr(struct addr addr, const char *want)
{
	char text[ADDR_TEXT_MAX];

	(void)addr_format(&addr, text);
	return strcmp(text, want) == 0;
}

/* A header that says *source* and *destination*, whole at its last byte, MORE at every one
 * before. */
static void expect_header(struct span bytes, const char *source, const char *destination)
{
	static uint8_t longer[8192];

	for (size_t len = 0; len < bytes.len; len++)
		EXPECT_EQ(parse_span(span_of(bytes.data, len)), PROXYPROTO_MORE);
	if (bytes.len > sizeof(longer) - 100)
		abort();
	memcpy(longer, bytes.data, bytes.len);
	memset(longer + bytes.len, 0x16, 100);
	for (size_t more = 0; more <= 100; more++) {
		EXPECT_EQ(parse_span(span_of(longer, bytes.len + more)), PROXYPROTO_OK);
		EXPECT_EQ(header.len, bytes.len);
		EXPECT_EQ(header.has_addresses, source != NULL);
		EXPECT(is_addr(header.source, source ? source : "-"));
		EXPECT(is_addr(header.destination, destination ? destination : "-"));
	}
}

/* Refused by its last byte, and no shorter run took it for a header or for no header. */
static void expect_bad(struct span bytes)
{
	static uint8_t         longer[8192];
	enum proxyproto_result before = PROXYPROTO_MORE;

	EXPECT_EQ(parse_span(bytes), PROXYPROTO_BAD);
	if (bytes.len > sizeof(longer) - 100)
		abort();
	memcpy(longer, bytes.data, bytes.len);
	memset(longer + bytes.len, '\n', 100);
	for (size_t len = 0; len <= bytes.len + 100; len++) {
		enum proxyproto_result result = parse_span(span_of(longer, len));

		EXPECT(result == PROXYPROTO_BAD ||
		       (result == PROXYPROTO_MORE && before == PROXYPROTO_MORE));
		before = result;
	}
}

/* ---- Neither
 * ------------------------------------------------------------------------------------- */

TEST(first_bytes_of_neither_version_are_none)
{
	EXPECT_EQ(parse_text(""), PROXYPROTO_MORE);
	EXPECT_EQ(proxyproto_parse((struct span){0}, &header), PROXYPROTO_MORE);
	EXPECT_EQ(parse("16"), PROXYPROTO_NONE);
	EXPECT_EQ(parse_text("G"), PROXYPROTO_NONE);
	EXPECT_EQ(parse_text("PU"), PROXYPROTO_NONE);
	EXPECT_EQ(parse_text("PROXX"), PROXYPROTO_NONE);
	EXPECT_EQ(parse_text("PROXY\t"), PROXYPROTO_NONE);
	EXPECT_EQ(parse_text("proxy TCP4"), PROXYPROTO_NONE);
	EXPECT_EQ(parse_text("\r\n\r\nX"), PROXYPROTO_NONE);
	EXPECT_EQ(parse("0d0a0d0a000d0a515549540b"), PROXYPROTO_NONE);
}

TEST(every_first_byte_but_two_is_none)
{
	for (unsigned byte = 0; byte < 256; byte++) {
		uint8_t first = (uint8_t)byte;

		EXPECT_EQ(parse_span(span_of(&first, 1)),
		          byte == 'P' || byte == '\r' ? PROXYPROTO_MORE : PROXYPROTO_NONE);
	}
}

/* ---- Version 1
 * ----------------------------------------------------------------------------------- */

TEST(v1_addresses_are_read)
{
	expect_header(span_text("PROXY TCP4 192.0.2.1 198.51.100.2 51966 443\r\n"),
	              "192.0.2.1:51966", "198.51.100.2:443");
	expect_header(span_text("PROXY TCP6 2001:db8::1 2001:db8::2 0 65535\r\n"),
	              "[2001:db8::1]:0", "[2001:db8::2]:65535");
	expect_header(span_text("PROXY TCP6 ::ffff:192.0.2.1 ::ffff:198.51.100.2 1 2\r\n"),
	              "192.0.2.1:1", "198.51.100.2:2");
}

TEST(v1_longest_line_of_addresses_is_read)
{
	expect_header(span_text("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
	                        "fffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65534\r\n"),
	              "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
	              "[fffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65534");
}

TEST(v1_unknown_keeps_the_peer)
{
	expect_header(span_text("PROXY UNKNOWN\r\n"), NULL, NULL);
	expect_header(span_text("PROXY UNKNOWN 1.2.3.4 \r \n anything\r\n"), NULL, NULL);
	/* 107 bytes, the most a line may have */
	expect_header(make(&made, "'PROXY UNKNOWN ' 78*91 0d0a"), NULL, NULL);
	EXPECT_EQ(made.len, 107);
}

TEST(v1_line_without_end_is_refused_at_107_bytes)
{
	EXPECT_EQ(parse("'PROXY UNKNOWN ' 78*92"), PROXYPROTO_MORE);
	expect_bad(make(&made, "'PROXY UNKNOWN ' 78*93"));
	expect_bad(make(&made, "'PROXY UNKNOWN ' 78*92 0d0a"));
	expect_bad(make(&made, "'PROXY TCP4 ' 31*96"));
}

TEST(v1_family_that_is_none_is_refused_at_once)
{
	expect_bad(span_text("PROXY X"));
	expect_bad(span_text("PROXY TCP5"));
	expect_bad(span_text("PROXY UDP4"));
	expect_bad(span_text("PROXY tcp4"));
	expect_bad(span_text("PROXY TCP4\r\n"));
	expect_bad(span_text("PROXY \r\n"));
	expect_bad(span_text("PROXY  TCP4"));
}

TEST(v1_malformed_lines_are_refused)
{
	static const char *const bad[] = {
		"PROXY UNKNOWNX\r\n",
		"PROXY TCP4 \r\n",
		"PROXY TCP4 192.0.2.1\r\n",
		"PROXY TCP4 192.0.2.1 198.51.100.2 1\r\n",
		"PROXY TCP4 192.0.2.1 198.51.100.2 1 \r\n",
		"PROXY TCP4 192.0.2.1 198.51.100.2 1 2 \r\n",
		"PROXY TCP4 192.0.2.1 198.51.100.2 1 2 3\r\n",
		"PROXY TCP4  192.0.2.1 198.51.100.2 1 2\r\n",
		"PROXY TCP4 192.0.2.1  198.51.100.2 1 2\r\n",
		"PROXY TCP4 192.0.2.1 198.51.100.2 1  2\r\n",
		"PROXY TCP4 192.0.2.1\t198.51.100.2 1 2\r\n",
		"PROXY TCP4 192.0.2.1 198.51.100.2 1 2\n\r\n",
		"PROXY TCP4 192.0.2.1 198.51.100.2 1 2\r\r\n",
		"PROXY TCP4 192.0.2.1 198.51.100.2 01 2\r\n",
		"PROXY TCP4 192.0.2.1 198.51.100.2 1 00\r\n",
		"PROXY TCP4 192.0.2.1 198.51.100.2 +1 2\r\n",
		"PROXY TCP4 192.0.2.1 198.51.100.2 -1 2\r\n",
		"PROXY TCP4 192.0.2.1 198.51.100.2 65536 2\r\n",
		"PROXY TCP4 192.0.2.1 198.51.100.2 1 65536\r\n",
		"PROXY TCP4 192.0.2.1 198.51.100.2 100000 2\r\n",
		"PROXY TCP4 192.0.2.1 198.51.100.2 1x 2\r\n",
		"PROXY TCP4 192.0.2.1 198.51.100.2 0x1 2\r\n",
		"PROXY TCP4 192.0.2.256 198.51.100.2 1 2\r\n",
		"PROXY TCP4 192.0.2 198.51.100.2 1 2\r\n",
		"PROXY TCP4 192.0.2.01 198.51.100.2 1 2\r\n",
		"PROXY TCP4 localhost 198.51.100.2 1 2\r\n",
		"PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n",
		"PROXY TCP4 192.0.2.1 2001:db8::2 1 2\r\n",
		"PROXY TCP4 ::ffff:192.0.2.1 198.51.100.2 1 2\r\n",
		"PROXY TCP6 192.0.2.1 198.51.100.2 1 2\r\n",
		"PROXY TCP6 2001:db8::1 198.51.100.2 1 2\r\n",
		"PROXY TCP6 [2001:db8::1] 2001:db8::2 1 2\r\n",
		"PROXY TCP6 2001:db8::1%lo 2001:db8::2 1 2\r\n",
	};

	for (size_t i = 0; i < COUNT(bad); i++) {
		bool before = test_failed;

		expect_bad(span_text(bad[i]));
		if (test_failed && !before)
			printf("  %s", bad[i]);
	}
	expect_bad(make(&made, "'PROXY TCP4 192.0.2.1' 00 ' 198.51.100.2 1 2' 0d0a"));
}

/* ---- Version 2
 * ----------------------------------------------------------------------------------- */

TEST(v2_addresses_are_read)
{
	expect_header(make(&made, BLOCK("21", "11", ADDRESSES4)), "192.0.2.1:51966",
	              "198.51.100.2:443");
	expect_header(make(&made, BLOCK("21", "21", ADDRESSES6)), "[2001:db8::1]:51966",
	              "[2001:db8::2]:443");
	expect_header(
		make(&made, BLOCK("21", "21", "00*10 ffff c0000201 00*10 ffff c6336402 cafe 01bb")),
		"192.0.2.1:51966", "198.51.100.2:443");
}

TEST(v2_tlvs_are_skipped)
{
	expect_header(make(&made, BLOCK("21", "11", ADDRESSES4 TLVS)), "192.0.2.1:51966",
	              "198.51.100.2:443");
	expect_header(make(&made, BLOCK("21", "21", ADDRESSES6 TLVS)), "[2001:db8::1]:51966",
	              "[2001:db8::2]:443");
	expect_header(make(&made, BLOCK("21", "31", "'/a' 00*214" TLVS)), NULL, NULL);
}

TEST(v2_without_ip_addresses_keeps_the_peer)
{
	expect_header(make(&made, BLOCK("20", "00", "")), NULL, NULL);
	expect_header(make(&made, BLOCK("21", "00", "")), NULL, NULL);
	expect_header(make(&made, BLOCK("21", "00", TLVS)), NULL, NULL);
	expect_header(make(&made, BLOCK("21", "00", "'no TLVs'")), NULL, NULL);
	expect_header(make(&made, BLOCK("21", "31", "'/a' 00*214")), NULL, NULL);
	expect_header(make(&made, BLOCK("21", "10", ADDRESSES4)), NULL, NULL);
	expect_header(make(&made, BLOCK("21", "20", ADDRESSES6)), NULL, NULL);
}

TEST(v2_local_ignores_family_and_block)
{
	expect_header(make(&made, BLOCK("20", "11", ADDRESSES4)), NULL, NULL);
	expect_header(make(&made, BLOCK("20", "11", "'short'")), NULL, NULL);
	expect_header(make(&made, BLOCK("20", "ff", "00 00 00 00 01 ff")), NULL, NULL);
}

TEST(v2_longest_header_is_read)
{
	expect_header(make(&made, BLOCK("21", "11", ADDRESSES4 "30 [2 00*4065 ] ")),
	              "192.0.2.1:51966", "198.51.100.2:443");
	EXPECT_EQ(made.len, PROXYPROTO_IN_MAX);
	expect_bad(make(&made, SIGNATURE "21 11 0ff1"));
	expect_bad(make(&made, SIGNATURE "20 00 ffff"));
}

TEST(v2_malformed_headers_are_refused)
{
	static const char *const bad[] = {
		SIGNATURE "11",                               /* version 1 */
		SIGNATURE "31",                               /* version 3 */
		SIGNATURE "01",                               /* version 0 */
		SIGNATURE "22",                               /* command 2 */
		SIGNATURE "2f",                               /* command 15 */
		BLOCK("21", "12", ADDRESSES4),                /* UDP over IPv4 */
		BLOCK("21", "22", ADDRESSES6),                /* UDP over IPv6 */
		BLOCK("21", "32", "00*216"),                  /* unix datagrams */
		BLOCK("21", "02", ""),                        /* datagrams of no family */
		BLOCK("21", "13", ADDRESSES4),                /* transport 3 */
		BLOCK("21", "1f", ADDRESSES4),                /* transport 15 */
		BLOCK("21", "41", ADDRESSES6),                /* family 4 */
		BLOCK("21", "f1", ADDRESSES6),                /* family 15 */
		SIGNATURE "21 11 0000",                       /* no addresses */
		SIGNATURE "21 11 000b",                       /* IPv4, one byte short */
		SIGNATURE "21 21 0023",                       /* IPv6, one byte short */
		SIGNATURE "21 31 00d7",                       /* unix, one byte short */
		BLOCK("21", "11", ADDRESSES4 "01"),           /* TLV of a type alone */
		BLOCK("21", "11", ADDRESSES4 "01 00"),        /* TLV with half a length */
		BLOCK("21", "11", ADDRESSES4 "01 0003 'h2'"), /* TLV past the end */
		BLOCK("21", "11", ADDRESSES4 TLVS "01 ffff"), /* a later one far past it */
		BLOCK("21", "21", ADDRESSES6 "01 0001"),      /* likewise behind IPv6 */
		BLOCK("21", "31", "00*216 05"),               /* likewise behind unix */
	};

	for (size_t i = 0; i < COUNT(bad); i++) {
		bool before = test_failed;

		expect_bad(make(&made, bad[i]));
		if (test_failed && !before)
			printf("  in %s\n", bad[i]);
	}
}

/* ---- Writing
 * ------------------------------------------------------------------------------------- */

static struct addr addr(const char *text, uint16_t port)
{
	struct addr parsed = {0};

	EXPECT(addr_parse_ip(span_text(text), &parsed));
	parsed.port = port;
	return parsed;
}

static const char *const pairs[][2] = {
	{"192.0.2.1", "198.51.100.2"},
	{"2001:db8::1", "2001:db8::2"},
	{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
	{"0.0.0.0", "255.255.255.255"},
	{"::", "::192.0.2.1"},
};

TEST(what_is_written_reads_back)
{
	uint8_t out[PROXYPROTO_OUT_MAX];

	for (size_t i = 0; i < 2 * COUNT(pairs); i++) {
		enum proxyproto_version version = i % 2 ? PROXYPROTO_V1 : PROXYPROTO_V2;
		struct addr             source = addr(pairs[i / 2][0], 65535);
		struct addr             destination = addr(pairs[i / 2][1], 10000);
		size_t                  len = proxyproto_write(version, &source, &destination, out);

		EXPECT(len > 0 && len <= sizeof(out));
		EXPECT_EQ(parse_span(span_of(out, len)), PROXYPROTO_OK);
		EXPECT_EQ(header.len, len);
		EXPECT(header.has_addresses);
		EXPECT(addr_same_ip(&header.source, &source) && header.source.port == 65535);
		EXPECT(addr_same_ip(&header.destination, &destination) &&
		       header.destination.port == 10000);
	}
}

static bool writes(enum proxyproto_version version, struct addr source, struct addr destination,
                   struct span want)
{
	uint8_t out[PROXYPROTO_OUT_MAX];

	return span_equal(span_of(out, proxyproto_write(version, &source, &destination, out)),
	                  want);
}

TEST(v1_is_written_as_the_specification_spells_it)
{
	struct addr none = {0}, unix_addr = {.family = ADDR_UNIX};
	struct addr v4 = addr("192.0.2.1", 1), v6 = addr("::1", 2);
	struct span unknown = span_text("PROXY UNKNOWN\r\n");

	EXPECT(writes(PROXYPROTO_V1, v4, addr("198.51.100.2", 443),
	              span_text("PROXY TCP4 192.0.2.1 198.51.100.2 1 443\r\n")));
	EXPECT(writes(PROXYPROTO_V1, v6, addr("2001:db8::2", 0),
	              span_text("PROXY TCP6 ::1 2001:db8::2 2 0\r\n")));
	EXPECT(writes(PROXYPROTO_V1, v4, v6, unknown));
	EXPECT(writes(PROXYPROTO_V1, v6, v4, unknown));
	EXPECT(writes(PROXYPROTO_V1, unix_addr, unix_addr, unknown));
	EXPECT(writes(PROXYPROTO_V1, none, none, unknown));
}

TEST(v2_is_written_as_the_specification_spells_it)
{
	struct addr none = {0}, unix_addr = {.family = ADDR_UNIX};
	struct addr v4 = addr("192.0.2.1", 0xcafe), v6 = addr("::1", 2);
	struct span relayed = make(&made, BLOCK("21", "00", ""));

	EXPECT(writes(PROXYPROTO_V2, v4, v6, relayed));
	EXPECT(writes(PROXYPROTO_V2, unix_addr, unix_addr, relayed));
	EXPECT(writes(PROXYPROTO_V2, unix_addr, v4, relayed));
	EXPECT(writes(PROXYPROTO_V2, none, none, make(&made, BLOCK("20", "00", ""))));
	EXPECT(writes(PROXYPROTO_V2, none, v4, make(&made, BLOCK("20", "00", ""))));
	EXPECT(writes(PROXYPROTO_V2, v4, addr("198.51.100.2", 443),
	              make(&made, BLOCK("21", "11", ADDRESSES4))));
	EXPECT(writes(PROXYPROTO_V2, addr("2001:db8::1", 0xcafe), addr("2001:db8::2", 443),
	              make(&made, BLOCK("21", "21", ADDRESSES6))));
}

TEST(off_writes_nothing)
{
	EXPECT(writes(PROXYPROTO_OFF, addr("1.2.3.4", 1), addr("1.2.3.5", 2), (struct span){0}));
}

int main(void)
{
	return test_main();
}
