#include "process/logger_set.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	NO_NUMBER = UINT32_MAX, /* the error log's */
	LEAVE_MS = 3000,        /* for the reader of a log that is given up to take the rest */
};

/* ---- control ---- */

/* The newest first; the writer takes all at once. */
static void hand_over(struct logger_set *set, struct logger_target *target)
{
	struct logger_target *first = atomic_load_explicit(&set->arrived, memory_order_relaxed);

	do {
		target->next = first;
	} while (!atomic_compare_exchange_weak(&set->arrived, &first, target));
}

static struct logger_target *open_error_log(struct logger_set *set, const char *path, char why[256])
{
	struct logger_target *target = logger_target_open(&(struct conf_log){.path = path},
	                                                  &set->how, why);

	if (target)
		target->number = NO_NUMBER;
	return target;
}

bool logger_set_init(struct logger_set *set, const char *error_log,
                     const struct logger_sink_how *how, char why[256])
{
	*set = (struct logger_set){.how = *how};
	set->how.dropped_total = &set->dropped;
	set->slots = calloc(LOGGER_SET_MAX, sizeof(*set->slots));
	if (!set->slots) {
		snprintf(why, 256, "no memory for the log writer");
		return false;
	}
	set->error = open_error_log(set, error_log, why);
	if (!set->error) {
		free(set->slots);
		return false;
	}
	set->open = set->error_now = set->error_noted = set->error;
	atomic_init(&set->error_wanted, set->error);
	return true;
}

static void close_all(struct logger_target *first)
{
	struct logger_target *next;

	for (; first; first = next) {
		next = first->next;
		logger_target_close(first);
	}
}

void logger_set_fini(struct logger_set *set)
{
	close_all(set->open);
	close_all(atomic_load(&set->arrived));
	if (set->error_then && set->error_then != set->error_now)
		logger_target_close(set->error_then);
	free(set->slots);
}

/* The slot of a log that is in use; NULL: none is like it. A slot without users is not looked into:
 * the writer may be closing what is there. */
static struct logger_slot *find_alike(struct logger_set *set, const struct conf_log *log)
{
	for (uint32_t i = 0; i < set->slot_end; i++) {
		struct logger_slot *slot = &set->slots[i];

		if (slot->users > 0 &&
		    logger_target_is_of(atomic_load_explicit(&slot->target, memory_order_relaxed),
		                        log))
			return slot;
	}
	return NULL;
}

/* NULL: all are in use. */
static struct logger_slot *find_free(struct logger_set *set)
{
	for (uint32_t i = 0; i < set->slot_end; i++)
		if (!atomic_load_explicit(&set->slots[i].target, memory_order_acquire))
			return &set->slots[i];
	return set->slot_end < LOGGER_SET_MAX ? &set->slots[set->slot_end++] : NULL;
}

static struct logger_slot *open_slot(struct logger_set *set, const struct conf_log *log,
                                     char why[256])
{
	struct logger_slot   *slot = find_free(set);
	struct logger_target *target;

	if (!slot) {
		snprintf(why, 256, "too many logs are open, old configurations' among them");
		return NULL;
	}
	target = logger_target_open(log, &set->how, why);
	if (!target)
		return NULL;
	target->number = (uint32_t)(slot - set->slots);
	/* Workers learn the number only later, so that the writer finds this before the first
	 * record. */
	atomic_store_explicit(&slot->target, target, memory_order_release);
	hand_over(set, target);
	return slot;
}

bool logger_set_prepare(struct logger_set *set, const struct conf *conf, uint16_t *numbers,
                        char why[256])
{
	const char *error_log = conf->global.error_log;

	CHECK(!set->error_then);
	for (size_t i = 0; i < conf->log_count; i++) {
		struct logger_slot *slot = find_alike(set, conf->logs[i]);

		if (!slot)
			slot = open_slot(set, conf->logs[i], why);
		if (!slot) {
			logger_set_retire(set, numbers, i);
			return false;
		}
		slot->users++;
		numbers[i] = (uint16_t)(slot - set->slots);
	}
	set->error_then = strcmp(set->error_now->sink.name, error_log) == 0
	                          ? set->error_now
	                          : open_error_log(set, error_log, why);
	if (!set->error_then) {
		logger_set_retire(set, numbers, conf->log_count);
		return false;
	}
	set->level_then = (enum log_level)conf->global.error_level;
	return true;
}

void logger_set_commit(struct logger_set *set)
{
	struct logger_target *before = set->error_now;

	CHECK(set->error_then);
	set->error_now = set->error_then;
	set->error_then = NULL;
	atomic_store_explicit(&log_threshold, (int)set->level_then, memory_order_relaxed);
	if (set->error_now == before)
		return;
	/* In this order: where the writer sees that the old one is unwanted, it sees the new
	 * one. */
	hand_over(set, set->error_now);
	atomic_store(&set->error_wanted, set->error_now);
	atomic_store(&before->unwanted, true);
}

void logger_set_abandon(struct logger_set *set)
{
	CHECK(set->error_then);
	if (set->error_then != set->error_now)
		logger_target_close(set->error_then);
	set->error_then = NULL;
}

void logger_set_retire(struct logger_set *set, const uint16_t *numbers, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct logger_slot *slot = &set->slots[numbers[i]];

		CHECK(numbers[i] < set->slot_end && slot->users > 0);
		if (--slot->users == 0)
			atomic_store(&atomic_load(&slot->target)->unwanted, true);
	}
}

/* ---- the writer ---- */

struct logger_target *logger_set_find(struct logger_set *set, uint16_t number)
{
	struct logger_target *target;

	CHECK(number < LOGGER_SET_MAX);
	target = atomic_load_explicit(&set->slots[number].target, memory_order_acquire);
	CHECK(target);
	return target;
}

static void adopt(struct logger_set *set)
{
	struct logger_target *first = atomic_exchange(&set->arrived, NULL), *next;

	for (; first; first = next) {
		next = first->next;
		first->next = set->open;
		set->open = first;
	}
}

void logger_set_note_changes(struct logger_set *set)
{
	uint64_t now = clock_ms();

	adopt(set);
	for (struct logger_target *target = set->open; target; target = target->next) {
		if (target->is_leaving || !atomic_load(&target->unwanted))
			continue;
		target->is_leaving = true;
		target->leave_by_ms = now + LEAVE_MS;
	}
	/* Not earlier: the one that was just found unwanted must not be it. */
	set->error_noted = atomic_load(&set->error_wanted);
}

void logger_set_make_changes(struct logger_set *set)
{
	set->error = set->error_noted;
	for (struct logger_target *target = set->open; target; target = target->next) {
		struct logger_slot *slot = &set->slots[target->number];

		/* Its number is free from here on; once another has it, it is not ours to clear. */
		if (target->is_leaving && target->number != NO_NUMBER) {
			atomic_store_explicit(&slot->target, NULL, memory_order_release);
			target->number = NO_NUMBER;
		}
	}
}

struct logger_target *logger_set_to_close(struct logger_set *set)
{
	for (struct logger_target *target = set->open; target; target = target->next)
		if (target->is_leaving &&
		    (!logger_sink_is_pending(&target->sink) || clock_ms() >= target->leave_by_ms))
			return target;
	return NULL;
}

void logger_set_close(struct logger_set *set, struct logger_target *target)
{
	struct logger_target **link = &set->open;

	while (*link != target)
		link = &(*link)->next;
	*link = target->next;
	logger_target_close(target);
}

void logger_set_write(struct logger_set *set)
{
	for (struct logger_target *target = set->open; target; target = target->next)
		logger_sink_write(&target->sink);
}

bool logger_set_is_pending(const struct logger_set *set)
{
	for (const struct logger_target *target = set->open; target; target = target->next)
		if (logger_sink_is_pending(&target->sink))
			return true;
	return false;
}

uint64_t logger_set_next_ms(const struct logger_set *set)
{
	uint64_t next = UINT64_MAX;

	for (const struct logger_target *target = set->open; target; target = target->next) {
		const struct logger_sink *sink = &target->sink;

		if (logger_sink_is_pending(sink) && sink->retry_ms < next)
			next = sink->retry_ms;
		if (target->is_leaving && target->leave_by_ms < next)
			next = target->leave_by_ms;
	}
	return next;
}
