/* SPDX-License-Identifier: MIT */
/*
 * Signals: sending, queueing, choosing who takes them.
 *
 * A signal sent to a process waits in proc->pending and may be taken by any of
 * its tasks that does not block it; one sent to a task waits in task->pending.
 * Sending sets `work` of one task that can take it and gets it out of wherever
 * it is. That task takes it in task_do_work() (guest/deliver.c), unless another
 * task was faster, or it blocked the signal meanwhile: then signal_retarget()
 * looks for somebody else.
 *
 * Everything here needs guest->lock.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "guest/signalfd.h"

#define SIG_QUEUE_MAX 8192

#define STOP_SIGNALS \
	(SIGSET_BIT(SIGSTOP) | SIGSET_BIT(SIGTSTP) | SIGSET_BIT(SIGTTIN) | SIGSET_BIT(SIGTTOU))
#define SYNC_SIGNALS                                                                           \
	(SIGSET_BIT(SIGSEGV) | SIGSET_BIT(SIGBUS) | SIGSET_BIT(SIGILL) | SIGSET_BIT(SIGTRAP) | \
	 SIGSET_BIT(SIGFPE) | SIGSET_BIT(SIGSYS))

void sig_pending_init(struct sig_pending *p)
{
	p->set = 0;
	p->nr = 0;
	list_init(&p->queue);
}

static void item_free(struct sig_pending *p, struct sig_item *item)
{
	list_del(&item->link);
	p->nr--;
	free(item);
}

void sig_pending_flush(struct sig_pending *p, guest_sigset_t which)
{
	struct sig_item *item, *tmp;

	p->set &= ~which;
	list_for_each_entry_safe(item, tmp, &p->queue,
				 link) if (which & SIGSET_BIT(item->info.si_signo))
		item_free(p, item);
}

uint64_t signals_queued(const struct proc *p)
{
	struct proc *other;
	uint64_t nr = 0;
	struct task *t;

	list_for_each_entry(other, &p->g->procs, all)
	{
		if (other->creds.uid != p->creds.uid)
			continue;
		nr += other->pending.nr + posix_timers_count(other);
		list_for_each_entry(t, &other->tasks, link) nr += t->pending.nr;
	}
	return nr;
}

bool signal_room(struct proc *p)
{
	return signals_queued(p) < p->rlim[RLIMIT_SIGPENDING].rlim_cur;
}

/*
 * Whatever the limit: the first 31 from the kernel and kill(), and a timer's, for which there
 * was room when it was made (a program may call its own so, and is bound by the queue only).
 */
static bool may_queue(struct proc *p, struct sig_pending *pending, int sig, const siginfo_t *info)
{
	if (pending->nr >= SIG_QUEUE_MAX)
		return false;
	return (sig < 32 && (!info || info->si_code >= 0)) || (info && info->si_code == SI_TIMER) ||
	       signal_room(p);
}

/* Without room or memory for the information, the signal itself is kept. */
static int pending_add(struct proc *proc, struct sig_pending *p, int sig, const siginfo_t *info)
{
	struct sig_item *item = may_queue(proc, p, sig, info) ? malloc(sizeof(*item)) : NULL;

	if (!item && sig >= 32 && info && info->si_code < 0)
		return -EAGAIN;
	p->set |= SIGSET_BIT(sig);
	if (!item)
		return 0;
	memset(&item->info, 0, sizeof(item->info));
	if (info)
		item->info = *info;
	else
		item->info.si_code = SI_KERNEL;
	item->info.si_signo = sig;
	list_add_tail(&item->link, &p->queue);
	p->nr++;
	return 0;
}

/* Take the oldest of @sig; the set keeps the bit while there are more. */
static void pending_take(struct sig_pending *p, int sig, siginfo_t *info)
{
	struct sig_item *item, *tmp;
	bool found = false;

	memset(info, 0, sizeof(*info));
	info->si_signo = sig;
	p->set &= ~SIGSET_BIT(sig);
	list_for_each_entry_safe(item, tmp, &p->queue, link)
	{
		if (item->info.si_signo != sig)
			continue;
		if (found) {
			p->set |= SIGSET_BIT(sig);
			return;
		}
		found = true;
		*info = item->info;
		item_free(p, item);
	}
}

static int lowest_signal(guest_sigset_t set)
{
	if (set & SYNC_SIGNALS)
		set &= SYNC_SIGNALS;
	return set ? __builtin_ctzll(set) + 1 : 0;
}

int signal_dequeue(struct task *t, guest_sigset_t allowed, siginfo_t *info)
{
	struct sig_pending *p = &t->pending;
	int sig = lowest_signal(p->set & allowed);

	if (!sig) {
		p = &t->proc->pending;
		sig = lowest_signal(p->set & allowed);
	}
	if (sig) {
		pending_take(p, sig, info);
		signalfds_update(t->proc);
	}
	return sig;
}

enum signal_default signal_default_action(int sig)
{
	switch (sig) {
	case SIGCHLD:
	case SIGURG:
	case SIGWINCH:
		return SIGDFL_IGNORE;
	case SIGCONT:
		return SIGDFL_CONT;
	case SIGSTOP:
	case SIGTSTP:
	case SIGTTIN:
	case SIGTTOU:
		return SIGDFL_STOP;
	case SIGQUIT:
	case SIGILL:
	case SIGTRAP:
	case SIGABRT:
	case SIGBUS:
	case SIGFPE:
	case SIGSEGV:
	case SIGXCPU:
	case SIGXFSZ:
	case SIGSYS:
		return SIGDFL_CORE;
	default:
		return SIGDFL_TERM;
	}
}

bool signal_is_ignored(const struct sighand *h, int sig)
{
	uint64_t handler = h->action[sig - 1].handler;
	enum signal_default dfl;

	if (handler == (uintptr_t)SIG_IGN)
		return true;
	if (handler != (uintptr_t)SIG_DFL)
		return false;
	dfl = signal_default_action(sig);
	return dfl == SIGDFL_IGNORE || dfl == SIGDFL_CONT;
}

void task_recalc_work(struct task *t)
{
	struct proc *p = t->proc;
	bool work = p->group_exit || (p->exec_task && p->exec_task != t) || p->stop_signal ||
		    ((t->pending.set | p->pending.set) & ~t->blocked);

	__atomic_store_n(&t->work, work, __ATOMIC_RELEASE);
}

static void flush_all(struct proc *p, guest_sigset_t which)
{
	struct task *t;

	sig_pending_flush(&p->pending, which);
	list_for_each_entry(t, &p->tasks, link) sig_pending_flush(&t->pending, which);
}

static void proc_continue(struct proc *p)
{
	struct task *t;
	bool was_stopped = p->stop_reported;

	if (!p->stop_signal)
		return;
	p->stop_signal = 0;
	p->stop_reported = false;
	p->stop_waitable = false;
	list_for_each_entry(t, &p->tasks, link) task_wake(t);
	if (was_stopped) {
		p->cont_waitable = true;
		notify_parent(p, CLD_CONTINUED, SIGCONT);
	}
}

void signal_check_stop(struct proc *p)
{
	if (!p->stop_signal || p->stop_reported || !p->nr_tasks || p->nr_stopped < p->nr_tasks)
		return;
	p->stop_reported = true;
	p->stop_waitable = true;
	p->cont_waitable = false;
	notify_parent(p, CLD_STOPPED, p->stop_signal);
}

static bool task_takes(const struct task *t, int sig)
{
	return !(t->blocked & SIGSET_BIT(sig));
}

/* Wake somebody for a signal that was just queued. */
static void wake_taker(struct proc *p, struct task *target, int sig)
{
	struct task *t;

	if (target) {
		if (task_takes(target, sig))
			task_interrupt(target);
		else if (target->waiting_for & SIGSET_BIT(sig))
			task_wake(target);
		return;
	}
	list_for_each_entry(t, &p->tasks, link)
	{
		if (t->waiting_for & SIGSET_BIT(sig)) {
			task_wake(t);
			return;
		}
	}
	list_for_each_entry(t, &p->tasks, link)
	{
		if (task_takes(t, sig)) {
			task_interrupt(t);
			return;
		}
	}
}

int signal_send(struct proc *p, struct task *t, int sig, const siginfo_t *info)
{
	struct sig_pending *pending = t ? &t->pending : &p->pending;
	const struct task *looked_at = t;
	int ret;

	if (p->zombie || p->group_exit || !p->nr_tasks)
		return 0;
	if (sig == SIGKILL) {
		proc_kill(p, SIGKILL);
		return 0;
	}
	if (SIGSET_BIT(sig) & STOP_SIGNALS) {
		flush_all(p, SIGSET_BIT(SIGCONT));
	} else if (sig == SIGCONT) {
		flush_all(p, STOP_SIGNALS);
		proc_continue(p);
	}
	if (!looked_at)
		looked_at = list_first_entry(&p->tasks, struct task, link);
	if (task_takes(looked_at, sig) && signal_is_ignored(p->sighand, sig))
		return 0;
	if (sig < 32 && (pending->set & SIGSET_BIT(sig)))
		return 0;
	ret = pending_add(p, pending, sig, info);
	if (!ret) {
		wake_taker(p, t, sig);
		signalfds_update(p);
	}
	return ret;
}

unsigned int signal_send_pgrp(struct guest *g, int32_t pgid, int sig, const siginfo_t *info)
{
	unsigned int nr = 0;
	struct proc *p;

	list_for_each_entry(p, &g->procs, all)
	{
		if (p->pgid != pgid)
			continue;
		nr++;
		if (sig)
			signal_send(p, NULL, sig, info);
	}
	return nr;
}

void signal_retarget(struct task *t, guest_sigset_t set)
{
	guest_sigset_t todo = t->proc->pending.set & set;
	struct task *other;

	if (!todo)
		return;
	list_for_each_entry(other, &t->proc->tasks, link)
	{
		if (other == t || !(todo & ~other->blocked))
			continue;
		todo &= other->blocked;
		task_interrupt(other);
		if (!todo)
			return;
	}
}

void siginfo_from_task(siginfo_t *info, int sig, int code, struct task *t)
{
	memset(info, 0, sizeof(*info));
	info->si_signo = sig;
	info->si_code = code;
	info->si_pid = t->proc->pid;
	info->si_uid = getuid();
}

static void wake_waiters(struct proc *parent)
{
	struct task *t;

	list_for_each_entry(t, &parent->tasks, link) if (t->waiting_child) task_wake(t);
}

void notify_parent(struct proc *p, int code, int value)
{
	bool ended = code != CLD_STOPPED && code != CLD_CONTINUED;
	struct proc *parent = p->parent;
	int sig = ended ? p->exit_signal : SIGCHLD;
	struct proc_times times;
	siginfo_t info;

	if (!parent)
		return;
	memset(&info, 0, sizeof(info));
	proc_times(p, &times);
	info.si_signo = sig;
	info.si_code = code;
	info.si_pid = p->pid;
	info.si_uid = getuid();
	info.si_status = value;
	info.si_utime = (clock_t)(times.utime_us / 10000);
	info.si_stime = (clock_t)(times.stime_us / 10000);
	if (sig && (ended || !(parent->sighand->action[SIGCHLD - 1].flags & SA_NOCLDSTOP)))
		signal_send(parent, NULL, sig, &info);
	wake_waiters(parent);
}
