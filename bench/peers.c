#include "peers.h"

#include "tool.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	EVENTS = 256,
	ERRORS_MAX = 1000,
};

uint8_t     peers_payload[PEERS_PIECE], peers_scratch[PEERS_TAKE];
struct peer peers = {.next = &peers, .prev = &peers};

static struct sockaddr_in loopback(uint64_t port)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
	                            .sin_port = htons((uint16_t)port),
	                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int new_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0)
		die("socket");
	/* What a listener accepts inherits it. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

/* ---- one of them ---- */

static struct peer *peer_new(int fd, bool is_backend)
{
	struct peer *peer = calloc(1, sizeof(*peer));

	if (!peer)
		die("calloc");
	peer->fd = fd;
	peer->is_backend = is_backend;
	peer->next = peers.next;
	peer->prev = &peers;
	peers.next->prev = peer;
	peers.next = peer;
	return peer;
}

void peer_close(struct load *load, struct peer *peer)
{
	if (load->ends->release)
		load->ends->release(peer);
	close(peer->fd);
	if (!peer->is_backend)
		load->missing++;
	peer->next->prev = peer->prev;
	peer->prev->next = peer->next;
	free(peer);
}

void peer_fail(struct load *load, struct peer *peer)
{
	const char *error = load->ends->last_error ? load->ends->last_error() : NULL;

	load->errors++;
	if (load->errors > ERRORS_MAX)
		give_up("more than %d connections failed; the last error: %s%s%s", ERRORS_MAX,
		        strerror(errno), error ? ", " : "", error ? error : "");
	peer_close(load, peer);
}

void peer_set_interest(struct load *load, struct peer *peer, uint32_t interest)
{
	struct epoll_event event = {.events = interest, .data.ptr = peer};

	if (peer->interest == interest)
		return;
	if (epoll_ctl(load->epoll, peer->interest ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, peer->fd,
	              &event) < 0)
		die("epoll_ctl");
	peer->interest = interest;
}

void peer_wait(struct load *load, struct peer *peer)
{
	peer_set_interest(load, peer, peer->due ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

bool peer_send(struct load *load, struct peer *peer)
{
	for (unsigned i = 0; i < PEERS_BURST && peer->due; i++) {
		size_t  len = peer->due < PEERS_PIECE ? (size_t)peer->due : PEERS_PIECE;
		ssize_t put;

		if (peer->is_backend && load->file) {
			if (peer->file_at >= PEERS_FILE_SIZE)
				peer->file_at = 0;
			put = sendfile(peer->fd, load->file, &peer->file_at, len);
		} else {
			put = send(peer->fd, peers_payload, len, MSG_NOSIGNAL);
		}
		if (put < 0) {
			if (errno != EAGAIN)
				return false;
			break;
		}
		if (peer->due != PEERS_ENDLESS)
			peer->due -= (uint64_t)put;
	}
	peer_wait(load, peer);
	return true;
}

ssize_t peer_discard(const struct peer *peer)
{
	/* MSG_TRUNC drops it without a copy, so that the load costs little. */
	return recv(peer->fd, peers_scratch, PEERS_TAKE, MSG_TRUNC);
}

/* ---- all of them ---- */

static void listen_backend(struct load *load, uint64_t fastopen)
{
	struct sockaddr_in address = loopback(load->settings.backend_port);
	struct epoll_event event = {.events = EPOLLIN};
	int                queue = (int)fastopen;
	int                on = 1;

	load->listener = new_socket();
	setsockopt(load->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (queue > 0 &&
	    setsockopt(load->listener, IPPROTO_TCP, TCP_FASTOPEN, &queue, sizeof(queue)) < 0)
		die("TCP_FASTOPEN");
	if (bind(load->listener, (struct sockaddr *)&address, sizeof(address)) < 0)
		die("the backend's port");
	if (listen(load->listener, 8192) < 0 ||
	    epoll_ctl(load->epoll, EPOLL_CTL_ADD, load->listener, &event) < 0)
		die("listen");
}

static void accept_backends(struct load *load)
{
	for (unsigned i = 0; i < EVENTS; i++) {
		int          fd = accept4(load->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		struct peer *peer;

		if (fd < 0 && errno != EAGAIN && errno != ECONNABORTED)
			die("accept");
		if (fd < 0)
			return;
		peer = peer_new(fd, true);
		if (load->ends->begin_backend)
			load->ends->begin_backend(load, peer);
		peer_wait(load, peer);
	}
}

static void open_client(struct load *load)
{
	struct sockaddr_in address = loopback(load->settings.target_port);
	uint64_t           begun_ns = meter_now_ns();
	struct peer       *peer = peer_new(new_socket(), false);

	load->missing--;
	peer->begun_ns = begun_ns;
	if ((connect(peer->fd, (struct sockaddr *)&address, sizeof(address)) < 0 &&
	     errno != EINPROGRESS) ||
	    !load->ends->begin_client(load, peer))
		peer_fail(load, peer);
}

void peers_open_missing(struct load *load)
{
	/* As many as are missing now: one that fails at once is tried again in the next turn. */
	for (uint64_t i = load->missing; i > 0; i--)
		open_client(load);
}

void peers_turn(struct load *load, int timeout_ms)
{
	static struct epoll_event events[EVENTS];
	struct timespec           timeout = {.tv_nsec = (long)timeout_ms * 1000000};
	int                       count;

	if (load->ends->send_due)
		timeout.tv_nsec = (long)load->ends->send_due(load, (uint64_t)timeout.tv_nsec);
	count = epoll_pwait2(load->epoll, events, EVENTS, &timeout, NULL);
	if (count < 0 && errno != EINTR)
		die("epoll_pwait2");
	for (int i = 0; i < count; i++) {
		struct peer *peer = events[i].data.ptr;

		if (!peer)
			accept_backends(load);
		else if (peer->is_backend)
			load->ends->advance_backend(load, peer, events[i].events);
		else
			load->ends->advance_client(load, peer, events[i].events);
	}
}

void peers_init(struct load *load, uint64_t fastopen)
{
	memset(peers_payload, 'p', sizeof(peers_payload));
	load->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (load->epoll < 0)
		die("epoll_create1");
	listen_backend(load, fastopen);
}

void peers_fini(struct load *load)
{
	while (peers.next != &peers)
		peer_close(load, peers.next);
	close(load->listener);
	close(load->epoll);
}
