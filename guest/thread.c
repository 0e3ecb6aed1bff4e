/* SPDX-License-Identifier: MIT */
/*
 * The host thread of a task. The thread takes its vCPU itself, as a vCPU is
 * bound to one thread; the maker of the task waits for that, so that a host
 * that has no more vCPUs to give is clone()'s EAGAIN and not a later death.
 *
 *	maker				thread
 *	task_start_thread()  ------->	takes a vCPU, loads registers
 *	   waits  <------------------	GATE_READY (or GATE_GONE and start_error)
 *	publishes the task
 *	task_go()  ----- GATE_OPEN -->	runs guest code, then task_exit()
 *	or task_cancel() CANCELLED -->	gives the vCPU back, GATE_GONE
 *
 * Task threads take the kick signal only: signals for umm are its main
 * thread's business, and a SIGPIPE of a host write is turned into the guest's.
 */
#include <limits.h>
#include <string.h>

#include "guest/task.h"

#define THREAD_STACK_SIZE (512ul << 10)

static void gate_set(struct task *t, uint32_t state)
{
	__atomic_store_n(&t->start_gate, state, __ATOMIC_RELEASE);
	host_word_wake(&t->start_gate);
}

static int thread_setup(struct task *t)
{
	int err = t->ops->get(t->g->cfg.vcpu_ctx, &t->vcpu);

	if (err) {
		t->vcpu = NULL;
		return err;
	}
	t->ops->set_root(t->vcpu, pfn_to_gpa(t->mm->root));
	*t->ops->regs(t->vcpu) = t->start_regs;
	t->ops->regs_changed(t->vcpu);
	t->ops->segs_changed(t->vcpu);
	if (!t->start_xsave) {
		t->ops->xsave_reset(t->vcpu);
		return 0;
	}
	err = t->ops->xsave_set(t->vcpu, t->start_xsave, GUEST_XSAVE_SIZE);
	if (err) {
		t->ops->put(t->g->cfg.vcpu_ctx, t->vcpu);
		t->vcpu = NULL;
	}
	return err;
}

static void *thread_main(void *arg)
{
	struct task *t = arg;

	current_task = t;
	t->thread = pthread_self();
	t->start_error = thread_setup(t);
	if (t->start_error) {
		gate_set(t, GATE_GONE);
		return NULL;
	}
	gate_set(t, GATE_READY);
	host_word_wait(&t->start_gate, GATE_READY);
	if (__atomic_load_n(&t->start_gate, __ATOMIC_ACQUIRE) == GATE_CANCELLED) {
		t->ops->put(t->g->cfg.vcpu_ctx, t->vcpu);
		t->vcpu = NULL;
		gate_set(t, GATE_GONE);
		return NULL;
	}
	mm_pressure_busy(t->g->cfg.sys, 1);
	task_loop(t);
	task_exit(t);
	return NULL;
}

static void task_thread_signals(sigset_t *set)
{
	sigfillset(set);
	sigdelset(set, VCPU_KICK_SIGNAL);
	sigdelset(set, SIGSEGV);
	sigdelset(set, SIGBUS);
	sigdelset(set, SIGFPE);
	sigdelset(set, SIGILL);
	sigdelset(set, SIGABRT);
	sigdelset(set, SIGTRAP);
}

int task_start_thread(struct task *t)
{
	pthread_attr_t attr;
	sigset_t set, old;
	pthread_t thread;
	int err;

	if (pthread_attr_init(&attr))
		return -ENOMEM;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, THREAD_STACK_SIZE);
	task_thread_signals(&set);
	pthread_sigmask(SIG_SETMASK, &set, &old);
	err = pthread_create(&thread, &attr, thread_main, t);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	if (err)
		return -EAGAIN;
	host_word_wait(&t->start_gate, GATE_CLOSED);
	return t->start_error;
}

void task_go(struct task *t)
{
	gate_set(t, GATE_OPEN);
}

void task_cancel(struct task *t)
{
	gate_set(t, GATE_CANCELLED);
	host_word_wait(&t->start_gate, GATE_CANCELLED);
}
