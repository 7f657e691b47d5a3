/*
 * lending: how many receive buffers the kernel has at a time.
 *
 * The kernel hands buffers out in the order in which it got them. With all of them lent each goes
 * round through the whole memory and is cold when its turn comes; with few, what a receive writes
 * into is still in the cache. So only a window is lent: it doubles when receives find no buffer, and
 * halves when what the turns take has long been far less.
 */
#ifndef IO_LENDING_H
#define IO_LENDING_H

#include "base/util.h"

#include <stdbool.h>
#include <stdint.h>

enum {
	LENDING_LEAST = 16,   /* buffers */
	LENDING_PERIOD = 4096 /* turns */
};

struct lending {
	uint32_t window, most; /* buffers: wanted with the kernel; all there are */
	uint32_t lent;         /* with the kernel now */
	uint32_t taken, peak;  /* came back filled in this turn, in a turn of this period */
	uint32_t turns;        /* of this period */
};

void lending_init(struct lending *lending, uint32_t count);
/* How many are to be lent now, of *free* at hand; from then on they count as lent. */
MUST_CHECK uint32_t lending_lend(struct lending *lending, uint32_t free);
/* One came back filled. */
void lending_take(struct lending *lending);
/* Receives found no buffer. */
void lending_grow(struct lending *lending);
void lending_turn(struct lending *lending);

#endif
