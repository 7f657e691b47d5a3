#include "session/listener.h"

#include "session/conn.h"

#include <errno.h>
#include <string.h>

enum { RETRY_MS = 50, PAUSE_LOG_MS = 10000 };

static bool is_full(const struct shard *shard, uint32_t percent)
{
	uint64_t sessions = atomic_load_explicit(&shard->registry->sessions, memory_order_relaxed);

	return sessions * 100 >= (uint64_t)shard->sizes.max_connections * percent;
}

/* A multishot accept may take all of the backlog before we hear of the first: near the limit
 * connections are taken one at a time, so that the backlog holds what cannot be served. */
static bool is_nearly_full(const struct listener *listener)
{
	const struct shard *shard = listener->shard;
	uint64_t sessions = atomic_load_explicit(&shard->registry->sessions, memory_order_relaxed);

	return sessions + listener->site->conf->backlog >= shard->sizes.max_connections;
}

/* Sessions or hellos have to end before there is use in another connection. *percent* of
 * max_connections: a pause ends lower than it begins. */
static bool must_wait(struct shard *shard, uint32_t percent)
{
	return is_full(shard, percent) ||
	       (shard_has_many_hellos(shard) && !shard_stale_hello(shard));
}

/* *for_a_while*: nothing tells when it may go on, so only the timer ends it. */
static void listener_pause(struct listener *listener, const char *why, bool for_a_while)
{
	struct shard *shard = listener->shard;
	uint32_t      held_back;

	listener->is_paused = true;
	listener->waits_for_timer = for_a_while;
	GAUGE_ADD(shard->gauges.accept_pauses_total, 1);
	if (listener->accept.busy)
		ring_cancel(&shard->ring, &listener->accept);
	if (!timer_is_armed(&shard->accept_retry))
		wheel_set(&shard->wheel, &shard->accept_retry, shard->now_ms + RETRY_MS);
	if (log_limiter_pass(&shard->shortage, shard->now_ms, PAUSE_LOG_MS, &held_back))
		log_line(shard->log, LOG_LEVEL_WARN,
		         "listener %s: accepting pauses: %s (%u more since the last such line)",
		         listener->site->conf->name, why, held_back);
}

/* Only begins the connection; whether another may come is judged when this one has taken its first
 * step. */
static void on_accept(struct op *op, int res, unsigned flags)
{
	struct listener *listener = container_of(op, struct listener, accept);

	(void)flags;
	if (res < 0) {
		listener->error = res;
		return;
	}
	GAUGE_ADD(listener->shard->gauges.accepted_total, 1);
	if (!conn_begin(listener, res))
		listener->error = -ENOMEM;
}

void listener_init(struct listener *listener, struct shard *shard, uint32_t site, int fd)
{
	*listener = (struct listener){
		.shard = shard,
		.tenure = shard->tenure,
		.site = &shard->tenure->snapshot->listeners[site],
		.fd = fd,
	};
	tenure_hold(listener->tenure);
	op_init(&listener->accept, on_accept);
	list_append(&shard->listeners, &listener->in_shard);
}

void listener_renew(struct listener *listener, uint32_t site)
{
	struct tenure *old = listener->tenure;

	listener->tenure = listener->shard->tenure;
	listener->site = &listener->tenure->snapshot->listeners[site];
	tenure_hold(listener->tenure);
	tenure_drop(old);
}

void listener_fini(struct listener *listener)
{
	CHECK(listener_is_quiet(listener));
	list_remove(&listener->in_shard);
	tenure_drop(listener->tenure);
}

static void listener_accept(struct listener *listener)
{
	struct ring *ring = &listener->shard->ring;

	listener->is_paused = false;
	listener->takes_many = !is_nearly_full(listener);
	if (listener->takes_many)
		ring_accept(ring, &listener->accept, listener->fd);
	else
		ring_accept_one(ring, &listener->accept, listener->fd);
}

/* An error that says nothing about the next connection. */
static bool is_passing(int error)
{
	return error == 0 || error == -ECANCELED || error == -ECONNABORTED || error == -EINTR ||
	       error == -EAGAIN;
}

static void listener_judge(struct listener *listener)
{
	struct shard *shard = listener->shard;

	if (listener->error == -EINVAL) /* control has shut the socket down: we shall hear why */
		listener->is_stopped = true;
	else if (!is_passing(listener->error))
		listener_pause(listener, strerrordesc_np(-listener->error), true);
	else if (is_full(shard, 100))
		listener_pause(listener, "max_connections reached", false);
	else if (must_wait(shard, 100))
		listener_pause(listener, "too many hellos to wait for", false);
	else if (!listener->accept.busy)
		listener_accept(listener);
	else if (listener->takes_many && is_nearly_full(listener)) {
		listener->takes_many = false;
		ring_cancel(&shard->ring, &listener->accept); /* then goes on one at a time */
	}
	listener->error = 0;
}

static void listener_resume(struct listener *listener)
{
	struct shard *shard = listener->shard;

	if (shard->accept_is_due)
		listener->waits_for_timer = false;
	if (!listener->accept.busy && !listener->waits_for_timer && !must_wait(shard, 95))
		listener_accept(listener);
	else if (!timer_is_armed(&shard->accept_retry))
		wheel_set(&shard->wheel, &shard->accept_retry, shard->now_ms + RETRY_MS);
}

void listener_review(struct listener *listener)
{
	if (listener->is_stopped)
		return;
	if (listener->is_paused)
		listener_resume(listener);
	else
		listener_judge(listener);
}

void listener_stop(struct listener *listener)
{
	listener->is_stopped = true;
	if (listener->accept.busy)
		ring_cancel(&listener->shard->ring, &listener->accept);
}

bool listener_is_quiet(const struct listener *listener)
{
	return !listener->accept.busy;
}
