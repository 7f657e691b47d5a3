/*
 * tls_tickets: the keys that one section's session tickets are sealed with (RFC 5077, RFC 8446
 * 4.6.1), and the sealing.
 *
 * Private to src/tls. Keys are derived from the operator's files, or from a secret of this process
 * that turns by itself, and from what the section demands of a client: a ticket never opens under
 * other demands, not in another process with the same files either. Used on every worker, without a
 * lock; lives as long as the store.
 */
#ifndef TLS_TLS_TICKETS_H
#define TLS_TLS_TICKETS_H

#include "tls/tls_file.h"
#include "tls/tls_internal.h"

enum { TLS_TICKET_WORDS = 6 };

/* Of both: what names the key in a ticket, and AES-256's. */
struct tls_ticket_key {
	uint8_t name[16];
	uint8_t secret[32];
};

/* A key that another thread may replace while it is read: see tls_tickets.c. */
struct tls_ticket_slot {
	_Atomic uint64_t period;
	_Atomic uint64_t words[TLS_TICKET_WORDS];
};

struct tls_tickets {
	uint8_t digest[TLS_DIGEST_SIZE]; /* of all that follows from the configuration */
	struct tls_tickets    *next;     /* the store's */
	uint32_t               timeout_ms;
	size_t                 key_count; /* 0 = keys of our own, in *slots* */
	struct tls_ticket_key *keys;
	_Atomic uint64_t       period; /* the newest in *slots* */
	_Atomic bool           turning;
	uint8_t                secret[32]; /* of who turns */
	struct tls_ticket_slot slots[4];
};

/* The store's tickets for *conf*, made if they are not there; *demands* is a digest of what the
 * section asks of clients. NULL: an error went to *report*. */
struct tls_tickets *tls_tickets_get(const struct conf_tls *conf,
                                    const uint8_t demands[TLS_DIGEST_SIZE], struct tls_store *store,
                                    struct conf_report *report);
void                tls_tickets_free(struct tls_tickets *tickets);

/* From now on *library* seals and opens with them. False: no memory. */
MUST_CHECK bool tls_tickets_install(struct tls_tickets *tickets, WOLFSSL_CTX *library);

/* For the library and tests: seals *len* bytes, room for TLS_TICKET_OVERHEAD more, in place;
 * opens them again. *now_s*: since the epoch; *now_ms*: of the steady clock. */
enum { TLS_TICKET_OVERHEAD = 8 };
struct tls_sealed {
	uint8_t *name; /* 16 bytes */
	uint8_t *iv;   /* 16 bytes, the first 12 random already when it is to be sealed */
	uint8_t *mac;  /* 32 bytes */
	uint8_t *data;
	uint32_t len;
};
struct tls_ticket_time {
	uint64_t now_s, now_ms;
};

enum tls_opened { TLS_OPENED, TLS_OPENED_OLD_KEY, TLS_NOT_OPENED };

MUST_CHECK bool            tls_tickets_seal(struct tls_tickets *tickets, struct tls_sealed *sealed,
                                            struct tls_ticket_time time);
MUST_CHECK enum tls_opened tls_tickets_open(struct tls_tickets *tickets, struct tls_sealed *sealed,
                                            struct tls_ticket_time time);

#endif
