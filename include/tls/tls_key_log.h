/*
 * tls_key_log: the secrets of every session in a file, for Wireshark (SSLKEYLOGFILE's format).
 *
 * Private to src/tls. A debugging aid that a lint warns of: each line is one write, on the worker.
 */
#ifndef TLS_TLS_KEY_LOG_H
#define TLS_TLS_KEY_LOG_H

#include "tls/tls_internal.h"

struct tls_key_log;

/* Appends to *path*, made with mode 0600: 0 or -errno. */
MUST_CHECK int tls_key_log_open(const char *path, struct tls_key_log **log);
void           tls_key_log_close(struct tls_key_log *log);
/* The log must outlive the handshake of *ssl*. */
void tls_key_log_attach(struct tls_key_log *log, WOLFSSL *ssl);

#endif
