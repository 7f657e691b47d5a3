/*
 * reload: from a request to another generation in service, or to a refusal that changes nothing.
 *
 * The file is read off this thread (loader), then published (service). One at a time: what is asked
 * for meanwhile is done afterwards, once, since the file may have changed after it was read. Every
 * outcome is told in the error log and to whoever asked. On control's thread.
 */
#ifndef PROCESS_RELOAD_H
#define PROCESS_RELOAD_H

#include "process/loader.h"
#include "process/reactor.h"
#include "process/service.h"

struct reload {
	struct service     *service;
	struct reactor     *reactor;
	const char         *file;
	struct loader       loader;
	struct watch        watch;     /* of the loader's result */
	struct conf_report *report;    /* of the attempt that is being published; NULL: no memory */
	uint32_t            attempt;   /* the last one that was begun */
	bool                is_busy;   /* it is not over */
	bool                is_wanted; /* another one is to follow it */
	uint64_t            ok_total, refused_total;
	/* An attempt is over; *report* has its errors and warnings, or is NULL. Not called when the
	 * process ends before. */
	void (*over)(struct reload *reload, uint32_t attempt, bool ok,
	             const struct conf_report *report);
};

/* 0 or -errno. *over* is set by the caller. */
MUST_CHECK int reload_open(struct reload *reload, struct service *service, struct reactor *reactor,
                           const char *file);
/* False: the loader's thread is still at work on what it was given; see loader_stop. */
MUST_CHECK bool reload_close(struct reload *reload);

/* Asks for an attempt: the next one, and it may be over before this returns. */
void reload_request(struct reload *reload);
/* Its number. */
uint32_t reload_next_attempt(const struct reload *reload);

#endif
