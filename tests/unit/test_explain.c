#include "process/explain.h"

#include "snapshot_text.h"

#include <stdarg.h>

static const char text[] = "[listener web]\n" /* line 1 */
			   "listen = 443\n"
			   "proxy_pass = 10.0.0.9:443\n"
			   "on_no_sni = reject\n"
			   "deny = 203.0.113.0/24\n"
			   "[listener strict]\n"
			   "listen = 8443\n"
			   "[listener blind]\n"
			   "listen = 9443\n"
			   "ssl_preread = off\n"
			   "proxy_pass = 10.0.0.8:22\n"
			   "[sni strict]\n"
			   "app.example.com = 10.0.0.1:443\n" /* line 13 */
			   "[route h2]\n"
			   "listener = web\n"
			   "server_name = app.example.com\n" /* line 16 */
			   "alpn = h2\n"
			   "proxy_pass = 10.0.0.2:443\n"
			   "[route app]\n"
			   "listener = web\n"
			   "server_name = app.example.com\n" /* line 21 */
			   "server_name = *.apps.example.com\n"
			   "proxy_pass = 10.0.0.3:443\n"
			   "deny = 198.51.100.0/24\n"
			   "[route office]\n"
			   "listener = web\n"
			   "server_name = office.example.com\n"
			   "source = 192.0.2.0/24\n"
			   "proxy_pass = 10.0.0.4:443\n"
			   "[route bad]\n"
			   "listener = web\n"
			   "server_name = bad.example.com\n"
			   "mode = reject\n";

static char                answer[8192];
static enum explain_result result;

static void ask(const struct options *options)
{
	struct site site;
	FILE       *to;

	answer[0] = '\0';
	if (site_init(&site, text)) {
		to = fmemopen(answer, sizeof(answer), "w");
		result = explain(site.snapshot, options, to, to);
		fclose(to);
	}
	site_fini(&site);
}

static struct options about(const char *name, const char *listener)
{
	return (struct options){.command = OPTIONS_EXPLAIN, .name = name, .listener = listener};
}

static struct options from(struct options options, const char *address)
{
	EXPECT(addr_parse_ip(span_text(address), &options.from));
	return options;
}

static void says(enum explain_result wanted, ...)
{
	const char *part, *at = answer;
	va_list     parts;

	EXPECT_EQ(result, wanted);
	va_start(parts, wanted);
	while ((part = va_arg(parts, const char *)) != NULL) {
		const char *found = strstr(at, part);

		EXPECT(found != NULL);
		if (!found) {
			printf("  not said (in this place): %s\n%s", part, answer);
			break;
		}
		at = found + strlen(part);
	}
	va_end(parts);
}

TEST(the_rule_that_won_and_those_that_did_not_are_named_with_their_lines)
{
	struct options options = about("APP.example.com.", "web");

	options.alpn = "h2,http/1.1";
	ask(&options);
	says(EXPLAIN_ROUTED, "with the name app.example.com, alpn h2,http/1.1",
	     "listener web (443)", "route      h2 (", ":14)", "mode       passthrough",
	     "upstream   10.0.0.2:443 (10.0.0.2:443)", "won    app.example.com -> route h2 (",
	     ":16)\n", "lost   app.example.com -> route app (", ":21): a better rule won\n", NULL);
}

TEST(a_rule_whose_condition_fails_is_passed_over_and_says_which)
{
	struct options options = about("app.example.com", "web");

	ask(&options);
	says(EXPLAIN_ROUTED, "route      app", "failed app.example.com -> route h2",
	     "alpn is not offered", "won    app.example.com -> route app", NULL);
	options.alpn = "acme-tls/1";
	ask(&options);
	says(EXPLAIN_ROUTED, "failed app.example.com -> route h2", "none of its alpn is offered",
	     NULL);
}

TEST(a_rule_of_a_route_with_several_names_is_found_on_its_own_line)
{
	struct options options = about("x.apps.example.com", "web");

	ask(&options);
	says(EXPLAIN_ROUTED, "route      app (", ":19)", "won    *.apps.example.com -> route app (",
	     ":22)\n", NULL);
}

TEST(the_source_counts_only_where_one_is_given)
{
	struct options options = about("office.example.com", "web");

	ask(&options);
	says(EXPLAIN_ROUTED, "route      default: no rule matches", "upstream   10.0.0.9:443",
	     "failed office.example.com", "--from", NULL);
	options = from(options, "192.0.2.5");
	ask(&options);
	says(EXPLAIN_ROUTED, "from 192.0.2.5", "route      office", "won    office.example.com",
	     NULL);
	options = from(options, "192.0.3.5");
	ask(&options);
	says(EXPLAIN_ROUTED, "route      default", "not from its source", NULL);
}

TEST(each_listener_answers_for_itself)
{
	struct options options = about("app.example.com", NULL);

	ask(&options);
	says(EXPLAIN_ROUTED, "listener web", "upstream   10.0.0.3:443", "listener strict (8443)",
	     "route      app.example.com (", ":13)", "upstream   10.0.0.1:443", "listener blind",
	     "default: this listener reads no hello", "upstream   10.0.0.8:22", NULL);
}

TEST(refusals_name_their_reason_and_alert)
{
	struct options options = about("other.example.org", "strict");

	ask(&options);
	says(EXPLAIN_REFUSED, "route      none", "refused    no_match, alert 112", NULL);
	options = about("", "web");
	ask(&options);
	says(EXPLAIN_REFUSED, "without a name", "refused    no_sni, alert 112", NULL);
	options = about("bad.example.com", "web");
	ask(&options);
	says(EXPLAIN_REFUSED, "mode       reject", "refused    rejected, alert 112", NULL);
	options = from(about("app.example.com", "web"), "203.0.113.1");
	ask(&options);
	says(EXPLAIN_REFUSED, "refused    denied, alert 49: by the listener's", NULL);
	options = from(about("app.example.com", "web"), "198.51.100.1");
	ask(&options);
	says(EXPLAIN_REFUSED, "route      app", "refused    denied, alert 49: by the route's",
	     NULL);
}

TEST(a_name_that_no_sound_hello_carries_is_malformed_as_on_the_wire)
{
	char        longest[300];
	const char *names[] = {"a..example.com", ".example.com",
	                       "b\xc3\xbc"
	                       "cher.example",
	                       longest};

	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	for (size_t i = 0; i < COUNT(names); i++) {
		struct options options = about(names[i], "web");

		ask(&options);
		says(EXPLAIN_REFUSED, "refused    malformed, alert 50", NULL);
	}
}

TEST(an_address_counts_as_no_name)
{
	struct options options = about("192.0.2.1", "strict");

	ask(&options);
	says(EXPLAIN_REFUSED, "counts as none", "refused    no_sni", NULL);
}

TEST(wrong_options_are_told)
{
	struct options options = about("app.example.com", "nosuch");

	ask(&options);
	says(EXPLAIN_WRONG, "no listener of that name", NULL);
	options = about("app.example.com", NULL);
	options.alpn = "h2,,http/1.1";
	ask(&options);
	says(EXPLAIN_WRONG, "separated by commas", NULL);
}

int main(void)
{
	return test_main();
}
