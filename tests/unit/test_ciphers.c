#include "policy/ciphers.h"

#include "test.h"

/* "NAME:NAME" of what came out, or why nothing did: "unknown TOKEN". */
static const char *listed(enum ciphers_result result, const struct ciphers *ciphers,
                          struct span token)
{
	static const char *const words[] = {
		[CIPHERS_OK] = "ok",           [CIPHERS_UNKNOWN] = "unknown",
		[CIPHERS_SYNTAX] = "syntax",   [CIPHERS_LEVEL] = "level",
		[CIPHERS_VERSION] = "version", [CIPHERS_EMPTY] = "empty",
	};
	static char text[1024];

	text[0] = '\0';
	if (result != CIPHERS_OK) {
		snprintf(text, sizeof(text), "%s %.*s", words[result], (int)token.len,
		         (const char *)token.data);
		return text;
	}
	for (size_t i = 0; i < ciphers->count; i++) {
		strcat(text, i ? ":" : "");
		strcat(text, ciphers->suites[i]->name);
	}
	return text;
}

static const char *list(const char *text)
{
	struct ciphers      ciphers;
	struct span         token;
	enum ciphers_result result = ciphers_parse(span_text(text), &ciphers, &token);

	return listed(result, &ciphers, token);
}

static const char *list13(const char *text)
{
	struct ciphers      ciphers;
	struct span         token;
	enum ciphers_result result = ciphers_parse_suites(span_text(text), &ciphers, &token);

	return listed(result, &ciphers, token);
}

static bool is_weak(const char *text)
{
	struct ciphers ciphers;
	struct span    token;

	return ciphers_parse(span_text(text), &ciphers, &token) == CIPHERS_OK && ciphers.has_weak;
}

static bool same(const char *got, const char *want)
{
	if (strcmp(got, want) != 0)
		printf("  got  %s\n  want %s\n", got, want);
	return strcmp(got, want) == 0;
}

#define GCM256 "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384"
#define CHACHA "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define GCM128 "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256"
#define CBC256 "ECDHE-ECDSA-AES256-SHA384:ECDHE-RSA-AES256-SHA384"
#define CBC128 "ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256"
#define SHA256 "ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES256-SHA"
#define SHA128 "ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA"
#define SHAS   SHA256 ":" SHA128
#define HIGH   GCM256 ":" CHACHA ":" GCM128 ":" CBC256 ":" CBC128 ":" SHAS

struct row {
	const char *text, *want;
};

/* What `openssl ciphers -s -tls1_2 LIST` of OpenSSL 3.0 prints, less the suites that are not
 * here. */
static const struct row as_openssl[] = {
	{"HIGH:!aNULL:!MD5", HIGH},
	{"ALL", HIGH},
	{"HIGH,!aNULL !MD5;!RC4", HIGH},
	{":HIGH:", HIGH},
	{"AES:CHACHA20", GCM256 ":" GCM128 ":" CBC256 ":" CBC128 ":" SHAS ":" CHACHA},
	{"ECDHE+AESGCM", GCM256 ":" GCM128},
	{"EECDH+AESGCM:EDH+AESGCM", GCM256 ":" GCM128},
	{"kEECDH+CHACHA20", CHACHA},
	{"ECDHE+AESGCM:ECDHE+CHACHA20:!DHE", GCM256 ":" GCM128 ":" CHACHA},
	{"aRSA+AES128+AESGCM", "ECDHE-RSA-AES128-GCM-SHA256"},
	{"TLSv1.2+AES256", GCM256 ":" CBC256},
	{"TLSv1", SHAS},
	{"SHA1", SHAS},
	{"SHA256", CBC128},
	{"ECDHE-RSA-AES128-GCM-SHA256+HIGH", "ECDHE-RSA-AES128-GCM-SHA256"},
	{"ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384",
         "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384"},
	/* what is in the list stays where it is when it is named again */
	{"ECDHE+AESGCM:HIGH:!SHA1:!SHA256:!SHA384", GCM256 ":" GCM128 ":" CHACHA},
	/* ! is for good, - is not */
	{"!SHA1:HIGH:SHA1", GCM256 ":" CHACHA ":" GCM128 ":" CBC256 ":" CBC128},
	{"HIGH:-SHA1:SHA1", HIGH},
	{"AESGCM:-AES256:AES256+AESGCM", GCM128 ":" GCM256},
	{"AESGCM:!AES256:AES256+AESGCM", GCM128},
	/* + moves to the end */
	{"AESGCM:CHACHA20:+AES256", GCM128 ":" CHACHA ":" GCM256},
	{"AESGCM:+CHACHA20", GCM256 ":" GCM128},
	{"AES128+AESGCM:AES256+AESGCM:CHACHA20:@STRENGTH", GCM256 ":" CHACHA ":" GCM128},
	/* two suites at once are none */
	{"ECDHE-RSA-AES128-SHA+ECDHE-RSA-AES256-SHA:AESGCM", GCM256 ":" GCM128},
};

TEST(a_list_means_what_it_means_to_openssl)
{
	for (size_t i = 0; i < COUNT(as_openssl); i++)
		EXPECT(same(list(as_openssl[i].text), as_openssl[i].want));
}

TEST(the_default_has_neither_cbc_nor_dhe)
{
	EXPECT(same(list("DEFAULT"), GCM128 ":" GCM256 ":" CHACHA));
	EXPECT(same(list("DEFAULT:!CHACHA20"), GCM128 ":" GCM256));
	EXPECT(same(list("HIGH:!DEFAULT:!SHA1:!SHA256"), CBC256));
	EXPECT(!is_weak("DEFAULT"));
}

TEST(words_for_what_is_not_here_mean_no_suite)
{
	EXPECT(same(list("AESGCM:DHE:kRSA:3DES:RC4:PSK:eNULL:EXPORT:CAMELLIA:AESCCM"),
	            GCM256 ":" GCM128));
	EXPECT(same(list("ECDHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES128-GCM-SHA256:AES128-SHA:"
	                 "DES-CBC3-SHA:DHE-RSA-CHACHA20-POLY1305"),
	            "ECDHE-RSA-AES128-GCM-SHA256"));
	EXPECT(same(list("DHE"), "empty DHE"));
	EXPECT(same(list("MEDIUM:LOW"), "empty MEDIUM:LOW"));
	EXPECT(same(list("!HIGH:AESGCM"), "empty !HIGH:AESGCM"));
	EXPECT(same(list(""), "empty "));
}

TEST(a_word_that_nobody_knows_is_named)
{
	EXPECT(same(list("HIGH:!aNUL:!MD5"), "unknown aNUL"));
	EXPECT(same(list("HIGH:!MD5:FOO"), "unknown FOO"));
	EXPECT(same(list("ECDHE+AESGMC"), "unknown AESGMC"));
	EXPECT(same(list("high"), "unknown high"));
	EXPECT(same(list("DHE+FOO"), "unknown FOO"));
	EXPECT(same(list("ECDHE-RSA-AES128-GCM-SHA25"), "unknown ECDHE-RSA-AES128-GCM-SHA25"));
	EXPECT(same(list("ECDHE-RSA-AES128-GCM-SHA256X"), "unknown ECDHE-RSA-AES128-GCM-SHA256X"));
}

TEST(an_operator_without_a_word_is_refused)
{
	EXPECT(same(list("HIGH:!"), "syntax !"));
	EXPECT(same(list("ECDHE+"), "syntax ECDHE+"));
	EXPECT(same(list("HIGH:+"), "syntax +"));
	EXPECT(same(list("ECDHE++AES"), "syntax ECDHE++AES"));
	EXPECT(same(list("HIGH:@FOO"), "syntax @FOO"));
	EXPECT(same(list("HIGH:@SECLEVEL=2"), "level @SECLEVEL=2"));
}

TEST(a_suite_of_the_other_version_is_told_apart)
{
	EXPECT(same(list("HIGH:TLS_AES_128_GCM_SHA256"), "version TLS_AES_128_GCM_SHA256"));
	EXPECT(same(list13("ECDHE-RSA-AES128-GCM-SHA256"), "version ECDHE-RSA-AES128-GCM-SHA256"));
	EXPECT(same(list13("HIGH"), "version HIGH"));
}

TEST(suites_of_tls_1_3_are_names)
{
	EXPECT(same(list13("DEFAULT"), "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
	                               "TLS_CHACHA20_POLY1305_SHA256"));
	EXPECT(same(list13("TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256"),
	            "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256"));
	EXPECT(same(list13("TLS_AES_256_GCM_SHA384 TLS_AES_256_GCM_SHA384"),
	            "TLS_AES_256_GCM_SHA384"));
	EXPECT(same(list13("TLS_AES_128_CCM_SHA256"), "empty TLS_AES_128_CCM_SHA256"));
	EXPECT(same(list13("TLS_AES_128_GCM_SHA25"), "unknown TLS_AES_128_GCM_SHA25"));
}

TEST(cbc_is_weak_where_a_word_other_than_high_brings_it)
{
	EXPECT(!is_weak("HIGH:!aNULL:!MD5"));
	EXPECT(!is_weak("ECDHE+AESGCM"));
	EXPECT(is_weak("ALL"));
	EXPECT(is_weak("ECDHE-RSA-AES128-SHA"));
	EXPECT(is_weak("HIGH:AES128"));
	EXPECT(!is_weak("AES:!SHA1:!SHA256:!SHA384"));
}

TEST(every_word_offered_as_a_suggestion_is_one)
{
	struct ciphers ciphers;
	struct span    token;

	for (size_t i = 0; ciphers_word(i); i++) {
		enum ciphers_result result = ciphers_parse(span_text(ciphers_word(i)), &ciphers,
		                                           &token);

		EXPECT(result == CIPHERS_OK || result == CIPHERS_EMPTY);
	}
	for (size_t i = 0; ciphers_suite_word(i); i++)
		EXPECT(ciphers_parse_suites(span_text(ciphers_suite_word(i)), &ciphers, &token) ==
		       CIPHERS_OK);
}

int main(void)
{
	return test_main();
}
