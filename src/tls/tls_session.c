#include "tls/tls_session.h"

#include "policy/curves.h"
#include "proto/addr.h"
#include "tls/tls_reuse.h"
#include "tls/tls_session_parts.h"

#include <stdlib.h>

enum {
	/* The most that a record adds to its plaintext, whatever the cipher (CBC: IV, MAC,
	 * padding), and the KeyUpdate that goes before it when a key has been used up (RFC 8446
	 * 5.5). */
	RECORD_OVERHEAD = 128,
	/* Records shorter than this are not made only because the output is nearly full. */
	RECORD_WORTH_CUTTING = 1024,

	/* Small records until so much was written without a pause: about what TCP's first window
	 * takes a few times over, so that the first bytes of an answer are decrypted as they come,
	 * not when the 16th segment is there. Cloudflare and h2o do alike. */
	SMALL_RECORD_BYTES = 65536,
	SMALL_RECORD_PAUSE_MS = 1000,

	/* Early data that is skipped: other servers give leave for 16 KiB, here in records with all
	 * that these add. */
	EARLY_DATA_MAX = 32768,
};

/* ---- beginning and end ---- */

static struct tls_session *session_new(WOLFSSL_CTX *context)
{
	struct tls_session *session = calloc(1, sizeof(*session));

	if (!session)
		return NULL;
	session->library = wolfSSL_new(context);
	if (!session->library) {
		free(session);
		return NULL;
	}
	session->failure_text = "";
	wolfSSL_SSLSetIORecv(session->library, tls_wire_receive);
	wolfSSL_SSLSetIOSend(session->library, tls_wire_transmit);
	wolfSSL_SetIOReadCtx(session->library, session);
	wolfSSL_SetIOWriteCtx(session->library, session);
	wolfSSL_SetCertCbCtx(session->library, &session->peer);
	return session;
}

static bool offer_protocols(struct tls_session *session, const char *names, size_t len)
{
	return wolfSSL_UseALPN(session->library, (char *)(uintptr_t)names, (word32)len,
	                       WOLFSSL_ALPN_CONTINUE_ON_MISMATCH) == WOLFSSL_SUCCESS;
}

struct tls_session *tls_session_accept(const struct tls_context *context,
                                       const struct tls_choice  *choice)
{
	struct tls_session *session = session_new(tls_context_library(context, choice->identity));

	if (!session)
		return NULL;
	if (!tls_context_attach(context, session->library)) {
		tls_session_free(session);
		return NULL;
	}
	/* The only one on offer, for wolfSSL would go by the client's order. */
	if (choice->alpn.len > 0 &&
	    !offer_protocols(session, (const char *)choice->alpn.data, choice->alpn.len)) {
		tls_session_free(session);
		return NULL;
	}
	return session;
}

/* wolfSSL, built lean, knows no addresses in certificates and takes no host name of one label, as a
 * cluster's services have. */
static bool verify_name(struct tls_session *session, const char *name, bool is_address)
{
	if (!is_address && wolfSSL_check_domain_name(session->library, name) == WOLFSSL_SUCCESS)
		return true;
	session->peer.expected = strdup(name);
	return session->peer.expected;
}

/* What the server is told, and must be able to prove. */
static bool expect_name(struct tls_session *session, const struct tls_client *client,
                        struct span name)
{
	char        text[HELLO_NAME_MAX + 1];
	struct addr addr;
	bool        is_address = addr_parse_ip(name, &addr);

	if (name.len == 0)
		return true;
	if (name.len >= sizeof(text))
		return false;
	memcpy(text, name.data, name.len);
	text[name.len] = '\0';
	/* RFC 6066 3: no addresses in SNI. */
	if (!is_address && wolfSSL_UseSNI(session->library, WOLFSSL_SNI_HOST_NAME, text,
	                                  (word16)name.len) != WOLFSSL_SUCCESS)
		return false;
	return !client->verifies || verify_name(session, text, is_address);
}

/* CallbackSessionTicket: one has come. */
static int note_ticket(WOLFSSL *library, const unsigned char *ticket, int len, void *context)
{
	struct tls_session *session = context;

	(void)library, (void)ticket;
	session->has_new_ticket = len > 0;
	return 0;
}

struct tls_session *tls_session_connect(const struct tls_client *client, struct span name,
                                        uint64_t resume_key)
{
	struct tls_session *session = session_new(client->library);
	WOLFSSL_SESSION    *kept;

	if (!session)
		return NULL;
	session->is_client = true;
	session->resume_key = resume_key;
	session->reuse = tls_reuse_get(client->reuse);
	(void)wolfSSL_set_SessionTicket_cb(session->library, note_ticket, session);
	if (!expect_name(session, client, name) ||
	    (client->alpn && !offer_protocols(session, client->alpn, strlen(client->alpn)))) {
		tls_session_free(session);
		return NULL;
	}
	kept = tls_reuse_take(session->reuse, resume_key);
	if (kept) {
		/* Nobody else has it: the session that uses it may write to it. One that has
		 * expired is refused, and done without. */
		session->has_offered = true;
		(void)wolfSSL_set_session(session->library, kept);
		wolfSSL_SESSION_free(kept);
	}
	return session;
}

/* The ticket that was offered is kept beside the secret of the new session, for which it does not
 * stand, until a new one comes: whoever offered it next would fail. Not so where TLS 1.2 has
 * resumed, which goes on with the old secret. */
static bool may_keep(const struct tls_session *session)
{
	if (!session->has_offered || session->has_new_ticket)
		return true;
	return wolfSSL_session_reused(session->library) &&
	       wolfSSL_version(session->library) == TLS1_2_VERSION;
}

/* Only now does nothing of wolfSSL write to it any more: tickets come at any time. */
static void keep_for_reuse(struct tls_session *session)
{
	WOLFSSL_SESSION *kept = NULL;

	if (may_keep(session))
		kept = wolfSSL_get1_session(session->library);
	wolfSSL_free(session->library);
	if (kept)
		tls_reuse_keep(session->reuse, session->resume_key, kept);
}

void tls_session_free(struct tls_session *session)
{
	if (!session)
		return;
	if (session->reuse && session->established && !session->has_failed)
		keep_for_reuse(session);
	else
		wolfSSL_free(session->library);
	tls_reuse_put(session->reuse);
	tls_peer_fini(&session->peer);
	free(session);
}

/* ---- handshake, reading, writing, closing ---- */

/* *input* NULL: nothing is read in this call. */
static void attach(struct tls_session *session, struct span *input, struct tls_output *output)
{
	session->input = input;
	session->output = output;
	session->is_blocked = false;
}

static void detach(struct tls_session *session)
{
	session->input = NULL;
	session->output = NULL;
}

/* To a client that offers early data wolfSSL reports success ahead of its certificate and Finished,
 * for servers that want to read such data: nothing is established yet. What it sends has not been
 * let in and is skipped (RFC 8446 4.2.10), up to a size that the library knows only as the one that
 * its tickets announce: there will be none. */
static int accept_client(struct tls_session *session)
{
	int code = wolfSSL_accept(session->library);

	if (code != WOLFSSL_SUCCESS || wolfSSL_is_init_finished(session->library))
		return code;
	if (wolfSSL_no_ticket_TLSv13(session->library) != 0 ||
	    wolfSSL_set_max_early_data(session->library, EARLY_DATA_MAX) < 0)
		return WOLFSSL_FATAL_ERROR;
	return wolfSSL_accept(session->library);
}

enum tls_result tls_session_handshake(struct tls_session *session, struct span *input,
                                      struct tls_output *output)
{
	enum tls_result result = TLS_DONE;
	int             code;

	if (session->has_failed)
		return TLS_FAILED;
	attach(session, input, output);
	code = session->is_client ? wolfSSL_connect(session->library) : accept_client(session);
	if (code == WOLFSSL_SUCCESS) {
		session->established = true;
		session->quiet_records = 0;
	} else {
		result = tls_outcome(session, code);
	}
	detach(session);
	return result;
}

static enum tls_result close_reading(struct tls_session *session, struct span *input)
{
	session->is_closed = true;
	input->data += input->len;
	input->len = 0;
	return TLS_CLOSED;
}

/* The next record is there as a whole and its plaintext fits: better now than in a call, and a send
 * of the caller's, of its own. */
static bool has_another(const struct tls_session *session, uint32_t room)
{
	const struct span *input = session->input;
	size_t             body;

	if (!tls_is_at_record_start(&session->framing) || input->len < TLS_RECORD_HEADER)
		return false;
	body = (size_t)input->data[3] << 8 | input->data[4];
	return body <= room && input->len - TLS_RECORD_HEADER >= body &&
	       tls_room_of(session->output) >= TLS_OUTPUT_MIN;
}

static enum tls_result read_records(struct tls_session *session, uint8_t *plain, uint32_t size,
                                    uint32_t *len)
{
	do {
		int got = wolfSSL_read(session->library, plain + *len, (int)(size - *len));

		if (got <= 0) {
			if (wolfSSL_get_error(session->library, got) == WOLFSSL_ERROR_ZERO_RETURN)
				return close_reading(session, session->input);
			return tls_outcome(session, got);
		}
		session->quiet_records = 0;
		*len += (uint32_t)got;
	} while (has_another(session, size - *len));
	return TLS_DATA;
}

enum tls_result tls_session_read(struct tls_session *session, struct span *input,
                                 struct tls_output *output, uint8_t *plain, uint32_t size,
                                 uint32_t *len)
{
	enum tls_result result;

	*len = 0;
	if (session->has_failed)
		return TLS_FAILED;
	if (session->is_closed)
		return close_reading(session, input);
	attach(session, input, output);
	result = read_records(session, plain, size, len);
	detach(session);
	/* What came before the end, or the broken record, is good; the next call tells the rest. */
	return *len > 0 ? TLS_DATA : result;
}

static uint32_t record_limit(struct tls_session *session, uint64_t now_ms)
{
	if (now_ms - session->written_ms >= SMALL_RECORD_PAUSE_MS)
		session->bulk_bytes = 0;
	session->written_ms = now_ms;
	return session->bulk_bytes < SMALL_RECORD_BYTES ? TLS_SMALL_RECORD : TLS_RECORD_MAX;
}

/* How much of *len* bytes the next record takes; 0 = better wait for an output with more room.
 * Never more than fits, so that wolfSSL keeps no ciphertext: it would be 16 KiB of its heap. */
static uint32_t record_size(const struct tls_output *output, size_t len, uint32_t limit)
{
	uint32_t size = (uint32_t)min_size(len, limit), room = tls_room_of(output);

	if (room >= size + RECORD_OVERHEAD)
		return size;
	if (room < TLS_OUTPUT_MIN || (output->len > 0 && room < RECORD_WORTH_CUTTING))
		return 0;
	return room - RECORD_OVERHEAD;
}

static enum tls_result write_records(struct tls_session *session, struct span *plain,
                                     uint64_t now_ms)
{
	while (plain->len > 0) {
		uint32_t limit = record_limit(session, now_ms);
		uint32_t size = record_size(session->output, plain->len, limit);
		int      put;

		if (size == 0)
			return TLS_FULL;
		put = wolfSSL_write(session->library, plain->data, (int)size);
		if (put <= 0)
			return tls_failed(session, wolfSSL_get_error(session->library, put));
		plain->data += put;
		plain->len -= (size_t)put;
		if (session->bulk_bytes < SMALL_RECORD_BYTES)
			session->bulk_bytes += (uint32_t)put;
	}
	return TLS_DONE;
}

enum tls_result tls_session_write(struct tls_session *session, struct span *plain, uint64_t now_ms,
                                  struct tls_output *output)
{
	enum tls_result result;

	if (session->has_failed)
		return TLS_FAILED;
	/* wolfSSL itself would write on behind its close_notify. */
	if (session->has_closed)
		return tls_failed_as(session, TLS_FAILURE_RECORD, "written after close_notify");
	attach(session, NULL, output);
	result = write_records(session, plain, now_ms);
	detach(session);
	return result;
}

uint32_t tls_session_wire_size(uint32_t len)
{
	return len + (len / TLS_SMALL_RECORD + 1) * RECORD_OVERHEAD;
}

enum tls_result tls_session_close(struct tls_session *session, struct tls_output *output)
{
	int code;

	if (session->has_failed)
		return TLS_FAILED;
	if (session->has_closed)
		return TLS_DONE;
	if (tls_room_of(output) < TLS_OUTPUT_MIN)
		return TLS_FULL;
	attach(session, NULL, output);
	session->has_closed = true;
	code = wolfSSL_shutdown(session->library);
	detach(session);
	if (code == WOLFSSL_SUCCESS || code == WOLFSSL_SHUTDOWN_NOT_DONE)
		return TLS_DONE;
	return tls_failed(session, wolfSSL_get_error(session->library, code));
}

/* wolfSSL's own; no public function sends an alert of the caller's choice. Weak: a shared library
 * hides it. */
extern int SendAlert(WOLFSSL *ssl, int severity, int type) __attribute__((weak));

enum tls_result tls_session_refuse(struct tls_session *session, enum alert alert,
                                   struct tls_output *output)
{
	int error;

	if (!SendAlert)
		return tls_session_close(session, output);
	if (session->has_failed || session->has_closed)
		return TLS_FAILED;
	if (tls_room_of(output) < TLS_OUTPUT_MIN)
		return TLS_FULL;
	attach(session, NULL, output);
	session->has_closed = true;
	error = SendAlert(session->library, alert_fatal, (int)alert);
	detach(session);
	return error == 0 ? TLS_DONE : tls_failed(session, error);
}

/* ---- what is known ---- */

enum tls_failure tls_session_failure(const struct tls_session *session)
{
	return session->failure;
}

const char *tls_session_failure_text(const struct tls_session *session)
{
	return session->failure_text;
}

WOLFSSL *tls_session_library(const struct tls_session *session)
{
	return session->library;
}

uint8_t tls_session_alert(const struct tls_session *session)
{
	return session->alert;
}

/* wolfSSL's own names are those of OpenSSL for TLS 1.2 alone. */
static const char *cipher_name(WOLFSSL *library)
{
	WOLFSSL_CIPHER *cipher = wolfSSL_get_current_cipher(library);

	if (wolfSSL_version(library) == TLS1_3_VERSION)
		return wolfSSL_CIPHER_get_name(cipher);
	return wolfSSL_get_cipher_name(library);
}

/* As ssl_ecdh_curve has it, for the library says SECP256R1. */
static const char *group_name(WOLFSSL *library)
{
	const char *word = wolfSSL_get_curve_name(library);
	const char *name = word ? curves_name(span_text(word)) : NULL;

	return name ? name : word;
}

void tls_session_agreed(const struct tls_session *session, struct tls_agreed *agreed)
{
	char          *name = NULL;
	unsigned short len = 0;

	*agreed = (struct tls_agreed){
		.version = wolfSSL_get_version(session->library),
		.cipher = cipher_name(session->library),
		.group = group_name(session->library),
		.resumed = wolfSSL_session_reused(session->library) != 0,
		.has_peer_certificate = session->peer.is_known,
	};
	if (wolfSSL_ALPN_GetProtocol(session->library, &name, &len) == WOLFSSL_SUCCESS)
		agreed->alpn = span_of(name, len);
}

void tls_session_peer_subject(const struct tls_session *session, char *text, size_t size)
{
	tls_peer_subject(&session->peer, text, size);
}
