/*
 * load: what the load generators have in common: the settings that both are given, the counts, and
 * the run: so long until it is warm, so long measured, or tunnels that idle. What the connections
 * do is ends.c's and tls_ends.c's, which count into struct load. The caller prints what a line of
 * JSON has beyond the common fields.
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include "meter.h"

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>

enum {
	LOAD_REQUEST = 200, /* bytes of a request */
	LOAD_HELLO_MAX = 16 * 1024,
};

/* From MODE_HANDSHAKE on those of tls_lg alone. */
enum mode { MODE_BULK, MODE_EXCHANGE, MODE_OPEN, MODE_IDLE, MODE_HANDSHAKE, MODE_FLOOD, MODES };

struct settings {
	enum mode mode;
	bool      up;
	uint64_t  connections, warm_ms, time_ms;
	uint64_t  size; /* bytes of an answer */
	uint64_t  target_port, backend_port;
	pid_t     pids[METER_PIDS];
	unsigned  pid_count;
	uint8_t   hello[LOAD_HELLO_MAX];
	size_t    hello_len;
};

struct load {
	struct settings      settings;
	const struct ends   *ends; /* what the connections do, see peers.h */
	int                  epoll, listener;
	int                  file;    /* what backends send, 0: bytes from memory */
	uint64_t             missing; /* clients to be opened */
	uint64_t             units, bytes, errors;
	bool                 measures; /* latencies are noted */
	struct meter_latency latency;
};

/* Sets the mode and what one who says nothing gets. False when *name* is none of the first
 * *modes*. */
bool load_init(struct load *load, const char *name, enum mode modes);

enum { LOAD_OWN = 64 }; /* the first number of a program's own options */

/* Reads the options that both have, and *own*, to the entry without a name; *take* is given those.
 * What is wrong ends the program with 2. */
void load_read_options(struct load *load, int argc, char **argv, const struct option *own,
                       void (*take)(int option, const char *value));

/* A number of the command line; what is none ends the program with 2. */
uint64_t load_number(const char *text);

/* Sets the alarm that ends a run which does not end by itself; settings are complete. */
void load_bound(const struct load *load);

/* Opens what is missing and handles what happens, 10 ms at most. */
void load_turn(struct load *load);

/* Warms, measures and prints the figures: an object of JSON that the caller closes. */
void load_measure(struct load *load);

/* Says "listening", "ready" when all tunnels idle; a line on stdin starts it, the end of stdin ends
 * it. Then prints the counts: an object that the caller closes. A tunnel that fails to open ends
 * the program. */
void load_idle(struct load *load);

/* Notes the time since then, when the run is measured. Returns what time it is. */
uint64_t load_note_latency(struct load *load, uint64_t begun_ns);

#endif
