/*
 * pgwire: what PostgreSQL's clients say in the clear before TLS, and what they are answered.
 *
 * Pure: no system call, no clock, no allocation; fuzzed. Knows only the packets that may come first
 * on a connection, all with a 4-byte length in front and no type byte. Source: PostgreSQL's
 * documentation, 55.2 "Message Flow" and 55.7 "Message Formats". Used by session/starttls.
 */
#ifndef PROTO_PGWIRE_H
#define PROTO_PGWIRE_H

#include "base/span.h"
#include "base/util.h"

enum pgwire_packet {
	PGWIRE_MORE,           /* may still become any of these */
	PGWIRE_SSL_REQUEST,    /* "may we speak TLS?" */
	PGWIRE_GSSENC_REQUEST, /* "may we speak GSSAPI encryption?" */
	PGWIRE_CANCEL_REQUEST, /* whole: a server is to end the query of another connection */
	PGWIRE_STARTUP,        /* a StartupMessage begins: a session in the clear */
	PGWIRE_NONE,           /* none of these: TLS, or something else */
};

enum {
	PGWIRE_REQUEST_SIZE = 8, /* of SSLRequest and GSSENCRequest */
	PGWIRE_CANCEL_MAX = 268, /* a CancelRequest with the longest secret of protocol 3.2 */
	PGWIRE_ERROR_MAX = 192,  /* the longest ErrorResponse that we write */
	PGWIRE_YES = 'S',        /* the answer to SSLRequest: TLS from here on */
	PGWIRE_NO = 'N',
};

/* What *bytes* begin with; *len*: how long that packet is, of those that are whole. Once it is not
 * PGWIRE_MORE, more bytes change nothing. */
MUST_CHECK enum pgwire_packet pgwire_read(struct span bytes, size_t *len);

void pgwire_write_ssl_request(uint8_t out[PGWIRE_REQUEST_SIZE]);

/* An ErrorResponse of severity FATAL; *code* is an SQLSTATE of 5 letters. A text that is too long
 * is cut. The packet's length. */
size_t pgwire_write_error(const char *code, const char *text, uint8_t out[PGWIRE_ERROR_MAX]);

#endif
