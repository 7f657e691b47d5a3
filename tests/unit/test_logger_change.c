#include "aborts.h"
#include "logger_maker.h"
#include "process/logger_set.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/stat.h>

static unsigned open_fds(void)
{
	DIR     *folder = opendir("/proc/self/fd");
	unsigned count = 0;

	while (readdir(folder))
		count++;
	closedir(folder);
	return count;
}

/* The writer has done what it was asked for. */
static void settle(struct logger *logger)
{
	uint32_t number = logger_reopen(logger);

	EVENTUALLY(logger_reopened(logger) == number);
}

/* Records of these come to no harm by a full ring: tried again until they fit. */
static void put_surely(struct log_port *port, uint16_t log, uint64_t id)
{
	while (!record_access(port, log, id))
		usleep(100);
}

TEST(a_log_keeps_its_number_as_long_as_a_configuration_has_it)
{
	struct logger *logger = start(path_of("error1"), NULL, 1);
	struct logs    one, two, three;
	uint16_t       first[LOGS_MOST], second[LOGS_MOST], third[LOGS_MOST];

	logs_init(&one, path_of("error1"));
	logs_add(&one, path_of("a1"), CONF_LOG_TEXT);
	logs_add(&one, path_of("b1"), CONF_LOG_TEXT);
	logs_init(&two, path_of("error1"));
	logs_add(&two, path_of("b1"), CONF_LOG_TEXT);
	logs_add(&two, path_of("c1"), CONF_LOG_TEXT);
	logs_add(&two, path_of("b1"), CONF_LOG_TEXT);
	logs_add(&two, path_of("b1"), CONF_LOG_JSON);
	logs_add(&two, path_of("b1"), CONF_LOG_TEXT)->when = CONF_WHEN_ERRORS;
	logs_add(&two, path_of("b1"), CONF_LOG_TEMPLATE)->template = "{id}";
	logs_add(&two, path_of("b1"), CONF_LOG_TEMPLATE)->template = "{sni}";
	logs_init(&three, path_of("error1"));
	logs_add(&three, path_of("d1"), CONF_LOG_TEXT);
	logs_add(&three, path_of("b1"), CONF_LOG_TEMPLATE)->template = "{sni}";

	EXPECT(change(logger, &one, first));
	EXPECT(first[0] == 0 && first[1] == 1);
	EXPECT(change(logger, &two, second));
	EXPECT_EQ(second[0], first[1]);
	EXPECT_EQ(second[2], first[1]);
	for (uint16_t i = 3; i < two.conf.log_count; i++)
		EXPECT_EQ(second[i], i);
	logger_retire(logger, first, one.conf.log_count);
	settle(logger);
	EXPECT(change(logger, &three, third));
	EXPECT_EQ(third[0], first[0]); /* a1 is gone */
	EXPECT_EQ(third[1], second[6]);
	/* What one configuration gives up, another still has, and a log that stands twice in it,
	 * too. */
	logger_retire(logger, second, two.conf.log_count);
	settle(logger);
	put_surely(logger_port(logger, 0), third[1], 7);
	logger_stop(logger, 5000);
	EXPECT(holds("b1", "a.b\n"));
}

TEST(what_cannot_be_opened_refuses_a_configuration_and_changes_nothing)
{
	struct logger *logger = start(path_of("error2"), path_of("access2"), 1);
	unsigned       before = open_fds();
	struct logs    bad_access, bad_error;
	uint16_t       numbers[LOGS_MOST];

	logs_init(&bad_access, path_of("other2"));
	logs_add(&bad_access, path_of("access2"), CONF_LOG_TEXT);
	logs_add(&bad_access, path_of("good2"), CONF_LOG_TEXT);
	logs_add(&bad_access, path_of("nowhere/bad2"), CONF_LOG_TEXT);
	bad_access.conf.global.error_level = LEVEL_ERROR;
	logs_init(&bad_error, path_of("nowhere/error2"));
	logs_add(&bad_error, path_of("good2"), CONF_LOG_TEXT);

	EXPECT(!logger_prepare(logger, &bad_access.conf, numbers, why));
	EXPECT(strstr(why, "nowhere/bad2: No such file or directory") != NULL);
	EXPECT(!logger_prepare(logger, &bad_error.conf, numbers, why));
	EXPECT(strstr(why, "nowhere/error2: No such file or directory") != NULL);
	EVENTUALLY(open_fds() == before);
	say(logger_port(logger, 0), "still here");
	put_surely(logger_port(logger, 0), 0, 5);
	logger_stop(logger, 5000);
	EXPECT(holds("error2", "still here\n"));
	EXPECT(holds("access2", " id=5 "));
	EXPECT(!holds("other2", "still"));
}

TEST(an_abandoned_configuration_leaves_no_file_open)
{
	struct logger *logger = start(path_of("error3"), path_of("access3"), 1);
	unsigned       before = open_fds();
	struct logs    logs;
	uint16_t       numbers[LOGS_MOST];

	logs_init(&logs, path_of("other3"));
	logs_add(&logs, path_of("access3"), CONF_LOG_TEXT);
	logs_add(&logs, path_of("new3"), CONF_LOG_TEXT);
	logs.conf.global.error_level = LEVEL_ERROR;
	EXPECT(logger_prepare(logger, &logs.conf, numbers, why));
	EXPECT_EQ(open_fds(), before + 2);
	logger_abandon(logger, numbers, logs.conf.log_count);
	EVENTUALLY(open_fds() == before);
	say(logger_port(logger, 0), "still here");
	put_surely(logger_port(logger, 0), 0, 5);
	logger_stop(logger, 5000);
	EXPECT(holds("error3", "still here\n") && holds("access3", " id=5 "));
}

TEST(the_error_log_changes_exactly_with_the_configuration)
{
	enum { TIMES = 200 };
	struct logger   *logger = start(path_of("error4-even"), NULL, 1);
	struct log_port *port = logger_port(logger, 0);
	unsigned         before = open_fds(), number = 0, in_wrong = 0, total = 0;
	struct logs      logs;

	for (unsigned i = 0; i < TIMES; i++) {
		uint16_t none[1];
		bool     is_odd = (i + 1) % 2;

		say(port, "%s last %u", is_odd ? "even" : "odd", i);
		logs_init(&logs, path_of(is_odd ? "error4-odd" : "error4-even"));
		EXPECT(change(logger, &logs, none));
		say(port, "%s first %u", is_odd ? "odd" : "even", i);
		settle(logger);
	}
	EVENTUALLY(open_fds() == before);
	logger_stop(logger, 5000);
	for (unsigned odd = 0; odd < 2; odd++) {
		char *all = contents(odd ? "error4-odd" : "error4-even"), *save = NULL;

		for (char *line = strtok_r(all, "\n", &save); line;
		     line = strtok_r(NULL, "\n", &save)) {
			char word[8] = "";

			EXPECT(sscanf(line, "%*s notice: %7s %*s %u", word, &number) == 2);
			total++;
			in_wrong += strcmp(word, odd ? "odd" : "even") != 0;
		}
		free(all);
	}
	EXPECT_EQ(total, 2 * TIMES);
	EXPECT_EQ(in_wrong, 0);
}

TEST(the_level_changes_at_once)
{
	struct logger   *logger = start(path_of("error5"), NULL, 1);
	struct log_port *port = logger_port(logger, 0);
	struct logs      logs;
	uint16_t         none[1];

	logs_init(&logs, path_of("error5"));
	logs.conf.global.error_level = LEVEL_ERROR;
	EXPECT(change(logger, &logs, none));
	say(port, "kept back");
	logs.conf.global.error_level = LEVEL_DEBUG;
	EXPECT(change(logger, &logs, none));
	log_line(port, LOG_LEVEL_DEBUG, "let through");
	logger_stop(logger, 5000);
	EXPECT(holds("error5", "let through\n"));
	EXPECT(!holds("error5", "kept back"));
}

/* Tells where it belongs, who wrote it, and which one it is of those. */
static uint64_t id_of(unsigned file, unsigned thread, unsigned sequence)
{
	return (uint64_t)file * 1000000000 + (uint64_t)thread * 10000000 + sequence;
}

enum { CHANGE_FILES = 5, BOTH_FORMATS = 4, CHANGE_THREADS = 4, CHANGES = 300 };

/* A configuration with two logs. */
struct generation {
	unsigned number;
	uint16_t numbers[2];
	unsigned files[2]; /* which of CHANGE_FILES */
};

struct producer {
	struct log_port             *port;
	_Atomic(struct generation *) wanted; /* NULL = stop */
	_Atomic unsigned             holds;  /* the number of the generation that it logs to */
	unsigned                     number, sent[CHANGE_FILES];
	pthread_t                    thread;
};

/* As a worker with sessions that come and go. */
static void *produce(void *argument)
{
	struct producer   *producer = argument;
	struct generation *generation = NULL, *wanted;
	unsigned           turn = 0;

	while ((wanted = atomic_load(&producer->wanted)) != NULL) {
		unsigned i = turn++ % 2, file;

		if (wanted != generation) {
			generation = wanted;
			atomic_store(&producer->holds, generation->number);
		}
		file = generation->files[i];
		while (!put_access(producer->port, generation->numbers[i],
		                   id_of(file, producer->number, producer->sent[file])))
			usleep(100);
		producer->sent[file]++;
		if (turn % 5 == 0)
			log_flush(producer->port);
		if (turn % 64 == 0)
			usleep(50);
	}
	log_flush(producer->port);
	return NULL;
}

static const char *file_name(unsigned file)
{
	static char name[16];

	snprintf(name, sizeof(name), "change6-%u", file);
	return name;
}

/* Even files are text, odd ones JSON; the last is both by turns. */
static void open_generation(struct logger *logger, struct generation *generation, unsigned number)
{
	struct logs logs;

	generation->number = number;
	logs_init(&logs, path_of("error6"));
	for (unsigned i = 0; i < 2; i++) {
		unsigned file = (number + i) % CHANGE_FILES;

		generation->files[i] = file;
		logs_add(&logs, path_of(file_name(file)),
		         (file == BOTH_FORMATS ? number : file) % 2 ? CONF_LOG_JSON
		                                                    : CONF_LOG_TEXT);
	}
	EXPECT(change(logger, &logs, generation->numbers));
}

/* False: not a whole line of a record. */
static bool read_line(const char *line, bool is_json, unsigned long long *id)
{
	const char *end = is_json ? "\"relay\":null}" : " relay=-";
	size_t      len = strlen(line);
	int         read = is_json ? sscanf(line, "{\"time\":%*[^,],\"id\":%llu,\"listener\"", id)
	                           : sscanf(line, "time=%*s id=%llu listener=", id);

	return read == 1 && len > strlen(end) && strcmp(line + len - strlen(end), end) == 0;
}

/* All that was meant for a file is there once, as whole lines, and nothing else is. */
static void check_file(unsigned file, const struct producer *producers)
{
	char    *all = contents(file_name(file)), *save = NULL;
	uint8_t *seen[CHANGE_THREADS];
	unsigned wrong = 0;

	for (unsigned i = 0; i < CHANGE_THREADS; i++)
		seen[i] = calloc(producers[i].sent[file] + 1, 1);
	for (char *line = strtok_r(all, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		bool               is_json = *line == '{';
		unsigned long long id = 0;
		unsigned           thread, sequence;

		if (!read_line(line, is_json, &id) || id / 1000000000 != file ||
		    (file != BOTH_FORMATS && is_json != file % 2)) {
			wrong++;
			continue;
		}
		thread = (unsigned)(id / 10000000 % 100);
		sequence = (unsigned)(id % 10000000);
		if (thread >= CHANGE_THREADS || sequence >= producers[thread].sent[file] ||
		    seen[thread][sequence]++)
			wrong++;
	}
	EXPECT_EQ(wrong, 0);
	for (unsigned i = 0; i < CHANGE_THREADS; i++) {
		EXPECT(producers[i].sent[file] > 0);
		EXPECT(!memchr(seen[i], 0, producers[i].sent[file]));
		free(seen[i]);
	}
	free(all);
}

TEST(no_line_is_lost_or_misplaced_while_the_configuration_changes)
{
	static struct generation generations[CHANGES];
	struct logger           *logger = start(path_of("error6"), NULL, CHANGE_THREADS);
	struct producer          producers[CHANGE_THREADS] = {0};
	unsigned                 before = open_fds(), most = 0, oldest = 0;
	uint64_t                 dropped = 0;

	for (unsigned i = 0; i < CHANGES; i++) {
		open_generation(logger, &generations[i], i);
		for (unsigned t = 0; t < CHANGE_THREADS; t++) {
			atomic_store(&producers[t].wanted, &generations[i]);
			if (i > 0)
				continue;
			producers[t].port = logger_port(logger, t);
			producers[t].number = t;
			pthread_create(&producers[t].thread, NULL, produce, &producers[t]);
		}
		usleep(i % 4 * 300);
		/* Up to three are in use at a time. */
		for (; oldest + 2 < i; oldest++) {
			for (unsigned t = 0; t < CHANGE_THREADS; t++)
				while (atomic_load(&producers[t].holds) <= oldest)
					sched_yield();
			logger_retire(logger, generations[oldest].numbers, 2);
		}
		if (i % 10 == 9)
			settle(logger);
		most = open_fds() > most ? open_fds() : most;
	}
	for (unsigned t = 0; t < CHANGE_THREADS; t++)
		atomic_store(&producers[t].wanted, NULL);
	for (unsigned t = 0; t < CHANGE_THREADS; t++)
		pthread_join(producers[t].thread, NULL);
	for (; oldest < CHANGES; oldest++)
		logger_retire(logger, generations[oldest].numbers, 2);
	EVENTUALLY(open_fds() == before);
	/* Those of some ten that wait for the writer, and of three in use. */
	EXPECT(most < before + 50);
	/* What found a full ring was tried again, and was still a drop. */
	for (unsigned t = 0; t < CHANGE_THREADS; t++)
		dropped += producers[t].port->dropped;
	EXPECT_EQ(logger_dropped(logger), dropped);
	logger_stop(logger, PATIENCE_MS);
	for (unsigned file = 0; file < CHANGE_FILES; file++)
		check_file(file, producers);
}

/* Reads until the other end is closed, as a string that the caller frees. */
static void *read_all(void *argument)
{
	size_t  size = 64 << 20, len = 0;
	char   *text = malloc(size);
	ssize_t got;

	while ((got = read(*(int *)argument, text + len, size - 1 - len)) > 0)
		len += (size_t)got;
	text[len] = '\0';
	return text;
}

static int open_fifo(const char *name)
{
	EXPECT(mkfifo(path_of(name), 0600) == 0);
	return open(path_of(name), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
}

TEST(a_log_that_is_given_up_is_written_out_to_a_slow_reader)
{
	int            reader = open_fifo("fifo7");
	struct logger *logger = start(path_of("error7"), path_of("fifo7"), 1);
	pthread_t      thread;
	void          *text;
	unsigned       sent = 0;

	/* More than the pipe takes, less than the buffer and the pipe. */
	for (; sent < 250; sent++)
		put_surely(logger_port(logger, 0), 0, sent);
	logger_retire(logger, &(uint16_t){0}, 1);
	settle(logger);
	fcntl(reader, F_SETFL, 0);
	pthread_create(&thread, NULL, read_all, &reader);
	pthread_join(thread, &text); /* it ends, so the log was closed */
	EXPECT_EQ(count_of(text, " relay=-\n"), sent);
	EXPECT_EQ(logger_dropped(logger), 0);
	logger_stop(logger, 5000);
	EXPECT(!holds("error7", "lost"));
	free(text);
	close(reader);
}

TEST(a_log_that_is_given_up_is_closed_though_nobody_reads_and_its_losses_are_counted)
{
	int            reader = open_fifo("fifo8");
	struct logger *logger = start(path_of("error8"), path_of("fifo8"), 1);
	unsigned       before = open_fds(), sent = 0;
	void          *text;

	for (; sent < 1500; sent++)
		while (!put_access(logger_port(logger, 0), 0, sent)) {
			log_flush(logger_port(logger, 0));
			usleep(1000);
		}
	log_flush(logger_port(logger, 0));
	logger_retire(logger, &(uint16_t){0}, 1);
	EVENTUALLY(open_fds() == before - 1);
	fcntl(reader, F_SETFL, 0);
	text = read_all(&reader);
	EXPECT(count_of(text, "time=") > 100 && count_of(text, "time=") < sent);
	EXPECT_EQ(count_of(text, "time="), count_of(text, " relay=-\n"));
	EXPECT_EQ(count_of(text, "time=") + logger_dropped(logger),
	          sent + logger_port(logger, 0)->dropped);
	logger_stop(logger, 5000);
	EXPECT(holds("error8", "the last lines of log "));
	free(text);
	close(reader);
}

TEST(two_logs_in_one_pipe_never_cut_each_others_lines)
{
	enum { LINES = 4000 };
	int            reader = open_fifo("fifo9");
	struct logs    logs;
	struct logger *logger;
	pthread_t      thread;
	void          *text;

	logs_init(&logs, path_of("error9"));
	logs_add(&logs, path_of("fifo9"), CONF_LOG_TEXT);
	logs_add(&logs, path_of("fifo9"), CONF_LOG_JSON);
	logger = start_with(&logs, 1);
	fcntl(reader, F_SETFL, 0);
	pthread_create(&thread, NULL, read_all, &reader);
	for (unsigned i = 0; i < LINES; i++)
		put_surely(logger_port(logger, 0), i % 2, i);
	logger_stop(logger, PATIENCE_MS);
	pthread_join(thread, &text);
	EXPECT_EQ(count_of(text, "\n"), LINES);
	EXPECT_EQ(count_of(text, "\ntime=") + count_of(text, "\n{\"time\""), LINES - 1);
	free(text);
	close(reader);
}

/* KiB of memory that is really there. */
static long resident(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	long  pages = 0;

	EXPECT(file && fscanf(file, "%*d %ld", &pages) == 1);
	fclose(file);
	return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

TEST(a_port_costs_nothing_until_it_is_asked_for)
{
	long           before = resident();
	struct logger *logger = start(path_of("error10"), NULL, 1025);

	/* A ring is 256 KiB. */
	EXPECT(resident() - before < 32 * 1024);
	for (uint32_t i = 0; i <= 1024; i += 256) {
		char line[32];

		snprintf(line, sizeof(line), "port %u says\n", i);
		say(logger_port(logger, i), "port %u says", i);
		EVENTUALLY(holds("error10", line));
	}
	EXPECT(logger_port(logger, 512) == logger_port(logger, 512));
	logger_stop(logger, 5000);
}

static void retire_too_often(void *set)
{
	logger_set_retire(set, &(uint16_t){0}, 1);
}

static void find_what_is_gone(void *set)
{
	logger_set_find(set, 0);
}

TEST(a_number_that_nobody_has_ends_the_program)
{
	struct logger_sink_how how = {0};
	struct logger_set      set;
	struct logs            logs;
	uint16_t               number;

	logs_init(&logs, path_of("error11"));
	logs_add(&logs, path_of("access11"), CONF_LOG_TEXT);
	EXPECT(logger_set_init(&set, path_of("error11"), &how, why));
	EXPECT(aborts(find_what_is_gone, &set));
	EXPECT(logger_set_prepare(&set, &logs.conf, &number, why));
	logger_set_commit(&set);
	EXPECT(!aborts(find_what_is_gone, &set));
	logger_set_retire(&set, &number, 1);
	EXPECT(aborts(retire_too_often, &set));
	logger_set_note_changes(&set);
	EXPECT(!aborts(find_what_is_gone, &set));
	logger_set_make_changes(&set);
	EXPECT(aborts(find_what_is_gone, &set));
	logger_set_fini(&set);
}

int main(void)
{
	return main_in_scratch("test_logger_change");
}
