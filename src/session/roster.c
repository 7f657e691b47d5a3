#include "session/roster.h"

#include "session/access.h"
#include "session/conn.h"

#include <string.h>
#include <strings.h>

void roster_copy(char *to, size_t size, const char *text)
{
	size_t len = text ? strnlen(text, size - 1) : 0;

	if (len)
		memcpy(to, text, len);
	to[len] = '\0';
}

static bool is_same_or_any(const char *wanted, const char *text)
{
	return *wanted == '\0' || strcmp(wanted, text) == 0;
}

/* As a route's server_name does: "*.example.com" is one or more labels below, not the apex. */
static bool is_name_wanted(const char *wanted, const char *name)
{
	size_t name_len = strlen(name), len;

	if (*wanted == '\0')
		return true;
	if (strncmp(wanted, "*.", 2) != 0)
		return strcasecmp(wanted, name) == 0;
	len = strlen(wanted) - 1; /* ".example.com" */
	return name_len > len && strcasecmp(name + name_len - len, wanted + 1) == 0;
}

bool roster_wants(const struct roster_filter *filter, const struct session_row *row)
{
	return is_same_or_any(filter->listener, row->listener) &&
	       is_same_or_any(filter->route, row->route) &&
	       is_same_or_any(filter->upstream, row->upstream) &&
	       is_same_or_any(filter->server, row->server) &&
	       is_name_wanted(filter->sni, row->sni) &&
	       (filter->client.base.family == ADDR_NONE ||
	        cidr_contains(&filter->client, &row->client));
}

static const char *const state_words[CONN_STATES] = {
	[CONN_PREAMBLE] = "preamble", [CONN_STARTTLS] = "starttls",
	[CONN_HELLO] = "hello",       [CONN_HANDSHAKE] = "handshake",
	[CONN_FIRST] = "first",       [CONN_DIAL] = "dial",
	[CONN_ANSWER] = "answer",     [CONN_UPSTREAM_HANDSHAKE] = "upstream_handshake",
	[CONN_RELAY] = "relay",       [CONN_FLUSH] = "flush",
	[CONN_CANCEL] = "cancel",     [CONN_REFUSE] = "refuse",
	[CONN_CLOSING] = "closing",   [CONN_FREE] = "closing",
};

static void fill_row(struct session_row *row, struct conn *c)
{
	const struct upstream *upstream = c->route ? c->route->upstream : NULL;
	uint64_t               now_ms = c->shard->now_ms;

	conn_learn_peer(c);
	row->id = c->id;
	row->client = c->source;
	row->state = state_words[c->state];
	row->relay = access_relay_word(c->relay);
	row->age_ms = now_ms - c->accepted_ms;
	row->idle_ms = now_ms > c->active_ms ? now_ms - c->active_ms : 0;
	row->bytes_up = c->up.bytes;
	row->bytes_down = c->down.bytes;
	roster_copy(row->listener, sizeof(row->listener), c->listener->conf->name);
	roster_copy(row->route, sizeof(row->route), c->route ? c->route->name : NULL);
	roster_copy(row->upstream, sizeof(row->upstream), upstream ? upstream->name : NULL);
	roster_copy(row->server, sizeof(row->server),
	            upstream && c->server >= 0 ? upstream->servers[c->server].text : NULL);
	row->sni[0] = '\0';
	if (c->name) { /* not of a C string's making, but without a NUL: the hello's reader saw to it */
		memcpy(row->sni, c->name->name, c->name->name_len);
		row->sni[c->name->name_len] = '\0';
	}
}

void roster_fill(struct shard *shard, const struct roster_filter *filter, struct roster_page *page)
{
	uint32_t end = shard->conns.touched, slot = (uint32_t)min_size(page->cursor, end);
	uint32_t looked = 0;

	page->count = 0;
	while (slot < end && page->count < ROSTER_PAGE_ROWS && looked++ < ROSTER_SCAN) {
		struct conn *c = slab_at(&shard->conns, slot++);

		if (!c)
			continue;
		fill_row(&page->rows[page->count], c);
		page->count += roster_wants(filter, &page->rows[page->count]);
	}
	page->cursor = slot;
	page->is_last = slot >= end;
}

struct conn *roster_find(struct shard *shard, uint64_t id)
{
	for (struct list *link = shard->all.next; link != &shard->all; link = link->next) {
		struct conn *c = container_of(link, struct conn, in_all);

		if (c->id == id)
			return c;
	}
	return NULL;
}
