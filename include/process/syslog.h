/*
 * syslog: how a log line becomes a syslog message, and the socket that it leaves through.
 *
 * Owns the two forms: RFC 3164 for this host's /dev/log (what Debian's journald and rsyslog take
 * there), RFC 5424 by UDP (RFC 5426) for a server. Never waits and never resolves a name. Called by
 * the log writer's sinks only.
 */
#ifndef PROCESS_SYSLOG_H
#define PROCESS_SYSLOG_H

#include "base/log.h"
#include "proto/addr.h"

enum { SYSLOG_HEADER_MAX = 192, SYSLOG_HOST_MAX = 64 };

struct syslog {
	const char *path; /* of the local socket; NULL: a server, by UDP */
	struct addr to;
	char        host[SYSLOG_HOST_MAX + 1]; /* our own name, as RFC 5424 6.2.4 wants it */
};

void syslog_init(struct syslog *syslog, const char *path, const struct addr *to);

/* A connected datagram socket that never blocks; or -errno. */
MUST_CHECK int syslog_open(const struct syslog *syslog);

/* Writes what stands in front of the text, no NUL; its length. *kind* is the message's ("access",
 * "error"). */
MUST_CHECK size_t syslog_header(const struct syslog *syslog, enum log_level level, const char *kind,
                                uint64_t real_ms, char out[SYSLOG_HEADER_MAX]);

#endif
