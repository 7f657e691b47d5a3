#include "site/accept_queue.h"

#include <sched.h>

void accept_queue_open(struct accept_queue *queue, int wake_fd)
{
	if (atomic_load_explicit(&queue->is_open, memory_order_relaxed))
		return; /* others may be reading wake_fd */
	queue->wake_fd = wake_fd;
	atomic_store(&queue->is_open, true);
}

void accept_queue_close(struct accept_queue *queue)
{
	/* In one order for all threads: a giver that comes now sees it closed, one that does not was
	 * counted before. */
	atomic_store(&queue->is_open, false);
	while (atomic_load(&queue->givers) > 0)
		(void)sched_yield();
}

bool accept_queue_prefers(uint32_t own, uint32_t others)
{
	return own > others + others / 4 + 1;
}

/* A place that nobody else has, or NULL. */
static struct accept_place *claim_place(struct accept_queue *queue)
{
	uint64_t used = atomic_load_explicit(&queue->used, memory_order_relaxed);
	int      at;

	do {
		if (used == UINT64_MAX)
			return NULL;
		at = __builtin_ctzll(~used);
	} while (!atomic_compare_exchange_weak_explicit(
		&queue->used, &used, used | (uint64_t)1 << at, memory_order_acquire,
		memory_order_relaxed));
	return &queue->places[at];
}

static bool put(struct accept_queue *queue, struct accepted accepted, void (*wake)(int wake_fd))
{
	struct accept_place *place;

	if (!atomic_load(&queue->is_open))
		return false;
	place = claim_place(queue);
	if (!place)
		return false;
	place->accepted = accepted;
	atomic_fetch_add_explicit(&queue->load, 1, memory_order_relaxed);
	if (mailbox_post(&queue->box, &place->mail))
		wake(queue->wake_fd);
	return true;
}

bool accept_queue_give(struct accept_queue *queue, struct accepted accepted,
                       void (*wake)(int wake_fd))
{
	bool is_given;

	atomic_fetch_add(&queue->givers, 1);
	is_given = put(queue, accepted, wake);
	atomic_fetch_sub(&queue->givers, 1);
	return is_given;
}

uint32_t accept_queue_take(struct accept_queue *queue, struct accepted out[ACCEPT_QUEUE_SIZE])
{
	struct mail *mail = mailbox_take(&queue->box);
	uint64_t     freed = 0;
	uint32_t     count = 0;

	for (; mail; mail = mail->next, count++) {
		struct accept_place *place = container_of(mail, struct accept_place, mail);

		out[count] = place->accepted;
		freed |= (uint64_t)1 << (place - queue->places);
	}
	if (freed)
		atomic_fetch_and_explicit(&queue->used, ~freed, memory_order_release);
	return count;
}
