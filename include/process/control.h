/*
 * control: the running program's life, on the main thread: start everything, obey signals, end
 * everything.
 *
 * Owns the listening sockets, the logger, the workers and the pid file. It never touches a
 * connection; what it wants of one it tells its worker. Called by main once a snapshot is built.
 */
#ifndef PROCESS_CONTROL_H
#define PROCESS_CONTROL_H

#include "process/console.h"
#include "process/reload.h"
#include "process/service.h"

enum control_phase { CONTROL_SERVING, CONTROL_DRAINING, CONTROL_STOPPING };

struct control {
	struct reactor     reactor;
	struct watch       signals;
	struct service     service;
	struct reload      reload;
	struct console     console;
	enum control_phase phase;
	bool               was_started;
	uint64_t           began_ms, began_real_ms;
	uint64_t           phase_ends_ms;    /* patience of DRAINING and STOPPING */
	uint64_t           next_progress_ms; /* of DRAINING */
	uint64_t           drain_began_with; /* sessions */
	uint32_t           watchdog_ms;      /* systemd's pace; 0 = it does not watch */
	uint64_t           next_watchdog_ms;
};

/* Blocks the signals that control_run waits for and ignores those that must not end the program.
 * Before any thread is made: they inherit it. */
void control_block_signals(void);

/* Runs until a signal ends it; a reload reads *file*. The exit code: 0, or 1 when it could not
 * start; then nothing is left behind, and every reason stands on stderr. Takes loaded->snapshot
 * over; the registry stays the caller's. */
MUST_CHECK int control_run(const char *file, struct loaded *loaded);

/* As QUIT does; once. */
void control_drain(struct control *control);
/* 0 when it does not drain. */
uint64_t control_drain_left_ms(const struct control *control);

#endif
