#include "process/crew.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void on_replies(struct watch *watch, uint32_t events)
{
	struct crew *crew = container_of(watch, struct crew, watch);

	(void)events;
	worker_take_replies(&crew->replies);
}

int crew_open(struct crew *crew, struct reactor *reactor)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	*crew = (struct crew){
		.replies = {.wake_fd = fd},
		.watch = {.fd = fd, .on_ready = on_replies},
		.reactor = reactor,
	};
	return fd < 0 ? -errno : reactor_add(reactor, &crew->watch, EPOLLIN);
}

void crew_close(struct crew *crew)
{
	if (crew->replies.wake_fd < 0)
		return;
	reactor_remove(crew->reactor, &crew->watch);
	close(crew->replies.wake_fd);
	crew->replies.wake_fd = -1;
}

uint32_t crew_next_index(const struct crew *crew)
{
	uint32_t index = 0;

	while (index < CREW_MAX && crew->has_index[index])
		index++;
	return index;
}

bool crew_add(struct crew *crew, struct worker_plan *plan, char why[256])
{
	struct worker *worker;

	CHECK(plan->index < CREW_MAX && !crew->has_index[plan->index]);
	plan->replies = &crew->replies;
	plan->first_id = crew->next_ids[plan->index];
	worker = worker_start(plan, why);
	if (!worker)
		return false;
	/* The first of those that leave makes room among those that accept. */
	crew->workers[crew->count++] = crew->workers[crew->active];
	crew->workers[crew->active++] = worker;
	crew->has_index[plan->index] = true;
	return true;
}

void crew_dismiss(struct crew *crew, uint32_t keep)
{
	while (crew->active > keep) {
		struct worker *worker = crew->workers[--crew->active];

		worker_stop(worker);
		crew->workers[crew->active] = crew->workers[--crew->count];
		crew->has_index[worker_index(worker)] = false;
		worker_join(worker);
	}
}

void crew_shrink(struct crew *crew, uint32_t keep)
{
	for (uint32_t i = keep; i < crew->active; i++)
		worker_retire(crew->workers[i]);
	crew->active = min_u32(crew->active, keep);
}

void crew_drain(struct crew *crew, uint32_t drain_ms)
{
	for (uint32_t i = 0; i < crew->count; i++)
		worker_drain(crew->workers[i], drain_ms);
	crew->active = 0;
}

void crew_stop(struct crew *crew)
{
	for (uint32_t i = 0; i < crew->count; i++)
		worker_stop(crew->workers[i]);
	crew->active = 0;
}

static uint64_t read64(const _Atomic uint64_t *gauge)
{
	return atomic_load_explicit(gauge, memory_order_relaxed);
}

static uint32_t read32(const _Atomic uint32_t *gauge)
{
	return atomic_load_explicit(gauge, memory_order_relaxed);
}

static void add_gauges(struct crew_totals *totals, const struct worker_gauges *gauges)
{
	totals->sessions += read32(&gauges->sessions);
	totals->pipes += read32(&gauges->pipes_in_use);
	totals->leases += read32(&gauges->leases_in_use);
	totals->hellos_pending += read32(&gauges->hellos_pending);
	totals->lingering += read32(&gauges->lingering);
	totals->accepted += read64(&gauges->accepted_total);
	totals->ended += read64(&gauges->ended_total);
	totals->buffers_exhausted += read64(&gauges->buffers_exhausted_total);
	totals->pipes_exhausted += read64(&gauges->pipes_exhausted_total);
	totals->hellos_dropped += read64(&gauges->hellos_dropped_total);
}

void crew_reap(struct crew *crew)
{
	for (uint32_t i = crew->active; i < crew->count;) {
		struct worker *worker = crew->workers[i];

		if (!worker_is_done(worker)) {
			i++;
			continue;
		}
		crew->has_index[worker_index(worker)] = false;
		crew->workers[i] = crew->workers[--crew->count];
		add_gauges(&crew->departed, worker_gauges(worker));
		crew->next_ids[worker_index(worker)] = worker_next_id(worker);
		worker_join(worker);
	}
	/* The last one's answers: its end may be seen before they are, and nobody waits for them
	 * after it. */
	if (crew->count == 0)
		worker_take_replies(&crew->replies);
}

struct worker *crew_worker(const struct crew *crew, uint32_t index)
{
	struct worker *found = NULL;

	for (uint32_t i = 0; i < crew->count; i++) {
		struct worker *worker = crew->workers[i];

		if (worker_index(worker) >= index &&
		    (!found || worker_index(worker) < worker_index(found)))
			found = worker;
	}
	return found;
}

/* ---- the watchdog's question ---- */

static void run_ping(struct worker *worker, struct worker_job *job)
{
	worker_reply(worker, job);
}

/* Also of one that had ended: it is not stuck. */
static void on_pong(struct worker_job *job)
{
	struct crew *crew = job->context;

	crew->pings_left--;
}

bool crew_has_answered(struct crew *crew)
{
	if (crew->pings_left > 0)
		return false;
	crew->pings_left = crew->count;
	for (uint32_t i = 0; i < crew->count; i++) {
		struct worker_job *ping = &crew->pings[worker_index(crew->workers[i])];

		*ping = (struct worker_job){.run = run_ping, .done = on_pong, .context = crew};
		worker_call(crew->workers[i], ping);
	}
	return true;
}

struct crew_totals crew_totals(const struct crew *crew)
{
	struct crew_totals totals = crew->departed;

	for (uint32_t i = 0; i < crew->count; i++)
		add_gauges(&totals, worker_gauges(crew->workers[i]));
	return totals;
}
