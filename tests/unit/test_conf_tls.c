/* The keys of TLS: [tls] sections, the same keys in listeners and routes, an upstream's. */
#include "test.h"

#include "conf_maker.h"

#include <unistd.h>

#define PAIR     "ssl_certificate = /a.pem\nssl_certificate_key = /a.key\n"
#define UPSTREAM "[upstream up]\nserver = 192.0.2.1:80\n"
#define LISTENER UPSTREAM "[listener web]\nlisten = 443\nproxy_pass = up\n"
/* The next line is the 8th. */
#define ENDS LISTENER "mode = terminate\ntls = site\n"
/* The next line is the 11th. */
#define SITE ENDS "[tls site]\n" PAIR

TEST(a_listener_that_terminates_has_its_section_and_reads_hellos)
{
	struct made_conf            made = make_conf(SITE);
	const struct conf_listener *listener = made.conf->listeners[0];

	EXPECT(!*made.said);
	EXPECT_EQ(listener->mode, CONF_TERMINATE);
	EXPECT(listener->reads_hello);
	EXPECT_EQ(made.conf->tls_count, 1);
	EXPECT(listener->tls == made.conf->tls[0]);
	EXPECT(strcmp(listener->tls->name, "site") == 0);
	EXPECT(strcmp(listener->tls->section, "tls site") == 0);
	EXPECT_EQ(listener->on_no_match, CONF_ACTION_DEFAULT);
	made_free(&made);
}

TEST(tls_has_its_defaults)
{
	struct made_conf       made = make_conf(SITE);
	const struct conf_tls *tls = made.conf->tls[0];

	EXPECT_EQ(tls->certificate_count, 1);
	EXPECT_EQ(tls->key_count, 1);
	EXPECT(strcmp(tls->certificates[0].path, "/a.pem") == 0);
	EXPECT_EQ(tls->keys[0].pos.line, 10);
	EXPECT_EQ(tls->protocols, CONF_TLS12 | CONF_TLS13);
	EXPECT(strcmp(tls->ciphers.text, "DEFAULT") == 0);
	EXPECT(strcmp(tls->ciphersuites.text, "DEFAULT") == 0);
	EXPECT(strcmp(tls->curves.text, "X25519MLKEM768 X25519 P-256 P-384") == 0);
	EXPECT(tls->prefer_server_ciphers);
	EXPECT_EQ(tls->handshake_timeout_ms, 10000);
	EXPECT_EQ(tls->session_timeout_ms, 3600000);
	EXPECT(tls->session_tickets);
	EXPECT_EQ(tls->verify_client, CONF_VERIFY_OFF);
	EXPECT_EQ(tls->verify_depth, 2);
	EXPECT(!tls->strict_sni);
	EXPECT_EQ(tls->alpn_count, 0);
	EXPECT(!tls->key_log.path && !tls->certificate_dir.path && !tls->crl.path);
	made_free(&made);
}

#define EVERY_KEY                                                                                  \
	"ssl_certificate = /rsa.pem\n /ecdsa.pem\nssl_certificate_key = /rsa.key\n /ecdsa.key\n"   \
	"ssl_certificate_dir = /certs\nssl_password_file = /passwords\nssl_protocols = TLSv1.3 "   \
	"TLSv1.2\nssl_ciphers = HIGH:!aNULL:!MD5\nssl_ciphersuites = TLS_AES_256_GCM_SHA384\n"     \
	"ssl_prefer_server_ciphers = off\nssl_ecdh_curve = prime256v1:secp384r1\n"                 \
	"ssl_alpn = h2 http/1.1\nssl_handshake_timeout = 3s\nssl_session_tickets = on\n"           \
	"ssl_session_ticket_key = /new.key\nssl_session_ticket_key = /old.key\n"                   \
	"ssl_session_timeout = 1m\nssl_verify_client = optional\n"                                 \
	"ssl_client_certificate = /ca.pem\nssl_crl = /crl.pem\nssl_verify_depth = 3\n"             \
	"ssl_stapling_file = /ocsp.der\nssl_strict_sni = on\nssl_key_log = /keys\nktls = auto\n"

static void expect_every_key(const struct conf_tls *tls)
{
	EXPECT_EQ(tls->certificate_count, 2);
	EXPECT(strcmp(tls->keys[1].path, "/ecdsa.key") == 0);
	EXPECT(strcmp(tls->certificate_dir.path, "/certs") == 0);
	EXPECT(strcmp(tls->password_file.path, "/passwords") == 0);
	EXPECT_EQ(tls->protocols, CONF_TLS12 | CONF_TLS13);
	EXPECT(strcmp(tls->ciphers.text, "HIGH:!aNULL:!MD5") == 0);
	EXPECT(strcmp(tls->curves.text, "prime256v1:secp384r1") == 0);
	EXPECT(!tls->prefer_server_ciphers);
	EXPECT_EQ(tls->alpn_count, 2);
	EXPECT(span_equal(tls->alpn[1], span_text("http/1.1")));
	EXPECT_EQ(tls->handshake_timeout_ms, 3000);
	EXPECT_EQ(tls->ticket_key_count, 2);
	EXPECT_EQ(tls->session_timeout_ms, 60000);
	EXPECT_EQ(tls->verify_client, CONF_VERIFY_OPTIONAL);
	EXPECT(strcmp(tls->client_certificate.path, "/ca.pem") == 0);
	EXPECT(strcmp(tls->crl.path, "/crl.pem") == 0);
	EXPECT_EQ(tls->verify_depth, 3);
	EXPECT(strcmp(tls->stapling_file.path, "/ocsp.der") == 0);
	EXPECT(tls->strict_sni);
	EXPECT(strcmp(tls->key_log.path, "/keys") == 0);
}

static bool prints_the_same_again(const char *text)
{
	struct made_conf made = make_conf(text), again = make_conf(made.printed);
	bool             same = again.printed && strcmp(made.printed, again.printed) == 0;

	if (!same)
		printf("  said:\n%s  printed:\n%s", again.said, made.printed);
	made_free(&made);
	made_free(&again);
	return same;
}

TEST(every_key_of_tls_is_read_and_printed_in_its_section)
{
	static const char text[] = ENDS "[tls site]\n" EVERY_KEY;
	struct made_conf  made = make_conf(text);

	EXPECT_EQ(made.errors, 0);
	expect_every_key(made.conf->listeners[0]->tls);
	EXPECT(strstr(made.printed, "\ntls = site\n"));
	EXPECT(strstr(made.printed, "\nssl_alpn = h2 http/1.1\n"));
	EXPECT(strstr(made.printed, "\nssl_session_ticket_key = /old.key\n"));
	EXPECT(prints_the_same_again(text));
	made_free(&made);
}

TEST(every_key_of_tls_is_read_and_printed_in_a_listener)
{
	static const char text[] = LISTENER "mode = terminate\n" EVERY_KEY;
	struct made_conf  made = make_conf(text);

	EXPECT_EQ(made.errors, 0);
	expect_every_key(made.conf->listeners[0]->tls);
	EXPECT(!made.conf->listeners[0]->tls->name);
	EXPECT(strcmp(made.conf->listeners[0]->tls->section, "listener web") == 0);
	EXPECT(!strstr(made.printed, "\ntls = "));
	EXPECT(prints_the_same_again(text));
	made_free(&made);
}

TEST(every_key_of_tls_is_read_and_printed_in_a_route)
{
	static const char text[] = LISTENER "[route r]\nserver_name = a.example.com\n"
					    "mode = terminate\nproxy_pass = up\n" EVERY_KEY;
	struct made_conf  made = make_conf(text);

	EXPECT_EQ(made.errors, 0);
	expect_every_key(made.conf->routes[0]->tls);
	EXPECT(strcmp(made.conf->routes[0]->tls->section, "route r") == 0);
	EXPECT(!made.conf->listeners[0]->tls);
	EXPECT(prints_the_same_again(text));
	made_free(&made);
}

TEST(defaults_hold_for_sections_and_for_keys_in_place)
{
	struct made_conf made = make_conf(
		"[defaults]\nssl_protocols = TLSv1.3\nssl_session_timeout = 5m\n" SITE
		"ssl_session_timeout = 2m\n"
		"[listener two]\nlisten = 444\nproxy_pass = up\nmode = terminate\n" PAIR);
	const struct conf_tls *site = made.conf->listeners[0]->tls,
			      *two = made.conf->listeners[1]->tls;

	EXPECT_EQ(made.errors, 0);
	EXPECT_EQ(site->protocols, CONF_TLS13);
	EXPECT_EQ(site->session_timeout_ms, 120000);
	EXPECT_EQ(two->protocols, CONF_TLS13);
	EXPECT_EQ(two->session_timeout_ms, 300000);
	made_free(&made);
}

TEST(a_wrong_default_of_tls_is_told_once)
{
	EXPECT(says(
		"[defaults]\nssl_ciphers = HIGH:!aNUL\nssl_certificate = /x\n" SITE
		"[tls other]\n" PAIR "[listener two]\nlisten = 444\nproxy_pass = up\n"
		"mode = terminate\ntls = other\n",
		"t.ini:2: [defaults] ssl_ciphers = HIGH:!aNUL: `aNUL` is not a cipher, nor a word "
		"for ciphers; did you mean \"aNULL\"?\n"
		"t.ini:3: [defaults] ssl_certificate: this key belongs in [tls]\n"));
}

static bool in_a_folder_file_is(const char *folder, const char *config, const char *want)
{
	struct made_conf       made = make_conf_from(config);
	const struct conf_tls *tls = made.conf->tls[0];
	char                   path[512];
	bool                   same;

	snprintf(path, sizeof(path), "%s/%s", folder, want);
	same = made.errors == 0 && strcmp(tls->certificates[0].path, path) == 0;
	if (!same)
		printf("  %s%s, not %s\n", made.said, tls->certificates[0].path, path);
	made_free(&made);
	return same;
}

TEST(a_file_is_relative_to_the_one_that_names_it_and_printed_absolute)
{
	char  folder[] = "/tmp/penstock-test-XXXXXX", here[256], path[64];
	FILE *to;

	EXPECT(mkdtemp(folder) && getcwd(here, sizeof(here)));
	snprintf(path, sizeof(path), "%s/t.ini", folder);
	to = fopen(path, "w");
	EXPECT(to);
	fputs(ENDS "[tls site]\nssl_certificate = live/a.pem\nssl_certificate_key = /a.key\n", to);
	fclose(to);
	EXPECT(in_a_folder_file_is(folder, path, "live/a.pem"));
	EXPECT_EQ(chdir(folder), 0);
	EXPECT(in_a_folder_file_is(folder, "t.ini", "live/a.pem"));
	EXPECT(in_a_folder_file_is(folder, "./t.ini", "./live/a.pem"));
	EXPECT_EQ(chdir(here), 0);
	unlink(path);
	rmdir(folder);
}

TEST(what_terminates_needs_a_certificate)
{
	EXPECT(says(LISTENER "mode = terminate\n",
	            "t.ini:6: [listener web] mode = terminate needs a certificate: tls = NAME, or "
	            "ssl_certificate and ssl_certificate_key\n"));
	EXPECT(says(
		LISTENER "[route r]\nmode = terminate\nproxy_pass = up\n",
		"t.ini:7: [route r] mode = terminate needs a certificate, and [listener web] has none "
		"either: tls = NAME, or ssl_certificate and ssl_certificate_key\n"));
	EXPECT(says(
		ENDS "[tls site]\nssl_protocols = TLSv1.3\n",
		"t.ini:8: [tls site] has no certificate: ssl_certificate and ssl_certificate_key, or "
		"ssl_certificate_dir\n"));
	EXPECT(is_silent(ENDS "[tls site]\nssl_certificate_dir = /certs\n"));
	/* told once, where the listener says it */
	EXPECT(says(LISTENER "mode = terminate\n[route r]\nproxy_pass = up\n",
	            "t.ini:6: [listener web] mode = terminate needs a certificate: tls = NAME, or "
	            "ssl_certificate and ssl_certificate_key\n"));
}

TEST(certificates_and_keys_come_in_pairs)
{
	EXPECT(says(
		ENDS "[tls site]\nssl_certificate = /a.pem\n",
		"t.ini:9: [tls site] ssl_certificate = /a.pem: has no ssl_certificate_key; they come "
		"in pairs, in order\n"));
	EXPECT(says(
		SITE "ssl_certificate_key = /b.key\n",
		"t.ini:11: [tls site] ssl_certificate_key = /b.key: has no ssl_certificate; they come "
		"in pairs, in order\n"));
	EXPECT(says(
		SITE "ssl_certificate = /b.pem\n",
		"t.ini:11: [tls site] ssl_certificate = /b.pem: has no ssl_certificate_key; they come "
		"in pairs, in order\n"));
}

TEST(tls_and_keys_in_place_exclude_each_other)
{
	EXPECT(says(
		UPSTREAM "[tls site]\n" PAIR
			 "[listener web]\nlisten = 443\nproxy_pass = up\nmode = terminate\n"
			 "tls = site\nssl_protocols = TLSv1.3\n",
		"t.ini:11: [listener web] ssl_protocols: tls = site, on line 10, stands for all of "
		"these keys; keep one or the others\n"));
}

TEST(a_tls_section_that_is_not_there_is_an_error_with_a_suggestion)
{
	EXPECT(says(
		LISTENER "mode = terminate\ntls = site\n[tls sites]\n" PAIR,
		"t.ini:7: [listener web] tls = site: there is no [tls] section of that name; did you "
		"mean \"sites\"?\n"));
}

TEST(a_key_of_tls_is_suggested_where_it_may_stand)
{
	EXPECT(says(LISTENER "ssl_certficate = /a\n",
	            "t.ini:6: [listener web] ssl_certficate: unknown key; did you mean "
	            "\"ssl_certificate\"?\n"));
	EXPECT(says(SITE "ssl_cipher = HIGH\n",
	            "t.ini:11: [tls site] ssl_cipher: unknown key; did you "
	            "mean \"ssl_ciphers\"?\n"));
	EXPECT(mentions(SITE "listen = 4\n",
	                "t.ini:11: [tls site] listen: this key belongs in [listener]\n"));
	EXPECT(mentions(LISTENER "[upstream u]\nserver = 192.0.2.1:1\nssl_protocols = TLSv1.3\n",
	                "t.ini:8: [upstream u] ssl_protocols: this key belongs in [tls]\n"));
	EXPECT(says(SITE "ssl_protocols = TLSv1.2\nssl_protocols = TLSv1.3\n",
	            "t.ini:12: [tls site] ssl_protocols is given twice, first on line 11\n"));
}

TEST(values_of_tls_that_mean_nothing_are_refused)
{
	static const struct {
		const char *line, *why;
	} rows[] = {
		{"ssl_protocols = TLSv1.1 TLSv1.2", "TLSv1.1 is no longer spoken (RFC 8996)"},
		{"ssl_protocols = SSLv3", "SSLv3 is no longer spoken"},
		{"ssl_protocols = TLS1.2", "`TLS1.2` is neither; did you mean \"TLSv1.2\"?"},
		{"ssl_ciphers = HIGH:!aNULL:!MD5:FOO",
	         "`FOO` is not a cipher, nor a word for ciphers"},
		{"ssl_ciphers = ECDHE-RSA-AES128-GCM-SHA265",
	         "did you mean \"ECDHE-RSA-AES128-GCM-SHA256\"?"},
		{"ssl_ciphers = HIGH:TLS_AES_128_GCM_SHA256", "that is ssl_ciphersuites"},
		{"ssl_ciphers = HIGH:@SECLEVEL=2", "`@SECLEVEL=2` is OpenSSL's own: leave it out"},
		{"ssl_ciphers = ECDHE+", "`ECDHE+` does not read as a part of a list"},
		{"ssl_ciphers = DHE", "no cipher is left"},
		{"ssl_ciphersuites = HIGH", "`HIGH` is of TLS 1.2: that is ssl_ciphers"},
		{"ssl_ciphersuites = TLS_AES_128_GCM_SHA265",
	         "did you mean \"TLS_AES_128_GCM_SHA256\"?"},
		{"ssl_ciphersuites = TLS_AES_128_CCM_SHA256", "no cipher is left"},
		{"ssl_ecdh_curve = P256",
	         "`P256` is not the name of a group; did you mean \"P-256\"?"},
		{"ssl_ecdh_curve = X448", "no group is left"},
		{"ssl_alpn = h2,http/1.1", "protocol ids with blanks between them"},
		{"ssl_alpn = h2 http/1.1 h2", "`h2` stands here twice"},
		{"ssl_session_timeout = 8h 1m", "a time with its unit"},
		{"ssl_session_timeout = 192h", "from 1s to 168h"},
		{"ssl_verify_client = yes", "one of off, on, optional"},
		{"ssl_verify_depth = 0", "a number from 1 to 9"},
		{"ssl_session_tickets = maybe", "on or off"},
		{"ktls = on", "is not supported yet"},
	};
	char text[512];

	for (size_t i = 0; i < COUNT(rows); i++) {
		snprintf(text, sizeof(text), SITE "%s\n", rows[i].line);
		EXPECT(mentions(text, rows[i].why));
	}
}

TEST(client_certificates_need_authorities)
{
	EXPECT(says(SITE "ssl_verify_client = on\n",
	            "t.ini:11: [tls site] ssl_verify_client = on needs ssl_client_certificate: the "
	            "authorities to trust\n"));
	EXPECT(mentions(SITE "ssl_verify_client = optional\n", "needs ssl_client_certificate"));
}

TEST(ending_tls_needs_the_hello_to_be_read)
{
	EXPECT(says(
		SITE "[listener two]\nlisten = 444\nproxy_pass = up\nmode = terminate\n"
		     "tls = site\nssl_preread = off\n",
		"t.ini:16: [listener two] ssl_preread = off: mode = terminate reads the hello; leave "
		"one of them out\n"));
	EXPECT(says(
		UPSTREAM "[listener web]\nlisten = 443\nmode = terminate\n" PAIR,
		"t.ini:3: [listener web] has neither a proxy_pass nor a [route] or [sni] section\n"));
}

TEST(a_route_has_its_listeners_mode_unless_it_says_its_own)
{
	struct made_conf made = make_conf(
		SITE "[route a]\nserver_name = a.example.com\nproxy_pass = up\n"
		     "[route b]\nserver_name = b.example.com\nproxy_pass = up\nmode = passthrough\n"
		     "[route c]\nserver_name = c.example.com\nmode = reject\n"
		     "[sni web]\nd.example.com = up\n");

	EXPECT(!*made.said);
	EXPECT_EQ(made.conf->routes[0]->mode, CONF_TERMINATE);
	EXPECT_EQ(made.conf->routes[1]->mode, CONF_PASSTHROUGH);
	EXPECT_EQ(made.conf->routes[2]->mode, CONF_REJECT);
	EXPECT_EQ(made.conf->routes[3]->mode, CONF_PASSTHROUGH);
	EXPECT(!strstr(strstr(made.printed, "[route a]"), "mode = terminate"));
	EXPECT(strstr(made.printed, "server_name = b.example.com\nmode = passthrough\n"));
	made_free(&made);
}

TEST(a_route_of_listeners_with_different_modes_must_say_its_own)
{
	static const char two[] = SITE "[listener plain]\nlisten = 444\nproxy_pass = up\n"
				       "[route r]\nlistener = web\n plain\nproxy_pass = up\n";
	char              text[1024];

	EXPECT(says(
		two,
		"t.ini:14: [route r] mode is required: its listeners web and plain have different "
		"ones\n"));
	snprintf(text, sizeof(text), "%smode = passthrough\n", two);
	EXPECT(is_silent(text));
	snprintf(text, sizeof(text), "%smode = terminate\n", two);
	EXPECT(mentions(text,
	                "t.ini:18: [route r] mode = terminate needs a certificate, and [listener "
	                "plain] has none either"));
}

TEST(a_listener_that_terminates_prints_no_sni_section)
{
	EXPECT(prints_the_same_again(SITE));
}

/* The next line is the 6th. */
#define TO_TLS                                                                                     \
	"[listener web]\nlisten = 443\nproxy_pass = up\n[upstream up]\nserver = db.example:1\n"

TEST(an_upstream_may_speak_tls)
{
	static const char text[] = TO_TLS
		"proxy_ssl = on\nproxy_ssl_name = DB.example.com.\nproxy_ssl_alpn = h2\n"
		"proxy_ssl_trusted_certificate = /ca.pem\nproxy_ssl_certificate = /me.pem\n"
		"proxy_ssl_certificate_key = /me.key\n";
	struct made_conf              made = make_conf(text);
	const struct conf_tls_client *ssl = made.conf->upstreams[0]->ssl;

	EXPECT(!*made.said);
	EXPECT(ssl && ssl->verify);
	EXPECT(strcmp(ssl->section, "upstream up") == 0);
	EXPECT(strcmp(ssl->name, "db.example.com") == 0);
	EXPECT(strcmp(ssl->trusted_certificate.path, "/ca.pem") == 0);
	EXPECT(strcmp(ssl->key.path, "/me.key") == 0);
	EXPECT_EQ(ssl->alpn_count, 1);
	EXPECT(prints_the_same_again(text));
	made_free(&made);
}

TEST(without_proxy_ssl_an_upstream_is_plain)
{
	struct made_conf made = make_conf(TO_TLS "proxy_ssl = off\n");

	EXPECT(!*made.said);
	EXPECT(!made.conf->upstreams[0]->ssl);
	EXPECT(!strstr(made.printed, "proxy_ssl_verify"));
	EXPECT(prints_the_same_again(TO_TLS));
	made_free(&made);
	EXPECT(says(
		TO_TLS "proxy_ssl_verify = off\n",
		"t.ini:6: [upstream up] proxy_ssl_verify has a meaning only with proxy_ssl = on\n"));
}

TEST(an_upstreams_keys_are_checked)
{
	EXPECT(says(
		TO_TLS "proxy_ssl = on\nproxy_ssl_certificate = /a\n",
		"t.ini:7: [upstream up] proxy_ssl_certificate needs proxy_ssl_certificate_key\n"));
	EXPECT(says(
		TO_TLS "proxy_ssl = on\nproxy_ssl_certificate_key = /a\n",
		"t.ini:7: [upstream up] proxy_ssl_certificate_key needs proxy_ssl_certificate\n"));
	EXPECT(mentions(TO_TLS "proxy_ssl = on\nproxy_ssl_name = *.example.com\n",
	                "the name of a host"));
	EXPECT(mentions(TO_TLS "proxy_ssl = yes\n", "on or off"));
	EXPECT(mentions(TO_TLS "proxy_ssl = on\nserver = unix:/s\n",
	                "t.ini:7: [upstream up] server = unix:/s: a unix socket has no name"));
	EXPECT(!mentions(TO_TLS "proxy_ssl = on\nserver = unix:/s\nproxy_ssl_name = a.example\n",
	                 "has no name"));
	EXPECT(!mentions(TO_TLS "proxy_ssl = on\nserver = unix:/s\nproxy_ssl_verify = off\n",
	                 "has no name"));
}

TEST(an_implied_upstream_is_plain)
{
	struct made_conf made = make_conf("[listener a]\nlisten = 1\nproxy_pass = 192.0.2.1:1\n");

	EXPECT(!*made.said);
	EXPECT(!made.conf->upstreams[0]->ssl);
	made_free(&made);
}

TEST(a_key_log_is_warned_of)
{
	EXPECT(says(
		SITE "ssl_key_log = /keys\n",
		"t.ini:11: warning: [tls site] ssl_key_log = /keys: whoever has this file reads all "
		"traffic (L13)\n"));
}

TEST(ending_tls_where_the_server_speaks_first_is_warned_of)
{
	EXPECT(says(
		UPSTREAM "[listener db]\nlisten = 3306\nproxy_pass = up\nmode = terminate\n" PAIR,
		"t.ini:4: warning: [listener db] listen = 3306 with mode = terminate waits for a TLS "
		"hello, but the server speaks first in MySQL: only a client that begins with TLS gets "
		"through (L14)\n"));
}

TEST(keys_of_tls_without_effect_are_warned_of)
{
	EXPECT(says(
		LISTENER PAIR,
		"t.ini:3: warning: [listener web] ssl_certificate and the like have no effect: neither "
		"it nor a route of it has mode = terminate (L15)\n"));
	EXPECT(says(
		LISTENER "tls = site\n[tls site]\n" PAIR,
		"t.ini:3: warning: [listener web] tls has no effect: neither it nor a route of it has "
		"mode = terminate (L15)\n"));
	EXPECT(says(
		LISTENER "[tls site]\n" PAIR,
		"t.ini:6: warning: [tls site] is not used: no listener or route names it (L15)\n"));
	EXPECT(says(
		SITE "[route r]\nserver_name = a.example\nmode = passthrough\ntls = site\n"
		     "proxy_pass = up\n",
		"t.ini:11: warning: [route r] tls has no effect: its mode is not terminate (L15)\n"));
	/* for the route that needs it */
	EXPECT(is_silent(LISTENER PAIR "[route r]\nserver_name = a.example\nmode = terminate\n"
	                               "proxy_pass = up\n"));
	EXPECT(mentions(
		SITE "ssl_client_certificate = /ca.pem\nssl_crl = /crl.pem\n",
		"t.ini:11: warning: [tls site] ssl_client_certificate has no effect while "
		"ssl_verify_client is off (L15)\nt.ini:12: warning: [tls site] ssl_crl has no "
		"effect"));
	EXPECT(mentions(SITE "ssl_session_tickets = off\nssl_session_ticket_key = /k\n",
	                "t.ini:12: warning: [tls site] ssl_session_ticket_key has no effect"));
	EXPECT(mentions(
		TO_TLS "proxy_ssl = on\nproxy_ssl_verify = off\n"
		       "proxy_ssl_trusted_certificate = /ca\n",
		"t.ini:8: warning: [upstream up] proxy_ssl_trusted_certificate has no effect"));
}

TEST(ciphers_of_a_version_that_is_off_are_warned_of_in_the_section_that_has_them)
{
	EXPECT(mentions(SITE "ssl_protocols = TLSv1.3\nssl_ciphers = HIGH\n",
	                "t.ini:12: warning: [tls site] ssl_ciphers has no effect without TLSv1.2"));
	EXPECT(mentions(
		SITE "ssl_protocols = TLSv1.2\nssl_ciphersuites = DEFAULT\n",
		"t.ini:12: warning: [tls site] ssl_ciphersuites has no effect without TLSv1.3"));
	EXPECT(is_silent("[defaults]\nssl_ciphers = HIGH\n" SITE "ssl_protocols = TLSv1.3\n"));
}

TEST(weak_ciphers_asked_for_are_warned_of)
{
	EXPECT(says(
		SITE "ssl_ciphers = ECDHE+AES\n",
		"t.ini:11: warning: [tls site] ssl_ciphers asks for CBC, which is weak (RFC 9325 4.2): "
		"without a client that needs it add :!SHA1:!SHA256:!SHA384, or leave ssl_ciphers out "
		"(L16)\n"));
	EXPECT(is_silent(SITE "ssl_ciphers = HIGH:!aNULL:!MD5\n"));
}

TEST(tls_in_tls_is_warned_of)
{
	EXPECT(says(
		TO_TLS "proxy_ssl = on\n[sni web]\na.example = up\n",
		"t.ini:1: warning: [listener web] passes TLS through to upstream up, which has "
		"proxy_ssl = on: TLS inside TLS; mode = terminate is missing, or proxy_ssl is too much "
		"(L20)\n"
		"t.ini:8: warning: [route a.example] passes TLS through to upstream up, which has "
		"proxy_ssl = on: TLS inside TLS; mode = terminate is missing, or proxy_ssl is too much "
		"(L20)\n"));
	EXPECT(is_silent(TO_TLS "proxy_ssl = on\n"));
}

int main(void)
{
	return test_main();
}
