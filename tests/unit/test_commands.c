/* The commands with a control that the test plays, behind a real admin socket. */
#include "process/commands.h"

#include "admin_client.h"
#include "snapshot_text.h"

enum { SESSIONS = 300, MANY_SESSIONS = 16000, WORKERS = 3 };

static const char text[] = "[listener web]\n"
			   "listen = 443\n"
			   "[route app]\n"
			   "server_name = app.example.com\n"
			   "proxy_pass = pool\n"
			   "[upstream pool]\n"
			   "server = 10.0.0.1:443 max_fails=1 fail_timeout=60s\n"
			   "server = 10.0.0.2:443 weight=3\n"
			   "server = 10.0.0.3:443 backup\n"
			   "server = 10.0.0.4:443 down\n"
			   "[upstream other]\n"
			   "server = unix:/run/a\n";

static struct site          site;
static struct control_hooks hooks;
static uint64_t             asked_ticket, asked_id, generation;
static int                  asks, orders;
static uint64_t             sessions;
static bool                 answers_late;

/* ---- control ---- */

static void give_status(void *context, struct control_status *status)
{
	EXPECT(context == &asks);
	*status = (struct control_status){.phase = "serving",
	                                  .file = "/etc/p.ini",
	                                  .generation = generation,
	                                  .uptime_ms = 61000,
	                                  .workers = 2,
	                                  .sessions = 17};
}

static const struct snapshot *give_snapshot(void *context)
{
	EXPECT(context == &asks);
	return site.snapshot;
}

static void note_ticket(void *context, uint64_t ticket)
{
	EXPECT(context == &asks);
	asks++;
	asked_ticket = ticket;
}

static void note_close(void *context, uint64_t ticket, uint64_t id)
{
	note_ticket(context, ticket);
	asked_id = id;
}

static void note_order(void *context, const struct balance_server *server)
{
	EXPECT(context == &asks);
	EXPECT(server == &site.snapshot->upstreams[0].states[0]);
	orders++;
}

static struct roster_page page;

/* Worker 0 has none, the others half of *sessions* each. */
static void fill_page(const struct roster_filter *filter, uint32_t worker, uint64_t cursor)
{
	uint64_t last = worker == 0 ? 0 : sessions / 2;

	page.count = 0;
	for (; cursor < last && page.count < ROSTER_PAGE_ROWS; cursor++) {
		struct session_row *row = &page.rows[page.count];

		*row = (struct session_row){.id = worker * 1000 + cursor,
		                            .listener = "web",
		                            .sni = "a b\"c",
		                            .state = "relay",
		                            .relay = cursor % 2 ? "splice" : NULL,
		                            .age_ms = 1000,
		                            .bytes_up = cursor};
		if (roster_wants(filter, row))
			page.count++;
	}
	page.worker = worker + (cursor >= last);
	page.cursor = cursor >= last ? 0 : cursor;
	page.is_last = page.worker == WORKERS;
}

static void give_sessions(void *context, uint64_t ticket, const struct roster_filter *filter,
                          uint32_t worker, uint64_t cursor)
{
	note_ticket(context, ticket);
	fill_page(filter, worker, cursor);
	if (!answers_late)
		commands_page(&admin, ticket, &page);
}

static void begin(void)
{
	asks = orders = 0;
	asked_ticket = asked_id = 0;
	generation = 3;
	sessions = SESSIONS;
	answers_late = false;
	EXPECT(site_init(&site, text));
	hooks = (struct control_hooks){
		.context = &asks,
		.status = give_status,
		.snapshot = give_snapshot,
		.ordered = note_order,
		.reload = note_ticket,
		.drain = note_ticket,
		.sessions = give_sessions,
		.close = note_close,
	};
	open_admin(commands_start, &hooks);
}

static void end(void)
{
	close_admin();
	site_fini(&site);
}

static void run(const char *line)
{
	read_reply(ask(line));
}

static size_t count_lines(void)
{
	size_t lines = 0;

	for (const char *at = reply.out; *at; at++)
		lines += *at == '\n';
	return lines;
}

#define SAYS(stream, what)                                                                         \
	do {                                                                                       \
		EXPECT(strstr(stream, what) != NULL);                                              \
		if (!strstr(stream, what))                                                         \
			printf("  %s\n", stream);                                                  \
	} while (0)

/* ---- the words ---- */

TEST(an_unknown_command_is_refused_with_a_suggestion)
{
	begin();
	run("statsu");
	EXPECT_EQ(reply.code, 2);
	SAYS(reply.err, "unknown command statsu; did you mean \"status\"?");
	EXPECT_EQ(reply.out_len, 0);
	end();
}

TEST(words_that_do_not_fit_the_command_are_refused)
{
	static const char *const rows[] = {
		"status now",
		"reload x",
		"close",
		"close 1 2",
		"close one",
		"close -1",
		"close 99999999999999999999",
		"server pool 10.0.0.1:443",
		"server pool 10.0.0.1:443 sideways",
		"upstreams a b",
		"upstreams --all",
		"log-level loud",
		"sessions web",
		"sessions --frob",
		"sessions --limit",
		"sessions --limit x",
		"sessions --client host",
		"sessions --listener=",
		"explain",
		"explain -c /x app.example.com",
		"explain a b",
		"explain a --listener nowhere",
		"explain --help",
	};

	begin();
	for (size_t i = 0; i < COUNT(rows); i++) {
		run(rows[i]);
		EXPECT_EQ(reply.code, 2);
		EXPECT(reply.err_len > 0 && reply.out_len == 0);
		if (reply.code != 2)
			printf("  %s\n", rows[i]);
	}
	EXPECT_EQ(asks, 0);
	end();
}

TEST(what_control_cannot_do_is_said)
{
	static const char *const rows[] = {
		"status",   "reload",  "drain",     "upstreams",
		"sessions", "close 1", "explain x", "server pool 10.0.0.1:443 down"};

	begin();
	hooks = (struct control_hooks){0};
	for (size_t i = 0; i < COUNT(rows); i++) {
		run(rows[i]);
		EXPECT_EQ(reply.code, 1);
		SAYS(reply.err, "not possible now");
	}
	end();
}

TEST(help_lists_every_command)
{
	begin();
	run("help");
	EXPECT_EQ(reply.code, 0);
	SAYS(reply.out, "server UPSTREAM SERVER down|drain|up");
	run("help --json");
	SAYS(reply.out, "{\"name\": \"server\", \"arguments\": \"UPSTREAM SERVER down|drain|up\"");
	end();
}

/* ---- what is shown ---- */

TEST(status_is_a_record)
{
	begin();
	run("status");
	EXPECT_EQ(reply.code, 0);
	SAYS(reply.out, "uptime            1m01s\nphase             serving\n");
	SAYS(reply.out, "sessions          17\n");
	EXPECT(!strstr(reply.out, "drain"));
	run("--json");
	EXPECT_EQ(reply.code, 2);
	run("status --json");
	SAYS(reply.out, "\"uptime_ms\": 61000, \"phase\": \"serving\", \"file\": \"/etc/p.ini\", "
	                "\"generation\": 3, \"workers\": 2, \"sessions\": 17,");
	end();
}

TEST(log_level_is_shown_and_set)
{
	int before = log_threshold;

	begin();
	log_threshold = LOG_LEVEL_NOTICE;
	run("log-level");
	EXPECT(strcmp(reply.out, "notice\n") == 0);
	run("log-level debug");
	EXPECT(strcmp(reply.out, "debug\n") == 0);
	EXPECT_EQ(log_threshold, LOG_LEVEL_DEBUG);
	run("log-level warm");
	EXPECT_EQ(reply.code, 2);
	SAYS(reply.err, "did you mean \"warn\"?");
	EXPECT_EQ(log_threshold, LOG_LEVEL_DEBUG);
	run("log-level error --json");
	EXPECT(strcmp(reply.out, "{\"log_level\": \"error\"}\n") == 0);
	log_threshold = before;
	end();
}

TEST(explain_answers_by_the_configuration_that_runs)
{
	begin();
	run("explain app.example.com --listener web");
	EXPECT_EQ(reply.code, 0);
	SAYS(reply.out, "route app");
	balance_set_order(&site.snapshot->upstreams[0].states[1], BALANCE_ORDER_DRAIN);
	run("explain app.example.com");
	SAYS(reply.out, "10.0.0.1:443, 10.0.0.2:443 draining, 10.0.0.3:443 backup, "
	                "10.0.0.4:443 down");
	run("explain other.example.com");
	EXPECT_EQ(reply.code, 1);
	run("explain other.example.com --json");
	EXPECT_EQ(reply.code, 1);
	SAYS(reply.out, "{\"name\": \"other.example.com\", \"routed\": false, \"text\": \"");
	end();
}

/* ---- servers ---- */

TEST(upstreams_shows_every_server_and_its_state)
{
	struct upstream *pool;

	begin();
	pool = &site.snapshot->upstreams[0];
	balance_failed(pool->balance, &pool->states[0], clock_ms());
	pool->states[1].state->active = 5;
	run("upstreams");
	EXPECT_EQ(reply.code, 0);
	EXPECT_EQ(count_lines(), 6);
	SAYS(reply.out, "10.0.0.1:443              ejected");
	SAYS(reply.out, "10.0.0.2:443              up       5        3");
	SAYS(reply.out, "10.0.0.3:443              backup");
	SAYS(reply.out, "10.0.0.4:443              down");
	SAYS(reply.out, "unix:/run/a               up");
	run("upstreams other --json");
	SAYS(reply.out,
	     "[\n{\"upstream\": \"other\", \"server\": \"unix:/run/a\", \"state\": \"up\"");
	EXPECT_EQ(count_lines(), 3);
	run("upstreams othr");
	EXPECT_EQ(reply.code, 1);
	SAYS(reply.err, "did you mean \"other\"?");
	end();
}

TEST(a_server_is_ordered_away_and_back)
{
	struct upstream *pool;

	begin();
	pool = &site.snapshot->upstreams[0];
	run("server pool 10.0.0.1:443 drain");
	EXPECT_EQ(reply.code, 0);
	EXPECT(strcmp(reply.out, "pool 10.0.0.1:443: drain\n") == 0);
	EXPECT_EQ(pool->states[0].state->order, BALANCE_ORDER_DRAIN);
	EXPECT_EQ(orders, 1);
	run("upstreams pool");
	SAYS(reply.out, "10.0.0.1:443              drain");
	run("server pool 10.0.0.1:443 down --json");
	EXPECT(strcmp(reply.out, "{\"upstream\": \"pool\", \"server\": \"10.0.0.1:443\", "
	                         "\"state\": \"down\"}\n") == 0);
	run("server pool 10.0.0.1:443 up");
	EXPECT_EQ(pool->states[0].state->order, BALANCE_ORDER_UP);
	EXPECT_EQ(orders, 3);
	end();
}

TEST(a_server_that_is_not_there_is_told_with_what_was_meant)
{
	begin();
	run("server pol 10.0.0.1:443 down");
	EXPECT_EQ(reply.code, 1);
	SAYS(reply.err, "there is no upstream pol; did you mean \"pool\"?");
	run("server pool 10.0.0.9:443 down");
	EXPECT_EQ(reply.code, 1);
	SAYS(reply.err, "upstream pool has no server 10.0.0.9:443; did you mean \"10.0.0.");
	run("server pool 10.0.0.4:443 up");
	EXPECT_EQ(reply.code, 1);
	SAYS(reply.err, "down in the configuration");
	EXPECT_EQ(orders, 0);
	end();
}

/* ---- what control answers ---- */

TEST(sessions_come_page_by_page_over_all_workers)
{
	begin();
	run("sessions");
	EXPECT_EQ(reply.code, 0);
	EXPECT_EQ(count_lines(), 1 + SESSIONS);
	EXPECT_EQ(asks, 5); /* 0; 128 and 22; 128 and 22 */
	SAYS(reply.out, "\n1000                web");
	SAYS(reply.out, "\n2149                web");
	SAYS(reply.out, "a\\x20b\\x22c");
	EXPECT_EQ(reply.err_len, 0);
	run("sessions --json");
	EXPECT_EQ(count_lines(), 2 + SESSIONS);
	SAYS(reply.out, "{\"id\": 2149, \"listener\": \"web\", \"client\": null, "
	                "\"sni\": \"a b\\\"c\", \"route\": null, \"upstream\": null, "
	                "\"server\": null, \"state\": \"relay\", \"age_ms\": 1000, "
	                "\"idle_ms\": 0, \"bytes_up\": 149, \"bytes_down\": 0, "
	                "\"relay\": \"splice\"}\n]\n");
	end();
}

TEST(sessions_stop_at_the_limit_and_say_so)
{
	begin();
	run("sessions --limit 200");
	EXPECT_EQ(reply.code, 0);
	EXPECT_EQ(count_lines(), 1 + 200);
	SAYS(reply.err, "more than 200; --limit 0 shows all");
	run("sessions --limit=300 --json");
	EXPECT_EQ(count_lines(), 2 + 300);
	EXPECT_EQ(reply.err_len, 0);
	run("sessions --limit 0");
	EXPECT_EQ(count_lines(), 1 + SESSIONS);
	end();
}

TEST(sessions_are_filtered)
{
	begin();
	run("sessions --listener web --sni=nobody");
	EXPECT_EQ(reply.code, 0);
	EXPECT_EQ(count_lines(), 1);
	run("sessions --listener web --json --client 10.0.0.0/8");
	EXPECT(strcmp(reply.out, "[]\n") == 0);
	run("sessions --listner web");
	SAYS(reply.err, "unknown option --listner; did you mean \"--listener\"?");
	end();
}

TEST(pages_that_come_late_are_shown_and_those_for_nobody_dropped)
{
	int fd;

	begin();
	answers_late = true;
	fd = ask("sessions");
	turn(20);
	EXPECT_EQ(asks, 1);
	commands_page(&admin, asked_ticket, &page);
	turn(20);
	EXPECT_EQ(asks, 2);
	answers_late = false;
	commands_page(&admin, asked_ticket, &page);
	read_reply(fd);
	EXPECT_EQ(count_lines(), 1 + SESSIONS);
	answers_late = true;
	fd = ask("sessions");
	turn(20);
	close(fd);
	turn(20);
	commands_page(&admin, asked_ticket, &page);
	turn(20);
	EXPECT_EQ(asks, 6);
	end();
}

/* Control answers at once all the time, the client reads only at the end. */
TEST(a_client_that_takes_no_pages_gets_no_more_of_them)
{
	int fd, answered = 0;

	begin();
	sessions = MANY_SESSIONS;
	answers_late = true;
	fd = ask("sessions --limit 0");
	for (int i = 0; i < 1000; i++) {
		turn(1);
		if (asks == answered)
			continue;
		answered = asks;
		commands_page(&admin, asked_ticket, &page);
	}
	EXPECT(asks > 1 && asks < 30);
	answers_late = false;
	if (asks != answered)
		commands_page(&admin, asked_ticket, &page);
	read_reply(fd);
	EXPECT_EQ(reply.code, 0);
	EXPECT_EQ(reply.err_len, 0);
	EXPECT_EQ(count_lines(), 1 + MANY_SESSIONS);
	end();
}

TEST(reload_waits_for_its_outcome)
{
	struct conf_report    *report = conf_report_new();
	struct commands_reload refused = {.report = report}, done = {true, 7, NULL};
	int                    fd;

	begin();
	conf_error(report, (struct conf_pos){"p.ini", 3}, "[what]: no \"such\" thing");
	fd = ask("reload");
	turn(10);
	EXPECT_EQ(asks, 1);
	commands_reloaded(&admin, asked_ticket, &refused);
	read_reply(fd);
	EXPECT_EQ(reply.code, 1);
	SAYS(reply.err, "p.ini:3: [what]: no \"such\" thing\npenstock: refused");
	fd = ask("reload --json");
	turn(10);
	commands_reloaded(&admin, asked_ticket, &refused);
	read_reply(fd);
	EXPECT_EQ(reply.code, 1);
	EXPECT(strcmp(reply.out, "{\"result\": \"refused\", \"messages\": [\"p.ini:3: [what]: no "
	                         "\\\"such\\\" thing\"]}\n") == 0);
	fd = ask("reload");
	turn(10);
	commands_reloaded(&admin, asked_ticket, &done);
	read_reply(fd);
	EXPECT_EQ(reply.code, 0);
	EXPECT(strcmp(reply.out, "reloaded, generation 7\n") == 0);
	conf_report_free(report);
	end();
}

TEST(drain_and_close_are_handed_on)
{
	int fd;

	begin();
	fd = ask("drain");
	turn(10);
	commands_draining(&admin, asked_ticket, 12, 59500);
	read_reply(fd);
	EXPECT(strcmp(reply.out, "draining, 12 sessions left, for at most 60 s\n") == 0);
	fd = ask("close 18446744073709551615 --json");
	turn(10);
	EXPECT(asked_id == UINT64_MAX);
	commands_closed(&admin, asked_ticket, true);
	read_reply(fd);
	EXPECT(strcmp(reply.out, "{\"id\": 18446744073709551615, \"closed\": true}\n") == 0);
	fd = ask("close 4711");
	turn(10);
	EXPECT_EQ(asked_id, 4711);
	commands_closed(&admin, asked_ticket, false);
	read_reply(fd);
	EXPECT_EQ(reply.code, 1);
	SAYS(reply.err, "there is no session 4711");
	fd = ask("close 4711");
	turn(10);
	commands_failed(&admin, asked_ticket, "no memory");
	read_reply(fd);
	EXPECT_EQ(reply.code, 1);
	SAYS(reply.err, "close: no memory");
	end();
}

/* Enough servers for several pieces; read a little, then the configuration changes. */
TEST(a_table_over_two_configurations_is_not_made_up)
{
	static char many[200000] = "[listener web]\nlisten = 443\nproxy_pass = pool\n"
				   "[upstream pool]\n";
	size_t      at = strlen(many);
	int         fd;

	for (int i = 0; i < 4000; i++)
		at += (size_t)snprintf(many + at, sizeof(many) - at, "server = 10.0.%d.%d:443\n",
		                       i / 250, i % 250 + 1);
	begin();
	site_fini(&site);
	EXPECT(site_init(&site, many));
	run("upstreams");
	EXPECT_EQ(reply.code, 0);
	EXPECT_EQ(count_lines(), 4001);
	fd = ask("upstreams");
	turn(20);
	generation++;
	read_reply(fd);
	EXPECT_EQ(reply.code, 1);
	SAYS(reply.err, "changed meanwhile");
	EXPECT(count_lines() < 4001);
	end();
}

int main(void)
{
	return test_main();
}
