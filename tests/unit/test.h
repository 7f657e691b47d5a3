/*
 * test: the whole unit-test harness. A test is a function named for the behaviour it promises; each
 * prints one line, `ok NAME` or `FAIL NAME`, which tests/run counts.
 *
 *	TEST(a_trailing_dot_is_dropped)
 *	{
 *		EXPECT(fold("example.com.") == 11);
 *	}
 *	...
 *	int main(void) { return test_main(); }
 */
#ifndef TESTS_UNIT_TEST_H
#define TESTS_UNIT_TEST_H

#include <stdbool.h>
#include <stdio.h>

struct test {
	const char *name;
	void (*run)(void);
	struct test *next;
};

static struct test *test_first, **test_last = &test_first;
static bool         test_failed;

#define TEST(name)                                                                                 \
	static void                              test_##name(void);                                \
	static struct test                       entry_##name = {#name, test_##name, 0};           \
	__attribute__((constructor)) static void register_##name(void)                             \
	{                                                                                          \
		*test_last = &entry_##name;                                                        \
		test_last = &entry_##name.next;                                                    \
	}                                                                                          \
	static void test_##name(void)

/* Notes a broken expectation and goes on. */
#define EXPECT(condition)                                                                          \
	((condition) ? (void)0                                                                     \
	             : (test_failed = true,                                                        \
	                (void)printf("  %s:%d: not so: %s\n", __FILE__, __LINE__, #condition)))

/* The same for two integers, printing both. */
#define EXPECT_EQ(got, want)                                                                       \
	do {                                                                                       \
		long long test_got = (long long)(got), test_want = (long long)(want);              \
		if (test_got != test_want) {                                                       \
			test_failed = true;                                                        \
			printf("  %s:%d: %s is %lld, not %lld\n", __FILE__, __LINE__, #got,        \
			       test_got, test_want);                                               \
		}                                                                                  \
	} while (0)

static int test_main(void)
{
	int failures = 0;

	for (struct test *test = test_first; test; test = test->next) {
		test_failed = false;
		test->run();
		printf("%s %s\n", test_failed ? "FAIL" : "ok", test->name);
		fflush(stdout);
		failures += test_failed;
	}
	return failures != 0;
}

#endif
