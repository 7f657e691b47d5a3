/*
 * ends: the two ends of lg's connections: clients that begin with a hello, and the backend, which
 * checks that it comes through unchanged. They count what they move into struct load; for how long
 * is load's.
 */
#ifndef BENCH_ENDS_H
#define BENCH_ENDS_H

#include "load.h"

/* Makes the peers; settings are complete. *sends_file*: the backend sends by sendfile; *fastopen*
 * as peers_init takes it. */
void ends_init(struct load *load, bool sends_file, uint64_t fastopen);

#endif
