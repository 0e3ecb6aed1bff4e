/* SPDX-License-Identifier: MIT */
/*
 * break_out SECRET: a hostile program under --root. SECRET is the host's name of a file
 * outside, whose first line is the word "secret". Every way out that has worked somewhere is
 * tried; one line for each that worked, and at the end how many were tried. In the current
 * folder, which is inside, it may do what it likes. Exit status 0: no way out.
 */
#include <dirent.h>
#include <elf.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/un.h>
#include <sys/xattr.h>

#include "progs.h"

static const char *secret;
static int tried, out;

static void escaped(const char *how)
{
	out++;
	printf("OUT: %s\n", how);
	fflush(stdout);
}

/* @fd: owned. Whatever can be read from it must not be the secret. */
static void judge_fd(int fd, const char *how)
{
	char word[16] = "";

	tried++;
	if (fd < 0)
		return;
	if (pread(fd, word, sizeof(word) - 1, 0) >= 6 && !strncmp(word, "secret", 6))
		escaped(how);
	close(fd);
}

/* What can be asked about it, and what may be done to it that changes no more than times. */
static void judge_calls(int dir, const char *name)
{
	struct statfs fs;
	struct statx sx;
	char value;

	tried += 5;
	if (!faccessat(dir, name, F_OK, 0) || !fchownat(dir, name, (uid_t)-1, (gid_t)-1, 0) ||
	    !utimensat(dir, name, NULL, 0) || !statx(dir, name, 0, STATX_BASIC_STATS, &sx) ||
	    !linkat(dir, name, AT_FDCWD, "/dev/shm/stolen", AT_SYMLINK_FOLLOW))
		escaped(name);
	if (dir != AT_FDCWD)
		return;
	tried += 4;
	/* It has this length already. */
	if (!truncate(name, 7) || !statfs(name, &fs) || listxattr(name, NULL, 0) >= 0 ||
	    getxattr(name, "user.none", &value, 1) >= 0 || errno == ENODATA)
		escaped(name);
}

static bool can_bind(const char *name)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int s = socket(AF_UNIX, SOCK_STREAM, 0), r = -1;

	if (snprintf(un.sun_path, sizeof(un.sun_path), "%s", name) < (int)sizeof(un.sun_path))
		r = bind(s, (struct sockaddr *)&un, sizeof(un));
	close(s);
	return !r;
}

/* Beside it something new, of each kind; its folder is there outside only. */
static void judge_making(const char *beside)
{
	char name[PATH_MAX + 8];
	int fd;

	snprintf(name, sizeof(name), "%s.new", beside);
	tried += 7;
	fd = open(name, O_CREAT | O_WRONLY, 0644);
	if (fd >= 0 || !unlink(name))
		escaped("a new file");
	close(fd);
	if (!mkdir(name, 0755) && !rmdir(name))
		escaped("a new folder");
	if ((!mkfifo(name, 0644) || !symlink("x", name) || can_bind(name)) && !unlink(name))
		escaped("a new name");
	close(open("own", O_CREAT | O_WRONLY, 0644));
	if (!link("own", name) || !rename("own", name))
		escaped("a file moved there");
	unlink(name);
}

static void judge_name(int dir, const char *name)
{
	struct stat st;
	int fd;

	judge_fd(openat(dir, name, O_RDONLY), name);
	judge_fd(openat(dir, name, O_RDWR), name);
	/* Opened as a place only, then read through its link. */
	fd = openat(dir, name, O_PATH);
	if (fd >= 0) {
		char link[64];

		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		judge_fd(open(link, O_RDONLY), name);
		close(fd);
	}
	if (!fstatat(dir, name, &st, 0) && S_ISREG(st.st_mode) && st.st_size == 7)
		escaped(name);
	judge_calls(dir, name);
	if (!linkat(dir, name, AT_FDCWD, "stolen", AT_SYMLINK_FOLLOW)) {
		judge_fd(open("stolen", O_RDONLY), "linkat");
		unlink("stolen");
	}
	if (!renameat(dir, name, AT_FDCWD, "stolen"))
		judge_fd(open("stolen", O_RDONLY), "renameat");
	unlink("stolen");
}

/* ---- names ---------------------------------------------------------------------- */

static void try_prefixes(void)
{
	static const char *const prefixes[] = {
		"",
		"/..",
		"/../../../../../../..",
		"/proc/self/root",
		"/proc/self/root/..",
		"/proc/1/root",
		"/proc/2/root",
		"/proc/self/cwd/../../../../..",
		"/proc/self/task/1/root",
		"/proc/self/../1/root",
		"/proc/thread-self/root/..",
		"/proc/sys/../1/root",
		"/dev/fd/../root",
		"/dev/../proc/1/root",
		"../../../../../../..",
		"../../../../../../../proc/1/root",
		"//proc//1//root",
		"./../../../../proc/self/root",
		"/proc/100/root",
		"/proc/100/cwd/../../..",
		"/sys/../..",
		"/dev/shm/../../../..",
		"/dev/pts/../../..",
	};
	char name[PATH_MAX];
	size_t i;

	for (i = 0; i < sizeof(prefixes) / sizeof(*prefixes); i++) {
		snprintf(name, sizeof(name), "%s%s", prefixes[i], secret);
		judge_name(AT_FDCWD, name);
		judge_making(name);
		unlink("way");
		if (!symlink(name, "way"))
			judge_name(AT_FDCWD, "way");
		unlink("way");
		/* A link to the folder, and the rest of the name behind it. */
		if (!symlink(*prefixes[i] ? prefixes[i] : "/", "way")) {
			snprintf(name, sizeof(name), "way%s", secret);
			judge_name(AT_FDCWD, name);
			snprintf(name, sizeof(name), "way/../../../../..%s", secret);
			judge_name(AT_FDCWD, name);
		}
		unlink("way");
	}
}

/* Processes of the host, umm itself among them, and their links. */
static void try_pids(void)
{
	static const char *const links[] = {
		"root", "cwd", "fd/0", "fd/3", "fd/5", "fd/9", "fd/12"
	};
	char name[PATH_MAX];
	size_t i;
	int pid;

	for (pid = 1; pid < 400; pid++)
		for (i = 0; i < sizeof(links) / sizeof(*links); i++) {
			snprintf(name, sizeof(name), "/proc/%d/%s%s", pid, links[i], secret);
			judge_fd(open(name, O_RDONLY), name);
			unlink("way");
			if (!symlink(name, "way"))
				judge_fd(open("way", O_RDONLY), name);
		}
	unlink("way");
}

/* ---- folders ------------------------------------------------------------------------ */

/* Up from @dir, and from wherever its own links lead. */
static void try_from(int dir, const char *how)
{
	static const char *const up[] = { "..",     "../..",     "../../../../../../../..",
					  "1/root", "self/root", "../1/root" };
	struct open_how no_links = { .flags = O_RDONLY, .resolve = RESOLVE_NO_SYMLINKS };
	char name[PATH_MAX];
	size_t i;

	for (i = 0; i < sizeof(up) / sizeof(*up); i++) {
		snprintf(name, sizeof(name), "%s%s", up[i], secret);
		judge_fd(openat(dir, name, O_RDONLY), how);
		judge_fd((int)syscall(SYS_openat2, dir, name, &no_links, sizeof(no_links)), how);
	}
	if (!fchdir(dir)) {
		for (i = 0; i < 40; i++)
			if (chdir(".."))
				break;
		judge_name(AT_FDCWD, secret + 1);
	}
}

/* A folder that travelled through a socket is another descriptor of the host. */
static int sent_to_myself(int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = "", byte = 'x';
	struct iovec v = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &v,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	int pair[2], got = -1;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		return -1;
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(int));
	if (sendmsg(pair[0], &msg, 0) == 1 && recvmsg(pair[1], &msg, 0) == 1 &&
	    msg.msg_controllen >= CMSG_LEN(sizeof(int)))
		memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(int));
	close(pair[0]);
	close(pair[1]);
	return got;
}

static void try_folders(const char *home)
{
	static const char *const dirs[] = { "/",
					    ".",
					    "..",
					    "/proc",
					    "/proc/self",
					    "/proc/self/fd",
					    "/proc/self/task",
					    "/proc/sys",
					    "/proc/sys/kernel",
					    "/sys",
					    "/sys/devices/system/node",
					    "/dev",
					    "/dev/shm",
					    "/dev/pts",
					    "/proc/1",
					    "/tmp" };
	size_t i;
	int how, fd, again;

	for (i = 0; i < sizeof(dirs) / sizeof(*dirs); i++)
		for (how = 0; how < 2; how++) {
			fd = open(dirs[i], how ? O_PATH | O_DIRECTORY : O_RDONLY | O_DIRECTORY);
			if (fd < 0)
				continue;
			try_from(fd, dirs[i]);
			again = sent_to_myself(fd);
			if (again >= 0)
				try_from(again, "a folder sent through a socket");
			close(again);
			close(fd);
			if (!chdir(dirs[i]))
				try_from(AT_FDCWD, dirs[i]);
			if (chdir(home))
				exit(2);
		}
	/* What was open before the program began. */
	for (fd = 0; fd < 1024; fd++)
		try_from(fd, "an inherited descriptor");
	if (chdir(home))
		exit(2);
}

/* ---- calls that are about roots and mounts ------------------------------------------- */

static void try_roots(const char *home)
{
	int dir = open("/", O_RDONLY | O_DIRECTORY), i;

	mkdir("jail", 0755);
	if (!chroot("jail")) {
		/* The old way out: a folder above the new root. */
		if (!fchdir(dir))
			for (i = 0; i < 40; i++)
				if (chdir(".."))
					break;
		if (chroot("."))
			perror("chroot");
		judge_name(AT_FDCWD, secret);
	}
	close(dir);
	mkdir("mnt", 0755);
	tried += 5;
	if (!mount("/proc/1/root", "mnt", NULL, MS_BIND, NULL) ||
	    !mount("proc", "mnt", "proc", 0, NULL) || !mount("sysfs", "mnt", "sysfs", 0, NULL) ||
	    !mount("devtmpfs", "mnt", "devtmpfs", 0, NULL))
		escaped("mount");
	if (!unshare(CLONE_NEWNS) || !unshare(CLONE_NEWUSER))
		escaped("unshare");
	if (!umount2("/proc", MNT_DETACH) || !umount2("/dev", MNT_DETACH))
		escaped("umount");
	if (syscall(SYS_pivot_root, ".", ".") == 0)
		escaped("pivot_root");
	if (!mknod("disk", S_IFBLK | 0600, 254 << 8) || !mknod("mem", S_IFCHR | 0600, 1 << 8 | 1))
		escaped("mknod");
	if (chdir(home))
		exit(2);
}

static void try_sockets(void)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int s = socket(AF_UNIX, SOCK_STREAM, 0), watch = inotify_init1(IN_NONBLOCK);

	tried += 3;
	/* Beside the secret listens a socket of the host's. */
	snprintf(un.sun_path, sizeof(un.sun_path), "%s.sock", secret);
	if (!connect(s, (struct sockaddr *)&un, sizeof(un)))
		escaped("connect to a socket outside");
	snprintf(un.sun_path, sizeof(un.sun_path), "/proc/1/root%s.sock", secret);
	if (!connect(s, (struct sockaddr *)&un, sizeof(un)))
		escaped("connect through /proc");
	if (inotify_add_watch(watch, secret, IN_ALL_EVENTS) >= 0)
		escaped("inotify");
	close(s);
	close(watch);
}

/* ---- races ------------------------------------------------------------------------------ */

static volatile bool racing = true;

/* Folders move to and fro under the names that the main thread walks. */
static void *shuffle(void *arg)
{
	(void)arg;
	while (racing) {
		rename("race/a/b", "race/b");
		rename("race/b", "race/a/b");
		unlink("race/turn");
		if (symlink("/", "race/turn"))
			continue;
		unlink("race/turn");
		if (mkdir("race/turn", 0755))
			continue;
		rmdir("race/turn");
	}
	return NULL;
}

static void try_races(void)
{
	char up[PATH_MAX], turn[PATH_MAX];
	pthread_t thread;
	int i, deep;

	/* Where nothing can be written, nobody can race. */
	if (mkdir("race", 0755))
		return;
	mkdir("race/a", 0755);
	mkdir("race/a/b", 0755);
	mkdir("race/a/b/c", 0755);
	mkdir("race/a/b/c/d", 0755);
	deep = open("race/a/b/c/d", O_RDONLY | O_DIRECTORY);
	snprintf(up, sizeof(up), "../../../../../../../../../..%s", secret);
	snprintf(turn, sizeof(turn), "race/turn/../../../../../..%s", secret);
	if (deep < 0 || pthread_create(&thread, NULL, shuffle, NULL))
		exit(2);
	for (i = 0; i < 4000; i++) {
		judge_fd(openat(deep, up, O_RDONLY), "a rename race");
		judge_fd(open(turn, O_RDONLY), "a link race");
	}
	racing = false;
	pthread_join(thread, NULL);
}

/* A program outside, told of by its name, by #! and by the interpreter. */
static void try_exec(void)
{
	char *const argv[] = { (char *)secret, NULL }, *const envp[] = { NULL };
	char text[PATH_MAX + 8];
	int fd = open("script", O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0755), n;

	snprintf(text, sizeof(text), "#!%s.sh\n", secret);
	n = fd < 0 ? 0 : (int)write(fd, text, strlen(text));
	close(fd);
	tried += 2;
	if (n > 0 && !fork_flushed()) {
		execve("script", argv, envp);
		_exit(0);
	}
	if (wait(&n) > 0 && WIFEXITED(n) && WEXITSTATUS(n) == 77)
		escaped("a script's interpreter outside");
}

/*
 * This program again, its note made the name of an interpreter outside. If that is there it is no
 * program, and the answer is another one.
 */
static void try_interpreter(void)
{
	char *const argv[] = { (char *)"elf", NULL }, *const envp[] = { NULL };
	int from = open("/proc/self/exe", O_RDONLY);
	int to = open("elf", O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0755), i, status = 0;
	off_t size = lseek(from, 0, SEEK_END);
	char *image = malloc((size_t)size);
	Elf64_Ehdr *header = (Elf64_Ehdr *)image;
	Elf64_Phdr *ph;

	tried++;
	/* Where nothing can be written there is no such program. */
	if (to < 0)
		goto out;
	if (pread(from, image, (size_t)size, 0) != size)
		exit(2);
	ph = (Elf64_Phdr *)(image + header->e_phoff);
	for (i = 0; i < header->e_phnum && ph[i].p_type != PT_NOTE; i++)
		;
	if (i == header->e_phnum)
		exit(2);
	ph[i].p_type = PT_INTERP;
	ph[i].p_offset = (Elf64_Off)size;
	ph[i].p_filesz = ph[i].p_memsz = strlen(secret) + 1;
	if (write(to, image, (size_t)size) != size ||
	    write(to, secret, strlen(secret) + 1) != (ssize_t)strlen(secret) + 1)
		exit(2);
	close(to);
	if (!fork_flushed()) {
		execve("elf", argv, envp);
		_exit(errno != ENOENT);
	}
	if (wait(&status) < 0 || status)
		escaped("a program's interpreter outside");
out:
	close(from);
	free(image);
}

/* The devices within are the host's: they may be used, and stay as they are. */
static void try_devices(void)
{
	struct stat st;

	tried += 2;
	if (stat("/dev/null", &st))
		return;
	if (!chmod("/dev/null", st.st_mode & 07777) || !chown("/dev/null", st.st_uid, st.st_gid))
		escaped("the mode or owner of /dev/null");
}

int main(int argc, char **argv)
{
	char home[PATH_MAX];

	if (argc != 2 || !getcwd(home, sizeof(home)))
		return 2;
	secret = argv[1];
	try_prefixes();
	try_pids();
	try_folders(home);
	try_roots(home);
	try_sockets();
	try_races();
	try_exec();
	try_interpreter();
	try_devices();
	printf("tried %d, out %d\n", tried, out);
	return out != 0;
}
