#include "aborts.h"
#include "base/slab.h"
#include "test.h"

#include <string.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define IS_HIDDEN(pointer) __asan_address_is_poisoned(pointer)
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#define IS_HIDDEN(pointer) __asan_address_is_poisoned(pointer)
#endif
#endif

TEST(a_slab_lends_exactly_its_count)
{
	struct slab slab;
	void       *objects[5];

	EXPECT(slab_init(&slab, 24, 5));
	for (size_t i = 0; i < COUNT(objects); i++) {
		objects[i] = slab_get(&slab);
		EXPECT(objects[i] != NULL);
		memset(objects[i], (int)i, 24);
	}
	EXPECT(slab_get(&slab) == NULL);
	EXPECT_EQ(slab_in_use(&slab), 5);
	for (size_t i = 0; i < COUNT(objects); i++)
		EXPECT_EQ(((uint8_t *)objects[i])[23], i);
	for (size_t i = 0; i < COUNT(objects); i++)
		slab_put(&slab, objects[i]);
	EXPECT_EQ(slab_in_use(&slab), 0);
	slab_fini(&slab);
}

TEST(the_last_object_put_back_is_the_next_one_lent)
{
	struct slab slab;
	void       *first, *second;

	EXPECT(slab_init(&slab, 100, 10));
	first = slab_get(&slab);
	second = slab_get(&slab);
	slab_put(&slab, second);
	slab_put(&slab, first);
	EXPECT(slab_get(&slab) == first);
	EXPECT(slab_get(&slab) == second);
	slab_fini(&slab);
}

TEST(objects_of_a_cache_line_and_more_are_aligned_to_one)
{
	static const size_t sizes[] = {1, 8, 15, 16, 40, 64, 65, 100, 256, 1000};

	for (size_t i = 0; i < COUNT(sizes); i++) {
		size_t      align = sizes[i] >= 64 ? 64 : sizes[i] >= 16 ? 16 : 8;
		struct slab slab;

		EXPECT(slab_init(&slab, sizes[i], 3));
		for (int n = 0; n < 3; n++) {
			uint8_t *object = slab_get(&slab);

			EXPECT_EQ((uintptr_t)object % align, 0);
			memset(object, 0xff, sizes[i]);
		}
		slab_fini(&slab);
	}
}

/* Pages of the mapping that are resident. */
static size_t resident_pages(const struct slab *slab)
{
	static unsigned char pages[1 << 16];
	size_t               count = (slab->mapped + 4095) / 4096, resident = 0;

	if (count > sizeof(pages) || mincore(slab->memory, slab->mapped, pages) != 0)
		return SIZE_MAX;
	for (size_t i = 0; i < count; i++)
		resident += pages[i] & 1;
	return resident;
}

TEST(memory_that_was_never_lent_is_never_touched)
{
	struct slab slab;

	EXPECT(slab_init(&slab, 200, 1000000));
	/* Huge pages would blur what is counted here. */
	madvise(slab.memory, slab.mapped, MADV_NOHUGEPAGE);
	EXPECT_EQ(resident_pages(&slab), 0);
	for (int i = 0; i < 1000; i++) {
		void *object = slab_get(&slab);

		memset(object, 1, 200);
		slab_put(&slab, object);
	}
	EXPECT(resident_pages(&slab) <= 2);
	slab_fini(&slab);
}

TEST(a_trimmed_slab_gives_its_memory_back_and_lends_again)
{
	static void *objects[1000];
	struct slab  slab;

	EXPECT(slab_init(&slab, 4096, COUNT(objects)));
	madvise(slab.memory, slab.mapped, MADV_NOHUGEPAGE);
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < COUNT(objects); i++) {
			objects[i] = slab_get(&slab);
			memset(objects[i], 1, 4096);
		}
		EXPECT(slab_get(&slab) == NULL);
		slab_trim(&slab, 0); /* something is lent: nothing may happen */
		EXPECT_EQ(((uint8_t *)objects[500])[4095], 1);
		for (size_t i = 0; i < COUNT(objects); i++)
			slab_put(&slab, objects[i]);
		slab_trim(&slab, SIZE_MAX);
		EXPECT(resident_pages(&slab) >= COUNT(objects));
		slab_trim(&slab, 65536);
		EXPECT_EQ(resident_pages(&slab), 0);
	}
	slab_fini(&slab);
}

TEST(a_slab_too_large_for_the_address_space_is_refused)
{
	struct slab slab;

	EXPECT(!slab_init(&slab, SIZE_MAX / 4, UINT32_MAX));
	EXPECT(slab_get(&slab) == NULL);
	slab_fini(&slab);
	EXPECT(!slab_init(&slab, SIZE_MAX, 1));
	EXPECT(!slab_init(&slab, SIZE_MAX / UINT32_MAX, UINT32_MAX));
	slab_fini(&slab);
}

static struct slab victim;
static uint8_t    *lent, *other;

static void set_up_victim(void)
{
	bool made = slab_init(&victim, 64, 10);

	EXPECT(made);
	lent = slab_get(&victim);
	other = slab_get(&victim);
}

static void put(void *object)
{
	slab_put(&victim, object);
}

static void put_twice(void *object)
{
	slab_put(&victim, object);
	slab_put(&victim, object);
}

TEST(putting_back_a_stranger_ends_the_program)
{
	static _Alignas(64) uint8_t stranger[64];

	set_up_victim();
	EXPECT(!aborts(put, lent));
	EXPECT(aborts(put, stranger));
	EXPECT(aborts(put, lent + 8));
	EXPECT(aborts(put, victim.memory + victim.stride * 5));  /* never lent */
	EXPECT(aborts(put, victim.memory + victim.stride * 10)); /* behind the last */
	EXPECT(aborts(put, victim.memory - 64));
	EXPECT(aborts(put, NULL));
	slab_fini(&victim);
}

TEST(putting_back_twice_ends_the_program)
{
	set_up_victim();
	EXPECT(aborts(put_twice, lent)); /* with another one still lent */
	slab_put(&victim, other);
	EXPECT(aborts(put_twice, lent)); /* with none */
	slab_fini(&victim);
}

#ifdef IS_HIDDEN
TEST(an_object_put_back_is_hidden_from_its_last_user)
{
	set_up_victim();
	EXPECT(!IS_HIDDEN(lent) && !IS_HIDDEN(lent + 63));
	slab_put(&victim, lent);
	EXPECT(IS_HIDDEN(lent) && IS_HIDDEN(lent + 63));
	EXPECT(!IS_HIDDEN(other));
	EXPECT(slab_get(&victim) == lent);
	EXPECT(!IS_HIDDEN(lent) && !IS_HIDDEN(lent + 63));
	slab_put(&victim, lent);
	slab_fini(&victim);
}
#endif

int main(void)
{
	return test_main();
}
