/*
 * tls_ends: the two ends of tls_lg's connections: clients that speak TLS by OpenSSL, and the
 * backend behind the proxy, which speaks plain bytes. They count what they move into struct load,
 * and handshakes into struct tls_ends; for how long is load's.
 */
#ifndef BENCH_TLS_ENDS_H
#define BENCH_TLS_ENDS_H

#include "load.h"

#include <openssl/ssl.h>

struct tls_settings {
	bool        resumes;
	uint64_t    pace_us; /* exchange: a request of each connection so often, 0: when answered */
	const char *name, *groups, *ciphers;
	int         version; /* TLS1_2_VERSION or TLS1_3_VERSION */
};

struct tls_ends {
	struct tls_settings settings;
	SSL_CTX            *context;
	SSL_SESSION        *session;       /* the one that is resumed, once there is one */
	uint64_t            full, resumed; /* handshakes that came to their end */
	char                what[128];     /* version, cipher and group of the first of them */
};

/* Makes the peers and the clients' context; all settings are complete, *tls* lives as long as the
 * run. Ends the program with 3 when this OpenSSL lacks a group or cipher that is asked for. */
void tls_ends_init(struct load *load, struct tls_ends *tls);

/* Closes every connection. */
void tls_ends_fini(struct load *load);

#endif
