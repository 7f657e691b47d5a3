#include "base/clock.h"
#include "base/util.h"
#include "test.h"

#include <string.h>
#include <time.h>

static bool formats_as(uint64_t real_ms, const char *text)
{
	char out[CLOCK_TEXT_LEN];

	clock_format(real_ms, out);
	return memcmp(out, text, CLOCK_TEXT_LEN) == 0;
}

TEST(times_are_written_as_rfc_3339_with_milliseconds)
{
	EXPECT(formats_as(0, "1970-01-01T00:00:00.000Z"));
	EXPECT(formats_as(951782400000, "2000-02-29T00:00:00.000Z"));
	EXPECT(formats_as(951868799999, "2000-02-29T23:59:59.999Z"));
	EXPECT(formats_as(1795527907123, "2026-11-24T13:45:07.123Z"));
	EXPECT(formats_as(4107542400000, "2100-03-01T00:00:00.000Z"));
	EXPECT(formats_as(UINT64_MAX, "9999-12-31T23:59:59.999Z"));
}

TEST(every_day_until_2500_is_written_as_the_c_library_has_it)
{
	unsigned wrong = 0;

	for (time_t day = 0; day < 194000; day++) {
		time_t    second = day * 86400 + day % 86400;
		struct tm parts;
		char      text[64];

		gmtime_r(&second, &parts);
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S.007Z", &parts);
		wrong += !formats_as((uint64_t)second * 1000 + 7, text);
	}
	EXPECT_EQ(wrong, 0);
}

TEST(the_monotonic_clocks_agree_and_never_go_back)
{
	for (int i = 0; i < 1000; i++) {
		uint64_t before_us = clock_us(), ms = clock_ms(), after_us = clock_us();

		EXPECT(before_us / 1000 <= ms && ms <= after_us / 1000);
	}
}

TEST(real_time_is_that_of_the_system)
{
	time_t   before = time(NULL);
	uint64_t now = clock_real_ms();

	/* time(2) may lag by a tick. */
	EXPECT(now / 1000 >= (uint64_t)before && now / 1000 <= (uint64_t)before + 3600);
}

int main(void)
{
	return test_main();
}
