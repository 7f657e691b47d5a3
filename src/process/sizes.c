#include "process/sizes.h"

#include "process/http.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { LINT_NO_FASTOPEN = 12 }; /* its place in the list of conf/lint.c */

enum {
	RING_ENTRIES = 1024,
	RECV_BUFFERS = 512,
	BUFFER_SIZE = 16 * 1024,
	PIPE_POOL = 256,
	PIPE_SIZE = 256 * 1024,
	SPLICE_MIN = 64 * 1024,

	/* Files that are open whatever happens: standard streams, logs, the pid file while it is
	 * written, what libc opens to look up names, and room for an operator's mistake. */
	RESERVE = 32,
	RESERVE_PER_WORKER = 4, /* ring, wake-up, and what io-wq pins */
};

static uint64_t clamp(uint64_t value, uint64_t least, uint64_t most)
{
	return value < least ? least : value > most ? most : value;
}

static uint32_t round_up_to_power_of_two(uint32_t value)
{
	uint32_t power = 1;

	while (power < value && power < BIT(31))
		power <<= 1;
	return power;
}

/* ---- workers and CPUs ---- */

static uint32_t count_workers(const struct conf_global *global, const struct host *host)
{
	uint32_t count = global->workers;

	if (count == 0) {
		count = (uint32_t)CPU_COUNT(&host->usable);
		if (host->cpu_quota > 0)
			count = min_u32(count, host->cpu_quota);
	}
	return (uint32_t)clamp(count, 1, SIZES_WORKERS_MAX);
}

struct cpu_list {
	int    cpus[CPU_SETSIZE];
	size_t count;
};

static bool read_cpu(const char **at, int *cpu)
{
	char         *end;
	unsigned long value;

	if (!isdigit((unsigned char)**at))
		return false;
	value = strtoul(*at, &end, 10);
	if (value >= CPU_SETSIZE)
		return false;
	*at = end;
	*cpu = (int)value;
	return true;
}

/* "0-3,8", spaces allowed between. Keeps the order as written. */
static bool parse_cpu_list(const char *text, struct cpu_list *list)
{
	list->count = 0;
	for (const char *at = text;;) {
		int first, last;

		at += strspn(at, " \t");
		if (!read_cpu(&at, &first))
			return false;
		last = first;
		if (*at == '-') {
			at++;
			if (!read_cpu(&at, &last) || last < first)
				return false;
		}
		for (int cpu = first; cpu <= last; cpu++) {
			if (list->count == COUNT(list->cpus))
				return false;
			list->cpus[list->count++] = cpu;
		}
		at += strspn(at, " \t");
		if (*at == '\0')
			return true;
		if (*at++ != ',')
			return false;
	}
}

static struct conf_pos position(const struct conf *conf, struct conf_pos pos)
{
	return pos.file ? pos : (struct conf_pos){conf->path, 0};
}

static bool read_affinity(const struct conf *conf, const struct host *host,
                          struct conf_report *report, struct cpu_list *list)
{
	const char     *text = conf->global.cpu_affinity;
	struct conf_pos pos = position(conf, conf->global.cpu_affinity_pos);

	if (!parse_cpu_list(text, list)) {
		conf_error(report, pos,
		           "[global] cpu_affinity = %s: auto, off, or a list of CPUs like 0-3,8",
		           text);
		return false;
	}
	for (size_t i = 0; i < list->count; i++) {
		if (!CPU_ISSET((size_t)list->cpus[i], &host->usable)) {
			conf_error(
				report, pos,
				"[global] cpu_affinity = %s: CPU %d is not one this process may use",
				text, list->cpus[i]);
			return false;
		}
	}
	return true;
}

/* auto pins nothing: where anything else wants a CPU (a server on the same host, a kernel thread),
 * a pinned worker waits behind it while another CPU idles. Measured on 2 CPUs, one of them shared
 * with the load. */
static bool assign_cpus(const struct conf *conf, const struct host *host,
                        struct conf_report *report, struct sizes *sizes)
{
	struct cpu_list list;
	const char     *text = conf->global.cpu_affinity ? conf->global.cpu_affinity : "auto";
	bool            pins = true;

	list.count = 0;
	if (strcmp(text, "off") == 0 || strcmp(text, "auto") == 0) {
		pins = false;
	} else if (!read_affinity(conf, host, report, &list)) {
		return false;
	}
	for (uint32_t i = 0; i < sizes->workers; i++)
		sizes->cpus[i] = pins && list.count > 0 ? list.cpus[i % list.count] : -1;
	return true;
}

/* ---- pipes ---- */

static void plan_pipes(const struct conf_global *global, const struct host *host,
                       struct sizes *sizes)
{
	struct worker_sizes *worker = &sizes->worker;
	uint64_t pipes = global->pipe_pool == UINT32_MAX ? PIPE_POOL : global->pipe_pool;
	uint64_t size = global->pipe_size == UINT32_MAX ? PIPE_SIZE : global->pipe_size;

	if (global->zero_copy == CONF_ZERO_COPY_OFF)
		pipes = 0;
	if (size > host->pipe_size_max)
		size = host->pipe_size_max;
	if (size < 4096)
		size = 4096;
	sizes->pipes_wished = (uint32_t)pipes;
	/* A pipe beyond the budget is made with two pages and cannot grow: worse than none, so stay
	 * an eighth below it, for the other pipes of the same user. */
	if (host->pipe_budget != UINT64_MAX)
		pipes = clamp(pipes, 0,
		              (host->pipe_budget - host->pipe_budget / 8) / size / sizes->workers);
	pipes = clamp(pipes, 0, host->nofile / 16 / sizes->workers);
	worker->pipe_pool = (uint32_t)pipes;
	worker->pipe_size = (uint32_t)size;
	worker->splice_min = global->splice_min == UINT32_MAX ? SPLICE_MIN : global->splice_min;
}

/* ---- connections ---- */

static uint64_t count_ports(const struct conf *conf, uint32_t workers)
{
	uint64_t count = 0;

	for (size_t i = 0; i < conf->listener_count; i++) {
		const struct conf_listener *listener = conf->listeners[i];

		for (size_t j = 0; j < listener->listen_count; j++)
			count += listener->listens[j].kind == CONF_ENDPOINT_UNIX ? 1 : workers;
	}
	return count;
}

/* What the limit of open files leaves: a session holds two. */
static uint64_t most_connections(const struct conf *conf, const struct host *host,
                                 const struct sizes *sizes)
{
	uint64_t reserve = RESERVE + conf->log_count + count_ports(conf, sizes->workers) +
	                   (uint64_t)RESERVE_PER_WORKER * sizes->workers +
	                   (conf->global.metrics_listen.family == ADDR_NONE ? 0 : HTTP_FDS);
	uint64_t taken = reserve + (uint64_t)4 * sizes->worker.pipe_pool * sizes->workers;

	return host->nofile > taken ? (host->nofile - taken) / 2 : 0;
}

static bool plan_connections(const struct conf *conf, const struct host *host,
                             struct conf_report *report, struct sizes *sizes)
{
	const struct conf_global *global = &conf->global;
	struct conf_pos           pos = position(conf, global->max_connections_pos);
	uint64_t                  most = most_connections(conf, host, sizes);

	if (most == 0) {
		conf_error(report, pos,
		           "the limit of %" PRIu64
		           " open files leaves none for connections: raise it (ulimit -Hn, "
		           "LimitNOFILE=)",
		           host->nofile);
		return false;
	}
	if (global->max_connections > most) {
		conf_error(report, pos,
		           "[global] max_connections = %" PRIu32 ": the limit of %" PRIu64
		           " open files allows at most %" PRIu64
		           " (raise it: ulimit -Hn, LimitNOFILE=)",
		           global->max_connections, host->nofile, most);
		return false;
	}
	sizes->worker.max_connections = global->max_connections
	                                        ? global->max_connections
	                                        : (uint32_t)clamp(most, 1, SIZES_CONNECTIONS_MAX);
	return true;
}

static void share_connections(struct sizes *sizes)
{
	struct worker_sizes *worker = &sizes->worker;

	worker->pending_hellos = (uint32_t)clamp(worker->max_connections / 4 / sizes->workers, 16,
	                                         4096);
	worker->lingering = (uint32_t)clamp(worker->max_connections / 8 / sizes->workers, 16, 1024);
}

/* ---- fast open ---- */

/* One line, however many servers ask for it. */
static void warn_of_fastopen(const struct conf *conf, struct conf_report *report)
{
	for (size_t i = 0; i < conf->upstream_count; i++) {
		const struct conf_upstream *upstream = conf->upstreams[i];

		for (size_t j = 0; j < upstream->server_count; j++) {
			const struct conf_server *server = &upstream->servers[j];

			if (!server->fastopen)
				continue;
			conf_warn(
				report, server->endpoint.pos, LINT_NO_FASTOPEN,
				"[upstream %s] server = %s fastopen: this host allows none and servers are "
				"connected to without: sysctl -w net.ipv4.tcp_fastopen=1",
				upstream->name, server->endpoint.text);
			return;
		}
	}
}

bool sizes_plan(const struct conf *conf, const struct host *host, struct conf_report *report,
                struct sizes *sizes)
{
	const struct conf_global *global = &conf->global;
	struct worker_sizes      *worker = &sizes->worker;
	bool                      ok;

	*sizes = (struct sizes){.workers = count_workers(global, host), .nofile = host->nofile};

	/* The kernel takes powers of two only. */
	worker->ring_entries = round_up_to_power_of_two(global->ring_entries ? global->ring_entries
	                                                                     : RING_ENTRIES);
	worker->recv_buffers = round_up_to_power_of_two(global->recv_buffers ? global->recv_buffers
	                                                                     : RECV_BUFFERS);
	worker->buffer_size = global->buffer_size ? global->buffer_size : BUFFER_SIZE;
	worker->zero_copy = global->zero_copy;
	worker->splice_wait_us = global->splice_wait_us;
	worker->busy_poll_us = global->busy_poll_us;
	plan_pipes(global, host, sizes);
	ok = plan_connections(conf, host, report, sizes);
	ok = assign_cpus(conf, host, report, sizes) && ok;
	share_connections(sizes);
	if (host->denies_fastopen)
		warn_of_fastopen(conf, report);
	return ok;
}

bool sizes_plan_again(const struct conf *conf, const struct host *host, const struct sizes *running,
                      struct conf_report *report, struct sizes *sizes)
{
	bool ok = sizes_plan(conf, host, report, sizes);

	sizes->nofile = running->nofile;
	sizes->worker.max_connections = running->worker.max_connections;
	share_connections(sizes);
	return ok;
}

void sizes_describe(const struct sizes *sizes, char *text, size_t size)
{
	const struct worker_sizes *worker = &sizes->worker;
	uint64_t buffers = (uint64_t)sizes->workers * worker->recv_buffers * worker->buffer_size;
	uint64_t pipes = (uint64_t)sizes->workers * worker->pipe_pool * worker->pipe_size;
	uint32_t secure = SHARD_RECORDS_PER_SIDE * shard_records_size(worker);
	uint32_t stall = max_u32(shard_stall_size(worker),
	                         worker->pipe_pool > 0 ? PIPE_FILL_MAX : 0);

	snprintf(text, size,
	         "penstock: %" PRIu32 " workers, at most %" PRIu32 " connections; %" PRIu64
	         " KiB of receive buffers, at most %" PRIu64 " KiB in pipes (%" PRIu32
	         " per worker); behind a slow reader at most %" PRIu32
	         " KiB, for each side in TLS at most %" PRIu32 " KiB",
	         sizes->workers, worker->max_connections, buffers / 1024, pipes / 1024,
	         worker->pipe_pool, stall / 1024, secure / 1024);
}
