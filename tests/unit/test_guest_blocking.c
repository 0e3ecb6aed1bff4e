/* SPDX-License-Identifier: MIT */
/*
 * No kick is lost: a thread reads from a pipe that stays empty, another sets
 * `work` and sends the kick signal at a moment that moves through the start of
 * the call. Every read must end; the test hangs until the watchdog ends it if
 * one does not.
 */
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest/task.h"
#include "tests/unit/util.h"

#define ROUNDS 6000

static struct fake_host *host;
static struct guest guest;

/* A task that is only good for blocking calls. */
static struct task *blocking_task(void)
{
	struct task *t = calloc(1, sizeof(*t));

	CU_ASSERT_PTR_NOT_NULL_FATAL(t);
	host = unit_open();
	guest.cfg.sys = host->sys;
	t->g = &guest;
	return t;
}

static void blocking_task_free(struct task *t)
{
	free(t);
	unit_close(host);
}

struct kicker {
	pthread_t victim;
	struct task *task;
	uint32_t round;  /* a  the victim is about to block */
	uint32_t kicked; /* a  the signal of this round has been sent */
};

static void on_kick(int sig, siginfo_t *info, void *ucontext)
{
	(void)sig;
	(void)info;
	blocking_kick_hook(ucontext);
}

static void *kick_rounds(void *arg)
{
	struct kicker *k = arg;
	uint32_t round;
	volatile int spin;
	int i;

	for (round = 1; round <= ROUNDS; round++) {
		while (__atomic_load_n(&k->round, __ATOMIC_ACQUIRE) != round)
			;
		for (i = 0; i < (int)(round % 200); i++)
			spin = i;
		(void)spin;
		__atomic_store_n(&k->task->work, 1, __ATOMIC_RELEASE);
		pthread_kill(k->victim, VCPU_KICK_SIGNAL);
		__atomic_store_n(&k->kicked, round, __ATOMIC_RELEASE);
	}
	return NULL;
}

static void test_no_lost_kick(void)
{
	struct task *t = blocking_task();
	struct kicker k = { .victim = pthread_self(), .task = t };
	uint32_t round, interrupted = 0;
	pthread_t thread;
	uint64_t byte;
	int fds[2];

	CU_ASSERT_EQUAL_FATAL(pipe(fds), 0);
	current_task = t;
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, kick_rounds, &k), 0);
	for (round = 1; round <= ROUNDS; round++) {
		__atomic_store_n(&t->work, 0, __ATOMIC_RELEASE);
		__atomic_store_n(&k.round, round, __ATOMIC_RELEASE);
		interrupted += host_syscall_blocking(t, SYS_read, (uint64_t)fds[0],
						     (uintptr_t)&byte, 1, 0, 0, 0) == -EINTR;
		/* The signal itself must not reach into the next round. */
		while (__atomic_load_n(&k.kicked, __ATOMIC_ACQUIRE) != round)
			;
	}
	pthread_join(thread, NULL);
	current_task = NULL;
	CU_ASSERT_EQUAL(interrupted, ROUNDS);
	close(fds[0]);
	close(fds[1]);
	blocking_task_free(t);
}

static void test_results(void)
{
	struct task *t = blocking_task();
	int fds[2];
	char c = 'x';

	CU_ASSERT_EQUAL_FATAL(pipe(fds), 0);
	CU_ASSERT_EQUAL(host_syscall_blocking(t, SYS_write, (uint64_t)fds[1], (uintptr_t)&c, 1, 0,
					      0, 0),
			1);
	c = 0;
	/* Work that waits keeps the call from being made at all. */
	t->work = 1;
	CU_ASSERT_EQUAL(host_syscall_blocking(t, SYS_read, (uint64_t)fds[0], (uintptr_t)&c, 1, 0, 0,
					      0),
			-EINTR);
	CU_ASSERT_EQUAL(c, 0);
	t->work = 0;
	CU_ASSERT_EQUAL(
		host_syscall_blocking(t, SYS_read, (uint64_t)fds[0], (uintptr_t)&c, 1, 0, 0, 0), 1);
	CU_ASSERT_EQUAL(c, 'x');
	CU_ASSERT_EQUAL(host_syscall_blocking(t, SYS_read, (uint64_t)-1, (uintptr_t)&c, 1, 0, 0, 0),
			-EBADF);
	close(fds[0]);
	close(fds[1]);
	blocking_task_free(t);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "results", test_results },
		{ "no kick is lost", test_no_lost_kick },
	};
	struct sigaction action = { .sa_sigaction = on_kick, .sa_flags = SA_SIGINFO };

	sigaction(VCPU_KICK_SIGNAL, &action, NULL);
	alarm(280);
	return unit_run("blocking", tests, ARRAY_LEN(tests), argc, argv);
}
