/*
 * access: the one record that a connection leaves behind, as plain bytes for the log writer.
 *
 * The worker fills it in and copies the names behind it, so that the writer needs nothing of the
 * session or of its configuration; formatting happens on the writer's thread.
 */
#ifndef SESSION_ACCESS_H
#define SESSION_ACCESS_H

#include "base/log.h"
#include "proto/addr.h"
#include "site/reason.h"

enum access_text { /* strings behind the record, in this order, without separators */
	           ACCESS_LISTENER,
	           ACCESS_SNI,
	           ACCESS_ALPN,
	           ACCESS_ROUTE,
	           ACCESS_UPSTREAM,
	           ACCESS_SERVER,
	           ACCESS_TLS, /* of the client's side, as the next */
	           ACCESS_CIPHER,
	           ACCESS_GROUP,
	           ACCESS_CLIENT_CERT,
	           ACCESS_TEXTS
};

enum { ACCESS_ABSENT = UINT16_MAX }; /* a text's length when the field is absent, not empty */

struct access_record {
	struct log_record head; /* time_ms: when the connection ended */
	uint64_t          id;
	uint64_t          bytes_up, bytes_down; /* as the backend side saw them */
	int32_t  hello_ms, connect_ms; /* accept to whole hello; dial to connected; -1 = absent */
	uint64_t duration_ms;
	struct addr client,
		peer;  /* peer: the TCP peer; unlike client where a PROXY header was believed */
	uint16_t log;  /* the logger's number of it */
	uint8_t  mode; /* 0 = passthrough, 1 = reject, 2 = terminate; 255 = none chosen */
	uint8_t  tries;
	uint8_t  reason;  /* enum reason */
	uint8_t  alert;   /* sent to the client; 0 = none */
	uint8_t  relay;   /* most that was used: 0 = nothing, else enum counters_strategy + 1 */
	uint8_t  resumed; /* 0 = no handshake was done, 1 = a full one, 2 = it was resumed */
	uint16_t text_len[ACCESS_TEXTS];
	/* the texts; ALPN as in the hello: (1-byte length, bytes)* */
};

struct conn;

/* Leaves the record of a connection that ends, unless its route has no access log. */
void access_write(const struct conn *c);

/* access_record.relay as a word; NULL = nothing was relayed. */
const char *access_relay_word(uint8_t relay);

#endif
