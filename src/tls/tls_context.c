#include "tls/tls_context.h"

#include "tls/tls_choice.h"
#include "tls/tls_key_log.h"
#include "tls/tls_names.h"
#include "tls/tls_store.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { EXPIRES_SOON_S = 14 * 24 * 3600, LINT_EXPIRY = 17 };

struct tls_context {
	struct tls_store *store;
	/* The listed ones first, then the folder's by file name. */
	struct tls_identity **identities;
	size_t                identity_count, identity_room;
	size_t                fallback_count; /* of the first: for names that none covers */
	struct tls_names      names;
	struct tls_preference preference;
	bool                  strict_sni;
	struct span          *alpn; /* copies, in the server's order */
	size_t                alpn_count;
	struct tls_key_log   *key_log; /* NULL = none */
	/* For each session, see tls_context_attach; mostly none. */
	int groups[CURVES_MAX], group_count;
};

struct build {
	struct tls_context    *context;
	const struct conf_tls *conf;
	struct tls_settings    settings;
	struct conf_report    *report;
};

static bool no_memory(struct build *build)
{
	conf_error(build->report, build->conf->pos, "[%s]: no memory left", build->conf->section);
	return false;
}

/* ---- certificates ---- */

static void digest_pair(const struct tls_pair *pair, const struct tls_settings *settings,
                        uint8_t out[TLS_DIGEST_SIZE])
{
	struct tls_digest digest;

	tls_digest_start(&digest);
	tls_digest_add(&digest, span_of(settings->digest, TLS_DIGEST_SIZE));
	tls_digest_add(&digest, tls_file_span(&pair->certificate));
	tls_digest_add(&digest, tls_file_span(&pair->key));
	tls_digest_end(&digest, out);
}

static void warn_of_end(struct build *build, const struct tls_pair *pair,
                        const struct tls_certificate *certificate)
{
	int64_t   left = certificate->expires - (int64_t)time(NULL);
	time_t    when = (time_t)certificate->expires;
	struct tm utc;
	char      text[32] = "?";

	if (left >= EXPIRES_SOON_S)
		return;
	if (gmtime_r(&when, &utc))
		strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &utc);
	conf_warn(build->report, pair->certificate_file.pos, LINT_EXPIRY,
	          "[%s] %s = %s %s: the certificate of %s ended or ends at %s",
	          build->conf->section, pair->certificate_word, pair->certificate_file.path,
	          left < 0 ? "has expired" : "expires in less than 14 days", certificate->label,
	          text);
}

static bool add_identity(struct build *build, const struct tls_pair *pair)
{
	struct tls_context  *context = build->context;
	uint8_t              digest[TLS_DIGEST_SIZE];
	struct tls_identity *identity;

	if (context->identity_count == context->identity_room) {
		size_t room = context->identity_room ? context->identity_room * 2 : 4;
		struct tls_identity **grown = realloc(context->identities,
		                                      room * sizeof(struct tls_identity *));

		if (!grown)
			return no_memory(build);
		context->identities = grown;
		context->identity_room = room;
	}
	digest_pair(pair, &build->settings, digest);
	identity = tls_store_find(context->store, digest);
	if (!identity) {
		identity = tls_identity_build(pair, &build->settings, digest, build->report);
		if (!identity)
			return false;
		tls_store_add(context->store, identity);
	}
	context->identities[context->identity_count++] = identity;
	warn_of_end(build, pair, &identity->certificate);
	return true;
}

static bool read_into(struct build *build, const char *word, const struct conf_file *from,
                      struct tls_file *file)
{
	return tls_read_file(build->conf->section, word, from, file, build->report);
}

/* Goes on after a failure: every file that is wrong is told at once. */
static bool add_pairs(struct build *build)
{
	const struct conf_tls *conf = build->conf;
	bool                   ok = true;

	for (size_t i = 0; i < conf->certificate_count && i < conf->key_count; i++) {
		struct tls_pair pair = {
			.certificate_word = "ssl_certificate",
			.key_word = "ssl_certificate_key",
			.certificate_file = conf->certificates[i],
			.key_file = conf->keys[i],
		};
		bool read = read_into(build, pair.certificate_word, &pair.certificate_file,
		                      &pair.certificate);

		read = read_into(build, pair.key_word, &pair.key_file, &pair.key) && read;
		ok = read && add_identity(build, &pair) && ok;
		tls_file_wipe(&pair.certificate);
		tls_file_wipe(&pair.key);
	}
	return ok;
}

static int is_bundle(const struct dirent *entry)
{
	const char *end = strrchr(entry->d_name, '.');

	return entry->d_name[0] != '.' && end && strcmp(end, ".pem") == 0;
}

/* The key stands in the same file as the chain, as HAProxy has it. */
static bool add_bundle(struct build *build, const char *name)
{
	static const char word[] = "ssl_certificate_dir";
	char             *path;
	struct tls_pair   pair = {.certificate_word = word, .key_word = word};
	bool              ok;

	if (asprintf(&path, "%s/%s", build->conf->certificate_dir.path, name) < 0)
		return no_memory(build);
	pair.certificate_file = (struct conf_file){path, build->conf->certificate_dir.pos};
	pair.key_file = pair.certificate_file;
	ok = read_into(build, word, &pair.certificate_file, &pair.certificate);
	pair.key = pair.certificate;
	ok = ok && add_identity(build, &pair);
	tls_file_wipe(&pair.certificate);
	free(path);
	return ok;
}

static bool add_folder(struct build *build)
{
	const struct conf_file *folder = &build->conf->certificate_dir;
	struct dirent         **entries;
	int                     count;
	bool                    ok = true;

	if (!folder->path)
		return true;
	count = scandir(folder->path, &entries, is_bundle, alphasort);
	if (count < 0) {
		tls_report_file(build->conf->section, "ssl_certificate_dir", folder, -errno,
		                build->report);
		return false;
	}
	for (int i = 0; i < count; i++) {
		ok = add_bundle(build, entries[i]->d_name) && ok;
		free(entries[i]);
	}
	free(entries);
	if (count == 0 && build->conf->certificate_count == 0) {
		conf_error(build->report, folder->pos,
		           "[%s] ssl_certificate_dir = %s holds no file *.pem",
		           build->conf->section, folder->path);
		return false;
	}
	return ok;
}

static bool index_names(struct build *build)
{
	struct tls_context *context = build->context;

	for (size_t i = 0; i < context->identity_count; i++) {
		const struct tls_certificate *certificate = &context->identities[i]->certificate;

		for (size_t j = 0; j < certificate->name_count; j++)
			if (!tls_names_add(&context->names, &certificate->names[j], (uint32_t)i))
				return no_memory(build);
	}
	tls_names_sort(&context->names);
	return true;
}

/* ---- the rest ---- */

static bool copy_alpn(struct build *build)
{
	struct tls_context *context = build->context;

	context->alpn = calloc(build->conf->alpn_count + 1, sizeof(*context->alpn));
	if (!context->alpn)
		return no_memory(build);
	for (size_t i = 0; i < build->conf->alpn_count; i++) {
		struct span from = build->conf->alpn[i];
		uint8_t    *copy = malloc(from.len + 1);

		if (!copy)
			return no_memory(build);
		memcpy(copy, from.data, from.len);
		copy[from.len] = 0;
		context->alpn[context->alpn_count++] = span_of(copy, from.len);
	}
	return true;
}

static bool open_key_log(struct build *build)
{
	const struct conf_file *file = &build->conf->key_log;
	int                     error;

	if (!file->path)
		return true;
	error = tls_key_log_open(file->path, &build->context->key_log);
	if (error < 0)
		conf_error(build->report, file->pos, "[%s] ssl_key_log = %s cannot be opened: %s",
		           build->conf->section, file->path, strerror(-error));
	return error == 0;
}

/* What a client may use in TLS 1.2 the library takes from the session, not from its object, which
 * is asked in TLS 1.3 alone. Lists that have all the usual curves are not worth the allocations of
 * each handshake. */
static void set_session_groups(struct tls_context *context, unsigned protocols,
                               const struct curves *curves)
{
	enum { P256 = 23, P384 = 24, X25519 = 29 };
	unsigned usual = 0;

	for (size_t i = 0; i < curves->count; i++)
		usual += curves->list[i]->id == P256 || curves->list[i]->id == P384 ||
		         curves->list[i]->id == X25519;
	if (!(protocols & CONF_TLS12) || usual == 3)
		return;
	for (size_t i = 0; i < curves->count; i++)
		context->groups[context->group_count++] = curves->list[i]->id;
}

static bool fill(struct build *build)
{
	struct tls_context    *context = build->context;
	const struct conf_tls *conf = build->conf;
	bool                   ok;

	if (!tls_settings_init(&build->settings, conf, context->store, build->report))
		return false;
	ok = add_pairs(build);
	context->fallback_count = context->identity_count;
	ok = add_folder(build) && ok;
	if (!ok)
		return false;
	if (context->fallback_count == 0)
		context->fallback_count = 1;
	context->strict_sni = conf->strict_sni;
	set_session_groups(context, conf->protocols, &build->settings.curves);
	tls_preference_init(&context->preference, conf->protocols, &build->settings.ciphers,
	                    &build->settings.curves);
	return index_names(build) && copy_alpn(build) && open_key_log(build);
}

struct tls_context *tls_context_build(const struct conf_tls *conf, struct tls_store *store,
                                      struct conf_report *report)
{
	struct build build = {.conf = conf, .report = report};
	bool         ok;

	build.context = calloc(1, sizeof(*build.context));
	if (!build.context) {
		no_memory(&build);
		return NULL;
	}
	build.context->store = store;
	ok = fill(&build);
	tls_settings_fini(&build.settings);
	if (ok)
		return build.context;
	tls_context_free(build.context);
	return NULL;
}

void tls_context_free(struct tls_context *context)
{
	if (!context)
		return;
	for (size_t i = 0; i < context->identity_count; i++)
		tls_store_put(context->store, context->identities[i]);
	free(context->identities);
	tls_names_fini(&context->names);
	for (size_t i = 0; i < context->alpn_count; i++)
		free((void *)(uintptr_t)context->alpn[i].data);
	free(context->alpn);
	tls_key_log_close(context->key_log);
	free(context);
}

/* ---- answering a hello ---- */

/* The best certificate for *name*: the name itself before a wildcard, among those the cheapest that
 * the client can verify. One that covers the name but cannot be verified is better than another
 * name's: the client's complaint then says what is wrong. UINT32_MAX: none covers it. */
static uint32_t choose_covering(const struct tls_context *context, const struct hello *hello,
                                struct span name)
{
	uint32_t covering = UINT32_MAX;

	for (int wildcard = 0; wildcard <= 1; wildcard++) {
		size_t                        count;
		const struct tls_names_entry *entries = tls_names_find(&context->names, name,
		                                                       wildcard, &count);
		uint32_t                      best = UINT32_MAX;
		unsigned                      rank, best_rank = TLS_RANK_NONE;

		for (size_t i = 0; i < count; i++) {
			uint32_t identity = entries[i].identity;

			rank = tls_preference_rank(&context->preference, hello,
			                           context->identities[identity]->certificate.key);
			if (rank < best_rank) {
				best_rank = rank;
				best = identity;
			}
			if (covering == UINT32_MAX)
				covering = identity;
		}
		if (best != UINT32_MAX)
			return best;
	}
	return covering;
}

static uint32_t choose_fallback(const struct tls_context *context, const struct hello *hello)
{
	uint32_t best = 0;
	unsigned best_rank = TLS_RANK_NONE;

	for (uint32_t i = 0; i < context->fallback_count; i++) {
		unsigned rank = tls_preference_rank(&context->preference, hello,
		                                    context->identities[i]->certificate.key);

		if (rank < best_rank) {
			best_rank = rank;
			best = i;
		}
	}
	return best;
}

/* In the server's order (RFC 7301 3.2). False: both have a list, and nothing in common. */
static bool choose_alpn(const struct tls_context *context, const struct hello *hello,
                        struct span *chosen)
{
	*chosen = span_of(NULL, 0);
	if (context->alpn_count == 0 || hello->alpn.len == 0)
		return true;
	for (size_t i = 0; i < context->alpn_count; i++) {
		struct span list = hello->alpn, offered;

		while (hello_next_alpn(&list, &offered)) {
			if (span_equal(offered, context->alpn[i])) {
				*chosen = context->alpn[i];
				return true;
			}
		}
	}
	return false;
}

enum alert tls_context_choose(const struct tls_context *context, const struct hello *hello,
                              struct span name, struct tls_choice *choice)
{
	choice->identity = UINT32_MAX;
	/* Where the list has all the usual ones the library would take another in TLS 1.2. */
	if (!tls_preference_shares_group(&context->preference, hello))
		return ALERT_HANDSHAKE_FAILURE;
	if (name.len > 0) {
		choice->identity = choose_covering(context, hello, name);
		if (choice->identity == UINT32_MAX && context->strict_sni)
			return ALERT_UNRECOGNIZED_NAME;
	}
	if (choice->identity == UINT32_MAX)
		choice->identity = choose_fallback(context, hello);
	return choose_alpn(context, hello, &choice->alpn) ? ALERT_NONE
	                                                  : ALERT_NO_APPLICATION_PROTOCOL;
}

/* ---- looking in ---- */

bool tls_context_certificate(const struct tls_context *context, size_t index, const char **name,
                             int64_t *expires)
{
	if (index >= context->identity_count)
		return false;
	*name = context->identities[index]->certificate.label;
	*expires = context->identities[index]->certificate.expires;
	return true;
}

bool tls_context_covers(const struct tls_context *context, struct span name)
{
	size_t count;

	return tls_names_find(&context->names, name, false, &count) ||
	       tls_names_find(&context->names, name, true, &count);
}

WOLFSSL_CTX *tls_context_library(const struct tls_context *context, uint32_t identity)
{
	CHECK(identity < context->identity_count);
	return context->identities[identity]->library;
}

bool tls_context_attach(const struct tls_context *context, WOLFSSL *ssl)
{
	if (context->key_log)
		tls_key_log_attach(context->key_log, ssl);
	return context->group_count == 0 ||
	       wolfSSL_set_groups(ssl, (int *)(uintptr_t)context->groups, context->group_count) ==
	               WOLFSSL_SUCCESS;
}
