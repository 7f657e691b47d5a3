/* Warnings about TLS; the table of all lints is in lint.c. */
#include "conf/build.h"
#include "policy/ciphers.h"

enum lint {
	LINT_KEY_LOG = 13,
	LINT_NO_EFFECT = 15,
	LINT_WEAK_CIPHERS = 16,
	LINT_TLS_IN_TLS = 20,
};

static bool terminates(const struct conf_listener *listener)
{
	return listener->mode == CONF_TERMINATE;
}

/* The listener's own TLS serves it or one of its routes. */
static bool needs_its_tls(const struct conf *conf, const struct conf_listener *listener)
{
	if (terminates(listener))
		return true;
	for (size_t i = 0; i < conf->route_count; i++) {
		const struct conf_route *route = conf->routes[i];

		if (route->mode != CONF_TERMINATE || route->tls)
			continue;
		for (size_t j = 0; j < route->listener_count; j++)
			if (route->listeners[j] == listener)
				return true;
	}
	return false;
}

static void lint_places(struct build *build)
{
	const struct conf *conf = build->conf;

	for (size_t i = 0; i < conf->listener_count; i++) {
		const struct conf_listener *listener = conf->listeners[i];

		if (listener->tls && !needs_its_tls(conf, listener))
			conf_warn(
				build->report, listener->pos, LINT_NO_EFFECT,
				"[listener %s] %s no effect: neither it nor a route of it has mode = terminate",
				listener->name,
				listener->tls->name ? "tls has"
						    : "ssl_certificate and the like have");
	}
	for (size_t i = 0; i < conf->route_count; i++) {
		const struct conf_route *route = conf->routes[i];

		if (route->tls && route->mode != CONF_TERMINATE)
			conf_warn(build->report, route->pos, LINT_NO_EFFECT,
			          "[route %s] %s no effect: its mode is not terminate", route->name,
			          route->tls->name ? "tls has"
			                           : "ssl_certificate and the like have");
	}
}

static bool is_named(const struct conf *conf, const struct conf_tls *tls)
{
	for (size_t i = 0; i < conf->listener_count; i++)
		if (conf->listeners[i]->tls == tls)
			return true;
	for (size_t i = 0; i < conf->route_count; i++)
		if (conf->routes[i]->tls == tls)
			return true;
	return false;
}

/* It stands in the section itself: [defaults] also speaks for sections that it does not fit. */
static bool is_given_here(const struct build *build, const char *key, struct conf_pos pos)
{
	const struct key          *row = keys_find(SECTION_TLS, key);
	const struct source_entry *preset = build->preset[row - keys];

	return pos.line &&
	       !(preset && preset->pos.line == pos.line && strcmp(preset->pos.file, pos.file) == 0);
}

static void warn_no_effect(struct build *build, const struct conf_tls *tls, struct conf_pos pos,
                           const char *key, const char *why)
{
	conf_warn(build->report, pos, LINT_NO_EFFECT, "[%s] %s has no effect %s", tls->section, key,
	          why);
}

static void lint_together(struct build *build, const struct conf_tls *tls)
{
	static const char off[] = "while ssl_verify_client is off";

	if (tls->client_certificate.path && tls->verify_client == CONF_VERIFY_OFF)
		warn_no_effect(build, tls, tls->client_certificate.pos, "ssl_client_certificate",
		               off);
	if (tls->crl.path && tls->verify_client == CONF_VERIFY_OFF)
		warn_no_effect(build, tls, tls->crl.pos, "ssl_crl", off);
	if (tls->ticket_key_count && !tls->session_tickets)
		warn_no_effect(build, tls, tls->ticket_keys[0].pos, "ssl_session_ticket_key",
		               "while ssl_session_tickets is off");
	if (!(tls->protocols & CONF_TLS12) && is_given_here(build, "ssl_ciphers", tls->ciphers.pos))
		warn_no_effect(build, tls, tls->ciphers.pos, "ssl_ciphers",
		               "without TLSv1.2 in ssl_protocols");
	if (!(tls->protocols & CONF_TLS13) &&
	    is_given_here(build, "ssl_ciphersuites", tls->ciphersuites.pos))
		warn_no_effect(build, tls, tls->ciphersuites.pos, "ssl_ciphersuites",
		               "without TLSv1.3 in ssl_protocols");
}

static void lint_ciphers(struct build *build, const struct conf_tls *tls)
{
	struct ciphers ciphers;
	struct span    token;

	if (!(tls->protocols & CONF_TLS12) ||
	    ciphers_parse(span_text(tls->ciphers.text), &ciphers, &token) != CIPHERS_OK ||
	    !ciphers.has_weak)
		return;
	conf_warn(
		build->report, tls->ciphers.pos, LINT_WEAK_CIPHERS,
		"[%s] ssl_ciphers asks for CBC, which is weak (RFC 9325 4.2): without a client that needs it "
		"add :!SHA1:!SHA256:!SHA384, or leave ssl_ciphers out",
		tls->section);
}

static void lint_section(struct build *build, const struct conf_tls *tls)
{
	if (tls->name && !is_named(build->conf, tls))
		conf_warn(build->report, tls->pos, LINT_NO_EFFECT,
		          "[tls %s] is not used: no listener or route names it", tls->name);
	if (tls->key_log.path)
		conf_warn(build->report, tls->key_log.pos, LINT_KEY_LOG,
		          "[%s] ssl_key_log = %s: whoever has this file reads all traffic",
		          tls->section, tls->key_log.path);
	lint_together(build, tls);
	lint_ciphers(build, tls);
}

static void lint_pass(struct build *build, struct conf_pos pos, const char *kind, const char *name,
                      const struct conf_upstream *upstream)
{
	if (upstream && upstream->ssl)
		conf_warn(
			build->report, pos, LINT_TLS_IN_TLS,
			"[%s %s] passes TLS through to upstream %s, which has proxy_ssl = on: TLS inside TLS; "
			"mode = terminate is missing, or proxy_ssl is too much",
			kind, name, upstream->name);
}

/* Without reading hellos any TCP passes, and TLS towards the server may well be meant. */
static void lint_passthrough(struct build *build)
{
	const struct conf *conf = build->conf;

	for (size_t i = 0; i < conf->listener_count; i++) {
		const struct conf_listener *listener = conf->listeners[i];

		if (listener->reads_hello && !terminates(listener))
			lint_pass(build, listener->pos, "listener", listener->name,
			          listener->proxy_pass);
	}
	for (size_t i = 0; i < conf->route_count; i++) {
		const struct conf_route *route = conf->routes[i];

		if (route->mode == CONF_PASSTHROUGH)
			lint_pass(build, route->pos, "route", route->name, route->upstream);
	}
	for (size_t i = 0; i < conf->upstream_count; i++) {
		const struct conf_tls_client *ssl = conf->upstreams[i]->ssl;

		if (ssl && !ssl->verify && ssl->trusted_certificate.path)
			conf_warn(build->report, ssl->trusted_certificate.pos, LINT_NO_EFFECT,
			          "[%s] proxy_ssl_trusted_certificate has no effect while "
			          "proxy_ssl_verify is off",
			          ssl->section);
	}
}

void build_lint_tls(struct build *build)
{
	lint_places(build);
	for (size_t i = 0; i < build->conf->tls_count; i++)
		lint_section(build, build->conf->tls[i]);
	lint_passthrough(build);
}
