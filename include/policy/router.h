/*
 * router: which route a hello gets.
 *
 * One router per listener, built at load, immutable, shared by all workers. Its cost does not
 * depend on the number of names: one hash look-up for the exact name, one per label for
 * wildcards, a short list of candidates each. Precedence (INTERFACE.md): exact name; longest
 * wildcard; no name given (any name); among equals the rule with more conditions, then file
 * order. A rule whose conditions fail is passed over for the next candidate.
 */
#ifndef POLICY_ROUTER_H
#define POLICY_ROUTER_H

#include "base/span.h"
#include "proto/addr.h"

enum router_name_kind {
	ROUTER_EXACT,    /* example.com */
	ROUTER_BELOW,    /* *.example.com: one or more labels below, not the apex */
	ROUTER_APEX,     /* .example.com: the apex and all below */
	ROUTER_ANY_NAME, /* the rule gives no server_name: any name, not "no SNI" */
	ROUTER_NO_NAME,  /* none */
};

enum { ROUTER_NO_RULE = -1 };

/* One (name, target) pair. A route of three names is three rules with the same target. */
struct router_rule {
	enum router_name_kind kind;
	struct span           name; /* without "*." or "."; lower case, no trailing dot */
	const struct span    *alpn; /* protocol ids, one of which must be offered; count 0 = any */
	size_t                alpn_count;
	const struct cidr    *sources; /* one must contain the client; count 0 = any */
	size_t                source_count;
	unsigned              versions; /* enum hello_version bits, one must be offered; 0 = any */
	int                   target;   /* the caller's number, >= 0, returned by router_find */
};

struct router_query {
	struct span name;     /* folded by hello_fold_name; len 0 = none */
	struct span alpn;     /* hello.alpn */
	unsigned    versions; /* hello.versions */
	struct addr client;
};

struct router;

/* Copies nothing: *rules* and what they point to must outlive the router. Rules come in file
 * order. NULL: no memory. Two rules alike in name and conditions are the caller's error to
 * report; the first wins. */
struct router *router_build(const struct router_rule *rules, size_t count);
void           router_free(struct router *router);

/* The index in *rules* of the rule that wins, or ROUTER_NO_RULE. */
int router_find(const struct router *router, const struct router_query *query);

/* The most slots that one hash look-up may touch; for tests and diagnosis. */
size_t router_probe_max(const struct router *router);

enum router_verdict {
	ROUTER_WON,
	ROUTER_LOST,
	ROUTER_ALPN_FAILED,
	ROUTER_SOURCE_FAILED,
	ROUTER_VERSION_FAILED
};

/* For `penstock explain`: visits every rule whose name matches, in order of precedence, with its
 * verdict (ROUTER_LOST: conditions hold, but a better one had won already). */
void router_explain(const struct router *router, const struct router_query *query,
                    void (*visit)(const struct router_rule *rule, size_t index,
                                  enum router_verdict verdict, void *context),
                    void *context);

#endif
