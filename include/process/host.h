/*
 * host: what the machine offers this process, and whether penstock can run on it at all.
 *
 * Reads limits, CPUs, cgroup quota and kernel settings; changes nothing but the soft limit of open
 * files, and only in host_raise_nofile. Called at start and by the loader; process/sizes plans with
 * what it found.
 */
#ifndef PROCESS_HOST_H
#define PROCESS_HOST_H

#include "base/util.h"

#include <sched.h>
#include <stdbool.h>
#include <stdio.h>

enum { HOST_KERNEL_MAJOR = 6, HOST_KERNEL_MINOR = 1 }; /* the oldest that penstock runs on */

/* IORING_FEAT_NO_IOWAIT, 6.15: by number, headers may be older. */
enum { HOST_FEATURE_NO_IOWAIT = 1 << 17 };

struct host {
	cpu_set_t usable;    /* the process's CPUs */
	uint32_t  cpu_quota; /* CPUs' worth of time its cgroups allow, rounded up; 0 = no quota */
	uint64_t  nofile;    /* what the soft limit of open files can be raised to */
	uint64_t
		pipe_budget; /* bytes of pipes this user may hold; UINT64_MAX = as many as it likes */
	uint64_t pipe_size_max;   /* bytes of one pipe */
	bool     denies_fastopen; /* to clients: net.ipv4.tcp_fastopen lacks its lowest bit */
};

/* The CPUs are those of the calling thread: not for a worker's, which is pinned. */
void host_read(struct host *host);

/* Least kernel, io_uring usable. False: *why* is one line for an operator, with what to change. */
MUST_CHECK bool host_check(char why[256]);

/* Raises the soft limit of open files to *nofile*. 0 or -errno. */
MUST_CHECK int host_raise_nofile(uint64_t nofile);

/* The kernel's release and which of the features that penstock likes it has; a part of -V. */
void host_print_features(FILE *to);

/* CPUs, rounded up, that the cgroups of *self* (/proc/self/cgroup) allow, by the files under *root*
 * (/sys/fs/cgroup); versions 1 and 2; the smallest from the process's group up to the root. 0 = no
 * quota. */
uint32_t host_cpu_quota(const char *self, const char *root);

/* The number that a file of /proc holds; false: there is none, or it is negative. */
MUST_CHECK bool host_read_number(const char *path, uint64_t *number);

/* The process's own, effective; by number (capabilities(7)). */
bool host_has_capability(unsigned number);

/* Sets up a ring as a worker's and closes it: 0 and the kernel's features, or -errno. */
MUST_CHECK int host_probe_uring(uint32_t *features);

/* kernel.io_uring_disabled; -1 = the kernel has no such setting. */
int host_uring_disabled(void);

/* "6.1.0-18-amd64" is at least 6.1. */
bool host_is_release_at_least(const char *release, unsigned major, unsigned minor);

/* Why io_uring_setup(2) failed with *error* (positive), where kernel.io_uring_disabled reads
 * *disabled* (-1 = the kernel has no such setting). */
void host_explain_uring_error(int error, int disabled, char why[256]);

#endif
