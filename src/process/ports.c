#include "process/ports.h"

#include "base/clock.h"
#include "process/activation.h"
#include "process/port.h"

#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A change in the making. */
struct changing {
	const struct ports      *now;
	const struct ports_plan *plan;
	struct conf_report      *report;
	struct list             *live; /* of the change */
	uint64_t give_up_ms; /* common to all: ten busy ones do not take ten times as long */
	/* The address that is being seen to. */
	uint32_t                    index;
	const struct conf_listener *listener;
	const struct conf_endpoint *at;
};

static struct port *port_at(struct list *link)
{
	return container_of(link, struct port, in_ports);
}

/* ---- failures ---- */

/* A socket of the running configuration that overlaps with *key*; NULL = none. */
static const struct port *find_in_the_way(const struct ports *now, const struct port_key *key)
{
	const struct list *lists[] = {&now->live, &now->dropped};

	for (size_t i = 0; i < COUNT(lists); i++)
		for (struct list *link = lists[i]->next; link != lists[i]; link = link->next)
			if (port_overlaps(port_at(link), key))
				return port_at(link);
	return NULL;
}

static bool is_foreign(const struct port *port)
{
	return port && port->uid != geteuid();
}

/* Some were opened by a user that this process is no more: root. */
static bool has_foreign(const struct ports *now)
{
	for (struct list *link = now->live.next; link != &now->live; link = link->next)
		if (is_foreign(port_at(link)))
			return true;
	return false;
}

/* What an operator can do about it; or "". */
static const char *advice_on(const struct changing *changing, const struct port_key *key, int error)
{
	const struct port *other = find_in_the_way(changing->now, key);
	bool               is_denied = error == -EACCES || error == -EPERM;
	bool               is_reserved = key->kind == PORT_IP && key->addr.port < IPPORT_RESERVED;

	if (is_denied && has_foreign(changing->now))
		return " to the user that penstock has become: needs a restart";
	if (is_denied && is_reserved)
		return ": a port below 1024 needs root or the capability CAP_NET_BIND_SERVICE";
	if (error == -EADDRINUSE && is_foreign(other))
		return " by the running configuration, opened as another user: needs a restart";
	if (error == -EADDRINUSE && other)
		return ", not by the running configuration alone";
	return "";
}

static void told(const struct changing *changing, const struct port_key *key, int error,
                 const char *step)
{
	/* That the address cannot be had is said in full by the error; other steps need their name.
	 */
	bool bare = strcmp(step, "bind") == 0 || strcmp(step, "listen") == 0 || *step == '\0';
	bool whole = port_step_says_all(step);

	conf_error(changing->report, changing->at->pos, "[listener %s] listen = %s: %s%s%s%s",
	           changing->listener->name, changing->at->text, bare ? "" : step,
	           bare || whole ? "" : ": ", whole ? "" : strerror(-error),
	           advice_on(changing, key, error));
}

/* ---- one socket address ---- */

static struct sock_listen_options options_of(const struct conf_listener *listener,
                                             enum port_kind              kind)
{
	struct sock_listen_options options = {
		.user_timeout_ms = listener->user_timeout_ms,
	};

	if (kind == PORT_LENT)
		return options; /* the rest is the socket unit's to set */
	options.backlog = (int)listener->backlog;
	options.rcvbuf = (int)listener->rcvbuf;
	options.sndbuf = (int)listener->sndbuf;
	options.fastopen = (int)listener->fastopen;
	options.deferred = listener->deferred;
	options.ipv6only = listener->ipv6only;
	options.interface = listener->interface;
	return options;
}

/* The change has a port of that address already, or one that the kernel would not tell apart. */
static bool is_taken(const struct changing *changing, const struct port_key *key)
{
	for (struct list *link = changing->live->next; link != changing->live; link = link->next)
		if (port_is_same(port_at(link), key) || port_overlaps(port_at(link), key))
			return true;
	return false;
}

static struct port *find_same(const struct ports *now, const struct port_key *key)
{
	const struct list *lists[] = {&now->live, &now->dropped};

	for (size_t i = 0; i < COUNT(lists); i++)
		for (struct list *link = lists[i]->next; link != lists[i]; link = link->next)
			if (port_is_same(port_at(link), key) && port_is_in_place(port_at(link)))
				return port_at(link);
	return NULL;
}

/* Kept or opened. */
static int fill_port(const struct changing *changing, struct port *port, struct port *was,
                     const char **step)
{
	bool joins = find_in_the_way(changing->now, &port->key) != NULL;
	int  result;

	if (was) {
		port_inherit(port, was);
	} else {
		result = port_open(port, joins, changing->give_up_ms, step);
		if (result < 0)
			return result;
	}
	return port_multiply(port, changing->plan->workers, step);
}

static int add_port(const struct changing *changing, const struct port_key *key, const char **step)
{
	uint32_t     room = key->kind == PORT_IP ? changing->plan->workers : 1;
	struct port *was = find_same(changing->now, key);
	struct port *port;
	int          result;

	*step = "overlaps with another one of this file";
	if (is_taken(changing, key))
		return -EADDRINUSE;
	*step = "";
	if (was && was->fd_count > room)
		room = was->fd_count;
	port = port_new(key, changing->at->text, room);
	if (!port)
		return -ENOMEM;
	port->listener = changing->index;
	port->at = changing->at;
	port->options = options_of(changing->listener, key->kind);
	result = fill_port(changing, port, was, step);
	if (result == 0) {
		list_append(changing->live, &port->in_ports);
	} else {
		port_close(port);
		port_free(port);
	}
	return result;
}

/* Adds it; a failure is told. */
static bool want_port(const struct changing *changing, const struct port_key *key)
{
	const char *step;
	int         result = add_port(changing, key, &step);

	if (result < 0)
		told(changing, key, result, step);
	return result == 0;
}

/* ---- one address of the configuration ---- */

static struct port_key ip_key(const struct changing *changing, const struct addr *addr)
{
	const struct conf_listener *listener = changing->listener;

	return (struct port_key){
		.kind = PORT_IP,
		.addr = *addr,
		/* 0 also when there is none of that name: opening it tells. */
		.interface = listener->interface ? if_nametoindex(listener->interface) : 0,
		.ipv6only = listener->ipv6only && addr->family == ADDR_IP6,
	};
}

/* IPv4 and IPv6 through one socket; IPv4 alone where the kernel has no IPv6. */
static bool want_any(const struct changing *changing)
{
	const struct addr any6 = {.port = changing->at->addr.port, .family = ADDR_IP6};
	const struct addr any4 = {.port = changing->at->addr.port, .family = ADDR_IP4};

	struct port_key key = ip_key(changing, &any6);
	const char     *step;
	int             result = add_port(changing, &key, &step);

	if ((result == -EAFNOSUPPORT || result == -EADDRNOTAVAIL) && !key.ipv6only) {
		key = ip_key(changing, &any4);
		result = add_port(changing, &key, &step);
	}
	if (result < 0)
		told(changing, &key, result, step);
	return result == 0;
}

/* All sockets of the name: a unit may have one for IPv4 and one for IPv6. */
static bool want_lent(const struct changing *changing)
{
	const char *name = changing->at->host;
	size_t      count = activation_count(name);
	bool        ok = true;

	/* Where there are none, the first one tells. */
	for (size_t i = 0; i == 0 || i < count; i++)
		ok &= want_port(changing,
		                &(struct port_key){.kind = PORT_LENT, .name = name, .nth = i});
	return ok;
}

static bool want_endpoint(const struct changing *changing)
{
	struct port_key key;

	switch (changing->at->kind) {
	case CONF_ENDPOINT_IP:
		key = ip_key(changing, &changing->at->addr);
		return want_port(changing, &key);
	case CONF_ENDPOINT_ANY:
		return want_any(changing);
	case CONF_ENDPOINT_UNIX:
		key = (struct port_key){.kind = PORT_UNIX, .name = changing->at->host};
		return want_port(changing, &key);
	case CONF_ENDPOINT_FD:
		return want_lent(changing);
	case CONF_ENDPOINT_HOST:
		break;
	}
	key = (struct port_key){.kind = PORT_LENT};
	told(changing, &key, -EINVAL, "a name cannot be listened on");
	return false;
}

static bool want_all(struct changing *changing)
{
	const struct conf *conf = changing->plan->conf;
	bool               ok = true;

	for (uint32_t i = 0; i < conf->listener_count; i++) {
		changing->index = i;
		changing->listener = conf->listeners[i];
		for (size_t j = 0; j < changing->listener->listen_count; j++) {
			changing->at = &changing->listener->listens[j];
			ok &= want_endpoint(changing);
		}
	}
	return ok;
}

/* ---- who accepts on which ---- */

/* Every worker accepts somewhere, and somebody on every socket: those of workers that are no more
 * go round, and so does a socket that several share. */
static uint32_t shares_of(const struct port *port, uint32_t workers)
{
	return port->fd_count > workers ? port->fd_count : workers;
}

static size_t give_shares(struct ports *ports, uint32_t worker, size_t at)
{
	for (struct list *link = ports->live.next; link != &ports->live; link = link->next) {
		const struct port *port = port_at(link);

		for (uint32_t i = worker; i < shares_of(port, ports->workers); i += ports->workers)
			ports->shares[at++] = (struct worker_port){port->fds[i % port->fd_count],
			                                           port->listener};
	}
	return at;
}

/* False: no memory. */
static bool share_out(struct ports *ports, uint32_t workers)
{
	size_t count = 0;

	for (struct list *link = ports->live.next; link != &ports->live; link = link->next)
		count += shares_of(port_at(link), workers);
	ports->workers = workers;
	ports->shares = calloc(count + 1, sizeof(*ports->shares));
	ports->first = calloc((size_t)workers + 1, sizeof(*ports->first));
	if (!ports->shares || !ports->first)
		return false;
	for (uint32_t worker = 0; worker < workers; worker++)
		ports->first[worker + 1] = give_shares(ports, worker, ports->first[worker]);
	return true;
}

const struct worker_port *ports_of(const struct ports *ports, uint32_t worker, size_t *count)
{
	CHECK(worker < ports->workers);
	*count = ports->first[worker + 1] - ports->first[worker];
	return ports->shares + ports->first[worker];
}

/* ---- a change ---- */

void ports_init(struct ports *ports)
{
	*ports = (struct ports){0};
	list_init(&ports->live);
	list_init(&ports->dropped);
}

/* Last of all, since it is felt at once. */
static bool set_options(struct changing *changing, struct ports_change *change)
{
	change->has_set_options = true;
	for (struct list *link = changing->live->next; link != changing->live; link = link->next) {
		struct port *port = port_at(link);
		const char  *step;
		int          result = port->was ? port_change_options(port, false, &step) : 0;

		if (result == 0)
			continue;
		changing->at = port->at;
		changing->listener = changing->plan->conf->listeners[port->listener];
		told(changing, &port->key, result, step);
		return false;
	}
	return true;
}

bool ports_change(const struct ports *now, const struct ports_plan *plan,
                  struct conf_report *report, struct ports_change *change)
{
	struct changing changing = {
		.now = now,
		.plan = plan,
		.report = report,
		.live = &change->next.live,
		.give_up_ms = clock_ms() + plan->patience_ms,
	};
	bool ok;

	CHECK(plan->workers > 0);
	change->has_set_options = false;
	ports_init(&change->next);
	ok = want_all(&changing);
	if (ok && !share_out(&change->next, plan->workers)) {
		conf_error(report, (struct conf_pos){plan->conf->path, 0},
		           "no memory for the listening sockets");
		ok = false;
	}
	if (ok && set_options(&changing, change))
		return true;
	ports_abandon(change);
	return false;
}

static void close_list(struct list *ports)
{
	while (!list_is_empty(ports)) {
		struct port *port = port_at(ports->next);

		port_close(port);
		port_free(port);
	}
}

static void free_shares(struct ports *ports)
{
	free(ports->shares);
	free(ports->first);
	ports->shares = NULL;
	ports->first = NULL;
	ports->workers = 0;
}

static void take_back_options(struct list *live)
{
	for (struct list *link = live->next; link != live; link = link->next) {
		struct port *port = port_at(link);
		const char  *step;
		int          result = port->was ? port_change_options(port, true, &step) : 0;

		(void)result; /* as it was so before, it can hardly fail; and there is no third way */
	}
}

void ports_abandon(struct ports_change *change)
{
	if (change->has_set_options)
		take_back_options(&change->next.live);
	close_list(&change->next.live);
	free_shares(&change->next);
}

/* All links of *from* behind those of *to*. */
static void move_list(struct list *to, struct list *from)
{
	struct list *link;

	while ((link = list_take(from)))
		list_append(to, link);
}

void ports_commit(struct ports *now, struct ports_change *change)
{
	struct list *live = &change->next.live;

	for (struct list *link = live->next; link != live; link = link->next) {
		struct port *port = port_at(link);

		/* Its sockets are the new one's alone from here on. */
		if (port->was)
			port_free(port->was);
		port->was = NULL;
		port->at = NULL;
		port->options.interface = NULL;
	}
	move_list(&now->dropped, &now->live);
	move_list(&now->live, live);
	free_shares(now);
	now->shares = change->next.shares;
	now->first = change->next.first;
	now->workers = change->next.workers;
	change->next.shares = NULL;
	change->next.first = NULL;
}

/* ---- the end ---- */

bool ports_have_dropped(const struct ports *ports)
{
	return !list_is_empty(&ports->dropped);
}

void ports_close_dropped(struct ports *ports)
{
	close_list(&ports->dropped);
}

static void each_port(struct ports *ports, void (*act)(struct port *port))
{
	struct list *lists[] = {&ports->live, &ports->dropped};

	for (size_t i = 0; i < COUNT(lists); i++)
		for (struct list *link = lists[i]->next; link != lists[i]; link = link->next)
			act(port_at(link));
}

void ports_let_go(struct ports *ports)
{
	each_port(ports, port_let_go);
}

void ports_remove_files(struct ports *ports)
{
	each_port(ports, port_remove_file);
}

void ports_close(struct ports *ports)
{
	close_list(&ports->live);
	close_list(&ports->dropped);
	free_shares(ports);
}
