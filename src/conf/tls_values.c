/* Values of the keys of TLS: files, lists of protocols, ciphers and groups. */
#include "conf/arena.h"
#include "conf/keys.h"
#include "conf/suggest.h"
#include "conf/values.h"
#include "policy/ciphers.h"
#include "policy/curves.h"

#include <limits.h>
#include <unistd.h>

/* ---- files ---- */

/* *path* seen from the folder of *from*, absolute, so that it is the same file wherever what -T
 * prints is read. */
static const char *absolute(struct reading *reading, const char *path, const char *from)
{
	const char *slash = strrchr(from, '/');
	size_t      folder_len = slash && *path != '/' ? (size_t)(slash + 1 - from) : 0;
	char        here[PATH_MAX];
	char       *whole;

	if (*path == '/' || (folder_len && *from == '/') || !getcwd(here, sizeof(here)))
		here[0] = '\0';
	whole = arena_alloc(reading->arena, strlen(here) + 1 + folder_len + strlen(path) + 1);
	strcpy(whole, here);
	if (*here && strcmp(here, "/") != 0)
		strcat(whole, "/");
	strncat(whole, from, folder_len);
	return strcat(whole, path);
}

static bool read_file(struct reading *reading, void *field)
{
	struct conf_file *file = field;

	if (strlen(reading->value) >= PATH_MAX)
		return reading_refuse(reading, "a path of at most %d bytes", PATH_MAX - 1);
	file->path = absolute(reading, reading->value, reading->pos.file);
	file->pos = reading->pos;
	return true;
}

static void print_file(const struct key *key, const void *field, FILE *to)
{
	(void)key;
	fputs(((const struct conf_file *)field)->path, to);
}

static bool is_unset_file(const void *field)
{
	return !((const struct conf_file *)field)->path;
}

const struct value_kind value_file = {sizeof(struct conf_file), read_file, print_file,
                                      is_unset_file, "a path, relative to this file"};

/* ---- lists in one line ---- */

enum { WORD_MAX = 64 };

/* For messages and suggestions; cut. */
static const char *word_text(struct span word, char out[WORD_MAX])
{
	size_t len = min_size(word.len, WORD_MAX - 1);

	for (size_t i = 0; i < len; i++)
		out[i] = word.data[i] < 0x20 || word.data[i] == 0x7f ? '?' : (char)word.data[i];
	out[len] = '\0';
	return out;
}

static bool is_blank(uint8_t byte)
{
	return byte == ' ' || byte == '\t';
}

/* Off the front of *text*; false: nothing is left. */
static bool next_word(struct span *text, struct span *word)
{
	size_t start = 0, end;

	while (start < text->len && is_blank(text->data[start]))
		start++;
	end = start;
	while (end < text->len && !is_blank(text->data[end]))
		end++;
	*word = span_of(text->data + start, end - start);
	*text = span_of(text->data + end, text->len - end);
	return word->len > 0;
}

static const struct word protocols[] = {
	{"TLSv1.2", CONF_TLS12, false}, {"TLSv1.3", CONF_TLS13, false}, {0}};

static bool refuse_protocol(struct reading *reading, struct span written)
{
	static const char *const gone[] = {"TLSv1.1", "TLSv1", "TLSv1.0", "SSLv3", "SSLv2"};
	struct suggest           suggest;
	char                     near[SUGGEST_TEXT_MAX], word[WORD_MAX];

	word_text(written, word);
	for (size_t i = 0; i < COUNT(gone); i++)
		if (strcmp(word, gone[i]) == 0)
			return reading_refuse(
				reading,
				"%s is no longer spoken (RFC 8996); there are TLSv1.2 and TLSv1.3",
				word);
	suggest_init(&suggest, word);
	for (const struct word *known = protocols; known->name; known++)
		suggest_try(&suggest, known->name);
	return reading_refuse(reading, "TLSv1.2, TLSv1.3 or both; `%s` is neither%s", word,
	                      suggest_text(&suggest, near));
}

static bool read_protocols(struct reading *reading, void *field)
{
	struct span rest = span_text(reading->value), written;
	unsigned    all = 0;

	while (next_word(&rest, &written)) {
		const struct word *known = protocols;

		while (known->name && !span_equal(written, span_text(known->name)))
			known++;
		if (!known->name)
			return refuse_protocol(reading, written);
		all |= known->value;
	}
	*(unsigned *)field = all;
	return true;
}

static void print_protocols(const struct key *key, const void *field, FILE *to)
{
	unsigned    all = *(const unsigned *)field;
	const char *between = "";

	(void)key;
	for (const struct word *known = protocols; known->name; known++) {
		if (!(all & known->value))
			continue;
		fprintf(to, "%s%s", between, known->name);
		between = " ";
	}
}

const struct value_kind value_protocols = {sizeof(unsigned), read_protocols, print_protocols, 0,
                                           "TLSv1.2, TLSv1.3 or both"};

/* The field is the list's pointer; its length is where the row's count_offset says. */
static size_t *alpn_count(const struct key *key, void *field)
{
	return (size_t *)(void *)((char *)field - key->offset + key->count_offset);
}

static bool is_in_list(const struct span *list, size_t count, struct span word)
{
	for (size_t i = 0; i < count; i++)
		if (span_equal(list[i], word))
			return true;
	return false;
}

static bool read_alpn_list(struct reading *reading, void *field)
{
	struct span  rest = span_text(reading->value), word, *list;
	char         text[WORD_MAX];
	size_t       count = 0;
	const size_t most = (rest.len + 1) / 2;

	list = arena_alloc(reading->arena, most * sizeof(*list));
	while (next_word(&rest, &word)) {
		if (word.len > 255 || memchr(word.data, ',', word.len))
			return reading_refuse(
				reading,
				"protocol ids with blanks between them (h2 http/1.1), each at most 255 bytes");
		if (is_in_list(list, count, word))
			return reading_refuse(reading, "`%s` stands here twice",
			                      word_text(word, text));
		list[count++] = span_of(arena_copy(reading->arena, word), word.len);
	}
	*(struct span **)field = list;
	*alpn_count(reading->key, field) = count;
	return true;
}

static void print_alpn_list(const struct key *key, const void *field, FILE *to)
{
	const struct span *list = *(struct span *const *)field;
	const size_t count = *(const size_t *)(const void *)((const char *)field - key->offset +
	                                                     key->count_offset);

	for (size_t i = 0; i < count; i++)
		fprintf(to, "%s%.*s", i ? " " : "", (int)list[i].len, (const char *)list[i].data);
}

static bool is_unset_alpn_list(const void *field)
{
	return !*(struct span *const *)field;
}

const struct value_kind value_alpn_list = {sizeof(struct span *), read_alpn_list, print_alpn_list,
                                           is_unset_alpn_list, "protocol ids: h2 http/1.1"};

static bool read_host(struct reading *reading, void *field)
{
	struct conf_name name;

	if (!value_read_name(reading, reading->value, &name))
		return false;
	if (name.kind != ROUTER_EXACT)
		return reading_refuse(reading, "the name of a host, such as db1.example.com");
	*(const char **)field = (const char *)name.name.data;
	return true;
}

const struct value_kind value_host = {sizeof(const char *), read_host, value_print_text,
                                      value_is_unset_text, "a host name: db1.example.com"};

/* ---- ciphers and groups ---- */

static bool keep_text(struct reading *reading, void *field)
{
	struct conf_text *text = field;

	text->text = arena_copy(reading->arena, span_text(reading->value));
	text->pos = reading->pos;
	return true;
}

static void print_text(const struct key *key, const void *field, FILE *to)
{
	(void)key;
	fputs(((const struct conf_text *)field)->text, to);
}

/* `NAME is unknown; did you mean ...`, of the words that *word_at* lists. */
static bool refuse_word(struct reading *reading, struct span written, const char *what,
                        const char *(*word_at)(size_t index))
{
	struct suggest suggest;
	char           near[SUGGEST_TEXT_MAX], word[WORD_MAX];

	suggest_init(&suggest, word_text(written, word));
	for (size_t i = 0; word_at(i); i++)
		suggest_try(&suggest, word_at(i));
	return reading_refuse(reading, "`%s` is not %s%s", word, what,
	                      suggest_text(&suggest, near));
}

static bool read_ciphers(struct reading *reading, void *field)
{
	struct ciphers ciphers;
	struct span    token;
	char           word[WORD_MAX];

	switch (ciphers_parse(span_text(reading->value), &ciphers, &token)) {
	case CIPHERS_OK:
		return keep_text(reading, field);
	case CIPHERS_UNKNOWN:
		return refuse_word(reading, token, "a cipher, nor a word for ciphers",
		                   ciphers_word);
	case CIPHERS_SYNTAX:
		return reading_refuse(reading, "`%s` does not read as a part of a list of ciphers",
		                      word_text(token, word));
	case CIPHERS_LEVEL:
		return reading_refuse(reading, "`%s` is OpenSSL's own: leave it out",
		                      word_text(token, word));
	case CIPHERS_VERSION:
		return reading_refuse(reading,
		                      "`%s` is a cipher of TLS 1.3: that is ssl_ciphersuites",
		                      word_text(token, word));
	case CIPHERS_EMPTY:
		break;
	}
	return reading_refuse(
		reading,
		"no cipher is left; there is ECDHE with AES-GCM, ChaCha20-Poly1305 and AES-CBC");
}

const struct value_kind value_ciphers = {sizeof(struct conf_text), read_ciphers, print_text, 0,
                                         "ciphers(1ssl): HIGH:!aNULL:!MD5"};

static bool read_ciphersuites(struct reading *reading, void *field)
{
	struct ciphers ciphers;
	struct span    token;
	char           word[WORD_MAX];

	switch (ciphers_parse_suites(span_text(reading->value), &ciphers, &token)) {
	case CIPHERS_OK:
		return keep_text(reading, field);
	case CIPHERS_VERSION:
		return reading_refuse(reading,
		                      "`%s` is of TLS 1.2: that is ssl_ciphers; here stand names",
		                      word_text(token, word));
	case CIPHERS_UNKNOWN:
	case CIPHERS_SYNTAX:
	case CIPHERS_LEVEL:
		return refuse_word(reading, token, "a cipher of TLS 1.3", ciphers_suite_word);
	case CIPHERS_EMPTY:
		break;
	}
	return reading_refuse(reading, "no cipher is left that is here");
}

const struct value_kind value_ciphersuites = {sizeof(struct conf_text), read_ciphersuites,
                                              print_text, 0, "names: TLS_AES_128_GCM_SHA256"};

static bool read_curves(struct reading *reading, void *field)
{
	struct curves curves;
	struct span   token;

	switch (curves_parse(span_text(reading->value), &curves, &token)) {
	case CURVES_OK:
		return keep_text(reading, field);
	case CURVES_UNKNOWN:
		return refuse_word(reading, token, "the name of a group", curves_word);
	case CURVES_EMPTY:
		break;
	}
	return reading_refuse(
		reading,
		"no group is left; there are X25519MLKEM768, X25519, P-256, P-384 and P-521");
}

const struct value_kind value_curves = {sizeof(struct conf_text), read_curves, print_text, 0,
                                        "names: X25519 P-256"};
