/*
 * roster: the sessions that a worker has, as rows for whoever looks: `penstock ctl sessions`.
 *
 * A row is a copy, plain bytes of fixed size: it outlives its session and crosses threads. They are
 * read a page at a time on the worker's thread, so that a hundred thousand sessions hold up none of
 * them. Called by process (a job on the worker's thread fills a page; process/commands shows it).
 */
#ifndef SESSION_ROSTER_H
#define SESSION_ROSTER_H

#include "proto/addr.h"

#include <stdbool.h>
#include <stdint.h>

enum {
	ROSTER_SCAN = 2048,       /* sessions that are looked at for one page */
	ROSTER_NAME_MAX = 256,    /* a name, its NUL included; a longer one is cut */
	ROSTER_ADDRESS_MAX = 272, /* HOST:PORT or unix:/path, its NUL included */
	ROSTER_PAGE_ROWS = 128,
};

/* One session. A text that there is none of is "". */
struct session_row {
	uint64_t    id; /* the access log's */
	char        listener[ROSTER_NAME_MAX];
	struct addr client;
	char        sni[ROSTER_NAME_MAX];
	char        route[ROSTER_NAME_MAX];
	char        upstream[ROSTER_ADDRESS_MAX];
	char        server[ROSTER_ADDRESS_MAX];
	const char *state; /* a word that is always there: "relay" */
	const char *relay; /* the same, of the most that was used: "copy"; NULL = nothing yet */
	uint64_t    age_ms, idle_ms;
	uint64_t    bytes_up, bytes_down;
};

/* Which sessions are wanted. "" or ADDR_NONE: all. */
struct roster_filter {
	char        listener[ROSTER_NAME_MAX];
	char        route[ROSTER_NAME_MAX];
	char        upstream[ROSTER_ADDRESS_MAX];
	char        server[ROSTER_ADDRESS_MAX];
	char        sni[ROSTER_NAME_MAX]; /* a name, or "*.example.com": those below it */
	struct cidr client;
};

/* One page of one worker. */
struct roster_page {
	struct session_row rows[ROSTER_PAGE_ROWS];
	uint32_t           count;
	uint32_t           worker; /* where to go on ... */
	uint64_t cursor;  /* ... and from where there: the worker's own affair, 0 = its start */
	bool     is_last; /* there is nothing to go on to */
};

struct shard;
struct conn;

/* Fills the page from page->cursor on with sessions that the filter wants, and says where to go on;
 * looks at a bounded number of them, so that a page may be short or empty and not the last. On the
 * shard's thread. */
void roster_fill(struct shard *shard, const struct roster_filter *filter, struct roster_page *page);

/* The session with that id; NULL: there is none (any more). Looks at all. */
struct conn *roster_find(struct shard *shard, uint64_t id);

/* Copies *text* (NULL is none), cut to *size* with its NUL. */
void roster_copy(char *to, size_t size, const char *text);

/* True: the filter wants this row. Names of hosts compare without case. */
bool roster_wants(const struct roster_filter *filter, const struct session_row *row);

#endif
