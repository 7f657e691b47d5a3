/*
 * addr: an IP address with its port, and a network prefix, as plain values.
 *
 * Twenty bytes instead of a sockaddr_storage's 128, so that a connection can keep two. An
 * IPv4-mapped IPv6 address is always held as IPv4. Pure: no system call, no allocation.
 */
#ifndef PROTO_ADDR_H
#define PROTO_ADDR_H

#include "base/span.h"
#include "base/util.h"

#include <netinet/in.h>
#include <sys/socket.h>

enum addr_family { ADDR_NONE, ADDR_IP4, ADDR_IP6, ADDR_UNIX };

struct addr {
	uint8_t  ip[16]; /* network order; IPv4 in the first four bytes, the rest 0 */
	uint16_t port;   /* host order */
	uint8_t  family; /* enum addr_family */
};

struct cidr {
	struct addr base; /* host bits are zero; port unused; ADDR_UNIX = the word `unix` */
	uint8_t     bits; /* 0..32 or 0..128 */
};

enum { ADDR_TEXT_MAX = 56 }; /* "[v6]:65535" and its NUL fit */

/* An IPv4 or IPv6 literal without port or brackets (inet_pton's grammar). Port becomes 0. */
MUST_CHECK bool addr_parse_ip(struct span text, struct addr *addr);

/* From what accept, getpeername or getsockname gave. Families it does not know become ADDR_NONE. */
struct addr addr_from_sockaddr(const struct sockaddr *from, socklen_t len);

/* Writes a sockaddr_in or sockaddr_in6; returns its length, 0 for ADDR_NONE and ADDR_UNIX. */
socklen_t addr_to_sockaddr(const struct addr *addr, struct sockaddr_storage *out);

/* "192.0.2.1:443", "[2001:db8::1]:443", "unix" or "-"; always NUL-terminated; returns the
 * length. */
size_t addr_format(const struct addr *addr, char out[ADDR_TEXT_MAX]);

/* The same without port and brackets. */
size_t addr_format_ip(const struct addr *addr, char out[ADDR_TEXT_MAX]);

/* Same family and address; ports are not compared. */
bool addr_same_ip(const struct addr *a, const struct addr *b);

/* A socket that listens at *wide* gets what comes to *narrow*: it is the same address and port, or
 * *wide* is the wildcard. That of IPv6 takes IPv4, too, unless *ipv6only*. ipv6(7), IPV6_V6ONLY. */
bool addr_covers(const struct addr *wide, bool ipv6only, const struct addr *narrow);

/* "192.0.2.0/24", "2001:db8::/32", a bare address (all bits), or "unix". False: not understood, a
 * prefix too long, or host bits set (an operator's slip that would match less than he thinks). */
MUST_CHECK bool cidr_parse(struct span text, struct cidr *cidr);
bool            cidr_contains(const struct cidr *cidr, const struct addr *addr);

#endif
