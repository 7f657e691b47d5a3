/*
 * explain: what would become of a hello, in words: `penstock explain`.
 *
 * Makes a real ClientHello of the name and lets the program's own reader and router judge it, so
 * that the answer cannot drift from what a connection gets. Opens no connection. Called by main.
 */
#ifndef PROCESS_EXPLAIN_H
#define PROCESS_EXPLAIN_H

#include "process/options.h"
#include "site/snapshot.h"

#include <stdio.h>

enum explain_result {
	EXPLAIN_ROUTED,  /* at least one of the listeners would pass it on */
	EXPLAIN_REFUSED, /* none would */
	EXPLAIN_WRONG, /* no such listener, or an ALPN list that no hello can carry; told on *errors* */
};

MUST_CHECK enum explain_result explain(const struct snapshot *snapshot,
                                       const struct options *options, FILE *to, FILE *errors);

#endif
