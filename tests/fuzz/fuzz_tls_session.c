/*
 * fuzz_tls_session: any bytes from a client. The first one says what they follow and how they are
 * cut: nothing at all, or a handshake, after which they are records in the clear or the contents of
 * a well-sealed one. Whatever comes: no read beyond the end, no endless loop, and a session that
 * has failed or ended stays so.
 */
#include "../unit/tls_seal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NOTHING_YET, IN_CLEAR, SEALED, PLACES };
enum { CALLS_MAX = 100000 };

static struct tls_context contexts[2];
static struct tls_client  clients[2];

static void start(void)
{
	if (contexts[0].library)
		return;
	(void)test_last; /* there are no tests to run here */
	if (tls_library_start() < 0)
		abort();
	for (int i = 0; i < 2; i++) {
		contexts[i] = server_context(2 + i, NULL);
		clients[i] = client_context(2 + i, ca_pem, nobody);
	}
}

static void must(bool is_so)
{
	if (!is_so)
		abort();
}

/* Of a session that has come to an end. */
static void check_end(struct end *server, enum tls_result result)
{
	wire_put(server->in, "more", 4);
	must(read_once(server) == result);
	if (result == TLS_CLOSED)
		must(write_all(server, "answer", 6) == TLS_DONE && close_end(server) == TLS_DONE);
	else
		must(*tls_session_failure_text(server->session) &&
		     write_all(server, "answer", 6) == TLS_FAILED);
}

static void shake_or_fail(struct end *server)
{
	for (int i = 0; i < CALLS_MAX; i++) {
		enum tls_result result = shake(server);

		if (result == TLS_FAILED) {
			must(tls_session_failure(server->session) != TLS_FAILURE_MEMORY);
			must(shake(server) == TLS_FAILED);
			return;
		}
		must(result != TLS_DONE); /* nobody has the keys */
		if (result == TLS_MORE && waiting(server->in) == 0)
			return;
	}
	abort();
}

static void read_to_end(struct end *server)
{
	for (int i = 0; i < CALLS_MAX; i++) {
		enum tls_result result = read_once(server);

		server->got_len = 0;
		if (result == TLS_CLOSED || result == TLS_FAILED) {
			check_end(server, result);
			return;
		}
		if (result == TLS_MORE && waiting(server->in) == 0)
			return;
	}
	abort();
}

/* As records of up to 300 bytes: a type, two bytes of length, what is in it. */
static void seal_all(int version, struct span rest)
{
	struct sealer sealer;

	sealer_init(&sealer, &ends.client, version);
	while (rest.len >= 3) {
		size_t len = (size_t)(rest.data[1] << 8 | rest.data[2]) % 300;

		len = min_size(len, rest.len - 3);
		seal(&sealer, &ends.up, rest.data[0], span_of(rest.data + 3, len));
		rest.data += 3 + len;
		rest.len -= 3 + len;
	}
	sealer_fini(&sealer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t steps[] = {1, 7, 1000, 65536};
	int                 place, is_13;

	if (size < 1 || size > 20000)
		return 0;
	start();
	place = data[0] % PLACES;
	is_13 = data[0] / PLACES % 2;
	ends_open(&ends, &contexts[is_13], place == NOTHING_YET ? NULL : &clients[is_13],
	          "server.example");
	if (place != NOTHING_YET)
		must(shake_hands(&ends));
	if (place == SEALED)
		seal_all(2 + is_13, span_of(data + 1, size - 1));
	else
		wire_put(&ends.up, data + 1, size - 1);
	ends.server.step = steps[data[0] / PLACES / 2 % COUNT(steps)];
	if (place == NOTHING_YET)
		shake_or_fail(&ends.server);
	else
		read_to_end(&ends.server);
	must(!test_failed);
	ends_close(&ends);
	return 0;
}
