/*
 * tls_session: one TLS connection's half as bytes in, bytes out, and a verdict.
 *
 * Knows no socket, clock or buffer pool: the caller feeds what the peer sent and takes what is to
 * be sent; tests join two of them in memory. Owns its wolfSSL object, which allocates (the stated
 * exception of the hot path). Used by session on the worker's thread alone.
 */
#ifndef TLS_TLS_SESSION_H
#define TLS_TLS_SESSION_H

#include "tls/tls_context.h"

enum {
	TLS_RECORD_MAX = 16384,                /* plaintext of one record, RFC 8446 5.1 */
	TLS_RECORD_WIRE_MAX = 5 + 16384 + 256, /* one on the wire, RFC 8446 5.2 */
	TLS_SMALL_RECORD = 1369,               /* with its overhead one TCP segment */
	TLS_OUTPUT_MIN = 256, /* with less room nothing is begun, but the handshake */
};

enum tls_result {
	TLS_MORE,   /* all input was taken; it takes more of it to go on */
	TLS_DONE,   /* handshake: finished; write, close: all of it is in the output */
	TLS_DATA,   /* read: bytes were decrypted; there may be more, call again */
	TLS_FULL,   /* the output has no room left: send it, call again with the same arguments */
	TLS_CLOSED, /* read: the peer's close_notify; nothing more will be read */
	TLS_FAILED, /* see tls_session_failure; an alert may be in the output. Only free it now */
};

/* Why TLS_FAILED. */
enum tls_failure {
	TLS_FAILURE_HANDSHAKE, /* no shared version, cipher or group; a broken message; its alert */
	TLS_FAILURE_CERTIFICATE, /* the peer's certificate is missing, expired, revoked or not trusted, or
	                          * has another name */
	TLS_FAILURE_RECORD, /* after the handshake: a record that does not verify, renegotiation ... */
	TLS_FAILURE_MEMORY,
};

/* Output, the caller's memory: appended to behind *len*. */
struct tls_output {
	uint8_t *data;
	uint32_t len, size;
};

struct tls_session;

/* NULL: no memory. *choice* from tls_context_choose. */
struct tls_session *tls_session_accept(const struct tls_context *context,
                                       const struct tls_choice  *choice);

/* *name*: for SNI and the check of the server's certificate; len 0 = neither name is sent nor
 * checked. *resume_key* tells servers apart: a session kept under the same one is resumed. */
struct tls_session *tls_session_connect(const struct tls_client *client, struct span name,
                                        uint64_t resume_key);

void tls_session_free(struct tls_session *session);

/* Goes on with the handshake: takes bytes off *input* as far as they are needed: what is left
 * behind the peer's last handshake message stays for tls_session_read. TLS_MORE, TLS_FULL, TLS_DONE
 * or TLS_FAILED. Output may have grown whatever the result is. */
MUST_CHECK enum tls_result tls_session_handshake(struct tls_session *session, struct span *input,
                                                 struct tls_output *output);

/* Decrypts into *plain* (*size* bytes, at least TLS_RECORD_MAX); *len* is what came out. TLS_DATA
 * with *len* > 0, TLS_MORE, TLS_FULL, TLS_CLOSED or TLS_FAILED. Tickets are taken and KeyUpdates
 * answered on the way: output may grow. Input is taken before TLS_MORE, whole records or not: a
 * part of one is kept inside. */
MUST_CHECK enum tls_result tls_session_read(struct tls_session *session, struct span *input,
                                            struct tls_output *output, uint8_t *plain,
                                            uint32_t size, uint32_t *len);

/* Encrypts, records small at first and after a pause, of TLS_RECORD_MAX when bulk; *now_ms* is any
 * steady clock's. TLS_DONE, TLS_FULL (what was taken is off *plain*) or TLS_FAILED. */
MUST_CHECK enum tls_result tls_session_write(struct tls_session *session, struct span *plain,
                                             uint64_t now_ms, struct tls_output *output);

/* The most output that tls_session_write makes of *len* bytes. */
uint32_t tls_session_wire_size(uint32_t len);

/* close_notify; nothing can be written afterwards, reading goes on. TLS_DONE, TLS_FULL or
 * TLS_FAILED. */
MUST_CHECK enum tls_result tls_session_close(struct tls_session *session,
                                             struct tls_output  *output);

/* Tells the peer of an established session why there will be nothing: a fatal alert (close_notify
 * where the library can send none); nothing can be written afterwards. TLS_DONE, TLS_FULL or
 * TLS_FAILED. */
MUST_CHECK enum tls_result tls_session_refuse(struct tls_session *session, enum alert alert,
                                              struct tls_output *output);

enum tls_failure tls_session_failure(const struct tls_session *session);
/* For the log: the library's words, static; never NULL. */
const char *tls_session_failure_text(const struct tls_session *session);
/* The fatal alert that was sent or received last, 0 = none. */
uint8_t tls_session_alert(const struct tls_session *session);

/* What was agreed on; valid after TLS_DONE of the handshake. Texts are static or live as long as
 * the session. */
struct tls_agreed {
	const char *version; /* "TLSv1.3", as nginx's $ssl_protocol */
	const char *cipher;  /* "TLS_AES_128_GCM_SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256" */
	const char *group;   /* "P-256", as ssl_ecdh_curve has it; NULL = not known */
	struct span alpn;    /* len 0 = none */
	bool        resumed;
	bool        has_peer_certificate;
};

void tls_session_agreed(const struct tls_session *session, struct tls_agreed *agreed);

/* The subject of the peer's certificate in RFC 2253's form, cut to *size* with its NUL; "" =
 * none. */
void tls_session_peer_subject(const struct tls_session *session, char *text, size_t size);

#endif
