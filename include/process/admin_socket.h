/*
 * admin_socket: a unix socket that nobody but its owner and root can reach, and its file.
 *
 * Made with the process's first rights and removed at its end, if the file is still ours by then.
 * Whoever listens there before is left alone; what a killed process left is removed. Called by
 * process/admin.
 */
#ifndef PROCESS_ADMIN_SOCKET_H
#define PROCESS_ADMIN_SOCKET_H

#include "process/socket_file.h"

#include <sys/types.h>

struct admin_socket {
	int                fd;   /* listening, non-blocking */
	char              *path; /* our own copy */
	struct socket_file file;
};

/* The file's mode is 0600 from its first moment and its owner *owner* before anybody can connect. 0
 * or -errno; *step* then names what failed. */
MUST_CHECK int admin_socket_open(struct admin_socket *own, const char *path, uid_t owner,
                                 const char **step);
void           admin_socket_close(struct admin_socket *own);

#endif
