#include "base/escape.h"

static size_t put_hex(char *out, uint32_t value, unsigned digits)
{
	for (unsigned i = 0; i < digits; i++)
		out[i] = "0123456789abcdef"[value >> (4 * (digits - 1 - i)) & 15];
	return digits;
}

/* The length of the well-formed UTF-8 sequence (RFC 3629) of more than one byte that *bytes* begins
 * with; 0 when there is none. */
static size_t utf8_sequence(struct span bytes, uint32_t *code)
{
	static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
	uint8_t               lead = bytes.data[0];
	size_t                len = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
	uint32_t              found;

	if (lead < 0xc2 || lead > 0xf4 || bytes.len < len)
		return 0;
	found = lead & (0xffu >> (len + 1));
	for (size_t i = 1; i < len; i++) {
		if ((bytes.data[i] & 0xc0) != 0x80)
			return 0;
		found = found << 6 | (bytes.data[i] & 0x3fu);
	}
	if (found < smallest[len] || found > 0x10ffff || (found >= 0xd800 && found <= 0xdfff))
		return 0;
	*code = found;
	return len;
}

static size_t put_json_code(char *out, uint32_t code)
{
	size_t len = 0;

	if (code >= 0x10000) {
		len = put_json_code(out, 0xd800 + ((code - 0x10000) >> 10));
		code = 0xdc00 + (code & 0x3ff);
	}
	out[len++] = '\\';
	out[len++] = 'u';
	return len + put_hex(out + len, code, 4);
}

size_t escape_json(struct span *bytes, char out[ESCAPE_MAX])
{
	uint32_t code = bytes->data[0];
	size_t   used = 1, len = 0;

	if (code == '"' || code == '\\') {
		out[len++] = '\\';
		out[len++] = (char)code;
	} else if (code >= 0x20 && code < 0x7f) {
		out[len++] = (char)code;
	} else {
		size_t sequence = utf8_sequence(*bytes, &code);

		if (sequence)
			used = sequence;
		len = put_json_code(out, code);
	}
	*bytes = span_of(bytes->data + used, bytes->len - used);
	return len;
}

size_t escape_text(struct span *bytes, const char *also, char out[ESCAPE_MAX])
{
	uint8_t byte = bytes->data[0];

	*bytes = span_of(bytes->data + 1, bytes->len - 1);
	if (byte > 0x20 && byte < 0x7f && byte != '"' && byte != '\\' && byte != '=' &&
	    !strchr(also, byte)) {
		out[0] = (char)byte;
		return 1;
	}
	out[0] = '\\';
	out[1] = 'x';
	return 2 + put_hex(out + 2, byte, 2);
}

size_t escape_label(struct span *bytes, char out[ESCAPE_MAX])
{
	uint8_t  byte = bytes->data[0];
	uint32_t code;
	size_t   used = byte < 0x80 ? 0 : utf8_sequence(*bytes, &code), len = 0;

	if (byte == '"' || byte == '\\' || byte == '\n') {
		out[len++] = '\\';
		out[len++] = (char)(byte == '\n' ? 'n' : byte);
	} else if (byte >= 0x20 && byte < 0x7f) {
		out[len++] = (char)byte;
	} else if (used > 0) {
		memcpy(out, bytes->data, used);
		len = used;
	} else {
		memcpy(out, "\\\\x", 3);
		len = 3 + put_hex(out + 3, byte, 2);
	}
	used += used == 0;
	*bytes = span_of(bytes->data + used, bytes->len - used);
	return len;
}
