#include "sim/hellos.h"

#include "unit/hello_maker.h"

#define NAMED(name)      HELLO(SNI("'" name "'") GROUPS SIGNATURE_ALGORITHMS ALPN VERSIONS)
#define PADDED(name, n)  HELLO(SNI("'" name "'") EXTENSION("0015", "00*" n) VERSIONS)
#define MESSAGE_OF(name) EXTENSIONS(SNI("'" name "'") GROUPS VERSIONS)

struct span hello_of(enum hello_kind kind)
{
	static const char *const recipes[HELLO_KINDS] = {
		[SAYS_A] = NAMED("a.test"),
		[SAYS_A_PADDED] = PADDED("a.test", "1400"),
		[SAYS_A_RECORDS] = MESSAGE_OF("A.test"),
		[SAYS_B] = NAMED("b.test."),
		[SAYS_REJECTED] = NAMED("r.test"),
		[SAYS_UNKNOWN] = NAMED("www.example.com"),
		[SAYS_NO_NAME] = HELLO(GROUPS VERSIONS),
		[SAYS_MALFORMED] = HELLO(SERVER_NAME(HOST("'a.test'") HOST("'b.test'"))),
		[SAYS_TOO_MUCH] = PADDED("a.test", "5900"),
		[SAYS_PLAINTEXT] = "'GET / HTTP/1.1' 0d 0a 'Host: a.test' 0d 0a 0d 0a",
		[SAYS_NOTHING] = "",
	};
	static struct made made[HELLO_KINDS];
	static uint8_t     records[MADE_MAX];

	if (made[SAYS_A].len == 0) {
		struct span cut;

		for (size_t i = 0; i < HELLO_KINDS; i++)
			(void)make(&made[i], recipes[i]);
		cut = make_records(span_of(made[SAYS_A_RECORDS].bytes, made[SAYS_A_RECORDS].len), 7,
		                   7, records);
		memcpy(made[SAYS_A_RECORDS].bytes, cut.data, cut.len);
		made[SAYS_A_RECORDS].len = cut.len;
	}
	return span_of(made[kind].bytes, made[kind].len);
}
