/*
 * aborts: whether a call ends the program, as the breach of an ownership rule must; asked of a
 * child.
 */
#ifndef TESTS_UNIT_ABORTS_H
#define TESTS_UNIT_ABORTS_H

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static bool aborts(void (*call)(void *), void *argument)
{
	int   status = 0;
	pid_t child;

	fflush(stdout);
	child = fork();
	if (child == 0) {
		const struct rlimit no_core = {0, 0};
		int                 nowhere = open("/dev/null", O_WRONLY);

		setrlimit(RLIMIT_CORE, &no_core);
		dup2(nowhere, STDERR_FILENO);
		call(argument);
		_exit(0);
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		return false;
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

#endif
