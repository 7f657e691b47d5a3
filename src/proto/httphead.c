#include "proto/httphead.h"

struct parsing {
	struct httphead head;
	bool            needs_host; /* HTTP/1.1, RFC 9112 3.2 */
	unsigned        lines, hosts;
};

/* RFC 9110 5.6.2 */
static bool is_token_byte(uint8_t byte)
{
	return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
	       (byte >= 'A' && byte <= 'Z') || (byte != 0 && strchr("!#$%&'*+-.^_`|~", byte));
}

static bool is_token(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if (!is_token_byte(text.data[i]))
			return false;
	return text.len > 0;
}

static bool is_visible(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.data[i] <= ' ' || text.data[i] >= 0x7f)
			return false;
	return text.len > 0;
}

static bool starts_with(struct span text, const char *with)
{
	size_t len = strlen(with);

	return text.len >= len && memcmp(text.data, with, len) == 0;
}

static struct span skip(struct span text, size_t len)
{
	return span_of(text.data + len, text.len - len);
}

/* What stands before the first *byte*, all of it without one; *rest* is behind it, data NULL
 * without one. */
static struct span cut(struct span text, uint8_t byte, struct span *rest)
{
	const uint8_t *at = text.len > 0 ? memchr(text.data, byte, text.len) : NULL;

	*rest = (struct span){0};
	if (!at)
		return text;
	*rest = skip(text, (size_t)(at - text.data) + 1);
	return span_of(text.data, (size_t)(at - text.data));
}

/* The path of "/path?query" or, as a proxy is sent it, of "http://host/path?query" (RFC 9112
 * 3.2). */
static bool take_path(struct span target, struct span *path)
{
	struct span rest;

	if (starts_with(target, "http://")) {
		const uint8_t *slash;

		target = skip(target, strlen("http://"));
		slash = target.len > 0 ? memchr(target.data, '/', target.len) : NULL;
		target = slash ? skip(target, (size_t)(slash - target.data)) : span_text("/");
	}
	*path = cut(target, '?', &rest);
	return starts_with(*path, "/");
}

static bool take_request_line(struct parsing *parsing, struct span line)
{
	struct httphead *head = &parsing->head;
	struct span      target, version, method = cut(line, ' ', &target);

	target = cut(target, ' ', &version);
	if (!is_token(method) || !is_visible(target) || version.len != strlen("HTTP/1.x") ||
	    !starts_with(version, "HTTP/1.") || version.data[7] < '0' || version.data[7] > '9')
		return false;
	parsing->needs_host = version.data[7] != '0';
	head->method = HTTPHEAD_OTHER;
	head->path = span_text("");
	if (span_equal(method, span_text("GET")))
		head->method = HTTPHEAD_GET;
	else if (span_equal(method, span_text("HEAD")))
		head->method = HTTPHEAD_HEAD;
	return head->method == HTTPHEAD_OTHER || take_path(target, &head->path);
}

static bool is_host(struct span name)
{
	static const char host[] = "host";

	for (size_t i = 0; i < name.len; i++)
		if (i >= strlen(host) || (name.data[i] | 0x20) != host[i])
			return false;
	return name.len == strlen(host);
}

/* A name with white space around it, or a line continued by white space, is an old way to
 * smuggle. */
static bool take_field(struct parsing *parsing, struct span line)
{
	struct span value, name = cut(line, ':', &value);

	if (!value.data || !is_token(name))
		return false;
	parsing->hosts += is_host(name);
	return true;
}

static bool take_line(struct parsing *parsing, struct span line)
{
	return parsing->lines++ == 0 ? take_request_line(parsing, line) : take_field(parsing, line);
}

/* Of a line, or of what is there of one: control bytes stand in no head. A CR stands before the LF
 * only. */
static bool has_clean_bytes(struct span line)
{
	for (size_t i = 0; i < line.len; i++)
		if ((line.data[i] < ' ' && line.data[i] != '\t') || line.data[i] == 0x7f)
			return false;
	return true;
}

static struct span without_cr(struct span line)
{
	return line.len > 0 && line.data[line.len - 1] == '\r' ? span_of(line.data, line.len - 1)
	                                                       : line;
}

enum httphead_result httphead_parse(struct span bytes, struct httphead *head)
{
	struct parsing parsing = {0};
	struct span    line, rest;

	bytes.len = min_size(bytes.len, HTTPHEAD_MAX);
	for (rest = bytes;;) {
		line = cut(rest, '\n', &rest);
		if (!has_clean_bytes(without_cr(line)))
			return HTTPHEAD_BAD;
		if (!rest.data)
			return bytes.len == HTTPHEAD_MAX ? HTTPHEAD_TOO_LONG : HTTPHEAD_MORE;
		line = without_cr(line);
		if (line.len == 0 && parsing.lines > 0)
			break;
		if (!take_line(&parsing, line))
			return HTTPHEAD_BAD;
	}
	if (parsing.hosts > 1 || (parsing.needs_host && parsing.hosts == 0))
		return HTTPHEAD_BAD;
	*head = parsing.head;
	return HTTPHEAD_OK;
}
