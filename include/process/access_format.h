/*
 * access_format: an access record as one line of text, JSON or an operator's template.
 *
 * Owns how each value is written and escaped (the keys are conf/template's): every name in a record
 * may be hostile, and no byte of one may end a value, a line or the JSON around it. Pure; called by
 * the log writer.
 */
#ifndef PROCESS_ACCESS_FORMAT_H
#define PROCESS_ACCESS_FORMAT_H

#include "conf/conf.h"
#include "conf/template.h"
#include "session/access.h"

enum {
	ACCESS_TEXT_MAX = 512, /* of one text, as many bytes are shown; "..." stands for the rest */
	ACCESS_LINE_MAX = 32768, /* no line is longer, its newline included */
};

/* Writes the line and its newline, no NUL; returns its length, or 0 when it does not fit *size* (it
 * always fits ACCESS_LINE_MAX). *texts* are the strings behind the record: the sum of its text_len,
 * absent ones 0.
 *
 * Text: key=value; what could be mistaken for structure (space, quote, backslash, `=`, control
 * bytes, non-ASCII) is \xNN, in a list of protocols the comma too; absent is `-`. JSON (RFC 8259):
 * plain ASCII; UTF-8 becomes \uNNNN, and bytes that are not UTF-8 the code point of their value;
 * absent is null. */
MUST_CHECK size_t access_format(const struct access_record *record, const uint8_t *texts,
                                enum conf_log_format format, char *out, size_t size);

/* The same by a template that conf has found right; values as in text. */
MUST_CHECK size_t access_format_template(const struct access_record *record, const uint8_t *texts,
                                         const struct template *template, char *out, size_t size);

#endif
