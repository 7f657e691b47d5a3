/*
 * ciphers: cipher lists as OpenSSL writes them, taken apart by us.
 *
 * The library ignores what it does not know, so a list is judged here, token by token, against a
 * table of the suites that it has. Words for what it does not have (MD5, aNULL, DHE, PSK, ...) mean
 * no suite; a word that OpenSSL does not know either is an error. DHE is such an empty word because
 * there are no parameters for it, as in nginx without ssl_dhparam. Pure; used by conf and tls.
 */
#ifndef POLICY_CIPHERS_H
#define POLICY_CIPHERS_H

#include "base/span.h"
#include "base/util.h"

struct cipher {
	const char *name; /* TLS 1.2: OpenSSL's; TLS 1.3: IANA's, which OpenSSL uses too */
	uint16_t    id;   /* IANA's number */
	uint16_t    bits;
	unsigned    features; /* ciphers.c */
};

enum { CIPHERS_MAX = 16 };

struct ciphers {
	const struct cipher *suites[CIPHERS_MAX]; /* static; the most preferred first */
	size_t               count;               /* never 0 when CIPHERS_OK */
	bool has_weak; /* there is a CBC suite, and another word than HIGH brought it */
};

enum ciphers_result {
	CIPHERS_OK,
	CIPHERS_UNKNOWN, /* a word that nobody knows */
	CIPHERS_SYNTAX,  /* an operator without a word, an unknown @command */
	CIPHERS_LEVEL,   /* @SECLEVEL, which is OpenSSL's own */
	CIPHERS_VERSION, /* a suite of the other version of TLS */
	CIPHERS_EMPTY,   /* every token is known, and no suite is left */
};

/* A list of TLS 1.2 (ciphers(1ssl)): tokens separated by `:`, `,`, `;` or
 * space; `!` `-` `+` before
 * them, `+` within, @STRENGTH. "DEFAULT" is ours: AEAD and forward secrecy alone. *token*: of an
 * error, the part of *text* that it is about. */
MUST_CHECK enum ciphers_result ciphers_parse(struct span text, struct ciphers *ciphers,
                                             struct span *token);

/* A list of TLS 1.3: names, separated likewise, or "DEFAULT". */
MUST_CHECK enum ciphers_result ciphers_parse_suites(struct span text, struct ciphers *ciphers,
                                                    struct span *token);

/* Words that a list of TLS 1.2, or of TLS 1.3, may hold, for "did you mean"; NULL behind the
 * last. */
const char *ciphers_word(size_t index);
const char *ciphers_suite_word(size_t index);

#endif
