/*
 * resolve: an address as the configuration writes it, as the sockaddrs that the kernel takes.
 *
 * Owns the only call of getaddrinfo: it blocks, so it must never run on a ring's thread. Failures
 * are the operator's errors, with the line that holds the address. Called while a snapshot is built
 * and by process/ports.
 */
#ifndef SITE_RESOLVE_H
#define SITE_RESOLVE_H

#include "conf/conf.h"

#include <sys/socket.h>
#include <sys/un.h>

struct endpoint {
	union {
		struct sockaddr     any;
		struct sockaddr_in  ip4;
		struct sockaddr_in6 ip6;
		struct sockaddr_un  local;
	};
	socklen_t len; /* 0 = none */
};

struct resolved {
	struct endpoint *endpoints; /* at least one, no two alike */
	size_t           count;
};

/* False: an error is in *report*, which begins with *what* ("[upstream app] server"). Give
 * *resolved* to resolved_fini either way. CONF_ENDPOINT_ANY has no single address: the caller's
 * bug. */
MUST_CHECK bool resolve(const struct conf_endpoint *from, const char *what,
                        struct conf_report *report, struct resolved *resolved);
void            resolved_fini(struct resolved *resolved);

/* len 0 for ADDR_NONE and ADDR_UNIX. */
void endpoint_from_addr(const struct addr *addr, struct endpoint *endpoint);

/* False: the path is empty or too long for a socket. */
MUST_CHECK bool endpoint_from_path(const char *path, struct endpoint *endpoint);

#endif
