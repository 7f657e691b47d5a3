/*
 * build: what stands around while sections become structs: names, and who refers to whom.
 *
 * Lives on conf_read's stack; everything it points to is in the configuration's arena. The order
 * is: objects for all sections (so that any may refer to any), their keys, then what spans
 * sections. Shared by conf's own modules and by nobody else.
 */
#ifndef CONF_BUILD_H
#define CONF_BUILD_H

#include "conf/keys.h"
#include "conf/map.h"
#include "conf/source.h"

struct build {
	struct arena        *arena;
	struct conf_report  *report;
	struct conf         *conf;
	struct source_entry *preset[KEYS_MAX];                /* by row: what [defaults] says */
	struct map           listeners, upstreams, logs, tls; /* conf_... by name */
	struct map           implied; /* conf_upstream by the proxy_pass that made it */
	bool route_is_lost; /* one could not be placed: do not complain of listeners without */
};

/* An array of the configuration's, longer by one. */
#define BUILD_APPEND(build, array, count, item)                                                    \
	((array) = arena_room((build)->arena, (array), (count), sizeof(*(array))),                 \
	 (void)((array)[(count)++] = (item)))

/* conf.c: the section's type and name, one blank between: "listener  web" is "listener web". */
const char *build_title(struct build *build, const struct source_section *section);

/* fill.c: fills *object*, a struct of *section*'s kind, from the keys of *section* (NULL: nothing
 * given), [defaults] and the table's presets; tells every error. */
void build_fill(struct build *build, enum section_kind kind, const struct source_section *section,
                void *object);
/* Takes the keys of [defaults], judging each once. They hold in the whole file, wherever the
 * section stands; a route's timeouts and log come from its listener, not from here. */
void build_defaults(struct build *build, const struct source_section *section);
/* Reads one value outside the table into *field*; false: the error has been told. */
MUST_CHECK bool build_read(struct build *build, const struct source_section *section,
                           const struct source_entry *entry, const struct key *key, void *field);

/* tls.c: the keys of a [tls] section; those of *section*, a listener or route, into *tls*, which
 * may hold what `tls` names already; those of an upstream, which are filled in. */
void build_tls(struct build *build, const struct source_section *section);
void build_tls_inline(struct build *build, const struct source_section *section,
                      struct conf_tls **tls);
void build_tls_client(struct build *build, const struct source_section *section);
/* What terminates has a certificate. Needs the routes placed and their modes settled. */
void build_check_tls(struct build *build, const struct source *source);

/* route.c: routes of an [sni] section, and one of a [route]; need the listeners filled in. */
void build_sni(struct build *build, const struct source_section *section);
void build_route(struct build *build, const struct source_section *section);

/* check.c: which listeners read hellos, what is alike, what is missing; fills in what follows from
 * that. */
void build_check(struct build *build, const struct source *source);

/* fixed.c: gives every key that a running process cannot change the value that it has in
 * *running*, with a warning where another was asked for. Only over a configuration without
 * errors. */
void build_keep_fixed(struct build *build, const struct source *source,
                      const struct conf_global *running);

/* lint_tls.c: its part of build_lint. */
void build_lint_tls(struct build *build);

/* lint.c: runs only over a configuration without errors, before build_settle. */
void build_lint(struct build *build);

/* check.c: gives what is still open its default (on_no_match, a route's timeouts). */
void build_settle(struct build *build);

enum { PLACE_MAX = 160 };
/* "line 3", or "FILE:3" seen from another file. */
const char *build_place(struct conf_pos pos, struct conf_pos from, char out[PLACE_MAX]);

#endif
