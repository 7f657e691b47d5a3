#include "base/util.h"
#include "test.h"
#include "tls/tls_random.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>

/* The kernel's part, played by the test: it gives a counter's bytes, so that each place tells where
 * it came from. In place of the C library's function of this name. */
static struct {
	uint32_t next;  /* number of the next four bytes */
	size_t   most;  /* that one call gives; 0 = all */
	int      error; /* given instead, 0 = none */
	int      interruptions;
	unsigned calls;
} kernel;

ssize_t getrandom(void *bytes, size_t size, unsigned flags)
{
	(void)flags;
	kernel.calls++;
	if (kernel.interruptions > 0) {
		kernel.interruptions--;
		errno = EINTR;
		return -1;
	}
	if (kernel.error != 0) {
		errno = kernel.error;
		return -1;
	}
	if (kernel.most > 0 && size > kernel.most)
		size = kernel.most;
	for (size_t i = 0; i + 4 <= size; i += 4, kernel.next++)
		memcpy((char *)bytes + i, &kernel.next, 4);
	return (ssize_t)size;
}

/* Leaves nothing of earlier tests in this thread's block: more is asked for than it can hold
 * twice. */
static void start_with_an_empty_block(void)
{
	unsigned char bytes[4];

	do {
		kernel.calls = 0;
		EXPECT_EQ(penstock_random_block(bytes, sizeof(bytes)), 0);
	} while (kernel.calls == 0);
	for (int i = 1; i < 1024; i++)
		EXPECT_EQ(penstock_random_block(bytes, sizeof(bytes)), 0);
	memset(&kernel, 0, sizeof(kernel));
	kernel.next = 1;
}

/* True if *size* bytes hold the numbers from *first* on. */
static bool counts_from(const unsigned char *bytes, size_t size, uint32_t first)
{
	for (size_t i = 0; i + 4 <= size; i += 4, first++)
		if (memcmp(bytes + i, &first, 4) != 0)
			return false;
	return true;
}

TEST(small_requests_share_one_call_and_get_each_byte_once)
{
	unsigned char bytes[32];

	start_with_an_empty_block();
	for (uint32_t i = 0; i < 128; i++) {
		EXPECT_EQ(penstock_random_block(bytes, sizeof(bytes)), 0);
		EXPECT(counts_from(bytes, sizeof(bytes), 1 + i * 8));
	}
	EXPECT_EQ(kernel.calls, 1);
	EXPECT_EQ(penstock_random_block(bytes, sizeof(bytes)), 0);
	EXPECT(counts_from(bytes, sizeof(bytes), 1025));
	EXPECT_EQ(kernel.calls, 2);
}

TEST(a_request_larger_than_the_block_is_filled_to_its_end)
{
	static unsigned char bytes[20000];

	start_with_an_empty_block();
	EXPECT_EQ(penstock_random_block(bytes, sizeof(bytes)), 0);
	EXPECT(counts_from(bytes, sizeof(bytes), 1));
}

TEST(a_call_that_is_cut_short_or_interrupted_goes_on)
{
	unsigned char bytes[4096];

	start_with_an_empty_block();
	kernel.most = 256;
	kernel.interruptions = 3;
	EXPECT_EQ(penstock_random_block(bytes, sizeof(bytes)), 0);
	EXPECT(counts_from(bytes, sizeof(bytes), 1));
	EXPECT_EQ(kernel.calls, 19);
}

TEST(without_the_kernels_bytes_there_are_none)
{
	unsigned char bytes[32];

	start_with_an_empty_block();
	kernel.error = ENOSYS;
	EXPECT_EQ(penstock_random_block(bytes, sizeof(bytes)), -ENOSYS);
	EXPECT_EQ(penstock_random_block(bytes, sizeof(bytes)), -ENOSYS);
	kernel.error = 0;
	EXPECT_EQ(penstock_random_block(bytes, sizeof(bytes)), 0);
	EXPECT(counts_from(bytes, sizeof(bytes), 1));
}

static void *take_sixteen(void *bytes)
{
	if (penstock_random_block(bytes, 16) != 0)
		memset(bytes, 0, 16);
	return NULL;
}

TEST(threads_never_get_the_same_bytes)
{
	unsigned char here[16], there[16];
	pthread_t     thread;

	start_with_an_empty_block();
	EXPECT_EQ(penstock_random_block(here, sizeof(here)), 0);
	EXPECT_EQ(pthread_create(&thread, NULL, take_sixteen, there), 0);
	EXPECT_EQ(pthread_join(thread, NULL), 0);
	EXPECT(counts_from(here, sizeof(here), 1));
	EXPECT(counts_from(there, sizeof(there), 1025));
}

int main(void)
{
	return test_main();
}
