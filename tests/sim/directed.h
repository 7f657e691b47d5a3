/*
 * directed: the words in which the named scenarios are told: a client that says something, time
 * that passes, both ends that close. Everything that can happen does, at once and fully, unless a
 * scenario holds it back.
 */
#ifndef TESTS_SIM_DIRECTED_H
#define TESTS_SIM_DIRECTED_H

#include "sim/hellos.h"
#include "sim/world.h"

#define EXPECT(condition)                                                                          \
	((condition) ? (void)0 : fail("%s:%d: not so: %s", __FILE__, __LINE__, #condition))
#define DIRECTED(name)                                                                             \
	{                                                                                          \
#name, name                                                                        \
	}

void open_world(struct world_plan plan);
void close_world(void);

/* Until nothing moves any more, at this moment; then nobody may have lost a wake-up. */
void settle(void);
void pass(uint64_t ms); /* and a tick more, as a timer may be that late */

struct sock    *connect_saying(enum hello_kind kind);
struct sock    *server_of(const struct sock *client); /* whom the proxy dialled last for it */
struct outcome *outcome_of(const struct sock *client);

/* *n* bytes more from one end to the other, which reads all that it was ever sent. */
void pump(struct sock *from, struct sock *to, uint32_t n);

/* Both ends close; nothing is lost. */
void finish(struct sock *client);

struct world_plan blind(void); /* reads no hello */
struct world_plan copying(enum conf_zero_copy zero_copy);

#endif
