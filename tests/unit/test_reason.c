#include "base/util.h"
#include "site/reason.h"
#include "test.h"

#include <string.h>

/* The promised words of the access log, as far as today's program can reach them, in the order of
 * the enum. */
static const char *const promised[] = {
	"ok",
	"no_match",
	"no_sni",
	"rejected",
	"malformed",
	"plaintext",
	"hello_timeout",
	"hello_too_long",
	"client_gone",
	"proxy_header",
	"connect_failed",
	"connect_timeout",
	"no_server",
	"handshake_failed",
	"handshake_timeout",
	"client_cert",
	"truncated",
	"upstream_handshake_failed",
	"upstream_verify_failed",
	"starttls_refused",
	"idle_timeout",
	"half_close_timeout",
	"session_timeout",
	"denied",
	"limited",
	"overload",
	"upstream_reset",
	"client_reset",
	"drained",
	"closed_by_admin",
	"internal",
};

TEST(every_reason_has_its_promised_word)
{
	EXPECT_EQ(REASON_COUNT, COUNT(promised));
	for (size_t i = 0; i < COUNT(promised); i++)
		EXPECT(strcmp(reason_word((enum reason)i), promised[i]) == 0);
	EXPECT(strcmp(reason_word(REASON_OK), "ok") == 0);
	EXPECT(strcmp(reason_word(REASON_CLIENT_RESET), "client_reset") == 0);
}

TEST(no_two_reasons_share_a_word)
{
	for (int i = 0; i < REASON_COUNT; i++) {
		for (int k = 0; k < i; k++)
			EXPECT(strcmp(reason_word((enum reason)i), reason_word((enum reason)k)) !=
			       0);
	}
}

TEST(a_number_that_is_no_reason_reads_internal)
{
	EXPECT(strcmp(reason_word(REASON_COUNT), "internal") == 0);
	EXPECT(strcmp(reason_word((enum reason)200), "internal") == 0);
}

int main(void)
{
	return test_main();
}
