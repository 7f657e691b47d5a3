/* Was this wolfSSL built with what src/tls calls? Compiled by meson at configure time; the line it
 * stops at is in meson-logs/meson-log.txt. */
#include <wolfssl/ssl.h>
#include <wolfssl/version.h>

#ifndef WOLFSSL_TLS13
#error "TLS 1.3 (--enable-tls13)"
#endif
#ifndef HAVE_SNI
#error "server names (--enable-sni)"
#endif
#ifndef HAVE_ALPN
#error "ALPN (--enable-alpn)"
#endif
#ifndef HAVE_SESSION_TICKET
#error "session tickets (--enable-session-ticket)"
#endif
#ifndef HAVE_EXTENDED_MASTER
#error "extended master secret (--enable-extended-master)"
#endif
#ifndef HAVE_SERVER_RENEGOTIATION_INFO
#error "the server's RFC 5746 answer (not --enable-renegotiation-indication)"
#endif
#ifndef HAVE_CERTIFICATE_STATUS_REQUEST
#error "OCSP stapling (--enable-ocspstapling)"
#endif
#ifndef HAVE_CRL
#error "revocation lists (--enable-crl)"
#endif
#ifndef WOLFSSL_ENCRYPTED_KEYS
#error "keys with a password (--enable-enckeys)"
#endif
#ifndef ATOMIC_USER
#error "keys that can be handed over (--enable-atomicuser)"
#endif
#ifndef HAVE_SECRET_CALLBACK
#error "the key log's callback (-DHAVE_SECRET_CALLBACK)"
#endif
#ifndef WOLFSSL_ALWAYS_VERIFY_CB
#error "the client's certificate, also when it is good (-DWOLFSSL_ALWAYS_VERIFY_CB)"
#endif
#ifdef WOLFSSL_SSLKEYLOGFILE
#error "a library that always logs its keys (--enable-keylog-export) is no choice"
#endif

/* Ours calls this; a library of other choices never does. */
int penstock_random_block(unsigned char *output, unsigned size);

int penstock_random_block(unsigned char *output, unsigned size)
{
	(void)output;
	(void)size;
	return -1;
}

/* Declared whatever was chosen, but not always there. */
static void (*const functions[])(void) = {
	(void (*)(void))wolfSSL_CTX_EnableCRL,
	(void (*)(void))wolfSSL_CTX_LoadCRLBuffer,
	(void (*)(void))wolfSSL_CTX_set_TicketEncCb,
	(void (*)(void))wolfSSL_CTX_set_groups,
	(void (*)(void))wolfSSL_CTX_set_max_early_data,
	(void (*)(void))wolfSSL_CTX_set_tlsext_status_cb,
	(void (*)(void))wolfSSL_CTX_set_verify_depth,
	(void (*)(void))wolfSSL_UseALPN,
	(void (*)(void))wolfSSL_UseSNI,
	(void (*)(void))wolfSSL_set_secret_cb,
	(void (*)(void))wolfSSL_set_tls13_secret_cb,
	(void (*)(void))wolfSSL_set_tlsext_status_ocsp_resp,
};

int main(void)
{
	for (unsigned i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
		if (!functions[i])
			return 1;
	return wolfSSL_Init();
}
