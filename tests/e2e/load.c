/*
 * load: the peers of the end-to-end tests that Python is too slow for, in one epoll loop each.
 *
 *   load backend                  serves orders (below) on a free port, prints "port N"
 *   load bulk PORT                N clients, each one order, checks every byte; with --hold they wait half way
 *                                 until stdin ends
 *   load churn PORT               one such client after the other, --parallel at a time, until stdin ends
 *   load storm PORT               short-lived clients: reset, garbage, half a hello
 *   load trickle PORT             clients that send their hello a byte at a time and never end it
 *
 * A bulk client sends a hello, then an order: how much it will send and how much it wants back.
 * Both streams are functions of a seed and an offset, so each end checks every byte it gets without
 * storing any. When the backend has read the client's end it adds a trailer: how much it read and
 * whether it was right.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK = 256 * 1024, HEAD_MAX = 20 * 1024, EVENTS = 256 };
enum { ORDER_END_FIRST = 1 }; /* the backend ends its stream without waiting for the client's end */

#define MAGIC 0x7265646f3b6c7550u /* first byte 'P', never a TLS record's */

struct order {
	uint64_t magic, seed, up, down, flags;
};

struct trailer {
	uint64_t received, bad;
};

struct options {
	const char *unix_path, *mode, *hello_path, *address;
	uint64_t    connections, interval_ms, parallel, count, up, down, rate;
	bool        stall, hold, end_first;
	uint16_t    port;
	uint8_t     hello[HEAD_MAX];
	size_t      hello_len;
};

enum client_state { CLIENT_CONNECTING, CLIENT_OPEN, CLIENT_DONE };

struct peer {
	int               fd;
	bool              wants_write, ended_write, ended_read, paused, deaf, holds;
	enum client_state state;
	struct order      order;
	uint8_t           head
		[HEAD_MAX]; /* backend: bytes in front of the order; client: what it sends first */
	size_t         head_len, head_sent;
	uint64_t       sent, received, bad;
	struct trailer trailer;
	size_t         trailer_len;
	uint64_t       budget; /* bytes it may read now, under --rate */
	bool           reset;
};

static uint8_t scratch[CHUNK], expected[CHUNK];

static void die(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint64_t mix(uint64_t value)
{
	value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
	value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
	return value ^ (value >> 31);
}

/* The bytes of stream *seed* from *offset* on. */
static void stream_fill(uint64_t seed, uint64_t offset, uint8_t *out, size_t len)
{
	size_t done = 0;

	while (done < len) {
		uint64_t word = mix(seed + ((offset + done) / 8 + 1) * 0x9e3779b97f4a7c15u);
		size_t   from = (offset + done) % 8;
		size_t   take = 8 - from < len - done ? 8 - from : len - done;

		memcpy(out + done, (uint8_t *)&word + from, take);
		done += take;
	}
}

static uint64_t stream_check(uint64_t seed, uint64_t offset, const uint8_t *bytes, size_t len)
{
	stream_fill(seed, offset, expected, len);
	return memcmp(expected, bytes, len) != 0;
}

static uint64_t seed_down(uint64_t seed)
{
	return mix(seed ^ 0x5ca1ab1e);
}

static void set_interest(int epoll, struct peer *peer, int op)
{
	struct epoll_event event = {.data.ptr = peer};

	if (!peer->paused && !peer->ended_read)
		event.events |= EPOLLIN;
	if (peer->wants_write)
		event.events |= EPOLLOUT;
	if (epoll_ctl(epoll, op, peer->fd, &event) < 0)
		die("epoll_ctl");
}

static void raise_nofile(void)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static struct peer *peer_new(int fd)
{
	struct peer *peer = calloc(1, sizeof(*peer));

	if (!peer)
		die("calloc");
	peer->fd = fd;
	return peer;
}

static void close_reset(int fd)
{
	struct linger linger = {.l_onoff = 1};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	close(fd);
}

/* ---- backend ---- */

static size_t hello_size(const struct peer *peer)
{
	size_t at = 0;

	while (at + 5 <= peer->head_len && peer->head[at] == 0x16)
		at += 5 + ((size_t)peer->head[at + 3] << 8) + peer->head[at + 4];
	return at;
}

/* Reads hello and order; true once the order is known. */
static bool backend_has_order(struct peer *peer)
{
	size_t at = hello_size(peer);

	if (at + sizeof(peer->order) > peer->head_len)
		return false;
	memcpy(&peer->order, peer->head + at, sizeof(peer->order));
	if (peer->order.magic != MAGIC)
		return false;
	peer->state = CLIENT_OPEN;
	peer->wants_write = true;
	peer->received = peer->head_len - at - sizeof(peer->order);
	peer->bad = stream_check(peer->order.seed, 0, peer->head + at + sizeof(peer->order),
	                         peer->received);
	return true;
}

/* False: the connection is over. */
static bool backend_read(struct peer *peer)
{
	for (unsigned turn = 0; turn < 4; turn++) {
		bool    heading = peer->state == CLIENT_CONNECTING;
		ssize_t got = heading ? recv(peer->fd, peer->head + peer->head_len,
		                             HEAD_MAX - peer->head_len, 0)
		                      : recv(peer->fd, scratch, sizeof(scratch), 0);

		if (got < 0)
			return errno == EAGAIN;
		if (got == 0) {
			peer->ended_read = true;
			return !heading;
		}
		if (heading) {
			peer->head_len += (size_t)got;
			(void)backend_has_order(peer);
			continue;
		}
		peer->bad += stream_check(peer->order.seed, peer->received, scratch, (size_t)got);
		peer->received += (uint64_t)got;
	}
	return true;
}

/* Sends stream bytes until done or blocked; false on an error. */
static bool stream_send(struct peer *peer, uint64_t seed, uint64_t total)
{
	while (peer->sent < total) {
		uint64_t left = total - peer->sent;
		size_t   len = left < sizeof(scratch) ? (size_t)left : sizeof(scratch);
		ssize_t  put;

		stream_fill(seed, peer->sent, scratch, len);
		put = send(peer->fd, scratch, len, MSG_NOSIGNAL);
		if (put < 0)
			return errno == EAGAIN;
		peer->sent += (uint64_t)put;
		if ((size_t)put < len)
			return true;
	}
	return true;
}

/* False: the connection is over (*clean* or not). */
static bool backend_write(struct peer *peer)
{
	bool end_first = peer->order.flags & ORDER_END_FIRST;

	if (peer->state != CLIENT_OPEN || peer->ended_write)
		return true;
	if (!stream_send(peer, seed_down(peer->order.seed), peer->order.down))
		return false;
	peer->wants_write = peer->sent < peer->order.down;
	if (peer->wants_write || (!peer->ended_read && !end_first))
		return true;
	if (!end_first) {
		struct trailer trailer = {.received = peer->received, .bad = peer->bad};
		ssize_t        put = send(peer->fd, (uint8_t *)&trailer + peer->trailer_len,
		                          sizeof(trailer) - peer->trailer_len, MSG_NOSIGNAL);

		if (put < 0 && errno != EAGAIN)
			return false;
		peer->trailer_len += put > 0 ? (size_t)put : 0;
		peer->wants_write = peer->trailer_len < sizeof(trailer);
		if (peer->wants_write)
			return true;
	}
	shutdown(peer->fd, SHUT_WR);
	peer->ended_write = true;
	return true;
}

static void backend_accept(int epoll, int listener)
{
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
		set_interest(epoll, peer_new(fd), EPOLL_CTL_ADD);
}

static int backend_listen(const struct options *options)
{
	struct sockaddr_un local = {.sun_family = AF_UNIX};
	struct sockaddr_in ip = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t          len = sizeof(ip);
	int fd = socket(options->unix_path ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	int bound;

	if (fd < 0)
		die("socket");
	if (options->unix_path) {
		snprintf(local.sun_path, sizeof(local.sun_path), "%s", options->unix_path);
		bound = bind(fd, (struct sockaddr *)&local, sizeof(local));
	} else {
		bound = bind(fd, (struct sockaddr *)&ip, sizeof(ip));
	}
	if (bound < 0 || listen(fd, 4096) < 0)
		die("bind");
	if (!options->unix_path && getsockname(fd, (struct sockaddr *)&ip, &len) < 0)
		die("getsockname");
	printf("port %u\n", options->unix_path ? 0 : ntohs(ip.sin_port));
	fflush(stdout);
	return fd;
}

static void run_backend(const struct options *options)
{
	int                listener = backend_listen(options), epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event events[EVENTS], event = {.events = EPOLLIN};

	if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) < 0)
		die("epoll");
	for (;;) {
		int count = epoll_wait(epoll, events, EVENTS, -1);

		for (int i = 0; i < count; i++) {
			struct peer *peer = events[i].data.ptr;
			bool         alive = true;

			if (!peer) {
				backend_accept(epoll, listener);
				continue;
			}
			if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR) && !peer->ended_read)
				alive = backend_read(peer);
			alive = alive && backend_write(peer) && !(events[i].events & EPOLLERR) &&
			        !(peer->ended_read && peer->ended_write);
			if (alive) {
				set_interest(epoll, peer, EPOLL_CTL_MOD);
				continue;
			}
			close(peer->fd);
			free(peer);
		}
	}
}

/* ---- clients ---- */

static int client_connect(const struct options *options)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(options->port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0)
		die("socket");
	inet_pton(AF_INET, options->address, &to.sin_addr);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 && errno != EINPROGRESS) {
		close(fd);
		return -1;
	}
	return fd;
}

static void client_start(int epoll, struct peer *peer, const struct options *options, uint64_t seed)
{
	peer->order = (struct order){.magic = MAGIC,
	                             .seed = seed,
	                             .up = options->up,
	                             .down = options->down,
	                             .flags = options->end_first ? ORDER_END_FIRST : 0};
	memcpy(peer->head, options->hello, options->hello_len);
	memcpy(peer->head + options->hello_len, &peer->order, sizeof(peer->order));
	peer->head_len = options->hello_len + sizeof(peer->order);
	peer->wants_write = true;
	peer->paused = options->stall;
	peer->holds = options->hold;
	peer->budget = options->rate ? 0 : UINT64_MAX;
	set_interest(epoll, peer, EPOLL_CTL_ADD);
}

/* What it may send now. */
static uint64_t client_goal(const struct peer *peer)
{
	return peer->holds ? peer->order.up / 2 : peer->order.up;
}

static bool client_write(struct peer *peer)
{
	if (peer->ended_write)
		return true;
	while (peer->head_sent < peer->head_len) {
		ssize_t put = send(peer->fd, peer->head + peer->head_sent,
		                   peer->head_len - peer->head_sent, MSG_NOSIGNAL);

		if (put < 0)
			return errno == EAGAIN;
		peer->head_sent += (size_t)put;
	}
	peer->state = CLIENT_OPEN;
	if (!stream_send(peer, peer->order.seed, client_goal(peer)))
		return false;
	peer->wants_write = peer->sent < client_goal(peer);
	if (!peer->wants_write && !peer->holds) {
		shutdown(peer->fd, SHUT_WR);
		peer->ended_write = true;
	}
	return true;
}

static void client_take(struct peer *peer, const uint8_t *bytes, size_t len)
{
	uint64_t left = peer->order.down - peer->received;
	size_t   payload = len < left ? len : (size_t)left;

	peer->bad += stream_check(seed_down(peer->order.seed), peer->received, bytes, payload);
	peer->received += payload;
	for (size_t i = payload; i < len; i++) {
		if (peer->trailer_len < sizeof(peer->trailer))
			((uint8_t *)&peer->trailer)[peer->trailer_len++] = bytes[i];
		else
			peer->bad++;
	}
}

static bool client_read(struct peer *peer)
{
	for (unsigned turn = 0; turn < 4 && !peer->paused; turn++) {
		size_t  most = peer->budget < sizeof(scratch) ? (size_t)peer->budget
		                                              : sizeof(scratch);
		ssize_t got = most ? recv(peer->fd, scratch, most, 0) : -1;

		if (!most) {
			peer->paused = true;
			return true;
		}
		if (got < 0)
			return errno == EAGAIN;
		if (got == 0) {
			peer->ended_read = true;
			return true;
		}
		if (peer->budget != UINT64_MAX)
			peer->budget -= (uint64_t)got;
		client_take(peer, scratch, (size_t)got);
	}
	return true;
}

static bool client_is_right(const struct peer *peer)
{
	bool trailed = peer->trailer_len == sizeof(peer->trailer) && !peer->trailer.bad &&
	               peer->trailer.received == peer->order.up;

	return !peer->reset && !peer->bad && peer->received == peer->order.down &&
	       peer->sent == peer->order.up &&
	       (peer->order.flags & ORDER_END_FIRST ? peer->trailer_len == 0 : trailed);
}

struct bulk {
	const struct options *options;
	struct peer         **peers;
	int                   epoll;
	uint64_t              left;
	bool                  has_said;
};

static void bulk_one(struct bulk *bulk, struct peer *peer, uint32_t events)
{
	bool alive = client_write(peer);

	if (alive && events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		alive = client_read(peer);
	if (!alive)
		peer->reset = true;
	if (alive && peer->paused && events & (EPOLLHUP | EPOLLERR)) {
		/* Not asked for and reported for ever: look again when told to read. */
		epoll_ctl(bulk->epoll, EPOLL_CTL_DEL, peer->fd, NULL);
		peer->deaf = true;
		return;
	}
	if (alive && !(peer->ended_read && peer->ended_write)) {
		set_interest(bulk->epoll, peer, EPOLL_CTL_MOD);
		return;
	}
	epoll_ctl(bulk->epoll, EPOLL_CTL_DEL, peer->fd, NULL);
	close(peer->fd);
	peer->state = CLIENT_DONE;
	bulk->left--;
}

/* Lets everybody read again: what --rate allows since the last time, or all after a stall. */
static void bulk_unpause(struct bulk *bulk, uint64_t budget)
{
	for (uint64_t i = 0; i < bulk->options->connections; i++) {
		struct peer *peer = bulk->peers[i];

		if (peer->state == CLIENT_DONE)
			continue;
		peer->budget = budget;
		peer->paused = false;
		set_interest(bulk->epoll, peer, peer->deaf ? EPOLL_CTL_ADD : EPOLL_CTL_MOD);
		peer->deaf = false;
	}
}

/* What became of clients. */
struct tally {
	uint64_t right, wrong, cut, reset, bytes;
};

static void tally_add(struct tally *tally, const struct peer *peer)
{
	bool is_right = client_is_right(peer);

	tally->bytes += peer->received + peer->sent;
	tally->right += is_right;
	tally->wrong += peer->bad || peer->trailer.bad;
	tally->reset += peer->reset;
	tally->cut += !is_right && !peer->bad && !peer->reset;
}

static void tally_print(const struct tally *tally, uint64_t took_ms)
{
	printf("{\"ok\": %" PRIu64 ", \"wrong\": %" PRIu64 ", \"cut\": %" PRIu64
	       ", \"reset\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"ms\": %" PRIu64 "}\n",
	       tally->right, tally->wrong, tally->cut, tally->reset, tally->bytes, took_ms);
}

static void bulk_report(const struct bulk *bulk, uint64_t took_ms)
{
	struct tally tally = {0};

	for (uint64_t i = 0; i < bulk->options->connections; i++)
		tally_add(&tally, bulk->peers[i]);
	tally_print(&tally, took_ms);
}

static bool bulk_all_sent(const struct bulk *bulk)
{
	for (uint64_t i = 0; i < bulk->options->connections; i++)
		if (!bulk->peers[i]->ended_write && bulk->peers[i]->state != CLIENT_DONE)
			return false;
	return true;
}

/* Everybody is half way: has sent what it may for now and has all it ordered. */
static bool bulk_all_held(const struct bulk *bulk)
{
	for (uint64_t i = 0; i < bulk->options->connections; i++) {
		const struct peer *peer = bulk->peers[i];

		if (peer->state != CLIENT_OPEN || peer->sent < client_goal(peer) ||
		    peer->received < peer->order.down)
			return false;
	}
	return true;
}

static void say_once(bool said[1], const char *word)
{
	if (said[0])
		return;
	said[0] = true;
	printf("%s\n", word);
	fflush(stdout);
}

/* Stdin has ended: whoever waited for that goes on. */
static void bulk_go(struct bulk *bulk)
{
	for (uint64_t i = 0; i < bulk->options->connections; i++) {
		struct peer *peer = bulk->peers[i];

		peer->wants_write |= peer->holds;
		peer->holds = false;
	}
	bulk_unpause(bulk, UINT64_MAX);
}

static int run_bulk(const struct options *options)
{
	struct bulk        bulk = {.options = options,
	                           .epoll = epoll_create1(EPOLL_CLOEXEC),
	                           .left = options->connections};
	struct epoll_event events[EVENTS], event = {.events = EPOLLIN};
	uint64_t           begun = now_ms(), fed = begun;
	bool               waits = options->stall || options->hold;

	bulk.peers = calloc(options->connections, sizeof(*bulk.peers));
	if (!bulk.peers || bulk.epoll < 0)
		die("bulk");
	if (waits && epoll_ctl(bulk.epoll, EPOLL_CTL_ADD, 0, &event) < 0)
		die("stdin");
	for (uint64_t i = 0; i < options->connections; i++) {
		bulk.peers[i] = peer_new(client_connect(options));
		client_start(bulk.epoll, bulk.peers[i], options, mix(begun + i));
	}
	while (bulk.left) {
		int count = epoll_wait(bulk.epoll, events, EVENTS, options->rate ? 10 : -1);

		for (int i = 0; i < count; i++) {
			if (events[i].data.ptr) {
				bulk_one(&bulk, events[i].data.ptr, events[i].events);
				continue;
			}
			epoll_ctl(bulk.epoll, EPOLL_CTL_DEL, 0, NULL);
			waits = false;
			bulk_go(&bulk);
		}
		if (waits && options->stall && bulk_all_sent(&bulk))
			say_once(&bulk.has_said, "stalled");
		if (waits && options->hold && !bulk.has_said && bulk_all_held(&bulk))
			say_once(&bulk.has_said, "held");
		if (options->rate && now_ms() - fed >= 10) {
			bulk_unpause(&bulk, options->rate * (now_ms() - fed) / 1000);
			fed = now_ms();
		}
	}
	bulk_report(&bulk, now_ms() - begun);
	return 0;
}

/* ---- churn ---- */

/* A free place's next client. A port that is closed is a reset like any other. */
static void churn_start(struct bulk *bulk, uint64_t slot, struct tally *tally)
{
	int fd = client_connect(bulk->options);

	if (fd < 0) {
		tally->reset++;
		return;
	}
	bulk->peers[slot] = peer_new(fd);
	client_start(bulk->epoll, bulk->peers[slot], bulk->options, mix(now_ms() + slot));
	bulk->left++;
}

static void churn_sweep(struct bulk *bulk, bool goes_on, struct tally *tally)
{
	for (uint64_t i = 0; i < bulk->options->parallel; i++) {
		struct peer *peer = bulk->peers[i];

		if (peer && peer->state == CLIENT_DONE) {
			tally_add(tally, peer);
			free(peer);
			bulk->peers[i] = NULL;
		}
		if (goes_on && !bulk->peers[i])
			churn_start(bulk, i, tally);
	}
}

/* Says "churning" once as many as there are places have come and gone. Every place is given away
 * anew once an interval, so that the load leaves something of the machine to what is under test. */
static int run_churn(const struct options *options)
{
	struct bulk        bulk = {.options = options, .epoll = epoll_create1(EPOLL_CLOEXEC)};
	struct epoll_event events[EVENTS];
	struct tally       tally = {0};
	uint64_t           begun = now_ms(), due = begun;
	bool               goes_on = true;
	char               byte;

	bulk.peers = calloc(options->parallel, sizeof(*bulk.peers));
	if (!bulk.peers || bulk.epoll < 0)
		die("churn");
	fcntl(0, F_SETFL, O_NONBLOCK);
	while (goes_on || bulk.left) {
		uint64_t now = now_ms();
		int      count;

		if (now >= due) {
			goes_on = goes_on && read(0, &byte, 1) != 0;
			churn_sweep(&bulk, goes_on, &tally);
			due = now + options->interval_ms;
		}
		count = epoll_wait(bulk.epoll, events, EVENTS, (int)options->interval_ms);
		for (int i = 0; i < count; i++)
			bulk_one(&bulk, events[i].data.ptr, events[i].events);
		if (tally.right >= options->parallel)
			say_once(&bulk.has_said, "churning");
	}
	churn_sweep(&bulk, false, &tally);
	tally_print(&tally, now_ms() - begun);
	return 0;
}

/* ---- storm and trickle ---- */

static void storm_send(const struct options *options, struct peer *peer, uint64_t number)
{
	if (!strcmp(options->mode, "garbage")) {
		uint8_t bytes[2048];
		size_t  len = 1 + mix(number) % sizeof(bytes);

		stream_fill(number, 0, bytes, len);
		if (number % 2) /* half of them look like TLS at first */
			memcpy(bytes, "\x16\x03\x01", len < 3 ? len : 3);
		(void)!send(peer->fd, bytes, len, MSG_NOSIGNAL);
	} else if (!strcmp(options->mode, "part")) {
		(void)!send(peer->fd, options->hello, 1 + mix(number) % options->hello_len,
		            MSG_NOSIGNAL);
	} else if (!strcmp(options->mode, "hello")) {
		(void)!send(peer->fd, options->hello, options->hello_len, MSG_NOSIGNAL);
	}
}

/* Connects, sends, and resets at once; garbage senders end their stream and read what they get. */
static int run_storm(const struct options *options)
{
	int                epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event events[EVENTS];
	uint64_t           begun = 0, ended = 0, failed = 0;
	bool               reads = !strcmp(options->mode, "garbage");

	while (ended < options->count) {
		int count;

		while (begun < options->count && begun - ended < options->parallel) {
			struct peer *peer = peer_new(client_connect(options));

			begun++;
			if (peer->fd < 0) {
				free(peer);
				ended++;
				failed++;
				continue;
			}
			peer->wants_write = true;
			peer->order.seed = begun;
			set_interest(epoll, peer, EPOLL_CTL_ADD);
		}
		count = epoll_wait(epoll, events, EVENTS, 1000);
		for (int i = 0; i < count; i++) {
			struct peer *peer = events[i].data.ptr;

			if (peer->wants_write && !(events[i].events & EPOLLERR)) {
				storm_send(options, peer, peer->order.seed);
				peer->wants_write = false;
				if (reads) {
					shutdown(peer->fd, SHUT_WR);
					set_interest(epoll, peer, EPOLL_CTL_MOD);
					continue;
				}
			} else if (reads && recv(peer->fd, scratch, sizeof(scratch), 0) > 0) {
				continue;
			}
			close_reset(peer->fd);
			free(peer);
			ended++;
		}
	}
	printf("{\"done\": %" PRIu64 ", \"failed\": %" PRIu64 "}\n", ended, failed);
	return 0;
}

struct trickler {
	int    fd;
	size_t sent;
};

static void trickle_step(const struct options *options, struct trickler *trickler,
                         uint64_t closed[1])
{
	uint8_t byte;
	ssize_t got;

	if (trickler->fd < 0) {
		*trickler = (struct trickler){.fd = client_connect(options)};
		return;
	}
	got = recv(trickler->fd, &byte, 1, 0);
	if (got >= 0 || (errno != EAGAIN && errno != ENOTCONN)) {
		closed[0]++;
	} else if (trickler->sent < options->hello_len - 1) {
		ssize_t put = send(trickler->fd, options->hello + trickler->sent, 1, MSG_NOSIGNAL);

		if (put >= 0 || errno == EAGAIN || errno == ENOTCONN) {
			trickler->sent += put > 0;
			return;
		}
		closed[0]++;
	}
	close(trickler->fd);
	*trickler = (struct trickler){.fd = client_connect(options)};
}

/* Until stdin ends. Says "trickling" once every client has had its turn to send a byte. */
static int run_trickle(const struct options *options)
{
	struct trickler *tricklers = calloc(options->connections, sizeof(*tricklers));
	uint64_t         closed[1] = {0};
	unsigned         turns = 0;
	char             byte;

	if (!tricklers)
		die("calloc");
	fcntl(0, F_SETFL, O_NONBLOCK);
	for (uint64_t i = 0; i < options->connections; i++)
		tricklers[i].fd = -1;
	for (;;) {
		struct timespec pause = {.tv_nsec = (long)options->interval_ms * 1000000};

		for (uint64_t i = 0; i < options->connections; i++)
			trickle_step(options, &tricklers[i], closed);
		if (++turns == 4) {
			printf("trickling\n");
			fflush(stdout);
		}
		if (read(0, &byte, 1) == 0)
			break;
		nanosleep(&pause, NULL);
	}
	printf("{\"closed\": %" PRIu64 "}\n", closed[0]);
	return 0;
}

static void read_hello(struct options *options)
{
	int     fd = open(options->hello_path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, options->hello, HEAD_MAX - sizeof(struct order));

	if (got < 0)
		die(options->hello_path);
	options->hello_len = (size_t)got;
	close(fd);
}

enum option_kind { OPTION_TEXT, OPTION_NUMBER, OPTION_FLAG };

static const struct option_row {
	const char      *name;
	enum option_kind kind;
	size_t           offset; /* of a const char *, uint64_t or bool in struct options */
} option_rows[] = {
	{"address", OPTION_TEXT, offsetof(struct options, address)},
	{"connections", OPTION_NUMBER, offsetof(struct options, connections)},
	{"count", OPTION_NUMBER, offsetof(struct options, count)},
	{"down", OPTION_NUMBER, offsetof(struct options, down)},
	{"end-first", OPTION_FLAG, offsetof(struct options, end_first)},
	{"hello", OPTION_TEXT, offsetof(struct options, hello_path)},
	{"hold", OPTION_FLAG, offsetof(struct options, hold)},
	{"interval", OPTION_NUMBER, offsetof(struct options, interval_ms)},
	{"mode", OPTION_TEXT, offsetof(struct options, mode)},
	{"parallel", OPTION_NUMBER, offsetof(struct options, parallel)},
	{"rate", OPTION_NUMBER, offsetof(struct options, rate)},
	{"stall", OPTION_FLAG, offsetof(struct options, stall)},
	{"unix", OPTION_TEXT, offsetof(struct options, unix_path)},
	{"up", OPTION_NUMBER, offsetof(struct options, up)},
};

static void take_option(struct options *options, const struct option_row *row, const char *value)
{
	void *at = (char *)options + row->offset;

	switch (row->kind) {
	case OPTION_TEXT:
		*(const char **)at = value;
		break;
	case OPTION_NUMBER:
		*(uint64_t *)at = strtoull(value, NULL, 10);
		break;
	case OPTION_FLAG:
		*(bool *)at = true;
		break;
	}
}

/* What follows the command: options, and the port. */
static void read_options(int words, char **word, struct options *options)
{
	enum { ROWS = sizeof(option_rows) / sizeof(option_rows[0]) };
	struct option names[ROWS + 1] = {0};
	int           row;

	for (int i = 0; i < ROWS; i++)
		names[i] = (struct option){
			.name = option_rows[i].name,
			.has_arg = option_rows[i].kind == OPTION_FLAG ? no_argument
		                                                      : required_argument,
		};
	while (getopt_long(words, word, "", names, &row) == 0)
		take_option(options, &option_rows[row], optarg);
	if (options->hello_path)
		read_hello(options);
	if (optind < words)
		options->port = (uint16_t)strtoul(word[optind], NULL, 10);
}

int main(int argc, char **argv)
{
	static struct options options = {.address = "127.0.0.1",
	                                 .mode = "reset",
	                                 .connections = 1,
	                                 .parallel = 64,
	                                 .interval_ms = 20};
	const char           *command = argc > 1 ? argv[1] : "";

	signal(SIGPIPE, SIG_IGN);
	raise_nofile();
	if (argc > 1)
		read_options(argc - 1, argv + 1, &options);
	if (!strcmp(command, "backend"))
		run_backend(&options);
	if (!strcmp(command, "bulk"))
		return run_bulk(&options);
	if (!strcmp(command, "churn"))
		return run_churn(&options);
	if (!strcmp(command, "storm"))
		return run_storm(&options);
	if (!strcmp(command, "trickle") && options.hello_len)
		return run_trickle(&options);
	fprintf(stderr, "load: backend | bulk PORT | churn PORT | storm PORT | trickle PORT\n");
	return 2;
}
