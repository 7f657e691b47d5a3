/*
 * rules_secure: what the rules say of sides and actors that speak TLS; of plain ones what is the
 * same in both.
 *
 * What an actor said and heard is plaintext; its wire has it. For rules.c alone.
 */
#ifndef TESTS_SIM_RULES_SECURE_H
#define TESTS_SIM_RULES_SECURE_H

#include "sim/world.h"

/* ---- after every turn ---- */

void     rules_check_secure_flow(const struct flow *flow, const struct side *from,
                                 const struct side *to);
uint32_t rules_count_records(const struct conn *c); /* held by it, of shard->records */

/* ---- when nothing more can happen ---- */

/* *side* has TLS's bytes to send and its socket takes none; fails if it would. */
bool rules_output_waits(const struct side *side);

/* ---- at the end ---- */

/* Bytes of the stream of *from* that are meant for *to*; of *to*'s that came. */
uint32_t rules_said(const struct sock *from, const struct sock *to);
uint32_t rules_heard(const struct sock *to);
/* All that it has said went onto the wire. */
bool rules_was_sent(const struct sock *from);
/* It told of its end in the way of its kind; it ended in another way than it should. */
bool rules_has_ended(const struct sock *from);
bool rules_is_cut_off(const struct sock *from);
/* A client that was refused inside TLS heard why. */
void rules_check_told(int number, const struct outcome *outcome);
/* What the log counts, and that no end was feigned. */
void rules_check_secure_end(int number, const struct outcome *outcome);

#endif
