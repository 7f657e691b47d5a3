#include "base/clock.h"

#include <stdbool.h>
#include <time.h>

static uint64_t read_clock(clockid_t which, uint64_t per_second)
{
	struct timespec now;

	clock_gettime(which, &now);
	return (uint64_t)now.tv_sec * per_second +
	       (uint64_t)now.tv_nsec / (1000000000u / per_second);
}

uint64_t clock_ms(void)
{
	return read_clock(CLOCK_MONOTONIC, 1000);
}

uint64_t clock_us(void)
{
	return read_clock(CLOCK_MONOTONIC, 1000000);
}

uint64_t clock_real_ms(void)
{
	return read_clock(CLOCK_REALTIME, 1000);
}

static char *put_digits(char *at, uint32_t value, unsigned digits, char behind)
{
	for (unsigned i = digits; i-- > 0; value /= 10)
		at[i] = (char)('0' + value % 10);
	at[digits] = behind;
	return at + digits + 1;
}

static uint32_t days_in_year(uint32_t year)
{
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return leap ? 366 : 365;
}

/* Not gmtime_r: the C library's first use of it opens the time zone file, which a sandbox may
 * refuse. */
void clock_format(uint64_t real_ms, char out[CLOCK_TEXT_LEN])
{
	static const uint8_t month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	const uint64_t       last_ms = 253402300799999; /* 9999-12-31T23:59:59.999Z */
	uint64_t             ms = real_ms < last_ms ? real_ms : last_ms;
	uint32_t             day = (uint32_t)(ms / 86400000), in_day = (uint32_t)(ms % 86400000);
	uint32_t             year = 1970 + 400 * (day / 146097), month = 0;

	day %= 146097; /* the calendar repeats after 400 years */
	for (; day >= days_in_year(year); year++)
		day -= days_in_year(year);
	for (;; month++) {
		uint32_t days = month_days[month] + (month == 1 ? days_in_year(year) - 365 : 0);

		if (day < days)
			break;
		day -= days;
	}
	out = put_digits(out, year, 4, '-');
	out = put_digits(out, month + 1, 2, '-');
	out = put_digits(out, day + 1, 2, 'T');
	out = put_digits(out, in_day / 3600000, 2, ':');
	out = put_digits(out, in_day / 60000 % 60, 2, ':');
	out = put_digits(out, in_day / 1000 % 60, 2, '.');
	put_digits(out, in_day % 1000, 3, 'Z');
}
