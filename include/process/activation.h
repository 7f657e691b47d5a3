/*
 * activation: the listening sockets that systemd has opened for us: `listen = fd:NAME`.
 *
 * Reads LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES (sd_listen_fds_with_names(3)). The sockets stay
 * open for as long as the process lives and belong to systemd as much as to us: a caller gets
 * duplicates, and must not shut one down. Called by ports only.
 */
#ifndef PROCESS_ACTIVATION_H
#define PROCESS_ACTIVATION_H

#include "base/util.h"

/* How many sockets of that name were passed; several may share one. */
size_t activation_count(const char *name);

/* A duplicate of number *nth* of them, non-blocking and close-on-exec. -errno: -ENOENT where there
 * is no such, -ENOTSOCK, or -EINVAL where it is no stream socket that listens. */
MUST_CHECK int activation_take(const char *name, size_t nth);

#endif
