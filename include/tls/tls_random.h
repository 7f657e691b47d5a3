/*
 * tls_random: where all random bytes of TLS come from: the kernel's, fetched 4 KiB at a time.
 *
 * Owns a block for each thread; bytes leave it once and are wiped there. It never makes bytes up:
 * when the kernel gives none, what needed them fails. Called by wolfSSL (which is built to call
 * this function instead of a generator of its own, see .ci/deps) and by tls/.
 */
#ifndef TLS_TLS_RANDOM_H
#define TLS_TLS_RANDOM_H

#include "base/util.h"

/* Fills *size* bytes of *output*; 0 or -errno (getrandom(2)). The name is the library's: it has the
 * program's in front. */
MUST_CHECK int penstock_random_block(unsigned char *output, unsigned size);

#endif
