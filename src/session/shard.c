#include "session/shard.h"

#include "base/clock.h"
#include "base/hash.h"
#include "session/conn.h"
#include "session/listener.h"
#include "session/secure.h"

#include <errno.h>
#include <stdlib.h>

/* A round trip to the other side of the world, and then some. */
enum { HELLO_GRACE_MS = 300 };

/* Of each turn, for all that comes and goes while TLS handshakes wait: what runs must not feel a
 * storm of them. */
enum { HANDSHAKES_US = 600 };

/* Without anything quick until a worker may let bulk gather. */
enum { QUICK_MS = 10 };

static void shard_prepare(struct shard *shard, const struct shard_plan *plan)
{
	*shard = (struct shard){
		.now_ms = clock_ms(),
		.sizes = plan->sizes,
		.tenure = plan->tenure,
		.registry = plan->registry,
		.log = plan->log,
		.counters = registry_worker(plan->registry, plan->index),
		.queue = &plan->registry->queues[plan->index],
		.wake = plan->wake,
		.index = plan->index,
		.random = plan->seed,
		.next_id = plan->first_id ? plan->first_id
	                                  : ((uint64_t)plan->index << SESSION_ID_BITS) + 1,
	};
	list_init(&shard->running);
	list_init(&shard->others);
	list_init(&shard->all);
	list_init(&shard->listeners);
	list_init(&shard->pending);
	list_init(&shard->starved);
	list_init(&shard->stalled);
	list_init(&shard->handshakes);
	wheel_init(&shard->wheel, shard->now_ms);
	timer_init(&shard->accept_retry);
	sweep_init(&shard->sweep);
}

uint32_t shard_stall_size(const struct worker_sizes *sizes)
{
	return 2 * sizes->buffer_size;
}

uint32_t shard_records_size(const struct worker_sizes *sizes)
{
	return max_u32(sizes->buffer_size, HELLO_LARGE_SIZE) + SECURE_RECORDS_EXTRA;
}

/* Lazily touched: sized for the most that the limits allow, paid for as used. */
static bool shard_init_slabs(struct shard *shard)
{
	uint32_t count = shard->sizes.max_connections + SESSIONS_SLACK;

	shard->records_size = shard_records_size(&shard->sizes);
	shard->scratch = malloc(HELLO_LARGE_SIZE);
	return shard->scratch && slab_init(&shard->conns, sizeof(struct conn), count) &&
	       slab_init(&shard->names, sizeof(struct conn_name), count) &&
	       slab_init(&shard->hellos_small, HELLO_HEADROOM + HELLO_SMALL_SIZE, count) &&
	       slab_init(&shard->hellos_large, HELLO_HEADROOM + HELLO_LARGE_SIZE, count) &&
	       slab_init(&shard->secures, sizeof(struct secure), 2 * count) &&
	       slab_init(&shard->records, shard->records_size,
	                 2 * SHARD_RECORDS_PER_SIDE * count) &&
	       slab_init(&shard->stalls, shard_stall_size(&shard->sizes), 2 * count) &&
	       slab_init(&shard->big_stalls, PIPE_FILL_MAX, 2 * count);
}

uint8_t *shard_records(struct shard *shard)
{
	uint8_t *records = slab_get(&shard->records);

	CHECK(records); /* there are as many as sides and flows can hold */
	return records;
}

static void shard_fini_slabs(struct shard *shard)
{
	slab_fini(&shard->big_stalls);
	slab_fini(&shard->stalls);
	slab_fini(&shard->records);
	slab_fini(&shard->secures);
	slab_fini(&shard->hellos_large);
	slab_fini(&shard->hellos_small);
	slab_fini(&shard->names);
	slab_fini(&shard->conns);
	free(shard->scratch);
}

int shard_init(struct shard *shard, const struct shard_plan *plan, const char **step)
{
	const struct worker_sizes *sizes = &plan->sizes;
	int                        result;

	shard_prepare(shard, plan);
	*step = "io_uring_setup";
	result = ring_init(&shard->ring, sizes->ring_entries, sizes->busy_poll_us > 0);
	if (result < 0)
		return result;
	*step = "registering receive buffers";
	result = bufring_init(&shard->buffers, &shard->ring, sizes->recv_buffers,
	                      sizes->buffer_size);
	if (result < 0)
		goto no_buffers;
	*step = "making pipes";
	result = pipe_pool_init(&shard->pipes,
	                        sizes->zero_copy == CONF_ZERO_COPY_OFF ? 0 : sizes->pipe_pool,
	                        sizes->pipe_size);
	if (result < 0)
		goto no_pipes;
	*step = "reserving memory";
	if (shard_init_slabs(shard)) {
		tenure_hold(shard->tenure);
		GAUGE_SET(shard->queue->snapshot, shard->tenure->snapshot);
		return 0;
	}
	result = -ENOMEM;
	shard_fini_slabs(shard);
	pipe_pool_fini(&shard->pipes);
no_pipes:
	bufring_fini(&shard->buffers);
no_buffers:
	ring_fini(&shard->ring);
	return result;
}

void shard_fini(struct shard *shard)
{
	CHECK(list_is_empty(&shard->all) && list_is_empty(&shard->listeners));
	CHECK(shard->buffers.leased == 0);
	CHECK(slab_in_use(&shard->conns) == 0 && slab_in_use(&shard->names) == 0);
	CHECK(slab_in_use(&shard->hellos_small) == 0 && slab_in_use(&shard->hellos_large) == 0);
	CHECK(slab_in_use(&shard->stalls) == 0 && slab_in_use(&shard->big_stalls) == 0);
	CHECK(slab_in_use(&shard->secures) == 0 && slab_in_use(&shard->records) == 0);
	wheel_cancel(&shard->wheel, &shard->accept_retry);
	wheel_cancel(&shard->wheel, &shard->sweep.timer);
	CHECK(shard->wheel.armed == 0);
	shard_fini_slabs(shard);
	pipe_pool_fini(&shard->pipes);
	bufring_fini(&shard->buffers);
	ring_fini(&shard->ring);
	tenure_drop(shard->tenure);
}

void shard_renew(struct shard *shard, struct tenure *tenure)
{
	struct tenure *old = shard->tenure;

	shard->tenure = tenure;
	tenure_hold(tenure);
	tenure_drop(old);
	GAUGE_SET(shard->queue->snapshot, tenure->snapshot);
}

/* splitmix64: choices among servers, nothing secret. */
uint64_t shard_random(struct shard *shard)
{
	shard->random += 0x9e3779b97f4a7c15u;
	return hash_mix(shard->random);
}

bool shard_is_full(const struct shard *shard, uint32_t percent)
{
	uint64_t sessions = atomic_load_explicit(&shard->registry->sessions, memory_order_relaxed);

	return sessions * 100 >= (uint64_t)shard->sizes.max_connections * percent;
}

bool shard_has_many_hellos(const struct shard *shard)
{
	return atomic_load_explicit(&shard->gauges.hellos_pending, memory_order_relaxed) >=
	       shard->sizes.pending_hellos;
}

struct conn *shard_stale_hello(struct shard *shard)
{
	struct conn *oldest;

	if (!shard_has_many_hellos(shard))
		return NULL;
	oldest = container_of(shard->pending.next, struct conn, in_pending);
	return shard->now_ms - oldest->active_ms >= HELLO_GRACE_MS ? oldest : NULL;
}

void shard_stop(struct shard *shard)
{
	for (struct list *link = shard->all.next; link != &shard->all; link = link->next)
		conn_stop(container_of(link, struct conn, in_all), REASON_DRAINED);
}

void shard_take_accepted(struct shard *shard)
{
	struct accepted accepted[ACCEPT_QUEUE_SIZE];
	uint32_t        count = accept_queue_take(shard->queue, accepted);

	for (uint32_t i = 0; i < count; i++)
		listener_take(shard, &accepted[i]);
	if (count > 0)
		accept_queue_count(shard->queue, -count); /* each by itself now */
}

static void on_timer(struct timer *timer, void *context)
{
	struct shard *shard = context;
	struct conn  *c;

	if (timer == &shard->accept_retry) {
		shard->accept_is_due = true;
		return;
	}
	if (timer == &shard->sweep.timer) {
		sweep_page(shard);
		return;
	}
	c = container_of(timer, struct conn, timer);
	c->facts |= CONN_TIMER;
	conn_wake(c);
}

static void shard_review_listeners(struct shard *shard)
{
	for (struct list *link = shard->listeners.next; link != &shard->listeners;
	     link = link->next)
		listener_review(container_of(link, struct listener, in_shard));
	shard->accept_is_due = false;
}

/* Those that found no buffer get their turn as buffers are lent: as many as are. */
static void shard_feed_starved(struct shard *shard)
{
	if (list_is_empty(&shard->starved))
		return;
	bufring_lend(&shard->buffers, true);
	for (uint32_t n = shard->buffers.lending.lent; n > 0 && !list_is_empty(&shard->starved);
	     n--)
		conn_wake(container_of(list_take(&shard->starved), struct conn, in_starved));
}

static uint64_t shard_wait_ms(const struct shard *shard)
{
	if (!list_is_empty(&shard->running) || !list_is_empty(&shard->others) ||
	    !list_is_empty(&shard->handshakes) ||
	    (!list_is_empty(&shard->starved) && shard->buffers.lending.lent > 0))
		return 0;
	return wheel_next_ms(&shard->wheel, clock_ms());
}

/* busy_poll: what just moved will soon be answered, so look for that a while before sleeping. Not
 * behind a turn that nothing came in: an idle worker sleeps. */
static bool shard_spin(struct shard *shard)
{
	uint32_t us = shard->sizes.busy_poll_us;
	uint64_t wait_ms;

	if (us == 0 || !shard->was_busy)
		return false;
	wait_ms = shard_wait_ms(shard);
	if (wait_ms == 0)
		return false;
	/* Not past a timer that is due meanwhile. */
	return ring_spin(&shard->ring, wait_ms < us / 1000 ? (uint32_t)wait_ms * 1000 : us);
}

/* splice_wait: fewer, larger pieces cost the peers less, too. Not where somebody would feel the
 * wait: all that this worker serves is bulk, and none of it could have gone on at once. */
static int shard_wait(struct shard *shard)
{
	uint32_t us = shard->sizes.splice_wait_us;
	bool     gathers = us > 0 && shard->bulk_is_dry && !shard->bulk_presses &&
	               shard->now_ms - shard->quick_ms >= QUICK_MS;

	return gathers ? ring_gather(&shard->ring, shard_wait_ms(shard), us)
	               : ring_wait(&shard->ring, shard_wait_ms(shard));
}

/* At least one, whatever is left of the share. */
static void shard_serve_handshakes(struct shard *shard, uint64_t until_us)
{
	do {
		struct conn *c = container_of(list_take(&shard->handshakes), struct conn,
		                              in_handshakes);

		c->has_turn = true;
		conn_wake(c);
		conn_advance_ready(shard);
	} while (!list_is_empty(&shard->handshakes) && clock_us() < until_us);
}

/* Before the turn's end. */
static void shard_submit(struct shard *shard)
{
	bufring_lend(&shard->buffers, false);
	ring_submit(&shard->ring);
}

/* Those that come and go, behind all that runs. While handshakes wait, what runs has its output
 * sent before any of this is done: else it would wait for the end of the turn. */
static void shard_serve_others(struct shard *shard)
{
	uint64_t until_us = clock_us() + HANDSHAKES_US;
	bool     is_pressed = !list_is_empty(&shard->handshakes);

	if (is_pressed)
		shard_submit(shard);
	conn_advance_ready(shard);
	shard_feed_starved(shard);
	conn_advance_ready(shard);
	if (list_is_empty(&shard->handshakes))
		return;
	if (!is_pressed)
		shard_submit(shard);
	shard_serve_handshakes(shard, until_us);
}

bool shard_turn(struct shard *shard)
{
	if (!shard_spin(shard) && shard_wait(shard) < 0)
		return false;
	shard->now_ms = clock_ms();
	shard->was_busy = ring_reap(&shard->ring) > 0;
	shard->bulk_is_dry = false;
	shard->bulk_presses = false;
	shard_take_accepted(shard);
	wheel_expire(&shard->wheel, shard->now_ms, on_timer, shard);
	conn_advance_running(shard);
	shard_feed_starved(shard);
	conn_advance_running(shard);
	shard_serve_others(shard);
	shard_review_listeners(shard);
	bufring_lend(&shard->buffers, false);
	GAUGE_SET(shard->gauges.leases_in_use, shard->buffers.leased);
	GAUGE_SET(shard->gauges.pipes_in_use, shard->pipes.used);
	if (ring_has_overflowed(&shard->ring))
		GAUGE_ADD(shard->gauges.cq_overflow_total, 1);
	log_flush(shard->log);
	return true;
}
