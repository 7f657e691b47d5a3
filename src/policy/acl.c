#include "policy/acl.h"

bool acl_allows(const struct acl *acl, const struct addr *client)
{
	bool has_allow = false;

	for (size_t i = 0; i < acl->count; i++) {
		if (cidr_contains(&acl->rules[i].cidr, client))
			return acl->rules[i].allow;
		has_allow |= acl->rules[i].allow;
	}
	return !has_allow;
}

bool cidr_list_contains(const struct cidr *list, size_t count, const struct addr *addr)
{
	for (size_t i = 0; i < count; i++) {
		if (cidr_contains(&list[i], addr))
			return true;
	}
	return false;
}
