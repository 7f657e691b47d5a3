/*
 * sim: what the program's parts give each other.
 */
#ifndef TESTS_SIM_SIM_H
#define TESTS_SIM_SIM_H

#include <stdint.h>

/* A named test. */
struct directed {
	const char *name;
	void (*run)(void);
};

enum { DIRECTED_MAX = 8 };

/* One for each program of the simulation; sim.c runs it. */
struct sim_program {
	const char            *name;
	uint64_t               seeds;                  /* if it is not told how many */
	const struct directed *directed[DIRECTED_MAX]; /* each ends with a NULL name */
	/* One world of actors, drawn from *seed*, from start to end; fails or returns. */
	void (*run)(uint64_t seed);
	/* NULL: there is nothing to prepare. */
	void (*open)(void);
	void (*close)(void);
};

extern const struct sim_program sim_program;

extern const struct directed directed_relays[], directed_ends[], directed_starttls[],
	directed_sweeps[], directed_accepts[], directed_secure[];

#endif
