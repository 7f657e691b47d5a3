/*
 * proxyproto: the PROXY protocol's header, versions 1 and 2, read and written.
 *
 * Pure. Unknown TLVs are skipped. Source: haproxy.org proxy-protocol.txt 2.1, 2.2.
 */
#ifndef PROTO_PROXYPROTO_H
#define PROTO_PROXYPROTO_H

#include "base/span.h"
#include "base/util.h"
#include "proto/addr.h"

enum proxyproto_result {
	PROXYPROTO_MORE, /* may still become a header */
	PROXYPROTO_OK,
	PROXYPROTO_BAD,  /* began as a header and is none */
	PROXYPROTO_NONE, /* the first bytes are no header's */
};

enum proxyproto_version { PROXYPROTO_OFF, PROXYPROTO_V1, PROXYPROTO_V2 };

enum {
	PROXYPROTO_OUT_MAX = 107, /* the longest header we write (a v1 line) */
	PROXYPROTO_IN_MAX = 4096, /* the longest header we read, TLVs included; longer is BAD */
};

struct proxyproto {
	struct addr source, destination; /* ADDR_NONE unless *has_addresses* */
	bool        has_addresses;       /* false for LOCAL, UNKNOWN and UNSPEC: keep the peer's */
	size_t      len;                 /* of the header; what follows is the client's */
};

/* Any split: give all the bytes so far. */
MUST_CHECK enum proxyproto_result proxyproto_parse(struct span bytes, struct proxyproto *header);

/* Writes the header for a connection from *source* that arrived at *destination*; addresses of
 * unlike or no IP family become UNKNOWN (v1) or LOCAL/UNSPEC as the specification asks. Returns its
 * length. */
size_t proxyproto_write(enum proxyproto_version version, const struct addr *source,
                        const struct addr *destination, uint8_t out[PROXYPROTO_OUT_MAX]);

#endif
