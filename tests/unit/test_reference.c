/* The page that is in the tree is the one that the program prints. */
#include "conf/conf.h"
#include "test.h"

#include <stdlib.h>
#include <string.h>

static char *committed(void)
{
	FILE  *file = fopen("config/reference.md", "r");
	char  *text = NULL;
	size_t size = 0;

	if (!file || getdelim(&text, &size, '\0', file) < 0) {
		free(text);
		text = strdup("");
	}
	if (file)
		fclose(file);
	return text;
}

static char *generated(void)
{
	char  *text = NULL;
	size_t size = 0;
	FILE  *to = open_memstream(&text, &size);

	conf_print_reference(to);
	fclose(to);
	return text;
}

TEST(the_reference_page_is_up_to_date)
{
	char *page = committed(), *fresh = generated();
	bool  same = strcmp(page, fresh) == 0;

	if (!same)
		printf("  build/penstock --reference > config/reference.md makes it so\n");
	EXPECT(same);
	free(page);
	free(fresh);
}

TEST(the_reference_page_has_whole_lines_and_whole_tables)
{
	char    *fresh = generated(), *rest = fresh, *line;
	unsigned rows = 0;

	while ((line = strsep(&rest, "\n")) != NULL) {
		unsigned bars = 0;

		EXPECT(!*line || line[strlen(line) - 1] != ' ');
		for (const char *at = line; *at; at++)
			bars += *at == '|' && (at == line || at[-1] != '\\');
		EXPECT(bars == 0 || bars == 5);
		rows += bars == 5;
	}
	EXPECT(rows > 100);
	free(fresh);
}

int main(void)
{
	return test_main();
}
