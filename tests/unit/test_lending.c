#include "io/lending.h"

#include "test.h"

enum { COUNT_OF_BUFFERS = 512 };

/* The kernel takes *taken* of what is lent in each of *turns*, and gives them back at once. */
static void pass(struct lending *lending, uint32_t taken, uint32_t turns)
{
	while (turns-- > 0) {
		for (uint32_t i = 0; i < taken; i++)
			lending_take(lending);
		lending_turn(lending);
		EXPECT(lending_lend(lending, COUNT_OF_BUFFERS - lending->lent) <= COUNT_OF_BUFFERS);
	}
}

static struct lending new_lending(uint32_t count)
{
	struct lending lending;

	lending_init(&lending, count);
	EXPECT_EQ(lending_lend(&lending, count), min_u32(count, LENDING_LEAST));
	return lending;
}

TEST(a_few_buffers_are_lent_and_lent_again)
{
	struct lending lending = new_lending(COUNT_OF_BUFFERS);

	EXPECT_EQ(lending_lend(&lending, 100), 0);
	lending_take(&lending);
	lending_take(&lending);
	EXPECT_EQ(lending_lend(&lending, 1), 1);
	EXPECT_EQ(lending_lend(&lending, 100), 1);
	EXPECT_EQ(lending.lent, LENDING_LEAST);
}

TEST(no_more_is_lent_than_there_is)
{
	struct lending lending = new_lending(4);

	lending_grow(&lending);
	EXPECT_EQ(lending_lend(&lending, 0), 0);
	EXPECT_EQ(lending.lent, 4);
	lending = new_lending(COUNT_OF_BUFFERS);
	for (int i = 0; i < 20; i++) {
		lending_grow(&lending);
		EXPECT(lending_lend(&lending, COUNT_OF_BUFFERS - lending.lent) <= COUNT_OF_BUFFERS);
	}
	EXPECT_EQ(lending.lent, COUNT_OF_BUFFERS);
}

TEST(the_window_doubles_when_receives_find_none)
{
	struct lending lending = new_lending(COUNT_OF_BUFFERS);

	lending_grow(&lending);
	EXPECT_EQ(lending_lend(&lending, COUNT_OF_BUFFERS), LENDING_LEAST);
	EXPECT_EQ(lending.lent, 2 * LENDING_LEAST);
}

TEST(a_grown_window_stays_while_turns_take_much_and_shrinks_when_they_long_have_not)
{
	struct lending lending = new_lending(COUNT_OF_BUFFERS);

	for (uint32_t most = LENDING_LEAST; most < 128; most *= 2)
		lending_grow(&lending);
	EXPECT_EQ(lending_lend(&lending, COUNT_OF_BUFFERS), 128 - LENDING_LEAST);
	for (int period = 0; period < 5; period++) {
		pass(&lending, 40, 1); /* one such turn a period is enough */
		pass(&lending, 1, LENDING_PERIOD - 1);
	}
	EXPECT_EQ(lending.window, 128);
	pass(&lending, 8, LENDING_PERIOD);
	EXPECT_EQ(lending.window, 64);
	pass(&lending, 8, LENDING_PERIOD);
	EXPECT_EQ(lending.window, 32);
	pass(&lending, 0, 10 * LENDING_PERIOD);
	EXPECT_EQ(lending.window, LENDING_LEAST);
}

TEST(a_window_that_shrank_is_not_lent_again_beyond_itself)
{
	struct lending lending = new_lending(COUNT_OF_BUFFERS);

	lending_grow(&lending);
	EXPECT_EQ(lending_lend(&lending, COUNT_OF_BUFFERS), LENDING_LEAST);
	pass(&lending, 0, LENDING_PERIOD);
	EXPECT_EQ(lending.lent, 2 * LENDING_LEAST); /* the kernel gives back only what it fills */
	for (int i = 0; i < LENDING_LEAST; i++) {
		lending_take(&lending);
		EXPECT_EQ(lending_lend(&lending, COUNT_OF_BUFFERS), 0);
	}
	lending_take(&lending);
	EXPECT_EQ(lending_lend(&lending, COUNT_OF_BUFFERS), 1);
}

int main(void)
{
	return test_main();
}
