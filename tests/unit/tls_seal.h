/*
 * tls_seal: records of a test's own making in the name of one end, by the keys that its session
 * hands over: what no well-behaved library would send.
 */
#ifndef TESTS_UNIT_TLS_SEAL_H
#define TESTS_UNIT_TLS_SEAL_H

#include "tls_ends.h"

#include <wolfssl/wolfcrypt/aes.h>

enum { TYPE_ALERT = 21, TYPE_HANDSHAKE = 22, TYPE_DATA = 23, TAG = 16 };

struct sealer {
	Aes      aes;
	uint8_t  iv[12];
	uint64_t sequence;
	int      version; /* 2 or 3 */
};

/* *end* must not write itself any more. AES-GCM only. */
static inline void sealer_init(struct sealer *sealer, const struct end *end, int version)
{
	WOLFSSL    *library = tls_session_library(end->session);
	bool        is_client = wolfSSL_GetSide(library) == WOLFSSL_CLIENT_END;
	const byte *key = is_client ? wolfSSL_GetClientWriteKey(library)
	                            : wolfSSL_GetServerWriteKey(library);
	const byte *iv = is_client ? wolfSSL_GetClientWriteIV(library)
	                           : wolfSSL_GetServerWriteIV(library);
	word64      sequence = 0;

	(void)wolfSSL_GetSequenceNumber(library, &sequence);
	*sealer = (struct sealer){.sequence = sequence, .version = version};
	memcpy(sealer->iv, iv, version == 3 ? 12 : 4);
	EXPECT_EQ(wc_AesInit(&sealer->aes, NULL, INVALID_DEVID), 0);
	EXPECT_EQ(wc_AesGcmSetKey(&sealer->aes, key, (word32)wolfSSL_GetKeySize(library)), 0);
}

static inline void put_number(uint8_t *to, uint64_t number, size_t size)
{
	for (size_t i = size; i-- > 0; number >>= 8)
		to[i] = (uint8_t)number;
}

/* Puts one record of *type* on *wire*: RFC 8446 5.2, RFC 5288 3. */
static inline void seal(struct sealer *sealer, struct wire *wire, uint8_t type, struct span plain)
{
	bool    is_13 = sealer->version == 3;
	uint8_t record[TLS_RECORD_WIRE_MAX], text[TLS_RECORD_MAX + 1], nonce[12], extra[13];
	size_t  len = plain.len, head = is_13 ? 5 : 13, extra_len = is_13 ? 5 : 13;

	if (len > 0)
		memcpy(text, plain.data, len);
	if (is_13)
		text[len++] = type;
	record[0] = is_13 ? TYPE_DATA : type;
	record[1] = record[2] = 3;
	put_number(record + 3, head - 5 + len + TAG, 2);
	memcpy(nonce, sealer->iv, 12);
	if (is_13) {
		uint8_t counter[8];

		put_number(counter, sealer->sequence, 8);
		for (size_t i = 0; i < 8; i++)
			nonce[4 + i] ^= counter[i];
		memcpy(extra, record, 5);
	} else {
		put_number(nonce + 4, sealer->sequence, 8);
		memcpy(record + 5, nonce + 4, 8);
		put_number(extra, sealer->sequence, 8);
		memcpy(extra + 8, record, 3);
		put_number(extra + 11, len, 2);
	}
	EXPECT_EQ(wc_AesGcmEncrypt(&sealer->aes, record + head, text, (word32)len, nonce, 12,
	                           record + head + len, TAG, extra, (word32)extra_len),
	          0);
	wire_put(wire, record, head + len + TAG);
	sealer->sequence++;
}

static inline void sealer_fini(struct sealer *sealer)
{
	wc_AesFree(&sealer->aes);
}

#endif
