#include "site/resolve.h"

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

struct request {
	const struct conf_endpoint *from;
	const char                 *what;
	struct conf_report         *report;
};

static bool no_memory(const struct request *request)
{
	conf_error(request->report, request->from->pos, "%s = %s: no memory", request->what,
	           request->from->text);
	return false;
}

void endpoint_from_addr(const struct addr *addr, struct endpoint *endpoint)
{
	struct sockaddr_storage storage = {0};
	socklen_t               len = addr_to_sockaddr(addr, &storage);

	CHECK(len <= sizeof(*endpoint));
	memset(endpoint, 0, sizeof(*endpoint));
	memcpy(&endpoint->any, &storage, len);
	endpoint->len = len;
}

bool endpoint_from_path(const char *path, struct endpoint *endpoint)
{
	size_t len = strlen(path);

	memset(endpoint, 0, sizeof(*endpoint));
	if (len == 0 || len >= sizeof(endpoint->local.sun_path))
		return false;
	endpoint->local.sun_family = AF_UNIX;
	memcpy(endpoint->local.sun_path, path, len);
	endpoint->len = (socklen_t)sizeof(endpoint->local);
	return true;
}

static bool from_path(const struct request *request, struct endpoint *endpoint)
{
	if (endpoint_from_path(request->from->host, endpoint))
		return true;
	conf_error(request->report, request->from->pos,
	           "%s = %s: a unix socket's path has 1 to %zu bytes", request->what,
	           request->from->text, sizeof(endpoint->local.sun_path) - 1);
	return false;
}

static int look_up(const char *host, struct addrinfo **found)
{
	struct addrinfo hints = {
		.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
	int error = getaddrinfo(host, NULL, &hints, found);

	/* AI_ADDRCONFIG spares an IPv4-only host its peers' IPv6 addresses, but finds nothing at
	 * all where only loopback is up yet. */
	if (error == 0 || error == EAI_AGAIN || error == EAI_MEMORY)
		return error;
	hints.ai_flags = 0;
	return getaddrinfo(host, NULL, &hints, found);
}

static bool has_endpoint(const struct resolved *resolved, const struct endpoint *endpoint)
{
	for (size_t i = 0; i < resolved->count; i++) {
		const struct endpoint *other = &resolved->endpoints[i];

		if (other->len == endpoint->len &&
		    memcmp(&other->any, &endpoint->any, endpoint->len) == 0)
			return true;
	}
	return false;
}

/* Copied as it is rather than through struct addr, so that a link-local address keeps its scope. */
static bool from_addrinfo(const struct addrinfo *info, uint16_t port, struct endpoint *endpoint)
{
	if ((info->ai_family != AF_INET && info->ai_family != AF_INET6) ||
	    info->ai_addrlen > sizeof(*endpoint))
		return false;
	memset(endpoint, 0, sizeof(*endpoint));
	memcpy(&endpoint->any, info->ai_addr, info->ai_addrlen);
	endpoint->len = info->ai_addrlen;
	if (info->ai_family == AF_INET)
		endpoint->ip4.sin_port = htons(port);
	else
		endpoint->ip6.sin6_port = htons(port);
	return true;
}

/* False: no memory. */
static bool collect(const struct addrinfo *found, uint16_t port, struct resolved *resolved)
{
	size_t count = 0;

	for (const struct addrinfo *info = found; info; info = info->ai_next)
		count++;
	resolved->endpoints = calloc(count + 1, sizeof(*resolved->endpoints));
	if (!resolved->endpoints)
		return false;
	for (const struct addrinfo *info = found; info; info = info->ai_next) {
		struct endpoint endpoint;

		if (from_addrinfo(info, port, &endpoint) && !has_endpoint(resolved, &endpoint))
			resolved->endpoints[resolved->count++] = endpoint;
	}
	return true;
}

static bool from_host(const struct request *request, struct resolved *resolved)
{
	const struct conf_endpoint *from = request->from;
	struct addrinfo            *found = NULL;
	int                         error = look_up(from->host, &found);
	bool                        ok;

	if (error != 0) {
		conf_error(request->report, from->pos, "%s = %s: cannot resolve \"%s\": %s",
		           request->what, from->text, from->host,
		           error == EAI_SYSTEM ? strerror(errno) : gai_strerror(error));
		return false;
	}
	ok = collect(found, from->port, resolved);
	freeaddrinfo(found);
	if (!ok)
		return no_memory(request);
	if (resolved->count == 0)
		conf_error(request->report, from->pos, "%s = %s: \"%s\" has no IP address",
		           request->what, from->text, from->host);
	return resolved->count > 0;
}

bool resolve(const struct conf_endpoint *from, const char *what, struct conf_report *report,
             struct resolved *resolved)
{
	struct request request = {from, what, report};

	*resolved = (struct resolved){0};
	if (from->kind == CONF_ENDPOINT_HOST)
		return from_host(&request, resolved);
	resolved->endpoints = calloc(1, sizeof(*resolved->endpoints));
	if (!resolved->endpoints)
		return no_memory(&request);
	resolved->count = 1;
	if (from->kind == CONF_ENDPOINT_UNIX)
		return from_path(&request, resolved->endpoints);
	CHECK(from->kind == CONF_ENDPOINT_IP);
	endpoint_from_addr(&from->addr, resolved->endpoints);
	return true;
}

void resolved_fini(struct resolved *resolved)
{
	free(resolved->endpoints);
	*resolved = (struct resolved){0};
}
