#include "process/service.h"

#include "base/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Ports of the logger. */
enum { LOG_PORT_CONTROL, LOG_PORT_WORKERS };

enum {
	/* The kernel lets go of a killed ring's sockets within a second, mostly. */
	BUSY_PORTS_MS = 2000,
};

/* What one worker is told of a change. */
struct service_renewal {
	struct worker_renewal renewal;
	struct service       *service;
};

const struct conf *service_conf(const struct service *service)
{
	return service->newest->snapshot->conf;
}

/* ---- generations ---- */

/* Its sessions have written their last lines. */
static void forget(struct service *service, struct generation *generation)
{
	const struct snapshot *snapshot = generation->snapshot;

	if (service->logger)
		logger_retire(service->logger, snapshot->log_numbers, snapshot->conf->log_count);
	generation_free(generation);
}

bool service_free_old(struct service *service)
{
	struct list *next;

	if (!service->newest)
		return false;
	for (struct list *link = service->generations.next; link != &service->newest->in_all;
	     link = next) {
		struct generation *old = container_of(link, struct generation, in_all);

		next = link->next;
		if (generation_is_over(old))
			forget(service, old);
	}
	return service->generations.next != &service->newest->in_all;
}

/* ---- start ---- */

bool service_open(struct service *service, struct reactor *reactor, struct loaded *loaded)
{
	int result;

	*service = (struct service){
		.registry = loaded->registry,
		.sizes = loaded->sizes,
		.newest = generation_new(loaded->snapshot, 1),
		.next_number = 2,
	};
	list_init(&service->generations);
	ports_init(&service->ports);
	result = crew_open(&service->crew, reactor);
	if (!service->newest)
		result = -ENOMEM;
	if (service->newest) {
		loaded->snapshot = NULL;
		list_append(&service->generations, &service->newest->in_all);
	}
	if (result < 0)
		fprintf(stderr, "penstock: cannot begin: %s\n", strerror(-result));
	return result == 0;
}

static bool open_ports(struct service *service)
{
	struct conf_report *report = conf_report_new();
	struct ports_change change;

	struct ports_plan plan = {
		.conf = service_conf(service),
		.workers = service->sizes.workers,
		.patience_ms = BUSY_PORTS_MS,
	};
	bool ok;

	if (!report) {
		fputs("penstock: no memory\n", stderr);
		return false;
	}
	ok = privs_resolve(&service->privs, plan.conf, report) &&
	     ports_change(&service->ports, &plan, report, &change);
	if (ok)
		ports_commit(&service->ports, &change);
	else
		conf_report_print(report, stderr);
	conf_report_free(report);
	return ok;
}

static bool start_logger(struct service *service)
{
	struct snapshot *snapshot = service->newest->snapshot;

	struct logger_plan plan = {
		.error_log = snapshot->conf->global.error_log,
		.level = (enum log_level)snapshot->conf->global.error_level,
		.port_max = LOG_PORT_WORKERS + CREW_MAX,
		.owner = &service->privs,
	};
	char             why[256] = "no memory";
	struct log_port *log = NULL;

	service->logger = logger_start(&plan, why);
	if (service->logger)
		log = logger_port(service->logger, LOG_PORT_CONTROL);
	if (!log || !logger_prepare(service->logger, snapshot->conf, snapshot->log_numbers, why)) {
		fprintf(stderr, "penstock: %s\n", why);
		return false;
	}
	snapshot_number_logs(snapshot);
	logger_commit(service->logger);
	service->log = log;
	return true;
}

/* Adds the worker at *position* of those that accept. */
static bool add_worker(struct service *service, const struct sizes *sizes,
                       struct generation *generation, uint32_t position,
                       const struct worker_port *ports, size_t port_count, char why[256])
{
	uint32_t index = crew_next_index(&service->crew);

	struct worker_plan plan = {
		.index = index,
		.cpu = sizes->cpus[position],
		.registry = service->registry,
		.ports = ports,
		.port_count = port_count,
		.sizes = sizes->worker,
	};

	snprintf(why, 256, "no memory for another worker");
	if (index == CREW_MAX) {
		snprintf(why, 256, "too many workers are still waiting for their last session");
		return false;
	}
	plan.log = logger_port(service->logger, LOG_PORT_WORKERS + index);
	plan.tenure = plan.log ? generation_add_tenure(generation) : NULL;
	if (!plan.tenure)
		return false;
	if (crew_add(&service->crew, &plan, why))
		return true;
	generation_drop_tenure(generation);
	return false;
}

static bool start_workers(struct service *service)
{
	char why[256];

	for (uint32_t i = 0; i < service->sizes.workers; i++) {
		size_t                    count;
		const struct worker_port *ports = ports_of(&service->ports, i, &count);

		if (!add_worker(service, &service->sizes, service->newest, i, ports, count, why)) {
			fprintf(stderr, "penstock: %s\n", why);
			return false;
		}
	}
	return true;
}

bool service_start(struct service *service)
{
	/* The ports first: where they are taken, no log file is made and nobody else's pid file
	 * touched. */
	return open_ports(service) && privs_prepare(&service->privs) == 0 &&
	       start_logger(service) && start_workers(service);
}

/* ---- change ---- */

bool service_is_changing(const struct service *service)
{
	return service->renewals_left > 0;
}

static void finish_change(struct service *service)
{
	free(service->renewals);
	service->renewals = NULL;
	ports_close_dropped(&service->ports);
	service->renewed(service);
}

static void on_renewed(struct worker_job *job)
{
	struct worker_renewal  *renewal = container_of(job, struct worker_renewal, job);
	struct service_renewal *own = container_of(renewal, struct service_renewal, renewal);

	if (job->is_lost) /* its worker had ended: nobody holds that tenure */
		tenure_give_up(renewal->tenure);
	worker_renewal_fini(renewal);
	if (--own->service->renewals_left == 0)
		finish_change(own->service);
}

static bool is_named(const struct conf *conf, const char *name)
{
	for (size_t i = 0; i < conf->listener_count; i++)
		if (strcmp(conf->listeners[i]->name, name) == 0)
			return true;
	return false;
}

/* Listeners that are gone give their sessions drain_timeout, those that are (back) here have no
 * end. Returns when the last of the former ends; 0 = none is gone. */
static uint64_t set_terms(const struct snapshot *old, const struct snapshot *next)
{
	uint64_t now_ms = clock_ms(), until_ms = now_ms + next->conf->global.drain_timeout_ms;
	bool     any = false;

	for (size_t i = 0; i < next->conf->listener_count; i++)
		atomic_store_explicit(&next->listeners[i].state->leaves_until_ms, 0,
		                      memory_order_relaxed);
	for (size_t i = 0; i < old->conf->listener_count; i++) {
		struct listener_state *state = old->listeners[i].state;

		if (is_named(next->conf, old->conf->listeners[i]->name))
			continue;
		atomic_store_explicit(&state->leaves_from_ms, now_ms, memory_order_relaxed);
		atomic_store_explicit(&state->leaves_until_ms, until_ms, memory_order_relaxed);
		any = true;
	}
	return any ? until_ms : 0;
}

/* A change that is not committed yet: all that has to be there before it can no longer fail. */
struct preparation {
	struct loaded      *loaded;
	struct ports_change ports;
	struct generation  *next;
	char                why[256];
	bool                has_ports, has_logs;
};

/* For every worker, those on their way out too: they are to let go of the old snapshot as soon as
 * their sessions do. */
static bool prepare_renewals(struct service *service, struct preparation *prepared)
{
	uint32_t count = service->crew.count;

	service->renewals = calloc(count, sizeof(*service->renewals));
	if (!service->renewals)
		return false;
	for (uint32_t i = 0; i < count; i++)
		list_init(&service->renewals[i].renewal.spare);
	for (uint32_t i = 0; i < count; i++) {
		struct worker_renewal *renewal = &service->renewals[i].renewal;

		service->renewals[i].service = service;
		renewal->job.done = on_renewed;
		if (i < prepared->loaded->sizes.workers)
			renewal->ports = ports_of(&prepared->ports.next, i, &renewal->port_count);
		renewal->tenure = generation_add_tenure(prepared->next);
		if (!renewal->tenure || !worker_renewal_init(renewal, renewal->port_count))
			return false;
	}
	return true;
}

static void drop_renewals(struct service *service)
{
	for (uint32_t i = 0; service->renewals && i < service->crew.count; i++)
		worker_renewal_fini(&service->renewals[i].renewal);
	free(service->renewals);
	service->renewals = NULL;
}

/* More workers, which accept nothing yet. */
static bool add_workers(struct service *service, struct preparation *prepared)
{
	const struct sizes *sizes = &prepared->loaded->sizes;

	for (uint32_t i = service->crew.active; i < sizes->workers; i++)
		if (!add_worker(service, sizes, prepared->next, i, NULL, 0, prepared->why))
			return false;
	return true;
}

static bool prepare(struct service *service, struct preparation *prepared)
{
	struct loaded   *loaded = prepared->loaded;
	struct snapshot *snapshot = loaded->snapshot;

	struct ports_plan plan = {.conf = snapshot->conf, .workers = loaded->sizes.workers};

	if (service->crew.active == 0) { /* asked for before it was told to end */
		conf_error(loaded->report, (struct conf_pos){snapshot->conf->path, 0},
		           "it drains or stops");
		return false;
	}
	prepared->has_ports = ports_change(&service->ports, &plan, loaded->report,
	                                   &prepared->ports);
	if (!prepared->has_ports)
		return false;
	prepared->has_logs = logger_prepare(service->logger, snapshot->conf, snapshot->log_numbers,
	                                    prepared->why);
	if (!prepared->has_logs)
		return false;
	snprintf(prepared->why, sizeof(prepared->why), "no memory for another configuration");
	prepared->next = generation_new(snapshot, service->next_number);
	return prepared->next && add_workers(service, prepared) &&
	       prepare_renewals(service, prepared);
}

static void undo(struct service *service, struct preparation *prepared, uint32_t workers_before)
{
	struct loaded   *loaded = prepared->loaded;
	struct snapshot *snapshot = loaded->snapshot;

	/* The ports have told the report themselves. */
	if (prepared->has_ports)
		conf_error(loaded->report, (struct conf_pos){snapshot->conf->path, 0}, "%s",
		           prepared->why);
	drop_renewals(service);
	crew_dismiss(&service->crew, workers_before);
	if (prepared->has_logs)
		logger_abandon(service->logger, snapshot->log_numbers, snapshot->conf->log_count);
	if (prepared->has_ports)
		ports_abandon(&prepared->ports);
	if (!prepared->next)
		return;
	loaded->snapshot = NULL;
	generation_free(prepared->next);
}

static void commit(struct service *service, struct preparation *prepared)
{
	struct loaded     *loaded = prepared->loaded;
	struct generation *next = prepared->next;
	uint64_t           leavers_until_ms = set_terms(service->newest->snapshot, next->snapshot);

	loaded->snapshot = NULL;
	snapshot_number_logs(next->snapshot);
	logger_commit(service->logger);
	ports_commit(&service->ports, &prepared->ports);
	list_append(&service->generations, &next->in_all);
	service->newest = next;
	service->next_number++;
	service->sizes = loaded->sizes;
	service->renewals_left = service->crew.count;
	for (uint32_t i = 0; i < service->crew.count; i++) {
		struct worker_renewal *renewal = &service->renewals[i].renewal;

		renewal->leavers_until_ms = leavers_until_ms;
		worker_renew(service->crew.workers[i], renewal);
	}
	crew_shrink(&service->crew, service->sizes.workers);
}

bool service_change(struct service *service, struct loaded *loaded)
{
	struct preparation prepared = {.loaded = loaded};
	uint32_t           workers_before = service->crew.active;

	CHECK(!service_is_changing(service));
	if (!prepare(service, &prepared)) {
		undo(service, &prepared, workers_before);
		return false;
	}
	commit(service, &prepared);
	return true;
}

/* ---- the end ---- */

void service_close(struct service *service, unsigned log_ms)
{
	struct list *link;

	CHECK(service->crew.count == 0);
	ports_close(&service->ports);
	if (service->logger)
		logger_stop(service->logger, log_ms);
	service->logger = NULL;
	while ((link = list_take(&service->generations)))
		generation_free(container_of(link, struct generation, in_all));
	crew_close(&service->crew);
}
