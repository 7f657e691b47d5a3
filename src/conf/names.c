/* Values that a hello is compared with: server names, protocol ids, TLS versions. */
#include "conf/arena.h"
#include "conf/keys.h"
#include "conf/values.h"
#include "proto/hello.h"

static bool refuse_name(struct reading *reading)
{
	return reading_refuse(
		reading,
		"a server name: example.com, *.example.com (below it), .example.com (it and all "
		"below) or none");
}

static bool is_label_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/* Labels of 1 to 63 letters, digits, - and _; *name* is lower case without a trailing dot. */
static bool is_server_name(const char *name, size_t len)
{
	size_t label = 0;

	if (len == 0 || len > HELLO_NAME_MAX)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (name[i] == '.' ? label == 0 : !is_label_byte(name[i]) || label == 63)
			return false;
		label = name[i] == '.' ? 0 : label + 1;
	}
	return label != 0;
}

static bool check_written(struct reading *reading, const char *text)
{
	for (const char *c = text; *c; c++)
		if ((unsigned char)*c >= 0x80)
			return reading_refuse(
				reading,
				"a name that is not ASCII is written in its xn-- form, as clients "
				"send it");
	if (*text == '~')
		return reading_refuse(reading, "is not supported yet (regular expressions)");
	if (strcmp(text, "*") == 0)
		return reading_refuse(
			reading,
			"a server name; any name: leave server_name out, or `default` in [sni]");
	return true;
}

bool value_read_name(struct reading *reading, const char *text, struct conf_name *name)
{
	struct addr ip;
	char        folded[HELLO_NAME_MAX + 1];
	size_t      len;

	*name = (struct conf_name){.kind = ROUTER_EXACT, .pos = reading->pos};
	if (!check_written(reading, text))
		return false;
	if (strcmp(text, "none") == 0) {
		name->kind = ROUTER_NO_NAME;
		return true;
	}
	if (addr_parse_ip(span_text(text), &ip))
		return reading_refuse(
			reading,
			"a server name; an IP address in a hello counts as no name: `none`");
	if (text[0] == '*' && text[1] == '.') {
		name->kind = ROUTER_BELOW;
		text += 2;
	} else if (text[0] == '.') {
		name->kind = ROUTER_APEX;
		text += 1;
	}
	len = strlen(text);
	if (len && text[len - 1] == '.')
		len--;
	if (len == 0 || len > HELLO_NAME_MAX)
		return refuse_name(reading);
	for (size_t i = 0; i < len; i++)
		folded[i] = text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] + 'a' - 'A')
		                                             : text[i];
	if (!is_server_name(folded, len))
		return refuse_name(reading);
	name->name = span_of(arena_copy(reading->arena, span_of(folded, len)), len);
	return true;
}

void value_print_name(const struct conf_name *name, FILE *to)
{
	switch (name->kind) {
	case ROUTER_NO_NAME:
		fputs("none", to);
		return;
	case ROUTER_ANY_NAME:
		return;
	case ROUTER_BELOW:
		fputs("*.", to);
		break;
	case ROUTER_APEX:
		fputs(".", to);
		break;
	case ROUTER_EXACT:
		break;
	}
	fprintf(to, "%.*s", (int)name->name.len, (const char *)name->name.data);
}

static bool read_name(struct reading *reading, void *field)
{
	return value_read_name(reading, reading->value, field);
}

static void print_name(const struct key *key, const void *field, FILE *to)
{
	(void)key;
	value_print_name(field, to);
}

const struct value_kind value_name = {sizeof(struct conf_name), read_name, print_name, 0,
                                      "example.com, *.example.com, .example.com, none"};

static bool read_alpn(struct reading *reading, void *field)
{
	size_t len = strlen(reading->value);

	if (len > 255 || strcspn(reading->value, " \t,") != len)
		return reading_refuse(
			reading,
			"one protocol id a line (h2, http/1.1, postgresql), at most 255 bytes");
	*(struct span *)field = span_of(arena_copy(reading->arena, span_of(reading->value, len)),
	                                len);
	return true;
}

static void print_alpn(const struct key *key, const void *field, FILE *to)
{
	const struct span *alpn = field;

	(void)key;
	fprintf(to, "%.*s", (int)alpn->len, (const char *)alpn->data);
}

const struct value_kind value_alpn = {sizeof(struct span), read_alpn, print_alpn, 0,
                                      "a protocol id: h2"};

static const struct word versions[] = {{"1.0", HELLO_TLS10, false},
                                       {"1.1", HELLO_TLS11, false},
                                       {"1.2", HELLO_TLS12, false},
                                       {"1.3", HELLO_TLS13, false},
                                       {0}};

static bool read_version(struct reading *reading, void *field)
{
	const struct word *word = versions;

	while (word->name && strcmp(word->name, reading->value) != 0)
		word++;
	if (!word->name)
		return reading_refuse(reading, "one of 1.0, 1.1, 1.2, 1.3");
	*(unsigned *)field = word->value;
	return true;
}

static void print_version(const struct key *key, const void *field, FILE *to)
{
	(void)key;
	for (const struct word *word = versions; word->name; word++)
		if (word->value == *(const unsigned *)field)
			fputs(word->name, to);
}

static bool is_unset_version(const void *field)
{
	return *(const unsigned *)field == 0;
}

const struct value_kind value_version = {sizeof(unsigned), read_version, print_version,
                                         is_unset_version, "1.0, 1.1, 1.2, 1.3"};
