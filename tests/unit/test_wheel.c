#include "policy/wheel.h"

#include "test.h"

#include <stdlib.h>
#include <string.h>

enum { TIMERS = 300 };

/* What the wheel is held against: a plain array of expiry times. */
struct model {
	struct wheel  wheel;
	struct timer  timers[TIMERS];
	bool          armed[TIMERS];
	uint64_t      now_ms, fired;
	uint64_t      early, late, unarmed; /* broken promises */
	uint64_t      late_limit_ms;
	uint64_t      last_tick, disordered;
	struct timer *rearm; /* fired() sets this one again ... */
	uint64_t      rearm_ms;
	struct timer *cancel; /* ... and cancels this one */
};

static struct model model;

static uint64_t random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void fired(struct timer *timer, void *context)
{
	struct model *m = context;
	size_t        index = (size_t)(timer - m->timers);

	m->fired++;
	m->unarmed += !m->armed[index] || timer_is_armed(timer);
	m->early += timer->expires_ms > m->now_ms;
	m->late += timer->expires_ms + m->late_limit_ms <= m->now_ms;
	m->disordered += (timer->expires_ms + WHEEL_TICK_MS - 1) / WHEEL_TICK_MS < m->last_tick;
	m->last_tick = (timer->expires_ms + WHEEL_TICK_MS - 1) / WHEEL_TICK_MS;
	m->armed[index] = false;
	if (m->rearm == timer) {
		wheel_set(&m->wheel, timer, m->rearm_ms);
		m->armed[index] = true;
	}
	if (m->cancel) {
		wheel_cancel(&m->wheel, m->cancel);
		m->armed[m->cancel - m->timers] = false;
	}
}

static struct model *start(uint64_t now_ms)
{
	memset(&model, 0, sizeof(model));
	model.now_ms = now_ms;
	model.late_limit_ms = WHEEL_TICK_MS;
	wheel_init(&model.wheel, now_ms);
	for (size_t i = 0; i < TIMERS; i++)
		timer_init(&model.timers[i]);
	return &model;
}

static void set(struct model *m, size_t index, uint64_t expires_ms)
{
	wheel_set(&m->wheel, &m->timers[index], expires_ms);
	m->armed[index] = true;
}

static void cancel(struct model *m, size_t index)
{
	wheel_cancel(&m->wheel, &m->timers[index]);
	m->armed[index] = false;
}

static void expire(struct model *m, uint64_t now_ms)
{
	m->now_ms = now_ms;
	wheel_expire(&m->wheel, now_ms, fired, m);
}

static uint32_t count_armed(const struct model *m)
{
	uint32_t count = 0;

	for (size_t i = 0; i < TIMERS; i++)
		count += m->armed[i];
	return count;
}

/* A timer that is due and still armed after wheel_expire was forgotten. */
static uint64_t count_forgotten(const struct model *m)
{
	uint64_t count = 0;

	for (size_t i = 0; i < TIMERS; i++)
		count += m->armed[i] && m->timers[i].expires_ms + WHEEL_TICK_MS <= m->now_ms;
	return count;
}

static uint64_t random_delay(uint64_t *seed)
{
	static const uint64_t reach[] = {0, 7, 500, 600, 40000, 3000000, 200000000, 3000000000};

	return random_next(seed) % (reach[random_next(seed) % COUNT(reach)] + 1);
}

/* One seed: random sets, moves, cancels; the clock goes by random steps, sometimes to where the
 * wheel says. */
static void run_seed(uint64_t seed, uint64_t start_ms)
{
	struct model *m = start(start_ms);
	uint64_t      forgotten = 0, miscounted = 0, woken_late = 0;

	for (int step = 0; step < 3000; step++) {
		size_t   index = random_next(&seed) % TIMERS;
		uint64_t back = random_next(&seed) % 8 == 0 ? random_next(&seed) % 100 : 0;
		uint64_t wait, first = UINT64_MAX;

		if (random_next(&seed) % 3 != 0)
			set(m, index, m->now_ms - back + random_delay(&seed));
		else
			cancel(m, index);
		if (random_next(&seed) % 2)
			continue;
		for (size_t i = 0; i < TIMERS; i++) {
			if (m->armed[i] && m->timers[i].expires_ms < first)
				first = m->timers[i].expires_ms;
		}
		wait = wheel_next_ms(&m->wheel, m->now_ms);
		woken_late += first != UINT64_MAX && first > m->now_ms &&
		              wait >= first - m->now_ms + WHEEL_TICK_MS;
		woken_late += (first == UINT64_MAX) != (wait == UINT64_MAX);
		/* Overdue at setting, or asleep past it: lateness is then ours, not the wheel's. */
		if (random_next(&seed) % 2 && wait < UINT64_MAX) {
			m->late_limit_ms = 100 + WHEEL_TICK_MS;
			expire(m, m->now_ms + wait);
		} else {
			m->late_limit_ms = UINT64_MAX / 2;
			expire(m, m->now_ms + random_delay(&seed));
		}
		forgotten += count_forgotten(m);
		miscounted += m->wheel.armed != count_armed(m);
	}
	EXPECT_EQ(m->early, 0);
	EXPECT_EQ(m->late, 0);
	EXPECT_EQ(m->unarmed, 0);
	EXPECT_EQ(forgotten, 0);
	EXPECT_EQ(miscounted, 0);
	EXPECT_EQ(woken_late, 0);
	EXPECT(m->fired > 100);
	if (test_failed)
		printf("  seed %llu\n", (unsigned long long)seed);
}

TEST(timers_behave_like_a_plain_list_of_times)
{
	for (uint64_t seed = 1; seed <= 60; seed++)
		run_seed(seed * 0x9e3779b97f4a7c15u, seed % 2 ? 1000 : seed * 0x123456789u);
}

TEST(a_timer_fires_neither_early_nor_more_than_a_tick_late)
{
	static const uint64_t delays[] = {
		1,     7,       8,       9,       511,       512,       513,       32767,     32768,
		32769, 2097151, 2097152, 2097160, 134217727, 134217728, 134217729, 1000000000};

	for (uint64_t start_ms = 0; start_ms < 4000; start_ms += 37) {
		for (size_t i = 0; i < COUNT(delays); i++) {
			struct model *m = start(start_ms);
			int           wakes = 0;

			set(m, 0, start_ms + delays[i]);
			while (m->armed[0] && wakes++ < 40)
				expire(m, m->now_ms + wheel_next_ms(&m->wheel, m->now_ms));
			EXPECT_EQ(m->fired, 1);
			EXPECT_EQ(m->early + m->late, 0);
			/* One per level crossed, and one per turn of the top level. */
			EXPECT(wakes <= 4 + (int)(delays[i] / 132000000));
		}
	}
}

TEST(no_clock_reading_before_its_time_fires_a_timer)
{
	struct model *m = start(3);

	set(m, 0, 40003);
	for (uint64_t now = 3; now < 40003; now++)
		expire(m, now);
	EXPECT_EQ(m->fired, 0);
	for (uint64_t now = 40003; now < 40011; now++)
		expire(m, now);
	EXPECT_EQ(m->fired, 1);
}

TEST(a_time_in_the_past_fires_at_the_next_expire)
{
	struct model *m = start(100000);

	m->late_limit_ms = UINT64_MAX / 2;
	set(m, 0, 5);
	EXPECT_EQ(wheel_next_ms(&m->wheel, 100000), 0);
	expire(m, 100000);
	EXPECT_EQ(m->fired, 1);
}

TEST(a_timer_set_into_the_past_by_its_own_firing_waits_for_the_next_expire)
{
	struct model *m = start(1000);

	m->late_limit_ms = UINT64_MAX / 2;
	m->rearm = &m->timers[0];
	m->rearm_ms = 10;
	set(m, 0, 1500);
	expire(m, 9000);
	EXPECT_EQ(m->fired, 1);
	EXPECT(timer_is_armed(&m->timers[0]));
	EXPECT_EQ(wheel_next_ms(&m->wheel, 9000), 0);
	expire(m, 9000);
	EXPECT_EQ(m->fired, 2);
}

TEST(a_due_timer_cancelled_by_an_earlier_one_does_not_fire)
{
	struct model *m = start(1000);

	m->cancel = &m->timers[1];
	set(m, 0, 1100);
	set(m, 1, 1101);
	m->late_limit_ms = UINT64_MAX / 2;
	expire(m, 2000);
	EXPECT_EQ(m->fired, 1);
	EXPECT_EQ(m->wheel.armed, 0);
	EXPECT(!timer_is_armed(&m->timers[1]));
}

TEST(timers_fire_in_the_order_of_their_ticks)
{
	struct model *m = start(0);

	m->late_limit_ms = UINT64_MAX / 2;
	for (size_t i = 0; i < TIMERS; i++)
		set(m, i, (i * 7919) % 1000 * 997);
	expire(m, 1000000);
	EXPECT_EQ(m->fired, TIMERS);
	EXPECT_EQ(m->disordered, 0);
}

TEST(a_cancelled_timer_costs_no_wake_up)
{
	struct model *m = start(0);

	EXPECT(wheel_next_ms(&m->wheel, 0) == UINT64_MAX);
	set(m, 0, 100);
	set(m, 1, 100000);
	cancel(m, 0);
	EXPECT(wheel_next_ms(&m->wheel, 0) > 30000);
	cancel(m, 1);
	cancel(m, 1);
	EXPECT(wheel_next_ms(&m->wheel, 0) == UINT64_MAX);
	EXPECT_EQ(m->wheel.armed, 0);
}

TEST(a_timer_for_the_end_of_time_never_fires)
{
	struct model *m = start(0);

	set(m, 0, UINT64_MAX);
	expire(m, (uint64_t)1 << 40);
	EXPECT_EQ(m->fired, 0);
	EXPECT_EQ(m->wheel.armed, 1);
}

TEST(a_clock_that_goes_back_changes_nothing)
{
	struct model *m = start(10000);

	set(m, 0, 10100);
	expire(m, 500);
	EXPECT_EQ(m->fired, 0);
	expire(m, 10104);
	EXPECT_EQ(m->fired, 1);
}

int main(void)
{
	return test_main();
}
