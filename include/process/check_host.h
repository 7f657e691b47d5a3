/*
 * check_host: what on this host is missing or too small, and the command that mends it: `penstock
 * check-host`, and one line at start.
 *
 * Judges readings that are an argument, so that a test can invent a host. Only a kernel that is too
 * old and an io_uring that cannot be had keep penstock from running; all else is a remark. Changes
 * nothing. Called by main and control.
 */
#ifndef PROCESS_CHECK_HOST_H
#define PROCESS_CHECK_HOST_H

#include "process/host.h"

struct check_host {
	struct host limits;
	char        release[65];
	int         uring_error;     /* a positive errno; 0 = io_uring can be had */
	int         uring_disabled;  /* as host_uring_disabled */
	bool        hides_iowait;    /* the kernel can keep idle rings from being shown as iowait */
	bool        may_bind;        /* CAP_NET_BIND_SERVICE */
	uint64_t    first_free_port; /* net.ipv4.ip_unprivileged_port_start */
	uint64_t    somaxconn;
	uint64_t    port_first, port_last; /* net.ipv4.ip_local_port_range */
};

/* What cannot be read is taken to be well. */
void check_host_read(struct check_host *host);

/* A line for each check: its verdict (ok, note, remark or wrong), its name, what is so and what to
 * do. False: penstock could not run here. */
bool check_host_print(const struct check_host *host, FILE *to);

/* All remarks as one line of at most *size* bytes; false: there are none. */
MUST_CHECK bool check_host_remarks(const struct check_host *host, char *line, size_t size);

#endif
