#include "policy/acl.h"

#include "test.h"

struct row {
	const char *rules; /* "+cidr" allows, "-cidr" denies */
	const char *client;
	bool        want;
};

static const struct row table[] = {
	{"", "192.0.2.1", true},
	{"", "unix", true},
	/* only denies: the rest is allowed */
	{"-192.0.2.0/24", "192.0.2.1", false},
	{"-192.0.2.0/24", "192.0.3.1", true},
	{"-192.0.2.0/24", "2001:db8::1", true},
	/* an allow: the rest is refused */
	{"+192.0.2.0/24", "192.0.2.1", true},
	{"+192.0.2.0/24", "192.0.3.1", false},
	{"+192.0.2.0/24", "2001:db8::1", false},
	{"-192.0.2.0/24 +10.0.0.0/8", "192.0.3.1", false},
	{"+10.0.0.0/8 -192.0.2.0/24", "192.0.3.1", false},
	/* the first match decides */
	{"-192.0.2.7 +192.0.2.0/24", "192.0.2.7", false},
	{"-192.0.2.7 +192.0.2.0/24", "192.0.2.8", true},
	{"+192.0.2.0/24 -192.0.2.7", "192.0.2.7", true},
	{"-2001:db8:1::/48 +2001:db8::/32", "2001:db8:1::9", false},
	{"-2001:db8:1::/48 +2001:db8::/32", "2001:db8:2::9", true},
	{"+0.0.0.0/0 -::/0", "203.0.113.9", true},
	{"+0.0.0.0/0 -::/0", "2001:db8::1", false},
	/* unix is an address of its own */
	{"+unix", "unix", true},
	{"+unix", "192.0.2.1", false},
	{"-unix", "unix", false},
	{"-unix", "192.0.2.1", true},
	{"+0.0.0.0/0 +::/0", "unix", false},
};

static size_t parse_rules(const char *text, struct acl_rule rules[4])
{
	size_t count = 0;

	while (*text) {
		size_t len = strcspn(text, " ");

		rules[count].allow = text[0] == '+';
		EXPECT(cidr_parse(span_of(text + 1, len - 1), &rules[count].cidr));
		count++;
		text += len;
		text += *text == ' ';
	}
	return count;
}

static struct addr parse_client(const char *text)
{
	struct addr client = {.family = ADDR_UNIX};

	if (strcmp(text, "unix") != 0)
		EXPECT(addr_parse_ip(span_text(text), &client));
	return client;
}

TEST(the_first_match_decides_and_else_what_the_list_is_for)
{
	for (size_t i = 0; i < COUNT(table); i++) {
		struct acl_rule rules[4];
		struct acl      acl = {rules, parse_rules(table[i].rules, rules)};
		struct addr     client = parse_client(table[i].client);

		EXPECT_EQ(acl_allows(&acl, &client), table[i].want);
		if (test_failed)
			printf("  row %zu: \"%s\", %s\n", i, table[i].rules, table[i].client);
	}
}

TEST(a_cidr_list_contains_what_any_of_its_members_does)
{
	struct cidr list[2];
	struct addr inside = parse_client("198.51.100.7"), outside = parse_client("203.0.113.1");

	EXPECT(cidr_parse(span_text("192.0.2.0/24"), &list[0]));
	EXPECT(cidr_parse(span_text("198.51.100.0/24"), &list[1]));
	EXPECT(cidr_list_contains(list, 2, &inside));
	EXPECT(!cidr_list_contains(list, 1, &inside));
	EXPECT(!cidr_list_contains(list, 2, &outside));
	EXPECT(!cidr_list_contains(list, 0, &inside));
}

int main(void)
{
	return test_main();
}
