/* SPDX-License-Identifier: MIT */
/* Calls that few programs make: vmsplice, remap_file_pages, sched_setattr, pidfd_getfd, closing
 * descriptors while /proc/self/fd is listed. */
#include <dirent.h>
#include <sched.h>
#include <sys/uio.h>

#include "progs.h"

#define RW (PROT_READ | PROT_WRITE)

static void test_vmsplice(void)
{
	char text[] = "from memory", back[64] = "";
	struct iovec iov[2] = { { text, 4 }, { text + 4, 7 } }, bad = { (void *)8, 4 };
	int fd[2];

	if (pipe(fd))
		exit(2);
	SHOW(vmsplice(fd[1], iov, 2, 0));
	SHOW(vmsplice(fd[1], &bad, 1, 0));
	SHOW(vmsplice(fd[1], iov, 2, 0x100));
	SHOW(vmsplice(fd[1], iov, 0, 0));
	SHOW(vmsplice(fd[1], iov, 2000, 0));
	SHOW(vmsplice(0x7777, iov, 1, 0));
	iov[0] = (struct iovec){ back, 5 };
	iov[1] = (struct iovec){ back + 5, 40 };
	SHOW(vmsplice(fd[0], iov, 2, 0));
	printf("read back: %s\n", back);
	SHOW(vmsplice(fd[0], iov, 1, SPLICE_F_NONBLOCK));
	close(fd[0]);
	signal(SIGPIPE, SIG_IGN);
	SHOW(vmsplice(fd[1], iov, 1, 0));
	close(fd[1]);
}

static void test_remap(void)
{
	int fd = file_make("remap.file", 8);
	char *p = mmap(NULL, 8 * PAGE, RW, MAP_SHARED, fd, 0);
	char *private = mmap(NULL, 4 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *shared = mmap(NULL, 4 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int i;

	SHOW(remap_file_pages(p, 2 * PAGE, 0, 5, 0));
	SHOW(remap_file_pages(p + 3 * PAGE, PAGE, 0, 0, MAP_NONBLOCK));
	SHOW(remap_file_pages(p + 4 * PAGE + 7, PAGE + 5, 0, 1, 0));
	for (i = 0; i < 8; i++)
		printf("%c", p[i * (long)PAGE]);
	printf("\n");
	p[0] = 'F';
	printf("stored through: %c\n", p[5 * PAGE]);
	show_vmas("pieces", p, 8);
	SHOW(remap_file_pages(p, PAGE, PROT_READ, 0, 0));
	SHOW(remap_file_pages(p, 0, 0, 0, 0));
	SHOW(remap_file_pages(p, PAGE, 0, ~0ul, 0));
	SHOW(remap_file_pages(private, PAGE, 0, 0, 0));
	SHOW(remap_file_pages((void *)(16 * PAGE), PAGE, 0, 0, 0));
	shared[PAGE] = 9;
	SHOW(remap_file_pages(shared, PAGE, 0, 1, 0));
	printf("shared: %d\n", shared[0]);
	munmap(p, 8 * PAGE);
	close(fd);
	unlink("remap.file");
}

struct attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
	uint64_t more[4];
};

static void test_sched_attr(void)
{
	struct attr a = { 0 };

	SHOW(syscall(SYS_sched_getattr, 0, &a, 48, 0));
	printf("policy %u flags %" PRIu64 " nice %d priority %u\n", a.policy, a.flags, a.nice,
	       a.priority);
	SHOW(syscall(SYS_sched_getattr, 0, &a, 40, 0));
	SHOW(syscall(SYS_sched_getattr, 0, &a, 48, 1));
	SHOW(syscall(SYS_sched_getattr, 0, NULL, 48, 0));
	SHOW(syscall(SYS_sched_getattr, -1, &a, 48, 0));
	SHOW(syscall(SYS_sched_getattr, 4000000, &a, 48, 0));
	a.size = 48;
	SHOW(syscall(SYS_sched_setattr, 0, &a, 0));
	SHOW(syscall(SYS_sched_setattr, 0, &a, 1));
	SHOW(syscall(SYS_sched_setattr, 0, (void *)8, 0));
	a.size = sizeof(a);
	SHOW(syscall(SYS_sched_setattr, 0, &a, 0));
	a.more[2] = 1;
	SHOW(syscall(SYS_sched_setattr, 0, &a, 0));
	printf("size %u\n", a.size == 48 || a.size == 56);
	a = (struct attr){ .size = 48, .policy = 17 };
	SHOW(syscall(SYS_sched_setattr, 0, &a, 0));
}

static void test_pidfd_getfd(void)
{
	int to_child[2], from_child[2], pidfd, got, theirs;
	char text[8] = "";
	pid_t pid;

	if (pipe(to_child) || pipe(from_child))
		exit(2);
	pid = fork_flushed();
	if (!pid) {
		int fd = dup2(file_make("theirs", 1), 77);

		write(from_child[1], &fd, sizeof(fd));
		read(to_child[0], &fd, 1);
		_exit(0);
	}
	read(from_child[0], &theirs, sizeof(theirs));
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	SHOW(syscall(SYS_pidfd_getfd, pidfd, 76, 0));
	SHOW(syscall(SYS_pidfd_getfd, pidfd, 77, 1));
	SHOW(syscall(SYS_pidfd_getfd, 1, 77, 0));
	SHOW(syscall(SYS_pidfd_getfd, -1, 77, 0));
	got = (int)syscall(SYS_pidfd_getfd, pidfd, theirs, 0);
	SHOW(fcntl(got, F_GETFD));
	SHOW(pread(got, text, 3, 0));
	printf("read %s\n", text);
	write(to_child[1], "", 1);
	show_child("child", pid);
	SHOW(syscall(SYS_pidfd_getfd, pidfd, 77, 0));
	unlink("theirs");
}

/* As CPython does before exec: each entry is asked for alone, what it tells of is closed. */
static void test_close_while_listing(void)
{
	struct {
		struct dirent64 d;
	} e;
	int dir, fd, left = 0;
	long n;

	for (fd = 20; fd < 40; fd++)
		dup2(1, fd);
	dir = open("/proc/self/fd", O_RDONLY | O_DIRECTORY);
	while ((n = syscall(SYS_getdents64, dir, &e, 32)) > 0) {
		fd = atoi(e.d.d_name);
		if (fd >= 20 && fd < 40)
			close(fd);
	}
	printf("end: %ld\n", n);
	for (fd = 20; fd < 40; fd++)
		left += fcntl(fd, F_GETFD) >= 0;
	printf("left open: %d\n", left);
}

/* The older call: the same entries, the type behind the name. */
static void show_old_list(const char *path)
{
	struct old_entry {
		unsigned long ino;
		long off;
		unsigned short reclen;
		char name[];
	} * old;
	char was[4096] __attribute__((aligned(8))), is[4096] __attribute__((aligned(8)));
	int dir = open(path, O_RDONLY | O_DIRECTORY), same = 0, entries = 0;
	long n = syscall(SYS_getdents, dir, was, sizeof(was)), at = 0;
	struct dirent64 *d;

	lseek(dir, 0, SEEK_SET);
	printf("%s: as long as the newer one's %d\n", path,
	       n > 0 && syscall(SYS_getdents64, dir, is, sizeof(is)) == n);
	for (; at < n; at += old->reclen) {
		old = (struct old_entry *)(was + at);
		d = (struct dirent64 *)(is + at);
		entries++;
		same += old->ino == d->d_ino && old->off == d->d_off &&
			old->reclen == d->d_reclen && !strcmp(old->name, d->d_name) &&
			was[at + old->reclen - 1] == d->d_type;
	}
	printf("some %d, the same %d\n", entries > 2, same == entries);
	SHOW(syscall(SYS_getdents, dir, was, sizeof(was)));
	lseek(dir, 0, SEEK_SET);
	SHOW(syscall(SYS_getdents, dir, was, 10));
	SHOW(syscall(SYS_getdents, dir, 1, sizeof(was)));
	close(dir);
}

static void test_old_list(void)
{
	show_old_list("/usr");
	show_old_list("/proc/self/task");
	SHOW(syscall(SYS_getdents, 99, NULL, 100));
	SHOW(syscall(SYS_getdents, 1, NULL, 100));
}

/* What mknod is asked for is looked at before the path. */
static void test_node_types(void)
{
	mode_t type;

	for (type = 0; type <= S_IFMT; type += 1 << 12) {
		printf("type %o: ", type);
		if (type == S_IFCHR || type == S_IFBLK)
			printf("not tried\n");
		else
			SHOW(mknod("node", type | 0600, 0));
		unlink("node");
	}
}

/* What is the same with and without keys. */
static void test_keys(void)
{
	char *p = mmap(NULL, 2 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	long key;

	SHOW(syscall(SYS_pkey_alloc, 1, 0));
	SHOW(syscall(SYS_pkey_alloc, 0, 8));
	SHOW(syscall(SYS_pkey_free, 7));
	SHOW(syscall(SYS_pkey_free, -1));
	SHOW(syscall(SYS_pkey_free, 16));
	SHOW(syscall(SYS_pkey_mprotect, p, PAGE, PROT_READ, 7));
	SHOW(syscall(SYS_pkey_mprotect, p, PAGE, PROT_READ, 16));
	SHOW(syscall(SYS_pkey_mprotect, p, PAGE, PROT_READ, -2));
	SHOW(syscall(SYS_pkey_mprotect, p + 1, PAGE, PROT_READ, 7));
	SHOW(syscall(SYS_pkey_mprotect, p, 0, PROT_READ, 7));
	SHOW(syscall(SYS_pkey_mprotect, p, -1ul, PROT_READ, 7));
	SHOW(syscall(SYS_pkey_mprotect, p, PAGE, PROT_READ, -1));
	show_vmas("without a key it is mprotect", p, 2);
	key = syscall(SYS_pkey_alloc, 0, 0);
	/* In the guest there is none, which is not the same as a bad call. */
	printf("a key: %s\n",
	       key >= 0 || errno == ENOSPC || getppid() != 1 ? "had, or not" : "REFUSED");
	munmap(p, 2 * PAGE);
}

int main(void)
{
	test_keys();
	test_node_types();
	test_vmsplice();
	test_remap();
	test_sched_attr();
	test_pidfd_getfd();
	test_close_while_listing();
	test_old_list();
	return 0;
}
