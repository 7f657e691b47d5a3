/*
 * logger: the log writer's thread, and everything that is written to logs.
 *
 * Owns the ports (one byte ring for every thread that logs) and the logs. A thread that logs never
 * waits for it: a full ring or a stuck destination costs lines, which are counted and reported in
 * the error log, never time. Main starts it before the workers and stops it after them; all calls
 * are control's, on its thread, but for those that say otherwise.
 */
#ifndef PROCESS_LOGGER_H
#define PROCESS_LOGGER_H

#include "base/log.h"
#include "conf/conf.h"
#include "process/privs.h"

struct logger_plan {
	const char         *error_log;   /* until there is a configuration: its path, as in conf */
	enum log_level      level;       /* the same */
	uint32_t            port_max;    /* as many ports as there may come to be; one costs nothing
	                             * until it is asked for */
	uint32_t            ring_size;   /* of a port: a power of two from 4096, 0 = 256 KiB */
	const struct privs *owner;       /* who must be able to reopen the files, and outlives the
	                                  * logger; NULL = who we are */
	const char         *syslog_path; /* NULL = /dev/log; outlives the logger */
};

struct logger;

/* Opens the error log, sets log_threshold and starts the thread. NULL: *why* says what failed, in
 * words for an operator; nothing is left behind. */
MUST_CHECK struct logger *logger_start(const struct logger_plan *plan, char why[256]);

/* Port number *index*, made when first asked for; for one thread at a time, valid until
 * logger_stop. NULL: no memory. */
MUST_CHECK struct log_port *logger_port(struct logger *logger, uint32_t index);

/* A configuration's logs, opened ahead of the configuration's use, so that one that cannot be
 * opened refuses it: then false, *why* names it, and nothing has changed. *numbers* has room for
 * conf->log_count and gets the number of each, for access_record.log. A log that another
 * configuration in use has with the same path, format, template and when has the same number;
 * others of the same path are files of their own, whose whole lines meet in it. The strings of
 * *conf* are copied. Follow with logger_commit or logger_abandon. */
MUST_CHECK bool logger_prepare(struct logger *logger, const struct conf *conf, uint16_t *numbers,
                               char why[256]);
/* Its error log and level hold from now on; what was logged before still goes where it went. Cannot
 * fail. Before any thread learns the numbers. */
void logger_commit(struct logger *logger);
/* It will not be used after all: as if it had not been prepared. */
void logger_abandon(struct logger *logger, const uint16_t *numbers, size_t count);
/* A committed configuration is gone: every record of it is in the ports, and no thread will log to
 * these numbers on its behalf. The writer closes what no other one uses once all is written, after
 * some seconds in any case. */
void logger_retire(struct logger *logger, const uint16_t *numbers, size_t count);

/* Asks the writer to write out what was logged until now and to open the paths anew; returns at
 * once, with the request's number. Where that fails the old file is kept, and the error log says
 * so. */
uint32_t logger_reopen(struct logger *logger);
/* The number of the last request that is done; those above count too. Any thread. */
uint32_t logger_reopened(const struct logger *logger);

/* Lines that were lost since the start, by full ports and by destinations that did not take them.
 * Any thread. */
uint64_t logger_dropped(const struct logger *logger);

/* Call when no thread logs any more. Writes what is left, for at most about *timeout_ms* (whoever
 * does not read his pipe loses the rest), ends the thread and frees everything. */
void logger_stop(struct logger *logger, unsigned timeout_ms);

#endif
