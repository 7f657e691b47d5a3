/* status, log-level, explain: what there is to know without touching a session. */
#include "process/command.h"

#include "conf/suggest.h"
#include "process/explain.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- status ---- */

void command_status(struct call *call)
{
	static const struct column columns[] = {
		{"version", 0},
		{"pid", 0},
		{"uptime", 0},
		{"phase", 0},
		{"file", 0},
		{"generation", 0},
		{"workers", 0},
		{"sessions", 0},
		{"max_connections", 0},
		{"accepted", 0},
		{"ended", 0},
		{"pipes", 0},
		{"buffers", 0},
		{"hellos", 0},
		{"lingering", 0},
		{"drain_left", 0},
		{"drain_began_with", 0},
	};
	const struct control_hooks *hooks = call->hooks;
	struct control_status       status = {0};
	struct listing              listing;
	bool                        drains;

	if (!hooks->status) {
		command_fail(call, 1, "status is not possible now");
		return;
	}
	hooks->status(hooks->context, &status);
	drains = strcmp(status.phase, "draining") == 0;
	/* A program finds every key; for people, only what means something now. */
	listing_begin_record(&listing, call->request->out, call->is_json, columns,
	                     COUNT(columns) - (drains || call->is_json ? 0 : 2));
	listing_text(&listing, PENSTOCK_VERSION);
	listing_number(&listing, (uint64_t)getpid());
	listing_duration(&listing, status.uptime_ms);
	listing_text(&listing, status.phase);
	listing_text(&listing, status.file);
	listing_number(&listing, status.generation);
	listing_number(&listing, status.workers);
	listing_number(&listing, status.sessions);
	listing_number(&listing, status.max_connections);
	listing_number(&listing, status.accepted);
	listing_number(&listing, status.ended);
	listing_number(&listing, status.pipes);
	listing_number(&listing, status.buffers);
	listing_number(&listing, status.hellos_pending);
	listing_number(&listing, status.lingering);
	if (drains || call->is_json) {
		listing_duration(&listing, status.drain_left_ms);
		listing_number(&listing, status.drain_began_with);
	}
	listing_end(&listing);
	command_end(call, 0);
}

/* ---- log-level ---- */

static const char *const levels[] = {
	[LOG_LEVEL_DEBUG] = "debug", [LOG_LEVEL_INFO] = "info",   [LOG_LEVEL_NOTICE] = "notice",
	[LOG_LEVEL_WARN] = "warn",   [LOG_LEVEL_ERROR] = "error",
};

static void refuse_level(struct call *call)
{
	struct suggest suggest;
	char           near[SUGGEST_TEXT_MAX];

	suggest_init(&suggest, call->words[0]);
	for (size_t i = 0; i < COUNT(levels); i++)
		suggest_try(&suggest, levels[i]);
	command_fail(call, 2, "log-level %.100s: debug, info, notice, warn or error%s",
	             call->words[0], suggest_text(&suggest, near));
}

static bool set_level(struct call *call)
{
	for (size_t i = 0; i < COUNT(levels); i++) {
		if (strcmp(levels[i], call->words[0]) != 0)
			continue;
		atomic_store_explicit(&log_threshold, (int)i, memory_order_relaxed);
		command_log(call, "log-level %s", levels[i]);
		return true;
	}
	return false;
}

void command_log_level(struct call *call)
{
	static const struct column columns[] = {{"log_level", 0}};
	struct listing             listing;
	const char                *level;

	if (call->word_count > 0 && !set_level(call)) {
		refuse_level(call);
		return;
	}
	level = levels[atomic_load_explicit(&log_threshold, memory_order_relaxed)];
	if (call->is_json) {
		listing_begin_record(&listing, call->request->out, true, columns, COUNT(columns));
		listing_text(&listing, level);
		listing_end(&listing);
	} else {
		fprintf(call->request->out, "%s\n", level);
	}
	command_end(call, 0);
}

/* ---- explain ---- */

/* The same grammar as on the command line, but for what chooses another configuration. */
static bool parse_explain(struct call *call, struct options *options)
{
	char *argv[CTLWIRE_WORDS_MAX + 3] = {(char *)(uintptr_t) "penstock",
	                                     (char *)(uintptr_t) "explain"};
	char  why[256];
	bool  is_right = true;

	for (size_t i = 0; i < call->word_count; i++) {
		argv[2 + i] = (char *)(uintptr_t)call->words[i];
		if (call->words[i][0] == '-' && call->words[i][1] != '-')
			is_right = false; /* -c, -t: of the command line only */
	}
	if (is_right && !options_parse((int)call->word_count + 2, argv, options, why)) {
		command_fail(call, 2, "%s", why);
		return false;
	}
	if (is_right && options->command == OPTIONS_EXPLAIN)
		return true;
	command_fail(call, 2, "usage: penstock ctl explain %s [--json]", call->command->arguments);
	return false;
}

static int explain_code(enum explain_result result)
{
	switch (result) {
	case EXPLAIN_ROUTED:
		return 0;
	case EXPLAIN_REFUSED:
		return 1;
	case EXPLAIN_WRONG:
		break;
	}
	return 2;
}

static void explain_as_json(struct call *call, const struct snapshot *snapshot,
                            const struct options *options)
{
	static const struct column columns[] = {{"name", 0}, {"routed", 0}, {"text", 0}};
	char                      *text = NULL;
	size_t                     len = 0;
	FILE                      *to = open_memstream(&text, &len);
	enum explain_result        result;
	struct listing             listing;

	if (!to) {
		command_fail(call, 1, "no memory");
		return;
	}
	result = explain(snapshot, options, to, call->request->err);
	if (fclose(to) == 0 && result != EXPLAIN_WRONG) {
		listing_begin_record(&listing, call->request->out, true, columns, COUNT(columns));
		listing_text(&listing, options->name);
		listing_literal(&listing, result == EXPLAIN_ROUTED ? "true" : "false");
		listing_text(&listing, text);
		listing_end(&listing);
	}
	free(text);
	command_end(call, explain_code(result));
}

void command_explain(struct call *call)
{
	const struct snapshot *snapshot;
	struct options         options;

	if (!parse_explain(call, &options))
		return;
	snapshot = command_snapshot(call);
	if (!snapshot)
		return;
	if (call->is_json)
		explain_as_json(call, snapshot, &options);
	else
		command_end(call, explain_code(explain(snapshot, &options, call->request->out,
		                                       call->request->err)));
}
