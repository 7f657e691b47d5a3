#include "process/http.h"

#include "io/sock.h"

#include "test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { BIG = 8 * 1024 * 1024, LIMIT_MS = 20000 };

/* The server and its clients live on one thread: whoever waits turns the reactor meanwhile. */
static struct reactor reactor;
static struct http    http;
static unsigned       answers;

static struct http_page answer(void *context, struct span path, FILE *body)
{
	answers++;
	if (span_equal(path, span_text("/big"))) {
		for (int i = 0; i < BIG / 16; i++)
			fputs("fifteen letters\n", body);
	} else if (span_equal(path, span_text("/page"))) {
		fprintf(body, "%s\n", (const char *)context);
	} else {
		return (struct http_page){404, "text/plain"};
	}
	return (struct http_page){200, "text/plain; mine"};
}

static uint16_t port_of(int fd)
{
	struct sockaddr_in at;
	socklen_t          len = sizeof(at);

	if (getsockname(fd, (struct sockaddr *)&at, &len) < 0)
		abort();
	return ntohs(at.sin_port);
}

static void start(uint32_t patience_ms)
{
	static char text[] = "the page";

	struct http_plan plan = {
		.at = {.ip = {127, 0, 0, 1}, .family = ADDR_IP4},
		.patience_ms = patience_ms,
		.answer = answer,
		.context = text,
	};
	const char *step;

	if (reactor_init(&reactor) < 0 || http_open(&http, &plan, &reactor, &step) < 0)
		abort();
	answers = 0;
}

static void finish(void)
{
	http_close(&http);
	EXPECT_EQ(http.client_count, 0);
	reactor_fini(&reactor);
}

static int dial(void)
{
	struct sockaddr_in at = {
		.sin_family = AF_INET,
		.sin_port = htons(port_of(http.listening.fd)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		abort();
	return fd;
}

static void say(int fd, const char *text)
{
	if (send(fd, text, strlen(text), MSG_NOSIGNAL) != (ssize_t)strlen(text))
		abort();
}

/* Turns the reactor for as long as there is something to do at once. */
static void settle(void)
{
	for (int i = 0; i < 200; i++)
		reactor_turn(&reactor, 0);
}

struct reply {
	char  *text;
	size_t len;
	bool   is_reset;
};

/* All that comes until the end. */
static struct reply hear(int fd)
{
	struct reply reply = {.text = malloc(2 * BIG)};

	for (;;) {
		ssize_t n = recv(fd, reply.text + reply.len, 2 * BIG - 1 - reply.len, MSG_DONTWAIT);

		if (n > 0) {
			reply.len += (size_t)n;
		} else if (n < 0 && errno == EAGAIN) {
			reactor_turn(&reactor, 10);
		} else {
			reply.is_reset = n < 0;
			break;
		}
	}
	reply.text[reply.len] = '\0';
	close(fd);
	return reply;
}

static bool has(const struct reply *reply, const char *text)
{
	return strstr(reply->text, text);
}

/* True if *request* reads *status* and, somewhere behind it, *text*. */
static bool reads(const char *request, const char *status, const char *text)
{
	int          fd = dial();
	struct reply reply;
	bool         good;

	say(fd, request);
	reply = hear(fd);
	good = !reply.is_reset && strncmp(reply.text, "HTTP/1.1 ", 9) == 0 &&
	       strncmp(reply.text + 9, status, strlen(status)) == 0 && has(&reply, text) &&
	       has(&reply, "\r\nConnection: close\r\n") && has(&reply, "\r\nDate: ");
	if (!good)
		printf("  to %s: %.400s\n", request, reply.text);
	free(reply.text);
	return good;
}

#define HOST " HTTP/1.1\r\nHost: a\r\n\r\n"

TEST(a_page_is_answered_with_its_length_and_type)
{
	start(0);
	EXPECT(reads("GET /page" HOST, "200 OK", "\r\nContent-Length: 9\r\n"));
	EXPECT(reads("GET /page" HOST, "200 OK", "\r\nContent-Type: text/plain; mine\r\n"));
	EXPECT(reads("GET /page?x=1" HOST, "200 OK", "\r\n\r\nthe page\n"));
	EXPECT(reads("GET /page HTTP/1.0\r\n\r\n", "200 OK", "\r\n\r\nthe page\n"));
	finish();
}

TEST(head_has_the_length_and_no_body)
{
	int          fd;
	struct reply reply;

	start(0);
	fd = dial();
	say(fd, "HEAD /page" HOST);
	reply = hear(fd);
	EXPECT(has(&reply, "\r\nContent-Length: 9\r\n"));
	EXPECT(strcmp(reply.text + reply.len - 4, "\r\n\r\n") == 0);
	free(reply.text);
	finish();
}

TEST(what_cannot_be_answered_is_told)
{
	char long_request[6000] = "GET /page HTTP/1.1\r\nA: ";

	memset(long_request + strlen(long_request), 'x', 5000);
	start(0);
	EXPECT(reads("GET /other" HOST, "404 Not Found", ""));
	EXPECT(reads("POST /page" HOST, "405 Method Not Allowed", "\r\nAllow: GET, HEAD\r\n"));
	EXPECT(reads("GET /page HTTP/1.1\r\n\r\n", "400 Bad Request", "\r\n\r\nBad Request\n"));
	EXPECT(reads("\x16\x03\x01\x02", "400 Bad Request", ""));
	EXPECT(reads(long_request, "431 Request Header Fields Too Large", ""));
	EXPECT_EQ(answers, 1);
	finish();
}

TEST(a_request_may_come_byte_by_byte)
{
	const char *request = "GET /page" HOST;
	int         fd;

	struct reply reply;

	start(0);
	fd = dial();
	for (; *request; request++) {
		EXPECT(send(fd, request, 1, 0) == 1);
		settle();
	}
	reply = hear(fd);
	EXPECT(has(&reply, "the page"));
	free(reply.text);
	EXPECT_EQ(answers, 1);
	finish();
}

TEST(what_follows_the_request_resets_nothing)
{
	enum { MORE = 32 * 1024 };
	char *more = malloc(MORE);
	int   fd;

	struct reply reply;

	memset(more, 'x', MORE);
	start(0);
	fd = dial();
	say(fd, "GET /page" HOST);
	EXPECT(send(fd, more, MORE, 0) == MORE);
	shutdown(fd, SHUT_WR);
	reply = hear(fd);
	EXPECT(!reply.is_reset && has(&reply, "the page"));
	free(reply.text);
	free(more);
	EXPECT_EQ(answers, 1);
	finish();
}

TEST(a_big_page_arrives_whole)
{
	int          fd;
	struct reply reply;

	start(0);
	fd = dial();
	say(fd, "GET /big" HOST);
	reply = hear(fd);
	EXPECT(strlen(strstr(reply.text, "\r\n\r\n") + 4) == BIG);
	free(reply.text);
	finish();
}

/* Turns the reactor until *count* clients are left. */
static void wait_for_clients(uint32_t count)
{
	for (int i = 0; i < LIMIT_MS / 10 && http.client_count != count; i++)
		reactor_turn(&reactor, 10);
	EXPECT_EQ(http.client_count, count);
}

/* One that says nothing, one that says half of it, one that takes nothing, one that never ends. */
TEST(a_client_that_is_stuck_is_gone_after_the_patience)
{
	int fds[4];

	start(200);
	for (size_t i = 0; i < COUNT(fds); i++)
		fds[i] = dial();
	say(fds[1], "GET /page HTTP/1.1\r\n");
	say(fds[2], "GET /big" HOST);
	say(fds[3], "GET /page" HOST);
	settle();
	EXPECT_EQ(http.client_count, 4);
	wait_for_clients(0);
	for (size_t i = 0; i < COUNT(fds); i++)
		close(fds[i]);
	EXPECT(reads("GET /page" HOST, "200 OK", "the page"));
	finish();
}

TEST(the_patience_is_for_the_whole_not_from_byte_to_byte)
{
	struct timespec pause = {.tv_nsec = 10000000};
	bool            is_gone = false;
	int             fd;

	start(300);
	fd = dial();
	for (int i = 0; i < LIMIT_MS / 10 && !is_gone; i++) {
		is_gone = send(fd, "G", 1, MSG_NOSIGNAL) < 0;
		settle();
		nanosleep(&pause, NULL);
	}
	EXPECT(is_gone);
	EXPECT_EQ(answers, 0);
	close(fd);
	finish();
}

TEST(a_crowd_of_stuck_clients_keeps_nobody_out)
{
	static int fds[100];

	start(3600 * 1000);
	for (size_t i = 0; i < COUNT(fds); i++) {
		fds[i] = dial();
		say(fds[i], i % 2 ? "GET /big" HOST : "GET /pa");
	}
	EXPECT(reads("GET /page" HOST, "200 OK", "the page"));
	settle();
	EXPECT(http.client_count <= HTTP_CLIENTS_MAX);
	EXPECT(reads("GET /page" HOST, "200 OK", "the page"));
	for (size_t i = 0; i < COUNT(fds); i++)
		close(fds[i]);
	wait_for_clients(0);
	finish();
}

TEST(clients_that_go_away_are_forgotten)
{
	struct linger hard = {.l_onoff = 1};

	start(3600 * 1000);
	for (int i = 0; i < 50; i++) {
		int fd = dial();

		if (i % 3 > 0)
			say(fd, i % 3 == 1 ? "GET /pa" : "GET /big" HOST);
		settle();
		if (i % 2)
			setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
		close(fd);
	}
	wait_for_clients(0);
	EXPECT(reads("GET /page" HOST, "200 OK", "the page"));
	finish();
}

TEST(who_comes_while_files_are_short_is_served_when_there_are_some)
{
	struct rlimit before, none;
	struct reply  reply;
	int           fd;

	start(0);
	fd = dial();
	say(fd, "GET /page" HOST);
	getrlimit(RLIMIT_NOFILE, &before);
	none = (struct rlimit){.rlim_cur = (rlim_t)fd + 1, .rlim_max = before.rlim_max};
	setrlimit(RLIMIT_NOFILE, &none);
	settle();
	setrlimit(RLIMIT_NOFILE, &before);
	EXPECT_EQ(answers, 0);
	EXPECT(http.resume_ms > 0);
	reply = hear(fd);
	EXPECT(has(&reply, "the page"));
	free(reply.text);
	EXPECT_EQ(http.resume_ms, 0);
	finish();
}

TEST(a_port_that_is_taken_is_an_error)
{
	struct http      other;
	struct http_plan plan;
	const char      *step = "";

	start(0);
	plan = http.plan;
	plan.at.port = port_of(http.listening.fd);
	EXPECT_EQ(http_open(&other, &plan, &reactor, &step), -EADDRINUSE);
	EXPECT(strcmp(step, "bind") == 0 || strcmp(step, "listen") == 0);
	finish();
}

int main(void)
{
	return test_main();
}
