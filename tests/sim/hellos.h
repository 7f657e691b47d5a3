/*
 * hellos: what clients say first, made once.
 */
#ifndef TESTS_SIM_HELLOS_H
#define TESTS_SIM_HELLOS_H

#include "base/span.h"

enum hello_kind {
	SAYS_A,         /* a.test */
	SAYS_A_PADDED,  /* the same, 1,500 bytes */
	SAYS_A_RECORDS, /* the same, cut into records of 7 bytes */
	SAYS_B,
	SAYS_REJECTED, /* r.test */
	SAYS_UNKNOWN,  /* a name that no route has */
	SAYS_NO_NAME,
	SAYS_MALFORMED,
	SAYS_TOO_MUCH, /* a.test, 6,000 bytes */
	SAYS_PLAINTEXT,
	SAYS_NOTHING,
	HELLO_KINDS
};

struct span hello_of(enum hello_kind kind);

#endif
