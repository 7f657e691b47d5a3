/*
 * socket_file: the file of a unix socket that we listen on: whose it is, and when it may be
 * removed.
 *
 * Removes what a killed process has left and what is our own, nothing else. Called for listening
 * sockets (port) and for the admin socket.
 */
#ifndef PROCESS_SOCKET_FILE_H
#define PROCESS_SOCKET_FILE_H

#include "site/resolve.h"

#include <stdbool.h>
#include <sys/types.h>

struct socket_file {
	dev_t device;
	ino_t inode; /* 0 = there is none of ours */
};

/* Makes room for a socket at *at*: removes a socket file that nobody listens behind. 0 (also where
 * there is none, or another's: bind(2) will tell) or -errno. */
MUST_CHECK int socket_file_clear(const struct endpoint *at);

/* Right after bind(2): that is ours. 0 or -errno. */
MUST_CHECK int socket_file_note(struct socket_file *file, const char *path);

/* Ours still stands at *path*. */
bool socket_file_is_there(const struct socket_file *file, const char *path);

/* Removes it if it does. Once; harmless where there was none. */
void socket_file_remove(struct socket_file *file, const char *path);

#endif
