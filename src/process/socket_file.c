#include "process/socket_file.h"

#include "io/sock.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_stale(const struct endpoint *at)
{
	struct sock_dial_options plain = {0};
	struct stat              status;
	int                      fd;

	if (lstat(at->local.sun_path, &status) < 0 || !S_ISSOCK(status.st_mode))
		return false;
	fd = sock_dial(&at->any, at->len, &plain);
	if (fd >= 0)
		sock_close(fd);
	return fd == -ECONNREFUSED;
}

int socket_file_clear(const struct endpoint *at)
{
	return is_stale(at) && unlink(at->local.sun_path) < 0 ? -errno : 0;
}

int socket_file_note(struct socket_file *file, const char *path)
{
	struct stat status;

	if (lstat(path, &status) < 0)
		return -errno;
	*file = (struct socket_file){status.st_dev, status.st_ino};
	return 0;
}

bool socket_file_is_there(const struct socket_file *file, const char *path)
{
	struct stat status;

	/* Another process may have put its own socket there meanwhile. An inode is not used again
	 * while its socket lives. */
	return lstat(path, &status) == 0 && S_ISSOCK(status.st_mode) &&
	       status.st_dev == file->device && status.st_ino == file->inode;
}

void socket_file_remove(struct socket_file *file, const char *path)
{
	if (file->inode != 0 && socket_file_is_there(file, path))
		(void)unlink(path);
	file->inode = 0;
}
