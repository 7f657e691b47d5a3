/*
 * contexts: the TLS contexts of one configuration, each built once however many routes share it.
 *
 * Owned by a snapshot, built with it; what is loaded already comes from the registry's store. Tells
 * of names that no certificate covers.
 */
#ifndef SITE_CONTEXTS_H
#define SITE_CONTEXTS_H

#include "tls/tls_context.h"

struct contexts_entry {
	const struct conf_tls *conf;
	struct tls_context    *context; /* NULL: its errors have been told */
};

struct contexts {
	struct contexts_entry *entries;
	size_t                 count, room;
};

/* The context of *conf*; NULL: errors in *report*, the first time it is asked for. */
const struct tls_context *contexts_get(struct contexts *contexts, const struct conf_tls *conf,
                                       struct tls_store *store, struct conf_report *report);
void                      contexts_fini(struct contexts *contexts);

/* Lints those names of *route* that a client of it would not be shown a certificate for. */
void contexts_lint_names(const struct tls_context *context, const struct conf_route *route,
                         struct conf_report *report);

#endif
