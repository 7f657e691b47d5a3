#include "conf/values.h"

#include "conf/arena.h"
#include "conf/keys.h"
#include "conf/suggest.h"

#include <stdarg.h>

bool reading_refuse(struct reading *reading, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(reading->refused, sizeof(reading->refused), format, arguments);
	va_end(arguments);
	return false;
}

bool value_parse_number(struct span text, uint32_t max, uint32_t *out)
{
	uint64_t number = 0;

	if (text.len == 0 || text.len > 10)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return false;
		number = number * 10 + (uint64_t)(text.data[i] - '0');
	}
	if (number > max)
		return false;
	*out = (uint32_t)number;
	return true;
}

/* A number and the unit behind it; the units' list ends with a zero factor. */
struct unit {
	const char *name;
	uint32_t    factor;
};

static const struct unit times[] = {{"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}, {0}};
static const struct unit short_times[] = {{"ms", 1000}, {"us", 1}, {0}};
static const struct unit sizes[] = {
	{"g", 1u << 30}, {"m", 1u << 20}, {"k", 1u << 10}, {"", 1}, {0}};

static bool parse_with_unit(struct span text, const struct unit *units, uint32_t *out)
{
	size_t      digits = 0;
	struct span unit;
	uint32_t    number;

	while (digits < text.len && text.data[digits] >= '0' && text.data[digits] <= '9')
		digits++;
	unit = span_of(text.data + digits, text.len - digits);
	for (; units->factor; units++) {
		if (!span_equal(unit, span_text(units->name)))
			continue;
		if (!value_parse_number(span_of(text.data, digits), UINT32_MAX / units->factor,
		                        &number))
			return false;
		*out = number * units->factor;
		return true;
	}
	return false;
}

/* Units come largest first. */
static void format_with_unit(uint32_t value, const struct unit *units, char out[24])
{
	if (value == 0 && units == times)
		units = times + 2; /* 0s */
	while (value % units->factor)
		units++;
	if (value == 0 && units == sizes)
		units = sizes + 3;
	snprintf(out, 24, "%u%s", value / units->factor, units->name);
}

bool value_parse_time(struct span text, uint32_t *ms)
{
	return parse_with_unit(text, times, ms);
}

void value_print_time(uint32_t ms, FILE *to)
{
	char text[24];

	format_with_unit(ms, times, text);
	fputs(text, to);
}

static bool is_unset_number(const void *field)
{
	return *(const uint32_t *)field == 0;
}

static bool read_switch(struct reading *reading, void *field)
{
	bool is_on = strcmp(reading->value, "on") == 0;

	if (!is_on && strcmp(reading->value, "off") != 0)
		return reading_refuse(reading, "on or off");
	*(bool *)field = is_on;
	return true;
}

static void print_switch(const struct key *key, const void *field, FILE *to)
{
	(void)key;
	fputs(*(const bool *)field ? "on" : "off", to);
}

const struct value_kind value_switch = {sizeof(bool), read_switch, print_switch, 0, "on, off"};

/* The word that stands for a number, if the key has one and this is it. */
static bool read_word_beside(struct reading *reading, uint32_t *field)
{
	if (!reading->key->word || strcmp(reading->value, reading->key->word) != 0)
		return false;
	*field = reading->key->word_value;
	return true;
}

static bool print_word_beside(const struct key *key, uint32_t value, FILE *to)
{
	if (!key->word || key->word_value != value)
		return false;
	fputs(key->word, to);
	return true;
}

static bool is_within(const struct key *key, uint32_t value)
{
	return value >= key->min && value <= key->max;
}

static const char *or_word(const struct key *key, char out[32])
{
	out[0] = '\0';
	if (key->word)
		snprintf(out, 32, "%s, or ", key->word);
	return out;
}

static bool read_number(struct reading *reading, void *field)
{
	const struct key *key = reading->key;
	char              word[32];
	uint32_t          value;

	if (read_word_beside(reading, field))
		return true;
	if (!value_parse_number(span_text(reading->value), UINT32_MAX, &value) ||
	    !is_within(key, value))
		return reading_refuse(reading, "%sa number from %u to %u", or_word(key, word),
		                      key->min, key->max);
	*(uint32_t *)field = value;
	return true;
}

static void print_number(const struct key *key, const void *field, FILE *to)
{
	uint32_t value = *(const uint32_t *)field;

	if (!print_word_beside(key, value, to))
		fprintf(to, "%u", value);
}

const struct value_kind value_number = {sizeof(uint32_t), read_number, print_number,
                                        is_unset_number, "a number"};

static bool read_size(struct reading *reading, void *field)
{
	const struct key *key = reading->key;
	char              word[32], least[24], most[24];
	uint32_t          value;

	if (read_word_beside(reading, field))
		return true;
	if (parse_with_unit(span_text(reading->value), sizes, &value) && is_within(key, value)) {
		*(uint32_t *)field = value;
		return true;
	}
	format_with_unit(key->min, sizes, least);
	format_with_unit(key->max, sizes, most);
	return reading_refuse(reading, "%sa size from %s to %s (such as 512, 64k, 16m)",
	                      or_word(key, word), least, most);
}

static void print_size(const struct key *key, const void *field, FILE *to)
{
	uint32_t value = *(const uint32_t *)field;
	char     text[24];

	if (print_word_beside(key, value, to))
		return;
	format_with_unit(value, sizes, text);
	fputs(text, to);
}

const struct value_kind value_size = {sizeof(uint32_t), read_size, print_size, is_unset_number,
                                      "a size: 512, 64k, 16m"};

static bool read_time(struct reading *reading, void *field)
{
	const struct key *key = reading->key;
	char              least[24], most[24];
	uint32_t          value;

	if (value_parse_time(span_text(reading->value), &value) && is_within(key, value)) {
		*(uint32_t *)field = value;
		return true;
	}
	format_with_unit(key->min, times, least);
	format_with_unit(key->max, times, most);
	return reading_refuse(reading, "a time with its unit (500ms, 5s, 10m, 1h) from %s to %s",
	                      least, most);
}

static void print_time(const struct key *key, const void *field, FILE *to)
{
	(void)key;
	value_print_time(*(const uint32_t *)field, to);
}

const struct value_kind value_time = {sizeof(uint32_t), read_time, print_time, is_unset_number,
                                      "a time: 500ms, 5s, 10m, 1h"};

static bool read_short_time(struct reading *reading, void *field)
{
	const struct key *key = reading->key;
	char              word[32], least[24], most[24];
	uint32_t          value;

	if (read_word_beside(reading, field))
		return true;
	if (parse_with_unit(span_text(reading->value), short_times, &value) &&
	    is_within(key, value)) {
		*(uint32_t *)field = value;
		return true;
	}
	format_with_unit(key->min, short_times, least);
	format_with_unit(key->max, short_times, most);
	return reading_refuse(reading, "%sa time with its unit (50us, 1ms) from %s to %s",
	                      or_word(key, word), least, most);
}

static void print_short_time(const struct key *key, const void *field, FILE *to)
{
	uint32_t value = *(const uint32_t *)field;
	char     text[24];

	if (print_word_beside(key, value, to))
		return;
	format_with_unit(value, short_times, text);
	fputs(text, to);
}

const struct value_kind value_short_time = {sizeof(uint32_t), read_short_time, print_short_time,
                                            is_unset_number, "a short time: 50us, 1ms"};

/* What may be written: the words that are supported. */
static bool refuse_word(struct reading *reading)
{
	struct suggest suggest;
	char           near[SUGGEST_TEXT_MAX], list[256] = "";

	suggest_init(&suggest, reading->value);
	for (const struct word *word = reading->key->words; word->name; word++) {
		if (word->later)
			continue;
		if (*list)
			strcat(list, ", ");
		strcat(list, word->name);
		suggest_try(&suggest, word->name);
	}
	return reading_refuse(reading, "one of %s%s", list, suggest_text(&suggest, near));
}

static bool read_word(struct reading *reading, void *field)
{
	const struct word *word = reading->key->words;

	while (word->name && strcmp(word->name, reading->value) != 0)
		word++;
	if (!word->name)
		return refuse_word(reading);
	if (word->later)
		return reading_refuse(reading, "is not supported yet");
	/* Every enum here is as wide as an unsigned; memcpy because it is not the same type. */
	memcpy(field, &word->value, sizeof(word->value));
	return true;
}

static uint32_t word_value(const void *field)
{
	uint32_t value;

	memcpy(&value, field, sizeof(value));
	return value;
}

static void print_word(const struct key *key, const void *field, FILE *to)
{
	uint32_t value = word_value(field);

	for (const struct word *word = key->words; word->name; word++) {
		if (!word->later && word->value == value) {
			fputs(word->name, to);
			return;
		}
	}
}

const struct value_kind value_word = {sizeof(uint32_t), read_word, print_word, 0, 0};

/* MySQL by name, because it is what its users will try. */
static bool read_starttls(struct reading *reading, void *field)
{
	if (strcmp(reading->value, "mysql") == 0)
		return reading_refuse(
			reading,
			"off or postgresql: MySQL's server speaks first, so its clients' TLS cannot be "
			"waited for; pass it on with ssl_preread = off");
	return read_word(reading, field);
}

const struct value_kind value_starttls = {sizeof(uint32_t), read_starttls, print_word, 0, 0};

_Static_assert(sizeof(enum conf_mode) == sizeof(uint32_t), "value_word writes enums of this width");

bool value_is_unset_text(const void *field)
{
	return !*(const char *const *)field;
}

void value_print_text(const struct key *key, const void *field, FILE *to)
{
	(void)key;
	fputs(*(const char *const *)field, to);
}

bool value_read_text(struct reading *reading, void *field)
{
	size_t len = strlen(reading->value);

	if (len > reading->key->max)
		return reading_refuse(reading, "at most %u bytes", reading->key->max);
	*(const char **)field = arena_copy(reading->arena, span_of(reading->value, len));
	return true;
}

const struct value_kind value_text = {sizeof(const char *), value_read_text, value_print_text,
                                      value_is_unset_text, "a text"};

static bool is_cpu_list(const char *text)
{
	while (*text) {
		uint32_t first, last;
		size_t   len = strcspn(text, "-,");

		if (!value_parse_number(span_of(text, len), 4095, &first))
			return false;
		text += len;
		last = first;
		if (*text == '-') {
			len = strcspn(++text, ",");
			if (!value_parse_number(span_of(text, len), 4095, &last))
				return false;
			text += len;
		}
		if (last < first)
			return false;
		if (*text == ',' && !*++text)
			return false;
	}
	return true;
}

static bool read_cpus(struct reading *reading, void *field)
{
	const char *value = reading->value;

	if (strcmp(value, "auto") != 0 && strcmp(value, "off") != 0 && !is_cpu_list(value))
		return reading_refuse(reading, "auto, off, or a list of CPUs such as 0-3,8");
	return value_read_text(reading, field);
}

const struct value_kind value_cpus = {sizeof(const char *), read_cpus, value_print_text,
                                      value_is_unset_text, "auto, off, or a list: 0-3,8"};

/* What it includes has been read by now. */
static bool read_include(struct reading *reading, void *field)
{
	(void)reading;
	(void)field;
	return true;
}

const struct value_kind value_include = {1, read_include, 0, 0, "a path or a pattern"};

static bool read_later(struct reading *reading, void *field)
{
	(void)field;
	for (const struct word *word = reading->key->words; word && word->name; word++)
		if (strcmp(word->name, reading->value) == 0)
			return true;
	return reading_refuse(reading, "is not supported yet");
}

const struct value_kind value_later = {1, read_later, 0, 0, 0};
