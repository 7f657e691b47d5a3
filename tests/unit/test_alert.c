#include "proto/alert.h"
#include "test.h"

#include <string.h>

static bool writes(enum alert alert, uint8_t description)
{
	uint8_t want[ALERT_RECORD_SIZE] = {0x15, 3, 3, 0, 2, 2, description};
	uint8_t got[ALERT_RECORD_SIZE];

	memset(got, 0xaa, sizeof(got));
	alert_write(alert, got);
	return memcmp(got, want, sizeof(want)) == 0;
}

TEST(alert_is_one_fatal_record)
{
	EXPECT(writes(ALERT_ACCESS_DENIED, 49));
	EXPECT(writes(ALERT_DECODE_ERROR, 50));
	EXPECT(writes(ALERT_INTERNAL_ERROR, 80));
	EXPECT(writes(ALERT_UNRECOGNIZED_NAME, 112));
}

int main(void)
{
	return test_main();
}
