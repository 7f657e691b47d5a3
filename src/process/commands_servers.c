/* upstreams, server: the servers, and what the administrator orders of one. */
#include "process/command.h"

#include "base/clock.h"
#include "conf/suggest.h"

#include <string.h>

enum { ROWS_A_PIECE = 64 };

static const char *condition_word(const struct balance_server *server,
                                  enum balance_condition       condition)
{
	switch (condition) {
	case BALANCE_USABLE:
		return server->backup ? "backup" : "up";
	case BALANCE_EJECTED:
		return "ejected";
	case BALANCE_DRAINING:
		return "drain";
	case BALANCE_DOWN:
		break;
	}
	return "down";
}

/* ---- upstreams ---- */

static const struct column columns[] = {
	{"upstream", 16}, {"server", 24}, {"state", 7},
	{"active", 7},    {"weight", 6},  {"fails", 5},
	{"chosen", 10},   {"failed", 8},  {"until", CLOCK_TEXT_LEN},
};

/* Of the window that runs; after it they count for nothing. */
static uint32_t fails_of(const struct balance_server *server, uint64_t now_ms)
{
	const struct server_state *state = server->state;
	uint64_t since = atomic_load_explicit(&state->fails_since_ms, memory_order_relaxed);

	if (now_ms >= since + server->fail_timeout_ms)
		return 0;
	return atomic_load_explicit(&state->fails, memory_order_relaxed);
}

/* *until_ms* is of the monotonic clock. */
static void put_until(struct listing *listing, uint64_t until_ms, uint64_t now_ms)
{
	char text[CLOCK_TEXT_LEN + 1];

	if (until_ms == 0) {
		listing_absent(listing);
		return;
	}
	clock_format(clock_real_ms() + (until_ms - now_ms), text);
	text[CLOCK_TEXT_LEN] = '\0';
	listing_text(listing, text);
}

static void put_server(struct listing *listing, const struct upstream *upstream, size_t index)
{
	const struct balance_server *server = &upstream->states[index];
	const struct server_state   *state = server->state;
	uint64_t                     now_ms = clock_ms(), until_ms;
	enum balance_condition       condition = balance_condition_of(server, now_ms, &until_ms);

	listing_text(listing, upstream->name);
	listing_text(listing, upstream->servers[index].text);
	listing_text(listing, condition_word(server, condition));
	listing_number(listing, atomic_load_explicit(&state->active, memory_order_relaxed));
	listing_number(listing, server->weight);
	listing_number(listing, fails_of(server, now_ms));
	listing_number(listing, atomic_load_explicit(&state->chosen_total, memory_order_relaxed));
	listing_number(listing, atomic_load_explicit(&state->failed_total, memory_order_relaxed));
	put_until(listing, until_ms, now_ms);
}

static uint64_t generation(const struct call *call)
{
	struct control_status status = {0};

	if (call->hooks->status)
		call->hooks->status(call->hooks->context, &status);
	return status.generation;
}

/* Steps to the next server that is wanted; NULL: there is none. */
static const struct upstream *next_upstream(struct call *call, const struct snapshot *snapshot)
{
	for (; call->upstreams.upstream < snapshot->conf->upstream_count;
	     call->upstreams.upstream++, call->upstreams.server = 0) {
		const struct upstream *upstream = &snapshot->upstreams[call->upstreams.upstream];

		if (call->upstreams.only && strcmp(upstream->name, call->upstreams.only) != 0)
			continue;
		if (call->upstreams.server < upstream->server_count)
			return upstream;
	}
	return NULL;
}

static bool add_servers(struct admin_request *request)
{
	struct call           *call = request->state;
	const struct snapshot *snapshot = command_snapshot(call);

	if (!snapshot)
		return false;
	if (generation(call) != call->upstreams.generation) {
		command_fail(call, 1, "upstreams: the configuration has changed meanwhile");
		return false;
	}
	for (int i = 0; i < ROWS_A_PIECE; i++) {
		const struct upstream *upstream = next_upstream(call, snapshot);

		if (!upstream) {
			listing_end(&call->listing);
			command_end(call, 0);
			return false;
		}
		put_server(&call->listing, upstream, call->upstreams.server++);
	}
	return true;
}

/* NULL: there is none, told and ended. */
static const struct upstream *find_upstream(struct call *call, const struct snapshot *snapshot,
                                            const char *name)
{
	struct suggest suggest;
	char           near[SUGGEST_TEXT_MAX];

	suggest_init(&suggest, name);
	for (size_t i = 0; i < snapshot->conf->upstream_count; i++) {
		if (strcmp(snapshot->upstreams[i].name, name) == 0)
			return &snapshot->upstreams[i];
		suggest_try(&suggest, snapshot->upstreams[i].name);
	}
	command_fail(call, 1, "there is no upstream %.200s%s", name, suggest_text(&suggest, near));
	return NULL;
}

void command_upstreams(struct call *call)
{
	const struct snapshot *snapshot = command_snapshot(call);

	if (!snapshot)
		return;
	if (call->word_count > 0 && !find_upstream(call, snapshot, call->words[0]))
		return;
	call->upstreams.only = call->words[0];
	call->upstreams.generation = generation(call);
	listing_begin(&call->listing, call->request->out, call->is_json, columns, COUNT(columns));
	call->request->more = add_servers;
}

/* ---- server ---- */

static const struct balance_server *find_server(struct call *call, const struct upstream *upstream,
                                                const char *text)
{
	struct suggest suggest;
	char           near[SUGGEST_TEXT_MAX];

	suggest_init(&suggest, text);
	for (size_t i = 0; i < upstream->server_count; i++) {
		if (strcmp(upstream->servers[i].text, text) == 0)
			return &upstream->states[i];
		suggest_try(&suggest, upstream->servers[i].text);
	}
	command_fail(call, 1, "upstream %s has no server %.200s%s", upstream->name, text,
	             suggest_text(&suggest, near));
	return NULL;
}

static bool parse_order(struct call *call, enum balance_order *order)
{
	static const char *const words[] = {
		[BALANCE_ORDER_UP] = "up",
		[BALANCE_ORDER_DRAIN] = "drain",
		[BALANCE_ORDER_DOWN] = "down",
	};

	for (size_t i = 0; i < COUNT(words); i++) {
		if (strcmp(call->words[2], words[i]) == 0) {
			*order = (enum balance_order)i;
			return true;
		}
	}
	command_fail(call, 2, "server %.100s: down, drain or up", call->words[2]);
	return false;
}

static void show_order(struct call *call, const struct balance_server *server)
{
	static const struct column shown[] = {{"upstream", 0}, {"server", 0}, {"state", 0}};
	uint64_t                   until_ms;
	const char                *state = condition_word(server,
	                                                  balance_condition_of(server, clock_ms(), &until_ms));
	struct listing             listing;

	if (call->is_json) {
		listing_begin_record(&listing, call->request->out, true, shown, COUNT(shown));
		listing_text(&listing, call->words[0]);
		listing_text(&listing, call->words[1]);
		listing_text(&listing, state);
		listing_end(&listing);
	} else {
		fprintf(call->request->out, "%s %s: %s\n", call->words[0], call->words[1], state);
	}
	command_end(call, 0);
}

void command_server(struct call *call)
{
	const struct snapshot       *snapshot;
	const struct upstream       *upstream;
	const struct balance_server *server;
	enum balance_order           order;

	if (!parse_order(call, &order))
		return;
	snapshot = command_snapshot(call);
	upstream = snapshot ? find_upstream(call, snapshot, call->words[0]) : NULL;
	server = upstream ? find_server(call, upstream, call->words[1]) : NULL;
	if (!server)
		return;
	if (server->down && order == BALANCE_ORDER_UP) {
		command_fail(call, 1, "server %s %s is down in the configuration", call->words[0],
		             call->words[1]);
		return;
	}
	balance_set_order(server, order);
	command_log(call, "server %s %s %s", call->words[0], call->words[1], call->words[2]);
	if (call->hooks->ordered)
		call->hooks->ordered(call->hooks->context, server);
	show_order(call, server);
}
