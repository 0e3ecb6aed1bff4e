/* SPDX-License-Identifier: MIT */
/*
 * The descriptors of umm itself (KVM, userfaultfd, io_uring, swap, control socket) must not be
 * reachable from a guest: all numbers are tried in all ways that take a number. Besides 0 to 2
 * nothing may be there, so any success is one too many. Exit status 0: nothing was reached.
 */
#include <limits.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/xattr.h>

#include "progs.h"

#define LAST                4096
#define FIRST               3
#define KVM_GET_API_VERSION 0xae00

static int tried, reached;
static int watch; /* inotify's; above all numbers that are tried */

/* A result other than -1 for number @fd is a descriptor that is none of ours. */
static void must_fail(const char *how, int fd, long result)
{
	tried++;
	if (result == -1)
		return;
	reached++;
	printf("REACHED: %s of %d\n", how, fd);
	fflush(stdout);
}

static void must_fail_open(const char *how, int fd, int got)
{
	must_fail(how, fd, got);
	if (got >= 0)
		close(got);
}

static void try_number(int fd)
{
	struct epoll_event ev = { .events = EPOLLIN };
	struct stat st;
	char byte;
	int e;

	must_fail("fstat", fd, fstat(fd, &st));
	must_fail("F_GETFD", fd, fcntl(fd, F_GETFD));
	must_fail("F_DUPFD", fd, fcntl(fd, F_DUPFD, 0));
	must_fail("dup", fd, dup(fd));
	must_fail("read", fd, read(fd, &byte, 1));
	must_fail("ioctl", fd, ioctl(fd, KVM_GET_API_VERSION, 0));
	must_fail("mmap", fd, (long)mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0));
	must_fail("pidfd_getfd", fd, syscall(SYS_pidfd_getfd, 0, fd, 0));
	must_fail("sendfile", fd, sendfile(1, fd, NULL, 1));
	e = epoll_create1(0);
	must_fail("epoll_ctl", fd, epoll_ctl(e, EPOLL_CTL_ADD, fd, &ev));
	close(e);
}

/* Poll answers POLLNVAL for each number that is not there. */
static void try_poll(void)
{
	static struct pollfd p[LAST];
	int fd;

	for (fd = 0; fd < LAST; fd++)
		p[fd] = (struct pollfd){ fd < FIRST ? -1 : fd, POLLIN, 0 };
	if (poll(p, 1024, 0) < 0)
		return;
	for (fd = FIRST; fd < 1024 && fd < watch; fd++)
		must_fail("poll", fd, p[fd].revents == POLLNVAL ? -1 : 0);
}

static void try_send(int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = "", byte = 'x';
	struct iovec v = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &v,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair))
		exit(2);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	/* The pair has taken numbers itself. */
	if (fd == pair[0] || fd == pair[1])
		fd = LAST;
	memcpy(CMSG_DATA(c), &fd, sizeof(int));
	must_fail("SCM_RIGHTS", fd, sendmsg(pair[0], &msg, 0));
	close(pair[0]);
	close(pair[1]);
}

/* Calls that are about a file and do not open it. None of them changes more than times. */
static void try_calls(const char *how, const char *name, int fd)
{
	char text[PATH_MAX];
	struct statfs fs;
	struct statx sx;
	struct stat st;

	must_fail(how, fd, stat(name, &st));
	must_fail(how, fd, statx(AT_FDCWD, name, 0, STATX_BASIC_STATS, &sx));
	must_fail(how, fd, access(name, F_OK));
	must_fail(how, fd, chown(name, (uid_t)-1, (gid_t)-1));
	must_fail(how, fd, utimensat(AT_FDCWD, name, NULL, 0));
	must_fail(how, fd, statfs(name, &fs));
	must_fail(how, fd, linkat(AT_FDCWD, name, AT_FDCWD, "stolen", AT_SYMLINK_FOLLOW));
	must_fail(how, fd, inotify_add_watch(watch, name, IN_OPEN));
	must_fail(how, fd, chdir(name));
	/* Reached, it has no such attribute, or none at all. */
	must_fail(how, fd,
		  getxattr(name, "user.none", text, 1) < 0 && errno != ENODATA &&
				  errno != EOPNOTSUPP && errno != EPERM
			  ? -1
			  : 0);
	must_fail(how, fd, listxattr(name, text, sizeof(text)));
}

/* The names of links to open files, which tell what they lead to: the guest's own have none. */
static void try_link(const char *how, const char *name, int fd)
{
	char text[PATH_MAX];
	struct stat st;

	must_fail(how, fd, readlink(name, text, sizeof(text)));
	must_fail(how, fd, lstat(name, &st));
	must_fail(how, fd, lchown(name, (uid_t)-1, (gid_t)-1));
}

/* Names of open files, in /proc and by ways that only the host's kernel sees through. */
static void try_names(int fd)
{
	static const char *const ways[] = {
		"/proc/self/fd/%d",
		"/proc/thread-self/fd/%d",
		"/dev/fd/%d",
		"/proc/self/task/../fd/%d",
		"../../../../../../../../proc/self/fd/%d",
		"../../../../../../../../dev/fd/%d",
		"../../../../../../../../proc/thread-self/fd/%d",
	};
	char name[128];
	size_t i;

	for (i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		snprintf(name, sizeof(name), ways[i], fd);
		must_fail_open(ways[i], fd, open(name, O_RDONLY));
		must_fail_open(ways[i], fd, open(name, O_RDWR | O_NONBLOCK));
		must_fail_open(ways[i], fd, open(name, O_PATH));
		try_calls(ways[i], name, fd);
		try_link(ways[i], name, fd);
		unlink("way");
		if (symlink(name, "way"))
			exit(2);
		must_fail_open("a link", fd, open("way", O_RDONLY));
		must_fail_open("a link", fd, open("way", O_RDWR | O_NONBLOCK));
		must_fail("truncate of a link", fd, truncate("way", 0));
		try_calls("a link", "way", fd);
	}
	unlink("way");
}

/*
 * Through folders: links to the host's /proc, and folders there that tell of no process, from
 * which ".." leads to those that do.
 */
static void try_through(const char *home)
{
	static const char *const folders[] = { ".", "/proc/sys", "/proc/net", "/proc/self" };
	static const char *const ways[] = { "way/%d",   "../self/fd/%d",
					    "../fd/%d", "../thread-self/fd/%d",
					    "fd/%d",    "task/../fd/%d" };
	char name[128];
	size_t i, k;
	int fd;

	unlink("way");
	if (symlink("/proc/self/fd", "way"))
		exit(2);
	for (i = 0; i < sizeof(folders) / sizeof(*folders); i++) {
		/* Not every machine has a network. */
		if (chdir(folders[i]))
			continue;
		for (fd = FIRST; fd <= 60; fd++)
			for (k = 0; k < sizeof(ways) / sizeof(*ways); k++) {
				snprintf(name, sizeof(name), ways[k], fd);
				must_fail_open(ways[k], fd, open(name, O_RDONLY | O_NONBLOCK));
				try_calls(ways[k], name, fd);
				try_link(ways[k], name, fd);
			}
		if (chdir(home))
			exit(2);
	}
	unlink("way");
}

/* A folder of links, entered by a way that the host's kernel resolves. */
static void try_folder(const char *home)
{
	static const char *const dirs[] = { "../../../../../../../../proc/self/fd", "way",
					    "way/self/fd" };
	char name[32];
	size_t i;
	int fd;

	for (i = 0; i < sizeof(dirs) / sizeof(*dirs); i++) {
		unlink("way");
		if (symlink(i < 2 ? "/proc/self/fd" : "/proc", "way"))
			exit(2);
		if (chdir(dirs[i]))
			continue;
		for (fd = FIRST; fd < 300; fd++) {
			snprintf(name, sizeof(name), "%d", fd);
			must_fail_open("chdir and open", fd, open(name, O_RDONLY));
			must_fail_open("chdir and open", fd, open(name, O_RDWR | O_NONBLOCK));
		}
		if (chdir(home))
			exit(2);
	}
	unlink("way");
}

/* What a link in the file system means is the guest's own. */
static void try_own(void)
{
	char text[8] = "";
	int fd;

	unlink("way");
	if (symlink("/proc/self/fd/0", "way"))
		exit(2);
	fd = open("way", O_RDONLY);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) != 5 || strcmp(text, "stdin")) {
		printf("a link to the guest's own input does not lead to it: %s\n",
		       strerror(errno));
		reached++;
	}
	close(fd);
	unlink("way");
}

int main(void)
{
	struct rlimit limit;
	char home[PATH_MAX];
	int fd, last;

	if (!getcwd(home, sizeof(home)))
		return 2;
	/* What was handed over by who started umm. */
	if (close_range(FIRST, ~0u, 0))
		return 2;
	/* Above them all, where limits let it be. */
	if (getrlimit(RLIMIT_NOFILE, &limit))
		return 2;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	last = limit.rlim_cur < LAST + 2 ? (int)limit.rlim_cur - 2 : LAST;
	fd = inotify_init();
	watch = fcntl(fd, F_DUPFD, last + 1);
	if (watch < 0 || close(fd))
		return 2;
	for (fd = FIRST; fd <= last; fd++) {
		try_number(fd);
		try_send(fd);
	}
	/* Each is some 500 calls; umm has some tens of descriptors. */
	for (fd = FIRST; fd <= 80; fd++)
		try_names(fd);
	try_poll();
	try_through(home);
	try_folder(home);
	try_own();
	printf("tried %d, reached %d\n", tried, reached);
	return reached != 0;
}
