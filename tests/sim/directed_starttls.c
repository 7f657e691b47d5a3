#include "proto/pgwire.h"
#include "sim/directed.h"
#include "sim/sim.h"

/* ------------------------------------------------------------------ PostgreSQL's way to TLS */

static const uint8_t cancel[16] = {0, 0, 0, 16, 4, 0xd2, 0x16, 0x2e, 0, 0, 0, 7, 1, 2, 3, 4};

static struct world_plan asked(void)
{
	struct world_plan plan = world_default();

	plan.starttls = true;
	return plan;
}

/* A client with the hello of *kind* behind its request, who has said nothing yet; its server is to
 * be asked in its name. */
static struct sock *connect_asking(enum hello_kind kind)
{
	static uint8_t said[4096];
	struct span    hello = hello_of(kind);
	struct sock   *client;

	CHECK(hello.len + PGWIRE_REQUEST_SIZE <= sizeof(said));
	pgwire_write_ssl_request(said);
	memcpy(said + PGWIRE_REQUEST_SIZE, hello.data, hello.len);
	client = world_connect(
		(struct stream){said, (uint32_t)(PGWIRE_REQUEST_SIZE + hello.len), 1000});
	pgwire_write_ssl_request(client->header + client->header_len);
	client->header_len += PGWIRE_REQUEST_SIZE;
	client->skip_in = PGWIRE_REQUEST_SIZE;
	return client;
}

/* What the server answers is not passed on: the client has our answer. */
static struct sock *answer(struct sock *client, const char *text)
{
	struct sock *server = server_of(client);

	server->stream.head = (const uint8_t *)text;
	server->stream.head_len = (uint32_t)strlen(text);
	client->skip = 1;
	peer_send(server, server->stream.head_len);
	settle();
	return server;
}

static void a_client_that_asks_is_answered_and_its_server_asked_in_its_name(void)
{
	/* Cut everywhere in the request, and once in the hello. */
	for (uint32_t cut = 1; cut <= PGWIRE_REQUEST_SIZE + 1; cut++) {
		struct world_plan plan = asked();
		struct sock      *client, *server;

		plan.send_proxy = cut % 2 ? PROXYPROTO_V2 : PROXYPROTO_OFF;
		open_world(plan);
		client = connect_asking(SAYS_A_PADDED);
		peer_send(client, cut < PGWIRE_REQUEST_SIZE ? cut : PGWIRE_REQUEST_SIZE);
		settle();
		peer_send(client, PGWIRE_REQUEST_SIZE - client->in_sent);
		settle();
		EXPECT(client->told == 1 && client->preface[0] == PGWIRE_YES);
		peer_send(client, 100);
		settle();
		peer_send(client, client->stream.head_len - client->in_sent);
		settle();
		EXPECT(world_conn(client)->state == CONN_ANSWER);
		EXPECT(server_of(client)->out_accepted == client->header_len);
		server = answer(client, "S");
		EXPECT(world_conn(client)->state == CONN_RELAY);
		pump(client, server, 1000);
		pump(server, client, 1000);
		finish(client);
		close_world();
	}
}

static void a_server_that_says_more_or_else_than_yes_never_sees_the_hello(void)
{
	static const char *const answers[] = {"N", "E", "SS", "S\x16\x03"};

	for (size_t i = 0; i < COUNT(answers); i++) {
		struct sock *client, *server;

		open_world(asked());
		client = connect_asking(SAYS_A);
		peer_send(client, PGWIRE_REQUEST_SIZE);
		settle();
		peer_send(client, client->stream.head_len - client->in_sent);
		settle();
		server = answer(client, answers[i]);
		EXPECT(server->out_accepted == client->header_len);
		EXPECT(client->alert[6] == ALERT_INTERNAL_ERROR);
		peer_finish(client);
		settle();
		EXPECT(outcome_of(client)->reason == REASON_STARTTLS_REFUSED);
		close_world();
	}
}

static void a_server_that_does_not_answer_has_the_time_of_a_connect(void)
{
	struct sock *client;

	open_world(asked());
	client = connect_asking(SAYS_A);
	peer_send(client, PGWIRE_REQUEST_SIZE);
	settle();
	peer_send(client, client->stream.head_len - client->in_sent);
	settle();
	pass(900);
	EXPECT(world_conn(client)->state == CONN_ANSWER);
	pass(200);
	EXPECT(client->alert[6] == ALERT_INTERNAL_ERROR);
	peer_finish(client);
	settle();
	EXPECT(outcome_of(client)->reason == REASON_CONNECT_TIMEOUT);
	close_world();
}

static void bytes_ahead_of_our_answer_are_refused(void)
{
	struct sock *client;

	open_world(asked());
	client = connect_asking(SAYS_A);
	peer_send(client, PGWIRE_REQUEST_SIZE + 1);
	settle();
	EXPECT(client->told == 0 && client->alert[0] == 'E' && world.dial_count == 0);
	peer_finish(client);
	settle();
	EXPECT(outcome_of(client)->reason == REASON_STARTTLS_REFUSED);
	close_world();
}

/* One that is not there, one that never ends, two that take it. */
static void a_cancel_request_is_sent_to_every_server_in_bounded_time(void)
{
	struct sock *client;

	open_world(asked());
	world.answers[0] = DIAL_REFUSED;
	world.answers[1] = DIAL_IGNORED;
	client = world_connect((struct stream){cancel, sizeof(cancel), 1000});
	peer_send(client, sizeof(cancel));
	settle();
	EXPECT(world_conn(client)->state == CONN_CANCEL && world.dial_count == 2);
	pass(1000);
	EXPECT(world.dial_count == 3 && world.dialled[2]->out_accepted == sizeof(cancel));
	pass(1000); /* it does not end */
	EXPECT(world.dial_count == 4 && world.dialled[3]->out_accepted == sizeof(cancel));
	EXPECT(!world.dialled[2]->is_open);
	peer_finish(world.dialled[3]);
	settle();
	EXPECT(!world_conn(client) && outcome_of(client)->reason == REASON_OK);
	world_close();
}

const struct directed directed_starttls[] = {
	DIRECTED(a_client_that_asks_is_answered_and_its_server_asked_in_its_name),
	DIRECTED(a_server_that_says_more_or_else_than_yes_never_sees_the_hello),
	DIRECTED(a_server_that_does_not_answer_has_the_time_of_a_connect),
	DIRECTED(bytes_ahead_of_our_answer_are_refused),
	DIRECTED(a_cancel_request_is_sent_to_every_server_in_bounded_time),
	{NULL, NULL},
};
