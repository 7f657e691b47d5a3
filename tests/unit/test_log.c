#include "base/log.h"
#include "test.h"

#include <string.h>

static struct log_port *new_port(struct log_port *port)
{
	*port = (struct log_port){0};
	EXPECT(spsc_init(&port->ring, 4096));
	return port;
}

/* Takes the oldest line out; true when it reads *want*. */
static bool next_reads(struct log_port *port, const char *want)
{
	struct span              span = spsc_peek(&port->ring);
	const struct log_record *record = (const void *)span.data;
	bool                     same;

	if (!span.data)
		return false;
	same = record->kind == LOG_KIND_LINE && record->time_ms > 0 &&
	       span_equal(span_of(span.data + sizeof(*record), span.len - sizeof(*record)),
	                  span_text(want));
	spsc_release(&port->ring);
	return same;
}

TEST(a_line_is_formatted_into_the_port)
{
	struct log_port port;

	log_line(new_port(&port), LOG_LEVEL_ERROR, "upstream %s: %d of %d", "blue", 2, 3);
	log_line(&port, LOG_LEVEL_NOTICE, "%s", "");
	EXPECT_EQ(((const struct log_record *)(const void *)spsc_peek(&port.ring).data)->level,
	          LOG_LEVEL_ERROR);
	EXPECT(next_reads(&port, "upstream blue: 2 of 3"));
	EXPECT(next_reads(&port, ""));
	EXPECT(spsc_is_empty(&port.ring));
	spsc_fini(&port.ring);
}

TEST(lines_below_the_threshold_are_left_out)
{
	struct log_port port;
	int             before = log_threshold;

	log_threshold = LOG_LEVEL_WARN;
	log_line(new_port(&port), LOG_LEVEL_DEBUG, "a");
	log_line(&port, LOG_LEVEL_NOTICE, "b");
	log_line(&port, LOG_LEVEL_WARN, "c");
	log_line(&port, LOG_LEVEL_ERROR, "d");
	EXPECT(next_reads(&port, "c"));
	EXPECT(next_reads(&port, "d"));
	EXPECT(spsc_is_empty(&port.ring));
	log_threshold = before;
	spsc_fini(&port.ring);
}

TEST(hostile_bytes_cannot_forge_a_line)
{
	struct log_port port;

	log_line(new_port(&port), LOG_LEVEL_ERROR, "name %s", "a\nfake: b\r\t\x1b[31m\x7f");
	EXPECT(next_reads(&port, "name a\\x0afake: b\\x0d\\x09\\x1b[31m\\x7f"));
	log_line(&port, LOG_LEVEL_ERROR, "%s", "gr\xc3\xbc\xc3\x9f");
	EXPECT(next_reads(&port, "gr\xc3\xbc\xc3\x9f"));
	spsc_fini(&port.ring);
}

TEST(a_long_line_is_cut_and_never_within_an_escape)
{
	struct log_port port;
	char            text[4000], want[LOG_LINE_MAX + 1];

	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	memset(want, 'x', LOG_LINE_MAX);
	want[LOG_LINE_MAX] = '\0';
	log_line(new_port(&port), LOG_LEVEL_ERROR, "%s", text);
	EXPECT(next_reads(&port, want));

	text[LOG_LINE_MAX - 3] = '\n'; /* its escape would need four bytes, three are left */
	want[LOG_LINE_MAX - 3] = '\0';
	log_line(&port, LOG_LEVEL_ERROR, "%s", text);
	EXPECT(next_reads(&port, want));

	memset(text, '\n', sizeof(text) - 1);
	log_line(&port, LOG_LEVEL_ERROR, "%s", text);
	EXPECT_EQ(spsc_peek(&port.ring).len, sizeof(struct log_record) + LOG_LINE_MAX);
	spsc_fini(&port.ring);
}

TEST(a_full_port_drops_and_counts)
{
	struct log_port port;
	unsigned        sent = 0, received = 0;

	new_port(&port);
	for (; sent < 1000; sent++)
		log_line(&port, LOG_LEVEL_ERROR, "line %u", sent);
	while (spsc_peek(&port.ring).data) {
		spsc_release(&port.ring);
		received++;
	}
	EXPECT(received > 50 && received < sent);
	EXPECT_EQ(port.dropped, sent - received);
	EXPECT(log_reserve(&port, 4000) == NULL); /* larger than a record may be */
	EXPECT_EQ(port.dropped, sent - received + 1);
	spsc_fini(&port.ring);
}

TEST(a_flush_wakes_only_a_sleeper_and_only_if_something_was_written)
{
	struct log_port  port;
	_Atomic uint32_t asleep = 1;

	new_port(&port)->writer_asleep = &asleep;
	log_flush(&port);
	EXPECT_EQ(asleep, 1);
	log_line(&port, LOG_LEVEL_ERROR, "a");
	EXPECT_EQ(asleep, 1);
	log_flush(&port);
	EXPECT_EQ(asleep, 0);
	asleep = 1;
	log_flush(&port);
	EXPECT_EQ(asleep, 1);
	spsc_fini(&port.ring);
}

TEST(a_limiter_lets_one_line_an_interval_pass_and_counts_the_rest)
{
	struct log_limiter limiter = {0};
	uint32_t           held_back = 99;

	EXPECT(log_limiter_pass(&limiter, 5000, 1000, &held_back));
	EXPECT_EQ(held_back, 0);
	for (uint64_t ms = 5000; ms < 6000; ms += 100)
		EXPECT(!log_limiter_pass(&limiter, ms, 1000, &held_back));
	EXPECT(log_limiter_pass(&limiter, 6000, 1000, &held_back));
	EXPECT_EQ(held_back, 10);
	EXPECT(log_limiter_pass(&limiter, 9000, 1000, &held_back));
	EXPECT_EQ(held_back, 0);
}

int main(void)
{
	return test_main();
}
