/*
 * tls_file: whole files in memory, and digests of what was read.
 *
 * Private to src/tls. What it reads may be a private key: it is wiped when it is given back. Called
 * while a configuration is built, never on a worker.
 */
#ifndef TLS_TLS_FILE_H
#define TLS_TLS_FILE_H

#include "base/span.h"
#include "base/util.h"

#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/sha256.h>

enum {
	TLS_DIGEST_SIZE = WC_SHA256_DIGEST_SIZE,
	TLS_FILE_MAX = 16 << 20 /* a larger one is no certificate, key or list of authorities */
};

struct tls_file {
	uint8_t *data; /* with a NUL behind, which *len* does not count */
	size_t   len;
};

/* Reads all of *path*: 0 or -errno; -EFBIG beyond TLS_FILE_MAX, -ENODATA when it is empty. */
MUST_CHECK int tls_file_read(const char *path, struct tls_file *file);
/* Also of an all-zero one. */
void tls_file_wipe(struct tls_file *file);

static inline struct span tls_file_span(const struct tls_file *file)
{
	return span_of(file->data, file->len);
}

/* A digest over fields: each goes in with its length before it, so that no two lists of fields are
 * the same bytes. */
struct tls_digest {
	wc_Sha256 state;
};

void tls_digest_start(struct tls_digest *digest);
void tls_digest_add(struct tls_digest *digest, struct span field);
void tls_digest_add_number(struct tls_digest *digest, uint64_t number);
void tls_digest_end(struct tls_digest *digest, uint8_t out[TLS_DIGEST_SIZE]);

#endif
