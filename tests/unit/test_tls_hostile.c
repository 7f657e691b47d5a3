/* Records that no well-behaved peer sends, after the handshake; and early data, ahead of its end. */
#include "hello_maker.h"
#include "tls_seal.h"

enum { FLOOD = 40, UNEXPECTED_MESSAGE = 10, NO_RENEGOTIATION = 100 };

static const uint8_t key_update[5] = {24, 0, 0, 1, 0}, key_update_wanted[5] = {24, 0, 0, 1, 1};

static bool says(const struct end *end, const char *words)
{
	const char *text = tls_session_failure_text(end->session);

	if (!strstr(text, words))
		printf("  \"%s\"\n", text);
	return strstr(text, words) != NULL;
}

/* The next write of *end* takes it along. */
static void update_keys(struct end *end)
{
	int code = wolfSSL_update_keys(tls_session_library(end->session));

	EXPECT(code == WOLFSSL_SUCCESS || code == WOLFSSL_ERROR_WANT_WRITE);
}

TEST(a_test_can_speak_for_an_end_by_the_keys_handed_over)
{
	for (int version = 2; version <= 3; version++) {
		struct sealer sealer;

		open_ends(version);
		EXPECT(passes(&ends.client, &ends.server, "hello", 5));
		ends.server.got_len = 0;
		sealer_init(&sealer, &ends.client, version);
		seal(&sealer, &ends.up, TYPE_DATA, span_text("sealed"));
		EXPECT_EQ(read_all(&ends.server), TLS_MORE);
		EXPECT(got(&ends.server, "sealed"));
		sealer_fini(&sealer);
		EXPECT_EQ(read_all(&ends.client), TLS_MORE); /* tickets */
		ends.client.got_len = 0;
		sealer_init(&sealer, &ends.server, version);
		seal(&sealer, &ends.down, TYPE_DATA, span_text("answered"));
		EXPECT_EQ(read_all(&ends.client), TLS_MORE);
		EXPECT(got(&ends.client, "answered"));
		sealer_fini(&sealer);
		ends_close(&ends);
	}
}

TEST(key_updates_of_both_ends_amid_data_are_taken_and_answered)
{
	open_ends(3);
	for (int i = 0; i < 3 * FLOOD; i++) {
		update_keys(&ends.client);
		EXPECT(passes(&ends.client, &ends.server, "after mine", 10));
		EXPECT(waiting(&ends.down) > 0);
		EXPECT(passes(&ends.server, &ends.client, "and yours", 9));
		update_keys(&ends.server);
		EXPECT(passes(&ends.server, &ends.client, "after mine", 10));
		EXPECT(passes(&ends.client, &ends.server, "and yours", 9));
	}
	EXPECT_EQ(close_end(&ends.client), TLS_DONE);
	EXPECT_EQ(read_all(&ends.server), TLS_CLOSED);
	ends_close(&ends);
}

TEST(a_key_update_is_not_begun_without_room_for_its_answer)
{
	open_ends(3);
	EXPECT_EQ(read_all(&ends.client), TLS_MORE);
	update_keys(&ends.client);
	EXPECT_EQ(write_all(&ends.client, "then data", 9), TLS_DONE);
	ends.server.room = TLS_OUTPUT_MIN - 1;
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(read_once(&ends.server), TLS_FULL);
	EXPECT_EQ(waiting(&ends.down), 0);
	ends.server.room = TLS_OUTPUT_MIN;
	EXPECT_EQ(read_all(&ends.server), TLS_MORE);
	EXPECT(got(&ends.server, "then data"));
	EXPECT(waiting(&ends.down) > 0);
	EXPECT(passes(&ends.server, &ends.client, "fine", 4));
	ends_close(&ends);
}

TEST(a_flood_of_key_updates_fails_the_session)
{
	open_ends(3);
	for (int i = 0; i < FLOOD; i++)
		update_keys(&ends.client);
	EXPECT_EQ(write_all(&ends.client, "x", 1), TLS_DONE);
	EXPECT_EQ(read_all(&ends.server), TLS_FAILED);
	EXPECT_EQ(tls_session_failure(ends.server.session), TLS_FAILURE_RECORD);
	EXPECT(says(&ends.server, "too many records without data"));
	ends_close(&ends);
}

/* RFC 8446 5.1: none may stand before another message in its record. */
static void pack(const uint8_t message[5], size_t count)
{
	uint8_t       record[TLS_RECORD_MAX];
	struct sealer sealer;

	for (size_t i = 0; i < count; i++)
		memcpy(record + i * 5, message, 5);
	open_ends(3);
	sealer_init(&sealer, &ends.client, 3);
	seal(&sealer, &ends.up, TYPE_HANDSHAKE, span_of(record, count * 5));
	sealer_fini(&sealer);
}

TEST(key_updates_packed_into_one_record_are_not_all_answered)
{
	size_t before;

	pack(key_update_wanted, TLS_RECORD_MAX / 5);
	before = waiting(&ends.down);
	EXPECT_EQ(read_all(&ends.server), TLS_FAILED);
	EXPECT_EQ(tls_session_failure(ends.server.session), TLS_FAILURE_RECORD);
	EXPECT(says(&ends.server, "several key updates in one record"));
	EXPECT(waiting(&ends.down) - before <= TLS_OUTPUT_MIN);
	ends_close(&ends);
}

/* wolfSSL would take thousands of unanswered KeyUpdates in a record, and there is no looking into
 * it before; so a long one without data counts for more. Here it is padding: RFC 8446 5.4. */
TEST(long_records_without_data_fail_the_session_sooner)
{
	static const uint8_t padded[TLS_RECORD_MAX] = {TYPE_DATA};
	struct sealer        sealer;

	open_ends(3);
	sealer_init(&sealer, &ends.client, 3);
	for (int i = 0; i < 4; i++) {
		for (int j = 0; j < 3; j++)
			seal(&sealer, &ends.up, 0, span_of(padded, sizeof(padded)));
		seal(&sealer, &ends.up, TYPE_DATA, span_text("x"));
	}
	EXPECT_EQ(read_all(&ends.server), TLS_MORE);
	EXPECT(got(&ends.server, "xxxx"));
	for (int i = 0; i < 5; i++)
		seal(&sealer, &ends.up, 0, span_of(padded, sizeof(padded)));
	EXPECT_EQ(read_all(&ends.server), TLS_FAILED);
	EXPECT(says(&ends.server, "too many records without data"));
	sealer_fini(&sealer);
	ends_close(&ends);
}

TEST(one_sealed_key_update_is_taken)
{
	pack(key_update, 1);
	EXPECT_EQ(read_all(&ends.server), TLS_MORE);
	EXPECT(passes(&ends.server, &ends.client, "fine", 4));
	ends_close(&ends);
}

static void send_nothing(int version)
{
	struct sealer sealer;

	open_ends(version);
	sealer_init(&sealer, &ends.client, version);
	for (int i = 0; i < 10; i++) {
		seal(&sealer, &ends.up, TYPE_DATA, span_of("", 0));
		seal(&sealer, &ends.up, TYPE_DATA, span_text("x"));
	}
	EXPECT_EQ(read_all(&ends.server), TLS_MORE);
	EXPECT(got(&ends.server, "xxxxxxxxxx"));
	for (int i = 0; i < FLOOD; i++)
		seal(&sealer, &ends.up, TYPE_DATA, span_of("", 0));
	EXPECT_EQ(read_all(&ends.server), TLS_FAILED);
	EXPECT_EQ(tls_session_failure(ends.server.session), TLS_FAILURE_RECORD);
	sealer_fini(&sealer);
	ends_close(&ends);
}

TEST(empty_records_are_taken_but_not_a_flood_of_them)
{
	each_version(send_nothing);
}

/* Of a hello only what it takes to be seen as one. */
TEST(a_client_that_asks_for_renegotiation_is_refused)
{
	static const uint8_t hello[] = {1,  0,  0,  38, 3,  3,  1,  2,  3,  4,  5,  6,  7,  8,
	                                9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22,
	                                23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 0,  0,  0,  0};
	struct sealer        sealer;

	open_ends(2);
	sealer_init(&sealer, &ends.client, 2);
	seal(&sealer, &ends.up, TYPE_HANDSHAKE, span_of(hello, sizeof(hello)));
	seal(&sealer, &ends.up, TYPE_DATA, span_text("and on"));
	EXPECT_EQ(read_all(&ends.server), TLS_FAILED);
	EXPECT_EQ(ends.server.got_len, 0);
	EXPECT_EQ(tls_session_failure(ends.server.session), TLS_FAILURE_RECORD);
	sealer_fini(&sealer);
	ends_close(&ends);
}

/* RFC 5246 7.4.1.1: a client may answer no_renegotiation and go on. */
TEST(a_server_that_asks_for_renegotiation_is_denied_it)
{
	static const uint8_t hello_request[4] = {0};
	struct sealer        sealer;

	open_ends(2);
	sealer_init(&sealer, &ends.server, 2);
	seal(&sealer, &ends.down, TYPE_HANDSHAKE, span_of(hello_request, 4));
	seal(&sealer, &ends.down, TYPE_DATA, span_text("and on"));
	EXPECT_EQ(read_all(&ends.client), TLS_MORE);
	EXPECT(got(&ends.client, "and on"));
	EXPECT(waiting(&ends.up) > 0);
	for (int i = 0; i < FLOOD; i++)
		seal(&sealer, &ends.down, TYPE_HANDSHAKE, span_of(hello_request, 4));
	EXPECT_EQ(read_all(&ends.client), TLS_FAILED);
	sealer_fini(&sealer);
	ends_close(&ends);
}

/* A client has nothing to say but data, alerts and KeyUpdates. */
TEST(other_handshake_messages_after_the_handshake_fail_the_session)
{
	static const uint8_t finished[36] = {20, 0, 0, 32}, ticket[8] = {4, 0, 0, 4};
	const struct span    messages[] = {span_of(finished, 36), span_of(ticket, 8)};

	for (size_t i = 0; i < COUNT(messages); i++) {
		struct sealer sealer;

		open_ends(3);
		sealer_init(&sealer, &ends.client, 3);
		seal(&sealer, &ends.up, TYPE_HANDSHAKE, messages[i]);
		sealer_fini(&sealer);
		EXPECT_EQ(read_all(&ends.server), TLS_FAILED);
		EXPECT(failed_as(&ends.server, TLS_FAILURE_RECORD, UNEXPECTED_MESSAGE));
		ends_close(&ends);
	}
}

TEST(a_record_in_the_clear_after_the_handshake_fails_the_session)
{
	for (int version = 2; version <= 3; version++) {
		open_ends(version);
		wire_put(&ends.up, "\x15\x03\x03\0\x02\x01\0", 7); /* close_notify */
		EXPECT_EQ(read_all(&ends.server), TLS_FAILED);
		EXPECT_EQ(tls_session_failure(ends.server.session), TLS_FAILURE_RECORD);
		ends_close(&ends);
	}
}

/* ---- early data ---- */

/* The extensions of a hello that offers it: a share of X25519 (any number is one), a ticket of who
 * knows whom. */
#define EARLY_LIST                                                                                 \
	GROUPS SIGNATURE_ALGORITHMS VERSIONS EXTENSION("0033", "[2 001d [2 09*32 ] ]")             \
		EXTENSION("002d", "[1 01 ]") EXTENSION("002a", "")                                 \
			EXTENSION("0029", "[2 [2 7e*200 ] 00000000 ] [2 [1 e7*32 ] ]")

/* The server's side alone, with such a hello read. */
static void offer_early_data(void)
{
	static struct made made;
	struct tls_context context = server_context(3, NULL);
	struct span        hello = make(&made, HELLO(EARLY_LIST));

	ends_open(&ends, &context, NULL, NULL);
	wolfSSL_CTX_free(context.library);
	wire_put(&ends.up, hello.data, hello.len);
	EXPECT_EQ(shake(&ends.server), TLS_MORE);
}

TEST(a_handshake_with_early_data_on_offer_is_not_done_before_it_is)
{
	offer_early_data();
	EXPECT_EQ(shake(&ends.server), TLS_MORE);
	ends_close(&ends);
}

TEST(early_data_is_skipped_up_to_what_any_server_takes)
{
	static uint8_t record[TLS_RECORD_WIRE_MAX] = {0x17, 3, 3, 0x40, 0x11};
	enum { SIZE = 5 + 16384 + 17 };

	offer_early_data();
	wire_put(&ends.up, record, SIZE);
	EXPECT_EQ(shake(&ends.server), TLS_MORE);
	wire_put(&ends.up, record, SIZE);
	EXPECT_EQ(shake(&ends.server), TLS_FAILED);
	EXPECT(failed_as(&ends.server, TLS_FAILURE_HANDSHAKE, UNEXPECTED_MESSAGE));
	ends_close(&ends);
}

int main(void)
{
	return tls_test_main();
}
