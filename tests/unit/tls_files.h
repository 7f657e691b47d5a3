/*
 * tls_files: contexts built from files in a folder of the test's own, and handshakes between them
 * in memory.
 */
#ifndef TESTS_UNIT_TLS_FILES_H
#define TESTS_UNIT_TLS_FILES_H

#include "tls/tls_library.h"
#include "tls/tls_session.h"

#include "report_text.h"
#include "test.h"
#include "tls_certificates.h"
#include "tls_pairs.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- files ---- */

static char   files_folder[64];
static char  *file_paths[1024]; /* freed at the very end */
static size_t file_path_count;

static inline void files_begin(void)
{
	snprintf(files_folder, sizeof(files_folder), "%s", P_tmpdir "/penstock-tls-XXXXXX");
	EXPECT(mkdtemp(files_folder) != NULL);
}

/* Its path, which is good until the last test has ended; what was there is replaced. */
static inline const char *file_of(const char *name, const void *data, size_t len)
{
	char *path;
	FILE *file;

	EXPECT(asprintf(&path, "%s/%s", files_folder, name) > 0);
	CHECK(file_path_count < COUNT(file_paths));
	file_paths[file_path_count++] = path;
	file = fopen(path, "w");
	EXPECT(file && fwrite(data, 1, len, file) == len);
	if (file)
		fclose(file);
	return path;
}

static inline const char *text_file(const char *name, const char *text)
{
	return file_of(name, text, strlen(text));
}

static inline const char *joined_file(const char *name, const char *first, const char *second)
{
	char       *both;
	const char *path;

	EXPECT(asprintf(&both, "%s%s", first, second) > 0);
	path = text_file(name, both);
	free(both);
	return path;
}

static inline void files_end(void)
{
	DIR           *folder = opendir(files_folder);
	struct dirent *entry;

	while (folder && (entry = readdir(folder)))
		unlinkat(dirfd(folder), entry->d_name, 0);
	if (folder)
		closedir(folder);
	EXPECT(rmdir(files_folder) == 0);
}

static inline void files_free(void)
{
	while (file_path_count > 0)
		free(file_paths[--file_path_count]);
}

/* ---- sections ---- */

enum { PAIRS_MAX = 4 };

struct section {
	struct conf_tls  conf;
	struct conf_file certificates[PAIRS_MAX], keys[PAIRS_MAX], ticket_keys[PAIRS_MAX];
	struct span      alpn[PAIRS_MAX];
};

static inline void section_init(struct section *section, const char *name)
{
	*section = (struct section){.conf = {
					    .section = name,
					    .pos = {"test.ini", 1},
					    .certificates = section->certificates,
					    .keys = section->keys,
					    .ticket_keys = section->ticket_keys,
					    .alpn = section->alpn,
					    .protocols = CONF_TLS12 | CONF_TLS13,
					    .prefer_server_ciphers = true,
					    .session_timeout_ms = 3600000,
					    .verify_depth = 2,
				    }};
}

/* Line 10 for the first certificate, 20 for its key, 11 and 21 for the next ... */
static inline void section_add(struct section *section, const char *certificate, const char *key)
{
	size_t   index = section->conf.certificate_count;
	unsigned line = (unsigned)index;

	section->certificates[index] = (struct conf_file){certificate, {"test.ini", 10 + line}};
	section->keys[index] = (struct conf_file){key, {"test.ini", 20 + line}};
	section->conf.certificate_count = section->conf.key_count = index + 1;
}

static inline void section_add_texts(struct section *section, const char *name,
                                     const char *certificate, const char *key)
{
	char file[64];

	snprintf(file, sizeof(file), "%s.crt", name);
	certificate = text_file(file, certificate);
	snprintf(file, sizeof(file), "%s.key", name);
	section_add(section, certificate, text_file(file, key));
}

/* It must succeed. */
static inline struct tls_context *section_build(const struct section *section,
                                                struct tls_store     *store)
{
	struct conf_report *report = conf_report_new();
	struct tls_context *context = tls_context_build(&section->conf, store, report);

	EXPECT(context != NULL);
	EXPECT_EQ(conf_report_errors(report), 0);
	if (!context)
		conf_report_print(report, stdout);
	conf_report_free(report);
	return context;
}

/* It must fail, with this in the report. */
static inline void section_refused(const struct section *section, const char *wanted)
{
	struct tls_store   *store = tls_store_new();
	struct conf_report *report = conf_report_new();
	struct tls_context *context = tls_context_build(&section->conf, store, report);

	EXPECT(context == NULL);
	EXPECT(conf_report_errors(report) > 0);
	EXPECT(report_says(report, wanted));
	tls_context_free(context);
	conf_report_free(report);
	tls_store_free(store);
}

/* ---- clients ---- */

static inline struct tls_client *client_build(struct tls_store *store, const char *authority,
                                              const char *certificate, const char *key)
{
	struct conf_report    *report = conf_report_new();
	struct conf_tls_client conf = {
		.section = "upstream u",
		.pos = {"test.ini", 1},
		.verify = authority != NULL,
		.trusted_certificate = {authority, {"test.ini", 2}},
		.certificate = {certificate, {"test.ini", 3}},
		.key = {key, {"test.ini", 4}},
	};
	struct tls_client *client = tls_client_build(&conf, store, report);

	EXPECT(client != NULL);
	if (!client)
		conf_report_print(report, stdout);
	conf_report_free(report);
	return client;
}

/* ---- handshakes ---- */

enum { WIRE_SIZE = 1 << 18, HANDSHAKE_TURNS = 64 };

struct one_way {
	uint8_t data[WIRE_SIZE];
	size_t  len;
};

/* Feeds what is in *in*, adds to *out*. */
static inline enum tls_result one_turn(struct tls_session *session, bool done, struct one_way *in,
                                       struct one_way *out)
{
	static uint8_t    plain[2 * TLS_RECORD_MAX];
	struct span       input = span_of(in->data, in->len);
	struct tls_output output = {out->data + out->len, 0, (uint32_t)(WIRE_SIZE - out->len)};
	uint32_t          len;
	enum tls_result   result = done ? tls_session_read(session, &input, &output, plain,
	                                                   sizeof(plain), &len)
	                                : tls_session_handshake(session, &input, &output);

	out->len += output.len;
	memmove(in->data, input.data, input.len);
	in->len = input.len;
	return result;
}

struct shaken {
	bool              done;
	struct tls_agreed agreed; /* the server's view; its texts are gone with it */
	enum tls_failure  failure;
	char              subject[128], cipher[64], group[32];
};

/* What a client's sessions are kept under. 0: under a new one each time, nothing is resumed. */
static uint64_t resume_key;

static inline uint64_t next_resume_key(void)
{
	static uint64_t unused = 1000;

	return resume_key ? resume_key : unused++;
}

/* A handshake, then one byte down, so that the client has its ticket. */
static inline struct shaken shake_hands_as(const struct tls_context *context, uint32_t identity,
                                           const struct tls_client *client, const char *name)
{
	static struct one_way   up, down;
	const struct tls_choice choice = {.identity = identity};
	struct shaken           shaken = {0};
	struct tls_session     *server = context ? tls_session_accept(context, &choice) : NULL;
	struct tls_session     *peer = client ? tls_session_connect(client, span_text(name),
	                                                            next_resume_key())
	                                      : NULL;
	enum tls_result         at_server = TLS_MORE, at_peer = TLS_MORE;
	uint8_t                 byte = 'x';
	struct span             bytes = span_of(&byte, 1);

	up.len = down.len = 0;
	EXPECT(server && peer);
	for (int i = 0; i < HANDSHAKE_TURNS && server && peer; i++) {
		if (at_peer != TLS_FAILED)
			at_peer = one_turn(peer, at_peer == TLS_DONE, &down, &up) == TLS_FAILED
			                  ? TLS_FAILED
			                  : at_peer;
		if (at_server != TLS_FAILED && at_server != TLS_DONE)
			at_server = one_turn(server, false, &up, &down);
		if (at_server == TLS_DONE || at_server == TLS_FAILED)
			break;
	}
	shaken.done = at_server == TLS_DONE;
	if (shaken.done) {
		struct tls_output output = {down.data + down.len, 0,
		                            (uint32_t)(WIRE_SIZE - down.len)};

		EXPECT(tls_session_write(server, &bytes, 0, &output) == TLS_DONE);
		down.len += output.len;
		at_peer = one_turn(peer, false, &down, &up);
		shaken.done = at_peer == TLS_DONE;
		while (shaken.done && one_turn(peer, true, &down, &up) == TLS_DATA)
			;
		tls_session_agreed(server, &shaken.agreed);
		tls_session_peer_subject(server, shaken.subject, sizeof(shaken.subject));
		snprintf(shaken.cipher, sizeof(shaken.cipher), "%s", shaken.agreed.cipher);
		snprintf(shaken.group, sizeof(shaken.group), "%s",
		         shaken.agreed.group ? shaken.agreed.group : "");
	} else if (server) {
		shaken.failure = tls_session_failure(server);
	}
	tls_session_free(server);
	tls_session_free(peer);
	return shaken;
}

static inline struct shaken shake_hands(const struct tls_context *context,
                                        const struct tls_client *client, const char *name)
{
	return shake_hands_as(context, 0, client, name);
}

static inline int files_test_main(void)
{
	int failures;

	if (tls_library_start() < 0)
		return 1;
	files_begin();
	failures = test_main();
	files_end();
	files_free();
	tls_library_stop();
	return failures;
}

#endif
