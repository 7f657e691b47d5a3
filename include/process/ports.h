/*
 * ports: the listening sockets of the whole process, and which worker accepts on which.
 *
 * They follow the configuration and the number of workers in three steps, of which only the first
 * can fail: ports_change opens what is new beside what there is, ports_commit makes that the
 * present state, ports_close_dropped ends what is no longer wanted. A socket whose address stays is
 * kept, with all that waits in its backlog, whatever else changes. A port that anybody else listens
 * on is an error, also when that is another penstock of the same user. Called by control.
 */
#ifndef PROCESS_PORTS_H
#define PROCESS_PORTS_H

#include "base/list.h"
#include "conf/conf.h"
#include "process/worker.h"

struct ports {
	struct list         live;    /* struct port.in_ports, in the order of the file */
	struct list         dropped; /* no longer wanted, but perhaps still accepted on */
	struct worker_port *shares;  /* of all workers, one behind the other; see ports_of */
	size_t             *first;   /* of each worker, and behind the last one the end */
	uint32_t            workers;
};

struct ports_plan {
	const struct conf *conf;
	uint32_t           workers;
	/* Ports that are in use are waited for, that long in all: a penstock that was killed holds
	 * its own for a moment longer. Blocks the calling thread. */
	uint32_t patience_ms;
};

/* Neither struct may be moved once it is in use. */
struct ports_change {
	struct ports next; /* for ports_of: what it will be */
	bool         has_set_options;
};

/* None. */
void ports_init(struct ports *ports);

/*
 * Opens what *plan* needs beyond *now*, and sets the changed socket options of what it keeps; the
 * rest of *now* stays as it is, and no worker need know yet. False: every failure is in *report*,
 * and nothing has happened. True: ends with ports_commit or ports_abandon, before which *now* must
 * neither change nor be closed. Also for the start: from none.
 *
 * With fewer workers than before, the others take over what theirs accepted on. A port that was
 * dropped and not closed yet is simply kept. Where root has opened a port and is no more, added
 * workers share the sockets that there are.
 */
MUST_CHECK bool ports_change(const struct ports *now, const struct ports_plan *plan,
                             struct conf_report *report, struct ports_change *change);

/* The change's state is *now*'s, with what ports_of said of it. What it does without goes to
 * now->dropped: still open, since workers accept on it; once all (the retired ones, too) have let
 * go: ports_close_dropped. */
void ports_commit(struct ports *now, struct ports_change *change);
void ports_abandon(struct ports_change *change);

/* What the worker accepts on, *count* of them: good until the commit of another change. */
const struct worker_port *ports_of(const struct ports *ports, uint32_t worker, size_t *count);

/* There are ports to be closed by ports_close_dropped. */
bool ports_have_dropped(const struct ports *ports);
/* Closes them and removes those of their files that are still ours. */
void ports_close_dropped(struct ports *ports);

/* Stops listening, but keeps the fds: for workers that are about to be told to drain, whose accepts
 * end with EINVAL. Whoever is still in a backlog is reset; a successor can have the addresses. */
void ports_let_go(struct ports *ports);

/* Removes the files of unix sockets that are still ours, and does nothing else: for an end at which
 * workers still run. */
void ports_remove_files(struct ports *ports);

/* Closes all, the dropped ones too, and leaves none. */
void ports_close(struct ports *ports);

#endif
