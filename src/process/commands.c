#include "process/commands.h"

#include "conf/suggest.h"
#include "process/command.h"

#include <stdlib.h>
#include <string.h>

static void command_help(struct call *call);

static const struct command commands[] = {
	{"status", "", "what it is doing, in numbers", 0, 0, false, command_status},
	{"reload", "", "read the configuration again, as SIGHUP; waits for the outcome", 0, 0,
         false, command_reload},
	{"drain", "", "accept nothing more, let sessions end, then exit, as SIGQUIT", 0, 0, false,
         command_drain},
	{"upstreams", "[UPSTREAM]", "every server and its state", 0, 1, false, command_upstreams},
	{"server", "UPSTREAM SERVER down|drain|up",
         "give a server no new sessions, or some again; survives a reload", 3, 3, false,
         command_server},
	{"sessions",
         "[--listener L] [--route R] [--upstream U] [--server S] [--sni NAME] [--client IP] [--limit N]",
         "the sessions that are open; NAME may be *.example.com, IP a CIDR, N 0 for all", 0, 0,
         true, command_sessions},
	{"close", "ID", "end a session", 1, 1, false, command_close},
	{"explain", "NAME [--listener L] [--alpn P[,P]] [--from IP]",
         "which route and upstream a hello would get, by the configuration that runs", 0, 0, true,
         command_explain},
	{"log-level", "[debug|info|notice|warn|error]",
         "show or set the error log's level, until it restarts or a reload changes it", 0, 1, false,
         command_log_level},
	{"help", "", "print this list", 0, 0, false, command_help},
};

/* ---- help ---- */

void commands_print_help(FILE *to)
{
	for (size_t i = 0; i < COUNT(commands); i++)
		fprintf(to, "  %s%s%s\n      %s\n", commands[i].name,
		        *commands[i].arguments ? " " : "", commands[i].arguments, commands[i].help);
}

static void command_help(struct call *call)
{
	static const struct column columns[] = {{"name", 0}, {"arguments", 0}, {"help", 0}};
	struct listing             listing;

	if (!call->is_json) {
		fputs("penstock ctl [-s SOCKET] [-c FILE] COMMAND [--json]\n", call->request->out);
		commands_print_help(call->request->out);
		command_end(call, 0);
		return;
	}
	listing_begin(&listing, call->request->out, true, columns, COUNT(columns));
	for (size_t i = 0; i < COUNT(commands); i++) {
		listing_text(&listing, commands[i].name);
		listing_text(&listing, commands[i].arguments);
		listing_text(&listing, commands[i].help);
	}
	listing_end(&listing);
	command_end(call, 0);
}

/* ---- a request ---- */

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < COUNT(commands); i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

static void refuse_unknown(struct call *call, const char *name)
{
	struct suggest suggest;
	char           near[SUGGEST_TEXT_MAX];

	suggest_init(&suggest, name);
	for (size_t i = 0; i < COUNT(commands); i++)
		suggest_try(&suggest, commands[i].name);
	command_fail(call, 2, "unknown command %.100s%s; penstock ctl -h lists them", name,
	             suggest_text(&suggest, near));
}

/* Options are free commands' own; a word that looks like one is no word of the others. */
static bool are_words_right(const struct call *call)
{
	if (call->command->is_free)
		return true;
	for (size_t i = 0; i < call->word_count; i++)
		if (strncmp(call->words[i], "--", 2) == 0)
			return false;
	return call->word_count >= call->command->least && call->word_count <= call->command->most;
}

static void take_words(struct call *call)
{
	const struct admin_request *request = call->request;

	for (size_t i = 1; i < request->word_count; i++) {
		if (strcmp(request->words[i], "--json") == 0)
			call->is_json = true;
		else
			call->words[call->word_count++] = request->words[i];
	}
}

static void free_call(struct admin_request *request)
{
	free(request->state);
}

void commands_start(struct admin_request *request)
{
	struct call *call = calloc(1, sizeof(*call));

	if (!call) {
		fputs("penstock: no memory\n", request->err);
		admin_end(request, 1);
		return;
	}
	request->state = call;
	request->over = free_call;
	call->request = request;
	call->hooks = request->context;
	call->command = find_command(request->words[0]);
	take_words(call);
	if (!call->command)
		refuse_unknown(call, request->words[0]);
	else if (!are_words_right(call))
		command_fail(call, 2, "usage: penstock ctl %s%s%s [--json]", call->command->name,
		             *call->command->arguments ? " " : "", call->command->arguments);
	else
		call->command->start(call);
}

void commands_failed(struct admin *admin, uint64_t ticket, const char *why)
{
	struct call *call = command_find(admin, ticket, NULL);

	if (call)
		command_fail(call, 1, "%s: %s", call->command->name, why);
}
