/* SPDX-License-Identifier: MIT */
/* What others may know of a process: for umm ps, /proc, and the calls of a task. */
#include <string.h>

#include "guest/ctty.h"

/* ---- one process told in a struct; lock held --------------------------- */

static char proc_state(const struct proc *p)
{
	const struct task *t;

	if (p->zombie || !p->nr_tasks)
		return 'Z';
	if (p->stop_reported)
		return 'T';
	list_for_each_entry(t, &p->tasks,
			    link) if (!__atomic_load_n(&t->sleeping, __ATOMIC_RELAXED)) return 'R';
	return 'S';
}

static void info_signals(const struct proc *p, struct proc_info *info)
{
	uint64_t handler;
	int i;

	info->shared_pending = p->pending.set;
	for (i = 0; i < GUEST_NSIG; i++) {
		handler = p->sighand->action[i].handler;
		if (handler == (uintptr_t)SIG_IGN)
			info->ignored |= 1ull << i;
		else if (handler != (uintptr_t)SIG_DFL)
			info->caught |= 1ull << i;
	}
}

static void info_fill(struct proc *p, struct proc_info *info)
{
	struct proc_times times;
	struct task *t;

	memset(info, 0, sizeof(*info));
	info->pid = p->pid;
	info->ppid = p->ppid;
	info->pgid = p->pgid;
	info->sid = p->sid;
	ctty_tell(p, &info->tty_device, &info->tty_pgrp);
	info->state = proc_state(p);
	memcpy(info->comm, p->comm, sizeof(info->comm));
	info->nr_tasks = p->nr_tasks;
	info->nice = p->nice;
	info->start_ns = p->start_ns;
	proc_times(p, &times);
	info->utime_us = times.utime_us;
	info->stime_us = times.stime_us;
	info->cutime_us = p->dead_children.utime_us;
	info->cstime_us = p->dead_children.stime_us;
	info_signals(p, info);
	if (list_empty(&p->tasks))
		return;
	t = list_first_entry(&p->tasks, struct task, link);
	info->pending = t->pending.set;
	info->blocked = t->blocked;
	list_for_each_entry(t, &p->tasks, link)
	{
		info->mm = t->mm;
		if (info->mm)
			break;
	}
}

/* The process with the smallest number >= @pid. */
static struct proc *proc_at_or_after(struct guest *g, int32_t pid)
{
	struct proc *p, *best = NULL;

	list_for_each_entry(p, &g->procs, all) if (p->pid >= pid && (!best || p->pid < best->pid))
		best = p;
	return best;
}

int guest_for_each_proc(struct guest *g, int (*fn)(const struct proc_info *p, void *arg), void *arg)
{
	struct proc_info info;
	struct proc *p;
	int ret = 0;

	guest_lock(g);
	for (p = proc_at_or_after(g, 0); p && !ret; p = proc_at_or_after(g, p->pid + 1)) {
		info_fill(p, &info);
		ret = fn(&info, arg);
	}
	guest_unlock(g);
	return ret;
}

int guest_with_proc(struct guest *g, int32_t pid, int (*fn)(const struct proc_info *p, void *arg),
		    void *arg)
{
	struct proc_info info;
	struct proc *p;
	int ret = -ESRCH;

	guest_lock(g);
	p = proc_find(g, pid);
	if (p) {
		info_fill(p, &info);
		ret = fn(&info, arg);
	}
	guest_unlock(g);
	return ret;
}

int guest_proc_tids(struct guest *g, int32_t pid, int32_t *tids, unsigned int max)
{
	unsigned int n = 0;
	struct proc *p;
	struct task *t;

	guest_lock(g);
	p = proc_find(g, pid);
	if (p) {
		list_for_each_entry(t, &p->tasks, link)
		{
			if (n < max)
				tids[n] = t->tid;
			n++;
		}
	}
	guest_unlock(g);
	return p ? (int)n : -ESRCH;
}

/* The first task that has not let go of its tables yet. */
static struct task *proc_live_task(struct guest *g, int32_t pid)
{
	struct proc *p = proc_find(g, pid);
	struct task *t;

	if (!p)
		return NULL;
	list_for_each_entry(t, &p->tasks, link) if (t->files) return t;
	return NULL;
}

struct files *guest_proc_files(struct guest *g, int32_t pid)
{
	struct files *files = NULL;
	struct task *t;

	guest_lock(g);
	t = proc_live_task(g, pid);
	if (t)
		files = files_get(t->files);
	guest_unlock(g);
	return files;
}

struct fs *guest_proc_fs(struct guest *g, int32_t pid)
{
	struct fs *fs = NULL;
	struct task *t;

	guest_lock(g);
	t = proc_live_task(g, pid);
	if (t)
		fs = fs_get(t->fs);
	guest_unlock(g);
	return fs;
}

struct gfile *guest_proc_exe(struct guest *g, int32_t pid)
{
	struct gfile *exe = NULL;
	struct task *t;

	guest_lock(g);
	t = proc_live_task(g, pid);
	if (t && t->proc->exe)
		exe = gfile_get(t->proc->exe);
	guest_unlock(g);
	return exe;
}

/* ---- the calling task -------------------------------------------------- */

struct mm *task_mm(struct task *t)
{
	return t->mm;
}

struct files *task_files(struct task *t)
{
	return t->files;
}

struct fs *task_fs(struct task *t)
{
	return t->fs;
}

struct guest *task_guest(struct task *t)
{
	return t->g;
}

int32_t task_pid(struct task *t)
{
	return t->proc->pid;
}

int32_t task_tid(struct task *t)
{
	return t->tid;
}

int32_t task_pgid(struct task *t)
{
	return __atomic_load_n(&t->proc->pgid, __ATOMIC_RELAXED);
}

int32_t task_ppid(struct task *t)
{
	return __atomic_load_n(&t->proc->ppid, __ATOMIC_RELAXED);
}

uint64_t task_rlimit(struct task *t, int resource)
{
	return __atomic_load_n(&t->proc->rlim[resource].rlim_cur, __ATOMIC_RELAXED);
}
