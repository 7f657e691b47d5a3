/* What a running process cannot change it keeps, and says so. */
#include "conf/keys.h"

#include "conf_maker.h"
#include "test.h"

#include <unistd.h>

#define WEB "[listener web]\nlisten = 127.0.0.1:443\nproxy_pass = 127.0.0.1:1\n"

/* Every key that is fixed, each on a line of its own, from line 2 on. */
#define FIRST                                                                                      \
	"[global]\n"                                                                               \
	"cpu_affinity = 0-3\n"                                                                     \
	"max_connections = 1000\n"                                                                 \
	"ring_entries = 256\n"                                                                     \
	"recv_buffers = 128\n"                                                                     \
	"buffer_size = 8k\n"                                                                       \
	"zero_copy = splice\n"                                                                     \
	"splice_min = 32k\n"                                                                       \
	"pipe_pool = 10\n"                                                                         \
	"pipe_size = 64k\n"                                                                        \
	"pid_file = /run/first.pid\n"                                                              \
	"admin_socket = /run/first.sock\n"                                                         \
	"metrics_listen = 127.0.0.1:9001\n"                                                        \
	"splice_wait = off\n"                                                                      \
	"busy_poll = 50us\n"                                                                       \
	"user = first\n"                                                                           \
	"group = firsts\n"
#define SECOND                                                                                     \
	"[global]\n"                                                                               \
	"cpu_affinity = off\n"                                                                     \
	"max_connections = 2000\n"                                                                 \
	"ring_entries = 512\n"                                                                     \
	"recv_buffers = auto\n"                                                                    \
	"buffer_size = 16k\n"                                                                      \
	"zero_copy = copy\n"                                                                       \
	"splice_min = auto\n"                                                                      \
	"pipe_pool = 0\n"                                                                          \
	"pipe_size = 128k\n"                                                                       \
	"pid_file = /run/second.pid\n"                                                             \
	"admin_socket = /run/second.sock\n"                                                        \
	"metrics_listen = 127.0.0.1:9002\n"                                                        \
	"splice_wait = 1ms\n"                                                                      \
	"busy_poll = off\n"                                                                        \
	"user = second\n"                                                                          \
	"group = seconds\n"

enum { FIXED = 16 }; /* lines of either, without the first */

static char path[] = P_tmpdir "/penstock-test-XXXXXX";

static void write_file(const char *text)
{
	FILE *file = fopen(path, "w");

	EXPECT(file && fputs(text, file) >= 0);
	EXPECT(file && fclose(file) == 0);
}

/* *text* read by a process that runs by *running*. */
static struct made_conf make_again(const char *text, const struct made_conf *running)
{
	struct made_conf made = {.report = conf_report_new()};

	write_file(text);
	made.conf = conf_read_again(path, &running->conf->global, made.report);
	return make_done(made);
}

/* A message about *path*, at *line*; 0 = of no line. */
static bool has_line(const struct made_conf *made, unsigned line, const char *message)
{
	char wanted[512];
	bool found;

	if (line)
		snprintf(wanted, sizeof(wanted), "%s:%u: warning: %s (L11)\n", path, line, message);
	else
		snprintf(wanted, sizeof(wanted), "%s: warning: %s (L11)\n", path, message);
	found = strstr(made->said, wanted) != NULL;
	if (!found)
		printf("  said:\n%s  not:\n%s", made->said, wanted);
	return found;
}

static size_t count_lines(const char *text)
{
	size_t count = 0;

	for (; *text; text++)
		count += *text == '\n';
	return count;
}

static bool has_key(const struct made_conf *made, const char *name)
{
	char wanted[128];

	snprintf(wanted, sizeof(wanted), "[global] %s = ", name);
	return strstr(made->said, wanted) != NULL;
}

TEST(every_key_that_needs_a_restart_keeps_its_value_and_says_so)
{
	struct made_conf first = make_conf(FIRST WEB);
	struct made_conf second = make_again(SECOND WEB, &first);

	EXPECT_EQ(second.errors, 0);
	EXPECT_EQ(count_lines(second.said), FIXED);
	EXPECT(has_line(&second, 2, "[global] cpu_affinity = off: keeps 0-3 until a restart"));
	EXPECT(has_line(&second, 5, "[global] recv_buffers = auto: keeps 128 until a restart"));
	EXPECT(has_line(&second, 7, "[global] zero_copy = copy: keeps splice until a restart"));
	EXPECT(has_line(&second, 17, "[global] group = seconds: keeps firsts until a restart"));
	EXPECT(strcmp(first.printed, second.printed) == 0);
	for (const struct key *key = keys; key < keys + keys_count; key++)
		if ((key->flags & KEY_FIXED) && key->kind != &value_later)
			EXPECT(has_key(&second, key->name) || (printf("  %s\n", key->name), false));
	made_free(&first);
	made_free(&second);
}

TEST(the_kept_values_outlive_the_configuration_that_they_come_from)
{
	struct made_conf first = make_conf(FIRST WEB);
	struct made_conf second = make_again(SECOND WEB, &first);
	struct made_conf third;

	made_free(&first);
	third = make_again(SECOND WEB, &second);
	made_free(&second);
	EXPECT_EQ(count_lines(third.said), FIXED);
	EXPECT(strcmp(third.conf->global.user, "first") == 0);
	EXPECT(strcmp(third.conf->global.cpu_affinity, "0-3") == 0);
	EXPECT_EQ(third.conf->global.ring_entries, 256);
	made_free(&third);
}

TEST(a_key_that_is_taken_out_keeps_its_value)
{
	struct made_conf first = make_conf(FIRST WEB);
	struct made_conf second = make_again(WEB, &first);

	EXPECT(has_line(&second, 0,
	                "[global] pid_file is not set: keeps /run/first.pid until a restart"));
	EXPECT(has_line(&second, 0, "[global] pipe_size = auto: keeps 64k until a restart"));
	EXPECT_EQ(count_lines(second.said), FIXED);
	EXPECT(strcmp(first.printed, second.printed) == 0);
	made_free(&first);
	made_free(&second);
}

TEST(a_key_that_was_not_set_stays_so)
{
	struct made_conf first = make_conf(WEB);
	struct made_conf second = make_again(SECOND WEB, &first);

	EXPECT(has_line(&second, 16, "[global] user = second: stays unset until a restart"));
	EXPECT(has_line(&second, 6, "[global] buffer_size = 16k: keeps auto until a restart"));
	EXPECT(!second.conf->global.user && !second.conf->global.group);
	EXPECT(!second.conf->global.pid_file);
	EXPECT(strcmp(first.printed, second.printed) == 0);
	made_free(&first);
	made_free(&second);
}

TEST(what_did_not_change_is_not_spoken_of)
{
	struct made_conf first = make_conf(FIRST WEB);
	struct made_conf second = make_again("[global]\nworkers = 2\n" WEB, &first);
	struct made_conf third = make_again(FIRST WEB, &first);
	struct made_conf plain = make_conf(WEB);
	struct made_conf same = make_again("[global]\npipe_pool = auto\n" WEB, &plain);

	EXPECT(!strstr(second.said, "workers"));
	EXPECT_EQ(count_lines(third.said), 0);
	EXPECT_EQ(count_lines(same.said), 0);
	made_free(&first);
	made_free(&second);
	made_free(&third);
	made_free(&plain);
	made_free(&same);
}

TEST(the_other_keys_take_their_new_values)
{
	struct made_conf first = make_conf("[global]\nworkers = 1\ndrain_timeout = 1s\n" WEB);
	struct made_conf second = make_again(
		"[global]\nworkers = 3\ndrain_timeout = 2s\nerror_log = stderr debug\n" WEB
		"preread_buffer_size = 64k\n",
		&first);

	EXPECT_EQ(count_lines(second.said), 0);
	EXPECT_EQ(second.conf->global.workers, 3);
	EXPECT_EQ(second.conf->global.drain_timeout_ms, 2000);
	EXPECT_EQ(second.conf->global.error_level, LEVEL_DEBUG);
	EXPECT_EQ(second.conf->listeners[0]->preread_buffer_size, 64 * 1024);
	made_free(&first);
	made_free(&second);
}

TEST(a_file_with_errors_is_refused_for_those_alone)
{
	struct made_conf first = make_conf(FIRST WEB);
	struct made_conf second = make_again("[global]\nring_entries = 9\nuser = second\n" WEB,
	                                     &first);

	EXPECT_EQ(second.errors, 1);
	EXPECT(strstr(second.said, ":2: [global] ring_entries = 9: "));
	EXPECT_EQ(count_lines(second.said), 1);
	made_free(&first);
	made_free(&second);
}

TEST(an_unprintable_value_does_not_reach_the_terminal)
{
	struct made_conf first = make_conf("[global]\npid_file = /run/\x1b[2J\n" WEB);
	struct made_conf second = make_again(WEB, &first);

	EXPECT(has_line(&second, 0,
	                "[global] pid_file is not set: keeps /run/?[2J until a restart"));
	EXPECT(strcmp(second.conf->global.pid_file, "/run/\x1b[2J") == 0);
	made_free(&first);
	made_free(&second);
}

int main(void)
{
	int fd = mkstemp(path), failed;

	if (fd < 0)
		return 1;
	close(fd);
	failed = test_main();
	unlink(path);
	return failed;
}
