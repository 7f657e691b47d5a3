#include "policy/curves.h"

#include "test.h"

static const char *list(const char *text)
{
	static char        out[256];
	struct curves      curves;
	struct span        token;
	enum curves_result result = curves_parse(span_text(text), &curves, &token);

	out[0] = '\0';
	if (result != CURVES_OK) {
		snprintf(out, sizeof(out), "%s %.*s",
		         result == CURVES_UNKNOWN ? "unknown" : "empty", (int)token.len,
		         (const char *)token.data);
		return out;
	}
	for (size_t i = 0; i < curves.count; i++) {
		strcat(out, i ? " " : "");
		strcat(out, curves.list[i]->name);
	}
	return out;
}

static bool same(const char *got, const char *want)
{
	if (strcmp(got, want) != 0)
		printf("  got  %s\n  want %s\n", got, want);
	return strcmp(got, want) == 0;
}

TEST(groups_keep_their_order_and_stand_once)
{
	EXPECT(same(list("X25519MLKEM768 X25519 P-256 P-384 P-521"),
	            "X25519MLKEM768 X25519 P-256 P-384 P-521"));
	EXPECT(same(list("P-384:X25519"), "P-384 X25519"));
	EXPECT(same(list("P-256, prime256v1,secp256r1"), "P-256"));
}

TEST(names_are_openssls_or_ianas_in_any_case)
{
	EXPECT(same(list("prime256v1:secp384r1:secp521r1"), "P-256 P-384 P-521"));
	EXPECT(same(list("x25519:p-256:x25519mlkem768"), "X25519 P-256 X25519MLKEM768"));
}

TEST(a_group_that_is_not_here_means_none)
{
	EXPECT(same(list("X448:X25519:ffdhe2048"), "X25519"));
	EXPECT(same(list("X448"), "empty X448"));
	EXPECT(same(list(""), "empty "));
}

TEST(a_group_that_nobody_knows_is_named)
{
	EXPECT(same(list("X25519 P256 P-384"), "unknown P256"));
	EXPECT(same(list("X25519M"), "unknown X25519M"));
	EXPECT(same(list("X2551"), "unknown X2551"));
}

TEST(a_group_has_its_number_and_one_name)
{
	static const uint16_t ids[] = {4588, 29, 23, 24, 25};
	struct curves         curves;
	struct span           token;

	EXPECT(curves_parse(span_text("X25519MLKEM768 X25519 P-256 P-384 P-521"), &curves,
	                    &token) == CURVES_OK);
	EXPECT_EQ(curves.count, COUNT(ids));
	for (size_t i = 0; i < curves.count; i++) {
		EXPECT_EQ(curves.list[i]->id, ids[i]);
		EXPECT(strcmp(curves_name(span_text(curves.list[i]->name)), curves.list[i]->name) ==
		       0);
	}
	EXPECT(strcmp(curves_name(span_text("SECP256R1")), "P-256") == 0);
	EXPECT(!curves_name(span_text("X448")));
	EXPECT(!curves_name(span_text("nothing")));
}

TEST(every_name_offered_as_a_suggestion_is_one)
{
	struct curves curves;
	struct span   token;

	for (size_t i = 0; curves_word(i); i++)
		EXPECT(curves_parse(span_text(curves_word(i)), &curves, &token) != CURVES_UNKNOWN);
}

int main(void)
{
	return test_main();
}
