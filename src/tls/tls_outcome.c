#include "tls/tls_session_parts.h"

static bool is_about_certificate(int error)
{
	switch (error) {
	case NO_PEER_CERT:
	case NO_PEER_VERIFY:
	case VERIFY_CERT_ERROR:
	case DOMAIN_NAME_MISMATCH:
	case IPADDR_MISMATCH:
	case PEER_KEY_ERROR:
	case NO_PEER_KEY:
	case NOT_CA_ERROR:
	case MAX_CHAIN_ERROR:
	case CRL_CERT_REVOKED:
	case CRL_MISSING:
	case CRL_CERT_DATE_ERR:
	case OCSP_CERT_REVOKED:
	case OCSP_CERT_UNKNOWN:
	case ASN_NO_SIGNER_E:
	case ASN_CRL_CONFIRM_E:
	case ASN_CRL_NO_SIGNER_E:
	case ASN_NAME_INVALID_E:
	case ASN_PATHLEN_SIZE_E:
	case ASN_PATHLEN_INV_E:
	case ASN_SELF_SIGNED_E:
		return true;
	}
	return error <= ASN_PARSE_E && error >= ASN_ALT_NAME_E;
}

/* RFC 8446 6: all but these two are fatal, whatever their level says. */
static bool is_fatal_alert(const WOLFSSL_ALERT *alert)
{
	enum { CLOSE_NOTIFY = 0, USER_CANCELED = 90, NO_RENEGOTIATION = 100 };

	return alert->code > CLOSE_NOTIFY && alert->code != USER_CANCELED &&
	       (alert->code != NO_RENEGOTIATION || alert->level == alert_fatal);
}

static void note_alert(struct tls_session *session)
{
	WOLFSSL_ALERT_HISTORY history;

	if (wolfSSL_get_alert_history(session->library, &history) != WOLFSSL_SUCCESS)
		return;
	if (is_fatal_alert(&history.last_rx))
		session->alert = (uint8_t)history.last_rx.code;
	else if (is_fatal_alert(&history.last_tx))
		session->alert = (uint8_t)history.last_tx.code;
}

enum tls_result tls_failed_as(struct tls_session *session, enum tls_failure failure,
                              const char *text)
{
	session->has_failed = true;
	session->failure = failure;
	session->failure_text = text;
	note_alert(session);
	return TLS_FAILED;
}

enum tls_result tls_failed(struct tls_session *session, int error)
{
	const char *text = wolfSSL_ERR_reason_error_string((unsigned long)(unsigned int)error);

	if (session->established && session->quiet_records > TLS_QUIET_RECORDS_MAX)
		return tls_failed_as(session, TLS_FAILURE_RECORD, "too many records without data");
	if (session->established && session->replies > TLS_REPLIES_MAX)
		return tls_failed_as(session, TLS_FAILURE_RECORD,
		                     "several key updates in one record");
	if (error == MEMORY_E || error == MEMORY_ERROR)
		return tls_failed_as(session, TLS_FAILURE_MEMORY, text);
	if (session->established)
		return tls_failed_as(session, TLS_FAILURE_RECORD, text);
	if (is_about_certificate(error))
		return tls_failed_as(session, TLS_FAILURE_CERTIFICATE, text);
	return tls_failed_as(session, TLS_FAILURE_HANDSHAKE, text);
}

enum tls_result tls_outcome(struct tls_session *session, int code)
{
	int error = wolfSSL_get_error(session->library, code);

	if (error == WOLFSSL_ERROR_WANT_READ)
		return session->is_blocked ? TLS_FULL : TLS_MORE;
	if (error == WOLFSSL_ERROR_WANT_WRITE)
		return TLS_FULL;
	return tls_failed(session, error);
}
