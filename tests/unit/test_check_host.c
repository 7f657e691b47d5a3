/* check-host on hosts that are invented. */
#include "process/check_host.h"
#include "test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct check_host good_host(void)
{
	struct check_host host = {
		.limits = {.nofile = 1048576,
	                   .pipe_budget = UINT64_MAX,
	                   .pipe_size_max = UINT64_MAX},
		.release = "6.1.0-18-amd64",
		.uring_disabled = -1,
		.hides_iowait = true,
		.may_bind = true,
		.first_free_port = 1024,
		.somaxconn = 4096,
		.port_first = 32768,
		.port_last = 60999,
	};

	CPU_ZERO(&host.limits.usable);
	CPU_SET(0, &host.limits.usable);
	CPU_SET(1, &host.limits.usable);
	return host;
}

struct verdict {
	char *text;
	bool  can_run;
	bool  has_remarks;
	char  remarks[512];
};

static struct verdict judge(const struct check_host *host)
{
	struct verdict verdict = {0};
	size_t         len;
	FILE          *to = open_memstream(&verdict.text, &len);

	verdict.can_run = check_host_print(host, to);
	fclose(to);
	verdict.has_remarks = check_host_remarks(host, verdict.remarks, sizeof(verdict.remarks));
	return verdict;
}

static bool has_remarks(const struct check_host *host)
{
	char line[512];

	return check_host_remarks(host, line, sizeof(line));
}

static unsigned count_lines(const char *text, const char *begin)
{
	unsigned count = 0;

	for (const char *at = text; at && *at; at = strchr(at, '\n'), at += at != NULL)
		count += strncmp(at, begin, strlen(begin)) == 0;
	return count;
}

/* One line says *begin*, and in it *mends*. */
static bool has_line(const char *text, const char *begin, const char *mends)
{
	for (const char *at = text; at && *at; at = strchr(at, '\n'), at += at != NULL) {
		const char *found = strstr(at, mends), *end = strchr(at, '\n');

		if (strncmp(at, begin, strlen(begin)) == 0 && found && found < end)
			return true;
	}
	printf("  no line \"%s... %s\" in:\n%s", begin, mends, text);
	return false;
}

static void expect_remark(const struct check_host *host, const char *name, const char *mends)
{
	struct verdict verdict = judge(host);
	char           begin[64];

	snprintf(begin, sizeof(begin), "remark %s: ", name);
	EXPECT(has_line(verdict.text, begin, mends));
	EXPECT_EQ(count_lines(verdict.text, "remark "), 1);
	EXPECT(verdict.can_run && verdict.has_remarks);
	snprintf(begin, sizeof(begin), "remarks: %s (", name);
	EXPECT(strstr(verdict.remarks, begin) != NULL);
	free(verdict.text);
}

static void expect_wrong(const struct check_host *host, const char *name, const char *mends)
{
	struct verdict verdict = judge(host);
	char           begin[64];

	snprintf(begin, sizeof(begin), "wrong  %s: ", name);
	EXPECT(has_line(verdict.text, begin, mends));
	EXPECT(!verdict.can_run);
	free(verdict.text);
}

TEST(a_good_host_has_nothing_but_ok)
{
	struct check_host host = good_host();
	struct verdict    verdict = judge(&host);

	EXPECT(verdict.can_run && !verdict.has_remarks);
	EXPECT_EQ(count_lines(verdict.text, "ok "), count_lines(verdict.text, ""));
	EXPECT(count_lines(verdict.text, "ok ") >= 9);
	free(verdict.text);
}

TEST(an_old_kernel_is_wrong)
{
	struct check_host host = good_host();

	strcpy(host.release, "5.10.0-28-amd64");
	expect_wrong(&host, "kernel",
	             "6.1 or newer is needed, this is 5.10.0-28-amd64: apt-get install");
}

TEST(io_uring_disabled_by_the_sysctl_is_wrong_and_no_seccomp_is_blamed)
{
	struct check_host host = good_host();
	struct verdict    verdict;

	host.uring_error = EPERM;
	host.uring_disabled = 2;
	expect_wrong(&host, "io_uring", "sysctl -w kernel.io_uring_disabled=0");
	verdict = judge(&host);
	EXPECT(has_line(verdict.text, "ok     seccomp: ", "no filter"));
	free(verdict.text);
}

TEST(a_seccomp_filter_is_told_from_the_sysctl)
{
	struct check_host host = good_host();

	host.uring_error = EPERM;
	host.uring_disabled = 0;
	expect_wrong(&host, "seccomp", "docker run --security-opt seccomp=");
	host.uring_disabled = -1;
	expect_wrong(&host, "seccomp", "SystemCallFilter=");
}

TEST(few_open_files_are_remarked)
{
	struct check_host host = good_host();

	host.limits.nofile = 65536;
	EXPECT(!has_remarks(&host));
	host.limits.nofile = 1024;
	expect_remark(&host, "nofile", "LimitNOFILE=1048576");
}

TEST(memlock_matters_only_where_a_ring_found_no_memory)
{
	struct check_host host = good_host();
	struct verdict    verdict = judge(&host);

	EXPECT(has_line(verdict.text, "ok     memlock: ", "not needed"));
	free(verdict.text);
	host.uring_error = ENOMEM;
	verdict = judge(&host);
	EXPECT(has_line(verdict.text, "remark memlock: ", "LimitMEMLOCK=infinity"));
	free(verdict.text);
}

/* 256 pipes of 256 KiB for each of two workers, and an eighth for others: 37,450 pages of 4 KiB. */
TEST(few_pipe_pages_are_remarked_with_a_number_that_is_enough)
{
	struct check_host host = good_host();
	const uint64_t    page = 4096;
	struct verdict    verdict;
	char             *number;

	host.limits.pipe_size_max = 1048576;
	host.limits.pipe_budget = 37888 * page;
	verdict = judge(&host);
	EXPECT(!verdict.has_remarks);
	free(verdict.text);

	host.limits.pipe_budget = 1024 * page;
	expect_remark(&host, "pipe-user-pages-soft", "sysctl -w fs.pipe-user-pages-soft=");
	verdict = judge(&host);
	number = strstr(verdict.text, "soft=");
	EXPECT(number != NULL);
	if (number)
		host.limits.pipe_budget = strtoull(number + 5, NULL, 10) * page;
	free(verdict.text);
	verdict = judge(&host); /* the operator has obeyed */
	EXPECT(!verdict.has_remarks);
	free(verdict.text);
}

TEST(a_short_backlog_is_remarked)
{
	struct check_host host = good_host();

	host.somaxconn = 128;
	expect_remark(&host, "somaxconn", "sysctl -w net.core.somaxconn=4096");
}

TEST(a_narrow_range_of_local_ports_is_remarked)
{
	struct check_host host = good_host();

	host.port_first = 60000;
	expect_remark(&host, "ip_local_port_range", "sysctl -w net.ipv4.ip_local_port_range=");
	host.port_last = 100;
	expect_remark(&host, "ip_local_port_range", "at most 0 connections");
}

TEST(ports_below_1024_without_the_capability_are_remarked)
{
	struct check_host host = good_host();

	host.may_bind = false;
	expect_remark(&host, "low ports", "AmbientCapabilities=CAP_NET_BIND_SERVICE");
	host.first_free_port = 0;
	EXPECT(!has_remarks(&host));
}

TEST(fast_open_that_is_not_allowed_is_a_note_and_no_remark)
{
	struct check_host host = good_host();
	struct verdict    verdict;

	host.limits.denies_fastopen = true;
	verdict = judge(&host);
	EXPECT(has_line(verdict.text,
	                "note   tcp_fastopen: ", "sysctl -w net.ipv4.tcp_fastopen=1"));
	EXPECT(verdict.can_run && !verdict.has_remarks);
	free(verdict.text);
}

TEST(iowait_is_a_note_and_no_remark)
{
	struct check_host host = good_host();
	struct verdict    verdict;

	host.hides_iowait = false;
	verdict = judge(&host);
	EXPECT(has_line(verdict.text, "note   iowait: ", "6.15"));
	EXPECT(verdict.can_run && !verdict.has_remarks);
	free(verdict.text);
}

TEST(all_remarks_together_are_one_line)
{
	struct check_host host = good_host();
	struct verdict    verdict;

	host.limits.nofile = 10;
	host.limits.pipe_budget = 0;
	host.uring_error = ENOMEM;
	host.somaxconn = 1;
	host.port_last = host.port_first;
	host.may_bind = false;
	verdict = judge(&host);
	EXPECT(strncmp(verdict.remarks,
	               "check-host has remarks: nofile, memlock, pipe-user-pages-soft, somaxconn, "
	               "ip_local_port_range, low ports (",
	               96) == 0);
	EXPECT(strchr(verdict.remarks, '\n') == NULL);
	free(verdict.text);
}

TEST(the_real_host_is_read)
{
	struct check_host host;

	check_host_read(&host);
	EXPECT(host.release[0] >= '1' && host.release[0] <= '9');
	EXPECT(host.limits.nofile > 0 && host.somaxconn > 0 && host.port_last >= host.port_first);
}

int main(void)
{
	return test_main();
}
