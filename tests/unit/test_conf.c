/* Keys, values and references: what is read, and that every error is told. */
#include "test.h"

#include "conf_maker.h"
#include "proto/hello.h"

/* A listener and an upstream that are in order, to put one more thing beside. */
#define LISTENER "[listener web]\nlisten = 443\nproxy_pass = up\n"
#define UPSTREAM "[upstream up]\nserver = 192.0.2.1:443\n"
#define WEB      UPSTREAM LISTENER /* ends inside the listener; 5 lines */

TEST(the_least_file_has_every_default)
{
	struct made_conf            made = make_conf(WEB);
	const struct conf_listener *web = made.conf->listeners[0];
	const struct conf_upstream *up = made.conf->upstreams[0];

	EXPECT_EQ(made.errors, 0);
	EXPECT(!*made.said);
	EXPECT_EQ(made.conf->global.workers, 0);
	EXPECT_EQ(made.conf->global.splice_min, UINT32_MAX);
	EXPECT_EQ(made.conf->global.error_level, LEVEL_NOTICE);
	EXPECT(strcmp(made.conf->global.error_log, "stderr") == 0);
	EXPECT_EQ(made.conf->global.drain_timeout_ms, 60000);
	EXPECT_EQ(web->listens[0].kind, CONF_ENDPOINT_ANY);
	EXPECT_EQ(web->listens[0].addr.port, 443);
	EXPECT(web->proxy_pass == up);
	EXPECT(!web->reads_hello);
	EXPECT_EQ(web->on_no_match, CONF_ACTION_DEFAULT);
	EXPECT_EQ(web->on_plaintext, CONF_ACTION_REJECT);
	EXPECT_EQ(web->preread_timeout_ms, 5000);
	EXPECT_EQ(web->preread_buffer_size, 16384);
	EXPECT_EQ(web->backlog, 4096);
	EXPECT(web->so_keepalive);
	EXPECT_EQ(web->session.proxy_timeout_ms, 600000);
	EXPECT_EQ(web->session.half_close_timeout_ms, 30000);
	EXPECT(!web->session.access_log);
	EXPECT_EQ(up->servers[0].weight, 1);
	EXPECT_EQ(up->servers[0].max_fails, 1);
	EXPECT_EQ(up->servers[0].fail_timeout_ms, 10000);
	EXPECT_EQ(up->connect_timeout_ms, 5000);
	EXPECT_EQ(up->next_tries, 2);
	made_free(&made);
}

TEST(every_error_is_told_in_one_run_with_its_place)
{
	EXPECT(says(
		"[listener web]\nlisten = 443\nproxy_pass = ups\npreread_timeout = 5\nbacklog = many\n"
		"[upstream up]\nserver = host\n",
		"t.ini:3: [listener web] proxy_pass = ups: there is no [upstream] section of that name, and it is "
		"not HOST:PORT or unix:/path; did you mean \"up\"?\n"
		"t.ini:4: [listener web] preread_timeout = 5: a time with its unit (500ms, 5s, 10m, 1h) from 1ms "
		"to 1h\n"
		"t.ini:5: [listener web] backlog = many: a number from 1 to 1048576\n"
		"t.ini:7: [upstream up] server = host: HOST:PORT, [V6]:PORT or unix:/path\n"));
}

TEST(an_unknown_section_is_an_error_with_a_suggestion)
{
	EXPECT(mentions("[listner web]\nlisten = 1\n", "t.ini:1: [listner web]: unknown section"));
	EXPECT(mentions("[listner web]\n", "did you mean \"listener\"?"));
}

TEST(an_unknown_key_is_an_error_with_a_suggestion)
{
	EXPECT(says(WEB "max_con = 5\n",
	            "t.ini:6: [listener web] max_con: unknown key; did you mean \"max_conns\"?\n"));
	EXPECT(says(
		WEB "prxy_timeuot = 5s\n",
		"t.ini:6: [listener web] prxy_timeuot: unknown key; did you mean \"proxy_timeout\"?\n"));
	EXPECT(says(WEB "zzz = 5\n", "t.ini:6: [listener web] zzz: unknown key\n"));
}

TEST(a_key_of_another_section_is_sent_there)
{
	EXPECT(says(WEB "balance = hash\n",
	            "t.ini:6: [listener web] balance: this key belongs in [upstream]\n"));
}

TEST(a_word_that_is_nearly_right_is_suggested)
{
	EXPECT(mentions(
		LISTENER UPSTREAM "balance = leastconn\n",
		"balance = leastconn: one of round_robin, least_conn, hash, random; did you mean "
		"\"least_conn\"?"));
}

TEST(references_are_checked_and_suggested)
{
	EXPECT(mentions(
		WEB "access_log = mian\n[log main]\npath = stdout\n",
		"no [log] section of that name, and it is not `off`; did you mean \"main\"?"));
	EXPECT(mentions(
		WEB "[route r]\nlistener = wbe\nproxy_pass = up\n",
		"[route r] listener = wbe: there is no [listener] section of that name; did you mean "
		"\"web\"?"));
	EXPECT(mentions(
		WEB "[sni wbe]\na.example = up\n",
		"[sni wbe]: there is no [listener] section of that name; did you mean \"web\"?"));
}

TEST(metrics_listen_is_one_address_with_a_port)
{
	struct made_conf made = make_conf("[global]\nmetrics_listen = [::1]:9100\n" WEB);

	EXPECT_EQ(made.conf->global.metrics_listen.family, ADDR_IP6);
	EXPECT_EQ(made.conf->global.metrics_listen.port, 9100);
	EXPECT_EQ(made.conf->global.metrics_listen_pos.line, 2);
	made_free(&made);
	made = make_conf(WEB);
	EXPECT_EQ(made.conf->global.metrics_listen.family, ADDR_NONE);
	made_free(&made);
	EXPECT(mentions("[global]\nmetrics_listen = 9100\n" WEB,
	                "t.ini:2: [global] metrics_listen = 9100: ADDR:PORT or [V6]:PORT"));
	EXPECT(mentions("[global]\nmetrics_listen = localhost:9100\n" WEB, "no name"));
	EXPECT(mentions("[global]\nmetrics_listen = 127.0.0.1:0\n" WEB, "ADDR:PORT"));
}

TEST(a_key_given_twice_names_the_first_line)
{
	EXPECT(says(WEB "backlog = 5\nbacklog = 6\n",
	            "t.ini:7: [listener web] backlog is given twice, first on line 6\n"));
}

TEST(a_single_key_cannot_be_continued)
{
	EXPECT(says(WEB "backlog = 5\n  6\n",
	            "t.ini:7: [listener web] backlog takes one value; an indented line is "
	            "one more\n"));
}

TEST(a_repeated_key_takes_repeated_and_indented_lines)
{
	struct made_conf made = make_conf(
		"[upstream up]\nserver = 192.0.2.1:1\n\t192.0.2.2:2\n# no value\n"
		"server =\n  192.0.2.3:3\n" LISTENER);

	EXPECT_EQ(made.errors, 0);
	EXPECT_EQ(made.conf->upstreams[0]->server_count, 3);
	EXPECT_EQ(made.conf->upstreams[0]->servers[2].endpoint.addr.port, 3);
	made_free(&made);
}

TEST(a_section_given_twice_names_the_first)
{
	EXPECT(says(WEB "[listener  web]\nlisten = 444\nproxy_pass = up\n",
	            "t.ini:6: [listener  web]: there is one of that name already, on line 3\n"));
	EXPECT(mentions(WEB "[global]\n[global]\n",
	                "t.ini:7: [global]: there is one of that name already, on line 6"));
}

TEST(a_name_twice_in_sni_names_the_first)
{
	EXPECT(says(WEB "[sni web]\na.example = up\nb.example = up\nA.Example. = up\n",
	            "t.ini:9: [sni web] A.Example. is given twice, first on line 7\n"));
	EXPECT(is_silent(WEB "[sni web]\na.example = up\n*.a.example = up\n.a.example = up\n"));
}

TEST(routes_alike_in_listener_name_and_conditions_are_an_error)
{
	EXPECT(says(
		WEB
		"[route a]\nlistener = web\nserver_name = a.example\nalpn = h2\nalpn = h3\nproxy_pass = up\n"
		"[route b]\nlistener = web\nserver_name = a.example\nalpn = h3\nalpn = h2\nalpn = h3\n"
		"proxy_pass = up\n",
		"t.ini:14: [route b] is like the route on line 8: both are for listener web and the name a.example "
		"under the same conditions\n"));
	EXPECT(is_silent(
		WEB
		"[route a]\nlistener = web\nserver_name = a.example\nalpn = h2\nproxy_pass = up\n"
		"[route b]\nlistener = web\nserver_name = a.example\nproxy_pass = up\n"));
	EXPECT(mentions(
		WEB
		"[sni web]\nnone = up\n[route a]\nlistener = web\nserver_name = none\nproxy_pass = up\n",
		"t.ini:10: [route a] is like the route on line 7: both are for listener web and no name"));
	EXPECT(mentions(
		WEB
		"[route a]\nlistener = web\nserver_name = x.example\n X.example\nproxy_pass = up\n",
		"t.ini:9: [route a] server_name is given twice, first on line 8"));
}

TEST(what_comes_later_is_not_supported_yet)
{
	static const char *const lines[] = {
		"conn_rate_per_ip = 5/s",
		"ktls = on",
		"proxy_upload_rate = 1m",
	};
	char text[256];

	for (size_t i = 0; i < COUNT(lines); i++) {
		snprintf(text, sizeof(text), "[listener x]\n%s\n", lines[i]);
		EXPECT(mentions(text, "not supported yet"));
	}
	EXPECT(mentions(LISTENER UPSTREAM "check = tcp\n",
	                "[upstream up] check = tcp: is not supported yet"));
	EXPECT(mentions(LISTENER "[upstream up]\nserver = a:1 resolve\n",
	                "`resolve` is not supported yet"));
	EXPECT(mentions(LISTENER "[upstream up]\nserver = a:1 slow_start=5s\n",
	                "`slow_start=5s` is not supported yet"));
	EXPECT(mentions(WEB "[sni web]\n~^a = up\n",
	                "[sni web] ~^a: is not supported yet (regular expressions)"));
	EXPECT(mentions("[global]\nsandbox = on\n",
	                "t.ini:2: [global] sandbox = on: is not supported yet\n"));
}

TEST(a_listener_that_is_asked_for_tls_reads_what_clients_say)
{
	struct made_conf made = make_conf(LISTENER "starttls = postgresql\n" UPSTREAM);

	EXPECT_EQ(made.errors, 0);
	EXPECT_EQ(made.conf->listeners[0]->starttls, CONF_STARTTLS_POSTGRESQL);
	EXPECT(made.conf->listeners[0]->reads_hello);
	EXPECT_EQ(made.conf->listeners[0]->on_no_sni, CONF_ACTION_DEFAULT);
	EXPECT(!strstr(made.printed, "[sni"));
	made_free(&made);
	EXPECT(mentions(LISTENER "starttls = postgresql\nssl_preread = off\n" UPSTREAM,
	                "has starttls and ssl_preread = off"));
	EXPECT(mentions(LISTENER "starttls = mysql\n" UPSTREAM, "MySQL's server speaks first"));
	EXPECT(mentions(LISTENER "starttls = smtp\n" UPSTREAM, "one of off, postgresql"));
}

TEST(a_server_is_asked_for_tls_only_where_tls_is_spoken_to_it)
{
	EXPECT(mentions(LISTENER UPSTREAM "proxy_starttls = postgresql\n",
	                "proxy_starttls = postgresql needs proxy_ssl = on"));
	EXPECT(is_silent(LISTENER UPSTREAM "proxy_starttls = off\n"));
}

TEST(the_lint_of_a_port_that_is_asked_for_tls_is_silent_once_it_is_answered)
{
	static const char listener[] = "[listener db]\nlisten = 5432\nproxy_pass = up\n";
	char              text[512];

	snprintf(text, sizeof(text), "%s[sni db]\na.example = up\n" UPSTREAM, listener);
	EXPECT(mentions(text, "SSLRequest"));
	snprintf(text, sizeof(text), "%sstarttls = postgresql\n[sni db]\na.example = up\n" UPSTREAM,
	         listener);
	EXPECT(is_silent(text));
}

TEST(what_comes_later_may_be_given_its_default)
{
	EXPECT(is_silent(
		"[global]\nsandbox = off\n" LISTENER "starttls = off\n" UPSTREAM
		"check = off\non_marked_down = keep\nproxy_ssl = off\ncheck_interval = 5s\n"));
}

TEST(defaults_hold_where_a_section_does_not_say_itself)
{
	struct made_conf made = make_conf(
		LISTENER "backlog = 7\n" UPSTREAM
			 "[defaults]\nbacklog = 9\nproxy_connect_timeout = 2s\n"
			 "user_timeout = 3s\nproxy_timeout = 1m\n"
			 "[listener two]\nlisten = 444\nproxy_pass = 192.0.2.9:1\n");

	EXPECT_EQ(made.errors, 0);
	EXPECT_EQ(made.conf->listeners[0]->backlog, 7);
	EXPECT_EQ(made.conf->listeners[1]->backlog, 9);
	EXPECT_EQ(made.conf->listeners[1]->user_timeout_ms, 3000);
	EXPECT_EQ(made.conf->upstreams[0]->user_timeout_ms, 3000);
	EXPECT_EQ(made.conf->upstreams[1]->connect_timeout_ms, 2000); /* the implied one */
	EXPECT_EQ(made.conf->listeners[0]->session.proxy_timeout_ms, 60000);
	made_free(&made);
}

TEST(a_wrong_default_is_told_once)
{
	EXPECT(says("[defaults]\nbacklog = x\nproxy_pass = up\n" WEB
	            "[listener b]\nlisten = 1\nproxy_pass = up\n",
	            "t.ini:2: [defaults] backlog = x: a number from 1 to 1048576\n"
	            "t.ini:3: [defaults] proxy_pass: this key belongs in [listener]\n"));
}

TEST(a_route_takes_from_its_listener_what_it_does_not_say)
{
	struct made_conf made = make_conf(
		UPSTREAM LISTENER
		"proxy_timeout = 5m\nhalf_close_timeout = 9s\naccess_log = l\n[log l]\npath = stdout\n"
		"[defaults]\nproxy_timeout = 1m\n"
		"[route r]\nlistener = web\nproxy_pass = up\nhalf_close_timeout = 2s\n");
	const struct conf_route *route = made.conf->routes[0];

	EXPECT_EQ(made.errors, 0);
	EXPECT_EQ(route->session.proxy_timeout_ms, 300000);
	EXPECT_EQ(route->session.half_close_timeout_ms, 2000);
	EXPECT(route->session.access_log == made.conf->logs[0]);
	EXPECT_EQ(route->set, CONF_SET_HALF_CLOSE_TIMEOUT);
	made_free(&made);
}

TEST(units_are_required_and_bounds_are_kept)
{
	static const struct {
		const char *line;
		bool        good;
	} cases[] = {
		{"proxy_timeout = 500ms", true},
		{"proxy_timeout = 1h", true},
		{"proxy_timeout = 10", false},
		{"proxy_timeout = 0s", false},
		{"proxy_timeout = 1 h", false},
		{"proxy_timeout = -1s", false},
		{"proxy_timeout = 99999h", false},
		{"proxy_timeout = 1.5s", false},
		{"session_timeout = 0s", true},
		{"proxy_timeout = 4294967296ms", false},
		{"proxy_timeout = 33554433h", false}, /* 2^32 ms and 1h */
		{"preread_buffer_size = 1k", true},
		{"preread_buffer_size = 64k", true},
		{"preread_buffer_size = 65k", false},
		{"preread_buffer_size = 1023", false},
		{"preread_buffer_size = 1K", false},
		{"so_keepalive = on", true},
		{"so_keepalive = yes", false},
		{"so_keepalive = ", false},
		{"fastopen = off", true},
		{"fastopen = 64", true},
		{"fastopen = on", false},
		{"max_conns = 0", true},
		{"max_conns = 4294967295", true},
		{"max_conns = 4294967296", false},
		{"ssl_preread = auto", true},
		{"ssl_preread = on", false},
		{"interface = eth0", true},
		{"interface = fifteen-letters", true},
		{"interface = sixteen-letters1", false},
	};
	char text[512];

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct made_conf made;

		snprintf(text, sizeof(text), WEB "%s\n", cases[i].line);
		made = make_conf(text);
		if ((made.errors == 0) != cases[i].good)
			printf("  %s\n", cases[i].line);
		EXPECT((made.errors == 0) == cases[i].good);
		made_free(&made);
	}
}

TEST(busy_poll_is_a_short_time_or_off)
{
	static const struct {
		const char *value;
		uint32_t    us;
		bool        good;
		const char *printed;
	} cases[] = {
		{"off", 0, true, "busy_poll = off\n"},
		{"50us", 50, true, "busy_poll = 50us\n"},
		{"1000us", 1000, true, "busy_poll = 1ms\n"},
		{"10ms", 10000, true, "busy_poll = 10ms\n"},
		{"11ms", 0, false, NULL},
		{"0us", 0, false, NULL},
		{"1s", 0, false, NULL},
		{"50", 0, false, NULL},
		{"on", 0, false, NULL},
	};
	char text[256];

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct made_conf made;

		snprintf(text, sizeof(text), "[global]\nbusy_poll = %s\n" WEB, cases[i].value);
		made = make_conf(text);
		if ((made.errors == 0) != cases[i].good)
			printf("  %s\n", cases[i].value);
		EXPECT((made.errors == 0) == cases[i].good);
		if (cases[i].good) {
			EXPECT_EQ(made.conf->global.busy_poll_us, cases[i].us);
			EXPECT(strstr(made.printed, cases[i].printed));
		} else {
			EXPECT(strstr(made.said, "off, or a time with its unit (50us, 1ms) from "
			                         "1us to 10ms"));
		}
		made_free(&made);
	}
}

TEST(listen_takes_ports_addresses_and_paths)
{
	static const struct {
		const char             *value;
		enum conf_endpoint_kind kind;
		bool                    good;
	} cases[] = {
		{"443", CONF_ENDPOINT_ANY, true},
		{"0", 0, false},
		{"65536", 0, false},
		{"192.0.2.1:443", CONF_ENDPOINT_IP, true},
		{"[2001:db8::1]:443", CONF_ENDPOINT_IP, true},
		{"2001:db8::1:443", 0, false},
		{"[192.0.2.1]:443", 0, false},
		{"192.0.2.1", 0, false},
		{"192.0.2.1:", 0, false},
		{"*:443", 0, false},
		{"localhost:443", 0, false},
		{"unix:/run/x", CONF_ENDPOINT_UNIX, true},
		{"unix:x", 0, false},
		{"unix:/", 0, false},
		{"443 ssl", 0, false},
	};
	char text[256];

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct made_conf made;

		snprintf(text, sizeof(text),
		         UPSTREAM "[listener web]\nproxy_pass = up\nlisten = %s\n", cases[i].value);
		made = make_conf(text);
		if ((made.errors == 0) != cases[i].good)
			printf("  %s\n", cases[i].value);
		EXPECT((made.errors == 0) == cases[i].good);
		if (cases[i].good)
			EXPECT_EQ(made.conf->listeners[0]->listens[0].kind, cases[i].kind);
		made_free(&made);
	}
}

TEST(a_unix_path_longer_than_the_kernel_takes_is_an_error)
{
	char text[512], path[109];

	memset(path, 'a', sizeof(path));
	path[0] = '/';
	path[108] = '\0';
	snprintf(text, sizeof(text), UPSTREAM "[listener w]\nproxy_pass = up\nlisten = unix:%s\n",
	         path);
	EXPECT(mentions(text, "an absolute path of at most 107 bytes"));
	path[107] = '\0';
	snprintf(text, sizeof(text), UPSTREAM "[listener w]\nproxy_pass = up\nlisten = unix:%s\n",
	         path);
	EXPECT(is_silent(text));
}

TEST(an_address_is_listened_on_once)
{
	EXPECT(says(
		WEB "listen = 0.0.0.0:443\n",
		"t.ini:6: [listener web] listen = 0.0.0.0:443: is listened on already, on line 4\n"));
	EXPECT(mentions(
		WEB "[listener b]\nlisten = [::]:443\nproxy_pass = up\n",
		"t.ini:7: [listener b] listen = [::]:443: is listened on already, on line 4"));
	EXPECT(says(WEB "listen = 443\n",
	            "t.ini:6: [listener web] listen = 443: is listened on already, on line 4\n"));
	EXPECT(is_silent(WEB "listen = 192.0.2.7:444\nlisten = 192.0.2.8:444\nlisten = 445\n"));
	EXPECT(is_silent(
		WEB
		"interface = eth0\n[listener b]\nlisten = 443\ninterface = eth1\nproxy_pass = up\n"));
	EXPECT(is_silent(WEB
	                 "ipv6only = on\n[listener b]\nlisten = 0.0.0.0:443\nproxy_pass = up\n"));
}

TEST(a_single_address_beside_the_wildcard_is_an_error_that_names_the_other_line)
{
	EXPECT(says(
		WEB "listen = 192.0.2.7:443\n",
		"t.ini:6: [listener web] listen = 192.0.2.7:443: is listened on already, on line 4\n"));
	EXPECT(mentions(
		WEB "listen = 192.0.2.7:444\nlisten = 444\n",
		"t.ini:7: [listener web] listen = 444: includes 192.0.2.7:444, which is listened on already, on line 6\n"));
	EXPECT(mentions(
		WEB "[listener b]\nlisten = 192.0.2.7:443\ninterface = eth0\nproxy_pass = up\n",
		"t.ini:7: [listener b] listen = 192.0.2.7:443: is listened on already, on line 4\n"));
}

TEST(a_server_has_options_behind_its_address)
{
	struct made_conf made = make_conf(
		LISTENER
		"[upstream up]\n"
		"server = a.example.com:443 weight=7 max_conns=9 max_fails=0 "
		"fail_timeout=1m backup down\nserver = unix:/run/s\nserver = a:1 fastopen\n");
	const struct conf_server *server = &made.conf->upstreams[0]->servers[0];

	EXPECT_EQ(made.errors, 0);
	EXPECT_EQ(server->endpoint.kind, CONF_ENDPOINT_HOST);
	EXPECT(strcmp(server->endpoint.host, "a.example.com") == 0);
	EXPECT_EQ(server->endpoint.port, 443);
	EXPECT_EQ(server->weight, 7);
	EXPECT_EQ(server->max_conns, 9);
	EXPECT_EQ(server->max_fails, 0);
	EXPECT_EQ(server->fail_timeout_ms, 60000);
	EXPECT(server->backup && server->down && !server->fastopen);
	EXPECT(made.conf->upstreams[0]->servers[2].fastopen);
	EXPECT(strstr(made.printed,
	              "server = a:1 weight=1 max_fails=1 fail_timeout=10s fastopen\n"));
	EXPECT(strcmp(made.conf->upstreams[0]->servers[1].endpoint.host, "/run/s") == 0);
	made_free(&made);
}

TEST(a_server_that_cannot_be_is_refused)
{
	static const char *const values[] = {
		"10.0.0.300:443",
		"2001:db8::1:443",
		"a..b:1",
		"-a:1",
		"a:0",
		"a:1 weight=0",
		"a:1 weight",
		"a:1 weight=1001",
		"a:1 Backup",
		":443",
		"a_b c:1",
		"a:1 down down",
		"unix:/run/s fastopen",
		"a:1 fastopen=on",
		"a:1 weight=1 weight=2",
		"http://a:1",
		"unix:relative",
		"a",
		"[::1]443",
		"a:1 fail_timeout=10",
		"é.example:1",
	};
	char text[256];

	for (size_t i = 0; i < COUNT(values); i++) {
		struct made_conf made;

		snprintf(text, sizeof(text), LISTENER "[upstream up]\nserver = %s\n", values[i]);
		made = make_conf(text);
		if (made.errors != 1)
			printf("  %s\n%s", values[i], made.said);
		EXPECT_EQ(made.errors, 1);
		made_free(&made);
	}
}

TEST(the_same_proxy_pass_makes_one_upstream)
{
	struct made_conf made = make_conf("[listener a]\nlisten = 1\nproxy_pass = 192.0.2.1:443\n"
	                                  "[listener b]\nlisten = 2\nproxy_pass = 192.0.2.1:443\n"
	                                  "[listener c]\nlisten = 3\nproxy_pass = unix:/run/x\n");

	EXPECT_EQ(made.errors, 0);
	EXPECT_EQ(made.conf->upstream_count, 2);
	EXPECT(made.conf->listeners[0]->proxy_pass == made.conf->listeners[1]->proxy_pass);
	EXPECT(made.conf->upstreams[0]->implied);
	EXPECT(strcmp(made.conf->upstreams[1]->name, "unix:/run/x") == 0);
	made_free(&made);
}

TEST(allow_and_deny_keep_their_order_across_both_keys)
{
	struct made_conf made = make_conf(
		WEB "deny = 10.1.0.0/16\nallow = 10.0.0.0/8\n  192.0.2.1\ndeny = ::/0\n");
	const struct conf_session *session = &made.conf->listeners[0]->session;

	EXPECT_EQ(made.errors, 0);
	EXPECT_EQ(session->acl_count, 4);
	EXPECT(!session->acl[0].allow && session->acl[1].allow && session->acl[2].allow &&
	       !session->acl[3].allow);
	EXPECT_EQ(session->acl[2].cidr.bits, 32);
	made_free(&made);
	EXPECT(mentions(WEB "allow = 10.1.0.0/8\n",
	                "[listener web] allow = 10.1.0.0/8: an address, a prefix such as"));
}

TEST(names_are_folded_and_told_apart)
{
	struct made_conf made = make_conf(
		WEB "[sni web]\nExample.COM. = up\n*.Example.com = up\n.Example.com = up\n"
		    "none = up\n");

	EXPECT_EQ(made.errors, 0);
	EXPECT_EQ(made.conf->route_count, 4);
	for (size_t i = 0; i < 3; i++)
		EXPECT(span_equal(made.conf->routes[i]->names[0].name, span_text("example.com")));
	EXPECT_EQ(made.conf->routes[0]->names[0].kind, ROUTER_EXACT);
	EXPECT_EQ(made.conf->routes[1]->names[0].kind, ROUTER_BELOW);
	EXPECT_EQ(made.conf->routes[2]->names[0].kind, ROUTER_APEX);
	EXPECT_EQ(made.conf->routes[3]->names[0].kind, ROUTER_NO_NAME);
	made_free(&made);
}

TEST(a_name_that_no_hello_can_carry_is_refused)
{
	static const char *const names[] = {
		"192.0.2.1",
		"2001",
		"*",
		"a..b",
		".",
		"*.",
		"a.*.b",
		"*a.b",
		"a b",
		"\xc3\xa9.example",
		"a..",
		"a/b",
		"a123456789012345678901234567890123456789012345678901234567890123.example",
	};
	char text[256];

	for (size_t i = 0; i < COUNT(names); i++) {
		struct made_conf made;
		bool             good = strcmp(names[i], "2001") == 0;

		snprintf(text, sizeof(text), WEB "[sni web]\n%s = up\n", names[i]);
		made = make_conf(text);
		if ((made.errors == 1) == good)
			printf("  %s\n%s", names[i], made.said);
		EXPECT_EQ(made.errors, good ? 0 : 1);
		made_free(&made);
	}
}

TEST(conditions_of_a_route_are_read)
{
	struct made_conf made = make_conf(
		WEB "[route r]\nlistener = web\nalpn = h2\n  http/1.1\nsource = 192.0.2.0/24\n"
		    "tls_version = 1.3\nproxy_pass = up\n");
	const struct conf_route *route = made.conf->routes[0];

	EXPECT_EQ(made.errors, 0);
	EXPECT_EQ(route->alpn_count, 2);
	EXPECT(span_equal(route->alpn[1], span_text("http/1.1")));
	EXPECT_EQ(route->source_count, 1);
	EXPECT_EQ(route->versions, HELLO_TLS13);
	EXPECT_EQ(route->name_count, 1);
	EXPECT_EQ(route->names[0].kind, ROUTER_ANY_NAME);
	made_free(&made);
}

TEST(a_listener_reads_hellos_when_a_route_or_sni_names_it)
{
	struct made_conf made = make_conf(
		WEB "[listener b]\nlisten = 444\nproxy_pass = up\n"
		    "[listener c]\nlisten = 445\n"
		    "[sni web]\na.example = up\n"
		    "[route c]\nlistener = c\nproxy_pass = up\n"
		    "[route all]\nserver_name = b.example\nproxy_pass = up\n");
	const struct conf_route *all = made.conf->routes[2];

	EXPECT_EQ(made.errors, 0);
	EXPECT(made.conf->listeners[0]->reads_hello);
	EXPECT(!made.conf->listeners[1]->reads_hello);
	EXPECT(made.conf->listeners[2]->reads_hello);
	EXPECT_EQ(all->listener_count, 2);
	EXPECT(all->listeners[1] == made.conf->listeners[2]);
	made_free(&made);
}

TEST(a_route_without_listener_makes_all_read_when_none_is_named)
{
	struct made_conf made = make_conf(
		WEB "[listener b]\nlisten = 444\nproxy_pass = up\nssl_preread = off\n"
		    "[route all]\nserver_name = b.example\nproxy_pass = up\n");

	EXPECT_EQ(made.errors, 0);
	EXPECT(made.conf->listeners[0]->reads_hello);
	EXPECT(!made.conf->listeners[1]->reads_hello);
	EXPECT_EQ(made.conf->routes[0]->listener_count, 1);
	made_free(&made);
	EXPECT(mentions(
		WEB "ssl_preread = off\n[route all]\nproxy_pass = up\n",
		"t.ini:7: [route all]: no listener reads hellos for it: all have ssl_preread = off"));
}

TEST(preread_off_contradicts_routes_that_name_the_listener)
{
	EXPECT(mentions(
		WEB "ssl_preread = off\n[sni web]\na.example = up\n",
		"t.ini:7: [sni web] needs the hello, but [listener web] has ssl_preread = off"));
	EXPECT(mentions(
		WEB "ssl_preread = off\n[route r]\nlistener = web\nproxy_pass = up\n",
		"t.ini:7: [route r] needs the hello, but [listener web] has ssl_preread = off"));
}

TEST(what_a_section_must_have_is_required)
{
	EXPECT(says(
		"[listener a]\nlisten = 1\n",
		"t.ini:1: [listener a] has neither a proxy_pass nor a [route] or [sni] section\n"));
	EXPECT(mentions("[listener a]\n", "t.ini:1: [listener a] listen is required"));
	EXPECT(mentions("[upstream a]\n", "t.ini:1: [upstream a] server is required"));
	EXPECT(mentions("[log a]\n", "t.ini:1: [log a] path is required"));
	EXPECT(says("", "t.ini: there is no [listener] section: nothing to do\n"));
	EXPECT(mentions("[listener]\n",
	                "t.ini:1: [listener]: the section needs a name: [listener NAME]"));
	EXPECT(mentions("[global x]\n", "t.ini:1: [global x]: a [global] section has no name"));
	EXPECT(mentions("[upstream a:1]\n", "a name is at most"));
	EXPECT(mentions("[log off]\npath = x\n", "[log off]: off means no log"));
	EXPECT(mentions(WEB "[route r]\nlistener = web\n",
	                "t.ini:6: [route r] proxy_pass is required unless mode is reject"));
	EXPECT(mentions(WEB "[route r]\nlistener = web\nmode = reject\nproxy_pass = up\n",
	                "t.ini:9: [route r] proxy_pass: mode = reject passes nothing on"));
}

TEST(a_default_that_is_not_there_is_an_error)
{
	EXPECT(says(
		UPSTREAM "[listener web]\nlisten = 1\non_no_match = default\non_no_sni = default\n"
			 "on_plaintext = default\n[sni web]\na.example = up\n",
		"t.ini:5: [listener web] on_no_match = default: there is no default without proxy_pass\n"
		"t.ini:6: [listener web] on_no_sni = default: there is no default without proxy_pass\n"
		"t.ini:7: [listener web] on_plaintext = default: there is no default without proxy_pass\n"));
}

TEST(sni_default_is_the_listeners_proxy_pass)
{
	struct made_conf made = make_conf(UPSTREAM
	                                  "[listener web]\nlisten = 1\non_plaintext = default\n"
	                                  "[sni web]\ndefault = up\n");

	EXPECT_EQ(made.errors, 0);
	EXPECT(made.conf->listeners[0]->proxy_pass == made.conf->upstreams[0]);
	EXPECT(made.conf->listeners[0]->reads_hello);
	EXPECT_EQ(made.conf->listeners[0]->on_no_sni, CONF_ACTION_DEFAULT);
	made_free(&made);
	EXPECT(mentions(WEB "[sni web]\ndefault = up\n",
	                "t.ini:7: [sni web] default: [listener web] has its default "
	                "already"));
}

TEST(believing_proxy_headers_needs_senders)
{
	EXPECT(says(
		WEB "accept_proxy_protocol = on\n",
		"t.ini:6: [listener web] accept_proxy_protocol = on needs set_real_ip_from: whose header is to be "
		"believed\n"));
	EXPECT(mentions(WEB "accept_proxy_protocol = optional\n", "needs set_real_ip_from"));
	EXPECT(is_silent(
		WEB "accept_proxy_protocol = optional\nset_real_ip_from = 10.0.0.0/8\n  unix\n"));
}

TEST(the_error_log_is_a_place_and_a_level)
{
	struct made_conf made = make_conf("[global]\nerror_log = /var/log/my file debug\n" WEB);

	EXPECT_EQ(made.errors, 0);
	EXPECT(strcmp(made.conf->global.error_log, "/var/log/my file") == 0);
	EXPECT_EQ(made.conf->global.error_level, LEVEL_DEBUG);
	made_free(&made);
	EXPECT(mentions("[global]\nerror_log = stderr debgu\n", "did you mean \"debug\"?"));
}

TEST(cpus_are_a_list)
{
	EXPECT(is_silent("[global]\ncpu_affinity = 0-3,8\n" WEB));
	EXPECT(mentions("[global]\ncpu_affinity = 3-0\n" WEB, "auto, off, or a list of CPUs"));
	EXPECT(mentions("[global]\ncpu_affinity = 0,\n" WEB, "auto, off, or a list of CPUs"));
	EXPECT(mentions("[global]\ncpu_affinity = all\n" WEB, "auto, off, or a list of CPUs"));
}

TEST(control_bytes_and_long_values_do_not_reach_the_terminal)
{
	char text[1024], value[400];

	EXPECT(mentions(WEB "backlog = \033[31mred\n", "backlog = ?[31mred: a number"));
	memset(value, 'x', sizeof(value));
	value[sizeof(value) - 1] = '\0';
	snprintf(text, sizeof(text), WEB "backlog = %s\n", value);
	EXPECT(mentions(text, "xxx...: a number"));
}

/* Were any step of it quadratic in the names, this would take minutes and the run's own limit would
 * end it. */
TEST(a_hundred_thousand_names_are_read)
{
	enum { NAMES = 100000 };
	char            *text = NULL;
	size_t           len = 0;
	FILE            *to = open_memstream(&text, &len);
	struct made_conf made;

	if (!to)
		abort();
	fputs(WEB "[sni web]\n", to);
	for (unsigned i = 0; i < NAMES; i++)
		fprintf(to, "host-%u.example.com = 192.0.%u.%u:443\n", i, i / 250 % 250, i % 250);
	fclose(to);
	made = make_conf(text);
	EXPECT_EQ(made.errors, 0);
	EXPECT_EQ(made.conf->route_count, NAMES);
	made_free(&made);
	free(text);
}

int main(void)
{
	return test_main();
}
