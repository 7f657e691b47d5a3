/* [global] admin_socket, and how penstock ctl finds it in a file that may be in the making. */
#include "conf_maker.h"
#include "test.h"

static const char listener[] = "[listener w]\nlisten = 443\nproxy_pass = 10.0.0.1:443\n";

/* Of a file that begins with *global*; "" when there is none. */
static const char *socket_of(const char *global, size_t errors)
{
	static char      path[256];
	struct made_conf made;
	char             text[1024];

	snprintf(text, sizeof(text), "[global]\n%s\n%s", global, listener);
	made = make_conf(text);
	EXPECT_EQ(made.errors, errors);
	if (made.errors != errors)
		printf("%s", made.said);
	snprintf(path, sizeof(path), "%s",
	         made.conf->global.admin_socket ? made.conf->global.admin_socket : "");
	made_free(&made);
	return path;
}

TEST(there_is_no_admin_socket_unless_one_is_set)
{
	EXPECT(strcmp(socket_of("", 0), "") == 0);
	EXPECT(strcmp(socket_of("admin_socket = /run/penstock/ctl", 0), "/run/penstock/ctl") == 0);
}

TEST(an_admin_socket_is_an_absolute_path_that_the_kernel_takes)
{
	char line[256] = "admin_socket = /";

	EXPECT(strcmp(socket_of("admin_socket = ctl.sock", 1), "") == 0);
	EXPECT(strcmp(socket_of("admin_socket = unix:/ctl.sock", 1), "") == 0);
	EXPECT(strcmp(socket_of("admin_socket = /", 1), "") == 0);
	memset(line + strlen(line), 'a', 106);
	EXPECT_EQ(strlen(socket_of(line, 0)), 107);
	strcat(line, "a");
	EXPECT(strcmp(socket_of(line, 1), "") == 0);
}

TEST(a_file_with_errors_still_tells_its_admin_socket)
{
	EXPECT(strcmp(socket_of("workers = many\nadmin_socket = /run/ctl\ncolour = blue\n"
	                        "[route r]\nserver_name = x\nproxy_pass = nowhere\n[what]\n",
	                        4),
	              "/run/ctl") == 0);
}

int main(void)
{
	return test_main();
}
