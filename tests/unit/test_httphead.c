#include "proto/httphead.h"

#include "test.h"

#include <stdlib.h>

/* From a heap block of the exact size, so that a sanitizer sees what is read beyond; *head* points
 * into it. */
static enum httphead_result parse_bytes(const void *data, size_t len, struct httphead *head,
                                        char path[HTTPHEAD_MAX])
{
	uint8_t             *copy = malloc(len ? len : 1);
	enum httphead_result result;

	if (!copy)
		abort();
	memcpy(copy, data, len);
	result = httphead_parse(span_of(copy, len), head);
	if (result == HTTPHEAD_OK) {
		memcpy(path, head->path.data, head->path.len);
		path[head->path.len] = '\0';
	}
	free(copy);
	return result;
}

static enum httphead_result result_of(const char *text)
{
	struct httphead head;
	char            path[HTTPHEAD_MAX];

	return parse_bytes(text, strlen(text), &head, path);
}

/* The path that *text* asks for; "" = not even a request for a page. */
static const char *path_of(const char *text)
{
	static char     path[HTTPHEAD_MAX];
	struct httphead head;

	if (parse_bytes(text, strlen(text), &head, path) != HTTPHEAD_OK ||
	    head.method == HTTPHEAD_OTHER)
		return "";
	return path;
}

#define HOST "Host: a\r\n\r\n"

#define EXPECT_PATH(text, want) EXPECT(strcmp(path_of(text), (want)) == 0)

TEST(method_and_path_are_read)
{
	struct httphead head;
	char            path[HTTPHEAD_MAX];

	EXPECT_PATH("GET /metrics HTTP/1.1\r\n" HOST, "/metrics");
	EXPECT_PATH("GET / HTTP/1.0\r\n\r\n", "/");
	EXPECT_PATH("GET /healthz HTTP/1.1\nhOsT:b\nAccept: */*\n\n", "/healthz");
	EXPECT(parse_bytes("HEAD /x HTTP/1.0\r\n\r\n", 20, &head, path) == HTTPHEAD_OK);
	EXPECT(head.method == HTTPHEAD_HEAD && strcmp(path, "/x") == 0);
	EXPECT(parse_bytes("POST /x HTTP/1.0\r\n\r\n", 20, &head, path) == HTTPHEAD_OK);
	EXPECT(head.method == HTTPHEAD_OTHER);
	EXPECT(parse_bytes("get /x HTTP/1.0\r\n\r\n", 19, &head, path) == HTTPHEAD_OK);
	EXPECT(head.method == HTTPHEAD_OTHER);
	EXPECT(parse_bytes("OPTIONS * HTTP/1.0\r\n\r\n", 22, &head, path) == HTTPHEAD_OK);
	EXPECT(head.method == HTTPHEAD_OTHER);
}

TEST(a_query_and_a_proxys_way_of_asking_change_nothing)
{
	EXPECT_PATH("GET /metrics?name=a&b=/c HTTP/1.1\r\n" HOST, "/metrics");
	EXPECT_PATH("GET http://a.example:9100/metrics?x HTTP/1.1\r\n" HOST, "/metrics");
	EXPECT_PATH("GET http://a.example HTTP/1.1\r\n" HOST, "/");
	EXPECT_PATH("GET http://a.example?/metrics HTTP/1.1\r\n" HOST, "/metrics");
}

TEST(what_is_no_request_is_refused)
{
	static const char *const bad[] = {
		"\r\n",
		"\n",
		" GET / HTTP/1.1\r\n",
		"GET\r\n",
		"GET /\r\n",
		"GET  / HTTP/1.1\r\n",
		"GET /  HTTP/1.1\r\n",
		"GET / HTTP/1.1 \r\n",
		"GET / HTTP/2.0\r\n",
		"GET / HTTP/1.\r\n",
		"GET / HTTP/1.x\r\n",
		"GET / HTTP/1.11\r\n",
		"GET / http/1.1\r\n",
		"GET metrics HTTP/1.1\r\n",
		"GET * HTTP/1.1\r\n",
		"GET ?/ HTTP/1.1\r\n",
		"G:T / HTTP/1.1\r\n",
		"GET /\xc3\xa9 HTTP/1.1\r\n",
		"GET / HTTP/1.1\r\nno colon\r\n",
		"GET / HTTP/1.1\r\n: empty\r\n",
		"GET / HTTP/1.1\r\nspace : x\r\n",
		"GET / HTTP/1.1\r\nA: b\r\n folded\r\n",
		"GET / HTTP/1.1\r\n\r\n",
		"GET / HTTP/1.1\r\nHosts: a\r\nHos: a\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
		"GET / HTTP/1.0\r\nHost: a\r\nHOST: b\r\n\r\n",
	};

	for (size_t i = 0; i < COUNT(bad); i++)
		if (result_of(bad[i]) != HTTPHEAD_BAD) {
			printf("  case %zu\n", i);
			EXPECT(!"refused");
		}
}

TEST(control_bytes_are_refused_before_the_line_has_ended)
{
	struct httphead head;
	char            path[HTTPHEAD_MAX];

	EXPECT(parse_bytes("\x16\x03\x01", 3, &head, path) == HTTPHEAD_BAD);
	EXPECT(parse_bytes("GET /\0", 6, &head, path) == HTTPHEAD_BAD);
	EXPECT(parse_bytes("GET /\r", 6, &head, path) == HTTPHEAD_MORE);
	EXPECT(parse_bytes("GET /\rx", 7, &head, path) == HTTPHEAD_BAD);
	EXPECT(result_of("GET / HTTP/1.0\r\nA: \t\xff b\r\n\r\n") == HTTPHEAD_OK);
	EXPECT(result_of("GET / HTTP/1.0\r\nA: \x7f\r\n\r\n") == HTTPHEAD_BAD);
}

/* *len* bytes in all. */
static enum httphead_result long_head(size_t len)
{
	static const char begin[] = "GET / HTTP/1.0\r\nA: ";
	char             *text = malloc(len);
	struct httphead   head;
	char              path[HTTPHEAD_MAX];

	enum httphead_result result;

	if (!text)
		abort();
	memset(text, 'x', len);
	memcpy(text, begin, strlen(begin));
	memcpy(text + len - 4, "\r\n\r\n", 4);
	result = parse_bytes(text, len, &head, path);
	free(text);
	return result;
}

TEST(a_head_is_too_long_when_it_has_no_end_within_the_limit)
{
	EXPECT(long_head(HTTPHEAD_MAX) == HTTPHEAD_OK);
	EXPECT(long_head(HTTPHEAD_MAX + 1) == HTTPHEAD_TOO_LONG);
	EXPECT(long_head(100 * HTTPHEAD_MAX) == HTTPHEAD_TOO_LONG);
}

TEST(any_cut_is_more_until_all_is_there_and_what_follows_changes_nothing)
{
	static const char text[] = "GET /metrics HTTP/1.1\r\nHost: a\r\nA: b\r\n\r\n"
				   "GET / HTTP/9\r\n\1\2\3";
	size_t            end = sizeof("GET /metrics HTTP/1.1\r\nHost: a\r\nA: b\r\n\r\n") - 1;

	for (size_t len = 0; len < sizeof(text); len++) {
		struct httphead head;
		char            path[HTTPHEAD_MAX];

		enum httphead_result result = parse_bytes(text, len, &head, path);

		EXPECT(result == (len < end ? HTTPHEAD_MORE : HTTPHEAD_OK));
	}
}

int main(void)
{
	return test_main();
}
