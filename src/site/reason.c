#include "site/reason.h"

const char *reason_word(enum reason reason)
{
	switch (reason) {
#define X(name, word)                                                                              \
	case REASON_##name:                                                                        \
		return word;
		REASONS(X)
#undef X
	case REASON_COUNT:
		break;
	}
	/* A number that is no reason can only come from a bug of ours, which has a word of its
	 * own. */
	return "internal";
}
