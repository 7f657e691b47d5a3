#include "process/admin_socket.h"

#include "io/sock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BACKLOG = 512, MODE = 0600 };

/* Until listen(2) nobody can connect, whatever the file says: there is no moment in which others
 * could. */
static int make_private(struct admin_socket *own, uid_t owner, const char **step)
{
	int result = socket_file_note(&own->file, own->path);

	*step = "stat";
	if (result < 0)
		return result;
	*step = "chown";
	if (owner != geteuid() && lchown(own->path, owner, (gid_t)-1) < 0)
		return -errno;
	*step = "listen";
	return listen(own->fd, BACKLOG) < 0 ? -errno : 0;
}

/* The file takes its mode from the socket's own (unix_bind of the kernel); the umask can only
 * narrow it. */
static int bind_and_listen(struct admin_socket *own, const struct endpoint *at, uid_t owner,
                           const char **step)
{
	int result;

	*step = "fchmod";
	if (fchmod(own->fd, MODE) < 0)
		return -errno;
	*step = "bind";
	if (bind(own->fd, &at->any, at->len) < 0)
		return -errno;
	result = make_private(own, owner, step);
	if (result < 0)
		(void)unlink(own->path);
	return result;
}

int admin_socket_open(struct admin_socket *own, const char *path, uid_t owner, const char **step)
{
	struct endpoint at;
	int             result;

	*step = "path";
	if (!endpoint_from_path(path, &at))
		return -ENAMETOOLONG;
	*step = "removing the old socket";
	result = socket_file_clear(&at);
	if (result < 0)
		return result;
	*step = "socket";
	own->path = strdup(path);
	if (!own->path)
		return -ENOMEM;
	own->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	result = own->fd < 0 ? -errno : bind_and_listen(own, &at, owner, step);
	if (result < 0) {
		if (own->fd >= 0)
			sock_close(own->fd);
		free(own->path);
	}
	return result;
}

void admin_socket_close(struct admin_socket *own)
{
	socket_file_remove(&own->file, own->path);
	sock_close(own->fd);
	free(own->path);
}
