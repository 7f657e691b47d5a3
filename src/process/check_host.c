#include "process/check_host.h"

#include "process/sizes.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

enum {
	NOFILE_WANTED = 65536,
	NOFILE_USUAL = 1048576,
	BACKLOG_WANTED = 4096, /* the default of `backlog` */
	PORTS_WANTED = 16384,
	HTTPS_PORT = 443,
};

enum verdict {
	VERDICT_OK,
	VERDICT_NOTE,   /* nothing to mend */
	VERDICT_REMARK, /* runs, but not as well as it could */
	VERDICT_WRONG,  /* cannot run */
};

struct finding {
	enum verdict verdict;
	char         text[640];
};

#define FOUND(finding, says, ...)                                                                  \
	((finding)->verdict = (says),                                                              \
	 (void)snprintf((finding)->text, sizeof((finding)->text), __VA_ARGS__))

/* ---- the checks ---- */

static void check_kernel(const struct check_host *host, struct finding *finding)
{
	if (host_is_release_at_least(host->release, HOST_KERNEL_MAJOR, HOST_KERNEL_MINOR))
		FOUND(finding, VERDICT_OK, "Linux %s", host->release);
	else
		FOUND(finding, VERDICT_WRONG,
		      "Linux %d.%d or newer is needed, this is %s: apt-get install linux-image-amd64 && "
		      "reboot (Debian 12 or newer)",
		      HOST_KERNEL_MAJOR, HOST_KERNEL_MINOR, host->release);
}

static void check_io_uring(const struct check_host *host, struct finding *finding)
{
	char why[256];

	if (host->uring_error == 0) {
		FOUND(finding, VERDICT_OK, "usable");
		return;
	}
	host_explain_uring_error(host->uring_error, host->uring_disabled, why);
	FOUND(finding, VERDICT_WRONG, "%s", why);
}

/* Of its own, because the sysctl and a filter give the same error. */
static void check_seccomp(const struct check_host *host, struct finding *finding)
{
	bool is_denied = host->uring_error == EPERM || host->uring_error == EACCES;

	if (is_denied && host->uring_disabled <= 0)
		FOUND(finding, VERDICT_WRONG,
		      "io_uring_setup is denied though kernel.io_uring_disabled is not set, so by a filter: docker "
		      "run --security-opt seccomp=config/seccomp/docker.json, or in a unit "
		      "SystemCallFilter=@system-service");
	else
		FOUND(finding, VERDICT_OK, "no filter is in the way");
}

static void check_nofile(const struct check_host *host, struct finding *finding)
{
	uint64_t nofile = host->limits.nofile;

	if (nofile >= NOFILE_WANTED)
		FOUND(finding, VERDICT_OK, "%" PRIu64 " files may be opened", nofile);
	else
		FOUND(finding, VERDICT_REMARK,
		      "only %" PRIu64
		      " files may be opened, two for each connection: ulimit -Hn %d, in a unit "
		      "LimitNOFILE=%d, docker run --ulimit nofile=%d:%d",
		      nofile, NOFILE_USUAL, NOFILE_USUAL, NOFILE_USUAL, NOFILE_USUAL);
}

static void check_memlock(const struct check_host *host, struct finding *finding)
{
	if (host->uring_error == ENOMEM)
		FOUND(finding, VERDICT_REMARK,
		      "may be what io_uring lacks: ulimit -l unlimited, in a unit LimitMEMLOCK=infinity");
	else
		FOUND(finding, VERDICT_OK, "not needed: rings count as the process's own memory");
}

/* What the default configuration would ask of this host, were it not for the limit. */
static void plan_default(const struct check_host *host, struct sizes *sizes)
{
	struct conf conf = {
		.path = "",
		.global = {.pipe_pool = UINT32_MAX,
	                   .pipe_size = UINT32_MAX,
	                   .splice_min = UINT32_MAX},
	};
	struct host         roomy = host->limits;
	struct conf_report *report = conf_report_new();

	*sizes = (struct sizes){0};
	roomy.nofile = UINT32_MAX;
	if (report) {
		(void)!sizes_plan(&conf, &roomy, report, sizes);
		conf_report_free(report);
	}
}

static void check_pipes(const struct check_host *host, struct finding *finding)
{
	struct sizes sizes;
	uint64_t     page = (uint64_t)sysconf(_SC_PAGESIZE), bytes, pages;

	plan_default(host, &sizes);
	/* Room for others of the same user, as sizes_plan leaves it. */
	bytes = (uint64_t)sizes.workers * sizes.pipes_wished * sizes.worker.pipe_size;
	pages = (bytes + bytes / 7) / page + 1;
	if (host->limits.pipe_budget == UINT64_MAX)
		FOUND(finding, VERDICT_OK, "no limit for this user");
	else if (sizes.worker.pipe_pool >= sizes.pipes_wished)
		FOUND(finding, VERDICT_OK, "%" PRIu64 " pages for pipes",
		      host->limits.pipe_budget / page);
	else
		FOUND(finding, VERDICT_REMARK,
		      "%" PRIu64 " pages are enough for %" PRIu32 " of the %" PRIu32
		      " pipes that each worker would use to splice, the rest is copied: sysctl -w "
		      "fs.pipe-user-pages-soft=%" PRIu64,
		      host->limits.pipe_budget / page, sizes.worker.pipe_pool, sizes.pipes_wished,
		      pages);
}

static void check_somaxconn(const struct check_host *host, struct finding *finding)
{
	if (host->somaxconn >= BACKLOG_WANTED)
		FOUND(finding, VERDICT_OK, "%" PRIu64, host->somaxconn);
	else
		FOUND(finding, VERDICT_REMARK,
		      "%" PRIu64
		      " connections may wait to be accepted, the default backlog is %d: sysctl -w "
		      "net.core.somaxconn=%d",
		      host->somaxconn, BACKLOG_WANTED, BACKLOG_WANTED);
}

static void check_local_ports(const struct check_host *host, struct finding *finding)
{
	uint64_t count = host->port_last >= host->port_first
	                         ? host->port_last - host->port_first + 1
	                         : 0;

	if (count >= PORTS_WANTED)
		FOUND(finding, VERDICT_OK, "%" PRIu64 " to %" PRIu64, host->port_first,
		      host->port_last);
	else
		FOUND(finding, VERDICT_REMARK,
		      "%" PRIu64 " to %" PRIu64 ": at most %" PRIu64
		      " connections to one server at a time: sysctl -w "
		      "net.ipv4.ip_local_port_range=\"10240 65535\"",
		      host->port_first, host->port_last, count);
}

static void check_low_ports(const struct check_host *host, struct finding *finding)
{
	if (host->may_bind || host->first_free_port <= HTTPS_PORT)
		FOUND(finding, VERDICT_OK, "may be listened on");
	else
		FOUND(finding, VERDICT_REMARK,
		      "ports below %" PRIu64
		      " are not for this user: setcap cap_net_bind_service=+ep PENSTOCK, or in a "
		      "unit AmbientCapabilities=CAP_NET_BIND_SERVICE",
		      host->first_free_port);
}

static void check_fastopen(const struct check_host *host, struct finding *finding)
{
	if (host->limits.denies_fastopen)
		FOUND(finding, VERDICT_NOTE,
		      "servers with fastopen are connected to without; where it is wanted: sysctl -w "
		      "net.ipv4.tcp_fastopen=1");
	else
		FOUND(finding, VERDICT_OK, "servers with fastopen are sent data with the SYN");
}

static void check_iowait(const struct check_host *host, struct finding *finding)
{
	if (host->hides_iowait)
		FOUND(finding, VERDICT_OK, "idle workers are shown as idle");
	else
		FOUND(finding, VERDICT_NOTE,
		      "idle workers are shown as iowait (they use no CPU); Linux 6.15 or newer does not");
}

static const struct {
	const char *name;
	void (*check)(const struct check_host *host, struct finding *finding);
} checks[] = {
	{"kernel", check_kernel},       {"io_uring", check_io_uring},
	{"seccomp", check_seccomp},     {"nofile", check_nofile},
	{"memlock", check_memlock},     {"pipe-user-pages-soft", check_pipes},
	{"somaxconn", check_somaxconn}, {"ip_local_port_range", check_local_ports},
	{"low ports", check_low_ports}, {"tcp_fastopen", check_fastopen},
	{"iowait", check_iowait},
};

/* ---- what becomes of them ---- */

bool check_host_print(const struct check_host *host, FILE *to)
{
	static const char *const words[] = {"ok", "note", "remark", "wrong"};
	bool                     can_run = true;

	for (size_t i = 0; i < COUNT(checks); i++) {
		struct finding finding = {0};

		checks[i].check(host, &finding);
		can_run &= finding.verdict != VERDICT_WRONG;
		fprintf(to, "%-6s %s: %s\n", words[finding.verdict], checks[i].name, finding.text);
	}
	return can_run;
}

bool check_host_remarks(const struct check_host *host, char *line, size_t size)
{
	char   names[256] = "";
	size_t len = 0;

	for (size_t i = 0; i < COUNT(checks); i++) {
		struct finding finding = {0};

		checks[i].check(host, &finding);
		if (finding.verdict != VERDICT_REMARK)
			continue;
		CHECK(len + strlen(checks[i].name) + 3 < sizeof(names)); /* all of them fit */
		len += (size_t)sprintf(names + len, "%s%s", len ? ", " : "", checks[i].name);
	}
	if (len > 0)
		snprintf(line, size,
		         "check-host has remarks: %s (penstock check-host tells how to mend them)",
		         names);
	return len > 0;
}

/* ---- the real host ---- */

static void read_port_range(struct check_host *host)
{
	FILE *file = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");

	if (!file)
		return;
	if (fscanf(file, "%" SCNu64 " %" SCNu64, &host->port_first, &host->port_last) != 2)
		host->port_last = UINT16_MAX;
	fclose(file);
}

void check_host_read(struct check_host *host)
{
	struct utsname name = {0};
	uint32_t       features = 0;

	*host = (struct check_host){
		.somaxconn = BACKLOG_WANTED,
		.first_free_port = 1024,
		.port_last = UINT16_MAX,
	};
	host_read(&host->limits);
	(void)uname(&name);
	snprintf(host->release, sizeof(host->release), "%s", name.release);
	host->uring_error = -host_probe_uring(&features);
	host->uring_disabled = host_uring_disabled();
	host->hides_iowait = (features & HOST_FEATURE_NO_IOWAIT) != 0;
	host->may_bind = host_has_capability(CAP_NET_BIND_SERVICE);
	(void)!host_read_number("/proc/sys/net/ipv4/ip_unprivileged_port_start",
	                        &host->first_free_port);
	(void)!host_read_number("/proc/sys/net/core/somaxconn", &host->somaxconn);
	read_port_range(host);
}
