#include "base/slab.h"

#include <string.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#define SLAB_POISONS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLAB_POISONS 1
#endif
#endif

#ifdef SLAB_POISONS
#include <sanitizer/asan_interface.h>
#define HIDE(memory, len) __asan_poison_memory_region(memory, len)
#define SHOW(memory, len) __asan_unpoison_memory_region(memory, len)
#else
#define HIDE(memory, len) ((void)(memory), (void)(len))
#define SHOW(memory, len) ((void)(memory), (void)(len))
#endif

struct slab_free {
	struct slab_free *next;
};

static size_t stride_of(size_t object_size)
{
	size_t align = object_size >= 64 ? 64 : object_size >= 16 ? 16 : sizeof(struct slab_free);
	size_t size = object_size ? object_size : 1;

	return (size + align - 1) / align * align;
}

bool slab_init(struct slab *slab, size_t object_size, uint32_t count)
{
	size_t objects, bits;

	*slab = (struct slab){0};
	if (object_size > SIZE_MAX / 2)
		return false;
	if (count == 0)
		count = 1;
	slab->stride = stride_of(object_size);
	bits = ((size_t)count + 63) / 64 * sizeof(uint64_t);
	if (__builtin_mul_overflow(slab->stride, (size_t)count, &objects) ||
	    __builtin_add_overflow(objects, bits, &slab->mapped))
		return false;
	slab->memory = mmap(NULL, slab->mapped, PROT_READ | PROT_WRITE,
	                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (slab->memory == MAP_FAILED) {
		*slab = (struct slab){0};
		return false;
	}
	slab->lent = (uint64_t *)(void *)(slab->memory + objects);
	slab->count = count;
	return true;
}

void slab_fini(struct slab *slab)
{
	if (!slab->memory)
		return;
	SHOW(slab->memory, slab->stride * slab->touched);
	munmap(slab->memory, slab->mapped);
	*slab = (struct slab){0};
}

/* The word and the bit that say whether *object* is lent; ends the program if it cannot be one of
 * this slab. */
static uint64_t *lent_word(const struct slab *slab, const void *object, uint64_t *bit)
{
	size_t offset = (size_t)((uintptr_t)object - (uintptr_t)slab->memory);

	CHECK((uintptr_t)object >= (uintptr_t)slab->memory);
	CHECK(offset < slab->stride * slab->touched);
	CHECK(offset % slab->stride == 0);
	*bit = UINT64_C(1) << (offset / slab->stride % 64);
	return &slab->lent[offset / slab->stride / 64];
}

void *slab_get(struct slab *slab)
{
	uint64_t *word, bit;
	void     *object;

	if (slab->free) {
		object = slab->free;
		SHOW(object, slab->stride);
		slab->free = slab->free->next;
	} else if (slab->touched < slab->count) {
		object = slab->memory + slab->stride * slab->touched++;
	} else {
		return NULL;
	}
	word = lent_word(slab, object, &bit);
	/* Whoever wrote into an object after putting it back may have bent the list. */
	CHECK((*word & bit) == 0);
	*word |= bit;
	slab->in_use++;
	return object;
}

void slab_put(struct slab *slab, void *object)
{
	struct slab_free *link = object;
	uint64_t         *word, bit;

	CHECK(slab->in_use > 0);
	word = lent_word(slab, object, &bit);
	CHECK((*word & bit) != 0);
	*word &= ~bit;
	slab->in_use--;
	link->next = slab->free;
	slab->free = link;
	HIDE(object, slab->stride);
}

void *slab_at(const struct slab *slab, uint32_t index)
{
	CHECK(index < slab->touched);
	if (!(slab->lent[index / 64] & (uint64_t)1 << index % 64))
		return NULL;
	return slab->memory + index * slab->stride;
}

uint32_t slab_in_use(const struct slab *slab)
{
	return slab->in_use;
}

void slab_trim(struct slab *slab, size_t keep)
{
	if (slab->in_use > 0 || slab->stride * slab->touched <= keep)
		return;
	SHOW(slab->memory, slab->stride * slab->touched);
	/* Anonymous private memory reads as zeroes after this (madvise(2)): no object is lent, as
	 * is true. */
	if (madvise(slab->memory, slab->mapped, MADV_DONTNEED) != 0)
		memset(slab->lent, 0,
		       slab->mapped - (size_t)((uint8_t *)slab->lent - slab->memory));
	slab->free = NULL;
	slab->touched = 0;
}
