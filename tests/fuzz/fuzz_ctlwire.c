/*
 * fuzz_ctlwire: any bytes as a request and as a frame. Once decided, more bytes change nothing;
 * what was read and is written again is the same.
 */
#include "proto/ctlwire.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 300 }; /* every prefix is tried */

/* From a heap block of the exact size, so that a sanitizer sees what is read beyond. */
static uint8_t *copy_of(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);

	if (!copy)
		abort();
	if (size)
		memcpy(copy, data, size);
	return copy;
}

/* Not strndup, whose argument a strict sanitizer wants to end in a NUL. */
static char *text_of(struct span span)
{
	char *text = malloc(span.len + 1);

	if (!text)
		abort();
	memcpy(text, span.data, span.len);
	text[span.len] = '\0';
	return text;
}

/* A request that is whole is written again from its words. */
static void check_written(const struct ctlwire_request *request, const uint8_t *data)
{
	const char *words[CTLWIRE_WORDS_MAX];
	uint8_t    *out = malloc(request->len);

	if (!out)
		abort();
	for (size_t i = 0; i < request->word_count; i++) {
		words[i] = text_of(request->words[i]);
		if (strlen(words[i]) != request->words[i].len)
			abort();
	}
	if (ctlwire_write_request(words, request->word_count, out, request->len) != request->len ||
	    memcmp(out, data, request->len) != 0)
		abort();
	for (size_t i = 0; i < request->word_count; i++)
		free((char *)(uintptr_t)words[i]);
	free(out);
}

static enum ctlwire_result parse_request(const uint8_t *data, size_t size)
{
	struct ctlwire_request request;
	uint8_t               *copy = copy_of(data, size);
	enum ctlwire_result    result = ctlwire_parse_request(span_of(copy, size), &request);

	if (result == CTLWIRE_OK) {
		if (request.len > size || request.word_count == 0)
			abort();
		check_written(&request, data);
	}
	free(copy);
	return result;
}

static enum ctlwire_result parse_frame(const uint8_t *data, size_t size)
{
	struct ctlwire_frame frame;
	uint8_t             *copy = copy_of(data, size), head[CTLWIRE_FRAME_HEAD];
	enum ctlwire_result  result = ctlwire_parse_frame(span_of(copy, size), &frame);

	if (result == CTLWIRE_OK) {
		if (frame.len > size || frame.payload.data + frame.payload.len != copy + frame.len)
			abort();
		ctlwire_write_frame_head(frame.type, frame.payload.len, head);
		if (memcmp(head, data, sizeof(head)) != 0)
			abort();
	}
	free(copy);
	return result;
}

static void check_prefixes(const uint8_t *data, size_t size,
                           enum ctlwire_result (*parse)(const uint8_t *data, size_t size))
{
	enum ctlwire_result whole = parse(data, size);
	bool                decided = false;

	for (size_t len = 0; len <= size; len++) {
		enum ctlwire_result result = parse(data, len);

		if (result == CTLWIRE_MORE ? decided : result != whole)
			abort();
		decided = result != CTLWIRE_MORE;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > INPUT_MAX)
		return 0;
	check_prefixes(data, size, parse_request);
	check_prefixes(data, size, parse_frame);
	return 0;
}
