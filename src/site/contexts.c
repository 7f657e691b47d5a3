#include "site/contexts.h"

#include "proto/hello.h"

#include <stdlib.h>
#include <string.h>

enum { LINT_NOT_COVERED = 18 };

static bool grow(struct contexts *contexts)
{
	size_t                 room = contexts->room ? contexts->room * 2 : 8;
	struct contexts_entry *grown = realloc(contexts->entries, room * sizeof(*grown));

	if (!grown)
		return false;
	contexts->entries = grown;
	contexts->room = room;
	return true;
}

/* Routes of one section mostly stand together, so the last is looked at first. */
const struct tls_context *contexts_get(struct contexts *contexts, const struct conf_tls *conf,
                                       struct tls_store *store, struct conf_report *report)
{
	struct contexts_entry *entry;

	for (size_t i = contexts->count; i > 0; i--)
		if (contexts->entries[i - 1].conf == conf)
			return contexts->entries[i - 1].context;
	if (contexts->count == contexts->room && !grow(contexts)) {
		conf_error(report, conf->pos, "[%s]: no memory left", conf->section);
		return NULL;
	}
	entry = &contexts->entries[contexts->count++];
	*entry = (struct contexts_entry){conf, tls_context_build(conf, store, report)};
	return entry->context;
}

void contexts_fini(struct contexts *contexts)
{
	for (size_t i = 0; i < contexts->count; i++)
		tls_context_free(contexts->entries[i].context);
	free(contexts->entries);
	*contexts = (struct contexts){0};
}

/* A wildcard of a route takes any number of labels, one of a certificate just one: it is enough
 * that the names one label below are covered. */
static bool covers(const struct tls_context *context, const struct conf_name *name)
{
	char below[2 + HELLO_NAME_MAX] = "x.";

	switch (name->kind) {
	case ROUTER_EXACT:
	case ROUTER_APEX:
		return tls_context_covers(context, name->name);
	case ROUTER_BELOW:
		if (name->name.len > HELLO_NAME_MAX)
			return true;
		memcpy(below + 2, name->name.data, name->name.len);
		return tls_context_covers(context, span_of(below, 2 + name->name.len));
	case ROUTER_ANY_NAME:
	case ROUTER_NO_NAME:
		break;
	}
	return true;
}

void contexts_lint_names(const struct tls_context *context, const struct conf_route *route,
                         struct conf_report *report)
{
	for (size_t i = 0; i < route->name_count; i++) {
		const struct conf_name *name = &route->names[i];

		if (covers(context, name))
			continue;
		conf_warn(report, name->pos, LINT_NOT_COVERED,
		          "[route %s] server_name = %s%.*s: no certificate covers it, clients "
		          "will refuse the one they are shown",
		          route->name,
		          name->kind == ROUTER_BELOW  ? "*."
		          : name->kind == ROUTER_APEX ? "."
		                                      : "",
		          (int)name->name.len, (const char *)name->name.data);
	}
}
