/* SPDX-License-Identifier: MIT */
/* System calls on signals. */
#include <string.h>

#include "guest/sigframe.h"
#include "guest/syscalls.h"

#define SIGSET_SIZE 8
#define UNBLOCKABLE (SIGSET_BIT(SIGKILL) | SIGSET_BIT(SIGSTOP))
/* NOCLDSTOP NOCLDWAIT SIGINFO EXPOSE_TAGBITS RESTORER ONSTACK RESTART NODEFER RESETHAND */
#define SA_KNOWN 0xdc000807ull

static bool signal_valid(uint64_t sig)
{
	return sig >= 1 && sig <= GUEST_NSIG;
}

/* ---- dispositions and masks ------------------------------------------- */

int64_t sys_rt_sigaction(struct task *t, const uint64_t a[6])
{
	struct guest_sigaction act, old, *slot;
	int sig = (int)a[0];

	if (a[3] != SIGSET_SIZE)
		return -EINVAL;
	if (a[1] && copy_from_user(t, &act, a[1], sizeof(act)))
		return -EFAULT;
	if (!signal_valid((uint32_t)sig) || (a[1] && (sig == SIGKILL || sig == SIGSTOP)))
		return -EINVAL;
	guest_lock(t->g);
	slot = &t->proc->sighand->action[sig - 1];
	old = *slot;
	if (a[1]) {
		act.mask &= ~UNBLOCKABLE;
		act.flags &= SA_KNOWN;
		*slot = act;
		if (signal_is_ignored(t->proc->sighand, sig)) {
			sig_pending_flush(&t->proc->pending, SIGSET_BIT(sig));
			sig_pending_flush(&t->pending, SIGSET_BIT(sig));
		}
	}
	guest_unlock(t->g);
	if (a[2] && copy_to_user(t, a[2], &old, sizeof(old)))
		return -EFAULT;
	return 0;
}

int64_t sys_rt_sigprocmask(struct task *t, const uint64_t a[6])
{
	guest_sigset_t set, old = t->blocked;

	if (a[3] != SIGSET_SIZE)
		return -EINVAL;
	if (a[1]) {
		if (copy_from_user(t, &set, a[1], sizeof(set)))
			return -EFAULT;
		switch ((int)a[0]) {
		case SIG_BLOCK:
			set |= old;
			break;
		case SIG_UNBLOCK:
			set = old & ~set;
			break;
		case SIG_SETMASK:
			break;
		default:
			return -EINVAL;
		}
		task_set_blocked(t, set);
	}
	if (a[2] && copy_to_user(t, a[2], &old, sizeof(old)))
		return -EFAULT;
	return 0;
}

int64_t sys_rt_sigpending(struct task *t, const uint64_t a[6])
{
	guest_sigset_t set;

	if (a[1] > SIGSET_SIZE)
		return -EINVAL;
	guest_lock(t->g);
	set = (t->pending.set | t->proc->pending.set) & t->blocked;
	guest_unlock(t->g);
	return copy_to_user(t, a[0], &set, a[1]);
}

int64_t sys_rt_sigreturn(struct task *t, const uint64_t a[6])
{
	siginfo_t bad = { .si_signo = SIGSEGV, .si_code = SI_KERNEL };
	guest_sigset_t mask;

	(void)a;
	t->regs_replaced = true;
	if (sigframe_restore(t, &mask))
		task_force_signal(t, &bad);
	else
		task_set_blocked(t, mask);
	return 0;
}

int64_t sys_sigaltstack(struct task *t, const uint64_t a[6])
{
	uint64_t sp = task_regs(t)->rsp;
	struct guest_stack ss, old;
	int err;

	if (a[0] && copy_from_user(t, &ss, a[0], sizeof(ss)))
		return -EFAULT;
	task_get_altstack(t, &old, sp);
	if (a[0]) {
		err = task_set_altstack(t, &ss, sp);
		if (err)
			return err;
	}
	return a[1] ? copy_to_user(t, a[1], &old, sizeof(old)) : 0;
}

/* ---- sending ---------------------------------------------------------- */

static int64_t kill_one(struct task *t, int32_t pid, int sig, const siginfo_t *info)
{
	struct proc *p = proc_find(t->g, pid);
	struct task *target;

	if (!p) {
		target = task_find(t->g, pid);
		p = target ? target->proc : NULL;
	}
	if (!p)
		return -ESRCH;
	if (!creds_may_signal(t, p, sig))
		return -EPERM;
	return sig ? signal_send(p, NULL, sig, info) : 0;
}

/* To all of a group, or (@pgid 0) to all but the caller's own process. */
static int64_t kill_many(struct task *t, int32_t pgid, int sig, const siginfo_t *info)
{
	struct proc *p;
	int64_t ret = -ESRCH;

	list_for_each_entry(p, &t->g->procs, all)
	{
		if (pgid ? p->pgid != pgid : p == t->proc)
			continue;
		if (!creds_may_signal(t, p, sig)) {
			ret = ret ? -EPERM : 0;
			continue;
		}
		ret = 0;
		if (sig)
			signal_send(p, NULL, sig, info);
	}
	return ret;
}

int64_t sys_kill(struct task *t, const uint64_t a[6])
{
	int32_t pid = (int32_t)a[0];
	int sig = (int)a[1];
	siginfo_t info;
	int64_t ret;

	if (sig && !signal_valid((uint32_t)sig))
		return -EINVAL;
	if (pid == INT32_MIN)
		return -ESRCH;
	siginfo_from_task(&info, sig, SI_USER, t);
	guest_lock(t->g);
	if (pid > 0)
		ret = kill_one(t, pid, sig, &info);
	else if (pid == -1)
		ret = kill_many(t, 0, sig, &info);
	else
		ret = kill_many(t, pid ? -pid : t->proc->pgid, sig, &info);
	guest_unlock(t->g);
	return ret;
}

/* @tgid 0: whatever process the task belongs to. */
static int64_t send_to_task(struct task *t, int32_t tgid, int32_t tid, int sig,
			    const siginfo_t *info)
{
	struct task *target;
	int64_t ret = 0;

	if (tid <= 0 || tgid < 0 || (sig && !signal_valid((uint32_t)sig)))
		return -EINVAL;
	guest_lock(t->g);
	target = task_find(t->g, tid);
	if (!target || (tgid && target->proc->pid != tgid))
		ret = -ESRCH;
	else if (!creds_may_signal(t, target->proc, sig))
		ret = -EPERM;
	else if (sig)
		ret = signal_send(target->proc, target, sig, info);
	guest_unlock(t->g);
	return ret;
}

int64_t sys_tkill(struct task *t, const uint64_t a[6])
{
	siginfo_t info;

	siginfo_from_task(&info, (int)a[1], SI_TKILL, t);
	return send_to_task(t, 0, (int32_t)a[0], (int)a[1], &info);
}

int64_t sys_tgkill(struct task *t, const uint64_t a[6])
{
	siginfo_t info;

	if ((int32_t)a[0] <= 0)
		return -EINVAL;
	siginfo_from_task(&info, (int)a[2], SI_TKILL, t);
	return send_to_task(t, (int32_t)a[0], (int32_t)a[1], (int)a[2], &info);
}

/* Only to itself may a program pretend that a signal came from the kernel. */
static bool may_claim(struct task *t, const siginfo_t *info, int32_t pid)
{
	return (info->si_code < 0 && info->si_code != SI_TKILL) || pid == t->proc->pid;
}

int64_t sys_rt_sigqueueinfo(struct task *t, const uint64_t a[6])
{
	int32_t pid = (int32_t)a[0];
	int sig = (int)a[1];
	siginfo_t info;
	int64_t ret;

	if (copy_from_user(t, &info, a[2], sizeof(info)))
		return -EFAULT;
	if (!may_claim(t, &info, pid))
		return -EPERM;
	if (sig && !signal_valid((uint32_t)sig))
		return -EINVAL;
	info.si_signo = sig;
	guest_lock(t->g);
	ret = kill_one(t, pid, sig, &info);
	guest_unlock(t->g);
	return ret;
}

int64_t sys_rt_tgsigqueueinfo(struct task *t, const uint64_t a[6])
{
	siginfo_t info;

	if (copy_from_user(t, &info, a[3], sizeof(info)))
		return -EFAULT;
	if ((int32_t)a[0] <= 0 || (int32_t)a[1] <= 0)
		return -EINVAL;
	if (!may_claim(t, &info, (int32_t)a[0]))
		return -EPERM;
	info.si_signo = (int)a[2];
	return send_to_task(t, (int32_t)a[0], (int32_t)a[1], (int)a[2], &info);
}

/* ---- waiting ---------------------------------------------------------- */

static int64_t wait_for_signal(struct task *t)
{
	uint32_t seq;

	for (;;) {
		seq = task_sleep_begin(t);
		if (task_has_work(t))
			return -ERESTARTNOHAND_;
		task_sleep(t, seq, CLOCK_MONOTONIC, NULL);
	}
}

int64_t sys_pause(struct task *t, const uint64_t a[6])
{
	(void)a;
	return wait_for_signal(t);
}

int64_t sys_rt_sigsuspend(struct task *t, const uint64_t a[6])
{
	guest_sigset_t set;

	if (a[1] != SIGSET_SIZE)
		return -EINVAL;
	if (copy_from_user(t, &set, a[0], sizeof(set)))
		return -EFAULT;
	task_set_temporary_mask(t, set);
	return wait_for_signal(t);
}

/* Wait until one of @set is there; @deadline NULL: for ever. */
static int timed_wait(struct task *t, guest_sigset_t set, const struct timespec *deadline,
		      siginfo_t *info)
{
	uint32_t seq;
	int sig, err = 0;

	for (;;) {
		seq = task_sleep_begin(t);
		guest_lock(t->g);
		sig = signal_dequeue(t, set, info);
		t->waiting_for = sig || err ? 0 : set;
		task_recalc_work(t);
		if (!sig && !err && task_has_work(t)) {
			t->waiting_for = 0;
			err = -EINTR;
		}
		guest_unlock(t->g);
		if (sig || err)
			return sig ? sig : err;
		if (task_sleep(t, seq, CLOCK_MONOTONIC, deadline))
			err = -EAGAIN;
	}
}

int64_t sys_rt_sigtimedwait(struct task *t, const uint64_t a[6])
{
	struct timespec limit, deadline;
	guest_sigset_t set;
	siginfo_t info;
	int sig;

	if (a[3] != SIGSET_SIZE)
		return -EINVAL;
	if (copy_from_user(t, &set, a[0], sizeof(set)) ||
	    (a[2] && copy_from_user(t, &limit, a[2], sizeof(limit))))
		return -EFAULT;
	if (a[2]) {
		if (limit.tv_sec < 0 || limit.tv_nsec < 0 || limit.tv_nsec >= 1000000000)
			return -EINVAL;
		deadline = timespec_after(CLOCK_MONOTONIC, &limit);
	}
	sig = timed_wait(t, set & ~UNBLOCKABLE, a[2] ? &deadline : NULL, &info);
	if (sig > 0 && a[1] && copy_to_user(t, a[1], &info, sizeof(info)))
		return -EFAULT;
	return sig;
}
