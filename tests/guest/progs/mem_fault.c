/* SPDX-License-Identifier: MIT */
/* Faults: signal, si_code and si_addr for every kind of bad access; growing stacks; brk. */
#include <alloca.h>

#include "progs.h"

#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define RW   (PROT_READ | PROT_WRITE)

static void try_execute(const char *what, void *p, const char *base)
{
	int (*function)(void);

	memcpy(&function, &p, sizeof(function));
	if (sigsetjmp(fault_jump, 1))
		fault_show(what, base);
	else
		printf("%s: returned %d\n", what, function());
}

static void test_protection(void)
{
	/* mov $42,%eax; ret */
	static const unsigned char code[] = { 0xb8, 42, 0, 0, 0, 0xc3 };
	char *p = mmap(NULL, 8 * PAGE, RW, ANON, -1, 0);

	memcpy(p, code, sizeof(code));
	try_execute("execute without the right", p, p);
	SHOW(mprotect(p, PAGE, PROT_READ | PROT_EXEC));
	try_execute("execute with the right", p, p);
	try_write("write to read-only", p + 9, 1, p);
	SHOW(mprotect(p, PAGE, PROT_NONE));
	try_read("read of NONE", p + 5, p);
	try_write("write to NONE", p + 6, 1, p);
	SHOW(mprotect(p, PAGE, PROT_WRITE));
	try_read("PROT_WRITE alone reads", p, p);
	SHOW(mprotect(p + PAGE, PAGE, PROT_READ));
	try_read("read-only, never touched", p + PAGE, p);
	try_write("then written", p + PAGE + 1, 1, p);
	SHOW(mprotect(p + PAGE, PAGE, RW));
	try_write("then allowed", p + PAGE + 1, 1, p);
	SHOW(munmap(p + 2 * PAGE, PAGE));
	try_read("unmapped", p + 2 * PAGE + 33, p);
	try_write("unmapped", p + 2 * PAGE + 34, 1, p);
	try_execute("execute unmapped", p + 2 * PAGE, p);
	munmap(p, 8 * PAGE);
}

static void test_addresses(void)
{
	try_read("null", (void *)0, NULL);
	try_read("null page", (void *)0x123, (char *)0);
	try_write("null page", (void *)0x124, 1, (char *)0);
	try_read("non-canonical", (void *)0x8000000000000000, NULL);
	try_read("just non-canonical", (void *)0x800000000000, NULL);
	try_read("kernel half", (void *)0xffff888000000000, NULL);
	try_read("last byte", (void *)-1L, NULL);
	try_read("top of user space", (void *)0x7ffffffff000, NULL);
	try_execute("jump to null", NULL, NULL);
}

static void test_instructions(void)
{
	volatile int one = 1, zero = 0;

	if (sigsetjmp(fault_jump, 1))
		fault_show("division", NULL);
	else
		printf("division: %d\n", one / zero);
	if (sigsetjmp(fault_jump, 1))
		fault_show("ud2", NULL);
	else
		__asm__ volatile("ud2");
	if (sigsetjmp(fault_jump, 1))
		fault_show("hlt", NULL);
	else
		__asm__ volatile("hlt");
	if (sigsetjmp(fault_jump, 1))
		fault_show("int3", NULL);
	else
		__asm__ volatile("int3");
	if (sigsetjmp(fault_jump, 1))
		fault_show("out", NULL);
	else
		__asm__ volatile("outb %%al, $0x80" : : "a"(0));
	if (sigsetjmp(fault_jump, 1))
		fault_show("int 0x81", NULL);
	else
		__asm__ volatile("int $0x81");
}

/* A fault in the middle of an access that crosses into a bad page tells the bad byte. */
static void test_crossing(void)
{
	char *p = mmap(NULL, 2 * PAGE, RW, ANON, -1, 0);

	munmap(p + PAGE, PAGE);
	if (sigsetjmp(fault_jump, 1))
		fault_show("8 bytes over the border", p);
	else
		printf("read %ld\n", *(volatile long *)(p + PAGE - 4));
	if (sigsetjmp(fault_jump, 1))
		fault_show("memset over the border", p);
	else
		memset(p + PAGE - 64, 1, 128);
	printf("before the border: %d\n", p[PAGE - 64] == 0 || p[PAGE - 64] == 1);
	munmap(p, PAGE);
}

/* GROWSDOWN: an access below grows the mapping; far below a neighbour it may not. */
static void test_growsdown(void)
{
	char *b = arena(512), *p;

	p = mmap(b + 400 * PAGE, 4 * PAGE, RW, ANON | MAP_FIXED | MAP_GROWSDOWN, -1, 0);
	show_address("GROWSDOWN mapping", p, b);
	try_write("just below", p - 1, 1, b);
	show_vmas("grown by a page", b + 300 * PAGE, 200);
	try_write("far below", p - 50 * (long)PAGE, 1, b);
	show_vmas("grown further", b + 300 * PAGE, 200);
	try_read("zero between", p - 20 * (long)PAGE, b);
	munmap(b, 512 * PAGE);
}

/*
 * Pages that were mapped as one, then protected differently, then shared with a
 * child that is gone: a store to one must not open the others.
 */
static void test_protection_after_fork(void)
{
	char *b = arena(64), *p = (char *)(((uintptr_t)b + 0xffff) & ~(uintptr_t)0xffff);
	pid_t pid;

	mmap(p, 32 * PAGE, RW, ANON | MAP_FIXED, -1, 0);
	memset(p, 1, 32 * PAGE);
	SHOW(mprotect(p, 8 * PAGE, PROT_READ));
	pid = fork_flushed();
	if (!pid)
		_exit(p[0]);
	show_child("child", pid);
	try_write("the writable part", p + 12 * PAGE, 2, p);
	try_write("the read-only part", p + 4 * PAGE, 3, p);
	munmap(p, 32 * PAGE);
}

static int recurse(int depth)
{
	volatile char *frame = alloca(16 * PAGE);

	frame[0] = (char)depth;
	return depth ? recurse(depth - 1) + (frame[0] == (char)depth) : 0;
}

static void test_stack(void)
{
	stack_t stack = { .ss_sp = malloc(64 * PAGE), .ss_size = 64 * PAGE };
	pid_t pid;

	printf("a deep stack: %d\n", recurse(100));
	pid = fork_flushed();
	if (!pid) {
		struct sigaction action = { .sa_handler = SIG_DFL };

		sigaction(SIGSEGV, &action, NULL);
		recurse(1000);
		child_exit(0);
	}
	show_child("a stack over its limit", pid);
	pid = fork_flushed();
	if (!pid) {
		struct sigaction action = { .sa_sigaction = fault_caught,
					    .sa_flags = SA_SIGINFO | SA_ONSTACK };

		sigaltstack(&stack, NULL);
		sigaction(SIGSEGV, &action, NULL);
		if (sigsetjmp(fault_jump, 1)) {
			fault_show("overflow caught on the other stack", NULL);
			child_exit(7);
		}
		recurse(1000);
		child_exit(0);
	}
	show_child("a stack over its limit, handled", pid);
	free(stack.ss_sp);
}

static void test_brk(void)
{
	char *start = (char *)syscall(SYS_brk, 0), *now;

	now = (char *)syscall(SYS_brk, start + 5 * PAGE + 10);
	printf("brk grew by %ld\n", (long)(now - start));
	start[5 * PAGE + 5] = 'b';
	now = (char *)syscall(SYS_brk, start + PAGE);
	printf("brk is %ld\n", (long)(now - start));
	try_read("above the break", start + 3 * PAGE, start);
	now = (char *)syscall(SYS_brk, start + 6 * PAGE);
	printf("zero again: %d\n", start[5 * PAGE + 5]);
	now = (char *)syscall(SYS_brk, (char *)4096);
	printf("below the start: %ld\n", (long)(now - start));
	now = (char *)syscall(SYS_brk, (char *)0x7fffffffffff);
	printf("too far: %ld\n", (long)(now - start));
	syscall(SYS_brk, start);
}

static void test_default_action(void)
{
	struct sigaction action = { .sa_handler = SIG_DFL };
	pid_t pid = fork_flushed();

	if (!pid) {
		sigaction(SIGSEGV, &action, NULL);
		*(volatile int *)8 = 1;
		child_exit(0);
	}
	show_child("default", pid);
	pid = fork_flushed();
	if (!pid) {
		sigset_t set;

		sigfillset(&set);
		sigprocmask(SIG_SETMASK, &set, NULL);
		*(volatile int *)8 = 1;
		child_exit(0);
	}
	show_child("blocked", pid);
	pid = fork_flushed();
	if (!pid) {
		action.sa_handler = SIG_IGN;
		sigaction(SIGSEGV, &action, NULL);
		*(volatile int *)8 = 1;
		child_exit(0);
	}
	show_child("ignored", pid);
}

int main(void)
{
	fault_catch();
	test_protection();
	test_addresses();
	test_instructions();
	test_crossing();
	test_growsdown();
	test_protection_after_fork();
	test_stack();
	test_brk();
	test_default_action();
	return 0;
}
