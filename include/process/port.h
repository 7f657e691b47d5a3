/*
 * port: one address that is listened on, and its sockets.
 *
 * An IP address has a socket for every worker (SO_REUSEPORT spreads the connections over them); a
 * unix socket is one that all workers share, and so is one that systemd has opened, which is not
 * ours to shut down. Owns the fds, the unix socket's file and copies of what it needs to know of
 * the configuration. Used by ports only, which says when.
 */
#ifndef PROCESS_PORT_H
#define PROCESS_PORT_H

#include "base/list.h"
#include "conf/conf.h"
#include "io/sock.h"
#include "process/socket_file.h"

enum port_kind { PORT_IP, PORT_UNIX, PORT_LENT };

/* What makes it another port. All else can change while its sockets stay. */
struct port_key {
	enum port_kind kind;
	struct addr    addr;   /* PORT_IP */
	unsigned    interface; /* PORT_IP: its index, so that one made anew is another; 0 = any */
	bool        ipv6only;  /* PORT_IP, of IPv6 */
	const char *name;      /* PORT_UNIX: the path; PORT_LENT: what systemd calls it */
	size_t      nth;       /* PORT_LENT: of the sockets of that name */
};

struct port {
	struct list                 in_ports; /* ports.live or ports.dropped */
	struct port_key             key;
	const char                 *text; /* as written, for messages */
	struct sock_listen_options  options;
	uint32_t                    listener; /* index in conf.listeners */
	const struct conf_endpoint *at;       /* while a change is made of it, then NULL */
	struct port *was; /* the same: the one of the running configuration whose sockets it has */
	int         *fds; /* in the order in which they were opened */
	uint32_t     fd_count, fd_room;
	uid_t        uid;        /* who opened them: nobody else can add to them */
	struct socket_file file; /* of PORT_UNIX */
};

/* Without sockets; *key*'s name and *text* are copied. NULL: no memory. */
struct port *port_new(const struct port_key *key, const char *text, uint32_t fd_room);
/* Frees it, and nothing else. */
void port_free(struct port *port);

bool port_is_same(const struct port *port, const struct port_key *key);
/* The kernel would give connections of one of them to the other. */
bool port_overlaps(const struct port *port, const struct port_key *key);
/* Its unix socket's file is still there and ours; true for all other kinds. */
bool port_is_in_place(const struct port *port);

/* Opens the first socket. An address that anybody else listens on is an error, also where that is
 * another penstock of the same user; unless *joins*: some socket of our own is known to overlap.
 * 0 or -errno; *step* names what failed. A busy address is waited for until *give_up_ms*. */
MUST_CHECK int port_open(struct port *port, bool joins, uint64_t give_up_ms, const char **step);
/* That *step* needs no error number behind it: what is wrong is not the kernel's word. */
MUST_CHECK bool port_step_says_all(const char *step);
/* Opens more of them until there are *wanted*, as far as there is room. */
MUST_CHECK int port_multiply(struct port *port, uint32_t wanted, const char **step);

/* Has the sockets of *was*, which keeps them, too. */
void port_inherit(struct port *port, struct port *was);
/* Sets *options* where they differ from those of *was*, on the sockets inherited from it; with
 * *undo* the other way round. */
MUST_CHECK int port_change_options(struct port *port, bool undo, const char **step);

/* Removes its unix socket's file if that is still ours. */
void port_remove_file(struct port *port);
/* Stops listening, but keeps the fds. */
void port_let_go(struct port *port);
/* Closes the sockets that are not inherited; with those of a unix socket goes its file, if it is
 * still ours. */
void port_close(struct port *port);

#endif
