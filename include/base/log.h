/*
 * log: how any thread says something without waiting.
 *
 * Every line and every access record goes into the thread's own single-producer ring (a log port);
 * the log writer (process/logger) takes them out. A full ring drops and counts; it never blocks.
 * The error log's threshold is the one mutable global of the program.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/spsc.h"
#include "base/util.h"

#include <stdatomic.h>
#include <stdbool.h>

enum log_level {
	LOG_LEVEL_DEBUG,
	LOG_LEVEL_INFO,
	LOG_LEVEL_NOTICE,
	LOG_LEVEL_WARN,
	LOG_LEVEL_ERROR
};

extern _Atomic int log_threshold; /* enum log_level; lines below it are not even formatted */

/* What a record in the ring is; the first 8 bytes of each. */
enum log_kind { LOG_KIND_LINE, LOG_KIND_ACCESS };

struct log_record {
	uint32_t kind;    /* enum log_kind */
	uint32_t level;   /* LINE: enum log_level; ACCESS: unused */
	uint64_t time_ms; /* CLOCK_REALTIME */
	/* LINE: text without newline, to the record's end. ACCESS: struct access_record
	 * (session/access.h). */
};

struct log_port {
	struct spsc       ring;
	_Atomic uint64_t  dropped;       /* records that found the ring full */
	_Atomic uint32_t *writer_asleep; /* the writer's futex word: 1 = asleep */
	bool              written;       /* since the last flush */
};

enum { LOG_LINE_MAX = 1024 }; /* longer lines are cut */

/* Formats one error-log line into the port. */
void log_line(struct log_port *port, enum log_level level, const char *format, ...) PRINTF(3, 4);

/* Reserves an access record's *len* bytes (its struct log_record included); NULL = dropped and
 * counted. Follow with log_commit. */
MUST_CHECK struct log_record *log_reserve(struct log_port *port, uint32_t len);
void                          log_commit(struct log_port *port);

/* Wakes the writer if it sleeps and something was written; call once per loop turn. */
void log_flush(struct log_port *port);

/* Clears the word and wakes who sleeps on it; for those that have something else to tell the
 * writer. */
void log_wake(_Atomic uint32_t *writer_asleep);

/* At most one line per *interval* for one site; what was held back is counted for the next line. */
struct log_limiter {
	uint64_t next_ms;
	uint32_t held_back;
};
/* True: log now, and *held_back tells how many were not. */
MUST_CHECK bool log_limiter_pass(struct log_limiter *limiter, uint64_t now_ms, uint64_t interval_ms,
                                 uint32_t *held_back);

#endif
