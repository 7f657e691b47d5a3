/*
 * ctl: `penstock ctl`: hands a command to the running program and shows what it answers.
 *
 * Knows no command: the words go to the program as they are, its answer comes back as text and an
 * exit code. Called by main.
 */
#ifndef PROCESS_CTL_H
#define PROCESS_CTL_H

#include "process/options.h"

/* The exit code: the program's, or 1 when it could not be asked (told on stderr). */
MUST_CHECK int ctl_run(const struct options *options);

#endif
