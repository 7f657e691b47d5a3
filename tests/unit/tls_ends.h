/*
 * tls_ends: two TLS ends joined in memory by wires that a test may cut, delay and dribble on.
 *
 * The contexts here are made of wolfSSL's own, in place of src/tls/tls_context.c.
 */
#ifndef TESTS_UNIT_TLS_ENDS_H
#define TESTS_UNIT_TLS_ENDS_H

#include "tls/tls_internal.h"
#include "tls/tls_library.h"
#include "tls/tls_reuse.h"
#include "tls/tls_session.h"

#include "test.h"
#include "tls_certificates.h"

#include <stdlib.h>

enum { WIRE_MAX = 4 << 20, STORE_MAX = 2 << 20, TURNS_MAX = 2000000 };

/* ---- contexts ---- */

struct tls_context {
	WOLFSSL_CTX *library;
};

WOLFSSL_CTX *tls_context_library(const struct tls_context *context, uint32_t identity)
{
	(void)identity;
	return context->library;
}

bool tls_context_attach(const struct tls_context *context, WOLFSSL *ssl)
{
	(void)context, (void)ssl;
	return true;
}

/* A pair that a test's contexts are made by; NULL = none. */
struct credentials {
	const char *certificate, *key;
};

static inline void load(WOLFSSL_CTX *library, struct credentials own, const char *authority)
{
	if (own.certificate) {
		EXPECT_EQ(wolfSSL_CTX_use_certificate_chain_buffer(library,
		                                                   (const uint8_t *)own.certificate,
		                                                   (long)strlen(own.certificate)),
		          WOLFSSL_SUCCESS);
		EXPECT_EQ(wolfSSL_CTX_use_PrivateKey_buffer(library, (const uint8_t *)own.key,
		                                            (long)strlen(own.key),
		                                            WOLFSSL_FILETYPE_PEM),
		          WOLFSSL_SUCCESS);
	}
	if (authority)
		EXPECT_EQ(wolfSSL_CTX_load_verify_buffer(library, (const uint8_t *)authority,
		                                         (long)strlen(authority),
		                                         WOLFSSL_FILETYPE_PEM),
		          WOLFSSL_SUCCESS);
}

static inline WOLFSSL_METHOD *method(bool is_client, int version)
{
	if (version == 2)
		return is_client ? wolfTLSv1_2_client_method() : wolfTLSv1_2_server_method();
	return is_client ? wolfTLSv1_3_client_method() : wolfTLSv1_3_server_method();
}

/* A server with the certificate "server"; *authority* NULL = asks for no certificate. */
static inline struct tls_context server_context(int version, const char *authority)
{
	const struct credentials own = {server_pem, server_key};
	struct tls_context       context = {wolfSSL_CTX_new(method(false, version))};

	load(context.library, own, authority);
	wolfSSL_CTX_set_verify(context.library,
	                       authority ? WOLFSSL_VERIFY_PEER | WOLFSSL_VERIFY_FAIL_IF_NO_PEER_CERT
	                                 : WOLFSSL_VERIFY_NONE,
	                       tls_peer_verified);
	wolfSSL_CTX_set_session_cache_mode(context.library, WOLFSSL_SESS_CACHE_OFF);
	return context;
}

/* *authority* NULL = verifies nothing. */
static inline struct tls_client client_context(int version, const char *authority,
                                               struct credentials own)
{
	struct tls_client client = {.library = wolfSSL_CTX_new(method(true, version)),
	                            .reuse = tls_reuse_new(),
	                            .verifies = authority != NULL};

	load(client.library, own, authority);
	wolfSSL_CTX_set_verify(client.library,
	                       authority ? WOLFSSL_VERIFY_PEER : WOLFSSL_VERIFY_NONE,
	                       tls_peer_verified);
	wolfSSL_CTX_UseSessionTicket(client.library);
	return client;
}

static inline void client_context_free(struct tls_client *client)
{
	tls_reuse_put(client->reuse);
	wolfSSL_CTX_free(client->library);
}

/* ---- wires ---- */

struct wire {
	uint8_t *data;
	size_t   start, end; /* what waits to be read */
};

static inline size_t waiting(const struct wire *wire)
{
	return wire->end - wire->start;
}

static inline void wire_put(struct wire *wire, const void *data, size_t len)
{
	if (wire->start == wire->end)
		wire->start = wire->end = 0;
	if (WIRE_MAX - wire->end < len) {
		memmove(wire->data, wire->data + wire->start, waiting(wire));
		wire->end -= wire->start;
		wire->start = 0;
	}
	EXPECT(WIRE_MAX - wire->end >= len);
	memcpy(wire->data + wire->end, data, len);
	wire->end += len;
}

/* ---- ends ---- */

struct end {
	struct tls_session *session;
	struct wire        *in, *out;
	size_t              step; /* bytes fed to a call */
	uint32_t            room; /* of a call's output */
	uint8_t            *got;  /* plaintext */
	size_t              got_len;
	uint64_t            now_ms;
};

struct ends {
	struct end  server, client;
	struct wire up, down;
};

static inline void end_init(struct end *end, struct wire *in, struct wire *out)
{
	*end = (struct end){.in = in, .out = out, .step = 65536, .room = 65536};
	end->got = malloc(STORE_MAX);
}

/* *client* NULL: the test itself is the client. */
static inline void ends_open(struct ends *ends, const struct tls_context *context,
                             const struct tls_client *client, const char *name)
{
	const struct tls_choice choice = {0};

	ends->up = (struct wire){malloc(WIRE_MAX), 0, 0};
	ends->down = (struct wire){malloc(WIRE_MAX), 0, 0};
	end_init(&ends->server, &ends->up, &ends->down);
	end_init(&ends->client, &ends->down, &ends->up);
	ends->server.session = tls_session_accept(context, &choice);
	if (client)
		ends->client.session = tls_session_connect(client, span_text(name), 7);
	EXPECT(ends->server.session && (!client || ends->client.session));
}

static inline void ends_close(struct ends *ends)
{
	tls_session_free(ends->server.session);
	tls_session_free(ends->client.session);
	free(ends->server.got);
	free(ends->client.got);
	free(ends->up.data);
	free(ends->down.data);
}

static uint8_t ends_buffer[1 << 16];

static inline struct span fed(const struct end *end)
{
	return span_of(end->in->data + end->in->start, min_size(end->step, waiting(end->in)));
}

static inline void took(struct end *end, struct span before, struct span after,
                        const struct tls_output *output)
{
	end->in->start += before.len - after.len;
	wire_put(end->out, output->data, output->len);
}

static inline enum tls_result shake(struct end *end)
{
	struct tls_output output = {ends_buffer, 0, end->room};
	struct span       before = fed(end), input = before;
	enum tls_result   result = tls_session_handshake(end->session, &input, &output);

	EXPECT(result != TLS_MORE || input.len == 0);
	took(end, before, input, &output);
	return result;
}

/* Until both are done, or both cannot go on; true: done. */
static inline bool shake_hands(struct ends *ends)
{
	enum tls_result client = TLS_MORE, server = TLS_MORE;

	for (int i = 0; i < TURNS_MAX; i++) {
		bool is_stuck = waiting(&ends->up) == 0 && waiting(&ends->down) == 0 && i > 0;

		if (client == TLS_DONE && server == TLS_DONE)
			return true;
		if (client != TLS_DONE && client != TLS_FAILED) {
			client = shake(&ends->client);
			is_stuck = is_stuck && client == TLS_MORE;
		}
		if (server != TLS_DONE && server != TLS_FAILED) {
			server = shake(&ends->server);
			is_stuck = is_stuck && server == TLS_MORE;
		}
		if (client == TLS_FAILED && server == TLS_FAILED)
			return false;
		if (is_stuck && waiting(&ends->up) == 0 && waiting(&ends->down) == 0)
			return false;
	}
	return false;
}

/* One call; its plaintext goes to *got*. */
static inline enum tls_result read_once(struct end *end)
{
	static uint8_t    plain[TLS_RECORD_MAX * 2];
	struct tls_output output = {ends_buffer, 0, end->room};
	struct span       before = fed(end), input = before;
	uint32_t          len = 0;
	enum tls_result   result = tls_session_read(end->session, &input, &output, plain,
	                                            sizeof(plain), &len);

	EXPECT((result == TLS_DATA) == (len > 0));
	EXPECT(result != TLS_MORE || input.len == 0);
	took(end, before, input, &output);
	EXPECT(end->got_len + len <= STORE_MAX);
	memcpy(end->got + end->got_len, plain, len);
	end->got_len += len;
	return result;
}

/* Until the wire is empty or there is an end; the last result. */
static inline enum tls_result read_all(struct end *end)
{
	enum tls_result result;

	do {
		result = read_once(end);
	} while (result == TLS_DATA || result == TLS_FULL ||
	         (result == TLS_MORE && waiting(end->in) > 0));
	return result;
}

static inline enum tls_result write_once(struct end *end, struct span *plain)
{
	struct tls_output output = {ends_buffer, 0, end->room};
	enum tls_result   result = tls_session_write(end->session, plain, end->now_ms, &output);

	wire_put(end->out, output.data, output.len);
	return result;
}

static inline enum tls_result write_all(struct end *end, const void *data, size_t len)
{
	struct span     plain = span_of(data, len);
	enum tls_result result;

	do {
		result = write_once(end, &plain);
	} while (result == TLS_FULL);
	return result;
}

static inline enum tls_result close_end(struct end *end)
{
	struct tls_output output = {ends_buffer, 0, end->room};
	enum tls_result   result = tls_session_close(end->session, &output);

	wire_put(end->out, output.data, output.len);
	return result;
}

static inline bool got(const struct end *end, const char *text)
{
	return span_equal(span_of(end->got, end->got_len), span_text(text));
}

/* ---- what most tests begin with ---- */

static const struct credentials nobody;

static struct ends ends;

/* A server and a client that trusts it, of TLS 1.*version*, not yet shaken hands. */
static inline void join(int version, size_t step, uint32_t room)
{
	struct tls_context context = server_context(version, NULL);
	struct tls_client  client = client_context(version, ca_pem, nobody);

	ends_open(&ends, &context, &client, "server.example");
	ends.client.step = ends.server.step = step;
	ends.client.room = ends.server.room = room;
	wolfSSL_CTX_free(context.library);
	client_context_free(&client);
}

static inline void open_ends(int version)
{
	join(version, 65536, 65536);
	EXPECT(shake_hands(&ends));
}

static inline void each_version(void (*test)(int version))
{
	test(2);
	test(3);
}

/* Bytes that never repeat soon. */
static inline uint8_t *bulk(size_t len)
{
	uint8_t *data = malloc(len);

	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)(i * 2654435761u >> 13);
	return data;
}

static inline bool passes(struct end *from, struct end *to, const void *data, size_t len)
{
	struct span     plain = span_of(data, len);
	enum tls_result wrote, read;

	to->got_len = 0;
	do {
		wrote = write_once(from, &plain);
		read = read_all(to);
	} while (wrote == TLS_FULL && read == TLS_MORE);
	return wrote == TLS_DONE && read == TLS_MORE &&
	       span_equal(span_of(to->got, to->got_len), span_of(data, len));
}

static inline bool failed_as(const struct end *end, enum tls_failure failure, uint8_t alert)
{
	bool is_so = tls_session_failure(end->session) == failure &&
	             tls_session_alert(end->session) == alert &&
	             *tls_session_failure_text(end->session);

	if (!is_so)
		printf("  failure %d, alert %d, \"%s\"\n", (int)tls_session_failure(end->session),
		       (int)tls_session_alert(end->session),
		       tls_session_failure_text(end->session));
	return is_so;
}

static inline int tls_test_main(void)
{
	int failures;

	if (tls_library_start() < 0)
		return 1;
	failures = test_main();
	tls_library_stop();
	return failures;
}

#endif
