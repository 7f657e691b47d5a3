/*
 * command: what the commands of `penstock ctl` stand on: their words, their hooks, their table's
 * row.
 *
 * Private to the files of process/commands. One call is one request's state from its first word to
 * its exit code.
 */
#ifndef PROCESS_COMMAND_H
#define PROCESS_COMMAND_H

#include "process/commands.h"
#include "process/listing.h"
#include "proto/ctlwire.h"

struct call;

struct command {
	const char *name, *arguments, *help;
	size_t      least, most; /* words behind the name, options not counted (see is_free) */
	bool        is_free;     /* reads its words itself: any number, options too */
	void (*start)(struct call *call);
};

struct call {
	struct admin_request       *request;
	const struct control_hooks *hooks;
	const struct command       *command;
	bool                        is_json;
	size_t                      word_count; /* behind the name, `--json` left out */
	const char                 *words[CTLWIRE_WORDS_MAX + 1];
	struct listing              listing; /* of a table that takes several turns */
	union {
		struct {
			uint64_t    generation; /* of the snapshot that the two count in */
			const char *only;       /* one upstream's name; NULL = all */
			size_t      upstream, server;
		} upstreams;
		struct {
			struct roster_filter filter;
			uint64_t             limit, shown; /* limit 0 = all */
			uint32_t             worker;
			uint64_t             cursor;
			bool                 is_asked; /* a page is on its way */
			bool                 is_last;
			bool                 is_cut; /* by the limit */
		} sessions;
	};
};

/* Says what is wrong on the client's stderr and ends the request with *exit_code*. Nonnull: else
 * gcc 14 with -fsanitize=undefined warns of a format that is NULL. */
void command_fail(struct call *call, int exit_code, const char *format, ...) PRINTF(3, 4)
	__attribute__((nonnull));
void command_end(struct call *call, int exit_code);

/* Tells the error log who has changed what. */
void command_log(const struct call *call, const char *format, ...) PRINTF(2, 3);

/* The call behind a ticket; NULL when its client has gone. It must be one of *command*'s. */
struct call *command_find(struct admin *admin, uint64_t ticket, const char *command);

/* The snapshot, or NULL: the request has been ended with an error then. */
const struct snapshot *command_snapshot(struct call *call);

/* commands_servers.c */
void command_upstreams(struct call *call);
void command_server(struct call *call);
/* commands_sessions.c */
void command_sessions(struct call *call);
void command_close(struct call *call);
/* commands_show.c */
void command_status(struct call *call);
void command_log_level(struct call *call);
void command_explain(struct call *call);
/* commands_life.c */
void command_reload(struct call *call);
void command_drain(struct call *call);

#endif
