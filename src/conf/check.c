/* What can only be seen of the whole: who reads hellos, what is alike, what contradicts, what is
 * missing. */
#include "conf/build.h"

#include <stdlib.h>

static bool is_without_listener(const struct conf_route *route)
{
	return route->listener_count == 0;
}

/*
 * A route that names no listener holds on every listener that reads hellos. Those are the ones that
 * an [sni] section or another route names; where nothing names any, the ones that may (ssl_preread
 * = auto): a file of one listener and routes needs no cross-reference then.
 */
static void choose_readers(struct build *build, const struct conf_route *route)
{
	struct conf *conf = build->conf;
	bool         any = false;

	for (size_t i = 0; i < conf->listener_count; i++)
		any |= conf->listeners[i]->reads_hello;
	for (size_t i = 0; i < conf->listener_count && !any; i++)
		conf->listeners[i]->reads_hello = conf->listeners[i]->ssl_preread ==
		                                  CONF_PREREAD_AUTO;
	for (size_t i = 0; i < conf->listener_count; i++)
		any |= conf->listeners[i]->reads_hello;
	if (!any && conf->listener_count)
		conf_error(
			build->report, route->pos,
			"[route %s]: no listener reads hellos for it: all have ssl_preread = off",
			route->name);
}

/* Whoever is asked for TLS reads what comes. */
static void claim_starttls(struct build *build, struct conf_listener *listener)
{
	if (listener->starttls == CONF_STARTTLS_OFF)
		return;
	if (listener->ssl_preread == CONF_PREREAD_OFF)
		conf_error(
			build->report, listener->pos,
			"[listener %s] has starttls and ssl_preread = off: the one reads what clients say, the "
			"other does not; keep one",
			listener->name);
	listener->reads_hello = true;
}

static void place_routes(struct build *build)
{
	struct conf           *conf = build->conf;
	struct conf_listener **readers;
	size_t                 reader_count = 0;

	for (size_t i = 0; i < conf->listener_count; i++)
		claim_starttls(build, conf->listeners[i]);
	for (size_t i = 0; i < conf->route_count; i++) {
		if (is_without_listener(conf->routes[i])) {
			choose_readers(build, conf->routes[i]);
			break;
		}
	}
	readers = arena_alloc(build->arena, conf->listener_count * sizeof(*readers));
	for (size_t i = 0; i < conf->listener_count; i++)
		if (conf->listeners[i]->reads_hello)
			readers[reader_count++] = conf->listeners[i];
	for (size_t i = 0; i < conf->route_count; i++) {
		if (!is_without_listener(conf->routes[i]))
			continue;
		conf->routes[i]->listeners = readers;
		conf->routes[i]->listener_count = reader_count;
	}
}

/* A route that does not say its mode has its listeners'. */
static void settle_modes(struct build *build)
{
	for (size_t i = 0; i < build->conf->route_count; i++) {
		struct conf_route *route = build->conf->routes[i];

		if (route->from_sni || (route->set & CONF_SET_MODE) || is_without_listener(route))
			continue;
		route->mode = route->listeners[0]->mode;
		for (size_t j = 1; j < route->listener_count; j++) {
			if (route->listeners[j]->mode == route->mode)
				continue;
			conf_error(
				build->report, route->pos,
				"[route %s] mode is required: its listeners %s and %s have different ones",
				route->name, route->listeners[0]->name, route->listeners[j]->name);
			break;
		}
	}
}

static int by_alpn(const void *a, const void *b)
{
	const struct span *x = a, *y = b;
	int                order = memcmp(x->data, y->data, min_size(x->len, y->len));

	return order ? order : x->len < y->len ? -1 : x->len > y->len;
}

static int by_cidr(const void *a, const void *b)
{
	const struct cidr *x = a, *y = b;
	int                order = memcmp(x->base.ip, y->base.ip, sizeof(x->base.ip));

	if (order || x->bits != y->bits)
		return order ? order : (int)x->bits - (int)y->bits;
	return (int)x->base.family - (int)y->base.family;
}

/* *items* sorted, each once; the original stays as it was written. */
static void *sorted_set(struct build *build, const void *items, size_t *count, size_t size,
                        int (*order)(const void *, const void *))
{
	char  *set = arena_alloc(build->arena, *count * size);
	size_t kept = 0;

	if (*count == 0)
		return set;
	memcpy(set, items, *count * size);
	qsort(set, *count, size, order);
	for (size_t i = 0; i < *count; i++)
		if (kept == 0 || order(set + (kept - 1) * size, set + i * size) != 0)
			memmove(set + kept++ * size, set + i * size, size);
	*count = kept;
	return set;
}

struct text {
	char  *data;
	size_t len;
};

static void text_add(struct text *text, const void *data, size_t len)
{
	if (len)
		memcpy(text->data + text->len, data, len);
	text->len += len;
}

/* A route's conditions as bytes that are the same for the same conditions, in whatever order. */
static struct text conditions_of(struct build *build, const struct conf_route *route)
{
	size_t       alpn_count = route->alpn_count, source_count = route->source_count, room;
	struct span *alpn = sorted_set(build, route->alpn, &alpn_count, sizeof(*alpn), by_alpn);
	struct cidr *sources = sorted_set(build, route->sources, &source_count, sizeof(*sources),
	                                  by_cidr);
	struct text  text = {0};

	room = sizeof(route->versions) + 2 * sizeof(size_t) + source_count * 18;
	for (size_t i = 0; i < alpn_count; i++)
		room += alpn[i].len + 1;
	text.data = arena_alloc(build->arena, room);
	text_add(&text, &route->versions, sizeof(route->versions));
	text_add(&text, &alpn_count, sizeof(alpn_count));
	for (size_t i = 0; i < alpn_count; i++)
		text_add(&text, alpn[i].data, alpn[i].len + 1); /* its NUL ends it */
	for (size_t i = 0; i < source_count; i++) {
		text_add(&text, sources[i].base.ip, sizeof(sources[i].base.ip));
		text_add(&text, &sources[i].base.family, 1);
		text_add(&text, &sources[i].bits, 1);
	}
	return text;
}

static void tell_alike(struct build *build, const struct conf_route *route,
                       const struct conf_route *other, const struct conf_name *name,
                       const struct conf_listener *listener, struct conf_pos other_pos)
{
	char        place[PLACE_MAX];
	const char *at = build_place(other_pos, name->pos, place);
	int         len = (int)name->name.len;

	if (route == other)
		conf_error(build->report, name->pos,
		           "[route %s] server_name is given twice, first %s", route->name, at);
	else if (route->from_sni && other->from_sni)
		conf_error(build->report, name->pos, "[sni %s] %s is given twice, first %s",
		           listener->name, route->name, at);
	else
		conf_error(
			build->report, name->pos,
			"%s%s%s is like the route %s: both are for listener %s and %s%.*s under the same conditions",
			route->from_sni ? "the line " : "[route ", route->name,
			route->from_sni ? "" : "]", at, listener->name,
			name->kind == ROUTER_NO_NAME ? "no name"
			: len                        ? "the name "
						     : "any name",
			len, (const char *)name->name.data);
}

struct rule {
	const struct conf_route *route;
	const struct conf_name  *name;
};

static void check_rule(struct build *build, struct map *rules, struct text conditions,
                       const struct conf_route *route, const struct conf_name *name,
                       const struct conf_listener *listener)
{
	struct text  text = {0};
	struct rule *rule = arena_alloc(build->arena, sizeof(*rule)), *other;

	text.data = arena_alloc(build->arena, sizeof(listener) + sizeof(name->kind) +
	                                              name->name.len + 1 + conditions.len);
	text_add(&text, &listener, sizeof(listener));
	text_add(&text, &name->kind, sizeof(name->kind));
	text_add(&text, name->name.data, name->name.len);
	text_add(&text, "", 1);
	text_add(&text, conditions.data, conditions.len);
	*rule = (struct rule){route, name};
	other = map_add(rules, span_of(text.data, text.len), rule);
	if (other)
		tell_alike(build, route, other->route, name, listener, other->name->pos);
}

static void check_alike(struct build *build)
{
	struct map rules;

	map_init(&rules, build->arena);
	for (size_t i = 0; i < build->conf->route_count; i++) {
		const struct conf_route *route = build->conf->routes[i];
		struct text              conditions = conditions_of(build, route);

		for (size_t j = 0; j < route->name_count; j++)
			for (size_t k = 0; k < route->listener_count; k++)
				check_rule(build, &rules, conditions, route, &route->names[j],
				           route->listeners[k]);
	}
}

static void check_action(struct build *build, const struct conf_listener *listener,
                         const struct source_section *section, const char *key,
                         enum conf_action action)
{
	const struct source_entry *entry = source_find(section, key);

	if (entry && action == CONF_ACTION_DEFAULT && !listener->proxy_pass &&
	    !source_find(section, "proxy_pass"))
		conf_error(build->report, entry->pos,
		           "[%s] %s = default: there is no default without proxy_pass",
		           section->title, key);
}

static void check_listener(struct build *build, const struct source_section *section)
{
	const struct conf_listener *listener = section->object;
	const struct source_entry  *proxy = source_find(section, "accept_proxy_protocol");

	if (!listener->reads_hello && !listener->proxy_pass &&
	    !source_find(section, "proxy_pass") && !build->route_is_lost)
		conf_error(build->report, section->pos,
		           "[%s] has neither a proxy_pass nor a [route] or [sni] section",
		           section->title);
	if (proxy && listener->accept_proxy_protocol != CONF_PROXY_OFF &&
	    !source_find(section, "set_real_ip_from"))
		conf_error(
			build->report, proxy->pos,
			"[%s] accept_proxy_protocol = %s needs set_real_ip_from: whose header is to be believed",
			section->title, proxy->value);
	check_action(build, listener, section, "on_no_match", listener->on_no_match);
	check_action(build, listener, section, "on_no_sni", listener->on_no_sni);
	check_action(build, listener, section, "on_plaintext", listener->on_plaintext);
}

static void check_upstream(struct build *build, const struct source_section *section)
{
	const struct conf_upstream *upstream = section->object;
	const struct source_entry  *entry = source_find(section, "proxy_starttls");

	if (entry && upstream->starttls != CONF_STARTTLS_OFF && !upstream->proxy_ssl)
		conf_error(
			build->report, entry->pos,
			"[%s] proxy_starttls = %s needs proxy_ssl = on: it is how TLS to the server begins",
			section->title, entry->value);
}

/* An address that is listened on. */
struct bound {
	const struct conf_listener *listener;
	const struct conf_endpoint *endpoint;
	struct addr                 addr;
	struct bound               *next; /* of the same port */
};

static bool covers(const struct bound *wide, const struct bound *narrow)
{
	const char *interface = wide->listener->interface, *other = narrow->listener->interface;

	if (interface && other && strcmp(interface, other) != 0)
		return false;
	return addr_covers(&wide->addr, wide->listener->ipv6only, &narrow->addr);
}

/* Every address is bound once. The kernel would refuse a second one (also a single address beside
 * the wildcard), but without a word about the first. */
static void check_bound(struct build *build, const struct bound *bound, const struct bound *first)
{
	const struct conf_endpoint *at = bound->endpoint;
	char                        place[PLACE_MAX];

	for (; first; first = first->next) {
		bool is_first_wide = covers(first, bound);

		if (!is_first_wide && !covers(bound, first))
			continue;
		conf_error(build->report, at->pos,
		           "[listener %s] listen = %s: %s%s%sis listened on already, %s",
		           bound->listener->name, at->text, is_first_wide ? "" : "includes ",
		           is_first_wide ? "" : first->endpoint->text,
		           is_first_wide ? "" : ", which ",
		           build_place(first->endpoint->pos, at->pos, place));
		return;
	}
}

static void check_address(struct build *build, struct map *ports, struct bound *bound)
{
	uint16_t     *port = arena_alloc(build->arena, sizeof(*port));
	struct bound *first;

	*port = bound->addr.port;
	first = map_add(ports, (struct span){(const uint8_t *)port, sizeof(*port)}, bound);
	if (!first)
		return;
	check_bound(build, bound, first);
	bound->next = first->next;
	first->next = bound;
}

static void check_name(struct build *build, struct map *names, const struct conf_listener *listener,
                       struct conf_endpoint *endpoint)
{
	const struct conf_endpoint *other = map_add(names, span_text(endpoint->text), endpoint);
	char                        place[PLACE_MAX];

	if (other)
		conf_error(build->report, endpoint->pos,
		           "[listener %s] listen = %s: is listened on already, %s", listener->name,
		           endpoint->text, build_place(other->pos, endpoint->pos, place));
}

static void check_listen(struct build *build, struct map *ports, struct map *names,
                         const struct conf_listener *listener, struct conf_endpoint *endpoint)
{
	struct bound *bound = arena_alloc(build->arena, sizeof(*bound));

	*bound = (struct bound){listener, endpoint, .addr = endpoint->addr};
	switch (endpoint->kind) {
	case CONF_ENDPOINT_UNIX:
	case CONF_ENDPOINT_FD:
		check_name(build, names, listener, endpoint);
		break;
	case CONF_ENDPOINT_ANY:
		bound->addr.family = ADDR_IP6;
		check_address(build, ports, bound);
		break;
	case CONF_ENDPOINT_IP:
		check_address(build, ports, bound);
		break;
	case CONF_ENDPOINT_HOST:
		break;
	}
}

static void check_listens(struct build *build)
{
	struct map ports, names;

	map_init(&ports, build->arena);
	map_init(&names, build->arena);
	for (size_t i = 0; i < build->conf->listener_count; i++) {
		const struct conf_listener *listener = build->conf->listeners[i];

		for (size_t j = 0; j < listener->listen_count; j++)
			check_listen(build, &ports, &names, listener, &listener->listens[j]);
	}
}

static void check_log(struct build *build, const struct source_section *section)
{
	const struct conf_log *log = section->object;
	const struct source_entry *template = source_find(section, "template");

	if (template && log->format != CONF_LOG_TEMPLATE)
		conf_error(build->report, template->pos,
		           "[%s] template is only for format = template", section->title);
	if (!template && log->format == CONF_LOG_TEMPLATE)
		conf_error(build->report, source_find(section, "format")->pos,
		           "[%s] format = template needs a template", section->title);
}

static void check_user(struct build *build)
{
	const struct conf_global *global = &build->conf->global;

	if (global->group && !global->user)
		conf_error(build->report, global->group_pos,
		           "[global] group = %s: only together with user", global->group);
}

enum { LOGS_MAX = 1000, SERVERS_MAX = 4096 };

static void check_sizes(struct build *build)
{
	const struct conf *conf = build->conf;

	if (conf->log_count > LOGS_MAX)
		conf_error(build->report, conf->logs[LOGS_MAX]->pos, "more than %d [log] sections",
		           LOGS_MAX);
	for (size_t i = 0; i < conf->upstream_count; i++)
		if (conf->upstreams[i]->server_count > SERVERS_MAX)
			conf_error(build->report, conf->upstreams[i]->pos,
			           "[upstream %s] has more than %d servers",
			           conf->upstreams[i]->name, SERVERS_MAX);
}

void build_check(struct build *build, const struct source *source)
{
	struct conf *conf = build->conf;

	place_routes(build);
	settle_modes(build);
	build_check_tls(build, source);
	check_alike(build);
	check_listens(build);
	check_sizes(build);
	check_user(build);
	for (const struct source_section *section = source->first; section; section = section->next)
		if (strcmp(section->type, "listener") == 0 && section->object)
			check_listener(build, section);
		else if (strcmp(section->type, "log") == 0 && section->object)
			check_log(build, section);
		else if (strcmp(section->type, "upstream") == 0 && section->object)
			check_upstream(build, section);
	if (conf->listener_count == 0 && conf_report_errors(build->report) == 0)
		conf_error(build->report, (struct conf_pos){conf->path, 0},
		           "there is no [listener] section: nothing to do");
}

static void settle_route(struct conf_route *route)
{
	const struct conf_session *from = &route->listeners[0]->session;
	struct conf_session       *session = &route->session;

	if (route->listener_count != 1)
		return;
	if (!(route->set & CONF_SET_ACL)) {
		session->acl = from->acl;
		session->acl_count = from->acl_count;
	}
	if (!(route->set & CONF_SET_MAX_CONNS))
		session->max_conns = from->max_conns;
	if (!(route->set & CONF_SET_PROXY_TIMEOUT))
		session->proxy_timeout_ms = from->proxy_timeout_ms;
	if (!(route->set & CONF_SET_HALF_CLOSE_TIMEOUT))
		session->half_close_timeout_ms = from->half_close_timeout_ms;
	if (!(route->set & CONF_SET_ACCESS_LOG))
		session->access_log = from->access_log;
}

void build_settle(struct build *build)
{
	struct conf *conf = build->conf;

	for (size_t i = 0; i < conf->listener_count; i++) {
		struct conf_listener *listener = conf->listeners[i];
		enum conf_action      action = listener->proxy_pass ? CONF_ACTION_DEFAULT
		                                                    : CONF_ACTION_REJECT;

		if (listener->on_no_match == CONF_ACTION_UNSET)
			listener->on_no_match = action;
		if (listener->on_no_sni == CONF_ACTION_UNSET)
			listener->on_no_sni = action;
	}
	for (size_t i = 0; i < conf->route_count; i++)
		if (conf->routes[i]->listener_count)
			settle_route(conf->routes[i]);
}
