/* Workers that come and go, real ones with rings of their own, without a connection. */
#include "process/crew.h"

#include "process/generation.h"
#include "process/loader.h"
#include "test.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATIENCE_MS = 60000, WORKERS_MAX = 3 };

struct stage {
	struct loaded      loaded;
	struct generation *generation;
	struct reactor     reactor;
	struct crew       *crew;
	struct log_port    logs[WORKERS_MAX];
};

/* A configuration of one listener, which nobody listens for. */
static bool load(struct loaded *loaded)
{
	static const char text[] =
		"[global]\nmax_connections = 10\npipe_pool = 1\n"
		"[listener web]\nlisten = 127.0.0.1:443\nproxy_pass = 127.0.0.1:1\n";
	char path[] = P_tmpdir "/penstock-test-XXXXXX";
	int  fd = mkstemp(path);
	bool ok;

	EXPECT(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
	ok = loader_read(path, loaded);
	if (!ok)
		conf_report_print(loaded->report, stdout);
	unlink(path);
	return ok;
}

static bool stage_add(struct stage *stage)
{
	uint32_t index = crew_next_index(stage->crew);

	struct worker_plan plan = {
		.index = index,
		.cpu = -1,
		.tenure = generation_add_tenure(stage->generation),
		.registry = stage->loaded.registry,
		.log = &stage->logs[index],
		.sizes = stage->loaded.sizes.worker,
	};
	char why[256];

	if (crew_add(stage->crew, &plan, why))
		return true;
	printf("  %s\n", why);
	return false;
}

static bool stage_init(struct stage *stage, uint32_t workers)
{
	bool ok;

	*stage = (struct stage){.crew = calloc(1, sizeof(struct crew))};
	EXPECT(load(&stage->loaded));
	if (!stage->crew || !stage->loaded.snapshot)
		return false;
	stage->generation = generation_new(loaded_take_snapshot(&stage->loaded), 1);
	ok = stage->generation && reactor_init(&stage->reactor) == 0 &&
	     crew_open(stage->crew, &stage->reactor) == 0;
	for (uint32_t i = 0; ok && i < WORKERS_MAX; i++)
		ok = spsc_init(&stage->logs[i].ring, 4096);
	for (uint32_t i = 0; ok && i < workers; i++)
		ok = stage_add(stage);
	EXPECT(ok);
	return ok;
}

static void stage_fini(struct stage *stage)
{
	EXPECT_EQ(stage->crew->count, 0);
	crew_close(stage->crew);
	reactor_fini(&stage->reactor);
	for (uint32_t i = 0; i < WORKERS_MAX; i++)
		spsc_fini(&stage->logs[i].ring);
	generation_free(stage->generation);
	loaded_fini(&stage->loaded);
	free(stage->crew);
}

static void wait_until_done(const struct worker *worker)
{
	for (int i = 0; i < PATIENCE_MS && !worker_is_done(worker); i++)
		usleep(1000);
	EXPECT(worker_is_done(worker));
}

/* Until it is, as control does; false: in vain. */
static bool turn_until_count(struct stage *stage, uint32_t count)
{
	for (int i = 0; i < PATIENCE_MS / 100 && stage->crew->count != count; i++) {
		reactor_turn(&stage->reactor, 100);
		crew_reap(stage->crew);
	}
	return stage->crew->count == count;
}

struct task {
	struct worker_job job;
	int               ran, done, lost;
};

static void run_task(struct worker *worker, struct worker_job *job)
{
	container_of(job, struct task, job)->ran++;
	worker_reply(worker, job);
}

static void on_task(struct worker_job *job)
{
	struct task *task = container_of(job, struct task, job);

	task->done++;
	task->lost += job->is_lost;
}

static struct task new_task(void)
{
	return (struct task){.job = {.run = run_task, .done = on_task}};
}

TEST(what_the_last_worker_answered_is_heard_also_when_its_end_is_seen_first)
{
	struct stage stage;
	struct task  task = new_task();

	if (!stage_init(&stage, 1))
		return;
	worker_call(stage.crew->workers[0], &task.job);
	crew_stop(stage.crew);
	wait_until_done(stage.crew->workers[0]);
	crew_reap(stage.crew); /* without a look at the replies */
	EXPECT_EQ(stage.crew->count, 0);
	EXPECT_EQ(task.ran, 1);
	EXPECT_EQ(task.done, 1);
	EXPECT_EQ(task.lost, 0);
	stage_fini(&stage);
}

TEST(a_job_that_comes_too_late_is_done_as_lost)
{
	struct stage stage;
	struct task  task = new_task();

	if (!stage_init(&stage, 2))
		return;
	crew_stop(stage.crew);
	wait_until_done(stage.crew->workers[1]);
	worker_call(stage.crew->workers[1], &task.job);
	EXPECT(turn_until_count(&stage, 0));
	EXPECT_EQ(task.ran, 0);
	EXPECT_EQ(task.done, 1);
	EXPECT_EQ(task.lost, 1);
	stage_fini(&stage);
}

/* Else it would close what it is given: it knows no address yet. */
TEST(a_worker_that_does_not_listen_is_given_no_connection)
{
	struct stage stage;

	if (stage_init(&stage, 2)) {
		EXPECT(!stage.loaded.registry->queues[0].is_open);
		EXPECT(!stage.loaded.registry->queues[1].is_open);
		crew_stop(stage.crew);
		EXPECT(turn_until_count(&stage, 0));
	}
	stage_fini(&stage);
}

TEST(the_first_ones_stay_when_the_crew_shrinks_and_indexes_are_given_again)
{
	struct stage   stage;
	struct worker *first;

	if (!stage_init(&stage, WORKERS_MAX))
		return;
	first = stage.crew->workers[0];
	EXPECT_EQ(crew_next_index(stage.crew), WORKERS_MAX);
	crew_shrink(stage.crew, 1);
	EXPECT(turn_until_count(&stage, 1));
	EXPECT(stage.crew->workers[0] == first && crew_worker(stage.crew, 0) == first);
	EXPECT(!crew_worker(stage.crew, 1));
	EXPECT_EQ(crew_next_index(stage.crew), 1);
	EXPECT(stage_add(&stage));
	EXPECT_EQ(worker_index(crew_worker(stage.crew, 1)), 1);
	crew_dismiss(stage.crew, 1);
	EXPECT_EQ(stage.crew->count, 1);
	EXPECT(stage.crew->workers[0] == first);
	crew_stop(stage.crew);
	EXPECT(turn_until_count(&stage, 0));
	stage_fini(&stage);
}

int main(void)
{
	return test_main();
}
