/* SPDX-License-Identifier: MIT */
/*
 * Hostile pointers: every system call in the table is made with each of its
 * pointers in turn replaced by a bad one, the others good. One line a call
 * number, slot and kind of pointer: the errno, or "ok". A call must answer as
 * the kernel does and the process must live on.
 */
#include <limits.h>
#include <linux/futex.h>
#include <mqueue.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>

#include "progs.h"

#define SLOTS 6

enum kind {
	NULL_POINTER,
	NULL_PAGE,
	UNMAPPED,
	NO_ACCESS,
	READ_ONLY,
	ONE_BYTE,
	KERNEL,
	NON_CANONICAL,
	WRAPS,
	KINDS
};

static const char *const kind_names[KINDS] = {
	"null",     "null page", "unmapped",      "no access", "read-only",
	"one byte", "kernel",    "non-canonical", "wraps",
};

struct slot {
	bool pointer; /* is replaced by each bad pointer in turn */
	long value;   /* what the slot holds when it is not the one under test */
};

struct hostile_call {
	const char *name;
	long number;
	unsigned int skip; /* kinds, by bit, with which the call would block or do harm */
	struct slot slots[SLOTS];
};

static char scratch[65536] __attribute__((aligned(4096)));
static long bad[KINDS];
static int zero_fd, file_fd, pipe_fds[2], epoll_fd, sockets[2], folder_fd;

static void make_pointers(void)
{
	char *b = arena(8);

	mmap(b, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	mmap(b + 2 * PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	mmap(b + 4 * PAGE, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	b[PAGE - 1] = 'x';
	bad[NULL_POINTER] = 0;
	bad[NULL_PAGE] = 8;
	bad[UNMAPPED] = (long)(b + 6 * PAGE);
	bad[NO_ACCESS] = (long)(b + 4 * PAGE);
	bad[READ_ONLY] = (long)(b + 2 * PAGE);
	bad[ONE_BYTE] = (long)(b + PAGE - 1);
	bad[KERNEL] = (long)0xffff888000000000;
	bad[NON_CANONICAL] = (long)0x8000000000000000;
	bad[WRAPS] = -8;
}

static void call_once(const struct hostile_call *call, int slot, enum kind kind)
{
	long a[SLOTS], result;
	int i;

	for (i = 0; i < SLOTS; i++)
		a[i] = i == slot ? bad[kind] : call->slots[i].value;
	/* An earlier call may have left anything there, even the end of a string. */
	*(char *)bad[ONE_BYTE] = 'x';
	errno = 0;
	result = syscall(call->number, a[0], a[1], a[2], a[3], a[4], a[5]);
	printf("%s, argument %d %s: %s\n", call->name, slot + 1, kind_names[kind],
	       result == -1 ? strerrorname_np(errno) : "ok");
}

static void call_all(const struct hostile_call *call)
{
	int slot, kind;

	for (slot = 0; slot < SLOTS; slot++) {
		if (!call->slots[slot].pointer)
			continue;
		for (kind = 0; kind < KINDS; kind++) {
			if (call->skip & 1U << kind)
				continue;
			memset(scratch, 0, sizeof(scratch));
			strcpy(scratch, ".");
			call_once(call, slot, (enum kind)kind);
		}
	}
}

/* A table row: P is a pointer under test, C a constant. */
#define P(v)                    \
	{                       \
		true, (long)(v) \
	}
#define C(v)                     \
	{                        \
		false, (long)(v) \
	}
#define CALL(name, ...)               \
	{                             \
#name, SYS_##name, 0, \
		{                     \
			__VA_ARGS__   \
		}                     \
	}
#define CALL_UNREADABLE(name, ...)                                   \
	{                                                            \
#name, SYS_##name, 1U << READ_ONLY | 1U << ONE_BYTE, \
		{                                                    \
			__VA_ARGS__                                  \
		}                                                    \
	}
#define CALL_NOT_NULL(name, ...)                       \
	{                                              \
#name, SYS_##name, 1U << NULL_POINTER, \
		{                                      \
			__VA_ARGS__                    \
		}                                      \
	}

/* By number, as headers may be older; for calls that would change the kinds' areas. */
#define CALL_NEW(name, number, skip, ...) \
	{                                 \
#name, number, skip,      \
		{                         \
			__VA_ARGS__       \
		}                         \
	}
#define CHANGES_AREAS (1U << READ_ONLY | 1U << ONE_BYTE | 1U << NO_ACCESS)

/* The second page of the scratch memory is zero in every call; the first is the path ".". */
#define ZEROES (scratch + 4096)
#define PATH   scratch

static void test_files(void)
{
	const struct hostile_call calls[] = {
		CALL(read, C(zero_fd), P(ZEROES), C(64)),
		CALL(pread64, C(file_fd), P(ZEROES), C(64), C(0)),
		CALL(write, C(pipe_fds[1]), P(ZEROES), C(64)),
		CALL(pwrite64, C(file_fd), P(ZEROES), C(64), C(0)),
		CALL(readv, C(zero_fd), P(ZEROES), C(1)),
		CALL(writev, C(pipe_fds[1]), P(ZEROES), C(1)),
		CALL(preadv, C(file_fd), P(ZEROES), C(1), C(0), C(0)),
		CALL(pwritev, C(file_fd), P(ZEROES), C(1), C(0), C(0)),
		CALL(open, P(PATH), C(O_RDONLY | O_DIRECTORY)),
		CALL(openat, C(AT_FDCWD), P(PATH), C(O_RDONLY | O_DIRECTORY)),
		CALL(stat, P(PATH), P(ZEROES)),
		CALL(lstat, P(PATH), P(ZEROES)),
		CALL(fstat, C(file_fd), P(ZEROES)),
		CALL(newfstatat, C(AT_FDCWD), P(PATH), P(ZEROES), C(0)),
		CALL(statx, C(AT_FDCWD), P(PATH), C(0), C(0x7ff), P(ZEROES)),
		CALL(statfs, P(PATH), P(ZEROES)),
		CALL(fstatfs, C(file_fd), P(ZEROES)),
		CALL(access, P(PATH), C(R_OK)),
		CALL(faccessat, C(AT_FDCWD), P(PATH), C(R_OK)),
		CALL(faccessat2, C(AT_FDCWD), P(PATH), C(R_OK), C(0)),
		CALL(readlink, P("/proc/self/exe"), P(ZEROES), C(100)),
		CALL(readlinkat, C(AT_FDCWD), P("/proc/self/exe"), P(ZEROES), C(100)),
		CALL(getdents, C(folder_fd), P(ZEROES), C(4096)),
		CALL(getdents64, C(folder_fd), P(ZEROES), C(4096)),
		CALL(getcwd, P(ZEROES), C(4096)),
		CALL(chdir, P(PATH)),
		CALL(mkdir, P("x1"), C(0700)),
		CALL(rmdir, P("x1")),
		CALL(unlink, P("x2")),
		CALL(unlinkat, C(AT_FDCWD), P("x2"), C(0)),
		CALL(rename, P("x3"), P("x4")),
		CALL(renameat2, C(AT_FDCWD), P("x3"), C(AT_FDCWD), P("x4"), C(0)),
		CALL(link, P("x3"), P("x4")),
		CALL(symlink, P("x3"), P(PATH)),
		CALL(chmod, P("x3"), C(0600)),
		CALL(fchmodat, C(AT_FDCWD), P("x3"), C(0600)),
		CALL(chown, P("x3"), C(-1), C(-1)),
		CALL(truncate, P("x3"), C(0)),
		CALL(utimensat, C(AT_FDCWD), P("x3"), P(ZEROES), C(0)),
		CALL(memfd_create, P(PATH), C(0)),
		CALL(sendfile, C(pipe_fds[1]), C(file_fd), P(ZEROES), C(8)),
		CALL(fcntl, C(file_fd), C(F_GETLK), P(ZEROES)),
		CALL(ioctl, C(pipe_fds[0]), C(FIONREAD), P(ZEROES)),
		CALL(ioctl, C(file_fd), C(TIOCGWINSZ), P(ZEROES)),
	};
	size_t i;

	for (i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		call_all(&calls[i]);
}

static void test_descriptors(void)
{
	const struct hostile_call calls[] = {
		CALL(pipe, P(ZEROES)),
		CALL(pipe2, P(ZEROES), C(0)),
		CALL(poll, P(ZEROES), C(1), C(0)),
		CALL(ppoll, P(ZEROES), C(1), C(ZEROES + 64), P(ZEROES + 256), C(8)),
		CALL_NOT_NULL(ppoll, P(ZEROES), C(1), P(ZEROES + 64), C(0), C(8)),
		CALL(select, C(1), P(ZEROES), P(ZEROES + 128), P(ZEROES + 256), C(ZEROES + 384)),
		CALL_NOT_NULL(select, C(1), C(0), C(0), C(0), P(ZEROES)),
		CALL(pselect6, C(1), P(ZEROES), C(0), C(0), C(ZEROES + 384), P(ZEROES + 512)),
		CALL(epoll_ctl, C(epoll_fd), C(EPOLL_CTL_ADD), C(pipe_fds[0]), P(ZEROES)),
		CALL(epoll_wait, C(epoll_fd), P(ZEROES), C(1), C(0)),
		CALL(epoll_pwait, C(epoll_fd), P(ZEROES), C(1), C(0), P(ZEROES + 256), C(8)),
		CALL(socketpair, C(AF_UNIX), C(SOCK_STREAM), C(0), P(ZEROES)),
		CALL(bind, C(sockets[0]), P(ZEROES), C(16)),
		CALL(connect, C(sockets[0]), P(ZEROES), C(16)),
		CALL(sendto, C(sockets[0]), P(ZEROES), C(64), C(MSG_DONTWAIT), C(0), C(0)),
		CALL(recvfrom, C(sockets[1]), P(ZEROES), C(16), C(MSG_DONTWAIT | MSG_PEEK), C(0),
		     C(0)),
		CALL(sendmsg, C(sockets[0]), P(ZEROES), C(MSG_DONTWAIT)),
		CALL(recvmsg, C(sockets[1]), P(ZEROES), C(MSG_DONTWAIT | MSG_PEEK)),
		CALL(getsockname, C(sockets[0]), P(ZEROES), P(ZEROES + 256)),
		CALL(getpeername, C(sockets[0]), P(ZEROES), P(ZEROES + 256)),
		CALL(getsockopt, C(sockets[0]), C(SOL_SOCKET), C(SO_TYPE), P(ZEROES),
		     P(ZEROES + 256)),
		CALL(setsockopt, C(sockets[0]), C(SOL_SOCKET), C(SO_KEEPALIVE), P(ZEROES), C(4)),
	};
	size_t i;

	for (i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		call_all(&calls[i]);
}

static void test_system(void)
{
	const struct hostile_call calls[] = {
		CALL(uname, P(ZEROES)),
		CALL(sysinfo, P(ZEROES)),
		CALL(times, P(ZEROES)),
		CALL(getrusage, C(RUSAGE_SELF), P(ZEROES)),
		CALL(getrlimit, C(RLIMIT_NOFILE), P(ZEROES)),
		CALL(prlimit64, C(0), C(RLIMIT_NOFILE), C(0), P(ZEROES)),
		CALL(clock_gettime, C(CLOCK_MONOTONIC), P(ZEROES)),
		CALL(clock_getres, C(CLOCK_MONOTONIC), P(ZEROES)),
		CALL(gettimeofday, P(ZEROES), C(0)),
		CALL(time, P(ZEROES)),
		CALL(nanosleep, P(ZEROES), C(0)),
		CALL(clock_nanosleep, C(CLOCK_MONOTONIC), C(0), P(ZEROES), C(0)),
		CALL(getitimer, C(ITIMER_REAL), P(ZEROES)),
		CALL(setitimer, C(ITIMER_REAL), P(ZEROES), P(ZEROES + 256)),
		CALL(getrandom, P(ZEROES), C(64), C(0)),
		CALL(sched_getaffinity, C(0), C(128), P(ZEROES)),
		CALL(getcpu, P(ZEROES), P(ZEROES + 64), C(0)),
		CALL(prctl, C(15), P(ZEROES)),
		CALL(prctl, C(16), P(ZEROES)),
		CALL(getgroups, C(32), P(ZEROES)),
		CALL(getresuid, P(ZEROES), P(ZEROES + 8), P(ZEROES + 16)),
		CALL(arch_prctl, C(0x1003), P(ZEROES)),
		CALL(process_vm_readv, C(getpid()), P(ZEROES), C(1), P(ZEROES), C(1), C(0)),
	};
	size_t i;

	for (i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		call_all(&calls[i]);
}

/* Descriptors of memory, and a queue that nobody waits for. */
static int mem_fd, pagemap_fd, clear_refs_fd, queue_fd;
static char queue_name[64];

static void open_memory(void)
{
	struct mq_attr attr = { .mq_maxmsg = 10, .mq_msgsize = 64 };

	mem_fd = open("/proc/self/mem", O_RDWR);
	pagemap_fd = open("/proc/self/pagemap", O_RDONLY);
	clear_refs_fd = open("/proc/self/clear_refs", O_WRONLY);
	snprintf(queue_name, sizeof(queue_name), "umm-hostile-%d", getpid());
	queue_fd =
		(int)syscall(SYS_mq_open, queue_name, O_CREAT | O_RDWR | O_NONBLOCK, 0600, &attr);
	if (mem_fd < 0 || pagemap_fd < 0 || clear_refs_fd < 0 || queue_fd < 0) {
		perror("hostile");
		exit(2);
	}
}

static void test_memory_files(void)
{
	const struct hostile_call calls[] = {
		CALL(pread64, C(mem_fd), P(ZEROES), C(64), C(ZEROES + 4096)),
		CALL(pwrite64, C(mem_fd), P(ZEROES), C(64), C(ZEROES + 4096)),
		CALL(pread64, C(pagemap_fd), P(ZEROES), C(64), C((unsigned long)scratch >> 9)),
		CALL(write, C(clear_refs_fd), P(ZEROES), C(8)),
		CALL(writev, C(clear_refs_fd), P(ZEROES), C(2)),
		CALL(preadv, C(mem_fd), P(ZEROES), C(2), C(ZEROES), C(0)),
	};
	size_t i;

	for (i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		call_all(&calls[i]);
}

/* Where memory of a process is named by a position: any of them. */
static void test_positions(void)
{
	char byte;
	int kind;

	for (kind = 0; kind < KINDS; kind++) {
		printf("read of %s as a file: ", kind_names[kind]);
		printf("%s\n",
		       pread(mem_fd, &byte, 1, bad[kind]) < 0 ? strerrorname_np(errno) : "ok");
	}
}

static void test_queues(void)
{
	const struct hostile_call calls[] = {
		CALL(mq_open, P(queue_name), C(O_RDWR), C(0600), P(ZEROES)),
		CALL(mq_open, P("umm-hostile-other"), C(O_RDWR | O_CREAT), C(0600), P(ZEROES)),
		CALL(mq_unlink, P("umm-hostile-none")),
		CALL(mq_timedsend, C(queue_fd), P(ZEROES), C(8), C(0), P(ZEROES + 256)),
		CALL(mq_timedreceive, C(queue_fd), P(ZEROES), C(64), P(ZEROES + 128),
		     P(ZEROES + 256)),
		CALL(mq_notify, C(queue_fd), P(ZEROES)),
		CALL(mq_getsetattr, C(queue_fd), P(ZEROES), P(ZEROES + 256)),
	};
	size_t i;

	for (i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		call_all(&calls[i]);
}

/* Numbers instead of pointers: nothing that a queue may be made of. */
static void test_queue_sizes(void)
{
	static const long sizes[] = { 0,        -1,       1,        65537,    1l << 24,
				      1l << 31, 1l << 32, LONG_MAX, LONG_MIN, LONG_MAX / 64 };
	const struct timespec past = { 1, 0 };
	size_t i, k;

	for (i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		for (k = 0; k < sizeof(sizes) / sizeof(*sizes); k++) {
			struct mq_attr attr = { .mq_maxmsg = sizes[i], .mq_msgsize = sizes[k] };
			long fd = syscall(SYS_mq_open, "umm-hostile-sizes", O_CREAT | O_RDWR, 0600,
					  &attr);

			printf("a queue of %ld by %ld: %s\n", sizes[i], sizes[k],
			       fd < 0 ? strerrorname_np(errno) : "made");
			if (fd >= 0)
				close((int)fd);
			syscall(SYS_mq_unlink, "umm-hostile-sizes");
		}
		printf("a message of %ld: %s\n", sizes[i],
		       syscall(SYS_mq_timedsend, queue_fd, scratch, sizes[i], 0, &past) < 0
			       ? strerrorname_np(errno)
			       : "sent");
		printf("room for %ld: %s\n", sizes[i],
		       syscall(SYS_mq_timedreceive, queue_fd, scratch, sizes[i], NULL, &past) < 0
			       ? strerrorname_np(errno)
			       : "received");
	}
	syscall(SYS_mq_unlink, queue_name);
}

static void test_limits(void)
{
	const struct hostile_call calls[] = {
		CALL(setrlimit, C(RLIMIT_CORE), P(ZEROES)),
		CALL(prlimit64, C(0), C(RLIMIT_CORE), P(ZEROES), P(ZEROES + 256)),
	};
	size_t i;

	for (i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		call_all(&calls[i]);
}

/* With numbers of their own since Linux 5.16, 6.7 and 6.10. */
static void test_newest(void)
{
	const struct hostile_call calls[] = {
		CALL_NEW(futex_waitv, 449, 0, P(ZEROES), C(1), C(0), P(ZEROES + 256), C(1)),
		CALL_NEW(futex_wake, 454, 0, P(ZEROES), C(-1u), C(1), C(2)),
		CALL_NEW(futex_wait, 455, 0, P(ZEROES), C(1), C(-1u), C(2), P(ZEROES + 256), C(1)),
		CALL_NEW(futex_requeue, 456, 0, P(ZEROES), C(0), C(1), C(1)),
		CALL_NEW(rseq, SYS_rseq, 0, P(ZEROES), C(32), C(0), C(1)),
		CALL_NEW(pkey_mprotect, SYS_pkey_mprotect, CHANGES_AREAS, P(0), C(PAGE),
			 C(PROT_READ), C(-1)),
		CALL_NEW(mseal, 462, CHANGES_AREAS, P(0), C(PAGE), C(0)),
	};
	size_t i;

	for (i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		call_all(&calls[i]);
}

static void test_processes(void)
{
	const struct hostile_call calls[] = {
		CALL(rt_sigaction, C(SIGUSR1), P(ZEROES), P(ZEROES + 256), C(8)),
		CALL(rt_sigprocmask, C(SIG_BLOCK), P(ZEROES), P(ZEROES + 256), C(8)),
		CALL(rt_sigpending, P(ZEROES), C(8)),
		CALL(rt_sigtimedwait, P(ZEROES), P(ZEROES + 256), C(ZEROES + 512), C(8)),
		CALL_NOT_NULL(rt_sigtimedwait, C(ZEROES), C(0), P(ZEROES + 512), C(8)),
		CALL_UNREADABLE(rt_sigsuspend, P(ZEROES), C(8)),
		CALL(sigaltstack, P(ZEROES), P(ZEROES + 256)),
		CALL_UNREADABLE(futex, P(ZEROES), C(FUTEX_WAIT), C(1), C(0), C(0), C(0)),
		CALL(futex, P(ZEROES), C(FUTEX_WAKE), C(1), C(0), C(0), C(0)),
		CALL(futex, C(ZEROES), C(FUTEX_REQUEUE), C(1), C(1), P(ZEROES), C(0)),
		CALL(set_robust_list, P(ZEROES), C(24)),
		CALL(set_tid_address, P(ZEROES)),
		CALL(execve, P("/nonexistent"), P(ZEROES), P(ZEROES)),
		CALL_UNREADABLE(clone3, P(ZEROES), C(88)),
		CALL(wait4, C(-1), P(ZEROES), C(WNOHANG), P(ZEROES)),
		CALL(waitid, C(P_ALL), C(0), P(ZEROES), C(WEXITED | WNOHANG), C(0)),
	};
	size_t i;

	for (i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		call_all(&calls[i]);
}

/* Addresses that are not read or written but mapped: only kinds that hold nothing of ours. */
static void test_addresses(void)
{
	const struct hostile_call calls[] = {
		CALL_UNREADABLE(munmap, P(0), C(PAGE)),
		CALL_UNREADABLE(mprotect, P(0), C(PAGE), C(PROT_READ)),
		CALL_UNREADABLE(madvise, P(0), C(PAGE), C(MADV_DONTNEED)),
		CALL_UNREADABLE(msync, P(0), C(PAGE), C(MS_ASYNC)),
		CALL_UNREADABLE(mincore, P(scratch), C(PAGE), P(ZEROES)),
		CALL_UNREADABLE(mlock, P(0), C(PAGE)),
		CALL_UNREADABLE(munlock, P(0), C(PAGE)),
		CALL_UNREADABLE(mremap, P(0), C(PAGE), C(2 * PAGE), C(0)),
		CALL_UNREADABLE(mremap, C(scratch), C(PAGE), C(PAGE),
				C(MREMAP_MAYMOVE | MREMAP_FIXED), P(0)),
		CALL_UNREADABLE(mmap, P(0), C(PAGE), C(PROT_READ),
				C(MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE), C(-1), C(0)),
	};
	size_t i;
	int kind;

	for (i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
		for (kind = 0; kind < KINDS; kind++) {
			bool maps = calls[i].number == SYS_mmap || calls[i].number == SYS_mremap;

			/* They would succeed and change what the kind stands for. */
			if (kind == READ_ONLY || kind == ONE_BYTE || kind == NO_ACCESS ||
			    (maps && (kind == NULL_POINTER || kind == UNMAPPED)))
				continue;
			/* Linux takes an address in the last page for an error of its own. */
			if (kind == WRAPS && calls[i].number == SYS_mmap)
				continue;
			call_once(&calls[i], calls[i].slots[0].pointer ? 0 : 4, (enum kind)kind);
		}
	}
}

/* Vectors that are good themselves but point to bad memory. */
static void test_vectors(void)
{
	struct iovec parts[2] = { { scratch, 8 }, { NULL, 8 } };
	int kind;

	for (kind = 0; kind < KINDS; kind++) {
		parts[1].iov_base = (void *)bad[kind];
		errno = 0;
		printf("readv into good and %s: ", kind_names[kind]);
		printf("%s\n",
		       syscall(SYS_readv, zero_fd, parts, 2) < 0 ? strerrorname_np(errno) : "ok");
		printf("writev from %s alone: ", kind_names[kind]);
		printf("%s\n", syscall(SYS_writev, pipe_fds[1], parts + 1, 1) < 0
				       ? strerrorname_np(errno)
				       : "ok");
	}
	parts[1].iov_base = scratch;
	parts[1].iov_len = SIZE_MAX;
	printf("readv with a huge length: %s\n",
	       syscall(SYS_readv, zero_fd, parts, 2) < 0 ? strerrorname_np(errno) : "ok");
	printf("read of a huge length: %s\n",
	       syscall(SYS_read, file_fd, scratch, SIZE_MAX) < 0 ? strerrorname_np(errno) : "ok");
}

int main(void)
{
	char drained[4096];

	zero_fd = open("/dev/zero", O_RDWR);
	file_fd = file_make("hostile_file", 2);
	folder_fd = open(".", O_RDONLY | O_DIRECTORY);
	epoll_fd = epoll_create1(0);
	if (zero_fd < 0 || folder_fd < 0 || epoll_fd < 0 || pipe2(pipe_fds, O_NONBLOCK) ||
	    socketpair(AF_UNIX, SOCK_STREAM, 0, sockets)) {
		perror("hostile");
		return 2;
	}
	make_pointers();
	test_files();
	while (read(pipe_fds[0], drained, sizeof(drained)) > 0)
		;
	test_descriptors();
	test_system();
	test_processes();
	test_addresses();
	test_vectors();
	open_memory();
	test_memory_files();
	test_positions();
	test_queues();
	test_queue_sizes();
	test_limits();
	test_newest();
	printf("alive\n");
	return 0;
}
