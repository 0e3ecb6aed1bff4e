/* SPDX-License-Identifier: MIT */
/* Limits that act, each in a child of its own: what is refused, how, and what still goes. */
#include <grp.h>
#include <linux/capability.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <time.h>

#include "progs.h"

#define OTHER 4243
#define MIB   (1ul << 20)
#define TIB   (1ul << 40)

static void set_limit(int which, rlim_t value)
{
	struct rlimit now;

	if (getrlimit(which, &now))
		exit(2);
	now.rlim_cur = value;
	if (setrlimit(which, &now)) {
		perror("setrlimit");
		exit(2);
	}
}

/* Root may do what limits forbid: the tests are somebody else's then. */
static void become_other(void)
{
	if (!getuid() && (setgroups(0, NULL) || setgid(OTHER) || setuid(OTHER)))
		exit(2);
}

static const char *mapped(void *p)
{
	return p == MAP_FAILED ? strerrorname_np(errno) : "done";
}

static void *map(size_t size, int prot, int flags)
{
	return mmap(NULL, size, prot, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
}

static void run(const char *name, void (*test)(void))
{
	pid_t pid;

	printf("-- %s\n", name);
	pid = fork_flushed();
	if (!pid) {
		test();
		child_exit(0);
	}
	show_child(name, pid);
}

/* ---- memory ------------------------------------------------------------------------- */

static void address_space(void)
{
	void *p = map(64 * MIB, PROT_READ | PROT_WRITE, MAP_NORESERVE);

	set_limit(RLIMIT_AS, 128 * MIB);
	printf("256 MiB more: %s\n", mapped(map(256 * MIB, PROT_NONE, 0)));
	printf("8 MiB more: %s\n", mapped(map(8 * MIB, PROT_READ, 0)));
	printf("grow to 256 MiB: %s\n", mapped(mremap(p, 64 * MIB, 256 * MIB, MREMAP_MAYMOVE)));
	printf("brk: %s\n", sbrk(128 * MIB) == (void *)-1 ? strerrorname_np(errno) : "done");
	printf("in the place of what is there: %s\n",
	       mapped(mmap(p, 64 * MIB, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
			   0)));
	munmap(p, 64 * MIB);
	printf("64 MiB after giving back: %s\n", mapped(map(64 * MIB, PROT_READ, 0)));
}

static void data(void)
{
	set_limit(RLIMIT_DATA, 32 * MIB);
	printf("64 MiB of data: %s\n", mapped(map(64 * MIB, PROT_READ | PROT_WRITE, 0)));
	printf("64 MiB read-only: %s\n", mapped(map(64 * MIB, PROT_READ, 0)));
	printf("64 MiB shared: %s\n", mapped(mmap(NULL, 64 * MIB, PROT_READ | PROT_WRITE,
						  MAP_SHARED | MAP_ANONYMOUS, -1, 0)));
	printf("8 MiB of data: %s\n", mapped(map(8 * MIB, PROT_READ | PROT_WRITE, 0)));
	printf("brk: %s\n", sbrk(64 * MIB) == (void *)-1 ? strerrorname_np(errno) : "done");
	printf("a little brk: %s\n", sbrk(65536) == (void *)-1 ? strerrorname_np(errno) : "done");
}

static __attribute__((noinline)) int dig(int depth)
{
	volatile char block[16384];

	block[0] = (char)depth;
	return depth ? dig(depth - 1) + block[0] : 0;
}

static void stack_within(void)
{
	set_limit(RLIMIT_STACK, 1 * MIB);
	/* A new program has all of it, this one what it did not yet use. */
	printf("512 KiB: %s\n", dig(32) >= 0 ? "done" : "done, too");
}

static void stack_beyond(void)
{
	set_limit(RLIMIT_STACK, 1 * MIB);
	printf("4 MiB: %d\n", dig(256));
}

static void locked(void)
{
	void *p;

	become_other();
	p = map(1 * MIB, PROT_READ | PROT_WRITE, 0);
	set_limit(RLIMIT_MEMLOCK, 64 * 1024);
	SHOW(mlock(p, 32 * 1024));
	SHOW(mlock(p, 64 * 1024));
	SHOW(mlock(p, 68 * 1024));
	printf("MAP_LOCKED: %s\n", mapped(map(4096, PROT_READ, MAP_LOCKED)));
	SHOW(munlock(p, 4096));
	printf("MAP_LOCKED: %s\n", mapped(map(4096, PROT_READ, MAP_LOCKED)));
	SHOW(mlockall(MCL_CURRENT));
	set_limit(RLIMIT_MEMLOCK, 0);
	SHOW(mlock((char *)p + 512 * 1024, 4096));
	SHOW(munlock(p, 1 * MIB));
}

/* The privilege is each thread's own, and the limit binds who gave it up. */
static void drop_privilege(void)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2];

	if (syscall(SYS_capget, &h, d))
		exit(2);
	d[0].effective &= ~(1u << CAP_IPC_LOCK);
	SHOW(syscall(SYS_capset, &h, d));
}

static void try_locks(void *p)
{
	SHOW(mlock2(p, 8 * TIB, MLOCK_ONFAULT));
	SHOW(munlock(p, 8 * TIB));
	SHOW(mlock(p, 128 * 1024));
	printf("MAP_LOCKED: %s\n", mapped(map(128 * 1024, PROT_READ, MAP_LOCKED)));
	SHOW(munlock(p, 8 * TIB));
	SHOW(mlockall(MCL_CURRENT | MCL_ONFAULT));
	SHOW(munlockall());
}

static void *try_locks_without(void *p)
{
	drop_privilege();
	try_locks(p);
	return NULL;
}

static void locked_by_root(void)
{
	void *p = map(8 * TIB, PROT_READ | PROT_WRITE, MAP_NORESERVE);
	pthread_t thread;
	pid_t pid;
	int i;

	set_limit(RLIMIT_MEMLOCK, 64 * 1024);
	try_locks(p);
	set_limit(RLIMIT_MEMLOCK, 0);
	try_locks(p);
	set_limit(RLIMIT_MEMLOCK, 64 * 1024);
	if (pthread_create(&thread, NULL, try_locks_without, p) || pthread_join(thread, NULL))
		exit(2);
	printf("beside the thread that dropped it:\n");
	try_locks(p);
	for (i = 0; i < 2; i++) {
		if (i)
			drop_privilege();
		pid = fork_flushed();
		if (!pid) {
			try_locks(p);
			child_exit(0);
		}
		show_child(i ? "a child without" : "a child", pid);
	}
	try_locks(p);
	become_other();
	try_locks(p);
}

/* No limit on files goes beyond what the machine allows, whoever asks. */
static void open_files_ceiling(void)
{
	unsigned long most = 0;
	struct rlimit limit;
	FILE *f = fopen("/proc/sys/fs/nr_open", "r");

	if (!f || fscanf(f, "%lu", &most) != 1)
		exit(2);
	fclose(f);
	limit = (struct rlimit){ 64, most + 1 };
	SHOW(setrlimit(RLIMIT_NOFILE, &limit));
	limit.rlim_max = most;
	SHOW(setrlimit(RLIMIT_NOFILE, &limit));
}

/* ---- files ---------------------------------------------------------------------------- */

static void open_files(void)
{
	int pipes[2], i, last = -1;

	for (i = 3; i < 40; i++)
		close(i);
	set_limit(RLIMIT_NOFILE, 10);
	for (i = 0; i < 20; i++) {
		int fd = open("/dev/null", O_RDONLY);

		if (fd < 0)
			break;
		last = fd;
	}
	printf("the last was %d: %s\n", last, strerrorname_np(errno));
	SHOW(dup(0));
	SHOW(dup2(0, 10));
	SHOW(dup2(0, 9));
	SHOW(fcntl(0, F_DUPFD, 10));
	SHOW(fcntl(0, F_DUPFD, 3));
	close(9);
	SHOW(pipe(pipes));
	SHOW(dup(0));
	/* What is open above a lowered limit stays. */
	set_limit(RLIMIT_NOFILE, 5);
	SHOW(lseek(9, 0, SEEK_CUR));
	close(3);
	SHOW(dup(0));
	SHOW(dup(0));
}

static int exceeded;

static void too_big(int number)
{
	(void)number;
	exceeded++;
}

static off_t size_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? -1 : st.st_size;
}

static void file_size(void)
{
	static char block[300000];
	struct iovec iov[2] = { { block, 600 }, { block, 600 } };
	int fd = open("limited", O_RDWR | O_CREAT | O_TRUNC, 0600), from, pipes[2];

	signal(SIGXFSZ, too_big);
	set_limit(RLIMIT_FSIZE, 1000);
	SHOW(write(fd, block, 900));
	SHOW(write(fd, block, 900));
	printf("%d signals\n", exceeded);
	SHOW(write(fd, block, 900));
	SHOW(write(fd, block, 0));
	SHOW(pwrite(fd, block, 10, 1000));
	SHOW(pwrite(fd, block, 10, 5000));
	SHOW(pwrite(fd, block, 10, 995));
	printf("%d signals, size %ld\n", exceeded, (long)size_of(fd));
	SHOW(ftruncate(fd, 1001));
	SHOW(truncate("limited", 2000));
	SHOW(ftruncate(fd, 1000));
	SHOW(ftruncate(fd, 0));
	SHOW(fallocate(fd, 0, 0, 2000));
	SHOW(fallocate(fd, 0, 0, 500));
	printf("%d signals, size %ld\n", exceeded, (long)size_of(fd));
	SHOW(lseek(fd, 0, SEEK_SET));
	SHOW(writev(fd, iov, 2));
	SHOW(pwritev(fd, iov, 2, 100));
	/* Large ones go another way. */
	set_limit(RLIMIT_FSIZE, 200000);
	SHOW(pwrite(fd, block, sizeof(block), 1000));
	SHOW(pwrite(fd, block, sizeof(block), 300000));
	printf("%d signals, size %ld\n", exceeded, (long)size_of(fd));
	/* A file that was larger before may be written to below the limit, and cut. */
	set_limit(RLIMIT_FSIZE, 100);
	SHOW(pwrite(fd, block, 200, 0));
	SHOW(pwrite(fd, block, 200, 150));
	SHOW(ftruncate(fd, 150000));
	printf("%d signals, size %ld\n", exceeded, (long)size_of(fd));
	SHOW(ftruncate(fd, 0));
	/* Copies by the kernel. */
	from = open("/proc/self/exe", O_RDONLY);
	SHOW(lseek(fd, 50, SEEK_SET));
	SHOW(sendfile(fd, from, NULL, 500));
	exceeded = 0;
	SHOW(sendfile(fd, from, NULL, 500));
	/* Some versions of Linux look twice, and so send two. */
	printf("signalled: %s, size %ld\n", exceeded ? "yes" : "no", (long)size_of(fd));
	exceeded = 0;
	/* Appending, and what is no file. */
	SHOW(fcntl(fd, F_SETFL, O_APPEND));
	SHOW(pwrite(fd, block, 10, 0));
	SHOW(pipe(pipes));
	SHOW(write(pipes[1], block, 4096));
	printf("%d signals\n", exceeded);
	signal(SIGXFSZ, SIG_IGN);
	SHOW(write(fd, block, 10));
	set_limit(RLIMIT_FSIZE, RLIM_INFINITY);
	unlink("limited");
}

static void file_size_kills(void)
{
	int fd = open("limited", O_RDWR | O_CREAT | O_TRUNC, 0600);

	unlink("limited");
	fflush(stdout);
	set_limit(RLIMIT_CORE, 0);
	set_limit(RLIMIT_FSIZE, 10);
	SHOW(pwrite(fd, "x", 1, 10));
}

/* ---- processes ---------------------------------------------------------------------------- */

static void *nothing(void *arg)
{
	pause();
	return arg;
}

static void processes(void)
{
	pid_t child[8];
	pthread_t thread;
	int i, n = 0;

	become_other();
	set_limit(RLIMIT_NPROC, 4);
	fflush(stdout);
	for (i = 0; i < 8; i++) {
		child[i] = fork();
		if (!child[i])
			for (;;)
				pause();
		if (child[i] < 0)
			break;
		n++;
	}
	printf("%d children, then %s\n", n, strerrorname_np(errno));
	printf("a thread: %s\n", strerrorname_np(pthread_create(&thread, NULL, nothing, NULL)));
	kill(child[0], SIGKILL);
	/* One that ended counts until it was waited for. */
	waitid(P_PID, (id_t)child[0], &(siginfo_t){ 0 }, WEXITED | WNOWAIT);
	SHOW(fork());
	waitpid(child[0], NULL, 0);
	printf("a thread: %s\n", strerrorname_np(pthread_create(&thread, NULL, nothing, NULL)));
	SHOW(fork());
	for (i = 1; i < n; i++) {
		kill(child[i], SIGKILL);
		waitpid(child[i], NULL, 0);
	}
}

/* Root is not bound by it. */
static void root_processes(void)
{
	pid_t pid;

	set_limit(RLIMIT_NPROC, 1);
	pid = fork_flushed();
	if (!pid)
		child_exit(0);
	show_child("root's child", pid);
}

/* ---- core -------------------------------------------------------------------------------------- */

/* Of a user with nothing else under way. What a timer will send is counted when it is made. */
static void signals(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_NONE };
	int queued = 0, timers = 0;
	timer_t timer;
	sigset_t set;

	become_other();
	set_limit(RLIMIT_SIGPENDING, 8);
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	while (timers < 3 && !timer_create(CLOCK_MONOTONIC, &event, &timer))
		timers++;
	while (queued < 100 && !sigqueue(getpid(), SIGRTMIN, (union sigval){ 0 }))
		queued++;
	printf("%d timers, %d queued, then %s\n", timers, queued, strerrorname_np(errno));
	SHOW(timer_create(CLOCK_MONOTONIC, &event, &timer));
	SHOW(kill(getpid(), SIGRTMIN));
	SHOW(sigqueue(getpid(), SIGUSR1, (union sigval){ 0 }));
	SHOW(sigpending(&set) || !sigismember(&set, SIGUSR1));
	set_limit(RLIMIT_SIGPENDING, 0);
	SHOW(sigtimedwait(&set, NULL, &(struct timespec){ 0, 0 }));
	SHOW(raise(SIGUSR1));
	SHOW(sigqueue(getpid(), SIGRTMIN, (union sigval){ 0 }));
}

static void core(void)
{
	pid_t pid;
	int status;

	set_limit(RLIMIT_CORE, 0);
	pid = fork_flushed();
	if (!pid)
		abort();
	waitpid(pid, &status, 0);
	printf("aborted: %d, core dumped: %d, a file: %s\n", WIFSIGNALED(status),
	       WCOREDUMP(status) != 0, access("core", F_OK) ? "no" : "yes");
}

int main(void)
{
	static char buffer[65536];

	/* What is told goes to a file, too, and must not meet its limit. */
	setvbuf(stdout, buffer, _IOFBF, sizeof(buffer));
	umask(0);
	run("RLIMIT_AS", address_space);
	run("RLIMIT_DATA", data);
	run("RLIMIT_STACK, enough", stack_within);
	run("RLIMIT_STACK, too little", stack_beyond);
	run("RLIMIT_MEMLOCK", locked);
	run("RLIMIT_NOFILE", open_files);
	run("RLIMIT_FSIZE", file_size);
	run("RLIMIT_FSIZE, no handler", file_size_kills);
	/* A user of this machine has other processes, which count natively. */
	if (!getuid()) {
		run("RLIMIT_NPROC", processes);
		run("RLIMIT_NPROC, root", root_processes);
		run("RLIMIT_MEMLOCK, root", locked_by_root);
		run("RLIMIT_SIGPENDING", signals);
		run("RLIMIT_NOFILE, root", open_files_ceiling);
	}
	run("RLIMIT_CORE", core);
	return 0;
}
