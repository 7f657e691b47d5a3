#include "proto/addr.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/un.h>

enum { MAPPED_BITS = 96 };

/* ::ffff:0:0/96, RFC 4291 2.5.5.2 */
static const uint8_t mapped_prefix[MAPPED_BITS / 8] = {[10] = 0xff, [11] = 0xff};

static size_t ip_size(enum addr_family family)
{
	switch (family) {
	case ADDR_IP4:
		return 4;
	case ADDR_IP6:
		return 16;
	case ADDR_NONE:
	case ADDR_UNIX:
		break;
	}
	return 0;
}

static void set_ip4(struct addr *addr, const void *ip)
{
	*addr = (struct addr){.family = ADDR_IP4};
	memcpy(addr->ip, ip, 4);
}

/* True if *ip* was IPv4 in disguise. */
static bool set_ip6(struct addr *addr, const uint8_t *ip)
{
	if (memcmp(ip, mapped_prefix, sizeof(mapped_prefix)) == 0) {
		set_ip4(addr, ip + sizeof(mapped_prefix));
		return true;
	}
	*addr = (struct addr){.family = ADDR_IP6};
	memcpy(addr->ip, ip, 16);
	return false;
}

static bool parse_ip(struct span text, struct addr *addr, bool *mapped)
{
	char    copy[INET6_ADDRSTRLEN];
	uint8_t ip[16];

	*mapped = false;
	if (text.len == 0 || text.len >= sizeof(copy) || memchr(text.data, 0, text.len))
		return false;
	memcpy(copy, text.data, text.len);
	copy[text.len] = 0;
	if (inet_pton(AF_INET, copy, ip) == 1) {
		set_ip4(addr, ip);
		return true;
	}
	if (inet_pton(AF_INET6, copy, ip) == 1) {
		*mapped = set_ip6(addr, ip);
		return true;
	}
	return false;
}

bool addr_parse_ip(struct span text, struct addr *addr)
{
	bool mapped;

	return parse_ip(text, addr, &mapped);
}

struct addr addr_from_sockaddr(const struct sockaddr *from, socklen_t len)
{
	struct addr         addr = {.family = ADDR_NONE};
	struct sockaddr_in  in4;
	struct sockaddr_in6 in6;

	/* The kernel gives length 0 for a peer that is already gone, and 2 for an unnamed unix
	 * socket. */
	if (len < (socklen_t)sizeof(from->sa_family))
		return addr;
	if (from->sa_family == AF_INET && len >= (socklen_t)sizeof(in4)) {
		memcpy(&in4, from, sizeof(in4));
		set_ip4(&addr, &in4.sin_addr);
		addr.port = ntohs(in4.sin_port);
	} else if (from->sa_family == AF_INET6 && len >= (socklen_t)sizeof(in6)) {
		memcpy(&in6, from, sizeof(in6));
		set_ip6(&addr, in6.sin6_addr.s6_addr);
		addr.port = ntohs(in6.sin6_port);
	} else if (from->sa_family == AF_UNIX) {
		addr.family = ADDR_UNIX;
	}
	return addr;
}

socklen_t addr_to_sockaddr(const struct addr *addr, struct sockaddr_storage *out)
{
	struct sockaddr_in  in4 = {.sin_family = AF_INET, .sin_port = htons(addr->port)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(addr->port)};

	switch ((enum addr_family)addr->family) {
	case ADDR_IP4:
		memcpy(&in4.sin_addr, addr->ip, 4);
		memcpy(out, &in4, sizeof(in4));
		return sizeof(in4);
	case ADDR_IP6:
		memcpy(&in6.sin6_addr, addr->ip, 16);
		memcpy(out, &in6, sizeof(in6));
		return sizeof(in6);
	case ADDR_NONE:
	case ADDR_UNIX:
		break;
	}
	return 0;
}

size_t addr_format_ip(const struct addr *addr, char out[ADDR_TEXT_MAX])
{
	const char *text = "-";

	switch ((enum addr_family)addr->family) {
	case ADDR_IP4:
		text = inet_ntop(AF_INET, addr->ip, out, ADDR_TEXT_MAX);
		break;
	case ADDR_IP6:
		text = inet_ntop(AF_INET6, addr->ip, out, ADDR_TEXT_MAX);
		break;
	case ADDR_UNIX:
		text = "unix";
		break;
	case ADDR_NONE:
		break;
	}
	if (text && text != out)
		memcpy(out, text, strlen(text) + 1);
	return strlen(out);
}

size_t addr_format(const struct addr *addr, char out[ADDR_TEXT_MAX])
{
	char ip[ADDR_TEXT_MAX];
	bool is_ip6 = addr->family == ADDR_IP6;
	int  len;

	if (ip_size((enum addr_family)addr->family) == 0)
		return addr_format_ip(addr, out);
	(void)addr_format_ip(addr, ip);
	len = snprintf(out, ADDR_TEXT_MAX, "%s%.45s%s:%u", is_ip6 ? "[" : "", ip, is_ip6 ? "]" : "",
	               (unsigned)addr->port);
	return (size_t)len;
}

bool addr_same_ip(const struct addr *a, const struct addr *b)
{
	return a->family == b->family && memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

bool addr_covers(const struct addr *wide, bool ipv6only, const struct addr *narrow)
{
	const struct addr any = {.family = wide->family};

	if (wide->port != narrow->port)
		return false;
	if (!addr_same_ip(wide, &any))
		return addr_same_ip(wide, narrow);
	return wide->family == narrow->family || (wide->family == ADDR_IP6 && !ipv6only);
}

/* "0" to "128", no sign, no leading zero. */
static bool parse_bits(struct span text, size_t *bits)
{
	*bits = 0;
	if (text.len == 0 || text.len > 3 || (text.len > 1 && text.data[0] == '0'))
		return false;
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return false;
		*bits = *bits * 10 + (size_t)(text.data[i] - '0');
	}
	return true;
}

static bool has_host_bits(const struct addr *addr, size_t bits)
{
	for (size_t i = bits; i < sizeof(addr->ip) * 8; i++)
		if (addr->ip[i / 8] & (0x80u >> i % 8))
			return true;
	return false;
}

bool cidr_parse(struct span text, struct cidr *cidr)
{
	const uint8_t *slash = text.len ? memchr(text.data, '/', text.len) : NULL;
	struct span    ip = text;
	size_t         bits, all;
	bool           mapped;

	if (span_equal(text, span_text("unix"))) {
		*cidr = (struct cidr){.base = {.family = ADDR_UNIX}};
		return true;
	}
	if (slash)
		ip.len = (size_t)(slash - text.data);
	if (!parse_ip(ip, &cidr->base, &mapped))
		return false;
	all = bits = ip_size((enum addr_family)cidr->base.family) * 8;
	if (slash) {
		if (!parse_bits(span_of(slash + 1, text.len - ip.len - 1), &bits))
			return false;
		/* A shorter prefix would cut into the ones of ::ffff:0:0: host bits set. */
		if (mapped && bits < MAPPED_BITS)
			return false;
		if (mapped)
			bits -= MAPPED_BITS;
	}
	if (bits > all || has_host_bits(&cidr->base, bits))
		return false;
	cidr->bits = (uint8_t)bits;
	return true;
}

bool cidr_contains(const struct cidr *cidr, const struct addr *addr)
{
	size_t  bytes = cidr->bits / 8;
	uint8_t rest = (uint8_t)(0xff00u >> cidr->bits % 8);

	if (cidr->base.family != addr->family || addr->family == ADDR_NONE)
		return false;
	if (memcmp(cidr->base.ip, addr->ip, bytes) != 0)
		return false;
	return rest == 0 || ((cidr->base.ip[bytes] ^ addr->ip[bytes]) & rest) == 0;
}
