/* Routes: from a [route] section, or from the lines of an [sni] section. */
#include "conf/build.h"
#include "conf/suggest.h"

/* The value of an [sni] line reads as a listener's proxy_pass does. */
static const struct key *pass_key(void)
{
	return keys_find(SECTION_ROUTE, "proxy_pass");
}

static void claim_hellos(struct build *build, struct conf_listener *listener, struct conf_pos pos,
                         const char *title)
{
	if (listener->ssl_preread == CONF_PREREAD_OFF)
		conf_error(
			build->report, pos,
			"[%s] needs the hello, but [listener %s] has ssl_preread = off: leave that out, or this",
			title, listener->name);
	listener->reads_hello = true;
}

/* `default` is another spelling of the listener's proxy_pass, so both at once would be a
 * contradiction. */
static void sni_default(struct build *build, const struct source_section *section,
                        const struct source_entry *entry, struct conf_listener *listener)
{
	struct conf_upstream *upstream = 0;

	if (!build_read(build, section, entry, pass_key(), &upstream))
		return;
	if (listener->proxy_pass)
		conf_error(
			build->report, entry->pos,
			"[%s] default: [listener %s] has its default already, by proxy_pass or by another default; "
			"keep one",
			section->title, listener->name);
	listener->proxy_pass = upstream;
}

static bool sni_name(struct build *build, const struct source_section *section,
                     const struct source_entry *entry, struct conf_name *name)
{
	struct reading reading = {.build = build, .arena = build->arena, .pos = entry->pos};
	char           key[REPORT_VALUE_MAX];

	if (value_read_name(&reading, entry->key, name))
		return true;
	conf_error(build->report, entry->pos, "[%s] %s: %s", section->title,
	           report_value(entry->key, key), reading.refused);
	return false;
}

static void sni_line(struct build *build, const struct source_section *section,
                     const struct source_entry *entry, struct conf_listener *listener)
{
	struct conf_route *route = arena_alloc(build->arena, sizeof(*route));
	bool               is_name_good, is_value_good;

	route->name = entry->key;
	route->pos = entry->pos;
	route->from_sni = true;
	route->names = arena_alloc(build->arena, sizeof(*route->names));
	route->name_count = 1;
	route->listeners = arena_alloc(build->arena, sizeof(*route->listeners));
	route->listeners[0] = listener;
	route->listener_count = 1;
	is_name_good = sni_name(build, section, entry, route->names);
	is_value_good = build_read(build, section, entry, pass_key(), &route->upstream);
	if (is_name_good && is_value_good)
		BUILD_APPEND(build, build->conf->routes, build->conf->route_count, route);
}

void build_sni(struct build *build, const struct source_section *section)
{
	struct conf_listener *listener = map_find(&build->listeners, span_text(section->name));
	struct suggest        suggest;
	char                  near[SUGGEST_TEXT_MAX];

	if (!listener) {
		suggest_init(&suggest, section->name);
		suggest_try_map(&suggest, &build->listeners);
		conf_error(build->report, section->pos,
		           "[%s]: there is no [listener] section of that name%s", section->title,
		           suggest_text(&suggest, near));
		build->route_is_lost = true;
		return;
	}
	claim_hellos(build, listener, section->pos, section->title);
	for (const struct source_entry *entry = section->first; entry; entry = entry->next) {
		if (entry->continues)
			conf_error(
				build->report, entry->pos,
				"[%s] %s goes to one upstream; an indented line is one more value",
				section->title, entry->key);
		else if (strcmp(entry->key, "default") == 0)
			sni_default(build, section, entry, listener);
		else
			sni_line(build, section, entry, listener);
	}
}

/* What mode and proxy_pass say together. */
static void check_pass(struct build *build, const struct source_section *section,
                       const struct conf_route *route)
{
	const struct source_entry *pass = source_find(section, "proxy_pass");

	if (route->mode == CONF_REJECT && pass)
		conf_error(build->report, pass->pos,
		           "[%s] proxy_pass: mode = reject passes nothing on; keep one",
		           section->title);
	else if (route->mode != CONF_REJECT && !pass)
		conf_error(build->report, section->pos,
		           "[%s] proxy_pass is required unless mode is reject: %s", section->title,
		           value_proxy_pass.syntax);
}

void build_route(struct build *build, const struct source_section *section)
{
	struct conf_route *route = section->object;

	route->name = section->name;
	route->pos = section->pos;
	build_fill(build, SECTION_ROUTE, section, route);
	build_tls_inline(build, section, &route->tls);
	check_pass(build, section, route);
	for (size_t i = 0; i < route->listener_count; i++)
		claim_hellos(build, route->listeners[i], route->pos, section->title);
	if (route->name_count == 0) {
		/* Also where all that were given are wrong: the route is in error then anyway. */
		route->names = arena_alloc(build->arena, sizeof(*route->names));
		*route->names = (struct conf_name){.kind = ROUTER_ANY_NAME, .pos = route->pos};
		route->name_count = 1;
	}
	if (route->listener_count == 0 && source_find(section, "listener"))
		return; /* it named only listeners that are not there */
	BUILD_APPEND(build, build->conf->routes, build->conf->route_count, route);
}
