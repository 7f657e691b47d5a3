/*
 * wheel: timers by the thousand; adding, moving and cancelling one is O(1).
 *
 * Hierarchical timing wheel of WHEEL_TICK_MS. A timer never fires early; it may fire up to one
 * tick late. Time is an argument (CLOCK_MONOTONIC milliseconds). Single-threaded; the owner's
 * memory; no allocation.
 */
#ifndef POLICY_WHEEL_H
#define POLICY_WHEEL_H

#include "base/list.h"
#include "base/util.h"

#include <stdint.h>

enum { WHEEL_TICK_MS = 8, WHEEL_LEVELS = 4, WHEEL_SLOTS = 64 };

struct timer {
	struct list link; /* in a slot, or alone: not armed */
	uint64_t    expires_ms;
};

struct wheel {
	struct list slots[WHEEL_LEVELS][WHEEL_SLOTS];
	uint64_t    occupied[WHEEL_LEVELS]; /* a bit per slot that may hold timers */
	uint64_t    tick;                   /* the last tick expired */
	uint32_t    armed;
};

void wheel_init(struct wheel *wheel, uint64_t now_ms);

void timer_init(struct timer *timer);
bool timer_is_armed(const struct timer *timer);

/* Arms or moves *timer*. A time in the past (before the tick last expired) fires at the
 * next wheel_expire. */
void wheel_set(struct wheel *wheel, struct timer *timer, uint64_t expires_ms);
void wheel_cancel(struct wheel *wheel, struct timer *timer);

/* Milliseconds until wheel_expire may have work, rounded so that no wake-up is wasted;
 * UINT64_MAX when no timer is armed. May be early for far timers (a cascade), never late. */
uint64_t wheel_next_ms(const struct wheel *wheel, uint64_t now_ms);

/* Calls fired() for every timer due at *now_ms*, each already disarmed; fired() may set it
 * again. */
/* clang-format off */
void wheel_expire(struct wheel *wheel, uint64_t now_ms,
                  void (*fired)(struct timer *timer, void *context), void *context);
/* clang-format on */

#endif
