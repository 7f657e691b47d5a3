/*
 * world: a shard on the simulated kernel, with a site made by hand and clients and servers around
 * it.
 *
 * Owns the site, the listener and what became of every client. After every turn it checks the rules
 * of the house; at the end, that nothing was kept. Used by both the directed tests and the seeded
 * ones.
 */
#ifndef TESTS_SIM_WORLD_H
#define TESTS_SIM_WORLD_H

#include "session/access.h"
#include "session/conn.h"
#include "session/listener.h"
#include "sim/kernel.h"

enum {
	CLIENTS_MAX = 64,
	UPSTREAMS = 2,
	SERVERS_MAX = 3, /* of one upstream */
	CLIENT_PORT = 40000,
};

/* Names that lead somewhere: a.test to upstream 0, b.test to upstream 1, r.test is rejected. */
struct world_plan {
	struct worker_sizes sizes;
	bool                reads_hello, has_fallback;
	enum conf_action    on_no_match, on_no_sni, on_plaintext;
	enum conf_proxy_in  accept_proxy;
	bool                trusts_proxy, denies;
	uint32_t            preread_timeout_ms, preread_buffer_size;
	uint32_t            max_conns, max_conns_per_ip, session_timeout_ms, proxy_timeout_ms,
		half_close_timeout_ms;
	uint32_t                connect_timeout_ms, max_fails, server_max_conns;
	uint8_t                 tries;
	size_t                  servers; /* per upstream */
	bool                    fastopen, starttls;
	enum balance_kind       balance;
	enum proxyproto_version send_proxy;
	unsigned                fault_rate;
	bool                    is_old; /* the kernel */

	/* NULL: TLS is passed through; plain to the servers. */
	const struct tls_context *tls;
	struct tls_client        *upstream_tls;
	uint32_t                  handshake_timeout_ms;
	bool                      floods; /* somebody asks for new keys for ever */
};

/* What the log says of a client. */
struct outcome {
	bool        ended;
	bool        was_stopped;
	enum reason reason;
	uint8_t     alert, tries;
	uint64_t    bytes_up, bytes_down, ended_ms;
};

struct world {
	struct world_plan     plan;
	struct shard          shard;
	struct listener       listener;
	struct snapshot       snapshot;
	struct tenure         tenure;
	struct conf           conf;
	struct conf_tls       conf_tls;
	struct conf_listener  conf_listener, *conf_listeners[1];
	struct listener_site  site;
	struct acl_rule       deny;
	struct cidr           trusted;
	struct router_rule    rules[3];
	struct route          routes[4];
	struct upstream       upstreams[UPSTREAMS];
	struct balance_server states[UPSTREAMS][SERVERS_MAX];
	struct server         servers[UPSTREAMS][SERVERS_MAX];
	struct server_state   server_states[UPSTREAMS][SERVERS_MAX];
	_Atomic uint32_t      cursors[UPSTREAMS];
	struct route_state    route_states[4];
	struct listener_state listener_state;
	struct registry       registry;

	struct listener_counters listener_counters;
	struct worker_counters   worker_counters;
	struct accept_queue      queues[2]; /* the shard's, and a neighbour's */
	struct log_port          log;

	struct sock   *clients[CLIENTS_MAX];
	struct sock   *last_server[CLIENTS_MAX]; /* whom the proxy dialled last for it */
	struct outcome outcomes[CLIENTS_MAX];
	int            client_count, accepted_count;
	struct sock   *dialled[SOCKS_MAX];
	int            dial_count;
	bool           was_stopped;

	/* How servers take a connect: the directed tests set it per upstream * SERVERS_MAX +
	 * server. */
	enum dial_answer {
		DIAL_ACCEPTED,
		DIAL_REFUSED,
		DIAL_IGNORED,
		DIAL_FAILS_AT_ONCE,
		DIAL_SHORTAGE
	} answers[UPSTREAMS * SERVERS_MAX];
};

extern struct world world;

/* What directed tests begin with; the seeded ones overwrite all of it. */
struct world_plan world_default(void);

void world_open(const struct world_plan *plan, uint64_t seed, bool is_obedient);
void world_turn(void);
/* Every connection must be gone; gives everything back and checks that it was all. */
void world_close(void);

/* A client that waits in the backlog. *number*: its place in world.clients. */
struct sock *world_connect(struct stream stream);
/* What the server that *client* (a number) led to must read in front of its bytes. */
void world_expect_header(struct sock *client, const struct addr *source, const struct addr *local);

struct conn *world_conn(const struct sock *client); /* NULL = none (any more) */

#endif
