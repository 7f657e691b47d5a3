#include "load.h"

#include "peers.h"
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	IDLE_PARALLEL = 64, /* tunnels being opened at a time */
	SLACK_S = 30,       /* beyond its time, until the alarm ends a run */
};

bool load_init(struct load *load, const char *name, enum mode modes)
{
	static const char *const names[MODES] = {
		[MODE_BULK] = "bulk", [MODE_EXCHANGE] = "exchange",   [MODE_OPEN] = "open",
		[MODE_IDLE] = "idle", [MODE_HANDSHAKE] = "handshake", [MODE_FLOOD] = "flood"};

	load->settings.connections = 1;
	load->settings.warm_ms = 500;
	load->settings.time_ms = 1000;
	load->settings.size = 1024;
	for (unsigned i = 0; i < modes; i++) {
		if (strcmp(name, names[i]) == 0) {
			load->settings.mode = (enum mode)i;
			return true;
		}
	}
	return false;
}

static void read_hello(struct settings *settings, const char *path)
{
	int     fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, settings->hello, sizeof(settings->hello));

	if (got <= 0)
		die(path);
	close(fd);
	settings->hello_len = (size_t)got;
}

uint64_t load_number(const char *text)
{
	char              *end;
	unsigned long long number = strtoull(text, &end, 10);

	if (*end || end == text) {
		fprintf(stderr, "%s: %s is not a number\n", program_invocation_short_name, text);
		exit(2);
	}
	return number;
}

enum { HELLO, PID, UP, NUMBERS, COMMON = NUMBERS + 6, OPTIONS_MAX = 32 };

static void take_common(struct settings *settings, int option, const char *value)
{
	uint64_t *const numbers[COMMON - NUMBERS] = {
		&settings->target_port, &settings->backend_port, &settings->connections,
		&settings->size,        &settings->warm_ms,      &settings->time_ms,
	};

	if (option == HELLO)
		read_hello(settings, value);
	else if (option == UP)
		settings->up = true;
	else if (option != PID)
		*numbers[option - NUMBERS] = load_number(value);
	else if (settings->pid_count < METER_PIDS)
		settings->pids[settings->pid_count++] = (pid_t)load_number(value);
}

void load_read_options(struct load *load, int argc, char **argv, const struct option *own,
                       void (*take)(int option, const char *value))
{
	struct option names[OPTIONS_MAX] = {
		{"hello", required_argument, NULL, HELLO},
		{"pid", required_argument, NULL, PID},
		{"up", no_argument, NULL, UP},
		{"target", required_argument, NULL, NUMBERS},
		{"backend", required_argument, NULL, NUMBERS + 1},
		{"connections", required_argument, NULL, NUMBERS + 2},
		{"size", required_argument, NULL, NUMBERS + 3},
		{"warm", required_argument, NULL, NUMBERS + 4},
		{"time", required_argument, NULL, NUMBERS + 5},
	};
	int option;

	for (unsigned i = COMMON; own->name && i < OPTIONS_MAX - 1; i++)
		names[i] = *own++;
	while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (option == '?')
			exit(2);
		if (option >= LOAD_OWN)
			take(option, optarg);
		else
			take_common(&load->settings, option, optarg);
	}
}

void load_bound(const struct load *load)
{
	alarm((unsigned)(load->settings.warm_ms + load->settings.time_ms) / 1000 + SLACK_S);
}

void load_turn(struct load *load)
{
	peers_open_missing(load);
	peers_turn(load, 10);
}

static void run_for(struct load *load, uint64_t ms)
{
	uint64_t until_ns = meter_now_ns() + ms * 1000000u;

	while (meter_now_ns() < until_ns)
		load_turn(load);
}

void load_measure(struct load *load)
{
	const struct settings *settings = &load->settings;
	struct meter_cpu       begin, end;
	uint64_t               units, bytes;

	run_for(load, settings->warm_ms);
	units = load->units;
	bytes = load->bytes;
	load->measures = true;
	begin = meter_read_cpu(settings->pids, settings->pid_count);
	run_for(load, settings->time_ms);
	end = meter_read_cpu(settings->pids, settings->pid_count);
	printf("{\"seconds\": %.6f, \"units\": %" PRIu64 ", \"bytes\": %" PRIu64
	       ", \"errors\": %" PRIu64
	       ", \"load_cpu\": %.6f, \"proxy_cpu\": %.6f, \"foreign\": %.3f"
	       ", \"p50_us\": %.2f, \"p99_us\": %.2f, \"p999_us\": %.2f",
	       (double)(end.at_ns - begin.at_ns) / 1e9, load->units - units, load->bytes - bytes,
	       load->errors, (double)(end.own_ns - begin.own_ns) / 1e9,
	       (double)(end.proxy_ns - begin.proxy_ns) / 1e9, meter_foreign(&begin, &end),
	       meter_quantile_us(&load->latency, 0.5), meter_quantile_us(&load->latency, 0.99),
	       meter_quantile_us(&load->latency, 0.999));
}

void load_idle(struct load *load)
{
	uint64_t wanted = load->settings.connections;
	uint64_t open = 0;
	char     line[16];

	printf("listening\n");
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		exit(1);
	/* A unit is a tunnel that has made its exchange. */
	while (load->units < wanted) {
		load->missing = IDLE_PARALLEL - (open - load->units);
		if (load->missing > wanted - open)
			load->missing = wanted - open;
		open += load->missing;
		peers_open_missing(load);
		peers_turn(load, 100);
		if (load->errors)
			give_up("tunnel %" PRIu64 " failed: %s", open, strerror(errno));
	}
	printf("ready\n");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin))
		;
	peers_turn(load, 0); /* finds the tunnels that broke meanwhile */
	printf("{\"units\": %" PRIu64 ", \"errors\": %" PRIu64, load->units, load->errors);
}

uint64_t load_note_latency(struct load *load, uint64_t begun_ns)
{
	uint64_t now_ns = meter_now_ns();

	if (load->measures)
		meter_note(&load->latency, now_ns - begun_ns);
	return now_ns;
}
