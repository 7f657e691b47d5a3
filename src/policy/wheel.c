#include "policy/wheel.h"

/*
 * A tick is read as four digits of base 64. A timer hangs at the level of the highest digit in
 * which its tick differs from the wheel's, in the slot of its own digit there. So within the
 * levels below the top every occupied slot lies ahead of the wheel's digit, whatever lies in a
 * lower level is due before whatever lies in a higher one, and one comparison of bitmaps finds
 * the next slot. Only the top level turns round; it reaches 63 slots ahead, and a timer beyond
 * that is hung at its far end and hung again from there.
 */
enum {
	DIGIT_BITS = 6,
	DIGIT_MASK = WHEEL_SLOTS - 1,
	TOP = WHEEL_LEVELS - 1,
};
_Static_assert(WHEEL_SLOTS == 1 << DIGIT_BITS, "a slot per digit, a bit per slot");

static unsigned digit_of(uint64_t tick, unsigned level)
{
	return (unsigned)(tick >> level * DIGIT_BITS) & DIGIT_MASK;
}

/* Rounded up: a timer is never early. */
static uint64_t tick_of(const struct timer *timer)
{
	return timer->expires_ms / WHEEL_TICK_MS + (timer->expires_ms % WHEEL_TICK_MS != 0);
}

static void hang(struct wheel *wheel, struct timer *timer)
{
	uint64_t tick = tick_of(timer);
	unsigned level = 0, slot;

	if (tick < wheel->tick)
		tick = wheel->tick;
	if (tick >> TOP * DIGIT_BITS != wheel->tick >> TOP * DIGIT_BITS) {
		uint64_t now = wheel->tick >> TOP * DIGIT_BITS, then = tick >> TOP * DIGIT_BITS;

		level = TOP;
		slot = (unsigned)(then - now > DIGIT_MASK ? now + DIGIT_MASK : then) & DIGIT_MASK;
	} else {
		while ((tick ^ wheel->tick) >> (level + 1) * DIGIT_BITS != 0)
			level++;
		slot = digit_of(tick, level);
	}
	list_append(&wheel->slots[level][slot], &timer->link);
	wheel->occupied[level] |= (uint64_t)1 << slot;
}

/* Keeps the bitmaps exact, so that a cancelled timer costs no wake-up. */
static void unhang(struct wheel *wheel, struct timer *timer)
{
	struct list *neighbour = timer->link.next;
	uintptr_t    offset = (uintptr_t)neighbour - (uintptr_t)&wheel->slots[0][0];

	list_remove(&timer->link);
	/* An empty neighbour is the list's head: a slot's, or that of wheel_expire's list of due
	 * timers. */
	if (list_is_empty(neighbour) && offset < sizeof(wheel->slots)) {
		size_t index = offset / sizeof(struct list);

		wheel->occupied[index / WHEEL_SLOTS] &= ~((uint64_t)1 << index % WHEEL_SLOTS);
	}
}

/* The first occupied slot ahead of the wheel's tick, and the tick at which it begins. */
static bool find_next(const struct wheel *wheel, unsigned *level, uint64_t *tick)
{
	unsigned digit = digit_of(wheel->tick, TOP), ahead;
	uint64_t bits;

	for (unsigned i = 0; i < TOP; i++) {
		bits = wheel->occupied[i] & ~(uint64_t)1 << digit_of(wheel->tick, i);
		if (bits == 0)
			continue;
		*level = i;
		*tick = wheel->tick >> (i + 1) * DIGIT_BITS << (i + 1) * DIGIT_BITS;
		*tick |= (uint64_t)__builtin_ctzll(bits) << i * DIGIT_BITS;
		return true;
	}
	bits = wheel->occupied[TOP];
	if (bits == 0)
		return false;
	/* Turned so that the wheel's own digit, never occupied here, is bit 0. */
	bits = digit == 0 ? bits : bits >> digit | bits << (WHEEL_SLOTS - digit);
	ahead = (unsigned)__builtin_ctzll(bits);
	*level = TOP;
	*tick = ((wheel->tick >> TOP * DIGIT_BITS) + ahead) << TOP * DIGIT_BITS;
	return true;
}

static void empty_slot(struct wheel *wheel, unsigned level, unsigned slot, struct list *into)
{
	struct list *link;

	while ((link = list_take(&wheel->slots[level][slot])) != NULL)
		list_append(into, link);
	wheel->occupied[level] &= ~((uint64_t)1 << slot);
}

/* Brings the wheel to *target*, hanging far timers nearer on the way; what is due goes to *due*. */
static void turn(struct wheel *wheel, uint64_t target, struct list *due)
{
	unsigned level;
	uint64_t tick;

	empty_slot(wheel, 0, digit_of(wheel->tick, 0), due);
	while (find_next(wheel, &level, &tick) && tick <= target) {
		wheel->tick = tick;
		if (level > 0) {
			struct list  cascade;
			struct list *link;

			list_init(&cascade);
			empty_slot(wheel, level, digit_of(tick, level), &cascade);
			while ((link = list_take(&cascade)) != NULL)
				hang(wheel, container_of(link, struct timer, link));
		}
		empty_slot(wheel, 0, digit_of(tick, 0), due);
	}
	if (target > wheel->tick)
		wheel->tick = target;
}

void wheel_init(struct wheel *wheel, uint64_t now_ms)
{
	*wheel = (struct wheel){.tick = now_ms / WHEEL_TICK_MS};
	for (unsigned level = 0; level < WHEEL_LEVELS; level++) {
		for (unsigned slot = 0; slot < WHEEL_SLOTS; slot++)
			list_init(&wheel->slots[level][slot]);
	}
}

void timer_init(struct timer *timer)
{
	list_init(&timer->link);
	timer->expires_ms = 0;
}

bool timer_is_armed(const struct timer *timer)
{
	return !list_is_empty(&timer->link);
}

void wheel_set(struct wheel *wheel, struct timer *timer, uint64_t expires_ms)
{
	wheel_cancel(wheel, timer);
	timer->expires_ms = expires_ms;
	hang(wheel, timer);
	wheel->armed++;
}

void wheel_cancel(struct wheel *wheel, struct timer *timer)
{
	if (!timer_is_armed(timer))
		return;
	unhang(wheel, timer);
	wheel->armed--;
}

uint64_t wheel_next_ms(const struct wheel *wheel, uint64_t now_ms)
{
	unsigned level;
	uint64_t tick;

	/* The slot at the wheel's own tick holds what was overdue when it was set. */
	if (wheel->occupied[0] >> digit_of(wheel->tick, 0) & 1)
		return 0;
	if (!find_next(wheel, &level, &tick))
		return UINT64_MAX;
	return tick * WHEEL_TICK_MS > now_ms ? tick * WHEEL_TICK_MS - now_ms : 0;
}

/* It would align a parameter that stands before a function pointer. */
/* clang-format off */
void wheel_expire(struct wheel *wheel, uint64_t now_ms,
                  void (*fired)(struct timer *timer, void *context), void *context)
/* clang-format on */
{
	struct list  due;
	struct list *link;

	/* Gathered first, fired after: what fired() sets is hung relative to the new tick, and
	 * what it sets into the past waits for the next call instead of looping in this one. */
	list_init(&due);
	turn(wheel, now_ms / WHEEL_TICK_MS, &due);
	while ((link = list_take(&due)) != NULL) {
		wheel->armed--;
		fired(container_of(link, struct timer, link), context);
	}
}
