/* Lines, includes and variables: nothing is cut, skipped or read twice in silence. */
#include "test.h"

#include "conf/source.h"
#include "conf_maker.h"

#include <sys/stat.h>
#include <unistd.h>

#define WEB "[upstream up]\nserver = 192.0.2.1:443\n[listener web]\nlisten = 443\nproxy_pass = up\n"

/* A folder of files for one test, gone at its end. */
struct folder {
	char   path[64];
	char  *files[40];
	size_t count;
};

static void folder_init(struct folder *folder)
{
	*folder = (struct folder){.path = P_tmpdir "/penstock-conf-XXXXXX"};
	if (!mkdtemp(folder->path))
		abort();
}

static const char *folder_path(struct folder *folder, const char *name)
{
	char *path;

	if (folder->count == COUNT(folder->files) ||
	    asprintf(&path, "%s/%s", folder->path, name) < 0)
		abort();
	folder->files[folder->count++] = path;
	return path;
}

static const char *folder_write(struct folder *folder, const char *name, const char *text)
{
	const char *path = folder_path(folder, name);
	FILE       *to = fopen(path, "w");

	if (!to || fputs(text, to) < 0 || fclose(to) != 0)
		abort();
	return path;
}

static void folder_fini(struct folder *folder)
{
	while (folder->count) {
		(void)!remove(folder->files[--folder->count]);
		free(folder->files[folder->count]);
	}
	(void)!rmdir(folder->path);
}

/* The report of reading *path*, with the folder's own name taken out. */
static bool path_says(struct folder *folder, const char *path, const char *wanted)
{
	struct made_conf made = make_conf_from(path);
	size_t           len = strlen(folder->path);
	char            *at;
	bool             same;

	while ((at = strstr(made.said, folder->path)))
		memmove(at, at + len, strlen(at + len) + 1);
	same = strcmp(made.said, wanted) == 0;
	if (!same)
		printf("  said:\n%s  not:\n%s", made.said, wanted);
	made_free(&made);
	return same;
}

/* A line of *len* bytes in all. */
static bool reads_line_of(size_t len, const char *wanted)
{
	char  *text = malloc(len + 256);
	size_t at;
	bool   good;

	if (!text)
		abort();
	strcpy(text, WEB "backlog = 77");
	at = strlen(text);
	memset(text + at, ' ', len);
	strcpy(text + at + len - strlen("backlog = 77") - 1, ";\nbacklog = 5\n");
	good = says(text, wanted);
	free(text);
	return good;
}

TEST(a_line_may_be_16_kib_long_but_not_longer)
{
	const char *twice = "t.ini:7: [listener web] backlog is given twice, first on line 6\n";

	EXPECT(reads_line_of(16384, twice));
	EXPECT(reads_line_of(16385, "t.ini:6: the line is longer than 16384 bytes\n"));
	EXPECT(reads_line_of(100000, "t.ini:6: the line is longer than 16384 bytes\n"));
	/* where the INI library's own buffer grows */
	for (size_t len = 195; len < 206; len++)
		EXPECT(reads_line_of(len, twice));
}

TEST(a_last_line_without_newline_counts_at_any_length)
{
	char text[2048];

	for (size_t pad = 0; pad < 900; pad++) {
		struct made_conf made;

		snprintf(text, sizeof(text), WEB "backlog = %*s;", (int)pad, "5 ");
		made = make_conf(text);
		EXPECT_EQ(made.errors, 0);
		EXPECT_EQ(made.conf->listeners[0]->backlog, 5);
		made_free(&made);
	}
}

TEST(a_section_name_may_be_200_bytes_long_but_not_longer)
{
	char text[1024], name[256];

	memset(name, 'n', sizeof(name));
	name[200 - strlen("listener ")] = '\0';
	snprintf(text, sizeof(text), "[listener %s]\nlisten = 1\nproxy_pass = a:1\n", name);
	EXPECT(is_silent(text));
	name[200 - strlen("listener ")] = 'n';
	name[201 - strlen("listener ")] = '\0';
	snprintf(text, sizeof(text), WEB "[listener %s]\nnonsense = 1\n", name);
	EXPECT(says(text, "t.ini:6: the section's name is longer than 200 bytes\n"));
}

TEST(two_section_names_alike_in_their_first_hundred_bytes_differ)
{
	char text[2048], name[121];

	memset(name, 'n', sizeof(name));
	name[120] = '\0';
	snprintf(text, sizeof(text),
	         "[listener %sa]\nlisten = 1\nproxy_pass = a:1\n[listener %sb]\nlisten = 2\n"
	         "proxy_pass = a:1\n",
	         name, name);
	EXPECT(is_silent(text));
}

TEST(a_long_name_of_sni_is_not_cut)
{
	struct made_conf made = make_conf(
		WEB
		"[sni web]\n"
		"a2345678901234567890123456789012345678901234567890.b2345678901234567890123456789012345678901234.example = up\n"
		"a2345678901234567890123456789012345678901234567890.b2345678901234567890123456789012345678901235.example = up\n");

	EXPECT_EQ(made.errors, 0);
	EXPECT_EQ(made.conf->route_count, 2);
	EXPECT_EQ(made.conf->routes[0]->names[0].name.len, 103);
	made_free(&made);
}

TEST(a_nul_byte_is_an_error)
{
	static const char   text[] = WEB "backlog = 5\0x\nbacklog = 6\n";
	struct conf_report *report = conf_report_new();
	struct conf        *conf = conf_read_text("t.ini", span_of(text, sizeof(text) - 1), report);

	EXPECT_EQ(conf_report_errors(report), 1);
	EXPECT_EQ(conf->listeners[0]->backlog, 6);
	conf_free(conf);
	conf_report_free(report);
}

TEST(a_line_that_says_nothing_is_an_error)
{
	EXPECT(says(WEB "backlog\n",
	            "t.ini:6: not understood: a line is [section] or key = value\n"));
	EXPECT(says(WEB "backlog : 5\n",
	            "t.ini:6: a key and its value are joined by =, not by :\n"));
	EXPECT(says(WEB "= 5\n", "t.ini:6: not understood: a line is [section] or key = value\n"));
	EXPECT(says(WEB "[global] x\n",
	            "t.ini:6: nothing but a comment may stand behind a section's ]\n"));
	EXPECT(says("backlog = 5\nbacklog = 6\n" WEB,
	            "t.ini:1: a key must stand below a [section]\n"));
}

TEST(keys_below_a_broken_section_header_go_nowhere)
{
	EXPECT(says(WEB "[global\nworkers = 5\n  nonsense\nx = y\n",
	            "t.ini:6: a section's name ends with ]\n"));
}

TEST(what_continues_a_wrong_line_is_not_told_again)
{
	EXPECT(says(WEB "nosuch = 5\n  6\n  7\n", "t.ini:6: [listener web] nosuch: unknown key\n"));
	EXPECT(says(WEB "backlog : 5\n  6\n",
	            "t.ini:6: a key and its value are joined by =, not by :\n"));
}

TEST(comments_blank_lines_crlf_and_a_bom_are_taken)
{
	struct made_conf made = make_conf(
		"\xef\xbb\xbf# c\r\n[listener web] ; c\r\n\r\nlisten = 443 ; c\r\n   ; c\r\n"
		"   444\r\nproxy_pass = a;b.example:1\r\n");

	EXPECT_EQ(made.errors, 1); /* ; without a space before it is no comment */
	EXPECT_EQ(made.conf->listeners[0]->listen_count, 2);
	made_free(&made);
}

TEST(a_variable_is_replaced_by_the_environments)
{
	struct made_conf made;

	setenv("CONF_TEST_PORT", "8443", 1);
	setenv("CONF_TEST_NET", "192.0.2", 1);
	made = make_conf(
		"[listener web]\nlisten = ${CONF_TEST_NET}.7:${CONF_TEST_PORT}\nproxy_pass = a:1\n"
		"[log l]\npath = /x/$HOME/$$/$\n");
	EXPECT_EQ(made.errors, 0);
	EXPECT(strcmp(made.conf->listeners[0]->listens[0].text, "192.0.2.7:8443") == 0);
	EXPECT(strcmp(made.conf->logs[0]->path, "/x/$HOME/$$/$") == 0);
	made_free(&made);
}

TEST(a_tab_is_as_good_as_a_space)
{
	setenv("CONF_TEST_PORT", "8443", 1);
	EXPECT(is_silent("[listener\tweb]\nlisten\t=\t443\nproxy_pass = up\n[upstream up]\n"
	                 "server = a:${CONF_TEST_PORT}\tweight=2\n"));
}

TEST(a_variable_that_is_not_there_is_an_error)
{
	unsetenv("CONF_TEST_NOT");
	EXPECT(says(WEB "backlog = ${CONF_TEST_NOT}\n",
	            "t.ini:6: ${CONF_TEST_NOT}: no such variable in the environment\n"));
	EXPECT(says(WEB "backlog = ${CONF_TEST_NOT\n",
	            "t.ini:6: ${ begins a variable's name, which } must end\n"));
	EXPECT(mentions(WEB "backlog = ${}\n", "${ begins a variable's name"));
}

TEST(a_variable_cannot_smuggle_a_comment_a_line_or_another_variable)
{
	setenv("CONF_TEST_BAD", "x ;y", 1);
	EXPECT(mentions(WEB "interface = ${CONF_TEST_BAD}\n", "the value would hold a comment"));
	setenv("CONF_TEST_BAD", "x\nbacklog = 5", 1);
	EXPECT(mentions(WEB "interface = ${CONF_TEST_BAD}\n",
	                "the value would hold a control character"));
	setenv("CONF_TEST_BAD", "{HOME}", 1);
	EXPECT(mentions(WEB "interface = $${CONF_TEST_BAD}\n", "the value would hold ${"));
	setenv("CONF_TEST_BAD", "", 1);
	EXPECT(mentions(WEB "interface = ${CONF_TEST_BAD}\n", "a value is missing"));
}

TEST(an_include_is_relative_to_its_file_and_keeps_places)
{
	struct folder folder;
	const char   *path;

	folder_init(&folder);
	(void)folder_write(&folder, "b.inc",
	                   "[listener b]\nlisten = 445\nproxy_pass = up\nbacklog = x\n");
	(void)folder_write(&folder, "a.inc",
	                   "[listener a]\nlisten = 444\nproxy_pass = up\nbacklog = y\n");
	path = folder_write(&folder, "t.ini",
	                    "[global]\ninclude = *.inc\nworkers = z\n" WEB "backlog = w\n");
	EXPECT(path_says(&folder, path,
	                 "/t.ini:3: [global] workers = z: auto, or a number from 1 to 1024\n"
	                 "/t.ini:9: [listener web] backlog = w: a number from 1 to 1048576\n"
	                 "/a.inc:4: [listener a] backlog = y: a number from 1 to 1048576\n"
	                 "/b.inc:4: [listener b] backlog = x: a number from 1 to 1048576\n"));
	folder_fini(&folder);
}

TEST(an_include_that_matches_nothing_warns_but_a_missing_file_is_an_error)
{
	struct folder folder;
	const char   *path;

	folder_init(&folder);
	path = folder_write(&folder, "t.ini", "[global]\ninclude = conf.d/*.ini\n  none.ini\n" WEB);
	EXPECT(path_says(
		&folder, path,
		"/t.ini:2: warning: [global] include = conf.d/*.ini: no such file; nothing is included (L07)\n"
		"/t.ini:3: [global] include = none.ini: no such file\n"));
	folder_fini(&folder);
}

TEST(a_folder_is_taken_literally_in_an_include)
{
	struct folder folder;
	const char   *path;

	folder_init(&folder);
	if (mkdir(folder_path(&folder, "[x]*"), 0700) != 0)
		abort();
	(void)folder_write(&folder, "[x]*/a.ini", WEB);
	path = folder_write(&folder, "[x]*/t.ini", "[global]\ninclude = a.ini\n");
	EXPECT(path_says(&folder, path, ""));
	folder_fini(&folder);
}

TEST(including_in_a_circle_or_twice_is_an_error)
{
	struct folder folder;
	const char   *path;

	folder_init(&folder);
	(void)folder_write(&folder, "a.ini", "[global]\ninclude = t.ini\n");
	(void)folder_write(&folder, "b.ini", WEB);
	path = folder_write(&folder, "t.ini",
	                    "[global]\ninclude = b.ini\ninclude = a.ini\ninclude = ./b.ini\n");
	EXPECT(path_says(&folder, path,
	                 "/t.ini:4: [global] include: /./b.ini is included twice\n"
	                 "/a.ini:1: [global]: there is one of that name already, at /t.ini:1\n"
	                 "/a.ini:2: [global] include: /t.ini includes itself\n"));
	folder_fini(&folder);
}

TEST(including_too_deep_is_an_error)
{
	struct folder folder;
	char          name[16], text[64];
	const char   *path = NULL;

	folder_init(&folder);
	for (int i = SOURCE_DEPTH_MAX + 1; i >= 0; i--) {
		snprintf(name, sizeof(name), "%d.ini", i);
		snprintf(text, sizeof(text), "[global]\ninclude = %d.ini\n", i + 1);
		path = folder_write(&folder, name, i > SOURCE_DEPTH_MAX ? "" : text);
	}
	{
		struct made_conf made = make_conf_from(path);

		EXPECT(strstr(made.said, "/11.ini would be included more than 10 deep"));
		made_free(&made);
	}
	folder_fini(&folder);
}

TEST(what_is_no_regular_file_is_not_included)
{
	struct folder folder;
	const char   *path, *fifo;

	folder_init(&folder);
	fifo = folder_path(&folder, "fifo");
	if (mkfifo(fifo, 0600) != 0)
		abort();
	path = folder_write(&folder, "t.ini", "[global]\ninclude = fifo\ninclude = .\n" WEB);
	EXPECT(path_says(&folder, path,
	                 "/t.ini:2: [global] include: /fifo is not a regular file\n"
	                 "/t.ini:3: [global] include: /. is a folder\n"));
	folder_fini(&folder);
}

TEST(a_file_that_cannot_be_read_is_told)
{
	struct made_conf made = make_conf_from("/nonexistent/t.ini");

	EXPECT(strcmp(made.said,
	              "/nonexistent/t.ini: cannot be read: No such file or directory\n") == 0);
	made_free(&made);
	made = make_conf_from("/");
	EXPECT(strcmp(made.said, "/: is a folder\n") == 0);
	made_free(&made);
}

TEST(text_in_memory_includes_nothing)
{
	EXPECT(mentions("[global]\ninclude = /etc/*\n", "only a file can include another"));
}

int main(void)
{
	return test_main();
}
