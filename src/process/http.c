#include "process/http.h"

#include "base/clock.h"
#include "io/sock.h"
#include "proto/httphead.h"
#include "site/resolve.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum {
	BACKLOG = 128,
	PAUSE_MS = 100, /* where no fd is to be had */
	/* Read and thrown away behind the answer, so that no RST overtakes it. */
	DISCARD_MAX = 64 * 1024,
};

enum client_state { CLIENT_ASKS, CLIENT_IS_ANSWERED, CLIENT_LINGERS };

struct client {
	struct list       in_http;
	struct watch      watch;
	struct http      *http;
	uint64_t          until_ms;
	enum client_state state;
	size_t            taken;  /* bytes read: of the request, then behind it */
	struct span       unsent; /* of the answer's head, then of its body */
	char             *body;
	size_t            body_len; /* 0 once it is unsent */
	/* The request's head, then the answer's, then what is thrown away. */
	uint8_t buffer[HTTPHEAD_MAX];
};

/* ---- time ---- */

/* At the next moment at which there is something to do. */
static void set_timer(struct http *http)
{
	struct itimerspec at = {0};
	uint64_t          next_ms = http->resume_ms;

	if (!list_is_empty(&http->clients)) {
		const struct client *oldest = container_of(http->clients.next, struct client,
		                                           in_http);

		if (next_ms == 0 || oldest->until_ms < next_ms)
			next_ms = oldest->until_ms;
	}
	at.it_value.tv_sec = (time_t)(next_ms / 1000);
	at.it_value.tv_nsec = (long)(next_ms % 1000) * 1000000;
	CHECK(timerfd_settime(http->timer.fd, TFD_TIMER_ABSTIME, &at, NULL) == 0);
}

/* ---- clients ---- */

static void client_free(struct client *client)
{
	struct http *http = client->http;

	reactor_remove(http->reactor, &client->watch);
	sock_close(client->watch.fd);
	list_remove(&client->in_http);
	http->client_count--;
	free(client->body);
	free(client);
}

/* Waits for the end that follows ours, so that no reset overtakes the answer (RFC 9112 9.6). */
static void client_linger(struct client *client)
{
	ssize_t n;

	do {
		n = recv(client->watch.fd, client->buffer, sizeof(client->buffer), MSG_DONTWAIT);
		if (n > 0)
			client->taken += (size_t)n;
	} while (n > 0 && client->taken < DISCARD_MAX);
	if (n >= 0 || (errno != EAGAIN && errno != EINTR))
		client_free(client);
}

/* Sends what is unsent. False: not all of it was taken, or the client is gone and freed. */
static bool client_send(struct client *client)
{
	while (client->unsent.len > 0) {
		ssize_t n = sock_send_now(client->watch.fd, client->unsent.data,
		                          client->unsent.len);

		if (n == -EAGAIN || n == -EINTR)
			return false;
		if (n < 0) {
			client_free(client);
			return false;
		}
		client->unsent = span_of(client->unsent.data + n, client->unsent.len - (size_t)n);
	}
	return true;
}

static void client_write(struct client *client)
{
	if (!client_send(client))
		return;
	if (client->body_len > 0) {
		client->unsent = span_of(client->body, client->body_len);
		client->body_len = 0;
		if (!client_send(client))
			return;
	}
	free(client->body);
	client->body = NULL;
	sock_finish(client->watch.fd);
	client->state = CLIENT_LINGERS;
	reactor_change(client->http->reactor, &client->watch, EPOLLIN);
}

static const char *phrase_of(unsigned status)
{
	switch (status) {
	case 200:
		return "OK";
	case 400:
		return "Bad Request";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 431:
		return "Request Header Fields Too Large";
	case 503:
		return "Service Unavailable";
	default:
		return "Internal Server Error";
	}
}

/* Has *page* and the client's body sent. */
static void client_answer(struct client *client, struct http_page page, bool head_only)
{
	time_t    now = (time_t)(clock_real_ms() / 1000);
	struct tm utc;
	char      date[40];
	int       len;

	strftime(date, sizeof(date), "%a, %d %b %Y %T GMT", gmtime_r(&now, &utc));
	len = snprintf((char *)client->buffer, sizeof(client->buffer),
	               "HTTP/1.1 %u %s\r\nDate: %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
	               "%sConnection: close\r\n\r\n",
	               page.status, phrase_of(page.status), date, page.type, client->body_len,
	               page.status == 405 ? "Allow: GET, HEAD\r\n" : "");
	client->unsent = span_of(client->buffer, (size_t)len);
	if (head_only)
		client->body_len = 0;
	client->state = CLIENT_IS_ANSWERED;
	reactor_change(client->http->reactor, &client->watch, EPOLLOUT);
	client_write(client);
}

/* The page at *path*, or one that only says what is wrong. */
static struct http_page client_page(struct client *client, unsigned status, struct span path)
{
	const struct http_plan *plan = &client->http->plan;
	struct http_page        page = {status, "text/plain; charset=utf-8"};
	FILE                   *body = open_memstream(&client->body, &client->body_len);
	bool                    is_whole;

	if (!body)
		return (struct http_page){500, page.type};
	if (status == 200)
		page = plan->answer(plan->context, path, body);
	else
		fprintf(body, "%s\n", phrase_of(status));
	is_whole = !ferror(body);
	if (fclose(body) == 0 && is_whole)
		return page;
	client->body_len = 0;
	return (struct http_page){500, page.type};
}

static void client_read(struct client *client)
{
	struct httphead head = {.path = span_text("")};
	unsigned        status = 400;
	ssize_t         n = recv(client->watch.fd, client->buffer + client->taken,
	                         sizeof(client->buffer) - client->taken, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		client_free(client);
		return;
	}
	client->taken += (size_t)n;
	switch (httphead_parse(span_of(client->buffer, client->taken), &head)) {
	case HTTPHEAD_MORE:
		return;
	case HTTPHEAD_OK:
		status = head.method == HTTPHEAD_OTHER ? 405 : 200;
		break;
	case HTTPHEAD_BAD:
		break;
	case HTTPHEAD_TOO_LONG:
		status = 431;
		break;
	}
	/* *path* lies in the buffer that the answer's head will be written to. */
	client_answer(client, client_page(client, status, head.path), head.method == HTTPHEAD_HEAD);
}

static void on_client(struct watch *watch, uint32_t events)
{
	struct client *client = container_of(watch, struct client, watch);
	struct http   *http = client->http;

	(void)events; /* an error is what reading or writing says it is */
	switch (client->state) {
	case CLIENT_ASKS:
		client_read(client);
		break;
	case CLIENT_IS_ANSWERED:
		client_write(client);
		break;
	case CLIENT_LINGERS:
		client_linger(client);
		break;
	}
	set_timer(http);
}

/* ---- accepting ---- */

static bool client_new(struct http *http, int fd)
{
	struct client *client = malloc(sizeof(*client));

	if (!client)
		return false;
	*client = (struct client){
		.watch = {.fd = fd, .on_ready = on_client},
		.http = http,
		.until_ms = clock_ms() + http->plan.patience_ms,
		.state = CLIENT_ASKS,
	};
	if (reactor_add(http->reactor, &client->watch, EPOLLIN) < 0) {
		free(client);
		return false;
	}
	list_append(&http->clients, &client->in_http);
	http->client_count++;
	/* The request is here already, most likely: whoever asks at once is served before it could
	 * be his turn to go. */
	client_read(client);
	return true;
}

static void pause_accepting(struct http *http)
{
	http->resume_ms = clock_ms() + PAUSE_MS;
	reactor_change(http->reactor, &http->listening, 0);
}

/* One a turn, so that nobody waits for a flood of others. */
static void on_connection(struct watch *watch, uint32_t events)
{
	struct http *http = container_of(watch, struct http, listening);
	int          fd = accept4(watch->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)events;
	if (fd < 0) {
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			pause_accepting(http);
	} else {
		if (http->client_count == HTTP_CLIENTS_MAX)
			client_free(container_of(http->clients.next, struct client, in_http));
		if (!client_new(http, fd))
			sock_close(fd);
	}
	set_timer(http);
}

static void on_time(struct watch *watch, uint32_t events)
{
	struct http *http = container_of(watch, struct http, timer);
	uint64_t     now_ms = clock_ms();

	(void)events;
	while (!list_is_empty(&http->clients)) {
		struct client *oldest = container_of(http->clients.next, struct client, in_http);

		if (oldest->until_ms > now_ms)
			break;
		client_free(oldest);
	}
	if (http->resume_ms != 0 && http->resume_ms <= now_ms) {
		http->resume_ms = 0;
		reactor_change(http->reactor, &http->listening, EPOLLIN);
	}
	set_timer(http); /* setting it clears what made it readable, timerfd_create(2) */
}

/* ---- the whole ---- */

static int watch_both(struct http *http, const char **step)
{
	int result;

	*step = "timerfd_create";
	http->timer.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (http->timer.fd < 0)
		return -errno;
	*step = "epoll_ctl";
	result = reactor_add(http->reactor, &http->timer, EPOLLIN);
	if (result < 0)
		goto failed;
	result = reactor_add(http->reactor, &http->listening, EPOLLIN);
	if (result == 0)
		return 0;
	reactor_remove(http->reactor, &http->timer);
failed:
	close(http->timer.fd);
	return result;
}

int http_open(struct http *http, const struct http_plan *plan, struct reactor *reactor,
              const char **step)
{
	struct sock_listen_options options = {.backlog = BACKLOG};
	struct endpoint            at;
	int                        fd, result;

	endpoint_from_addr(&plan->at, &at);
	fd = sock_listen(&at.any, at.len, &options, step);
	if (fd < 0)
		return fd;
	*http = (struct http){
		.plan = *plan,
		.reactor = reactor,
		.listening = {.fd = fd, .on_ready = on_connection},
		.timer = {.on_ready = on_time},
	};
	if (http->plan.patience_ms == 0)
		http->plan.patience_ms = HTTP_PATIENCE_MS;
	list_init(&http->clients);
	result = watch_both(http, step);
	if (result < 0)
		sock_close(fd);
	return result;
}

void http_close(struct http *http)
{
	while (!list_is_empty(&http->clients))
		client_free(container_of(http->clients.next, struct client, in_http));
	reactor_remove(http->reactor, &http->listening);
	reactor_remove(http->reactor, &http->timer);
	close(http->listening.fd);
	close(http->timer.fd);
}
