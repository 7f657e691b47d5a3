#include "policy/router.h"

#include "base/hash.h"
#include "policy/acl.h"
#include "proto/hello.h"

#include <stdlib.h>

/* *.x and .x share a class: they compete for the same names, and differ only at the apex. */
enum name_class { CLASS_EXACT, CLASS_SUFFIX, CLASS_ANY, CLASS_NONE };

/* The rules of one name, a run of router.order, best first. */
struct group {
	uint64_t    hash;
	struct span name;
	uint32_t    first, count; /* count 0: an empty slot */
	uint32_t    name_class;
};

struct router {
	const struct router_rule *rules;
	uint32_t                 *order; /* indices of rules, grouped by name */
	struct group             *slots; /* open addressing, at most half full */
	size_t                    mask;
	size_t       probe_max; /* no look-up walks farther: a hostile name cannot make it */
	struct group any, none;
};

/* What sorting needs of a rule, side by side. */
struct sort_key {
	uint64_t    hash;
	struct span name;
	uint32_t    name_class, conditions, index;
};

static enum name_class class_of(enum router_name_kind kind)
{
	switch (kind) {
	case ROUTER_EXACT:
		return CLASS_EXACT;
	case ROUTER_BELOW:
	case ROUTER_APEX:
		return CLASS_SUFFIX;
	case ROUTER_ANY_NAME:
		return CLASS_ANY;
	case ROUTER_NO_NAME:
		return CLASS_NONE;
	}
	return CLASS_NONE;
}

/* From the last byte to the first, so that one pass over a name gives the hashes of all its
 * suffixes. */
static uint64_t hash_backwards(struct span name)
{
	uint64_t hash = HASH_START;

	for (size_t i = name.len; i > 0; i--)
		hash = hash_step(hash, name.data[i - 1]);
	return hash;
}

static size_t slot_of(const struct router *router, uint64_t hash, enum name_class name_class)
{
	return hash_mix(hash + name_class) & router->mask;
}

static int compare_names(struct span a, struct span b)
{
	if (a.len != b.len)
		return a.len < b.len ? -1 : 1;
	return a.len == 0 ? 0 : memcmp(a.data, b.data, a.len);
}

static int compare_keys(const void *left, const void *right)
{
	const struct sort_key *a = left, *b = right;
	int                    names;

	if (a->name_class != b->name_class)
		return a->name_class < b->name_class ? -1 : 1;
	if (a->hash != b->hash)
		return a->hash < b->hash ? -1 : 1;
	names = compare_names(a->name, b->name);
	if (names != 0)
		return names;
	if (a->conditions != b->conditions)
		return a->conditions > b->conditions ? -1 : 1;
	return a->index < b->index ? -1 : a->index > b->index;
}

static void fill_key(struct sort_key *key, const struct router_rule *rule, uint32_t index)
{
	key->name_class = class_of(rule->kind);
	key->name = key->name_class <= CLASS_SUFFIX ? rule->name : (struct span){0};
	key->hash = hash_backwards(key->name);
	key->conditions = 0u + (rule->alpn_count > 0) + (rule->source_count > 0) +
	                  (rule->versions != 0);
	key->index = index;
}

static void insert_group(struct router *router, const struct group *group)
{
	size_t slot = slot_of(router, group->hash, group->name_class), probes = 1;

	while (router->slots[slot].count > 0) {
		slot = (slot + 1) & router->mask;
		probes++;
	}
	router->slots[slot] = *group;
	if (probes > router->probe_max)
		router->probe_max = probes;
}

static void insert_groups(struct router *router, const struct sort_key *keys, size_t count)
{
	struct group group;

	for (size_t first = 0, i = 0; first < count; first = i) {
		const struct sort_key *key = &keys[first];

		for (; i < count && keys[i].name_class == key->name_class &&
		       span_equal(keys[i].name, key->name);
		     i++)
			router->order[i] = keys[i].index;
		group = (struct group){key->hash, key->name, (uint32_t)first, (uint32_t)(i - first),
		                       key->name_class};
		if (key->name_class == CLASS_ANY)
			router->any = group;
		else if (key->name_class == CLASS_NONE)
			router->none = group;
		else
			insert_group(router, &group);
	}
}

struct router *router_build(const struct router_rule *rules, size_t count)
{
	struct router   *router = calloc(1, sizeof(*router));
	struct sort_key *keys = calloc(count + 1, sizeof(*keys));
	size_t           size = 4;

	while (size < 2 * count)
		size *= 2;
	if (!router || !keys || count > INT32_MAX)
		goto fail;
	router->rules = rules;
	router->mask = size - 1;
	router->order = calloc(count + 1, sizeof(*router->order));
	router->slots = calloc(size, sizeof(*router->slots));
	if (!router->order || !router->slots)
		goto fail;
	for (size_t i = 0; i < count; i++)
		fill_key(&keys[i], &rules[i], (uint32_t)i);
	qsort(keys, count, sizeof(*keys), compare_keys);
	insert_groups(router, keys, count);
	free(keys);
	return router;
fail:
	free(keys);
	router_free(router);
	return NULL;
}

void router_free(struct router *router)
{
	if (!router)
		return;
	free(router->order);
	free(router->slots);
	free(router);
}

size_t router_probe_max(const struct router *router)
{
	return router->probe_max;
}

static const struct group *look_up(const struct router *router, enum name_class name_class,
                                   struct span name, uint64_t hash)
{
	size_t slot = slot_of(router, hash, name_class);

	for (size_t probe = 0; probe < router->probe_max; probe++) {
		const struct group *group = &router->slots[slot];

		if (group->count == 0)
			return NULL;
		if (group->hash == hash && group->name_class == name_class &&
		    span_equal(group->name, name))
			return group;
		slot = (slot + 1) & router->mask;
	}
	return NULL;
}

enum { LABELS_MAX = 128 }; /* of a name of 253 bytes */

/* The groups that a query's name reaches, best first. */
struct walk {
	const struct router *router;
	struct span          name;
	struct {
		size_t   offset;
		uint64_t hash;
	} suffixes[LABELS_MAX]; /* shortest first; the last is the whole name */
	size_t count, next;
	enum { STAGE_EXACT, STAGE_SUFFIXES, STAGE_REST, STAGE_END } stage;
	bool apex; /* the group just given matches by its apex: *.x does not */
};

static void walk_start(struct walk *walk, const struct router *router, struct span name)
{
	uint64_t hash = HASH_START;

	walk->router = router;
	walk->name = name;
	walk->count = 0;
	walk->stage = name.len > 0 ? STAGE_EXACT : STAGE_REST;
	walk->apex = false;
	for (size_t i = name.len; i > 0; i--) {
		hash = hash_step(hash, name.data[i - 1]);
		/* The parser admits at most 127 labels; a longer name's middle ones would be
		 * skipped. */
		if (i == 1 || (name.data[i - 2] == '.' && walk->count < LABELS_MAX - 1)) {
			walk->suffixes[walk->count].offset = i - 1;
			walk->suffixes[walk->count++].hash = hash;
		}
	}
	walk->next = walk->count;
}

static const struct group *walk_suffixes(struct walk *walk)
{
	while (walk->next > 0) {
		size_t              at = walk->suffixes[--walk->next].offset;
		struct span         suffix = span_of(walk->name.data + at, walk->name.len - at);
		const struct group *group = look_up(walk->router, CLASS_SUFFIX, suffix,
		                                    walk->suffixes[walk->next].hash);

		walk->apex = at == 0;
		if (group)
			return group;
	}
	walk->apex = false;
	return NULL;
}

/* NULL: no more. A group may be empty. */
static const struct group *walk_next(struct walk *walk)
{
	const struct router *router = walk->router;
	const struct group  *group;

	switch (walk->stage) {
	case STAGE_EXACT:
		walk->stage = STAGE_SUFFIXES;
		group = look_up(router, CLASS_EXACT, walk->name,
		                walk->suffixes[walk->count - 1].hash);
		if (group)
			return group;
		/* fall through */
	case STAGE_SUFFIXES:
		group = walk_suffixes(walk);
		if (group)
			return group;
		/* fall through */
	case STAGE_REST:
		walk->stage = STAGE_END;
		return walk->name.len > 0 ? &router->any : &router->none;
	case STAGE_END:
		break;
	}
	return NULL;
}

static bool alpn_holds(const struct router_rule *rule, struct span offered)
{
	struct span protocol;

	while (hello_next_alpn(&offered, &protocol)) {
		for (size_t i = 0; i < rule->alpn_count; i++) {
			if (span_equal(rule->alpn[i], protocol))
				return true;
		}
	}
	return false;
}

static enum router_verdict judge(const struct router_rule *rule, const struct router_query *query)
{
	if (rule->alpn_count > 0 && !alpn_holds(rule, query->alpn))
		return ROUTER_ALPN_FAILED;
	if (rule->source_count > 0 &&
	    !cidr_list_contains(rule->sources, rule->source_count, &query->client))
		return ROUTER_SOURCE_FAILED;
	if (rule->versions != 0 && !(rule->versions & query->versions))
		return ROUTER_VERSION_FAILED;
	return ROUTER_WON;
}

int router_find(const struct router *router, const struct router_query *query)
{
	const struct group *group;
	struct walk         walk;

	walk_start(&walk, router, query->name);
	while ((group = walk_next(&walk)) != NULL) {
		for (uint32_t i = 0; i < group->count; i++) {
			uint32_t                  index = router->order[group->first + i];
			const struct router_rule *rule = &router->rules[index];

			if (walk.apex && rule->kind == ROUTER_BELOW)
				continue;
			if (judge(rule, query) == ROUTER_WON)
				return (int)index;
		}
	}
	return ROUTER_NO_RULE;
}

void router_explain(const struct router *router, const struct router_query *query,
                    void (*visit)(const struct router_rule *rule, size_t index,
                                  enum router_verdict verdict, void *context),
                    void *context)
{
	int                 winner = router_find(router, query);
	const struct group *group;
	struct walk         walk;

	walk_start(&walk, router, query->name);
	while ((group = walk_next(&walk)) != NULL) {
		for (uint32_t i = 0; i < group->count; i++) {
			uint32_t                  index = router->order[group->first + i];
			const struct router_rule *rule = &router->rules[index];
			enum router_verdict       verdict = judge(rule, query);

			if (walk.apex && rule->kind == ROUTER_BELOW)
				continue;
			if (verdict == ROUTER_WON && (int)index != winner)
				verdict = ROUTER_LOST;
			visit(rule, index, verdict, context);
		}
	}
}
