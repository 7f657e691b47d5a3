/*
 * tls_names: which certificates cover a name (RFC 6125 6.4.3: the name itself, or "*." and one
 * label before it).
 *
 * Private to src/tls. Built with its context, immutable, searched by every worker.
 */
#ifndef TLS_TLS_NAMES_H
#define TLS_TLS_NAMES_H

#include "tls/tls_certificate.h"

struct tls_names_entry {
	struct span name;
	bool        wildcard;
	uint32_t    identity;
};

struct tls_names {
	struct tls_names_entry *entries;
	size_t                  count, room;
};

/* False: no memory. *name* must outlive the names. */
MUST_CHECK bool tls_names_add(struct tls_names *names, const struct tls_name *name,
                              uint32_t identity);
/* Once, behind the last; nothing is found before. */
void tls_names_sort(struct tls_names *names);
void tls_names_fini(struct tls_names *names);

/* The entries of *name*, in the order of their identities; *count* of them, 0 = none. A wildcard's
 * are those that cover it by one label. */
const struct tls_names_entry *tls_names_find(const struct tls_names *names, struct span name,
                                             bool wildcard, size_t *count);

#endif
