#include "hello_laws.h"
#include "hello_maker.h"
#include "proto/hello.h"
#include "test.h"

enum { LIMIT = 16384 };

/* One static pair for all: their names and scratch live until the next call. */
static struct made  made;
static uint8_t      scratch[MADE_MAX];
static struct hello hello;

static enum hello_result parse(const char *recipe)
{
	return hello_parse(make(&made, recipe), LIMIT, scratch, &hello);
}

static enum hello_result parse_within(size_t limit, const char *recipe)
{
	return hello_parse(make(&made, recipe), limit, scratch, &hello);
}

static bool is_name(const char *name)
{
	return span_equal(hello.name, span_text(name));
}

static bool holds_ids(struct span span, const char *recipe)
{
	static struct made ids;

	return span_equal(span, make(&ids, recipe));
}

/* The handshake message in *made*, which is one record. */
static struct span made_message(void)
{
	return span_of(made.bytes + 5, made.len - 5);
}

static size_t fold(const char *name, char out[HELLO_NAME_MAX])
{
	return hello_fold_name(span_text(name), out);
}

static bool folds_to(const char *name, const char *want)
{
	char   out[HELLO_NAME_MAX];
	size_t len = fold(name, out);

	return len == strlen(want) && memcmp(out, want, len) == 0;
}

/* xorshift64*: the same mutations on every machine. */
static uint64_t random_state;

static uint64_t random_next(void)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return random_state * 0x2545f4914f6cdd1dull;
}

static size_t random_below(size_t bound)
{
	return (size_t)(random_next() >> 16) % bound;
}

/* ---- What a well-formed hello says
 * --------------------------------------------------------------- */

TEST(hello_tells_all_that_routes_ask_for)
{
	EXPECT_EQ(parse(HELLO(SIMPLE_LIST)), HELLO_OK);
	EXPECT(is_name("www.example.com"));
	EXPECT(holds_ids(hello.alpn, "02 'h2' 08 'http/1.1'"));
	EXPECT(holds_ids(hello.ciphers, "1301 1302 c02f c030"));
	EXPECT(holds_ids(hello.groups, "001d 0017"));
	EXPECT(holds_ids(hello.signature_algorithms, "0403 0804"));
	EXPECT_EQ(hello.versions, HELLO_TLS12 | HELLO_TLS13);
	EXPECT(!hello.ech);
}

TEST(hello_of_a_browser_is_understood)
{
	EXPECT_EQ(parse(BROWSER), HELLO_OK);
	EXPECT(made.len > 1900);
	EXPECT(is_name("browser.example.net"));
	EXPECT(holds_ids(hello.groups, "3a3a 11ec 001d 0017 0018"));
	EXPECT_EQ(hello.versions, HELLO_TLS12 | HELLO_TLS13);
	EXPECT(hello.ech);
}

TEST(hello_without_extensions_has_no_name)
{
	EXPECT_EQ(parse(RECORD(MESSAGE(START))), HELLO_OK);
	EXPECT_EQ(hello.name.len + hello.alpn.len, 0);
	EXPECT_EQ(hello.groups.len + hello.signature_algorithms.len, 0);
	EXPECT_EQ(parse(HELLO("")), HELLO_OK);
	EXPECT_EQ(hello.name.len, 0);
}

TEST(hello_of_least_size_is_whole)
{
	EXPECT_EQ(parse(RECORD(MESSAGE("0303" RANDOM "[1 ] [2 1301 ] [1 00 ]"))), HELLO_OK);
}

TEST(versions_come_from_legacy_version_when_not_listed)
{
	EXPECT_EQ(parse(RECORD(MESSAGE("0300" RANDOM "[1 ]" CIPHERS COMPRESSIONS))), HELLO_OK);
	EXPECT_EQ(hello.versions, 0);
	EXPECT_EQ(parse(RECORD(MESSAGE("0301" RANDOM "[1 ]" CIPHERS COMPRESSIONS))), HELLO_OK);
	EXPECT_EQ(hello.versions, HELLO_TLS10);
	EXPECT_EQ(parse(RECORD(MESSAGE("0303" RANDOM "[1 ]" CIPHERS COMPRESSIONS))), HELLO_OK);
	EXPECT_EQ(hello.versions, HELLO_TLS10 | HELLO_TLS11 | HELLO_TLS12);
	/* RFC 8446 4.2.1: without the list nobody speaks 1.3, whatever legacy_version says. */
	EXPECT_EQ(parse(RECORD(MESSAGE("0304" RANDOM "[1 ]" CIPHERS COMPRESSIONS))), HELLO_OK);
	EXPECT_EQ(hello.versions, HELLO_TLS10 | HELLO_TLS11 | HELLO_TLS12);
}

TEST(versions_listed_replace_legacy_version)
{
	EXPECT_EQ(parse(HELLO(EXTENSION("002b", "[1 0304 ]"))), HELLO_OK);
	EXPECT_EQ(hello.versions, HELLO_TLS13);
	EXPECT_EQ(parse(HELLO(EXTENSION("002b", "[1 0301 7f1c 0302 0300 dada 0305 ]"))), HELLO_OK);
	EXPECT_EQ(hello.versions, HELLO_TLS10 | HELLO_TLS11);
	EXPECT_EQ(parse(HELLO(EXTENSION("002b", "[1 dada ]"))), HELLO_OK);
	EXPECT_EQ(hello.versions, 0);
}

TEST(names_at_the_edge_are_taken)
{
	EXPECT_EQ(parse(HELLO(SNI("'a'"))), HELLO_OK);
	EXPECT_EQ(parse(HELLO(SNI("'A.Test.'"))), HELLO_OK);
	EXPECT(is_name("A.Test."));
	EXPECT_EQ(parse(HELLO(SNI("61*60 2e 61*60 2e 61*60 2e 61*70"))), HELLO_OK);
	EXPECT_EQ(hello.name.len, 253);
	EXPECT_EQ(parse(HELLO(SNI("'_x y' 7f 01 '*'"))), HELLO_OK);
}

TEST(compressions_may_hold_more_than_null)
{
	EXPECT_EQ(parse(RECORD(MESSAGE("0301" RANDOM "[1 ]" CIPHERS "[1 01 40 00 ]"))), HELLO_OK);
}

TEST(pre_shared_key_need_not_be_last)
{
	EXPECT_EQ(parse(HELLO(EXTENSION("0029", "00") SNI("'a.test'"))), HELLO_OK);
}

TEST(alpn_list_is_walked_in_order)
{
	struct span protocol;

	EXPECT_EQ(parse(HELLO(ALPN)), HELLO_OK);
	EXPECT(hello_next_alpn(&hello.alpn, &protocol) && span_equal(protocol, span_text("h2")));
	EXPECT(hello_next_alpn(&hello.alpn, &protocol) &&
	       span_equal(protocol, span_text("http/1.1")));
	EXPECT(!hello_next_alpn(&hello.alpn, &protocol));
	EXPECT_EQ(parse(HELLO("")), HELLO_OK);
	EXPECT(!hello_next_alpn(&hello.alpn, &protocol));
}

TEST(alpn_protocol_of_255_is_taken)
{
	EXPECT_EQ(parse(HELLO(EXTENSION("0010", "[2 [1 61*255 ] ]"))), HELLO_OK);
	EXPECT_EQ(hello.alpn.len, 256);
}

/* Brings the lengths of a hello that ends with its extensions up to date, and parses it. */
static enum hello_result parse_grown(struct made *grown, size_t extensions)
{
	maker_close(grown, extensions - 2, 2);
	maker_close(grown, 1, 3);
	return hello_parse(make_records(span_of(grown->bytes, grown->len), 0, LIMIT, made.bytes),
	                   2 * LIMIT, scratch, &hello);
}

TEST(every_extension_type_may_come_once)
{
	static struct made grown;
	size_t             extensions = make(&grown, " 01 000000 " START " 0000").len;

	/* 3,000 types from all over the 65,536; none is taken for another one. */
	for (unsigned i = 0; i < 3000; i++) {
		unsigned type = (i * 40503u + 100) & 0xffff;

		if (type == 0 || type == 10 || type == 13 || type == 16 || type == 43)
			continue;
		maker_put(&grown, type >> 8);
		maker_put(&grown, type & 0xff);
		maker_put(&grown, 0);
		maker_put(&grown, 0);
	}
	EXPECT_EQ(parse_grown(&grown, extensions), HELLO_OK);
	/* The first of them once more at the far end is seen. */
	memcpy(grown.bytes + grown.len, grown.bytes + extensions, 4);
	grown.len += 4;
	EXPECT_EQ(parse_grown(&grown, extensions), HELLO_BAD);
}

/* ---- What the first bytes mean
 * ------------------------------------------------------------------- */

TEST(nothing_is_more)
{
	EXPECT_EQ(hello_parse(span_of("", 0), LIMIT, scratch, &hello), HELLO_MORE);
	EXPECT_EQ(hello_parse((struct span){0}, LIMIT, scratch, &hello), HELLO_MORE);
}

TEST(first_byte_decides_what_it_is)
{
	for (unsigned byte = 0; byte < 256; byte++) {
		uint8_t           first = (uint8_t)byte;
		enum hello_result result = hello_parse(span_of(&first, 1), LIMIT, scratch, &hello);

		if (byte == 0x16 || byte >= 0x80)
			EXPECT_EQ(result, HELLO_MORE);
		else if (byte == 0x14 || byte == 0x15 || byte == 0x17)
			EXPECT_EQ(result, HELLO_BAD);
		else
			EXPECT_EQ(result, HELLO_PLAINTEXT);
	}
}

TEST(plaintext_is_no_broken_tls)
{
	EXPECT_EQ(parse("'GET / HTTP/1.1'"), HELLO_PLAINTEXT);
	EXPECT_EQ(parse("'SSH-2.0-OpenSSH'"), HELLO_PLAINTEXT);
	EXPECT_EQ(parse("00 00 00 08 04 d2 16 2f"), HELLO_PLAINTEXT);
	EXPECT_EQ(parse("80 01"), HELLO_MORE);
	EXPECT_EQ(parse("80 01 02"), HELLO_PLAINTEXT);
	EXPECT_EQ(parse("ff ff ff"), HELLO_PLAINTEXT);
}

TEST(tls_is_decided_at_its_second_byte)
{
	EXPECT_EQ(parse("16"), HELLO_MORE);
	EXPECT_EQ(parse("16 03"), HELLO_MORE);
	EXPECT_EQ(parse("16 02"), HELLO_BAD);
}

/* ---- Records
 * ------------------------------------------------------------------------------------- */

TEST(bytes_behind_the_hello_are_not_looked_at)
{
	EXPECT_EQ(parse(HELLO(SNI("'a.test'")) "17 0303 0002 aaaa"), HELLO_OK);
	EXPECT(is_name("a.test"));
	EXPECT_EQ(parse(HELLO(SNI("'a.test'")) "14 0303 0001 01 17 0303"), HELLO_OK);
	EXPECT_EQ(parse(HELLO(SNI("'a.test'")) "'junk'"), HELLO_OK);
	EXPECT_EQ(parse(HELLO(SNI("'a.test'")) "16 0303 0000"), HELLO_OK);
}

TEST(spans_of_a_hello_in_one_record_point_into_the_bytes)
{
	EXPECT_EQ(hello_parse(make(&made, HELLO(SIMPLE_LIST)), LIMIT, NULL, &hello), HELLO_OK);
	EXPECT(hello.name.data > made.bytes && hello.name.data < made.bytes + made.len);
}

TEST(record_of_16384_is_taken)
{
	char   recipe[1024];
	size_t padding;

	EXPECT_EQ(parse(HELLO(EXTENSION("0015", ""))), HELLO_OK);
	padding = 16384 + 5 - made.len;
	snprintf(recipe, sizeof(recipe), HELLO(EXTENSION("0015", "00*%zu")), padding);
	(void)make(&made, recipe);
	EXPECT_EQ(made.len, 16384 + 5);
	EXPECT_EQ(hello_parse(span_of(made.bytes, made.len), 16384 + 5, scratch, &hello), HELLO_OK);
	EXPECT_EQ(hello_parse(span_of(made.bytes, made.len), 16384 + 4, scratch, &hello),
	          HELLO_TOO_LONG);
}

TEST(limit_counts_the_records_headers)
{
	static uint8_t wire[MADE_MAX];
	struct span    records;

	(void)make(&made, HELLO(SIMPLE_LIST));
	EXPECT_EQ(hello_parse(span_of(made.bytes, made.len), made.len, scratch, &hello), HELLO_OK);
	EXPECT_EQ(hello_parse(span_of(made.bytes, made.len), made.len - 1, scratch, &hello),
	          HELLO_TOO_LONG);
	records = make_records(made_message(), 0, 1, wire);
	EXPECT_EQ(hello_parse(records, records.len, scratch, &hello), HELLO_OK);
	EXPECT_EQ(hello_parse(records, records.len - 1, scratch, &hello), HELLO_TOO_LONG);
}

TEST(hello_that_cannot_fit_is_refused_as_early_as_it_shows)
{
	/* By the record's length, by the message's, by the bytes and headers still to come. */
	EXPECT_EQ(parse_within(1005, "16 0301 03e8"), HELLO_MORE);
	EXPECT_EQ(parse_within(1004, "16 0301 03e8"), HELLO_TOO_LONG);
	EXPECT_EQ(parse("16 0301 4000"), HELLO_TOO_LONG);
	EXPECT_EQ(parse_within(LIMIT * 2, "16 0301 4000 01 00"), HELLO_MORE);
	EXPECT_EQ(parse_within(LIMIT * 2, "16 0301 4000 01 01"), HELLO_TOO_LONG);
	EXPECT_EQ(parse_within(9 + 5 + 996, "16 0301 0004 01 0003e4"), HELLO_MORE);
	EXPECT_EQ(parse_within(9 + 5 + 995, "16 0301 0004 01 0003e4"), HELLO_TOO_LONG);
	EXPECT_EQ(parse_within(9 + 2 * 5 + 32768, "16 0301 0004 01 008000"), HELLO_MORE);
	EXPECT_EQ(parse_within(9 + 2 * 5 + 32767, "16 0301 0004 01 008000"), HELLO_TOO_LONG);
}

TEST(prefix_law_holds_under_every_limit)
{
	(void)make(&made, HELLO(SIMPLE_LIST));
	for (size_t limit = 0; limit <= made.len + 1; limit++)
		EXPECT(prefix_law_holds(span_of(made.bytes, made.len), limit, 1));
}

TEST(malformed_is_known_as_early_as_it_shows)
{
	EXPECT_EQ(parse("16 0301 41"), HELLO_BAD);
	EXPECT_EQ(parse("16 0301 0100 02"), HELLO_BAD);
	EXPECT_EQ(parse("16 0301 0100 01 000010"), HELLO_BAD);
	EXPECT_EQ(parse("16 0301 0100 01 0000fb"), HELLO_BAD);
	EXPECT_EQ(parse("16 0301 0100 01 0000fc 02"), HELLO_BAD);
	EXPECT_EQ(parse("16 0301 0100 01 0000fc 03"), HELLO_MORE);
}

TEST(what_is_wrong_first_is_what_is_said)
{
	EXPECT_EQ(parse_within(49, "16"), HELLO_TOO_LONG);
	EXPECT_EQ(parse_within(49, "16 02"), HELLO_TOO_LONG);
	EXPECT_EQ(parse_within(1000, "16 0301 03e4 02"), HELLO_TOO_LONG);
	EXPECT_EQ(parse_within(1000, "16 0301 03e3 02 ffffff"), HELLO_BAD);
	EXPECT_EQ(parse_within(1000, "16 0301 03e3 01 ffffff 02"), HELLO_TOO_LONG);
	EXPECT_EQ(parse_within(1000, "16 0301 4001 01"), HELLO_BAD);
}

/* ---- The laws
 * ------------------------------------------------------------------------------------ */

TEST(prefix_law_holds_for_a_small_hello)
{
	EXPECT(prefix_law_holds(make(&made, HELLO(SIMPLE_LIST) "17 0303 0004 00*4"), LIMIT, 1));
}

TEST(prefix_law_holds_for_a_browsers_hello)
{
	EXPECT(prefix_law_holds(make(&made, BROWSER), LIMIT, 1));
}

TEST(prefix_law_holds_for_records_of_one_byte)
{
	static uint8_t wire[MADE_MAX];

	(void)make(&made, HELLO(SIMPLE_LIST));
	EXPECT(prefix_law_holds(make_records(made_message(), 0, 1, wire), LIMIT, 1));
}

TEST(every_prefix_of_a_good_hello_is_more)
{
	(void)make(&made, BROWSER);
	for (size_t len = 0; len < made.len; len++)
		EXPECT_EQ(hello_parse(span_of(made.bytes, len), LIMIT, scratch, &hello),
		          HELLO_MORE);
}

TEST(split_law_holds_for_a_small_hello)
{
	(void)make(&made, HELLO(SIMPLE_LIST));
	EXPECT(split_law_holds(made_message(), 1));
}

TEST(split_law_holds_for_a_browsers_hello)
{
	(void)make(&made, BROWSER);
	EXPECT(split_law_holds(made_message(), 1));
}

TEST(split_hello_keeps_its_name)
{
	static uint8_t wire[MADE_MAX];

	(void)make(&made, BROWSER);
	for (size_t each = 1; each < 100; each++) {
		struct span records = make_records(made_message(), 0, each, wire);

		EXPECT_EQ(hello_parse(records, LIMIT, scratch, &hello), HELLO_OK);
		EXPECT(is_name("browser.example.net"));
	}
}

/* ---- Malformed hellos, each with the laws
 * -------------------------------------------------------- */

static void expect_malformed(const char *recipe)
{
	size_t len;

	EXPECT_EQ(parse(recipe), HELLO_BAD);
	EXPECT(prefix_law_holds(span_of(made.bytes, made.len), LIMIT, 1));
	for (size_t limit = 1; limit < made.len; limit += 1 + made.len / 16)
		EXPECT(prefix_law_holds(span_of(made.bytes, made.len), limit, 1));
	len = made.len;
	while (made.len < len + 300)
		maker_put(&made, 0x16);
	EXPECT_EQ(hello_parse(span_of(made.bytes, made.len), LIMIT, scratch, &hello), HELLO_BAD);
	made.len = len;
	/* The split law is for messages that are whole and alone in their record. */
	if (len > 9 && made.bytes[0] == 0x16 && made.bytes[6] == 0 &&
	    len == 9u + (size_t)(made.bytes[7] << 8 | made.bytes[8]))
		EXPECT(split_law_holds(made_message(), 1));
}

#define MALFORMED(name, recipe)                                                                    \
	TEST(malformed_##name)                                                                     \
	{                                                                                          \
		expect_malformed(recipe);                                                          \
	}
#include "hello_malformed.h"

/* ---- Mutated hellos
 * ------------------------------------------------------------------------------ */

static void mutate(uint8_t *bytes, size_t len)
{
	static const uint8_t edges[] = {0, 1, 2, 3, 0x16, 0x2e, 0x7f, 0x80, 0xff};

	for (size_t count = 1 + random_below(3); count > 0; count--) {
		size_t at = random_below(len), from = random_below(len), run = random_below(8);

		switch (random_below(4)) {
		case 0:
			bytes[at] ^= (uint8_t)(1u << random_below(8));
			break;
		case 1:
			bytes[at] = edges[random_below(COUNT(edges))];
			break;
		case 2:
			bytes[at] = (uint8_t)(bytes[at] + 1 - 2 * random_below(2));
			break;
		case 3:
			run = min_size(run, len - (at > from ? at : from));
			memmove(bytes + at, bytes + from, run);
			break;
		}
	}
}

/* A few prefixes in rising order, the whole one last. */
static bool some_prefixes_agree(struct span bytes)
{
	struct reading whole;
	bool           decided = false, agree = true;
	size_t         len = 0;

	reading_take(&whole, bytes, LIMIT);
	while (len < bytes.len && agree) {
		len = min_size(bytes.len, len + 1 + random_below(bytes.len / 2));
		agree = prefix_agrees(&whole, bytes, len, LIMIT, &decided);
	}
	reading_drop(&whole);
	return agree;
}

static size_t count_of_result[5];

static void mutate_and_check(const char *recipe, unsigned rounds, uint64_t seed)
{
	static uint8_t wire[MADE_MAX];
	struct span    original = make(&made, recipe), records;

	random_state = seed;
	for (unsigned round = 0; round < rounds && !test_failed; round++) {
		/* Records as they are, or cut small. The message's own mutations keep its header
		 * true. */
		bool cut = random_below(4) == 0;

		records = make_records(made_message(), 0, cut ? 1 + random_below(99) : LIMIT, wire);
		mutate(wire, records.len);
		EXPECT(some_prefixes_agree(records));
		count_of_result[hello_parse(records, LIMIT, scratch, &hello)]++;

		memcpy(wire, original.data, original.len);
		mutate(wire + 9, original.len - 9);
		if (round % 8 == 0)
			EXPECT(split_law_holds(span_of(wire + 5, original.len - 5),
			                       1 + random_below(original.len)));
		if (test_failed)
			printf("  round %u of seed %llu\n", round, (unsigned long long)seed);
	}
}

TEST(mutated_hellos_keep_to_the_laws)
{
	mutate_and_check(HELLO(SIMPLE_LIST), 180000, 1);
	mutate_and_check(BROWSER, 20000, 2);
	/* A mutation that is always refused, or never, tests nothing. */
	EXPECT(count_of_result[HELLO_OK] > 10000);
	EXPECT(count_of_result[HELLO_BAD] > 10000);
	EXPECT(count_of_result[HELLO_MORE] > 1000);
}

/* ---- Folding
 * ------------------------------------------------------------------------------------- */

TEST(name_folds_to_lower_case)
{
	EXPECT(folds_to("WWW.Example.COM", "www.example.com"));
	EXPECT(folds_to("AZ@[`{az09-_", "az@[`{az09-_"));
}

TEST(one_trailing_dot_is_dropped)
{
	EXPECT(folds_to("example.com.", "example.com"));
	EXPECT(folds_to("x.", "x"));
}

TEST(no_name_folds_to_nothing)
{
	char out[HELLO_NAME_MAX];

	EXPECT_EQ(hello_fold_name((struct span){0}, out), 0);
	EXPECT_EQ(fold(".", out), 0);
}

TEST(ip_literals_count_as_no_name)
{
	static const char *const literals[] = {"192.0.2.1",   "192.0.2.1.",      "0.0.0.0", "::1",
	                                       "2001:DB8::1", "[::1]",           "[::1].",  "::1.",
	                                       "[192.0.2.1]", "::ffff:192.0.2.1"};
	char                     out[HELLO_NAME_MAX];

	for (size_t i = 0; i < COUNT(literals); i++)
		EXPECT_EQ(fold(literals[i], out), 0);
}

TEST(what_only_looks_like_an_ip_is_a_name)
{
	EXPECT(folds_to("192.0.2", "192.0.2"));
	EXPECT(folds_to("192.0.2.256", "192.0.2.256"));
	EXPECT(folds_to("192.0.2.1.example", "192.0.2.1.example"));
	EXPECT(folds_to("[]", "[]"));
	EXPECT(folds_to("[a]", "[a]"));
	EXPECT(folds_to("dead.beef", "dead.beef"));
}

TEST(longest_name_folds)
{
	char name[HELLO_NAME_MAX + 1] = {0}, out[HELLO_NAME_MAX];

	memset(name, 'Q', HELLO_NAME_MAX);
	EXPECT_EQ(fold(name, out), HELLO_NAME_MAX);
	EXPECT(out[0] == 'q' && out[HELLO_NAME_MAX - 1] == 'q');
}

int main(void)
{
	return test_main();
}
