#include "hello_maker.h"
#include "proto/pgwire.h"
#include "test.h"

static struct made made;
static size_t      len;

static enum pgwire_packet packet(const char *recipe)
{
	len = 0;
	return pgwire_read(make(&made, recipe), &len);
}

TEST(an_ssl_request_is_eight_bytes)
{
	EXPECT_EQ(packet("00000008 04d2162f"), PGWIRE_SSL_REQUEST);
	EXPECT_EQ(len, 8);
	EXPECT_EQ(packet("00000008 04d2162f 1603010200"), PGWIRE_SSL_REQUEST);
	EXPECT_EQ(len, 8);
	EXPECT_EQ(packet("00000009 04d2162f 00"), PGWIRE_NONE);
	EXPECT_EQ(packet("00000007 04d2162f"), PGWIRE_NONE);
}

TEST(a_gssenc_request_is_eight_bytes)
{
	EXPECT_EQ(packet("00000008 04d21630"), PGWIRE_GSSENC_REQUEST);
	EXPECT_EQ(len, 8);
	EXPECT_EQ(packet("0000000c 04d21630 00000000"), PGWIRE_NONE);
}

TEST(a_cancel_request_is_read_when_it_is_whole)
{
	EXPECT_EQ(packet("00000010 04d2162e 00001234 deadbeef"), PGWIRE_CANCEL_REQUEST);
	EXPECT_EQ(len, 16);
	EXPECT_EQ(packet("00000010 04d2162e 00001234 deadbe"), PGWIRE_MORE);
	EXPECT_EQ(packet("00000010 04d2162e 00001234 deadbeef 00"), PGWIRE_CANCEL_REQUEST);
	EXPECT_EQ(len, 16);
	EXPECT_EQ(packet("0000000f 04d2162e 00001234 deadbe"), PGWIRE_NONE);
}

TEST(a_cancel_request_may_hold_the_long_secret_of_protocol_3_2)
{
	EXPECT_EQ(packet("0000010c 04d2162e 00001234 aa*256"), PGWIRE_CANCEL_REQUEST);
	EXPECT_EQ(len, PGWIRE_CANCEL_MAX);
	EXPECT_EQ(packet("0000010d 04d2162e 00001234 aa*257"), PGWIRE_NONE);
}

TEST(a_startup_message_is_known_by_its_head)
{
	EXPECT_EQ(packet("00000029 00030000"), PGWIRE_STARTUP);
	EXPECT_EQ(packet("00000029 00030002 'user' 00"), PGWIRE_STARTUP);
	EXPECT_EQ(packet("00002710 00030000"), PGWIRE_STARTUP);
	EXPECT_EQ(packet("00002711 00030000"), PGWIRE_NONE);
	EXPECT_EQ(packet("00000029 00020000"), PGWIRE_NONE);
}

TEST(what_is_no_postgresql_is_told_at_its_first_byte_that_differs)
{
	EXPECT_EQ(packet("16"), PGWIRE_NONE);
	EXPECT_EQ(packet("'GET / HTTP/1.1'"), PGWIRE_NONE);
	EXPECT_EQ(packet("80"), PGWIRE_NONE);
	EXPECT_EQ(packet("00"), PGWIRE_MORE);
	EXPECT_EQ(packet("0001"), PGWIRE_NONE);
	EXPECT_EQ(packet(""), PGWIRE_MORE);
	EXPECT_EQ(packet("00000007"), PGWIRE_NONE);
	EXPECT_EQ(packet("00000008 04d21631"), PGWIRE_NONE);
}

TEST(an_ssl_request_that_we_write_reads_as_one)
{
	uint8_t out[PGWIRE_REQUEST_SIZE];

	pgwire_write_ssl_request(out);
	EXPECT_EQ(pgwire_read(span_of(out, sizeof(out)), &len), PGWIRE_SSL_REQUEST);
	EXPECT_EQ(len, sizeof(out));
}

TEST(an_error_response_has_its_fields_and_length)
{
	uint8_t     out[PGWIRE_ERROR_MAX];
	struct span want = make(&made,
	                        "'E' 00000022 'SFATAL' 00 'VFATAL' 00 'C28000' 00 'Mno way' 00 00");
	size_t      got = pgwire_write_error("28000", "no way", out);

	EXPECT(span_equal(span_of(out, got), want));
}

TEST(an_error_response_that_is_too_long_is_cut_and_stays_whole)
{
	static char text[1000];
	uint8_t     out[PGWIRE_ERROR_MAX];

	memset(text, 'x', sizeof(text) - 1);
	EXPECT_EQ(pgwire_write_error("28000", text, out), sizeof(out));
	EXPECT_EQ(out[4], sizeof(out) - 1);
	EXPECT_EQ(out[sizeof(out) - 3], 'x');
	EXPECT_EQ(out[sizeof(out) - 2], 0);
	EXPECT_EQ(out[sizeof(out) - 1], 0);
}

int main(void)
{
	return test_main();
}
