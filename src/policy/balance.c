#include "policy/balance.h"

#include "base/hash.h"
#include "policy/limit.h"

#include <stdlib.h>

enum {
	SCHEDULE_MAX = 4096,     /* longer rounds are scaled down to this and ... */
	SCHEDULE_PLACES = 4,     /* ... so many for each server, lest all weights become 1 */
	POINTS_PER_WEIGHT = 160, /* shares then differ from their weights by some 8 % */
	RING_MAX = 1 << 17,
	DRAWS_MAX = 64, /* places looked at before the servers are simply tried in order */
	WALK_MAX = 1024,
	RETRIES_MAX = 8, /* another worker took the last place of the server just chosen */
	TIERS = 2,
	BACKUPS = 1,
};

struct point {
	uint64_t at;
	uint16_t position;
};

/* The primaries or the backups. A position is an index in *members*. */
struct tier {
	uint16_t     *members; /* indices of servers; those marked down are left out */
	size_t        count;
	uint16_t     *schedule; /* positions, each as often as its weight says, interleaved */
	size_t        schedule_len;
	struct point *ring; /* by ascending *at* */
	size_t        ring_len;
};

struct balance {
	enum balance_kind            kind;
	bool                         lone;
	const struct balance_server *servers;
	_Atomic uint32_t            *cursor;
	struct tier                  tiers[TIERS];
};

/* What one call of balance_choose looks for, and in which tier. */
struct search {
	const struct balance       *balance;
	const struct tier          *tier;
	const struct balance_query *query;
	bool                        heeds_ejection;
};

static const struct balance_server *server_at(const struct balance *balance,
                                              const struct tier *tier, size_t position)
{
	return &balance->servers[tier->members[position]];
}

static uint64_t weight_of(const struct balance_server *server)
{
	return server->weight > 0 ? server->weight : 1;
}

/* Building */

static uint64_t gcd(uint64_t a, uint64_t b)
{
	while (b != 0) {
		uint64_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

/* How often each member comes in one round; returns the round's length. */
static size_t share_round(const struct balance *balance, const struct tier *tier, int64_t *shares)
{
	uint64_t divisor = 0, total = 0, longest = SCHEDULE_MAX + SCHEDULE_PLACES * tier->count;
	size_t   len = 0;

	for (size_t i = 0; i < tier->count; i++)
		divisor = gcd(weight_of(server_at(balance, tier, i)), divisor);
	for (size_t i = 0; i < tier->count; i++)
		total += weight_of(server_at(balance, tier, i)) / divisor;
	for (size_t i = 0; i < tier->count; i++) {
		uint64_t share = weight_of(server_at(balance, tier, i)) / divisor;

		if (total > longest)
			share = share * longest / total;
		shares[i] = share > 0 ? (int64_t)share : 1;
		len += (size_t)shares[i];
	}
	return len;
}

/* Smooth weighted round robin: each step everyone earns his share, the richest serves and pays a
 * round. */
static void fill_schedule(struct tier *tier, const int64_t *shares, int64_t *credit)
{
	for (size_t step = 0; step < tier->schedule_len; step++) {
		size_t richest = 0;

		for (size_t i = 0; i < tier->count; i++) {
			credit[i] += shares[i];
			if (credit[i] > credit[richest])
				richest = i;
		}
		credit[richest] -= (int64_t)tier->schedule_len;
		tier->schedule[step] = (uint16_t)richest;
	}
}

static bool build_schedule(const struct balance *balance, struct tier *tier)
{
	int64_t *shares = calloc(2 * tier->count, sizeof(*shares));

	if (!shares)
		return false;
	tier->schedule_len = share_round(balance, tier, shares);
	tier->schedule = calloc(tier->schedule_len, sizeof(*tier->schedule));
	if (tier->schedule && tier->schedule_len == tier->count) {
		for (size_t i = 0; i < tier->count; i++)
			tier->schedule[i] = (uint16_t)i;
	} else if (tier->schedule) {
		fill_schedule(tier, shares, shares + tier->count);
	}
	free(shares);
	return tier->schedule;
}

static int compare_points(const void *left, const void *right)
{
	const struct point *a = left, *b = right;

	if (a->at != b->at)
		return a->at < b->at ? -1 : 1;
	return a->position < b->position ? -1 : a->position > b->position;
}

/* Halved until the ring fits, never fitted exactly: a server more or less must not change the
 * others' points. */
static uint64_t count_points(const struct balance_server *server, unsigned halvings)
{
	uint64_t points = weight_of(server) * POINTS_PER_WEIGHT >> halvings;

	return points > 0 ? points : 1;
}

static bool build_ring(const struct balance *balance, struct tier *tier)
{
	unsigned halvings = 0;
	uint64_t total;
	size_t   at = 0;

	for (;; halvings++) {
		total = 0;
		for (size_t i = 0; i < tier->count; i++)
			total += count_points(server_at(balance, tier, i), halvings);
		if (total <= RING_MAX)
			break;
	}
	tier->ring_len = (size_t)total;
	tier->ring = calloc(tier->ring_len, sizeof(*tier->ring));
	if (!tier->ring)
		return false;
	for (size_t i = 0; i < tier->count; i++) {
		const struct balance_server *server = server_at(balance, tier, i);
		uint64_t                     points = count_points(server, halvings);

		for (uint64_t replica = 1; replica <= points; replica++) {
			tier->ring[at].at = hash_mix(server->identity ^ hash_mix(replica));
			tier->ring[at++].position = (uint16_t)i;
		}
	}
	qsort(tier->ring, tier->ring_len, sizeof(*tier->ring), compare_points);
	return true;
}

static bool build_tier(const struct balance *balance, struct tier *tier, size_t count, bool backup)
{
	tier->members = calloc(count + 1, sizeof(*tier->members));
	if (!tier->members)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (!balance->servers[i].down && balance->servers[i].backup == backup)
			tier->members[tier->count++] = (uint16_t)i;
	}
	if (tier->count < 2)
		return true; /* nothing to choose */
	return balance->kind == BALANCE_HASH ? build_ring(balance, tier)
	                                     : build_schedule(balance, tier);
}

struct balance *balance_build(enum balance_kind kind, const struct balance_server *servers,
                              size_t count, _Atomic uint32_t *cursor)
{
	struct balance *balance;

	if (count > BALANCE_SERVERS_MAX)
		return NULL;
	balance = calloc(1, sizeof(*balance));
	if (!balance)
		return NULL;
	balance->kind = kind;
	balance->servers = servers;
	balance->cursor = cursor;
	for (size_t i = 0; i < TIERS; i++) {
		if (!build_tier(balance, &balance->tiers[i], count, i == BACKUPS)) {
			balance_free(balance);
			return NULL;
		}
	}
	balance->lone = balance->tiers[0].count + balance->tiers[BACKUPS].count == 1;
	return balance;
}

void balance_free(struct balance *balance)
{
	if (!balance)
		return;
	for (size_t i = 0; i < TIERS; i++) {
		free(balance->tiers[i].members);
		free(balance->tiers[i].schedule);
		free(balance->tiers[i].ring);
	}
	free(balance);
}

/* Choosing. Counters are relaxed: each is a number of its own, nothing else is published through
 * it. */

static uint32_t load_of(const struct balance_server *server)
{
	return atomic_load_explicit(&server->state->active, memory_order_relaxed);
}

static bool is_less_loaded(const struct balance_server *a, const struct balance_server *b)
{
	return load_of(a) * weight_of(b) < load_of(b) * weight_of(a);
}

static bool is_usable(const struct search *search, size_t position)
{
	const struct balance_server *server = server_at(search->balance, search->tier, position);
	const struct balance_query  *query = search->query;
	uint64_t                     until;

	for (size_t i = 0; i < query->tried_count; i++) {
		if (query->tried[i] == search->tier->members[position])
			return false;
	}
	if (atomic_load_explicit(&server->state->order, memory_order_relaxed) != BALANCE_ORDER_UP)
		return false;
	if (server->max_conns > 0 && load_of(server) >= server->max_conns)
		return false;
	until = atomic_load_explicit(&server->state->ejected_until_ms, memory_order_relaxed);
	return !search->heeds_ejection || server->max_fails == 0 || until <= query->now_ms;
}

/*
 * After its ejection a server gets one session on trial, and is ejected for the next one until
 * that has succeeded (nginx does the same): a server that is still dead costs one client per
 * fail_timeout, not all. A trial that ends without a verdict is repeated after another
 * fail_timeout.
 */
static bool take_trial(const struct balance_server *server, uint64_t now_ms)
{
	struct server_state *state = server->state;
	uint64_t until = atomic_load_explicit(&state->ejected_until_ms, memory_order_relaxed);

	if (server->max_fails == 0 || until == 0)
		return true;
	return until <= now_ms &&
	       atomic_compare_exchange_strong_explicit(&state->ejected_until_ms, &until,
	                                               now_ms + server->fail_timeout_ms,
	                                               memory_order_relaxed, memory_order_relaxed);
}

/* Counts the session on the server, if it can still be had. */
static bool claim(const struct search *search, size_t position)
{
	const struct balance_server *server = server_at(search->balance, search->tier, position);

	if (!is_usable(search, position) ||
	    !counter_acquire(&server->state->active, server->max_conns))
		return false;
	if (search->heeds_ejection && !take_trial(server, search->query->now_ms)) {
		counter_release(&server->state->active);
		return false;
	}
	atomic_fetch_add_explicit(&server->state->chosen_total, 1, memory_order_relaxed);
	return true;
}

/* Every choice ends here when its own way finds nobody: then there is nobody. */
static int choose_first(const struct search *search, uint64_t start)
{
	size_t count = search->tier->count;

	for (size_t i = 0; i < count; i++) {
		size_t position = (size_t)((start + i) % count);

		if (claim(search, position))
			return (int)position;
	}
	return BALANCE_NONE;
}

static size_t next_in_schedule(const struct search *search)
{
	uint32_t cursor = atomic_fetch_add_explicit(search->balance->cursor, 1,
	                                            memory_order_relaxed);

	return search->tier->schedule[cursor % search->tier->schedule_len];
}

/* A place whose server cannot serve is used up, so that its share goes to all the others alike. */
static int choose_round_robin(const struct search *search)
{
	size_t draws = min_size(search->tier->schedule_len, DRAWS_MAX);

	for (size_t i = 0; i < draws; i++) {
		size_t position = next_in_schedule(search);

		if (claim(search, position))
			return (int)position;
	}
	return choose_first(search,
	                    atomic_load_explicit(search->balance->cursor, memory_order_relaxed));
}

static int find_least_loaded(const struct search *search, size_t start)
{
	const struct balance_server *best = NULL;
	int                          found = BALANCE_NONE;

	for (size_t i = 0; i < search->tier->count; i++) {
		size_t                       position = (start + i) % search->tier->count;
		const struct balance_server *server = server_at(search->balance, search->tier,
		                                                position);

		if (is_usable(search, position) && (!best || is_less_loaded(server, best))) {
			best = server;
			found = (int)position;
		}
	}
	return found;
}

static int choose_least_conn(const struct search *search)
{
	size_t start = next_in_schedule(search); /* among equals the one whose turn it is */

	for (int i = 0; i < RETRIES_MAX; i++) {
		int position = find_least_loaded(search, start);

		if (position == BALANCE_NONE || claim(search, (size_t)position))
			return position;
	}
	return choose_first(search, start);
}

/* The first point clockwise of *at*. */
static size_t find_point(const struct tier *tier, uint64_t at)
{
	size_t low = 0, high = tier->ring_len;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (tier->ring[middle].at < at)
			low = middle + 1;
		else
			high = middle;
	}
	return low < tier->ring_len ? low : 0;
}

static int choose_hash(const struct search *search)
{
	const struct tier *tier = search->tier;
	uint64_t           at = hash_mix(search->query->hash);
	uint64_t           refused[BALANCE_SERVERS_MAX / 64] = {0};
	size_t             point = find_point(tier, at), steps = min_size(tier->ring_len, WALK_MAX);

	for (size_t i = 0; i < steps; i++) {
		size_t position = tier->ring[(point + i) % tier->ring_len].position;

		if (refused[position / 64] >> position % 64 & 1)
			continue;
		if (claim(search, position))
			return (int)position;
		refused[position / 64] |= (uint64_t)1 << position % 64;
	}
	return choose_first(search, at);
}

static int choose_random(const struct search *search)
{
	const struct tier *tier = search->tier;
	uint64_t           random = search->query->random;
	int                choice[2], found = 0;

	for (int i = 0; i < DRAWS_MAX / 4 && found < 2; i++) {
		int position = tier->schedule[random % tier->schedule_len];

		random = hash_mix(random + 0x9e3779b97f4a7c15u);
		if ((found == 0 || choice[0] != position) && is_usable(search, (size_t)position))
			choice[found++] = position;
	}
	if (found == 2 && is_less_loaded(server_at(search->balance, tier, (size_t)choice[1]),
	                                 server_at(search->balance, tier, (size_t)choice[0]))) {
		int better = choice[1];

		choice[1] = choice[0];
		choice[0] = better;
	}
	for (int i = 0; i < found; i++) {
		if (claim(search, (size_t)choice[i]))
			return choice[i];
	}
	return choose_first(search, random);
}

static int choose_in_tier(const struct search *search)
{
	if (search->tier->count < 2)
		return choose_first(search, 0);
	switch (search->balance->kind) {
	case BALANCE_ROUND_ROBIN:
		return choose_round_robin(search);
	case BALANCE_LEAST_CONN:
		return choose_least_conn(search);
	case BALANCE_HASH:
		return choose_hash(search);
	case BALANCE_RANDOM:
		return choose_random(search);
	}
	return BALANCE_NONE;
}

int balance_choose(const struct balance *balance, const struct balance_query *query)
{
	struct search search = {.balance = balance, .query = query, .heeds_ejection = true};

	for (;;) {
		for (size_t i = 0; i < TIERS; i++) {
			int position;

			search.tier = &balance->tiers[i];
			position = choose_in_tier(&search);
			if (position != BALANCE_NONE)
				return search.tier->members[position];
		}
		if (!search.heeds_ejection)
			return BALANCE_NONE;
		search.heeds_ejection = false;
	}
}

void balance_release(const struct balance_server *server)
{
	counter_release(&server->state->active);
}

/* Verdicts */

/* One failure more; returns how many the running window has. Two workers that open a window at
 * once may count as one: a failure too few, never one too many. */
static uint32_t count_failure(const struct balance_server *server, uint64_t now_ms)
{
	struct server_state *state = server->state;
	uint64_t since = atomic_load_explicit(&state->fails_since_ms, memory_order_relaxed);
	uint32_t fails = atomic_load_explicit(&state->fails, memory_order_relaxed);

	if ((fails == 0 || now_ms >= since + server->fail_timeout_ms) &&
	    atomic_compare_exchange_strong_explicit(&state->fails_since_ms, &since, now_ms,
	                                            memory_order_relaxed, memory_order_relaxed)) {
		atomic_store_explicit(&state->fails, 1, memory_order_relaxed);
		return 1;
	}
	return atomic_fetch_add_explicit(&state->fails, 1, memory_order_relaxed) + 1;
}

void balance_failed(const struct balance *balance, const struct balance_server *server,
                    uint64_t now_ms)
{
	struct server_state *state = server->state;

	atomic_fetch_add_explicit(&state->failed_total, 1, memory_order_relaxed);
	if (balance->lone || server->max_fails == 0)
		return;
	/* Already ejected: this was its trial, or a session begun before, and says that it is
	 * still dead. */
	if (atomic_load_explicit(&state->ejected_until_ms, memory_order_relaxed) == 0 &&
	    count_failure(server, now_ms) < server->max_fails)
		return;
	atomic_store_explicit(&state->fails, 0, memory_order_relaxed);
	atomic_store_explicit(&state->ejected_until_ms, now_ms + server->fail_timeout_ms,
	                      memory_order_relaxed);
}

/* Read before written: success is the common case, and the line is shared by all workers. */
void balance_succeeded(const struct balance_server *server)
{
	struct server_state *state = server->state;

	if (atomic_load_explicit(&state->ejected_until_ms, memory_order_relaxed) == 0)
		return;
	atomic_store_explicit(&state->ejected_until_ms, 0, memory_order_relaxed);
}

/* The administrator */

void balance_set_order(const struct balance_server *server, enum balance_order order)
{
	atomic_store_explicit(&server->state->order, order, memory_order_relaxed);
}

enum balance_condition balance_condition_of(const struct balance_server *server, uint64_t now_ms,
                                            uint64_t *until_ms)
{
	const struct server_state *state = server->state;
	uint32_t order = atomic_load_explicit(&state->order, memory_order_relaxed);
	uint64_t until = atomic_load_explicit(&state->ejected_until_ms, memory_order_relaxed);

	*until_ms = 0;
	if (server->down || order == BALANCE_ORDER_DOWN)
		return BALANCE_DOWN;
	if (order == BALANCE_ORDER_DRAIN)
		return BALANCE_DRAINING;
	if (server->max_fails == 0 || until <= now_ms)
		return BALANCE_USABLE;
	*until_ms = until;
	return BALANCE_EJECTED;
}
