/*
 * tls_library: the TLS library as a whole: which one, how fast, started and stopped.
 *
 * Owns the library's global state; where its random bytes come from is tls_random's. It never
 * touches a connection. main starts it once before anything else of tls/ is called and stops it
 * last. A build without TLS termination has src/tls/none.c instead of this folder.
 */
#ifndef TLS_TLS_LIBRARY_H
#define TLS_TLS_LIBRARY_H

#include "base/util.h"

#include <stdbool.h>

/* "wolfSSL 5.9.2", or "none" where TLS is only passed through; static. */
const char *tls_library_name(void);

/* True if this build can terminate TLS. */
bool tls_library_is_present(void);

/* True if the ciphers run in the library's assembly on this CPU; without it bulk is an order of
 * magnitude slower. */
bool tls_library_has_assembly(void);

/* Sets the library up, for the whole process; 0 or -errno. Once, before there are other threads. */
MUST_CHECK int tls_library_start(void);

/* Frees what tls_library_start made. All sessions and contexts must be gone. */
void tls_library_stop(void);

#endif
