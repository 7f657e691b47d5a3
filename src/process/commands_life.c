/* reload, drain: what becomes of the whole. */
#include "process/command.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Control's to answer; if it can. */
static void ask(struct call *call, void (*hook)(void *context, uint64_t ticket))
{
	if (!hook) {
		command_fail(call, 1, "%s is not possible now", call->command->name);
		return;
	}
	command_log(call, "%s", call->command->name);
	hook(call->hooks->context, call->request->ticket);
}

/* ---- reload ---- */

void command_reload(struct call *call)
{
	ask(call, call->hooks->reload);
}

/* Every line of the report as a JSON string. */
static void put_messages(FILE *to, const struct conf_report *report)
{
	char       *text = NULL, *line, *rest;
	size_t      len = 0;
	FILE       *lines = open_memstream(&text, &len);
	const char *comma = "";

	if (!lines)
		return;
	conf_report_print(report, lines);
	if (fclose(lines) == 0) {
		rest = text;
		while ((line = strsep(&rest, "\n"))) {
			if (!*line)
				continue;
			fputs(comma, to);
			listing_json_string(to, line);
			comma = ", ";
		}
	}
	free(text);
}

static void print_reload_as_json(FILE *to, const struct commands_reload *reload)
{
	fprintf(to, "{\"result\": \"%s\", ", reload->is_done ? "ok" : "refused");
	if (reload->is_done)
		fprintf(to, "\"generation\": %" PRIu64 ", ", reload->generation);
	fputs("\"messages\": [", to);
	if (reload->report)
		put_messages(to, reload->report);
	fputs("]}\n", to);
}

static void print_reload(const struct admin_request *request, const struct commands_reload *reload)
{
	if (reload->report)
		conf_report_print(reload->report, request->err);
	if (reload->is_done)
		fprintf(request->out, "reloaded, generation %" PRIu64 "\n", reload->generation);
	else
		fputs("penstock: refused; the configuration stays as it is\n", request->err);
}

void commands_reloaded(struct admin *admin, uint64_t ticket, const struct commands_reload *reload)
{
	struct call *call = command_find(admin, ticket, "reload");

	if (!call)
		return;
	if (call->is_json)
		print_reload_as_json(call->request->out, reload);
	else
		print_reload(call->request, reload);
	command_end(call, reload->is_done ? 0 : 1);
}

/* ---- drain ---- */

void command_drain(struct call *call)
{
	ask(call, call->hooks->drain);
}

void commands_draining(struct admin *admin, uint64_t ticket, uint64_t sessions, uint64_t left_ms)
{
	static const struct column columns[] = {{"sessions", 0}, {"left", 0}};
	struct call               *call = command_find(admin, ticket, "drain");
	struct listing             listing;

	if (!call)
		return;
	if (call->is_json) {
		listing_begin_record(&listing, call->request->out, true, columns, COUNT(columns));
		listing_number(&listing, sessions);
		listing_duration(&listing, left_ms);
		listing_end(&listing);
	} else {
		fprintf(call->request->out,
		        "draining, %" PRIu64 " sessions left, for at most %" PRIu64 " s\n",
		        sessions, (left_ms + 999) / 1000);
	}
	command_end(call, 0);
}
