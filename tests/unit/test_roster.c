#include "session/roster.h"

#include "test.h"

static struct session_row   row;
static struct roster_filter filter;

static void begin(void)
{
	row = (struct session_row){.listener = "web",
	                           .route = "app",
	                           .upstream = "pool",
	                           .server = "10.0.0.1:443",
	                           .sni = "WWW.example.com"};
	EXPECT(addr_parse_ip(span_text("192.0.2.7"), &row.client));
	row.client.port = 4711;
	filter = (struct roster_filter){0};
}

TEST(an_empty_filter_wants_everything)
{
	begin();
	EXPECT(roster_wants(&filter, &row));
	row = (struct session_row){0}; /* one that waits for its hello */
	EXPECT(roster_wants(&filter, &row));
}

TEST(each_field_of_the_filter_must_hold)
{
	static char *const       texts[] = {filter.listener, filter.route, filter.upstream,
	                                    filter.server};
	static const char *const right[] = {"web", "app", "pool", "10.0.0.1:443"};

	for (size_t i = 0; i < COUNT(texts); i++) {
		begin();
		roster_copy(texts[i], ROSTER_NAME_MAX, right[i]);
		EXPECT(roster_wants(&filter, &row));
		roster_copy(texts[i], ROSTER_NAME_MAX, "we");
		EXPECT(!roster_wants(&filter, &row));
	}
	begin();
	roster_copy(filter.listener, ROSTER_NAME_MAX, "web");
	roster_copy(filter.route, ROSTER_NAME_MAX, "other");
	EXPECT(!roster_wants(&filter, &row));
}

TEST(a_name_is_found_without_case_exactly_or_below)
{
	static const struct {
		const char *wanted;
		bool        found;
	} rows[] = {
		{"www.example.com", true}, {"example.com", false},       {"*.example.com", true},
		{"*.EXAMPLE.com", true},   {"*.www.example.com", false}, {"*.ample.com", false},
		{"*.com", true},           {"ww.example.com", false},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		begin();
		roster_copy(filter.sni, sizeof(filter.sni), rows[i].wanted);
		EXPECT_EQ(roster_wants(&filter, &row), rows[i].found);
	}
	begin();
	row.sni[0] = '\0';
	roster_copy(filter.sni, sizeof(filter.sni), "*.com");
	EXPECT(!roster_wants(&filter, &row));
}

TEST(a_client_is_found_by_its_address_or_its_network)
{
	static const struct {
		const char *wanted;
		bool        found;
	} rows[] = {{"192.0.2.7", true},
	            {"192.0.2.0/24", true},
	            {"192.0.2.8", false},
	            {"2001:db8::/32", false}};

	for (size_t i = 0; i < COUNT(rows); i++) {
		begin();
		EXPECT(cidr_parse(span_text(rows[i].wanted), &filter.client));
		EXPECT_EQ(roster_wants(&filter, &row), rows[i].found);
	}
}

TEST(a_copy_is_cut_and_always_ends)
{
	char text[4] = "xxx";

	roster_copy(text, sizeof(text), "abcdef");
	EXPECT(strcmp(text, "abc") == 0);
	roster_copy(text, sizeof(text), "a");
	EXPECT(strcmp(text, "a") == 0);
	roster_copy(text, sizeof(text), NULL);
	EXPECT(strcmp(text, "") == 0);
}

int main(void)
{
	return test_main();
}
