/*
 * util: the few macros that everything uses, and the one way to abort.
 */
#ifndef BASE_UTIL_H
#define BASE_UTIL_H

#include <stddef.h>
#include <stdint.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define BIT(n)       (1u << (n))
#define MUST_CHECK   __attribute__((warn_unused_result))
#define PRINTF(f, a) __attribute__((format(printf, f, a)))

/* The struct that embeds *member*; the pointer's type is checked. */
#define container_of(pointer, type, member)                                                        \
	({                                                                                         \
		__typeof__(((type *)0)->member) *container_member = (pointer);                     \
		(type *)(void *)((char *)container_member - offsetof(type, member));               \
	})

/* Ends the program when *it* is wrong (never for what a peer, the network or an operator did):
 * prints file, line and the broken rule on stderr, then aborts. Kept in release builds. */
_Noreturn void die(const char *file, int line, const char *broken);

#define CHECK(rule) ((rule) ? (void)0 : die(__FILE__, __LINE__, #rule))

static inline uint32_t min_u32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static inline uint32_t max_u32(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

static inline size_t min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

#endif
