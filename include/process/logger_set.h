/*
 * logger_set: the logs that are open, and the number that stands for each in a record.
 *
 * Two threads share it without a lock. Control opens logs, numbers them, counts which
 * configurations use them and gives them up. The log writer writes and closes; it alone touches a
 * target that was handed over. A log keeps its number in every configuration that has it, and the
 * number of one that is gone goes to the next that comes. Called by process/logger only.
 */
#ifndef PROCESS_LOGGER_SET_H
#define PROCESS_LOGGER_SET_H

#include "process/logger_target.h"

enum { LOGGER_SET_MAX = UINT16_MAX }; /* logs at a time; UINT16_MAX itself is no number */

struct logger_slot {
	_Atomic(struct logger_target *) target; /* NULL = free; set by control, cleared by the
	                                         * writer */
	uint32_t users; /* control's: configurations that log to it, once for each [log] */
};

struct logger_set {
	struct logger_sink_how how;
	_Atomic uint64_t       dropped; /* lines, by all sinks that ever were */

	/* Control's; but slots[].target is shared. */
	struct logger_slot   *slots;     /* by number; lazily touched */
	uint32_t              slot_end;  /* no slot from here on was ever used */
	struct logger_target *error_now; /* the configuration's error log, and... */
	struct logger_target
		      *error_then; /* ...that of one that is prepared; NULL = there is none */
	enum log_level level_then;

	/* From control to the writer. */
	_Atomic(struct logger_target *) arrived; /* not seen by it yet, linked by *next* */
	_Atomic(struct logger_target *) error_wanted;

	/* The writer's. */
	struct logger_target *open; /* all, the leaving ones too */
	struct logger_target *error;
	struct logger_target *error_noted;
};

/* Opens the error log, before there is a writer. False: *why* tells. */
MUST_CHECK bool logger_set_init(struct logger_set *set, const char *error_log,
                                const struct logger_sink_how *how, char why[256]);
/* Once there is no writer any more, or never was one. */
void logger_set_fini(struct logger_set *set);

/* ---- control; see process/logger.h ---- */

MUST_CHECK bool logger_set_prepare(struct logger_set *set, const struct conf *conf,
                                   uint16_t *numbers, char why[256]);
void            logger_set_commit(struct logger_set *set);
void            logger_set_abandon(struct logger_set *set);
void            logger_set_retire(struct logger_set *set, const uint16_t *numbers, size_t count);

/* ---- the writer ---- */

/* The access log of that number, which must be in use. */
struct logger_target *logger_set_find(struct logger_set *set, uint16_t number);

/* Control's changes are noted; then the caller takes what was logged until now out of the ports, to
 * where it went so far; then they are made: the error log is another one, and the numbers of
 * leaving logs are free. */
void logger_set_note_changes(struct logger_set *set);
void logger_set_make_changes(struct logger_set *set);

/* One that is to be closed by now: all is written, or its time is up; NULL = there is none. Pass it
 * to logger_set_close. */
struct logger_target *logger_set_to_close(struct logger_set *set);
void                  logger_set_close(struct logger_set *set, struct logger_target *target);

/* Writes what goes without waiting. */
void logger_set_write(struct logger_set *set);
bool logger_set_is_pending(const struct logger_set *set);
/* When to look at it again though nobody logs (clock_ms); UINT64_MAX = no need to. */
uint64_t logger_set_next_ms(const struct logger_set *set);

#endif
