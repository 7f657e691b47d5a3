#include "base/list.h"
#include "base/util.h"
#include "test.h"

struct item {
	int         number;
	struct list link;
};

static int take_number(struct list *head)
{
	struct list *link = list_take(head);

	return link ? container_of(link, struct item, link)->number : -1;
}

TEST(a_list_gives_back_in_the_order_of_appending)
{
	struct list head;
	struct item items[3] = {{.number = 1}, {.number = 2}, {.number = 3}};

	list_init(&head);
	EXPECT(list_is_empty(&head));
	for (size_t i = 0; i < COUNT(items); i++)
		list_append(&head, &items[i].link);
	EXPECT(!list_is_empty(&head));
	EXPECT_EQ(take_number(&head), 1);
	EXPECT_EQ(take_number(&head), 2);
	EXPECT_EQ(take_number(&head), 3);
	EXPECT_EQ(take_number(&head), -1);
	EXPECT(list_is_empty(&head));
}

TEST(a_link_can_be_removed_from_the_middle_and_twice)
{
	struct list head;
	struct item items[3] = {{.number = 1}, {.number = 2}, {.number = 3}};

	list_init(&head);
	for (size_t i = 0; i < COUNT(items); i++)
		list_append(&head, &items[i].link);
	list_remove(&items[1].link);
	list_remove(&items[1].link);
	EXPECT(list_is_empty(&items[1].link));
	EXPECT_EQ(take_number(&head), 1);
	EXPECT_EQ(take_number(&head), 3);
	EXPECT_EQ(take_number(&head), -1);
}

TEST(a_taken_link_is_in_no_list)
{
	struct list head;
	struct item item = {.number = 7};

	list_init(&head);
	list_append(&head, &item.link);
	EXPECT_EQ(take_number(&head), 7);
	EXPECT(list_is_empty(&item.link));
	list_append(&head, &item.link);
	EXPECT_EQ(take_number(&head), 7);
}

int main(void)
{
	return test_main();
}
