#include "ends.h"

#include "peers.h"
#include "tool.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* The hello; with the first request behind it in the modes that have requests. */
static uint8_t greeting[LOAD_HELLO_MAX + LOAD_REQUEST];
static size_t  greeting_len;

/* ---- backend ---- */

/* Bytes received, 0 at the end; < 0: broken, or the hello is not what the client sent. */
static ssize_t backend_receive(struct load *load, struct peer *peer)
{
	const struct settings *settings = &load->settings;
	size_t                 before = (size_t)peer->received;
	size_t                 part;
	ssize_t                got;

	if (before >= settings->hello_len)
		return peer_discard(peer);
	got = recv(peer->fd, peers_scratch, PEERS_TAKE, 0);
	if (got <= 0)
		return got;
	part = settings->hello_len - before;
	if (part > (size_t)got)
		part = (size_t)got;
	if (memcmp(peers_scratch, settings->hello + before, part) != 0)
		give_up("the backend read another hello than the client sent");
	return got;
}

/* What the bytes read so far make the backend owe. */
static void backend_answer(struct load *load, struct peer *peer, uint64_t before)
{
	const struct settings *settings = &load->settings;
	uint64_t               hello = settings->hello_len;

	if (peer->received < hello)
		return;
	if (settings->mode == MODE_BULK && settings->up) {
		load->bytes += peer->received - (before > hello ? before : hello);
	} else if (settings->mode == MODE_BULK) {
		peer->due = PEERS_ENDLESS;
	} else if (settings->mode == MODE_OPEN) {
		if (before < hello)
			peer->due = settings->size;
	} else {
		before = before > hello ? (before - hello) / LOAD_REQUEST : 0;
		peer->due += ((peer->received - hello) / LOAD_REQUEST - before) * settings->size;
	}
}

static void backend_advance(struct load *load, struct peer *peer, uint32_t events)
{
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
		ssize_t got = backend_receive(load, peer);

		/* The client's end or reset: the clients tell whether that was an error. */
		if (got == 0 || (got < 0 && errno != EAGAIN)) {
			peer_close(load, peer);
			return;
		}
		if (got > 0) {
			peer->received += (uint64_t)got;
			backend_answer(load, peer, peer->received - (uint64_t)got);
		}
	}
	if (peer->due && !peer_send(load, peer)) {
		peer_close(load, peer);
		return;
	}
	if (load->settings.mode == MODE_OPEN && peer->received >= load->settings.hello_len &&
	    !peer->due)
		peer_close(load, peer);
}

/* ---- clients ---- */

/* On loopback the handshake is mostly over when connect returns: the greeting can go at once. */
static bool client_greet(struct load *load, struct peer *peer)
{
	ssize_t put = send(peer->fd, greeting, greeting_len, MSG_NOSIGNAL);

	if (put < 0 && errno == EAGAIN) {
		peer_set_interest(load, peer, EPOLLIN | EPOLLOUT);
		return true;
	}
	if (put != (ssize_t)greeting_len)
		return false;
	peer->stage = OPEN;
	if (load->settings.mode == MODE_BULK && load->settings.up)
		peer->due = PEERS_ENDLESS;
	peer_wait(load, peer);
	return true;
}

/* The answer is whole. False: the connection is broken. */
static bool client_finish_exchange(struct load *load, struct peer *peer)
{
	load->units++;
	peer->begun_ns = load_note_latency(load, peer->begun_ns);
	if (load->settings.mode == MODE_IDLE)
		return true;
	peer->received = 0;
	peer->due = LOAD_REQUEST;
	return peer_send(load, peer);
}

static void client_finish_open(struct load *load, struct peer *peer)
{
	if (load->settings.mode != MODE_OPEN || peer->received != load->settings.size) {
		errno = ECONNRESET;
		peer_fail(load, peer);
		return;
	}
	load->units++;
	load_note_latency(load, peer->begun_ns);
	peer_close(load, peer);
}

static bool client_take(struct load *load, struct peer *peer, uint64_t got)
{
	enum mode mode = load->settings.mode;

	peer->received += got;
	if (mode == MODE_OPEN)
		return peer->received <= load->settings.size;
	load->bytes += got;
	if (mode == MODE_BULK || peer->received < load->settings.size)
		return true;
	return peer->received == load->settings.size && client_finish_exchange(load, peer);
}

static void client_advance(struct load *load, struct peer *peer, uint32_t events)
{
	if (peer->stage == CONNECTING) {
		if (!client_greet(load, peer))
			peer_fail(load, peer);
		return;
	}
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
		ssize_t got = peer_discard(peer);

		if (got == 0) {
			client_finish_open(load, peer);
			return;
		}
		if ((got < 0 && errno != EAGAIN) ||
		    (got > 0 && !client_take(load, peer, (uint64_t)got))) {
			peer_fail(load, peer);
			return;
		}
	}
	if (events & EPOLLOUT && !peer_send(load, peer))
		peer_fail(load, peer);
}

/* ---- the run ---- */

static int make_file(void)
{
	int fd = memfd_create("lg", MFD_CLOEXEC);

	if (fd < 0)
		die("memfd_create");
	for (size_t at = 0; at < PEERS_FILE_SIZE; at += sizeof(peers_payload))
		if (write(fd, peers_payload, sizeof(peers_payload)) !=
		    (ssize_t)sizeof(peers_payload))
			die("the file to send");
	return fd;
}

void ends_init(struct load *load, bool sends_file, uint64_t fastopen)
{
	static const struct ends ends = {
		.begin_client = client_greet,
		.advance_client = client_advance,
		.advance_backend = backend_advance,
	};
	const struct settings *settings = &load->settings;

	load->ends = &ends;
	memcpy(greeting, settings->hello, settings->hello_len);
	memset(greeting + settings->hello_len, 'r', LOAD_REQUEST);
	greeting_len = settings->hello_len;
	if (settings->mode == MODE_EXCHANGE || settings->mode == MODE_IDLE)
		greeting_len += LOAD_REQUEST;
	peers_init(load, fastopen);
	if (sends_file)
		load->file = make_file();
}
