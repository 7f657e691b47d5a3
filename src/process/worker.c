#include "process/worker.h"

#include "base/clock.h"
#include "session/listener.h"
#include "session/shard.h"

#include <errno.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

/* Why the worker comes to its end; the later ones are more urgent. */
enum ending { ENDING_NOT, ENDING_RETIRED, ENDING_DRAINED, ENDING_STOPPED };

struct worker {
	struct worker_plan     plan;
	struct shard           shard;
	struct list            spare; /* struct listener.in_shard: not in use (yet, any more) */
	pthread_t              thread;
	sem_t                  started;
	char                   why[256]; /* before started: what failed; "" = nothing */
	struct mailbox         inbox;    /* struct worker_job.mail */
	int                    wake_fd;  /* eventfd: a job is there */
	struct op              wake;
	uint64_t               wake_count;
	struct worker_job      retire, drain, stop;
	uint32_t               drain_ms;
	enum ending            ending;
	struct worker_renewal *renewal; /* whose ports are not all let go of yet */
	_Atomic bool           is_done;
};

static void worker_listen_for_jobs(struct worker *worker)
{
	ring_read(&worker->shard.ring, &worker->wake, worker->wake_fd, &worker->wake_count,
	          sizeof(worker->wake_count));
}

static void on_wake(struct op *op, int res, unsigned flags)
{
	struct worker *worker = container_of(op, struct worker, wake);

	(void)flags;
	/* What there is to do stands in worker->inbox. Not read again while the worker comes to its
	 * end. */
	if (res != -ECANCELED)
		worker_listen_for_jobs(worker);
}

static void wake_up(int fd)
{
	uint64_t one = 1;

	/* EAGAIN: the counter is full, so it is awake anyway. */
	if (write(fd, &one, sizeof(one)) < 0)
		CHECK(errno == EAGAIN || errno == EINTR);
}

/* ---- listeners ---- */

static void free_listeners(struct list *listeners)
{
	struct list *link;

	while ((link = list_take(listeners)))
		free(container_of(link, struct listener, in_shard));
}

/* Made by control: a ring's thread allocates nothing. */
static bool make_listeners(struct list *into, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct listener *listener = malloc(sizeof(*listener));

		if (!listener) {
			free_listeners(into);
			return false;
		}
		list_append(into, &listener->in_shard);
	}
	return true;
}

static void worker_listen(struct worker *worker, const struct worker_port *port, struct list *spare)
{
	struct listener *listener = container_of(list_take(spare), struct listener, in_shard);

	listener_init(listener, &worker->shard, port->listener, port->fd);
	listener_review(listener);
}

static void worker_stop_listening(struct worker *worker)
{
	struct list *all = &worker->shard.listeners;

	for (struct list *link = all->next; link != all; link = link->next)
		listener_stop(container_of(link, struct listener, in_shard));
}

/* Takes those that stopped and have nothing in flight into *spare*. True: there are none left. */
static bool worker_let_go(struct worker *worker, struct list *spare)
{
	struct list *all = &worker->shard.listeners, *next;
	bool         complete = true;

	for (struct list *link = all->next; link != all; link = next) {
		struct listener *listener = container_of(link, struct listener, in_shard);

		next = link->next;
		if (!listener->is_stopped)
			continue;
		if (listener_is_quiet(listener)) {
			listener_fini(listener);
			list_append(spare, &listener->in_shard);
		} else {
			complete = false;
		}
	}
	return complete;
}

static void worker_pin(const struct worker *worker)
{
	cpu_set_t cpus;
	char      name[16];

	snprintf(name, sizeof(name), "worker-%u", worker->plan.index);
	(void)pthread_setname_np(pthread_self(), name);
	if (worker->plan.cpu < 0)
		return;
	CPU_ZERO(&cpus);
	CPU_SET((size_t)worker->plan.cpu, &cpus);
	if (pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus) != 0)
		log_line(worker->plan.log, LOG_LEVEL_WARN, "worker %u: cannot be pinned to CPU %d",
		         worker->plan.index, worker->plan.cpu);
}

static bool worker_open(struct worker *worker)
{
	const struct worker_plan *plan = &worker->plan;

	struct shard_plan shard_plan = {
		.index = plan->index,
		.first_id = plan->first_id,
		.sizes = plan->sizes,
		.tenure = plan->tenure,
		.registry = plan->registry,
		.log = plan->log,
		.wake = wake_up,
	};
	const char *step;
	int         result;

	if (getrandom(&shard_plan.seed, sizeof(shard_plan.seed), 0) != sizeof(shard_plan.seed))
		shard_plan.seed = clock_us();
	result = shard_init(&worker->shard, &shard_plan, &step);
	if (result < 0) {
		snprintf(worker->why, sizeof(worker->why), "worker %u: %s: %s", plan->index, step,
		         strerrordesc_np(-result));
		return false;
	}
	for (size_t i = 0; i < plan->port_count; i++)
		worker_listen(worker, &plan->ports[i], &worker->spare);
	op_init(&worker->wake, on_wake);
	worker_listen_for_jobs(worker);
	return true;
}

/* The accepts are with the kernel before anyone hears "ready". */
static bool worker_submit_first(struct worker *worker)
{
	int result = ring_wait(&worker->shard.ring, 0);

	if (result == 0)
		return true;
	snprintf(worker->why, sizeof(worker->why), "worker %u: io_uring_enter: %s",
	         worker->plan.index, strerrordesc_np(-result));
	shard_fini(&worker->shard);
	return false;
}

/* Others may give it what they accept as long as it listens to the same addresses itself: one that
 * is still being made for a configuration, or is left without a port, does not. What was given up to
 * then came to an address that it knows. */
static void worker_invite(struct worker *worker, bool listens)
{
	if (listens) {
		accept_queue_open(worker->shard.queue, worker->wake_fd);
	} else {
		accept_queue_close(worker->shard.queue);
		shard_take_accepted(&worker->shard);
	}
}

static void worker_run_jobs(struct worker *worker)
{
	struct mail *mail = mailbox_take(&worker->inbox), *next;

	for (; mail; mail = next) {
		struct worker_job *job = container_of(mail, struct worker_job, mail);

		next = mail->next;
		job->run(worker, job);
	}
}

/* Told to end, and nothing of its sessions or listeners is left. */
static bool worker_is_empty(struct worker *worker)
{
	return worker->ending != ENDING_NOT && list_is_empty(&worker->shard.all) &&
	       worker_let_go(worker, &worker->spare) && !worker->renewal;
}

static bool worker_must_stop(const struct worker *worker)
{
	const struct shard *shard = &worker->shard;

	return worker->ending == ENDING_STOPPED ||
	       (shard->sweep.until_ms != 0 && shard->now_ms >= shard->sweep.until_ms);
}

static void worker_turn(struct worker *worker)
{
	CHECK(shard_turn(&worker->shard));
	worker_run_jobs(worker);
	if (worker->renewal && worker_let_go(worker, &worker->renewal->spare)) {
		worker_reply(worker, &worker->renewal->job);
		worker->renewal = NULL;
	}
	if (worker_must_stop(worker))
		shard_stop(&worker->shard); /* also what was accepted since the last turn */
}

static void *worker_main(void *argument)
{
	struct worker *worker = argument;
	bool           open;

	worker_pin(worker);
	open = worker_open(worker) && worker_submit_first(worker);
	if (open)
		worker_invite(worker, worker->plan.port_count > 0);
	sem_post(&worker->started);
	if (!open)
		return NULL;
	while (!worker_is_empty(worker))
		worker_turn(worker);
	ring_cancel(&worker->shard.ring, &worker->wake);
	while (worker->wake.busy)
		CHECK(shard_turn(&worker->shard));
	shard_fini(&worker->shard);
	log_flush(worker->plan.log);
	atomic_store_explicit(&worker->is_done, true, memory_order_release);
	wake_up(worker->plan.replies->wake_fd);
	return NULL;
}

static void worker_free(struct worker *worker)
{
	if (worker->wake_fd >= 0)
		close(worker->wake_fd);
	sem_destroy(&worker->started);
	free_listeners(&worker->spare);
	free(worker);
}

struct worker *worker_start(const struct worker_plan *plan, char why[256])
{
	struct worker *worker = aligned_alloc(64, (sizeof(*worker) + 63) / 64 * 64);

	snprintf(why, 256, "worker %u: no memory", plan->index);
	if (!worker)
		return NULL;
	memset(worker, 0, sizeof(*worker));
	sem_init(&worker->started, 0, 0);
	worker->plan = *plan;
	list_init(&worker->spare);
	worker->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!make_listeners(&worker->spare, plan->port_count) || worker->wake_fd < 0)
		goto failed;
	if (pthread_create(&worker->thread, NULL, worker_main, worker) != 0) {
		snprintf(why, 256, "worker %u: cannot start a thread", plan->index);
		goto failed;
	}
	while (sem_wait(&worker->started) < 0)
		continue; /* EINTR */
	if (worker->why[0] == '\0')
		return worker;
	snprintf(why, 256, "%s", worker->why);
	pthread_join(worker->thread, NULL);
failed:
	worker_free(worker);
	return NULL;
}

/* ---- jobs ---- */

void worker_call(struct worker *worker, struct worker_job *job)
{
	job->is_lost = false;
	if (mailbox_post(&worker->inbox, &job->mail))
		wake_up(worker->wake_fd);
}

void worker_reply(struct worker *worker, struct worker_job *job)
{
	if (mailbox_post(&worker->plan.replies->box, &job->mail))
		wake_up(worker->plan.replies->wake_fd);
}

struct shard *worker_shard(struct worker *worker)
{
	return &worker->shard;
}

static void finish_jobs(struct mailbox *box, bool are_lost)
{
	struct mail *mail = mailbox_take(box), *next;

	for (; mail; mail = next) {
		struct worker_job *job = container_of(mail, struct worker_job, mail);

		next = mail->next;
		job->is_lost = are_lost;
		if (job->done)
			job->done(job);
	}
}

void worker_take_replies(struct worker_replies *replies)
{
	uint64_t count;

	/* Cleared first: what comes after wakes again. EAGAIN: woken by hand. */
	if (read(replies->wake_fd, &count, sizeof(count)) < 0)
		CHECK(errno == EAGAIN || errno == EINTR);
	finish_jobs(&replies->box, false);
}

static const struct worker_port *find_port(const struct worker_renewal *renewal, int fd)
{
	for (size_t i = 0; i < renewal->port_count; i++)
		if (renewal->ports[i].fd == fd)
			return &renewal->ports[i];
	return NULL;
}

static bool is_served(const struct shard *shard, int fd)
{
	for (struct list *link = shard->listeners.next; link != &shard->listeners;
	     link = link->next) {
		const struct listener *listener = container_of(link, struct listener, in_shard);

		if (listener->fd == fd && !listener->is_stopped)
			return true;
	}
	return false;
}

static void run_renewal(struct worker *worker, struct worker_job *job)
{
	struct worker_renewal *renewal = container_of(job, struct worker_renewal, job);
	struct shard          *shard = &worker->shard;

	shard_take_accepted(shard); /* to addresses that may be gone afterwards */
	shard_renew(shard, renewal->tenure);
	for (struct list *link = shard->listeners.next; link != &shard->listeners;
	     link = link->next) {
		struct listener          *listener = container_of(link, struct listener, in_shard);
		const struct worker_port *port = find_port(renewal, listener->fd);

		if (port)
			listener_renew(listener, port->listener);
		else
			listener_stop(listener);
	}
	for (size_t i = 0; worker->ending == ENDING_NOT && i < renewal->port_count; i++)
		if (!is_served(shard, renewal->ports[i].fd))
			worker_listen(worker, &renewal->ports[i], &renewal->spare);
	worker_invite(worker, worker->ending == ENDING_NOT && renewal->port_count > 0);
	if (renewal->leavers_until_ms)
		sweep_leavers(shard, renewal->leavers_until_ms);
	worker->renewal = renewal;
}

bool worker_renewal_init(struct worker_renewal *renewal, size_t port_count)
{
	list_init(&renewal->spare);
	return make_listeners(&renewal->spare, port_count);
}

void worker_renewal_fini(struct worker_renewal *renewal)
{
	free_listeners(&renewal->spare);
}

void worker_renew(struct worker *worker, struct worker_renewal *renewal)
{
	renewal->job.run = run_renewal;
	worker_call(worker, &renewal->job);
}

/* ---- the end ---- */

static void worker_end(struct worker *worker, enum ending ending)
{
	if (ending > worker->ending)
		worker->ending = ending;
	worker_invite(worker, false);
	worker_stop_listening(worker);
}

static void run_retire(struct worker *worker, struct worker_job *job)
{
	(void)job;
	worker_end(worker, ENDING_RETIRED);
}

static void run_drain(struct worker *worker, struct worker_job *job)
{
	(void)job;
	worker_end(worker, ENDING_DRAINED);
	sweep_all(&worker->shard, clock_ms() + worker->drain_ms);
}

static void run_stop(struct worker *worker, struct worker_job *job)
{
	(void)job;
	worker_end(worker, ENDING_STOPPED);
}

void worker_retire(struct worker *worker)
{
	worker->retire.run = run_retire;
	worker_call(worker, &worker->retire);
}

void worker_drain(struct worker *worker, uint32_t drain_ms)
{
	worker->drain.run = run_drain;
	worker->drain_ms = drain_ms;
	worker_call(worker, &worker->drain);
}

void worker_stop(struct worker *worker)
{
	worker->stop.run = run_stop;
	worker_call(worker, &worker->stop);
}

bool worker_is_done(const struct worker *worker)
{
	return atomic_load_explicit(&worker->is_done, memory_order_acquire);
}

void worker_join(struct worker *worker)
{
	pthread_join(worker->thread, NULL);
	finish_jobs(&worker->inbox, true);
	worker_free(worker);
}

const struct worker_gauges *worker_gauges(const struct worker *worker)
{
	return &worker->shard.gauges;
}

uint32_t worker_index_of_id(uint64_t id)
{
	return (uint32_t)(id >> SESSION_ID_BITS);
}

uint64_t worker_next_id(const struct worker *worker)
{
	return worker->shard.next_id;
}

uint32_t worker_index(const struct worker *worker)
{
	return worker->plan.index;
}
