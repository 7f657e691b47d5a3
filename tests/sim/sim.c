/*
 * The session layer on a simulated kernel: `sim [--seeds N] [--first S] [--verbose]`. First the
 * directed tests, one line each, then N worlds drawn from seeds; a seed that fails does so again
 * with --first S --seeds 1.
 */
#include "sim/sim.h"

#include "sim/kernel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
	uint64_t seeds, first, seed;
	bool     is_directed;
	jmp_buf  after_failure;
} sim = {.seeds = UINT64_MAX, .first = 1};

_Noreturn void fail(const char *format, ...)
{
	va_list args;

	if (sim.is_directed)
		printf("  ");
	else
		printf("FAIL %s: seed %llu: ", sim_program.name, (unsigned long long)sim.seed);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
	longjmp(sim.after_failure, 1);
}

/* In place of base/util's: the session layer's own CHECKs are failures of a seed. */
_Noreturn void die(const char *file, int line, const char *broken)
{
	fail("%s:%d: broken rule: %s", file, line, broken);
}

static int run_directed(const struct directed *tests)
{
	volatile int failures = 0;

	sim.is_directed = true;
	for (const struct directed *volatile test = tests; test->name; test++) {
		if (setjmp(sim.after_failure) == 0) {
			test->run();
			printf("ok %s\n", test->name);
		} else {
			printf("FAIL %s\n", test->name);
			failures++;
		}
		fflush(stdout);
	}
	sim.is_directed = false;
	return failures;
}

static int run_seeds(void)
{
	if (setjmp(sim.after_failure) != 0)
		return 1;
	for (sim.seed = sim.first; sim.seed < sim.first + sim.seeds; sim.seed++)
		sim_program.run(sim.seed);
	printf("ok %s_%llu_seeds\n", sim_program.name, (unsigned long long)sim.seeds);
	return 0;
}

static bool read_number(const char *text, uint64_t *number)
{
	char *end;

	if (!text)
		return false;
	*number = strtoull(text, &end, 10);
	return *text != '\0' && *end == '\0';
}

int main(int argc, char **argv)
{
	int failures = 0;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--verbose") == 0) {
			kernel.is_verbose = true;
		} else if (strcmp(argv[i], "--seeds") == 0 &&
		           read_number(argv[i + 1], &sim.seeds)) {
			i++;
		} else if (strcmp(argv[i], "--first") == 0 &&
		           read_number(argv[i + 1], &sim.first)) {
			i++;
		} else {
			fprintf(stderr, "usage: %s [--seeds N] [--first S] [--verbose]\n", argv[0]);
			return 2;
		}
	}
	if (sim.seeds == UINT64_MAX)
		sim.seeds = sim_program.seeds;
	if (sim_program.open)
		sim_program.open();
	for (size_t i = 0; i < DIRECTED_MAX && sim_program.directed[i]; i++)
		failures += run_directed(sim_program.directed[i]);
	if (sim.seeds > 0)
		failures += run_seeds();
	if (sim_program.close && failures == 0)
		sim_program.close();
	return failures != 0;
}
