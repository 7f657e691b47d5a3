#include "conf/source.h"

#include "conf/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINT_NOTHING_INCLUDED = 7 }; /* the table of lints is in lint.c */

struct source_file {
	const char         *path;
	dev_t               device;
	ino_t               inode;
	bool                is_open; /* being read now: including it again is a cycle */
	struct source_file *next;
};

static void read_file(struct source *source, const char *path, struct conf_pos from,
                      unsigned depth);

/* glob's callback has no argument of ours. */
static _Thread_local int glob_errno;

static int on_glob_error(const char *path, int error)
{
	(void)path;
	if (error == ENOENT || error == ENOTDIR)
		return 0; /* the same as matching nothing */
	glob_errno = error;
	return 1;
}

/* The folder of *path* with its slash, such that glob takes every byte of it literally. */
static char *folder_pattern(struct source *source, const char *path, const char *pattern)
{
	const char *slash = strrchr(path, '/');
	size_t      folder_len = *pattern != '/' && slash ? (size_t)(slash + 1 - path) : 0;
	char       *out = arena_try(source->arena, folder_len * 2 + strlen(pattern) + 1);
	size_t      len = 0;

	if (!out)
		return 0;
	for (size_t i = 0; i < folder_len; i++) {
		if (strchr("*?[]\\", path[i]))
			out[len++] = '\\';
		out[len++] = path[i];
	}
	strcpy(out + len, pattern);
	return out;
}

static void include(struct source *source, const struct source_entry *entry, unsigned depth)
{
	char   shown[REPORT_VALUE_MAX];
	char  *pattern = folder_pattern(source, entry->pos.file, entry->value);
	glob_t found = {0};
	int    result;

	if (!pattern) {
		source->no_memory = true;
		return;
	}
	report_value(entry->value, shown);
	result = glob(pattern, 0, on_glob_error, &found);
	if (result == 0) {
		for (size_t i = 0; i < found.gl_pathc; i++)
			read_file(source, found.gl_pathv[i], entry->pos, depth);
	} else if (result == GLOB_NOSPACE) {
		source->no_memory = true;
	} else if (result == GLOB_ABORTED) {
		conf_error(source->report, entry->pos, "[global] include = %s: cannot be read: %s",
		           shown, strerror(glob_errno));
	} else if (strpbrk(entry->value, "*?[")) {
		conf_warn(source->report, entry->pos, LINT_NOTHING_INCLUDED,
		          "[global] include = %s: no such file; nothing is included", shown);
	} else {
		conf_error(source->report, entry->pos, "[global] include = %s: no such file",
		           shown);
	}
	globfree(&found);
}

struct reading_file {
	struct source *source;
	unsigned       depth;
	bool           may_include;
};

static void on_entry(struct source_section *section, struct source_entry *entry, void *context)
{
	struct reading_file *reading = context;

	if (strcmp(section->title, "global") != 0 || strcmp(entry->key, "include") != 0 ||
	    entry->refused || !*entry->value)
		return;
	if (reading->may_include)
		include(reading->source, entry, reading->depth + 1);
	else
		conf_error(reading->source->report, entry->pos,
		           "[global] include: only a file can include another");
}

static void parse(struct source *source, const char *path, struct span text, unsigned depth,
                  bool may_include)
{
	struct reading_file reading = {source, depth, may_include};

	if (!lines_parse(source, path, text, on_entry, &reading))
		source->no_memory = true;
}

static PRINTF(4, 5) void refuse(struct source *source, const char *path, struct conf_pos from,
                                const char *format, ...)
{
	char    text[160];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (from.file)
		conf_error(source->report, from, "[global] include: %s %s", path, text);
	else
		conf_error(source->report, (struct conf_pos){path, 0}, "%s", text);
}

/* The whole file; data NULL: an error has been told. A pipe is fine: `-c <(generator)`. */
static struct span slurp(struct source *source, int fd, const char *path, struct conf_pos from,
                         size_t expected)
{
	size_t   room = min_size(expected, SOURCE_FILE_MAX) + 4096, len = 0;
	uint8_t *text = arena_try(source->arena, room);

	while (text) {
		ssize_t got = read(fd, text + len, room - len);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			refuse(source, path, from, "cannot be read: %s", strerror(errno));
			return (struct span){0};
		}
		if (got == 0)
			return span_of(text, len);
		len += (size_t)got;
		if (len > SOURCE_FILE_MAX) {
			refuse(source, path, from, "is larger than %d MiB",
			       SOURCE_FILE_MAX / 1024 / 1024);
			return (struct span){0};
		}
		if (len == room) {
			uint8_t *larger = arena_try(source->arena, room * 2);

			if (larger)
				memcpy(larger, text, len);
			text = larger;
			room *= 2;
		}
	}
	source->no_memory = true;
	return (struct span){0};
}

static const struct source_file *already_read(const struct source *source,
                                              const struct stat   *status)
{
	const struct source_file *file;

	for (file = source->files; file; file = file->next)
		if (file->device == status->st_dev && file->inode == status->st_ino)
			return file;
	return 0;
}

/* May *path* be read? Says why not. */
static bool check_file(struct source *source, const struct stat *status, const char *path,
                       struct conf_pos from, unsigned depth)
{
	const struct source_file *again = already_read(source, status);

	if (S_ISDIR(status->st_mode))
		refuse(source, path, from, "is a folder");
	else if (from.file && !S_ISREG(status->st_mode))
		refuse(source, path, from, "is not a regular file");
	else if (again && again->is_open)
		refuse(source, path, from, "includes itself");
	else if (again)
		refuse(source, path, from, "is included twice");
	else if (depth > SOURCE_DEPTH_MAX)
		refuse(source, path, from, "would be included more than %d deep", SOURCE_DEPTH_MAX);
	else
		return true;
	return false;
}

static struct source_file *remember(struct source *source, const struct stat *status,
                                    const char *path)
{
	struct source_file *file = arena_try(source->arena, sizeof(*file));
	const char         *copy = arena_try_copy(source->arena, span_text(path));

	if (!file || !copy) {
		source->no_memory = true;
		return 0;
	}
	*file = (struct source_file){
		.path = copy, .device = status->st_dev, .inode = status->st_ino};
	file->next = source->files;
	source->files = file;
	return file;
}

static void read_open_file(struct source *source, int fd, const char *path, struct conf_pos from,
                           unsigned depth)
{
	struct source_file *file;
	struct stat         status;
	struct span         text;

	if (fstat(fd, &status) < 0) {
		refuse(source, path, from, "cannot be read: %s", strerror(errno));
		return;
	}
	if (!check_file(source, &status, path, from, depth))
		return;
	file = remember(source, &status, path);
	if (!file)
		return;
	text = slurp(source, fd, path, from, S_ISREG(status.st_mode) ? (size_t)status.st_size : 0);
	if (!text.data)
		return;
	file->is_open = true;
	report_file(source->report, file->path);
	parse(source, file->path, text, depth, true);
	file->is_open = false;
}

static void read_file(struct source *source, const char *path, struct conf_pos from, unsigned depth)
{
	/* An included FIFO without a writer must not hang us before it can be refused. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | (from.file ? O_NONBLOCK : 0));

	if (fd < 0) {
		refuse(source, path, from, "cannot be read: %s", strerror(errno));
		return;
	}
	read_open_file(source, fd, path, from, depth);
	close(fd);
}

const struct source_entry *source_find(const struct source_section *section, const char *key)
{
	const struct source_entry *entry = section->first;

	while (entry && strcmp(entry->key, key) != 0)
		entry = entry->next;
	return entry;
}

static void source_init(struct source *source, struct arena *arena, struct conf_report *report)
{
	*source = (struct source){.arena = arena, .report = report};
}

bool source_read(struct source *source, struct arena *arena, struct conf_report *report,
                 const char *path)
{
	source_init(source, arena, report);
	report_file(report, path);
	read_file(source, path, (struct conf_pos){0}, 0);
	return !source->no_memory;
}

bool source_read_text(struct source *source, struct arena *arena, struct conf_report *report,
                      const char *name, struct span text)
{
	source_init(source, arena, report);
	report_file(report, name);
	parse(source, name, text, 0, false);
	return !source->no_memory;
}
