#include "io/lending.h"

void lending_init(struct lending *lending, uint32_t count)
{
	*lending = (struct lending){.window = min_u32(LENDING_LEAST, count), .most = count};
}

uint32_t lending_lend(struct lending *lending, uint32_t free)
{
	uint32_t wanted = lending->window > lending->lent ? lending->window - lending->lent : 0;
	uint32_t count = min_u32(wanted, free);

	lending->lent += count;
	return count;
}

void lending_take(struct lending *lending)
{
	CHECK(lending->lent > 0);
	lending->lent--;
	lending->taken++;
}

void lending_grow(struct lending *lending)
{
	lending->window = min_u32(2 * lending->window, lending->most);
}

/* Twice the peak is kept: a window as small as what is taken runs out at the next turn that takes more. */
void lending_turn(struct lending *lending)
{
	if (lending->peak < lending->taken)
		lending->peak = lending->taken;
	lending->taken = 0;
	if (++lending->turns < LENDING_PERIOD)
		return;
	if (lending->window > LENDING_LEAST && 4 * lending->peak <= lending->window)
		lending->window /= 2;
	lending->peak = 0;
	lending->turns = 0;
}
