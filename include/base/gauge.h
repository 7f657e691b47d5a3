/*
 * gauge: numbers that one thread counts and any thread may read.
 *
 * There is one writer, so counting is a plain load and store, never a locked instruction. What
 * several threads count is not for these.
 */
#ifndef BASE_GAUGE_H
#define BASE_GAUGE_H

#include <stdatomic.h>

#define GAUGE_GET(gauge)        atomic_load_explicit(&(gauge), memory_order_relaxed)
#define GAUGE_SET(gauge, value) atomic_store_explicit(&(gauge), (value), memory_order_relaxed)
#define GAUGE_ADD(gauge, n)     GAUGE_SET(gauge, GAUGE_GET(gauge) + (n))

#endif
