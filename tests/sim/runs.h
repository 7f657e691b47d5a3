/*
 * runs: what the seeded runs have in common, whoever acts in them.
 */
#ifndef TESTS_SIM_RUNS_H
#define TESTS_SIM_RUNS_H

#include <stdbool.h>
#include <stdint.h>

/* Small mostly, now and then as large as *most*. */
uint32_t runs_draw_size(uint32_t most);

/* One or several connections are told to end from outside. */
void runs_stop_something(void);

/* Everybody who has connected so far has a line in the log. */
bool runs_is_over(void);

/* The last bytes and ends are on their way to the actors. */
void runs_drain_network(void);

#endif
