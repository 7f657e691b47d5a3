/*
 * reason: why a connection ended. One word, one counter, one place where it is listed.
 *
 * The words are a promise (INTERFACE.md, Access log). Only those that today's program can reach
 * stand here.
 */
#ifndef SITE_REASON_H
#define SITE_REASON_H

#define REASONS(X)                                                                                 \
	X(OK, "ok")                                                                                \
	X(NO_MATCH, "no_match")                                                                    \
	X(NO_SNI, "no_sni")                                                                        \
	X(REJECTED, "rejected")                                                                    \
	X(MALFORMED, "malformed")                                                                  \
	X(PLAINTEXT, "plaintext")                                                                  \
	X(HELLO_TIMEOUT, "hello_timeout")                                                          \
	X(HELLO_TOO_LONG, "hello_too_long")                                                        \
	X(CLIENT_GONE, "client_gone")                                                              \
	X(PROXY_HEADER, "proxy_header")                                                            \
	X(CONNECT_FAILED, "connect_failed")                                                        \
	X(CONNECT_TIMEOUT, "connect_timeout")                                                      \
	X(NO_SERVER, "no_server")                                                                  \
	X(HANDSHAKE_FAILED, "handshake_failed")                                                    \
	X(HANDSHAKE_TIMEOUT, "handshake_timeout")                                                  \
	X(CLIENT_CERT, "client_cert")                                                              \
	X(TRUNCATED, "truncated")                                                                  \
	X(UPSTREAM_HANDSHAKE_FAILED, "upstream_handshake_failed")                                  \
	X(UPSTREAM_VERIFY_FAILED, "upstream_verify_failed")                                        \
	X(STARTTLS_REFUSED, "starttls_refused")                                                    \
	X(IDLE_TIMEOUT, "idle_timeout")                                                            \
	X(HALF_CLOSE_TIMEOUT, "half_close_timeout")                                                \
	X(SESSION_TIMEOUT, "session_timeout")                                                      \
	X(DENIED, "denied")                                                                        \
	X(LIMITED, "limited")                                                                      \
	X(OVERLOAD, "overload")                                                                    \
	X(UPSTREAM_RESET, "upstream_reset")                                                        \
	X(CLIENT_RESET, "client_reset")                                                            \
	X(DRAINED, "drained")                                                                      \
	X(CLOSED_BY_ADMIN, "closed_by_admin")                                                      \
	X(INTERNAL, "internal")

enum reason {
#define X(name, word) REASON_##name,
	REASONS(X)
#undef X
		REASON_COUNT
};

/* The word of the access log and of the metrics. */
const char *reason_word(enum reason reason);

#endif
