#include "logger_maker.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>

/* A pipe whose write end is *fd*; gives back the read end and where fd led before. */
static int put_pipe_at(int fd, int *before)
{
	int ends[2] = {-1, -1};

	EXPECT(pipe2(ends, O_CLOEXEC) == 0);
	*before = fcntl(fd, F_DUPFD_CLOEXEC, 10);
	dup2(ends[1], fd);
	close(ends[1]);
	return ends[0];
}

static void put_back(int fd, int before)
{
	dup2(before, fd);
	close(before);
}

TEST(an_error_line_is_time_level_text)
{
	struct logger *logger = start(path_of("error1"), NULL, 1);
	char          *all;

	log_line(logger_port(logger, 0), LOG_LEVEL_DEBUG, "not this");
	log_line(logger_port(logger, 0), LOG_LEVEL_NOTICE, "penstock: ready");
	log_line(logger_port(logger, 0), LOG_LEVEL_ERROR, "a\nb");
	logger_stop(logger, 5000);
	all = contents("error1");
	EXPECT(strlen(all) == 2 * strlen("2026-11-24T13:45:07.123Z ") +
	                              strlen("notice: penstock: ready\nerror: a\\x0ab\n"));
	EXPECT(all[4] == '-' && all[10] == 'T' && all[19] == '.' && all[23] == 'Z' &&
	       all[24] == ' ');
	EXPECT(strncmp(all + 25, "notice: penstock: ready\n", 24) == 0);
	EXPECT(strstr(all, "Z error: a\\x0ab\n") != NULL);
	free(all);
}

TEST(access_records_go_to_their_own_log_in_its_format)
{
	struct logs    logs;
	struct logger *logger;
	struct stat    status = {0};

	logs_init(&logs, path_of("error2"));
	logs_add(&logs, path_of("text2"), CONF_LOG_TEXT);
	logs_add(&logs, path_of("json2"), CONF_LOG_JSON);
	logger = start_with(&logs, 1);
	EXPECT(record_access(logger_port(logger, 0), 0, 7));
	EXPECT(record_access(logger_port(logger, 0), 1, 8));
	logger_stop(logger, 5000);
	EXPECT(holds(
		"text2",
		"time=2026-11-24T13:45:07.123Z id=7 listener=- client=- peer=- sni=a.b alpn=-"));
	EXPECT(holds("json2",
	             "{\"time\":\"2026-11-24T13:45:07.123Z\",\"id\":8,\"listener\":null,"));
	EXPECT(!holds("text2", "{") && !holds("json2", "id=7") && !holds("error2", "id"));
	EXPECT(stat(path_of("text2"), &status) == 0 && (status.st_mode & 0137) == 0);
}

TEST(no_wake_up_is_lost)
{
	struct logger *logger = start(path_of("error3"), NULL, 1);
	struct stat    status;
	off_t          size = 0;

	/* Every line is waited for, so that the writer is falling asleep whenever the next one
	 * comes. */
	for (int i = 0; i < 3000 && !test_failed; i++) {
		uint64_t until = clock_ms() + PATIENCE_MS;

		say(logger_port(logger, 0), "line");
		while (stat(path_of("error3"), &status) != 0 || status.st_size == size) {
			if (clock_ms() > until) {
				EXPECT(clock_ms() <= until); /* a line was never written */
				break;
			}
		}
		size = status.st_size;
	}
	logger_stop(logger, 5000);
}

TEST(a_log_that_cannot_be_opened_is_named)
{
	struct logger     *logger = start(path_of("error4"), NULL, 1);
	struct logger_plan plan = {.error_log = path_of("nowhere/error"), .port_max = 1};
	struct logs        logs;
	uint16_t           numbers[LOGS_MOST];

	logs_init(&logs, path_of("error4"));
	logs_add(&logs, path_of("nowhere/access"), CONF_LOG_TEXT);
	EXPECT(!logger_prepare(logger, &logs.conf, numbers, why));
	EXPECT(strstr(why, "nowhere/access: No such file or directory") != NULL);
	logger_stop(logger, 5000);
	EXPECT(logger_start(&plan, why) == NULL);
	EXPECT(strstr(why, "nowhere/error: No such file or directory") != NULL);
	EXPECT(mkfifo(path_of("unread"), 0600) == 0);
	plan.error_log = path_of("unread");
	EXPECT(logger_start(&plan, why) == NULL);
	EXPECT(strstr(why, "unread: nobody reads it") != NULL);
}

TEST(reopening_parts_the_lines_at_the_request)
{
	struct logger *logger = start(path_of("error5"), path_of("access5"), 2);
	uint32_t       number;

	/* More than the writer takes at a time; not flushed, so that it finds all of them with the
	 * request. */
	for (uint64_t i = 0; i < 1000; i++)
		EXPECT(put_access(logger_port(logger, 1), 0, i));
	log_line(logger_port(logger, 0), LOG_LEVEL_NOTICE, "before");
	rename(path_of("error5"), path_of("error5.old"));
	rename(path_of("access5"), path_of("access5.old"));
	number = logger_reopen(logger);
	EVENTUALLY(logger_reopened(logger) == number);
	say(logger_port(logger, 0), "after");
	EXPECT(record_access(logger_port(logger, 1), 0, 1000));
	logger_stop(logger, 5000);
	EXPECT(holds("error5.old", "before\n") && !holds("error5.old", "after"));
	EXPECT(holds("error5", "after\n") && !holds("error5", "before"));
	EXPECT(holds("access5.old", " id=0 ") && holds("access5.old", " id=999 "));
	EXPECT(holds("access5", " id=1000 ") && !holds("access5", " id=999 "));
}

TEST(a_failed_reopening_keeps_the_old_file_and_says_so)
{
	struct logger *logger;
	uint32_t       number;

	EXPECT(mkdir(path_of("dir6"), 0700) == 0);
	logger = start(path_of("error6"), path_of("dir6/access"), 1);
	EXPECT(rename(path_of("dir6"), path_of("dir6.old")) == 0);
	number = logger_reopen(logger);
	EVENTUALLY(logger_reopened(logger) == number);
	EXPECT(record_access(logger_port(logger, 0), 0, 1));
	logger_stop(logger, 5000);
	EXPECT(holds("error6", "dir6/access: No such file or directory; the old file is kept\n"));
	EXPECT(holds("dir6.old/access", " id=1 "));
	unlink(path_of("dir6.old/access"));
	rmdir(path_of("dir6.old"));
}

/* Reads all that *fd* has until it ends, as a string that the caller frees. */
static char *read_all(int fd)
{
	size_t  size = 64 << 20, len = 0;
	char   *text = malloc(size);
	ssize_t got;

	while ((got = read(fd, text + len, size - 1 - len)) > 0)
		len += (size_t)got;
	text[len] = '\0';
	return text;
}

static void *read_in_thread(void *argument)
{
	return read_all(*(int *)argument);
}

TEST(a_stuck_access_log_stops_no_other_and_its_losses_are_counted)
{
	struct logger   *logger;
	struct log_port *port;
	int              reader;
	unsigned         sent = 0, got, lost = 0;
	pthread_t        thread;
	void            *text;
	char            *errors, *save = NULL;

	EXPECT(mkfifo(path_of("fifo7"), 0600) == 0);
	reader = open(path_of("fifo7"), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	logger = start(path_of("error7"), path_of("fifo7"), 1);
	port = logger_port(logger, 0);

	/* Far more than the pipe and the buffer hold. Waits for the writer, so that only the log
	 * can lose. */
	for (; sent < 3000; sent++) {
		while (!record_access(port, 0, sent))
			usleep(200);
	}
	say(port, "alive");
	EVENTUALLY(holds("error7", "alive\n"));

	/* The reader comes back: what was held is written, the rest was counted. */
	fcntl(reader, F_SETFL, 0);
	pthread_create(&thread, NULL, read_in_thread, &reader);
	EVENTUALLY(holds("error7", "fifo7 was not ready\n"));
	logger_stop(logger, 5000);
	pthread_join(thread, &text);
	got = count_of(text, "time=");
	EXPECT(got > 100 && got < sent);
	EXPECT_EQ(count_of(text, "relay=-\n"), got); /* only whole lines */
	errors = contents("error7");
	for (char *line = strtok_r(errors, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		unsigned lines = 0;

		/* Not those that this test made the port drop, and sent again. */
		if (strstr(line, "fifo7 was not ready") &&
		    sscanf(line, "%*s warn: %u log lines", &lines) == 1)
			lost += lines;
	}
	EXPECT_EQ(got + lost, sent);
	free(errors);
	free(text);
	close(reader);
}

TEST(a_stuck_stderr_hangs_neither_the_threads_nor_the_exit)
{
	int              before, reader = put_pipe_at(STDERR_FILENO, &before);
	struct logger   *logger = start("stderr", path_of("access8"), 1);
	struct log_port *port = logger_port(logger, 0);
	uint64_t         started;

	for (int i = 0; i < 20000; i++)
		say(port, "a line that nobody reads, number %d", i);
	EVENTUALLY(record_access(port, 0, 77));
	EVENTUALLY(holds("access8", " id=77 "));
	/* Others write to the same pipe: it must not have become non-blocking for them. */
	EXPECT((fcntl(STDERR_FILENO, F_GETFL) & O_NONBLOCK) == 0);
	started = clock_ms();
	logger_stop(logger, 100);
	EXPECT(clock_ms() - started < PATIENCE_MS / 2);
	put_back(STDERR_FILENO, before);
	close(reader);
}

TEST(a_stderr_that_is_read_again_reports_what_it_lost)
{
	int              before, reader = put_pipe_at(STDERR_FILENO, &before);
	struct logger   *logger = start("stderr", NULL, 1);
	struct log_port *port = logger_port(logger, 0);
	pthread_t        thread;
	void            *text;

	for (int i = 0; i < 20000; i++)
		say(port, "a line that nobody reads yet, number %d", i);
	EVENTUALLY(spsc_is_empty(&port->ring));
	pthread_create(&thread, NULL, read_in_thread, &reader);
	logger_stop(logger, PATIENCE_MS);
	put_back(STDERR_FILENO, before);
	pthread_join(thread, &text);
	EXPECT(strstr(text, "number 0\n") != NULL);
	EXPECT(strstr(text, " log lines were dropped: stderr was not ready\n") != NULL);
	free(text);
	close(reader);
}

TEST(a_reader_that_is_gone_does_not_end_the_program)
{
	int            before, reader = put_pipe_at(STDERR_FILENO, &before);
	struct logger *logger = start("stderr", path_of("access9"), 1);

	close(reader);
	say(logger_port(logger, 0), "into the void");
	EXPECT(record_access(logger_port(logger, 0), 0, 5));
	EVENTUALLY(holds("access9", " id=5 "));
	logger_stop(logger, 50);
	put_back(STDERR_FILENO, before);
}

TEST(a_socket_as_stderr_takes_lines_and_never_blocks)
{
	int            ends[2], before = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
	struct logger *logger;
	char           text[64] = "";

	EXPECT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
	dup2(ends[1], STDERR_FILENO);
	logger = start("stderr", path_of("access10"), 1);
	for (int i = 0; i < 20000; i++)
		say(logger_port(logger, 0), "a line that nobody reads, number %d", i);
	EVENTUALLY(record_access(logger_port(logger, 0), 0, 6));
	EVENTUALLY(holds("access10", " id=6 "));
	EXPECT(read(ends[0], text, sizeof(text) - 1) > 0);
	EXPECT(strstr(text, "Z notice: a line") == text + 23);
	logger_stop(logger, 50);
	put_back(STDERR_FILENO, before);
	close(ends[0]);
	close(ends[1]);
}

TEST(a_full_disk_is_reported_once_in_the_error_log)
{
	struct logger *logger = start(path_of("error11"), "/dev/full", 1);
	char          *all;

	for (uint64_t i = 0; i < 10; i++)
		EXPECT(record_access(logger_port(logger, 0), 0, i));
	EVENTUALLY(holds("error11", "cannot write log /dev/full: No space left on device\n"));
	logger_stop(logger, 50);
	all = contents("error11");
	EXPECT_EQ(count_of(all, "cannot write"), 1);
	EXPECT_EQ(count_of(all, "the last lines of log /dev/full are lost"), 1);
	free(all);
}

TEST(a_file_shared_through_stderr_keeps_what_others_write)
{
	int            before = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
	int            file = open(path_of("shared12"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	struct logger *logger;

	dup2(file, STDERR_FILENO);
	close(file);
	logger = start("stderr", NULL, 1);
	say(logger_port(logger, 0), "ours");
	EVENTUALLY(holds("shared12", "ours\n"));
	EXPECT(write(STDERR_FILENO, "theirs\n", 7) == 7);
	logger_stop(logger, 5000);
	put_back(STDERR_FILENO, before);
	EXPECT(holds("shared12", "notice: ours\ntheirs\n"));
}

enum { STRESS_PORTS = 4, STRESS_LINES = 30000 };

struct stress {
	struct log_port *port;
	unsigned         number;
	pthread_t        thread;
};

static void *log_a_lot(void *argument)
{
	struct stress *stress = argument;

	for (unsigned i = 0; i < STRESS_LINES; i++) {
		log_line(stress->port, LOG_LEVEL_NOTICE, "thread %u line %u end", stress->number,
		         i);
		if (i % 7 == 0)
			log_flush(stress->port);
		if (i % 512 == 0)
			usleep(100); /* lets the writer fall asleep now and then */
	}
	log_flush(stress->port);
	return NULL;
}

TEST(every_line_of_many_threads_arrives_once_or_is_counted)
{
	struct logger_plan plan = {
		.error_log = path_of("error13"),
		.level = LOG_LEVEL_INFO,
		.port_max = STRESS_PORTS,
		.ring_size = 8192, /* so small that lines do get lost */
	};
	struct logger *logger = logger_start(&plan, why);
	struct stress  stress[STRESS_PORTS];
	uint64_t       got[STRESS_PORTS] = {0}, dropped = 0, total = 0, reported = 0;
	unsigned       next[STRESS_PORTS] = {0}, wrong = 0;
	char          *all, *save = NULL;

	EXPECT(logger != NULL);
	for (unsigned i = 0; i < STRESS_PORTS; i++) {
		stress[i] = (struct stress){.port = logger_port(logger, i), .number = i};
		pthread_create(&stress[i].thread, NULL, log_a_lot, &stress[i]);
	}
	for (unsigned i = 0; i < 20; i++) {
		logger_reopen(logger);
		usleep(500);
	}
	for (unsigned i = 0; i < STRESS_PORTS; i++)
		pthread_join(stress[i].thread, NULL);
	for (unsigned i = 0; i < STRESS_PORTS; i++)
		dropped += stress[i].port->dropped;
	logger_stop(logger, PATIENCE_MS);

	all = contents("error13");
	for (char *line = strtok_r(all, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		unsigned           number = 0, at = 0;
		unsigned long long lines = 0;
		char               end[8] = "";

		if (sscanf(line, "%*s warn: %llu log lines were dropped", &lines) == 1) {
			reported += lines;
		} else if (sscanf(line, "%*s notice: thread %u line %u %3s", &number, &at, end) !=
		                   3 ||
		           number >= STRESS_PORTS || at < next[number] || strcmp(end, "end") != 0) {
			wrong++;
		} else {
			got[number]++;
			total++;
			next[number] = at + 1; /* in order and never twice */
		}
	}
	EXPECT_EQ(wrong, 0);
	EXPECT_EQ(total + dropped, (uint64_t)STRESS_PORTS * STRESS_LINES);
	EXPECT_EQ(reported, dropped);
	for (unsigned i = 0; i < STRESS_PORTS; i++)
		EXPECT(got[i] > 0);
	free(all);
}

int main(void)
{
	return main_in_scratch("test_logger");
}
