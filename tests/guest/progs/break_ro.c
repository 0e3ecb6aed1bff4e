/* SPDX-License-Identifier: MIT */
/*
 * break_ro: a hostile program under --ro. In the current folder are the file "victim", which is
 * standard input too, and the empty folder "dir". Every call that changes a file or folder is
 * tried on them; none may succeed, but for what is said below. One line for each that did.
 */
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/swap.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <utime.h>

#include "progs.h"

static int tried, done;

#define MUST_FAIL(call) must_fail(#call, (long)(call))

static void must_fail(const char *call, long result)
{
	tried++;
	if (result == -1)
		return;
	done++;
	printf("DONE: %s\n", call);
	fflush(stdout);
}

static void try_names(void)
{
	struct timeval tv[2] = { { 1, 0 }, { 1, 0 } };
	struct utimbuf ut = { 1, 1 };

	MUST_FAIL(open("victim", O_WRONLY));
	MUST_FAIL(open("victim", O_RDWR));
	MUST_FAIL(open("victim", O_RDONLY | O_TRUNC));
	MUST_FAIL(open("new", O_CREAT | O_WRONLY, 0644));
	MUST_FAIL(open(".", O_TMPFILE | O_RDWR, 0600));
	MUST_FAIL(open("/tmp", O_TMPFILE | O_RDWR, 0600));
	MUST_FAIL(open("/dev/new", O_CREAT | O_WRONLY, 0644));
	MUST_FAIL(truncate("victim", 0));
	MUST_FAIL(rename("victim", "other"));
	MUST_FAIL(rename("victim", "/dev/shm/other"));
	MUST_FAIL(link("victim", "other"));
	MUST_FAIL(link("victim", "/dev/shm/other"));
	MUST_FAIL(symlink("victim", "other"));
	MUST_FAIL(unlink("victim"));
	MUST_FAIL(rmdir("dir"));
	MUST_FAIL(mkdir("other", 0755));
	MUST_FAIL(mkfifo("other", 0644));
	MUST_FAIL(mknod("other", S_IFREG | 0644, 0));
	MUST_FAIL(chmod("victim", 0777));
	MUST_FAIL(chmod("dir", 0777));
	MUST_FAIL(chown("victim", 1, 1));
	MUST_FAIL(lchown("victim", 1, 1));
	MUST_FAIL(utimes("victim", tv));
	MUST_FAIL(utime("victim", &ut));
	MUST_FAIL(utimensat(AT_FDCWD, "victim", NULL, 0));
	MUST_FAIL(setxattr("victim", "user.x", "y", 1, 0));
	MUST_FAIL(lsetxattr("victim", "user.x", "y", 1, 0));
	MUST_FAIL(removexattr("victim", "user.was"));
}

/* The file that was open beforehand, where it could be written: no other way to it may be. */
static void try_stdin(const char *name)
{
	struct timespec ts[2] = { { 1, 0 }, { 1, 0 } };
	int flags = 0;

	MUST_FAIL(open(name, O_WRONLY));
	MUST_FAIL(open(name, O_RDWR));
	MUST_FAIL(open(name, O_RDONLY | O_TRUNC));
	MUST_FAIL(truncate(name, 0));
	MUST_FAIL(chmod(name, 0777));
	MUST_FAIL(chown(name, 1, 1));
	MUST_FAIL(utimensat(AT_FDCWD, name, ts, 0));
	MUST_FAIL(setxattr(name, "user.x", "y", 1, 0));
	MUST_FAIL(linkat(AT_FDCWD, name, AT_FDCWD, "other", AT_SYMLINK_FOLLOW));
	MUST_FAIL(write(0, "x", 1));
	MUST_FAIL(pwrite(0, "x", 1, 0));
	MUST_FAIL(ftruncate(0, 0));
	MUST_FAIL(fallocate(0, 0, 0, 4096));
	MUST_FAIL(fchmod(0, 0777));
	MUST_FAIL(fchown(0, 1, 1));
	MUST_FAIL(futimens(0, ts));
	MUST_FAIL(fsetxattr(0, "user.x", "y", 1, 0));
	MUST_FAIL(fremovexattr(0, "user.was"));
	MUST_FAIL(linkat(0, "", AT_FDCWD, "other", AT_EMPTY_PATH));
	MUST_FAIL(fchownat(0, "", 1, 1, AT_EMPTY_PATH));
	MUST_FAIL(utimensat(0, "", ts, AT_EMPTY_PATH));
	MUST_FAIL(ioctl(0, FS_IOC_SETFLAGS, &flags));
	MUST_FAIL(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, 0, 0));
}

/* Mapped for reading first; then made writable, and written back. */
static void try_mapping(void)
{
	int fd = open("victim", O_RDONLY), pair[2];
	char *p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);

	MUST_FAIL(mprotect(p, PAGE, PROT_READ | PROT_WRITE));
	MUST_FAIL(fchmod(fd, 0777));
	MUST_FAIL(fsetxattr(fd, "user.x", "y", 1, 0));
	MUST_FAIL(futimens(fd, NULL));
	if (!pipe(pair) && write(pair[1], "x", 1) == 1)
		MUST_FAIL(splice(pair[0], NULL, fd, NULL, 1, 0));
	MUST_FAIL(copy_file_range(0, NULL, fd, NULL, 1, 0));
	close(fd);
}

/*
 * The devices that a guest has are the host's own, and may be written; what is told of them may
 * not change. Where it can be done, nothing is: each gets the mode, owner and times that it has.
 */
static void try_devices(void)
{
	static const char *const devices[] = { "/dev/null",   "/dev/zero",    "/dev/full",
					       "/dev/random", "/dev/urandom", "/dev/tty" };
	struct timespec ts[2];
	struct stat st;
	size_t i;
	int fd;

	for (i = 0; i < sizeof(devices) / sizeof(*devices); i++) {
		if (stat(devices[i], &st))
			continue;
		ts[0] = st.st_atim;
		ts[1] = st.st_mtim;
		MUST_FAIL(chmod(devices[i], st.st_mode & 07777));
		MUST_FAIL(chown(devices[i], st.st_uid, st.st_gid));
		MUST_FAIL(utimensat(AT_FDCWD, devices[i], ts, 0));
		fd = open(devices[i], O_RDWR);
		if (fd < 0)
			continue;
		MUST_FAIL(fchmod(fd, st.st_mode & 07777));
		MUST_FAIL(fchown(fd, st.st_uid, st.st_gid));
		MUST_FAIL(futimens(fd, ts));
		close(fd);
	}
}

/* The machine itself. */
static void try_machine(void)
{
	static const char *const devices[] = { "/dev/vda", "/dev/sda",  "/dev/nvme0n1",
					       "/dev/mem", "/dev/kmsg", "/dev/kvm" };
	struct sockaddr_un un = { .sun_family = AF_UNIX, .sun_path = "other" };
	size_t i;

	for (i = 0; i < sizeof(devices) / sizeof(*devices); i++)
		MUST_FAIL(open(devices[i], O_RDWR));
	MUST_FAIL(mknod("/dev/shm/disk", S_IFBLK | 0600, makedev(254, 0)));
	MUST_FAIL(open("/proc/sys/kernel/core_pattern", O_WRONLY));
	MUST_FAIL(open("/proc/sysrq-trigger", O_WRONLY));
	MUST_FAIL(open("../../../../../../../proc/sysrq-trigger", O_WRONLY));
	MUST_FAIL(open("/sys/power/state", O_WRONLY));
	MUST_FAIL(open("/sys/kernel/uevent_helper", O_WRONLY));
	MUST_FAIL(open("../../../../../../../sys/kernel/uevent_helper", O_WRONLY));
	MUST_FAIL(bind(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&un, sizeof(un)));
	MUST_FAIL(mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND, NULL));
	MUST_FAIL(swapon("victim", 0));
	MUST_FAIL(sethostname("x", 1));
}

int main(void)
{
	int fd;

	try_names();
	try_stdin("/proc/self/fd/0");
	try_stdin("/dev/stdin");
	try_mapping();
	try_devices();
	try_machine();
	/* What stays possible: the guest's own shared memory, and the null device. */
	fd = open("/dev/shm/mine", O_CREAT | O_RDWR, 0600);
	if (fd < 0 || write(fd, "x", 1) != 1)
		printf("no /dev/shm: %s\n", strerror(errno));
	fd = open("/dev/null", O_RDWR | O_TRUNC);
	if (fd < 0 || write(fd, "x", 1) != 1)
		printf("no /dev/null: %s\n", strerror(errno));
	printf("tried %d, done %d\n", tried, done);
	return done != 0;
}
