#include "policy/ciphers.h"

/* What a suite is; a word of a list asks for some of it. */
enum {
	ECDHE = BIT(0),
	BY_RSA = BIT(1),
	BY_ECDSA = BIT(2),
	AES = BIT(3),
	AES128 = BIT(4),
	AES256 = BIT(5),
	GCM = BIT(6),
	CHACHA20 = BIT(7),
	CBC = BIT(8),
	SHA1 = BIT(9),
	SHA256 = BIT(10),
	SHA384 = BIT(11),
	SINCE_TLS12 = BIT(12),
	SINCE_TLS1 = BIT(13),
	AEAD = BIT(14),  /* DEFAULT as a word that takes away */
	ABSENT = BIT(15) /* no suite has it: words for what the library was built without */
};

#define SUITE(text, number, strength, what)                                                        \
	{                                                                                          \
		.name = (text), .id = (number), .bits = (strength), .features = (what)             \
	}

enum {
	WITH_GCM = ECDHE | AES | GCM | AEAD | SINCE_TLS12,
	WITH_CHACHA20 = ECDHE | CHACHA20 | AEAD | SINCE_TLS12,
	WITH_CBC = ECDHE | AES | CBC,
};

/* In the order in which OpenSSL puts them into a list by itself: the one that HIGH has. */
static const struct cipher suites[] = {
	SUITE("ECDHE-ECDSA-AES256-GCM-SHA384", 0xc02c, 256, WITH_GCM | BY_ECDSA | AES256),
	SUITE("ECDHE-RSA-AES256-GCM-SHA384", 0xc030, 256, WITH_GCM | BY_RSA | AES256),
	SUITE("ECDHE-ECDSA-CHACHA20-POLY1305", 0xcca9, 256, WITH_CHACHA20 | BY_ECDSA),
	SUITE("ECDHE-RSA-CHACHA20-POLY1305", 0xcca8, 256, WITH_CHACHA20 | BY_RSA),
	SUITE("ECDHE-ECDSA-AES128-GCM-SHA256", 0xc02b, 128, WITH_GCM | BY_ECDSA | AES128),
	SUITE("ECDHE-RSA-AES128-GCM-SHA256", 0xc02f, 128, WITH_GCM | BY_RSA | AES128),
	SUITE("ECDHE-ECDSA-AES256-SHA384", 0xc024, 256,
              WITH_CBC | BY_ECDSA | AES256 | SHA384 | SINCE_TLS12),
	SUITE("ECDHE-RSA-AES256-SHA384", 0xc028, 256,
              WITH_CBC | BY_RSA | AES256 | SHA384 | SINCE_TLS12),
	SUITE("ECDHE-ECDSA-AES128-SHA256", 0xc023, 128,
              WITH_CBC | BY_ECDSA | AES128 | SHA256 | SINCE_TLS12),
	SUITE("ECDHE-RSA-AES128-SHA256", 0xc027, 128,
              WITH_CBC | BY_RSA | AES128 | SHA256 | SINCE_TLS12),
	SUITE("ECDHE-ECDSA-AES256-SHA", 0xc00a, 256,
              WITH_CBC | BY_ECDSA | AES256 | SHA1 | SINCE_TLS1),
	SUITE("ECDHE-RSA-AES256-SHA", 0xc014, 256, WITH_CBC | BY_RSA | AES256 | SHA1 | SINCE_TLS1),
	SUITE("ECDHE-ECDSA-AES128-SHA", 0xc009, 128,
              WITH_CBC | BY_ECDSA | AES128 | SHA1 | SINCE_TLS1),
	SUITE("ECDHE-RSA-AES128-SHA", 0xc013, 128, WITH_CBC | BY_RSA | AES128 | SHA1 | SINCE_TLS1),
};

_Static_assert(COUNT(suites) <= CIPHERS_MAX, "all suites fit into a list");

/* The order of the default: 128 bits are enough, and cost the client and us less. */
static const struct cipher suites13[] = {
	SUITE("TLS_AES_128_GCM_SHA256", 0x1301, 128, 0),
	SUITE("TLS_AES_256_GCM_SHA384", 0x1302, 256, 0),
	SUITE("TLS_CHACHA20_POLY1305_SHA256", 0x1303, 256, 0),
};

static const char *const absent13[] = {"TLS_AES_128_CCM_SHA256", "TLS_AES_128_CCM_8_SHA256"};

static const char default_list[] = "AES128+AESGCM:AESGCM:CHACHA20";

/* Words, and what a suite must be for each; ciphers(1ssl), of OpenSSL 1.0.2 to 3.5. */
static const struct {
	const char *name;
	unsigned    needs;
} words[] = {
	{"ALL", 0},
	{"HIGH", 0},
	{"DEFAULT", AEAD},
	{"COMPLEMENTOFDEFAULT", CBC},
	{"ECDHE", ECDHE},
	{"EECDH", ECDHE},
	{"kECDHE", ECDHE},
	{"kEECDH", ECDHE},
	{"ECDH", ECDHE},
	{"ECDSA", BY_ECDSA},
	{"aECDSA", BY_ECDSA},
	{"aRSA", BY_RSA},
	{"AES", AES},
	{"AES128", AES128},
	{"AES256", AES256},
	{"AESGCM", GCM},
	{"CHACHA20", CHACHA20},
	{"SHA", SHA1},
	{"SHA1", SHA1},
	{"SHA256", SHA256},
	{"SHA384", SHA384},
	{"TLSv1.2", SINCE_TLS12},
	{"TLSv1", SINCE_TLS1},
	{"TLSv1.0", SINCE_TLS1},
};

/* Words and suites of OpenSSL's for what is not here. */
static const char *const absent[] = {
	/* clang-format off */
	"COMPLEMENTOFALL", "LOW", "MEDIUM", "EXP", "EXPORT", "EXPORT40", "EXPORT56", "SSLv2",
	"SSLv3", "FIPS", "aNULL", "eNULL", "NULL", "ADH", "AECDH", "RSA", "kRSA", "DH", "DHE",
	"EDH", "kDHE", "kEDH", "kDH", "kDHr", "kDHd", "aDH", "kECDH", "kECDHr", "kECDHe", "aECDH",
	"DSS", "aDSS", "PSK", "kPSK", "aPSK", "kECDHEPSK", "kDHEPSK", "kRSAPSK", "SRP", "kSRP",
	"aSRP", "KRB5", "kKRB5", "aKRB5", "GOST", "aGOST", "aGOST01", "aGOST12", "kGOST", "kGOST18",
	"GOST89", "GOST94", "GOST89MAC", "MD5", "RC2", "RC4", "DES", "3DES", "IDEA", "SEED",
	"CAMELLIA", "CAMELLIA128", "CAMELLIA256", "ARIA", "ARIA128", "ARIA256", "ARIAGCM", "AESCCM",
	"AESCCM8", "DHE-RSA-AES256-GCM-SHA384", "DHE-RSA-AES128-GCM-SHA256",
	"DHE-RSA-CHACHA20-POLY1305", "DHE-RSA-AES256-SHA256", "DHE-RSA-AES128-SHA256",
	"DHE-RSA-AES256-SHA", "DHE-RSA-AES128-SHA", "DHE-RSA-AES256-CCM8", "DHE-RSA-AES256-CCM",
	"DHE-RSA-AES128-CCM8", "DHE-RSA-AES128-CCM", "DHE-RSA-ARIA256-GCM-SHA384",
	"DHE-RSA-ARIA128-GCM-SHA256", "DHE-RSA-CAMELLIA256-SHA256", "DHE-RSA-CAMELLIA128-SHA256",
	"DHE-RSA-CAMELLIA256-SHA", "DHE-RSA-CAMELLIA128-SHA", "DHE-RSA-SEED-SHA",
	"DHE-DSS-AES256-GCM-SHA384", "DHE-DSS-AES128-GCM-SHA256", "DHE-DSS-AES256-SHA256",
	"DHE-DSS-AES128-SHA256", "DHE-DSS-AES256-SHA", "DHE-DSS-AES128-SHA",
	"DHE-DSS-ARIA256-GCM-SHA384", "DHE-DSS-ARIA128-GCM-SHA256", "DHE-DSS-CAMELLIA256-SHA256",
	"DHE-DSS-CAMELLIA128-SHA256", "DHE-DSS-CAMELLIA256-SHA", "DHE-DSS-CAMELLIA128-SHA",
	"DHE-DSS-SEED-SHA", "DHE-DSS-RC4-SHA", "EDH-RSA-DES-CBC3-SHA", "EDH-RSA-DES-CBC-SHA",
	"EDH-DSS-DES-CBC3-SHA", "EDH-DSS-DES-CBC-SHA", "DHE-RSA-DES-CBC3-SHA",
	"DHE-DSS-DES-CBC3-SHA", "ECDHE-ECDSA-AES256-CCM8", "ECDHE-ECDSA-AES256-CCM",
	"ECDHE-ECDSA-AES128-CCM8", "ECDHE-ECDSA-AES128-CCM", "ECDHE-ECDSA-ARIA256-GCM-SHA384",
	"ECDHE-ECDSA-ARIA128-GCM-SHA256", "ECDHE-ARIA256-GCM-SHA384", "ECDHE-ARIA128-GCM-SHA256",
	"ECDHE-ECDSA-CAMELLIA256-SHA384", "ECDHE-ECDSA-CAMELLIA128-SHA256",
	"ECDHE-RSA-CAMELLIA256-SHA384", "ECDHE-RSA-CAMELLIA128-SHA256", "ECDHE-RSA-DES-CBC3-SHA",
	"ECDHE-ECDSA-DES-CBC3-SHA", "ECDHE-RSA-RC4-SHA", "ECDHE-ECDSA-RC4-SHA",
	"ECDHE-RSA-NULL-SHA", "ECDHE-ECDSA-NULL-SHA", "AECDH-AES256-SHA", "AECDH-AES128-SHA",
	"AECDH-DES-CBC3-SHA", "AECDH-RC4-SHA", "AECDH-NULL-SHA", "ADH-AES256-GCM-SHA384",
	"ADH-AES128-GCM-SHA256", "ADH-AES256-SHA256", "ADH-AES128-SHA256", "ADH-AES256-SHA",
	"ADH-AES128-SHA", "ADH-CAMELLIA256-SHA256", "ADH-CAMELLIA128-SHA256", "ADH-CAMELLIA256-SHA",
	"ADH-CAMELLIA128-SHA", "ADH-SEED-SHA", "ADH-DES-CBC3-SHA", "ADH-RC4-MD5",
	"AES256-GCM-SHA384", "AES128-GCM-SHA256", "AES256-SHA256", "AES128-SHA256", "AES256-SHA",
	"AES128-SHA", "AES256-CCM8", "AES256-CCM", "AES128-CCM8", "AES128-CCM",
	"ARIA256-GCM-SHA384", "ARIA128-GCM-SHA256", "CAMELLIA256-SHA256", "CAMELLIA128-SHA256",
	"CAMELLIA256-SHA", "CAMELLIA128-SHA", "SEED-SHA", "IDEA-CBC-SHA", "DES-CBC3-SHA",
	"DES-CBC-SHA", "RC4-SHA", "RC4-MD5", "NULL-SHA256", "NULL-SHA", "NULL-MD5",
	/* clang-format on */
};

/* Where a suite stands in the list that is being made. */
struct place {
	bool is_active, is_killed, is_weak;
};

struct making {
	struct ciphers *list;
	struct place    places[COUNT(suites)]; /* as suites[] */
};

/* Which suites a token speaks of. */
struct wanted {
	unsigned             needs;
	const struct cipher *only; /* NULL = all that have what it needs */
	bool                 is_high;
};

static bool is_text(struct span word, const char *text)
{
	return span_equal(word, span_text(text));
}

static bool is_in(struct span word, const char *const *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (is_text(word, list[i]))
			return true;
	return false;
}

static const struct cipher *find_suite(struct span word, const struct cipher *table, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (is_text(word, table[i].name))
			return &table[i];
	return 0;
}

/* One word of a token asks for more. False: nobody knows it. */
static bool want(struct wanted *wanted, struct span word)
{
	const struct cipher *suite = find_suite(word, suites, COUNT(suites));

	if (suite) {
		wanted->needs |= wanted->only && wanted->only != suite ? ABSENT : 0;
		wanted->only = suite;
		return true;
	}
	for (size_t i = 0; i < COUNT(words); i++) {
		if (!is_text(word, words[i].name))
			continue;
		wanted->needs |= words[i].needs;
		wanted->is_high |= is_text(word, "HIGH");
		return true;
	}
	wanted->needs |= ABSENT;
	return is_in(word, absent, COUNT(absent));
}

static bool is_wanted(const struct wanted *wanted, const struct cipher *suite)
{
	return (suite->features & wanted->needs) == wanted->needs &&
	       (!wanted->only || wanted->only == suite);
}

static void append(struct making *making, const struct cipher *suite)
{
	making->list->suites[making->list->count++] = suite;
	making->places[suite - suites].is_active = true;
}

static void take_away(struct making *making, const struct cipher *suite)
{
	struct ciphers *list = making->list;
	size_t          kept = 0;

	for (size_t i = 0; i < list->count; i++)
		if (list->suites[i] != suite)
			list->suites[kept++] = list->suites[i];
	list->count = kept;
	making->places[suite - suites].is_active = false;
}

static void add(struct making *making, const struct wanted *wanted)
{
	for (const struct cipher *suite = suites; suite < suites + COUNT(suites); suite++) {
		struct place *place = &making->places[suite - suites];

		if (place->is_killed || !is_wanted(wanted, suite))
			continue;
		place->is_weak |= (suite->features & CBC) && !wanted->is_high;
		if (!place->is_active)
			append(making, suite);
	}
}

/* `-`: it may come back; `!`: it may not. */
static void drop(struct making *making, const struct wanted *wanted, bool for_good)
{
	for (const struct cipher *suite = suites; suite < suites + COUNT(suites); suite++) {
		if (!is_wanted(wanted, suite))
			continue;
		take_away(making, suite);
		making->places[suite - suites].is_killed |= for_good;
	}
}

/* `+`: those that are in the list go to its end, and keep their order among themselves. */
static void move_to_end(struct making *making, const struct wanted *wanted)
{
	const struct ciphers before = *making->list;

	for (size_t i = 0; i < before.count; i++) {
		if (!is_wanted(wanted, before.suites[i]))
			continue;
		take_away(making, before.suites[i]);
		append(making, before.suites[i]);
	}
}

static void sort_by_strength(struct ciphers *list)
{
	const struct ciphers before = *list;

	list->count = 0;
	for (unsigned bits = 256; bits >= 128; bits -= 128)
		for (size_t i = 0; i < before.count; i++)
			if (before.suites[i]->bits == bits)
				list->suites[list->count++] = before.suites[i];
}

static bool is_separator(uint8_t byte)
{
	return byte == ':' || byte == ',' || byte == ';' || byte == ' ' || byte == '\t';
}

/* Off the front of *text*: what stands before the next separator; false: nothing is left. */
static bool next_token(struct span *text, struct span *token)
{
	size_t len = 0;

	while (text->len && is_separator(text->data[0]))
		*text = span_of(text->data + 1, text->len - 1);
	while (len < text->len && !is_separator(text->data[len]))
		len++;
	*token = span_of(text->data, len);
	*text = span_of(text->data + len, text->len - len);
	return len > 0;
}

static enum ciphers_result judge_unknown(struct span word)
{
	if (find_suite(word, suites13, COUNT(suites13)) || is_in(word, absent13, COUNT(absent13)))
		return CIPHERS_VERSION;
	return CIPHERS_UNKNOWN;
}

/* `ECDHE+AESGCM`: all of it is asked for. *token* becomes the word that is wrong. */
static enum ciphers_result read_words(struct span *token, struct wanted *wanted)
{
	struct span rest = *token;

	do {
		size_t      len = 0;
		struct span word;

		while (len < rest.len && rest.data[len] != '+')
			len++;
		if (len == 0 || len + 1 == rest.len)
			return CIPHERS_SYNTAX;
		word = span_of(rest.data, len);
		if (!want(wanted, word)) {
			*token = word;
			return judge_unknown(word);
		}
		rest = span_of(rest.data + len, rest.len - len);
		if (rest.len)
			rest = span_of(rest.data + 1, rest.len - 1);
	} while (rest.len);
	return CIPHERS_OK;
}

static enum ciphers_result read_command(struct making *making, struct span token)
{
	static const char level[] = "@SECLEVEL";

	if (is_text(token, "@STRENGTH")) {
		sort_by_strength(making->list);
		return CIPHERS_OK;
	}
	return token.len >= sizeof(level) - 1 && memcmp(token.data, level, sizeof(level) - 1) == 0
	               ? CIPHERS_LEVEL
	               : CIPHERS_SYNTAX;
}

static void add_default(struct making *making)
{
	struct span text = span_text(default_list), token;

	while (next_token(&text, &token)) {
		struct wanted wanted = {0};

		CHECK(read_words(&token, &wanted) == CIPHERS_OK);
		add(making, &wanted);
	}
}

static enum ciphers_result read_token(struct making *making, struct span *token)
{
	struct wanted       wanted = {0};
	enum ciphers_result result;
	char                sign = (char)token->data[0];
	struct span         spoken = *token;

	if (sign == '@')
		return read_command(making, *token);
	if (is_text(*token, "DEFAULT")) {
		add_default(making);
		return CIPHERS_OK;
	}
	if (sign != '!' && sign != '-' && sign != '+')
		sign = '\0';
	else
		spoken = span_of(token->data + 1, token->len - 1);
	result = spoken.len ? read_words(&spoken, &wanted) : CIPHERS_SYNTAX;
	if (result != CIPHERS_OK) {
		*token = spoken.len ? spoken : *token;
		return result;
	}
	if (sign == '\0')
		add(making, &wanted);
	else if (sign == '+')
		move_to_end(making, &wanted);
	else
		drop(making, &wanted, sign == '!');
	return CIPHERS_OK;
}

enum ciphers_result ciphers_parse(struct span text, struct ciphers *ciphers, struct span *token)
{
	struct making making = {.list = ciphers};
	struct span   rest = text;

	*ciphers = (struct ciphers){0};
	while (next_token(&rest, token)) {
		enum ciphers_result result = read_token(&making, token);

		if (result != CIPHERS_OK)
			return result;
	}
	for (size_t i = 0; i < COUNT(suites); i++)
		ciphers->has_weak |= making.places[i].is_active && making.places[i].is_weak;
	*token = text;
	return ciphers->count ? CIPHERS_OK : CIPHERS_EMPTY;
}

static void append_once(struct ciphers *list, const struct cipher *suite)
{
	for (size_t i = 0; i < list->count; i++)
		if (list->suites[i] == suite)
			return;
	list->suites[list->count++] = suite;
}

enum ciphers_result ciphers_parse_suites(struct span text, struct ciphers *ciphers,
                                         struct span *token)
{
	struct span rest = text;

	*ciphers = (struct ciphers){0};
	while (next_token(&rest, token)) {
		const struct cipher *suite = find_suite(*token, suites13, COUNT(suites13));
		bool                 is_default = is_text(*token, "DEFAULT");
		struct wanted        wanted = {0};

		if (!suite && !is_default && !is_in(*token, absent13, COUNT(absent13)))
			return want(&wanted, *token) ? CIPHERS_VERSION : CIPHERS_UNKNOWN;
		for (size_t i = 0; i < COUNT(suites13); i++)
			if (is_default || suite == &suites13[i])
				append_once(ciphers, &suites13[i]);
	}
	*token = text;
	return ciphers->count ? CIPHERS_OK : CIPHERS_EMPTY;
}

const char *ciphers_word(size_t index)
{
	if (index < COUNT(suites))
		return suites[index].name;
	index -= COUNT(suites);
	if (index < COUNT(words))
		return words[index].name;
	index -= COUNT(words);
	return index < COUNT(absent) ? absent[index] : 0;
}

const char *ciphers_suite_word(size_t index)
{
	return index < COUNT(suites13) ? suites13[index].name : 0;
}
