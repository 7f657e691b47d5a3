/* sessions, close: the connections that are open, one by one. */
#include "process/command.h"

#include "conf/suggest.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { LIMIT_DEFAULT = 1000 };

/* ---- what is asked for ---- */

struct option_row {
	const char *name;
	size_t      offset, size; /* of a text in struct roster_filter; size 0 = not a text */
};

#define FILTER(field)                                                                              \
	"--" #field, offsetof(struct roster_filter, field),                                        \
		sizeof(((struct roster_filter *)0)->field)

static const struct option_row option_rows[] = {
	{FILTER(listener)}, {FILTER(route)},    {FILTER(upstream)}, {FILTER(server)},
	{FILTER(sni)},      {"--client", 0, 0}, {"--limit", 0, 0},
};

/* `--name value` or `--name=value`; *at* moves behind it. NULL: no such option, or no value. */
static const struct option_row *take_option(const struct call *call, size_t *at, const char **value)
{
	const char *word = call->words[(*at)++];
	size_t      len = strcspn(word, "=");

	*value = NULL;
	for (size_t i = 0; i < COUNT(option_rows); i++) {
		const struct option_row *row = &option_rows[i];

		if (strlen(row->name) != len || strncmp(row->name, word, len) != 0)
			continue;
		if (word[len] == '=')
			*value = word + len + 1;
		else if (*at < call->word_count)
			*value = call->words[(*at)++];
		return row;
	}
	return NULL;
}

/* Strictly digits. */
static bool parse_number(const char *text, uint64_t *number)
{
	char *end;

	if (*text == '\0' || strspn(text, "0123456789") != strlen(text))
		return false;
	errno = 0;
	*number = strtoull(text, &end, 10);
	return errno == 0;
}

static bool set_option(struct call *call, const struct option_row *row, const char *value)
{
	struct roster_filter *filter = &call->sessions.filter;

	if (row->size > 0) {
		roster_copy((char *)filter + row->offset, row->size, value);
		return *value != '\0' && strlen(value) < row->size;
	}
	if (strcmp(row->name, "--limit") == 0)
		return parse_number(value, &call->sessions.limit);
	return cidr_parse(span_text(value), &filter->client);
}

static bool refuse_option(struct call *call, const char *word)
{
	struct suggest suggest;
	char           near[SUGGEST_TEXT_MAX];

	suggest_init(&suggest, word);
	for (size_t i = 0; i < COUNT(option_rows); i++)
		suggest_try(&suggest, option_rows[i].name);
	command_fail(call, 2, "sessions: unknown option %.100s%s", word,
	             suggest_text(&suggest, near));
	return false;
}

static bool parse_options(struct call *call)
{
	size_t at = 0;

	call->sessions.limit = LIMIT_DEFAULT;
	while (at < call->word_count) {
		const char              *word = call->words[at], *value;
		const struct option_row *row = take_option(call, &at, &value);

		if (!row)
			return refuse_option(call, word);
		if (!value) {
			command_fail(call, 2, "sessions: %s needs a value", row->name);
			return false;
		}
		if (!set_option(call, row, value)) {
			command_fail(call, 2, "sessions: %s %.100s: not one", row->name, value);
			return false;
		}
	}
	return true;
}

/* ---- sessions ---- */

static const struct column columns[] = {
	{"id", 18},       {"listener", 10},   {"client", 22}, {"sni", 24}, {"route", 16},
	{"upstream", 12}, {"server", 22},     {"state", 8},   {"age", 7},  {"idle", 7},
	{"bytes_up", 12}, {"bytes_down", 12}, {"relay", 6},
};

static void put_row(struct listing *listing, const struct session_row *row)
{
	char client[ADDR_TEXT_MAX];

	addr_format(&row->client, client);
	listing_number(listing, row->id);
	listing_name(listing, row->listener);
	listing_text(listing, row->client.family == ADDR_NONE ? NULL : client);
	listing_name(listing, row->sni);
	listing_name(listing, row->route);
	listing_name(listing, row->upstream);
	listing_name(listing, row->server);
	listing_text(listing, row->state);
	listing_duration(listing, row->age_ms);
	listing_duration(listing, row->idle_ms);
	listing_number(listing, row->bytes_up);
	listing_number(listing, row->bytes_down);
	listing_text(listing, row->relay);
}

static void finish(struct call *call)
{
	listing_end(&call->listing);
	if (call->sessions.is_cut)
		fprintf(call->request->err,
		        "penstock: there are more than %" PRIu64 "; --limit 0 shows all\n",
		        call->sessions.limit);
	command_end(call, 0);
}

/* The next page is asked for when the client has taken the last: a slow one holds nothing up and
 * nothing together. */
static bool ask_for_page(struct admin_request *request)
{
	struct call *call = request->state;

	if (call->sessions.is_asked)
		return false;
	if (call->sessions.is_last) {
		finish(call);
		return false;
	}
	call->sessions.is_asked = true;
	call->hooks->sessions(call->hooks->context, request->ticket, &call->sessions.filter,
	                      call->sessions.worker, call->sessions.cursor);
	return false;
}

void command_sessions(struct call *call)
{
	if (!parse_options(call))
		return;
	if (!call->hooks->sessions) {
		command_fail(call, 1, "sessions is not possible now");
		return;
	}
	listing_begin(&call->listing, call->request->out, call->is_json, columns, COUNT(columns));
	call->request->more = ask_for_page;
}

void commands_page(struct admin *admin, uint64_t ticket, const struct roster_page *page)
{
	struct call *call = command_find(admin, ticket, "sessions");

	if (!call)
		return;
	CHECK(call->sessions.is_asked && page->count <= ROSTER_PAGE_ROWS);
	call->sessions.is_asked = false;
	call->sessions.worker = page->worker;
	call->sessions.cursor = page->cursor;
	call->sessions.is_last = page->is_last;
	for (uint32_t i = 0; i < page->count; i++) {
		if (call->sessions.limit > 0 && call->sessions.shown == call->sessions.limit) {
			call->sessions.is_last = call->sessions.is_cut = true;
			break;
		}
		put_row(&call->listing, &page->rows[i]);
		call->sessions.shown++;
	}
	admin_resume(call->request);
}

/* ---- close ---- */

void command_close(struct call *call)
{
	uint64_t id;

	if (!parse_number(call->words[0], &id)) {
		command_fail(call, 2, "close %.100s: an id is a number, see sessions",
		             call->words[0]);
		return;
	}
	if (!call->hooks->close) {
		command_fail(call, 1, "close is not possible now");
		return;
	}
	command_log(call, "close %" PRIu64, id);
	call->hooks->close(call->hooks->context, call->request->ticket, id);
}

void commands_closed(struct admin *admin, uint64_t ticket, bool was_found)
{
	static const struct column shown[] = {{"id", 0}, {"closed", 0}};
	struct call               *call = command_find(admin, ticket, "close");
	struct listing             listing;
	uint64_t                   id;

	if (!call)
		return;
	CHECK(parse_number(call->words[0], &id));
	if (!was_found) {
		command_fail(call, 1, "there is no session %" PRIu64, id);
		return;
	}
	if (call->is_json) {
		listing_begin_record(&listing, call->request->out, true, shown, COUNT(shown));
		listing_number(&listing, id);
		listing_literal(&listing, "true");
		listing_end(&listing);
	} else {
		fprintf(call->request->out, "closed %" PRIu64 "\n", id);
	}
	command_end(call, 0);
}
