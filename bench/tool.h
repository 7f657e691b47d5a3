/*
 * tool: how the load generators end when they cannot go on: a line on stderr that begins with the
 * program's name. Never for the failure of one connection, which is counted. Called by all of
 * bench.
 */
#ifndef BENCH_TOOL_H
#define BENCH_TOOL_H

/* Says why on stderr, with errno, and ends the program with 1. */
_Noreturn void die(const char *what);

/* The same without errno; *format* is printf's. */
_Noreturn void give_up(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
