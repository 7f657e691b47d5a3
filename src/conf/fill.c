/* From keys and values to fields, by the table. Also the values that refer to other sections. */
#include "conf/build.h"
#include "conf/suggest.h"

struct found {
	struct source_entry *first, *last;
};

const char *build_place(struct conf_pos pos, struct conf_pos from, char out[PLACE_MAX])
{
	if (pos.file && from.file && strcmp(pos.file, from.file) == 0)
		snprintf(out, PLACE_MAX, "on line %u", pos.line);
	else
		snprintf(out, PLACE_MAX, "at %s:%u", pos.file ? pos.file : "?", pos.line);
	return out;
}

static void tell(struct build *build, const struct source_section *section,
                 const struct source_entry *entry, const char *text)
{
	char value[REPORT_VALUE_MAX], key[REPORT_VALUE_MAX];

	conf_error(build->report, entry->pos, "[%s] %s = %s: %s", section->title,
	           report_value(entry->key, key), report_value(entry->value, value), text);
}

bool build_read(struct build *build, const struct source_section *section,
                const struct source_entry *entry, const struct key *key, void *field)
{
	struct reading reading = {.build = build,
	                          .arena = build->arena,
	                          .key = key,
	                          .name = entry->key,
	                          .value = entry->value,
	                          .pos = entry->pos};

	if (entry->refused)
		return false;
	if (!*entry->value)
		reading_refuse(&reading, "a value is missing");
	else if (key->kind->read(&reading, field))
		return true;
	tell(build, section, entry, reading.refused);
	return false;
}

/* Where the key would be right, else what it may have been meant to be. */
static void tell_unknown(struct build *build, enum section_kind kind,
                         const struct source_section *section, const struct source_entry *entry)
{
	struct suggest suggest;
	char           near[SUGGEST_TEXT_MAX], key[REPORT_VALUE_MAX];
	const char    *elsewhere = 0;

	suggest_init(&suggest, entry->key);
	for (const struct key *row = keys; row < keys + keys_count; row++) {
		if (kind == SECTION_DEFAULTS
		            ? row->flags & KEY_DEFAULTS
		            : row->section == kind ||
		                      (keys_holds_tls(kind) && row->section == SECTION_TLS))
			suggest_try(&suggest, row->name);
		if (!elsewhere && strcmp(row->name, entry->key) == 0)
			elsewhere = keys_section_type(row->section);
	}
	report_value(entry->key, key);
	if (elsewhere)
		conf_error(build->report, entry->pos, "[%s] %s: this key belongs in [%s]",
		           section->title, key, elsewhere);
	else
		conf_error(build->report, entry->pos, "[%s] %s: unknown key%s", section->title, key,
		           suggest_text(&suggest, near));
}

/* `key =` with its values on indented lines below. */
static bool is_only_a_heading(const struct source_entry *entry)
{
	return !*entry->value && !entry->refused && !entry->continues && entry->next &&
	       entry->next->continues;
}

/* False: the entry cannot count. */
static bool check_repeated(struct build *build, const struct source_section *section,
                           const struct key *key, const struct found *found,
                           const struct source_entry *entry)
{
	char place[PLACE_MAX];

	if (key->flags & KEY_MANY)
		return !is_only_a_heading(entry);
	if (entry->continues) {
		conf_error(build->report, entry->pos,
		           "[%s] %s takes one value; an indented line is one more", section->title,
		           entry->key);
		return false;
	}
	if (!found->first)
		return true;
	conf_error(build->report, entry->pos, "[%s] %s is given twice, first %s", section->title,
	           entry->key, build_place(found->first->pos, entry->pos, place));
	return false;
}

/* The keys of [tls] that stand in a listener or route are read apart from the section's own. */
static bool is_read_apart(enum section_kind kind, const struct source_section *section,
                          const char *name)
{
	if (kind == SECTION_TLS)
		return strcmp(section->type, keys_section_type(SECTION_TLS)) != 0;
	return keys_holds_tls(kind) && keys_find(SECTION_TLS, name);
}

static size_t row_of(const struct key *key)
{
	while (key->flags & KEY_JOINED)
		key--;
	return (size_t)(key - keys);
}

static void collect(struct build *build, enum section_kind kind,
                    const struct source_section *section, struct found *found)
{
	for (struct source_entry *entry = section->first; entry; entry = entry->next) {
		const struct key *key = keys_find(kind, entry->key);
		struct found     *place;

		if (!key) {
			if (!entry->continues && /* its first line has told */
			    !is_read_apart(kind, section, entry->key))
				tell_unknown(build, kind, section, entry);
			continue;
		}
		place = &found[row_of(key)];
		if (!check_repeated(build, section, key, place, entry))
			continue;
		if (place->last)
			place->last->same = entry;
		else
			place->first = entry;
		place->last = entry;
	}
}

static void fill_many(struct build *build, const struct source_section *section,
                      const struct key *key, const struct source_entry *first, void *object)
{
	size_t item_size = key->kind->item_size, room = 0, count = 0;
	char  *items;

	for (const struct source_entry *entry = first; entry; entry = entry->same)
		room++;
	items = arena_alloc(build->arena, room * item_size);
	for (const struct source_entry *entry = first; entry; entry = entry->same)
		if (build_read(build, section, entry, key, items + count * item_size))
			count++;
	if (!key->count_offset)
		return; /* read for its errors only */
	memcpy((char *)object + key->offset, &items, sizeof(items));
	*(size_t *)(void *)((char *)object + key->count_offset) = count;
}

/* The default, as the table writes it; a field that already holds something keeps it. */
static void fill_preset(struct build *build, const struct key *key, void *object)
{
	struct reading reading = {.build = build,
	                          .arena = build->arena,
	                          .key = key,
	                          .name = key->name,
	                          .value = key->preset,
	                          .pos = {build->conf->path, 0}};

	CHECK(key->kind->read(&reading, (char *)object + key->offset));
}

static void fill_key(struct build *build, const struct source_section *section,
                     const struct key *key, const struct source_entry *given, void *object)
{
	char spare[sizeof(struct conf_server)];

	if (key->set && given)
		((struct conf_route *)object)->set |= key->set;
	if (key->flags & KEY_MANY) {
		if (given)
			fill_many(build, section, key, given, object);
		return;
	}
	if (!given)
		given = build->preset[key - keys];
	if (key->kind == &value_later) {
		if (given && !build_read(build, section, given, key, spare))
			return;
	} else if (given) {
		(void)!build_read(build, section, given, key, (char *)object + key->offset);
		if (key->pos_offset)
			memcpy((char *)object + key->pos_offset, &given->pos, sizeof(given->pos));
	} else if (key->preset) {
		fill_preset(build, key, object);
	}
}

void build_fill(struct build *build, enum section_kind kind, const struct source_section *section,
                void *object)
{
	struct found found[KEYS_MAX] = {0};

	if (section)
		collect(build, kind, section, found);
	for (const struct key *key = keys; key < keys + keys_count; key++) {
		struct source_entry *given = found[key - keys].first;

		if (key->section != kind || (key->flags & KEY_JOINED))
			continue;
		fill_key(build, section, key, given, object);
		if (section && !given && (key->flags & KEY_REQUIRED))
			conf_error(build->report, section->pos, "[%s] %s is required: %s",
			           section->title, key->name, key->kind->syntax);
	}
}

union any_object {
	struct conf_listener listener;
	struct conf_upstream upstream;
	struct conf_tls      tls;
};

void build_defaults(struct build *build, const struct source_section *section)
{
	struct found found[KEYS_MAX] = {0};

	collect(build, SECTION_DEFAULTS, section, found);
	for (const struct key *key = keys; key < keys + keys_count; key++) {
		struct source_entry *given = found[key - keys].first;
		union any_object     spare;

		/* A wrong one is told here, once, and counts for no section. */
		if (!given || !build_read(build, section, given, key, (char *)&spare + key->offset))
			continue;
		for (const struct key *row = key; row < keys + keys_count; row++)
			if (keys_is_default_of(row, given->key) && row->kind != &value_later)
				build->preset[row - keys] = given;
	}
}

static bool refuse_reference(struct reading *reading, const char *kind, const struct map *names,
                             const char *also)
{
	struct suggest suggest;
	char           near[SUGGEST_TEXT_MAX];

	suggest_init(&suggest, reading->value);
	suggest_try_map(&suggest, names);
	return reading_refuse(reading, "there is no [%s] section of that name%s%s", kind, also,
	                      suggest_text(&suggest, near));
}

static bool read_listener(struct reading *reading, void *field)
{
	struct conf_listener *listener = map_find(&reading->build->listeners,
	                                          span_text(reading->value));

	if (!listener) {
		reading->build->route_is_lost = true;
		return refuse_reference(reading, "listener", &reading->build->listeners, "");
	}
	*(struct conf_listener **)field = listener;
	return true;
}

static void print_listener(const struct key *key, const void *field, FILE *to)
{
	(void)key;
	fputs((*(struct conf_listener *const *)field)->name, to);
}

const struct value_kind value_listener = {sizeof(struct conf_listener *), read_listener,
                                          print_listener, 0, "a listener's name"};

static bool read_tls(struct reading *reading, void *field)
{
	struct conf_tls *tls = map_find(&reading->build->tls, span_text(reading->value));

	if (!tls)
		return refuse_reference(reading, "tls", &reading->build->tls, "");
	*(struct conf_tls **)field = tls;
	return true;
}

static void print_tls(const struct key *key, const void *field, FILE *to)
{
	(void)key;
	fputs((*(struct conf_tls *const *)field)->name, to);
}

/* Keys written right there are printed as such. */
static bool is_unset_tls(const void *field)
{
	const struct conf_tls *tls = *(struct conf_tls *const *)field;

	return !tls || !tls->name;
}

const struct value_kind value_tls = {sizeof(struct conf_tls *), read_tls, print_tls, is_unset_tls,
                                     "a [tls] section's name"};

static bool read_access_log(struct reading *reading, void *field)
{
	struct conf_log *log = map_find(&reading->build->logs, span_text(reading->value));

	if (!log && strcmp(reading->value, "off") != 0)
		return refuse_reference(reading, "log", &reading->build->logs,
		                        ", and it is not `off`");
	*(struct conf_log **)field = log;
	return true;
}

static void print_access_log(const struct key *key, const void *field, FILE *to)
{
	const struct conf_log *log = *(struct conf_log *const *)field;

	(void)key;
	fputs(log ? log->name : "off", to);
}

const struct value_kind value_access_log = {sizeof(struct conf_log *), read_access_log,
                                            print_access_log, 0, "a log's name, or off"};

/* An upstream of one server; the same text makes one upstream, however often it is written. */
static struct conf_upstream *imply_upstream(struct reading *reading)
{
	struct build         *build = reading->build;
	struct conf_upstream *upstream = map_find(&build->implied, span_text(reading->value));
	struct conf_server   *server;

	if (upstream)
		return upstream;
	server = arena_alloc(build->arena, sizeof(*server));
	if (!value_server.read(reading, server))
		return 0;
	upstream = arena_alloc(build->arena, sizeof(*upstream));
	build_fill(build, SECTION_UPSTREAM, 0, upstream);
	upstream->name = server->endpoint.text;
	upstream->pos = reading->pos;
	upstream->implied = true;
	upstream->servers = server;
	upstream->server_count = 1;
	BUILD_APPEND(build, build->conf->upstreams, build->conf->upstream_count, upstream);
	(void)map_add(&build->implied, span_text(upstream->name), upstream);
	return upstream;
}

static bool read_proxy_pass(struct reading *reading, void *field)
{
	struct conf_upstream *upstream = map_find(&reading->build->upstreams,
	                                          span_text(reading->value));

	if (!upstream && strpbrk(reading->value, " \t"))
		return reading_refuse(
			reading, "an upstream's name, HOST:PORT or unix:/path, and nothing else");
	if (!upstream && strchr(reading->value, ':')) {
		upstream = imply_upstream(reading);
		if (!upstream)
			return false;
	}
	if (!upstream)
		return refuse_reference(reading, "upstream", &reading->build->upstreams,
		                        ", and it is not HOST:PORT or unix:/path");
	*(struct conf_upstream **)field = upstream;
	return true;
}

static void print_proxy_pass(const struct key *key, const void *field, FILE *to)
{
	(void)key;
	fputs((*(struct conf_upstream *const *)field)->name, to);
}

static bool is_unset_pass(const void *field)
{
	return !*(struct conf_upstream *const *)field;
}

const struct value_kind value_proxy_pass = {sizeof(struct conf_upstream *), read_proxy_pass,
                                            print_proxy_pass, is_unset_pass,
                                            "an upstream's name, HOST:PORT, unix:/path"};
