/*
 * bufring: the receive buffers of one ring, lent to the kernel, leased to whoever got bytes in one.
 *
 * A buffer is in the kernel's hands, or leased to exactly one holder, who gives it back within the
 * loop turn in which it is done with it or in which its send came back short, or free: the kernel has
 * no more of them at a time than io/lending.h tells. Source: io_uring_register_buf_ring(3).
 */
#ifndef IO_BUFRING_H
#define IO_BUFRING_H

#include "base/util.h"
#include "io/lending.h"

#include <stdbool.h>
#include <stdint.h>

struct ring;
struct io_uring_buf_ring;

enum { BUFRING_NONE = UINT16_MAX };

struct bufring {
	struct io_uring_buf_ring *shared; /* with the kernel */
	uint8_t                  *memory;
	uint32_t                  count, size; /* a power of two; bytes of one */
	uint32_t                  leased;
	struct lending            lending;
	uint16_t                 *free; /* a stack: the one given back last is the warmest */
	uint32_t                  free_count;
	struct ring              *ring;
};

/* 0 or -errno. *count*: a power of two up to 32768. Memory is touched only as buffers are used. */
MUST_CHECK int bufring_init(struct bufring *buffers, struct ring *ring, uint32_t count,
                            uint32_t size);
void           bufring_fini(struct bufring *buffers);
uint16_t       bufring_group(const struct bufring *buffers);

/* The buffer that a completion's flags name, now leased; BUFRING_NONE if they name none. */
MUST_CHECK uint16_t bufring_lease(struct bufring *buffers, unsigned cqe_flags);
uint8_t            *bufring_data(const struct bufring *buffers, uint16_t lease);
void                bufring_give_back(struct bufring *buffers, uint16_t lease);

/* Each time before the kernel is entered: lends again what was taken since. *starved*:
 * more than that, since receives found no buffer; at any time. */
void bufring_lend(struct bufring *buffers, bool starved);
/* Every buffer is leased or with the kernel. */
bool bufring_is_exhausted(const struct bufring *buffers);

#endif
