#include "tls_ends.h"

#include "peers.h"
#include "tool.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum {
	RECORDS = 64, /* records of one connection read in a row when there is no end of them */
	READ_BUFFER = 64 * 1024, /* of the clients' TLS, so that they call recv seldom */
};

static struct tls_ends *tls; /* of tls_ends_init */

/* ---- backend ---- */

static void backend_begin(struct load *load, struct peer *peer)
{
	if (load->settings.mode == MODE_BULK && !load->settings.up)
		peer->due = PEERS_ENDLESS;
}

static void backend_advance(struct load *load, struct peer *peer, uint32_t events)
{
	const struct settings *settings = &load->settings;

	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
		ssize_t got = peer_discard(peer);

		/* The client's end or reset: the clients tell whether that was an error. */
		if (got == 0 || (got < 0 && errno != EAGAIN)) {
			peer_close(load, peer);
			return;
		}
		if (got > 0) {
			uint64_t before = peer->received / LOAD_REQUEST;

			peer->received += (uint64_t)got;
			if (settings->mode == MODE_BULK)
				load->bytes += (uint64_t)got;
			else
				peer->due += (peer->received / LOAD_REQUEST - before) *
				             settings->size;
		}
	}
	if (peer->due && !peer_send(load, peer))
		peer_close(load, peer);
}

/* ---- clients ---- */

/* What TLS waits for. False: the connection is broken. */
static bool client_wants(struct load *load, struct peer *peer, int result)
{
	int error = SSL_get_error(peer->ssl, result);

	if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
		return false;
	peer_set_interest(load, peer,
	                  error == SSL_ERROR_WANT_WRITE || peer->due ? EPOLLIN | EPOLLOUT
	                                                             : EPOLLIN);
	return true;
}

static bool client_send(struct load *load, struct peer *peer)
{
	for (unsigned i = 0; i < PEERS_BURST && peer->due; i++) {
		int len = peer->due < PEERS_PIECE ? (int)peer->due : PEERS_PIECE;
		int put = SSL_write(peer->ssl, peers_payload, len);

		if (put <= 0)
			return client_wants(load, peer, put);
		if (peer->due != PEERS_ENDLESS)
			peer->due -= (uint64_t)put;
	}
	peer_wait(load, peer);
	return true;
}

/* Says our end. The unit is counted when the proxy has said its own. */
static bool client_end(struct load *load, struct peer *peer)
{
	peer->stage = ENDING;
	SSL_shutdown(peer->ssl);
	shutdown(peer->fd, SHUT_WR);
	peer_set_interest(load, peer, EPOLLIN);
	return true;
}

static bool client_request(struct load *load, struct peer *peer)
{
	peer->received = 0;
	peer->due = LOAD_REQUEST;
	return client_send(load, peer);
}

static void note_handshake(const struct peer *peer)
{
	bool resumed = SSL_session_reused(peer->ssl);

	tls->resumed += resumed;
	tls->full += !resumed;
	if (peer->is_resuming && !resumed)
		give_up("the proxy did not resume a session");
	if (!tls->what[0]) {
		const char *group = SSL_group_to_name(peer->ssl,
		                                      (int)SSL_get_negotiated_group(peer->ssl));

		snprintf(tls->what, sizeof(tls->what), "%s %s %s", SSL_get_version(peer->ssl),
		         SSL_get_cipher_name(peer->ssl), group ? group : "-");
	}
}

static bool client_begin(struct load *load, struct peer *peer)
{
	int result = SSL_connect(peer->ssl);

	if (result != 1)
		return client_wants(load, peer, result);
	note_handshake(peer);
	peer->stage = OPEN;
	switch (load->settings.mode) {
	case MODE_HANDSHAKE:
		load_note_latency(load, peer->begun_ns);
		return client_end(load, peer);
	case MODE_OPEN:
	case MODE_IDLE:
		return client_request(load, peer);
	case MODE_EXCHANGE:
		peer->begun_ns = meter_now_ns();
		return client_request(load, peer);
	case MODE_BULK:
		peer->due = load->settings.up ? PEERS_ENDLESS : 0;
		peer_wait(load, peer);
		return true;
	case MODE_FLOOD:
	case MODES:
		break;
	}
	return false;
}

/* The answer is whole. */
static bool client_finish(struct load *load, struct peer *peer)
{
	uint64_t now_ns = load_note_latency(load, peer->begun_ns);

	if (load->settings.mode == MODE_OPEN)
		return client_end(load, peer);
	load->units++;
	if (load->settings.mode == MODE_IDLE)
		return true;
	if (tls->settings.pace_us) {
		peer->begun_ns += tls->settings.pace_us * 1000;
		peer->is_waiting = true;
		return true;
	}
	peer->begun_ns = now_ns;
	return client_request(load, peer);
}

static bool client_take(struct load *load, struct peer *peer, uint64_t got)
{
	peer->received += got;
	load->bytes += got;
	if (load->settings.mode == MODE_BULK)
		return true;
	if (peer->received < load->settings.size)
		return true;
	return peer->received == load->settings.size && client_finish(load, peer);
}

/* Reads until the socket is empty: what OpenSSL has read ahead makes no event. */
static void client_read(struct load *load, struct peer *peer)
{
	for (unsigned i = 0; load->settings.mode != MODE_BULK || i < RECORDS; i++) {
		int got = SSL_read(peer->ssl, peers_scratch, PEERS_TAKE);

		if (got > 0 && peer->stage == OPEN && client_take(load, peer, (uint64_t)got))
			continue;
		if (got <= 0 && client_wants(load, peer, got))
			return;
		/* A FIN without close_notify is an end, too, after we have said ours. */
		if (got <= 0 && peer->stage == ENDING) {
			load->units++;
			ERR_clear_error();
			peer_close(load, peer);
			return;
		}
		peer_fail(load, peer);
		return;
	}
}

static void flood_advance(struct load *load, struct peer *peer, uint32_t events)
{
	if (peer->stage == CONNECTING) {
		if (send(peer->fd, load->settings.hello, load->settings.hello_len, MSG_NOSIGNAL) !=
		    (ssize_t)load->settings.hello_len) {
			peer_fail(load, peer);
			return;
		}
		peer->stage = OPEN;
		peer_set_interest(load, peer, EPOLLIN);
		return;
	}
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
		/* 22 is a handshake: the server's flight. An alert is not what we came for. */
		if (recv(peer->fd, peers_scratch, PEERS_TAKE, 0) <= 0 || peers_scratch[0] != 22) {
			peer_fail(load, peer);
			return;
		}
		load->units++;
		load_note_latency(load, peer->begun_ns);
		peer_close(load, peer);
	}
}

static void client_advance(struct load *load, struct peer *peer, uint32_t events)
{
	if (!peer->ssl) {
		flood_advance(load, peer, events);
		return;
	}
	if (peer->stage == CONNECTING) {
		if (!client_begin(load, peer)) {
			peer_fail(load, peer);
			return;
		}
		/* What came with the server's last flight may be in OpenSSL already. */
		if (peer->stage == CONNECTING || !SSL_has_pending(peer->ssl))
			return;
		events = EPOLLIN;
	}
	if (events & EPOLLOUT && peer->stage == OPEN && !client_send(load, peer))
		peer_fail(load, peer);
	else if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		client_read(load, peer);
}

/* A copy: OpenSSL has a session of TLS 1.3 resumed once only. */
static void offer_session(struct peer *peer)
{
	SSL_SESSION *session = SSL_SESSION_dup(tls->session);

	if (!session || !SSL_set_session(peer->ssl, session))
		die("a session to resume");
	SSL_SESSION_free(session);
	peer->is_resuming = true;
}

static bool client_prepare(struct load *load, struct peer *peer)
{
	if (load->settings.mode != MODE_FLOOD) {
		peer->ssl = SSL_new(tls->context);
		if (!peer->ssl || !SSL_set_fd(peer->ssl, peer->fd) ||
		    !SSL_set_tlsext_host_name(peer->ssl, tls->settings.name))
			die("a client's TLS");
		if (tls->session)
			offer_session(peer);
	}
	peer_set_interest(load, peer, EPOLLOUT);
	return true;
}

static const char *client_last_error(void)
{
	unsigned long error = ERR_get_error();

	ERR_clear_error();
	return error ? ERR_reason_error_string(error) : "none of TLS";
}

static void client_release(struct peer *peer)
{
	if (!peer->ssl)
		return;
	/* OpenSSL forgets the session of a connection that was not shut down. */
	SSL_set_shutdown(peer->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(peer->ssl);
}

/* ---- the run ---- */

static uint64_t send_due(struct load *load, uint64_t wait_ns)
{
	uint64_t     now_ns = meter_now_ns();
	struct peer *next;

	if (!tls->settings.pace_us)
		return wait_ns;
	for (struct peer *peer = peers.next; peer != &peers; peer = next) {
		next = peer->next;
		if (!peer->is_waiting)
			continue;
		if (peer->begun_ns > now_ns) {
			if (wait_ns > peer->begun_ns - now_ns)
				wait_ns = peer->begun_ns - now_ns;
			continue;
		}
		peer->is_waiting = false;
		if (!client_request(load, peer))
			peer_fail(load, peer);
	}
	return wait_ns;
}

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
	(void)ssl;
	if (!tls->settings.resumes || tls->session || !SSL_SESSION_is_resumable(session))
		return 0;
	tls->session = session;
	return 1;
}

static void make_context(enum mode mode)
{
	const struct tls_settings *settings = &tls->settings;
	SSL_CTX                   *context = SSL_CTX_new(TLS_client_method());

	if (!context)
		die("SSL_CTX_new");
	SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
	SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE |
	                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
	                                  (mode == MODE_IDLE ? SSL_MODE_RELEASE_BUFFERS : 0));
	SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_read_ahead(context, mode != MODE_IDLE);
	if (mode == MODE_BULK || mode == MODE_EXCHANGE)
		SSL_CTX_set_default_read_buffer_len(context, READ_BUFFER);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(context, keep_session);
	if (!SSL_CTX_set_min_proto_version(context, settings->version) ||
	    !SSL_CTX_set_max_proto_version(context, settings->version) ||
	    !SSL_CTX_set1_groups_list(context, settings->groups) ||
	    !(settings->version == TLS1_3_VERSION
	              ? SSL_CTX_set_ciphersuites(context, settings->ciphers)
	              : SSL_CTX_set_cipher_list(context, settings->ciphers))) {
		fprintf(stderr, "tls_lg: %s has no %s or no %s\n", OpenSSL_version(OPENSSL_VERSION),
		        settings->groups, settings->ciphers);
		exit(3);
	}
	tls->context = context;
}

void tls_ends_init(struct load *load, struct tls_ends *made)
{
	static const struct ends ends = {
		.begin_client = client_prepare,
		.begin_backend = backend_begin,
		.advance_client = client_advance,
		.advance_backend = backend_advance,
		.send_due = send_due,
		.last_error = client_last_error,
		.release = client_release,
	};

	tls = made;
	load->ends = &ends;
	make_context(load->settings.mode);
	peers_init(load, 0);
}

void tls_ends_fini(struct load *load)
{
	peers_fini(load);
	SSL_SESSION_free(tls->session);
	SSL_CTX_free(tls->context);
}
