#include "tls/tls_peer.h"

#include "proto/addr.h"
#include "proto/x500.h"
#include "tls/tls_internal.h"

#include <stdlib.h>
#include <string.h>

enum { SUBJECT_MAX = 512 };

static bool is_expected(struct span certificate, struct span name)
{
	struct addr addr;

	if (addr_parse_ip(name, &addr))
		return x500_has(certificate, X500_ADDRESS,
		                span_of(addr.ip, addr.family == ADDR_IP4 ? 4 : 16));
	return x500_has(certificate, X500_DNS, name);
}

int tls_peer_verified(int is_good, WOLFSSL_X509_STORE_CTX *store)
{
	struct tls_peer *peer = store->userCtx;
	struct span      der, name;
	char             text[SUBJECT_MAX];

	/* The leaf comes first in *certs*, and is the last one to be verified. */
	if (!is_good || !peer || store->error_depth != 0 || store->totalCerts < 1)
		return is_good;
	der = span_of(store->certs[0].buffer, store->certs[0].length);
	if (peer->expected && !is_expected(der, span_text(peer->expected)))
		return 0;
	peer->is_known = true;
	if (!peer->subject && x500_subject(der, &name)) {
		x500_format(name, text, sizeof(text));
		peer->subject = strdup(text);
	}
	return 1;
}

void tls_peer_fini(struct tls_peer *peer)
{
	free(peer->subject);
	free(peer->expected);
}

void tls_peer_subject(const struct tls_peer *peer, char *text, size_t size)
{
	const char *subject = peer->subject ? peer->subject : "";
	size_t      len = strlen(subject);

	if (size == 0)
		return;
	len = len < size ? len : size - 1;
	memcpy(text, subject, len);
	text[len] = '\0';
}
