#include "process/access_format.h"
#include "test.h"

#include <stdlib.h>

/* A record and the texts behind it. */
struct sample {
	struct access_record record;
	uint8_t              texts[ACCESS_TEXTS * 8000];
	size_t               len;
};

static char line[ACCESS_LINE_MAX + 1];

static void set_text(struct sample *sample, enum access_text which, const void *bytes, size_t len)
{
	memcpy(sample->texts + sample->len, bytes, len);
	sample->record.text_len[which] = (uint16_t)len;
	sample->len += len;
}

static struct sample *new_sample(void)
{
	static struct sample sample;

	memset(&sample, 0, sizeof(sample));
	sample.record.hello_ms = sample.record.connect_ms = -1;
	sample.record.mode = 255;
	memset(sample.record.text_len, 0xff, sizeof(sample.record.text_len));
	return &sample;
}

static struct sample *full_sample(void)
{
	struct sample *sample = new_sample();

	sample->record.head.time_ms = 1795527907123;
	sample->record.id = 42;
	sample->record.bytes_up = 1234;
	sample->record.bytes_down = UINT64_MAX;
	sample->record.hello_ms = 3;
	sample->record.connect_ms = 0;
	sample->record.duration_ms = 98765;
	sample->record.client = (struct addr){
		.ip = {192, 0, 2, 7}, .port = 5000, .family = ADDR_IP4};
	sample->record.peer = (struct addr){
		.ip = {0x20, 1, 0xd, 0xb8, [15] = 1}, .port = 443, .family = ADDR_IP6};
	sample->record.mode = 0;
	sample->record.tries = 2;
	sample->record.reason = REASON_CLIENT_RESET;
	sample->record.alert = 80;
	sample->record.relay = 3;
	set_text(sample, ACCESS_LISTENER, "web", 3);
	set_text(sample, ACCESS_SNI, "a.example.com", 13);
	set_text(sample, ACCESS_ALPN, "\2h2\10http/1.1", 12);
	set_text(sample, ACCESS_ROUTE, "main route", 10);
	set_text(sample, ACCESS_UPSTREAM, "blue", 4);
	set_text(sample, ACCESS_SERVER, "10.0.0.1:443", 12);
	return sample;
}

static const char *format(const struct sample *sample, enum conf_log_format how)
{
	size_t len = access_format(&sample->record, sample->texts, how, line, ACCESS_LINE_MAX);

	line[len] = '\0';
	return line;
}

TEST(a_text_line_has_the_promised_keys_in_order)
{
	EXPECT(strcmp(format(full_sample(), CONF_LOG_TEXT),
	              "time=2026-11-24T13:45:07.123Z id=42 listener=web client=192.0.2.7:5000 "
	              "peer=[2001:db8::1]:443 sni=a.example.com alpn=h2,http/1.1 route=main\\x20route "
	              "mode=passthrough upstream=blue server=10.0.0.1:443 tries=2 reason=client_reset alert=80 "
	              "bytes_up=1234 bytes_down=18446744073709551615 connect_ms=0 duration_ms=98765 hello_ms=3 "
	              "tls=- cipher=- group=- resumed=- client_cert=- relay=uring_splice\n") == 0);
}

TEST(a_json_line_has_the_same_keys_with_proper_types)
{
	EXPECT(strcmp(format(full_sample(), CONF_LOG_JSON),
	              "{\"time\":\"2026-11-24T13:45:07.123Z\",\"id\":42,\"listener\":\"web\","
	              "\"client\":\"192.0.2.7:5000\",\"peer\":\"[2001:db8::1]:443\",\"sni\":\"a.example.com\","
	              "\"alpn\":\"h2,http/1.1\",\"route\":\"main route\",\"mode\":\"passthrough\","
	              "\"upstream\":\"blue\",\"server\":\"10.0.0.1:443\",\"tries\":2,"
	              "\"reason\":\"client_reset\",\"alert\":80,\"bytes_up\":1234,"
	              "\"bytes_down\":18446744073709551615,\"connect_ms\":0,\"duration_ms\":98765,"
	              "\"hello_ms\":3,\"tls\":null,\"cipher\":null,\"group\":null,\"resumed\":null,"
	              "\"client_cert\":null,\"relay\":\"uring_splice\"}\n") == 0);
}

TEST(what_was_agreed_on_in_a_handshake_is_told)
{
	struct sample *sample = full_sample();

	sample->record.mode = 2;
	sample->record.resumed = 2;
	set_text(sample, ACCESS_TLS, "TLSv1.3", 7);
	set_text(sample, ACCESS_CIPHER, "TLS_AES_128_GCM_SHA256", 22);
	set_text(sample, ACCESS_GROUP, "X25519", 6);
	set_text(sample, ACCESS_CLIENT_CERT, "CN=a \"b\"", 8);
	EXPECT(strstr(format(sample, CONF_LOG_TEXT),
	              " tls=TLSv1.3 cipher=TLS_AES_128_GCM_SHA256 group=X25519 resumed=yes "
	              "client_cert=CN\\x3da\\x20\\x22b\\x22 relay=") != NULL);
	EXPECT(strstr(line, " mode=terminate ") != NULL);
	sample->record.resumed = 1;
	EXPECT(strstr(format(sample, CONF_LOG_JSON),
	              "\"resumed\":\"no\",\"client_cert\":\"CN=a \\\"b\\\"\"") != NULL);
}

TEST(absent_fields_are_a_dash_in_text_and_null_in_json)
{
	EXPECT(strcmp(format(new_sample(), CONF_LOG_TEXT),
	              "time=1970-01-01T00:00:00.000Z id=0 listener=- client=- peer=- sni=- alpn=- route=- mode=- "
	              "upstream=- server=- tries=0 reason=ok alert=- bytes_up=0 bytes_down=0 connect_ms=- "
	              "duration_ms=0 hello_ms=- tls=- cipher=- group=- resumed=- client_cert=- relay=-\n") ==
	       0);
	EXPECT(strstr(format(new_sample(), CONF_LOG_JSON),
	              "\"sni\":null,\"alpn\":null,\"route\":null,\"mode\":null") != NULL);
	EXPECT(strstr(line, "\"alert\":null,") != NULL);
}

TEST(an_empty_text_is_not_an_absent_one)
{
	struct sample *sample = new_sample();

	set_text(sample, ACCESS_LISTENER, "web", 3);
	set_text(sample, ACCESS_SNI, "", 0);
	set_text(sample, ACCESS_ALPN, "", 0);
	set_text(sample, ACCESS_ROUTE, "-", 1);
	EXPECT(strstr(format(sample, CONF_LOG_TEXT),
	              "listener=web client=- peer=- sni= alpn= route=\\x2d mode") != NULL);
	EXPECT(strstr(format(sample, CONF_LOG_JSON),
	              "\"sni\":\"\",\"alpn\":\"\",\"route\":\"-\",") != NULL);
}

TEST(hostile_names_cannot_add_a_key_or_a_line)
{
	struct sample *sample = new_sample();

	set_text(sample, ACCESS_SNI, "a b=c\"d\\e\nf\x7fg\xc3\xbc\0h", 17);
	set_text(sample, ACCESS_ALPN, "\3a,b\2\n=\1-", 9);
	EXPECT(strstr(format(sample, CONF_LOG_TEXT),
	              " sni=a\\x20b\\x3dc\\x22d\\x5ce\\x0af\\x7fg\\xc3\\xbc\\x00h alpn=a\\x2cb,\\x0a\\x3d,- ") !=
	       NULL);
	EXPECT(strstr(format(sample, CONF_LOG_JSON),
	              "\"sni\":\"a b=c\\\"d\\\\e\\u000af\\u007fg\\u00fc\\u0000h\",") != NULL);
	EXPECT(strchr(line, '\n') == line + strlen(line) - 1);
}

TEST(one_protocol_that_is_a_dash_is_not_an_absent_list)
{
	struct sample *sample = new_sample();

	set_text(sample, ACCESS_ALPN, "\1-", 2);
	EXPECT(strstr(format(sample, CONF_LOG_TEXT), " alpn=\\x2d ") != NULL);
}

TEST(json_keeps_utf_8_and_survives_what_is_none)
{
	static const struct {
		const char *bytes, *json;
	} cases[] = {
		{"\xe2\x82\xac", "\\u20ac"},
		{"\xf0\x9f\x94\x92", "\\ud83d\\udd12"},
		{"\xf4\x8f\xbf\xbf", "\\udbff\\udfff"},
		{"\xf4\x90\x80\x80", "\\u00f4\\u0090\\u0080\\u0080"}, /* past the last code point */
		{"\xc0\xaf", "\\u00c0\\u00af"},                       /* over-long */
		{"\xe0\x80\xaf", "\\u00e0\\u0080\\u00af"},
		{"\xed\xa0\x80", "\\u00ed\\u00a0\\u0080"}, /* a surrogate */
		{"\xe2\x82", "\\u00e2\\u0082"},            /* cut off */
		{"\xe2\x82z", "\\u00e2\\u0082z"},
		{"\xff\x80", "\\u00ff\\u0080"},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct sample *sample = new_sample();
		char           want[128];

		set_text(sample, ACCESS_ROUTE, cases[i].bytes, strlen(cases[i].bytes));
		snprintf(want, sizeof(want), "\"route\":\"%s\",", cases[i].json);
		EXPECT(strstr(format(sample, CONF_LOG_JSON), want) != NULL);
	}
}

TEST(a_protocol_list_cut_short_reads_no_byte_past_its_end)
{
	struct sample *sample = new_sample();

	set_text(sample, ACCESS_ALPN, "\2h2\377ab", 6);
	set_text(sample, ACCESS_ROUTE, "secret", 6);
	EXPECT(strstr(format(sample, CONF_LOG_TEXT), " alpn=h2,ab route=secret ") != NULL);
}

TEST(long_texts_are_cut_and_the_longest_line_fits)
{
	struct sample *sample = new_sample();
	static uint8_t bytes[8000];

	memset(bytes, 1, sizeof(bytes));
	sample->record.id = sample->record.bytes_up = sample->record.bytes_down = UINT64_MAX;
	sample->record.duration_ms = UINT64_MAX;
	sample->record.hello_ms = sample->record.connect_ms = INT32_MAX;
	for (int i = 0; i < ACCESS_TEXTS; i++)
		set_text(sample, (enum access_text)i, bytes, sizeof(bytes));
	EXPECT(strlen(format(sample, CONF_LOG_TEXT)) > 0);
	EXPECT(strstr(line, "\\x01...") != NULL);
	EXPECT(strlen(format(sample, CONF_LOG_JSON)) > 0);
	EXPECT(strstr(line, "\\u0001...\"") != NULL);
}

TEST(a_line_that_does_not_fit_is_not_written_half)
{
	const struct sample *sample = full_sample();

	for (int how = CONF_LOG_TEXT; how <= CONF_LOG_JSON; how++) {
		size_t full = strlen(format(sample, (enum conf_log_format)how));

		for (size_t size = 0; size <= full; size++) {
			char  *exact = malloc(size ? size : 1);
			size_t len = access_format(&sample->record, sample->texts,
			                           (enum conf_log_format)how, exact, size);

			EXPECT_EQ(len, size < full ? 0 : full);
			free(exact);
		}
	}
}

/* A checker of JSON as strict as RFC 8259, for flat objects of strings, numbers and null. NULL =
 * not JSON. */
static const char *skip_string(const char *at)
{
	if (*at++ != '"')
		return NULL;
	while (*at != '"') {
		if ((unsigned char)*at < 0x20 || (unsigned char)*at >= 0x7f)
			return NULL;
		if (*at != '\\') {
			at++;
		} else if (at[1] == 'u') {
			bool is_low = false;

			for (int i = 2; i < 6; i++) {
				if (!at[i] || !strchr("0123456789abcdef", at[i]))
					return NULL;
			}
			is_low = at[2] == 'd' && at[3] >= 'c';
			if (is_low)
				return NULL; /* without its high half in front */
			if (at[2] == 'd' && at[3] >= '8') {
				if (at[6] != '\\' || at[7] != 'u' || at[8] != 'd' || !at[9] ||
				    !strchr("cdef", at[9]))
					return NULL;
				at += 6;
			}
			at += 6;
		} else if (at[1] && strchr("\"\\/bfnrt", at[1])) {
			at += 2;
		} else {
			return NULL;
		}
	}
	return at + 1;
}

static const char *skip_value(const char *at)
{
	const char *from = at;

	if (strncmp(at, "null", 4) == 0)
		return at + 4;
	if (*at == '"')
		return skip_string(at);
	while (*at >= '0' && *at <= '9')
		at++;
	return at == from || (*from == '0' && at > from + 1) ? NULL : at;
}

static bool is_json_line(const char *at, unsigned keys)
{
	char behind = '{';

	for (unsigned i = 0; i < keys; i++, behind = ',') {
		if (*at++ != behind)
			return false;
		at = skip_string(at);
		if (!at || *at++ != ':')
			return false;
		at = skip_value(at);
		if (!at)
			return false;
	}
	return strcmp(at, "}\n") == 0;
}

TEST(the_json_checker_of_this_test_is_strict)
{
	EXPECT(is_json_line("{\"a\":1,\"b\":null,\"c\":\"\\u00e9\\ud83d\\udd12\"}\n", 3));
	EXPECT(!is_json_line("{\"a\":01}\n", 1));
	EXPECT(!is_json_line("{\"a\":}\n", 1));
	EXPECT(!is_json_line("{\"a\":\"\\x41\"}\n", 1));
	EXPECT(!is_json_line("{\"a\":\"\\ud83d\"}\n", 1));
	EXPECT(!is_json_line("{\"a\":\"\\udd12\"}\n", 1));
	EXPECT(!is_json_line("{\"a\":\"\xe9\"}\n", 1));
	EXPECT(!is_json_line("{\"a\":1}", 1));
}

static uint32_t next_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

static void fill_random(struct sample *sample, uint32_t *state)
{
	uint8_t *bytes = (uint8_t *)&sample->record;

	memset(sample, 0, sizeof(*sample));
	for (size_t i = 0; i < sizeof(sample->record); i++)
		bytes[i] = (uint8_t)next_random(state);
	for (int i = 0; i < ACCESS_TEXTS; i++) {
		uint8_t text[700];
		size_t  len = next_random(state) % (next_random(state) % 8 ? 40 : sizeof(text));

		for (size_t k = 0; k < len; k++) /* mostly bytes that could do harm */
			text[k] = next_random(state) % 3
			                  ? (uint8_t)next_random(state)
			                  : (uint8_t) "\"\\\n\0 =,{}\xe2\x82\xac\xf0\xed"
			                            [next_random(state) % 14];
		set_text(sample, (enum access_text)i, text, len);
		if (len == 0 && next_random(state) % 2)
			sample->record.text_len[i] = ACCESS_ABSENT;
	}
}

TEST(random_records_give_one_valid_line_always)
{
	static struct sample sample;
	uint32_t             state = 20261124;

	for (int round = 0; round < 20000; round++) {
		unsigned spaces = 0, equals = 0, wrong = 0;

		fill_random(&sample, &state);
		if (!is_json_line(format(&sample, CONF_LOG_JSON), 25)) {
			printf("  round %d is no JSON: %s", round, line);
			EXPECT(false);
			break;
		}
		for (const char *at = format(&sample, CONF_LOG_TEXT); *at; at++) {
			spaces += *at == ' ';
			equals += *at == '=';
			wrong += (*at < 0x20 || *at >= 0x7f) && strcmp(at, "\n") != 0;
		}
		EXPECT(spaces == 24 && equals == 25 && wrong == 0);
	}
}

int main(void)
{
	return test_main();
}
