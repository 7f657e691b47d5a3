#include "policy/router.h"
#include "proto/hello.h"

#include "test.h"

#include <stdlib.h>

static struct span h2[1], http1[1];
static struct cidr ten[1];

static struct span text(const char *string)
{
	return span_text(string);
}

static void fixtures(void)
{
	h2[0] = text("h2");
	http1[0] = text("http/1.1");
	EXPECT(cidr_parse(text("10.0.0.0/8"), &ten[0]));
}

enum { H2 = BIT(0), HTTP1 = BIT(1), TEN = BIT(2), V13 = BIT(3) };

/* A rule in the tests' short hand: `none`, `any`, `*.x`, `.x` or a name, and its conditions. */
static struct router_rule rule(const char *name, unsigned conditions)
{
	struct router_rule r = {.kind = ROUTER_EXACT, .name = text(name)};

	if (strcmp(name, "none") == 0 || strcmp(name, "any") == 0) {
		r.kind = name[0] == 'n' ? ROUTER_NO_NAME : ROUTER_ANY_NAME;
		r.name = (struct span){0};
	} else if (name[0] == '*') {
		r.kind = ROUTER_BELOW;
		r.name = text(name + 2);
	} else if (name[0] == '.') {
		r.kind = ROUTER_APEX;
		r.name = text(name + 1);
	}
	r.alpn = conditions & H2 ? h2 : http1;
	r.alpn_count = (conditions & (H2 | HTTP1)) != 0;
	r.sources = ten;
	r.source_count = (conditions & TEN) != 0;
	r.versions = conditions & V13 ? HELLO_TLS13 : 0;
	return r;
}

/* A hello that offers h2, TLS 1.2 and 1.3 and comes from 10.1.2.3. */
static struct router_query query(const char *name)
{
	struct router_query q = {
		.name = text(name),
		.alpn = span_of("\3foo\2h2", 7),
		.versions = HELLO_TLS12 | HELLO_TLS13,
		.client = {.family = ADDR_IP4, .ip = {10, 1, 2, 3}},
	};

	return q;
}

struct precedence {
	const char *rules[5];
	unsigned    conditions[5];
	const char *name;
	int         want;
};

static const struct precedence table[] = {
	/* names */
	{{"a.x.com"}, {0}, "a.x.com", 0},
	{{"a.x.com"}, {0}, "b.x.com", ROUTER_NO_RULE},
	{{"a.x.com"}, {0}, "", ROUTER_NO_RULE},
	{{"x.com"}, {0}, "a.x.com", ROUTER_NO_RULE},
	{{"*.x.com"}, {0}, "a.x.com", 0},
	{{"*.x.com"}, {0}, "a.b.x.com", 0},
	{{"*.x.com"}, {0}, "x.com", ROUTER_NO_RULE},
	{{"*.x.com"}, {0}, "ax.com", ROUTER_NO_RULE},
	{{"*.x.com"}, {0}, "com", ROUTER_NO_RULE},
	{{".x.com"}, {0}, "x.com", 0},
	{{".x.com"}, {0}, "a.b.x.com", 0},
	{{".x.com"}, {0}, "ax.com", ROUTER_NO_RULE},
	{{"any"}, {0}, "a", 0},
	{{"any"}, {0}, "", ROUTER_NO_RULE},
	{{"none"}, {0}, "", 0},
	{{"none"}, {0}, "a", ROUTER_NO_RULE},
	{{"none", "any"}, {0}, "", 0},
	{{"none", "any"}, {0}, "q", 1},
	{{0}, {0}, "a", ROUTER_NO_RULE},
	{{0}, {0}, "", ROUTER_NO_RULE},
	/* exact, then the longest wildcard, then any: whatever the file's order and the
	 * conditions */
	{{"any", "*.x.com", "*.a.x.com", "b.a.x.com"}, {0}, "b.a.x.com", 3},
	{{"any", "*.x.com", "*.a.x.com", "b.a.x.com"}, {0}, "c.a.x.com", 2},
	{{"any", "*.x.com", "*.a.x.com", "b.a.x.com"}, {0}, "a.x.com", 1},
	{{"any", "*.x.com", "*.a.x.com", "b.a.x.com"}, {0}, "x.com", 0},
	{{"*.x.com", "a.x.com"}, {H2 | TEN | V13, 0}, "a.x.com", 1},
	{{"any", "*.x.com"}, {H2 | TEN | V13, 0}, "a.x.com", 1},
	{{".com", "*.x.com"}, {H2, 0}, "a.x.com", 1},
	{{"*.com", ".x.com"}, {H2, 0}, "x.com", 1},
	{{".x.com", "x.com"}, {H2, 0}, "x.com", 1},
	/* among equals more conditions, then file order; *.x and .x are equals */
	{{"a.x.com", "a.x.com"}, {0, H2}, "a.x.com", 1},
	{{"a.x.com", "a.x.com", "a.x.com"}, {H2, H2 | TEN, V13}, "a.x.com", 1},
	{{"a.x.com", "a.x.com"}, {TEN, H2}, "a.x.com", 0},
	{{"*.x.com", ".x.com"}, {0, 0}, "a.x.com", 0},
	{{".x.com", "*.x.com"}, {0, 0}, "a.x.com", 0},
	{{".x.com", "*.x.com"}, {0, V13}, "a.x.com", 1},
	{{"*.x.com", ".x.com"}, {V13, 0}, "x.com", 1},
	{{"any", "any"}, {0, TEN}, "a", 1},
	{{"none", "none"}, {0, TEN}, "", 1},
	/* a rule whose conditions fail is passed over for the next candidate */
	{{"a.x.com", "a.x.com"}, {0, HTTP1}, "a.x.com", 0},
	{{"a.x.com", "*.x.com"}, {HTTP1, 0}, "a.x.com", 1},
	{{"a.a.x.com", "*.a.x.com", "*.x.com", "any"}, {HTTP1, HTTP1, HTTP1, 0}, "a.a.x.com", 3},
	{{"a.a.x.com", "*.a.x.com", ".x.com", "any"}, {HTTP1, HTTP1 | TEN, TEN, 0}, "a.a.x.com", 2},
	{{"a.x.com", "any"}, {HTTP1, HTTP1}, "a.x.com", ROUTER_NO_RULE},
};

static size_t build_row(const struct precedence *row, struct router_rule rules[5])
{
	size_t count = 0;

	while (count < COUNT(row->rules) && row->rules[count]) {
		rules[count] = rule(row->rules[count], row->conditions[count]);
		count++;
	}
	return count;
}

TEST(precedence_is_as_documented)
{
	fixtures();
	for (size_t i = 0; i < COUNT(table); i++) {
		struct router_rule  rules[5];
		size_t              count = build_row(&table[i], rules);
		struct router      *router = router_build(rules, count);
		struct router_query q = query(table[i].name);

		EXPECT_EQ(router_find(router, &q), table[i].want);
		if (test_failed)
			printf("  row %zu, name \"%s\"\n", i, table[i].name);
		router_free(router);
	}
}

TEST(a_condition_holds_only_for_hellos_that_meet_it)
{
	struct router_rule  rules[] = {rule("h", H2), rule("t", TEN), rule("v", V13)};
	struct router      *router = router_build(rules, COUNT(rules));
	struct router_query q = query("h");

	EXPECT_EQ(router_find(router, &q), 0);
	q.alpn = span_of("\3h2x\1h", 6);
	EXPECT_EQ(router_find(router, &q), ROUTER_NO_RULE);
	q.alpn = (struct span){0};
	EXPECT_EQ(router_find(router, &q), ROUTER_NO_RULE);
	q = query("t");
	EXPECT_EQ(router_find(router, &q), 1);
	q.client.ip[0] = 11;
	EXPECT_EQ(router_find(router, &q), ROUTER_NO_RULE);
	q = query("v");
	EXPECT_EQ(router_find(router, &q), 2);
	q.versions = HELLO_TLS12;
	EXPECT_EQ(router_find(router, &q), ROUTER_NO_RULE);
	router_free(router);
}

struct explained {
	size_t              count, index[8];
	enum router_verdict verdict[8];
};

static void visit(const struct router_rule *r, size_t index, enum router_verdict verdict,
                  void *context)
{
	struct explained *e = context;

	(void)r;
	e->index[e->count] = index;
	e->verdict[e->count++] = verdict;
}

TEST(explain_visits_every_matching_rule_in_order_of_precedence)
{
	struct router_rule               rules[] = {rule("any", 0),      rule("*.x.com", TEN),
	                                            rule("a.x.com", 0),  rule("a.x.com", HTTP1),
	                                            rule("b.x.com", 0),  rule(".x.com", V13),
	                                            rule("*.a.x.com", 0)};
	static const size_t              order[] = {3, 2, 1, 5, 0};
	static const enum router_verdict verdicts[] = {ROUTER_ALPN_FAILED, ROUTER_WON,
	                                               ROUTER_SOURCE_FAILED, ROUTER_VERSION_FAILED,
	                                               ROUTER_LOST};
	struct router                   *router = router_build(rules, COUNT(rules));
	struct router_query              q = query("a.x.com");
	struct explained                 e = {0};

	q.client.ip[0] = 9;
	q.versions = HELLO_TLS12;
	router_explain(router, &q, visit, &e);
	EXPECT_EQ(e.count, COUNT(order));
	for (size_t i = 0; i < COUNT(order) && i < e.count; i++) {
		EXPECT_EQ(e.index[i], order[i]);
		EXPECT_EQ(e.verdict[i], verdicts[i]);
	}
	router_free(router);
}

TEST(names_of_the_greatest_length_and_depth_are_found)
{
	char               name[HELLO_NAME_MAX + 1];
	struct router_rule rules[3];
	struct router     *router;

	for (size_t i = 0; i < HELLO_NAME_MAX; i++)
		name[i] = i % 2 ? '.' : 'a'; /* 127 labels */
	name[HELLO_NAME_MAX] = 0;
	rules[0] = rule("*.a", 0);
	rules[1] = (struct router_rule){.kind = ROUTER_BELOW, .name = text(name + 2)};
	rules[2] = (struct router_rule){.kind = ROUTER_BELOW, .name = text(name + 4)};
	router = router_build(rules, 3);
	for (size_t i = 0; i < HELLO_NAME_MAX - 3; i += 2) {
		struct router_query q = query(name + i);

		EXPECT_EQ(router_find(router, &q), i == 0 ? 1 : i == 2 ? 2 : 0);
	}
	router_free(router);
}

enum { MANY = 1 << 15 };

/* Half of them exact names, half wildcards; returns the look-ups' bound. */
static size_t build_many(size_t count)
{
	char(*names)[40] = calloc(count, sizeof(*names));
	struct router_rule *rules = calloc(count, sizeof(*rules));
	struct router      *router;
	size_t              wrong = 0, probe_max;

	for (size_t i = 0; i < count; i++) {
		snprintf(names[i], sizeof(names[i]), "%shost-%zu.example.com", i % 2 ? "*." : "",
		         i);
		rules[i] = rule(names[i], 0);
	}
	router = router_build(rules, count);
	for (size_t i = 0; i < count; i++) {
		char                name[48];
		struct router_query q;

		snprintf(name, sizeof(name), "%s%s", i % 2 ? "w." : "", names[i] + (i % 2 ? 2 : 0));
		q = query(name);
		wrong += router_find(router, &q) != (int)i;
		q = query(name + 1 + i % 2); /* a name not listed, or the apex */
		wrong += router_find(router, &q) != ROUTER_NO_RULE;
	}
	EXPECT_EQ(wrong, 0);
	probe_max = router_probe_max(router);
	router_free(router);
	free(rules);
	free(names);
	return probe_max;
}

TEST(a_look_up_costs_the_same_for_any_number_of_names)
{
	EXPECT(build_many(100) <= 40);
	EXPECT(build_many(10000) <= 40);
	EXPECT(build_many(MANY) <= 40);
}

int main(void)
{
	fixtures();
	return test_main();
}
