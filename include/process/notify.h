/*
 * notify: how the rest of the system learns that penstock runs: systemd's socket and the pid file.
 *
 * Called by control only. Nothing here may stop the program from serving; only a pid file that
 * cannot be written is an error of the start.
 */
#ifndef PROCESS_NOTIFY_H
#define PROCESS_NOTIFY_H

#include "base/util.h"

/* Sends *state* ("READY=1") where $NOTIFY_SOCKET points, if it is set. Source: sd_notify(3). */
void notify_systemd(const char *state);

/* How often systemd wants to hear `WATCHDOG=1`: half of $WATCHDOG_USEC, as sd_watchdog_enabled(3)
 * advises, at least 1; 0 where no watchdog watches this process ($WATCHDOG_PID is another's, or
 * nothing is set).
 *
 * Whoever calls it is to send notify_systemd("WATCHDOG=1") at that pace, and only when every
 * worker's ring has turned since it was sent last: a stuck ring shall look like what it is, and
 * systemd restart us. An idle worker must therefore be made to turn (by its eventfd) rather than be
 * believed. */
MUST_CHECK uint32_t notify_watchdog_interval_ms(void);

/* 0 or -errno; nothing is left behind on failure. */
MUST_CHECK int pid_file_write(const char *path);

/* Removes it if it still holds our number. */
void pid_file_remove(const char *path);

#endif
