#include "tls_files.h"

/* Each version alone, so that a test holds for both. */
static const unsigned versions[] = {CONF_TLS12, CONF_TLS13};

static struct tls_store  *server_store, *client_store;
static struct tls_client *anyone; /* trusts nobody's word, checks nothing */

static struct tls_context *server_of(const char *name, unsigned protocols)
{
	struct section section;

	section_init(&section, name);
	section.conf.protocols = protocols;
	section_add_texts(&section, "server", server_pem, server_key);
	return section_build(&section, server_store);
}

static void begin(void)
{
	server_store = tls_store_new();
	client_store = tls_store_new();
	anyone = client_build(client_store, NULL, NULL, NULL);
}

static void end(void)
{
	tls_client_free(anyone);
	tls_store_free(client_store);
	tls_store_free(server_store);
}

/* ---- what is agreed on ---- */

TEST(each_version_is_spoken_alone_and_the_higher_of_both)
{
	struct tls_context *context;

	begin();
	for (size_t i = 0; i < COUNT(versions); i++) {
		context = server_of("tls a", versions[i]);
		EXPECT(shake_hands(context, anyone, "server.example").done);
		tls_context_free(context);
	}
	context = server_of("tls a", CONF_TLS12 | CONF_TLS13);
	EXPECT(strcmp(shake_hands(context, anyone, "server.example").cipher,
	              "TLS_AES_128_GCM_SHA256") == 0 ||
	       strstr(shake_hands(context, anyone, "server.example").cipher, "TLS_") != NULL);
	EXPECT(strcmp(shake_hands(context, anyone, "server.example").group, "X25519MLKEM768") == 0);
	tls_context_free(context);
	end();
}

TEST(the_cipher_is_the_servers_first)
{
	static const char *const suites[] = {"TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256",
	                                     "TLS_CHACHA20_POLY1305_SHA256"};
	static const char *const ciphers[] = {"ECDHE-ECDSA-AES256-GCM-SHA384",
	                                      "ECDHE-ECDSA-AES128-GCM-SHA256",
	                                      "ECDHE-ECDSA-CHACHA20-POLY1305"};
	char                     list[256];
	struct section           section;
	struct tls_context      *context;

	begin();
	section_init(&section, "tls a");
	section_add_texts(&section, "server", server_pem, server_key);
	for (size_t i = 0; i < COUNT(suites); i++) {
		snprintf(list, sizeof(list), "%s:%s:%s", suites[i], suites[(i + 1) % 3],
		         suites[(i + 2) % 3]);
		section.conf.protocols = CONF_TLS13;
		section.conf.ciphersuites.text = list;
		context = section_build(&section, server_store);
		EXPECT(strcmp(shake_hands(context, anyone, "server.example").cipher, suites[i]) ==
		       0);
		tls_context_free(context);
		snprintf(list, sizeof(list), "%s:%s:%s", ciphers[i], ciphers[(i + 1) % 3],
		         ciphers[(i + 2) % 3]);
		section.conf.protocols = CONF_TLS12;
		section.conf.ciphersuites.text = NULL;
		section.conf.ciphers.text = list;
		context = section_build(&section, server_store);
		EXPECT(strcmp(shake_hands(context, anyone, "server.example").cipher, ciphers[i]) ==
		       0);
		tls_context_free(context);
		section.conf.ciphers.text = NULL;
	}
	end();
}

TEST(the_group_is_the_servers_choice_in_both_versions)
{
	static const char *const groups[] = {"X25519MLKEM768", "X25519", "P-256", "P-384"};
	struct section           section;
	struct tls_context      *context;
	struct shaken            shaken;

	begin();
	section_init(&section, "tls a");
	section_add_texts(&section, "server", server_pem, server_key);
	for (size_t i = 0; i < COUNT(groups); i++) {
		section.conf.curves.text = groups[i];
		section.conf.protocols = CONF_TLS13;
		context = section_build(&section, server_store);
		shaken = shake_hands(context, anyone, "server.example");
		EXPECT(shaken.done);
		EXPECT(strcmp(shaken.group, groups[i]) == 0);
		tls_context_free(context);
		if (i == 0)
			continue;
		section.conf.protocols = CONF_TLS12;
		context = section_build(&section, server_store);
		shaken = shake_hands(context, anyone, "server.example");
		EXPECT(shaken.done);
		EXPECT(strcmp(shaken.group, groups[i]) == 0);
		tls_context_free(context);
	}
	end();
}

TEST(the_certificate_of_a_bundle_is_the_one_that_clients_verify)
{
	struct tls_client  *client;
	struct section      section;
	struct tls_context *context;

	begin();
	section_init(&section, "tls a");
	section_add(&section, joined_file("bundle.pem", server_key, server_pem),
	            joined_file("bundle.pem", server_key, server_pem));
	context = section_build(&section, server_store);
	client = client_build(client_store, text_file("ca", ca_pem), NULL, NULL);
	EXPECT(shake_hands(context, client, "server.example").done);
	EXPECT(!shake_hands(context, client, "other.example").done);
	tls_client_free(client);
	client = client_build(client_store, text_file("other.ca", other_ca_pem), NULL, NULL);
	EXPECT(!shake_hands(context, client, "server.example").done);
	tls_client_free(client);
	tls_context_free(context);
	end();
}

/* ---- resumption ---- */

static bool resumes(const struct tls_context *context, const char *name)
{
	struct shaken shaken;

	resume_key = 1;
	shaken = shake_hands(context, anyone, name);
	resume_key = 0;
	EXPECT(shaken.done);
	return shaken.agreed.resumed;
}

static void ticket_section(struct section *section, const char *name, unsigned protocols)
{
	section_init(section, name);
	section->conf.protocols = protocols;
	section->conf.session_tickets = true;
	section_add_texts(section, "server", server_pem, server_key);
}

static void add_key_file(struct section *section, const char *name, char fill)
{
	char bytes[80];

	memset(bytes, fill, sizeof(bytes));
	section->ticket_keys[section->conf.ticket_key_count++] = (struct conf_file){
		file_of(name, bytes, sizeof(bytes)), {"test.ini", 50}};
}

TEST(a_session_is_resumed_by_its_ticket_and_over_a_reload)
{
	for (size_t i = 0; i < COUNT(versions); i++) {
		struct section      section;
		struct tls_context *context, *again;

		begin();
		ticket_section(&section, "tls a", versions[i]);
		context = section_build(&section, server_store);
		EXPECT(!resumes(context, "server.example"));
		EXPECT(resumes(context, "server.example"));
		/* another certificate, the same section */
		section.conf.certificate_count = section.conf.key_count = 0;
		section_add_texts(&section, "rsa", rsa_pem, rsa_key);
		again = section_build(&section, server_store);
		tls_context_free(context);
		EXPECT(resumes(again, "server.example"));
		tls_context_free(again);
		end();
	}
}

TEST(without_tickets_nothing_is_resumed)
{
	for (size_t i = 0; i < COUNT(versions); i++) {
		struct section      section;
		struct tls_context *context;

		begin();
		ticket_section(&section, "tls a", versions[i]);
		section.conf.session_tickets = false;
		context = section_build(&section, server_store);
		EXPECT(!resumes(context, "server.example"));
		EXPECT(!resumes(context, "server.example"));
		tls_context_free(context);
		end();
	}
}

TEST(a_ticket_that_was_refused_is_not_offered_again)
{
	for (size_t i = 0; i < COUNT(versions); i++) {
		struct section      section;
		struct tls_context *gives, *refuses;

		begin();
		ticket_section(&section, "tls a", versions[i]);
		gives = section_build(&section, server_store);
		section.conf.session_tickets = false;
		refuses = section_build(&section, server_store);
		EXPECT(!resumes(gives, "server.example"));
		EXPECT(!resumes(refuses, "server.example"));
		EXPECT(!resumes(gives, "server.example"));
		EXPECT(resumes(gives, "server.example"));
		tls_context_free(gives);
		tls_context_free(refuses);
		end();
	}
}

TEST(a_ticket_is_not_taken_under_another_name)
{
	for (size_t i = 0; i < COUNT(versions); i++) {
		struct section      section;
		struct tls_context *context;

		begin();
		ticket_section(&section, "tls a", versions[i]);
		context = section_build(&section, server_store);
		EXPECT(!resumes(context, "server.example"));
		EXPECT(!resumes(context, "x.wild.example"));
		tls_context_free(context);
		end();
	}
}

/* Two stores stand for two processes. */
TEST(processes_with_the_same_key_file_take_each_others_tickets)
{
	for (size_t i = 0; i < COUNT(versions); i++) {
		struct section      section;
		struct tls_store   *other;
		struct tls_context *context, *there;

		begin();
		other = tls_store_new();
		ticket_section(&section, "tls a", versions[i]);
		add_key_file(&section, "ticket.key", 'k');
		context = section_build(&section, server_store);
		there = section_build(&section, other);
		EXPECT(!resumes(context, "server.example"));
		EXPECT(resumes(there, "server.example"));
		tls_context_free(there);
		/* another file: none of them */
		section.conf.ticket_key_count = 0;
		add_key_file(&section, "other.key", 'o');
		there = section_build(&section, other);
		EXPECT(!resumes(there, "server.example"));
		tls_context_free(there);
		tls_context_free(context);
		tls_store_free(other);
		end();
	}
}

TEST(a_ticket_outlives_the_rotation_of_the_key_files)
{
	for (size_t i = 0; i < COUNT(versions); i++) {
		struct section      section;
		struct tls_context *old, *rotated, *final;

		begin();
		ticket_section(&section, "tls a", versions[i]);
		add_key_file(&section, "old.key", 'o');
		old = section_build(&section, server_store);
		section.conf.ticket_key_count = 0;
		add_key_file(&section, "new.key", 'n');
		add_key_file(&section, "old.key", 'o');
		rotated = section_build(&section, server_store);
		section.conf.ticket_key_count = 1;
		final = section_build(&section, server_store);
		EXPECT(!resumes(old, "server.example"));
		EXPECT(resumes(rotated, "server.example"));
		/* by the ticket that the rotated one gave for it */
		EXPECT(resumes(final, "server.example"));
		EXPECT(!resumes(old, "server.example"));
		tls_context_free(old);
		tls_context_free(rotated);
		tls_context_free(final);
		end();
	}
}

TEST(a_ticket_never_opens_under_other_demands_on_the_client)
{
	for (size_t i = 0; i < COUNT(versions); i++) {
		struct section      section;
		struct tls_context *open, *sibling, *optional;

		begin();
		ticket_section(&section, "tls open", versions[i]);
		add_key_file(&section, "ticket.key", 'k');
		open = section_build(&section, server_store);
		section.conf.section = "tls sibling";
		sibling = section_build(&section, server_store);
		/* even of the same section's name: another process may have it changed already */
		section.conf.section = "tls open";
		section.conf.verify_client = CONF_VERIFY_OPTIONAL;
		section.conf.client_certificate.path = text_file("cca", cca_pem);
		optional = section_build(&section, server_store);
		EXPECT(!resumes(open, "server.example"));
		EXPECT(!resumes(sibling, "server.example"));
		EXPECT(!resumes(optional, "server.example"));
		EXPECT(resumes(optional, "server.example"));
		EXPECT(!resumes(open, "server.example"));
		tls_context_free(open);
		tls_context_free(sibling);
		tls_context_free(optional);
		end();
	}
}

TEST(key_files_of_a_wrong_size_are_refused)
{
	struct section section;

	ticket_section(&section, "tls a", CONF_TLS13);
	section.ticket_keys[0] = (struct conf_file){text_file("short.key", "short"),
	                                            {"test.ini", 50}};
	section.conf.ticket_key_count = 1;
	section_refused(&section, "test.ini:50: [tls a] ssl_session_ticket_key = ");
	section_refused(&section, "holds 5 bytes, it must be 80 or 48");
}

/* ---- clients' certificates ---- */

struct verifying {
	struct tls_context *context;
	struct tls_client  *good, *revoked, *deep, *stranger;
};

static void verifying_begin(struct verifying *verifying, enum conf_verify_client verify,
                            const char *revocations, uint32_t depth)
{
	struct section section;

	begin();
	section_init(&section, "tls a");
	section_add_texts(&section, "server", server_pem, server_key);
	section.conf.verify_client = verify;
	section.conf.verify_depth = depth;
	section.conf.client_certificate.path = text_file("cca", cca_pem);
	if (revocations)
		section.conf.crl.path = text_file("crl", revocations);
	verifying->context = section_build(&section, server_store);
	verifying->good = client_build(client_store, NULL, text_file("g.crt", good_pem),
	                               text_file("g.key", good_key));
	verifying->revoked = client_build(client_store, NULL, text_file("r.crt", revoked_pem),
	                                  text_file("r.key", revoked_key));
	verifying->deep = client_build(client_store, NULL, text_file("d.crt", deep_pem),
	                               text_file("d.key", deep_key));
	verifying->stranger = client_build(client_store, NULL, text_file("s.crt", stranger_pem),
	                                   text_file("s.key", stranger_key));
}

static void verifying_end(struct verifying *verifying)
{
	tls_client_free(verifying->good);
	tls_client_free(verifying->revoked);
	tls_client_free(verifying->deep);
	tls_client_free(verifying->stranger);
	tls_context_free(verifying->context);
	end();
}

static bool is_admitted(const struct verifying *verifying, const struct tls_client *client)
{
	struct shaken shaken = shake_hands(verifying->context, client, "server.example");

	EXPECT(shaken.done || shaken.failure == TLS_FAILURE_CERTIFICATE);
	return shaken.done;
}

TEST(a_demanded_certificate_must_be_there_and_be_trusted)
{
	struct verifying verifying;

	verifying_begin(&verifying, CONF_VERIFY_ON, NULL, 2);
	EXPECT(is_admitted(&verifying, verifying.good));
	EXPECT(strcmp(shake_hands(verifying.context, verifying.good, "server.example").subject,
	              "CN=good") == 0);
	EXPECT(is_admitted(&verifying, verifying.revoked));
	EXPECT(!is_admitted(&verifying, verifying.stranger));
	EXPECT(!is_admitted(&verifying, anyone));
	verifying_end(&verifying);
}

TEST(an_optional_certificate_may_be_missing_but_not_wrong)
{
	struct verifying verifying;

	verifying_begin(&verifying, CONF_VERIFY_OPTIONAL, NULL, 2);
	EXPECT(is_admitted(&verifying, verifying.good));
	EXPECT(is_admitted(&verifying, anyone));
	EXPECT(!is_admitted(&verifying, verifying.stranger));
	verifying_end(&verifying);
}

TEST(a_revoked_certificate_is_refused)
{
	struct verifying verifying;

	verifying_begin(&verifying, CONF_VERIFY_ON, crl_pem, 2);
	EXPECT(is_admitted(&verifying, verifying.good));
	EXPECT(!is_admitted(&verifying, verifying.revoked));
	verifying_end(&verifying);
}

TEST(a_chain_is_as_long_as_the_depth_allows)
{
	struct verifying verifying;

	verifying_begin(&verifying, CONF_VERIFY_ON, NULL, 1);
	EXPECT(is_admitted(&verifying, verifying.deep));
	verifying_end(&verifying);
	verifying_begin(&verifying, CONF_VERIFY_ON, NULL, 0);
	EXPECT(is_admitted(&verifying, verifying.good));
	EXPECT(!is_admitted(&verifying, verifying.deep));
	verifying_end(&verifying);
}

int main(void)
{
	return files_test_main();
}
