#include "proto/pgwire.h"

enum {
	LENGTH_SIZE = 4,
	HEAD_SIZE = 8, /* length and code */
	/* The server's MAX_STARTUP_PACKET_LENGTH; so the first two bytes are always 0. */
	PACKET_MAX = 10000,
	CODE_CANCEL = 80877102, /* 1234 << 16 | 5678, and so on */
	CODE_SSL = 80877103,
	CODE_GSSENC = 80877104,
	PROTOCOL_MAJOR = 3,
	/* Process id, then a secret of 4 bytes up to protocol 3.0, of 4 to 256 since 3.2. */
	CANCEL_MIN = HEAD_SIZE + 4 + 4,
};

static uint32_t read_be32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void write_be32(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 24);
	at[1] = (uint8_t)(value >> 16);
	at[2] = (uint8_t)(value >> 8);
	at[3] = (uint8_t)value;
}

/* False: no packet has such a length, as far as its bytes are here. */
static bool may_be_length(struct span bytes)
{
	if (bytes.len >= LENGTH_SIZE) {
		uint32_t len = read_be32(bytes.data);

		return len >= HEAD_SIZE && len <= PACKET_MAX;
	}
	for (size_t i = 0; i < bytes.len && i < 2; i++)
		if (bytes.data[i] != 0)
			return false;
	return true;
}

enum pgwire_packet pgwire_read(struct span bytes, size_t *len)
{
	uint32_t code;

	if (!may_be_length(bytes))
		return PGWIRE_NONE;
	if (bytes.len < HEAD_SIZE)
		return PGWIRE_MORE;
	*len = read_be32(bytes.data);
	code = read_be32(bytes.data + LENGTH_SIZE);
	if (code == CODE_SSL)
		return *len == PGWIRE_REQUEST_SIZE ? PGWIRE_SSL_REQUEST : PGWIRE_NONE;
	if (code == CODE_GSSENC)
		return *len == PGWIRE_REQUEST_SIZE ? PGWIRE_GSSENC_REQUEST : PGWIRE_NONE;
	if (code == CODE_CANCEL) {
		if (*len < CANCEL_MIN || *len > PGWIRE_CANCEL_MAX)
			return PGWIRE_NONE;
		return bytes.len < *len ? PGWIRE_MORE : PGWIRE_CANCEL_REQUEST;
	}
	return code >> 16 == PROTOCOL_MAJOR ? PGWIRE_STARTUP : PGWIRE_NONE;
}

void pgwire_write_ssl_request(uint8_t out[PGWIRE_REQUEST_SIZE])
{
	write_be32(out, PGWIRE_REQUEST_SIZE);
	write_be32(out + LENGTH_SIZE, CODE_SSL);
}

/* A field of an ErrorResponse, as far as it fits with a byte left for the end. */
static size_t write_field(uint8_t *out, size_t at, char type, const char *text)
{
	size_t len = strlen(text);

	if (at + 3 > PGWIRE_ERROR_MAX)
		return at;
	if (len > PGWIRE_ERROR_MAX - 3 - at)
		len = PGWIRE_ERROR_MAX - 3 - at;
	out[at] = (uint8_t)type;
	memcpy(out + at + 1, text, len);
	out[at + 1 + len] = 0;
	return at + len + 2;
}

size_t pgwire_write_error(const char *code, const char *text, uint8_t out[PGWIRE_ERROR_MAX])
{
	size_t at = 1 + LENGTH_SIZE;

	out[0] = 'E';
	at = write_field(out, at, 'S', "FATAL");
	at = write_field(out, at, 'V', "FATAL");
	at = write_field(out, at, 'C', code);
	at = write_field(out, at, 'M', text);
	out[at++] = 0;
	/* The length counts itself, not the type. */
	write_be32(out + 1, (uint32_t)at - 1);
	return at;
}
