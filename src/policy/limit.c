#include "policy/limit.h"

#include <stdlib.h>

/*
 * An entry's key is kept whole, in two words beside its state word, so that no two addresses
 * ever share a limit. The state word is (generation, phase, count), and only it is compared and
 * exchanged:
 *
 *	FREE ──▶ WRITING ──▶ TENTATIVE ──▶ HELD, and from HELD with count 0 (idle) to WRITING
 *
 * A key belongs to one generation. Whoever moves an entry to WRITING begins a new generation and
 * alone writes the key; so a state read twice alike with the key read in between gives a true
 * key, and an exchange from that state succeeds only if the key is still the one that was read.
 *
 * Two threads may bring the same new key at once, into different entries. Both then stand
 * TENTATIVE and look at all the others before they may go to HELD; in the one order of all these
 * (sequentially consistent) accesses the later to publish sees the earlier one: HELD already,
 * and gives up its own, or TENTATIVE, and takes that away (TENTATIVE to FREE; the owner's step
 * to HELD then fails and he starts again). So no key is ever held twice, and nobody waits for a
 * thread that the scheduler has put aside.
 */
enum phase { PHASE_FREE, PHASE_WRITING, PHASE_TENTATIVE, PHASE_HELD };

enum {
	WAYS = 8,
	CHOICES = 2 *
	          WAYS, /* a key may lie in either of two sets: at half load none is ever full */
	COUNT_BITS = 32,
	PHASE_BITS = 2,
	ENTRIES_MIN = CHOICES,
	RETRIES_MAX =
		1000, /* a set in which everything moves all the time: give up as if it were full */
};

struct entry {
	_Atomic uint64_t state;
	_Atomic uint64_t scope_family;
	_Atomic uint64_t address;
};

struct limit_table {
	struct entry *entries;
	size_t        count;
	uint64_t      secret[2];
};

struct key {
	uint64_t scope_family, address;
	uint32_t sets[2]; /* first entries of its sets */
};

static uint64_t state_of(uint64_t generation, enum phase phase, uint32_t count)
{
	return generation << (PHASE_BITS + COUNT_BITS) | (uint64_t)phase << COUNT_BITS | count;
}

static uint64_t generation_of(uint64_t state)
{
	return state >> (PHASE_BITS + COUNT_BITS);
}

static enum phase phase_of(uint64_t state)
{
	return (enum phase)(state >> COUNT_BITS & (BIT(PHASE_BITS) - 1));
}

static uint32_t count_of(uint64_t state)
{
	return (uint32_t)state;
}

static uint64_t rotate(uint64_t word, unsigned bits)
{
	return word << bits | word >> (64 - bits);
}

static void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] = rotate(v[0], 32);
	v[2] += v[1];
	v[0] += v[3];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] = rotate(v[2], 32);
}

/* SipHash-1-3 of two words (Aumasson, Bernstein 2012): who does not know the secret cannot aim
 * at a set. */
static uint64_t keyed_hash(const uint64_t secret[2], uint64_t first, uint64_t second)
{
	const uint64_t message[] = {first, second, (uint64_t)2 * sizeof(uint64_t) << 56};

	uint64_t v[4] = {
		secret[0] ^ 0x736f6d6570736575u,
		secret[1] ^ 0x646f72616e646f6du,
		secret[0] ^ 0x6c7967656e657261u,
		secret[1] ^ 0x7465646279746573u,
	};

	for (size_t i = 0; i < COUNT(message); i++) {
		v[3] ^= message[i];
		sip_round(v);
		v[0] ^= message[i];
	}
	v[2] ^= 0xff;
	for (int i = 0; i < 3; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static uint64_t address_word(const struct addr *addr)
{
	size_t   len = addr->family == ADDR_IP4 ? 4 : addr->family == ADDR_IP6 ? 8 : 0;
	uint64_t word = 0;

	for (size_t i = 0; i < len; i++)
		word = word << 8 | addr->ip[i];
	return word;
}

static struct key key_of(const struct limit_table *table, uint32_t scope, const struct addr *client)
{
	struct key key = {(uint64_t)scope << 8 | client->family, address_word(client), {0}};
	uint64_t   hash = keyed_hash(table->secret, key.scope_family, key.address);
	uint32_t   last = (uint32_t)(table->count / WAYS - 1);
	uint32_t   first_set = (uint32_t)hash & last, second_set = (uint32_t)(hash >> 32) & last;

	if (second_set == first_set)
		second_set = first_set ^ 1;
	key.sets[0] = first_set * WAYS;
	key.sets[1] = second_set * WAYS;
	return key;
}

static uint32_t index_of(const struct key *key, uint32_t choice)
{
	return key->sets[choice / WAYS] + choice % WAYS;
}

/* True: the entry has *key* in a phase in which keys are readable; *state* is what it was then. */
static bool has_key(struct entry *entry, const struct key *key, uint64_t *state)
{
	bool same;

	for (;;) {
		*state = entry->state;
		if (phase_of(*state) < PHASE_TENTATIVE)
			return false;
		same = entry->scope_family == key->scope_family && entry->address == key->address;
		if (generation_of(entry->state) == generation_of(*state))
			return same;
	}
}

struct view {
	uint32_t held;      /* the entry that holds the key; UINT32_MAX: none */
	uint32_t evictable; /* an entry that may be taken for it, likewise */
	uint64_t state;     /* of the one or the other */
	bool     moving;    /* something was between two phases: look again before despairing */
};

/* The key's own entry, else a free or idle one in the emptier of its two sets. */
static struct view look(struct limit_table *table, const struct key *key)
{
	struct view view = {.held = UINT32_MAX, .evictable = UINT32_MAX};
	uint32_t    most = 0;

	for (uint32_t set = 0; set < 2; set++) {
		uint32_t found = UINT32_MAX, usable = 0;
		uint64_t found_state = 0, state;

		for (uint32_t index = key->sets[set]; index < key->sets[set] + WAYS; index++) {
			bool       same = has_key(&table->entries[index], key, &state);
			enum phase phase = phase_of(state);

			if (same && phase == PHASE_HELD) {
				view.held = index;
				view.state = state;
				return view;
			}
			view.moving |= phase == PHASE_WRITING || phase == PHASE_TENTATIVE;
			if (phase == PHASE_FREE || (phase == PHASE_HELD && count_of(state) == 0)) {
				found = index;
				found_state = state;
				usable++;
			}
		}
		if (usable > most) {
			most = usable;
			view.evictable = found;
			view.state = found_state;
		}
	}
	return view;
}

/* Takes the key away from whoever is about to hold it elsewhere; false: somebody holds it
 * already. */
static bool is_ours_alone(struct limit_table *table, const struct key *key, uint32_t ours)
{
	for (uint32_t choice = 0; choice < CHOICES; choice++) {
		struct entry *entry = &table->entries[index_of(key, choice)];
		uint64_t      state;

		if (index_of(key, choice) == ours)
			continue;
		while (has_key(entry, key, &state)) {
			if (phase_of(state) == PHASE_HELD)
				return false;
			if (atomic_compare_exchange_strong(
				    &entry->state, &state,
				    state_of(generation_of(state), PHASE_FREE, 0)))
				break;
		}
	}
	return true;
}

/* Turns the free or idle entry, seen as *seen*, into the key's, with one session. */
static bool take_over(struct limit_table *table, const struct key *key, uint32_t index,
                      uint64_t seen)
{
	struct entry *entry = &table->entries[index];
	uint64_t      generation = generation_of(seen) + 1;
	uint64_t      tentative = state_of(generation, PHASE_TENTATIVE, 0);

	if (!atomic_compare_exchange_strong(&entry->state, &seen,
	                                    state_of(generation, PHASE_WRITING, 0)))
		return false;
	entry->scope_family = key->scope_family;
	entry->address = key->address;
	entry->state = tentative;
	if (is_ours_alone(table, key, index))
		return atomic_compare_exchange_strong(&entry->state, &tentative,
		                                      state_of(generation, PHASE_HELD, 1));
	/* Unsuccessful only if another thread has freed it for us. */
	(void)atomic_compare_exchange_strong(&entry->state, &tentative,
	                                     state_of(generation, PHASE_FREE, 0));
	return false;
}

struct limit_table *limit_build(size_t entries, const uint64_t secret[2])
{
	struct limit_table *table = calloc(1, sizeof(*table));
	size_t              count = ENTRIES_MIN;

	while (count < entries && count < BIT(31))
		count *= 2;
	if (!table || count < entries)
		goto fail;
	/* All zero is all free. calloc leaves a large table untouched. */
	table->entries = calloc(count, sizeof(*table->entries));
	if (!table->entries)
		goto fail;
	table->count = count;
	table->secret[0] = secret[0];
	table->secret[1] = secret[1];
	return table;
fail:
	free(table);
	return NULL;
}

void limit_free(struct limit_table *table)
{
	if (!table)
		return;
	free(table->entries);
	free(table);
}

enum limit_result limit_acquire(struct limit_table *table, uint32_t scope,
                                const struct addr *client, uint32_t max, uint32_t *ticket)
{
	struct key key = key_of(table, scope, client);

	if (max == 0)
		return LIMIT_EXCEEDED;
	for (int retry = 0; retry < RETRIES_MAX; retry++) {
		struct view view = look(table, &key);

		if (view.held != UINT32_MAX) {
			if (count_of(view.state) >= max)
				return LIMIT_EXCEEDED;
			*ticket = view.held;
			if (atomic_compare_exchange_strong(&table->entries[view.held].state,
			                                   &view.state, view.state + 1))
				return LIMIT_OK;
		} else if (view.evictable != UINT32_MAX) {
			*ticket = view.evictable;
			if (take_over(table, &key, view.evictable, view.state))
				return LIMIT_OK;
		} else if (!view.moving) {
			return LIMIT_TABLE_FULL;
		}
	}
	return LIMIT_TABLE_FULL;
}

void limit_release(struct limit_table *table, uint32_t ticket)
{
	uint64_t before;

	CHECK(ticket < table->count);
	before = atomic_fetch_sub(&table->entries[ticket].state, 1);
	CHECK(phase_of(before) == PHASE_HELD && count_of(before) > 0);
}

uint64_t limit_total(const struct limit_table *table)
{
	uint64_t total = 0;

	for (size_t i = 0; i < table->count; i++)
		total += count_of(table->entries[i].state);
	return total;
}

bool counter_acquire(_Atomic uint32_t *counter, uint32_t max)
{
	uint32_t count = atomic_load_explicit(counter, memory_order_relaxed);

	if (max == 0) {
		atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
		return true;
	}
	while (count < max) {
		if (atomic_compare_exchange_weak_explicit(
			    counter, &count, count + 1, memory_order_relaxed, memory_order_relaxed))
			return true;
	}
	return false;
}

void counter_release(_Atomic uint32_t *counter)
{
	CHECK(atomic_fetch_sub_explicit(counter, 1, memory_order_relaxed) > 0);
}
