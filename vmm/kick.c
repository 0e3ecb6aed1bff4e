/* SPDX-License-Identifier: MIT */
/*
 * Getting a thread out of KVM_RUN, or out of a blocking host call.
 *
 * A kick must not be lost when it comes while the thread is not in KVM_RUN yet:
 * immediate_exit is set first, and makes the next KVM_RUN return at once; the
 * signal then ends one that is under way. The handler sets immediate_exit too,
 * so that the signal sent by someone else has the same effect.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/host.h"
#include "vmm/vcpu.h"

static __thread struct vcpu *volatile current_vcpu;
static void (*_Atomic kick_hook)(void *ucontext);

static void immediate_exit_set(struct vcpu *v, uint8_t value)
{
	__atomic_store_n(&v->run->immediate_exit, value, __ATOMIC_SEQ_CST);
}

static void kick_handler(int sig, siginfo_t *info, void *ucontext)
{
	struct vcpu *v = current_vcpu;
	void (*hook)(void *) = atomic_load_explicit(&kick_hook, memory_order_acquire);
	int saved = errno;

	(void)sig;
	(void)info;
	if (v)
		immediate_exit_set(v, 1);
	if (hook)
		hook(ucontext);
	errno = saved;
}

void host_set_kick_hook(void (*hook)(void *ucontext))
{
	atomic_store_explicit(&kick_hook, hook, memory_order_release);
}

int kick_init(struct errmsg *e)
{
	struct sigaction action = { .sa_sigaction = kick_handler, .sa_flags = SA_SIGINFO };

	/* No SA_RESTART: a blocking call is to end. */
	sigemptyset(&action.sa_mask);
	if (sigaction(VCPU_KICK_SIGNAL, &action, NULL))
		return errmsg_set(e, -errno, "cannot install a signal handler: %s",
				  strerror(errno));
	return 0;
}

void kick_enter(struct vcpu *v)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, VCPU_KICK_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	v->outer = current_vcpu;
	current_vcpu = v;
	pthread_mutex_lock(&v->owner_lock);
	v->owner = (pid_t)syscall(SYS_gettid);
	pthread_mutex_unlock(&v->owner_lock);
}

void kick_leave(struct vcpu *v)
{
	pthread_mutex_lock(&v->owner_lock);
	v->owner = 0;
	pthread_mutex_unlock(&v->owner_lock);
	current_vcpu = v->outer;
}

void vcpu_kick(struct vcpu *v)
{
	immediate_exit_set(v, 1);
	pthread_mutex_lock(&v->owner_lock);
	if (v->owner)
		syscall(SYS_tgkill, getpid(), v->owner, VCPU_KICK_SIGNAL);
	pthread_mutex_unlock(&v->owner_lock);
}
