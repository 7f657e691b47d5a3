#include "base/util.h"
#include "test.h"
#include "tls/tls_library.h"

#include <stdio.h>
#include <string.h>

/* What the kernel says of the CPU, or false if it says nothing. */
static bool cpu_has(const char *feature)
{
	FILE *file = fopen("/proc/cpuinfo", "re");
	char  line[8192];
	bool  found = false;

	while (file && !found && fgets(line, sizeof(line), file))
		found = strncmp(line, "flags", 5) == 0 && strstr(line, feature);
	if (file)
		fclose(file);
	return found;
}

TEST(the_library_starts_and_says_what_it_is)
{
	EXPECT(tls_library_is_present());
	EXPECT(strncmp(tls_library_name(), "wolfSSL ", 8) == 0);
	EXPECT_EQ(tls_library_start(), 0);
	tls_library_stop();
}

TEST(the_assembly_is_on_where_the_cpu_has_its_instructions)
{
	if (TLS_IS_OUR_BUILD)
		EXPECT_EQ(tls_library_has_assembly(), cpu_has(" aes"));
	else
		EXPECT(!tls_library_has_assembly() || cpu_has(" aes"));
}

int main(void)
{
	return test_main();
}
