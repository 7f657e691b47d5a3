/*
 * limit: how many sessions one client address holds, over the whole process.
 *
 * A fixed, set-associative table of atomic counters keyed by (scope, address; IPv6 by /64),
 * hashed with a random secret so that nobody can aim at a set. Any worker may call; no lock.
 * Full = an idle entry is evicted, else the caller is told.
 */
#ifndef POLICY_LIMIT_H
#define POLICY_LIMIT_H

#include "proto/addr.h"

#include <stdatomic.h>

enum limit_result { LIMIT_OK, LIMIT_EXCEEDED, LIMIT_TABLE_FULL };

struct limit_table; /* opaque; see limit_build */

/* *entries* is rounded up to a power of two, at least 16. The memory is lazily touched. NULL: no
 * memory. With twice as many entries as addresses in use practically none is ever refused for
 * want of room. */
struct limit_table *limit_build(size_t entries, const uint64_t secret[2]);
void                limit_free(struct limit_table *table);

/* Counts one more session of *client* in *scope* (a listener's registry number) unless that
 * makes more than *max* (0 admits nobody). On LIMIT_OK *ticket* names the entry; give it back
 * with limit_release exactly once. All clients without an IP address (unix) count as one: it is
 * the caller's to leave them out. */
MUST_CHECK enum limit_result limit_acquire(struct limit_table *table, uint32_t scope,
                                           const struct addr *client, uint32_t max,
                                           uint32_t *ticket);
void                         limit_release(struct limit_table *table, uint32_t ticket);

/* Sessions counted now, all entries together; for tests and status. */
uint64_t limit_total(const struct limit_table *table);

/* A plain bounded counter: takes one unless that makes more than *max* (0 = no bound). */
MUST_CHECK bool counter_acquire(_Atomic uint32_t *counter, uint32_t max);
void            counter_release(_Atomic uint32_t *counter);

#endif
