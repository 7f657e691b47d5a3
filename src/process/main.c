#include "process/check_host.h"
#include "process/commands.h"
#include "process/control.h"
#include "process/ctl.h"
#include "process/explain.h"
#include "process/host.h"
#include "process/loader.h"
#include "process/options.h"
#include "tls/tls_library.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing/io_uring_version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EXIT_OK = 0, EXIT_ERROR = 1, EXIT_USAGE = 2 };

static void print_report(const struct loaded *loaded)
{
	if (loaded->report)
		conf_report_print(loaded->report, stderr);
	else
		fputs("penstock: no memory\n", stderr);
}

static void print_error_count(const char *file, const struct loaded *loaded)
{
	size_t count = loaded->report ? conf_report_errors(loaded->report) : 1;

	fprintf(stderr, "%s: %zu errors\n", file, count);
}

/* True if all that was printed has reached *stream*: a full disk behind `-T > file` is an error. */
static bool is_written(FILE *stream)
{
	if (fflush(stream) == 0 && !ferror(stream))
		return true;
	fprintf(stderr, "penstock: cannot write: %s\n", strerror(errno));
	return false;
}

static int check(const struct options *options)
{
	struct loaded loaded;
	int           exit_code = EXIT_OK;

	if (!loader_read(options->file, &loaded))
		exit_code = EXIT_ERROR;
	print_report(&loaded);
	if (exit_code == EXIT_OK)
		fprintf(stderr, "%s: configuration ok\n", options->file);
	else
		print_error_count(options->file, &loaded);
	if (exit_code == EXIT_OK && options->command == OPTIONS_PRINT) {
		conf_print(loaded.snapshot->conf, stdout);
		exit_code = is_written(stdout) ? EXIT_OK : EXIT_ERROR;
	}
	loaded_fini(&loaded);
	return exit_code;
}

static int explain_name(const struct options *options)
{
	struct loaded loaded;
	int           exit_code = EXIT_ERROR;

	if (!loader_read(options->file, &loaded)) {
		print_report(&loaded);
		print_error_count(options->file, &loaded);
		loaded_fini(&loaded);
		return EXIT_ERROR;
	}
	switch (explain(loaded.snapshot, options, stdout, stderr)) {
	case EXPLAIN_ROUTED:
		exit_code = EXIT_OK;
		break;
	case EXPLAIN_REFUSED:
		exit_code = EXIT_ERROR;
		break;
	case EXPLAIN_WRONG:
		exit_code = EXIT_USAGE;
		break;
	}
	if (!is_written(stdout))
		exit_code = EXIT_ERROR;
	loaded_fini(&loaded);
	return exit_code;
}

static int run(const struct options *options)
{
	struct loaded loaded;
	char          why[256];
	int           exit_code = EXIT_ERROR;
	int           result;

	if (!host_check(why)) {
		fprintf(stderr, "penstock: %s\n", why);
		return EXIT_ERROR;
	}
	control_block_signals();
	if (loader_read(options->file, &loaded)) {
		print_report(&loaded);
		result = host_raise_nofile(loaded.sizes.nofile);
		if (result == 0)
			exit_code = control_run(options->file, &loaded);
		else
			fprintf(stderr, "penstock: cannot raise the limit of open files: %s\n",
			        strerror(-result));
	} else {
		print_report(&loaded);
		print_error_count(options->file, &loaded);
	}
	loaded_fini(&loaded);
	return exit_code;
}

static int print_version(void)
{
	printf("penstock %s\n", PENSTOCK_VERSION);
	printf("TLS library: %s; assembly: %s\n", tls_library_name(),
	       tls_library_has_assembly() ? "on" : "off");
	printf("liburing %d.%d\n", IO_URING_VERSION_MAJOR, IO_URING_VERSION_MINOR);
	host_print_features(stdout);
	return is_written(stdout) ? EXIT_OK : EXIT_ERROR;
}

static int check_host(void)
{
	struct check_host host;
	bool              can_run;

	check_host_read(&host);
	can_run = check_host_print(&host, stdout);
	return is_written(stdout) && can_run ? EXIT_OK : EXIT_ERROR;
}

static int print_ctl_help(void)
{
	fputs("penstock ctl [-s SOCKET] [-c FILE] COMMAND... [--json]\n"
	      "\n"
	      "Asks the penstock that listens on SOCKET, by default the admin_socket of FILE. Its answer\n"
	      "is text, or JSON with --json.\n"
	      "\n",
	      stdout);
	commands_print_help(stdout);
	fputs("\nExit code: 0 done, 1 not done or nobody to ask, 2 wrong command line.\n", stdout);
	return is_written(stdout) ? EXIT_OK : EXIT_ERROR;
}

/* A standard stream that is closed would become the first socket we open, and get our error
 * messages. */
static void keep_standard_fds(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

static int run_command(const struct options *options)
{
	switch (options->command) {
	case OPTIONS_RUN:
		return run(options);
	case OPTIONS_CHECK:
	case OPTIONS_PRINT:
		return check(options);
	case OPTIONS_VERSION:
		return print_version();
	case OPTIONS_REFERENCE:
		conf_print_reference(stdout);
		return is_written(stdout) ? EXIT_OK : EXIT_ERROR;
	case OPTIONS_HELP:
		options_print_help(stdout);
		return is_written(stdout) ? EXIT_OK : EXIT_ERROR;
	case OPTIONS_EXPLAIN:
		return explain_name(options);
	case OPTIONS_CHECK_HOST:
		return check_host();
	case OPTIONS_CTL:
		return ctl_run(options);
	case OPTIONS_CTL_HELP:
		return print_ctl_help();
	}
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	struct options options;
	char           why[256];
	int            exit_code, result;

	keep_standard_fds();
	if (!options_parse(argc, argv, &options, why)) {
		fprintf(stderr, "penstock: %s; penstock -h helps\n", why);
		return EXIT_USAGE;
	}
	result = tls_library_start();
	if (result != 0) {
		fprintf(stderr, "penstock: the TLS library does not start: %s\n",
		        strerror(-result));
		return EXIT_ERROR;
	}
	exit_code = run_command(&options);
	tls_library_stop();
	return exit_code;
}
