/*
 * lg: the load and the backend of the benchmark in one thread and one epoll, so that a core of its
 * own is all that the two need, and so that both ends' cost is known exactly.
 *
 *   lg bulk      streams that never end, down (backend to client) or up
 *   lg exchange  requests of 200 bytes, answers of --size, one outstanding per connection
 *   lg open      connections: hello in, answer of --size out, the backend closes first, the next one
 *   lg idle      tunnels that make one exchange, then nothing, until stdin ends
 *
 * Every connection begins with the ClientHello of --hello; the backend checks that it comes through
 * unchanged. What is measured is printed as one line of JSON. A run is bounded by --warm and
 * --time, at worst by an alarm.
 */
#include "ends.h"
#include "peers.h"

#include <stdio.h>

enum { SENDFILE = LOAD_OWN, FASTOPEN };

static const struct option options[] = {
	{"sendfile", no_argument, NULL, SENDFILE},
	{"fastopen", required_argument, NULL, FASTOPEN},
	{NULL, 0, NULL, 0},
};

static bool     sends_file;
static uint64_t fastopen;

static void take_option(int option, const char *value)
{
	if (option == SENDFILE)
		sends_file = true;
	else
		fastopen = load_number(value);
}

int main(int argc, char **argv)
{
	static struct load load;

	if (argc < 2 || !load_init(&load, argv[1], MODE_HANDSHAKE)) {
		fprintf(stderr, "lg: bulk | exchange | open | idle\n");
		return 2;
	}
	load_read_options(&load, argc - 1, argv + 1, options, take_option);
	load_bound(&load);
	ends_init(&load, sends_file, fastopen);
	if (load.settings.mode == MODE_IDLE) {
		load_idle(&load);
	} else {
		load.missing = load.settings.connections;
		load_measure(&load);
	}
	printf("}\n");
	peers_fini(&load);
	return 0;
}
