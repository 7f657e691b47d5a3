/*
 * hello_laws: what must hold of hello_parse for any bytes; asked by the unit tests and the fuzzer.
 *
 * Prefix: once OK or BAD, more bytes change nothing; every shorter prefix gave MORE. Split: records
 * cut anywhere give the same answer. Every call gets its bytes and its scratch in heap blocks of
 * the exact size, so that a sanitizer sees the first byte read or written beyond them.
 */
#ifndef TESTS_UNIT_HELLO_LAWS_H
#define TESTS_UNIT_HELLO_LAWS_H

#include "hello_maker.h"
#include "proto/hello.h"

/* A parse and all that its spans point to. */
struct reading {
	enum hello_result result;
	struct hello      hello;
	uint8_t          *bytes, *scratch;
};

static inline void reading_take(struct reading *reading, struct span bytes, size_t limit)
{
	reading->bytes = malloc(bytes.len ? bytes.len : 1);
	reading->scratch = malloc(limit ? limit : 1);
	if (!reading->bytes || !reading->scratch)
		abort();
	if (bytes.len > 0)
		memcpy(reading->bytes, bytes.data, bytes.len);
	reading->result = hello_parse(span_of(reading->bytes, bytes.len), limit, reading->scratch,
	                              &reading->hello);
}

static inline void reading_drop(struct reading *reading)
{
	free(reading->bytes);
	free(reading->scratch);
}

static inline bool reading_is_same(const struct reading *a, const struct reading *b)
{
	const struct hello *x = &a->hello, *y = &b->hello;

	if (a->result != b->result)
		return false;
	if (a->result != HELLO_OK)
		return true;
	return span_equal(x->message, y->message) && span_equal(x->name, y->name) &&
	       span_equal(x->alpn, y->alpn) && span_equal(x->ciphers, y->ciphers) &&
	       span_equal(x->groups, y->groups) &&
	       span_equal(x->signature_algorithms, y->signature_algorithms) &&
	       x->versions == y->versions && x->ech == y->ech;
}

/* Whether *bytes*, shortened to *len*, may give what they give. *decided*: an even shorter run did
 * not say MORE. Go up with *len*. */
static inline bool prefix_agrees(const struct reading *whole, struct span bytes, size_t len,
                                 size_t limit, bool *decided)
{
	struct reading prefix;
	bool           agrees;

	reading_take(&prefix, span_of(bytes.data, len), limit);
	agrees = prefix.result == HELLO_MORE ? !*decided : reading_is_same(&prefix, whole);
	if (prefix.result != HELLO_MORE)
		*decided = true;
	reading_drop(&prefix);
	return agrees;
}

static inline bool prefix_law_holds(struct span bytes, size_t limit, size_t step)
{
	struct reading whole;
	bool           decided = false, holds = true;

	reading_take(&whole, bytes, limit);
	for (size_t len = 0; len <= bytes.len && holds; len += step)
		holds = prefix_agrees(&whole, bytes, len, limit, &decided);
	reading_drop(&whole);
	return holds;
}

/* *message* is a handshake message whose header tells its true length. */
static inline bool split_law_holds(struct span message, size_t step)
{
	size_t         limit = message.len * 6 + 64;
	uint8_t       *wire = malloc(limit);
	struct reading whole, cut;
	bool           holds = true;

	if (!wire)
		abort();
	reading_take(&whole, make_records(message, 0, 1 << 14, wire), limit);
	for (size_t at = 1; at < message.len && at <= 1 << 14 && holds; at += step) {
		reading_take(&cut, make_records(message, at, 1 << 14, wire), limit);
		holds = reading_is_same(&cut, &whole);
		reading_drop(&cut);
	}
	for (size_t each = 1; each <= 50 && holds; each += 49) {
		reading_take(&cut, make_records(message, 0, each, wire), limit);
		holds = reading_is_same(&cut, &whole);
		reading_drop(&cut);
	}
	reading_drop(&whole);
	free(wire);
	return holds;
}

#endif
