#include "tool.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void die(const char *what)
{
	give_up("%s: %s", what, strerror(errno));
}

void give_up(const char *format, ...)
{
	va_list more;

	va_start(more, format);
	fprintf(stderr, "%s: ", program_invocation_short_name);
	vfprintf(stderr, format, more);
	fputc('\n', stderr);
	va_end(more);
	exit(1);
}
