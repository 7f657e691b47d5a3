/*
 * fuzz_pgwire: any bytes as what a client of PostgreSQL sent first. Once decided, more bytes change
 * nothing; what is whole is as long as it says; any text makes a whole ErrorResponse.
 */
#include "proto/pgwire.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* From a heap block of the exact size, so that a sanitizer sees what is read beyond. */
static enum pgwire_packet read_packet(const uint8_t *data, size_t size, size_t *len)
{
	uint8_t           *copy = malloc(size ? size : 1);
	enum pgwire_packet packet;

	if (!copy)
		abort();
	memcpy(copy, data, size);
	packet = pgwire_read(span_of(copy, size), len);
	free(copy);
	return packet;
}

static bool is_whole(enum pgwire_packet packet)
{
	return packet == PGWIRE_SSL_REQUEST || packet == PGWIRE_GSSENC_REQUEST ||
	       packet == PGWIRE_CANCEL_REQUEST;
}

static void check_prefixes(const uint8_t *data, size_t size)
{
	size_t             len = 0, prefix_len = 0;
	enum pgwire_packet whole = read_packet(data, size, &len);
	bool               decided = false;

	if (is_whole(whole) && (len > size || len > PGWIRE_CANCEL_MAX))
		abort();
	for (size_t i = 0; i <= size; i++) {
		enum pgwire_packet packet = read_packet(data, i, &prefix_len);

		if (packet == PGWIRE_MORE ? decided : packet != whole)
			abort();
		if (is_whole(packet) && prefix_len != len)
			abort();
		decided = packet != PGWIRE_MORE;
	}
}

static void check_error(const uint8_t *data, size_t size)
{
	char   *text = malloc(size + 1);
	uint8_t out[PGWIRE_ERROR_MAX];
	size_t  len;

	if (!text)
		abort();
	memcpy(text, data, size);
	text[size] = 0;
	len = pgwire_write_error("28000", text, out);
	free(text);
	if (len > sizeof(out) || out[0] != 'E' || out[len - 1] != 0 || out[len - 2] != 0)
		abort();
	if (((size_t)out[3] << 8 | out[4]) != len - 1)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 2 * PGWIRE_CANCEL_MAX)
		return 0;
	check_prefixes(data, size);
	check_error(data, size);
	return 0;
}
