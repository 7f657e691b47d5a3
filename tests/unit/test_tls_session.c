#include "tls_ends.h"

/* ---- the main path ---- */

static void speak(int version)
{
	struct tls_agreed agreed;

	open_ends(version);
	EXPECT(passes(&ends.client, &ends.server, "hello", 5));
	EXPECT(passes(&ends.server, &ends.client, "good day", 8));
	tls_session_agreed(ends.server.session, &agreed);
	EXPECT(strcmp(agreed.version, version == 2 ? "TLSv1.2" : "TLSv1.3") == 0);
	EXPECT(strcmp(agreed.cipher, version == 2 ? "ECDHE-ECDSA-AES256-GCM-SHA384"
	                                          : "TLS_AES_256_GCM_SHA384") == 0);
	EXPECT(agreed.group != NULL && *agreed.group);
	EXPECT(!agreed.resumed && !agreed.has_peer_certificate && agreed.alpn.len == 0);
	tls_session_agreed(ends.client.session, &agreed);
	EXPECT(agreed.has_peer_certificate);
	ends_close(&ends);
}

TEST(both_ends_speak_in_tls_1_2_and_1_3)
{
	each_version(speak);
}

static void dribble(int version)
{
	join(version, 1, 65536);
	EXPECT(shake_hands(&ends));
	EXPECT(passes(&ends.client, &ends.server, "hello", 5));
	EXPECT(passes(&ends.server, &ends.client, "good day", 8));
	EXPECT_EQ(close_end(&ends.client), TLS_DONE);
	EXPECT_EQ(read_all(&ends.server), TLS_CLOSED);
	ends_close(&ends);
}

TEST(bytes_that_come_one_by_one_do)
{
	each_version(dribble);
}

static void squeeze(int version)
{
	uint8_t *data = bulk(100000);

	join(version, 65536, 1);
	EXPECT(shake_hands(&ends));
	ends.client.room = ends.server.room = TLS_OUTPUT_MIN;
	EXPECT(passes(&ends.client, &ends.server, data, 100000));
	EXPECT(passes(&ends.server, &ends.client, data, 100000));
	ends_close(&ends);
	free(data);
}

TEST(an_output_of_one_byte_ends_a_handshake_and_a_small_one_takes_data)
{
	each_version(squeeze);
}

static void carry_bulk(int version)
{
	enum { LEN = 1 << 20 };
	uint8_t *data = bulk(LEN);

	open_ends(version);
	for (uint32_t room = 5000; room <= 65536; room += 20178) {
		ends.client.room = ends.server.room = room;
		ends.client.step = ends.server.step = room / 3 + 11;
		EXPECT(passes(&ends.client, &ends.server, data, LEN));
		EXPECT(passes(&ends.server, &ends.client, data, LEN));
	}
	ends_close(&ends);
	free(data);
}

TEST(a_mebibyte_comes_as_it_went_both_ways)
{
	each_version(carry_bulk);
}

/* Neither end has read when the other writes. */
TEST(both_ends_write_at_once)
{
	enum { LEN = 300000 };
	uint8_t *data = bulk(LEN);

	open_ends(3);
	EXPECT_EQ(write_all(&ends.client, data, LEN), TLS_DONE);
	EXPECT_EQ(write_all(&ends.server, data, LEN), TLS_DONE);
	EXPECT_EQ(read_all(&ends.client), TLS_MORE);
	EXPECT_EQ(read_all(&ends.server), TLS_MORE);
	EXPECT(span_equal(span_of(ends.client.got, ends.client.got_len), span_of(data, LEN)));
	EXPECT(span_equal(span_of(ends.server.got, ends.server.got_len), span_of(data, LEN)));
	ends_close(&ends);
	free(data);
}

/* What a client sends with its Finished is for tls_session_read. */
static void write_early(int version)
{
	enum tls_result client;

	join(version, 65536, 65536);
	do {
		client = shake(&ends.client);
		if (client != TLS_DONE)
			(void)shake(&ends.server);
	} while (client == TLS_MORE);
	EXPECT_EQ(client, TLS_DONE);
	EXPECT_EQ(write_all(&ends.client, "already", 7), TLS_DONE);
	if (version == 3)
		EXPECT_EQ(shake(&ends.server), TLS_DONE);
	EXPECT_EQ(read_all(&ends.server), TLS_MORE);
	EXPECT(got(&ends.server, "already"));
	ends_close(&ends);
}

TEST(data_right_behind_the_handshake_is_left_for_reading)
{
	each_version(write_early);
}

/* The first room for plaintext is short of several records. */
TEST(several_records_come_in_one_call_and_none_in_part)
{
	struct tls_output output = {ends_buffer, 0, 65536};
	uint8_t          *data = bulk(60000), plain[40000];
	struct span       input;
	uint32_t          len;

	open_ends(3);
	EXPECT_EQ(write_all(&ends.client, data, 60000), TLS_DONE);
	input = span_of(ends.up.data + ends.up.start, waiting(&ends.up));
	EXPECT_EQ(
		tls_session_read(ends.server.session, &input, &output, plain, sizeof(plain), &len),
		TLS_DATA);
	EXPECT(len > sizeof(plain) - TLS_SMALL_RECORD - 100);
	EXPECT_EQ(len % TLS_SMALL_RECORD, 0);
	EXPECT(input.len > 0 && memcmp(plain, data, len) == 0);
	ends_close(&ends);
	free(data);
}

/* ---- sizes of records ---- */

static size_t first_record(const struct wire *wire)
{
	const uint8_t *record = wire->data + wire->start;

	return waiting(wire) < 5 ? 0 : (size_t)record[3] << 8 | record[4];
}

static size_t last_record(const struct wire *wire)
{
	size_t at = wire->start, size = 0;

	while (at + 5 <= wire->end) {
		size = (size_t)wire->data[at + 3] << 8 | wire->data[at + 4];
		at += 5 + size;
	}
	return size;
}

TEST(records_are_small_first_and_after_a_pause_and_large_in_bulk)
{
	enum { SMALL = TLS_SMALL_RECORD + 17, LARGE = TLS_RECORD_MAX + 17, LEN = 48 * 16384 };
	uint8_t *data = bulk(LEN);

	open_ends(3);
	EXPECT_EQ(read_all(&ends.client), TLS_MORE); /* the tickets */
	EXPECT_EQ(write_all(&ends.server, data, LEN), TLS_DONE);
	EXPECT_EQ(first_record(&ends.down), SMALL);
	EXPECT_EQ(write_all(&ends.server, data, TLS_RECORD_MAX), TLS_DONE);
	EXPECT_EQ(last_record(&ends.down), LARGE);
	EXPECT_EQ(read_all(&ends.client), TLS_MORE);
	ends.server.now_ms += 999;
	EXPECT_EQ(write_all(&ends.server, data, TLS_RECORD_MAX), TLS_DONE);
	EXPECT_EQ(first_record(&ends.down), LARGE);
	EXPECT_EQ(read_all(&ends.client), TLS_MORE);
	ends.server.now_ms += 1000;
	EXPECT_EQ(write_all(&ends.server, data, TLS_RECORD_MAX), TLS_DONE);
	EXPECT_EQ(first_record(&ends.down), SMALL);
	ends_close(&ends);
	free(data);
}

static void measure(int version)
{
	static const uint32_t lens[] = {1, 1368, 1369, 1370, 16384, 16385, 60000};
	uint8_t              *data = bulk(65536);

	for (size_t i = 0; i < COUNT(lens); i++) {
		struct span plain = span_of(data, lens[i]);

		open_ends(version);
		ends.client.room = tls_session_wire_size(lens[i]);
		EXPECT_EQ(write_once(&ends.client, &plain), TLS_DONE);
		EXPECT_EQ(plain.len, 0);
		ends_close(&ends);
	}
	free(data);
}

TEST(an_output_of_the_size_that_is_told_takes_all_at_once)
{
	each_version(measure);
}

TEST(an_output_that_is_nearly_full_gets_no_sliver_of_a_record)
{
	struct tls_output output = {ends_buffer, 65536 - 1000, 65536};
	uint8_t          *data = bulk(5000);
	struct span       plain = span_of(data, 5000);

	open_ends(3);
	EXPECT_EQ(tls_session_write(ends.server.session, &plain, 0, &output), TLS_FULL);
	EXPECT_EQ(plain.len, 5000);
	EXPECT_EQ(output.len, 65536 - 1000);
	ends_close(&ends);
	free(data);
}

/* ---- ends of all kinds ---- */

static void close_both(int version)
{
	open_ends(version);
	EXPECT_EQ(write_all(&ends.client, "last words", 10), TLS_DONE);
	EXPECT_EQ(close_end(&ends.client), TLS_DONE);
	EXPECT_EQ(read_all(&ends.server), TLS_CLOSED);
	EXPECT(got(&ends.server, "last words"));
	/* Half-closed: the other way goes on. */
	EXPECT(passes(&ends.server, &ends.client, "and an answer", 13));
	EXPECT_EQ(close_end(&ends.server), TLS_DONE);
	EXPECT_EQ(read_all(&ends.client), TLS_CLOSED);
	EXPECT_EQ(close_end(&ends.server), TLS_DONE);
	EXPECT_EQ(waiting(&ends.down), 0);
	EXPECT_EQ(read_all(&ends.client), TLS_CLOSED);
	ends_close(&ends);
}

TEST(each_end_closes_its_own_direction)
{
	each_version(close_both);
}

TEST(what_follows_close_notify_is_ignored)
{
	open_ends(3);
	EXPECT_EQ(close_end(&ends.client), TLS_DONE);
	wire_put(&ends.up, "garbage of no meaning", 21);
	EXPECT_EQ(read_all(&ends.server), TLS_CLOSED);
	EXPECT_EQ(waiting(&ends.up), 0);
	wire_put(&ends.up, "more", 4);
	EXPECT_EQ(read_once(&ends.server), TLS_CLOSED);
	EXPECT_EQ(waiting(&ends.up), 0);
	EXPECT_EQ(ends.server.got_len, 0);
	ends_close(&ends);
}

/* The caller knows the wire's end, so it can tell a truncation by this. */
TEST(without_close_notify_reading_never_says_closed)
{
	open_ends(3);
	EXPECT_EQ(write_all(&ends.client, "cut", 3), TLS_DONE);
	ends.up.end--;
	EXPECT_EQ(read_all(&ends.server), TLS_MORE);
	EXPECT_EQ(ends.server.got_len, 0);
	EXPECT_EQ(read_once(&ends.server), TLS_MORE);
	ends_close(&ends);
}

static void write_after_close(int version)
{
	open_ends(version);
	EXPECT_EQ(close_end(&ends.server), TLS_DONE);
	EXPECT_EQ(read_all(&ends.client), TLS_CLOSED);
	EXPECT_EQ(write_all(&ends.server, "late", 4), TLS_FAILED);
	EXPECT_EQ(waiting(&ends.down), 0);
	ends_close(&ends);
}

TEST(nothing_is_written_behind_close_notify)
{
	each_version(write_after_close);
}

TEST(close_notify_waits_for_room)
{
	open_ends(3);
	EXPECT_EQ(read_all(&ends.client), TLS_MORE);
	ends.server.room = 3;
	EXPECT_EQ(close_end(&ends.server), TLS_FULL);
	EXPECT_EQ(waiting(&ends.down), 0);
	ends.server.room = TLS_OUTPUT_MIN;
	EXPECT_EQ(close_end(&ends.server), TLS_DONE);
	EXPECT_EQ(read_all(&ends.client), TLS_CLOSED);
	ends_close(&ends);
}

static void refuse(int version)
{
	struct tls_output output = {ends_buffer, 0, TLS_OUTPUT_MIN};

	open_ends(version);
	EXPECT_EQ(read_all(&ends.client), TLS_MORE);
	EXPECT_EQ(tls_session_refuse(ends.server.session, ALERT_ACCESS_DENIED, &output), TLS_DONE);
	wire_put(&ends.down, output.data, output.len);
	EXPECT_EQ(write_all(&ends.server, "late", 4), TLS_FAILED);
	EXPECT_EQ(read_all(&ends.client), TLS_FAILED);
	EXPECT(failed_as(&ends.client, TLS_FAILURE_RECORD, ALERT_ACCESS_DENIED));
	ends_close(&ends);
}

TEST(a_client_that_is_refused_behind_its_handshake_is_told_why)
{
	each_version(refuse);
}

static void corrupt(int version)
{
	enum { BAD_RECORD_MAC = 20 };

	open_ends(version);
	EXPECT_EQ(write_all(&ends.client, "good", 4), TLS_DONE);
	EXPECT_EQ(write_all(&ends.client, "bad", 3), TLS_DONE);
	ends.up.data[ends.up.end - 1] ^= 1;
	EXPECT_EQ(read_all(&ends.server), TLS_FAILED);
	EXPECT(got(&ends.server, "good"));
	EXPECT(failed_as(&ends.server, TLS_FAILURE_RECORD, BAD_RECORD_MAC));
	/* It stays so, and the client is told. */
	EXPECT_EQ(read_once(&ends.server), TLS_FAILED);
	EXPECT_EQ(write_all(&ends.server, "x", 1), TLS_FAILED);
	EXPECT_EQ(close_end(&ends.server), TLS_FAILED);
	EXPECT_EQ(read_all(&ends.client), TLS_FAILED);
	EXPECT(failed_as(&ends.client, TLS_FAILURE_RECORD, BAD_RECORD_MAC));
	ends_close(&ends);
}

TEST(a_record_that_does_not_verify_fails_the_session_with_an_alert)
{
	each_version(corrupt);
}

TEST(what_is_no_tls_fails_the_handshake)
{
	struct tls_context context = server_context(3, NULL);

	ends_open(&ends, &context, NULL, NULL);
	wolfSSL_CTX_free(context.library);
	wire_put(&ends.up, "GET / HTTP/1.1\r\nHost: server.example\r\n\r\n", 41);
	EXPECT_EQ(shake(&ends.server), TLS_FAILED);
	EXPECT_EQ(tls_session_failure(ends.server.session), TLS_FAILURE_HANDSHAKE);
	EXPECT(*tls_session_failure_text(ends.server.session));
	ends_close(&ends);
}

TEST(a_version_that_is_not_shared_fails_the_handshake)
{
	enum { PROTOCOL_VERSION = 70 };
	struct tls_context context = server_context(3, NULL);
	struct tls_client  client = client_context(2, ca_pem, nobody);

	ends_open(&ends, &context, &client, "server.example");
	EXPECT(!shake_hands(&ends));
	EXPECT(failed_as(&ends.server, TLS_FAILURE_HANDSHAKE, PROTOCOL_VERSION));
	EXPECT(failed_as(&ends.client, TLS_FAILURE_HANDSHAKE, PROTOCOL_VERSION));
	ends_close(&ends);
	wolfSSL_CTX_free(context.library);
	client_context_free(&client);
}

/* ---- memory ---- */

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#include <malloc.h>

static void weigh(int version)
{
	enum { PAIRS = 16, IDLE_MAX = 5 * 1024 };
	static struct ends pairs[PAIRS];
	struct tls_context context = server_context(version, NULL);
	struct tls_client  client = client_context(version, ca_pem, nobody);
	size_t             before, servers = 0;
	uint8_t           *data = bulk(20000);

	for (size_t i = 0; i < PAIRS; i++) {
		ends_open(&pairs[i], &context, &client, "server.example");
		EXPECT(shake_hands(&pairs[i]));
		EXPECT(passes(&pairs[i].client, &pairs[i].server, data, 20000));
		EXPECT(passes(&pairs[i].server, &pairs[i].client, data, 20000));
	}
	for (size_t i = 0; i < PAIRS; i++) {
		before = mallinfo2().uordblks;
		tls_session_free(pairs[i].server.session);
		pairs[i].server.session = NULL;
		servers += before - mallinfo2().uordblks;
	}
	EXPECT(servers > PAIRS * 1024);
	if (servers / PAIRS > IDLE_MAX)
		printf("  %zu bytes for an idle session\n", servers / PAIRS);
	EXPECT(servers / PAIRS <= IDLE_MAX);
	for (size_t i = 0; i < PAIRS; i++)
		ends_close(&pairs[i]);
	free(data);
	wolfSSL_CTX_free(context.library);
	client_context_free(&client);
}

TEST(an_idle_session_of_a_server_is_small_also_after_bulk)
{
	each_version(weigh);
}
#endif

int main(void)
{
	return tls_test_main();
}
