/*
 * logger_sink: one place where log lines end up: a file, a FIFO, stdout, stderr or syslog.
 *
 * Owns the fd and a buffer of whole lines. Never waits for whoever reads the other end (but for the
 * short patience of logger_sink_room): what cannot be written stays in the buffer, and when that is
 * full too, lines are dropped and counted. Only the log writer calls it, on its thread.
 */
#ifndef PROCESS_LOGGER_SINK_H
#define PROCESS_LOGGER_SINK_H

#include "process/privs.h"
#include "process/syslog.h"

#include <stdbool.h>

enum {
	LOGGER_SINK_BUFFER = 65536,
	LOGGER_SINK_LINE_MAX = 32768 + SYSLOG_HEADER_MAX, /* room that a line may need */
};

struct logger_sink {
	char    *name; /* a path, "stdout", "stderr", or as conf_log_target reads it */
	char    *buffer;
	size_t   len; /* bytes waiting in it */
	int      fd;
	unsigned kind;    /* what may be written to it at once without waiting */
	int      failure; /* errno of the last write that failed; 0 = none since then succeeded */
	uint64_t dropped; /* lines that found no room; the reader of this count clears it */
	_Atomic uint64_t *dropped_total; /* of all sinks, for ever */
	uint64_t          retry_ms;      /* after a write that was refused: not before (clock_ms) */
	uint32_t          backoff_ms;
	uint32_t          waited_ms;   /* patience used up since... */
	uint64_t          patience_ms; /* ...this moment */
	uint64_t          refused_ms;  /* UDP: when nobody listened last */
	struct syslog     syslog;
};

struct logger_sink_how {
	const char         *syslog_path; /* of the local one; NULL = /dev/log */
	const struct privs *owner; /* who shall be able to open the file again; NULL = who we are */
	_Atomic uint64_t   *dropped_total; /* counts every line that is dropped */
};

/* Opens it (a file with O_APPEND, created 0640). False: *why* names the path and the error, and
 * nothing is left behind. A syslog that is not there is no error: it is tried again as long as
 * there are lines for it. */
MUST_CHECK bool logger_sink_open(struct logger_sink *sink, const char *name,
                                 const struct logger_sink_how *how, char why[256]);
/* Lines that still wait in it are lost, and counted in the total. */
void logger_sink_close(struct logger_sink *sink);

/* Opens the path anew, after a rotation. False: the old fd is kept, *why* says why. True at once
 * for stdout and stderr, which have no path, and for syslog, which is connected anew by its next
 * line. */
MUST_CHECK bool logger_sink_reopen(struct logger_sink *sink, char why[256]);

/* Room for LOGGER_SINK_LINE_MAX bytes, to be filled and followed by logger_sink_add. NULL: the line
 * is dropped and counted. A full buffer is written first; a reader that is only slow is waited for,
 * a tenth of the time at most, so that one stuck reader cannot stop the lines of the others. */
MUST_CHECK char *logger_sink_room(struct logger_sink *sink);
/* What a line begins with: syslog's header; nothing in front of others. At most SYSLOG_HEADER_MAX
 * bytes. */
MUST_CHECK size_t logger_sink_begin(const struct logger_sink *sink, enum log_level level,
                                    const char *kind, uint64_t real_ms, char *line);
/* The line ends with its newline and has no other. */
void logger_sink_add(struct logger_sink *sink, size_t len);

/* Writes what goes without waiting. */
void logger_sink_write(struct logger_sink *sink);

bool logger_sink_is_syslog(const struct logger_sink *sink);

static inline bool logger_sink_is_pending(const struct logger_sink *sink)
{
	return sink->len > 0;
}

#endif
