/*
 * escape: how bytes that a stranger chose are shown.
 *
 * No byte of a hostile name may end a value, a line or the JSON around it, or reach a terminal as
 * it came. One character at a time, so that it serves a log line and a stream alike. Pure; used by
 * the log writer, the answers of the admin socket and the metrics.
 */
#ifndef BASE_ESCAPE_H
#define BASE_ESCAPE_H

#include "base/span.h"
#include "base/util.h"

enum { ESCAPE_MAX = 12 }; /* what one character becomes, at most: a surrogate pair */

/* Takes the first character off *bytes* (at least one) and writes it as it may stand in a JSON
 * string (RFC 8259), in plain ASCII: UTF-8 becomes \uNNNN, and a byte that is not UTF-8 the code
 * point of its value. Returns how much was written. */
MUST_CHECK size_t escape_json(struct span *bytes, char out[ESCAPE_MAX]);

/* The same for a line of text: what could be mistaken for structure (space, quote, backslash, `=`,
 * control bytes, non-ASCII, and the characters of *also*) becomes \xNN. */
MUST_CHECK size_t escape_text(struct span *bytes, const char *also, char out[ESCAPE_MAX]);

/* The same for a label value of the metrics (Prometheus text format 0.0.4), which must be UTF-8:
 * a backslash, quote or line feed gets a backslash in front; what is neither printable ASCII nor
 * UTF-8 reads \\xNN there, which is the text \xNN. */
MUST_CHECK size_t escape_label(struct span *bytes, char out[ESCAPE_MAX]);

#endif
