/*
 * loader: a configuration file read, checked and built into a snapshot, at start or for a reload.
 *
 * Owns the thread on which a reload does so: files may be slow and getaddrinfo(3) may block for
 * long, and neither control's loop nor a ring may wait for them. It publishes nothing and changes
 * nothing of what runs, but for names new to the registry. Called by main (loader_read) and by
 * control (the rest), on one thread.
 */
#ifndef PROCESS_LOADER_H
#define PROCESS_LOADER_H

#include "process/sizes.h"
#include "site/snapshot.h"

#include <pthread.h>

/* What a file became. */
struct loaded {
	struct conf_report *report;   /* errors and warnings; NULL: there was no memory for one */
	struct snapshot    *snapshot; /* owns the configuration; NULL: refused, *report* says why */
	struct registry    *registry; /* made by loader_read; NULL of a reload, which has one */
	struct sizes        sizes;    /* of a snapshot only */
};

/* Reads *file* as the first configuration of a process. False: it is refused. *loaded* is to be
 * finished in either case. Blocks. */
MUST_CHECK bool loader_read(const char *file, struct loaded *loaded);

/* It is the caller's from now on. */
struct snapshot *loaded_take_snapshot(struct loaded *loaded);

/* Frees all that it still holds. */
void loaded_fini(struct loaded *loaded);

/* What a reload starts from. All of it stays where it is until the result has been taken. */
struct loader_job {
	const char            *file;
	struct registry       *registry;
	const struct snapshot *running;
	const struct sizes    *sizes; /* the running ones */
};

struct loader {
	int               done_fd; /* eventfd, readable once a result can be taken; for a watch */
	bool              is_busy; /* from loader_start until loader_take */
	pthread_t         thread;
	struct loader_job job;
	struct loaded     loaded; /* the thread's until done_fd is readable */
};

/* 0 or -errno. */
MUST_CHECK int loader_init(struct loader *loader);

/* Reads job->file as the running process's next configuration, on a thread of its own. Keys that
 * such a process cannot change keep their values, with a warning each; sizes are for workers that
 * are started from now on, those that run keep theirs. -EBUSY: one is under way; else 0 or -errno
 * of pthread_create(3). */
MUST_CHECK int loader_start(struct loader *loader, const struct loader_job *job);

/* False: there is none yet. True: *loaded* is the caller's, and the next may be started. Never
 * waits. */
MUST_CHECK bool loader_take(struct loader *loader, struct loaded *loaded);

/* The end; what was not taken is freed. Never waits: no call ends getaddrinfo(3) early. False: the
 * thread is still at work, on *loader* and on what the job names, so that nothing of them may be
 * freed and the process must leave by _exit(2). */
MUST_CHECK bool loader_stop(struct loader *loader);

#endif
