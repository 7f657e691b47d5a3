/*
 * listener: one listening socket of one worker: accepting, for itself or for a worker that has clearly
 * fewer connections, and when not to.
 *
 * Accepting pauses at max_connections (the backlog holds the rest), on EMFILE and its like, and for
 * good when the worker drains or the address is given up. It resumes by itself; it never spins.
 */
#ifndef SESSION_LISTENER_H
#define SESSION_LISTENER_H

#include "session/shard.h"

struct listener {
	struct op                   accept;
	struct list                 in_shard; /* shard->listeners */
	struct shard               *shard;
	struct tenure              *tenure; /* what *site* is of */
	const struct listener_site *site;
	int                         fd;    /* not owned */
	int                         error; /* of the last accept, to be judged; 0 = none */
	bool                        is_paused;
	bool                        waits_for_timer; /* paused by an error */
	bool                        is_stopped;
	bool                        takes_many; /* the accept in flight is a multishot one */
};

/* Listens for the shard's current snapshot, as its listener number *site*. *listener* stays the
 * caller's memory. */
void listener_init(struct listener *listener, struct shard *shard, uint32_t site, int fd);
/* The shard's snapshot is a new one: what is accepted from now on lives by that. */
void listener_renew(struct listener *listener, uint32_t site);
/* Once it is stopped and quiet. */
void listener_fini(struct listener *listener);
/* Stops accepting for good; its operation lands later: see listener_is_quiet. */
void listener_stop(struct listener *listener);
bool listener_is_quiet(const struct listener *listener);

/* Begins a connection that another worker accepted. One to an address that this worker listens on
 * no more is closed, as those are that wait in such a one's backlog. */
void listener_take(struct shard *shard, const struct accepted *accepted);

/* Accepts, pauses or goes on as things are now. Called at start and at the end of each turn. */
void listener_review(struct listener *listener);

#endif
