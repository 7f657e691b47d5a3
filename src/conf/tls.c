/* TLS: the keys of a [tls] section, those written in a listener or route, those of an upstream; and
 * what must be there together. */
#include "conf/build.h"

/* The Nth key belongs to the Nth certificate. */
static void check_pairs(struct build *build, const char *title, const struct conf_tls *tls)
{
	if (tls->certificate_count > tls->key_count)
		conf_error(
			build->report, tls->certificates[tls->key_count].pos,
			"[%s] ssl_certificate = %s: has no ssl_certificate_key; they come in pairs, in order",
			title, tls->certificates[tls->key_count].path);
	else if (tls->key_count > tls->certificate_count)
		conf_error(
			build->report, tls->keys[tls->certificate_count].pos,
			"[%s] ssl_certificate_key = %s: has no ssl_certificate; they come in pairs, in order",
			title, tls->keys[tls->certificate_count].path);
}

/* *section* holds the keys, whatever its type is. */
static void check_keys(struct build *build, const struct source_section *section,
                       const struct conf_tls *tls)
{
	const struct source_entry *verify = source_find(section, "ssl_verify_client");

	if (!source_find(section, "ssl_certificate") &&
	    !source_find(section, "ssl_certificate_key") &&
	    !source_find(section, "ssl_certificate_dir"))
		conf_error(
			build->report, section->pos,
			"[%s] has no certificate: ssl_certificate and ssl_certificate_key, or ssl_certificate_dir",
			section->title);
	check_pairs(build, section->title, tls);
	if (verify && tls->verify_client != CONF_VERIFY_OFF &&
	    !source_find(section, "ssl_client_certificate"))
		conf_error(
			build->report, verify->pos,
			"[%s] ssl_verify_client = %s needs ssl_client_certificate: the authorities to trust",
			section->title, verify->value);
}

void build_tls(struct build *build, const struct source_section *section)
{
	build_fill(build, SECTION_TLS, section, section->object);
	check_keys(build, section, section->object);
}

/* The first of [tls]'s keys; NULL: none. Its value may still be one that is not supported yet. */
static const struct source_entry *first_inline(const struct source_section *section)
{
	const struct source_entry *entry = section->first;

	while (entry && !keys_find(SECTION_TLS, entry->key))
		entry = entry->next;
	return entry;
}

void build_tls_inline(struct build *build, const struct source_section *section,
                      struct conf_tls **tls)
{
	const struct source_entry *first = first_inline(section),
				  *named = source_find(section, "tls");
	struct conf_tls *own;
	char             place[PLACE_MAX];

	if (!first)
		return;
	own = arena_alloc(build->arena, sizeof(*own));
	own->section = build_title(build, section);
	own->pos = section->pos;
	build_fill(build, SECTION_TLS, section, own);
	if (named) {
		conf_error(
			build->report, first->pos,
			"[%s] %s: tls = %s, %s, stands for all of these keys; keep one or the others",
			section->title, first->key, named->value,
			build_place(named->pos, first->pos, place));
		return;
	}
	check_keys(build, section, own);
	*tls = own;
	BUILD_APPEND(build, build->conf->tls, build->conf->tls_count, own);
}

void build_tls_client(struct build *build, const struct source_section *section)
{
	struct conf_upstream      *upstream = section->object;
	struct conf_tls_client    *ssl = &upstream->ssl_keys;
	const struct source_entry *certificate = source_find(section, "proxy_ssl_certificate"),
				  *own_key = source_find(section, "proxy_ssl_certificate_key");

	for (const struct source_entry *entry = section->first; entry; entry = entry->next) {
		const struct key *key = keys_find(SECTION_UPSTREAM, entry->key);

		if (key && (key->flags & KEY_SSL) && !upstream->proxy_ssl)
			conf_error(build->report, entry->pos,
			           "[%s] %s has a meaning only with proxy_ssl = on", section->title,
			           entry->key);
	}
	if (!upstream->proxy_ssl)
		return;
	if (!certificate != !own_key)
		conf_error(build->report, certificate ? certificate->pos : own_key->pos,
		           "[%s] %s needs %s", section->title,
		           certificate ? "proxy_ssl_certificate" : "proxy_ssl_certificate_key",
		           certificate ? "proxy_ssl_certificate_key" : "proxy_ssl_certificate");
	for (size_t i = 0; ssl->verify && !ssl->name && i < upstream->server_count; i++)
		if (upstream->servers[i].endpoint.kind == CONF_ENDPOINT_UNIX)
			conf_error(
				build->report, upstream->servers[i].endpoint.pos,
				"[%s] server = %s: a unix socket has no name that its certificate could be "
				"checked for: set proxy_ssl_name (or proxy_ssl_verify = off)",
				section->title, upstream->servers[i].endpoint.text);
	ssl->section = build_title(build, section);
	ssl->pos = upstream->pos;
	upstream->ssl = ssl;
}

static void tell_missing(struct build *build, const struct source_section *section,
                         struct conf_pos pos, const struct conf_listener *listener)
{
	if (listener)
		conf_error(
			build->report, pos,
			"[%s] mode = terminate needs a certificate, and [listener %s] has none either: tls = NAME, "
			"or ssl_certificate and ssl_certificate_key",
			section->title, listener->name);
	else
		conf_error(
			build->report, pos,
			"[%s] mode = terminate needs a certificate: tls = NAME, or ssl_certificate and "
			"ssl_certificate_key",
			section->title);
}

/* A wrong or doubled `tls` has been told already. */
static bool is_told(const struct source_section *section)
{
	return source_find(section, "tls") || first_inline(section);
}

static bool has_route(const struct conf *conf, const struct conf_listener *listener)
{
	for (size_t i = 0; i < conf->route_count; i++)
		for (size_t j = 0; j < conf->routes[i]->listener_count; j++)
			if (conf->routes[i]->listeners[j] == listener)
				return true;
	return false;
}

static void check_listener(struct build *build, const struct source_section *section)
{
	const struct conf_listener *listener = section->object;
	const struct source_entry  *preread = source_find(section, "ssl_preread");

	if (listener->mode != CONF_TERMINATE)
		return;
	if (!listener->tls && !is_told(section))
		tell_missing(build, section, source_find(section, "mode")->pos, 0);
	if (preread && listener->ssl_preread == CONF_PREREAD_OFF)
		conf_error(
			build->report, preread->pos,
			"[%s] ssl_preread = off: mode = terminate reads the hello; leave one of them out",
			section->title);
	if (!listener->proxy_pass && !source_find(section, "proxy_pass") && !build->route_is_lost &&
	    !has_route(build->conf, listener))
		conf_error(build->report, section->pos,
		           "[%s] has neither a proxy_pass nor a [route] or [sni] section",
		           section->title);
}

static void check_route(struct build *build, const struct source_section *section)
{
	const struct conf_route   *route = section->object;
	const struct source_entry *mode = source_find(section, "mode");

	/* A mode that it has from its listeners is checked with them. */
	if (!mode || route->mode != CONF_TERMINATE || route->tls || is_told(section))
		return;
	for (size_t i = 0; i < route->listener_count; i++) {
		if (route->listeners[i]->tls)
			continue;
		tell_missing(build, section, mode->pos, route->listeners[i]);
		return;
	}
}

void build_check_tls(struct build *build, const struct source *source)
{
	for (const struct source_section *section = source->first; section; section = section->next)
		if (strcmp(section->type, "listener") == 0 && section->object)
			check_listener(build, section);
		else if (strcmp(section->type, "route") == 0 && section->object)
			check_route(build, section);
}
