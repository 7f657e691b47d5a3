/*
 * commands: what `penstock ctl` can ask of the running program, and how it is answered.
 *
 * The table of commands; what they ask, show and change. What only control can do stands in
 * control_hooks: control fills them in and answers each by its ticket, at once or much later, also
 * when the client has long gone. On the control thread only. Given to process/admin by control.
 */
#ifndef PROCESS_COMMANDS_H
#define PROCESS_COMMANDS_H

#include "base/log.h"
#include "process/admin.h"
#include "session/roster.h"
#include "site/snapshot.h"

struct control_status {
	const char *phase; /* "serving", "draining", "stopping" */
	const char *file;  /* the configuration's */
	uint64_t    generation, uptime_ms;
	uint32_t    workers;
	uint64_t    sessions, max_connections, accepted, ended;
	uint64_t    pipes, buffers, hellos_pending, lingering;
	/* While draining: */
	uint64_t drain_left_ms, drain_began_with; /* sessions then */
};

/* NULL where control cannot do it (yet): the command then says so. Those that take a ticket answer
 * by exactly one of the functions below. */
struct control_hooks {
	void            *context;
	struct log_port *log; /* what was changed is told there; NULL = nowhere */
	void (*status)(void *context, struct control_status *status);
	/* The current one; used until the hook's caller returns to the reactor. */
	const struct snapshot *(*snapshot)(void *context);
	/* An administrator's order has just changed; *server* says to what. */
	void (*ordered)(void *context, const struct balance_server *server);
	void (*reload)(void *context, uint64_t ticket); /* commands_reloaded */
	void (*drain)(void *context, uint64_t ticket);  /* commands_draining */
	/* A page of at most ROSTER_PAGE_ROWS sessions that *filter* (copy it) wants, of *worker*
	 * from *cursor* on: commands_page. Begins at worker 0, cursor 0; an empty page that is not
	 * the last is fine. */
	void (*sessions)(void *context, uint64_t ticket, const struct roster_filter *filter,
	                 uint32_t worker, uint64_t cursor);
	/* Ends the session of that id, as closed_by_admin: commands_closed. */
	void (*close)(void *context, uint64_t ticket, uint64_t id);
};

/* admin_open's *start*; its context is the struct control_hooks. */
void commands_start(struct admin_request *request);

/* The table, for `penstock ctl -h`. */
void commands_print_help(FILE *to);

/* Answers. Each does nothing when the client of *ticket* has gone. */

struct commands_reload {
	bool                      is_done;    /* false: refused, the old configuration goes on */
	uint64_t                  generation; /* the new one, if done */
	const struct conf_report *report;     /* errors and warnings; NULL = none */
};
void commands_reloaded(struct admin *admin, uint64_t ticket, const struct commands_reload *reload);
/* It has begun, or had before. */
void commands_draining(struct admin *admin, uint64_t ticket, uint64_t sessions, uint64_t left_ms);
void commands_page(struct admin *admin, uint64_t ticket, const struct roster_page *page);
void commands_closed(struct admin *admin, uint64_t ticket, bool was_found);
/* Instead of any of them: *why* in a few words ("no memory"). Exit code 1. */
void commands_failed(struct admin *admin, uint64_t ticket, const char *why);

#endif
