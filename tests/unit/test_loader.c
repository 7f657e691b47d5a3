/* A configuration that is read beside a running one: what comes of it, and what never waits for
 * it. */
#include "process/loader.h"

#include "report_text.h"
#include "test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED 1 /* keeps freed memory for a while */
#else
#define IS_SANITIZED 0
#endif

#define WEB "[listener web]\nlisten = 127.0.0.1:443\nproxy_pass = site\n"

enum { PATIENCE_MS = 60000 }; /* for what must happen; reached only by a failure */

static char directory[] = P_tmpdir "/penstock-test-XXXXXX";
static char path[sizeof(directory) + 16], fifo[sizeof(directory) + 16];

static void write_file(const char *text)
{
	FILE *file = fopen(path, "w");

	EXPECT(file && fputs(text, file) >= 0);
	EXPECT(file && fclose(file) == 0);
}

static void wait_until_done(const struct loader *loader)
{
	struct pollfd done = {.fd = loader->done_fd, .events = POLLIN};

	EXPECT_EQ(poll(&done, 1, PATIENCE_MS), 1);
}

/* A process that runs by some text, and its loader. */
struct running {
	struct loaded loaded;
	struct loader loader;
};

static bool running_init(struct running *running, const char *text)
{
	write_file(text);
	EXPECT(loader_read(path, &running->loaded));
	if (!running->loaded.snapshot)
		conf_report_print(running->loaded.report, stdout);
	EXPECT_EQ(loader_init(&running->loader), 0);
	return running->loaded.snapshot != NULL;
}

static void running_fini(struct running *running)
{
	EXPECT(loader_stop(&running->loader));
	loaded_fini(&running->loaded);
}

static int begin(struct running *running, const char *file)
{
	struct loader_job job = {
		.file = file,
		.registry = running->loaded.registry,
		.running = running->loaded.snapshot,
		.sizes = &running->loaded.sizes,
	};

	return loader_start(&running->loader, &job);
}

static void reload(struct running *running, const char *text, struct loaded *loaded)
{
	write_file(text);
	EXPECT_EQ(begin(running, path), 0);
	wait_until_done(&running->loader);
	EXPECT(loader_take(&running->loader, loaded));
}

/* What is there at *line* of the file; 0: of the file as such. */
static bool has_message(const struct loaded *loaded, unsigned line, const char *message)
{
	char wanted[512];

	if (line)
		snprintf(wanted, sizeof(wanted), "%s:%u: %s", path, line, message);
	else
		snprintf(wanted, sizeof(wanted), "%s: %s", path, message);
	return report_says(loaded->report, wanted);
}

TEST(a_file_that_is_missing_is_refused)
{
	struct loaded loaded;

	unlink(path);
	EXPECT(!loader_read(path, &loaded));
	EXPECT(!loaded.snapshot);
	EXPECT(has_message(&loaded, 0, "cannot be read: No such file"));
	EXPECT_EQ(conf_report_errors(loaded.report), 1);
	loaded_fini(&loaded);
}

TEST(the_hosts_the_users_and_the_names_errors_are_told_together)
{
	struct loaded loaded;

	write_file("[global]\n"
	           "max_connections = 100000000\n"
	           "user = no-such-user\n"
	           "cpu_affinity = 4095\n" WEB "[upstream site]\n"
	           "server = nowhere.invalid:443\n");
	EXPECT(!loader_read(path, &loaded));
	EXPECT(!loaded.snapshot);
	EXPECT(has_message(&loaded, 2, "[global] max_connections = 100000000: the limit of"));
	EXPECT(has_message(&loaded, 3, "[global] user = no-such-user: there is no such user"));
	EXPECT(has_message(&loaded, 4, "[global] cpu_affinity = 4095: "));
	EXPECT(has_message(&loaded, 9, "[upstream site] server = nowhere.invalid:443: cannot"));
	EXPECT_EQ(conf_report_errors(loaded.report), 4);
	loaded_fini(&loaded);
}

TEST(a_reload_finds_the_running_ones_servers_again)
{
	struct running running;
	struct loaded  next;

	if (!running_init(&running, WEB "[upstream site]\nserver = 127.0.0.1:1\n"))
		return;
	reload(&running, WEB "[upstream site]\nserver = 127.0.0.1:2\nserver = 127.0.0.1:1\n",
	       &next);
	EXPECT(next.snapshot && !next.registry);
	EXPECT_EQ(conf_report_errors(next.report), 0);
	if (next.snapshot) {
		const struct upstream *before = running.loaded.snapshot->upstreams;
		const struct upstream *after = next.snapshot->upstreams;

		EXPECT_EQ(after->server_count, 2);
		EXPECT(after->states[1].state == before->states[0].state);
		EXPECT(after->states[0].state != before->states[0].state);
	}
	loaded_fini(&next);
	running_fini(&running);
}

TEST(a_reload_keeps_what_needs_a_restart_and_changes_the_workers)
{
	struct running running;
	struct loaded  next;

	if (!running_init(&running,
	                  "[global]\n"
	                  "workers = 1\n"
	                  "max_connections = 100\n"
	                  "recv_buffers = 64\n"
	                  "pipe_pool = 4\n" WEB "[upstream site]\nserver = 127.0.0.1:1\n"))
		return;
	reload(&running,
	       "[global]\n"
	       "workers = 3\n"
	       "max_connections = 50\n"
	       "recv_buffers = 128\n" WEB "[upstream site]\nserver = 127.0.0.1:1\n",
	       &next);
	EXPECT(next.snapshot != NULL);
	EXPECT(has_message(
		&next, 3,
		"warning: [global] max_connections = 50: keeps 100 until a restart (L11)"));
	EXPECT(has_message(&next, 4, "warning: [global] recv_buffers = 128: keeps 64 until"));
	EXPECT(has_message(&next, 0, "warning: [global] pipe_pool = auto: keeps 4 until"));
	EXPECT_EQ(next.sizes.workers, 3);
	EXPECT_EQ(next.sizes.nofile, running.loaded.sizes.nofile);
	EXPECT_EQ(next.sizes.worker.max_connections, 100);
	EXPECT_EQ(next.sizes.worker.recv_buffers, 64);
	EXPECT_EQ(next.sizes.worker.pipe_pool, 4);
	loaded_fini(&next);
	running_fini(&running);
}

TEST(a_refused_reload_tells_every_error_and_the_next_may_succeed)
{
	struct running running;
	struct loaded  next;

	if (!running_init(&running, WEB "[upstream site]\nserver = 127.0.0.1:1\n"))
		return;
	reload(&running,
	       "[global]\nworkers = 0\n" WEB "proxy_timeout = 5\n[route a]\nmod = reject\n", &next);
	EXPECT(!next.snapshot);
	EXPECT(has_message(&next, 2, "[global] workers = 0: "));
	EXPECT(has_message(&next, 5, "[listener web] proxy_pass = site: "));
	EXPECT(has_message(&next, 6, "[listener web] proxy_timeout = 5: "));
	EXPECT(has_message(&next, 8, "[route a] mod: unknown key"));
	loaded_fini(&next);

	reload(&running, WEB "[upstream site]\nserver = nowhere.invalid:443\n", &next);
	EXPECT(!next.snapshot);
	EXPECT(has_message(&next, 5, "[upstream site] server = nowhere.invalid:443: cannot"));
	loaded_fini(&next);

	unlink(path);
	EXPECT_EQ(begin(&running, path), 0);
	wait_until_done(&running.loader);
	EXPECT(loader_take(&running.loader, &next));
	EXPECT(!next.snapshot);
	EXPECT(has_message(&next, 0, "cannot be read: No such file"));
	loaded_fini(&next);

	reload(&running, WEB "[upstream site]\nserver = 127.0.0.1:9\n", &next);
	EXPECT(next.snapshot != NULL);
	loaded_fini(&next);
	running_fini(&running);
}

TEST(no_other_is_begun_while_one_is_under_way)
{
	struct running running;
	struct loaded  next;
	int            fd;

	if (!running_init(&running, WEB "[upstream site]\nserver = 127.0.0.1:1\n"))
		return;
	EXPECT(!loader_take(&running.loader, &next));
	/* Until a writer comes, opening it waits. */
	EXPECT_EQ(begin(&running, fifo), 0);
	EXPECT_EQ(begin(&running, path), -EBUSY);
	EXPECT(!loader_take(&running.loader, &next));
	fd = open(fifo, O_WRONLY | O_CLOEXEC);
	EXPECT(write(fd, "[listener l]\n", 13) == 13);
	close(fd);
	wait_until_done(&running.loader);
	EXPECT_EQ(begin(&running, path), -EBUSY);
	EXPECT(loader_take(&running.loader, &next));
	EXPECT(report_says(next.report, "[listener l] listen is required"));
	EXPECT(!loader_take(&running.loader, &next));
	loaded_fini(&next);
	running_fini(&running);
}

/* Were it to wait, this would hang: nobody writes until it has returned. */
TEST(the_end_does_not_wait_for_one_that_is_stuck)
{
	static struct running running;
	uint64_t              count;
	int                   fd;

	if (!running_init(&running, WEB "[upstream site]\nserver = 127.0.0.1:1\n"))
		return;
	EXPECT_EQ(begin(&running, fifo), 0);
	EXPECT(!loader_stop(&running.loader));
	/* A process would leave by _exit here; the test lets the thread come to its end. */
	fd = open(fifo, O_WRONLY | O_CLOEXEC);
	close(fd);
	wait_until_done(&running.loader);
	EXPECT(read(running.loader.done_fd, &count, sizeof(count)) == sizeof(count));
	loaded_fini(&running.loader.loaded);
	close(running.loader.done_fd);
	loaded_fini(&running.loaded);
}

/* The sanitizer's leak check looks at the rest. */
TEST(a_result_that_nobody_took_is_freed_at_the_end)
{
	struct running running;

	if (!running_init(&running, WEB "[upstream site]\nserver = 127.0.0.1:1\n"))
		return;
	EXPECT_EQ(begin(&running, path), 0);
	wait_until_done(&running.loader);
	running_fini(&running);
}

/* ---- for ever ---- */

static size_t count_fds(void)
{
	DIR   *fds = opendir("/proc/self/fd");
	size_t count = 0;

	while (fds && readdir(fds))
		count++;
	if (fds)
		closedir(fds);
	return count;
}

static long resident_kib(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	long  size = 0, resident = 0;

	EXPECT(file && fscanf(file, "%ld %ld", &size, &resident) == 2);
	if (file)
		fclose(file);
	return resident * sysconf(_SC_PAGESIZE) / 1024;
}

/* Of *names* names, each with a server; the last tells one such file from another. */
static char *big_text(unsigned names, unsigned last)
{
	char  *text = NULL;
	size_t size = 0;
	FILE  *to = open_memstream(&text, &size);

	fputs("[listener web]\nlisten = 127.0.0.1:443\n[sni web]\n", to);
	for (unsigned i = 0; i < names; i++)
		fprintf(to, "host-%u.example.com = 127.0.0.1:%u\n", i, 1000 + (i + last) % names);
	fclose(to);
	return text;
}

TEST(hundreds_of_reloads_take_no_more_memory_and_files_than_a_few)
{
	enum { NAMES = 500, WARM = 20, SANITIZED = 40, RELOADS = 300, GROWTH_KIB = 512 };
	struct running running;
	char          *texts[2] = {big_text(NAMES, 0), big_text(NAMES, 1)};
	unsigned       reloads = IS_SANITIZED ? SANITIZED : RELOADS;
	size_t         fds = 0;
	long           warm_kib = 0;

	if (!running_init(&running, texts[0]))
		return;
	for (unsigned i = 1; i <= reloads; i++) {
		struct loaded next;

		reload(&running, texts[i % 2], &next);
		EXPECT(next.snapshot && next.snapshot->route_count == NAMES);
		if (next.snapshot) {
			/* As when it is published: the new one lives, the one before goes. */
			snapshot_free(running.loaded.snapshot);
			running.loaded.snapshot = loaded_take_snapshot(&next);
			running.loaded.sizes = next.sizes;
		}
		loaded_fini(&next);
		if (i == WARM) {
			warm_kib = resident_kib();
			fds = count_fds();
		}
	}
	EXPECT_EQ(count_fds(), fds);
	if (!IS_SANITIZED)
		EXPECT(resident_kib() - warm_kib < GROWTH_KIB ||
		       (printf("  %ld KiB, then %ld\n", warm_kib, resident_kib()), false));
	running_fini(&running);
	free(texts[0]);
	free(texts[1]);
}

int main(void)
{
	int failed;

	if (!mkdtemp(directory))
		return 1;
	snprintf(path, sizeof(path), "%s/penstock.ini", directory);
	snprintf(fifo, sizeof(fifo), "%s/fifo", directory);
	if (mkfifo(fifo, 0600) < 0)
		return 1;
	failed = test_main();
	unlink(path);
	unlink(fifo);
	rmdir(directory);
	return failed;
}
