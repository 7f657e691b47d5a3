/*
 * fuzz_x500: any bytes as a certificate and as a name. Nothing is read beyond the end; the text is
 * printable ASCII, ends in a NUL, and a shorter one is its beginning.
 */
#include "proto/x500.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(struct span name)
{
	char text[512], cut[16];

	memset(text, 0x7f, sizeof(text));
	x500_format(name, text, sizeof(text));
	x500_format(name, cut, sizeof(cut));
	if (!memchr(text, '\0', sizeof(text)) || strncmp(text, cut, strlen(cut)) != 0)
		abort();
	for (const char *c = text; *c; c++)
		if (*c < 0x20 || *c > 0x7e)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t    *copy = malloc(size ? size : 1); /* a sanitizer sees what is read beyond */
	struct span all, name;

	if (!copy)
		abort();
	if (size)
		memcpy(copy, data, size);
	all = span_of(copy, size);
	if (x500_subject(all, &name)) {
		if (name.data < copy || name.data + name.len > copy + size)
			abort();
		check_text(name);
	}
	check_text(all);
	if (x500_has(all, X500_DNS, span_of("", 0)))
		abort();
	if (x500_has(all, X500_DNS, span_text("server.example")) !=
	    x500_has(all, X500_DNS, span_text("SERVER.example")))
		abort();
	if (x500_has(all, X500_ADDRESS, span_of("\xc0\0\x02\x01", 4)) &&
	    !memmem(data, size, "\x87\x04\xc0\0\x02\x01", 6))
		abort();
	free(copy);
	return 0;
}
