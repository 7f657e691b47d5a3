#include "process/host.h"

#include "test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* A folder that plays /sys/fs/cgroup, with a file beside it that plays /proc/self/cgroup. */
struct tree {
	char root[64], self[96];
};

static void tree_file(const struct tree *tree, const char *name, const char *text)
{
	char  path[512], *slash;
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", tree->root, name);
	for (slash = path + strlen(tree->root) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
		*slash = '\0';
		mkdir(path, 0700);
		*slash = '/';
	}
	file = fopen(path, "w");
	EXPECT(file != NULL);
	if (!file)
		return;
	fputs(text, file);
	fclose(file);
}

static void tree_init(struct tree *tree, const char *self)
{
	snprintf(tree->root, sizeof(tree->root), "%s", P_tmpdir "/penstock-test-XXXXXX");
	EXPECT(mkdtemp(tree->root) != NULL);
	snprintf(tree->self, sizeof(tree->self), "%s/self", tree->root);
	tree_file(tree, "self", self);
}

static uint32_t tree_quota(const struct tree *tree)
{
	return host_cpu_quota(tree->self, tree->root);
}

static void tree_fini(const struct tree *tree)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", tree->root);
	EXPECT(system(command) == 0);
}

TEST(a_version_2_quota_is_rounded_up)
{
	struct tree tree;

	tree_init(&tree, "0::/app\n");
	tree_file(&tree, "app/cpu.max", "150000 100000\n");
	EXPECT_EQ(tree_quota(&tree), 2);
	tree_file(&tree, "app/cpu.max", "200000 100000\n");
	EXPECT_EQ(tree_quota(&tree), 2);
	tree_file(&tree, "app/cpu.max", "1000 100000\n");
	EXPECT_EQ(tree_quota(&tree), 1);
	tree_file(&tree, "app/cpu.max", "max 100000\n");
	EXPECT_EQ(tree_quota(&tree), 0);
	tree_fini(&tree);
}

TEST(the_smallest_quota_on_the_way_up_counts)
{
	struct tree tree;

	tree_init(&tree, "0::/slice/app\n");
	tree_file(&tree, "slice/app/cpu.max", "800000 100000\n");
	tree_file(&tree, "slice/cpu.max", "300000 100000\n");
	tree_file(&tree, "cpu.max", "max 100000\n");
	EXPECT_EQ(tree_quota(&tree), 3);
	tree_fini(&tree);
}

TEST(a_container_that_sees_its_hosts_path_finds_its_quota_at_the_root)
{
	struct tree tree;

	tree_init(&tree, "0::/host/path/of/the/container\n");
	tree_file(&tree, "cpu.max", "100000 50000\n");
	EXPECT_EQ(tree_quota(&tree), 2);
	tree_fini(&tree);
}

TEST(a_version_1_quota_is_found_by_its_controller)
{
	struct tree tree;

	tree_init(&tree, "5:cpuset:/other\n4:cpu,cpuacct:/app\n0::/none\n");
	tree_file(&tree, "cpu/app/cpu.cfs_quota_us", "250000\n");
	tree_file(&tree, "cpu/app/cpu.cfs_period_us", "100000\n");
	EXPECT_EQ(tree_quota(&tree), 3);
	tree_file(&tree, "cpu/app/cpu.cfs_quota_us", "-1\n");
	EXPECT_EQ(tree_quota(&tree), 0);
	tree_fini(&tree);
}

TEST(unreadable_or_odd_cgroups_are_no_quota)
{
	struct tree tree;

	tree_init(&tree, "rubbish\n\n0:\n0::\n");
	tree_file(&tree, "cpu.max", "100000 0\n");
	EXPECT_EQ(tree_quota(&tree), 0);
	EXPECT_EQ(host_cpu_quota("no/such/file", tree.root), 0);
	tree_fini(&tree);
}

TEST(releases_compare_by_number)
{
	EXPECT(host_is_release_at_least("6.1.0-18-amd64", 6, 1));
	EXPECT(host_is_release_at_least("6.12.4", 6, 1));
	EXPECT(host_is_release_at_least("10.0", 6, 1));
	EXPECT(!host_is_release_at_least("6.0.19", 6, 1));
	EXPECT(!host_is_release_at_least("5.15.0", 6, 1));
	EXPECT(!host_is_release_at_least("", 6, 1));
}

TEST(each_io_uring_failure_says_what_to_change)
{
	static const struct {
		int         error, disabled;
		const char *says;
	} rows[] = {
		{EPERM, 2, "sysctl -w kernel.io_uring_disabled=0"},
		{EPERM, 1, "kernel.io_uring_group"},
		{EPERM, 0, "seccomp"},
		{EPERM, -1, "seccomp"},
		{ENOSYS, -1, "CONFIG_IO_URING"},
		{ENOMEM, 0, "LimitMEMLOCK"},
		{EMFILE, 0, "LimitNOFILE"},
		{EINVAL, 0, "Invalid argument"},
	};
	char why[256];

	for (size_t i = 0; i < COUNT(rows); i++) {
		host_explain_uring_error(rows[i].error, rows[i].disabled, why);
		EXPECT(strstr(why, rows[i].says) != NULL);
		EXPECT(strchr(why, '\n') == NULL);
		EXPECT(strlen(why) < sizeof(why) - 1);
	}
}

TEST(the_soft_limit_of_open_files_rises_to_the_hard_one)
{
	struct rlimit before, after;
	struct host   host;

	EXPECT(getrlimit(RLIMIT_NOFILE, &before) == 0);
	before.rlim_cur = 100;
	EXPECT(setrlimit(RLIMIT_NOFILE, &before) == 0);
	host_read(&host);
	EXPECT(CPU_COUNT(&host.usable) > 0);
	EXPECT(host_raise_nofile(host.nofile) == 0);
	EXPECT(getrlimit(RLIMIT_NOFILE, &after) == 0);
	EXPECT_EQ(after.rlim_cur, host.nofile);
	EXPECT_EQ(after.rlim_max, before.rlim_max);
}

int main(void)
{
	return test_main();
}
