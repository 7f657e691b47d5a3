/*
 * hello: reads a TLS ClientHello without decrypting anything.
 *
 * Takes the bytes a client has sent so far, as one run, however they were cut into segments and
 * records, and answers with its server name, ALPN and what else a route or a log may ask for. It
 * never guesses: a hello that is not well formed is HELLO_BAD, never "no name". Pure: no system
 * call, clock or allocation. Called by session/conn for every preread; held to the prefix and the
 * split law by tests/fuzz. Sources: RFC 8446 4.1.2 and 5.1, RFC 6066 3, RFC 7301 3.1, RFC 8701
 * (GREASE).
 */
#ifndef PROTO_HELLO_H
#define PROTO_HELLO_H

#include "base/span.h"
#include "base/util.h"

enum hello_result {
	HELLO_MORE,      /* well formed so far, not whole */
	HELLO_OK,        /* whole and well formed; *hello is filled in */
	HELLO_BAD,       /* malformed; more bytes change nothing */
	HELLO_TOO_LONG,  /* cannot end within the limit; more bytes change nothing */
	HELLO_PLAINTEXT, /* the first byte is not TLS's and not a broken TLS's either */
};

enum { HELLO_NAME_MAX = 253 };

enum hello_version {
	HELLO_TLS10 = BIT(0),
	HELLO_TLS11 = BIT(1),
	HELLO_TLS12 = BIT(2),
	HELLO_TLS13 = BIT(3)
};

struct hello {
	struct span name; /* host_name as sent, checked; len 0 = none sent. See hello_fold_name */
	struct span alpn; /* ProtocolNameList's content: (1-byte length, bytes)*; len 0 = none */
	struct span ciphers;              /* 2-byte ids */
	struct span groups;               /* 2-byte ids; len 0 = extension absent */
	struct span signature_algorithms; /* likewise */
	unsigned    versions; /* BITs of enum hello_version; supported_versions or legacy_version */
	bool        ech;      /* encrypted_client_hello (0xfe0d) present, GREASE or real */
	struct span message;  /* the handshake message itself, its header included */
	size_t      wire_len; /* of the records that carried it; they carried nothing else */
};

/*
 * Reads *bytes*, all that came from the client. *limit* is the most bytes a hello may take on the
 * wire, records' headers included (preread_buffer_size): one that cannot end within it is
 * HELLO_TOO_LONG. *scratch* must hold *limit* bytes: when the hello spans several records its
 * handshake bytes are joined there. The spans of *hello* point into *bytes* or *scratch*.
 */
MUST_CHECK enum hello_result hello_parse(struct span bytes, size_t limit, uint8_t *scratch,
                                         struct hello *hello);

/*
 * The name as routes compare it: lower case, one trailing dot dropped. Returns its length, or 0 for
 * what counts as no name (none sent, or an IP literal). Not NUL-terminated; *out* has room for
 * HELLO_NAME_MAX.
 */
size_t hello_fold_name(struct span name, char out[HELLO_NAME_MAX]);

/* Takes the next protocol off an ALPN list; false at its end. */
bool hello_next_alpn(struct span *list, struct span *protocol);

#endif
