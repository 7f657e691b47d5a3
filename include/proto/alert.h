/*
 * alert: the one TLS record that a proxy which cannot speak TLS may still send: a fatal alert in
 * the clear, before any handshake answer. Source: RFC 8446 6.
 */
#ifndef PROTO_ALERT_H
#define PROTO_ALERT_H

#include <stdint.h>

enum alert {
	ALERT_NONE = 0,
	ALERT_HANDSHAKE_FAILURE = 40,
	ALERT_ACCESS_DENIED = 49,
	ALERT_DECODE_ERROR = 50,
	ALERT_INTERNAL_ERROR = 80,
	ALERT_UNRECOGNIZED_NAME = 112,
	ALERT_NO_APPLICATION_PROTOCOL = 120,
};

enum { ALERT_RECORD_SIZE = 7 };

void alert_write(enum alert alert, uint8_t out[ALERT_RECORD_SIZE]);

#endif
