#include "policy/limit.h"

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

#undef atomic_compare_exchange_strong
#define atomic_compare_exchange_strong(object, expected, desired)                                  \
	exchange_late(object, expected, desired)

#include "../../src/policy/limit.c"

#include "test.h"

#include <arpa/inet.h>
#include <pthread.h>

static uint64_t secret[2] = {0x0123456789abcdefu, 0xfedcba9876543210u};

static struct addr ip4(uint32_t number)
{
	struct addr addr = {.family = ADDR_IP4};
	uint32_t    wire = htonl(number);

	memcpy(addr.ip, &wire, sizeof(wire));
	return addr;
}

static struct addr ip6(uint8_t network, uint8_t host)
{
	struct addr addr = {.family = ADDR_IP6, .ip = {0x20, 0x01, [7] = network, [15] = host}};

	return addr;
}

static enum limit_result acquire(struct limit_table *table, uint32_t scope, struct addr client,
                                 uint32_t max)
{
	uint32_t ticket;

	return limit_acquire(table, scope, &client, max, &ticket);
}

TEST(an_address_gets_its_maximum_and_not_one_more)
{
	struct limit_table *table = limit_build(64, secret);
	struct addr         client = ip4(1);
	uint32_t            tickets[3], ticket;

	for (size_t i = 0; i < 3; i++)
		EXPECT_EQ(limit_acquire(table, 0, &client, 3, &tickets[i]), LIMIT_OK);
	EXPECT_EQ(limit_acquire(table, 0, &client, 3, &ticket), LIMIT_EXCEEDED);
	EXPECT_EQ(limit_total(table), 3);
	limit_release(table, tickets[0]);
	EXPECT_EQ(limit_acquire(table, 0, &client, 3, &ticket), LIMIT_OK);
	EXPECT_EQ(limit_acquire(table, 0, &client, 2, &ticket), LIMIT_EXCEEDED);
	EXPECT_EQ(limit_acquire(table, 0, &client, 0, &ticket), LIMIT_EXCEEDED);
	limit_free(table);
}

TEST(scopes_families_and_networks_are_counted_apart_and_a_slash_64_together)
{
	struct limit_table *table = limit_build(64, secret);
	struct addr         low = {.family = ADDR_IP6, .ip = {[4] = 0, [7] = 5}};

	EXPECT_EQ(acquire(table, 0, ip4(5), 1), LIMIT_OK);
	EXPECT_EQ(acquire(table, 1, ip4(5), 1), LIMIT_OK);
	EXPECT_EQ(acquire(table, 0, low, 1), LIMIT_OK);
	EXPECT_EQ(acquire(table, 0, ip6(1, 1), 1), LIMIT_OK);
	EXPECT_EQ(acquire(table, 0, ip6(2, 1), 1), LIMIT_OK);
	EXPECT_EQ(acquire(table, 0, ip6(2, 9), 1), LIMIT_EXCEEDED);
	EXPECT_EQ(acquire(table, 0, ip4(5), 1), LIMIT_EXCEEDED);
	limit_free(table);
}

TEST(the_port_does_not_matter)
{
	struct limit_table *table = limit_build(64, secret);
	struct addr         client = ip4(5);

	client.port = 1000;
	EXPECT_EQ(acquire(table, 0, client, 1), LIMIT_OK);
	client.port = 1001;
	EXPECT_EQ(acquire(table, 0, client, 1), LIMIT_EXCEEDED);
	limit_free(table);
}

/* 16 entries are two sets, and each address may use both. */
TEST(a_full_table_says_so_and_an_idle_entry_is_evicted)
{
	struct limit_table *table = limit_build(16, secret);
	struct addr         client;
	uint32_t            tickets[16], ticket;

	for (uint32_t i = 0; i < 16; i++) {
		client = ip4(i);
		EXPECT_EQ(limit_acquire(table, 0, &client, 5, &tickets[i]), LIMIT_OK);
	}
	client = ip4(100);
	EXPECT_EQ(limit_acquire(table, 0, &client, 5, &ticket), LIMIT_TABLE_FULL);
	client = ip4(7);
	EXPECT_EQ(limit_acquire(table, 0, &client, 5, &ticket), LIMIT_OK);
	limit_release(table, ticket);
	limit_release(table, tickets[7]);
	client = ip4(100);
	EXPECT_EQ(limit_acquire(table, 0, &client, 5, &tickets[7]), LIMIT_OK);
	EXPECT_EQ(limit_acquire(table, 0, &client, 1, &ticket), LIMIT_EXCEEDED);
	client = ip4(7);
	EXPECT_EQ(limit_acquire(table, 0, &client, 5, &ticket), LIMIT_TABLE_FULL);
	EXPECT_EQ(limit_total(table), 16);
	for (uint32_t i = 0; i < 16; i++)
		limit_release(table, tickets[i]);
	EXPECT_EQ(limit_total(table), 0);
	limit_free(table);
}

TEST(at_half_load_no_address_is_refused)
{
	enum { ADDRESSES = 1 << 15 };
	struct limit_table *table = limit_build(2 * ADDRESSES, secret);
	size_t              refused = 0;

	for (uint32_t i = 0; i < ADDRESSES; i++)
		refused += acquire(table, 0, ip4(i), 1) != LIMIT_OK;
	EXPECT_EQ(refused, 0);
	for (uint32_t i = 0; i < ADDRESSES; i++)
		refused += acquire(table, 0, ip4(i), 1) == LIMIT_EXCEEDED;
	EXPECT_EQ(refused, ADDRESSES);
	limit_free(table);
}

enum { THREADS = 4, CLIENTS = 24, MAX = 10, ROUNDS = 20000, HELD_MAX = 64 };

/* Each client's sessions, counted beside the table: entered after acquire, left before release. */
static _Atomic int      inside[CLIENTS];
static _Atomic uint32_t too_many, admitted;

struct holder {
	struct limit_table *table;
	uint64_t            seed;
	uint32_t            clients, max;
	size_t              held_max;
	uint32_t            tickets[HELD_MAX], who[HELD_MAX];
	size_t              held;
};

static uint64_t random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void give_back(struct holder *holder, size_t index)
{
	atomic_fetch_sub(&inside[holder->who[index]], 1);
	limit_release(holder->table, holder->tickets[index]);
	holder->held--;
	holder->tickets[index] = holder->tickets[holder->held];
	holder->who[index] = holder->who[holder->held];
}

static void *hold_and_release(void *argument)
{
	struct holder *holder = argument;

	for (int i = 0; i < ROUNDS; i++) {
		uint64_t    dice = random_next(&holder->seed);
		uint32_t    who = (uint32_t)(dice >> 32) % holder->clients;
		struct addr client = ip4(who);

		if (holder->held == holder->held_max || (holder->held > 0 && dice % 2)) {
			give_back(holder, (dice >> 8) % holder->held);
			continue;
		}
		if (limit_acquire(holder->table, 3, &client, holder->max,
		                  &holder->tickets[holder->held]) != LIMIT_OK)
			continue;
		holder->who[holder->held++] = who;
		atomic_fetch_add(&admitted, 1);
		if (atomic_fetch_add(&inside[who], 1) >= (int)holder->max)
			atomic_fetch_add(&too_many, 1);
	}
	while (holder->held > 0)
		give_back(holder, holder->held - 1);
	return NULL;
}

/* *model* says how many clients, sessions for each, and sessions a thread holds at most. */
static void run_threads(size_t entries, const struct holder *model)
{
	struct limit_table  *table = limit_build(entries, secret);
	static struct holder holders[THREADS];
	pthread_t            threads[THREADS];

	too_many = 0;
	admitted = 0;
	racing = true;
	for (size_t i = 0; i < THREADS; i++) {
		holders[i] = *model;
		holders[i].table = table;
		holders[i].seed = 77 + i * 1000003;
		EXPECT(pthread_create(&threads[i], NULL, hold_and_release, &holders[i]) == 0);
	}
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	racing = false;
	EXPECT_EQ(too_many, 0);
	EXPECT(admitted > 1000);
	EXPECT_EQ(limit_total(table), 0);
	limit_free(table);
}

TEST(four_threads_never_exceed_the_maximum_of_an_address)
{
	run_threads(4096, &(struct holder){.clients = 8, .max = MAX, .held_max = HELD_MAX});
}

/* More addresses than entries, most of them idle: every acquisition evicts, and they collide. */
TEST(four_threads_never_exceed_it_while_entries_are_evicted)
{
	for (int i = 0; i < 4; i++)
		run_threads(16, &(struct holder){.clients = CLIENTS, .max = 1, .held_max = 2});
}

struct racer {
	struct limit_table *table;
	pthread_barrier_t  *barrier;
	uint32_t            admitted;
};

enum { RACES = 2000 };

/* All bring the same new address at the same moment. */
static void *race(void *argument)
{
	struct racer *racer = argument;

	for (uint32_t i = 0; i < RACES; i++) {
		struct addr client = ip4(1000 + i);
		uint32_t    ticket;

		pthread_barrier_wait(racer->barrier);
		for (int j = 0; j < MAX; j++)
			racer->admitted += limit_acquire(racer->table, 0, &client, MAX, &ticket) ==
			                   LIMIT_OK;
	}
	return NULL;
}

TEST(four_threads_that_bring_a_new_address_at_once_get_exactly_the_maximum)
{
	struct limit_table *table = limit_build(8 * RACES, secret);
	struct racer        racers[THREADS];
	pthread_barrier_t   barrier;
	pthread_t           threads[THREADS];
	uint32_t            sum = 0;

	EXPECT(pthread_barrier_init(&barrier, NULL, THREADS) == 0);
	for (size_t i = 0; i < THREADS; i++) {
		racers[i] = (struct racer){table, &barrier, 0};
		EXPECT(pthread_create(&threads[i], NULL, race, &racers[i]) == 0);
	}
	for (size_t i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		sum += racers[i].admitted;
	}
	EXPECT_EQ(sum, RACES * MAX);
	EXPECT_EQ(limit_total(table), RACES * MAX);
	pthread_barrier_destroy(&barrier);
	limit_free(table);
}

TEST(a_plain_counter_keeps_its_bound_and_zero_is_no_bound)
{
	_Atomic uint32_t counter = 0;

	EXPECT(counter_acquire(&counter, 2));
	EXPECT(counter_acquire(&counter, 2));
	EXPECT(!counter_acquire(&counter, 2));
	EXPECT(counter_acquire(&counter, 0));
	EXPECT_EQ(counter, 3);
	counter_release(&counter);
	counter_release(&counter);
	EXPECT(counter_acquire(&counter, 2));
	EXPECT_EQ(counter, 2);
}

int main(void)
{
	return test_main();
}
