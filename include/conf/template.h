/*
 * template: the access log's keys, and lines that an operator composes of them.
 *
 * A template is text with `{key}` where a value goes, `{key|text}` to write *text* where there is
 * no value (otherwise `-`), `{{` and `}}` for the braces themselves. Owns the keys' names and the
 * syntax; how a value is written is process/access_format's. Used by conf to check and by the log
 * writer to write.
 */
#ifndef CONF_TEMPLATE_H
#define CONF_TEMPLATE_H

#include "base/span.h"
#include "base/util.h"

/* In the order of a line of text or JSON. */
#define TEMPLATE_KEYS_OF(X)                                                                        \
	X(TIME, "time")                                                                            \
	X(ID, "id")                                                                                \
	X(LISTENER, "listener")                                                                    \
	X(CLIENT, "client")                                                                        \
	X(PEER, "peer")                                                                            \
	X(SNI, "sni")                                                                              \
	X(ALPN, "alpn")                                                                            \
	X(ROUTE, "route")                                                                          \
	X(MODE, "mode")                                                                            \
	X(UPSTREAM, "upstream")                                                                    \
	X(SERVER, "server")                                                                        \
	X(TRIES, "tries")                                                                          \
	X(REASON, "reason")                                                                        \
	X(ALERT, "alert")                                                                          \
	X(BYTES_UP, "bytes_up")                                                                    \
	X(BYTES_DOWN, "bytes_down")                                                                \
	X(CONNECT_MS, "connect_ms")                                                                \
	X(DURATION_MS, "duration_ms")                                                              \
	X(HELLO_MS, "hello_ms")                                                                    \
	X(TLS, "tls")                                                                              \
	X(CIPHER, "cipher")                                                                        \
	X(GROUP, "group")                                                                          \
	X(RESUMED, "resumed")                                                                      \
	X(CLIENT_CERT, "client_cert")                                                              \
	X(RELAY, "relay")

enum template_key {
#define X(name, word) TEMPLATE_##name,
	TEMPLATE_KEYS_OF(X)
#undef X
		TEMPLATE_KEYS
};

/* Longer ones are refused, and a key may stand once: so that the longest line has a bound. */
enum { TEMPLATE_LONGEST = 4096 };

/* The word of the log; NULL for TEMPLATE_KEYS. */
const char *template_key_name(enum template_key key);

enum template_kind {
	TEMPLATE_END,
	TEMPLATE_TEXT,
	TEMPLATE_FIELD,
	TEMPLATE_UNKNOWN,  /* a key that there is not */
	TEMPLATE_UNCLOSED, /* a `{` without its `}` */
	TEMPLATE_STRAY,    /* a `}` that closes nothing */
};

struct template_piece {
	enum template_kind kind;
	enum template_key  key;  /* of a FIELD */
	struct span        text; /* TEXT: itself; FIELD: for an absent value; UNKNOWN: the key */
};

/* The first piece of *rest*, which shrinks to what follows it. Spans point into *rest*. Behind
 * UNCLOSED and STRAY nothing follows. */
struct template_piece template_next(struct span *rest);

struct template
{
	struct template_piece *pieces;
	size_t                 count;
	char                  *text; /* what they point into */
};

/* A copy of *text* in pieces, TEXT and FIELD only. False: no memory. */
MUST_CHECK bool template_init(struct template *template, const char *text);
void            template_fini(struct template *template);

#endif
