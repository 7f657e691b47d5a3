#include "proto/proxyproto.h"

#include <stdio.h>

enum {
	V1_LINE_MAX = 107,
	V2_SIGNATURE = 12,
	V2_HEADER = 16,
	V2_VERSION = 0x20,
	V2_LOCAL = 0,
	V2_PROXY = 1,
	V2_UNSPEC = 0,
	V2_STREAM = 1,
	V2_DGRAM = 2,
	V2_IP4 = 1,
	V2_IP6 = 2,
	V2_UNIX = 3,
	V2_TLV_HEADER = 3,
	V2_IP4_BLOCK = 12,
	V2_IP6_BLOCK = 36,
	V2_UNIX_BLOCK = 216,
};

static const uint8_t v2_signature[V2_SIGNATURE] = "\r\n\r\n\0\r\nQUIT\n";

/* Do the bytes so far agree with *word*? Then *whole* tells whether all of it is there. */
static bool begins_with(struct span bytes, struct span word, bool *whole)
{
	*whole = bytes.len >= word.len;
	return memcmp(bytes.data, word.data, min_size(bytes.len, word.len)) == 0;
}

/* ---- Version 1: one line of text
 * ----------------------------------------------------------------- */

enum v1_family { V1_TCP4, V1_TCP6, V1_UNKNOWN };

/* A word up to the next space (which is taken too) or the end of *line*. */
static bool take_word(struct span *line, struct span *word)
{
	const uint8_t *space = line->len ? memchr(line->data, ' ', line->len) : NULL;

	if (!space) {
		*word = *line;
		line->len = 0;
		return word->len > 0;
	}
	word->data = line->data;
	word->len = (size_t)(space - line->data);
	line->len -= word->len + 1;
	line->data = space + 1;
	return word->len > 0 && line->len > 0; /* a space promises one more word */
}

/* 0 to 65535; no sign and no leading zero, which other readers might take for octal. */
static bool parse_port(struct span text, uint16_t *port)
{
	unsigned value = 0;

	if (text.len == 0 || text.len > 5 || (text.len > 1 && text.data[0] == '0'))
		return false;
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return false;
		value = value * 10 + (unsigned)(text.data[i] - '0');
	}
	*port = (uint16_t)value;
	return value <= UINT16_MAX;
}

/* The family is the text's, not the value's: ::ffff:192.0.2.1 is TCP6 though it is held as IPv4. */
static bool parse_v1_ip(struct span text, enum v1_family family, struct addr *addr)
{
	if (!addr_parse_ip(text, addr))
		return false;
	return (memchr(text.data, ':', text.len) != NULL) == (family == V1_TCP6);
}

static bool parse_v1_addresses(struct span line, enum v1_family family, struct proxyproto *header)
{
	struct span source, destination, source_port, destination_port;

	if (!take_word(&line, &source) || !take_word(&line, &destination))
		return false;
	if (!take_word(&line, &source_port) || !take_word(&line, &destination_port) || line.len > 0)
		return false;
	header->has_addresses = parse_v1_ip(source, family, &header->source) &&
	                        parse_v1_ip(destination, family, &header->destination) &&
	                        parse_port(source_port, &header->source.port) &&
	                        parse_port(destination_port, &header->destination.port);
	return header->has_addresses;
}

/* *bytes* begin with "PROXY ". */
static enum proxyproto_result parse_v1(struct span bytes, struct span word,
                                       struct proxyproto *header)
{
	static const char *const families[] = {
		[V1_TCP4] = "TCP4 ", [V1_TCP6] = "TCP6 ", [V1_UNKNOWN] = "UNKNOWN"};
	struct span window = span_of(bytes.data, min_size(bytes.len, V1_LINE_MAX));
	struct span rest = span_of(window.data + word.len, window.len - word.len), name = {0};
	size_t      family;
	bool        whole = false;
	uint8_t    *end;

	for (family = 0; family < COUNT(families); family++) {
		name = span_text(families[family]);
		if (begins_with(rest, name, &whole))
			break;
	}
	if (family == COUNT(families))
		return PROXYPROTO_BAD;
	end = memmem(window.data, window.len, "\r\n", 2);
	if (!whole || !end)
		return window.len < V1_LINE_MAX ? PROXYPROTO_MORE : PROXYPROTO_BAD;

	header->len = (size_t)(end + 2 - bytes.data);
	rest = span_of(rest.data + name.len, (size_t)(end - rest.data) - name.len);
	if (family == V1_UNKNOWN)
		return rest.len == 0 || rest.data[0] == ' ' ? PROXYPROTO_OK : PROXYPROTO_BAD;
	return parse_v1_addresses(rest, (enum v1_family)family, header) ? PROXYPROTO_OK
	                                                                : PROXYPROTO_BAD;
}

/* ---- Version 2: binary
 * --------------------------------------------------------------------------- */

/* Type, two bytes of length, value; again until the end. Nobody asks for any of them yet. */
static bool tlvs_are_sane(struct span tlvs)
{
	while (tlvs.len > 0) {
		size_t len;

		if (tlvs.len < V2_TLV_HEADER)
			return false;
		len = V2_TLV_HEADER + ((size_t)tlvs.data[1] << 8 | tlvs.data[2]);
		if (tlvs.len < len)
			return false;
		tlvs.data += len;
		tlvs.len -= len;
	}
	return true;
}

static uint16_t read_port(const uint8_t *bytes)
{
	return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static void read_v2_ip4(const uint8_t *block, struct proxyproto *header)
{
	header->source = (struct addr){.family = ADDR_IP4, .port = read_port(block + 8)};
	memcpy(header->source.ip, block, 4);
	header->destination = (struct addr){.family = ADDR_IP4, .port = read_port(block + 10)};
	memcpy(header->destination.ip, block + 4, 4);
	header->has_addresses = true;
}

static void read_v2_ip6(const uint8_t *block, struct proxyproto *header)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};

	/* By way of a sockaddr: addr knows what becomes of IPv4-mapped ones. */
	memcpy(&in6.sin6_addr, block, 16);
	memcpy(&in6.sin6_port, block + 32, 2);
	header->source = addr_from_sockaddr((const struct sockaddr *)&in6, sizeof(in6));
	memcpy(&in6.sin6_addr, block + 16, 16);
	memcpy(&in6.sin6_port, block + 34, 2);
	header->destination = addr_from_sockaddr((const struct sockaddr *)&in6, sizeof(in6));
	header->has_addresses = true;
}

/* Judges as much of the fixed part as is there. */
static bool v2_fixed_part_is_sane(struct span bytes)
{
	if (bytes.len > 12 && (bytes.data[12] & 0xf0) != V2_VERSION)
		return false;
	if (bytes.len > 12 && (bytes.data[12] & 0x0f) > V2_PROXY)
		return false;
	return bytes.len < V2_HEADER ||
	       V2_HEADER + ((size_t)bytes.data[14] << 8 | bytes.data[15]) <= PROXYPROTO_IN_MAX;
}

static enum proxyproto_result parse_v2(struct span bytes, struct proxyproto *header)
{
	static const size_t blocks[] = {[V2_UNSPEC] = 0,
	                                [V2_IP4] = V2_IP4_BLOCK,
	                                [V2_IP6] = V2_IP6_BLOCK,
	                                [V2_UNIX] = V2_UNIX_BLOCK};
	unsigned            family, transport;
	bool                is_local;
	struct span         block;

	if (!v2_fixed_part_is_sane(bytes))
		return PROXYPROTO_BAD;
	if (bytes.len < V2_HEADER)
		return PROXYPROTO_MORE;
	is_local = (bytes.data[12] & 0x0f) == V2_LOCAL;
	family = bytes.data[13] >> 4;
	transport = bytes.data[13] & 0x0f;
	block = span_of(bytes.data + V2_HEADER, (size_t)bytes.data[14] << 8 | bytes.data[15]);
	/* LOCAL's block is discarded unread, its family ignored: 2.2. */
	if (!is_local &&
	    (family >= COUNT(blocks) || transport >= V2_DGRAM || block.len < blocks[family]))
		return PROXYPROTO_BAD;
	header->len = V2_HEADER + block.len;
	if (bytes.len < header->len)
		return PROXYPROTO_MORE;
	/* UNSPEC's may begin with addresses of any form, so there is no telling where TLVs would
	 * start. */
	if (is_local || family == V2_UNSPEC)
		return PROXYPROTO_OK;
	if (!tlvs_are_sane(span_of(block.data + blocks[family], block.len - blocks[family])))
		return PROXYPROTO_BAD;
	if (family == V2_IP4 && transport == V2_STREAM)
		read_v2_ip4(block.data, header);
	else if (family == V2_IP6 && transport == V2_STREAM)
		read_v2_ip6(block.data, header);
	return PROXYPROTO_OK;
}

enum proxyproto_result proxyproto_parse(struct span bytes, struct proxyproto *header)
{
	struct span v1 = span_text("PROXY "), v2 = span_of(v2_signature, sizeof(v2_signature));
	bool        whole;

	*header = (struct proxyproto){0};
	if (bytes.len == 0)
		return PROXYPROTO_MORE;
	if (begins_with(bytes, v1, &whole))
		return whole ? parse_v1(bytes, v1, header) : PROXYPROTO_MORE;
	if (begins_with(bytes, v2, &whole))
		return whole ? parse_v2(bytes, header) : PROXYPROTO_MORE;
	return PROXYPROTO_NONE;
}

/* ---- Writing
 * ------------------------------------------------------------------------------------- */

static bool is_ip_pair(const struct addr *source, const struct addr *destination)
{
	return source->family == destination->family &&
	       (source->family == ADDR_IP4 || source->family == ADDR_IP6);
}

static size_t write_v1(const struct addr *source, const struct addr *destination, uint8_t *out)
{
	char from[ADDR_TEXT_MAX], to[ADDR_TEXT_MAX], line[PROXYPROTO_OUT_MAX + 1];
	int  len;

	if (is_ip_pair(source, destination)) {
		(void)addr_format_ip(source, from);
		(void)addr_format_ip(destination, to);
		len = snprintf(line, sizeof(line), "PROXY TCP%c %.39s %.39s %u %u\r\n",
		               source->family == ADDR_IP4 ? '4' : '6', from, to,
		               (unsigned)source->port, (unsigned)destination->port);
	} else {
		len = snprintf(line, sizeof(line), "PROXY UNKNOWN\r\n");
	}
	memcpy(out, line, (size_t)len);
	return (size_t)len;
}

static void write_port(uint16_t port, uint8_t *out)
{
	out[0] = (uint8_t)(port >> 8);
	out[1] = (uint8_t)port;
}

static size_t write_v2(const struct addr *source, const struct addr *destination, uint8_t *out)
{
	/* A connection without a client is our own, a health check: LOCAL. One of a family that has
	 * no form here (unix) is still relayed for somebody: PROXY, UNSPEC. */
	uint8_t  command = source->family == ADDR_NONE ? V2_LOCAL : V2_PROXY;
	uint8_t *block = out + V2_HEADER;
	size_t   size = source->family == ADDR_IP4 ? 4 : 16;

	memcpy(out, v2_signature, sizeof(v2_signature));
	out[12] = (uint8_t)(V2_VERSION | command);
	out[13] = V2_UNSPEC;
	out[14] = out[15] = 0;
	if (!is_ip_pair(source, destination))
		return V2_HEADER;
	out[13] = (uint8_t)((source->family == ADDR_IP4 ? V2_IP4 : V2_IP6) << 4 | V2_STREAM);
	out[15] = source->family == ADDR_IP4 ? V2_IP4_BLOCK : V2_IP6_BLOCK;
	memcpy(block, source->ip, size);
	memcpy(block + size, destination->ip, size);
	write_port(source->port, block + 2 * size);
	write_port(destination->port, block + 2 * size + 2);
	return V2_HEADER + out[15];
}

size_t proxyproto_write(enum proxyproto_version version, const struct addr *source,
                        const struct addr *destination, uint8_t out[PROXYPROTO_OUT_MAX])
{
	switch (version) {
	case PROXYPROTO_OFF:
		return 0;
	case PROXYPROTO_V1:
		return write_v1(source, destination, out);
	case PROXYPROTO_V2:
		return write_v2(source, destination, out);
	}
	return 0;
}
