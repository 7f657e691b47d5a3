#include "policy/curves.h"

#include <strings.h>

static const struct curve curves_here[] = {
	{"X25519MLKEM768", 4588}, {"X25519", 29}, {"P-256", 23}, {"P-384", 24}, {"P-521", 25},
};

_Static_assert(COUNT(curves_here) <= CURVES_MAX, "all groups fit into a list");

/* What else a group is called; NULL: it is not here. */
static const struct {
	const char *name, *is;
} others[] = {
	{"prime256v1", "P-256"},
	{"secp256r1", "P-256"},
	{"secp384r1", "P-384"},
	{"secp521r1", "P-521"},
	{"X448", 0},
	{"SecP256r1MLKEM768", 0},
	{"SecP384r1MLKEM1024", 0},
	{"MLKEM512", 0},
	{"MLKEM768", 0},
	{"MLKEM1024", 0},
	{"ffdhe2048", 0},
	{"ffdhe3072", 0},
	{"ffdhe4096", 0},
	{"ffdhe6144", 0},
	{"ffdhe8192", 0},
	{"secp224r1", 0},
	{"secp256k1", 0},
	{"brainpoolP256r1", 0},
	{"brainpoolP384r1", 0},
	{"brainpoolP512r1", 0},
	{"brainpoolP256r1tls13", 0},
	{"brainpoolP384r1tls13", 0},
	{"brainpoolP512r1tls13", 0},
};

static bool is_name(struct span token, const char *name)
{
	return token.len == strlen(name) &&
	       strncasecmp((const char *)token.data, name, token.len) == 0;
}

static const struct curve *find_here(struct span token)
{
	for (size_t i = 0; i < COUNT(curves_here); i++)
		if (is_name(token, curves_here[i].name))
			return &curves_here[i];
	return 0;
}

/* False: nobody knows it. *curve* NULL: it is not here. */
static bool find(struct span token, const struct curve **curve)
{
	*curve = find_here(token);
	if (*curve)
		return true;
	for (size_t i = 0; i < COUNT(others); i++) {
		if (!is_name(token, others[i].name))
			continue;
		*curve = others[i].is ? find_here(span_text(others[i].is)) : 0;
		return true;
	}
	return false;
}

static void append_once(struct curves *curves, const struct curve *curve)
{
	for (size_t i = 0; i < curves->count; i++)
		if (curves->list[i] == curve)
			return;
	curves->list[curves->count++] = curve;
}

static bool is_separator(uint8_t byte)
{
	return byte == ':' || byte == ',' || byte == ' ' || byte == '\t';
}

enum curves_result curves_parse(struct span text, struct curves *curves, struct span *token)
{
	size_t at = 0;

	*curves = (struct curves){0};
	while (at < text.len) {
		const struct curve *curve;
		size_t              start = at;

		while (at < text.len && !is_separator(text.data[at]))
			at++;
		*token = span_of(text.data + start, at - start);
		if (token->len && !find(*token, &curve))
			return CURVES_UNKNOWN;
		if (token->len && curve)
			append_once(curves, curve);
		at++; /* the separator */
	}
	*token = text;
	return curves->count ? CURVES_OK : CURVES_EMPTY;
}

const char *curves_name(struct span word)
{
	const struct curve *curve;

	return find(word, &curve) && curve ? curve->name : 0;
}

const char *curves_word(size_t index)
{
	if (index < COUNT(curves_here))
		return curves_here[index].name;
	index -= COUNT(curves_here);
	return index < COUNT(others) ? others[index].name : 0;
}
