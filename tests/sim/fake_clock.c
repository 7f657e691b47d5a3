#include "base/clock.h"
#include "sim/kernel.h"

uint64_t clock_ms(void)
{
	return kernel.now_ms;
}

uint64_t clock_us(void)
{
	kernel.looks_us += kernel.look_us;
	return kernel.now_ms * 1000 + kernel.looks_us;
}

uint64_t clock_real_ms(void)
{
	return kernel.now_ms;
}
