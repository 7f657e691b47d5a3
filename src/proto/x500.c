#include "proto/x500.h"

#include <stdio.h>
#include <strings.h>

enum {
	TAG_BMP = 0x1e,
	TAG_EXTENSIONS = 0xa3,
	TAG_IA5 = 0x16,
	TAG_NUMERIC = 0x12,
	TAG_OCTETS = 0x04,
	TAG_OID = 0x06,
	TAG_PRINTABLE = 0x13,
	TAG_SEQUENCE = 0x30,
	TAG_SET = 0x31,
	TAG_T61 = 0x14,
	TAG_UTF8 = 0x0c,
	TAG_VERSION = 0xa0,
};

struct element {
	uint8_t     tag;
	struct span contents, whole;
};

/* Takes an element off *from*; DER, definite lengths of up to three bytes (X.690 10.1). */
static bool take(struct span *from, struct element *element)
{
	size_t len, head = 2;

	if (from->len < head)
		return false;
	len = from->data[1];
	if (len >= 0x80) {
		size_t count = len - 0x80;

		if (count == 0 || count > 3 || from->len - head < count)
			return false;
		len = 0;
		while (count-- > 0)
			len = len << 8 | from->data[head++];
	}
	if (from->len - head < len)
		return false;
	element->tag = from->data[0];
	element->contents = span_of(from->data + head, len);
	element->whole = span_of(from->data, head + len);
	from->data += head + len;
	from->len -= head + len;
	return true;
}

static bool take_tagged(struct span *from, uint8_t tag, struct span *contents)
{
	struct element element;

	if (!take(from, &element) || element.tag != tag)
		return false;
	*contents = element.contents;
	return true;
}

/* What stands in the body of a certificate from its subject on. */
static bool from_subject(struct span certificate, struct span *body)
{
	struct span    outer;
	struct element element;

	if (!take_tagged(&certificate, TAG_SEQUENCE, &outer) ||
	    !take_tagged(&outer, TAG_SEQUENCE, body) || !take(body, &element))
		return false;
	if (element.tag == TAG_VERSION && !take(body, &element)) /* then the serial number */
		return false;
	for (int i = 0; i < 3; i++) /* signature, issuer, validity */
		if (!take(body, &element))
			return false;
	return true;
}

bool x500_subject(struct span certificate, struct span *name)
{
	struct span body;

	return from_subject(certificate, &body) && take_tagged(&body, TAG_SEQUENCE, name);
}

/* ---- alternative names ---- */

/* The list of all extensions. */
static bool find_extensions(struct span certificate, struct span *extensions)
{
	struct span    body;
	struct element element;

	if (!from_subject(certificate, &body))
		return false;
	while (take(&body, &element))
		if (element.tag == TAG_EXTENSIONS)
			return take_tagged(&element.contents, TAG_SEQUENCE, extensions);
	return false;
}

static bool find_alternatives(struct span certificate, struct span *names)
{
	static const uint8_t subject_alt_name[] = {0x55, 29, 17};
	struct span          extensions, extension, oid;
	struct element       element;

	if (!find_extensions(certificate, &extensions))
		return false;
	while (take_tagged(&extensions, TAG_SEQUENCE, &extension)) {
		if (!take_tagged(&extension, TAG_OID, &oid))
			return false;
		if (!span_equal(oid, span_of(subject_alt_name, sizeof(subject_alt_name))))
			continue;
		while (take(&extension, &element)) /* whether it is critical may come first */
			if (element.tag == TAG_OCTETS)
				return take_tagged(&element.contents, TAG_SEQUENCE, names);
		return false;
	}
	return false;
}

static bool is_same(enum x500_kind kind, struct span a, struct span b)
{
	switch (kind) {
	case X500_DNS:
		return a.len == b.len &&
		       strncasecmp((const char *)a.data, (const char *)b.data, a.len) == 0 &&
		       !memchr(a.data, '\0', a.len); /* where strncasecmp would stop */
	case X500_ADDRESS:
		return span_equal(a, b);
	}
	return false;
}

bool x500_has(struct span certificate, enum x500_kind kind, struct span value)
{
	struct span    names;
	struct element element;

	if (value.len == 0 || !find_alternatives(certificate, &names))
		return false;
	while (take(&names, &element))
		if (element.tag == kind && is_same(kind, element.contents, value))
			return true;
	return false;
}

/* ---- text ---- */

struct writer {
	char  *text;
	size_t len, size; /* a NUL always fits */
};

static void put(struct writer *writer, char c)
{
	if (writer->len + 1 < writer->size)
		writer->text[writer->len++] = c;
}

static void put_text(struct writer *writer, const char *text)
{
	while (*text)
		put(writer, *text++);
}

static void put_hex(struct writer *writer, uint8_t byte)
{
	static const char digits[] = "0123456789ABCDEF";

	put(writer, digits[byte >> 4]);
	put(writer, digits[byte & 15]);
}

/* RFC 4514 3, and what openssl x509 -nameopt RFC2253 calls them. */
static const char *type_name(struct span oid)
{
	static const struct {
		uint8_t     len, oid[10];
		const char *name;
	} types[] = {
		{3, {0x55, 4, 3}, "CN"},
		{3, {0x55, 4, 4}, "SN"},
		{3, {0x55, 4, 5}, "serialNumber"},
		{3, {0x55, 4, 6}, "C"},
		{3, {0x55, 4, 7}, "L"},
		{3, {0x55, 4, 8}, "ST"},
		{3, {0x55, 4, 9}, "street"},
		{3, {0x55, 4, 10}, "O"},
		{3, {0x55, 4, 11}, "OU"},
		{3, {0x55, 4, 12}, "title"},
		{3, {0x55, 4, 42}, "GN"},
		{10, {0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1}, "UID"},
		{10, {0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25}, "DC"},
		{9, {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1}, "emailAddress"},
	};

	for (size_t i = 0; i < COUNT(types); i++)
		if (span_equal(oid, span_of(types[i].oid, types[i].len)))
			return types[i].name;
	return NULL;
}

/* "1.2.840"; the first byte holds two arcs (X.690 8.19.4). */
static void put_oid(struct writer *writer, struct span oid)
{
	uint64_t arc = 0;
	bool     is_first = true;

	for (size_t i = 0; i < oid.len; i++) {
		char     text[48];
		uint64_t top;

		arc = arc << 7 | (oid.data[i] & 0x7f);
		if (oid.data[i] & 0x80)
			continue;
		top = arc < 80 ? arc / 40 : 2;
		if (is_first)
			snprintf(text, sizeof(text), "%llu.%llu", (unsigned long long)top,
			         (unsigned long long)(arc - top * 40));
		else
			snprintf(text, sizeof(text), ".%llu", (unsigned long long)arc);
		put_text(writer, text);
		is_first = false;
		arc = 0;
	}
}

static bool is_string(uint8_t tag)
{
	return tag == TAG_UTF8 || tag == TAG_PRINTABLE || tag == TAG_IA5 || tag == TAG_T61 ||
	       tag == TAG_NUMERIC;
}

static void put_string(struct writer *writer, struct span string)
{
	for (size_t i = 0; i < string.len; i++) {
		uint8_t c = string.data[i];
		bool    at_edge = i == 0 || i + 1 == string.len;

		if (c < 0x20 || c > 0x7e) {
			put(writer, '\\');
			put_hex(writer, c);
			continue;
		}
		if (strchr(",+\"\\<>;", c) || (c == ' ' && at_edge) || (c == '#' && i == 0))
			put(writer, '\\');
		put(writer, (char)c);
	}
}

/* Two bytes a character; those beyond ASCII stay as they are, escaped. */
static void put_wide(struct writer *writer, struct span string)
{
	for (size_t i = 0; i + 1 < string.len; i += 2) {
		if (string.data[i] == 0) {
			put_string(writer, span_of(string.data + i + 1, 1));
			continue;
		}
		for (size_t j = 0; j < 2; j++) {
			put(writer, '\\');
			put_hex(writer, string.data[i + j]);
		}
	}
}

static void put_value(struct writer *writer, const struct element *value)
{
	if (is_string(value->tag)) {
		put_string(writer, value->contents);
	} else if (value->tag == TAG_BMP) {
		put_wide(writer, value->contents);
	} else {
		put(writer, '#');
		for (size_t i = 0; i < value->whole.len; i++)
			put_hex(writer, value->whole.data[i]);
	}
}

/* One relative name: a set of types and values. */
static bool put_relative(struct writer *writer, struct span set)
{
	bool is_first = true;

	while (set.len > 0) {
		struct span    pair, oid;
		struct element value;
		const char    *name;

		if (!take_tagged(&set, TAG_SEQUENCE, &pair) || !take_tagged(&pair, TAG_OID, &oid) ||
		    !take(&pair, &value))
			return false;
		if (!is_first)
			put(writer, '+');
		is_first = false;
		name = type_name(oid);
		if (name)
			put_text(writer, name);
		else
			put_oid(writer, oid);
		put(writer, '=');
		put_value(writer, &value);
	}
	return true;
}

void x500_format(struct span name, char *text, size_t size)
{
	enum { RELATIVES_MAX = 32 };
	struct span   relatives[RELATIVES_MAX];
	size_t        count = 0;
	struct writer writer = {text, 0, size};
	bool          is_whole = true;

	if (size == 0)
		return;
	while (is_whole && name.len > 0 && count < RELATIVES_MAX)
		is_whole = take_tagged(&name, TAG_SET, &relatives[count++]);
	for (size_t i = count; is_whole && i-- > 0;) {
		is_whole = put_relative(&writer, relatives[i]);
		if (i > 0)
			put(&writer, ',');
	}
	text[is_whole ? writer.len : 0] = '\0';
}
