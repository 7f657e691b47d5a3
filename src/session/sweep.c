#include "session/sweep.h"

#include "base/hash.h"
#include "session/conn.h"
#include "session/secure.h"

enum {
	SWEEP_EVERY_MS = 50,
	/* A pass takes about a second, but no page longer than well under a millisecond. */
	PAGES_A_PASS = 20,
	PAGE_MIN = 64,
	PAGE_MAX = 4096,

	IDLE_MS = 1000, /* without a byte: nobody waits for an answer, most likely */
	SPREAD = 1024,
};

/* When a session has to go, and since when that is known. */
struct term {
	uint64_t begin_ms, until_ms; /* until 0 = it may stay */
};

static struct term term_of(const struct conn *c)
{
	const struct sweep          *sweep = &c->shard->sweep;
	const struct listener_state *state = c->listener->state;

	struct term own = {
		.begin_ms = atomic_load_explicit(&state->leaves_from_ms, memory_order_relaxed),
		.until_ms = atomic_load_explicit(&state->leaves_until_ms, memory_order_relaxed),
	};

	if (sweep->until_ms == 0 || (own.until_ms != 0 && own.until_ms < sweep->until_ms))
		return own;
	return (struct term){sweep->begin_ms, sweep->until_ms};
}

static bool is_idle(const struct conn *c)
{
	return c->state == CONN_RELAY && c->up.held == 0 && c->down.held == 0 &&
	       !secure_is_sending(&c->client) && !secure_is_sending(&c->upstream) &&
	       c->shard->now_ms >= c->active_ms + IDLE_MS;
}

static bool must_go(const struct conn *c)
{
	struct term term = term_of(c);
	uint64_t    half_ms, share, turn_ms;

	if (term.until_ms == 0)
		return false;
	if (c->shard->now_ms >= term.until_ms)
		return true;
	if (!is_idle(c) || term.until_ms <= term.begin_ms)
		return false;
	half_ms = (term.until_ms - term.begin_ms) / 2;
	share = hash_mix(c->id) % SPREAD;
	turn_ms = term.begin_ms + half_ms + half_ms * share / SPREAD;
	return c->shard->now_ms >= turn_ms;
}

void sweep_init(struct sweep *sweep)
{
	*sweep = (struct sweep){0};
	timer_init(&sweep->timer);
}

static void sweep_start(struct shard *shard, uint64_t until_ms)
{
	struct sweep *sweep = &shard->sweep;

	if (until_ms > sweep->last_ms)
		sweep->last_ms = until_ms;
	if (timer_is_armed(&sweep->timer))
		return;
	sweep->next = 0;
	sweep->pass_began_ms = shard->now_ms;
	wheel_set(&shard->wheel, &sweep->timer, shard->now_ms + SWEEP_EVERY_MS);
}

void sweep_all(struct shard *shard, uint64_t until_ms)
{
	shard->sweep.begin_ms = shard->now_ms;
	shard->sweep.until_ms = until_ms;
	sweep_start(shard, until_ms);
}

void sweep_leavers(struct shard *shard, uint64_t until_ms)
{
	sweep_start(shard, until_ms);
}

void sweep_page(struct shard *shard)
{
	struct sweep *sweep = &shard->sweep;
	uint32_t      slots = shard->conns.touched;
	uint32_t      page = min_u32(slots / PAGES_A_PASS + PAGE_MIN, PAGE_MAX);

	for (; page > 0 && sweep->next < slots; page--) {
		struct conn *c = slab_at(&shard->conns, sweep->next++);

		if (c && must_go(c))
			conn_stop(c, REASON_DRAINED);
	}
	if (sweep->next >= slots) {
		/* A pass that began when all was due has left nobody behind. */
		if (sweep->pass_began_ms >= sweep->last_ms)
			return;
		sweep->next = 0;
		sweep->pass_began_ms = shard->now_ms;
	}
	wheel_set(&shard->wheel, &sweep->timer, shard->now_ms + SWEEP_EVERY_MS);
}
