/* SPDX-License-Identifier: MIT */
/*
 * The end of tasks and processes.
 *
 * A task ends in its own thread: it gives back memory, files and vCPU, and only
 * then, under guest->lock, leaves its process. The last one makes the process a
 * zombie and tells the parent, who therefore finds all pipes closed and all
 * memory free when wait() returns.
 */
#include <string.h>

#include "guest/ctty.h"
#include "guest/syscalls.h"
#include "guest/ipc.h"
#include "guest/in_flight.h"
#include "guest/task.h"

/* ---- processes; lock held ---------------------------------------------- */

void proc_kill(struct proc *p, int status)
{
	struct task *t;

	if (p->zombie)
		return;
	if (!p->group_exit) {
		p->status = status;
		p->group_exit = true;
	}
	p->stop_signal = 0;
	list_for_each_entry(t, &p->tasks, link) task_interrupt(t);
}

void proc_reap(struct proc *p)
{
	struct guest *g = p->g;

	proc_free(p);
	pthread_cond_broadcast(&g->changed);
}

static struct proc *find_reaper(struct proc *p)
{
	struct proc *up;

	for (up = p->parent; up; up = up->parent)
		if (up->subreaper && !up->zombie)
			return up;
	return NULL;
}

static bool parent_ignores_children(const struct proc *parent)
{
	const struct guest_sigaction *act = &parent->sighand->action[SIGCHLD - 1];

	return act->handler == (uintptr_t)SIG_IGN || (act->flags & SA_NOCLDWAIT);
}

/* Tell the parent of a zombie, or let it go where nobody asks for it. */
static void zombie_notify(struct proc *p)
{
	int sig = p->status & 0x7f;
	bool nobody = !p->parent;

	if (p->parent) {
		if (p->exit_signal == SIGCHLD)
			nobody = parent_ignores_children(p->parent);
		notify_parent(p, sig ? CLD_KILLED : CLD_EXITED,
			      sig ? sig : (p->status >> 8) & 0xff);
	}
	if (nobody)
		proc_reap(p);
}

static bool has_stopped(struct guest *g, int32_t pgid)
{
	struct proc *p;

	list_for_each_entry(p, &g->procs, all) if (p->pgid == pgid && p->stop_reported) return true;
	return false;
}

/*
 * The group of @p has lost what @parent, of the same session, was to it. Those that are stopped, and
 * have nobody left who could continue them, are hung up and continued.
 */
static void hang_up_orphans(struct proc *p, const struct proc *parent)
{
	if (!parent || parent->pgid == p->pgid || parent->sid != p->sid ||
	    !has_stopped(p->g, p->pgid) || !pgrp_is_orphaned(p->g, p->pgid))
		return;
	signal_send_pgrp(p->g, p->pgid, SIGHUP, NULL);
	signal_send_pgrp(p->g, p->pgid, SIGCONT, NULL);
}

static void orphan_children(struct proc *p)
{
	struct proc *child, *tmp, *reaper = find_reaper(p);
	siginfo_t info;

	list_for_each_entry_safe(child, tmp, &p->children, sibling)
	{
		proc_set_parent(child, reaper);
		child->exit_signal = SIGCHLD;
		if (child->pdeath_signal) {
			memset(&info, 0, sizeof(info));
			info.si_code = SI_USER;
			info.si_pid = p->pid;
			signal_send(child, NULL, child->pdeath_signal, &info);
		}
		hang_up_orphans(child, p);
		if (child->zombie)
			zombie_notify(child);
	}
}

/* Nobody is left in the guest without its first process. */
static void first_ended(struct guest *g, struct proc *first)
{
	struct proc *p;

	g->first = NULL;
	g->first_status = first->status;
	g->shutdown = true;
	list_for_each_entry(p, &g->procs, all) proc_kill(p, SIGKILL);
}

static void proc_end(struct proc *p)
{
	ipc_proc_ended(p->g, p->pid);
	ctty_proc_ended(p);
	p->zombie = true;
	p->g->nr_ends++;
	memset(p->itimer, 0, sizeof(p->itimer));
	posix_timers_drop(p);
	sig_pending_flush(&p->pending, ~0ull);
	orphan_children(p);
	hang_up_orphans(p, p->parent);
	pidfd_notify(p);
	if (p->g->first == p)
		first_ended(p->g, p);
	zombie_notify(p);
}

/* ---- tasks ------------------------------------------------------------- */

void task_release_memory(struct task *t)
{
	static const uint32_t zero;
	uint64_t tid_at = t->clear_child_tid;

	futex_exit_robust(t);
	t->clear_child_tid = 0;
	/* Only where another task can see it; a dead process tells by wait(). */
	if (!tid_at || __atomic_load_n(&t->mm->users, __ATOMIC_RELAXED) <= 1)
		return;
	if (!copy_to_user(t, tid_at, &zero, sizeof(zero)))
		futex_wake(t, tid_at, true, 1, ~0u);
}

void task_vfork_done(struct task *t)
{
	guest_lock(t->g);
	if (t->vfork) {
		t->vfork->done = true;
		task_wake(t->vfork->parent);
		t->vfork = NULL;
	}
	guest_unlock(t->g);
}

/* Lock held; with the vCPU the task's own clock goes out of sight. */
static void account(struct task *t)
{
	struct proc_times *sum = &t->proc->dead_tasks;
	struct rusage ru;

	if (getrusage(RUSAGE_THREAD, &ru))
		return;
	sum->utime_us += (uint64_t)ru.ru_utime.tv_sec * 1000000 + (uint64_t)ru.ru_utime.tv_usec;
	sum->stime_us += (uint64_t)ru.ru_stime.tv_sec * 1000000 + (uint64_t)ru.ru_stime.tv_usec;
	sum->minflt += t->nr_faults;
	sum->nvcsw += (uint64_t)ru.ru_nvcsw;
}

/* Everything that others may wait for, without being a task any more. */
static void release_resources(struct task *t)
{
	struct files *files = t->files;
	struct fs *fs = t->fs;
	struct mm *mm = t->mm;
	struct vcpu *vcpu = t->vcpu;

	guest_lock(t->g);
	t->files = NULL;
	t->fs = NULL;
	t->mm = NULL;
	t->vcpu = NULL;
	account(t);
	guest_unlock(t->g);
	t->ops->put(t->g->cfg.vcpu_ctx, vcpu);
	mm_put(mm);
	files_put(files);
	in_flight_collect(t->g->in_flight);
	fs_put(fs);
}

/* Lock held. */
static void note_max_rss(struct proc *p, uint64_t rss)
{
	if (rss > p->max_rss)
		p->max_rss = rss;
}

void task_exit(struct task *t)
{
	struct guest *g = t->g;
	struct proc *p = t->proc;
	uint64_t rss = mm_max_rss(t->mm);

	rseq_forget(t);
	task_release_memory(t);
	task_vfork_done(t);
	release_resources(t);
	ipc_task_ended(g);

	mm_pressure_busy(g->cfg.sys, -1);
	current_task = NULL;
	guest_lock(g);
	note_max_rss(p, rss);
	if (!p->group_exit && t->tid == p->pid)
		p->status = t->exit_status;
	signal_retarget(t, ~t->blocked);
	task_unpublish(t);
	signal_check_stop(p);
	if (p->exec_task)
		task_wake(p->exec_task);
	if (!p->nr_tasks) {
		if (g->cfg.strace)
			strace_exit(t, p->status);
		proc_end(p);
	}
	task_free(t);
	g->nr_threads--;
	pthread_cond_broadcast(&g->changed);
	guest_unlock(g);
}

int64_t sys_exit(struct task *t, const uint64_t a[6])
{
	t->exit_status = (int)(a[0] & 0xff) << 8;
	t->leaving = true;
	return 0;
}

int64_t sys_exit_group(struct task *t, const uint64_t a[6])
{
	guest_lock(t->g);
	proc_kill(t->proc, (int)(a[0] & 0xff) << 8);
	guest_unlock(t->g);
	t->leaving = true;
	return 0;
}
