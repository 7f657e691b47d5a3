/*
 * hash: one 64-bit hash for tables whose keys are the operator's, and for placing things evenly.
 *
 * Stable over time, machines and versions (the balancer's ring depends on it). Not for tables
 * into which strangers put keys: it has no secret (policy/limit has a keyed hash of its own).
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/span.h"

#define HASH_START 0xcbf29ce484222325u /* FNV-1a, 64 bits */

/* One byte more; finish with hash_mix. */
static inline uint64_t hash_step(uint64_t hash, uint8_t byte)
{
	return (hash ^ byte) * 0x100000001b3u;
}

/* Spreads every bit of *value* over all 64 (splitmix64's finalizer); a bijection. */
static inline uint64_t hash_mix(uint64_t value)
{
	value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9u;
	value = (value ^ value >> 27) * 0x94d049bb133111ebu;
	return value ^ value >> 31;
}

static inline uint64_t hash_bytes(struct span bytes)
{
	uint64_t hash = HASH_START;

	for (size_t i = 0; i < bytes.len; i++)
		hash = hash_step(hash, bytes.data[i]);
	return hash_mix(hash);
}

#endif
