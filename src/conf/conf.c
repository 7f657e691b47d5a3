/* Puts it together: sections to objects, objects' keys, what spans them. */
#include "conf/conf.h"

#include "conf/build.h"
#include "conf/suggest.h"

#include <stdlib.h>

/* The arena holds everything but this. */
struct whole {
	struct conf  conf;
	struct arena arena;
};

enum { NAME_LONGEST = 200 }; /* a section title may be no longer */

static bool is_name(const char *name)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
	size_t len = strlen(name);

	return len <= NAME_LONGEST && strspn(name, allowed) == len;
}

static void tell_unknown_section(struct build *build, const struct source_section *section)
{
	struct suggest suggest;
	char           near[SUGGEST_TEXT_MAX];

	suggest_init(&suggest, section->type);
	for (unsigned i = 0; i < SECTION_KINDS; i++)
		suggest_try(&suggest, keys_section_type((enum section_kind)i));
	conf_error(
		build->report, section->pos,
		"[%s]: unknown section; there are global, defaults, listener, sni, route, upstream, tls and log%s",
		section->title, suggest_text(&suggest, near));
}

/* Whether the section's keys can be read at all. */
static bool check_section(struct build *build, const struct source_section *section,
                          enum section_kind *kind)
{
	if (!keys_section_kind(section->type, kind)) {
		tell_unknown_section(build, section);
		return false;
	}
	if (!keys_section_is_named(*kind) && section->name) {
		conf_error(build->report, section->pos, "[%s]: a [%s] section has no name",
		           section->title, section->type);
		return false;
	}
	if (keys_section_is_named(*kind) && !section->name) {
		conf_error(build->report, section->pos, "[%s]: the section needs a name: [%s NAME]",
		           section->title, section->type);
		return false;
	}
	if (section->name && !is_name(section->name))
		conf_error(build->report, section->pos,
		           "[%s]: a name is at most %d letters, digits, and `.`, `_`, `-`",
		           section->title, NAME_LONGEST);
	if (*kind == SECTION_LOG && strcmp(section->name, "off") == 0)
		conf_error(build->report, section->pos,
		           "[%s]: off means no log; choose another name", section->title);
	return true;
}

const char *build_title(struct build *build, const struct source_section *section)
{
	size_t type_len = strlen(section->type);
	char  *title;

	if (!section->name)
		return section->type;
	title = arena_alloc(build->arena, type_len + 1 + strlen(section->name) + 1);
	strcpy(title, section->type);
	title[type_len] = ' ';
	strcpy(title + type_len + 1, section->name);
	return title;
}

/* The object that a section becomes. The first of a name is known by it at once, so that any
 * section may refer to it: true, it belongs to the configuration. A second one is read for its
 * errors but belongs to nothing. */
static bool take_object(struct source_section *section, void *object, bool is_first,
                        struct map *by_name)
{
	section->object = object;
	return is_first && !map_add(by_name, span_text(section->name), object);
}

static void make_listener(struct build *build, struct source_section *section, bool is_first)
{
	struct conf_listener *listener = arena_alloc(build->arena, sizeof(*listener));

	listener->name = section->name;
	listener->pos = section->pos;
	if (take_object(section, listener, is_first, &build->listeners))
		BUILD_APPEND(build, build->conf->listeners, build->conf->listener_count, listener);
}

static void make_upstream(struct build *build, struct source_section *section, bool is_first)
{
	struct conf_upstream *upstream = arena_alloc(build->arena, sizeof(*upstream));

	upstream->name = section->name;
	upstream->pos = section->pos;
	if (take_object(section, upstream, is_first, &build->upstreams))
		BUILD_APPEND(build, build->conf->upstreams, build->conf->upstream_count, upstream);
}

static void make_log(struct build *build, struct source_section *section, bool is_first)
{
	struct conf_log *log = arena_alloc(build->arena, sizeof(*log));

	log->name = section->name;
	log->pos = section->pos;
	if (take_object(section, log, is_first, &build->logs))
		BUILD_APPEND(build, build->conf->logs, build->conf->log_count, log);
}

static void make_tls(struct build *build, struct source_section *section, bool is_first)
{
	struct conf_tls *tls = arena_alloc(build->arena, sizeof(*tls));

	tls->name = section->name;
	tls->section = build_title(build, section);
	tls->pos = section->pos;
	if (take_object(section, tls, is_first, &build->tls))
		BUILD_APPEND(build, build->conf->tls, build->conf->tls_count, tls);
}

static void make_object(struct build *build, struct source_section *section, enum section_kind kind,
                        bool is_first)
{
	switch (kind) {
	case SECTION_LISTENER:
		make_listener(build, section, is_first);
		break;
	case SECTION_UPSTREAM:
		make_upstream(build, section, is_first);
		break;
	case SECTION_LOG:
		make_log(build, section, is_first);
		break;
	case SECTION_TLS:
		make_tls(build, section, is_first);
		break;
	case SECTION_ROUTE:
		section->object = arena_alloc(build->arena, sizeof(struct conf_route));
		break;
	case SECTION_GLOBAL:
		section->object = is_first ? &build->conf->global
		                           : arena_alloc(build->arena, sizeof(struct conf_global));
		break;
	case SECTION_DEFAULTS:
	case SECTION_SNI:
		section->object =
			section; /* it becomes no struct of its own, but its keys are to be read */
		break;
	case SECTION_KINDS:
		break;
	}
}

static void make_objects(struct build *build, struct source *source)
{
	struct map titles;

	map_init(&titles, build->arena);
	for (struct source_section *section = source->first; section; section = section->next) {
		struct source_section *first;
		enum section_kind      kind;
		char                   place[PLACE_MAX];

		if (!check_section(build, section, &kind))
			continue;
		first = map_add(&titles, span_text(build_title(build, section)), section);
		if (first)
			conf_error(build->report, section->pos,
			           "[%s]: there is one of that name already, %s", section->title,
			           build_place(first->pos, section->pos, place));
		make_object(build, section, kind, !first);
	}
}

/* Every section of *kind*, in file order, through *read*. */
static void each_section(struct build *build, const struct source *source, enum section_kind kind,
                         void (*read)(struct build *build, const struct source_section *section))
{
	const char *type = keys_section_type(kind);

	for (const struct source_section *section = source->first; section; section = section->next)
		if (section->object && strcmp(section->type, type) == 0)
			read(build, section);
}

static void read_global(struct build *build, const struct source_section *section)
{
	build_fill(build, SECTION_GLOBAL, section, section->object);
}

static void read_log(struct build *build, const struct source_section *section)
{
	build_fill(build, SECTION_LOG, section, section->object);
}

static void read_upstream(struct build *build, const struct source_section *section)
{
	build_fill(build, SECTION_UPSTREAM, section, section->object);
	build_tls_client(build, section);
}

static void read_listener(struct build *build, const struct source_section *section)
{
	struct conf_listener *listener = section->object;

	build_fill(build, SECTION_LISTENER, section, listener);
	build_tls_inline(build, section, &listener->tls);
	listener->reads_hello = listener->mode == CONF_TERMINATE;
}

/* Routes stand in file order, whether a [route] or an [sni] line made them. */
static void read_routes(struct build *build, const struct source *source)
{
	for (const struct source_section *section = source->first; section;
	     section = section->next) {
		if (!section->object)
			continue;
		if (strcmp(section->type, "route") == 0)
			build_route(build, section);
		else if (strcmp(section->type, "sni") == 0)
			build_sni(build, section);
	}
}

/* *running*: see conf_read_again; NULL: nothing runs. */
static void assemble(struct build *build, struct source *source, const struct conf_global *running)
{
	make_objects(build, source);
	build_fill(build, SECTION_GLOBAL, 0, &build->conf->global);
	each_section(build, source, SECTION_DEFAULTS, build_defaults);
	each_section(build, source, SECTION_GLOBAL, read_global);
	each_section(build, source, SECTION_LOG, read_log);
	each_section(build, source, SECTION_TLS, build_tls);
	each_section(build, source, SECTION_UPSTREAM, read_upstream);
	each_section(build, source, SECTION_LISTENER, read_listener);
	read_routes(build, source);
	build_check(build, source);
	if (conf_report_errors(build->report) == 0) {
		build_lint(build);
		if (running)
			build_keep_fixed(build, source, running);
	}
	build_settle(build);
}

/* False: no memory. The frames that the jump crosses hold nothing but arena memory. */
static bool assemble_or_jump(struct whole *whole, struct source *source,
                             const struct conf_global *running, struct conf_report *report)
{
	struct build build = {.arena = &whole->arena, .report = report, .conf = &whole->conf};
	jmp_buf      no_memory;

	if (setjmp(no_memory))
		return false;
	whole->arena.no_memory = &no_memory;
	map_init(&build.listeners, &whole->arena);
	map_init(&build.upstreams, &whole->arena);
	map_init(&build.logs, &whole->arena);
	map_init(&build.tls, &whole->arena);
	map_init(&build.implied, &whole->arena);
	assemble(&build, source, running);
	whole->arena.no_memory = 0;
	return true;
}

static struct conf *finish(struct whole *whole, bool was_read, struct source *source,
                           const struct conf_global *running, struct conf_report *report)
{
	if (was_read && whole->conf.path && assemble_or_jump(whole, source, running, report))
		return &whole->conf;
	conf_free(&whole->conf);
	return 0;
}

static struct whole *begin(const char *path)
{
	struct whole *whole = calloc(1, sizeof(*whole));

	if (whole)
		whole->conf.path = arena_try_copy(&whole->arena, span_text(path));
	return whole;
}

struct conf *conf_read_again(const char *path, const struct conf_global *running,
                             struct conf_report *report)
{
	struct whole *whole = begin(path);
	struct source source;

	if (!whole)
		return 0;
	return finish(whole, source_read(&source, &whole->arena, report, path), &source, running,
	              report);
}

struct conf *conf_read(const char *path, struct conf_report *report)
{
	return conf_read_again(path, 0, report);
}

struct conf *conf_read_text(const char *name, struct span text, struct conf_report *report)
{
	struct whole *whole = begin(name);
	struct source source;

	if (!whole)
		return 0;
	return finish(whole, source_read_text(&source, &whole->arena, report, name, text), &source,
	              0, report);
}

void conf_free(struct conf *conf)
{
	struct whole *whole;

	if (!conf)
		return;
	whole = container_of(conf, struct whole, conf);
	arena_fini(&whole->arena);
	free(whole);
}
