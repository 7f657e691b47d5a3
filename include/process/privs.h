/*
 * privs: who the process becomes once it holds what only root can open.
 *
 * Resolves [global] user and group while errors can still be told with their line, and gives root
 * up, for good and for every thread. Called by main (resolve) and by control (drop), which decides
 * when: after ports and logs are open. Only privs_restore ever gives a right back.
 */
#ifndef PROCESS_PRIVS_H
#define PROCESS_PRIVS_H

#include "conf/conf.h"

#include <sys/types.h>

enum { PRIVS_GROUPS_MAX = 64 };

struct privs {
	bool  wanted; /* false: stay who we are; the rest is nothing then */
	uid_t uid;
	gid_t gid;
	gid_t groups[PRIVS_GROUPS_MAX]; /* all of the user's, *gid* among them */
	int   group_count;
};

/* Looks up the names; also by -t. False: errors in *report*, with their lines. */
MUST_CHECK bool privs_resolve(struct privs *privs, const struct conf *conf,
                              struct conf_report *report);

/* Forbids new privileges by exec (PR_SET_NO_NEW_PRIVS). That is a thread's own and inherited: call
 * it before there is a second one. 0 or -errno. */
MUST_CHECK int privs_prepare(const struct privs *privs);

/* Becomes that user in every thread of the process, without a way back: setgroups, setresgid,
 * setresuid. Every capability goes with it, CAP_NET_BIND_SERVICE too: ports are to be open by now.
 * Does nothing where nothing is wanted. 0 or -errno; after a failure the process must end. */
MUST_CHECK int privs_drop(const struct privs *privs);

/* Opens files as that user would, on the calling thread alone and while it is the only one, until
 * privs_restore: what only root can read now, a reload could not read later. Does nothing where
 * nothing is wanted or we are not root. 0 or -errno. */
struct privs_kept {
	bool  is_changed;
	gid_t groups[PRIVS_GROUPS_MAX];
	int   group_count;
};
MUST_CHECK int privs_borrow(const struct privs *privs, struct privs_kept *kept);
void           privs_restore(const struct privs_kept *kept);

/* True where the process, as *euid*, could become that user: root can, and who is that user already
 * has no need to. */
bool privs_is_possible(const struct privs *privs, uid_t euid, gid_t egid);

#endif
