/*
 * mailbox: messages from any thread to one.
 *
 * A message is a link inside the sender's own memory: posting never fails and never waits. It stays
 * the receiver's until that gives it back by whatever way the two have agreed on.
 */
#ifndef BASE_MAILBOX_H
#define BASE_MAILBOX_H

#include "base/util.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct mail {
	struct mail *next;
};

struct mailbox {
	_Atomic(struct mail *) newest;
};

/* True: the box was empty, so the receiver may sleep and must be woken. */
MUST_CHECK static inline bool mailbox_post(struct mailbox *box, struct mail *mail)
{
	struct mail *newest = atomic_load_explicit(&box->newest, memory_order_relaxed);

	do
		mail->next = newest;
	while (!atomic_compare_exchange_weak_explicit(&box->newest, &newest, mail,
	                                              memory_order_release, memory_order_relaxed));
	return newest == NULL;
}

/* All that came, the oldest first, linked by next; NULL = nothing. The receiver's thread only. */
static inline struct mail *mailbox_take(struct mailbox *box)
{
	struct mail *from, *oldest = NULL;

	if (!atomic_load_explicit(&box->newest, memory_order_relaxed))
		return NULL;
	from = atomic_exchange_explicit(&box->newest, NULL, memory_order_acquire);
	while (from) {
		struct mail *next = from->next;

		from->next = oldest;
		oldest = from;
		from = next;
	}
	return oldest;
}

#endif
