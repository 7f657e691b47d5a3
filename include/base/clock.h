/*
 * clock: the only place where time is read.
 *
 * A worker reads it once per loop turn and hands the value down; proto and policy never call it.
 * Deadlines are counted on the monotonic clock, which no administrator can set back; log times are
 * real time.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

uint64_t clock_ms(void);      /* CLOCK_MONOTONIC */
uint64_t clock_us(void);      /* the same clock, finer */
uint64_t clock_real_ms(void); /* since 1970, UTC */

enum { CLOCK_TEXT_LEN = 24 };

/* Writes *real_ms* as "2026-11-24T13:45:07.123Z" (RFC 3339), without a NUL; years past 9999 stay at
 * its end. Pure: reads no clock and no time zone. */
void clock_format(uint64_t real_ms, char out[CLOCK_TEXT_LEN]);

#endif
