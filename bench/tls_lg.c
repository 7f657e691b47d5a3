/*
 * tls_lg: the load and the backend of the benchmark of termination in one thread and one epoll, as
 * lg is for passthrough: clients speak TLS (OpenSSL), the backend plain bytes.
 *
 *   tls_lg handshake  connections: a handshake (with --resume an abbreviated one), then close_notify; the next one
 *   tls_lg flood      the hello of --hello, until the server's flight comes, then away: costs the server all, us
 *                     nothing
 *   tls_lg open       connections: a handshake, a request of 200 bytes, an answer of --size, then close_notify
 *   tls_lg exchange   requests and answers over kept connections; --pace-us: a request of each so often, its
 *                     latency counts from when it was due
 *   tls_lg bulk       streams that never end, down (backend to client) or up
 *   tls_lg idle       sessions that make one exchange, then nothing, until stdin ends
 *
 * What is measured is printed as one line of JSON. A run is bounded by --warm and --time, at worst
 * by an alarm.
 */
#include "peers.h"
#include "tls_ends.h"
#include "tool.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static struct tls_ends tls = {
	.settings = {.name = "localhost", .groups = "X25519", .version = TLS1_3_VERSION},
};

/* A run that is asked to resume begins when one client has fetched what to resume. */
static void fetch_session(struct load *load)
{
	uint64_t until_ns = meter_now_ns() + 5000000000u;

	load->missing = 1;
	while (!tls.session && meter_now_ns() < until_ns)
		load_turn(load);
	if (!tls.session)
		give_up("the proxy gave no session to resume");
	load->missing += load->settings.connections - 1;
}

/* Kept connections are there before what is done over them is measured. */
static void open_kept(struct load *load)
{
	uint64_t until_ns = meter_now_ns() + 10000000000u;

	while (tls.full < load->settings.connections) {
		load_turn(load);
		if (meter_now_ns() > until_ns)
			give_up("%" PRIu64 " of %" PRIu64 " connections came up", tls.full,
			        load->settings.connections);
	}
}

static void run_measured(struct load *load)
{
	const struct settings *settings = &load->settings;

	load->missing = settings->connections;
	if (tls.settings.resumes)
		fetch_session(load);
	if (settings->mode == MODE_EXCHANGE || settings->mode == MODE_BULK)
		open_kept(load);
	tls.full = tls.resumed = 0;
	load_measure(load);
	printf(", \"full\": %" PRIu64 ", \"resumed\": %" PRIu64, tls.full, tls.resumed);
}

enum { RESUME = LOAD_OWN, TLS, NAME, GROUPS, CIPHERS, PACE };

static const struct option options[] = {
	{"resume", no_argument, NULL, RESUME},
	{"tls", required_argument, NULL, TLS},
	{"name", required_argument, NULL, NAME},
	{"groups", required_argument, NULL, GROUPS},
	{"ciphers", required_argument, NULL, CIPHERS},
	{"pace-us", required_argument, NULL, PACE},
	{NULL, 0, NULL, 0},
};

static void take_option(int option, const char *value)
{
	struct tls_settings *settings = &tls.settings;

	switch (option) {
	case RESUME:
		settings->resumes = true;
		break;
	case TLS:
		settings->version = strcmp(value, "1.2") == 0 ? TLS1_2_VERSION : TLS1_3_VERSION;
		break;
	case NAME:
		settings->name = value;
		break;
	case GROUPS:
		settings->groups = value;
		break;
	case CIPHERS:
		settings->ciphers = value;
		break;
	case PACE:
		settings->pace_us = load_number(value);
		break;
	}
}

int main(int argc, char **argv)
{
	static struct load load;

	if (argc < 2 || !load_init(&load, argv[1], MODES)) {
		fprintf(stderr, "tls_lg: handshake | flood | open | exchange | bulk | idle\n");
		return 2;
	}
	load_read_options(&load, argc - 1, argv + 1, options, take_option);
	if (!tls.settings.ciphers)
		tls.settings.ciphers =
			tls.settings.version == TLS1_3_VERSION
				? "TLS_AES_128_GCM_SHA256"
				: "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256";
	load_bound(&load);
	tls_ends_init(&load, &tls);
	if (load.settings.mode == MODE_IDLE)
		load_idle(&load);
	else
		run_measured(&load);
	printf(", \"tls\": \"%s\"}\n", tls.what);
	tls_ends_fini(&load);
	return 0;
}
