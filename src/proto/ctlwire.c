#include "proto/ctlwire.h"

static const uint8_t magic[] = {'P', 'S', 'T', 'K'};

enum { AT_VERSION = 4, AT_ZERO = 5, AT_COUNT = 6, AT_LENGTH = 8, WORD_HEAD = 2 };

static uint32_t read_u16(const uint8_t *at)
{
	return (uint32_t)at[0] << 8 | at[1];
}

static uint32_t read_u32(const uint8_t *at)
{
	return read_u16(at) << 16 | read_u16(at + 2);
}

static void write_u16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static void write_u32(uint8_t *at, uint32_t value)
{
	write_u16(at, value >> 16);
	write_u16(at + 2, value);
}

/* ---- requests ---- */

/* Words fill the body exactly: nothing is cut, nothing is left. */
static bool split_words(struct span body, size_t count, struct ctlwire_request *request)
{
	size_t at = 0;

	for (size_t i = 0; i < count; i++) {
		size_t len;

		if (body.len - at < WORD_HEAD)
			return false;
		len = read_u16(body.data + at);
		at += WORD_HEAD;
		if (body.len - at < len || memchr(body.data + at, '\0', len))
			return false;
		request->words[i] = span_of(body.data + at, len);
		at += len;
	}
	request->word_count = count;
	return at == body.len;
}

/* The magic and the version are judged byte by byte, so that what is not a request at all is told
 * so at once rather than waited for. */
static enum ctlwire_result judge_head(struct span bytes)
{
	if (memcmp(bytes.data, magic, min_size(bytes.len, sizeof(magic))) != 0)
		return CTLWIRE_BAD;
	if (bytes.len <= AT_VERSION)
		return CTLWIRE_MORE;
	if (bytes.data[AT_VERSION] != CTLWIRE_VERSION)
		return CTLWIRE_OTHER;
	if (bytes.len > AT_ZERO && bytes.data[AT_ZERO] != 0)
		return CTLWIRE_BAD;
	return bytes.len < CTLWIRE_REQUEST_HEAD ? CTLWIRE_MORE : CTLWIRE_OK;
}

enum ctlwire_result ctlwire_parse_request(struct span bytes, struct ctlwire_request *request)
{
	enum ctlwire_result result = bytes.len ? judge_head(bytes) : CTLWIRE_MORE;
	size_t              count, body_len;

	if (result != CTLWIRE_OK)
		return result;
	count = read_u16(bytes.data + AT_COUNT);
	body_len = read_u32(bytes.data + AT_LENGTH);
	if (count == 0 || count > CTLWIRE_WORDS_MAX || body_len < WORD_HEAD * count ||
	    body_len > CTLWIRE_REQUEST_MAX - CTLWIRE_REQUEST_HEAD)
		return CTLWIRE_BAD;
	if (bytes.len - CTLWIRE_REQUEST_HEAD < body_len)
		return CTLWIRE_MORE;
	request->len = CTLWIRE_REQUEST_HEAD + body_len;
	return split_words(span_of(bytes.data + CTLWIRE_REQUEST_HEAD, body_len), count, request)
	               ? CTLWIRE_OK
	               : CTLWIRE_BAD;
}

size_t ctlwire_write_request(const char *const *words, size_t word_count, uint8_t *out, size_t size)
{
	size_t at = CTLWIRE_REQUEST_HEAD, most = min_size(size, CTLWIRE_REQUEST_MAX);

	if (word_count == 0 || word_count > CTLWIRE_WORDS_MAX || most < at)
		return 0;
	for (size_t i = 0; i < word_count; i++) {
		size_t len = strlen(words[i]);

		if (most - at < WORD_HEAD || most - at - WORD_HEAD < len)
			return 0;
		write_u16(out + at, (uint32_t)len);
		memcpy(out + at + WORD_HEAD, words[i], len);
		at += WORD_HEAD + len;
	}
	memcpy(out, magic, sizeof(magic));
	out[AT_VERSION] = CTLWIRE_VERSION;
	out[AT_ZERO] = 0;
	write_u16(out + AT_COUNT, (uint32_t)word_count);
	write_u32(out + AT_LENGTH, (uint32_t)(at - CTLWIRE_REQUEST_HEAD));
	return at;
}

/* ---- frames ---- */

enum ctlwire_result ctlwire_parse_frame(struct span bytes, struct ctlwire_frame *frame)
{
	size_t len;

	if (bytes.len == 0)
		return CTLWIRE_MORE;
	if (bytes.data[0] < CTLWIRE_OUT || bytes.data[0] > CTLWIRE_EXIT)
		return CTLWIRE_BAD;
	if (bytes.len < CTLWIRE_FRAME_HEAD)
		return CTLWIRE_MORE;
	len = read_u32(bytes.data + 1);
	if (bytes.data[0] == CTLWIRE_EXIT ? len != 1 : len > CTLWIRE_FRAME_MAX)
		return CTLWIRE_BAD;
	if (bytes.len - CTLWIRE_FRAME_HEAD < len)
		return CTLWIRE_MORE;
	frame->type = (enum ctlwire_type)bytes.data[0];
	frame->payload = span_of(bytes.data + CTLWIRE_FRAME_HEAD, len);
	frame->len = CTLWIRE_FRAME_HEAD + len;
	return CTLWIRE_OK;
}

void ctlwire_write_frame_head(enum ctlwire_type type, size_t len, uint8_t out[CTLWIRE_FRAME_HEAD])
{
	CHECK(len <= CTLWIRE_FRAME_MAX);
	out[0] = (uint8_t)type;
	write_u32(out + 1, (uint32_t)len);
}
