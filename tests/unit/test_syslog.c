/* Lines that go to syslog, which may be there, away, stuck, or come back. */
#include "base/clock.h"
#include "process/logger.h"
#include "session/access.h"
#include "test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { PATIENCE_MS = 30000 };

static char folder[64], socket_path[96], error_path[96], why[256];

/* A syslog daemon: takes what comes at socket_path. */
static int daemon_start(void)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int                fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	strcpy(at.sun_path, socket_path);
	EXPECT(bind(fd, (const struct sockaddr *)&at, sizeof(at)) == 0);
	return fd;
}

static void daemon_stop(int fd)
{
	close(fd);
	unlink(socket_path);
}

static int udp_start(uint16_t *port)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
	                         .sin_port = htons(*port),
	                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t          len = sizeof(at);
	int                fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	EXPECT(bind(fd, (const struct sockaddr *)&at, len) == 0);
	EXPECT(getsockname(fd, (struct sockaddr *)&at, &len) == 0);
	*port = ntohs(at.sin_port);
	return fd;
}

/* The next message, waited for; "" = none came. */
static const char *next_message(int fd)
{
	static char   text[65536];
	struct pollfd ready = {.fd = fd, .events = POLLIN};
	ssize_t       len;

	text[0] = '\0';
	if (poll(&ready, 1, PATIENCE_MS) == 1) {
		len = recv(fd, text, sizeof(text) - 1, 0);
		text[len > 0 ? len : 0] = '\0';
	}
	return text;
}

static bool error_log_holds(const char *wanted)
{
	FILE  *file = fopen(error_path, "r");
	char  *text = NULL;
	size_t size = 0;
	bool   found;

	if (!file || getdelim(&text, &size, '\0', file) < 0) {
		free(text);
		text = NULL;
	}
	found = text && strstr(text, wanted);
	free(text);
	if (file)
		fclose(file);
	return found;
}

#define EVENTUALLY(condition)                                                                      \
	do {                                                                                       \
		uint64_t until_ms = clock_ms() + PATIENCE_MS;                                      \
		bool     has_come = (condition);                                                   \
		for (; !has_come && clock_ms() < until_ms; has_come = (condition))                 \
			usleep(500);                                                               \
		if (!has_come)                                                                     \
			printf("  in vain: %s\n", #condition);                                     \
		EXPECT(has_come);                                                                  \
	} while (0)

static struct logger *start_with(const char *error_log, struct conf_log access)
{
	struct conf_log *logs[] = {&access};

	struct conf conf = {
		.global = {.error_log = error_log, .error_level = LEVEL_DEBUG},
		.logs = logs,
		.log_count = access.path ? 1 : 0,
	};
	struct logger_plan plan = {
		.error_log = error_log,
		.port_max = 1,
		.syslog_path = socket_path,
	};
	struct logger *logger = logger_start(&plan, why);
	uint16_t       number;

	if (!logger)
		printf("  %s\n", why);
	CHECK(logger != NULL);
	CHECK(logger_prepare(logger, &conf, &number, why));
	logger_commit(logger);
	return logger;
}

static struct logger *start(const char *error_log, const char *access_log)
{
	return start_with(error_log, (struct conf_log){.path = access_log});
}

static void put_access(struct logger *logger, uint64_t id, enum reason reason)
{
	struct log_port      *port = logger_port(logger, 0);
	struct access_record *record;

	while (!(record = (struct access_record *)(void *)log_reserve(port, sizeof(*record))))
		usleep(200);
	memset(record, 0, sizeof(*record));
	record->head.kind = LOG_KIND_ACCESS;
	record->head.time_ms = 1795527907123;
	record->id = id;
	record->reason = (uint8_t)reason;
	memset(record->text_len, 0xff, sizeof(record->text_len));
	log_commit(port);
	log_flush(port);
}

TEST(a_local_message_is_as_rfc_3164_has_it)
{
	int            fd = daemon_start();
	struct logger *logger = start(error_path, "syslog");
	char           wanted[128];
	const char    *got;

	put_access(logger, 7, REASON_OK);
	got = next_message(fd);
	snprintf(wanted, sizeof(wanted),
	         "<30>Nov 24 13:45:07 penstock[%ld]: time=2026-11-24T13:45:07.123Z id=7 ",
	         (long)getpid());
	EXPECT(strncmp(got, wanted, strlen(wanted)) == 0);
	EXPECT(strstr(got, " relay=-") == got + strlen(got) - 8); /* no newline */
	logger_stop(logger, 5000);
	daemon_stop(fd);
}

TEST(a_message_by_udp_is_as_rfc_5424_has_it)
{
	uint16_t       port = 0;
	int            fd = udp_start(&port);
	char           name[64], wanted[256], host[65] = "";
	struct logger *logger;
	const char    *got;

	snprintf(name, sizeof(name), "syslog:127.0.0.1:%u", port);
	gethostname(host, sizeof(host) - 1);
	logger = start(error_path, name);
	put_access(logger, 8, REASON_OK);
	got = next_message(fd);
	snprintf(wanted, sizeof(wanted),
	         "<30>1 2026-11-24T13:45:07.123Z %s penstock %ld access - time=", host,
	         (long)getpid());
	EXPECT(strncmp(got, wanted, strlen(wanted)) == 0);
	logger_stop(logger, 5000);
	close(fd);
}

TEST(each_level_of_the_error_log_has_its_severity)
{
	static const char *const begins[] = {"<31>", "<30>", "<29>", "<28>", "<27>"};
	int                      fd = daemon_start();
	struct logger           *logger = start("syslog", NULL);

	for (int level = LOG_LEVEL_DEBUG; level <= LOG_LEVEL_ERROR; level++)
		log_line(logger_port(logger, 0), (enum log_level)level, "a\nb");
	log_flush(logger_port(logger, 0));
	for (size_t i = 0; i < COUNT(begins); i++) {
		const char *got = next_message(fd);

		EXPECT(strncmp(got, begins[i], 4) == 0);
		EXPECT(strstr(got, "]: a\\x0ab") != NULL);
	}
	logger_stop(logger, 5000);
	daemon_stop(fd);
}

TEST(a_missing_syslog_stops_nothing_and_is_used_once_it_is_there)
{
	struct logger *logger = start(error_path, "syslog");
	int            fd;

	put_access(logger, 1, REASON_OK);
	EVENTUALLY(error_log_holds("cannot write log syslog: No such file or directory\n"));
	fd = daemon_start();
	EXPECT(strstr(next_message(fd), " id=1 ") != NULL); /* held until then */
	put_access(logger, 2, REASON_OK);
	EXPECT(strstr(next_message(fd), " id=2 ") != NULL);

	/* A restart of the daemon: a new socket of the same name. */
	daemon_stop(fd);
	put_access(logger, 3, REASON_OK);
	usleep(20000);
	fd = daemon_start();
	EXPECT(strstr(next_message(fd), " id=3 ") != NULL);
	logger_stop(logger, 5000);
	daemon_stop(fd);
}

/* All messages there are, until *logger* has none left; how many. Each is whole. */
static unsigned drain(int fd, unsigned enough)
{
	unsigned count = 0;

	while (count < enough) {
		struct pollfd ready = {.fd = fd, .events = POLLIN};
		const char   *got;

		if (poll(&ready, 1, 1500) != 1)
			break;
		got = next_message(fd);
		EXPECT(strncmp(got, "<30>", 4) == 0 && strstr(got, " relay=-") != NULL);
		count++;
	}
	return count;
}

static unsigned count_dropped(const char *name)
{
	FILE    *file = fopen(error_path, "r");
	char     line[512], wanted[128];
	unsigned total = 0, lines;

	snprintf(wanted, sizeof(wanted), "log lines were dropped: %s was not ready", name);
	while (file && fgets(line, sizeof(line), file))
		if (strstr(line, wanted) && sscanf(line, "%*s warn: %u log lines", &lines) == 1)
			total += lines;
	if (file)
		fclose(file);
	return total;
}

TEST(a_stuck_syslog_loses_lines_that_are_counted_and_no_time)
{
	enum { SENT = 3000 };
	int            fd = daemon_start();
	struct logger *logger = start(error_path, "syslog");
	unsigned       got;

	unlink(error_path);
	logger_stop(logger, 5000);
	logger = start(error_path, "syslog");
	for (unsigned i = 0; i < SENT; i++)
		put_access(logger, i, REASON_OK);
	log_line(logger_port(logger, 0), LOG_LEVEL_NOTICE, "alive");
	log_flush(logger_port(logger, 0));
	EVENTUALLY(error_log_holds("notice: alive\n"));
	got = drain(fd, SENT);
	EXPECT(got > 10 && got < SENT);
	EVENTUALLY(count_dropped("syslog") == SENT - got);
	logger_stop(logger, 5000);
	daemon_stop(fd);
}

TEST(a_dead_server_stops_nothing_and_gets_lines_again)
{
	uint16_t       port = 0;
	int            fd = udp_start(&port);
	char           name[64];
	struct logger *logger;
	uint64_t       id = 0;
	const char    *got = "";

	close(fd);
	snprintf(name, sizeof(name), "syslog:127.0.0.1:%u", port);
	logger = start(error_path, name);
	for (; id < 20; id++)
		put_access(logger, id, REASON_OK);
	EVENTUALLY(error_log_holds(": Connection refused\n"));
	put_access(logger, id++, REASON_OK);
	fd = udp_start(&port);
	put_access(logger, id, REASON_OK);
	/* What was held comes first, the last one last. */
	for (int i = 0; i < 40 && !strstr(got, " id=21 "); i++)
		got = next_message(fd);
	EXPECT(strstr(got, " id=21 ") != NULL);
	logger_stop(logger, 5000);
	close(fd);
}

TEST(stopping_does_not_wait_for_a_syslog_that_is_not_there)
{
	struct logger *logger = start("syslog", "syslog");
	uint64_t       begun;

	for (unsigned i = 0; i < 100; i++)
		put_access(logger, i, REASON_OK);
	log_line(logger_port(logger, 0), LOG_LEVEL_ERROR, "nobody hears");
	begun = clock_ms();
	logger_stop(logger, 100);
	EXPECT(clock_ms() - begun < PATIENCE_MS / 2);
}

/* ---- which connections ---- */

static char *lines_of(struct conf_log access)
{
	struct logger *logger;
	char          *text = NULL;
	size_t         size = 0;
	FILE          *file;
	char           path[96];

	snprintf(path, sizeof(path), "%s/access", folder);
	unlink(path);
	access.path = path;
	logger = start_with(error_path, access);
	for (unsigned i = 0; i < 10; i++)
		put_access(logger, i, i % 2 ? REASON_NO_MATCH : REASON_OK);
	logger_stop(logger, 5000);
	file = fopen(path, "r");
	if (!file || getdelim(&text, &size, '\0', file) < 0) {
		free(text);
		text = strdup("");
	}
	if (file)
		fclose(file);
	unlink(path);
	return text;
}

static void expect_lines(const char *template, uint32_t when, const char *wanted)
{
	char *got = lines_of(
		(struct conf_log){.format = CONF_LOG_TEMPLATE, .template = template, .when = when});

	if (strcmp(got, wanted) != 0)
		printf("  got:\n%s", got);
	EXPECT(strcmp(got, wanted) == 0);
	free(got);
}

TEST(a_log_of_errors_has_every_reason_but_ok)
{
	expect_lines("{id} {reason}", CONF_WHEN_ERRORS,
	             "1 no_match\n3 no_match\n5 no_match\n7 no_match\n9 no_match\n");
}

TEST(a_sample_is_every_nth_connection)
{
	expect_lines("{id}", 4, "0\n4\n8\n");
	expect_lines("{id}", CONF_WHEN_ALL, "0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n");
}

int main(void)
{
	int failed;

	setenv("TZ", "UTC", 1);
	snprintf(folder, sizeof(folder), P_tmpdir "/penstock-test-XXXXXX");
	if (!mkdtemp(folder))
		return 1;
	snprintf(socket_path, sizeof(socket_path), "%s/log", folder);
	snprintf(error_path, sizeof(error_path), "%s/error", folder);
	failed = test_main();
	unlink(error_path);
	rmdir(folder);
	return failed;
}
