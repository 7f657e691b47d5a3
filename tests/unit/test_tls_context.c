#include "tls_files.h"

/* ---- hellos as far as certificates are chosen by them ---- */

#define IDS(...) span_of((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static const uint8_t all_schemes[] = {4, 3, 8, 7, 5, 3, 6, 3, 8, 4, 8, 5, 8, 6, 4, 1};
static const uint8_t all_groups[] = {0, 29, 0, 23, 0, 24};
static const uint8_t all_ciphers[] = {0x13, 1, 0xc0, 0x2b, 0xc0, 0x2f};

static struct hello any_hello(unsigned versions)
{
	return (struct hello){
		.versions = versions,
		.signature_algorithms = span_of(all_schemes, sizeof(all_schemes)),
		.groups = span_of(all_groups, sizeof(all_groups)),
		.ciphers = span_of(all_ciphers, sizeof(all_ciphers)),
	};
}

static uint32_t chosen(const struct tls_context *context, const struct hello *hello,
                       const char *name)
{
	struct tls_choice choice;

	EXPECT_EQ(tls_context_choose(context, hello, span_text(name), &choice), ALERT_NONE);
	return choice.identity;
}

/* ---- what most tests begin with ---- */

static struct tls_store   *store;
static struct section      section;
static struct tls_context *context; /* a test's own, of *section* mostly; NULL = none */

static void begin(void)
{
	store = tls_store_new();
	section_init(&section, "tls a");
}

static void end(void)
{
	tls_context_free(context);
	context = NULL;
	tls_store_free(store);
}

/* ---- choosing ---- */

TEST(the_certificate_is_the_one_that_has_the_name)
{
	struct hello hello = any_hello(HELLO_TLS12 | HELLO_TLS13);

	begin();
	section_add_texts(&section, "server", server_pem, server_key);
	section_add_texts(&section, "names", names_pem, names_key);
	context = section_build(&section, store);
	EXPECT_EQ(chosen(context, &hello, "server.example"), 0);
	EXPECT_EQ(chosen(context, &hello, "example.com"), 1);
	EXPECT_EQ(chosen(context, &hello, "www.example.com"), 1);
	EXPECT_EQ(chosen(context, &hello, "a.sub.example.com"), 1);
	EXPECT_EQ(chosen(context, &hello, "a.wild.example"), 0);
	/* one label, no more and no less; no name: the first */
	EXPECT_EQ(chosen(context, &hello, "a.b.sub.example.com"), 0);
	EXPECT_EQ(chosen(context, &hello, "sub.example.com"), 0);
	EXPECT_EQ(chosen(context, &hello, ""), 0);
	end();
}

TEST(a_name_is_covered_by_one_label_of_a_wildcard_and_never_by_the_cn_beside_names)
{
	begin();
	section_add_texts(&section, "names", names_pem, names_key);
	context = section_build(&section, store);
	EXPECT(tls_context_covers(context, span_text("www.example.com")));
	EXPECT(tls_context_covers(context, span_text("x.sub.example.com")));
	EXPECT(!tls_context_covers(context, span_text("y.x.sub.example.com")));
	EXPECT(!tls_context_covers(context, span_text(".sub.example.com")));
	EXPECT(!tls_context_covers(context, span_text("ignored.example")));
	EXPECT(!tls_context_covers(context, span_text("xy.odd.example")));
	EXPECT(!tls_context_covers(context, span_text("x*.odd.example")));
	EXPECT(!tls_context_covers(context, span_text("")));
	end();
}

TEST(the_cn_is_the_name_of_a_certificate_without_any)
{
	const char *name;
	int64_t     expires;

	begin();
	section_add_texts(&section, "plain", plain_pem, plain_key);
	context = section_build(&section, store);
	EXPECT(tls_context_covers(context, span_text("cn.example")));
	EXPECT(tls_context_certificate(context, 0, &name, &expires));
	EXPECT(strcmp(name, "Cn.Example") == 0);
	EXPECT(expires > 4000000000);
	EXPECT(!tls_context_certificate(context, 1, &name, &expires));
	end();
}

TEST(of_two_kinds_of_key_a_client_is_shown_the_cheapest_that_it_can_verify)
{
	struct hello hello = any_hello(HELLO_TLS12 | HELLO_TLS13);

	begin();
	section_add_texts(&section, "rsa", rsa_pem, rsa_key);
	section_add_texts(&section, "p384", p384_pem, p384_key);
	section_add_texts(&section, "server", server_pem, server_key);
	context = section_build(&section, store);
	EXPECT_EQ(chosen(context, &hello, "server.example"), 2);
	hello.signature_algorithms = IDS(8, 4, 5, 3);
	EXPECT_EQ(chosen(context, &hello, "server.example"), 1);
	hello.signature_algorithms = IDS(8, 4);
	EXPECT_EQ(chosen(context, &hello, "server.example"), 0);
	/* in TLS 1.3 RSA signs with PSS alone; nothing fits, so what has the name is shown */
	hello.signature_algorithms = IDS(4, 1);
	EXPECT_EQ(chosen(context, &hello, "server.example"), 0);
	EXPECT_EQ(chosen(context, &hello, "unknown.example"), 0);
	end();
}

TEST(a_client_of_tls12_is_shown_what_its_ciphers_and_groups_allow)
{
	struct hello hello = any_hello(HELLO_TLS12);

	begin();
	section_add_texts(&section, "rsa", rsa_pem, rsa_key);
	section_add_texts(&section, "server", server_pem, server_key);
	context = section_build(&section, store);
	EXPECT_EQ(chosen(context, &hello, "server.example"), 1);
	hello.ciphers = IDS(0xc0, 0x2f);
	EXPECT_EQ(chosen(context, &hello, "server.example"), 0);
	hello.ciphers = IDS(0xc0, 0x2b, 0xc0, 0x2f);
	hello.groups = IDS(0, 29);
	EXPECT_EQ(chosen(context, &hello, "server.example"), 0);
	/* it sends no list of algorithms: ciphers and groups decide */
	hello.groups = span_of(all_groups, sizeof(all_groups));
	hello.signature_algorithms = span_of(NULL, 0);
	EXPECT_EQ(chosen(context, &hello, "server.example"), 1);
	end();
}

TEST(strict_sni_refuses_names_that_nothing_covers_and_no_others)
{
	struct hello      hello = any_hello(HELLO_TLS13);
	struct tls_choice choice;

	begin();
	section.conf.strict_sni = true;
	section_add_texts(&section, "server", server_pem, server_key);
	context = section_build(&section, store);
	EXPECT_EQ(tls_context_choose(context, &hello, span_text("other.example"), &choice),
	          ALERT_UNRECOGNIZED_NAME);
	EXPECT_EQ(chosen(context, &hello, "server.example"), 0);
	EXPECT_EQ(chosen(context, &hello, ""), 0);
	end();
}

TEST(a_client_without_a_group_of_the_list_is_refused)
{
	static const unsigned versions[] = {HELLO_TLS12, HELLO_TLS13};
	struct tls_choice     choice;

	begin();
	section_add_texts(&section, "server", server_pem, server_key);
	context = section_build(&section, store);
	for (size_t i = 0; i < COUNT(versions); i++) {
		struct hello hello = any_hello(versions[i]);

		hello.groups = IDS(0, 25);
		EXPECT_EQ(tls_context_choose(context, &hello, span_of(NULL, 0), &choice),
		          ALERT_HANDSHAKE_FAILURE);
		hello.groups = IDS(0, 25, 0, 24);
		EXPECT_EQ(chosen(context, &hello, ""), 0);
		hello.groups = span_of(NULL, 0);
		EXPECT_EQ(chosen(context, &hello, ""), 0);
	}
	end();
}

TEST(the_protocol_is_the_servers_first_that_the_client_offers)
{
	static const char h1_h2[] = "\x08http/1.1\x02h2", other[] = "\x03ftp";
	struct hello      hello = any_hello(HELLO_TLS13);
	struct tls_choice choice;

	begin();
	section_add_texts(&section, "server", server_pem, server_key);
	section.alpn[0] = span_text("h2");
	section.alpn[1] = span_text("http/1.1");
	section.conf.alpn_count = 2;
	context = section_build(&section, store);
	hello.alpn = span_of(h1_h2, sizeof(h1_h2) - 1);
	EXPECT_EQ(tls_context_choose(context, &hello, span_of(NULL, 0), &choice), ALERT_NONE);
	EXPECT(span_equal(choice.alpn, span_text("h2")));
	hello.alpn = span_of(other, sizeof(other) - 1);
	EXPECT_EQ(tls_context_choose(context, &hello, span_of(NULL, 0), &choice),
	          ALERT_NO_APPLICATION_PROTOCOL);
	hello.alpn = span_of(NULL, 0);
	EXPECT_EQ(tls_context_choose(context, &hello, span_of(NULL, 0), &choice), ALERT_NONE);
	EXPECT_EQ(choice.alpn.len, 0);
	end();
}

/* ---- folders ---- */

TEST(a_folder_of_bundles_is_chosen_from_by_name_and_listed_pairs_come_first)
{
	struct hello hello = any_hello(HELLO_TLS13);
	char         outer[64];

	snprintf(outer, sizeof(outer), "%s", files_folder);
	files_begin();
	joined_file("b.pem", names_key, names_pem);
	joined_file("c.pem", rsa_pem, rsa_key);
	text_file("README", "no bundle");
	begin();
	section.conf.certificate_dir = (struct conf_file){files_folder, {"test.ini", 30}};
	context = section_build(&section, store);
	EXPECT_EQ(chosen(context, &hello, "rsa.example"), 1);
	EXPECT_EQ(chosen(context, &hello, "example.com"), 0);
	EXPECT_EQ(chosen(context, &hello, "unknown.example"), 0);
	tls_context_free(context);
	section_add_texts(&section, "server", server_pem, server_key);
	context = section_build(&section, store);
	EXPECT_EQ(chosen(context, &hello, "rsa.example"), 2);
	EXPECT_EQ(chosen(context, &hello, "unknown.example"), 0);
	EXPECT_EQ(chosen(context, &hello, "server.example"), 0);
	/* all that is wrong is told, with the line of the key and the path of the file */
	text_file("d.pem", server_pem);
	section_refused(&section, "test.ini:30: [tls a] ssl_certificate_dir = ");
	section_refused(&section, "/d.pem holds no private key");
	files_end();
	snprintf(files_folder, sizeof(files_folder), "%s", outer);
	end();
}

TEST(a_folder_without_bundles_is_refused_unless_pairs_are_listed)
{
	char outer[64];

	snprintf(outer, sizeof(outer), "%s", files_folder);
	files_begin();
	begin();
	section.conf.certificate_dir = (struct conf_file){files_folder, {"test.ini", 30}};
	section_refused(&section, "holds no file *.pem");
	section.conf.certificate_dir.path = "/nonexistent-folder";
	section_refused(&section, "/nonexistent-folder cannot be read: No such file");
	files_end();
	snprintf(files_folder, sizeof(files_folder), "%s", outer);
	end();
}

/* ---- what is refused ---- */

TEST(a_key_that_belongs_to_another_certificate_is_refused_with_its_line)
{
	begin();
	section_add_texts(&section, "good", server_pem, server_key);
	section_add_texts(&section, "mixed", names_pem, server_key);
	section_refused(&section, "test.ini:21: [tls a] ssl_certificate_key = ");
	section_refused(&section, "mixed.key does not belong to the certificate ");
	end();
}

TEST(every_file_that_is_wrong_is_told_at_once)
{
	begin();
	section_add(&section, "/nonexistent.crt", "/nonexistent.key");
	section_add_texts(&section, "junk", "no certificate\n", server_key);
	section_refused(&section, "test.ini:10: [tls a] ssl_certificate = /nonexistent.crt cannot "
	                          "be read: No such file");
	section_refused(&section, "test.ini:20: [tls a] ssl_certificate_key = /nonexistent.key");
	section_refused(&section, "test.ini:11: [tls a] ssl_certificate = ");
	section_refused(&section, "junk.crt holds no certificate in PEM");
	end();
}

TEST(a_chain_that_does_not_parse_is_refused)
{
	static const char broken[] = "-----BEGIN CERTIFICATE-----\nMIIBjDCCATGgAwIBAgIU\n"
				     "-----END CERTIFICATE-----\n";

	begin();
	section_add(&section, joined_file("c.crt", server_pem, broken),
	            text_file("c.key", server_key));
	section_refused(&section, "c.crt holds a chain certificate that cannot be parsed");
	section_init(&section, "tls a");
	section_add_texts(&section, "d", broken, server_key);
	section_refused(&section, "d.crt holds a certificate that cannot be parsed");
	section_init(&section, "tls a");
	section_add_texts(&section, "e", "", server_key);
	section_refused(&section, "e.crt cannot be read: it is empty");
	end();
}

TEST(an_encrypted_key_is_opened_by_one_line_of_the_password_file)
{
	begin();
	section_add_texts(&section, "locked", names_pem, locked_key);
	section_refused(&section, "locked.key is encrypted: ssl_password_file must give");
	section.conf.password_file.path = text_file("wrong", "first\nthird\n");
	section_refused(&section, "locked.key is encrypted, and no line of ssl_password_file");
	section.conf.password_file.path = text_file("right", "first\r\nsecond\n");
	tls_context_free(section_build(&section, store));
	section.conf.password_file.path = text_file("last", "first\nsecond");
	tls_context_free(section_build(&section, store));
	end();
}

TEST(a_certificate_that_has_expired_is_served_with_a_lint)
{
	struct conf_report *report = conf_report_new();

	begin();
	section_add_texts(&section, "old", expired_pem, expired_key);
	context = tls_context_build(&section.conf, store, report);
	EXPECT(context != NULL);
	EXPECT(report_says(report, "test.ini:10: warning: [tls a] ssl_certificate = "));
	EXPECT(report_says(report, "has expired"));
	EXPECT(report_says(report, "(L17)"));
	conf_report_free(report);
	end();
}

TEST(lists_of_authorities_and_revocations_that_hold_none_are_refused)
{
	begin();
	section_add_texts(&section, "server", server_pem, server_key);
	section.conf.verify_client = CONF_VERIFY_ON;
	section.conf.client_certificate = (struct conf_file){text_file("no.ca", "nothing"),
	                                                     {"test.ini", 40}};
	section_refused(&section, "test.ini:40: [tls a] ssl_client_certificate = ");
	section.conf.client_certificate.path = text_file("ca", cca_pem);
	section.conf.crl = (struct conf_file){text_file("no.crl", "nothing"), {"test.ini", 41}};
	section_refused(&section, "test.ini:41: [tls a] ssl_crl = ");
	end();
}

/* ---- reloads ---- */

TEST(a_reload_parses_only_what_changed)
{
	struct tls_context *first, *second;

	begin();
	section_add_texts(&section, "server", server_pem, server_key);
	section_add_texts(&section, "names", names_pem, names_key);
	first = section_build(&section, store);
	EXPECT_EQ(tls_store_loaded(store), 2);
	second = section_build(&section, store);
	EXPECT_EQ(tls_store_loaded(store), 2);
	tls_context_free(first);
	first = section_build(&section, store);
	EXPECT_EQ(tls_store_loaded(store), 2);
	tls_context_free(second);
	/* one file is another: that pair alone */
	section.conf.certificate_count = section.conf.key_count = 1;
	section_add_texts(&section, "names", plain_pem, plain_key);
	second = section_build(&section, store);
	EXPECT_EQ(tls_store_loaded(store), 3);
	tls_context_free(first);
	tls_context_free(second);
	/* nobody used them any more */
	first = section_build(&section, store);
	EXPECT_EQ(tls_store_loaded(store), 5);
	tls_context_free(first);
	/* other settings are other objects */
	section.conf.protocols = CONF_TLS13;
	first = section_build(&section, store);
	EXPECT_EQ(tls_store_loaded(store), 7);
	tls_context_free(first);
	end();
}

/* ---- clients of upstreams ---- */

TEST(upstreams_that_are_set_up_alike_share_what_is_loaded)
{
	const char        *authority = text_file("ca.pem", ca_pem);
	struct tls_client *one, *two, *three;

	begin();
	one = client_build(store, authority, NULL, NULL);
	two = client_build(store, authority, NULL, NULL);
	EXPECT_EQ(tls_store_loaded(store), 1);
	three = client_build(store, authority, text_file("c.crt", client_pem),
	                     text_file("c.key", client_key));
	EXPECT_EQ(tls_store_loaded(store), 2);
	tls_client_free(one);
	tls_client_free(two);
	tls_client_free(three);
	end();
}

static void client_refused(struct conf_tls_client conf, const char *wanted)
{
	struct conf_report *report = conf_report_new();

	begin();
	conf.section = "upstream u";
	EXPECT(!tls_client_build(&conf, store, report));
	EXPECT(report_says(report, wanted));
	conf_report_free(report);
	end();
}

TEST(what_an_upstream_names_must_be_there_and_fit)
{
	const struct conf_file good = {text_file("c.crt", client_pem), {"test.ini", 3}};
	const struct conf_file bad = {text_file("s.key", server_key), {"test.ini", 4}};
	const struct conf_file none = {"/nonexistent", {"test.ini", 2}};
	const struct conf_file junk = {text_file("junk", "junk"), {"test.ini", 2}};

	client_refused((struct conf_tls_client){.verify = true, .trusted_certificate = none},
	               "test.ini:2: [upstream u] proxy_ssl_trusted_certificate = /nonexistent "
	               "cannot be read");
	client_refused((struct conf_tls_client){.verify = true, .trusted_certificate = junk},
	               "holds no certificates of authorities");
	client_refused((struct conf_tls_client){.certificate = good, .key = bad},
	               "test.ini:4: [upstream u] proxy_ssl_certificate_key = ");
	client_refused((struct conf_tls_client){.certificate = good, .key = bad},
	               "does not belong to proxy_ssl_certificate");
}

int main(void)
{
	return files_test_main();
}
