#include "tls/tls_session_parts.h"

/* A long record counts for more than one of those in a row that may be without data: wolfSSL takes
 * one that is full of KeyUpdates (RFC 8446 5.1 forbids it). */
enum { QUIET_BYTES_PER_RECORD = 2048 };

static void frame(struct tls_session *session, const uint8_t *data, size_t len)
{
	struct tls_framing *framing = &session->framing;

	while (len > 0) {
		if (framing->body_left > 0) {
			size_t step = min_size(len, framing->body_left);

			framing->body_left -= (uint32_t)step;
			data += step;
			len -= step;
			continue;
		}
		framing->header[framing->header_len++] = *data++;
		len--;
		if (framing->header_len == TLS_RECORD_HEADER) {
			framing->header_len = 0;
			framing->body_left = (uint32_t)framing->header[3] << 8 | framing->header[4];
			session->replies = 0;
			session->quiet_records += 1 + framing->body_left / QUIET_BYTES_PER_RECORD;
		}
	}
}

int tls_wire_receive(WOLFSSL *library, char *to, int size, void *context)
{
	struct tls_session *session = context;
	size_t              len;

	(void)library;
	if (session->established) {
		if (session->quiet_records > TLS_QUIET_RECORDS_MAX)
			return WOLFSSL_CBIO_ERR_GENERAL;
		if (tls_is_at_record_start(&session->framing) &&
		    tls_room_of(session->output) < TLS_OUTPUT_MIN) {
			session->is_blocked = true;
			return WOLFSSL_CBIO_ERR_WANT_READ;
		}
	}
	if (!session->input || session->input->len == 0 || size <= 0)
		return WOLFSSL_CBIO_ERR_WANT_READ;
	len = min_size((size_t)size, session->input->len);
	memcpy(to, session->input->data, len);
	frame(session, session->input->data, len);
	session->input->data += len;
	session->input->len -= len;
	return (int)len;
}

int tls_wire_transmit(WOLFSSL *library, char *from, int size, void *context)
{
	struct tls_session *session = context;
	size_t              len;

	(void)library;
	if (!session->output)
		return WOLFSSL_CBIO_ERR_WANT_WRITE;
	if (session->established && session->input && ++session->replies > TLS_REPLIES_MAX)
		return WOLFSSL_CBIO_ERR_GENERAL;
	len = min_size(size > 0 ? (size_t)size : 0, tls_room_of(session->output));
	if (len == 0)
		return WOLFSSL_CBIO_ERR_WANT_WRITE;
	memcpy(session->output->data + session->output->len, from, len);
	session->output->len += (uint32_t)len;
	return (int)len;
}
