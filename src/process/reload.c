#include "process/reload.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void begin(struct reload *reload);

static void log_lines(struct reload *reload, enum log_level level, const char *lines)
{
	while (*lines) {
		size_t len = strcspn(lines, "\n");

		TELL(reload->service, level, "penstock: %.*s", (int)len, lines);
		lines += len + (lines[len] == '\n');
	}
}

static void log_report(struct reload *reload, enum log_level level)
{
	char  *lines = NULL;
	size_t len;
	FILE  *stream = reload->report ? open_memstream(&lines, &len) : NULL;

	if (!stream)
		return;
	conf_report_print(reload->report, stream);
	if (fclose(stream) == 0)
		log_lines(reload, level, lines);
	free(lines);
}

static void end(struct reload *reload, bool ok)
{
	if (ok)
		reload->ok_total++;
	else
		reload->refused_total++;
	reload->is_busy = false;
	if (reload->over)
		reload->over(reload, reload->attempt, ok, reload->report);
	if (reload->report)
		conf_report_free(reload->report);
	reload->report = NULL;
	/* Without workers this is the end: a reader that nobody takes from would only hold it
	 * up. */
	if (reload->is_wanted && reload->service->crew.count > 0)
		begin(reload);
}

static void refuse(struct reload *reload)
{
	/* Without any, memory was short: that is one. */
	size_t errors = reload->report ? conf_report_errors(reload->report) : 1;

	log_report(reload, LOG_LEVEL_ERROR);
	TELL(reload->service, LOG_LEVEL_ERROR,
	     "penstock: reload refused: %zu errors; generation %" PRIu32 " goes on", errors,
	     reload->service->newest->number);
	end(reload, false);
}

static void on_renewed(struct service *service)
{
	struct reload         *reload = service->context;
	const struct snapshot *snapshot = service->newest->snapshot;

	TELL(service, LOG_LEVEL_NOTICE,
	     "penstock: reloaded: generation %" PRIu32
	     ", %zu listeners, %zu routes, %zu upstreams, %" PRIu32 " workers",
	     service->newest->number, snapshot->conf->listener_count, snapshot->route_count,
	     snapshot->conf->upstream_count, service->crew.active);
	end(reload, true);
}

static void on_loaded(struct watch *watch, uint32_t events)
{
	struct reload *reload = container_of(watch, struct reload, watch);
	struct loaded  loaded;
	bool           ok;

	(void)events;
	if (!loader_take(&reload->loader, &loaded))
		return;
	ok = loaded.snapshot && service_change(reload->service, &loaded);
	reload->report = loaded.report;
	loaded.report = NULL;
	loaded_fini(&loaded);
	if (ok)
		log_report(reload, LOG_LEVEL_WARN);
	else
		refuse(reload);
}

static void begin(struct reload *reload)
{
	struct service   *service = reload->service;
	struct loader_job job = {
		.file = reload->file,
		.registry = service->registry,
		.running = service->newest->snapshot,
		.sizes = &service->sizes,
	};
	int result;

	reload->is_wanted = false;
	reload->is_busy = true;
	reload->attempt++;
	TELL(service, LOG_LEVEL_INFO, "penstock: reloading %s", reload->file);
	result = loader_start(&reload->loader, &job);
	if (result == 0)
		return;
	reload->report = conf_report_new();
	if (reload->report)
		conf_error(reload->report, (struct conf_pos){reload->file, 0},
		           "cannot start a thread to read it: %s", strerror(-result));
	refuse(reload);
}

int reload_open(struct reload *reload, struct service *service, struct reactor *reactor,
                const char *file)
{
	int result;

	*reload = (struct reload){.service = service, .reactor = reactor, .file = file};
	service->context = reload;
	service->renewed = on_renewed;
	result = loader_init(&reload->loader);
	if (result < 0)
		return result;
	reload->watch = (struct watch){.fd = reload->loader.done_fd, .on_ready = on_loaded};
	return reactor_add(reactor, &reload->watch, EPOLLIN);
}

bool reload_close(struct reload *reload)
{
	if (reload->report)
		conf_report_free(reload->report);
	reload->report = NULL;
	return loader_stop(&reload->loader);
}

uint32_t reload_next_attempt(const struct reload *reload)
{
	return reload->attempt + 1;
}

void reload_request(struct reload *reload)
{
	if (reload->is_busy)
		reload->is_wanted = true;
	else
		begin(reload);
}
