#include "process/logger.h"
#include "base/clock.h"
#include "base/futex.h"
#include "process/logger_ports.h"
#include "process/logger_set.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	RING_SIZE = 256 * 1024,
	RECORDS_PER_TURN =
		512, /* of one port, so that a busy one does not keep the others waiting */
	REPORT_EVERY_MS = 1000,
	FINISH_PAUSE_MS = 10, /* between looks at a destination that does not take the rest */
	STOP_GRACE_MS = 200,  /* for the thread to notice that its time is up */
};

struct logger {
	struct logger_ports ports;
	struct logger_set   set;
	pthread_t           thread;

	_Atomic uint32_t asleep;          /* the futex word: 1 = the writer sleeps or is about to */
	_Atomic uint32_t requested, done; /* changes of the set, and reopening */
	_Atomic bool     reopen_wanted;
	_Atomic bool     stopping;
	_Atomic uint64_t stop_at_ms; /* set before *stopping* */
	_Atomic uint32_t finished;   /* a futex word: the thread is about to return */

	/* The writer's own. */
	uint64_t report_at_ms;  /* no report of drops before that */
	uint64_t ports_dropped; /* as far as they were reported */
};

/* ---- what is written ---- */

/* What the writer itself has to say. False: there was no room for it. */
PRINTF(2, 3) static bool put_own_line(struct logger *logger, const char *format, ...)
{
	char    text[512];
	va_list args;

	if (atomic_load_explicit(&log_threshold, memory_order_relaxed) > LOG_LEVEL_WARN)
		return true;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	/* Only paths come in here: an operator's own, but a newline in one is still no new line. */
	for (char *at = text; *at; at++) {
		if ((unsigned char)*at < 0x20 || *at == 0x7f)
			*at = '?';
	}
	return logger_target_put_line(logger->set.error, clock_real_ms(), LOG_LEVEL_WARN,
	                              span_text(text));
}

/* Where a line goes while the error log changes: what was there when control changed it to the old
 * one. */
static struct logger_target *error_log_for(struct logger *logger, const struct logger_port *from,
                                           const struct spsc *ring)
{
	struct logger_target *now = logger->set.error;
	struct logger_target *wanted = atomic_load(&logger->set.error_wanted);

	return wanted != now && spsc_has_passed(ring, atomic_load(&from->mark)) ? wanted : now;
}

static void put_record(struct logger *logger, struct logger_target *error_log, struct span bytes)
{
	const struct log_record    *record = (const void *)bytes.data;
	const struct access_record *access = (const void *)bytes.data;
	enum log_level              level;

	CHECK(bytes.len >= sizeof(*record));
	switch ((enum log_kind)record->kind) {
	case LOG_KIND_LINE:
		level = (enum log_level)min_u32(record->level, LOG_LEVEL_ERROR);
		(void)logger_target_put_line(
			error_log, record->time_ms, level,
			span_of(bytes.data + sizeof(*record), bytes.len - sizeof(*record)));
		break;
	case LOG_KIND_ACCESS:
		CHECK(bytes.len >= sizeof(*access));
		logger_target_put_access(logger_set_find(&logger->set, access->log), bytes);
		break;
	}
}

/* False: there is none. */
static bool take_record(struct logger *logger, const struct logger_port *from)
{
	struct log_port *port = atomic_load(&from->port);
	struct span      record = port ? spsc_peek(&port->ring) : (struct span){0};

	if (!record.data)
		return false;
	put_record(logger, error_log_for(logger, from, &port->ring), record);
	spsc_release(&port->ring);
	return true;
}

/* Takes a bounded number of records out of every port; true if there were any. */
static bool take_records(struct logger *logger)
{
	uint32_t end = atomic_load(&logger->ports.end);
	bool     any = false;

	for (uint32_t i = 0; i < end; i++) {
		for (unsigned taken = 0; taken < RECORDS_PER_TURN; taken++) {
			if (!take_record(logger, &logger->ports.all[i]))
				break;
			any = true;
		}
	}
	return any;
}

/* Takes all that the ports hold by now; what comes meanwhile may stay. */
static void take_all(struct logger *logger)
{
	uint32_t end = atomic_load(&logger->ports.end);

	for (uint32_t i = 0; i < end; i++) {
		struct log_port *port = logger_ports_at(&logger->ports, i);
		uint64_t         last = port ? spsc_end(&port->ring) : 0;

		while (port && !spsc_has_passed(&port->ring, last) &&
		       take_record(logger, &logger->ports.all[i]))
			;
	}
}

/* ---- what was lost ---- */

/* A destination that fails, once when that begins and again when the cause changes; and how many
 * lines were lost in front of one that works again. */
static void report_target(struct logger *logger, struct logger_target *target)
{
	struct logger_sink *sink = &target->sink;
	uint64_t            dropped = sink->dropped;

	if (sink->failure != target->told && target != logger->set.error) {
		if (sink->failure == 0)
			target->told = 0;
		else if (put_own_line(logger, "cannot write log %s: %s", sink->name,
		                      strerrordesc_np(sink->failure)))
			target->told = sink->failure;
	}
	if (dropped == 0 || sink->failure || logger_sink_is_pending(sink))
		return;
	if (put_own_line(logger, "%" PRIu64 " log lines were dropped: %s was not ready", dropped,
	                 sink->name))
		sink->dropped = 0;
}

static void report_lost_end(struct logger *logger, const struct logger_target *target)
{
	(void)put_own_line(logger, "the last lines of log %s are lost: it was not ready",
	                   target->sink.name);
}

static bool is_report_due(const struct logger *logger)
{
	const struct logger_set *set = &logger->set;

	for (const struct logger_target *target = set->open; target; target = target->next)
		if (target->sink.dropped ||
		    (target != set->error && target->sink.failure != target->told))
			return true;
	return logger_ports_dropped(&logger->ports) != logger->ports_dropped;
}

static void report(struct logger *logger)
{
	uint64_t now = clock_ms(), dropped = logger_ports_dropped(&logger->ports);

	/* With a stuck error log the counts wait; a report must not be what fills it up. */
	if (now < logger->report_at_ms || logger_sink_is_pending(&logger->set.error->sink) ||
	    !is_report_due(logger))
		return;
	logger->report_at_ms = now + REPORT_EVERY_MS;
	for (struct logger_target *target = logger->set.open; target; target = target->next)
		report_target(logger, target);
	if (dropped != logger->ports_dropped &&
	    put_own_line(logger, "%" PRIu64 " log lines were dropped: the log writer was too slow",
	                 dropped - logger->ports_dropped))
		logger->ports_dropped = dropped;
}

/* ---- requests ---- */

static void reopen_all(struct logger *logger)
{
	struct logger_target *target;
	char                  why[256];

	for (target = logger->set.open; target; target = target->next)
		if (!target->is_leaving && !logger_sink_reopen(&target->sink, why))
			(void)put_own_line(logger, "%s; the old file is kept", why);
}

/* What was logged before a request goes where it went until then. So what is requested is looked at
 * first, then the ports are emptied, then it is done; what is requested in between has a number of
 * its own, and its turn. */
static void obey_requests(struct logger *logger)
{
	uint32_t requested = atomic_load(&logger->requested);
	bool     reopens;

	if (requested == atomic_load_explicit(&logger->done, memory_order_relaxed))
		return;
	reopens = atomic_exchange(&logger->reopen_wanted, false);
	logger_set_note_changes(&logger->set);
	take_all(logger);
	logger_set_write(&logger->set);
	logger_set_make_changes(&logger->set);
	if (reopens)
		reopen_all(logger);
	logger_set_write(&logger->set);
	atomic_store_explicit(&logger->done, requested, memory_order_release);
}

static void close_leaving(struct logger *logger)
{
	struct logger_target *target;

	while ((target = logger_set_to_close(&logger->set)) != NULL) {
		report_target(logger, target);
		if (logger_sink_is_pending(&target->sink))
			report_lost_end(logger, target);
		logger_set_close(&logger->set, target);
	}
}

static uint32_t request(struct logger *logger)
{
	uint32_t number = atomic_fetch_add(&logger->requested, 1) + 1;

	log_wake(&logger->asleep);
	return number;
}

/* ---- the thread ---- */

static bool has_work(const struct logger *logger)
{
	return atomic_load(&logger->stopping) ||
	       atomic_load(&logger->requested) != atomic_load(&logger->done) ||
	       !logger_ports_are_empty(&logger->ports);
}

/* Sleeps until somebody has something to say; shorter if a destination or a report is due. See
 * log_flush for why no wake-up is lost. */
static void sleep_until_work(struct logger *logger)
{
	uint64_t now = clock_ms(), next = logger_set_next_ms(&logger->set);

	if (next == UINT64_MAX && is_report_due(logger))
		next = logger->report_at_ms;
	atomic_store(&logger->asleep, 1);
	if (!has_work(logger))
		futex_wait(&logger->asleep, 1,
		           next == UINT64_MAX ? UINT64_MAX
		           : next > now       ? next - now
		                              : 1);
	atomic_store(&logger->asleep, 0);
}

/* Time is up: whose reader does not read loses what is left, and the error log says so if it
 * can. */
static void give_up(struct logger *logger)
{
	struct logger_set *set = &logger->set;

	if (logger_sink_is_pending(&set->error->sink))
		return;
	for (struct logger_target *target = set->open; target; target = target->next)
		if (target != set->error && logger_sink_is_pending(&target->sink))
			report_lost_end(logger, target);
	logger_sink_write(&set->error->sink);
}

/* Nobody logs any more: write what there is, as long as time lasts. */
static void finish(struct logger *logger)
{
	const struct timespec pause = {.tv_nsec = FINISH_PAUSE_MS * 1000000L};
	uint64_t              stop_at_ms = atomic_load(&logger->stop_at_ms);

	obey_requests(logger);
	for (;;) {
		bool any = take_records(logger);

		logger_set_write(&logger->set);
		if (!any && !logger_set_is_pending(&logger->set)) {
			logger->report_at_ms = 0;
			report(logger);
			logger_set_write(&logger->set);
			if (!logger_set_is_pending(&logger->set))
				break;
		}
		if (clock_ms() >= stop_at_ms) {
			give_up(logger);
			break;
		}
		if (!any)
			nanosleep(&pause, NULL);
	}
}

static void *run(void *argument)
{
	struct logger *logger = argument;

	while (!atomic_load(&logger->stopping)) {
		bool any = take_records(logger);

		logger_set_write(&logger->set);
		obey_requests(logger);
		close_leaving(logger);
		report(logger);
		logger_set_write(&logger->set);
		if (!any)
			sleep_until_work(logger);
	}
	finish(logger);
	atomic_store(&logger->finished, 1);
	futex_wake(&logger->finished);
	return NULL;
}

/* ---- start ---- */

static void free_logger(struct logger *logger)
{
	logger_ports_fini(&logger->ports);
	logger_set_fini(&logger->set);
	free(logger);
}

/* Signals are main's business, and a reader that went away must not end the program with
 * SIGPIPE. */
static int start_thread(struct logger *logger)
{
	sigset_t all, before;
	int      error;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&logger->thread, NULL, run, logger);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error == 0)
		(void)pthread_setname_np(logger->thread, "log");
	return error;
}

struct logger *logger_start(const struct logger_plan *plan, char why[256])
{
	const struct logger_sink_how how = {.syslog_path = plan->syslog_path, .owner = plan->owner};
	struct logger               *logger = calloc(1, sizeof(*logger));
	int                          error;

	if (!logger || !logger_ports_init(&logger->ports, plan->port_max,
	                                  plan->ring_size ? plan->ring_size : RING_SIZE)) {
		snprintf(why, 256, "no memory for the log writer");
		free(logger);
		return NULL;
	}
	if (!logger_set_init(&logger->set, plan->error_log, &how, why)) {
		logger_ports_fini(&logger->ports);
		free(logger);
		return NULL;
	}
	atomic_store(&log_threshold, (int)plan->level);
	error = start_thread(logger);
	if (error == 0)
		return logger;
	snprintf(why, 256, "cannot start the log writer: %s", strerrordesc_np(error));
	free_logger(logger);
	return NULL;
}

struct log_port *logger_port(struct logger *logger, uint32_t index)
{
	return logger_ports_get(&logger->ports, index, &logger->asleep);
}

/* ---- other calls ---- */

bool logger_prepare(struct logger *logger, const struct conf *conf, uint16_t *numbers,
                    char why[256])
{
	bool ok = logger_set_prepare(&logger->set, conf, numbers, why);

	/* Also where it failed: for what was opened before that. */
	(void)request(logger);
	return ok;
}

void logger_commit(struct logger *logger)
{
	logger_ports_mark(&logger->ports);
	logger_set_commit(&logger->set);
	(void)request(logger);
}

void logger_abandon(struct logger *logger, const uint16_t *numbers, size_t count)
{
	logger_set_abandon(&logger->set);
	logger_retire(logger, numbers, count);
}

void logger_retire(struct logger *logger, const uint16_t *numbers, size_t count)
{
	logger_set_retire(&logger->set, numbers, count);
	(void)request(logger);
}

uint32_t logger_reopen(struct logger *logger)
{
	atomic_store(&logger->reopen_wanted, true);
	return request(logger);
}

uint32_t logger_reopened(const struct logger *logger)
{
	return atomic_load_explicit(&logger->done, memory_order_acquire);
}

uint64_t logger_dropped(const struct logger *logger)
{
	return logger_ports_dropped(&logger->ports) +
	       atomic_load_explicit(&logger->set.dropped, memory_order_relaxed);
}

/* False: not within the time. */
static bool wait_finished(struct logger *logger, uint64_t until_ms)
{
	while (atomic_load(&logger->finished) == 0) {
		uint64_t now = clock_ms();

		if (now >= until_ms)
			return false;
		futex_wait(&logger->finished, 0, until_ms - now);
	}
	return true;
}

void logger_stop(struct logger *logger, unsigned timeout_ms)
{
	uint64_t stop_at_ms = clock_ms() + timeout_ms;

	atomic_store(&logger->stop_at_ms, stop_at_ms);
	atomic_store(&logger->stopping, true);
	log_wake(&logger->asleep);
	/* A write that hangs all the same (a dead network disk, say) must not keep the process from
	 * ending; the thread may still use everything, so all is left to it. */
	if (!wait_finished(logger, stop_at_ms + STOP_GRACE_MS)) {
		pthread_detach(logger->thread);
		return;
	}
	pthread_join(logger->thread, NULL);
	free_logger(logger);
}
