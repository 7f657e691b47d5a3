/*
 * snapshot: what one configuration built, ready for the workers: immutable once published.
 *
 * Names are resolved, routers and balances built, registry entries looked up, so that a session
 * follows pointers and allocates nothing. The configuration it came from lives inside it. Built off
 * the ring threads.
 */
#ifndef SITE_SNAPSHOT_H
#define SITE_SNAPSHOT_H

#include "conf/conf.h"
#include "policy/acl.h"
#include "policy/balance.h"
#include "policy/router.h"
#include "site/contexts.h"
#include "site/registry.h"
#include "site/resolve.h"

struct server {               /* beside balance_server of the same index */
	char           *host; /* its name or address alone, for TLS */
	const char     *text; /* address as logged: "10.0.0.11:443", "unix:/path" */
	struct endpoint endpoint;
	bool            fastopen; /* data with the SYN, where the kernel allows it */
};

struct upstream {
	const char             *name;
	struct balance         *balance;
	struct balance_server  *states;  /* server_count of them, same order as servers */
	struct server          *servers; /* one per resolved address */
	size_t                  server_count;
	enum conf_hash_key      hash_key;
	enum balance_kind       kind;
	uint32_t                connect_timeout_ms;
	uint8_t                 tries; /* 1..BALANCE_TRIES_MAX */
	enum proxyproto_version send_proxy_protocol;
	struct endpoint         bind; /* len 0 = the system's choice */
	bool                    so_keepalive;
	uint32_t                user_timeout_ms;
	struct tls_client      *tls;      /* NULL = plain to the servers */
	const char             *tls_name; /* proxy_ssl_name; NULL = see there */
	enum conf_starttls      starttls; /* the server is asked before TLS is spoken to it */
};

/* Where a connection goes and under which rules: a [route], an [sni] line, or a listener's
 * default. */
struct route {
	const char              *name; /* as logged; the listener's default is "default" */
	const struct conf_route *conf; /* NULL for the listener's default; for explain */
	enum conf_mode           mode;
	struct upstream         *upstream; /* NULL only for CONF_REJECT */
	/* NULL unless mode is CONF_TERMINATE; with what it was built from. */
	const struct tls_context *tls;
	const struct conf_tls    *tls_conf;
	struct acl                acl; /* the route's own; empty = none beside the listener's */
	struct route_state       *state;
	uint32_t                  max_conns; /* the route's own; 0 = none */
	uint32_t                  proxy_timeout_ms, half_close_timeout_ms;
	uint16_t                  access_log; /* SNAPSHOT_NO_LOG = none; else see log_numbers */
};

enum { SNAPSHOT_NO_LOG = UINT16_MAX, SNAPSHOT_CANCELS_MAX = 32 };

struct listener_site {
	const struct conf_listener *conf;
	struct listener_state      *state;
	struct acl                  acl;
	struct router              *router; /* NULL when it reads no hello */
	struct router_rule         *rules;  /* target = index in snapshot.routes */
	size_t                      rule_count;
	struct route               *fallback; /* proxy_pass; NULL = none */
	/* With starttls: where it leads to, each once, the fallback's first, at most
	 * SNAPSHOT_CANCELS_MAX; for CancelRequests, which name none. */
	struct upstream *upstreams[SNAPSHOT_CANCELS_MAX];
	size_t           upstream_count;
	uint16_t         access_log; /* for connections that reach no route */
	/* Something here asks who the client is. Judged beforehand, because it must be asked at
	 * accept: a peer that has reset since has no address any more. */
	bool wants_peer;
};

struct snapshot {
	struct conf          *conf;      /* owned */
	struct listener_site *listeners; /* conf->listener_count */
	struct upstream      *upstreams; /* conf->upstream_count */
	struct route         *routes; /* one per route and listener, then the listeners' defaults */
	size_t                route_count;
	uint16_t       *log_numbers; /* one for each of conf->logs; see snapshot_number_logs */
	uint64_t        hash_secret[2];
	struct contexts contexts;
};

/* Resolves and builds. Takes *conf* over, also on failure. Errors (a name that does not resolve,
 * memory) go to *report*; NULL then. Blocks in getaddrinfo: never on a ring thread. */
struct snapshot *snapshot_build(struct conf *conf, struct registry *registry,
                                struct conf_report *report);
void             snapshot_free(struct snapshot *snapshot);

/* Once, before it is published: routes and listeners take over what stands in log_numbers, which
 * the caller has filled in; until then they have the index in conf->logs. For logs live longer than
 * a snapshot, and only who opens them knows their numbers. */
void snapshot_number_logs(struct snapshot *snapshot);

#endif
