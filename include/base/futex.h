/*
 * futex: sleeping until a word changes, and waking who sleeps on it; within one process.
 *
 * Owns nothing and decides nothing: whoever waits looks at his word and his clock again afterwards,
 * since a wait may end early for any reason (futex(2)).
 */
#ifndef BASE_FUTEX_H
#define BASE_FUTEX_H

#include <linux/futex.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Sleeps while *word* holds *value*, at most *timeout_ms*; UINT64_MAX = for ever. */
static inline void futex_wait(_Atomic uint32_t *word, uint32_t value, uint64_t timeout_ms)
{
	struct timespec timeout = {
		.tv_sec = (time_t)(timeout_ms / 1000),
		.tv_nsec = (long)(timeout_ms % 1000) * 1000000L,
	};

	(void)syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value,
	              timeout_ms == UINT64_MAX ? NULL : &timeout, NULL, 0);
}

static inline void futex_wake(_Atomic uint32_t *word)
{
	(void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

#endif
