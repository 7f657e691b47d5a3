/*
 * Warnings: what is allowed but hardly meant. Few, each with a number that stays its own:
 *
 *	L01  an upstream that nothing passes to
 *	L02  a route that never wins: an earlier one takes all that it would
 *	L03  a listener with routes that refuses every other name, without saying that it is meant
 *	L04  a port whose clients do not begin with a TLS hello, on a listener that reads hellos
 *	L05  an allow or deny behind one that matches every client
 *	L06  a server twice in one upstream
 *	L07  an include that matches no file (told by source.c)
 *	L08  a log that nothing writes to
 *	L09  set_real_ip_from where no PROXY header is read
 *	L10  a server that is the listener itself
 *	L11  a key that a running process cannot change (told by fixed.c, of a reload alone)
 *	L12  a server with fastopen on a host that allows none (told by process/sizes.c)
 *	L13  a key log (told by lint_tls.c, as are L15, L16 and L20)
 *	L14  TLS that ends here on a port whose clients do not begin with TLS
 *	L15  keys of TLS without effect
 *	L16  weak ciphers, asked for by name
 *	L17  a certificate that has expired or soon will (told by tls/tls_context.c)
 *	L18  a route's name that no certificate covers (told by site/contexts.c)
 *	L20  TLS passed through to an upstream that speaks TLS itself: TLS in TLS
 */
#include "conf/build.h"

enum lint {
	LINT_UNUSED_UPSTREAM = 1,
	LINT_NEVER_WINS = 2,
	LINT_NO_DEFAULT = 3,
	LINT_NOT_TLS_FIRST = 4,
	LINT_RULE_BEHIND_ALL = 5,
	LINT_SERVER_TWICE = 6,
	LINT_UNUSED_LOG = 8,
	LINT_UNUSED_SENDERS = 9,
	LINT_LOOP = 10,
	LINT_NOT_TLS_AT_ALL = 14,
};

/* A set of pointers, as a map keyed by their bytes. */
static void use(struct build *build, struct map *used, const void *object)
{
	const void **key;

	if (!object)
		return;
	key = arena_alloc(build->arena, sizeof(*key));
	*key = object;
	(void)map_add(used, span_of(key, sizeof(*key)), key);
}

static bool is_used(const struct map *used, const void *object)
{
	return map_find(used, span_of(&object, sizeof(object))) != 0;
}

static void lint_unused(struct build *build)
{
	const struct conf *conf = build->conf;
	struct map         used;

	map_init(&used, build->arena);
	for (size_t i = 0; i < conf->listener_count; i++) {
		use(build, &used, conf->listeners[i]->proxy_pass);
		use(build, &used, conf->listeners[i]->session.access_log);
	}
	for (size_t i = 0; i < conf->route_count; i++) {
		use(build, &used, conf->routes[i]->upstream);
		use(build, &used, conf->routes[i]->session.access_log);
	}
	for (size_t i = 0; i < conf->upstream_count; i++)
		if (!is_used(&used, conf->upstreams[i]))
			conf_warn(build->report, conf->upstreams[i]->pos, LINT_UNUSED_UPSTREAM,
			          "[upstream %s] is not used", conf->upstreams[i]->name);
	for (size_t i = 0; i < conf->log_count; i++)
		if (!is_used(&used, conf->logs[i]))
			conf_warn(build->report, conf->logs[i]->pos, LINT_UNUSED_LOG,
			          "[log %s] is not used: no access_log names it",
			          conf->logs[i]->name);
}

static unsigned condition_count(const struct conf_route *route)
{
	return 0u + (route->alpn_count != 0) + (route->source_count != 0) + (route->versions != 0);
}

static bool covers_alpn(const struct conf_route *route, const struct conf_route *later)
{
	if (route->alpn_count == 0)
		return true;
	for (size_t i = 0; i < later->alpn_count; i++) {
		size_t j = 0;

		while (j < route->alpn_count && !span_equal(route->alpn[j], later->alpn[i]))
			j++;
		if (j == route->alpn_count)
			return false;
	}
	return later->alpn_count != 0;
}

static bool covers_sources(const struct conf_route *route, const struct conf_route *later)
{
	if (route->source_count == 0)
		return true;
	for (size_t i = 0; i < later->source_count; i++) {
		const struct cidr *source = &later->sources[i];
		size_t             j = 0;

		while (j < route->source_count &&
		       (route->sources[j].bits > source->bits ||
		        !cidr_contains(&route->sources[j], &source->base)))
			j++;
		if (j == route->source_count)
			return false;
	}
	return later->source_count != 0;
}

/* Only among routes that rank alike does file order decide. */
static bool takes_all_of(const struct conf_route *route, const struct conf_route *later)
{
	return condition_count(route) == condition_count(later) && covers_alpn(route, later) &&
	       covers_sources(route, later) &&
	       (route->versions == 0 || route->versions == later->versions);
}

/* The routes of one name on one listener, as a chain. */
struct contender {
	const struct conf_route *route;
	struct contender        *next;
};

enum { CONTENDERS_COMPARED = 64, CONDITIONS_COMPARED = 64 };

static void lint_contender(struct build *build, struct contender *first,
                           const struct conf_route *route, const struct conf_name *name)
{
	struct contender *entry = first;
	char              place[PLACE_MAX];

	for (unsigned i = 0; entry && i < CONTENDERS_COMPARED; i++, entry = entry->next) {
		if (entry->route == route || !takes_all_of(entry->route, route))
			continue;
		conf_warn(build->report, name->pos, LINT_NEVER_WINS,
		          "[route %s] never wins here: [route %s] %s takes all that it would",
		          route->name, entry->route->name,
		          build_place(entry->route->pos, name->pos, place));
		return;
	}
}

static void lint_rule(struct build *build, struct map *contenders, const struct conf_route *route,
                      const struct conf_name *name, const struct conf_listener *listener)
{
	size_t            head = sizeof(listener) + sizeof(name->kind), len = head + name->name.len;
	char             *key = arena_alloc(build->arena, len + 1);
	struct contender *entry = arena_alloc(build->arena, sizeof(*entry)), *first;

	memcpy(key, &listener, sizeof(listener));
	memcpy(key + sizeof(listener), &name->kind, sizeof(name->kind));
	if (name->name.len)
		memcpy(key + head, name->name.data, name->name.len);
	entry->route = route;
	first = map_add(contenders, span_of(key, len), entry);
	if (!first)
		return;
	lint_contender(build, first, route, name);
	entry->next = first->next;
	first->next = entry;
}

static void lint_never_wins(struct build *build)
{
	struct map contenders;

	map_init(&contenders, build->arena);
	for (size_t i = 0; i < build->conf->route_count; i++) {
		const struct conf_route *route = build->conf->routes[i];

		if (condition_count(route) == 0 || route->alpn_count > CONDITIONS_COMPARED ||
		    route->source_count > CONDITIONS_COMPARED)
			continue;
		for (size_t j = 0; j < route->name_count; j++)
			for (size_t k = 0; k < route->listener_count; k++)
				lint_rule(build, &contenders, route, &route->names[j],
				          route->listeners[k]);
	}
}

/* Every listener that a route of any name and no condition serves. */
static void find_caught(struct build *build, struct map *caught)
{
	for (size_t i = 0; i < build->conf->route_count; i++) {
		const struct conf_route *route = build->conf->routes[i];

		if (condition_count(route) || route->names[0].kind != ROUTER_ANY_NAME)
			continue;
		for (size_t k = 0; k < route->listener_count; k++)
			use(build, caught, route->listeners[k]);
	}
}

static void lint_no_default(struct build *build)
{
	struct map caught;

	map_init(&caught, build->arena);
	find_caught(build, &caught);
	for (size_t i = 0; i < build->conf->listener_count; i++) {
		const struct conf_listener *listener = build->conf->listeners[i];

		if (!listener->reads_hello || listener->proxy_pass ||
		    listener->on_no_match != CONF_ACTION_UNSET || is_used(&caught, listener))
			continue;
		conf_warn(
			build->report, listener->pos, LINT_NO_DEFAULT,
			"[listener %s] refuses clients whose name no route has (TLS alert unrecognized_name): "
			"give it a proxy_pass, or say on_no_match = reject if that is meant",
			listener->name);
	}
}

static const struct {
	uint16_t    port;
	const char *why;
} speakers[] = {
	{21, "the server speaks first in FTP"},
	{25, "the server speaks first in SMTP"},
	{110, "the server speaks first in POP3"},
	{143, "the server speaks first in IMAP"},
	{587, "the server speaks first in SMTP submission"},
	{3306, "the server speaks first in MySQL"},
	{5432, "PostgreSQL's clients ask with an SSLRequest before they speak TLS (see starttls)"},
};

static void lint_port(struct build *build, const struct conf_listener *listener,
                      const struct conf_endpoint *endpoint)
{
	const bool is_terminating = listener->mode == CONF_TERMINATE;

	if (endpoint->kind == CONF_ENDPOINT_UNIX || !listener->reads_hello ||
	    listener->starttls != CONF_STARTTLS_OFF)
		return;
	for (size_t i = 0; i < COUNT(speakers); i++) {
		if (endpoint->addr.port != speakers[i].port)
			continue;
		if (is_terminating)
			conf_warn(
				build->report, endpoint->pos, LINT_NOT_TLS_AT_ALL,
				"[listener %s] listen = %s with mode = terminate waits for a TLS hello, but %s: only a "
				"client that begins with TLS gets through",
				listener->name, endpoint->text, speakers[i].why);
		else
			conf_warn(
				build->report, endpoint->pos, LINT_NOT_TLS_FIRST,
				"[listener %s] listen = %s reads a TLS hello, but %s: without routes, and with a "
				"proxy_pass, it would pass such clients on",
				listener->name, endpoint->text, speakers[i].why);
	}
}

static void lint_acl(struct build *build, const struct conf_session *session, const char *kind,
                     const char *name, struct conf_pos pos)
{
	bool   all4 = false, all6 = false;
	size_t behind = 0;

	for (size_t i = 0; i < session->acl_count; i++) {
		const struct cidr *cidr = &session->acl[i].cidr;
		bool is4 = cidr->base.family == ADDR_IP4, is6 = cidr->base.family == ADDR_IP6;

		behind += (all4 && is4) || (all6 && is6);
		all4 |= is4 && cidr->bits == 0;
		all6 |= is6 && cidr->bits == 0;
	}
	if (behind)
		conf_warn(
			build->report, pos, LINT_RULE_BEHIND_ALL,
			"[%s %s] %zu allow or deny behind one that matches every address: never reached",
			kind, name, behind);
}

static bool is_own_address(const struct addr *ip, const struct conf_endpoint *listen)
{
	static const struct addr any4 = {.family = ADDR_IP4}, any6 = {.family = ADDR_IP6};
	static const struct addr local6 = {.ip = {[15] = 1}, .family = ADDR_IP6};
	bool is_loopback = ip->family == ADDR_IP4 ? ip->ip[0] == 127 : addr_same_ip(ip, &local6);
	bool is_any = listen->kind == CONF_ENDPOINT_ANY || addr_same_ip(&listen->addr, &any4) ||
	              addr_same_ip(&listen->addr, &any6);

	if (listen->addr.port != ip->port)
		return false;
	return is_any ? is_loopback : addr_same_ip(ip, &listen->addr);
}

static bool is_own_server(const struct conf *conf, const struct conf_endpoint *server)
{
	for (size_t i = 0; i < conf->listener_count; i++) {
		const struct conf_listener *listener = conf->listeners[i];

		for (size_t j = 0; j < listener->listen_count; j++) {
			const struct conf_endpoint *listen = &listener->listens[j];
			bool                        is_unix = listen->kind == CONF_ENDPOINT_UNIX;

			if (is_unix != (server->kind == CONF_ENDPOINT_UNIX) ||
			    server->kind == CONF_ENDPOINT_HOST)
				continue;
			if (is_unix ? strcmp(listen->host, server->host) == 0
			            : is_own_address(&server->addr, listen))
				return true;
		}
	}
	return false;
}

static void lint_servers(struct build *build, const struct conf_upstream *upstream)
{
	struct map servers;
	char       place[PLACE_MAX];

	map_init(&servers, build->arena);
	for (size_t i = 0; i < upstream->server_count; i++) {
		struct conf_endpoint *server = &upstream->servers[i].endpoint;
		struct conf_endpoint *other = map_add(&servers, span_text(server->text), server);

		if (other)
			conf_warn(
				build->report, server->pos, LINT_SERVER_TWICE,
				"[upstream %s] server = %s stands here twice, first %s: use weight",
				upstream->name, server->text,
				build_place(other->pos, server->pos, place));
		if (is_own_server(build->conf, server))
			conf_warn(
				build->report, server->pos, LINT_LOOP,
				"%s is an address that this configuration itself listens on: a session may go "
				"round for ever",
				server->text);
	}
}

static void lint_listener(struct build *build, const struct conf_listener *listener)
{
	for (size_t i = 0; i < listener->listen_count; i++)
		lint_port(build, listener, &listener->listens[i]);
	lint_acl(build, &listener->session, "listener", listener->name, listener->pos);
	if (listener->set_real_ip_from_count && listener->accept_proxy_protocol == CONF_PROXY_OFF)
		conf_warn(
			build->report, listener->pos, LINT_UNUSED_SENDERS,
			"[listener %s] set_real_ip_from has no effect while accept_proxy_protocol is off",
			listener->name);
}

void build_lint(struct build *build)
{
	const struct conf *conf = build->conf;

	lint_unused(build);
	lint_never_wins(build);
	lint_no_default(build);
	build_lint_tls(build);
	for (size_t i = 0; i < conf->listener_count; i++)
		lint_listener(build, conf->listeners[i]);
	for (size_t i = 0; i < conf->route_count; i++)
		lint_acl(build, &conf->routes[i]->session, "route", conf->routes[i]->name,
		         conf->routes[i]->pos);
	for (size_t i = 0; i < conf->upstream_count; i++)
		lint_servers(build, conf->upstreams[i]);
}
