#include "proto/addr.h"
#include "test.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <sys/un.h>

static struct addr ip(const char *text)
{
	struct addr addr;

	if (!addr_parse_ip(span_text(text), &addr))
		addr = (struct addr){.family = ADDR_NONE};
	return addr;
}

static bool is_no_ip(const char *text)
{
	return ip(text).family == ADDR_NONE;
}

static bool formats_to(struct addr addr, const char *want, const char *want_ip)
{
	char with_port[ADDR_TEXT_MAX], bare[ADDR_TEXT_MAX];

	return addr_format(&addr, with_port) == strlen(want) && strcmp(with_port, want) == 0 &&
	       addr_format_ip(&addr, bare) == strlen(want_ip) && strcmp(bare, want_ip) == 0;
}

static bool contains(const char *network, const char *address)
{
	struct cidr cidr;
	struct addr addr = ip(address);

	return cidr_parse(span_text(network), &cidr) && cidr_contains(&cidr, &addr);
}

static bool is_no_cidr(const char *text)
{
	struct cidr cidr;

	return !cidr_parse(span_text(text), &cidr);
}

TEST(ip4_literal_is_parsed)
{
	struct addr addr = ip("192.0.2.1");

	EXPECT_EQ(addr.family, ADDR_IP4);
	EXPECT_EQ(addr.port, 0);
	EXPECT(memcmp(addr.ip, "\xc0\x00\x02\x01\0\0\0\0\0\0\0\0\0\0\0", 16) == 0);
}

TEST(ip6_literal_is_parsed)
{
	struct addr addr = ip("2001:db8::1");

	EXPECT_EQ(addr.family, ADDR_IP6);
	EXPECT(memcmp(addr.ip, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01", 16) == 0);
	EXPECT_EQ(ip("2001:0db8:1111:2222:3333:4444:5555:6666").family, ADDR_IP6);
	EXPECT_EQ(ip("2001:0db8:1111:2222:3333:4444:255.255.255.255").family, ADDR_IP6);
}

TEST(ip4_in_ip6_is_held_as_ip4)
{
	struct addr plain = ip("192.0.2.1"), mapped = ip("::ffff:192.0.2.1");

	EXPECT(addr_same_ip(&plain, &mapped));
	EXPECT_EQ(ip("::192.0.2.1").family, ADDR_IP6);
	EXPECT_EQ(ip("::fffe:192.0.2.1").family, ADDR_IP6);
}

static bool covers(const char *wide, bool ipv6only, const char *narrow)
{
	struct addr a = ip(wide), b = ip(narrow);

	a.port = b.port = 443;
	return addr_covers(&a, ipv6only, &b);
}

TEST(a_wildcard_covers_the_addresses_of_its_family_and_that_of_ipv6_both)
{
	struct addr here = ip("0.0.0.0"), there = ip("0.0.0.0");

	EXPECT(covers("192.0.2.1", false, "192.0.2.1"));
	EXPECT(!covers("192.0.2.1", false, "192.0.2.2"));
	EXPECT(!covers("192.0.2.1", false, "0.0.0.0"));
	EXPECT(covers("0.0.0.0", false, "192.0.2.1"));
	EXPECT(!covers("0.0.0.0", false, "2001:db8::1") && !covers("0.0.0.0", false, "::"));
	EXPECT(covers("::", false, "2001:db8::1") && covers("::", true, "2001:db8::1"));
	EXPECT(covers("::", false, "192.0.2.1") && covers("::", false, "0.0.0.0"));
	EXPECT(!covers("::", true, "192.0.2.1") && !covers("::", true, "0.0.0.0"));
	EXPECT(!covers("2001:db8::1", false, "::"));
	here.port = 443;
	there.port = 444;
	EXPECT(!addr_covers(&here, false, &there));
}

TEST(what_is_no_ip_is_refused)
{
	static const char *const bad[] = {"",
	                                  "1.2.3",
	                                  "1.2.3.4.5",
	                                  "1.2.3.256",
	                                  "01.2.3.4",
	                                  "1.2.3.4 ",
	                                  " ::1",
	                                  "[::1]",
	                                  "::1%lo",
	                                  "1.2.3.4/8",
	                                  ":::",
	                                  "::1::",
	                                  "unix",
	                                  "example.com",
	                                  "0x7f.0.0.1",
	                                  "127.1",
	                                  "12345::",
	                                  ":",
	                                  "1:2:3",
	                                  "2001:0db8:1111:2222:3333:4444:255.255.255.2555",
	                                  "2001:0db8:1111:2222:3333:4444:5555:6666:7777:8888:9999"};
	struct addr              addr;

	for (size_t i = 0; i < COUNT(bad); i++)
		EXPECT(is_no_ip(bad[i]));
	EXPECT(!addr_parse_ip(span_of("1.2.3.4\0x", 9), &addr));
	EXPECT(!addr_parse_ip(span_of("1.2.3.4\0", 8), &addr));
	EXPECT(!addr_parse_ip((struct span){0}, &addr));
}

TEST(ip_literal_needs_no_terminator)
{
	struct addr addr, want = ip("1.2.3.4");

	EXPECT(addr_parse_ip(span_of("1.2.3.45", 7), &addr) && addr_same_ip(&addr, &want));
}

TEST(sockaddr_goes_there_and_back)
{
	static const char *const texts[] = {"192.0.2.1", "2001:db8::1", "::", "0.0.0.0"};

	for (size_t i = 0; i < COUNT(texts); i++) {
		struct addr             addr = ip(texts[i]), back;
		struct sockaddr_storage sockaddr;
		socklen_t               len;

		addr.port = 65432;
		len = addr_to_sockaddr(&addr, &sockaddr);
		EXPECT_EQ(len, addr.family == ADDR_IP4 ? sizeof(struct sockaddr_in)
		                                       : sizeof(struct sockaddr_in6));
		back = addr_from_sockaddr((struct sockaddr *)&sockaddr, len);
		EXPECT(addr_same_ip(&addr, &back));
		EXPECT_EQ(back.port, 65432);
		EXPECT_EQ(addr_from_sockaddr((struct sockaddr *)&sockaddr, len - 1).family,
		          ADDR_NONE);
	}
}

TEST(sockaddr_is_what_the_kernel_reads)
{
	struct addr             addr = ip("192.0.2.1");
	struct sockaddr_storage sockaddr;
	struct sockaddr_in      in4;

	addr.port = 443;
	EXPECT_EQ(addr_to_sockaddr(&addr, &sockaddr), sizeof(in4));
	memcpy(&in4, &sockaddr, sizeof(in4));
	EXPECT_EQ(in4.sin_family, AF_INET);
	EXPECT_EQ(in4.sin_port, htons(443));
	EXPECT_EQ(in4.sin_addr.s_addr, htonl(0xc0000201));
}

TEST(sockaddr_of_a_dual_stack_socket_is_ip4)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(5)};
	struct addr         want = ip("192.0.2.1"), addr;

	EXPECT_EQ(inet_pton(AF_INET6, "::ffff:192.0.2.1", &in6.sin6_addr), 1);
	addr = addr_from_sockaddr((struct sockaddr *)&in6, sizeof(in6));
	EXPECT(addr_same_ip(&addr, &want));
	EXPECT_EQ(addr.port, 5);
}

TEST(sockaddr_of_other_families_is_none_or_unix)
{
	struct sockaddr_un      unix_address = {.sun_family = AF_UNIX};
	struct sockaddr         other = {.sa_family = AF_NETLINK};
	struct sockaddr_storage out;
	struct addr             addr;

	addr = addr_from_sockaddr((struct sockaddr *)&unix_address, sizeof(sa_family_t));
	EXPECT_EQ(addr.family, ADDR_UNIX);
	EXPECT_EQ(addr_to_sockaddr(&addr, &out), 0);
	addr = addr_from_sockaddr(&other, sizeof(other));
	EXPECT_EQ(addr.family, ADDR_NONE);
	EXPECT_EQ(addr_to_sockaddr(&addr, &out), 0);
	EXPECT_EQ(addr_from_sockaddr((struct sockaddr *)&unix_address, 0).family, ADDR_NONE);
}

TEST(addr_formats)
{
	struct addr none = {0}, unix_addr = {.family = ADDR_UNIX};
	struct addr v4 = ip("192.0.2.1"), v6 = ip("2001:db8::1");
	struct addr longest = ip("2001:1db8:1111:2222:3333:4444:5555:6666");

	v4.port = 443;
	v6.port = longest.port = 65535;
	EXPECT(formats_to(v4, "192.0.2.1:443", "192.0.2.1"));
	EXPECT(formats_to(v6, "[2001:db8::1]:65535", "2001:db8::1"));
	EXPECT(formats_to(longest, "[2001:1db8:1111:2222:3333:4444:5555:6666]:65535",
	                  "2001:1db8:1111:2222:3333:4444:5555:6666"));
	EXPECT(formats_to(none, "-", "-"));
	EXPECT(formats_to(unix_addr, "unix", "unix"));
}

TEST(same_ip_looks_at_family_and_address_only)
{
	struct addr a = ip("1.2.3.4"), b = ip("1.2.3.4");
	struct addr other = ip("1.2.3.5"), v6 = ip("102:304::");

	b.port = 7;
	EXPECT(addr_same_ip(&a, &b));
	EXPECT(!addr_same_ip(&a, &other));
	EXPECT(!addr_same_ip(&a, &v6));
}

TEST(cidr_contains_its_network_only)
{
	EXPECT(contains("192.0.2.0/24", "192.0.2.0"));
	EXPECT(contains("192.0.2.0/24", "192.0.2.255"));
	EXPECT(!contains("192.0.2.0/24", "192.0.3.0"));
	EXPECT(contains("192.0.2.128/25", "192.0.2.200"));
	EXPECT(!contains("192.0.2.128/25", "192.0.2.127"));
	EXPECT(contains("192.0.2.4/31", "192.0.2.5"));
	EXPECT(!contains("192.0.2.4/31", "192.0.2.6"));
	EXPECT(contains("192.0.2.1", "192.0.2.1"));
	EXPECT(!contains("192.0.2.1/32", "192.0.2.0"));
	EXPECT(contains("2001:db8::/33", "2001:db8:7fff::1"));
	EXPECT(!contains("2001:db8::/33", "2001:db8:8000::1"));
	EXPECT(contains("::1", "::1"));
	EXPECT(contains("2001:db8::1/128", "2001:db8::1"));
	EXPECT(!contains("2001:db8::1/128", "2001:db8::3"));
}

TEST(cidr_of_no_bits_contains_its_family)
{
	EXPECT(contains("0.0.0.0/0", "255.1.2.3"));
	EXPECT(contains("::/0", "2001:db8::1"));
	EXPECT(!contains("0.0.0.0/0", "::1"));
	EXPECT(!contains("::/0", "1.2.3.4"));
}

TEST(cidr_of_mapped_addresses_is_ip4)
{
	EXPECT(contains("::ffff:192.0.2.0/120", "192.0.2.9"));
	EXPECT(!contains("::ffff:192.0.2.0/120", "192.0.3.9"));
	EXPECT(contains("::ffff:192.0.2.1", "192.0.2.1"));
	EXPECT(contains("::ffff:0:0/96", "1.2.3.4"));
	EXPECT(contains("192.0.2.0/24", "::ffff:192.0.2.9"));
	EXPECT(is_no_cidr("::ffff:0:0/95"));
	EXPECT(is_no_cidr("::ffff:0:0/24"));
}

TEST(cidr_unix_contains_unix_only)
{
	struct cidr cidr;
	struct addr unix_addr = {.family = ADDR_UNIX}, none = {0}, v4 = ip("0.0.0.0");

	EXPECT(cidr_parse(span_text("unix"), &cidr));
	EXPECT(cidr_contains(&cidr, &unix_addr));
	EXPECT(!cidr_contains(&cidr, &v4));
	EXPECT(!cidr_contains(&cidr, &none));
	EXPECT(cidr_parse(span_text("0.0.0.0/0"), &cidr));
	EXPECT(!cidr_contains(&cidr, &unix_addr));
	EXPECT(!cidr_contains(&cidr, &none));
}

TEST(what_is_no_cidr_is_refused)
{
	static const char *const bad[] = {"",
	                                  "/8",
	                                  "10.0.0.0/",
	                                  "10.0.0.0/33",
	                                  "10.0.0.0/08",
	                                  "10.0.0.0/+8",
	                                  "10.0.0.0/-1",
	                                  "10.0.0.0/8 ",
	                                  "10.0.0.0/8/8",
	                                  "10.0.0.0/1000",
	                                  "10.0.0.0/4294967304",
	                                  "10.0.0.1/24",
	                                  "10.0.1.0/23",
	                                  "128.0.0.0/0",
	                                  "2001:db8::/129",
	                                  "2001:db8::1/64",
	                                  "[2001:db8::]/32",
	                                  "unix/0",
	                                  "Unix",
	                                  "all",
	                                  "10/8"};

	for (size_t i = 0; i < COUNT(bad); i++)
		EXPECT(is_no_cidr(bad[i]));
	EXPECT(!cidr_contains(&(struct cidr){0}, &(struct addr){0}));
}

int main(void)
{
	return test_main();
}
