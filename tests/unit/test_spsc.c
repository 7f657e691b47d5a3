#include "aborts.h"
#include "base/spsc.h"
#include "test.h"

#include <pthread.h>
#include <sched.h>

static bool add(struct spsc *ring, uint32_t len, uint8_t fill)
{
	uint8_t *record = spsc_reserve(ring, len);

	if (!record)
		return false;
	memset(record, fill, len);
	spsc_commit(ring);
	return true;
}

static bool is_filled(struct span record, size_t len, uint8_t fill)
{
	if (!record.data || record.len != len)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (record.data[i] != fill)
			return false;
	}
	return true;
}

TEST(an_empty_ring_gives_nothing)
{
	struct spsc ring;

	EXPECT(spsc_init(&ring, 4096));
	EXPECT(spsc_peek(&ring).data == NULL);
	EXPECT(spsc_is_empty(&ring));
	spsc_fini(&ring);
}

TEST(a_record_is_seen_only_once_it_is_committed)
{
	struct spsc ring;
	void       *record;

	EXPECT(spsc_init(&ring, 4096));
	record = spsc_reserve(&ring, 10);
	EXPECT(record != NULL);
	EXPECT(spsc_peek(&ring).data == NULL);
	memset(record, 5, 10);
	spsc_commit(&ring);
	EXPECT(!spsc_is_empty(&ring));
	EXPECT(is_filled(spsc_peek(&ring), 10, 5));
	EXPECT(is_filled(spsc_peek(&ring), 10, 5)); /* until it is released */
	spsc_release(&ring);
	EXPECT(spsc_peek(&ring).data == NULL);
	EXPECT(spsc_is_empty(&ring));
	spsc_fini(&ring);
}

TEST(records_of_length_zero_are_records)
{
	struct spsc ring;

	EXPECT(spsc_init(&ring, 4096));
	EXPECT(add(&ring, 0, 0));
	EXPECT(add(&ring, 1, 9));
	EXPECT(spsc_peek(&ring).data != NULL);
	EXPECT_EQ(spsc_peek(&ring).len, 0);
	spsc_release(&ring);
	EXPECT(is_filled(spsc_peek(&ring), 1, 9));
	spsc_release(&ring);
	spsc_fini(&ring);
}

TEST(records_of_every_length_cross_the_end_of_the_ring_whole)
{
	for (uint32_t len = 0; len <= 2040; len++) {
		struct spsc ring;

		EXPECT(spsc_init(&ring, 4096));
		for (uint32_t i = 0; i < 12; i++) {
			uint32_t this_len = (len + i * 331) % 2041;

			EXPECT(add(&ring, this_len, (uint8_t)i));
			EXPECT_EQ((uintptr_t)spsc_peek(&ring).data % 8, 0);
			EXPECT(is_filled(spsc_peek(&ring), this_len, (uint8_t)i));
			spsc_release(&ring);
		}
		spsc_fini(&ring);
	}
}

TEST(all_up_to_a_place_has_passed_once_its_records_are_released)
{
	struct spsc ring;
	uint64_t    end;

	EXPECT(spsc_init(&ring, 4096));
	EXPECT(spsc_has_passed(&ring, spsc_end(&ring)));
	/* Around the ring, so that the places in front of which it skips are met. */
	for (unsigned i = 0; i < 100; i++) {
		EXPECT(add(&ring, 500, 1) && add(&ring, 700, 2));
		end = spsc_end(&ring);
		EXPECT(add(&ring, 900, 3));
		for (unsigned released = 0; released < 2; released++) {
			EXPECT(!spsc_has_passed(&ring, end));
			EXPECT(spsc_peek(&ring).data != NULL);
			spsc_release(&ring);
		}
		EXPECT(spsc_has_passed(&ring, end));
		EXPECT(spsc_peek(&ring).len == 900);
		spsc_release(&ring);
	}
	spsc_fini(&ring);
}

TEST(a_full_ring_refuses_and_takes_again_after_a_release)
{
	struct spsc ring;
	uint32_t    count = 0;

	EXPECT(spsc_init(&ring, 4096));
	while (add(&ring, 56, (uint8_t)count))
		count++;
	EXPECT_EQ(count, 4096 / 64);
	EXPECT(!add(&ring, 0, 0));
	spsc_release(&ring);
	EXPECT(!add(&ring, 64, 0));
	EXPECT(add(&ring, 56, (uint8_t)count));
	for (uint32_t i = 1; i <= count; i++) {
		EXPECT(is_filled(spsc_peek(&ring), 56, (uint8_t)i));
		spsc_release(&ring);
	}
	EXPECT(spsc_is_empty(&ring));
	spsc_fini(&ring);
}

TEST(a_record_that_would_cross_the_end_waits_for_room_at_the_start)
{
	struct spsc ring;

	EXPECT(spsc_init(&ring, 4096));
	EXPECT(add(&ring, 888, 0) && add(&ring, 1016, 1) && add(&ring, 1016, 2) &&
	       add(&ring, 888, 3));
	spsc_release(&ring);
	/* Free are 256 bytes at the end and 896 at the start: enough only if it could be split. */
	EXPECT(!add(&ring, 1016, 4));
	spsc_release(&ring);
	EXPECT(add(&ring, 1016, 4));
	for (uint8_t i = 2; i < 5; i++) {
		EXPECT(is_filled(spsc_peek(&ring), i == 3 ? 888 : 1016, i));
		spsc_release(&ring);
	}
	EXPECT(spsc_is_empty(&ring));
	spsc_fini(&ring);
}

TEST(a_record_larger_than_half_the_ring_is_refused_and_breaks_nothing)
{
	struct spsc ring;

	EXPECT(spsc_init(&ring, 4096));
	EXPECT(spsc_reserve(&ring, 2041) == NULL);
	EXPECT(spsc_reserve(&ring, UINT32_MAX) == NULL);
	EXPECT(spsc_reserve(&ring, UINT32_MAX - 7) == NULL);
	EXPECT(add(&ring, 2040, 3));
	EXPECT(is_filled(spsc_peek(&ring), 2040, 3));
	spsc_fini(&ring);
}

static void release(void *ring)
{
	spsc_release(ring);
}

static void commit(void *ring)
{
	spsc_commit(ring);
}

static void reserve_twice(void *ring)
{
	if (spsc_reserve(ring, 8) && spsc_reserve(ring, 8))
		_exit(0);
}

TEST(breaking_the_order_of_calls_ends_the_program)
{
	struct spsc ring;

	EXPECT(spsc_init(&ring, 4096));
	EXPECT(aborts(release, &ring));
	EXPECT(aborts(commit, &ring));
	EXPECT(aborts(reserve_twice, &ring));
	spsc_fini(&ring);
}

enum { STRESS_RECORDS = 200000 };

static uint32_t next_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

static void *produce(void *argument)
{
	struct spsc *ring = argument;
	uint32_t     state = 4711;

	for (uint32_t i = 0; i < STRESS_RECORDS; i++) {
		uint32_t len = 4 + next_random(&state) % 200;

		for (;;) {
			uint8_t *record = spsc_reserve(ring, len);

			if (record) {
				memcpy(record, &i, sizeof(i));
				memset(record + sizeof(i), (int)(i & 0xff), len - sizeof(i));
				spsc_commit(ring);
				break;
			}
			sched_yield();
		}
	}
	return NULL;
}

TEST(two_threads_pass_every_record_whole_and_in_order)
{
	struct spsc ring;
	pthread_t   producer;
	uint32_t    state = 4711, wrong = 0;

	EXPECT(spsc_init(&ring, 4096));
	EXPECT(pthread_create(&producer, NULL, produce, &ring) == 0);
	for (uint32_t i = 0; i < STRESS_RECORDS;) {
		struct span record = spsc_peek(&ring);
		uint32_t    number = 0;

		if (!record.data) {
			sched_yield();
			continue;
		}
		memcpy(&number, record.data, sizeof(number));
		wrong += number != i;
		wrong += !is_filled(span_of(record.data + 4, record.len - 4),
		                    next_random(&state) % 200, (uint8_t)i);
		spsc_release(&ring);
		i++;
	}
	EXPECT_EQ(wrong, 0);
	pthread_join(producer, NULL);
	EXPECT(spsc_is_empty(&ring));
	spsc_fini(&ring);
}

int main(void)
{
	return test_main();
}
