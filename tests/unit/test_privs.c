/* Who the process becomes, and that there is no way back. */
#include "process/privs.h"
#include "report_text.h"
#include "test.h"

#include <errno.h>
#include <grp.h>
#include <pthread.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static struct conf conf_of(const char *user, const char *group)
{
	return (struct conf){.path = "t.ini",
	                     .global = {.user = user,
	                                .group = group,
	                                .user_pos = {"t.ini", 3},
	                                .group_pos = {"t.ini", 4}}};
}

static bool resolve_says(const char *user, const char *group, const char *wanted)
{
	struct conf         conf = conf_of(user, group);
	struct conf_report *report = conf_report_new();
	struct privs        privs;
	bool                ok = privs_resolve(&privs, &conf, report);
	bool                same = report_says(report, wanted);

	conf_report_free(report);
	return same && ok == !*wanted;
}

TEST(names_that_nobody_has_are_told_with_their_lines)
{
	EXPECT(resolve_says("nobody", NULL, ""));
	EXPECT(resolve_says(NULL, NULL, ""));
	EXPECT(resolve_says("no-such-user", NULL,
	                    "t.ini:3: [global] user = no-such-user: there is no such user\n"));
	EXPECT(resolve_says("no-such-user", "no-such-group",
	                    "t.ini:3: [global] user = no-such-user: there is no such user\n"
	                    "t.ini:4: [global] group = no-such-group: there is no such group\n"));
}

TEST(a_user_comes_with_its_own_group_or_the_one_given)
{
	struct conf          conf = conf_of("nobody", NULL);
	struct conf_report  *report = conf_report_new();
	const struct passwd *nobody = getpwnam("nobody");
	struct privs         privs;

	EXPECT(privs_resolve(&privs, &conf, report));
	EXPECT(privs.wanted && privs.uid == nobody->pw_uid && privs.gid == nobody->pw_gid);
	EXPECT(privs.group_count >= 1);
	conf.global.group = "daemon";
	EXPECT(privs_resolve(&privs, &conf, report));
	EXPECT_EQ(privs.gid, getgrnam("daemon")->gr_gid);
	conf_report_free(report);
}

TEST(only_root_can_become_somebody_else)
{
	struct privs nobody = {.wanted = true, .uid = 65534, .gid = 65534};
	struct privs none = {0};

	EXPECT(privs_is_possible(&nobody, 0, 0));
	EXPECT(privs_is_possible(&nobody, 65534, 65534));
	EXPECT(!privs_is_possible(&nobody, 1000, 1000));
	EXPECT(!privs_is_possible(&nobody, 65534, 1000));
	EXPECT(privs_is_possible(&none, 1000, 1000));
}

static void *show_uid(void *argument)
{
	pthread_barrier_t *barrier = argument;

	pthread_barrier_wait(barrier); /* the thread was there before... */
	pthread_barrier_wait(barrier);
	/* ...and is nobody, too */
	return geteuid() == 65534 && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? argument : NULL;
}

/* In a child: exit 0 when all is as it should be, else the line that is not. */
static int be_nobody(void)
{
	struct privs privs = {
		.wanted = true, .uid = 65534, .gid = 65534, .groups = {65534}, .group_count = 1};
	pthread_barrier_t barrier;
	pthread_t         thread;
	void             *was_nobody;
	gid_t             groups[64];

	if (privs_prepare(&privs) != 0)
		return 10;
	pthread_barrier_init(&barrier, NULL, 2);
	if (pthread_create(&thread, NULL, show_uid, &barrier) != 0)
		return 1;
	pthread_barrier_wait(&barrier);
	if (privs_drop(&privs) != 0)
		return 2;
	pthread_barrier_wait(&barrier);
	pthread_join(thread, &was_nobody);
	if (!was_nobody)
		return 3;
	if (getuid() != 65534 || geteuid() != 65534 || getgid() != 65534 || getegid() != 65534)
		return 4;
	if (getgroups(64, groups) != 1 || groups[0] != 65534)
		return 5;
	if (setuid(0) == 0 || seteuid(0) == 0 || setgid(0) == 0)
		return 6;
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return 7;
	/* Once more changes nothing: it is that user already. */
	if (privs_drop(&privs) != 0)
		return 8;
	privs.uid = 1;
	return privs_drop(&privs) == -EPERM ? 0 : 9;
}

TEST(root_is_given_up_in_every_thread_for_good)
{
	int   status = -1;
	pid_t child;

	if (geteuid() != 0)
		return; /* nothing to give up */
	child = fork();
	if (child == 0)
		_exit(be_nobody());
	EXPECT(waitpid(child, &status, 0) == child);
	EXPECT_EQ(status, 0);
}

TEST(nothing_wanted_changes_nothing)
{
	struct privs none = {0};
	uid_t        before = geteuid();

	EXPECT_EQ(privs_prepare(&none), 0);
	EXPECT_EQ(privs_drop(&none), 0);
	EXPECT_EQ(geteuid(), before);
	EXPECT_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0);
}

int main(void)
{
	return test_main();
}
