/* SPDX-License-Identifier: MIT */
/*
 * Every pointer of every call, wrong: in the kernel's half, non-canonical, at the end of the
 * user's half, at the end of everything, unmapped, without rights. All other arguments are good, so the answer
 * can only be EFAULT. The table's rows name the arguments that are pointers; the same program
 * passes on Linux itself. Exit status 0: all were.
 *
 * bad_pointers given: the same with addresses that are read from standard input, hexadecimal numbers,
 * until it ends. Those where this program has something itself are passed over.
 */
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/times.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <time.h>

#include "progs.h"

/* Set up by main(): good things to be named by the rows. */
static long file, folder, pipe_in, pipe_out, sock, peer, epoll_fd, watch, timer_fd;
static char area[4 * PAGE] __attribute__((aligned(PAGE)));

#define LENGTH ((long)(area + PAGE))
#define BUF    ((long)area)
#define CWD    AT_FDCWD
#define NAME   ((long)"name")

struct row {
	const char *name;
	long nr;
	unsigned int pointers; /* bit i: argument i */
	long a[6];
};

#define P(i) (1u << (i))
#define ROW(call, pointers, ...)             \
	{                                    \
#call, SYS_##call, pointers, \
		{                            \
			__VA_ARGS__          \
		}                            \
	}

static struct row rows[160];
static size_t nr_rows;

static void add(const struct row *table, size_t nr)
{
	if (nr_rows + nr > sizeof(rows) / sizeof(*rows))
		exit(2);
	memcpy(rows + nr_rows, table, nr * sizeof(*table));
	nr_rows += nr;
}

/* Files: moving bytes, names. */
static void add_files(void)
{
	const struct row table[] = {
		ROW(read, P(1), pipe_out, BUF, 8),
		ROW(write, P(1), pipe_in, BUF, 8),
		ROW(pread64, P(1), file, BUF, 8, 0),
		ROW(pwrite64, P(1), file, BUF, 8, 0),
		ROW(readv, P(1), pipe_out, BUF, 1),
		ROW(writev, P(1), pipe_in, BUF, 1),
		ROW(open, P(0), NAME, O_RDONLY),
		ROW(openat, P(1), CWD, NAME, O_RDONLY),
		ROW(stat, P(0) | P(1), NAME, BUF),
		ROW(lstat, P(0) | P(1), NAME, BUF),
		ROW(fstat, P(1), file, BUF),
		ROW(newfstatat, P(1) | P(2), CWD, NAME, BUF, 0),
		ROW(statx, P(1) | P(4), CWD, NAME, 0, 0x7ff, BUF),
		ROW(access, P(0), NAME, R_OK),
		ROW(faccessat, P(1), CWD, NAME, R_OK),
		ROW(poll, P(0), BUF, 1, 0),
		ROW(getcwd, P(0), BUF, PAGE),
		ROW(chdir, P(0), NAME),
		ROW(rename, P(0) | P(1), NAME, NAME),
		ROW(mkdir, P(0), NAME, 0755),
		ROW(rmdir, P(0), NAME),
		ROW(unlink, P(0), NAME),
		ROW(creat, P(0), NAME, 0600),
		ROW(link, P(0) | P(1), NAME, NAME),
		ROW(symlink, P(0) | P(1), NAME, NAME),
		ROW(readlink, P(0), NAME, BUF, 10),
		ROW(chmod, P(0), NAME, 0600),
		ROW(chown, P(0), NAME, -1, -1),
		ROW(lchown, P(0), NAME, -1, -1),
		ROW(truncate, P(0), NAME, 0),
		ROW(statfs, P(0) | P(1), NAME, BUF),
		ROW(fstatfs, P(1), file, BUF),
		ROW(getdents, P(1), folder, BUF, PAGE),
		ROW(getdents64, P(1), folder, BUF, PAGE),
	};

	add(table, sizeof(table) / sizeof(*table));
}

/* Time, signals, who we are, sockets, scheduling. */
static void add_process(void)
{
	const struct row table[] = {
		ROW(gettimeofday, P(0), BUF, 0),
		ROW(getrlimit, P(1), RLIMIT_CORE, BUF),
		ROW(getrusage, P(1), RUSAGE_SELF, BUF),
		ROW(sysinfo, P(0), BUF),
		ROW(times, P(0), BUF),
		ROW(uname, P(0), BUF),
		ROW(time, P(0), BUF),
		ROW(pipe, P(0), BUF),
		ROW(pipe2, P(0), BUF, 0),
		ROW(nanosleep, P(0), BUF, 0),
		ROW(clock_gettime, P(1), CLOCK_MONOTONIC, BUF),
		ROW(clock_getres, P(1), CLOCK_MONOTONIC, BUF),
		ROW(clock_nanosleep, P(2), CLOCK_MONOTONIC, 0, BUF, 0),
		ROW(setitimer, P(1), ITIMER_REAL, BUF, 0),
		ROW(getitimer, P(1), ITIMER_REAL, BUF),
		ROW(timer_create, P(1) | P(2), CLOCK_MONOTONIC, 0, BUF),
		ROW(timerfd_settime, P(2), timer_fd, 0, BUF, 0),
		ROW(timerfd_gettime, P(1), timer_fd, BUF),
		ROW(rt_sigaction, P(1) | P(2), SIGUSR1, BUF, BUF, 8),
		ROW(rt_sigprocmask, P(1) | P(2), SIG_BLOCK, BUF, BUF, 8),
		ROW(rt_sigpending, P(0), BUF, 8),
		ROW(rt_sigsuspend, P(0), BUF, 8),
		ROW(rt_sigtimedwait, P(0), BUF, 0, 0, 8),
		ROW(sigaltstack, P(0), BUF, 0),
		ROW(rt_sigqueueinfo, P(2), 1, SIGUSR1, BUF),
		ROW(getresuid, P(0) | P(1) | P(2), BUF, BUF, BUF),
		ROW(getresgid, P(0) | P(1) | P(2), BUF, BUF, BUF),
		ROW(socketpair, P(3), AF_UNIX, SOCK_STREAM, 0, BUF),
		ROW(bind, P(1), sock, BUF, 16),
		ROW(connect, P(1), sock, BUF, 16),
		ROW(getsockname, P(1) | P(2), peer, BUF, LENGTH),
		ROW(sendto, P(1), peer, BUF, 8, 0, 0, 0),
		ROW(sendmsg, P(1), peer, BUF, 0),
		ROW(recvmsg, P(1), peer, BUF, MSG_DONTWAIT),
		ROW(setsockopt, P(3), peer, SOL_SOCKET, SO_RCVBUF, BUF, 4),
		ROW(getsockopt, P(3) | P(4), peer, SOL_SOCKET, SO_RCVBUF, BUF, LENGTH),
		ROW(epoll_ctl, P(3), epoll_fd, EPOLL_CTL_ADD, pipe_out, BUF),
		ROW(inotify_add_watch, P(1), watch, NAME, IN_OPEN),
		ROW(sched_setparam, P(1), 0, BUF),
		ROW(sched_getparam, P(1), 0, BUF),
		ROW(sched_setaffinity, P(2), 0, 8, BUF),
		ROW(sched_getaffinity, P(2), 0, 128, BUF),
		ROW(sched_rr_get_interval, P(1), 0, BUF),
	};

	add(table, sizeof(table) / sizeof(*table));
}

/* Names seen from folders, attributes, vectors. */
static void add_more_files(void)
{
	const struct row table[] = {
		ROW(utime, P(0) | P(1), NAME, BUF),
		ROW(utimes, P(0) | P(1), NAME, BUF),
		ROW(utimensat, P(2), CWD, NAME, BUF, 0),
		ROW(mkdirat, P(1), CWD, NAME, 0755),
		ROW(unlinkat, P(1), CWD, NAME, 0),
		ROW(renameat, P(1) | P(3), CWD, NAME, CWD, NAME),
		ROW(linkat, P(1) | P(3), CWD, NAME, CWD, NAME, 0),
		ROW(symlinkat, P(0) | P(2), NAME, CWD, NAME),
		ROW(readlinkat, P(1), CWD, NAME, BUF, 10),
		ROW(fchmodat, P(1), CWD, NAME, 0600),
		ROW(fchownat, P(1), CWD, NAME, -1, -1, 0),
		ROW(getrandom, P(0), BUF, 8, 0),
		ROW(memfd_create, P(0), NAME, 0),
		ROW(prlimit64, P(3), 0, RLIMIT_CORE, 0, BUF),
		ROW(setxattr, P(0) | P(1) | P(2), NAME, (long)"user.x", BUF, 4, 0),
		ROW(getxattr, P(0) | P(1), NAME, (long)"user.x", BUF, 4),
		ROW(listxattr, P(0), NAME, BUF, 64),
		ROW(execve, P(0), NAME, 0, 0),
		ROW(futex, P(0), BUF, 0 /* WAIT */, 1, 0, 0, 0),
		ROW(set_robust_list, 0, 0, 24),
		ROW(process_vm_readv, P(1), getpid(), BUF, 1, BUF, 1, 0),
		ROW(preadv, P(1), file, BUF, 1, 0),
		ROW(pwritev, P(1), file, BUF, 1, 0),
	};

	add(table, sizeof(table) / sizeof(*table));
}

#define MAX_BAD 400

static unsigned long bad[MAX_BAD] = {
	0xffff800000000000,
	0xffffffff81000000,
	0x8000000000000000,
	0x0000800000000000,
	0x00007ffffffff000,
	0xfffffffffffff000,
	0xfffffffffffffff8,
	0x1000,
	8,
};

static size_t nr_bad = 9;

static int tried, wrong;

static void try_pointer(const struct row *r, unsigned int i, unsigned long value)
{
	long a[6], got;
	int left;

	memcpy(a, r->a, sizeof(a));
	a[i] = (long)value;
	/* What the rows leave in the pointed-at area for one another must be zero. */
	memset(area, 0, sizeof(area));
	area[PAGE] = 64;
	/* There is always something to read: a read that failed may have taken it. */
	if (!ioctl((int)pipe_out, FIONREAD, &left) && left < 8 &&
	    write((int)pipe_in, "something", 9) != 9)
		exit(2);
	errno = 0;
	got = syscall(r->nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	tried++;
	if (got == -1 && errno == EFAULT)
		return;
	wrong++;
	printf("%s, argument %u = %#lx: %ld %s\n", r->name, i, value, got,
	       got == -1 ? strerrorname_np(errno) : "");
}

/* Sizes that wrap around, or reach out of the buffer: short or refused, never more than is there. */
static void try_sizes(void)
{
	static const unsigned long sizes[] = { 1ul << 31, 1ul << 32, 1ul << 47,
					       1ul << 63, ~0ul,      ~0ul - 4096 };
	char *end =
		mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct iovec v;
	size_t i;
	long got;

	munmap(end + PAGE, PAGE);
	for (i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		got = pread((int)file, end + PAGE - 8, sizes[i], 0);
		tried++;
		wrong += got > 8;
		got = syscall(SYS_getrandom, end + PAGE - 8, sizes[i], 0);
		tried++;
		wrong += got > 8;
		got = syscall(SYS_write, pipe_in, end + PAGE - 8, sizes[i]);
		tried++;
		wrong += got > 8;
		v = (struct iovec){ end + PAGE - 8, sizes[i] };
		got = preadv((int)file, &v, 1, 0);
		tried++;
		wrong += got > 8;
		tried++;
		wrong += !munmap(end, sizes[i]) && sizes[i] > 1ul << 47;
	}
}

static bool is_ours(unsigned long address)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	unsigned long start, end;
	bool found = false;
	char line[512];

	while (maps && fgets(line, sizeof(line), maps))
		if (sscanf(line, "%lx-%lx", &start, &end) == 2)
			found |= start <= address + PAGE && address < end;
	if (!maps || fclose(maps))
		exit(2);
	return found;
}

static void read_addresses(void)
{
	unsigned long address;

	printf("ready\n");
	fflush(stdout);
	nr_bad = 0;
	while (scanf("%lx", &address) == 1)
		if (nr_bad < MAX_BAD && !is_ours(address))
			bad[nr_bad++] = address;
	printf("%zu addresses\n", nr_bad);
}

int main(int argc, char **argv)
{
	int p[2], s[2];
	size_t i, k;
	unsigned int arg;

	if (argc == 2 && !strcmp(argv[1], "given"))
		read_addresses();
	file = file_make("name", 1);
	folder = open(".", O_RDONLY | O_DIRECTORY);
	if (pipe2(p, O_NONBLOCK) || socketpair(AF_UNIX, SOCK_STREAM, 0, s))
		return 2;
	pipe_out = p[0];
	pipe_in = p[1];
	peer = s[0];
	sock = socket(AF_UNIX, SOCK_STREAM, 0);
	epoll_fd = epoll_create1(0);
	watch = inotify_init();
	timer_fd = timerfd_create(CLOCK_MONOTONIC, 0);
	if (write(p[1], "something", 9) != 9)
		return 2;
	add_files();
	add_process();
	add_more_files();
	for (i = 0; i < nr_rows; i++)
		for (arg = 0; arg < 6; arg++)
			for (k = 0; rows[i].pointers >> arg & 1 && k < nr_bad; k++)
				try_pointer(&rows[i], arg, bad[k]);
	try_sizes();
	printf("tried %d, wrong %d\n", tried, wrong);
	return wrong != 0;
}
