#include "proto/ctlwire.h"

#include "test.h"

#include <stdlib.h>

static uint8_t                bytes[2 * CTLWIRE_REQUEST_MAX];
static size_t                 bytes_len;
static struct ctlwire_request request;

/* From a heap block of the exact size, so that a sanitizer sees what is read beyond. The words of
 * *request* must not be looked at afterwards. */
static enum ctlwire_result parse(size_t len)
{
	uint8_t            *copy = malloc(len ? len : 1);
	enum ctlwire_result result;

	memcpy(copy, bytes, len);
	result = ctlwire_parse_request(span_of(copy, len), &request);
	free(copy);
	return result;
}

static void write_words(const char *const *words, size_t count)
{
	bytes_len = ctlwire_write_request(words, count, bytes, sizeof(bytes));
}

#define WRITE(...)                                                                                 \
	do {                                                                                       \
		static const char *const written[] = {__VA_ARGS__};                                \
		write_words(written, COUNT(written));                                              \
	} while (0)

TEST(a_request_carries_its_words)
{
	WRITE("explain", "", "www.example.com", "--json");
	EXPECT(bytes_len > 0);
	EXPECT_EQ(ctlwire_parse_request(span_of(bytes, bytes_len), &request), CTLWIRE_OK);
	EXPECT_EQ(request.len, bytes_len);
	EXPECT_EQ(request.word_count, 4);
	EXPECT(span_equal(request.words[0], span_text("explain")));
	EXPECT_EQ(request.words[1].len, 0);
	EXPECT(span_equal(request.words[2], span_text("www.example.com")));
	EXPECT(span_equal(request.words[3], span_text("--json")));
}

TEST(a_request_cut_anywhere_waits_for_the_rest)
{
	WRITE("server", "app", "10.0.0.1:443", "down");
	for (size_t len = 0; len < bytes_len; len++)
		EXPECT_EQ(parse(len), CTLWIRE_MORE);
	memset(bytes + bytes_len, 'x', 100);
	EXPECT_EQ(parse(bytes_len + 100), CTLWIRE_OK);
	EXPECT_EQ(request.len, bytes_len);
}

TEST(what_is_no_request_is_refused_at_the_first_wrong_byte)
{
	static const char *const rows[] = {"G", "GET / HTTP/1.1\r\n", "PX", "PSTk", "\x16\x03\x01"};

	for (size_t i = 0; i < COUNT(rows); i++) {
		memcpy(bytes, rows[i], strlen(rows[i]));
		EXPECT_EQ(parse(strlen(rows[i])), CTLWIRE_BAD);
	}
}

TEST(another_version_is_told_apart_from_garbage)
{
	WRITE("status");
	bytes[4] = CTLWIRE_VERSION + 1;
	EXPECT_EQ(parse(4), CTLWIRE_MORE);
	EXPECT_EQ(parse(5), CTLWIRE_OTHER);
	EXPECT_EQ(parse(bytes_len), CTLWIRE_OTHER);
}

TEST(a_hostile_length_is_refused_before_it_is_waited_for)
{
	static const struct {
		size_t  at;
		uint8_t value;
	} rows[] = {
		{5, 1},    /* the byte that is 0 */
		{6, 0xff}, /* 65281 words */
		{7, 0},    /* none */
		{7, 65},   /* one too many */
		{7, 7},    /* more than the body can hold */
		{8, 0xff}, /* 4 GiB of body */
		{9, 1},    /* 64 KiB and more */
		{11, 1},   /* less than one word */
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		WRITE("status");
		bytes[rows[i].at] = rows[i].value;
		EXPECT_EQ(parse(CTLWIRE_REQUEST_HEAD), CTLWIRE_BAD);
		EXPECT_EQ(parse(bytes_len), CTLWIRE_BAD);
	}
}

TEST(words_that_do_not_fill_the_body_exactly_are_refused)
{
	WRITE("status", "-v");
	bytes[13] = 5; /* leaves a byte */
	EXPECT_EQ(parse(bytes_len), CTLWIRE_BAD);
	bytes[13] = 7; /* goes one beyond */
	EXPECT_EQ(parse(bytes_len), CTLWIRE_BAD);
	WRITE("status");
	bytes[12] = 0xff; /* far beyond */
	EXPECT_EQ(parse(bytes_len), CTLWIRE_BAD);
	WRITE("status");
	bytes[15] = '\0'; /* would end the word early */
	EXPECT_EQ(parse(bytes_len), CTLWIRE_BAD);
}

TEST(a_request_may_be_64_KiB_and_no_more)
{
	static char word[CTLWIRE_REQUEST_MAX];
	const char *words[] = {"explain", word};
	size_t      room = CTLWIRE_REQUEST_MAX - CTLWIRE_REQUEST_HEAD - 2 - strlen("explain") - 2;

	memset(word, 'a', room);
	word[room] = '\0';
	write_words(words, COUNT(words));
	EXPECT_EQ(bytes_len, CTLWIRE_REQUEST_MAX);
	EXPECT_EQ(parse(bytes_len), CTLWIRE_OK);
	word[room] = 'a';
	write_words(words, COUNT(words));
	EXPECT_EQ(bytes_len, 0);
}

TEST(what_cannot_be_a_request_is_not_written)
{
	const char *words[CTLWIRE_WORDS_MAX + 1];
	uint8_t     small[CTLWIRE_REQUEST_HEAD + 3];

	for (size_t i = 0; i < COUNT(words); i++)
		words[i] = "w";
	write_words(words, CTLWIRE_WORDS_MAX);
	EXPECT_EQ(parse(bytes_len), CTLWIRE_OK);
	EXPECT_EQ(request.word_count, CTLWIRE_WORDS_MAX);
	write_words(words, CTLWIRE_WORDS_MAX + 1);
	EXPECT_EQ(bytes_len, 0);
	write_words(words, 0);
	EXPECT_EQ(bytes_len, 0);
	EXPECT_EQ(ctlwire_write_request(words, 1, small, sizeof(small)), sizeof(small));
	EXPECT_EQ(ctlwire_write_request(words, 1, small, sizeof(small) - 1), 0);
	EXPECT_EQ(ctlwire_write_request(words, 1, small, CTLWIRE_REQUEST_HEAD - 1), 0);
}

/* ---- frames ---- */

static struct ctlwire_frame frame;

static size_t write_frame(enum ctlwire_type type, const char *text)
{
	ctlwire_write_frame_head(type, strlen(text), bytes);
	memcpy(bytes + CTLWIRE_FRAME_HEAD, text, strlen(text));
	return CTLWIRE_FRAME_HEAD + strlen(text);
}

TEST(a_frame_carries_its_bytes_and_waits_for_all_of_them)
{
	size_t len = write_frame(CTLWIRE_ERR, "no such server\n");

	for (size_t cut = 0; cut < len; cut++)
		EXPECT_EQ(ctlwire_parse_frame(span_of(bytes, cut), &frame), CTLWIRE_MORE);
	EXPECT_EQ(ctlwire_parse_frame(span_of(bytes, len + 3), &frame), CTLWIRE_OK);
	EXPECT_EQ(frame.type, CTLWIRE_ERR);
	EXPECT_EQ(frame.len, len);
	EXPECT(span_equal(frame.payload, span_text("no such server\n")));
}

TEST(a_frame_of_an_unknown_type_or_a_hostile_length_is_refused)
{
	size_t len = write_frame(CTLWIRE_OUT, "x");

	bytes[0] = 0;
	EXPECT_EQ(ctlwire_parse_frame(span_of(bytes, 1), &frame), CTLWIRE_BAD);
	bytes[0] = 4;
	EXPECT_EQ(ctlwire_parse_frame(span_of(bytes, len), &frame), CTLWIRE_BAD);
	bytes[0] = CTLWIRE_OUT;
	bytes[1] = 0xff;
	EXPECT_EQ(ctlwire_parse_frame(span_of(bytes, len), &frame), CTLWIRE_BAD);
	bytes[1] = 0;
	bytes[2] = 1; /* 64 KiB and a byte */
	EXPECT_EQ(ctlwire_parse_frame(span_of(bytes, len), &frame), CTLWIRE_BAD);
	bytes[4] = 0;
	EXPECT_EQ(ctlwire_parse_frame(span_of(bytes, len), &frame), CTLWIRE_MORE);
}

TEST(an_exit_has_one_byte)
{
	size_t len = write_frame(CTLWIRE_EXIT, "\x01");

	EXPECT_EQ(ctlwire_parse_frame(span_of(bytes, len), &frame), CTLWIRE_OK);
	EXPECT_EQ(frame.payload.len, 1);
	EXPECT_EQ(frame.payload.data[0], 1);
	bytes[4] = 0;
	EXPECT_EQ(ctlwire_parse_frame(span_of(bytes, len), &frame), CTLWIRE_BAD);
	bytes[4] = 2;
	EXPECT_EQ(ctlwire_parse_frame(span_of(bytes, len), &frame), CTLWIRE_BAD);
}

int main(void)
{
	return test_main();
}
