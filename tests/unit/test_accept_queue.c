#include "site/accept_queue.h"

#include "test.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

enum { GIVERS = 3, EACH = 20000 };

static struct accept_queue *queue;
static _Atomic unsigned     wakes;

static void wake(int fd)
{
	EXPECT_EQ(fd, 7);
	wakes++;
}

static struct accepted numbered(int fd)
{
	return (struct accepted){.fd = fd};
}

static void open_queue(void)
{
	queue = aligned_alloc(_Alignof(struct accept_queue), sizeof(*queue));
	CHECK(queue);
	memset(queue, 0, sizeof(*queue));
	wakes = 0;
}

TEST(what_is_given_comes_in_order_and_wakes_once)
{
	struct accepted out[ACCEPT_QUEUE_SIZE];

	open_queue();
	accept_queue_open(queue, 7);
	EXPECT(accept_queue_give(queue, numbered(1), wake));
	EXPECT(accept_queue_give(queue, numbered(2), wake));
	EXPECT_EQ(wakes, 1);
	EXPECT_EQ(queue->load, 2);
	EXPECT_EQ(accept_queue_take(queue, out), 2);
	EXPECT(out[0].fd == 1 && out[1].fd == 2);
	EXPECT_EQ(accept_queue_take(queue, out), 0);
	EXPECT(accept_queue_give(queue, numbered(3), wake));
	EXPECT_EQ(wakes, 2);
	free(queue);
}

TEST(a_full_queue_takes_no_more_until_it_is_read)
{
	struct accepted out[ACCEPT_QUEUE_SIZE];

	open_queue();
	accept_queue_open(queue, 7);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < ACCEPT_QUEUE_SIZE; i++)
			EXPECT(accept_queue_give(queue, numbered(i), wake));
		EXPECT(!accept_queue_give(queue, numbered(0), wake));
		EXPECT_EQ(accept_queue_take(queue, out), ACCEPT_QUEUE_SIZE);
		for (int i = 0; i < ACCEPT_QUEUE_SIZE; i++)
			EXPECT_EQ(out[i].fd, i);
	}
	free(queue);
}

TEST(a_closed_queue_takes_nothing_and_keeps_what_it_has)
{
	struct accepted out[ACCEPT_QUEUE_SIZE];

	open_queue();
	EXPECT(!accept_queue_give(queue, numbered(1), wake));
	accept_queue_open(queue, 7);
	EXPECT(accept_queue_give(queue, numbered(2), wake));
	accept_queue_close(queue);
	EXPECT(!accept_queue_give(queue, numbered(3), wake));
	EXPECT_EQ(accept_queue_take(queue, out), 1);
	EXPECT_EQ(out[0].fd, 2);
	EXPECT_EQ(wakes, 1);
	free(queue);
}

static _Atomic uint64_t given_sum;

static void *give_all(void *argument)
{
	int first = *(const int *)argument;

	for (int i = first; i < first + EACH; i++) {
		if (accept_queue_give(queue, numbered(i), wake))
			given_sum += (uint64_t)i;
		else
			sched_yield();
	}
	return NULL;
}

/* Closed and opened meanwhile: what was given is taken, once, and nothing comes after the close. */
TEST(between_threads_all_that_was_given_is_taken)
{
	pthread_t       threads[GIVERS];
	int             firsts[GIVERS];
	struct accepted out[ACCEPT_QUEUE_SIZE];
	uint64_t        taken_sum = 0;

	open_queue();
	given_sum = 0;
	accept_queue_open(queue, 7);
	for (int i = 0; i < GIVERS; i++) {
		firsts[i] = 1 + i * EACH;
		CHECK(pthread_create(&threads[i], NULL, give_all, &firsts[i]) == 0);
	}
	for (int round = 0; round < 2000; round++) {
		bool     closes = round % 50 == 49;
		uint32_t count;

		if (closes)
			accept_queue_close(queue);
		count = accept_queue_take(queue, out);
		for (uint32_t i = 0; i < count; i++)
			taken_sum += (uint64_t)out[i].fd;
		if (closes) {
			EXPECT_EQ(accept_queue_take(queue, out), 0);
			accept_queue_open(queue, 7);
		}
		sched_yield();
	}
	for (int i = 0; i < GIVERS; i++)
		pthread_join(threads[i], NULL);
	for (uint32_t i = 0, count = accept_queue_take(queue, out); i < count; i++)
		taken_sum += (uint64_t)out[i].fd;
	EXPECT_EQ(taken_sum, given_sum);
	EXPECT(taken_sum > 0);
	free(queue);
}

/* Whoever comes in whatever order to however many workers: none has more than a quarter above its
 * share, rounded up. */
TEST(who_gives_by_preference_keeps_all_near_their_share)
{
	uint32_t load[4];
	uint64_t random = 1;

	for (uint32_t workers = 2; workers <= 4; workers++) {
		memset(load, 0, sizeof(load));
		for (uint32_t i = 1; i <= 2000; i++) {
			uint32_t at, least = 0;

			random = random * 6364136223846793005u + 1442695040888963407u;
			at = (uint32_t)(random >> 33) % workers;
			for (uint32_t j = 1; j < workers; j++)
				if (load[j] < load[least])
					least = j;
			load[accept_queue_prefers(load[at], load[least]) ? least : at]++;
			for (uint32_t j = 0; i >= 16 && j < workers; j++)
				EXPECT(load[j] * workers * 4 <= i * 5 + 4 * workers);
		}
	}
}

int main(void)
{
	return test_main();
}
