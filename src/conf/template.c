#include "conf/template.h"

#include <stdlib.h>
#include <string.h>

const char *template_key_name(enum template_key key)
{
	switch (key) {
#define X(name, word)                                                                              \
	case TEMPLATE_##name:                                                                      \
		return word;
		TEMPLATE_KEYS_OF(X)
#undef X
	case TEMPLATE_KEYS:
		break;
	}
	return NULL;
}

static struct span skip(struct span text, size_t len)
{
	return span_of(text.data + len, text.len - len);
}

/* Bytes in front of the first of *stops*. */
static size_t count_until(struct span text, const char *stops)
{
	size_t len = 0;

	while (len < text.len && (text.data[len] == '\0' || !strchr(stops, text.data[len])))
		len++;
	return len;
}

/* What stands between the braces. */
static struct template_piece read_field(struct span inside)
{
	size_t                len = count_until(inside, "|");
	struct span           name = span_of(inside.data, len);
	struct template_piece piece = {.kind = TEMPLATE_FIELD, .text = span_text("-")};

	if (len < inside.len)
		piece.text = skip(inside, len + 1);
	for (unsigned key = 0; key < TEMPLATE_KEYS; key++) {
		piece.key = (enum template_key)key;
		if (span_equal(name, span_text(template_key_name(piece.key))))
			return piece;
	}
	return (struct template_piece){.kind = TEMPLATE_UNKNOWN, .text = name};
}

struct template_piece template_next(struct span *rest)
{
	struct span text = *rest;
	size_t      len = count_until(text, "{}");

	if (text.len == 0)
		return (struct template_piece){.kind = TEMPLATE_END};
	if (len > 0) {
		*rest = skip(text, len);
		return (struct template_piece){.kind = TEMPLATE_TEXT,
		                               .text = span_of(text.data, len)};
	}
	if (text.len > 1 && text.data[1] == text.data[0]) {
		*rest = skip(text, 2);
		return (struct template_piece){.kind = TEMPLATE_TEXT,
		                               .text = span_of(text.data, 1)};
	}
	*rest = skip(text, text.len);
	if (text.data[0] == '}')
		return (struct template_piece){.kind = TEMPLATE_STRAY};
	text = skip(text, 1);
	len = count_until(text, "{}");
	if (len == text.len || text.data[len] == '{')
		return (struct template_piece){.kind = TEMPLATE_UNCLOSED};
	*rest = skip(text, len + 1);
	return read_field(span_of(text.data, len));
}

bool template_init(struct template *template, const char *text)
{
	size_t                len = strlen(text);
	struct span           rest;
	struct template_piece piece;

	*template = (struct template){
		.pieces = calloc(len + 1, sizeof(*template->pieces)),
		.text = strdup(text),
	};
	if (!template->pieces || !template->text) {
		template_fini(template);
		return false;
	}
	rest = span_text(template->text);
	for (piece = template_next(&rest); piece.kind != TEMPLATE_END; piece = template_next(&rest))
		if (piece.kind == TEMPLATE_TEXT || piece.kind == TEMPLATE_FIELD)
			template->pieces[template->count++] = piece;
	return true;
}

void template_fini(struct template *template)
{
	free(template->pieces);
	free(template->text);
	*template = (struct template){0};
}
