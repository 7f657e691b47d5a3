#include "policy/balance.h"

#include <sched.h>
#include <stdatomic.h>

/* Before each exchange a thread may give way, so that the others get into the gap that the exchange
 * must notice; without that two threads hardly ever meet in it. */
static _Atomic bool racing;

static bool exchange_late(_Atomic uint64_t *object, uint64_t *expected, uint64_t desired)
{
	static _Thread_local uint32_t turn;

	if (racing && ++turn % 3 != 0)
		sched_yield();
	return atomic_compare_exchange_strong(object, expected, desired);
}

#undef atomic_compare_exchange_strong_explicit
#define atomic_compare_exchange_strong_explicit(object, expected, desired, success, failure)       \
	exchange_late(object, expected, desired)

#include "../../src/policy/balance.c"

#include "test.h"

#include <pthread.h>

enum { SERVERS = 16, KINDS = 4 };

static const enum balance_kind kinds[KINDS] = {BALANCE_ROUND_ROBIN, BALANCE_LEAST_CONN,
                                               BALANCE_HASH, BALANCE_RANDOM};

static struct server_state   states[BALANCE_SERVERS_MAX + 1];
static struct balance_server servers[BALANCE_SERVERS_MAX + 1];
static _Atomic uint32_t      cursor;

/* *count* servers alike: weight 1, no bound, max_fails=1 fail_timeout=10s. */
static void make_servers(size_t count)
{
	cursor = 0;
	for (size_t i = 0; i < count; i++) {
		states[i] = (struct server_state){0};
		servers[i] = (struct balance_server){
			.state = &states[i],
			.identity = hash_mix(1000 + i),
			.weight = 1,
			.max_fails = 1,
			.fail_timeout_ms = 10000,
		};
	}
}

static int choose_at(const struct balance *balance, uint64_t now_ms)
{
	static uint64_t      number;
	struct balance_query query = {.now_ms = now_ms};

	query.hash = hash_mix(++number);
	query.random = hash_mix(number + 7777777);
	return balance_choose(balance, &query);
}

static int choose(const struct balance *balance)
{
	return choose_at(balance, 1000);
}

static int choose_except(const struct balance *balance, const uint16_t *tried, size_t count)
{
	struct balance_query query = {.now_ms = 1000, .tried = tried, .tried_count = count};

	query.random = query.hash = hash_mix(99);
	return balance_choose(balance, &query);
}

/* Chooses *sessions* times, each over at once; counts[] by server. */
static void spread(const struct balance *balance, size_t count, int sessions, int counts[])
{
	for (size_t i = 0; i < count; i++)
		counts[i] = 0;
	for (int i = 0; i < sessions; i++) {
		int server = choose(balance);

		EXPECT(server >= 0 && (size_t)server < count);
		if (server < 0)
			return;
		counts[server]++;
		balance_release(&servers[server]);
	}
}

TEST(round_robin_gives_each_his_weight_in_every_round_and_interleaves)
{
	static const int want[] = {0, 0, 1, 0, 2, 0, 0};
	struct balance  *balance;

	make_servers(3);
	servers[0].weight = 50;
	servers[1].weight = servers[2].weight = 10;
	balance = balance_build(BALANCE_ROUND_ROBIN, servers, 3, &cursor);
	for (int i = 0; i < 70; i++)
		EXPECT_EQ(choose(balance), want[i % 7]);
	balance_free(balance);
}

TEST(round_robin_of_equals_goes_in_file_order)
{
	struct balance *balance;

	make_servers(5);
	balance = balance_build(BALANCE_ROUND_ROBIN, servers, 5, &cursor);
	for (int i = 0; i < 20; i++)
		EXPECT_EQ(choose(balance), i % 5);
	balance_free(balance);
}

TEST(round_robin_shares_an_ejected_servers_turns_among_all_the_others)
{
	struct balance *balance;
	int             counts[4];

	make_servers(4);
	balance = balance_build(BALANCE_ROUND_ROBIN, servers, 4, &cursor);
	balance_failed(balance, &servers[1], 1000);
	spread(balance, 4, 300, counts);
	EXPECT_EQ(counts[0], 100);
	EXPECT_EQ(counts[1], 0);
	EXPECT_EQ(counts[2], 100);
	EXPECT_EQ(counts[3], 100);
	balance_free(balance);
}

TEST(enormous_weights_are_kept_in_proportion)
{
	static const enum balance_kind by_share[] = {BALANCE_ROUND_ROBIN, BALANCE_HASH};

	for (size_t i = 0; i < COUNT(by_share); i++) {
		struct balance *balance;
		int             counts[3];

		make_servers(3);
		servers[0].weight = 3000000001u;
		servers[1].weight = 1000000007u;
		balance = balance_build(by_share[i], servers, 3, &cursor);
		EXPECT(balance);
		spread(balance, 3, 20000, counts);
		EXPECT(counts[0] > 14000 && counts[0] < 16000);
		EXPECT(counts[1] > 4000 && counts[1] < 6000);
		balance_free(balance);
	}
}

TEST(weights_still_count_among_a_thousand_servers)
{
	static int      counts[1000];
	struct balance *balance;

	make_servers(1000);
	for (size_t i = 0; i < 1000; i++)
		servers[i].weight = i % 10 == 0 ? 1000 : 100;
	servers[1].weight = 101; /* no common divisor helps */
	balance = balance_build(BALANCE_ROUND_ROBIN, servers, 1000, &cursor);
	spread(balance, 1000, 40000, counts);
	EXPECT(counts[10] > 6 * counts[2]);
	EXPECT(counts[2] > 0);
	balance_free(balance);
}

TEST(least_conn_takes_the_lowest_load_by_weight)
{
	struct balance *balance;

	make_servers(3);
	servers[1].weight = 4;
	balance = balance_build(BALANCE_LEAST_CONN, servers, 3, &cursor);
	states[0].active = 2;
	states[1].active = 7;
	states[2].active = 3;
	EXPECT_EQ(choose(balance), 1); /* 7/4 is less than 2 */
	states[1].active = 9;
	EXPECT_EQ(choose(balance), 0); /* 9/4 is not */
	EXPECT_EQ(states[0].active, 3);
	balance_free(balance);
}

TEST(least_conn_breaks_ties_in_turn)
{
	struct balance *balance;
	int             counts[3];

	make_servers(3);
	balance = balance_build(BALANCE_LEAST_CONN, servers, 3, &cursor);
	spread(balance, 3, 30, counts);
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(counts[i], 10);
	balance_free(balance);
}

TEST(random_prefers_the_less_loaded_of_two)
{
	struct balance *balance;
	int             counts[3];

	make_servers(3);
	balance = balance_build(BALANCE_RANDOM, servers, 3, &cursor);
	states[0].active = 100;
	spread(balance, 3, 3000, counts);
	EXPECT_EQ(counts[0], 0); /* two different ones are compared: the worst never wins */
	EXPECT(counts[1] > 1000 && counts[2] > 1000);
	balance_free(balance);
}

TEST(random_draws_by_weight)
{
	struct balance *balance;
	int             counts[4];

	make_servers(4);
	servers[3].weight = 5;
	balance = balance_build(BALANCE_RANDOM, servers, 4, &cursor);
	spread(balance, 4, 4000, counts);
	EXPECT(counts[3] > 2000);
	EXPECT(counts[0] > 100 && counts[1] > 100 && counts[2] > 100);
	balance_free(balance);
}

enum { KEYS = 20000 };

static void place(const struct balance *balance, int placed[KEYS])
{
	for (uint64_t key = 0; key < KEYS; key++) {
		struct balance_query query = {.now_ms = 1000, .hash = key};

		placed[key] = balance_choose(balance, &query);
		EXPECT(placed[key] >= 0);
		if (placed[key] >= 0)
			balance_release(&servers[placed[key]]);
	}
}

TEST(hash_spreads_keys_by_weight)
{
	static int      placed[KEYS];
	struct balance *balance;
	int             counts[5] = {0};

	make_servers(5);
	servers[4].weight = 3;
	balance = balance_build(BALANCE_HASH, servers, 5, &cursor);
	place(balance, placed);
	for (size_t i = 0; i < KEYS; i++)
		counts[placed[i]]++;
	for (int i = 0; i < 4; i++)
		EXPECT(counts[i] > KEYS / 7 * 7 / 10 && counts[i] < KEYS / 7 * 13 / 10);
	EXPECT(counts[4] > 3 * KEYS / 7 * 8 / 10 && counts[4] < 3 * KEYS / 7 * 12 / 10);
	balance_free(balance);
}

TEST(hash_moves_only_the_share_of_a_server_that_goes)
{
	static int      before[KEYS], after[KEYS];
	struct balance *balance;
	size_t          moved = 0, stayed = 0;

	make_servers(6);
	balance = balance_build(BALANCE_HASH, servers, 6, &cursor);
	place(balance, before);
	balance_free(balance);
	/* Server 2 is taken out of the file: those behind it get new numbers. */
	memmove(&servers[2], &servers[3], 3 * sizeof(servers[0]));
	balance = balance_build(BALANCE_HASH, servers, 5, &cursor);
	place(balance, after);
	for (size_t i = 0; i < KEYS; i++) {
		int same = after[i] >= 2 ? after[i] + 1 : after[i];

		moved += before[i] != 2 && before[i] != same;
		stayed += before[i] == same;
	}
	EXPECT_EQ(moved, 0);
	EXPECT(stayed > KEYS * 3 / 4);
	balance_free(balance);
}

TEST(hash_sends_an_ejected_servers_keys_to_many_others_and_moves_no_other_key)
{
	static int      before[KEYS], after[KEYS];
	struct balance *balance;
	int             heirs[4] = {0};
	size_t          moved = 0;

	make_servers(4);
	balance = balance_build(BALANCE_HASH, servers, 4, &cursor);
	place(balance, before);
	balance_failed(balance, &servers[3], 1000);
	place(balance, after);
	for (size_t i = 0; i < KEYS; i++) {
		moved += before[i] != 3 && before[i] != after[i];
		heirs[after[i]] += before[i] == 3;
	}
	EXPECT_EQ(moved, 0);
	EXPECT_EQ(heirs[3], 0);
	for (int i = 0; i < 3; i++)
		EXPECT(heirs[i] > KEYS / 4 / 6);
	balance_free(balance);
}

TEST(a_server_that_is_down_is_never_chosen)
{
	for (size_t i = 0; i < KINDS; i++) {
		struct balance *balance;
		int             counts[4];

		make_servers(4);
		servers[2].down = true;
		balance = balance_build(kinds[i], servers, 4, &cursor);
		spread(balance, 4, 500, counts);
		EXPECT_EQ(counts[2], 0);
		EXPECT(counts[0] > 50 && counts[1] > 50 && counts[3] > 50);
		balance_free(balance);
	}
}

TEST(with_no_server_or_only_servers_down_there_is_none)
{
	for (size_t i = 0; i < KINDS; i++) {
		struct balance *balance;

		make_servers(2);
		servers[0].down = servers[1].down = true;
		balance = balance_build(kinds[i], servers, 2, &cursor);
		EXPECT_EQ(choose(balance), BALANCE_NONE);
		balance_free(balance);
		balance = balance_build(kinds[i], servers, 0, &cursor);
		EXPECT_EQ(choose(balance), BALANCE_NONE);
		balance_free(balance);
	}
}

TEST(a_server_tried_already_is_not_chosen_again)
{
	for (size_t i = 0; i < KINDS; i++) {
		struct balance *balance;
		uint16_t        tried[4];
		unsigned        seen = 0;

		make_servers(4);
		balance = balance_build(kinds[i], servers, 4, &cursor);
		for (size_t count = 0; count < 4; count++) {
			int server = choose_except(balance, tried, count);

			EXPECT(server >= 0 && !(seen & BIT(server)));
			seen |= BIT(server);
			tried[count] = (uint16_t)server;
		}
		EXPECT_EQ(choose_except(balance, tried, 4), BALANCE_NONE);
		balance_free(balance);
	}
}

TEST(max_conns_bounds_a_server_and_a_release_makes_room)
{
	for (size_t i = 0; i < KINDS; i++) {
		struct balance *balance;
		int             counts[3] = {0};

		make_servers(3);
		servers[0].max_conns = 2;
		servers[1].max_conns = 5;
		servers[2].max_conns = 1;
		balance = balance_build(kinds[i], servers, 3, &cursor);
		for (int j = 0; j < 8; j++)
			counts[choose(balance)]++;
		EXPECT_EQ(counts[0], 2);
		EXPECT_EQ(counts[1], 5);
		EXPECT_EQ(counts[2], 1);
		EXPECT_EQ(choose(balance), BALANCE_NONE);
		balance_release(&servers[1]);
		EXPECT_EQ(choose(balance), 1);
		balance_free(balance);
	}
}

TEST(backups_serve_only_when_no_other_server_can)
{
	for (size_t i = 0; i < KINDS; i++) {
		static const uint16_t both[] = {0, 1};
		struct balance       *balance;
		int                   counts[3];

		make_servers(3);
		servers[2].backup = true;
		balance = balance_build(kinds[i], servers, 3, &cursor);
		spread(balance, 3, 100, counts);
		EXPECT_EQ(counts[2], 0);
		EXPECT_EQ(choose_except(balance, both, 2), 2);
		balance_failed(balance, &servers[0], 1000);
		spread(balance, 3, 100, counts);
		EXPECT_EQ(counts[1], 100);
		balance_failed(balance, &servers[1], 1000);
		spread(balance, 3, 100, counts);
		EXPECT_EQ(counts[2], 100);
		balance_succeeded(&servers[1]);
		EXPECT_EQ(choose(balance), 1);
		balance_free(balance);
	}
}

TEST(max_fails_failures_within_fail_timeout_eject_a_server)
{
	struct balance *balance;

	make_servers(2);
	servers[0].max_fails = 3;
	balance = balance_build(BALANCE_LEAST_CONN, servers, 2, &cursor);
	states[1].active = 50; /* so that server 0 is chosen whenever it may be */
	balance_failed(balance, &servers[0], 1000);
	balance_failed(balance, &servers[0], 2000);
	balance_succeeded(&servers[0]);
	EXPECT_EQ(choose_at(balance, 2000), 0);
	balance_failed(balance, &servers[0], 3000);
	EXPECT_EQ(choose_at(balance, 3000), 1);
	EXPECT_EQ(choose_at(balance, 12999), 1);
	EXPECT_EQ(choose_at(balance, 13000), 0);
	EXPECT_EQ(states[0].failed_total, 3);
	EXPECT_EQ(states[0].chosen_total, 2);
	balance_free(balance);
}

TEST(failures_farther_apart_than_fail_timeout_eject_nobody)
{
	struct balance *balance;

	make_servers(2);
	servers[0].max_fails = 2;
	balance = balance_build(BALANCE_LEAST_CONN, servers, 2, &cursor);
	states[1].active = 50;
	for (uint64_t now = 1000; now < 500000; now += 10000) {
		balance_failed(balance, &servers[0], now);
		EXPECT_EQ(choose_at(balance, now), 0);
		balance_release(&servers[0]);
	}
	balance_failed(balance, &servers[0], 500500);
	EXPECT_EQ(choose_at(balance, 500500), 1);
	balance_free(balance);
}

TEST(a_window_is_not_reset_by_a_worker_whose_clock_reads_earlier)
{
	struct balance *balance;

	make_servers(2);
	servers[0].max_fails = 2;
	balance = balance_build(BALANCE_LEAST_CONN, servers, 2, &cursor);
	states[1].active = 50;
	balance_failed(balance, &servers[0], 5000);
	balance_failed(balance, &servers[0], 4999);
	EXPECT_EQ(choose_at(balance, 5000), 1);
	balance_free(balance);
}

TEST(after_ejection_one_session_is_let_through_on_trial)
{
	for (size_t i = 0; i < KINDS; i++) {
		struct balance *balance;
		int             trials = 0;

		make_servers(2);
		servers[0].max_fails = 3;
		balance = balance_build(kinds[i], servers, 2, &cursor);
		for (int j = 0; j < 3; j++)
			balance_failed(balance, &servers[0], 1000);
		for (int j = 0; j < 100; j++)
			trials += choose_at(balance, 11000) == 0;
		EXPECT_EQ(trials, 1);
		balance_failed(balance, &servers[0], 12000); /* one is enough now */
		for (int j = 0; j < 100; j++)
			trials += choose_at(balance, 21999) == 0;
		EXPECT_EQ(trials, 1);
		for (int j = 0; j < 100; j++)
			trials += choose_at(balance, 22000) == 0;
		EXPECT_EQ(trials, 2);
		balance_succeeded(&servers[0]);
		for (int j = 0; j < 100; j++)
			trials += choose_at(balance, 22000) == 0;
		EXPECT(trials > 20);
		balance_failed(balance, &servers[0], 22500); /* and the count begins anew */
		EXPECT_EQ(states[0].ejected_until_ms, 0);
		balance_free(balance);
	}
}

TEST(when_all_are_ejected_all_are_tried_again_at_once)
{
	for (size_t i = 0; i < KINDS; i++) {
		static const uint16_t tried[] = {1};
		struct balance       *balance;
		int                   counts[3];

		make_servers(3);
		balance = balance_build(kinds[i], servers, 3, &cursor);
		for (int j = 0; j < 3; j++)
			balance_failed(balance, &servers[j], 1000);
		spread(balance, 3, 300, counts);
		EXPECT(counts[0] > 30 && counts[1] > 30 && counts[2] > 30);
		EXPECT(choose_except(balance, tried, 1) != 1);
		balance_succeeded(&servers[2]);
		spread(balance, 3, 300, counts);
		EXPECT_EQ(counts[2], 300);
		balance_free(balance);
	}
}

TEST(a_lone_server_is_never_ejected)
{
	for (size_t i = 0; i < KINDS; i++) {
		struct balance *balance;

		make_servers(2);
		servers[1].down = true;
		balance = balance_build(kinds[i], servers, 2, &cursor);
		for (int j = 0; j < 5; j++)
			balance_failed(balance, &servers[0], 1000);
		EXPECT_EQ(states[0].ejected_until_ms, 0);
		EXPECT_EQ(states[0].failed_total, 5);
		EXPECT_EQ(choose(balance), 0);
		/* Ejected under an earlier configuration that had others. */
		states[0].ejected_until_ms = 999999;
		EXPECT_EQ(choose(balance), 0);
		balance_free(balance);
	}
}

TEST(max_fails_zero_never_ejects)
{
	struct balance *balance;

	make_servers(2);
	servers[0].max_fails = 0;
	balance = balance_build(BALANCE_LEAST_CONN, servers, 2, &cursor);
	states[1].active = 50;
	for (int j = 0; j < 50; j++)
		balance_failed(balance, &servers[0], 1000);
	EXPECT_EQ(choose(balance), 0);
	balance_free(balance);
}

TEST(the_greatest_upstream_builds_and_a_greater_one_is_refused)
{
	for (size_t i = 0; i < KINDS; i++) {
		struct balance *balance;
		int             server;

		make_servers(BALANCE_SERVERS_MAX + 1);
		for (size_t j = 0; j < BALANCE_SERVERS_MAX; j++)
			servers[j].weight = (uint32_t)(1 + j % 100);
		/* All but one full: he is found. */
		for (size_t j = 0; j < BALANCE_SERVERS_MAX; j++) {
			servers[j].max_conns = 1;
			states[j].active = j != 4000;
		}
		balance = balance_build(kinds[i], servers, BALANCE_SERVERS_MAX, &cursor);
		EXPECT(balance);
		server = choose(balance);
		EXPECT_EQ(server, 4000);
		balance_free(balance);
		EXPECT(!balance_build(kinds[i], servers, BALANCE_SERVERS_MAX + 1, &cursor));
	}
}

enum { THREADS = 4, ROUNDS = 20000, HELD_MAX = 8 };

static _Atomic uint32_t inside[SERVERS], too_many;

static void leave(int server)
{
	atomic_fetch_sub(&inside[server], 1);
	balance_release(&servers[server]);
}

static void *run_sessions(void *argument)
{
	const struct balance *balance = argument;
	uint64_t              seed = hash_mix((uintptr_t)&seed);
	int                   held[HELD_MAX];
	size_t                count = 0;

	for (int i = 0; i < ROUNDS; i++) {
		struct balance_query query = {
			.now_ms = 1000 + (uint64_t)i, .hash = seed, .random = hash_mix(seed)};
		int server;

		seed = hash_mix(seed + 1);
		if (count == HELD_MAX || (count > 0 && seed % 2)) {
			leave(held[--count]);
			continue;
		}
		server = balance_choose(balance, &query);
		if (server == BALANCE_NONE)
			continue;
		if (atomic_fetch_add(&inside[server], 1) >= servers[server].max_conns)
			atomic_fetch_add(&too_many, 1);
		held[count++] = server;
		if (seed % 64 == 2)
			balance_failed(balance, &servers[server], query.now_ms);
		else
			balance_succeeded(&servers[server]);
	}
	while (count > 0)
		leave(held[--count]);
	return NULL;
}

TEST(four_threads_never_exceed_max_conns_and_leave_nothing_behind)
{
	for (size_t i = 0; i < KINDS; i++) {
		struct balance *balance;
		pthread_t       threads[THREADS];
		uint64_t        chosen = 0;

		make_servers(5);
		too_many = 0;
		for (size_t j = 0; j < 5; j++) {
			servers[j].max_conns = (uint32_t)(1 + j);
			servers[j].fail_timeout_ms = 50;
		}
		servers[4].backup = true;
		balance = balance_build(kinds[i], servers, 5, &cursor);
		for (size_t j = 0; j < THREADS; j++)
			EXPECT(pthread_create(&threads[j], NULL, run_sessions, balance) == 0);
		for (size_t j = 0; j < THREADS; j++)
			pthread_join(threads[j], NULL);
		EXPECT_EQ(too_many, 0);
		for (size_t j = 0; j < 5; j++) {
			EXPECT_EQ(states[j].active, 0);
			chosen += states[j].chosen_total;
		}
		EXPECT(chosen > ROUNDS / 2);
		balance_free(balance);
	}
}

enum { TRIALS = 3000 };

struct juror {
	const struct balance *balance;
	pthread_barrier_t    *barrier;
	_Atomic uint32_t     *chosen;
};

/* In every round all ask at the moment at which server 0's ejection ends. */
static void *ask_at_once(void *argument)
{
	struct juror *juror = argument;

	for (uint64_t i = 1; i <= TRIALS; i++) {
		struct balance_query query = {.now_ms = i * 10000, .random = hash_mix(i)};

		pthread_barrier_wait(juror->barrier);
		juror->chosen[i] += balance_choose(juror->balance, &query) == 0;
	}
	return NULL;
}

TEST(of_four_threads_that_ask_at_once_one_gets_the_trial)
{
	static _Atomic uint32_t chosen[TRIALS + 1];
	struct balance         *balance;
	struct juror            juror;
	pthread_barrier_t       barrier;
	pthread_t               threads[THREADS];
	size_t                  wrong = 0;

	make_servers(2);
	balance = balance_build(BALANCE_LEAST_CONN, servers, 2, &cursor);
	states[1].active = UINT32_MAX / 2; /* so that all prefer server 0 */
	balance_failed(balance, &servers[0], 0);
	juror = (struct juror){.balance = balance, .barrier = &barrier, .chosen = chosen};
	EXPECT(pthread_barrier_init(&barrier, NULL, THREADS) == 0);
	racing = true;
	for (size_t i = 0; i < THREADS; i++)
		EXPECT(pthread_create(&threads[i], NULL, ask_at_once, &juror) == 0);
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	racing = false;
	for (size_t i = 1; i <= TRIALS; i++)
		wrong += chosen[i] != 1;
	EXPECT_EQ(wrong, 0);
	EXPECT_EQ(states[0].active, TRIALS);
	pthread_barrier_destroy(&barrier);
	balance_free(balance);
}

int main(void)
{
	return test_main();
}
