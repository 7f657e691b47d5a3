/*
 * curves: the groups of a key exchange, by the names that operators write.
 *
 * A name is OpenSSL's or IANA's, in any case: `P-256`, `prime256v1` and `secp256r1` are one. Groups
 * that OpenSSL has and we have not mean none. Pure; used by conf and tls.
 */
#ifndef POLICY_CURVES_H
#define POLICY_CURVES_H

#include "base/span.h"
#include "base/util.h"

struct curve {
	const char *name; /* as the access log has it */
	uint16_t    id;   /* RFC 8446 4.2.7, IANA's TLS Supported Groups */
};

enum { CURVES_MAX = 8 };

/* What is used where none are listed. */
#define CURVES_DEFAULT "X25519MLKEM768 X25519 P-256 P-384"

struct curves {
	const struct curve *list[CURVES_MAX]; /* static; the most preferred first */
	size_t              count;
};

enum curves_result {
	CURVES_OK,
	CURVES_UNKNOWN, /* *token*: the name that nobody knows */
	CURVES_EMPTY,   /* none of them is here */
};

/* A list, separated by `:`, `,` or space. *token* points into *text*. */
MUST_CHECK enum curves_result curves_parse(struct span text, struct curves *curves,
                                           struct span *token);

/* What one of ours is called in a curve's *name*, whichever of its names *word* is; NULL: not one
 * of ours. */
const char *curves_name(struct span word);

/* Names that a list may hold, for "did you mean"; NULL behind the last. */
const char *curves_word(size_t index);

#endif
