/* SPDX-License-Identifier: MIT */
/*
 * Whose the files of /proc and /sys are, and who may open them and follow their links. As on
 * Linux a process's files are its effective user's, or root's if it is not dumpable; what
 * shows its memory, and everything that leads to its files, is for who may trace it.
 *
 * The host cannot judge here: its /proc/self is umm itself.
 */
#include <errno.h>
#include <fcntl.h>

#include "guest/procfs.h"
#include "guest/task.h"

int procfs_may_trace(struct task *t, int32_t pid)
{
	struct guest *g = task_guest(t);
	struct proc *p;
	int r = -ENOENT;

	guest_lock(g);
	p = proc_find(g, pid);
	if (p)
		r = creds_may_trace(t, p) ? 0 : -EACCES;
	guest_unlock(g);
	return r;
}

void procfs_owner(struct task *t, const struct proc_name *n, uid_t *uid, gid_t *gid)
{
	struct guest *g = task_guest(t);
	struct proc *p;

	*uid = *gid = 0;
	guest_lock(g);
	p = n->pid ? proc_find(g, n->pid) : NULL;
	/* Folders that all may read say whose the process is in any case. */
	if (p && (p->dumpable || (n->type == PROC_DIR && n->mode == 0555))) {
		*uid = p->creds.euid;
		*gid = p->creds.egid;
	}
	guest_unlock(g);
}

/* By the mode alone. */
static int check_mode(struct task *t, const struct proc_name *n, mode_t want)
{
	uid_t uid;
	gid_t gid;

	procfs_owner(t, n, &uid, &gid);
	return creds_allowed(n->mode, uid, gid, want) ? 0 : -EACCES;
}

/* Of its own process, if that is dumpable; its own folders and links in any case. */
static bool is_own(struct task *t, const struct proc_name *n)
{
	return n->pid && n->pid == task_pid(t) &&
	       (n->type != PROC_FILE || __atomic_load_n(&t->proc->dumpable, __ATOMIC_RELAXED));
}

int procfs_may_open(struct task *t, const struct proc_name *n, int flags)
{
	if (is_own(t, n) || (flags & O_PATH))
		return 0;
	if (n->pid && n->pid == task_pid(t))
		return check_mode(t, n, creds_wanted(flags));
	if (n->traced)
		return procfs_may_trace(t, n->pid);
	return check_mode(t, n, creds_wanted(flags));
}

int procfs_may_access(struct task *t, const struct proc_name *n, int mode)
{
	return is_own(t, n) ? 0 : check_mode(t, n, mode & 7);
}
