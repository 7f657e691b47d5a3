#include "sim/world.h"

#include "sim/rules.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct world world;

struct world_plan world_default(void)
{
	return (struct world_plan){
		.sizes =
			{
				.max_connections = 16,
				.ring_entries = 64,
				.recv_buffers = 8,
				.buffer_size = 1024,
				.pipe_pool = 2,
				.pipe_size = 4096,
				.splice_min = 4096,
				.pending_hellos = 8,
				.lingering = 8,
				.zero_copy = CONF_ZERO_COPY_OFF,
			},
		.reads_hello = true,
		.on_no_match = CONF_ACTION_REJECT,
		.on_no_sni = CONF_ACTION_REJECT,
		.on_plaintext = CONF_ACTION_REJECT,
		.accept_proxy = CONF_PROXY_OFF,
		.preread_timeout_ms = 5000,
		.preread_buffer_size = 4096,
		.proxy_timeout_ms = 600000,
		.half_close_timeout_ms = 30000,
		.connect_timeout_ms = 1000,
		.max_fails = 1,
		.tries = 2,
		.servers = 2,
		.balance = BALANCE_ROUND_ROBIN,
		.send_proxy = PROXYPROTO_OFF,
	};
}

/* ------------------------------------------------------------------ the site */

static struct addr server_addr(size_t upstream, size_t server)
{
	return (struct addr){.ip = {198, 51, 100, (uint8_t)(upstream + 1)},
	                     .port = (uint16_t)(1000 + server),
	                     .family = ADDR_IP4};
}

static void build_upstream(size_t index)
{
	static char              names[UPSTREAMS][SERVERS_MAX][4] = {{"0.0", "0.1", "0.2"},
	                                                             {"1.0", "1.1", "1.2"}};
	const struct world_plan *plan = &world.plan;
	struct upstream         *upstream = &world.upstreams[index];

	*upstream = (struct upstream){
		.name = index == 0 ? "zero" : "one",
		.states = world.states[index],
		.servers = world.servers[index],
		.server_count = plan->servers,
		.hash_key = CONF_HASH_CLIENT_IP,
		.kind = plan->balance,
		.connect_timeout_ms = plan->connect_timeout_ms,
		.tries = plan->tries,
		.send_proxy_protocol = plan->send_proxy,
		.tls = plan->upstream_tls,
	};
	for (size_t i = 0; i < plan->servers; i++) {
		struct addr             addr = server_addr(index, i);
		struct sockaddr_storage storage;
		struct server          *server = &world.servers[index][i];

		server->text = server->host = names[index][i];
		server->fastopen = plan->fastopen;
		server->endpoint.len = addr_to_sockaddr(&addr, &storage);
		memcpy(&server->endpoint.ip4, &storage, server->endpoint.len);
		world.server_states[index][i] = (struct server_state){0};
		world.states[index][i] = (struct balance_server){
			.state = &world.server_states[index][i],
			.identity = index * 100 + i,
			.weight = 1,
			.max_conns = plan->server_max_conns,
			.max_fails = plan->max_fails,
			.fail_timeout_ms = 1000,
		};
	}
	world.cursors[index] = 0;
	upstream->balance = balance_build(plan->balance, upstream->states, plan->servers,
	                                  &world.cursors[index]);
	CHECK(upstream->balance);
}

static void build_routes(void)
{
	static const char *const names[] = {"a.test", "b.test", "r.test", "default"};

	world.conf_tls = (struct conf_tls){.handshake_timeout_ms = world.plan.handshake_timeout_ms};
	for (size_t i = 0; i < COUNT(names); i++) {
		world.route_states[i] = (struct route_state){0};
		world.routes[i] = (struct route){
			.name = names[i],
			.mode = i == 2           ? CONF_REJECT
		                : world.plan.tls ? CONF_TERMINATE
		                                 : CONF_PASSTHROUGH,
			.tls = world.plan.tls,
			.tls_conf = &world.conf_tls,
			.upstream = i == 2 ? NULL : &world.upstreams[i % 3],
			.state = &world.route_states[i],
			.proxy_timeout_ms = world.plan.proxy_timeout_ms,
			.half_close_timeout_ms = world.plan.half_close_timeout_ms,
			.access_log = 0,
		};
		if (i < COUNT(world.rules))
			world.rules[i] = (struct router_rule){.kind = ROUTER_EXACT,
			                                      .name = span_text(names[i]),
			                                      .target = (int)i};
	}
}

static void build_listener(void)
{
	const struct world_plan *plan = &world.plan;

	world.trusted = (struct cidr){.base = {.ip = {10}, .family = ADDR_IP4}, .bits = 8};
	world.deny = (struct acl_rule){
		.cidr = {.base = {.ip = {10, 0, 0, 3}, .family = ADDR_IP4}, .bits = 32}};
	world.conf_listener = (struct conf_listener){
		.name = "listener",
		.reads_hello = plan->reads_hello,
		.on_no_match = plan->on_no_match,
		.on_no_sni = plan->on_no_sni,
		.on_plaintext = plan->on_plaintext,
		.preread_timeout_ms = plan->preread_timeout_ms,
		.preread_buffer_size = plan->preread_buffer_size,
		.accept_proxy_protocol = plan->accept_proxy,
		.set_real_ip_from = &world.trusted,
		.set_real_ip_from_count = plan->trusts_proxy,
		.max_conns_per_ip = plan->max_conns_per_ip,
		.session_timeout_ms = plan->session_timeout_ms,
		.session = {.max_conns = plan->max_conns},
		.starttls = plan->starttls ? CONF_STARTTLS_POSTGRESQL : CONF_STARTTLS_OFF,
	};
	world.listener_counters = (struct listener_counters){0};
	world.worker_counters = (struct worker_counters){0};
	world.listener_state = (struct listener_state){.scope = 1,
	                                               .counters = &world.listener_counters};
	world.site = (struct listener_site){
		.conf = &world.conf_listener,
		.state = &world.listener_state,
		.acl = {&world.deny, plan->denies},
		.rules = world.rules,
		.rule_count = COUNT(world.rules),
		.fallback = plan->has_fallback || !plan->reads_hello ? &world.routes[3] : NULL,
		.access_log = 0,
		.upstreams = {&world.upstreams[0], &world.upstreams[1]},
		.upstream_count = UPSTREAMS,
		.wants_peer = true, /* the log tells clients apart by it */
	};
	if (!world.site.router)
		world.site.router = router_build(world.rules, COUNT(world.rules));
	CHECK(world.site.router);
}

static void build_site(void)
{
	static uint64_t secret[2] = {1, 2};

	for (size_t i = 0; i < UPSTREAMS; i++)
		build_upstream(i);
	build_routes();
	build_listener();
	world.conf_listeners[0] = &world.conf_listener;
	world.conf = (struct conf){.listeners = world.conf_listeners, .listener_count = 1};
	world.snapshot = (struct snapshot){
		.conf = &world.conf,
		.listeners = &world.site,
		.upstreams = world.upstreams,
		.routes = world.routes,
		.route_count = COUNT(world.routes),
	};
	world.tenure = (struct tenure){.snapshot = &world.snapshot};
	world.registry.sessions = 0;
	world.registry.workers = &world.worker_counters;
	memset(world.queues, 0, sizeof(world.queues));
	world.registry.queues = world.queues;
	world.registry.worker_count = 0;
	if (!world.registry.per_ip)
		world.registry.per_ip = limit_build(64, secret);
	if (!world.log.ring.memory)
		CHECK(spsc_init(&world.log.ring, 1 << 16));
	CHECK(world.registry.per_ip);
}

/* ------------------------------------------------------------------ what the kernel asks */

static struct sock *next_in_backlog(void)
{
	if (world.accepted_count == world.client_count)
		return NULL;
	return world.clients[world.accepted_count++];
}

static int answer_dial(struct sock *sock, const struct addr *to)
{
	sock->server = (to->ip[3] - 1) * SERVERS_MAX + to->port - 1000;
	switch (world.answers[sock->server]) {
	case DIAL_FAILS_AT_ONCE:
		return -ECONNREFUSED;
	case DIAL_SHORTAGE:
		return -EADDRNOTAVAIL;
	case DIAL_ACCEPTED:
	case DIAL_REFUSED:
	case DIAL_IGNORED:
		break;
	}
	world.dialled[world.dial_count++] = sock;
	return 0;
}

static void answer_syn(struct sock *sock)
{
	if (world.answers[sock->server] == DIAL_ACCEPTED)
		peer_accept(sock);
	else if (world.answers[sock->server] == DIAL_REFUSED)
		peer_refuse(sock, ECONNREFUSED);
}

static bool is_refused(const struct sock *client)
{
	const struct conn *c = world_conn(client);

	return c && c->state == CONN_REFUSE;
}

void world_open(const struct world_plan *plan, uint64_t seed, bool is_obedient)
{
	struct shard_plan shard_plan;
	const char       *step;
	struct router    *router = world.site.router;

	kernel_reset(seed, is_obedient);
	world.plan = *plan;
	world.site.router = NULL;
	router_free(router); /* its rules are made anew */
	memset(world.clients, 0, sizeof(world.clients));
	memset(world.last_server, 0, sizeof(world.last_server));
	memset(world.outcomes, 0, sizeof(world.outcomes));
	memset(world.answers, 0, sizeof(world.answers));
	world.client_count = world.accepted_count = world.dial_count = 0;
	world.was_stopped = false;
	build_site();
	kernel.dial = answer_dial;
	kernel.syn = answer_syn;
	kernel.refuses = is_refused;
	kernel.backlog = next_in_backlog;
	kernel.fault_rate = plan->fault_rate;
	kernel.is_old = plan->is_old;
	shard_plan = (struct shard_plan){
		.sizes = plan->sizes,
		.tenure = &world.tenure,
		.registry = &world.registry,
		.log = &world.log,
		.seed = seed,
	};
	if (shard_init(&world.shard, &shard_plan, &step) < 0)
		fail("cannot start: %s", step);
	listener_init(&world.listener, &world.shard, 0, kernel_listener_new());
	listener_review(&world.listener);
}

struct sock *world_connect(struct stream stream)
{
	struct sock *sock = kernel_sock_new();

	CHECK(world.client_count < CLIENTS_MAX);
	sock->stream = stream;
	sock->was_connected = true;
	sock->peer = (struct addr){
		.ip = {10, 0, 0, (uint8_t)(1 + world.client_count % 3)},
		.port = (uint16_t)(CLIENT_PORT + world.client_count),
		.family = ADDR_IP4,
	};
	world_expect_header(sock, &sock->peer, NULL);
	world.clients[world.client_count++] = sock;
	kernel.moves++;
	return sock;
}

/* Kept on the client until it is known which socket leads to its server. */
void world_expect_header(struct sock *client, const struct addr *source, const struct addr *local)
{
	static const struct addr here = {.ip = {192, 0, 2, 1}, .port = 443, .family = ADDR_IP4};
	uint8_t                  header[PROXYPROTO_OUT_MAX];
	size_t len = proxyproto_write(world.plan.send_proxy, source, local ? local : &here, header);

	memcpy(client->header, header, len);
	client->header_len = (uint32_t)len;
}

struct conn *world_conn(const struct sock *client)
{
	for (struct list *link = world.shard.all.next; link != &world.shard.all;
	     link = link->next) {
		struct conn *c = container_of(link, struct conn, in_all);

		if (c->client.fd == client->fd)
			return c;
	}
	return NULL;
}

/* ------------------------------------------------------------------ turns */

/* Who talks to whom is known as soon as the proxy has dialled, which is before it can send a
 * byte. */
static void pair_socks(struct conn *c)
{
	struct sock *client = kernel_sock(c->client.fd), *server;

	client->is_closing = c->state == CONN_CLOSING;
	if (c->state == CONN_REFUSE && client->refused_ms == 0)
		client->refused_ms = world.shard.now_ms;
	if (c->upstream.fd < 0) {
		client->source = NULL;
		return;
	}
	server = kernel_sock(c->upstream.fd);
	server->is_closing = client->is_closing;
	client->is_unheard = c->up.has_ended;
	server->is_unheard = c->down.has_ended;
	if (client->source == server)
		return;
	client->source = server;
	server->source = client;
	server->skip = client->skip_in;
	server->preface_len = client->header_len;
	memcpy(server->preface, client->header, client->header_len);
	world.last_server[client->peer.port - CLIENT_PORT] = server;
}

static void read_log(void)
{
	for (struct span bytes; bytes = spsc_peek(&world.log.ring), bytes.len > 0;
	     spsc_release(&world.log.ring)) {
		const struct access_record *record = (const void *)bytes.data;
		struct outcome             *outcome;

		if (record->head.kind != LOG_KIND_ACCESS)
			continue;
		outcome = &world.outcomes[record->peer.port - CLIENT_PORT];
		if (outcome->ended)
			fail("client %d has two lines in the log", record->peer.port - CLIENT_PORT);
		outcome->ended = true;
		outcome->reason = (enum reason)record->reason;
		outcome->alert = record->alert;
		outcome->tries = record->tries;
		outcome->bytes_up = record->bytes_up;
		outcome->bytes_down = record->bytes_down;
		outcome->ended_ms = world.shard.now_ms;
		trace("client %d ended: %s", record->peer.port - CLIENT_PORT,
		      reason_word(outcome->reason));
	}
}

void world_turn(void)
{
	if (!shard_turn(&world.shard))
		fail("the ring is broken");
	for (struct list *link = world.shard.all.next; link != &world.shard.all; link = link->next)
		pair_socks(container_of(link, struct conn, in_all));
	read_log();
	rules_check();
}

static void check_registry(void)
{
	if (world.registry.sessions != 0)
		fail("the registry still counts %u sessions", world.registry.sessions);
	if (world.listener_state.active != 0)
		fail("the registry still counts %u sessions of the listener",
		     world.listener_state.active);
	for (size_t i = 0; i < COUNT(world.route_states); i++)
		if (world.route_states[i].active != 0)
			fail("the registry still counts sessions of route %zu", i);
	for (size_t i = 0; i < UPSTREAMS * SERVERS_MAX; i++)
		if (world.server_states[i / SERVERS_MAX][i % SERVERS_MAX].active != 0)
			fail("the registry still counts sessions of server %zu", i);
	if (limit_total(world.registry.per_ip) != 0)
		fail("the registry still counts sessions per address");
}

/* What is counted is what the log says, line by line. */
static void check_counters(void)
{
	struct listener_totals totals = counters_of_listener(&world.listener_counters, 1);
	struct worker_totals   worker = counters_of_workers(&world.worker_counters, 1);
	uint64_t               relayed = 0;

	if (totals.active != 0 || totals.accepted != (uint64_t)world.accepted_count)
		fail("%" PRIu64 " connections are counted, %" PRIu64 " still, of %d",
		     totals.accepted, totals.active, world.accepted_count);
	for (int i = 0; i < world.client_count; i++) {
		const struct outcome *outcome = &world.outcomes[i];

		if (!outcome->ended)
			continue;
		if (totals.ended[outcome->reason]-- == 0)
			fail("client %d ended uncounted: %s", i, reason_word(outcome->reason));
		totals.bytes[COUNTERS_UP] -= outcome->bytes_up;
		totals.bytes[COUNTERS_DOWN] -= outcome->bytes_down;
		relayed += outcome->bytes_up + outcome->bytes_down;
	}
	for (size_t i = 0; i < REASON_COUNT; i++)
		if (totals.ended[i] != 0)
			fail("%" PRIu64 " ends too many are counted: %s", totals.ended[i],
			     reason_word((enum reason)i));
	for (size_t i = 0; i < COUNTERS_STRATEGIES; i++)
		relayed -= worker.relayed[i];
	if (totals.bytes[COUNTERS_UP] || totals.bytes[COUNTERS_DOWN] || relayed)
		fail("the counted bytes are not those of the log");
}

void world_close(void)
{
	int listener_fd = world.listener.fd;

	listener_stop(&world.listener);
	for (int i = 0; !listener_is_quiet(&world.listener); i++) {
		if (i > 1000)
			fail("the listener does not end");
		world_turn();
	}
	if (!list_is_empty(&world.shard.all))
		fail("a connection is left");
	wheel_cancel(&world.shard.wheel, &world.shard.accept_retry);
	if (world.shard.wheel.armed > 0)
		fail("%u timers are left", world.shard.wheel.armed);
	if (world.shard.gauges.sessions || world.shard.gauges.hellos_pending ||
	    world.shard.gauges.lingering)
		fail("gauges are left: %u sessions, %u hellos, %u lingering",
		     world.shard.gauges.sessions, world.shard.gauges.hellos_pending,
		     world.shard.gauges.lingering);
	listener_fini(&world.listener);
	shard_fini(&world.shard);
	if (!tenure_is_over(&world.tenure))
		fail("%u holders of the snapshot are left", world.tenure.holders);
	check_registry();
	check_counters();
	kernel_fd_close(listener_fd);
	if (world.queues[0].load != 0)
		fail("the worker's load is still %u", world.queues[0].load);
	if (kernel.open_fds > 0)
		fail("%d fds are left open", kernel.open_fds);
	for (size_t i = 0; i < UPSTREAMS; i++)
		balance_free(world.upstreams[i].balance);
}
