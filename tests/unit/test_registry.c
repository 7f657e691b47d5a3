#include "site/registry.h"

#include "test.h"

#include <arpa/inet.h>
#include <pthread.h>

static struct addr address(uint32_t number)
{
	struct addr addr = {.family = ADDR_IP4};
	uint32_t    wire = htonl(number);

	memcpy(addr.ip, &wire, sizeof(wire));
	return addr;
}

TEST(the_same_name_finds_the_same_entry_again)
{
	struct registry     *registry = registry_new(100);
	struct server_state *server = registry_server(registry, "u", "10.0.0.1:443");
	struct route_state  *route = registry_route(registry, "r");
	char                 copy[] = "u";

	server->active = 7;
	EXPECT(registry_server(registry, copy, "10.0.0.1:443") == server);
	EXPECT_EQ(registry_server(registry, "u", "10.0.0.1:443")->active, 7);
	EXPECT(registry_route(registry, "r") == route);
	EXPECT(registry_cursor(registry, "u") == registry_cursor(registry, "u"));
	EXPECT(registry_listener(registry, "l") == registry_listener(registry, "l"));
	registry_free(registry);
}

TEST(different_names_and_different_kinds_never_share_an_entry)
{
	struct registry *registry = registry_new(100);
	void            *states[8];

	states[0] = registry_server(registry, "ab", "c");
	states[1] = registry_server(registry, "a", "bc");
	states[2] = registry_server(registry, "abc", "");
	states[3] = registry_server(registry, "", "abc");
	states[4] = registry_route(registry, "abc");
	states[5] = registry_listener(registry, "abc");
	states[6] = registry_cursor(registry, "abc");
	states[7] = registry_route(registry, "ab");
	for (size_t i = 0; i < COUNT(states); i++) {
		EXPECT(states[i]);
		EXPECT_EQ((uintptr_t)states[i] % 64, 0);
		for (size_t j = 0; j < i; j++)
			EXPECT(states[i] != states[j]);
	}
	registry_free(registry);
}

TEST(entries_never_move_however_many_there_are)
{
	enum { MANY = 3000 };
	static struct server_state *servers[MANY];
	struct registry            *registry = registry_new(100);
	size_t                      moved = 0;
	char                        name[32];

	for (uint32_t i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "10.0.%u.%u:443", i / 256, i % 256);
		servers[i] = registry_server(registry, "u", name);
		servers[i]->active = i;
	}
	for (uint32_t i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "10.0.%u.%u:443", i / 256, i % 256);
		moved += registry_server(registry, "u", name) != servers[i] ||
		         servers[i]->active != i;
	}
	EXPECT_EQ(moved, 0);
	registry_free(registry);
}

TEST(every_listener_has_a_scope_of_its_own)
{
	struct registry *registry = registry_new(100);
	uint32_t         a = registry_listener(registry, "a")->scope,
		 b = registry_listener(registry, "b")->scope;

	EXPECT(a != b);
	EXPECT_EQ(registry_listener(registry, "a")->scope, a);
	EXPECT_EQ(registry_listener(registry, "b")->scope, b);
	registry_free(registry);
}

TEST(listeners_are_walked_in_the_order_of_their_appearance)
{
	static const char *const     names[] = {"zebra", "ant", "bee"};
	struct registry             *registry = registry_new(100);
	const struct listener_state *state = NULL;

	EXPECT(!registry_next_listener(registry, NULL));
	for (size_t i = 0; i < COUNT(names); i++)
		EXPECT(registry_listener(registry, names[i])->counters);
	EXPECT(registry_listener(registry, "ant") == registry_listener(registry, "ant"));
	for (size_t i = 0; i < COUNT(names); i++) {
		state = registry_next_listener(registry, state);
		EXPECT(span_equal(state->name, span_text(names[i])));
	}
	EXPECT(!registry_next_listener(registry, state));
	registry_free(registry);
}

static void *find_listeners(void *argument)
{
	char name[16];

	for (int i = 0; i < 500; i++) {
		snprintf(name, sizeof(name), "l%d", i);
		EXPECT(registry_listener(argument, name));
		EXPECT(registry_server(argument, name, "10.0.0.1:443"));
	}
	return NULL;
}

TEST(a_scrape_may_walk_while_a_configuration_is_built)
{
	struct registry *registry = registry_new(100);
	size_t           seen = 0;
	pthread_t        loader;

	EXPECT(pthread_create(&loader, NULL, find_listeners, registry) == 0);
	while (seen < 500) {
		const struct listener_state *state = NULL;

		seen = 0;
		while ((state = registry_next_listener(registry, state))) {
			EXPECT(state->counters && state->name.len > 1);
			seen++;
		}
	}
	pthread_join(loader, NULL);
	registry_free(registry);
}

TEST(a_worker_finds_its_counters_again)
{
	struct registry *registry = registry_new(100);

	EXPECT_EQ(registry->worker_count, 0);
	GAUGE_ADD(registry_worker(registry, 3)->relayed[COUNTERS_COPY], 7);
	EXPECT_EQ(registry->worker_count, 4);
	EXPECT(registry_worker(registry, 1) == &registry->workers[1]);
	EXPECT_EQ(registry->worker_count, 4);
	EXPECT_EQ(registry_worker(registry, 3)->relayed[COUNTERS_COPY], 7);
	EXPECT_EQ(registry_worker(registry, COUNTERS_WORKERS - 1)->relayed[COUNTERS_COPY], 0);
	registry_free(registry);
}

TEST(as_many_addresses_fit_as_there_may_be_connections)
{
	enum { CONNECTIONS = 20000 };
	struct registry *registry = registry_new(CONNECTIONS);
	size_t           refused = 0;

	for (uint32_t i = 0; i < CONNECTIONS; i++) {
		struct addr client = address(i);
		uint32_t    ticket;

		refused += limit_acquire(registry->per_ip, 0, &client, 1, &ticket) != LIMIT_OK;
	}
	EXPECT_EQ(refused, 0);
	EXPECT_EQ(limit_total(registry->per_ip), CONNECTIONS);
	registry_free(registry);
}

int main(void)
{
	return test_main();
}
