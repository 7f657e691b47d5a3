/*
 * logger_maker: a logger with logs in a scratch directory, what to log to it, and what came of it.
 */
#ifndef TESTS_UNIT_LOGGER_MAKER_H
#define TESTS_UNIT_LOGGER_MAKER_H

#include "base/clock.h"
#include "process/logger.h"
#include "session/access.h"
#include "test.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATIENCE_MS = 30000 }; /* for what must happen; reached only by a failure */

static char scratch[128];
static char why[256];

enum { LOGS_MOST = 8 };

/* What a configuration says about logs. */
struct logs {
	struct conf      conf;
	struct conf_log  logs[LOGS_MOST];
	struct conf_log *pointers[LOGS_MOST];
	char             paths[LOGS_MOST + 1][256];
};

static void logs_init(struct logs *logs, const char *error_log)
{
	*logs = (struct logs){0};
	snprintf(logs->paths[LOGS_MOST], sizeof(logs->paths[0]), "%s", error_log);
	logs->conf.global.error_log = logs->paths[LOGS_MOST];
	logs->conf.global.error_level = LEVEL_INFO;
	logs->conf.logs = logs->pointers;
}

static struct conf_log *logs_add(struct logs *logs, const char *path, enum conf_log_format format)
{
	size_t i = logs->conf.log_count++;

	snprintf(logs->paths[i], sizeof(logs->paths[i]), "%s", path);
	logs->logs[i] = (struct conf_log){.path = logs->paths[i], .format = format};
	logs->pointers[i] = &logs->logs[i];
	return &logs->logs[i];
}

/* A path in the scratch directory; good for the next eight calls. */
static const char *path_of(const char *name)
{
	static char     paths[8][256];
	static unsigned next;
	char           *path = paths[next++ % COUNT(paths)];

	snprintf(path, sizeof(paths[0]), "%s/%s", scratch, name);
	return path;
}

/* All that *name* holds, as a string that the caller frees. */
static char *contents(const char *name)
{
	FILE  *file = fopen(path_of(name), "r");
	char  *text = NULL;
	size_t size = 0;

	if (!file)
		return strdup("");
	if (getdelim(&text, &size, '\0', file) < 0) {
		free(text);
		text = strdup("");
	}
	fclose(file);
	return text;
}

static inline bool holds(const char *name, const char *text)
{
	char *all = contents(name);
	bool  found = strstr(all, text) != NULL;

	free(all);
	return found;
}

static inline unsigned count_of(const char *text, const char *what)
{
	unsigned count = 0;

	for (; (text = strstr(text, what)) != NULL; text++)
		count++;
	return count;
}

/* Waits for what must come; *condition* is not asked again once it was true. */
#define EVENTUALLY(condition)                                                                      \
	do {                                                                                       \
		uint64_t until_ms = clock_ms() + PATIENCE_MS;                                      \
		bool     has_come = (condition);                                                   \
		for (; !has_come && clock_ms() < until_ms; has_come = (condition))                 \
			usleep(200);                                                               \
		if (!has_come)                                                                     \
			printf("  in vain: %s\n", #condition);                                     \
		EXPECT(has_come);                                                                  \
	} while (0)

/* Opens a configuration's logs and puts them to use, as control does. */
static inline bool change(struct logger *logger, const struct logs *logs, uint16_t *numbers)
{
	bool ok = logger_prepare(logger, &logs->conf, numbers, why);

	if (ok)
		logger_commit(logger);
	else
		printf("  %s\n", why);
	return ok;
}

static struct logger *start_with(const struct logs *logs, uint32_t ports)
{
	struct logger_plan plan = {
		.error_log = logs->conf.global.error_log,
		.level = LOG_LEVEL_INFO,
		.port_max = ports,
	};
	struct logger *logger = logger_start(&plan, why);
	uint16_t       numbers[LOGS_MOST];

	if (!logger)
		printf("  %s\n", why);
	CHECK(logger != NULL);
	CHECK(change(logger, logs, numbers));
	for (size_t i = 0; i < logs->conf.log_count; i++)
		EXPECT_EQ(numbers[i], i); /* the lowest that are free */
	return logger;
}

static inline struct logger *start(const char *error_log, const char *access_log, uint32_t ports)
{
	struct logs logs;

	logs_init(&logs, error_log);
	if (access_log)
		logs_add(&logs, access_log, CONF_LOG_TEXT);
	return start_with(&logs, ports);
}

PRINTF(2, 3) static inline void say(struct log_port *port, const char *format, ...)
{
	char    text[LOG_LINE_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	log_line(port, LOG_LEVEL_NOTICE, "%s", text);
	log_flush(port);
}

/* False: the port was full. */
static bool put_access(struct log_port *port, uint16_t log, uint64_t id)
{
	uint32_t              len = (uint32_t)sizeof(struct access_record) + 3;
	struct access_record *record = (struct access_record *)(void *)log_reserve(port, len);

	if (!record)
		return false;
	memset(record, 0, sizeof(*record));
	record->head.kind = LOG_KIND_ACCESS;
	record->head.time_ms = 1795527907123;
	record->id = id;
	record->log = log;
	memset(record->text_len, 0xff, sizeof(record->text_len));
	record->text_len[ACCESS_SNI] = 3;
	memcpy(record + 1, "a.b", 3);
	log_commit(port);
	return true;
}

static inline bool record_access(struct log_port *port, uint16_t log, uint64_t id)
{
	bool fits = put_access(port, log, id);

	log_flush(port);
	return fits;
}

/* The main function of a test that uses path_of. */
static int main_in_scratch(const char *name)
{
	const char *parent = getenv("TMPDIR");
	char        remove[256];
	int         failed;

	snprintf(scratch, sizeof(scratch), "%s/%s.XXXXXX",
	         parent && strlen(parent) < 90 ? parent : P_tmpdir, name);
	if (!mkdtemp(scratch)) {
		printf("FAIL no scratch directory: %d\n", errno);
		return 1;
	}
	failed = test_main();
	snprintf(remove, sizeof(remove), "rm -rf '%s'", scratch);
	return system(remove) != 0 || failed;
}

#endif
