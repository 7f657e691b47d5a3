/* What an administrator orders of a server: `penstock ctl server UPSTREAM SERVER down|up|drain`. */
#include "policy/balance.h"

#include "base/hash.h"

#include "test.h"

enum { SERVERS = 4, SESSIONS = 200 };

static const enum balance_kind  kinds[] = {BALANCE_ROUND_ROBIN, BALANCE_LEAST_CONN, BALANCE_HASH,
                                           BALANCE_RANDOM};
static const enum balance_order away[] = {BALANCE_ORDER_DOWN, BALANCE_ORDER_DRAIN};

static struct server_state   states[SERVERS];
static struct balance_server servers[SERVERS];
static _Atomic uint32_t      cursor;

static void make_servers(void)
{
	cursor = 0;
	for (size_t i = 0; i < SERVERS; i++) {
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

static int choose(const struct balance *balance)
{
	static uint64_t      number;
	struct balance_query query = {.now_ms = 1000};

	query.hash = hash_mix(++number);
	query.random = hash_mix(number + 7777777);
	return balance_choose(balance, &query);
}

/* How many of SESSIONS choices, each over at once, fell on *server*. */
static int share_of(const struct balance *balance, int server)
{
	int share = 0;

	for (int i = 0; i < SESSIONS; i++) {
		int chosen = choose(balance);

		if (chosen >= 0)
			balance_release(&servers[chosen]);
		share += chosen == server;
	}
	return share;
}

/* Every way to choose, and both orders to leave a server alone. */
static void each_way(void (*check)(struct balance *balance, enum balance_order order))
{
	for (size_t i = 0; i < COUNT(kinds); i++) {
		for (size_t j = 0; j < COUNT(away); j++) {
			struct balance *balance;

			make_servers();
			balance = balance_build(kinds[i], servers, SERVERS, &cursor);
			EXPECT(balance != NULL);
			check(balance, away[j]);
			balance_free(balance);
		}
	}
}

static void check_nobody(struct balance *balance, enum balance_order order)
{
	EXPECT(share_of(balance, 1) > 0);
	balance_set_order(&servers[1], order);
	EXPECT_EQ(share_of(balance, 1), 0);
	EXPECT_EQ(share_of(balance, BALANCE_NONE), 0);
}

TEST(a_server_ordered_away_gets_nobody)
{
	each_way(check_nobody);
}

static void check_up_again(struct balance *balance, enum balance_order order)
{
	balance_set_order(&servers[1], order);
	EXPECT_EQ(share_of(balance, 1), 0);
	balance_set_order(&servers[1], BALANCE_ORDER_UP);
	EXPECT(share_of(balance, 1) > 0);
}

TEST(a_server_ordered_up_again_is_chosen_again)
{
	each_way(check_up_again);
}

static void check_not_even_last(struct balance *balance, enum balance_order order)
{
	for (size_t i = 0; i < SERVERS; i++)
		balance_set_order(&servers[i], order);
	EXPECT_EQ(choose(balance), BALANCE_NONE);
	/* One is left, and has failed: all that are left have, so it is tried again at once. */
	balance_set_order(&servers[2], BALANCE_ORDER_UP);
	balance_failed(balance, &servers[2], 1000);
	EXPECT_EQ(share_of(balance, 2), SESSIONS);
}

TEST(a_server_ordered_away_is_not_chosen_when_no_other_can_be)
{
	each_way(check_not_even_last);
}

static void check_backup(struct balance *balance, enum balance_order order)
{
	(void)balance;
	for (size_t i = 0; i < SERVERS; i++)
		servers[i].backup = i == 3;
	balance = balance_build(BALANCE_ROUND_ROBIN, servers, SERVERS, &cursor);
	EXPECT_EQ(share_of(balance, 3), 0);
	for (size_t i = 0; i < 3; i++)
		balance_set_order(&servers[i], order);
	EXPECT_EQ(share_of(balance, 3), SESSIONS);
	balance_set_order(&servers[3], order);
	EXPECT_EQ(choose(balance), BALANCE_NONE);
	balance_free(balance);
}

TEST(backups_serve_when_all_others_are_ordered_away_and_obey_too)
{
	each_way(check_backup);
}

static void check_kept(struct balance *balance, enum balance_order order)
{
	int chosen = choose(balance);

	balance_set_order(&servers[chosen], order);
	EXPECT_EQ(states[chosen].active, 1);
	balance_release(&servers[chosen]);
	EXPECT_EQ(states[chosen].active, 0);
}

TEST(a_server_ordered_away_keeps_the_sessions_that_it_has)
{
	each_way(check_kept);
}

static enum balance_condition condition_at(uint64_t now_ms, uint64_t *until_ms)
{
	return balance_condition_of(&servers[0], now_ms, until_ms);
}

TEST(a_servers_condition_is_told)
{
	struct balance *balance;
	uint64_t        until_ms = 77;

	make_servers();
	balance = balance_build(BALANCE_ROUND_ROBIN, servers, SERVERS, &cursor);
	EXPECT_EQ(condition_at(1000, &until_ms), BALANCE_USABLE);
	EXPECT_EQ(until_ms, 0);
	balance_failed(balance, &servers[0], 1000);
	EXPECT_EQ(condition_at(2000, &until_ms), BALANCE_EJECTED);
	EXPECT_EQ(until_ms, 11000);
	EXPECT_EQ(condition_at(11000, &until_ms), BALANCE_USABLE);
	EXPECT_EQ(until_ms, 0);
	/* An order outweighs health; nothing is said of an ejection that does not matter. */
	balance_set_order(&servers[0], BALANCE_ORDER_DRAIN);
	EXPECT_EQ(condition_at(2000, &until_ms), BALANCE_DRAINING);
	EXPECT_EQ(until_ms, 0);
	balance_set_order(&servers[0], BALANCE_ORDER_DOWN);
	EXPECT_EQ(condition_at(2000, &until_ms), BALANCE_DOWN);
	balance_set_order(&servers[0], BALANCE_ORDER_UP);
	EXPECT_EQ(condition_at(2000, &until_ms), BALANCE_EJECTED);
	servers[0].max_fails = 0; /* a new configuration: ejection means nothing */
	EXPECT_EQ(condition_at(2000, &until_ms), BALANCE_USABLE);
	servers[0].down = true;
	EXPECT_EQ(condition_at(2000, &until_ms), BALANCE_DOWN);
	balance_free(balance);
}

int main(void)
{
	return test_main();
}
