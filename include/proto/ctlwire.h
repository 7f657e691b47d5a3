/*
 * ctlwire: what `penstock ctl` and the running program say to each other over admin_socket.
 *
 * A request is one message: the words of a command line. A reply is a row of frames: text for
 * stdout, text for stderr, and at its end an exit code. Every length is checked before a byte of
 * what it counts is believed. Pure; used by process/ctl (the client) and process/admin (the
 * server). Numbers are in network order:
 *
 *	request: "PSTK", version u8, 0 u8, words u16, length u32, then (length u16, bytes) a word
 *	frame: type u8, length u32, bytes
 */
#ifndef PROTO_CTLWIRE_H
#define PROTO_CTLWIRE_H

#include "base/span.h"
#include "base/util.h"

enum {
	CTLWIRE_VERSION = 1,
	CTLWIRE_REQUEST_HEAD = 12,
	CTLWIRE_REQUEST_MAX = 65536, /* with its head */
	CTLWIRE_WORDS_MAX = 64,
	CTLWIRE_FRAME_HEAD = 5,
	CTLWIRE_FRAME_MAX = 65536, /* bytes of one frame, its head not counted */
};

enum ctlwire_result {
	CTLWIRE_OK,
	CTLWIRE_MORE,  /* so far so good, but not all of it is here */
	CTLWIRE_BAD,   /* whatever follows */
	CTLWIRE_OTHER, /* a request of another version */
};

struct ctlwire_request {
	struct span
		words[CTLWIRE_WORDS_MAX]; /* into the bytes that were parsed; none holds a NUL */
	size_t  word_count;               /* at least 1 */
	size_t  len;                      /* of the whole request */
};

/* What the bytes begin with. Once OK, BAD or OTHER, more bytes change nothing. *request* is filled
 * in when OK. */
MUST_CHECK enum ctlwire_result ctlwire_parse_request(struct span             bytes,
                                                     struct ctlwire_request *request);

/* Writes the request of *words*; its length, or 0 when it does not fit *size* or is more than a
 * request may be. */
MUST_CHECK size_t ctlwire_write_request(const char *const *words, size_t word_count, uint8_t *out,
                                        size_t size);

enum ctlwire_type { CTLWIRE_OUT = 1, CTLWIRE_ERR = 2, CTLWIRE_EXIT = 3 };

struct ctlwire_frame {
	enum ctlwire_type type;
	struct span       payload; /* EXIT: one byte, the code */
	size_t            len;     /* of the whole frame */
};

/* As ctlwire_parse_request; never OTHER. */
MUST_CHECK enum ctlwire_result ctlwire_parse_frame(struct span bytes, struct ctlwire_frame *frame);

/* The head of a frame of *len* bytes, at most CTLWIRE_FRAME_MAX. */
void ctlwire_write_frame_head(enum ctlwire_type type, size_t len, uint8_t out[CTLWIRE_FRAME_HEAD]);

#endif
