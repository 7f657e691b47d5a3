/* Who is let in, by what name and protocol, and who is remembered. */
#include "tls_ends.h"

enum {
	BAD_CERTIFICATE = 42,
	CERTIFICATE_EXPIRED = 45,
	CERTIFICATE_REQUIRED = 116,
	UNKNOWN_CA = 48,
	HANDSHAKE_FAILURE = 40,
};

/* ---- certificates of clients ---- */

/* A client with *own* before a server that wants one signed by the authority; true: let in. */
static bool is_let_in(int version, struct credentials own)
{
	struct tls_context context = server_context(version, ca_pem);
	struct tls_client  client = client_context(version, ca_pem, own);
	bool               is_in;

	ends_open(&ends, &context, &client, "server.example");
	is_in = shake_hands(&ends);
	wolfSSL_CTX_free(context.library);
	client_context_free(&client);
	return is_in;
}

static void admit(int version)
{
	const struct credentials own = {client_pem, client_key};
	struct tls_agreed        agreed;
	char                     subject[64], cut[6];

	EXPECT(is_let_in(version, own));
	EXPECT(passes(&ends.client, &ends.server, "hello", 5));
	tls_session_agreed(ends.server.session, &agreed);
	EXPECT(agreed.has_peer_certificate);
	tls_session_peer_subject(ends.server.session, subject, sizeof(subject));
	EXPECT(strcmp(subject, "CN=client\\+one,O=Example\\, Inc,C=CH") == 0);
	tls_session_peer_subject(ends.server.session, cut, sizeof(cut));
	EXPECT(strcmp(cut, "CN=cl") == 0);
	ends_close(&ends);
}

TEST(a_client_with_a_certificate_is_let_in_and_known_by_its_subject)
{
	each_version(admit);
}

static void refuse_missing(int version)
{
	char subject[8] = "x";

	EXPECT(!is_let_in(version, nobody));
	EXPECT(failed_as(&ends.server, TLS_FAILURE_CERTIFICATE,
	                 version == 2 ? HANDSHAKE_FAILURE : CERTIFICATE_REQUIRED));
	tls_session_peer_subject(ends.server.session, subject, sizeof(subject));
	EXPECT(*subject == '\0');
	ends_close(&ends);
}

TEST(a_client_without_a_certificate_is_refused)
{
	each_version(refuse_missing);
}

static void refuse_expired(int version)
{
	EXPECT(!is_let_in(version, (struct credentials){expired_pem, expired_key}));
	EXPECT(failed_as(&ends.server, TLS_FAILURE_CERTIFICATE, CERTIFICATE_EXPIRED));
	ends_close(&ends);
}

TEST(a_client_whose_certificate_expired_is_refused)
{
	each_version(refuse_expired);
}

static void refuse_stranger(int version)
{
	EXPECT(!is_let_in(version, (struct credentials){stranger_pem, stranger_key}));
	EXPECT(failed_as(&ends.server, TLS_FAILURE_CERTIFICATE, UNKNOWN_CA));
	ends_close(&ends);
}

TEST(a_client_with_a_certificate_of_another_authority_is_refused)
{
	each_version(refuse_stranger);
}

/* ---- names of servers ---- */

/* True: a client that expects *name* is content with the server. */
static bool is_content(int version, const char *authority, const char *name)
{
	struct tls_context context = server_context(version, NULL);
	struct tls_client  client = client_context(version, authority, nobody);
	bool               is_so;

	ends_open(&ends, &context, &client, name);
	is_so = shake_hands(&ends);
	wolfSSL_CTX_free(context.library);
	client_context_free(&client);
	return is_so;
}

static void name_well(int version)
{
	static const char *const good[] = {"server.example", "SERVER.example", "a.wild.example",
	                                   "192.0.2.1",      "shortname",      ""};

	for (size_t i = 0; i < COUNT(good); i++) {
		bool is_so = is_content(version, ca_pem, good[i]);

		EXPECT(is_so);
		if (!is_so)
			printf("  %s: %s\n", good[i],
			       tls_session_failure_text(ends.client.session));
		ends_close(&ends);
	}
}

TEST(a_server_is_known_by_each_name_and_address_of_its_certificate)
{
	each_version(name_well);
}

static void name_wrongly(int version)
{
	static const char *const bad[] = {"other.example", "wild.example", "a.b.wild.example",
	                                  "192.0.2.2",     "2001:db8::2",  "nobody",
	                                  "example",       "short_name"};

	for (size_t i = 0; i < COUNT(bad); i++) {
		bool is_so = is_content(version, ca_pem, bad[i]);

		EXPECT(!is_so);
		if (is_so)
			printf("  content with %s\n", bad[i]);
		EXPECT_EQ(tls_session_failure(ends.client.session), TLS_FAILURE_CERTIFICATE);
		EXPECT(tls_session_alert(ends.client.session) != 0);
		/* The other side was told. */
		EXPECT_EQ(tls_session_alert(ends.server.session),
		          tls_session_alert(ends.client.session));
		EXPECT_EQ(tls_session_failure(ends.server.session), TLS_FAILURE_HANDSHAKE);
		ends_close(&ends);
	}
}

TEST(a_server_of_another_name_is_refused)
{
	each_version(name_wrongly);
}

static void distrust(int version)
{
	EXPECT(!is_content(version, other_ca_pem, "server.example"));
	EXPECT(failed_as(&ends.client, TLS_FAILURE_CERTIFICATE, UNKNOWN_CA));
	ends_close(&ends);
	EXPECT(is_content(version, NULL, "other.example"));
	ends_close(&ends);
}

TEST(a_server_of_another_authority_is_refused_unless_nothing_is_verified)
{
	each_version(distrust);
}

/* The name in the hello that a client which dials *name* sends. */
static bool sends_name(const char *name, const char *want)
{
	static uint8_t     scratch[65536];
	struct hello       hello;
	struct tls_context context = server_context(3, NULL);
	struct tls_client  client = client_context(3, ca_pem, nobody);
	bool               is_so;

	ends_open(&ends, &context, &client, name);
	EXPECT_EQ(shake(&ends.client), TLS_MORE);
	is_so = hello_parse(span_of(ends.up.data, ends.up.end), 16384, scratch, &hello) ==
	                HELLO_OK &&
	        span_equal(hello.name, span_text(want));
	ends_close(&ends);
	wolfSSL_CTX_free(context.library);
	client_context_free(&client);
	return is_so;
}

/* RFC 6066 3 forbids addresses. */
TEST(a_server_is_told_the_name_but_no_address)
{
	EXPECT(sends_name("server.example", "server.example"));
	EXPECT(sends_name("shortname", "shortname"));
	EXPECT(sends_name("192.0.2.1", ""));
	EXPECT(sends_name("2001:db8::1", ""));
	EXPECT(sends_name("", ""));
}

/* ---- protocols and groups ---- */

static struct span agreed_protocol(const struct end *end)
{
	struct tls_agreed agreed;

	tls_session_agreed(end->session, &agreed);
	return agreed.alpn;
}

static void offer(int version)
{
	static char             protocols[] = "http/1.1,h2";
	const struct tls_choice choice = {.alpn = span_of("h2,http/1.1", 2)}; /* no NUL behind it */
	struct tls_context      context = server_context(version, NULL);
	struct tls_client       client = client_context(version, ca_pem, nobody);

	client.alpn = protocols;
	ends_open(&ends, &context, &client, "server.example");
	tls_session_free(ends.server.session);
	ends.server.session = tls_session_accept(&context, &choice);
	EXPECT(shake_hands(&ends));
	EXPECT(span_equal(agreed_protocol(&ends.server), span_text("h2")));
	EXPECT(span_equal(agreed_protocol(&ends.client), span_text("h2")));
	wolfSSL_CTX_free(context.library);
	client_context_free(&client);
	ends_close(&ends);
}

TEST(the_protocol_is_the_one_chosen_whatever_the_client_prefers)
{
	each_version(offer);
}

TEST(a_hello_retry_request_leads_to_a_group_of_the_server)
{
	int                groups[] = {WOLFSSL_ECC_SECP384R1};
	struct tls_context context = server_context(3, NULL);
	struct tls_client  client = client_context(3, ca_pem, nobody);
	struct tls_agreed  agreed;

	EXPECT_EQ(wolfSSL_CTX_set_groups(context.library, groups, 1), WOLFSSL_SUCCESS);
	ends_open(&ends, &context, &client, "server.example");
	ends.client.step = ends.server.step = 7;
	EXPECT(shake_hands(&ends));
	tls_session_agreed(ends.server.session, &agreed);
	EXPECT(agreed.group && strcmp(agreed.group, "P-384") == 0);
	EXPECT(passes(&ends.client, &ends.server, "hello", 5));
	wolfSSL_CTX_free(context.library);
	client_context_free(&client);
	ends_close(&ends);
}

/* ---- resumption ---- */

static struct tls_context shop;
static struct tls_client  customer;

/* Shakes hands, talks, and parts; true: what was kept under *key* was resumed. */
static bool visits(struct ends *visit, uint64_t key)
{
	struct tls_agreed agreed, other;

	ends_open(visit, &shop, NULL, NULL);
	visit->client.session = tls_session_connect(&customer, span_text("server.example"), key);
	EXPECT(shake_hands(visit));
	EXPECT(passes(&visit->server, &visit->client, "welcome", 7));
	EXPECT(passes(&visit->client, &visit->server, "hello", 5));
	tls_session_agreed(visit->client.session, &agreed);
	tls_session_agreed(visit->server.session, &other);
	EXPECT(agreed.resumed == other.resumed);
	return agreed.resumed;
}

static void open_shop(int version)
{
	shop = server_context(version, NULL);
	customer = client_context(version, ca_pem, nobody);
}

static void close_shop(void)
{
	wolfSSL_CTX_free(shop.library);
	client_context_free(&customer);
}

static void come_again(int version)
{
	open_shop(version);
	EXPECT(!visits(&ends, 1));
	ends_close(&ends);
	for (int i = 0; i < 3; i++) {
		EXPECT(visits(&ends, 1));
		ends_close(&ends);
	}
	close_shop();
}

TEST(a_client_resumes_time_and_again)
{
	each_version(come_again);
}

static void tell_apart(int version)
{
	open_shop(version);
	EXPECT(!visits(&ends, 1));
	ends_close(&ends);
	EXPECT(!visits(&ends, 2));
	ends_close(&ends);
	EXPECT(visits(&ends, 1));
	ends_close(&ends);
	close_shop();
}

TEST(a_client_resumes_with_the_same_server_only)
{
	each_version(tell_apart);
}

/* What is resumed is written to: no two may have it at a time. */
static void come_together(int version)
{
	static struct ends more;

	open_shop(version);
	EXPECT(!visits(&ends, 1));
	ends_close(&ends);
	EXPECT(visits(&ends, 1));
	EXPECT(!visits(&more, 1));
	ends_close(&ends);
	ends_close(&more);
	EXPECT(visits(&ends, 1));
	EXPECT(visits(&more, 1));
	ends_close(&ends);
	ends_close(&more);
	close_shop();
}

TEST(a_kept_session_is_used_by_one_at_a_time)
{
	each_version(come_together);
}

/* Two servers behind one key, which take no tickets of each other's. */
static void move(int version)
{
	static struct ends more;
	struct tls_context old;

	open_shop(version);
	EXPECT(!visits(&ends, 1));
	old = shop;
	shop = server_context(version, NULL);
	EXPECT(!visits(&more, 1));
	ends_close(&ends);
	ends_close(&more);
	EXPECT(visits(&ends, 1));
	ends_close(&ends);
	wolfSSL_CTX_free(old.library);
	close_shop();
}

TEST(the_session_kept_last_is_resumed_first)
{
	each_version(move);
}

/* A client that parts before it has heard the ticket of this visit. */
static void leave_early(int version)
{
	open_shop(version);
	EXPECT(!visits(&ends, 1));
	ends_close(&ends);
	ends_open(&ends, &shop, NULL, NULL);
	ends.client.session = tls_session_connect(&customer, span_text("server.example"), 1);
	EXPECT(shake_hands(&ends));
	ends_close(&ends);
	(void)visits(&ends, 1);
	ends_close(&ends);
	EXPECT(visits(&ends, 1));
	ends_close(&ends);
	close_shop();
}

TEST(a_client_that_resumed_and_parted_before_the_next_ticket_came_is_let_in_again)
{
	each_version(leave_early);
}

static void fail_and_come_again(int version)
{
	static const uint8_t forged[5 + 32] = {23, 3, 3, 0, 32};

	open_shop(version);
	EXPECT(!visits(&ends, 1));
	wire_put(&ends.down, forged, sizeof(forged));
	EXPECT_EQ(read_all(&ends.client), TLS_FAILED);
	ends_close(&ends);
	EXPECT(!visits(&ends, 1));
	ends_close(&ends);
	close_shop();
}

/* RFC 5246 7.2.2: a session that ended in a fatal alert must not be resumed. */
TEST(a_session_that_failed_is_not_resumed)
{
	each_version(fail_and_come_again);
}

TEST(the_oldest_kept_session_goes_first)
{
	enum { KEPT_MAX = 64 };

	open_shop(3);
	for (uint64_t key = 0; key <= KEPT_MAX; key++) {
		EXPECT(!visits(&ends, key));
		ends_close(&ends);
	}
	EXPECT(visits(&ends, 1));
	ends_close(&ends);
	EXPECT(visits(&ends, KEPT_MAX));
	ends_close(&ends);
	EXPECT(!visits(&ends, 0));
	ends_close(&ends);
	close_shop();
}

int main(void)
{
	return tls_test_main();
}
