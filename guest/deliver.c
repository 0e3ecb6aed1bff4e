/* SPDX-License-Identifier: MIT */
/*
 * Delivery: what a task does about its pending signals, stops and its own end
 * before it goes on with guest code. Runs in the task's own thread.
 *
 * A system call that was interrupted left one of the ERESTART codes in rax.
 * Whether it is made again, or ends with EINTR, is decided here, as only here
 * it is known whether a handler runs.
 */
#include <string.h>
#include <sys/syscall.h>

#include "guest/task.h"

#define SYSCALL_INSN_SIZE  2
#define GUEST_SA_NODEFER   0x40000000ull
#define GUEST_SA_RESETHAND 0x80000000ull
#define GUEST_SA_RESTART   0x10000000ull
#define UNBLOCKABLE        (SIGSET_BIT(SIGKILL) | SIGSET_BIT(SIGSTOP))

bool task_must_leave(const struct task *t)
{
	const struct proc *p = t->proc;

	return p->group_exit || (p->exec_task && p->exec_task != t);
}

bool task_is_killed(struct task *t)
{
	bool killed;

	guest_lock(t->g);
	killed = task_must_leave(t);
	guest_unlock(t->g);
	return killed;
}

bool task_sleep_killable(struct task *t)
{
	uint32_t seq;

	if (task_must_leave(t))
		return false;
	/* So that the next reason to wake up is seen as a new one. */
	__atomic_store_n(&t->work, 0, __ATOMIC_RELEASE);
	seq = task_sleep_begin(t);
	guest_unlock(t->g);
	task_sleep(t, seq, CLOCK_MONOTONIC, NULL);
	guest_lock(t->g);
	return !task_must_leave(t);
}

/* Sleep while the process is stopped. Lock held; dropped while asleep. */
static void wait_stopped(struct task *t)
{
	struct proc *p = t->proc;

	t->stopped = true;
	p->nr_stopped++;
	signal_check_stop(p);
	while (p->stop_signal && task_sleep_killable(t))
		;
	t->stopped = false;
	p->nr_stopped--;
}

static void start_stop(struct task *t, int sig)
{
	struct proc *p = t->proc;
	struct task *other;

	if (sig != SIGSTOP && pgrp_is_orphaned(t->g, p->pgid)) {
		/* Not of the first group: there is a shell beside umm that started it. */
		if (p->pgid == PID_FIRST)
			guest_stop_vmm();
		return;
	}
	p->stop_signal = sig;
	p->stop_reported = false;
	list_for_each_entry(other, &p->tasks, link) task_interrupt(other);
}

/* No handler. Lock held. */
static void default_action(struct task *t, int sig)
{
	switch (signal_default_action(sig)) {
	case SIGDFL_IGNORE:
	case SIGDFL_CONT:
		break;
	case SIGDFL_STOP:
		start_stop(t, sig);
		break;
	case SIGDFL_TERM:
	case SIGDFL_CORE:
		proc_kill(t->proc, sig);
		break;
	}
}

static void rewind_syscall(struct task *t, uint64_t nr)
{
	struct guest_regs *regs = task_regs(t);

	regs->rax = nr;
	regs->rip -= SYSCALL_INSN_SIZE;
	t->ops->regs_changed(t->vcpu);
	t->syscall_nr = -1;
}

/* The interrupted call, when a handler is about to run. */
static void restart_with_handler(struct task *t, const struct guest_sigaction *act)
{
	struct guest_regs *regs = task_regs(t);

	if (t->syscall_nr < 0)
		return;
	switch (-(int64_t)regs->rax) {
	case ERESTARTNOINTR_:
		rewind_syscall(t, (uint64_t)t->syscall_nr);
		return;
	case ERESTARTSYS_:
		if (act->flags & GUEST_SA_RESTART) {
			rewind_syscall(t, (uint64_t)t->syscall_nr);
			return;
		}
		/* fall through */
	case ERESTARTNOHAND_:
	case ERESTARTBLOCK_:
		regs->rax = (uint64_t)-EINTR;
		break;
	}
	t->syscall_nr = -1;
}

static void restart_without_handler(struct task *t)
{
	if (t->syscall_nr < 0)
		return;
	switch (-(int64_t)task_regs(t)->rax) {
	case ERESTARTNOINTR_:
	case ERESTARTSYS_:
	case ERESTARTNOHAND_:
		rewind_syscall(t, (uint64_t)t->syscall_nr);
		break;
	case ERESTARTBLOCK_:
		rewind_syscall(t, SYS_restart_syscall);
		break;
	}
}

/* Without the lock. */
static void enter_handler(struct task *t, int sig, const struct guest_sigaction *act,
			  const siginfo_t *info)
{
	guest_sigset_t mask = t->restore_mask ? t->saved_mask : t->blocked;
	guest_sigset_t blocked = t->blocked | act->mask;
	siginfo_t fatal = { .si_signo = SIGSEGV, .si_code = SI_KERNEL };

	t->restore_mask = false;
	restart_with_handler(t, act);
	if (rseq_signal(t) || sigframe_setup(t, sig, act, info, mask)) {
		if (sig == SIGSEGV) {
			guest_lock(t->g);
			t->proc->sighand->action[SIGSEGV - 1].handler = (uintptr_t)SIG_DFL;
			guest_unlock(t->g);
		}
		task_force_signal(t, &fatal);
		return;
	}
	if (!(act->flags & GUEST_SA_NODEFER))
		blocked |= SIGSET_BIT(sig);
	task_set_blocked(t, blocked);
}

/*
 * Lock held. One signal is taken: 0 if it needs no handler, else it is in @act
 * and @info.
 */
static int take_signal(struct task *t, int sig, struct guest_sigaction *act, const siginfo_t *info)
{
	struct guest_sigaction *slot = &t->proc->sighand->action[sig - 1];

	counter_add(&t->g->counters.signals);
	if (t->g->cfg.strace)
		strace_signal(t, sig, info->si_code, gva_make((uintptr_t)info->si_addr));
	*act = *slot;
	if (act->handler == (uintptr_t)SIG_IGN)
		return 0;
	if (act->handler == (uintptr_t)SIG_DFL) {
		default_action(t, sig);
		return 0;
	}
	if (act->flags & GUEST_SA_RESETHAND)
		slot->handler = (uintptr_t)SIG_DFL;
	return sig;
}

void task_do_work(struct task *t)
{
	struct guest_sigaction act;
	siginfo_t info;
	int sig;

	guest_lock(t->g);
	for (;;) {
		if (task_must_leave(t)) {
			t->leaving = true;
			break;
		}
		if (t->proc->stop_signal) {
			wait_stopped(t);
			continue;
		}
		sig = signal_dequeue(t, ~t->blocked, &info);
		if (!sig)
			break;
		if (!take_signal(t, sig, &act, &info))
			continue;
		guest_unlock(t->g);
		enter_handler(t, sig, &act, &info);
		guest_lock(t->g);
	}
	task_recalc_work(t);
	guest_unlock(t->g);
	if (t->leaving)
		return;
	restart_without_handler(t);
	if (t->restore_mask) {
		t->restore_mask = false;
		task_set_blocked(t, t->saved_mask);
		if (task_has_work(t))
			task_do_work(t);
	}
}

void task_set_blocked(struct task *t, guest_sigset_t set)
{
	set &= ~UNBLOCKABLE;
	guest_lock(t->g);
	if (set != t->blocked) {
		signal_retarget(t, set & ~t->blocked);
		t->blocked = set;
		task_recalc_work(t);
	}
	guest_unlock(t->g);
}

void task_set_temporary_mask(struct task *t, guest_sigset_t set)
{
	t->saved_mask = t->blocked;
	t->restore_mask = true;
	task_set_blocked(t, set);
}

void task_set_restart(struct task *t, int64_t (*fn)(struct task *t, const uint64_t args[6]),
		      const uint64_t args[6])
{
	t->restart.fn = fn;
	memcpy(t->restart.args, args, sizeof(t->restart.args));
}

void task_force_signal(struct task *t, const siginfo_t *info)
{
	struct proc *p = t->proc;
	int sig = info->si_signo;
	struct guest_sigaction *act;

	guest_lock(t->g);
	act = &p->sighand->action[sig - 1];
	if ((t->blocked & SIGSET_BIT(sig)) || act->handler == (uintptr_t)SIG_IGN) {
		act->handler = (uintptr_t)SIG_DFL;
		t->blocked &= ~SIGSET_BIT(sig);
	}
	sig_pending_flush(&t->pending, SIGSET_BIT(sig));
	signal_send(p, t, sig, info);
	task_recalc_work(t);
	guest_unlock(t->g);
}

void task_raise(struct task *t, int sig, int code, gva_t addr)
{
	siginfo_t info;

	memset(&info, 0, sizeof(info));
	info.si_signo = sig;
	info.si_code = code;
	switch (sig) {
	case SIGSEGV:
	case SIGBUS:
	case SIGFPE:
	case SIGILL:
	case SIGTRAP:
	case SIGSYS:
		info.si_addr = (void *)(uintptr_t)addr.v;
		if (sig == SIGBUS && code == BUS_MCEERR_AR)
			info.si_addr_lsb = UMM_PAGE_SHIFT;
		task_force_signal(t, &info);
		return;
	}
	siginfo_from_task(&info, sig, code, t);
	guest_lock(t->g);
	signal_send(t->proc, t, sig, &info);
	guest_unlock(t->g);
}
