/* The admin server with real unix sockets, its reactor turned by hand. */
#include "admin_client.h"

#include <fcntl.h>
#include <sys/stat.h>

static int      starts, overs, pieces;
static uint64_t last_ticket;
static char     last_words[256];

static void on_over(struct admin_request *request)
{
	EXPECT(request->state == &overs);
	overs++;
}

/* 100 lines of 1000 bytes, ten times: far more than a socket takes. */
static bool add_piece(struct admin_request *request)
{
	for (int i = 0; i < 100; i++)
		fprintf(request->out, "%0999d\n", pieces * 100 + i);
	if (++pieces < 10)
		return true;
	admin_end(request, 0);
	return false;
}

static void start(struct admin_request *request)
{
	size_t at = 0;

	EXPECT(request->context == &starts);
	starts++;
	last_ticket = request->ticket;
	for (size_t i = 0; i < request->word_count; i++)
		at += (size_t)snprintf(last_words + at, sizeof(last_words) - at, "%s|",
		                       request->words[i]);
	EXPECT(request->words[request->word_count] == NULL);
	request->state = &overs;
	request->over = on_over;
	if (strcmp(request->words[0], "hello") == 0) {
		fprintf(request->out, "hello, %d\n", (int)(request->uid == geteuid()));
		fprintf(request->err, "a remark\n");
		admin_end(request, 7);
	} else if (strcmp(request->words[0], "long") == 0) {
		pieces = 0;
		request->more = add_piece;
	} else if (strcmp(request->words[0], "flood") == 0) {
		for (int i = 0; i < 3000; i++)
			fprintf(request->out, "%0999d\n", i);
		admin_end(request, 0);
	}
	/* "hold": answered later */
}

static void begin(void)
{
	starts = overs = pieces = 0;
	open_admin(start, &starts);
}

/* ---- the tests ---- */

TEST(a_request_is_answered_with_its_text_its_remarks_and_its_code)
{
	begin();
	read_reply(ask("hello --json"));
	EXPECT(strcmp(last_words, "hello|--json|") == 0);
	EXPECT(strcmp(reply.out, "hello, 1\n") == 0);
	EXPECT(strcmp(reply.err, "a remark\n") == 0);
	EXPECT_EQ(reply.code, 7);
	EXPECT(reply.is_ended);
	EXPECT_EQ(overs, 1);
	EXPECT_EQ(admin.client_count, 0);
	close_admin();
}

TEST(the_socket_is_its_owners_alone)
{
	struct stat status;

	umask(0);
	begin();
	umask(022);
	EXPECT_EQ(lstat(path, &status), 0);
	EXPECT(S_ISSOCK(status.st_mode));
	EXPECT_EQ(status.st_mode & 07777, 0600);
	EXPECT_EQ(status.st_uid, geteuid());
	close_admin();
}

TEST(a_request_in_single_bytes_is_answered)
{
	uint8_t bytes[256];
	size_t  len = request_of("hello", bytes);
	int     fd;

	begin();
	fd = dial();
	for (size_t i = 0; i < len; i++) {
		EXPECT_EQ(starts, 0);
		EXPECT_EQ(write(fd, bytes + i, 1), 1);
		turn(3);
	}
	read_reply(fd);
	EXPECT_EQ(reply.code, 7);
	close_admin();
}

TEST(what_is_no_request_is_told_so)
{
	static const uint8_t huge[] = {'P', 'S', 'T', 'K', 1, 0, 0, 1, 0xff, 0xff, 0xff, 0xff};
	int                  fd;

	begin();
	fd = dial();
	EXPECT_EQ(write(fd, "GET / HTTP/1.1\r\n", 16), 16);
	read_reply(fd);
	EXPECT(strstr(reply.err, "no request"));
	EXPECT_EQ(reply.code, 1);
	fd = dial();
	EXPECT_EQ(write(fd, huge, sizeof(huge)), (ssize_t)sizeof(huge));
	read_reply(fd);
	EXPECT(strstr(reply.err, "no request"));
	fd = dial();
	EXPECT_EQ(write(fd, "PSTK\x09", 5), 5);
	read_reply(fd);
	EXPECT(strstr(reply.err, "another version"));
	EXPECT_EQ(reply.code, 1);
	EXPECT_EQ(starts, 0);
	EXPECT_EQ(overs, 0);
	close_admin();
}

TEST(a_request_must_arrive_in_time)
{
	uint64_t now_ms = clock_ms(), next_ms;
	int      fd;

	begin();
	EXPECT_EQ(admin_tick(&admin, now_ms), UINT64_MAX);
	fd = dial();
	EXPECT_EQ(write(fd, "PSTK", 4), 4);
	turn(4);
	next_ms = admin_tick(&admin, now_ms);
	EXPECT(next_ms >= now_ms + ADMIN_REQUEST_MS &&
	       next_ms < now_ms + ADMIN_REQUEST_MS + LIMIT_MS);
	EXPECT_EQ(admin_tick(&admin, next_ms - 1), next_ms);
	EXPECT_EQ(admin.client_count, 1);
	EXPECT_EQ(admin_tick(&admin, next_ms), UINT64_MAX);
	EXPECT_EQ(admin.client_count, 0);
	close(fd);
	close_admin();
}

TEST(a_request_may_be_answered_later_however_long_it_takes)
{
	struct admin_request *request;
	int                   fd;

	begin();
	fd = ask("hold");
	turn(4);
	EXPECT_EQ(starts, 1);
	EXPECT_EQ(admin_tick(&admin, clock_ms() + 3600 * 1000), UINT64_MAX);
	request = admin_find(&admin, last_ticket);
	EXPECT(request != NULL);
	if (request) {
		fprintf(request->out, "at last\n");
		admin_end(request, 0);
	}
	EXPECT(admin_find(&admin, last_ticket) == NULL);
	read_reply(fd);
	EXPECT(strcmp(reply.out, "at last\n") == 0);
	EXPECT_EQ(reply.code, 0);
	EXPECT_EQ(overs, 1);
	close_admin();
}

TEST(a_client_that_goes_away_takes_its_request_with_it)
{
	int fd;

	begin();
	fd = ask("hold");
	turn(4);
	EXPECT(admin_find(&admin, last_ticket) != NULL);
	close(fd);
	turn(4);
	EXPECT(admin_find(&admin, last_ticket) == NULL);
	EXPECT_EQ(overs, 1);
	EXPECT_EQ(admin.client_count, 0);
	close_admin();
}

TEST(a_client_that_shuts_its_sending_side_is_still_answered)
{
	int fd;

	begin();
	fd = ask("hold");
	EXPECT_EQ(shutdown(fd, SHUT_WR), 0);
	turn(4);
	EXPECT(admin_find(&admin, last_ticket) != NULL);
	admin_end(admin_find(&admin, last_ticket), 3);
	read_reply(fd);
	EXPECT_EQ(reply.code, 3);
	close_admin();
}

TEST(a_long_answer_is_made_as_the_client_takes_it)
{
	uint64_t next_ms;
	int      fd;

	begin();
	fd = ask("long");
	turn(50);
	/* Some pieces lie in the socket and one waits here: the others are not made yet. */
	EXPECT(pieces > 0 && pieces < 8);
	next_ms = admin_tick(&admin, clock_ms());
	EXPECT(next_ms != UINT64_MAX);
	read_reply(fd);
	EXPECT_EQ(reply.out_len, 1000000);
	EXPECT_EQ(pieces, 10);
	EXPECT_EQ(reply.code, 0);
	for (int i = 0; i < 1000 && !test_failed; i++)
		EXPECT_EQ(atoi(reply.out + 1000 * i), i);
	EXPECT_EQ(overs, 1);
	close_admin();
}

TEST(a_client_that_takes_nothing_is_dropped_and_one_that_takes_a_little_is_not)
{
	static char bytes[65536];
	uint64_t    next_ms, then_ms;
	int         fd;

	begin();
	fd = ask("long");
	turn(50);
	next_ms = admin_tick(&admin, clock_ms());
	EXPECT(next_ms >= clock_ms() + ADMIN_STUCK_MS - LIMIT_MS && next_ms != UINT64_MAX);
	/* Time has passed, but something was taken before the limit: a new one counts. */
	while (recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		continue;
	turn(50);
	then_ms = admin_tick(&admin, clock_ms());
	EXPECT(then_ms != UINT64_MAX && then_ms >= next_ms);
	EXPECT_EQ(admin.client_count, 1);
	EXPECT_EQ(admin_tick(&admin, then_ms), UINT64_MAX);
	EXPECT_EQ(admin.client_count, 0);
	EXPECT_EQ(overs, 1);
	EXPECT(pieces < 10);
	close(fd);
	close_admin();
}

TEST(an_answer_that_is_too_long_says_so)
{
	begin();
	read_reply(ask("flood"));
	EXPECT(reply.out_len <= ADMIN_ANSWER_MAX && reply.out_len > ADMIN_ANSWER_MAX / 2);
	EXPECT(strstr(reply.err, "left out"));
	EXPECT_EQ(reply.code, 1);
	close_admin();
}

TEST(silent_clients_shut_nobody_out)
{
	int silent[100], fd;

	begin();
	for (size_t i = 0; i < COUNT(silent); i++) {
		silent[i] = dial();
		turn(2);
	}
	EXPECT_EQ(admin.client_count, ADMIN_CLIENTS_MAX);
	fd = ask("hello --json");
	read_reply(fd);
	EXPECT_EQ(reply.code, 7);
	for (size_t i = 0; i < COUNT(silent); i++)
		close(silent[i]);
	turn(100);
	EXPECT_EQ(admin.client_count, 0);
	close_admin();
}

TEST(with_too_many_requests_the_next_is_told_so)
{
	int held[ADMIN_CLIENTS_MAX];

	begin();
	for (size_t i = 0; i < COUNT(held); i++)
		held[i] = ask("hold");
	turn(100);
	EXPECT_EQ(starts, ADMIN_CLIENTS_MAX);
	read_reply(ask("hello --json"));
	EXPECT(strstr(reply.err, "too many"));
	EXPECT_EQ(reply.code, 1);
	EXPECT_EQ(admin.client_count, ADMIN_CLIENTS_MAX);
	for (size_t i = 0; i < COUNT(held); i++)
		close(held[i]);
	close_admin();
	EXPECT_EQ(overs, ADMIN_CLIENTS_MAX);
}

TEST(the_end_of_the_program_is_told_to_whoever_waits)
{
	int fd;

	begin();
	fd = ask("hold");
	turn(4);
	close_admin();
	EXPECT_EQ(overs, 1);
	EXPECT_EQ(reactor_init(&reactor), 0); /* read_reply turns it */
	read_reply(fd);
	EXPECT(strstr(reply.err, "ends"));
	EXPECT_EQ(reply.code, 1);
	reactor_fini(&reactor);
}

TEST(the_socket_of_a_killed_process_is_replaced_that_of_a_living_one_is_not)
{
	struct admin second;
	const char  *step = "";
	struct stat  status;
	int          fd;

	begin();
	EXPECT_EQ(admin_open(&second, &reactor, path, geteuid(), start, &starts, &step),
	          -EADDRINUSE);
	EXPECT(strcmp(step, "bind") == 0);
	read_reply(ask("hello --json")); /* the first one still serves */
	EXPECT_EQ(reply.code, 7);
	close_admin();

	begin();
	/* As kill -9 leaves it: nobody listens, the file stays. */
	reactor_remove(&reactor, &admin.listening);
	close(admin.socket.fd);
	EXPECT_EQ(admin_open(&second, &reactor, path, geteuid(), start, &starts, &step), 0);
	free(admin.socket.path);
	admin = second;
	list_init(&admin.clients);
	reactor_remove(&reactor, &second.listening);
	EXPECT_EQ(reactor_add(&reactor, &admin.listening, EPOLLIN), 0);
	read_reply(ask("hello --json"));
	EXPECT_EQ(reply.code, 7);

	/* What another process has put there meanwhile is not removed. */
	EXPECT_EQ(unlink(path), 0);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	close(fd);
	admin_close(&admin);
	EXPECT_EQ(lstat(path, &status), 0);
	EXPECT_EQ(unlink(path), 0);
	EXPECT_EQ(rmdir(folder), 0);
	reactor_fini(&reactor);
}

TEST(a_file_that_is_no_socket_is_left_alone)
{
	struct admin second;
	const char  *step = "";
	char         other[128];
	int          fd;

	begin();
	snprintf(other, sizeof(other), "%s/file", folder);
	fd = open(other, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	close(fd);
	EXPECT_EQ(admin_open(&second, &reactor, other, geteuid(), start, &starts, &step),
	          -EADDRINUSE);
	EXPECT_EQ(unlink(other), 0);
	EXPECT_EQ(
		admin_open(&second, &reactor, "/none/such/place", geteuid(), start, &starts, &step),
		-ENOENT);
	close_admin();
}

int main(void)
{
	return test_main();
}
