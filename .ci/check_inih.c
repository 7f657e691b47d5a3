/* Is this inih built as conf needs it? Exit 0 if line numbers come, sections are announced, and a
 * long line, key and section name arrive whole. Run by meson at configure time. */
#include <ini.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { SECTION_LEN = 200, KEY_LEN = 300, VALUE_LEN = 16000 };

static bool section_seen, value_seen, more_seen;

static int see(void *unused, const char *section, const char *name, const char *value, int line)
{
	(void)unused;
	if (!name)
		section_seen = line == 1 && strlen(section) == SECTION_LEN;
	else if (line == 2)
		value_seen = strlen(section) == SECTION_LEN && strlen(name) == KEY_LEN &&
		             strlen(value) == VALUE_LEN;
	else if (line == 3)
		more_seen = strlen(name) == KEY_LEN && strcmp(value, "more") == 0;
	return 1;
}

int main(void)
{
	static char section[SECTION_LEN + 1], key[KEY_LEN + 1], value[VALUE_LEN + 1], text[20000];

	memset(section, 's', SECTION_LEN);
	memset(key, 'k', KEY_LEN);
	memset(value, 'v', VALUE_LEN);
	snprintf(text, sizeof(text), "[%s]\n%s = %s ; comment\n\tmore\n", section, key, value);
	if (ini_parse_string(text, see, NULL) != 0)
		return 1;
	return section_seen && value_seen && more_seen ? 0 : 1;
}
