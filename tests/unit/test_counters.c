#include "site/counters.h"

#include "test.h"

#include <pthread.h>

TEST(no_two_workers_share_a_line)
{
	EXPECT_EQ(sizeof(struct listener_counters) % 64, 0);
	EXPECT_EQ(sizeof(struct worker_counters) % 64, 0);
}

TEST(blocks_begin_at_zero_for_as_many_workers_as_there_may_be)
{
	struct listener_counters *blocks = counters_map(sizeof(*blocks));
	struct listener_totals    totals;

	counters_end(&blocks[COUNTERS_WORKERS - 1], REASON_OK);
	GAUGE_ADD(blocks[COUNTERS_WORKERS - 1].accepted, 1);
	totals = counters_of_listener(blocks, COUNTERS_WORKERS);
	EXPECT_EQ(totals.accepted, 1);
	EXPECT_EQ(totals.ended[REASON_OK], 1);
	EXPECT_EQ(totals.active, 0);
	EXPECT_EQ(totals.bytes[COUNTERS_UP] + totals.bytes[COUNTERS_DOWN], 0);
	counters_unmap(blocks, sizeof(*blocks));
}

TEST(totals_add_up_the_workers_asked_for)
{
	static struct listener_counters blocks[3];
	struct listener_totals          totals;

	for (unsigned i = 0; i < 3; i++) {
		GAUGE_ADD(blocks[i].accepted, 10 * (i + 1));
		GAUGE_ADD(blocks[i].bytes[COUNTERS_UP], 100 * (i + 1));
		GAUGE_ADD(blocks[i].bytes[COUNTERS_DOWN], 1000 * (i + 1));
		counters_end(&blocks[i], REASON_OK);
		counters_end(&blocks[i], REASON_DENIED);
	}
	totals = counters_of_listener(blocks, 2);
	EXPECT_EQ(totals.accepted, 30);
	EXPECT_EQ(totals.bytes[COUNTERS_UP], 300);
	EXPECT_EQ(totals.bytes[COUNTERS_DOWN], 3000);
	EXPECT_EQ(totals.ended[REASON_OK], 2);
	EXPECT_EQ(totals.ended[REASON_DENIED], 2);
	EXPECT_EQ(totals.active, 26);
}

TEST(a_time_falls_into_the_first_bucket_whose_bound_it_does_not_exceed)
{
	static const struct {
		uint64_t us;
		size_t   bucket;
	} cases[] = {
		{0, 0},
		{500, 0},
		{501, 1},
		{1000, 1},
		{1001, 2},
		{10000000, HISTOGRAM_BOUNDS - 1},
		{10000001, HISTOGRAM_BOUNDS},
		{UINT32_MAX * 4ull, HISTOGRAM_BOUNDS},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct histogram histogram = {0};

		histogram_observe(&histogram, cases[i].us);
		EXPECT_EQ(histogram.sum_us, cases[i].us);
		for (size_t at = 0; at <= HISTOGRAM_BOUNDS; at++)
			EXPECT_EQ(histogram.buckets[at], at == cases[i].bucket);
	}
	for (size_t i = 1; i < HISTOGRAM_BOUNDS; i++)
		EXPECT(histogram_bounds_us[i - 1] < histogram_bounds_us[i]);
}

TEST(the_workers_histograms_and_bytes_add_up)
{
	static struct worker_counters blocks[2];
	struct worker_totals          totals;

	histogram_observe(&blocks[0].connect, 400);
	histogram_observe(&blocks[1].connect, 300);
	GAUGE_ADD(blocks[0].relayed[COUNTERS_SPLICE], 5);
	GAUGE_ADD(blocks[1].relayed[COUNTERS_SPLICE], 6);
	GAUGE_ADD(blocks[1].relayed[COUNTERS_COPY], 7);
	totals = counters_of_workers(blocks, 2);
	EXPECT_EQ(totals.connect[0], 2);
	EXPECT_EQ(totals.connect_sum_us, 700);
	EXPECT_EQ(totals.relayed[COUNTERS_SPLICE], 11);
	EXPECT_EQ(totals.relayed[COUNTERS_COPY], 7);
	EXPECT_EQ(totals.relayed[COUNTERS_URING_SPLICE], 0);
}

static struct listener_counters shared;

static void *count_connections(void *unused)
{
	for (int i = 0; i < 300000; i++) {
		GAUGE_ADD(shared.accepted, 1);
		counters_end(&shared, REASON_OK);
	}
	return unused;
}

TEST(a_scrape_never_sees_more_ends_than_connections)
{
	uint64_t  strange = 0;
	pthread_t worker;

	EXPECT(pthread_create(&worker, NULL, count_connections, NULL) == 0);
	while (GAUGE_GET(shared.ended[REASON_OK]) < 300000)
		strange += counters_of_listener(&shared, 1).active > 300000;
	pthread_join(worker, NULL);
	EXPECT_EQ(strange, 0);
	EXPECT_EQ(counters_of_listener(&shared, 1).active, 0);
}

int main(void)
{
	return test_main();
}
