#include "process/control.h"

#include "base/clock.h"
#include "process/check_host.h"
#include "process/notify.h"
#include "tls/tls_library.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum {
	/* Together less than the second that TERM may take. */
	STOP_WORKERS_MS = 700,
	STOP_LOGGER_MS = 200,
	/* Where nobody waits for us, what is left to log may take a little longer. */
	DRAINED_LOGGER_MS = 2000,

	RETIRED_LOOK_MS = 500, /* how often old configurations are looked at: still in use? */
	PROGRESS_MS = 5000,    /* between lines about a drain */
	DRAIN_GRACE_MS = 1000, /* beyond drain_timeout, for the workers to close what is left */
};

static const int awaited[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1};

static void awaited_set(sigset_t *set)
{
	sigemptyset(set);
	for (size_t i = 0; i < COUNT(awaited); i++)
		sigaddset(set, awaited[i]);
}

void control_block_signals(void)
{
	sigset_t set;

	awaited_set(&set);
	CHECK(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
	/* A closed pipe or a log beyond the file size limit is an error of that write, not the end.
	 * */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
}

/* ---- status ---- */

static void log_status(struct control *control)
{
	struct crew_totals totals = crew_totals(&control->service.crew);

	TELL(&control->service, LOG_LEVEL_NOTICE,
	     "penstock: status sessions=%" PRIu64 " pipes=%" PRIu64 " leases=%" PRIu64
	     " hellos_pending=%" PRIu64 " lingering=%" PRIu64 " accepted=%" PRIu64 " ended=%" PRIu64
	     " buffers_exhausted=%" PRIu64 " pipes_exhausted=%" PRIu64 " hellos_dropped=%" PRIu64,
	     totals.sessions, totals.pipes, totals.leases, totals.hellos_pending, totals.lingering,
	     totals.accepted, totals.ended, totals.buffers_exhausted, totals.pipes_exhausted,
	     totals.hellos_dropped);
}

/* ---- start ---- */

static void log_sizes(struct control *control)
{
	const struct sizes *sizes = &control->service.sizes;
	char                text[512];

	sizes_describe(sizes, text, sizeof(text));
	TELL(&control->service, LOG_LEVEL_INFO, "%s", text);
	/* The default fits itself to the host; check-host remarks on it. */
	if (service_conf(&control->service)->global.pipe_pool != UINT32_MAX &&
	    sizes->worker.pipe_pool < sizes->pipes_wished)
		TELL(&control->service, LOG_LEVEL_WARN,
		     "penstock: %" PRIu32 " pipes per worker instead of %" PRIu32
		     ": pipe-user-pages-soft or the limit of open files allows no more",
		     sizes->worker.pipe_pool, sizes->pipes_wished);
}

static void log_remarks(struct control *control)
{
	struct check_host host;
	char              line[512];

	check_host_read(&host);
	if (check_host_remarks(&host, line, sizeof(line)))
		TELL(&control->service, LOG_LEVEL_WARN, "penstock: %s", line);
	if (tls_library_is_present() && !tls_library_has_assembly())
		TELL(&control->service, LOG_LEVEL_WARN,
		     "penstock: %s runs without assembly: terminating TLS takes many times the CPU; "
		     "see penstock -V",
		     tls_library_name());
}

/* Everything that only root can open is open: ports, logs, the workers' rings and pipes. */
static bool drop_privs(struct control *control)
{
	int result = privs_drop(&control->service.privs);

	if (result < 0)
		fprintf(stderr, "penstock: cannot become user %s: %s\n",
		        service_conf(&control->service)->global.user, strerror(-result));
	return result == 0;
}

static bool write_pid_file(const struct control *control)
{
	const char *path = service_conf(&control->service)->global.pid_file;
	int         result = path ? pid_file_write(path) : 0;

	if (result < 0)
		fprintf(stderr, "penstock: pid_file %s: %s\n", path, strerror(-result));
	return result == 0;
}

static bool control_start(struct control *control)
{
	if (!service_start(&control->service))
		return false;
	log_sizes(control);
	log_remarks(control);
	if (!console_open(&control->console, control) || !write_pid_file(control) ||
	    !drop_privs(control))
		return false;
	control->watchdog_ms = notify_watchdog_interval_ms();
	control->was_started = true;
	TELL(&control->service, LOG_LEVEL_NOTICE, "penstock: ready");
	notify_systemd("READY=1");
	return true;
}

/* ---- signals ---- */

static void begin_stop(struct control *control)
{
	if (control->phase == CONTROL_STOPPING)
		return;
	control->phase = CONTROL_STOPPING;
	control->phase_ends_ms = clock_ms() + STOP_WORKERS_MS;
	if (control->service.log)
		TELL(&control->service, LOG_LEVEL_NOTICE, "penstock: stopping");
	notify_systemd("STOPPING=1");
	crew_stop(&control->service.crew);
}

void control_drain(struct control *control)
{
	uint64_t now_ms = clock_ms();
	uint32_t drain_ms = service_conf(&control->service)->global.drain_timeout_ms;
	uint64_t sessions = crew_totals(&control->service.crew).sessions;

	control->phase = CONTROL_DRAINING;
	control->drain_began_with = sessions;
	control->phase_ends_ms = now_ms + drain_ms + DRAIN_GRACE_MS;
	control->next_progress_ms = now_ms + PROGRESS_MS;
	TELL(&control->service, LOG_LEVEL_NOTICE, "penstock: draining, %" PRIu64 " sessions left",
	     sessions);
	notify_systemd("STOPPING=1");
	/* A successor may have the ports, and clients hear at once that nobody accepts here. Before
	 * the workers stop accepting: whoever came until now is served, and hardly anyone waits in
	 * a backlog to be reset. */
	ports_let_go(&control->service.ports);
	crew_drain(&control->service.crew, drain_ms);
}

uint64_t control_drain_left_ms(const struct control *control)
{
	uint64_t now_ms = clock_ms();

	if (control->phase != CONTROL_DRAINING || control->phase_ends_ms <= now_ms + DRAIN_GRACE_MS)
		return 0;
	return control->phase_ends_ms - DRAIN_GRACE_MS - now_ms;
}

static void obey(struct control *control, int signal)
{
	switch (signal) {
	case SIGTERM:
	case SIGINT:
		begin_stop(control);
		break;
	case SIGQUIT:
		if (control->phase == CONTROL_SERVING)
			control_drain(control);
		else
			begin_stop(control);
		break;
	case SIGHUP:
		if (control->phase == CONTROL_SERVING)
			reload_request(&control->reload);
		else
			TELL(&control->service, LOG_LEVEL_WARN,
			     "penstock: on the way to its end: not reloaded");
		break;
	case SIGUSR1:
		(void)logger_reopen(control->service.logger);
		log_status(control);
		break;
	default:
		break;
	}
}

static void on_signal(struct watch *watch, uint32_t events)
{
	struct control         *control = container_of(watch, struct control, signals);
	struct signalfd_siginfo info;

	(void)events;
	if (read(watch->fd, &info, sizeof(info)) == sizeof(info))
		obey(control, (int)info.ssi_signo);
}

static int watch_signals(struct control *control)
{
	sigset_t set;

	awaited_set(&set);
	control->signals.on_ready = on_signal;
	control->signals.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (control->signals.fd < 0)
		return -errno;
	return reactor_add(&control->reactor, &control->signals, EPOLLIN);
}

/* ---- the loop ---- */

static void watch_drain(struct control *control)
{
	uint64_t now_ms = clock_ms();

	if (now_ms >= control->next_progress_ms) {
		control->next_progress_ms = now_ms + PROGRESS_MS;
		TELL(&control->service, LOG_LEVEL_NOTICE,
		     "penstock: draining, %" PRIu64 " sessions left",
		     crew_totals(&control->service.crew).sessions);
	}
	if (now_ms >= control->phase_ends_ms)
		begin_stop(control);
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* A ring that is stuck answers no ping: systemd then hears nothing, and restarts us. */
static void feed_watchdog(struct control *control, uint64_t now_ms)
{
	if (control->watchdog_ms == 0 || now_ms < control->next_watchdog_ms)
		return;
	control->next_watchdog_ms = now_ms + control->watchdog_ms;
	if (crew_has_answered(&control->service.crew))
		notify_systemd("WATCHDOG=1");
}

/* Until when there is nothing to do unless somebody says something. */
static uint64_t next_due_ms(const struct control *control, uint64_t due_ms)
{
	if (control->watchdog_ms)
		due_ms = min_u64(due_ms, control->next_watchdog_ms);
	if (control->phase == CONTROL_SERVING)
		return due_ms;
	due_ms = min_u64(due_ms, control->phase_ends_ms);
	if (control->phase == CONTROL_DRAINING)
		due_ms = min_u64(due_ms, control->next_progress_ms);
	return due_ms;
}

static void control_turn(struct control *control)
{
	uint64_t now_ms = clock_ms(), due_ms;
	int      wait_ms = -1;

	feed_watchdog(control, now_ms);
	due_ms = console_tick(&control->console, now_ms);
	if (service_free_old(&control->service))
		due_ms = min_u64(due_ms, now_ms + RETIRED_LOOK_MS);
	due_ms = next_due_ms(control, due_ms);
	if (due_ms != UINT64_MAX)
		wait_ms = due_ms > now_ms ? (int)min_u64(due_ms - now_ms, INT32_MAX) : 0;
	reactor_turn(&control->reactor, wait_ms);
	crew_reap(&control->service.crew);
	if (control->phase == CONTROL_DRAINING)
		watch_drain(control);
}

/* Until all workers have ended. False: they would not. */
static bool control_serve(struct control *control)
{
	while (control->phase == CONTROL_SERVING || control->service.crew.count > 0) {
		if (control->phase == CONTROL_STOPPING && clock_ms() >= control->phase_ends_ms)
			return false;
		control_turn(control);
	}
	return true;
}

/* ---- end ---- */

/* Ends whatever was started. True: all of it. */
static bool control_end(struct control *control)
{
	bool        stopped = control->phase == CONTROL_STOPPING;
	const char *pid_file = control->service.newest
	                               ? service_conf(&control->service)->global.pid_file
	                               : NULL;
	bool        ended = control->service.crew.count == 0;

	if (!ended)
		TELL(&control->service, LOG_LEVEL_ERROR, "penstock: workers did not end in time");
	if (control->was_started)
		log_status(control);
	if (pid_file)
		pid_file_remove(pid_file);
	console_close(&control->console);
	/* A loader that waits for a name server works on what would be freed. */
	if (!reload_close(&control->reload))
		ended = false;
	if (!ended) {
		ports_remove_files(&control->service.ports);
		return false;
	}
	service_close(&control->service, stopped ? STOP_LOGGER_MS : DRAINED_LOGGER_MS);
	close(control->signals.fd);
	reactor_fini(&control->reactor);
	return true;
}

static int control_open(struct control *control, const char *file)
{
	int result = watch_signals(control);

	if (result == 0)
		result = reload_open(&control->reload, &control->service, &control->reactor, file);
	if (result < 0)
		fprintf(stderr, "penstock: cannot wait for events: %s\n", strerror(-result));
	return result;
}

int control_run(const char *file, struct loaded *loaded)
{
	/* Not on the stack: a crew has room for many. */
	struct control *control = calloc(1, sizeof(*control));
	bool            started;

	if (!control || reactor_init(&control->reactor) < 0) {
		fprintf(stderr, "penstock: cannot begin: %s\n", strerror(errno));
		free(control);
		return 1;
	}
	control->began_ms = clock_ms();
	control->began_real_ms = clock_real_ms();
	started = service_open(&control->service, &control->reactor, loaded) &&
	          control_open(control, file) == 0 && control_start(control);
	if (!started)
		begin_stop(control);
	(void)control_serve(control);
	if (!control_end(control)) {
		/* Threads still run on what would be freed: leave them to the kernel, with a moment
		 * for the log. */
		usleep(STOP_LOGGER_MS * 1000);
		_exit(started ? 0 : 1);
	}
	free(control);
	return started ? 0 : 1;
}
