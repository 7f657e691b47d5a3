#include "base/util.h"

#include <stdio.h>
#include <stdlib.h>

void die(const char *file, int line, const char *broken)
{
	fprintf(stderr, "penstock: bug: %s:%d: broken rule: %s\n", file, line, broken);
	abort();
}
