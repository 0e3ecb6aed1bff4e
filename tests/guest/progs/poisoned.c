/* SPDX-License-Identifier: MIT */
/*
 * poisoned FILE: three pages for somebody outside to break, and what that does.
 *
 *	pid PID
 *	pages LATE CHILD EARLY CLEAN	their addresses; then it waits for SIGUSR1
 *	late: BUS_MCEERR_AR at the page, 12 bits	touched
 *	child: the same in a child that shares the page
 *	early: BUS_MCEERR_AO at the page		told before it was touched
 *	clean: read again				a page of FILE
 */
#include <sys/prctl.h>

#include "progs.h"

static sigjmp_buf back;
static volatile sig_atomic_t code, bits, go;
static void *volatile where;

static void on_bus(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	code = info->si_code;
	bits = info->si_addr_lsb;
	where = info->si_addr;
	if (code == BUS_MCEERR_AR)
		siglongjmp(back, 1);
}

static void on_go(int sig)
{
	(void)sig;
	go = 1;
}

static void show(const char *what, const char *page)
{
	printf("%s: %s %s, %d bits\n", what,
	       code == BUS_MCEERR_AR   ? "BUS_MCEERR_AR"
	       : code == BUS_MCEERR_AO ? "BUS_MCEERR_AO"
				       : "nothing",
	       where == (const void *)page ? "at the page" : "elsewhere", (int)bits);
	fflush(stdout);
}

static void touch(const char *what, const char *page)
{
	code = bits = 0;
	where = NULL;
	if (!sigsetjmp(back, 1))
		(void)*(const volatile char *)page;
	show(what, page);
}

static void wait_go(void)
{
	while (!go)
		usleep(10000);
	go = 0;
}

int main(int argc, char **argv)
{
	struct sigaction bus = { .sa_sigaction = on_bus, .sa_flags = SA_SIGINFO };
	struct sigaction usr = { .sa_handler = on_go };
	char *page =
		mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = argc > 1 ? open(argv[1], O_RDONLY) : -1, status;
	char *clean = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0), first;
	pid_t child;

	if (page == MAP_FAILED || clean == MAP_FAILED)
		return 2;
	sigaction(SIGBUS, &bus, NULL);
	sigaction(SIGUSR1, &usr, NULL);
	memset(page, 1, 3 * PAGE);
	first = *clean;
	child = fork();
	if (!child) {
		wait_go();
		touch("child", page);
		_exit(0);
	}
	printf("pid %d\npages %p %p %p\n", getpid(), (void *)page, (void *)(page + PAGE),
	       (void *)clean);
	fflush(stdout);
	wait_go();
	touch("late", page);
	kill(child, SIGUSR1);
	wait(&status);
	if (prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0) ||
	    prctl(PR_MCE_KILL_GET, 0, 0, 0, 0) != PR_MCE_KILL_EARLY)
		return 3;
	code = 0;
	puts("early wanted");
	fflush(stdout);
	while (!code)
		usleep(10000);
	show("early", page + PAGE);
	wait_go();
	printf("clean: %s\n", *clean == first ? "read again" : "wrong");
	return 0;
}
