#include "process/port.h"

#include "base/clock.h"
#include "process/activation.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BUSY_RETRY_MS = 20 };

/* ---- what it is ---- */

struct port *port_new(const struct port_key *key, const char *text, uint32_t fd_room)
{
	struct port *port = calloc(1, sizeof(*port));
	char        *name = key->name ? strdup(key->name) : NULL;

	if (!port) {
		free(name);
		return NULL;
	}
	list_init(&port->in_ports);
	port->key = *key;
	port->key.name = name;
	port->text = strdup(text);
	port->fds = calloc(fd_room + 1, sizeof(*port->fds));
	port->fd_room = fd_room;
	port->uid = geteuid();
	if (port->text && port->fds && (name || !key->name))
		return port;
	port_free(port);
	return NULL;
}

void port_free(struct port *port)
{
	list_remove(&port->in_ports);
	free((char *)port->key.name);
	free((char *)port->text);
	free(port->fds);
	free(port);
}

bool port_is_same(const struct port *port, const struct port_key *key)
{
	const struct port_key *own = &port->key;

	if (own->kind != key->kind)
		return false;
	switch (key->kind) {
	case PORT_IP:
		return addr_same_ip(&own->addr, &key->addr) && own->addr.port == key->addr.port &&
		       own->interface == key->interface && own->ipv6only == key->ipv6only;
	case PORT_UNIX:
		return strcmp(own->name, key->name) == 0;
	case PORT_LENT:
		return strcmp(own->name, key->name) == 0 && own->nth == key->nth;
	}
	return false;
}

bool port_overlaps(const struct port *port, const struct port_key *key)
{
	const struct port_key *own = &port->key;

	if (own->kind != PORT_IP || key->kind != PORT_IP)
		return false;
	if (own->interface && key->interface && own->interface != key->interface)
		return false;
	return addr_covers(&own->addr, own->ipv6only, &key->addr) ||
	       addr_covers(&key->addr, key->ipv6only, &own->addr);
}

bool port_is_in_place(const struct port *port)
{
	return port->key.kind != PORT_UNIX || socket_file_is_there(&port->file, port->key.name);
}

/* ---- opening ---- */

static void wait_a_little(void)
{
	struct timespec pause = {.tv_nsec = BUSY_RETRY_MS * 1000000L};

	nanosleep(&pause, NULL);
}

static int add_socket(struct port *port, int fd)
{
	if (fd < 0)
		return fd;
	port->fds[port->fd_count++] = fd;
	return 0;
}

static int listen_at(const struct port *port, bool reuseport, const char **step)
{
	struct sock_listen_options options = port->options;
	struct endpoint            at;

	endpoint_from_addr(&port->key.addr, &at);
	options.reuseport = reuseport;
	return sock_listen(&at.any, at.len, &options, step);
}

/*
 * The first socket of an address listens without SO_REUSEPORT and gets it only then: the kernel
 * thus refuses the address if anyone listens there, also a socket of our own user that would have
 * shared it, and there is no moment in which two processes could both believe that they were first.
 * Its siblings then join it. Where a socket of ours is in the way already (it listens at the
 * wildcard, say, and will be closed once this one is there), there is only the joining.
 */
static int open_ip(struct port *port, bool joins, uint64_t give_up_ms, const char **step)
{
	int one = 1, result;
	int fd = listen_at(port, joins, step);

	while (fd == -EADDRINUSE && clock_ms() < give_up_ms) {
		wait_a_little();
		fd = listen_at(port, joins, step);
	}
	result = add_socket(port, fd);
	if (result < 0 || joins)
		return result;
	*step = "SO_REUSEPORT";
	return setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) < 0 ? -errno : 0;
}

static int open_unix(struct port *port, const char **step)
{
	const char     *path = port->key.name;
	struct endpoint at;
	int             result;

	*step = "path";
	if (!endpoint_from_path(path, &at))
		return -ENAMETOOLONG;
	*step = "removing the old socket";
	result = socket_file_clear(&at);
	if (result < 0)
		return result;
	result = add_socket(port, sock_listen(&at.any, at.len, &port->options, step));
	if (result < 0)
		return result;
	*step = "stat";
	return socket_file_note(&port->file, path);
}

static const char not_passed[] = "systemd has passed no socket of that name (LISTEN_FDNAMES)";
static const char not_listening[] = "is not a stream socket that listens";

bool port_step_says_all(const char *step)
{
	return step == not_passed || step == not_listening;
}

/* What accepted sockets inherit; the rest is the socket unit's to set. */
static int open_lent(struct port *port, const char **step)
{
	const struct sock_listen_options as_lent = {0};

	int one = 1;
	int fd = activation_take(port->key.name, port->key.nth);

	*step = fd == -ENOENT ? not_passed : fd == -EINVAL ? not_listening : "systemd's socket";
	if (fd < 0)
		return fd;
	/* Where one cannot be had (it may be of any family), no harm is done. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (sock_change_listen(fd, &as_lent, &port->options, step) < 0)
		*step = "";
	return add_socket(port, fd);
}

int port_open(struct port *port, bool joins, uint64_t give_up_ms, const char **step)
{
	switch (port->key.kind) {
	case PORT_IP:
		return open_ip(port, joins, give_up_ms, step);
	case PORT_UNIX:
		return open_unix(port, step);
	case PORT_LENT:
		return open_lent(port, step);
	}
	return -EINVAL;
}

int port_multiply(struct port *port, uint32_t wanted, const char **step)
{
	wanted = min_u32(wanted, port->fd_room);
	/* The kernel lets only sockets of one user share an address. */
	while (port->fd_count < wanted && port->uid == geteuid()) {
		int result = add_socket(port, listen_at(port, true, step));

		if (result < 0)
			return result;
	}
	return 0;
}

/* ---- changing ---- */

void port_inherit(struct port *port, struct port *was)
{
	port->was = was;
	memcpy(port->fds, was->fds, was->fd_count * sizeof(*was->fds));
	port->fd_count = was->fd_count;
	port->uid = was->uid;
	port->file = was->file;
}

int port_change_options(struct port *port, bool undo, const char **step)
{
	const struct sock_listen_options *from = &port->was->options, *to = &port->options;

	for (uint32_t i = 0; i < port->was->fd_count; i++) {
		int result = sock_change_listen(port->fds[i], undo ? to : from, undo ? from : to,
		                                step);

		/* As in open_lent. */
		if (result < 0 && port->key.kind != PORT_LENT)
			return result;
	}
	return 0;
}

/* ---- the end ---- */

void port_remove_file(struct port *port)
{
	if (port->key.kind == PORT_UNIX)
		socket_file_remove(&port->file, port->key.name);
}

void port_let_go(struct port *port)
{
	port_remove_file(port);
	for (uint32_t i = 0; i < port->fd_count && port->key.kind != PORT_LENT; i++)
		(void)shutdown(port->fds[i], SHUT_RDWR);
}

void port_close(struct port *port)
{
	uint32_t inherited = port->was ? port->was->fd_count : 0;

	if (inherited == 0)
		port_remove_file(port);
	while (port->fd_count > inherited)
		close(port->fds[--port->fd_count]);
}
