/*
 * mapped: what the thread sanitizer has to be told about memory that liburing maps and unmaps by
 * system calls of its own, which the sanitizer does not see.
 *
 * A ring that a thread maps where another thread's ring had ended would look like a race of the
 * two. Nothing in other builds.
 */
#ifndef IO_MAPPED_H
#define IO_MAPPED_H

#if defined(__SANITIZE_THREAD__)
#define MAPPED_IS_TOLD 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define MAPPED_IS_TOLD 1
#endif
#endif

#ifdef MAPPED_IS_TOLD
#include <liburing.h>
#include <sanitizer/tsan_interface.h>
#include <stdint.h>
/* Right after it was mapped, and right before it is unmapped; any address common to all does. */
#define MAPPED()    __tsan_acquire((void *)(uintptr_t)io_uring_queue_exit)
#define UNMAPPING() __tsan_release((void *)(uintptr_t)io_uring_queue_exit)
#else
#define MAPPED()    ((void)0)
#define UNMAPPING() ((void)0)
#endif

#endif
