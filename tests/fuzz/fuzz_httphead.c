/*
 * fuzz_httphead: any bytes as what an HTTP client sent. Once decided, more bytes change nothing; a
 * path begins with a slash and has no white space, no control byte and no query.
 */
#include "proto/httphead.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a parse of the first *len* bytes came to. The copy is of the exact size, so that a sanitizer
 * sees what is read beyond. */
struct parsed {
	enum httphead_result result;
	enum httphead_method method;
	size_t               path_len;
};

static void check_path(struct span path)
{
	if (path.len == 0 || path.data[0] != '/')
		abort();
	for (size_t i = 0; i < path.len; i++)
		if (path.data[i] <= ' ' || path.data[i] >= 0x7f || path.data[i] == '?')
			abort();
}

static struct parsed parse(const uint8_t *data, size_t len)
{
	uint8_t        *copy = malloc(len ? len : 1);
	struct httphead head = {0};
	struct parsed   parsed;

	if (!copy)
		abort();
	memcpy(copy, data, len);
	parsed.result = httphead_parse(span_of(copy, len), &head);
	parsed.method = head.method;
	parsed.path_len = head.path.len;
	if (parsed.result == HTTPHEAD_OK && head.method != HTTPHEAD_OTHER)
		check_path(head.path);
	free(copy);
	return parsed;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct parsed whole;
	bool          decided = false;

	if (size > HTTPHEAD_MAX + 100)
		return 0;
	whole = parse(data, size);
	for (size_t len = 0; len <= size; len++) {
		struct parsed prefix = parse(data, len);

		if (prefix.result == HTTPHEAD_MORE ? decided : prefix.result != whole.result)
			abort();
		if (prefix.result == HTTPHEAD_OK &&
		    (prefix.method != whole.method || prefix.path_len != whole.path_len))
			abort();
		decided = prefix.result != HTTPHEAD_MORE;
	}
	return 0;
}
