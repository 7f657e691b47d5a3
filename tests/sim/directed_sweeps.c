/*
 * Scenarios of sessions that are to end although nothing is wrong with them: a drain, a listener
 * that the configuration no longer has.
 */
#include "sim/directed.h"

#include "sim/sim.h"

#include "session/roster.h"

enum { DRAIN_MS = 4000, SESSIONS = 12 };

static uint32_t sessions_left(void)
{
	return world.shard.gauges.sessions;
}

static void expect_to_be_stopped(struct sock *const *clients)
{
	for (size_t i = 0; i < SESSIONS; i++)
		outcome_of(clients[i])->was_stopped = true;
}

static void open_idle(struct sock **clients)
{
	for (size_t i = 0; i < SESSIONS; i++) {
		clients[i] = connect_saying(SAYS_A);
		pump(server_of(clients[i]), clients[i], 100);
	}
	EXPECT(sessions_left() == SESSIONS);
}

/* In steps, as the sweep looks at a page at a time. */
static void pass_slowly(uint64_t ms)
{
	for (uint64_t end_ms = kernel.now_ms + ms; kernel.now_ms < end_ms;)
		pass(20);
}

static void a_drain_spreads_the_ends_of_idle_sessions_over_its_second_half(void)
{
	struct sock *clients[SESSIONS];
	uint32_t     left;

	open_world(copying(CONF_ZERO_COPY_OFF));
	open_idle(clients);
	expect_to_be_stopped(clients);
	sweep_all(&world.shard, kernel.now_ms + DRAIN_MS);
	pass_slowly(DRAIN_MS / 2 - 200);
	EXPECT(sessions_left() == SESSIONS);
	pass_slowly(DRAIN_MS / 4);
	left = sessions_left();
	EXPECT(left < SESSIONS && left > 0);
	pass_slowly(DRAIN_MS / 4);
	EXPECT(sessions_left() < left);
	pass_slowly(400);
	EXPECT(sessions_left() == 0);
	for (size_t i = 0; i < SESSIONS; i++)
		EXPECT(outcome_of(clients[i])->reason == REASON_DRAINED);
	close_world();
}

static void a_session_in_use_has_the_whole_drain(void)
{
	struct sock *client, *server;

	open_world(copying(CONF_ZERO_COPY_OFF));
	client = connect_saying(SAYS_A);
	server = server_of(client);
	outcome_of(client)->was_stopped = true;
	sweep_all(&world.shard, kernel.now_ms + DRAIN_MS);
	for (int i = 0; i < DRAIN_MS / 200 - 2; i++) {
		pump(server, client, 10);
		pass_slowly(180);
		EXPECT(world_conn(client));
	}
	pass_slowly(800);
	EXPECT(!world_conn(client) && outcome_of(client)->reason == REASON_DRAINED);
	close_world();
}

static void sessions_of_a_listener_that_leaves_end_and_the_sweep_with_them(void)
{
	struct sock *clients[SESSIONS];

	open_world(copying(CONF_ZERO_COPY_OFF));
	open_idle(clients);
	world.listener_state.leaves_from_ms = kernel.now_ms;
	world.listener_state.leaves_until_ms = kernel.now_ms + DRAIN_MS;
	expect_to_be_stopped(clients);
	sweep_leavers(&world.shard, kernel.now_ms + DRAIN_MS);
	pass_slowly(DRAIN_MS + 400);
	EXPECT(sessions_left() == 0);
	pass_slowly(400);
	EXPECT(!timer_is_armed(&world.shard.sweep.timer));
	close_world();
}

static void a_listener_that_comes_back_keeps_its_sessions(void)
{
	struct sock *clients[SESSIONS];

	open_world(copying(CONF_ZERO_COPY_OFF));
	open_idle(clients);
	world.listener_state.leaves_from_ms = kernel.now_ms;
	world.listener_state.leaves_until_ms = kernel.now_ms + DRAIN_MS;
	sweep_leavers(&world.shard, kernel.now_ms + DRAIN_MS);
	pass_slowly(DRAIN_MS / 2 - 400);
	world.listener_state.leaves_until_ms = 0;
	pass_slowly(DRAIN_MS);
	EXPECT(sessions_left() == SESSIONS);
	for (size_t i = 0; i < SESSIONS; i++)
		finish(clients[i]);
	close_world();
}

static void a_roster_shows_every_session_and_finds_it_by_its_id(void)
{
	static struct roster_page page;
	struct roster_filter      filter = {.client = {.base = {.family = ADDR_NONE}}};
	struct sock              *clients[SESSIONS];

	open_world(copying(CONF_ZERO_COPY_OFF));
	open_idle(clients);
	page.cursor = 0;
	roster_fill(&world.shard, &filter, &page);
	EXPECT(page.count == SESSIONS && page.is_last);
	for (uint32_t i = 0; i < page.count; i++) {
		EXPECT(page.rows[i].bytes_down == 100 && strcmp(page.rows[i].state, "relay") == 0);
		EXPECT(roster_find(&world.shard, page.rows[i].id) == world_conn(clients[i]));
	}
	EXPECT(!roster_find(&world.shard, 0));
	roster_copy(filter.listener, sizeof(filter.listener), "another");
	page.cursor = 0;
	roster_fill(&world.shard, &filter, &page);
	EXPECT(page.count == 0 && page.is_last);
	for (size_t i = 0; i < SESSIONS; i++)
		finish(clients[i]);
	close_world();
}

const struct directed directed_sweeps[] = {
	DIRECTED(a_drain_spreads_the_ends_of_idle_sessions_over_its_second_half),
	DIRECTED(a_session_in_use_has_the_whole_drain),
	DIRECTED(sessions_of_a_listener_that_leaves_end_and_the_sweep_with_them),
	DIRECTED(a_listener_that_comes_back_keeps_its_sessions),
	DIRECTED(a_roster_shows_every_session_and_finds_it_by_its_id),
	{NULL, NULL},
};
