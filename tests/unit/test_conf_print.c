/* -T: what is printed is a valid file that prints the same again. And the lints. */
#include "test.h"

#include "conf_maker.h"

#include <glob.h>

#define UPSTREAM "[upstream up]\nserver = 192.0.2.1:443\n"
#define WEB      UPSTREAM "[listener web]\nlisten = 443\nproxy_pass = up\n"

static bool prints_the_same_again(const struct made_conf *made)
{
	struct made_conf again = make_conf(made->printed ? made->printed : "");
	bool same = made->printed && again.printed && strcmp(made->printed, again.printed) == 0;

	if (!same)
		printf("  said:\n%s%s  printed:\n%s", made->said, again.said,
		       made->printed ? made->printed : "");
	made_free(&again);
	return same;
}

static void check_files(const char *pattern, size_t at_least)
{
	glob_t found = {0};

	EXPECT_EQ(glob(pattern, 0, NULL, &found), 0);
	EXPECT(found.gl_pathc >= at_least);
	for (size_t i = 0; i < found.gl_pathc; i++) {
		struct made_conf made = make_conf_from(found.gl_pathv[i]);

		if (made.errors || *made.said)
			printf("%s", made.said);
		EXPECT_EQ(made.errors, 0);
		EXPECT(prints_the_same_again(&made));
		made_free(&made);
	}
	globfree(&found);
}

TEST(every_example_is_valid_and_prints_the_same_again)
{
	check_files("config/examples/*.ini", 9);
	check_files("config/penstock.ini", 1);
}

TEST(no_example_has_a_warning)
{
	glob_t found = {0};

	EXPECT_EQ(glob("config/examples/*.ini", 0, NULL, &found), 0);
	for (size_t i = 0; i < found.gl_pathc; i++) {
		struct made_conf made = make_conf_from(found.gl_pathv[i]);

		EXPECT(!*made.said);
		made_free(&made);
	}
	globfree(&found);
}

TEST(every_key_prints_the_same_again)
{
	check_files("tests/fuzz/corpus/conf/everything", 1);
}

TEST(defaults_are_printed_where_they_hold)
{
	struct made_conf made = make_conf(WEB "[defaults]\nbacklog = 99\n");

	EXPECT(strstr(made.printed, "\nbacklog = 99\n"));
	EXPECT(strstr(made.printed, "\nproxy_timeout = 10m\n"));
	EXPECT(!strstr(made.printed, "[defaults]"));
	made_free(&made);
}

TEST(an_implied_upstream_is_printed_as_it_was_written)
{
	struct made_conf made = make_conf(
		"[listener a]\nlisten = 1\nproxy_pass = [2001:db8::1]:443\n");

	EXPECT(strstr(made.printed, "\nproxy_pass = [2001:db8::1]:443\n"));
	EXPECT(!strstr(made.printed, "[upstream"));
	EXPECT(prints_the_same_again(&made));
	made_free(&made);
}

TEST(a_listener_that_reads_hellos_still_does_when_read_again)
{
	struct made_conf made = make_conf(UPSTREAM
	                                  "[listener a]\nlisten = 1\n[sni a]\ndefault = up\n"
	                                  "[listener b]\nlisten = 2\nproxy_pass = up\n");
	struct made_conf again = make_conf(made.printed);

	EXPECT(again.conf->listeners[0]->reads_hello);
	EXPECT(!again.conf->listeners[1]->reads_hello);
	EXPECT(prints_the_same_again(&made));
	made_free(&again);
	made_free(&made);
}

/* Random choices among valid lines; the seed is fixed so that a failure can be had again. */
static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 16;
}

static void maybe(FILE *to, uint32_t *state, const char *line)
{
	if (next_random(state) % 2)
		fprintf(to, "%s\n", line);
}

static void write_random(FILE *to, uint32_t *state)
{
	static const char *const listener_lines[] = {
		"on_no_match = reject",
		"on_no_sni = reject",
		"on_plaintext = default",
		"preread_timeout = 1500ms",
		"preread_buffer_size = 12345",
		"fastopen = 7",
		"deferred = on",
		"ipv6only = on",
		"rcvbuf = 3000",
		"accept_proxy_protocol = optional\nset_real_ip_from = ::/0",
		"deny = unix\nallow = 10.0.0.0/8\ndeny = ::/0",
		"max_conns = 4294967295",
		"max_conns_per_ip = 0",
		"session_timeout = 90m",
		"access_log = l",
		"access_log = off",
	};
	static const char *const route_lines[] = {
		"listener = a",
		"listener = b",
		"alpn = h2\nalpn = http/1.1",
		"source = 10.0.0.0/8\nsource = unix",
		"tls_version = 1.2",
		"allow = 192.0.2.1",
		"max_conns = 0",
		"proxy_timeout = 61s",
		"access_log = off",
	};

	fputs("[global]\n", to);
	maybe(to, state, "splice_min = 0");
	maybe(to, state, "metrics_listen = [::1]:9100");
	maybe(to, state, "error_log = stderr debug");
	for (const char *name = "ab"; *name; name++) {
		fprintf(to, "[listener %c]\nlisten = %c\nproxy_pass = up\n", *name,
		        *name - 'a' + '1');
		for (size_t i = 0; i < COUNT(listener_lines) - 2; i++)
			maybe(to, state, listener_lines[i]);
		maybe(to, state,
		      listener_lines[COUNT(listener_lines) - 1 - next_random(state) % 2]);
	}
	fputs("[log l]\npath = a;b=c:d\n[sni a]\n.x.example = unix:/run/$x\n", to);
	for (char name = 'p'; name < 't'; name++) {
		fprintf(to, "[route %c]\nproxy_pass = up\nserver_name = %c.example\n", name, name);
		for (size_t i = 0; i < COUNT(route_lines); i++)
			maybe(to, state, route_lines[i]);
	}
	fputs("[upstream up]\nserver = x:1 weight=3 down\nserver = y:2 max_conns=1 fail_timeout=1ms\n"
	      "server = z:3 fastopen\n",
	      to);
	maybe(to, state, "proxy_bind = ::1");
	maybe(to, state, "user_timeout = 0s");
	maybe(to, state, "balance = hash\nhash_key = server_name");
}

TEST(what_is_made_at_random_prints_the_same_again)
{
	uint32_t state = 1;

	for (int round = 0; round < 300; round++) {
		char            *text = NULL;
		size_t           len = 0;
		FILE            *to = open_memstream(&text, &len);
		struct made_conf made;

		if (!to)
			abort();
		write_random(to, &state);
		fclose(to);
		made = make_conf(text);
		EXPECT(prints_the_same_again(&made));
		made_free(&made);
		free(text);
	}
}

TEST(the_reference_has_every_section)
{
	char  *text = NULL;
	size_t len = 0;
	FILE  *to = open_memstream(&text, &len);

	if (!to)
		abort();
	conf_print_reference(to);
	fclose(to);
	EXPECT(strstr(text, "## [global]\n"));
	EXPECT(strstr(text, "## [listener NAME]\n"));
	EXPECT(strstr(text, "| preread_timeout D | a time: 500ms, 5s, 10m, 1h | 5s |"));
	EXPECT(strstr(text, "| server * |"));
	free(text);
}

TEST(what_nothing_uses_is_warned_of)
{
	EXPECT(says(WEB "[upstream other]\nserver = a:1\n[log l]\npath = x\n",
	            "t.ini:6: warning: [upstream other] is not used (L01)\n"
	            "t.ini:8: warning: [log l] is not used: no access_log names it (L08)\n"));
}

TEST(a_route_that_an_earlier_one_covers_is_warned_of)
{
	EXPECT(says(
		WEB "[route a]\nlistener = web\nalpn = h2\nalpn = h3\nproxy_pass = up\n"
		    "[route b]\nlistener = web\nalpn = h3\nproxy_pass = up\n",
		"t.ini:11: warning: [route b] never wins here: [route a] on line 6 takes all that it would (L02)\n"));
	EXPECT(says(
		WEB "[route a]\nlistener = web\nsource = 10.0.0.0/8\nproxy_pass = up\n"
		    "[route b]\nlistener = web\nsource = 10.2.0.0/16\nproxy_pass = up\n",
		"t.ini:10: warning: [route b] never wins here: [route a] on line 6 takes all that it would (L02)\n"));
	EXPECT(is_silent(
		WEB
		"[route a]\nlistener = web\nsource = 10.2.0.0/16\nproxy_pass = up\n"
		"[route b]\nlistener = web\nsource = 10.0.0.0/8\nproxy_pass = up\n"
		"[route c]\nlistener = web\nalpn = h2\nproxy_pass = up\n"
		"[route d]\nlistener = web\nalpn = h2\nsource = 10.0.0.0/8\nproxy_pass = up\n"));
}

TEST(an_sni_map_without_a_default_is_warned_of)
{
	EXPECT(mentions(
		UPSTREAM "[listener web]\nlisten = 443\n[sni web]\na.example = up\n",
		"t.ini:3: warning: [listener web] refuses clients whose name no route has"));
	EXPECT(is_silent(
		UPSTREAM
		"[listener web]\nlisten = 443\non_no_match = reject\n[sni web]\na.example = up\n"));
	EXPECT(is_silent(UPSTREAM "[listener web]\nlisten = 443\n[sni web]\na.example = up\n"
	                          "[route rest]\nproxy_pass = up\n"));
}

TEST(ports_whose_clients_do_not_begin_with_tls_are_warned_of)
{
	EXPECT(mentions(WEB "listen = 5432\n[sni web]\na.example = up\n",
	                "t.ini:6: warning: [listener web] listen = "
	                "5432 reads a TLS hello, but PostgreSQL's"));
	EXPECT(is_silent(WEB "listen = 5432\n"));
}

TEST(rules_behind_one_that_matches_all_are_warned_of)
{
	EXPECT(mentions(WEB "deny = 0.0.0.0/0\nallow = 10.0.0.0/8\n",
	                "1 allow or deny behind one that matches every "
	                "address: never reached (L05)"));
	EXPECT(is_silent(
		WEB "allow = 10.0.0.0/8\ndeny = 0.0.0.0/0\nallow = 2001:db8::/32\ndeny = ::/0\n"));
}

TEST(doubled_servers_useless_senders_and_loops_are_warned_of)
{
	EXPECT(mentions(
		WEB
		"[route r]\nlistener = web\nproxy_pass = two\n[upstream two]\nserver = a:1\nserver = a:1\n",
		"stands here twice, first on line 10: use weight (L06)"));
	EXPECT(mentions(WEB "set_real_ip_from = 10.0.0.0/8\n", "(L09)"));
	EXPECT(mentions(
		"[listener a]\nlisten = 443\nproxy_pass = 127.0.0.1:443\n",
		"t.ini:3: warning: 127.0.0.1:443 is an address that this configuration itself listens on"));
	EXPECT(is_silent("[listener a]\nlisten = 443\nproxy_pass = 127.0.0.1:444\n"));
	EXPECT(is_silent("[listener a]\nlisten = 443\nproxy_pass = 192.0.2.1:443\n"));
}

int main(void)
{
	return test_main();
}
