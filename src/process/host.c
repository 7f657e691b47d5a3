#include "process/host.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <linux/io_uring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

/* A small file as text; false if it cannot be read. */
static bool read_text(const char *path, char *text, size_t size)
{
	FILE  *file = fopen(path, "re");
	size_t len;

	if (!file)
		return false;
	len = fread(text, 1, size - 1, file);
	text[len] = '\0';
	fclose(file);
	return true;
}

bool host_read_number(const char *path, uint64_t *number)
{
	char text[64], *end;

	if (!read_text(path, text, sizeof(text)) || text[0] == '-')
		return false;
	errno = 0;
	*number = strtoull(text, &end, 10);
	return errno == 0 && end != text;
}

/* ---- the cgroups' quota ---- */

static uint32_t cpus_for(uint64_t quota, uint64_t period)
{
	uint64_t cpus = period ? quota / period + (quota % period != 0) : 0;

	return cpus > UINT32_MAX ? 0 : (uint32_t)cpus;
}

/* Version 2 has both numbers in one file: "max 100000" or "150000 100000". */
static uint32_t quota_v2(const char *folder)
{
	char     path[4352], text[64];
	uint64_t quota, period;

	snprintf(path, sizeof(path), "%s/cpu.max", folder);
	if (!read_text(path, text, sizeof(text)) ||
	    sscanf(text, "%" SCNu64 " %" SCNu64, &quota, &period) != 2)
		return 0;
	return cpus_for(quota, period);
}

static uint32_t quota_v1(const char *folder)
{
	char     path[4352];
	uint64_t quota, period;

	snprintf(path, sizeof(path), "%s/cpu.cfs_quota_us", folder);
	if (!host_read_number(path, &quota)) /* -1 = none */
		return 0;
	snprintf(path, sizeof(path), "%s/cpu.cfs_period_us", folder);
	return host_read_number(path, &period) ? cpus_for(quota, period) : 0;
}

/* A container without a cgroup namespace sees its host's path, but mounts only its own group: going
 * up to the root finds that one too. */
static uint32_t smallest_quota(const char *root, const char *group,
                               uint32_t (*read_quota)(const char *folder))
{
	char     folder[4224];
	size_t   root_len = strlen(root);
	uint32_t smallest = 0;

	if (snprintf(folder, sizeof(folder), "%s%s", root, group) >= (int)sizeof(folder))
		return 0;
	for (;;) {
		uint32_t cpus = read_quota(folder);
		char    *slash = strrchr(folder, '/');

		if (cpus > 0 && (smallest == 0 || cpus < smallest))
			smallest = cpus;
		if (strlen(folder) <= root_len || !slash)
			return smallest;
		*slash = '\0';
	}
}

static bool has_controller(const char *list, const char *wanted)
{
	size_t len = strlen(wanted);

	for (const char *at = list; *at; at += *at == ',') {
		size_t word = strcspn(at, ",");

		if (word == len && memcmp(at, wanted, len) == 0)
			return true;
		at += word;
	}
	return false;
}

/* One line of /proc/self/cgroup: "0::/path" (version 2) or "4:cpu,cpuacct:/path". */
static uint32_t quota_of_line(char *line, const char *root)
{
	char  mount[128];
	char *list = strchr(line, ':'), *group = list ? strchr(list + 1, ':') : NULL;

	if (!group)
		return 0;
	list++;
	*group++ = '\0';
	group[strcspn(group, "\n")] = '\0';
	if (*list == '\0')
		return smallest_quota(root, group, quota_v2);
	if (!has_controller(list, "cpu") ||
	    snprintf(mount, sizeof(mount), "%s/cpu", root) >= (int)sizeof(mount))
		return 0;
	return smallest_quota(mount, group, quota_v1);
}

uint32_t host_cpu_quota(const char *self, const char *root)
{
	FILE    *file = fopen(self, "re");
	char    *line = NULL;
	size_t   room = 0;
	uint32_t smallest = 0;

	if (!file)
		return 0;
	while (getline(&line, &room, file) > 0) {
		uint32_t cpus = quota_of_line(line, root);

		if (cpus > 0 && (smallest == 0 || cpus < smallest))
			smallest = cpus;
	}
	free(line);
	fclose(file);
	return smallest;
}

/* ---- limits ---- */

bool host_has_capability(unsigned number)
{
	char     text[4096], *at;
	uint64_t effective;

	if (!read_text("/proc/self/status", text, sizeof(text)))
		return false;
	at = strstr(text, "CapEff:");
	if (!at || sscanf(at, "CapEff: %" SCNx64, &effective) != 1)
		return false;
	return (effective >> number & 1) != 0;
}

/* The kernel asks for the capability in the first user namespace; root of a nested one does not
 * count. */
static bool is_exempt_from_pipe_limits(void)
{
	char     text[4096];
	uint64_t first, maps_to, count;

	if (!read_text("/proc/self/uid_map", text, sizeof(text)) ||
	    sscanf(text, "%" SCNu64 " %" SCNu64 " %" SCNu64, &first, &maps_to, &count) != 3 ||
	    first != maps_to || count != UINT32_MAX)
		return false;
	return host_has_capability(CAP_SYS_RESOURCE) || host_has_capability(CAP_SYS_ADMIN);
}

static void read_pipe_limits(struct host *host)
{
	uint64_t pages;

	host->pipe_budget = UINT64_MAX;
	host->pipe_size_max = UINT64_MAX;
	if (is_exempt_from_pipe_limits())
		return;
	/* 0 = no limit. */
	if (host_read_number("/proc/sys/fs/pipe-user-pages-soft", &pages) && pages > 0)
		host->pipe_budget = pages * (uint64_t)sysconf(_SC_PAGESIZE);
	if (!host_read_number("/proc/sys/fs/pipe-max-size", &host->pipe_size_max))
		host->pipe_size_max = 1024 * 1024;
}

static uint64_t read_nofile(void)
{
	struct rlimit limit;
	uint64_t      most;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 1024;
	/* The kernel opens no file beyond nr_open, whatever the limit says. */
	if (host_read_number("/proc/sys/fs/nr_open", &most) && limit.rlim_max > most)
		return most;
	return limit.rlim_max;
}

static bool denies_fastopen(void)
{
	uint64_t allowed;

	return host_read_number("/proc/sys/net/ipv4/tcp_fastopen", &allowed) && (allowed & 1) == 0;
}

void host_read(struct host *host)
{
	*host = (struct host){0};
	if (sched_getaffinity(0, sizeof(host->usable), &host->usable) < 0) {
		/* More CPUs than cpu_set_t has bits: use the ones it can name. */
		for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++)
			CPU_SET(cpu, &host->usable);
	}
	host->cpu_quota = host_cpu_quota("/proc/self/cgroup", "/sys/fs/cgroup");
	host->nofile = read_nofile();
	read_pipe_limits(host);
	host->denies_fastopen = denies_fastopen();
}

int host_raise_nofile(uint64_t nofile)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -errno;
	if (limit.rlim_cur >= nofile)
		return 0;
	limit.rlim_cur = nofile;
	return setrlimit(RLIMIT_NOFILE, &limit) < 0 ? -errno : 0;
}

/* ---- io_uring ---- */

bool host_is_release_at_least(const char *release, unsigned major, unsigned minor)
{
	unsigned got_major, got_minor;

	if (sscanf(release, "%u.%u", &got_major, &got_minor) != 2)
		return false;
	return got_major > major || (got_major == major && got_minor >= minor);
}

void host_explain_uring_error(int error, int disabled, char why[256])
{
	const char *text;

	if (error == EPERM && disabled == 2)
		text = "io_uring is disabled on this host: sysctl -w kernel.io_uring_disabled=0";
	else if (error == EPERM && disabled == 1)
		text = "io_uring is reserved for the group in kernel.io_uring_group on this host: run as a member "
		       "of it, or sysctl -w kernel.io_uring_disabled=0";
	else if (error == EPERM || error == EACCES)
		text = "io_uring is forbidden to this process, most likely by a seccomp filter: allow io_uring_setup, "
		       "io_uring_enter and io_uring_register in the container's or the service's profile";
	else if (error == ENOSYS)
		text = "io_uring is missing: the kernel was built without CONFIG_IO_URING, or a sandbox hides it";
	else if (error == ENOMEM)
		text = "no memory for an io_uring: raise the locked-memory limit (ulimit -l, LimitMEMLOCK=) or the "
		       "cgroup's memory limit";
	else if (error == EMFILE || error == ENFILE)
		text = "no file descriptor left for an io_uring: raise the limit of open files (ulimit -n, LimitNOFILE=)";
	else
		text = NULL;
	if (text)
		snprintf(why, 256, "%s", text);
	else
		snprintf(why, 256, "io_uring_setup failed: %s", strerror(error));
}

/* 0 and the features, or -errno. The flags are those every worker's ring asks for. */
int host_probe_uring(uint32_t *features)
{
	struct io_uring_params params = {.flags = IORING_SETUP_SINGLE_ISSUER |
	                                          IORING_SETUP_DEFER_TASKRUN};
	int                    fd = (int)syscall(__NR_io_uring_setup, 8, &params);

	if (fd < 0)
		return -errno;
	close(fd);
	*features = params.features;
	return 0;
}

int host_uring_disabled(void)
{
	uint64_t value;

	return host_read_number("/proc/sys/kernel/io_uring_disabled", &value) && value <= 2
	               ? (int)value
	               : -1;
}

bool host_check(char why[256])
{
	struct utsname name;
	uint32_t       features;
	int            result;

	if (uname(&name) < 0 ||
	    !host_is_release_at_least(name.release, HOST_KERNEL_MAJOR, HOST_KERNEL_MINOR)) {
		snprintf(why, 256, "Linux %d.%d or newer is needed; this is %s", HOST_KERNEL_MAJOR,
		         HOST_KERNEL_MINOR, name.release);
		return false;
	}
	result = host_probe_uring(&features);
	if (result < 0)
		host_explain_uring_error(-result, host_uring_disabled(), why);
	return result == 0;
}

void host_print_features(FILE *to)
{
	/* By number: a kernel may be newer than the headers that this was built with. */
	static const struct {
		uint32_t    bit;
		const char *name;
	} names[] = {
		{IORING_FEAT_NODROP, "nodrop"},        {IORING_FEAT_FAST_POLL, "fast_poll"},
		{IORING_FEAT_EXT_ARG, "ext_arg"},      {IORING_FEAT_CQE_SKIP, "cqe_skip"},
		{BIT(14), "recvsend_bundle"},          {BIT(15), "min_timeout"},
		{HOST_FEATURE_NO_IOWAIT, "no_iowait"},
	};
	struct utsname name;
	char           why[256];
	uint32_t       features = 0;
	int            result = host_probe_uring(&features);

	if (uname(&name) == 0)
		fprintf(to, "kernel %s\n", name.release);
	if (result < 0) {
		host_explain_uring_error(-result, host_uring_disabled(), why);
		fprintf(to, "io_uring not usable: %s\n", why);
		return;
	}
	fprintf(to, "io_uring usable:");
	for (size_t i = 0; i < COUNT(names); i++)
		fprintf(to, " %s=%s", names[i].name, features & names[i].bit ? "yes" : "no");
	fputc('\n', to);
}
