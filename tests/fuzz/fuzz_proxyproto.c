/*
 * fuzz_proxyproto: any bytes as what a sender sent first. Once decided, more bytes change nothing;
 * what was read and is written again reads the same.
 */
#include "proto/proxyproto.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* From a heap block of the exact size, so that a sanitizer sees what is read beyond. */
static enum proxyproto_result parse(const uint8_t *data, size_t size, struct proxyproto *header)
{
	uint8_t               *copy = malloc(size ? size : 1);
	enum proxyproto_result result;

	if (!copy)
		abort();
	memcpy(copy, data, size);
	result = proxyproto_parse(span_of(copy, size), header);
	free(copy);
	return result;
}

static bool is_same_addr(const struct addr *a, const struct addr *b)
{
	return addr_same_ip(a, b) && a->port == b->port;
}

static bool is_same(const struct proxyproto *a, const struct proxyproto *b)
{
	return a->len == b->len && a->has_addresses == b->has_addresses &&
	       is_same_addr(&a->source, &b->source) &&
	       is_same_addr(&a->destination, &b->destination);
}

static void check_prefixes(const uint8_t *data, size_t size)
{
	struct proxyproto      header, prefix;
	enum proxyproto_result whole = parse(data, size, &header);
	bool                   decided = false;

	if (whole == PROXYPROTO_OK && (header.len > size || header.len > PROXYPROTO_IN_MAX))
		abort();
	for (size_t len = 0; len <= size; len++) {
		enum proxyproto_result result = parse(data, len, &prefix);

		if (result == PROXYPROTO_MORE ? decided : result != whole)
			abort();
		if (result == PROXYPROTO_OK && !is_same(&header, &prefix))
			abort();
		decided = result != PROXYPROTO_MORE;
	}
}

static void check_written(const struct proxyproto *header, enum proxyproto_version version)
{
	uint8_t           out[PROXYPROTO_OUT_MAX];
	struct proxyproto again;
	size_t len = proxyproto_write(version, &header->source, &header->destination, out);

	if (len > sizeof(out) || parse(out, len, &again) != PROXYPROTO_OK || again.len != len)
		abort();
	/* A v6 header may hold one mapped address: then the families differ and nothing is passed
	 * on. */
	if (header->source.family != header->destination.family) {
		if (again.has_addresses)
			abort();
		return;
	}
	again.len = header->len;
	if (!is_same(header, &again))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proxyproto header;

	if (size > PROXYPROTO_IN_MAX + 100)
		return 0;
	check_prefixes(data, size);
	if (parse(data, size, &header) == PROXYPROTO_OK) {
		check_written(&header, PROXYPROTO_V1);
		check_written(&header, PROXYPROTO_V2);
	}
	return 0;
}
