/*
 * generation: a snapshot in service, with the tenures that the workers have of it.
 *
 * The newest one takes the new connections; older ones live until their last session has ended.
 * Made and freed by control, on its thread.
 */
#ifndef PROCESS_GENERATION_H
#define PROCESS_GENERATION_H

#include "base/list.h"
#include "session/tenure.h"

struct generation_tenure; /* private */

struct generation {
	struct list               in_all; /* control's */
	struct snapshot          *snapshot;
	struct generation_tenure *tenures;
	uint32_t                  number;
};

/* Takes the snapshot over; NULL: no memory. */
struct generation *generation_new(struct snapshot *snapshot, uint32_t number);
void               generation_free(struct generation *generation);

/* For one worker, which must come to hold it. NULL: no memory. */
struct tenure *generation_add_tenure(struct generation *generation);
/* The last one that was added, and which no worker has come to hold. */
void generation_drop_tenure(struct generation *generation);

/* Nobody uses its snapshot any more. */
bool generation_is_over(const struct generation *generation);

#endif
