#include "site/snapshot.h"

#include "base/hash.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static const struct conf_pos nowhere = {NULL, 0};

/* Configuration structs refer to each other by pointer, the snapshot's arrays by index. Sorted
 * once, so that ten thousand names with an upstream each stay cheap. */
struct index_entry {
	const void *key;
	size_t      index;
};

struct build {
	struct snapshot    *snapshot;
	struct registry    *registry;
	struct conf_report *report;
	struct index_entry *listeners, *upstreams;
	bool                tls_failed; /* some context: errors have been told */
};

static int compare_entries(const void *a, const void *b)
{
	uintptr_t left = (uintptr_t)((const struct index_entry *)a)->key;
	uintptr_t right = (uintptr_t)((const struct index_entry *)b)->key;

	return left < right ? -1 : left > right;
}

/* *items* is an array of *count* pointers. NULL: no memory. */
static struct index_entry *index_build(void *const *items, size_t count)
{
	struct index_entry *index = calloc(count + 1, sizeof(*index));

	if (!index)
		return NULL;
	for (size_t i = 0; i < count; i++)
		index[i] = (struct index_entry){items[i], i};
	qsort(index, count, sizeof(*index), compare_entries);
	return index;
}

static size_t index_of(const struct index_entry *index, size_t count, const void *key)
{
	struct index_entry        wanted = {key, 0};
	const struct index_entry *found = bsearch(&wanted, index, count, sizeof(*index),
	                                          compare_entries);

	CHECK(found);
	return found->index;
}

static bool no_memory(struct build *build)
{
	conf_error(build->report, nowhere, "no memory left to build the configuration");
	return false;
}

/* ---- servers ---- */

/* The address as logs show it: a name with several addresses is told apart by them. NULL: no
 * memory. */
static char *server_text(const struct conf_endpoint *from, const struct endpoint *endpoint,
                         bool alone)
{
	char        address[ADDR_TEXT_MAX];
	char       *text = NULL;
	struct addr addr;
	int         written;

	if (from->kind == CONF_ENDPOINT_UNIX) {
		written = asprintf(&text, "unix:%s", from->host);
	} else if (from->kind == CONF_ENDPOINT_HOST && alone) {
		written = asprintf(&text, "%s:%u", from->host, (unsigned)from->port);
	} else {
		addr = addr_from_sockaddr(&endpoint->any, endpoint->len);
		addr_format(&addr, address);
		written = asprintf(&text, "%s", address);
	}
	return written < 0 ? NULL : text;
}

/* As it is written, without its port; "" of a unix path. NULL: no memory. */
static char *server_host(const struct conf_endpoint *from)
{
	char address[ADDR_TEXT_MAX] = "";

	if (from->kind == CONF_ENDPOINT_HOST)
		return strdup(from->host);
	if (from->kind == CONF_ENDPOINT_IP)
		addr_format_ip(&from->addr, address);
	return strdup(address);
}

static bool add_server(struct build *build, struct upstream *upstream,
                       const struct conf_server *from, const struct endpoint *endpoint, bool alone)
{
	size_t                 index = upstream->server_count;
	struct server         *server = &upstream->servers[index];
	struct balance_server *state = &upstream->states[index];

	server->text = server_text(&from->endpoint, endpoint, alone);
	server->host = server_host(&from->endpoint);
	upstream->server_count++;
	if (!server->text || !server->host)
		return no_memory(build);
	server->endpoint = *endpoint;
	server->fastopen = from->fastopen;
	*state = (struct balance_server){
		.state = registry_server(build->registry, upstream->name, server->text),
		.identity = hash_bytes(span_text(server->text)),
		.weight = from->weight,
		.max_conns = from->max_conns,
		.max_fails = from->max_fails,
		.fail_timeout_ms = from->fail_timeout_ms,
		.backup = from->backup,
		.down = from->down,
	};
	return state->state ? true : no_memory(build);
}

static bool grow_servers(struct build *build, struct upstream *upstream, size_t more)
{
	size_t                 count = upstream->server_count + more;
	struct server         *servers;
	struct balance_server *states;

	servers = realloc(upstream->servers, count * sizeof(*servers));
	if (!servers)
		return no_memory(build);
	upstream->servers = servers;
	states = realloc(upstream->states, count * sizeof(*states));
	if (!states)
		return no_memory(build);
	upstream->states = states;
	return true;
}

/* One `server =` line: a server per address. */
static bool add_servers(struct build *build, struct upstream *upstream,
                        const struct conf_upstream *section, const struct conf_server *from)
{
	struct resolved resolved;
	char            what[256];
	bool            ok;

	if (section->implied)
		snprintf(what, sizeof(what), "proxy_pass");
	else
		snprintf(what, sizeof(what), "[upstream %.200s] server", section->name);
	ok = resolve(&from->endpoint, what, build->report, &resolved);
	if (ok && upstream->server_count + resolved.count > BALANCE_SERVERS_MAX) {
		conf_error(build->report, from->endpoint.pos,
		           "[upstream %s] has more than %d servers", upstream->name,
		           BALANCE_SERVERS_MAX);
		ok = false;
	}
	ok = ok && grow_servers(build, upstream, resolved.count);
	for (size_t i = 0; ok && i < resolved.count; i++)
		ok = add_server(build, upstream, from, &resolved.endpoints[i], resolved.count == 1);
	resolved_fini(&resolved);
	return ok;
}

static bool build_upstream(struct build *build, struct upstream *upstream,
                           const struct conf_upstream *from)
{
	_Atomic uint32_t *cursor = registry_cursor(build->registry, from->name);
	bool              ok = true;

	upstream->name = from->name;
	upstream->hash_key = from->hash_key;
	upstream->kind = from->balance;
	upstream->connect_timeout_ms = from->connect_timeout_ms;
	upstream->tries = (uint8_t)min_u32(from->next_tries ? from->next_tries : 1,
	                                   BALANCE_TRIES_MAX);
	upstream->send_proxy_protocol = from->send_proxy_protocol;
	upstream->so_keepalive = from->so_keepalive;
	upstream->user_timeout_ms = from->user_timeout_ms;
	upstream->starttls = from->starttls;
	endpoint_from_addr(&from->bind, &upstream->bind);
	if (from->ssl) {
		upstream->tls = tls_client_build(from->ssl, build->registry->tls, build->report);
		upstream->tls_name = from->ssl->name;
		ok = upstream->tls != NULL;
	}
	/* Goes on after a failure: every name that does not resolve is told at once. */
	for (size_t i = 0; i < from->server_count; i++)
		ok = add_servers(build, upstream, from, &from->servers[i]) && ok;
	if (!ok)
		return false;
	upstream->balance = cursor ? balance_build(from->balance, upstream->states,
	                                           upstream->server_count, cursor)
	                           : NULL;
	return upstream->balance ? true : no_memory(build);
}

static bool build_upstreams(struct build *build)
{
	const struct conf *conf = build->snapshot->conf;
	bool               ok = true;

	for (size_t i = 0; i < conf->upstream_count; i++)
		ok = build_upstream(build, &build->snapshot->upstreams[i], conf->upstreams[i]) &&
		     ok;
	return ok;
}

/* ---- routes ---- */

static struct upstream *find_upstream(struct build *build, const struct conf_upstream *wanted)
{
	struct snapshot *snapshot = build->snapshot;

	if (!wanted)
		return NULL;
	return &snapshot->upstreams[index_of(build->upstreams, snapshot->conf->upstream_count,
	                                     wanted)];
}

static uint16_t find_log(const struct conf *conf, const struct conf_log *wanted)
{
	for (size_t i = 0; wanted && i < conf->log_count; i++)
		if (conf->logs[i] == wanted)
			return (uint16_t)i;
	return SNAPSHOT_NO_LOG;
}

/* A route's own max_conns counts over all its listeners and survives a reload, so its state goes by
 * its name. Every other is named after its listener too (a line feed cannot stand in a name), lest
 * an [sni] line that is called like a [route] be counted with it. */
static struct route_state *find_state(struct build *build, const struct route *route,
                                      const char *listener)
{
	struct route_state *state;
	char               *key;

	if (route->max_conns > 0)
		return registry_route(build->registry, route->name);
	if (asprintf(&key, "%s\n%s", listener, route->name) < 0)
		return NULL;
	state = registry_route(build->registry, key);
	free(key);
	return state;
}

/* False: errors have been told. */
static bool set_tls(struct build *build, struct route *route, const struct conf_tls *conf)
{
	if (route->mode != CONF_TERMINATE)
		return true;
	route->tls_conf = conf;
	route->tls = contexts_get(&build->snapshot->contexts, conf, build->registry->tls,
	                          build->report);
	return route->tls != NULL;
}

/* What a route does not set is its listener's, so there is one for every listener that it
 * serves. */
static bool build_route(struct build *build, struct route *route, const struct conf_route *from,
                        const struct conf_listener *listener)
{
	const struct conf_session *own = &from->session, *base = &listener->session;

	*route = (struct route){
		.name = from->name,
		.conf = from,
		.mode = from->mode,
		.upstream = find_upstream(build, from->upstream),
		.max_conns = from->set & CONF_SET_MAX_CONNS ? own->max_conns : 0,
		.proxy_timeout_ms = from->set & CONF_SET_PROXY_TIMEOUT ? own->proxy_timeout_ms
	                                                               : base->proxy_timeout_ms,
		.half_close_timeout_ms = from->set & CONF_SET_HALF_CLOSE_TIMEOUT
	                                         ? own->half_close_timeout_ms
	                                         : base->half_close_timeout_ms,
		.access_log = find_log(build->snapshot->conf, from->set & CONF_SET_ACCESS_LOG
	                                                              ? own->access_log
	                                                              : base->access_log),
	};
	if (from->set & CONF_SET_ACL)
		route->acl = (struct acl){own->acl, own->acl_count};
	route->state = find_state(build, route, listener->name);
	if (!route->state)
		return no_memory(build);
	/* Goes on after a failure: every certificate that is wrong is told at once. */
	if (!set_tls(build, route, from->tls ? from->tls : listener->tls))
		build->tls_failed = true;
	else if (route->tls && listener == from->listeners[0])
		contexts_lint_names(route->tls, from, build->report);
	return true;
}

/* The listener's own list and max_conns are judged at accept; they are not judged again here. */
static bool build_fallback(struct build *build, struct listener_site *site, struct route *route)
{
	const struct conf_listener *from = site->conf;

	*route = (struct route){
		.name = "default",
		.mode = from->mode,
		.upstream = find_upstream(build, from->proxy_pass),
		.proxy_timeout_ms = from->session.proxy_timeout_ms,
		.half_close_timeout_ms = from->session.half_close_timeout_ms,
		.access_log = site->access_log,
	};
	route->state = find_state(build, route, from->name);
	site->fallback = route;
	if (!route->state)
		return no_memory(build);
	if (!set_tls(build, route, from->tls))
		build->tls_failed = true;
	return true;
}

static void add_rules(struct listener_site *site, const struct conf_route *from, size_t target)
{
	for (size_t i = 0; i < from->name_count; i++) {
		site->rules[site->rule_count++] = (struct router_rule){
			.kind = from->names[i].kind,
			.name = from->names[i].name,
			.alpn = from->alpn,
			.alpn_count = from->alpn_count,
			.sources = from->sources,
			.source_count = from->source_count,
			.versions = from->versions,
			.target = (int)target,
		};
	}
}

static struct listener_site *find_listener(struct build *build, const struct conf_listener *wanted)
{
	struct snapshot *snapshot = build->snapshot;

	return &snapshot->listeners[index_of(build->listeners, snapshot->conf->listener_count,
	                                     wanted)];
}

static bool allocate_routes(struct build *build)
{
	struct snapshot   *snapshot = build->snapshot;
	const struct conf *conf = snapshot->conf;
	size_t             count = 0;

	for (size_t i = 0; i < conf->route_count; i++) {
		const struct conf_route *route = conf->routes[i];

		count += route->listener_count;
		for (size_t j = 0; j < route->listener_count; j++)
			find_listener(build, route->listeners[j])->rule_count += route->name_count;
	}
	for (size_t i = 0; i < conf->listener_count; i++) {
		struct listener_site *site = &snapshot->listeners[i];

		count += conf->listeners[i]->proxy_pass != NULL;
		site->rules = calloc(site->rule_count + 1, sizeof(*site->rules));
		if (!site->rules)
			return no_memory(build);
		site->rule_count = 0;
	}
	CHECK(count <= INT32_MAX);
	snapshot->routes = calloc(count + 1, sizeof(*snapshot->routes));
	return snapshot->routes ? true : no_memory(build);
}

static bool build_routes(struct build *build)
{
	struct snapshot   *snapshot = build->snapshot;
	const struct conf *conf = snapshot->conf;

	if (!allocate_routes(build))
		return false;
	for (size_t i = 0; i < conf->route_count; i++) {
		const struct conf_route *route = conf->routes[i];

		for (size_t j = 0; j < route->listener_count; j++) {
			size_t target = snapshot->route_count++;

			if (!build_route(build, &snapshot->routes[target], route,
			                 route->listeners[j]))
				return false;
			add_rules(find_listener(build, route->listeners[j]), route, target);
		}
	}
	for (size_t i = 0; i < conf->listener_count; i++) {
		struct listener_site *site = &snapshot->listeners[i];

		if (site->conf->proxy_pass &&
		    !build_fallback(build, site, &snapshot->routes[snapshot->route_count++]))
			return false;
		if (!site->conf->reads_hello)
			continue;
		site->router = router_build(site->rules, site->rule_count);
		if (!site->router)
			return no_memory(build);
	}
	return true;
}

/* ---- who is sent a CancelRequest ---- */

static void add_cancelled(struct listener_site *site, struct upstream *upstream)
{
	if (!upstream || site->upstream_count == SNAPSHOT_CANCELS_MAX)
		return;
	for (size_t i = 0; i < site->upstream_count; i++)
		if (site->upstreams[i] == upstream)
			return;
	site->upstreams[site->upstream_count++] = upstream;
}

static void find_cancelled(struct snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->conf->listener_count; i++) {
		struct listener_site *site = &snapshot->listeners[i];

		if (site->conf->starttls == CONF_STARTTLS_OFF)
			continue;
		if (site->fallback)
			add_cancelled(site, site->fallback->upstream);
		for (size_t j = 0; j < site->rule_count; j++)
			add_cancelled(site, snapshot->routes[site->rules[j].target].upstream);
	}
}

/* ---- who asks for the client's address ---- */

static bool route_wants_peer(const struct route *route)
{
	const struct upstream *upstream = route->upstream;

	if (route->access_log != SNAPSHOT_NO_LOG || route->acl.count > 0)
		return true;
	return upstream &&
	       (upstream->send_proxy_protocol != PROXYPROTO_OFF ||
	        (upstream->kind == BALANCE_HASH && upstream->hash_key == CONF_HASH_CLIENT_IP));
}

static bool listener_wants_peer(const struct snapshot *snapshot, const struct listener_site *site)
{
	const struct conf_listener *from = site->conf;

	if (site->access_log != SNAPSHOT_NO_LOG || site->acl.count > 0 ||
	    from->max_conns_per_ip > 0 || from->accept_proxy_protocol != CONF_PROXY_OFF)
		return true;
	if (site->fallback && route_wants_peer(site->fallback))
		return true;
	for (size_t i = 0; i < site->rule_count; i++)
		if (site->rules[i].source_count > 0 ||
		    route_wants_peer(&snapshot->routes[site->rules[i].target]))
			return true;
	return false;
}

static void note_who_wants_peers(struct snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->conf->listener_count; i++)
		snapshot->listeners[i].wants_peer = listener_wants_peer(snapshot,
		                                                        &snapshot->listeners[i]);
}

/* ---- the whole ---- */

static bool build_listeners(struct build *build)
{
	const struct conf *conf = build->snapshot->conf;

	for (size_t i = 0; i < conf->listener_count; i++) {
		struct listener_site       *site = &build->snapshot->listeners[i];
		const struct conf_listener *from = conf->listeners[i];

		site->conf = from;
		site->acl = (struct acl){from->session.acl, from->session.acl_count};
		site->access_log = find_log(conf, from->session.access_log);
		site->state = registry_listener(build->registry, from->name);
		if (!site->state)
			return no_memory(build);
	}
	return true;
}

static bool allocate(struct build *build)
{
	struct snapshot   *snapshot = build->snapshot;
	const struct conf *conf = snapshot->conf;

	/* An array of length 0 is asked for as one of 1, so that NULL means one thing. */
	snapshot->listeners = calloc(conf->listener_count + 1, sizeof(*snapshot->listeners));
	snapshot->upstreams = calloc(conf->upstream_count + 1, sizeof(*snapshot->upstreams));
	snapshot->log_numbers = calloc(conf->log_count + 1, sizeof(*snapshot->log_numbers));
	build->listeners = index_build((void *const *)conf->listeners, conf->listener_count);
	build->upstreams = index_build((void *const *)conf->upstreams, conf->upstream_count);
	if (!snapshot->listeners || !snapshot->upstreams || !snapshot->log_numbers ||
	    !build->listeners || !build->upstreams)
		return no_memory(build);
	return true;
}

static bool draw_secret(struct build *build)
{
	uint64_t *secret = build->snapshot->hash_secret;
	size_t    size = sizeof(build->snapshot->hash_secret);

	if (getrandom(secret, size, 0) == (ssize_t)size)
		return true;
	conf_error(build->report, nowhere, "no random numbers: %s", strerror(errno));
	return false;
}

struct snapshot *snapshot_build(struct conf *conf, struct registry *registry,
                                struct conf_report *report)
{
	struct build build = {.registry = registry, .report = report};
	bool         ok;

	build.snapshot = calloc(1, sizeof(*build.snapshot));
	if (!build.snapshot) {
		no_memory(&build);
		conf_free(conf);
		return NULL;
	}
	build.snapshot->conf = conf;
	ok = allocate(&build) && draw_secret(&build) && build_upstreams(&build) &&
	     build_listeners(&build) && build_routes(&build);
	free(build.listeners);
	free(build.upstreams);
	if (ok && !build.tls_failed) {
		note_who_wants_peers(build.snapshot);
		find_cancelled(build.snapshot);
		return build.snapshot;
	}
	snapshot_free(build.snapshot);
	return NULL;
}

static void free_upstream(struct upstream *upstream)
{
	balance_free(upstream->balance);
	tls_client_free(upstream->tls);
	for (size_t i = 0; i < upstream->server_count; i++) {
		free((char *)(uintptr_t)upstream->servers[i].text);
		free(upstream->servers[i].host);
	}
	free(upstream->servers);
	free(upstream->states);
}

void snapshot_free(struct snapshot *snapshot)
{
	if (!snapshot)
		return;
	for (size_t i = 0; snapshot->upstreams && i < snapshot->conf->upstream_count; i++)
		free_upstream(&snapshot->upstreams[i]);
	for (size_t i = 0; snapshot->listeners && i < snapshot->conf->listener_count; i++) {
		router_free(snapshot->listeners[i].router);
		free(snapshot->listeners[i].rules);
	}
	free(snapshot->upstreams);
	free(snapshot->listeners);
	free(snapshot->routes);
	free(snapshot->log_numbers);
	contexts_fini(&snapshot->contexts);
	conf_free(snapshot->conf);
	free(snapshot);
}

static void number_log(const struct snapshot *snapshot, uint16_t *access_log)
{
	if (*access_log != SNAPSHOT_NO_LOG)
		*access_log = snapshot->log_numbers[*access_log];
}

void snapshot_number_logs(struct snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->conf->listener_count; i++)
		number_log(snapshot, &snapshot->listeners[i].access_log);
	for (size_t i = 0; i < snapshot->route_count; i++)
		number_log(snapshot, &snapshot->routes[i].access_log);
}
