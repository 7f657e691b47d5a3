#include "process/options.h"

#include "test.h"

#include <string.h>

static struct options options;
static char           why[256];

/* *line* is split at spaces; `''` is an empty word. */
static bool parse(const char *line)
{
	static char  copy[256];
	static char *argv[16]; /* options may point into it */
	char        *word, *rest = copy;
	int          argc = 0;

	memset(argv, 0, sizeof(argv));
	snprintf(copy, sizeof(copy), "penstock %s", line);
	while ((word = strsep(&rest, " ")) != NULL && argc < 15)
		if (*word)
			argv[argc++] = strcmp(word, "''") == 0 ? word + 2 : word;
	return options_parse(argc, argv, &options, why);
}

TEST(no_words_run_the_default_file)
{
	EXPECT(parse(""));
	EXPECT_EQ(options.command, OPTIONS_RUN);
	EXPECT(strcmp(options.file, "/etc/penstock/penstock.ini") == 0);
}

TEST(each_flag_is_its_command)
{
	EXPECT(parse("-c a.ini") && options.command == OPTIONS_RUN &&
	       strcmp(options.file, "a.ini") == 0);
	EXPECT(parse("-t -c a.ini") && options.command == OPTIONS_CHECK &&
	       strcmp(options.file, "a.ini") == 0);
	EXPECT(parse("-c a.ini -T") && options.command == OPTIONS_PRINT);
	EXPECT(parse("-t -T") && options.command == OPTIONS_PRINT);
	EXPECT(parse("-T -t") && options.command == OPTIONS_PRINT);
	EXPECT(parse("-tc a.ini") && options.command == OPTIONS_CHECK &&
	       strcmp(options.file, "a.ini") == 0);
	EXPECT(parse("-V") && options.command == OPTIONS_VERSION);
	EXPECT(parse("-h") && options.command == OPTIONS_HELP);
	EXPECT(parse("--help") && options.command == OPTIONS_HELP);
	EXPECT(parse("explain -h") && options.command == OPTIONS_HELP);
}

TEST(explain_takes_its_options_in_any_order)
{
	EXPECT(parse(
		"explain -c a.ini app.example.com --listener web --alpn h2,http/1.1 --from 192.0.2.7"));
	EXPECT_EQ(options.command, OPTIONS_EXPLAIN);
	EXPECT(strcmp(options.name, "app.example.com") == 0);
	EXPECT(strcmp(options.listener, "web") == 0);
	EXPECT(strcmp(options.alpn, "h2,http/1.1") == 0);
	EXPECT_EQ(options.from.family, ADDR_IP4);
	EXPECT(parse("--from=2001:db8::1 explain x"));
	EXPECT_EQ(options.from.family, ADDR_IP6);
}

TEST(explain_without_a_name_is_written_as_nothing_or_none)
{
	EXPECT(parse("explain ''") && strcmp(options.name, "") == 0);
	EXPECT(parse("explain none") && strcmp(options.name, "") == 0);
	EXPECT_EQ(options.from.family, ADDR_NONE);
	EXPECT(options.listener == NULL && options.alpn == NULL);
}

TEST(check_host_takes_no_options)
{
	EXPECT(parse("check-host") && options.command == OPTIONS_CHECK_HOST);
}

TEST(ctl_hands_its_words_on_as_they_are)
{
	EXPECT(parse("ctl reload") && options.command == OPTIONS_CTL);
	EXPECT(options.socket == NULL && options.word_count == 1);
	EXPECT(strcmp(options.words[0], "reload") == 0);
	EXPECT(strcmp(options.file, "/etc/penstock/penstock.ini") == 0);
	EXPECT(parse("ctl -s /run/x -c a.ini sessions --sni -s -c --json"));
	EXPECT(strcmp(options.socket, "/run/x") == 0 && strcmp(options.file, "a.ini") == 0);
	EXPECT_EQ(options.word_count, 5);
	EXPECT(strcmp(options.words[1], "--sni") == 0 && strcmp(options.words[2], "-s") == 0);
	EXPECT(parse("ctl -h") && options.command == OPTIONS_CTL_HELP);
	EXPECT(parse("ctl --help") && options.command == OPTIONS_CTL_HELP);
}

TEST(a_wrong_command_line_is_refused_with_the_word_that_is_wrong)
{
	static const struct {
		const char *line, *says;
	} rows[] = {
		{"-x", "-x"},
		{"--nothing", "--nothing"},
		{"-c", "-c needs a value"},
		{"explain", "NAME"},
		{"explain a b", "unexpected argument b"},
		{"explain a --from host", "--from host"},
		{"explain a --listener", "--listener needs a value"},
		{"-t extra", "extra"},
		{"-t explain a", "explain"},
		{"frobnicate", "unknown command frobnicate"},
		{"--alpn h2", "belong to explain"},
		{"-t --listener web", "belong to explain"},
		{"ctl", "which command"},
		{"ctl -s", "-s needs a value"},
		{"ctl -x status", "unknown option -x"},
		{"ctl --json status", "unknown option --json"},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		EXPECT(!parse(rows[i].line));
		EXPECT(strstr(why, rows[i].says) != NULL);
		if (!strstr(why, rows[i].says))
			printf("  %s: %s\n", rows[i].line, why);
	}
}

int main(void)
{
	return test_main();
}
