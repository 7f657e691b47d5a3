#include "base/clock.h"
#include "sim/kernel.h"

uint64_t clock_ms(void)
{
	return kernel.now_ms;
}

uint64_t clock_us(void)
{
	return kernel.now_ms * 1000;
}

uint64_t clock_real_ms(void)
{
	return kernel.now_ms;
}
