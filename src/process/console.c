#include "process/console.h"

#include "base/clock.h"
#include "process/control.h"
#include "process/metrics.h"
#include "session/conn.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct control *control_of(void *context)
{
	return context;
}

/* ---- what control knows ---- */

static void hook_status(void *context, struct control_status *status)
{
	static const char *const phases[] = {
		[CONTROL_SERVING] = "serving",
		[CONTROL_DRAINING] = "draining",
		[CONTROL_STOPPING] = "stopping",
	};
	const struct control *control = control_of(context);
	const struct service *service = &control->service;
	struct crew_totals    totals = crew_totals(&service->crew);

	*status = (struct control_status){
		.phase = phases[control->phase],
		.file = control->reload.file,
		.generation = service->newest->number,
		.uptime_ms = clock_ms() - control->began_ms,
		.workers = service->sizes.workers,
		.sessions = totals.sessions,
		.max_connections = service->sizes.worker.max_connections,
		.accepted = totals.accepted,
		.ended = totals.ended,
		.pipes = totals.pipes,
		.buffers = totals.leases,
		.hellos_pending = totals.hellos_pending,
		.lingering = totals.lingering,
		.drain_left_ms = control_drain_left_ms(control),
		.drain_began_with = control->drain_began_with,
	};
}

static const struct snapshot *hook_snapshot(void *context)
{
	return control_of(context)->service.newest->snapshot;
}

static void hook_drain(void *context, uint64_t ticket)
{
	struct control *control = control_of(context);

	if (control->phase == CONTROL_SERVING)
		control_drain(control);
	commands_draining(&control->console.admin, ticket,
	                  crew_totals(&control->service.crew).sessions,
	                  control_drain_left_ms(control));
}

/* ---- reload ---- */

static void hook_reload(void *context, uint64_t ticket)
{
	struct control *control = control_of(context);
	struct console *console = &control->console;
	size_t          slot = 0;

	if (control->phase != CONTROL_SERVING) {
		commands_failed(&console->admin, ticket, "it is on the way to its end");
		return;
	}
	while (slot < COUNT(console->waiting) && console->waiting[slot].attempt)
		slot++;
	if (slot == COUNT(console->waiting)) { /* of clients that have gone, too */
		commands_failed(&console->admin, ticket, "too many wait for a reload already");
		return;
	}
	console->waiting[slot].ticket = ticket;
	/* Noted before it begins: it may be over when that returns. */
	console->waiting[slot].attempt = reload_next_attempt(&control->reload);
	reload_request(&control->reload);
}

static void on_reload_over(struct reload *reload, uint32_t attempt, bool ok,
                           const struct conf_report *report)
{
	struct control *control = container_of(reload, struct control, reload);
	struct console *console = &control->console;

	struct commands_reload outcome = {
		.is_done = ok,
		.generation = control->service.newest->number,
		.report = report,
	};

	for (size_t i = 0; i < COUNT(console->waiting); i++) {
		if (console->waiting[i].attempt != attempt)
			continue;
		console->waiting[i].attempt = 0;
		commands_reloaded(&console->admin, console->waiting[i].ticket, &outcome);
	}
}

/* ---- what a worker knows ---- */

struct page_job {
	struct worker_job    job;
	struct control      *control;
	uint64_t             ticket;
	struct roster_filter filter;
	struct roster_page   page;
};

static void run_page(struct worker *worker, struct worker_job *job)
{
	struct page_job *own = container_of(job, struct page_job, job);

	roster_fill(worker_shard(worker), &own->filter, &own->page);
	worker_reply(worker, job);
}

/* On to the next worker when this one has no more, or is no more. */
static void on_page(struct worker_job *job)
{
	struct page_job *own = container_of(job, struct page_job, job);
	struct control  *control = own->control;

	if (job->is_lost)
		own->page.count = 0;
	if (job->is_lost || own->page.is_last) {
		own->page.worker++;
		own->page.cursor = 0;
		own->page.is_last = !crew_worker(&control->service.crew, own->page.worker);
	}
	commands_page(&control->console.admin, own->ticket, &own->page);
	free(own);
}

static void hook_sessions(void *context, uint64_t ticket, const struct roster_filter *filter,
                          uint32_t index, uint64_t cursor)
{
	struct control  *control = control_of(context);
	struct worker   *worker = crew_worker(&control->service.crew, index);
	struct page_job *own = calloc(1, sizeof(*own));

	if (!own) {
		commands_failed(&control->console.admin, ticket, "no memory");
		return;
	}
	own->job.run = run_page;
	own->job.done = on_page;
	own->control = control;
	own->ticket = ticket;
	own->filter = *filter;
	if (worker) {
		own->page.worker = worker_index(worker);
		own->page.cursor = worker_index(worker) == index ? cursor : 0;
		worker_call(worker, &own->job);
		return;
	}
	own->page.is_last = true;
	commands_page(&control->console.admin, ticket, &own->page);
	free(own);
}

struct close_job {
	struct worker_job job;
	struct control   *control;
	uint64_t          ticket, id;
	bool              was_found;
};

static void run_close(struct worker *worker, struct worker_job *job)
{
	struct close_job *own = container_of(job, struct close_job, job);
	struct conn      *c = roster_find(worker_shard(worker), own->id);

	own->was_found = c != NULL;
	if (c)
		conn_stop(c, REASON_CLOSED_BY_ADMIN);
	worker_reply(worker, job);
}

static void on_close(struct worker_job *job)
{
	struct close_job *own = container_of(job, struct close_job, job);

	commands_closed(&own->control->console.admin, own->ticket, own->was_found);
	free(own);
}

static void hook_close(void *context, uint64_t ticket, uint64_t id)
{
	struct control   *control = control_of(context);
	uint32_t          index = worker_index_of_id(id);
	struct worker    *worker = crew_worker(&control->service.crew, index);
	struct close_job *own;

	if (!worker || worker_index(worker) != index) {
		commands_closed(&control->console.admin, ticket, false);
		return;
	}
	own = calloc(1, sizeof(*own));
	if (!own) {
		commands_failed(&control->console.admin, ticket, "no memory");
		return;
	}
	own->job.run = run_close;
	own->job.done = on_close;
	own->control = control;
	own->ticket = ticket;
	own->id = id;
	worker_call(worker, &own->job);
}

/* ---- pages ---- */

static bool print_metrics(const struct control *control, FILE *to)
{
	const struct service *service = &control->service;
	struct metrics_worker workers[CREW_MAX];

	struct metrics_view view = {
		.registry = service->registry,
		.snapshot = service->newest->snapshot,
		.workers = workers,
		.worker_count = service->crew.count,
		.now_ms = clock_ms(),
		.began_ms = control->began_real_ms,
		.max_connections = service->sizes.worker.max_connections,
		.generation = service->newest->number,
		.reloads_ok = control->reload.ok_total,
		.reloads_failed = control->reload.refused_total,
		.log_lines_dropped = logger_dropped(service->logger),
		.is_draining = control->phase != CONTROL_SERVING,
	};

	for (uint32_t i = 0; i < service->crew.count; i++)
		workers[i] = (struct metrics_worker){
			.index = worker_index(service->crew.workers[i]),
			.gauges = worker_gauges(service->crew.workers[i]),
		};
	return metrics_print(&view, to);
}

static struct http_page answer(void *context, struct span path, FILE *body)
{
	const struct control *control = context;
	struct http_page      page = {200, "text/plain; charset=utf-8"};

	if (span_equal(path, span_text("/metrics"))) {
		page.type = metrics_content_type;
		if (!print_metrics(control, body))
			page.status = 500;
	} else if (span_equal(path, span_text("/healthz"))) {
		fputs("ok\n", body);
	} else if (span_equal(path, span_text("/readyz"))) {
		page.status = control->phase == CONTROL_SERVING ? 200 : 503;
		fputs(page.status == 200 ? "ok\n" : "draining\n", body);
	} else {
		page.status = 404;
		fputs("/metrics /healthz /readyz\n", body);
	}
	return page;
}

/* ---- the whole ---- */

/* Answers once the loop runs: whoever hears "ok" finds every port open. */
static bool open_http(struct console *console, struct control *control)
{
	const struct conf_global *global = &service_conf(&control->service)->global;

	struct http_plan plan = {
		.at = global->metrics_listen, .answer = answer, .context = control};
	char        at[ADDR_TEXT_MAX];
	const char *step;
	int         result;

	if (plan.at.family == ADDR_NONE)
		return true;
	result = http_open(&console->http, &plan, &control->reactor, &step);
	console->has_http = result == 0;
	addr_format(&plan.at, at);
	if (result < 0)
		fprintf(stderr, "%s:%u: [global] metrics_listen = %s: %s: %s\n",
		        global->metrics_listen_pos.file, global->metrics_listen_pos.line, at, step,
		        strerror(-result));
	return console->has_http;
}

static bool open_admin(struct console *console, struct control *control)
{
	const char         *path = service_conf(&control->service)->global.admin_socket, *step = "";
	const struct privs *privs = &control->service.privs;
	int                 result;

	if (!path)
		return true;
	console->hooks = (struct control_hooks){
		.context = control,
		.log = control->service.log,
		.status = hook_status,
		.snapshot = hook_snapshot,
		.reload = hook_reload,
		.drain = hook_drain,
		.sessions = hook_sessions,
		.close = hook_close,
	};
	result = admin_open(&console->admin, &control->reactor, path,
	                    privs->wanted ? privs->uid : geteuid(), commands_start, &console->hooks,
	                    &step);
	console->has_admin = result == 0;
	if (result < 0)
		fprintf(stderr, "penstock: admin_socket %s: %s: %s\n", path, step,
		        strerror(-result));
	return console->has_admin;
}

bool console_open(struct console *console, struct control *control)
{
	control->reload.over = on_reload_over;
	return open_http(console, control) && open_admin(console, control);
}

void console_close(struct console *console)
{
	if (console->has_http)
		http_close(&console->http);
	if (console->has_admin)
		admin_close(&console->admin);
	console->has_http = console->has_admin = false;
}

uint64_t console_tick(struct console *console, uint64_t now_ms)
{
	return console->has_admin ? admin_tick(&console->admin, now_ms) : UINT64_MAX;
}
