/*
 * console: what can be seen of the running program and asked of it from outside: `penstock ctl`
 * over admin_socket, and the pages of metrics_listen.
 *
 * Answers from what control has at hand; what only a worker knows it asks of that one by a job, and
 * answers when the job is back. Of control, on its thread.
 */
#ifndef PROCESS_CONSOLE_H
#define PROCESS_CONSOLE_H

#include "process/commands.h"
#include "process/http.h"

struct control;

struct console {
	struct control_hooks hooks;
	struct admin         admin;
	struct http          http;
	bool                 has_admin, has_http;
	struct {
		uint64_t ticket;
		uint32_t attempt; /* at a reload that the ticket waits for; 0 = none */
	} waiting[ADMIN_CLIENTS_MAX];
};

/* Opens what the configuration names. False: told on stderr. While still root, who may open any
 * port. */
MUST_CHECK bool console_open(struct console *console, struct control *control);
void            console_close(struct console *console);

/* After each turn of the reactor; returns when to be called again at the latest. */
MUST_CHECK uint64_t console_tick(struct console *console, uint64_t now_ms);

#endif
