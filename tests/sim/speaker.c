#include "sim/speaker.h"

#include "conf/conf.h"
#include "tls/tls_internal.h"
#include "tls/tls_library.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Ed25519: all its signatures are of one length. a.test, b.test, for a hundred years. */
static const char certificate[] =
	"-----BEGIN CERTIFICATE-----\n"
	"MIIBVDCCAQagAwIBAgIUcmESV4ybIPo+fk+d/jBu7Mr+YSswBQYDK2VwMBExDzAN\n"
	"BgNVBAMMBmEudGVzdDAgFw0yNjExMjgyMTM0NDFaGA8yMTI2MTEwNDIxMzQ0MVow\n"
	"ETEPMA0GA1UEAwwGYS50ZXN0MCowBQYDK2VwAyEAdbQ+qjAmgPjsDJ5wdNNXvuDC\n"
	"xzdb2Voj1v0XG4mYPX6jbjBsMB0GA1UdDgQWBBTvQ3kM/8RowKdfDT1ag+kOLB+u\n"
	"iDAfBgNVHSMEGDAWgBTvQ3kM/8RowKdfDT1ag+kOLB+uiDAPBgNVHRMBAf8EBTAD\n"
	"AQH/MBkGA1UdEQQSMBCCBmEudGVzdIIGYi50ZXN0MAUGAytlcANBAHXKrIy76OYf\n"
	"2czLT1kMIzz0+9El6S/nKiOiSehrHcDye8rlbPm0a106UlKNMeNX9MC01vIn4BKn\n"
	"fnVyhRUuRQY=\n"
	"-----END CERTIFICATE-----\n";

static const char key[] = "-----BEGIN PRIVATE KEY-----\n"
			  "MC4CAQAwBQYDK2VwBCIEIEe+00+O6zcS34SKEEglXLhFWmXopungBhNhF6LdwzV7\n"
			  "-----END PRIVATE KEY-----\n";

struct speaker_contexts speaker_contexts;

/* ------------------------------------------------------------------ contexts */

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	CHECK(file && fputs(text, file) >= 0);
	CHECK(fclose(file) == 0);
}

static struct tls_context *build(const struct conf_tls *conf, struct conf_report *report)
{
	struct tls_context *context = tls_context_build(conf, speaker_contexts.store, report);

	if (!context)
		conf_report_print(report, stdout);
	CHECK(context);
	return context;
}

void speaker_contexts_open(void)
{
	char                folder[] = P_tmpdir "/penstock-sim-XXXXXX", paths[2][64];
	struct conf_report *report = conf_report_new();
	struct conf_file    certificates, keys;
	struct conf_tls     conf = {
		    .section = "tls sim",
		    .pos = {"sim", 1},
		    .certificates = &certificates,
		    .keys = &keys,
		    .certificate_count = 1,
		    .key_count = 1,
		    .prefer_server_ciphers = true,
		    .session_timeout_ms = 3600000,
		    .session_tickets = true,
		    .verify_depth = 1,
        };

	CHECK(tls_library_start() == 0 && report && mkdtemp(folder));
	snprintf(paths[0], sizeof(paths[0]), "%s/certificate", folder);
	snprintf(paths[1], sizeof(paths[1]), "%s/key", folder);
	write_file(paths[0], certificate);
	write_file(paths[1], key);
	certificates = (struct conf_file){paths[0], {"sim", 1}};
	keys = (struct conf_file){paths[1], {"sim", 1}};
	speaker_contexts.store = tls_store_new();
	CHECK(speaker_contexts.store);
	conf.protocols = CONF_TLS12;
	speaker_contexts.tls12 = build(&conf, report);
	conf.protocols = CONF_TLS13;
	speaker_contexts.tls13 = build(&conf, report);
	conf_report_free(report);
	unlink(paths[0]);
	unlink(paths[1]);
	rmdir(folder);
}

void speaker_contexts_close(void)
{
	tls_context_free(speaker_contexts.tls12);
	tls_context_free(speaker_contexts.tls13);
	tls_store_free(speaker_contexts.store);
	tls_library_stop();
}

struct tls_client *speaker_client_new(void)
{
	static const struct conf_tls_client conf = {.section = "upstream sim", .pos = {"sim", 1}};
	struct conf_report                 *report = conf_report_new();
	struct tls_client *client = tls_client_build(&conf, speaker_contexts.store, report);

	CHECK(report && client);
	conf_report_free(report);
	return client;
}

/* ------------------------------------------------------------------ beginning and end */

static void begin(struct speaker *speaker, struct sock *sock, struct tls_session *session)
{
	CHECK(session);
	sock_give_wire(sock);
	*speaker = (struct speaker){.sock = sock, .session = session};
}

void speaker_call(struct speaker *speaker, struct sock *sock, const struct tls_client *client,
                  const char *name)
{
	begin(speaker, sock, tls_session_connect(client, span_text(name), 1));
}

void speaker_answer(struct speaker *speaker, struct sock *sock, const struct tls_context *context)
{
	const struct tls_choice choice = {0};

	begin(speaker, sock, tls_session_accept(context, &choice));
}

void speaker_fini(struct speaker *speaker)
{
	tls_session_free(speaker->session);
	speaker->session = NULL;
}

void speaker_put_raw(struct speaker *speaker, const void *data, size_t len)
{
	struct wire *wire = speaker->sock->wire;

	CHECK(len <= WIRE_MAX - wire->in_len);
	memcpy(wire->in + wire->in_len, data, len);
	wire->in_len += (uint32_t)len;
}

/* ------------------------------------------------------------------ hearing */

static void judge(struct sock *sock, const uint8_t *plain, uint32_t len)
{
	uint32_t at = sock->wire->heard + sock->skip;

	if (!sock->source)
		fail("fd %d hears %u bytes of nobody's", sock->fd, len);
	if (at + len > sock_said(sock->source))
		fail("fd %d hears bytes that were never said: up to %u of %u", sock->fd, at + len,
		     sock_said(sock->source));
	if (!stream_has(&sock->source->stream, at, plain, len))
		fail("fd %d hears wrong bytes at offset %u, %u of them", sock->fd, at, len);
	sock->wire->heard += len;
	trace("fd %d: heard %u, %u in all", sock->fd, len, sock->wire->heard);
}

/* Only what the far end says may end it. */
static void note_failure(struct speaker *speaker)
{
	WOLFSSL_ALERT_HISTORY history = {0};
	struct sock          *sock = speaker->sock;

	speaker->has_failed = true;
	(void)wolfSSL_get_alert_history(tls_session_library(speaker->session), &history);
	if (history.last_rx.code <= 0)
		fail("fd %d: what is sent to it is no TLS: %s", sock->fd,
		     tls_session_failure_text(speaker->session));
	sock->wire->heard_alert = (uint8_t)history.last_rx.code;
	trace("fd %d: heard the alert %u", sock->fd, sock->wire->heard_alert);
}

static struct tls_output output_of(struct wire *wire)
{
	return (struct tls_output){wire->in, wire->in_len, WIRE_MAX};
}

static enum tls_result step(struct speaker *speaker, struct span *input)
{
	static uint8_t    plain[2 * TLS_RECORD_MAX];
	struct wire      *wire = speaker->sock->wire;
	struct tls_output output = output_of(wire);
	enum tls_result   result;
	uint32_t          len = 0;

	if (wire->is_shaken) {
		result = tls_session_read(speaker->session, input, &output, plain, sizeof(plain),
		                          &len);
	} else {
		result = tls_session_handshake(speaker->session, input, &output);
		wire->is_shaken = result == TLS_DONE;
	}
	/* Behind its own end it has nothing to say. */
	if (wire->end_at == 0)
		wire->in_len = output.len;
	if (len > 0)
		judge(speaker->sock, plain, len);
	return result;
}

/* What goes ahead of TLS. */
static void hear_preface(struct speaker *speaker)
{
	struct sock *sock = speaker->sock;
	uint32_t     end = min_u32(sock->out_read, sock->preface_len);

	if (speaker->fed >= end)
		return;
	if (memcmp(sock->wire->out + speaker->fed, sock->preface + speaker->fed,
	           end - speaker->fed) != 0)
		fail("fd %d: a wrong PROXY header", sock->fd);
	speaker->fed = end;
}

void speaker_hear(struct speaker *speaker)
{
	struct sock    *sock = speaker->sock;
	struct span     input;
	enum tls_result result = TLS_DATA;

	hear_preface(speaker);
	if (speaker->fed < sock->preface_len || speaker->has_failed ||
	    sock->out_read < speaker->awaits)
		return;
	if (sock->preface_len < speaker->awaits) {
		speaker->has_failed = true; /* it was refused, in words of another protocol */
		return;
	}
	if (sock->wire->has_heard_end && sock->out_read > speaker->fed)
		fail("fd %d: %u bytes behind close_notify", sock->fd,
		     sock->out_read - speaker->fed);
	while ((result == TLS_DATA || result == TLS_DONE) && !sock->wire->has_heard_end) {
		input = span_of(sock->wire->out + speaker->fed, sock->out_read - speaker->fed);
		result = step(speaker, &input);
		speaker->fed = sock->out_read - (uint32_t)input.len;
	}
	if (result == TLS_CLOSED)
		sock->wire->has_heard_end = true;
	if (result == TLS_FAILED)
		note_failure(speaker);
	if (result == TLS_FULL)
		fail("fd %d: the simulation has no room for more bytes", sock->fd);
}

/* ------------------------------------------------------------------ saying */

void speaker_say(struct speaker *speaker, uint32_t n)
{
	static uint8_t text[4096];
	struct sock   *sock = speaker->sock;

	while (n > 0) {
		uint32_t          len = min_u32(n, sizeof(text));
		struct span       plain = span_of(text, len);
		struct tls_output output = output_of(sock->wire);
		enum tls_result   result;

		stream_bytes(&sock->stream, sock->wire->said, text, len);
		result = tls_session_write(speaker->session, &plain, kernel.now_ms, &output);
		if (result != TLS_DONE)
			fail("fd %d: it cannot speak: %d", sock->fd, (int)result);
		sock->wire->in_len = output.len;
		sock->wire->said += len;
		n -= len;
	}
	kernel.moves++;
}

void speaker_say_end(struct speaker *speaker)
{
	struct wire      *wire = speaker->sock->wire;
	struct tls_output output = output_of(wire);

	if (tls_session_close(speaker->session, &output) != TLS_DONE)
		fail("fd %d: it cannot end", speaker->sock->fd);
	wire->in_len = wire->end_at = output.len;
	wire->end_ms = kernel.now_ms;
	kernel.moves++;
	trace("fd %d: close_notify behind %u", speaker->sock->fd, wire->said);
}

/* TLS 1.3 alone has it. Goes along with what is said next. */
void speaker_update_keys(struct speaker *speaker)
{
	(void)wolfSSL_update_keys(tls_session_library(speaker->session));
}

void speaker_garble(struct speaker *speaker)
{
	static const uint8_t record[5 + 32] = {0x17, 3, 3, 0, 32, 0x55};

	speaker_put_raw(speaker, record, sizeof(record));
	speaker->sock->wire->is_garbled = true;
	kernel.moves++;
	trace("fd %d: garbled", speaker->sock->fd);
}
