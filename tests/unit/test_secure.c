/* Between a socket's operations and a TLS session: the session here is a script, the operations are
 * armed and never submitted. */
#include "session/secure.h"

#include "session/conn.h"
#include "test.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- the session ---- */

/* What the next call makes of it. */
struct tls_session {
	enum tls_result result;
	uint32_t        takes; /* of the input */
	uint32_t        says;  /* bytes of output, counted up from *next* */
	uint32_t        hears; /* bytes of plaintext */
	uint8_t         next;
	uint8_t         first_taken;
	int             calls, freed;
};

static struct tls_session script;

static enum tls_result play(struct span *input, struct tls_output *output, uint32_t *len)
{
	uint32_t taken = input ? (uint32_t)min_size(script.takes, input->len) : 0;

	script.calls++;
	if (taken > 0) {
		script.first_taken = input->data[0];
		input->data += taken;
		input->len -= taken;
	}
	for (uint32_t i = 0; i < script.says; i++)
		output->data[output->len++] = script.next++;
	if (len)
		*len = script.hears;
	script.hears = 0;
	return script.result;
}

enum tls_result tls_session_handshake(struct tls_session *session, struct span *input,
                                      struct tls_output *output)
{
	(void)session;
	return play(input, output, NULL);
}

enum tls_result tls_session_read(struct tls_session *session, struct span *input,
                                 struct tls_output *output, uint8_t *plain, uint32_t size,
                                 uint32_t *len)
{
	(void)session, (void)plain, (void)size;
	return play(input, output, len);
}

enum tls_result tls_session_write(struct tls_session *session, struct span *plain, uint64_t now_ms,
                                  struct tls_output *output)
{
	(void)session, (void)now_ms;
	return play(plain, output, NULL);
}

enum tls_result tls_session_close(struct tls_session *session, struct tls_output *output)
{
	(void)session;
	return play(NULL, output, NULL);
}

enum tls_result tls_session_refuse(struct tls_session *session, enum alert alert,
                                   struct tls_output *output)
{
	(void)session, (void)alert;
	return play(NULL, output, NULL);
}

uint32_t tls_session_wire_size(uint32_t len)
{
	return 2 * len;
}

void tls_session_free(struct tls_session *session)
{
	session->freed++;
}

struct tls_session *tls_session_accept(const struct tls_context *context,
                                       const struct tls_choice  *choice)
{
	(void)context, (void)choice;
	return &script;
}

struct tls_session *tls_session_connect(const struct tls_client *client, struct span name,
                                        uint64_t resume_key)
{
	(void)client, (void)name, (void)resume_key;
	return &script;
}

/* What the rest of the session layer would ask; nothing here does. */
enum tls_failure tls_session_failure(const struct tls_session *session)
{
	(void)session;
	return TLS_FAILURE_RECORD;
}

const char *tls_session_failure_text(const struct tls_session *session)
{
	(void)session;
	return "";
}

uint8_t tls_session_alert(const struct tls_session *session)
{
	(void)session;
	return 0;
}

void tls_session_agreed(const struct tls_session *session, struct tls_agreed *agreed)
{
	(void)session;
	*agreed = (struct tls_agreed){0};
}

void tls_session_peer_subject(const struct tls_session *session, char *text, size_t size)
{
	(void)session, (void)size;
	*text = '\0';
}

/* ---- a side ---- */

enum { RECORDS_SIZE = 65536 };

static struct shard shard;
static struct conn  conn;
static struct side *side = &conn.client;
static int          fds[2];
static uint8_t      plain[TLS_RECORD_MAX];

static void begin(void)
{
	memset(&shard, 0, sizeof(shard));
	memset(&conn, 0, sizeof(conn));
	memset(&script, 0, sizeof(script));
	shard.records_size = RECORDS_SIZE;
	list_init(&shard.running);
	list_init(&shard.others);
	EXPECT(slab_init(&shard.secures, sizeof(struct secure), 1));
	EXPECT(slab_init(&shard.records, RECORDS_SIZE, 2));
	EXPECT_EQ(ring_init(&shard.ring, 64, false), 0);
	EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	conn.shard = &shard;
	list_init(&conn.in_ready);
	side_init(side, false);
	side->fd = fds[0];
	secure_begin(&conn, side);
	side->secure->session = &script;
}

/* All must be back. */
static void end(void)
{
	secure_fini(&conn, side);
	EXPECT_EQ(script.freed, 1);
	EXPECT_EQ(slab_in_use(&shard.records), 0);
	EXPECT_EQ(slab_in_use(&shard.secures), 0);
	slab_fini(&shard.records);
	slab_fini(&shard.secures);
	ring_fini(&shard.ring);
	close(fds[0]);
	close(fds[1]);
}

static void send_lands(int32_t res)
{
	EXPECT(side->output.busy);
	side->output.busy = false;
	side->output_res = res;
	side->facts |= SIDE_OUTPUT;
}

static void says(uint32_t n, enum tls_result result)
{
	struct span text = span_of(plain, 1);

	script.says = n;
	script.takes = 1;
	script.result = result;
	EXPECT(secure_write(&conn, side, &text) == result);
	script.says = 0;
}

/* ---- output ---- */

TEST(what_a_short_send_left_is_sent_from_there)
{
	begin();
	says(100, TLS_DONE);
	EXPECT(!secure_flush(&conn, side));
	EXPECT_EQ(side->secure->output_sending, 100);
	send_lands(30);
	EXPECT(!secure_flush(&conn, side));
	EXPECT(side->writable.busy);
	EXPECT_EQ(side->secure->output[side->secure->output_start], 30);
	EXPECT_EQ(side->secure->output_sending, 70);
	send_lands(70);
	EXPECT(secure_flush(&conn, side));
	EXPECT(!secure_is_sending(side));
	EXPECT_EQ(slab_in_use(&shard.records), 0);
	end();
}

TEST(a_send_that_took_nothing_waits_until_the_socket_is_writable)
{
	begin();
	says(100, TLS_DONE);
	EXPECT(!secure_flush(&conn, side));
	side->is_rechecked = true; /* a look has been had */
	send_lands(-EAGAIN);
	EXPECT(!secure_flush(&conn, side));
	EXPECT(!side->output.busy && side->is_blocked && !side->is_reset);
	side->facts |= SIDE_WRITABLE;
	EXPECT(!secure_flush(&conn, side));
	EXPECT(side->output.busy);
	send_lands(100);
	EXPECT(secure_flush(&conn, side));
	end();
}

TEST(what_is_said_during_a_send_goes_behind_it_and_moves_nothing)
{
	const uint8_t *sending;

	begin();
	says(100, TLS_DONE);
	EXPECT(!secure_flush(&conn, side));
	send_lands(40);
	EXPECT(!secure_flush(&conn, side));
	sending = side->secure->output + side->secure->output_start;
	says(50, TLS_DONE);
	EXPECT(sending == side->secure->output + side->secure->output_start);
	EXPECT_EQ(side->secure->output_sending, 60);
	send_lands(60);
	says(5, TLS_DONE); /* nor before it was looked at */
	EXPECT(!secure_flush(&conn, side));
	EXPECT_EQ(side->secure->output_sending, 55);
	EXPECT_EQ(side->secure->output[side->secure->output_start], 100);
	send_lands(55);
	EXPECT(secure_flush(&conn, side));
	end();
}

TEST(what_was_sent_makes_room_for_what_comes)
{
	begin();
	says(RECORDS_SIZE, TLS_FULL);
	EXPECT(!secure_flush(&conn, side));
	send_lands(1000);
	EXPECT(!secure_flush(&conn, side));
	send_lands(-EAGAIN);
	EXPECT(!secure_flush(&conn, side));
	EXPECT(!side->output.busy);
	says(1000, TLS_DONE); /* writes behind the buffer's end, if nothing has moved */
	EXPECT_EQ(side->secure->output_start, 0);
	EXPECT_EQ(side->secure->output_end, RECORDS_SIZE);
	end();
}

TEST(room_is_what_is_left_for_bytes_as_records)
{
	begin();
	EXPECT(secure_has_room(&conn, side, RECORDS_SIZE / 2));
	EXPECT(!secure_has_room(&conn, side, RECORDS_SIZE / 2 + 1));
	says(100, TLS_DONE);
	EXPECT(secure_has_room(&conn, side, RECORDS_SIZE / 2 - 50));
	EXPECT(!secure_has_room(&conn, side, RECORDS_SIZE / 2 - 49));
	end();
}

TEST(a_reset_ends_all_output)
{
	begin();
	says(100, TLS_DONE);
	EXPECT(!secure_flush(&conn, side));
	send_lands(-ECONNRESET);
	EXPECT(secure_flush(&conn, side));
	EXPECT(side->is_reset && !secure_is_sending(side));
	end();
}

TEST(raw_bytes_go_ahead_of_the_sessions)
{
	begin();
	secure_put_raw(&conn, side, span_text("PROXY"));
	says(3, TLS_DONE);
	EXPECT_EQ(side->secure->output_end, 8);
	EXPECT(memcmp(side->secure->output, "PROXY\0\1\2", 8) == 0);
	end();
}

/* ---- input ---- */

TEST(what_the_session_left_comes_before_what_is_received_next)
{
	uint32_t len;

	begin();
	script.takes = 3;
	script.hears = 1;
	script.result = TLS_FULL;
	EXPECT(secure_read(&conn, side, span_text("abcdef"), plain, sizeof(plain), &len) ==
	       TLS_FULL);
	EXPECT_EQ(len, 1);
	EXPECT(secure_has_more(side->secure));
	script.takes = 100;
	script.result = TLS_MORE;
	EXPECT(secure_read(&conn, side, span_of(NULL, 0), plain, sizeof(plain), &len) == TLS_MORE);
	EXPECT_EQ(script.first_taken, 'd');
	EXPECT(!secure_has_more(side->secure));
	EXPECT_EQ(slab_in_use(&shard.records), 0);
	end();
}

TEST(what_a_handshake_was_sent_is_kept_until_it_is_taken)
{
	begin();
	secure_keep(&conn, side, span_text("abc"));
	secure_keep(&conn, side, span_text("def"));
	script.takes = 4;
	script.says = 10;
	script.result = TLS_DONE;
	EXPECT(secure_handshake(&conn, side) == TLS_DONE);
	EXPECT(side->secure->is_established && secure_has_more(side->secure));
	EXPECT_EQ(side->secure->received[side->secure->received_start], 'e');
	EXPECT_EQ(side->secure->output_end, 10);
	end();
}

TEST(a_session_that_stops_for_want_of_room_has_more)
{
	uint32_t len;

	begin();
	script.takes = 100;
	script.result = TLS_FULL;
	EXPECT(secure_read(&conn, side, span_text("abc"), plain, sizeof(plain), &len) == TLS_FULL);
	EXPECT(!side->secure->received && secure_has_more(side->secure));
	end();
}

TEST(a_session_that_stops_for_want_of_room_for_plaintext_has_more)
{
	uint32_t len;

	begin();
	script.takes = 100;
	script.hears = 1;
	script.result = TLS_DATA;
	EXPECT(secure_read(&conn, side, span_text("abc"), plain, TLS_RECORD_MAX, &len) == TLS_DATA);
	EXPECT_EQ(script.calls, 1);
	EXPECT(!side->secure->received && secure_has_more(side->secure));
	end();
}

TEST(behind_the_peers_end_nothing_is_kept)
{
	static const enum tls_result ends[] = {TLS_CLOSED, TLS_FAILED};
	uint32_t                     len;

	for (size_t i = 0; i < COUNT(ends); i++) {
		begin();
		script.takes = 1;
		script.result = ends[i];
		EXPECT(secure_read(&conn, side, span_text("abc"), plain, sizeof(plain), &len) ==
		       ends[i]);
		EXPECT(!secure_has_more(side->secure));
		EXPECT_EQ(side->secure->peer_has_closed, ends[i] == TLS_CLOSED);
		EXPECT_EQ(side->secure->has_failed, ends[i] == TLS_FAILED);
		end();
	}
}

/* ---- the end of our half ---- */

TEST(a_session_that_only_a_write_found_failed_has_failed)
{
	struct span data = span_text("data");

	begin();
	script.result = TLS_FAILED;
	EXPECT_EQ(secure_write(&conn, side, &data), TLS_FAILED);
	EXPECT(side->secure->has_failed);
	end();
}

/* What the peer has been sent by now. */
static size_t heard(void)
{
	ssize_t n = recv(fds[1], plain, sizeof(plain), MSG_DONTWAIT);

	return n < 0 ? 0 : (size_t)n;
}

TEST(our_half_is_ended_once_and_all_of_it_is_sent_with_what_was_left)
{
	begin();
	says(10, TLS_DONE);
	script.says = 20;
	EXPECT(secure_finish(&conn, side, true));
	EXPECT_EQ(heard(), 30);
	EXPECT(secure_finish(&conn, side, true));
	EXPECT_EQ(script.calls, 2);
	EXPECT_EQ(heard(), 0);
	end();
}

TEST(the_end_of_our_half_is_sent_behind_what_is_being_sent)
{
	begin();
	says(10, TLS_DONE);
	EXPECT(!secure_flush(&conn, side));
	script.says = 20;
	EXPECT(!secure_finish(&conn, side, true));
	EXPECT(!secure_finish(&conn, side, true));
	EXPECT_EQ(heard(), 0);
	send_lands(10);
	EXPECT(secure_finish(&conn, side, true));
	EXPECT_EQ(heard(), 20);
	end();
}

TEST(the_end_of_our_half_waits_for_a_full_socket)
{
	begin();
	while (send(fds[0], plain, sizeof(plain), MSG_DONTWAIT) > 0)
		;
	script.says = 20;
	script.result = TLS_DONE;
	side->facts |= SIDE_WRITABLE; /* of long ago */
	EXPECT(!secure_finish(&conn, side, true));
	EXPECT(side->is_blocked && side->writable.busy && !(side->facts & SIDE_WRITABLE));
	while (heard() > 0)
		;
	side->facts |= SIDE_WRITABLE;
	EXPECT(secure_finish(&conn, side, true));
	EXPECT_EQ(heard(), 20);
	end();
}

TEST(the_end_of_our_half_finds_the_peer_gone)
{
	begin();
	close(fds[1]);
	fds[1] = -1;
	script.says = 20;
	script.result = TLS_DONE;
	EXPECT(secure_finish(&conn, side, true));
	EXPECT(side->is_reset);
	end();
}

TEST(an_end_that_finds_no_room_is_tried_again)
{
	begin();
	says(10, TLS_DONE);
	script.result = TLS_FULL;
	EXPECT(!secure_finish(&conn, side, true));
	EXPECT(!side->secure->is_finished);
	send_lands(10);
	script.says = 20;
	script.result = TLS_DONE;
	EXPECT(secure_finish(&conn, side, true));
	EXPECT(side->secure->is_finished);
	EXPECT_EQ(heard(), 20);
	end();
}

TEST(without_close_notify_nothing_is_said)
{
	begin();
	EXPECT(secure_finish(&conn, side, false));
	EXPECT_EQ(script.calls, 0);
	EXPECT(side->secure->is_finished);
	end();
}

TEST(behind_our_end_no_answer_goes_out)
{
	uint32_t len;

	begin();
	script.says = 7;
	secure_refuse(&conn, side, ALERT_INTERNAL_ERROR);
	script.result = TLS_MORE;
	EXPECT(secure_read(&conn, side, span_text("abc"), plain, sizeof(plain), &len) == TLS_MORE);
	EXPECT_EQ(side->secure->output_end, 7);
	end();
}

int main(void)
{
	return test_main();
}
