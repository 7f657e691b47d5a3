/*
 * hello_maker: writes TLS bytes from a recipe, so that a test shows what it sends.
 *
 *	16 0301      bytes in hex, blanks where you like
 *	5a*32        the last byte, 32 times in all
 *	'example'    text
 *	[2 ... ]     a vector: 2 bytes of length (1 to 3 may be asked for), then what stands inside
 *
 * Recipes are string literals and so the macros below nest. A recipe that is wrong aborts the test.
 */
#ifndef TESTS_UNIT_HELLO_MAKER_H
#define TESTS_UNIT_HELLO_MAKER_H

#include "base/span.h"

#include <stdlib.h>

enum { MADE_MAX = 70000 };

struct made {
	size_t  len;
	uint8_t bytes[MADE_MAX];
};

#define RECORD(content)       " 16 0301 [2 " content " ] "
#define MESSAGE(body)         " 01 [3 " body " ] "
#define RANDOM                " 5a*32 "
#define SESSION_ID            " [1 a5*32 ] "
#define CIPHERS               " [2 1301 1302 c02f c030 ] "
#define COMPRESSIONS          " [1 00 ] "
#define START                 " 0303 " RANDOM SESSION_ID CIPHERS COMPRESSIONS
#define EXTENSIONS(list)      MESSAGE(START "[2 " list " ]")
#define HELLO(list)           RECORD(EXTENSIONS(list))
#define EXTENSION(type, body) " " type " [2 " body " ] "
#define HOST(name)            " 00 [2 " name " ] "
#define SERVER_NAME(list)     EXTENSION("0000", "[2 " list " ]")
#define SNI(name)             SERVER_NAME(HOST(name))
#define GROUPS                EXTENSION("000a", "[2 001d 0017 ]")
#define SIGNATURE_ALGORITHMS  EXTENSION("000d", "[2 0403 0804 ]")
#define ALPN                  EXTENSION("0010", "[2 [1 'h2'] [1 'http/1.1'] ]")
#define VERSIONS              EXTENSION("002b", "[1 0304 0303 ]")

#define SIMPLE_LIST SNI("'www.example.com'") GROUPS SIGNATURE_ALGORITHMS ALPN VERSIONS

/* clang-format off: it would nest each line deeper than the one before. */
/* The shape of a browser's: GREASE everywhere, a post-quantum key share, ECH, unordered
 * extensions. */
#define BROWSER_LIST                                                                               \
	EXTENSION("2a2a", "")                                                                      \
	EXTENSION("0033", "[2 3a3a [2 00 ] 11ec [2 c3*1216 ] 001d [2 7e*32 ] ]")                   \
	EXTENSION("0017", "")                                                                      \
	ALPN EXTENSION("0005", "01 0000 0000") EXTENSION("ff01", "00") EXTENSION(                  \
		"fe0d", "00 0001 0001 42 [2 e1*32 ] [2 9d*400 ]")                                  \
		EXTENSION("44cd", "[2 [1 'h2'] ]") EXTENSION("002d", "[1 01 ]") EXTENSION(         \
			"000d", "[2 0403 0804 0401 0503 0805 0501 0806 0601 ]")                    \
			EXTENSION("000a", "[2 3a3a 11ec 001d 0017 0018 ]") EXTENSION("0012", "")   \
				EXTENSION("002b", "[1 6a6a 0304 0303 ]")                           \
					EXTENSION("000b", "[1 00 ]") SNI("'browser.example.net'")  \
						EXTENSION("0023", "")                              \
							EXTENSION("001b", "[1 0002 ]")             \
								EXTENSION("7a7a", "00")
#define BROWSER_CIPHERS                                                                            \
	" [2 4a4a 1301 1302 1303 c02b c02f c02c c030 cca9 cca8 c013 c014 009c 009d 002f 0035 ] "
#define BROWSER                                                                                    \
	RECORD(MESSAGE("0303" RANDOM SESSION_ID BROWSER_CIPHERS COMPRESSIONS "[2 " BROWSER_LIST    \
	               " ]"))
/* clang-format on */

static inline unsigned maker_hex(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0');
	if (c >= 'a' && c <= 'f')
		return (unsigned)(c - 'a' + 10);
	abort();
}

static inline void maker_put(struct made *made, unsigned byte)
{
	if (made->len == MADE_MAX)
		abort();
	made->bytes[made->len++] = (uint8_t)byte;
}

/* Fills in the length in front of the vector that ends here. */
static inline void maker_close(struct made *made, size_t at, unsigned width)
{
	size_t len = made->len - at - width;

	if (len >> width * 8)
		abort();
	for (unsigned i = 0; i < width; i++)
		made->bytes[at + i] = (uint8_t)(len >> (width - 1 - i) * 8);
}

static inline const char *maker_text(struct made *made, const char *text)
{
	while (*text && *text != '\'')
		maker_put(made, (uint8_t)*text++);
	if (!*text)
		abort();
	return text + 1;
}

static inline const char *maker_byte(struct made *made, const char *hex)
{
	unsigned byte = maker_hex(hex[0]) << 4 | maker_hex(hex[1]);
	char    *end = (char *)(uintptr_t)(hex + 2);
	long     count = 1;

	if (*end == '*')
		count = strtol(end + 1, &end, 10);
	while (count-- > 0)
		maker_put(made, byte);
	return end;
}

static inline struct span make(struct made *made, const char *recipe)
{
	struct {
		size_t   at;
		unsigned width;
	} open[16];
	size_t depth = 0;

	made->len = 0;
	while (*recipe) {
		if (*recipe == ' ') {
			recipe++;
		} else if (*recipe == '[') {
			if (depth == 16)
				abort();
			open[depth].at = made->len;
			open[depth].width = maker_hex(recipe[1]);
			for (unsigned i = 0; i < open[depth].width; i++)
				maker_put(made, 0);
			depth++;
			recipe += 2;
		} else if (*recipe == ']') {
			if (depth == 0)
				abort();
			depth--;
			maker_close(made, open[depth].at, open[depth].width);
			recipe++;
		} else if (*recipe == '\'') {
			recipe = maker_text(made, recipe + 1);
		} else {
			recipe = maker_byte(made, recipe);
		}
	}
	if (depth > 0)
		abort();
	return span_of(made->bytes, made->len);
}

/* Puts a handshake message into records: the first of *first* bytes (0: none such), then of
 * *each*. */
static inline struct span make_records(struct span message, size_t first, size_t each, uint8_t *out)
{
	size_t len = 0, size = first ? first : each;

	for (size_t at = 0; at < message.len; at += size, size = each) {
		if (size > message.len - at)
			size = message.len - at;
		out[len++] = 0x16;
		out[len++] = 3;
		out[len++] = 1;
		out[len++] = (uint8_t)(size >> 8);
		out[len++] = (uint8_t)size;
		memcpy(out + len, message.data + at, size);
		len += size;
	}
	return span_of(out, len);
}

#endif
