#include "process/access_format.h"
#include "base/clock.h"
#include "base/escape.h"

/* The line as far as it is written. */
struct line {
	char                *at, *end;
	enum conf_log_format format;
	struct span          absent;  /* what a template has for a value that is not there */
	bool                 is_full; /* something did not fit; nothing is written any more */
	bool                 has_keys;
};

static bool is_json(const struct line *line)
{
	return line->format == CONF_LOG_JSON;
}

static void put_bytes(struct line *line, const char *bytes, size_t len)
{
	if (line->is_full || (size_t)(line->end - line->at) < len) {
		line->is_full = true;
		return;
	}
	memcpy(line->at, bytes, len);
	line->at += len;
}

static void put_char(struct line *line, char c)
{
	put_bytes(line, &c, 1);
}

static void put_plain(struct line *line, const char *text)
{
	put_bytes(line, text, strlen(text));
}

static void put_key(struct line *line, const char *key)
{
	switch (line->format) {
	case CONF_LOG_TEXT:
		put_plain(line, line->has_keys ? " " : "");
		put_plain(line, key);
		put_char(line, '=');
		break;
	case CONF_LOG_JSON:
		put_plain(line, line->has_keys ? ",\"" : "{\"");
		put_plain(line, key);
		put_plain(line, "\":");
		break;
	case CONF_LOG_TEMPLATE:
		break;
	}
	line->has_keys = true;
}

static void put_quote(struct line *line)
{
	if (is_json(line))
		put_char(line, '"');
}

static void put_absent(struct line *line, const char *key)
{
	put_key(line, key);
	switch (line->format) {
	case CONF_LOG_TEXT:
		put_char(line, '-');
		break;
	case CONF_LOG_JSON:
		put_plain(line, "null");
		break;
	case CONF_LOG_TEMPLATE:
		put_bytes(line, (const char *)line->absent.data, line->absent.len);
		break;
	}
}

static void put_number(struct line *line, const char *key, uint64_t value)
{
	char   digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	put_key(line, key);
	put_bytes(line, digits + at, sizeof(digits) - at);
}

/* A number where *is_known*, else absent. */
static void put_optional(struct line *line, const char *key, bool is_known, uint64_t value)
{
	if (is_known)
		put_number(line, key, value);
	else
		put_absent(line, key);
}

/* One of our own words, which need no escaping; NULL = absent. */
static void put_word(struct line *line, const char *key, const char *word)
{
	if (!word) {
		put_absent(line, key);
		return;
	}
	put_key(line, key);
	put_quote(line);
	put_plain(line, word);
	put_quote(line);
}

static void put_time(struct line *line, const char *key, uint64_t real_ms)
{
	char text[CLOCK_TEXT_LEN + 1];

	clock_format(real_ms, text);
	text[CLOCK_TEXT_LEN] = '\0';
	put_word(line, key, text);
}

static void put_addr(struct line *line, const char *key, const struct addr *addr)
{
	char text[ADDR_TEXT_MAX];

	addr_format(addr, text);
	put_word(line, key, addr->family == ADDR_NONE ? NULL : text);
}

static void put_escaped(struct line *line, struct span bytes, bool in_list)
{
	char out[ESCAPE_MAX];

	while (bytes.len > 0) {
		size_t len = is_json(line) ? escape_json(&bytes, out)
		                           : escape_text(&bytes, in_list ? "," : "", out);

		put_bytes(line, out, len);
	}
}

static void put_text(struct line *line, const char *key, struct span text)
{
	struct span shown = span_of(text.data, min_size(text.len, ACCESS_TEXT_MAX));

	if (!text.data) {
		put_absent(line, key);
		return;
	}
	put_key(line, key);
	put_quote(line);
	if (!is_json(line) && span_equal(text, span_text("-")))
		put_plain(line, "\\x2d"); /* a dash alone means that there is none */
	else
		put_escaped(line, shown, false);
	if (shown.len < text.len)
		put_plain(line, "...");
	put_quote(line);
}

/* A list of (1-byte length, bytes), as in the hello, joined with commas. */
static void put_protocols(struct line *line, const char *key, struct span list)
{
	struct span rest = span_of(list.data, min_size(list.len, ACCESS_TEXT_MAX));
	bool        is_first = true;

	if (!list.data) {
		put_absent(line, key);
		return;
	}
	put_key(line, key);
	put_quote(line);
	while (rest.len > 0) {
		size_t len = min_size(rest.data[0], rest.len - 1);

		if (!is_first)
			put_char(line, ',');
		is_first = false;
		if (!is_json(line) && list.len == 2 && len == 1 && rest.data[1] == '-')
			put_plain(line, "\\x2d");
		else
			put_escaped(line, span_of(rest.data + 1, len), true);
		rest = span_of(rest.data + 1 + len, rest.len - 1 - len);
	}
	if (list.len > ACCESS_TEXT_MAX)
		put_plain(line, "...");
	put_quote(line);
}

static void split_texts(const struct access_record *record, const uint8_t *texts,
                        struct span out[ACCESS_TEXTS])
{
	static const uint8_t nothing;

	for (size_t i = 0; i < ACCESS_TEXTS; i++) {
		size_t len = record->text_len[i];

		out[i] = (struct span){0};
		if (len == ACCESS_ABSENT)
			continue;
		out[i] = span_of(len ? texts : &nothing, len);
		texts += len;
	}
}

static const char *mode_word(uint8_t mode)
{
	static const char *const words[] = {"passthrough", "reject", "terminate"};

	return mode < COUNT(words) ? words[mode] : NULL;
}

static const char *resumed_word(uint8_t resumed)
{
	static const char *const words[] = {NULL, "no", "yes"};

	return resumed < COUNT(words) ? words[resumed] : NULL;
}

/* One value, with its key where the format has keys. */
static void put_field(struct line *line, const struct access_record *record,
                      const struct span text[ACCESS_TEXTS], enum template_key field)
{
	const char *key = template_key_name(field);

	switch (field) {
	case TEMPLATE_TIME:
		put_time(line, key, record->head.time_ms);
		break;
	case TEMPLATE_ID:
		put_number(line, key, record->id);
		break;
	case TEMPLATE_LISTENER:
		put_text(line, key, text[ACCESS_LISTENER]);
		break;
	case TEMPLATE_CLIENT:
		put_addr(line, key, &record->client);
		break;
	case TEMPLATE_PEER:
		put_addr(line, key, &record->peer);
		break;
	case TEMPLATE_SNI:
		put_text(line, key, text[ACCESS_SNI]);
		break;
	case TEMPLATE_ALPN:
		put_protocols(line, key, text[ACCESS_ALPN]);
		break;
	case TEMPLATE_ROUTE:
		put_text(line, key, text[ACCESS_ROUTE]);
		break;
	case TEMPLATE_MODE:
		put_word(line, key, mode_word(record->mode));
		break;
	case TEMPLATE_UPSTREAM:
		put_text(line, key, text[ACCESS_UPSTREAM]);
		break;
	case TEMPLATE_SERVER:
		put_text(line, key, text[ACCESS_SERVER]);
		break;
	case TEMPLATE_TRIES:
		put_number(line, key, record->tries);
		break;
	case TEMPLATE_REASON:
		put_word(line, key, reason_word(record->reason));
		break;
	case TEMPLATE_ALERT:
		put_optional(line, key, record->alert != 0, record->alert);
		break;
	case TEMPLATE_BYTES_UP:
		put_number(line, key, record->bytes_up);
		break;
	case TEMPLATE_BYTES_DOWN:
		put_number(line, key, record->bytes_down);
		break;
	case TEMPLATE_CONNECT_MS:
		put_optional(line, key, record->connect_ms >= 0, (uint64_t)record->connect_ms);
		break;
	case TEMPLATE_DURATION_MS:
		put_number(line, key, record->duration_ms);
		break;
	case TEMPLATE_HELLO_MS:
		put_optional(line, key, record->hello_ms >= 0, (uint64_t)record->hello_ms);
		break;
	case TEMPLATE_TLS:
		put_text(line, key, text[ACCESS_TLS]);
		break;
	case TEMPLATE_CIPHER:
		put_text(line, key, text[ACCESS_CIPHER]);
		break;
	case TEMPLATE_GROUP:
		put_text(line, key, text[ACCESS_GROUP]);
		break;
	case TEMPLATE_RESUMED:
		put_word(line, key, resumed_word(record->resumed));
		break;
	case TEMPLATE_CLIENT_CERT:
		put_text(line, key, text[ACCESS_CLIENT_CERT]);
		break;
	case TEMPLATE_RELAY:
		put_word(line, key, access_relay_word(record->relay));
		break;
	case TEMPLATE_KEYS:
		break;
	}
}

static size_t finish(const struct line *line, const char *out)
{
	return line->is_full ? 0 : (size_t)(line->at - out);
}

size_t access_format(const struct access_record *record, const uint8_t *texts,
                     enum conf_log_format format, char *out, size_t size)
{
	struct line line = {.at = out, .end = out + size, .format = format};
	struct span text[ACCESS_TEXTS];

	split_texts(record, texts, text);
	for (unsigned key = 0; key < TEMPLATE_KEYS; key++)
		put_field(&line, record, text, (enum template_key)key);
	put_plain(&line, is_json(&line) ? "}\n" : "\n");
	return finish(&line, out);
}

size_t access_format_template(const struct access_record *record, const uint8_t *texts,
                              const struct template *template, char *out, size_t size)
{
	struct line line = {.at = out, .end = out + size, .format = CONF_LOG_TEMPLATE};
	struct span text[ACCESS_TEXTS];

	split_texts(record, texts, text);
	for (size_t i = 0; i < template->count; i++) {
		const struct template_piece *piece = &template->pieces[i];

		line.absent = piece->text;
		if (piece->kind == TEMPLATE_FIELD)
			put_field(&line, record, text, piece->key);
		else
			put_bytes(&line, (const char *)piece->text.data, piece->text.len);
	}
	put_char(&line, '\n');
	return finish(&line, out);
}
