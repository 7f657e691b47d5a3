/*
 * sizes: how many workers there are, on which CPUs, and how much each may hold.
 *
 * Turns the configuration's numbers and `auto`s into those the workers are started with. Pure: what
 * the machine offers is an argument, so that a test can invent one. Called by the loader, for a
 * start and for -t alike: a value that the host cannot carry is the operator's error in both.
 */
#ifndef PROCESS_SIZES_H
#define PROCESS_SIZES_H

#include "conf/conf.h"
#include "process/host.h"
#include "process/worker.h"

enum {
	SIZES_WORKERS_MAX = CONF_WORKERS_MAX,
	SIZES_CONNECTIONS_MAX = 1 << 20, /* of `auto` only */
};

struct sizes {
	uint32_t workers;
	int      cpus[SIZES_WORKERS_MAX]; /* of worker i; -1 = not pinned */
	uint64_t nofile;                  /* to raise the soft limit to */
	uint32_t pipes_wished; /* per worker; more than worker.pipe_pool: the host gave fewer */
	struct worker_sizes worker;
};

/* False: errors in *report*. */
MUST_CHECK bool sizes_plan(const struct conf *conf, const struct host *host,
                           struct conf_report *report, struct sizes *sizes);

/* For a process that runs with *running*: how many workers there shall be, and what those that are
 * started from now on hold; the ones that run keep what they have. *conf* has kept the keys that
 * need a restart (conf_read_again). What holds over the process stays: max_connections and nofile.
 * With many more workers than at start the files may then run out first; that is the shortage that
 * makes accepting wait, not an error. False: errors in *report*. */
MUST_CHECK bool sizes_plan_again(const struct conf *conf, const struct host *host,
                                 const struct sizes *running, struct conf_report *report,
                                 struct sizes *sizes);

/* One line for the log: what was planned and the memory behind it, never more than *size* bytes
 * with its NUL. */
void sizes_describe(const struct sizes *sizes, char *text, size_t size);

#endif
