/*
 * httphead: the head of an HTTP/1.x request (RFC 9112), as much of it as a server of three pages
 * needs: method and path.
 *
 * The rest is checked and thrown away. What is not clearly a request is refused, never guessed at.
 * Pure; called by process/http.
 */
#ifndef PROTO_HTTPHEAD_H
#define PROTO_HTTPHEAD_H

#include "base/span.h"
#include "base/util.h"

enum { HTTPHEAD_MAX = 4096 }; /* bytes, the empty line included */

enum httphead_result {
	HTTPHEAD_MORE,
	HTTPHEAD_OK,
	HTTPHEAD_BAD,
	HTTPHEAD_TOO_LONG, /* no end within HTTPHEAD_MAX */
};

enum httphead_method { HTTPHEAD_GET, HTTPHEAD_HEAD, HTTPHEAD_OTHER };

struct httphead {
	enum httphead_method method;
	struct span path; /* of the target, without a query; mostly in *bytes*; "" for OTHER */
};

/* *head* is set with HTTPHEAD_OK only. Once the result is not MORE, more bytes do not change it. */
MUST_CHECK enum httphead_result httphead_parse(struct span bytes, struct httphead *head);

#endif
