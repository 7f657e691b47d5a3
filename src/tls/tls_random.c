#include "tls/tls_random.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/random.h>

enum { BLOCK_SIZE = 4096 };

/* What the kernel gave and nobody has used yet is at the end of *bytes*. */
struct block {
	unsigned char bytes[BLOCK_SIZE];
	size_t        left;
};

/* No thread has another's bytes, and no process either: nothing here forks. */
static _Thread_local struct block block;

/* Signals cut short what is longer than 256 bytes (getrandom(2)). */
static int fill(unsigned char *bytes, size_t size)
{
	while (size > 0) {
		ssize_t got = getrandom(bytes, size, 0);

		if (got < 0 && errno != EINTR)
			return -errno;
		if (got > 0) {
			bytes += got;
			size -= (size_t)got;
		}
	}
	return 0;
}

/* A byte given out is wiped, so that what is read from memory later tells no key of the past. */
int penstock_random_block(unsigned char *output, unsigned size)
{
	unsigned char *next;

	if (size > BLOCK_SIZE)
		return fill(output, size);
	if (size > block.left) {
		int result = fill(block.bytes, BLOCK_SIZE);

		block.left = result == 0 ? BLOCK_SIZE : 0;
		if (result != 0)
			return result;
	}
	next = block.bytes + BLOCK_SIZE - block.left;
	memcpy(output, next, size);
	explicit_bzero(next, size);
	block.left -= size;
	return 0;
}
