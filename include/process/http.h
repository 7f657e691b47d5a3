/*
 * http: a small HTTP/1.1 server for a few pages of text, on the control thread.
 *
 * Answers GET and HEAD, closes after each answer, believes no client: whoever is slow or stuck is
 * gone after the patience, costs his buffers until then and nobody else anything; when too many
 * come the oldest has to go. Never blocks; runs by itself within the reactor. Control opens and
 * closes it.
 */
#ifndef PROCESS_HTTP_H
#define PROCESS_HTTP_H

#include "base/list.h"
#include "base/span.h"
#include "process/reactor.h"
#include "proto/addr.h"

#include <stdio.h>

enum {
	HTTP_CLIENTS_MAX = 16,
	HTTP_PATIENCE_MS = 5000, /* from accept to the whole answer taken */
	HTTP_FDS = HTTP_CLIENTS_MAX + 4,
};

struct http_page {
	unsigned    status; /* 200, 404, 500 or 503 */
	const char *type;   /* Content-Type */
};

struct http_plan {
	struct addr at;
	uint32_t    patience_ms; /* 0 = HTTP_PATIENCE_MS */
	/* The page at *path*, its text written to *body*. */
	struct http_page (*answer)(void *context, struct span path, FILE *body);
	void *context;
};

struct http {
	struct http_plan plan;
	struct reactor  *reactor;
	struct watch     listening, timer;
	struct list      clients; /* the oldest first: theirs is the next time to be up */
	uint32_t         client_count;
	uint64_t         resume_ms; /* accepting pauses until then; 0 = it does not */
};

/* Listens from now on. 0 or -errno, then *step* names what failed and nothing is left behind. */
MUST_CHECK int http_open(struct http *http, const struct http_plan *plan, struct reactor *reactor,
                         const char **step);

/* Drops every client. */
void http_close(struct http *http);

#endif
