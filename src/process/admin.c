#include "process/admin.h"

#include "base/clock.h"
#include "io/sock.h"
#include "proto/ctlwire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	ACCEPT_AGAIN_MS = 100,  /* after EMFILE and its like */
	PIECE_ROOM = 64 << 10,  /* the next piece is made when less than this waits */
	ANSWER_RESERVE = 256,   /* behind ANSWER_MAX, for the last words */
	ANSWER_FIRST = 8 << 10, /* bytes of a buffer that has just begun */
	TURNED_AWAY_TEXT_MAX = 200,
};

/* One of the client's two streams, as a cookie of fopencookie(3). */
struct stream {
	struct client    *client;
	enum ctlwire_type type;
};

struct client {
	struct admin_request request;
	struct admin        *admin;
	struct list          in_admin;
	struct watch         watch;
	struct stream        out, err;
	uint64_t             deadline_ms; /* for the request, then for progress; 0 = none */
	uint8_t             *bytes;       /* of the request, until it is whole */
	size_t               bytes_len;
	uint8_t             *answer; /* frames; sent up to answer_at */
	size_t               answer_at, answer_len, answer_size;
	bool                 is_started; /* the request is whole */
	bool                 is_called;  /* we are inside its *start* or *more* */
	bool                 wants_more;
	bool                 is_cut; /* something did not fit */
	bool                 is_ended;
};

static struct client *client_of(struct admin_request *request)
{
	return container_of(request, struct client, request);
}

static size_t pending(const struct client *client)
{
	return client->answer_len - client->answer_at;
}

/* ---- what is to be sent ---- */

static bool make_room(struct client *client, size_t len)
{
	size_t   size = client->answer_size ? client->answer_size : ANSWER_FIRST;
	uint8_t *answer;

	if (client->answer_size - client->answer_len >= len)
		return true;
	if (client->answer_at > 0) {
		memmove(client->answer, client->answer + client->answer_at, pending(client));
		client->answer_len = pending(client);
		client->answer_at = 0;
	}
	while (size - client->answer_len < len)
		size *= 2;
	if (size == client->answer_size)
		return true;
	answer = realloc(client->answer, size);
	if (!answer)
		return false;
	client->answer = answer;
	client->answer_size = size;
	return true;
}

/* One frame; with *most* bytes waiting, or no memory, it is left out, and that is noted. */
static void add_frame(struct client *client, enum ctlwire_type type, const void *bytes, size_t len,
                      size_t most)
{
	size_t whole = CTLWIRE_FRAME_HEAD + len;

	if (client->is_cut && most == ADMIN_ANSWER_MAX)
		return; /* nothing comes behind a gap */
	if (pending(client) + whole > most || !make_room(client, whole)) {
		client->is_cut = true;
		return;
	}
	ctlwire_write_frame_head(type, len, client->answer + client->answer_len);
	memcpy(client->answer + client->answer_len + CTLWIRE_FRAME_HEAD, bytes, len);
	client->answer_len += whole;
}

static void add_text(struct client *client, enum ctlwire_type type, const char *text)
{
	add_frame(client, type, text, strlen(text), ADMIN_ANSWER_MAX + ANSWER_RESERVE);
}

/* Takes everything: for whoever writes there is no error, an answer cut short says so itself. */
static ssize_t stream_write(void *cookie, const char *bytes, size_t len)
{
	struct stream *stream = cookie;

	for (size_t at = 0; at < len; at += CTLWIRE_FRAME_MAX)
		add_frame(stream->client, stream->type, bytes + at,
		          min_size(len - at, CTLWIRE_FRAME_MAX), ADMIN_ANSWER_MAX);
	return (ssize_t)len;
}

static FILE *open_stream(struct stream *stream, struct client *client, enum ctlwire_type type)
{
	*stream = (struct stream){client, type};
	return fopencookie(stream, "w", (cookie_io_functions_t){.write = stream_write});
}

static void flush(struct client *client)
{
	if (client->request.out)
		(void)fflush(client->request.out);
	if (client->request.err)
		(void)fflush(client->request.err);
}

/* False: the client is gone. */
static bool send_answer(struct client *client)
{
	while (pending(client) > 0) {
		ssize_t sent = sock_send_now(client->watch.fd, client->answer + client->answer_at,
		                             pending(client));

		if (sent == -EAGAIN)
			return true;
		if (sent < 0)
			return false;
		client->answer_at += (size_t)sent;
		client->deadline_ms = 0;
	}
	client->answer_at = client->answer_len = 0;
	return true;
}

/* ---- one client ---- */

static void drop(struct client *client)
{
	struct admin *admin = client->admin;

	reactor_remove(admin->reactor, &client->watch);
	sock_close(client->watch.fd);
	list_remove(&client->in_admin);
	admin->client_count--;
	if (client->is_started && client->request.over)
		client->request.over(&client->request);
	/* What they still hold goes into the answer. */
	if (client->request.out)
		(void)fclose(client->request.out);
	if (client->request.err)
		(void)fclose(client->request.err);
	free((void *)(uintptr_t)client->request.words);
	free(client->bytes);
	free(client->answer);
	free(client);
}

/* For the client to take something, and no longer than it may. The kernel calls a unix socket
 * writable when three quarters of it are free: it is not by itself, but for a reader. */
static void await(struct client *client)
{
	bool has_pieces = client->wants_more && !client->is_ended;
	bool waits = pending(client) > 0 || has_pieces;

	if (!waits)
		client->deadline_ms = 0;
	else if (client->deadline_ms == 0)
		client->deadline_ms = clock_ms() + ADMIN_STUCK_MS;
	reactor_change(client->admin->reactor, &client->watch, waits ? EPOLLOUT : 0);
}

/* Lets the command add a piece if there is room, sends, and waits for whatever is due then. One
 * piece a turn: others want the thread, too. */
static void advance(struct client *client)
{
	struct admin_request *request = &client->request;

	if (client->wants_more && !client->is_ended && pending(client) < PIECE_ROOM) {
		client->wants_more = false;
		client->is_called = true;
		/* It may have been answered, and resumed, before it returns. */
		if (request->more(request))
			client->wants_more = true;
		client->is_called = false;
	}
	flush(client);
	if (!send_answer(client) || (client->is_ended && pending(client) == 0)) {
		drop(client);
		return;
	}
	await(client);
}

static void refuse(struct client *client, const char *why)
{
	client->deadline_ms = 0;
	add_text(client, CTLWIRE_ERR, why);
	admin_end(&client->request, 1);
}

/* The words as strings, in one block. NULL: no memory. */
static const char **copy_words(const struct ctlwire_request *parsed)
{
	size_t       size = 0;
	const char **words;
	char        *text;

	for (size_t i = 0; i < parsed->word_count; i++)
		size += parsed->words[i].len + 1;
	words = malloc((parsed->word_count + 1) * sizeof(*words) + size);
	if (!words)
		return NULL;
	text = (char *)(words + parsed->word_count + 1);
	for (size_t i = 0; i < parsed->word_count; i++) {
		words[i] = text;
		memcpy(text, parsed->words[i].data, parsed->words[i].len);
		text += parsed->words[i].len;
		*text++ = '\0';
	}
	words[parsed->word_count] = NULL;
	return words;
}

static void begin_request(struct client *client, const struct ctlwire_request *parsed)
{
	struct admin_request *request = &client->request;

	request->words = copy_words(parsed);
	request->word_count = parsed->word_count;
	request->out = open_stream(&client->out, client, CTLWIRE_OUT);
	request->err = open_stream(&client->err, client, CTLWIRE_ERR);
	free(client->bytes);
	client->bytes = NULL;
	client->deadline_ms = 0;
	if (!request->words || !request->out || !request->err) {
		refuse(client, "penstock: no memory\n");
		return;
	}
	client->is_started = true;
	client->is_called = true;
	client->admin->start(request);
	client->is_called = false;
	if (request->more)
		client->wants_more = true;
	advance(client);
}

static void read_request(struct client *client)
{
	struct ctlwire_request parsed;
	ssize_t                got = recv(client->watch.fd, client->bytes + client->bytes_len,
	                                  CTLWIRE_REQUEST_MAX - client->bytes_len, MSG_DONTWAIT);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		drop(client);
		return;
	}
	client->bytes_len += (size_t)got;
	switch (ctlwire_parse_request(span_of(client->bytes, client->bytes_len), &parsed)) {
	case CTLWIRE_MORE:
		return;
	case CTLWIRE_OK:
		begin_request(client, &parsed);
		return;
	case CTLWIRE_OTHER:
		refuse(client, "penstock: this penstock ctl is of another version than the running "
		               "program (" PENSTOCK_VERSION ")\n");
		return;
	case CTLWIRE_BAD:
		refuse(client, "penstock: this is no request\n");
		return;
	}
}

/* Whoever sent a whole request and left at once is served, too. After that only his going matters:
 * a shutdown of his sending side is no going (EPOLLRDHUP is not asked for). */
static void on_client(struct watch *watch, uint32_t events)
{
	struct client *client = container_of(watch, struct client, watch);

	if (!client->is_started && !client->is_ended && (events & EPOLLIN)) {
		read_request(client);
	} else if (events & (EPOLLHUP | EPOLLERR)) {
		drop(client);
	} else {
		client->deadline_ms = 0; /* it has taken something */
		advance(client);
	}
}

/* ---- accepting ---- */

/* With a word and an exit code, as far as that can be said at once. */
static void turn_away(int fd, const char *why)
{
	uint8_t bytes[2 * CTLWIRE_FRAME_HEAD + TURNED_AWAY_TEXT_MAX + 1];
	size_t  len = strlen(why);

	CHECK(len <= TURNED_AWAY_TEXT_MAX);
	ctlwire_write_frame_head(CTLWIRE_ERR, len, bytes);
	memcpy(bytes + CTLWIRE_FRAME_HEAD, why, len);
	ctlwire_write_frame_head(CTLWIRE_EXIT, 1, bytes + CTLWIRE_FRAME_HEAD + len);
	bytes[2 * CTLWIRE_FRAME_HEAD + len] = 1;
	(void)!sock_send_now(fd, bytes, 2 * CTLWIRE_FRAME_HEAD + len + 1);
	sock_close(fd);
}

/* The file's mode says so already; that of a socket that a parent folder has let through does not,
 * and neither does a file that somebody has opened up. unix(7), SO_PEERCRED. */
static bool is_allowed(const struct admin *admin, int fd, struct ucred *peer)
{
	socklen_t len = sizeof(*peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, peer, &len) == 0 &&
	       (peer->uid == 0 || peer->uid == admin->owner || peer->uid == geteuid());
}

/* The client that has been silent for longest gives way: many of them would shut all others out.
 * False: all have asked something. */
static bool drop_silent_one(struct admin *admin)
{
	for (struct list *link = admin->clients.next; link != &admin->clients; link = link->next) {
		struct client *client = container_of(link, struct client, in_admin);

		if (!client->is_started && !client->is_ended) {
			drop(client);
			return true;
		}
	}
	return false;
}

static struct client *new_client(struct admin *admin, int fd, const struct ucred *peer)
{
	struct client *client = calloc(1, sizeof(*client));

	if (!client)
		return NULL;
	client->bytes = malloc(CTLWIRE_REQUEST_MAX);
	client->watch = (struct watch){fd, on_client};
	if (!client->bytes || reactor_add(admin->reactor, &client->watch, EPOLLIN) < 0) {
		free(client->bytes);
		free(client);
		return NULL;
	}
	client->admin = admin;
	client->request.context = admin->context;
	client->request.ticket = ++admin->next_ticket;
	client->request.uid = peer->uid;
	client->request.pid = peer->pid;
	client->deadline_ms = clock_ms() + ADMIN_REQUEST_MS;
	list_append(&admin->clients, &client->in_admin);
	admin->client_count++;
	return client;
}

static void take_client(struct admin *admin, int fd)
{
	struct ucred peer;

	if (!is_allowed(admin, fd, &peer))
		turn_away(fd, "penstock: only root and the user of penstock may do this\n");
	else if (admin->client_count >= ADMIN_CLIENTS_MAX && !drop_silent_one(admin))
		turn_away(fd, "penstock: too many requests at once; try again\n");
	else if (!new_client(admin, fd, &peer))
		turn_away(fd, "penstock: no memory\n");
}

static bool is_shortage(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

static void on_listening(struct watch *watch, uint32_t events)
{
	struct admin *admin = container_of(watch, struct admin, listening);
	int           fd = accept4(watch->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)events;
	if (fd >= 0) {
		take_client(admin, fd);
	} else if (is_shortage(errno)) {
		/* It stays ready: without a pause we would spin. */
		reactor_change(admin->reactor, watch, 0);
		admin->accept_again_ms = clock_ms() + ACCEPT_AGAIN_MS;
	}
}

/* ---- beginning and end ---- */

int admin_open(struct admin *admin, struct reactor *reactor, const char *path, uid_t owner,
               void (*start)(struct admin_request *request), void *context, const char **step)
{
	int result;

	*admin = (struct admin){
		.reactor = reactor, .owner = owner, .start = start, .context = context};
	list_init(&admin->clients);
	result = admin_socket_open(&admin->socket, path, owner, step);
	if (result < 0)
		return result;
	admin->listening = (struct watch){admin->socket.fd, on_listening};
	*step = "epoll";
	result = reactor_add(reactor, &admin->listening, EPOLLIN);
	if (result < 0)
		admin_socket_close(&admin->socket);
	return result;
}

void admin_close(struct admin *admin)
{
	while (!list_is_empty(&admin->clients)) {
		struct client *client = container_of(admin->clients.next, struct client, in_admin);

		if (client->is_started && !client->is_ended) {
			flush(client);
			add_text(client, CTLWIRE_ERR, "penstock: it ends\n");
			client->is_called = true; /* we drop it ourselves */
			admin_end(&client->request, 1);
		}
		(void)send_answer(client);
		drop(client);
	}
	reactor_remove(admin->reactor, &admin->listening);
	admin_socket_close(&admin->socket);
}

/* ---- time ---- */

uint64_t admin_tick(struct admin *admin, uint64_t now_ms)
{
	uint64_t     next_ms = UINT64_MAX;
	struct list *link = admin->clients.next;

	while (link != &admin->clients) {
		struct client *client = container_of(link, struct client, in_admin);

		link = link->next;
		if (client->deadline_ms == 0)
			continue;
		if (client->deadline_ms <= now_ms)
			drop(client);
		else if (client->deadline_ms < next_ms)
			next_ms = client->deadline_ms;
	}
	if (admin->accept_again_ms != 0 && admin->accept_again_ms <= now_ms) {
		reactor_change(admin->reactor, &admin->listening, EPOLLIN);
		admin->accept_again_ms = 0;
	}
	if (admin->accept_again_ms != 0 && admin->accept_again_ms < next_ms)
		next_ms = admin->accept_again_ms;
	return next_ms;
}

/* ---- for the commands ---- */

struct admin_request *admin_find(const struct admin *admin, uint64_t ticket)
{
	for (struct list *link = admin->clients.next; link != &admin->clients; link = link->next) {
		struct client *client = container_of(link, struct client, in_admin);

		if (client->request.ticket == ticket && client->is_started && !client->is_ended)
			return &client->request;
	}
	return NULL;
}

void admin_resume(struct admin_request *request)
{
	struct client *client = client_of(request);

	client->wants_more = request->more != NULL;
	if (!client->is_called)
		advance(client);
}

void admin_end(struct admin_request *request, int exit_code)
{
	struct client *client = client_of(request);
	uint8_t        code = (uint8_t)exit_code;

	CHECK(!client->is_ended);
	flush(client);
	if (client->is_cut) {
		add_text(client, CTLWIRE_ERR, "penstock: the rest did not fit and was left out\n");
		code = code ? code : 1;
	}
	add_frame(client, CTLWIRE_EXIT, &code, 1, ADMIN_ANSWER_MAX + ANSWER_RESERVE);
	client->is_ended = true;
	if (!client->is_called)
		advance(client);
}
