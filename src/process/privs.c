#include "process/privs.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <unistd.h>

/* What getpwnam_r and getgrnam_r may need; a group has all its members in there. */
enum { LOOKUP_ROOM = 1 << 20 };

static void tell_unknown(struct conf_report *report, struct conf_pos pos, const char *key,
                         const char *name, int error)
{
	conf_error(report, pos, "[global] %s = %s: %s%s", key, name,
	           error ? "cannot look it up: " : "there is no such ",
	           error ? strerror(error) : key);
}

static bool find_user(struct privs *privs, const struct conf_global *global, char *room,
                      struct conf_report *report)
{
	struct passwd entry, *found = NULL;
	int           error = getpwnam_r(global->user, &entry, room, LOOKUP_ROOM, &found);

	if (!found) {
		tell_unknown(report, global->user_pos, "user", global->user, error);
		return false;
	}
	privs->uid = entry.pw_uid;
	privs->gid = entry.pw_gid;
	return true;
}

static bool find_group(struct privs *privs, const struct conf_global *global, char *room,
                       struct conf_report *report)
{
	struct group entry, *found = NULL;
	int          error;

	if (!global->group)
		return true;
	error = getgrnam_r(global->group, &entry, room, LOOKUP_ROOM, &found);
	if (!found) {
		tell_unknown(report, global->group_pos, "group", global->group, error);
		return false;
	}
	privs->gid = entry.gr_gid;
	return true;
}

bool privs_resolve(struct privs *privs, const struct conf *conf, struct conf_report *report)
{
	const struct conf_global *global = &conf->global;
	char                     *room;
	bool                      found;

	*privs = (struct privs){.wanted = global->user != NULL};
	if (!privs->wanted)
		return true;
	room = malloc(LOOKUP_ROOM);
	if (!room) {
		tell_unknown(report, global->user_pos, "user", global->user, ENOMEM);
		return false;
	}
	found = find_user(privs, global, room, report);
	found = find_group(privs, global, room, report) && found;
	free(room);
	if (!found)
		return false;
	privs->group_count = PRIVS_GROUPS_MAX;
	if (getgrouplist(global->user, privs->gid, privs->groups, &privs->group_count) < 0) {
		conf_error(report, global->user_pos,
		           "[global] user = %s: is a member of more than %d groups", global->user,
		           PRIVS_GROUPS_MAX);
		return false;
	}
	return true;
}

bool privs_is_possible(const struct privs *privs, uid_t euid, gid_t egid)
{
	return !privs->wanted || euid == 0 || (privs->uid == euid && privs->gid == egid);
}

/* What the calls have said is worth nothing unless it is so. */
static bool is_dropped(const struct privs *privs)
{
	uid_t real, effective, saved;
	gid_t real_group, effective_group, saved_group;

	if (getresuid(&real, &effective, &saved) < 0 ||
	    getresgid(&real_group, &effective_group, &saved_group) < 0)
		return false;
	if (real != privs->uid || effective != privs->uid || saved != privs->uid ||
	    real_group != privs->gid || effective_group != privs->gid || saved_group != privs->gid)
		return false;
	return privs->uid == 0 || (setuid(0) < 0 && seteuid(0) < 0);
}

/* setfsuid and setfsgid tell no errors, only what held before (setfsuid(2)); the rights that root
 * has over files go and come with the former. */
int privs_borrow(const struct privs *privs, struct privs_kept *kept)
{
	*kept = (struct privs_kept){0};
	if (!privs->wanted || geteuid() != 0)
		return 0;
	kept->group_count = getgroups(PRIVS_GROUPS_MAX, kept->groups);
	if (kept->group_count < 0 || setgroups((size_t)privs->group_count, privs->groups) < 0)
		return -errno;
	kept->is_changed = true;
	setfsgid(privs->gid);
	setfsuid(privs->uid);
	if ((gid_t)setfsgid((gid_t)-1) == privs->gid && (uid_t)setfsuid((uid_t)-1) == privs->uid)
		return 0;
	privs_restore(kept);
	return -EPERM;
}

void privs_restore(const struct privs_kept *kept)
{
	if (!kept->is_changed)
		return;
	setfsuid(geteuid());
	setfsgid(getegid());
	CHECK(setgroups((size_t)kept->group_count, kept->groups) == 0);
	CHECK((uid_t)setfsuid((uid_t)-1) == geteuid());
}

int privs_prepare(const struct privs *privs)
{
	return privs->wanted && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
}

int privs_drop(const struct privs *privs)
{
	if (!privs->wanted)
		return 0;
	if (!privs_is_possible(privs, geteuid(), getegid()))
		return -EPERM;
	/* glibc makes each of these calls in every thread; the groups first, for which it takes
	 * root. */
	if (geteuid() == 0 && (setgroups((size_t)privs->group_count, privs->groups) < 0 ||
	                       setresgid(privs->gid, privs->gid, privs->gid) < 0 ||
	                       setresuid(privs->uid, privs->uid, privs->uid) < 0))
		return -errno;
	return is_dropped(privs) ? 0 : -EPERM;
}
