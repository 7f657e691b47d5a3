/* Back to text, by the table: the effective file, and the reference page. */
#include "conf/conf.h"
#include "conf/keys.h"

static const char *shown_name(const struct key *key, const void *field)
{
	if (key->kind == &value_rule)
		return ((const struct acl_rule *)field)->allow ? "allow" : "deny";
	return key->name;
}

static void print_one(const struct key *key, const void *field, FILE *to)
{
	if (!key->preset && key->kind->is_unset && key->kind->is_unset(field))
		return;
	fprintf(to, "%s = ", shown_name(key, field));
	key->kind->print(key, field, to);
	fputc('\n', to);
}

static void print_many(const struct key *key, const void *object, FILE *to)
{
	const char  *items;
	const size_t count = *(const size_t *)(const void *)((const char *)object +
	                                                     key->count_offset);

	memcpy(&items, (const char *)object + key->offset, sizeof(items));
	for (size_t i = 0; i < count; i++)
		print_one(key, items + i * key->kind->item_size, to);
}

/* Would say nothing: left to the listener by a route (*set*: what it does not leave), or without
 * effect. */
static bool is_left_out(const struct key *key, const void *object, unsigned set)
{
	if (key->flags & KEY_SSL)
		return !((const struct conf_upstream *)object)->proxy_ssl;
	return key->set && !(key->set & set);
}

static void print_keys(enum section_kind kind, const void *object, unsigned set, FILE *to)
{
	for (const struct key *key = keys; key < keys + keys_count; key++) {
		if (key->section != kind || !key->kind->print || (key->flags & KEY_JOINED))
			continue;
		if (is_left_out(key, object, set))
			continue;
		if (key->flags & KEY_MANY)
			print_many(key, object, to);
		else
			print_one(key, (const char *)object + key->offset, to);
	}
}

/* An [sni] section of nothing but `default` left no route, yet it is why the listener reads hellos;
 * where starttls is not why. */
static bool is_named_by_none(const struct conf *conf, const struct conf_listener *listener)
{
	for (size_t i = 0; i < conf->route_count; i++)
		for (size_t j = 0; j < conf->routes[i]->listener_count; j++)
			if (conf->routes[i]->listeners[j] == listener)
				return false;
	return listener->reads_hello && listener->mode != CONF_TERMINATE &&
	       listener->starttls == CONF_STARTTLS_OFF;
}

static void print_sni_lines(const struct conf *conf, FILE *to)
{
	const struct conf_listener *open = 0;

	/* An [sni] section's lines are neighbours in conf->routes, and a listener has one such
	 * section. */
	for (size_t i = 0; i < conf->route_count; i++) {
		const struct conf_route *route = conf->routes[i];

		if (!route->from_sni)
			continue;
		if (open != route->listeners[0])
			fprintf(to, "\n[sni %s]\n", route->listeners[0]->name);
		open = route->listeners[0];
		value_print_name(route->names, to);
		fprintf(to, " = %s\n", route->upstream->name);
	}
	for (size_t i = 0; i < conf->listener_count; i++)
		if (is_named_by_none(conf, conf->listeners[i]))
			fprintf(to, "\n[sni %s]\n", conf->listeners[i]->name);
}

/* Those that stand in the listener or route itself. */
static void print_tls_keys(const struct conf_tls *tls, FILE *to)
{
	if (tls && !tls->name)
		print_keys(SECTION_TLS, tls, 0, to);
}

static bool has_any_name(const struct conf_route *route)
{
	return route->names[0].kind == ROUTER_ANY_NAME;
}

static void print_route(const struct conf_route *route, FILE *to)
{
	struct conf_route shown = *route;

	if (has_any_name(route))
		shown.name_count = 0;
	fprintf(to, "\n[route %s]\n", route->name);
	print_keys(SECTION_ROUTE, &shown, route->set, to);
	print_tls_keys(route->tls, to);
}

void conf_print(const struct conf *conf, FILE *to)
{
	fputs("[global]\n", to);
	print_keys(SECTION_GLOBAL, &conf->global, 0, to);
	for (size_t i = 0; i < conf->listener_count; i++) {
		fprintf(to, "\n[listener %s]\n", conf->listeners[i]->name);
		print_keys(SECTION_LISTENER, conf->listeners[i], 0, to);
		print_tls_keys(conf->listeners[i]->tls, to);
	}
	print_sni_lines(conf, to);
	for (size_t i = 0; i < conf->route_count; i++)
		if (!conf->routes[i]->from_sni)
			print_route(conf->routes[i], to);
	for (size_t i = 0; i < conf->upstream_count; i++) {
		if (conf->upstreams[i]->implied)
			continue;
		fprintf(to, "\n[upstream %s]\n", conf->upstreams[i]->name);
		print_keys(SECTION_UPSTREAM, conf->upstreams[i], 0, to);
	}
	for (size_t i = 0; i < conf->tls_count; i++) {
		if (!conf->tls[i]->name)
			continue;
		fprintf(to, "\n[tls %s]\n", conf->tls[i]->name);
		print_keys(SECTION_TLS, conf->tls[i], 0, to);
	}
	for (size_t i = 0; i < conf->log_count; i++) {
		fprintf(to, "\n[log %s]\n", conf->logs[i]->name);
		print_keys(SECTION_LOG, conf->logs[i], 0, to);
	}
}

/* A bar would end the cell. */
static void print_cell(const char *text, FILE *to)
{
	for (; *text; text++)
		fprintf(to, *text == '|' ? "\\%c" : "%c", *text);
}

static void print_syntax(const struct key *key, FILE *to)
{
	bool first = true;

	if (key->word)
		fprintf(to, "%s, ", key->word);
	if (key->kind->syntax)
		print_cell(key->kind->syntax, to);
	for (const struct word *word = key->kind->syntax ? 0 : key->words; word && word->name;
	     word++) {
		if (word->later)
			continue;
		fprintf(to, "%s%s", first ? "" : ", ", word->name);
		first = false;
	}
}

static void print_reference_row(const struct key *key, FILE *to)
{
	bool is_later = key->kind == &value_later;

	fprintf(to, "| %s%s%s | ", key->name, key->flags & KEY_MANY ? " *" : "",
	        key->flags & KEY_DEFAULTS ? " D" : "");
	print_syntax(key, to);
	fprintf(to, " | %s | ",
	        key->flags & KEY_REQUIRED ? "required"
	        : key->preset             ? key->preset
	                                  : "");
	print_cell(key->help, to);
	fprintf(to, "%s |\n",
	        is_later                 ? " Not supported yet."
	        : key->flags & KEY_FIXED ? " Needs a restart."
	                                 : "");
}

void conf_print_reference(FILE *to)
{
	fputs("# Every key of the configuration\n"
	      "\n"
	      "Made from the table that the program reads by (`penstock --reference`). A key marked * may be\n"
	      "repeated, one value a line; an indented line is one more value. `[defaults]` takes the keys marked D.\n"
	      "A key that is not supported yet is an error, unless it is given the value it has anyway.\n"
	      "One that needs a restart keeps its value in a running process, whatever the file says.\n"
	      "\n",
	      to);
	for (unsigned kind = 0; kind < SECTION_KINDS; kind++) {
		bool has_rows = false;

		for (const struct key *key = keys; key < keys + keys_count; key++) {
			if (key->section != (enum section_kind)kind)
				continue;
			if (!has_rows)
				fprintf(to,
				        "## [%s%s]\n\n| key | value | default | meaning |\n| --- | --- | --- | --- |\n",
				        keys_section_type((enum section_kind)kind),
				        keys_section_is_named((enum section_kind)kind) ? " NAME"
				                                                       : "");
			has_rows = true;
			print_reference_row(key, to);
		}
		fputs(has_rows ? "\n" : "", to);
		if (keys_holds_tls((enum section_kind)kind))
			fputs("Also every key of [tls NAME], in place of tls.\n\n", to);
	}
}
