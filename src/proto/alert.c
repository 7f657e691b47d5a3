#include "proto/alert.h"

void alert_write(enum alert alert, uint8_t out[ALERT_RECORD_SIZE])
{
	enum { CONTENT_ALERT = 0x15, FATAL = 2 };

	/* 0x0303 is what RFC 8446 5.1 demands of every record but a first ClientHello; clients of
	 * older versions look at the major number only before a version is agreed. */
	out[0] = CONTENT_ALERT;
	out[1] = 3;
	out[2] = 3;
	out[3] = 0;
	out[4] = 2;
	out[5] = FATAL;
	out[6] = (uint8_t)alert;
}
