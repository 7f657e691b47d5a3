#include "process/logger_target.h"

#include "base/clock.h"
#include "process/access_format.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert((int)LOGGER_SINK_LINE_MAX >= (int)ACCESS_LINE_MAX + SYSLOG_HEADER_MAX,
               "an access line fits");
_Static_assert((int)LOGGER_SINK_LINE_MAX >= LOG_LINE_MAX + SYSLOG_HEADER_MAX, "an error line fits");

struct logger_target *logger_target_open(const struct conf_log        *log,
                                         const struct logger_sink_how *how, char why[256])
{
	struct logger_target *target = calloc(1, sizeof(*target));
	bool ok = target && (!log->template || template_init(&target->template, log->template));

	if (!ok) {
		snprintf(why, 256, "no memory for log %.180s", log->path);
		free(target);
		return NULL;
	}
	target->format = log->format;
	target->when = log->when;
	if (!logger_sink_open(&target->sink, log->path, how, why)) {
		template_fini(&target->template);
		free(target);
		return NULL;
	}
	return target;
}

void logger_target_close(struct logger_target *target)
{
	logger_sink_close(&target->sink);
	template_fini(&target->template);
	free(target);
}

bool logger_target_is_of(const struct logger_target *target, const struct conf_log *log)
{
	const char *template = target->template.text;

	if (strcmp(target->sink.name, log->path) != 0 || target->format != log->format ||
	    target->when != log->when)
		return false;
	return template && log->template ? strcmp(template, log->template) == 0
	                                 : template == log->template;
}

/* Syslog's header has time and level. */
static char *put_start(const struct logger_sink *sink, uint64_t real_ms, enum log_level level,
                       char *at)
{
	static const char *const words[] = {"debug", "info", "notice", "warn", "error"};

	if (logger_sink_is_syslog(sink))
		return at + logger_sink_begin(sink, level, "error", real_ms, at);
	clock_format(real_ms, at);
	at += CLOCK_TEXT_LEN;
	*at++ = ' ';
	at = mempcpy(at, words[level], strlen(words[level]));
	return mempcpy(at, ": ", 2);
}

bool logger_target_put_line(struct logger_target *target, uint64_t real_ms, enum log_level level,
                            struct span text)
{
	char *line = logger_sink_room(&target->sink), *at;

	if (!line)
		return false;
	at = put_start(&target->sink, real_ms, level, line);
	at = mempcpy(at, text.data, min_size(text.len, LOG_LINE_MAX));
	*at++ = '\n';
	logger_sink_add(&target->sink, (size_t)(at - line));
	return true;
}

/* Whether the log is to have a line of it: `when`. */
static bool is_wanted(struct logger_target *target, const struct access_record *record)
{
	if (target->when == CONF_WHEN_ALL)
		return true;
	if (target->when == CONF_WHEN_ERRORS)
		return record->reason != REASON_OK;
	return target->seen++ % target->when == 0;
}

static size_t format_access(struct logger_target *target, const struct access_record *record,
                            const uint8_t *texts, char *line)
{
	struct logger_sink *sink = &target->sink;
	size_t head = logger_sink_begin(sink, LOG_LEVEL_INFO, "access", record->head.time_ms, line);
	size_t room = LOGGER_SINK_LINE_MAX - head;
	size_t len = target->format == CONF_LOG_TEMPLATE
	                     ? access_format_template(record, texts, &target->template, line + head,
	                                              room)
	                     : access_format(record, texts, target->format, line + head, room);

	return head + len;
}

void logger_target_put_access(struct logger_target *target, struct span bytes)
{
	const struct access_record *record = (const void *)bytes.data;
	size_t                      texts = 0;
	char                       *line;

	CHECK(bytes.len >= sizeof(*record));
	for (size_t i = 0; i < ACCESS_TEXTS; i++)
		texts += record->text_len[i] == ACCESS_ABSENT ? 0 : record->text_len[i];
	CHECK(bytes.len - sizeof(*record) >= texts);
	line = is_wanted(target, record) ? logger_sink_room(&target->sink) : NULL;
	if (line)
		logger_sink_add(&target->sink,
		                format_access(target, record, bytes.data + sizeof(*record), line));
}
