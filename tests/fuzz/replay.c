/*
 * replay: runs a fuzz target over the files of the folders that are given, each in a process of its
 * own so that one that crashes or hangs hides no other. Prints FAIL for each such file and one `ok`
 * when there was none. A folder without a file is a failure, too: it would prove nothing.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SECONDS_MAX = 20, INPUT_MAX = 1 << 20 };

/* Not a local one: a leak checker in the child must find it. */
static DIR *dir;

/* The whole file in memory of exactly its size, so that a sanitizer sees a read behind its end. */
static uint8_t *read_input(const char *path, size_t *size)
{
	struct stat stat;
	uint8_t    *data = NULL;
	int         fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return NULL;
	if (fstat(fd, &stat) == 0 && S_ISREG(stat.st_mode) && stat.st_size <= INPUT_MAX) {
		*size = (size_t)stat.st_size;
		data = malloc(*size ? *size : 1);
		if (data && read(fd, data, *size) != (ssize_t)*size) {
			free(data);
			data = NULL;
		}
	}
	close(fd);
	return data;
}

static int run_input(const char *path)
{
	size_t   size = 0;
	uint8_t *data = read_input(path, &size);

	if (!data) {
		fprintf(stderr, "%s: cannot be read: %s\n", path, strerror(errno));
		return 1;
	}
	alarm(SECONDS_MAX);
	(void)LLVMFuzzerTestOneInput(data, size);
	free(data);
	return 0;
}

/* True if the target took the file. Buffered output is flushed first, else both processes would
 * print it. */
static bool replay_file(const char *path)
{
	int   status = 0;
	pid_t child;

	fflush(NULL);
	child = fork();
	if (child == 0) /* exit, not _exit: a leak checker reports at exit */
		exit(run_input(path));
	if (child < 0 || waitpid(child, &status, 0) != child) {
		printf("FAIL %s: no process: %s\n", path, strerror(errno));
		return false;
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return true;
	if (WIFSIGNALED(status))
		printf("FAIL %s: killed by signal %d\n", path, WTERMSIG(status));
	else
		printf("FAIL %s: exit %d\n", path, WEXITSTATUS(status));
	return false;
}

static bool replay_folder(const char *folder)
{
	char           path[PATH_MAX];
	struct dirent *entry;
	size_t         files = 0, failures = 0;

	dir = opendir(folder);
	if (!dir) {
		printf("FAIL %s: %s\n", folder, strerror(errno));
		return false;
	}
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		if (snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name) >=
		    (int)sizeof(path))
			continue;
		files++;
		failures += !replay_file(path);
	}
	closedir(dir);
	if (!files)
		printf("FAIL %s: no input\n", folder);
	else if (!failures)
		printf("ok %s: %zu inputs\n", folder, files);
	return files && !failures;
}

int main(int argc, char **argv)
{
	bool all_passed = argc > 1;

	for (int i = 1; i < argc; i++)
		all_passed &= replay_folder(argv[i]);
	return all_passed ? 0 : 1;
}
