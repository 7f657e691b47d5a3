/* Values of the logs' keys: where they go, what they hold. */
#include "conf/arena.h"
#include "conf/keys.h"
#include "conf/suggest.h"
#include "conf/template.h"
#include "conf/values.h"

enum conf_log_target conf_log_target(const char *path, struct addr *to)
{
	static const char syslog[] = "syslog";
	const size_t      len = sizeof(syslog) - 1;

	if (strncmp(path, syslog, len) != 0 || (path[len] != '\0' && path[len] != ':'))
		return CONF_LOG_TO_FILE;
	if (path[len] == '\0')
		return CONF_LOG_TO_SYSLOG;
	return value_parse_ip_port(span_text(path + len + 1), to) ? CONF_LOG_TO_UDP
	                                                          : CONF_LOG_TO_NOWHERE;
}

static bool is_log_target(struct reading *reading, const char *path)
{
	struct addr to;

	if (conf_log_target(path, &to) != CONF_LOG_TO_NOWHERE)
		return true;
	return reading_refuse(
		reading,
		"syslog, or syslog:ADDR:PORT, the address in numbers (no name, which could become "
		"unknown while the program runs)");
}

static bool read_log_path(struct reading *reading, void *field)
{
	if (strcmp(reading->value, "stderr") == 0)
		return reading_refuse(reading,
		                      "the path of a file, stdout, syslog, or syslog:ADDR:PORT");
	return is_log_target(reading, reading->value) && value_read_text(reading, field);
}

const struct value_kind value_log_path = {sizeof(const char *), read_log_path, value_print_text,
                                          value_is_unset_text,
                                          "the path of a file, stdout, syslog, syslog:ADDR:PORT"};

/* ---- error_log ---- */

static const struct word levels[] = {{"debug", LEVEL_DEBUG, false},   {"info", LEVEL_INFO, false},
                                     {"notice", LEVEL_NOTICE, false}, {"warn", LEVEL_WARN, false},
                                     {"error", LEVEL_ERROR, false},   {0}};

static bool refuse_level(struct reading *reading, const char *written)
{
	struct suggest suggest;
	char           near[SUGGEST_TEXT_MAX];

	suggest_init(&suggest, written);
	for (const struct word *word = levels; word->name; word++)
		suggest_try(&suggest, word->name);
	return reading_refuse(
		reading,
		"PATH LEVEL, stderr LEVEL or syslog LEVEL; a level is debug, info, notice, warn or error%s",
		suggest_text(&suggest, near));
}

/* The level stands in the field beside: one key, two fields. */
static bool read_error_log(struct reading *reading, void *field)
{
	struct conf_global *global = container_of((const char **)field, struct conf_global,
	                                          error_log);
	const char         *space = strrchr(reading->value, ' ');
	const struct word  *word = levels;
	size_t              len = space ? (size_t)(space - reading->value) : strlen(reading->value);
	const char         *path;

	while (len && (reading->value[len - 1] == ' ' || reading->value[len - 1] == '\t'))
		len--;
	while (space && word->name && strcmp(word->name, space + 1) != 0)
		word++;
	if (!word->name)
		return refuse_level(reading, space + 1);
	path = arena_copy(reading->arena, span_of(reading->value, len));
	if (!is_log_target(reading, path))
		return false;
	global->error_level = space ? word->value : LEVEL_NOTICE;
	global->error_log = path;
	return true;
}

static void print_error_log(const struct key *key, const void *field, FILE *to)
{
	const struct conf_global *global = (const void *)((const char *)field -
	                                                  offsetof(struct conf_global, error_log));

	(void)key;
	fprintf(to, "%s %s", global->error_log, levels[global->error_level].name);
}

const struct value_kind value_error_log = {
	sizeof(const char *), read_error_log, print_error_log, value_is_unset_text,
	"PATH LEVEL, stderr LEVEL, syslog LEVEL, syslog:ADDR:PORT LEVEL"};

/* ---- template ---- */

static bool refuse_key(struct reading *reading, struct span written)
{
	struct suggest suggest;
	char           near[SUGGEST_TEXT_MAX];
	char           key[32];
	int            len = (int)min_size(written.len, sizeof(key) - 1);

	snprintf(key, sizeof(key), "%.*s", len, (const char *)written.data);
	suggest_init(&suggest, key);
	for (unsigned i = 0; i < TEMPLATE_KEYS; i++)
		suggest_try(&suggest, template_key_name((enum template_key)i));
	return reading_refuse(reading, "`{%s}` is not a key of the access log%s", key,
	                      suggest_text(&suggest, near));
}

/* True if the piece may stand; *seen* has a bit for each key. */
static bool check_piece(struct reading *reading, const struct template_piece *piece, unsigned *seen)
{
	switch (piece->kind) {
	case TEMPLATE_UNKNOWN:
		return refuse_key(reading, piece->text);
	case TEMPLATE_UNCLOSED:
		return reading_refuse(reading, "a { without its }; the brace itself is written {{");
	case TEMPLATE_STRAY:
		return reading_refuse(reading, "a } without its {; the brace itself is written }}");
	case TEMPLATE_FIELD:
		if (*seen & BIT(piece->key))
			return reading_refuse(reading, "`{%s}` stands here twice",
			                      template_key_name(piece->key));
		*seen |= BIT(piece->key);
		return true;
	case TEMPLATE_TEXT:
	case TEMPLATE_END:
		break;
	}
	return true;
}

_Static_assert((int)TEMPLATE_KEYS <= 32, "a bit for each key");

static bool read_template(struct reading *reading, void *field)
{
	struct span           rest = span_text(reading->value);
	struct template_piece piece;
	unsigned              seen = 0;

	do {
		piece = template_next(&rest);
		if (!check_piece(reading, &piece, &seen))
			return false;
	} while (piece.kind != TEMPLATE_END);
	if (seen == 0)
		return reading_refuse(reading, "a text with at least one {key} of the access log");
	return value_read_text(reading, field);
}

const struct value_kind value_template = {sizeof(const char *), read_template, value_print_text,
                                          value_is_unset_text,
                                          "{time} {client} {sni|none} {reason}"};

/* ---- when ---- */

static bool read_when(struct reading *reading, void *field)
{
	static const char one_in[] = "sample=1/";
	enum { MOST = 1000000000 };
	uint32_t *when = field;

	if (strcmp(reading->value, "all") == 0) {
		*when = CONF_WHEN_ALL;
		return true;
	}
	if (strcmp(reading->value, "errors") == 0) {
		*when = CONF_WHEN_ERRORS;
		return true;
	}
	if (strncmp(reading->value, one_in, sizeof(one_in) - 1) == 0 &&
	    value_parse_number(span_text(reading->value + sizeof(one_in) - 1), MOST, when) &&
	    *when > 0) {
		if (*when == 1)
			*when = CONF_WHEN_ALL;
		return true;
	}
	return reading_refuse(reading, "all, errors, or a sample: sample=1/100 is every 100th");
}

static void print_when(const struct key *key, const void *field, FILE *to)
{
	uint32_t when = *(const uint32_t *)field;

	(void)key;
	if (when == CONF_WHEN_ERRORS)
		fputs("errors", to);
	else if (when == CONF_WHEN_ALL)
		fputs("all", to);
	else
		fprintf(to, "sample=1/%u", when);
}

const struct value_kind value_when = {sizeof(uint32_t), read_when, print_when, 0,
                                      "all, errors, sample=1/100"};
