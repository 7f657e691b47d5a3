/*
 * starttls: how PostgreSQL's clients and servers come to speak TLS, on listeners with `starttls`.
 *
 * A client's SSLRequest is answered before its hello is read (CONN_STARTTLS); where it passes
 * through, the chosen server is then asked the same in its name (CONN_ANSWER). Bytes that come
 * ahead of either answer were said in the clear and must never be taken for TLS (CVE-2021-23214,
 * CVE-2021-23222): they are refused. A client that is refused before it speaks TLS reads an
 * ErrorResponse. The states' steps; private to the session layer.
 */
#ifndef SESSION_STARTTLS_H
#define SESSION_STARTTLS_H

#include "proto/pgwire.h"
#include "session/conn.h"

/* What is known of a client, conn.starttls. */
enum starttls_flag {
	STARTTLS_AGREED = BIT(0), /* its SSLRequest was answered with yes */
	STARTTLS_GSS = BIT(1),    /* its GSSENCRequest was answered with no */
	STARTTLS_DIRECT = BIT(2), /* it came with TLS at once */
};

/* True: this client is to ask for TLS first, and has not got that far. */
bool starttls_is_clear(const struct conn *c);

/* True: the server of its route is sent an SSLRequest ahead of everything but a PROXY header. */
bool starttls_asks_server(const struct conn *c);

/* True: the client's handshake is done, and what it says first may be a CancelRequest. */
bool starttls_awaits_packet(const struct conn *c);

/* What a client that does not speak TLS yet reads when it is refused for c->reason; the length, 0 =
 * nothing, it is no such client. */
size_t starttls_write_error(const struct conn *c, uint8_t out[PGWIRE_ERROR_MAX]);

#endif
