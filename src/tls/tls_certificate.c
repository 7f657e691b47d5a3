#include "tls/tls_certificate.h"

#include <wolfssl/options.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <wolfssl/ssl.h>
#include <wolfssl/wolfcrypt/asn.h>
#include <wolfssl/wolfcrypt/asn_public.h>

enum { NAME_MAX_BYTES = 253 };

static bool read_key(const struct DecodedCert *cert, enum tls_key *key)
{
	switch (cert->keyOID) {
	case RSAk:
		*key = TLS_KEY_RSA;
		return true;
	case RSAPSSk:
		*key = TLS_KEY_RSA_PSS;
		return true;
	case ED25519k:
		*key = TLS_KEY_ED25519;
		return true;
	case ECDSAk:
		break;
	default:
		return false;
	}
	switch (cert->pkCurveOID) {
	case ECC_SECP256R1_OID:
		*key = TLS_KEY_P256;
		return true;
	case ECC_SECP384R1_OID:
		*key = TLS_KEY_P384;
		return true;
	case ECC_SECP521R1_OID:
		*key = TLS_KEY_P521;
		return true;
	default:
		return false;
	}
}

static bool read_end(const struct DecodedCert *cert, int64_t *expires)
{
	const byte *date;
	byte        format;
	int         length;
	struct tm   when;

	if (wc_GetDateInfo(cert->afterDate, cert->afterDateLen, &date, &format, &length) != 0)
		return false;
	memset(&when, 0, sizeof(when));
	if (wc_GetDateAsCalendarTime(date, length, format, &when) != 0)
		return false;
	*expires = timegm(&when);
	return true;
}

/* Lower case, one trailing dot dropped, as hello_fold_name does to what it is compared with. A "*"
 * counts only as the whole first label (RFC 6125 6.4.3); a name that has it elsewhere matches
 * nothing. */
static bool add_name(struct tls_certificate *certificate, const char *text, size_t len)
{
	struct tls_name *name = &certificate->names[certificate->name_count];
	char            *folded;

	if (len > 0 && text[len - 1] == '.')
		len--;
	*name = (struct tls_name){.wildcard = len > 2 && text[0] == '*' && text[1] == '.'};
	if (name->wildcard) {
		text += 2;
		len -= 2;
	}
	if (len == 0 || len > NAME_MAX_BYTES || memchr(text, '*', len) || memchr(text, 0, len))
		return true;
	folded = malloc(len);
	if (!folded)
		return false;
	for (size_t i = 0; i < len; i++)
		folded[i] = (char)(text[i] >= 'A' && text[i] <= 'Z' ? text[i] + 'a' - 'A'
		                                                    : text[i]);
	name->name = span_of(folded, len);
	certificate->name_count++;
	return true;
}

/* The library's list has the certificate's last name first. */
static const char *read_names(const struct DecodedCert *cert, struct tls_certificate *certificate)
{
	const char *label = NULL;
	size_t      count = 1, label_len = 0;

	for (const DNS_entry *entry = cert->altNames; entry; entry = entry->next)
		count++;
	certificate->names = calloc(count, sizeof(*certificate->names));
	if (!certificate->names)
		return "no memory";
	for (const DNS_entry *entry = cert->altNames; entry; entry = entry->next) {
		if (entry->type != ASN_DNS_TYPE || entry->len <= 0)
			continue;
		label = entry->name;
		label_len = (size_t)entry->len;
		if (!add_name(certificate, entry->name, (size_t)entry->len))
			return "no memory";
	}
	if (!label && cert->subjectCN && cert->subjectCNLen > 0) {
		label = cert->subjectCN;
		label_len = (size_t)cert->subjectCNLen;
		if (!add_name(certificate, label, label_len))
			return "no memory";
	}
	certificate->label = label ? strndup(label, label_len) : strdup("-");
	return certificate->label ? NULL : "no memory";
}

static const char *read_leaf(const struct DecodedCert *cert, struct tls_certificate *certificate)
{
	if (!read_key(cert, &certificate->key))
		return "has a kind of key that is not supported (RSA, P-256, P-384, P-521, "
		       "Ed25519)";
	if (!read_end(cert, &certificate->expires))
		return "has an end of validity that cannot be read";
	return read_names(cert, certificate);
}

static const char *read_one(const DerBuffer *der, struct tls_certificate *certificate, bool leaf)
{
	struct DecodedCert *cert = malloc(sizeof(*cert));
	const char         *wrong = NULL;

	if (!cert)
		return "no memory";
	wc_InitDecodedCert(cert, der->buffer, der->length, NULL);
	if (wc_ParseCert(cert, CERT_TYPE, NO_VERIFY, NULL) != 0)
		wrong = leaf ? "holds a certificate that cannot be parsed"
		             : "holds a chain certificate that cannot be parsed";
	else if (leaf)
		wrong = read_leaf(cert, certificate);
	wc_FreeDecodedCert(cert);
	free(cert);
	return wrong;
}

const char *tls_certificate_read(struct span pem, struct tls_certificate *certificate)
{
	static const char marker[] = "-----BEGIN CERTIFICATE-----";
	const char       *wrong = NULL;
	bool              leaf = true;

	*certificate = (struct tls_certificate){0};
	while (!wrong) {
		const uint8_t *begin = memmem(pem.data, pem.len, marker, sizeof(marker) - 1);
		DerBuffer     *der = NULL;

		if (!begin)
			break;
		pem.len -= (size_t)(begin - pem.data);
		pem.data = begin;
		if (wc_PemToDer(pem.data, (long)pem.len, CERT_TYPE, &der, NULL, NULL, NULL) != 0)
			wrong = "holds a certificate that is not PEM";
		else
			wrong = read_one(der, certificate, leaf);
		wc_FreeDer(&der);
		leaf = false;
		pem = span_of(pem.data + sizeof(marker) - 1, pem.len - (sizeof(marker) - 1));
	}
	return leaf ? "holds no certificate in PEM" : wrong;
}

void tls_certificate_fini(struct tls_certificate *certificate)
{
	for (size_t i = 0; i < certificate->name_count; i++)
		free((void *)(uintptr_t)certificate->names[i].name.data);
	free(certificate->names);
	free(certificate->label);
	*certificate = (struct tls_certificate){0};
}
