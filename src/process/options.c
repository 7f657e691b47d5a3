#include "process/options.h"

#include <getopt.h>
#include <stdarg.h>
#include <string.h>

static const char default_file[] = "/etc/penstock/penstock.ini";

enum { LONG_LISTENER = 256, LONG_ALPN, LONG_FROM, LONG_REFERENCE };

static const struct option long_options[] = {
	{"listener", required_argument, NULL, LONG_LISTENER},
	{"alpn", required_argument, NULL, LONG_ALPN},
	{"from", required_argument, NULL, LONG_FROM},
	{"reference", no_argument, NULL, LONG_REFERENCE},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{NULL, 0, NULL, 0},
};

/* What was seen, before it is known whether it belongs together. */
struct seen {
	const char *flag; /* the one of -t -T -V -h --reference that was given, NULL = none */
	const char *explain_option;
	const char *from;
};

static bool PRINTF(2, 3) refuse(char why[256], const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(why, 256, format, arguments);
	va_end(arguments);
	return false;
}

/* -T is -t and more, and asking for help or the version outweighs both. */
static void take_command(struct options *options, struct seen *seen, enum options_command command,
                         const char *flag)
{
	if (command > options->command)
		options->command = command;
	seen->flag = flag;
}

static bool take_option(int option, char **argv, struct options *options, struct seen *seen,
                        char why[256])
{
	switch (option) {
	case 'c':
		options->file = optarg;
		return true;
	case 't':
		take_command(options, seen, OPTIONS_CHECK, "-t");
		return true;
	case 'T':
		take_command(options, seen, OPTIONS_PRINT, "-T");
		return true;
	case 'V':
		take_command(options, seen, OPTIONS_VERSION, "-V");
		return true;
	case 'h':
		take_command(options, seen, OPTIONS_HELP, "-h");
		return true;
	case LONG_REFERENCE:
		take_command(options, seen, OPTIONS_REFERENCE, "--reference");
		return true;
	case LONG_LISTENER:
		options->listener = seen->explain_option = optarg;
		return true;
	case LONG_ALPN:
		options->alpn = seen->explain_option = optarg;
		return true;
	case LONG_FROM:
		seen->from = seen->explain_option = optarg;
		return true;
	case ':':
		return refuse(why, "option %s needs a value", argv[optind - 1]);
	default:
		return refuse(why, "unknown option %s", argv[optind - 1]);
	}
}

static bool take_from(struct options *options, const struct seen *seen, char why[256])
{
	if (!seen->from || addr_parse_ip(span_text(seen->from), &options->from))
		return true;
	return refuse(why, "--from %.100s: not an IP address", seen->from);
}

static bool take_explain(int words, char **word, struct options *options, const struct seen *seen,
                         char why[256])
{
	if (words < 2)
		return refuse(why, "%s: which NAME? (\"\" or none: a hello without one)", word[0]);
	if (words > 2)
		return refuse(why, "unexpected argument %.100s", word[2]);
	options->command = OPTIONS_EXPLAIN;
	options->name = strcmp(word[1], "none") == 0 ? "" : word[1];
	return take_from(options, seen, why);
}

static bool take_words(int words, char **word, struct options *options, const struct seen *seen,
                       char why[256])
{
	bool explain = words > 0 && strcmp(word[0], "explain") == 0;

	if (seen->explain_option && !explain)
		return refuse(why, "%s", "--listener, --alpn and --from belong to explain");
	/* Help is given wherever it is asked for. */
	if (words == 0 || options->command == OPTIONS_HELP)
		return true;
	if (seen->flag)
		return refuse(why, "unexpected argument %.100s", word[0]);
	if (explain)
		return take_explain(words, word, options, seen, why);
	if (strcmp(word[0], "check-host") == 0)
		options->command = OPTIONS_CHECK_HOST;
	else
		return refuse(why, "unknown command %.100s", word[0]);
	return true;
}

/* What follows ctl's own options is the running program's to understand. *argv* begins with
 * "ctl". */
static bool parse_ctl(int argc, char **argv, struct options *options, char why[256])
{
	static const struct option help[] = {{"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	int                        option;

	options->command = OPTIONS_CTL;
	while ((option = getopt_long(argc, argv, "+:s:c:h", help, NULL)) != -1) {
		switch (option) {
		case 's':
			options->socket = optarg;
			break;
		case 'c':
			options->file = optarg;
			break;
		case 'h':
			options->command = OPTIONS_CTL_HELP;
			return true;
		case ':':
			return refuse(why, "ctl: option %s needs a value", argv[optind - 1]);
		default:
			return refuse(why, "ctl: unknown option %s", argv[optind - 1]);
		}
	}
	if (optind == argc)
		return refuse(why, "%s", "ctl: which command? penstock ctl -h lists them");
	options->words = (const char *const *)(argv + optind);
	options->word_count = (size_t)(argc - optind);
	return true;
}

bool options_parse(int argc, char **argv, struct options *options, char why[256])
{
	struct seen seen = {0};
	int         option;

	*options = (struct options){.command = OPTIONS_RUN, .file = default_file};
	why[0] = '\0';

	optind = 0; /* 0, not 1: getopt forgets an earlier run */
	opterr = 0;
	if (argc > 1 && strcmp(argv[1], "ctl") == 0)
		return parse_ctl(argc - 1, argv + 1, options, why);
	while ((option = getopt_long(argc, argv, ":c:tTVh", long_options, NULL)) != -1)
		if (!take_option(option, argv, options, &seen, why))
			return false;
	return take_words(argc - optind, argv + optind, options, &seen, why);
}

void options_print_help(FILE *to)
{
	fprintf(to,
	        "penstock: routes TLS connections by their server name, without decrypting them\n"
	        "\n"
	        "penstock [-c FILE]      run in the foreground (default %s)\n"
	        "penstock -t [-c FILE]   check the configuration; open no port\n"
	        "penstock -T [-c FILE]   the same, then print it with all defaults filled in\n"
	        "penstock -V             print versions and the kernel's features\n"
	        "penstock -h             print this help\n"
	        "penstock --reference    print every key of the configuration as a page of Markdown\n"
	        "penstock explain [-c FILE] NAME [--listener L] [--alpn P[,P]] [--from IP]\n"
	        "                        print which route, mode and upstream a hello with this name would get on each\n"
	        "                        listener (or on L), which rule won and which lost, and why; \"\" or none is a\n"
	        "                        hello without a name. It offers TLS 1.2 and 1.3. Exit code 0 if a listener\n"
	        "                        would pass it on, 1 if none would.\n"
	        "penstock check-host     print what on this host is missing or too small, with the command that mends it;\n"
	        "                        exit code 1 if penstock could not run here\n"
	        "penstock ctl [-s SOCKET] [-c FILE] COMMAND... [--json]\n"
	        "                        ask the running penstock through its admin_socket; penstock ctl -h lists the\n"
	        "                        commands\n"
	        "\n"
	        "Signals: HUP reload (not supported yet), USR1 reopen logs, QUIT drain and exit, TERM or INT stop now.\n"
	        "Exit code: 0 ok, 1 configuration or start-up error, 2 wrong command line.\n",
	        default_file);
}
