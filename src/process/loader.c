#include "process/loader.h"

#include "process/privs.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* ---- the stages ---- */

/* NULL: refused, *report* says why. *running*: see conf_read_again. */
static struct conf *read_sound(const char *file, const struct conf_global *running,
                               struct conf_report *report)
{
	struct conf *conf = conf_read_again(file, running, report);

	if (!conf) {
		conf_error(report, (struct conf_pos){file, 0}, "no memory left to read it");
		return NULL;
	}
	if (conf_report_errors(report) == 0)
		return conf;
	conf_free(conf);
	return NULL;
}

/* Takes *conf* over. */
static bool build(struct conf *conf, struct registry *registry, struct loaded *loaded)
{
	loaded->snapshot = snapshot_build(conf, registry, loaded->report);
	if (loaded->snapshot && conf_report_errors(loaded->report) > 0) {
		snapshot_free(loaded->snapshot);
		loaded->snapshot = NULL;
	}
	return loaded->snapshot != NULL;
}

/* Certificates and keys are read as the user whom a reload will read them as. */
static bool build_as_user(struct conf *conf, const struct privs *privs, struct loaded *loaded)
{
	struct privs_kept kept;
	int               error = privs_borrow(privs, &kept);
	bool              ok;

	if (error < 0) {
		conf_error(loaded->report, conf->global.user_pos,
		           "[global] user = %s: cannot look at files as this user: %s",
		           conf->global.user, strerror(-error));
		conf_free(conf);
		return false;
	}
	ok = build(conf, loaded->registry, loaded);
	privs_restore(&kept);
	return ok;
}

/* Each stage needs what the one before it checked, so errors are told by stages: the file's, then
 * the host's and the names'. */
bool loader_read(const char *file, struct loaded *loaded)
{
	struct conf *conf;
	struct host  host;
	struct privs privs;
	uint32_t     max_connections;

	*loaded = (struct loaded){.report = conf_report_new()};
	if (!loaded->report)
		return false;
	conf = read_sound(file, NULL, loaded->report);
	if (!conf)
		return false;
	host_read(&host);
	/* Goes on after an error: names that do not resolve are to be told in the same run. */
	(void)!sizes_plan(conf, &host, loaded->report, &loaded->sizes);
	if (!privs_resolve(&privs, conf, loaded->report))
		privs.wanted = false;
	max_connections = loaded->sizes.worker.max_connections;
	loaded->registry = registry_new(max_connections ? max_connections : 1);
	if (!loaded->registry) {
		conf_error(loaded->report, (struct conf_pos){file, 0},
		           "no memory left to count %u connections", max_connections);
		conf_free(conf);
		return false;
	}
	return build_as_user(conf, &privs, loaded);
}

/* The user is not looked up again: it stays who it is, and to see where it is told may be beyond
 * what it can read. */
static void read_again(const struct loader_job *job, struct loaded *loaded)
{
	struct conf *conf;
	struct host  host;

	*loaded = (struct loaded){.report = conf_report_new()};
	if (!loaded->report)
		return;
	conf = read_sound(job->file, &job->running->conf->global, loaded->report);
	if (!conf)
		return;
	host_read(&host);
	(void)!sizes_plan_again(conf, &host, job->sizes, loaded->report, &loaded->sizes);
	(void)!build(conf, job->registry, loaded);
}

struct snapshot *loaded_take_snapshot(struct loaded *loaded)
{
	struct snapshot *snapshot = loaded->snapshot;

	loaded->snapshot = NULL;
	return snapshot;
}

void loaded_fini(struct loaded *loaded)
{
	snapshot_free(loaded->snapshot);
	registry_free(loaded->registry);
	conf_report_free(loaded->report);
	*loaded = (struct loaded){0};
}

/* ---- the thread ---- */

static void *run(void *context)
{
	struct loader *loader = context;
	const uint64_t one = 1;

	(void)pthread_setname_np(pthread_self(), "loader");
	read_again(&loader->job, &loader->loaded);
	CHECK(write(loader->done_fd, &one, sizeof(one)) == (ssize_t)sizeof(one));
	return NULL;
}

int loader_init(struct loader *loader)
{
	*loader = (struct loader){.done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
	return loader->done_fd < 0 ? -errno : 0;
}

int loader_start(struct loader *loader, const struct loader_job *job)
{
	sigset_t all, before;
	int      error;

	if (loader->is_busy)
		return -EBUSY;
	loader->job = *job;
	/* Signals are control's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&loader->thread, NULL, run, loader);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	loader->is_busy = error == 0;
	return -error;
}

bool loader_take(struct loader *loader, struct loaded *loaded)
{
	uint64_t count;

	if (!loader->is_busy)
		return false;
	if (read(loader->done_fd, &count, sizeof(count)) < 0) {
		CHECK(errno == EAGAIN || errno == EINTR);
		return false;
	}
	/* It has nothing left to do but to end. */
	CHECK(pthread_join(loader->thread, NULL) == 0);
	loader->is_busy = false;
	*loaded = loader->loaded;
	return true;
}

bool loader_stop(struct loader *loader)
{
	struct loaded loaded;

	if (loader->is_busy) {
		if (!loader_take(loader, &loaded)) {
			(void)pthread_detach(loader->thread);
			return false;
		}
		loaded_fini(&loaded);
	}
	close(loader->done_fd);
	return true;
}
