/*
 * options: the command line, as INTERFACE's table "The program" promises it.
 *
 * Reads words, decides nothing: what is wrong comes back as one line for the user (exit code 2 is
 * main's).
 */
#ifndef PROCESS_OPTIONS_H
#define PROCESS_OPTIONS_H

#include "base/util.h"
#include "proto/addr.h"

#include <stdbool.h>
#include <stdio.h>

enum options_command {
	OPTIONS_RUN,
	OPTIONS_CHECK,     /* -t */
	OPTIONS_PRINT,     /* -T */
	OPTIONS_VERSION,   /* -V */
	OPTIONS_REFERENCE, /* --reference */
	OPTIONS_HELP,      /* -h */
	OPTIONS_EXPLAIN,
	OPTIONS_CHECK_HOST,
	OPTIONS_CTL,
	OPTIONS_CTL_HELP, /* ctl -h */
};

struct options {
	enum options_command command;
	const char          *file; /* -c, or the default */
	/* explain's; NULL = not given */
	const char *name; /* "" for no SNI (written as nothing or as `none`) */
	const char *listener;
	const char *alpn; /* comma-separated protocol ids */
	struct addr from; /* ADDR_NONE = not given */
	/* ctl's */
	const char        *socket; /* -s; NULL = not given */
	const char *const *words;  /* the command, which is not ours to judge */
	size_t             word_count;
};

/* False: *why* tells what is wrong. Strings point into *argv*. */
MUST_CHECK bool options_parse(int argc, char **argv, struct options *options, char why[256]);

void options_print_help(FILE *to);

#endif
