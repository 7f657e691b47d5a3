/*
 * balance: which server of an upstream takes the next session; what its failures mean.
 *
 * The choice is pure: time, hash key and randomness are arguments. What must hold over the whole
 * process (sessions per server, failures, ejection) is in struct server_state, atomics that the
 * registry owns and that outlive a configuration. Any worker may call; no lock.
 */
#ifndef POLICY_BALANCE_H
#define POLICY_BALANCE_H

#include "base/util.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum balance_kind { BALANCE_ROUND_ROBIN, BALANCE_LEAST_CONN, BALANCE_HASH, BALANCE_RANDOM };

/* One server's life over the process. On a cache line of its own. */
struct server_state {
	_Alignas(64) _Atomic uint32_t active; /* sessions that chose it, dialling ones too */
	_Atomic uint32_t fails; /* failures in the window that began at fails_since_ms */
	_Atomic uint64_t fails_since_ms;
	_Atomic uint64_t ejected_until_ms; /* 0 = not ejected */
	_Atomic uint64_t chosen_total, failed_total;
	_Atomic uint32_t order; /* enum balance_order, the administrator's */
};

/* What the administrator wants of a server, whatever its health. Neither keeps it from serving the
 * sessions that it has; they differ in what they are called and in what others make of it. */
enum balance_order {
	BALANCE_ORDER_UP, /* nothing */
	BALANCE_ORDER_DRAIN,
	BALANCE_ORDER_DOWN,
};

struct balance_server {
	struct server_state *state;
	uint64_t identity;  /* stable hash of the address text; places it on the hash ring */
	uint32_t weight;    /* >= 1 */
	uint32_t max_conns; /* 0 = no bound */
	uint32_t max_fails; /* 0 = failures never eject */
	uint32_t fail_timeout_ms;
	bool     backup, down;
};

struct balance; /* opaque: servers, the round robin's schedule, the hash ring */

enum { BALANCE_NONE = -1, BALANCE_TRIES_MAX = 8, BALANCE_SERVERS_MAX = 4096 };

/* *servers* must outlive it; at most BALANCE_SERVERS_MAX. *cursor* is the round robin's place,
 * shared by all workers (the registry's). NULL: no memory, or too many servers. */
struct balance *balance_build(enum balance_kind kind, const struct balance_server *servers,
                              size_t count, _Atomic uint32_t *cursor);
void            balance_free(struct balance *balance);

struct balance_query {
	uint64_t        now_ms;
	uint64_t        hash;   /* of the hash key; BALANCE_HASH */
	uint64_t        random; /* BALANCE_RANDOM's two choices */
	const uint16_t *tried;  /* servers this session has tried already: not chosen again */
	size_t          tried_count;
};

/*
 * Chooses a server and counts the session on it (state->active, within max_conns); give it back
 * with balance_release exactly once. BALANCE_NONE: no server to be had. Backups serve only when
 * no other server can. When every usable server is ejected by max_fails they are all tried again
 * at once; a lone server (one that is not down) is never ejected.
 */
MUST_CHECK int balance_choose(const struct balance *balance, const struct balance_query *query);
void           balance_release(const struct balance_server *server);

/*
 * A connect that failed through the server's or the network's fault, or succeeded. max_fails
 * failures within fail_timeout eject the server for fail_timeout; then one session is let
 * through on trial: its success ends the ejection, its failure renews it. A success in between
 * does not forget the window's failures (nginx).
 */
void balance_failed(const struct balance *balance, const struct balance_server *server,
                    uint64_t now_ms);
void balance_succeeded(const struct balance_server *server);

/* From now on; survives a reload. A server that is ordered down or to drain is never chosen, also
 * when no other can be had. */
void balance_set_order(const struct balance_server *server, enum balance_order order);

enum balance_condition {
	BALANCE_USABLE,   /* chosen unless it is full */
	BALANCE_EJECTED,  /* by max_fails: until *until_ms, or until its trial succeeds */
	BALANCE_DRAINING, /* by order */
	BALANCE_DOWN,     /* by order or by the configuration */
};

/* What becomes of a server at *now_ms*. *until_ms* is 0 but for BALANCE_EJECTED. */
enum balance_condition balance_condition_of(const struct balance_server *server, uint64_t now_ms,
                                            uint64_t *until_ms);

#endif
