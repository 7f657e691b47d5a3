#include "session/listener.h"

#include "io/sock.h"
#include "session/conn.h"

#include <errno.h>
#include <string.h>

enum {
	RETRY_MS = 50,
	PAUSE_LOG_MS = 10000,
	OTHERS_MAX = 3, /* workers that are looked at for each connection */
};

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
	return shard_is_full(shard, percent) ||
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

static void listener_begin(struct listener *listener, int fd)
{
	GAUGE_ADD(listener->shard->gauges.accepted_total, 1);
	if (!conn_begin(listener, fd))
		listener->error = -ENOMEM;
}

/* Of all other workers, or of some by chance, the one with the fewest connections, if it has so few
 * that it should have the next; else NULL. */
static struct accept_queue *find_emptier(const struct listener *listener)
{
	struct shard *shard = listener->shard;
	uint32_t      count = GAUGE_GET(shard->registry->worker_count), others = count - 1;
	uint32_t      first = others > OTHERS_MAX ? (uint32_t)(shard_random(shard) % others) : 0;
	uint32_t      own = GAUGE_GET(shard->queue->load), least = UINT32_MAX;
	struct accept_queue *found = NULL;

	for (uint32_t i = 0; i < min_u32(others, OTHERS_MAX); i++) {
		uint32_t             index = (shard->index + 1 + (first + i) % others) % count;
		struct accept_queue *queue = &shard->registry->queues[index];
		uint32_t             load = GAUGE_GET(queue->load);

		if (load < least && GAUGE_GET(queue->is_open) &&
		    GAUGE_GET(queue->snapshot) == listener->tenure->snapshot) {
			least = load;
			found = queue;
		}
	}
	return found && accept_queue_prefers(own, least) ? found : NULL;
}

static bool listener_hand_over(const struct listener *listener, int fd)
{
	struct shard        *shard = listener->shard;
	struct accept_queue *queue = shard->wake ? find_emptier(listener) : NULL;
	struct accepted      accepted = {.fd = fd, .listener = listener->site->state};

	if (!queue || !accept_queue_give(queue, accepted, shard->wake))
		return false;
	GAUGE_ADD(shard->gauges.handed_over_total, 1);
	return true;
}

void listener_take(struct shard *shard, const struct accepted *accepted)
{
	for (struct list *link = shard->listeners.next; link != &shard->listeners;
	     link = link->next) {
		struct listener *listener = container_of(link, struct listener, in_shard);

		if (listener->site->state == accepted->listener) {
			listener_begin(listener, accepted->fd);
			return;
		}
	}
	sock_close(accepted->fd);
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
	if (!listener_hand_over(listener, res))
		listener_begin(listener, res);
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
	else if (shard_is_full(shard, 100))
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
