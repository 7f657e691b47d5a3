/*
 * sim: what the program's parts give each other.
 */
#ifndef TESTS_SIM_SIM_H
#define TESTS_SIM_SIM_H

#include <stdint.h>

/* One world of actors, drawn from *seed*, from start to end; fails or returns. */
void seeded_run(uint64_t seed);

/* The named tests. */
struct directed {
	const char *name;
	void (*run)(void);
};
/* Each ends with a NULL name. */
extern const struct directed directed_relays[], directed_ends[], directed_starttls[],
	directed_sweeps[];

#endif
