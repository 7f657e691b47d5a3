/*
 * logger_target: one open log: where its lines go, and how and for which records they are written.
 *
 * Owns the sink and the formatting of a line. What it is (path, format, template, when) never
 * changes once it is open. Opened by control, which then hands it to the log writer (logger_set);
 * everything below that mentions the writer is the writer's alone.
 */
#ifndef PROCESS_LOGGER_TARGET_H
#define PROCESS_LOGGER_TARGET_H

#include "base/log.h"
#include "conf/conf.h"
#include "conf/template.h"
#include "process/logger_sink.h"
#include "session/access.h"

struct logger_target {
	struct logger_sink   sink;   /* the writer's; but its name is anybody's */
	enum conf_log_format format; /* of an access log, as are the next two */
	struct template template;
	uint32_t when;
	uint32_t number; /* logger_set's */

	_Atomic bool          unwanted;    /* control: nobody logs to it any more */
	struct logger_target *next;        /* the writer's, as is all that follows */
	uint64_t              seen;        /* records that came, for a sample */
	int                   told;        /* the failure that was reported last */
	bool                  is_leaving;  /* to be closed once all is written, or... */
	uint64_t              leave_by_ms; /* ...at the latest then */
};

/* Opens it; *log* need not outlive the call, and of the error log's only the path is looked at.
 * NULL: *why* says what failed, and nothing is left behind but perhaps an empty file. */
MUST_CHECK struct logger_target *logger_target_open(const struct conf_log        *log,
                                                    const struct logger_sink_how *how,
                                                    char                          why[256]);
void                             logger_target_close(struct logger_target *target);

/* Whether it writes the same records to the same place in the same form. */
bool logger_target_is_of(const struct logger_target *target, const struct conf_log *log);

/* Writer: a line of the error log; *text* is without newline and cut at LOG_LINE_MAX. False: there
 * was no room (it is counted then). */
bool logger_target_put_line(struct logger_target *target, uint64_t real_ms, enum log_level level,
                            struct span text);
/* Writer: the line of an access record, if this log is to have one. *bytes* is the record with the
 * texts behind it. */
void logger_target_put_access(struct logger_target *target, struct span bytes);

#endif
