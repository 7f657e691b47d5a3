#include "base/hash.h"
#include "snapshot_text.h"

#include <arpa/inet.h>
#include <netdb.h>

static const struct route *route_named(const struct site *site, const char *name)
{
	bool found = false;

	for (size_t i = 0; i < site->snapshot->route_count; i++)
		if (strcmp(site->snapshot->routes[i].name, name) == 0)
			return &site->snapshot->routes[i];
	EXPECT(found);
	return NULL;
}

static const struct upstream *upstream_named(const struct site *site, const char *name)
{
	bool found = false;

	for (size_t i = 0; i < site->snapshot->conf->upstream_count; i++)
		if (strcmp(site->snapshot->upstreams[i].name, name) == 0)
			return &site->snapshot->upstreams[i];
	EXPECT(found);
	return NULL;
}

/* The route that listener number *listener* has for *name*; NULL = none. */
static const struct route *routed(const struct site *site, size_t listener, const char *name)
{
	const struct listener_site *at = &site->snapshot->listeners[listener];
	struct router_query         query = {.name = span_text(name)};
	int                         rule = router_find(at->router, &query);

	return rule == ROUTER_NO_RULE ? NULL : &site->snapshot->routes[at->rules[rule].target];
}

static bool is_named(const struct route *route, const char *name)
{
	return route && strcmp(route->name, name) == 0;
}

TEST(a_plain_listener_has_only_its_default)
{
	struct site site;

	if (site_init(&site, "[listener web]\nlisten = 443\nproxy_pass = 10.0.0.20:443\n")) {
		const struct listener_site *web = &site.snapshot->listeners[0];
		const struct route         *fallback = web->fallback;

		EXPECT(web->router == NULL);
		EXPECT(web->state != NULL);
		EXPECT(is_named(fallback, "default"));
		EXPECT(fallback && fallback->conf == NULL && fallback->state != NULL &&
		       fallback->max_conns == 0);
		EXPECT(fallback && fallback->upstream == upstream_named(&site, "10.0.0.20:443"));
		EXPECT_EQ(site.snapshot->route_count, 1);
	}
	site_fini(&site);
}

TEST(each_name_leads_to_its_upstream)
{
	struct site site;

	if (site_init(&site,
	              "[listener web]\nlisten = 443\n"
	              "[sni web]\napp1.example.com = app1\n*.example.com = app2\ndefault = app2\n"
	              "[upstream app1]\nserver = 10.0.0.11:443\n"
	              "[upstream app2]\nserver = 10.0.0.12:443\n")) {
		const struct route *exact = routed(&site, 0, "app1.example.com");
		const struct route *below = routed(&site, 0, "x.example.com");

		EXPECT(exact && exact->upstream == upstream_named(&site, "app1"));
		EXPECT(below && below->upstream == upstream_named(&site, "app2"));
		EXPECT(routed(&site, 0, "example.org") == NULL);
		EXPECT(site.snapshot->listeners[0].fallback->upstream ==
		       upstream_named(&site, "app2"));
	}
	site_fini(&site);
}

static const char two_listeners[] =
	"[listener one]\nlisten = 1443\nproxy_timeout = 11s\nhalf_close_timeout = 21s\n"
	"access_log = first\nallow = 10.0.0.0/8\nmax_conns = 7\n"
	"[listener two]\nlisten = 2443\nproxy_timeout = 12s\nhalf_close_timeout = 22s\n"
	"[log first]\npath = first.log\n"
	"[log second]\npath = second.log\n"
	"[route plain]\nlistener = one\nlistener = two\nserver_name = plain.example\n"
	"proxy_pass = 10.0.0.1:1\n"
	"[route own]\nlistener = one\nlistener = two\nserver_name = own.example\n"
	"proxy_pass = 10.0.0.1:1\nproxy_timeout = 99s\nhalf_close_timeout = 98s\n"
	"access_log = second\nmax_conns = 5\ndeny = 192.0.2.0/24\n";

TEST(what_a_route_does_not_set_is_its_listeners)
{
	struct site site;

	if (site_init(&site, two_listeners)) {
		const struct route *one = routed(&site, 0, "plain.example"),
				   *two = routed(&site, 1, "plain.example");

		EXPECT(one != NULL && two != NULL && one != two);
		if (one && two) {
			EXPECT_EQ(one->proxy_timeout_ms, 11000);
			EXPECT_EQ(one->half_close_timeout_ms, 21000);
			EXPECT_EQ(one->access_log, 0);
			EXPECT_EQ(two->proxy_timeout_ms, 12000);
			EXPECT_EQ(two->half_close_timeout_ms, 22000);
			EXPECT_EQ(two->access_log, SNAPSHOT_NO_LOG);
			/* These of the listener's are judged when it accepts. */
			EXPECT_EQ(one->acl.count, 0);
			EXPECT_EQ(one->max_conns, 0);
		}
		EXPECT_EQ(site.snapshot->listeners[0].acl.count, 1);
		EXPECT_EQ(site.snapshot->listeners[0].access_log, 0);
		EXPECT_EQ(site.snapshot->listeners[1].access_log, SNAPSHOT_NO_LOG);
	}
	site_fini(&site);
}

TEST(what_a_route_sets_is_its_own_on_every_listener)
{
	struct site site;

	if (site_init(&site, two_listeners)) {
		for (size_t listener = 0; listener < 2; listener++) {
			const struct route *own = routed(&site, listener, "own.example");

			EXPECT(own != NULL);
			if (!own)
				continue;
			EXPECT_EQ(own->proxy_timeout_ms, 99000);
			EXPECT_EQ(own->half_close_timeout_ms, 98000);
			EXPECT_EQ(own->access_log, 1);
			EXPECT_EQ(own->max_conns, 5);
			EXPECT_EQ(own->acl.count, 1);
		}
	}
	site_fini(&site);
}

TEST(the_loggers_numbers_replace_the_places_of_logs_in_the_file)
{
	struct site site;

	if (site_init(&site, two_listeners)) {
		site.snapshot->log_numbers[0] = 1;
		site.snapshot->log_numbers[1] = 700;
		snapshot_number_logs(site.snapshot);
		EXPECT_EQ(site.snapshot->listeners[0].access_log, 1);
		EXPECT_EQ(site.snapshot->listeners[1].access_log, SNAPSHOT_NO_LOG);
		for (size_t i = 0; i < 2; i++) {
			const struct route *own = routed(&site, i, "own.example");

			EXPECT(own && own->access_log == 700);
		}
		EXPECT(routed(&site, 0, "plain.example")->access_log == 1);
		EXPECT(routed(&site, 1, "plain.example")->access_log == SNAPSHOT_NO_LOG);
	}
	site_fini(&site);
}

TEST(a_routes_max_conns_count_over_all_its_listeners)
{
	struct site site;

	if (site_init(&site, two_listeners)) {
		const struct route *one = routed(&site, 0, "own.example"),
				   *two = routed(&site, 1, "own.example");

		EXPECT(one && two && one->state == two->state);
		one = routed(&site, 0, "plain.example");
		two = routed(&site, 1, "plain.example");
		EXPECT(one && two && one->state != two->state);
	}
	site_fini(&site);
}

TEST(an_sni_line_is_not_counted_with_a_route_of_its_name)
{
	struct site site;

	if (site_init(
		    &site,
		    "[listener one]\nlisten = 1443\n[listener two]\nlisten = 2443\n"
		    "[sni one]\nx.example = 10.0.0.1:1\n"
		    "[route x.example]\nlistener = two\nserver_name = x.example\nproxy_pass = 10.0.0.1:1\n"
		    "max_conns = 3\n")) {
		const struct route *line = routed(&site, 0, "x.example"),
				   *route = routed(&site, 1, "x.example");

		EXPECT(line && route && line->state != route->state);
	}
	site_fini(&site);
}

TEST(a_rejecting_route_has_no_upstream)
{
	struct site site;

	if (site_init(&site,
	              "[listener web]\nlisten = 443\nproxy_pass = 10.0.0.1:1\n"
	              "[route bad]\nserver_name = bad.example\nlistener = web\nmode = reject\n")) {
		const struct route *bad = route_named(&site, "bad");

		EXPECT(bad && bad->mode == CONF_REJECT && bad->upstream == NULL);
	}
	site_fini(&site);
}

TEST(servers_are_addressed_and_named_as_written)
{
	struct site site;

	if (site_init(&site,
	              "[listener web]\nlisten = 443\nproxy_pass = all\n"
	              "[upstream all]\nserver = 192.0.2.1:443 weight=3 max_conns=9 fastopen\n"
	              "server = [2001:db8::7]:8443 backup\nserver = unix:/run/x.sock down\n")) {
		const struct upstream *all = upstream_named(&site, "all");
		char                   text[INET6_ADDRSTRLEN];

		EXPECT(all && all->server_count == 3 && all->balance != NULL);
		if (all && all->server_count == 3) {
			const struct server *servers = all->servers;

			EXPECT(strcmp(servers[0].text, "192.0.2.1:443") == 0);
			EXPECT_EQ(ntohs(servers[0].endpoint.ip4.sin_port), 443);
			EXPECT(strcmp(servers[1].text, "[2001:db8::7]:8443") == 0);
			EXPECT(inet_ntop(AF_INET6, &servers[1].endpoint.ip6.sin6_addr, text,
			                 sizeof(text)) &&
			       strcmp(text, "2001:db8::7") == 0);
			EXPECT(strcmp(servers[2].text, "unix:/run/x.sock") == 0);
			EXPECT(strcmp(servers[2].endpoint.local.sun_path, "/run/x.sock") == 0);
			EXPECT_EQ(all->states[0].weight, 3);
			EXPECT_EQ(all->states[0].max_conns, 9);
			EXPECT(all->states[1].backup && all->states[2].down);
			EXPECT(servers[0].fastopen && !servers[1].fastopen);
			EXPECT(all->states[0].identity == hash_bytes(span_text("192.0.2.1:443")));
			EXPECT(all->states[0].state != all->states[1].state);
		}
	}
	site_fini(&site);
}

TEST(a_name_becomes_a_server_for_each_of_its_addresses)
{
	struct addrinfo *found;
	struct site      site;

	/* A host without /etc/hosts (a bare chroot) does not know its own name. */
	if (getaddrinfo("localhost", NULL, NULL, &found) != 0)
		return;
	freeaddrinfo(found);
	if (site_init(&site, "[listener web]\nlisten = 443\nproxy_pass = localhost:8443\n")) {
		const struct upstream *up = upstream_named(&site, "localhost:8443");

		/* One address or two, as the host has it. */
		EXPECT(up && up->server_count >= 1 && up->server_count <= 2);
		for (size_t i = 0; up && i < up->server_count; i++) {
			const struct endpoint *at = &up->servers[i].endpoint;

			EXPECT(at->any.sa_family == AF_INET || at->any.sa_family == AF_INET6);
			EXPECT_EQ(ntohs(at->any.sa_family == AF_INET ? at->ip4.sin_port
			                                             : at->ip6.sin6_port),
			          8443);
			if (up->server_count == 1)
				EXPECT(strcmp(up->servers[i].text, "localhost:8443") == 0);
			else
				EXPECT(strcmp(up->servers[i].text, at->any.sa_family == AF_INET
				                                           ? "127.0.0.1:8443"
				                                           : "[::1]:8443") == 0);
		}
	}
	site_fini(&site);
}

TEST(every_name_that_does_not_resolve_is_an_error_with_its_line)
{
	char        wanted[160];
	struct site site;

	/* .invalid never resolves (RFC 6761 6.4). */
	site_init_from(&site,
	               "[listener web]\nlisten = 443\nproxy_pass = one\n"
	               "[upstream one]\nserver = first.invalid:443\nserver = second.invalid:443\n");
	EXPECT(site.snapshot == NULL);
	EXPECT_EQ(conf_report_errors(site.report), 2);
	snprintf(wanted, sizeof(wanted),
	         "%s:5: [upstream one] server = first.invalid:443: cannot resolve", site.path);
	EXPECT(report_says(site.report, wanted));
	snprintf(wanted, sizeof(wanted),
	         "%s:6: [upstream one] server = second.invalid:443: cannot resolve", site.path);
	EXPECT(report_says(site.report, wanted));
	site_fini(&site);
}

TEST(a_new_snapshot_finds_the_states_of_the_old_one)
{
	static const char text[] = "[listener web]\nlisten = 443\nproxy_pass = 10.0.0.1:1\n";
	struct site       site;
	struct conf      *conf;
	struct snapshot  *next;
	FILE             *file;

	if (site_init(&site, text)) {
		file = fopen(site.path, "w");
		EXPECT(file && fputs(text, file) >= 0);
		if (file)
			fclose(file);
		conf = conf_read(site.path, site.report);
		unlink(site.path);
		next = conf ? snapshot_build(conf, site.registry, site.report) : NULL;
		EXPECT(next != NULL);
		if (next) {
			EXPECT(next->listeners[0].state == site.snapshot->listeners[0].state);
			EXPECT(next->routes[0].state == site.snapshot->routes[0].state);
			EXPECT(next->upstreams[0].states[0].state ==
			       site.snapshot->upstreams[0].states[0].state);
			/* But the secret is drawn anew. */
			EXPECT(memcmp(next->hash_secret, site.snapshot->hash_secret,
			              sizeof(next->hash_secret)) != 0);
		}
		snapshot_free(next);
	}
	site_fini(&site);
}

TEST(the_peers_address_is_asked_for_only_where_something_needs_it)
{
	/* Further lines of each section. */
	static const struct {
		const char *listener, *route, *upstream;
		bool        wants_peer;
	} cases[] = {
		{"", "", "", false},
		{"max_conns = 7\n", "max_conns = 7\n", "balance = least_conn\n", false},
		{"access_log = log\n", "", "", true},
		{"access_log = log\n", "access_log = off\n", "",
	         true}, /* for who reaches no route */
		{"", "access_log = log\n", "", true},
		{"allow = 10.0.0.0/8\n", "", "", true},
		{"", "deny = 10.0.0.0/8\n", "", true},
		{"", "source = 10.0.0.0/8\n", "", true},
		{"max_conns_per_ip = 5\n", "", "", true},
		{"accept_proxy_protocol = on\nset_real_ip_from = 10.0.0.0/8\n", "", "", true},
		{"", "", "send_proxy_protocol = v1\n", true},
		{"", "", "balance = hash\n", true},
		{"", "", "balance = hash\nhash_key = server_name\n", false},
		{"proxy_pass = up\n", "mode = reject\n", "", false},
		{"proxy_pass = up\n", "mode = reject\n", "send_proxy_protocol = v2\n", true},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		bool        rejects = strstr(cases[i].route, "reject") != NULL;
		char        text[640];
		struct site site;

		snprintf(text, sizeof(text),
		         "[listener web]\nlisten = 443\n%s"
		         "[route one]\nlistener = web\nserver_name = one.example\n%s%s"
		         "[upstream up]\nserver = 10.0.0.1:1\n%s"
		         "[log log]\npath = a.log\n",
		         cases[i].listener, cases[i].route, rejects ? "" : "proxy_pass = up\n",
		         cases[i].upstream);
		if (site_init(&site, text) &&
		    site.snapshot->listeners[0].wants_peer != cases[i].wants_peer)
			printf("case %zu\n", i);
		EXPECT(site.snapshot &&
		       site.snapshot->listeners[0].wants_peer == cases[i].wants_peer);
		site_fini(&site);
	}
}

int main(void)
{
	return test_main();
}
