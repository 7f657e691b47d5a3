/*
 * acl: allow and deny lists: CIDRs in file order, the first match decides.
 *
 * Owns nothing: the rules are the configuration's. Immutable once built; read by all workers.
 */
#ifndef POLICY_ACL_H
#define POLICY_ACL_H

#include "proto/addr.h"

struct acl_rule {
	struct cidr cidr;
	bool        allow;
};

struct acl {
	const struct acl_rule *rules; /* the configuration's memory */
	size_t                 count;
};

/* The first rule that contains *client* decides. When none does: an empty list allows; a list
 * with any allow in it refuses; a list of denies only allows. */
bool acl_allows(const struct acl *acl, const struct addr *client);

/* True if any of *count* CIDRs contains *addr*. */
bool cidr_list_contains(const struct cidr *list, size_t count, const struct addr *addr);

#endif
