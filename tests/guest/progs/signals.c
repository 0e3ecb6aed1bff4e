/* SPDX-License-Identifier: MIT */
/* Signals: delivery, masks, nesting, SA_ flags, restarted calls, queues, SIGCHLD, alternate stacks. */
#include <poll.h>
#include <sys/time.h>
#include <time.h>

#include "progs.h"

static volatile int order[16], orders;
static volatile sig_atomic_t caught;

static void note(int number)
{
	order[orders++] = number;
	caught++;
}

static void install(int number, void (*handler)(int), int flags)
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = flags };

	if (sigaction(number, &action, NULL))
		printf("sigaction %d: %s\n", number, strerrorname_np(errno));
}

static void show_order(const char *what)
{
	int i;

	printf("%s:", what);
	for (i = 0; i < orders; i++)
		printf(" %s", signal_name(order[i]));
	printf("\n");
	orders = 0;
}

static void test_masks(void)
{
	sigset_t set, old, pending;

	install(SIGUSR1, note, 0);
	install(SIGUSR2, note, 0);
	install(SIGHUP, note, 0);
	raise(SIGUSR1);
	show_order("raised");
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	SHOW(sigprocmask(SIG_BLOCK, &set, &old));
	raise(SIGUSR2);
	raise(SIGUSR1);
	raise(SIGUSR1);
	raise(SIGHUP);
	show_order("only the open one");
	sigpending(&pending);
	printf("pending: %d %d %d\n", sigismember(&pending, SIGUSR1),
	       sigismember(&pending, SIGUSR2), sigismember(&pending, SIGHUP));
	SHOW(sigprocmask(SIG_SETMASK, &old, NULL));
	show_order("the others, once each");
	SHOW(sigprocmask(77, &set, NULL));
	sigemptyset(&set);
	sigaddset(&set, SIGKILL);
	SHOW(sigprocmask(SIG_BLOCK, &set, NULL));
	sigprocmask(SIG_BLOCK, NULL, &old);
	printf("SIGKILL blocked: %d\n", sigismember(&old, SIGKILL));
}

static void raise_inner(int number)
{
	order[orders++] = number;
	raise(SIGUSR2);
	order[orders++] = number;
}

static void test_nesting(void)
{
	struct sigaction action = { .sa_handler = raise_inner };

	install(SIGUSR2, note, 0);
	sigaction(SIGUSR1, &action, NULL);
	raise(SIGUSR1);
	show_order("the inner one runs inside");
	sigaddset(&action.sa_mask, SIGUSR2);
	sigaction(SIGUSR1, &action, NULL);
	raise(SIGUSR1);
	show_order("masked, the inner one runs after");
	install(SIGUSR1, note, (int)SA_RESETHAND);
	raise(SIGUSR1);
	sigaction(SIGUSR1, NULL, &action);
	printf("RESETHAND: %d\n", action.sa_handler == SIG_DFL);
	show_order("once");
}

static void show_info(int number, siginfo_t *info, void *context)
{
	(void)context;
	printf("  SIG%s code %d value %d pid %s uid %d\n", signal_name(number), info->si_code,
	       info->si_value.sival_int, info->si_pid == getpid() ? "mine" : "other",
	       (int)info->si_uid);
}

static void test_queue(void)
{
	struct sigaction action = { .sa_sigaction = show_info, .sa_flags = SA_SIGINFO };
	union sigval value;
	sigset_t set;
	int i;

	sigaction(SIGRTMIN, &action, NULL);
	sigaction(SIGRTMIN + 1, &action, NULL);
	sigaction(SIGUSR1, &action, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	sigaddset(&set, SIGRTMIN + 1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (i = 0; i < 3; i++) {
		value.sival_int = 10 + i;
		SHOW(sigqueue(getpid(), SIGRTMIN + 1, value));
		value.sival_int = 20 + i;
		SHOW(sigqueue(getpid(), SIGRTMIN, value));
	}
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	value.sival_int = 5;
	SHOW(sigqueue(getpid(), SIGUSR1, value));
	SHOW(kill(getpid(), SIGUSR1));
	SHOW(syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGUSR1));
}

static void test_wait(void)
{
	struct timespec soon = { 0, 10000000 };
	siginfo_t info;
	sigset_t set, none;

	sigemptyset(&set);
	sigemptyset(&none);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	SHOW(sigtimedwait(&set, &info, &soon));
	raise(SIGUSR1);
	SHOW(sigwaitinfo(&set, &info) == SIGUSR1);
	install(SIGUSR1, note, 0);
	raise(SIGUSR1);
	SHOW(sigsuspend(&none));
	show_order("suspended");
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

/* A timer interrupts a read of an empty pipe: EINTR without SA_RESTART, else it goes on. */
static int restart_pipe;

static void write_pipe(int number)
{
	(void)number;
	caught++;
	if (caught >= 2 && write(restart_pipe, "r", 1) != 1)
		_exit(9);
}

static void tick(int number)
{
	(void)number;
	caught++;
}

static void test_restart(void)
{
	struct itimerval timer = { { 0, 20000 }, { 0, 20000 } }, off = { { 0, 0 }, { 0, 0 } };
	char byte = 0;
	int p[2];

	if (pipe(p))
		return;
	restart_pipe = p[1];
	caught = -100;
	install(SIGALRM, write_pipe, 0);
	setitimer(ITIMER_REAL, &timer, NULL);
	SHOW(read(p[0], &byte, 1));
	install(SIGALRM, write_pipe, SA_RESTART);
	caught = 0;
	SHOW(read(p[0], &byte, 1));
	setitimer(ITIMER_REAL, &off, NULL);
	printf("restarted: %c after %s\n", byte, caught >= 2 ? "two or more" : "too few");
	/* Again and again: the first may come before the call that it is for. */
	install(SIGALRM, tick, SA_RESTART);
	caught = 0;
	setitimer(ITIMER_REAL, &timer, NULL);
	SHOW(poll(NULL, 0, 100000));
	SHOW(nanosleep(&(struct timespec){ 100, 0 }, &(struct timespec){ 0, 0 }));
	SHOW(pause());
	setitimer(ITIMER_REAL, &off, NULL);
	printf("an alarm for each: %d\n", caught >= 3);
	close(p[0]);
	close(p[1]);
}

static void on_stack(int number)
{
	stack_t now;
	char here;

	(void)number;
	sigaltstack(NULL, &now);
	printf("  on the alternate stack: %d, inside: %d\n", !!(now.ss_flags & SS_ONSTACK),
	       &here >= (char *)now.ss_sp && &here < (char *)now.ss_sp + now.ss_size);
	SHOW(sigaltstack(&(stack_t){ .ss_flags = SS_DISABLE }, NULL));
}

static void test_altstack(void)
{
	static char memory[65536];
	stack_t stack = { .ss_sp = memory, .ss_size = sizeof(memory) };

	SHOW(sigaltstack(&(stack_t){ .ss_sp = memory, .ss_size = 100 }, NULL));
	SHOW(sigaltstack(&stack, NULL));
	install(SIGUSR1, on_stack, SA_ONSTACK);
	raise(SIGUSR1);
	stack.ss_flags = SS_DISABLE;
	SHOW(sigaltstack(&stack, NULL));
}

/* Registers, floating point included, must survive a handler that clobbers them. */
static void clobber(int number)
{
	volatile double x = number;

	x *= 3.5;
	__asm__ volatile("vpxor %%ymm0, %%ymm0, %%ymm0; vpxor %%ymm15, %%ymm15, %%ymm15"
			 :
			 :
			 : "xmm0", "xmm15");
	caught++;
}

static void test_registers(void)
{
	uint64_t in = 0x1122334455667788, out = 0;
	long pid = getpid();

	install(SIGUSR1, clobber, 0);
	__asm__ volatile("vmovq %2, %%xmm15\n\tmov %3, %%rdi\n\tmov %4, %%rsi\n\tmov $62, %%eax\n\t"
			 "syscall\n\tvmovq %%xmm15, %0"
			 : "=r"(out), "=m"(*(char *)order)
			 : "r"(in), "r"(pid), "r"((long)SIGUSR1)
			 : "rdi", "rsi", "rax", "rcx", "r11", "memory", "xmm15");
	printf("vector register kept: %d\n", out == in);
}

static void child_note(int number, siginfo_t *info, void *context)
{
	(void)context;
	printf("  SIG%s code %d status %d\n", signal_name(number), info->si_code, info->si_status);
	caught = 1;
}

static void await_caught(void)
{
	sigset_t none;

	sigemptyset(&none);
	while (!caught)
		sigsuspend(&none);
	caught = 0;
}

static void test_sigchld(void)
{
	struct sigaction action = { .sa_sigaction = child_note, .sa_flags = SA_SIGINFO };
	sigset_t set;
	pid_t pid;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	sigaction(SIGCHLD, &action, NULL);
	caught = 0;
	pid = fork_flushed();
	if (!pid)
		child_exit(5);
	await_caught();
	show_child("exited", pid);
	pid = fork_flushed();
	if (!pid) {
		pause();
		child_exit(0);
	}
	kill(pid, SIGSTOP);
	await_caught();
	kill(pid, SIGCONT);
	await_caught();
	kill(pid, SIGKILL);
	await_caught();
	show_child("killed", pid);
	install(SIGCHLD, SIG_IGN, 0);
	pid = fork_flushed();
	if (!pid)
		child_exit(0);
	show_child("ignored: no zombie", pid);
	install(SIGCHLD, SIG_DFL, 0);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static void test_default_actions(void)
{
	static const int numbers[] = { SIGTERM, SIGHUP,  SIGINT,  SIGQUIT, SIGABRT, SIGPIPE,
				       SIGUSR1, SIGALRM, SIGCHLD, SIGURG,  SIGWINCH };
	struct sigaction action = { .sa_handler = SIG_DFL };
	size_t i;
	pid_t pid;

	for (i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
		pid = fork_flushed();
		if (!pid) {
			sigaction(numbers[i], &action, NULL);
			kill(getpid(), numbers[i]);
			_exit(0);
		}
		show_child(signal_name(numbers[i]), pid);
	}
	SHOW(kill(getpid(), 0));
	SHOW(kill(getpid(), 99));
	SHOW(kill(999999, SIGTERM));
	SHOW(sigaction(SIGKILL, &action, NULL));
}

static void test_sigpipe(void)
{
	int p[2];

	if (pipe(p))
		return;
	close(p[0]);
	orders = 0;
	install(SIGPIPE, note, 0);
	SHOW(write(p[1], "x", 1));
	show_order("broken pipe");
	close(p[1]);
}

int main(void)
{
	test_masks();
	test_nesting();
	test_queue();
	test_wait();
	test_restart();
	test_altstack();
	test_registers();
	test_sigchld();
	test_default_actions();
	test_sigpipe();
	return 0;
}
