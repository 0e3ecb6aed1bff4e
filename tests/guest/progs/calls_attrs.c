/* SPDX-License-Identifier: MIT */
/*
 * Extended attributes and inotify, call by call: what each gives, and each errno that a program can
 * provoke.
 */
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>

#include "calls.h"

/* ---- extended attributes ---------------------------------------------------------------------- */

/* The names in their order of the alphabet: a file system may give them in any. */
static void show_names(const char *file)
{
	static const char *const names[] = { "user.a", "user.b", "user.empty" };
	char list[1024];
	ssize_t n = listxattr(file, list, sizeof(list)), at;
	size_t i;

	printf("%zd bytes:", n);
	for (i = 0; i < sizeof(names) / sizeof(*names); i++)
		for (at = 0; at < n; at += (ssize_t)strlen(list + at) + 1)
			if (!strcmp(list + at, names[i]))
				printf(" %s", names[i]);
	puts("");
}

static void test_attribute_errors(int file)
{
	static char large[70000], long_name[300] = "user.";
	char text[16];

	memset(long_name + 5, 'n', 260);
	SHOW(setxattr("plain", "user.a", "value", 5, XATTR_CREATE));
	SHOW(setxattr("plain", "user.none", "value", 5, XATTR_REPLACE));
	SHOW(setxattr("plain", "user.a", "value", 5, 4));
	SHOW(setxattr("plain", "user.a", large, sizeof(large), 0));
	SHOW(setxattr("plain", long_name, "value", 5, 0));
	SHOW(setxattr("plain", "", "value", 5, 0));
	SHOW(setxattr("plain", "user.", "value", 5, 0));
	SHOW(setxattr("plain", "noclass", "value", 5, 0));
	SHOW(setxattr("plain", "strange.a", "value", 5, 0));
	SHOW(setxattr("plain", "system.strange", "value", 5, 0));
	SHOW(setxattr("plain", BAD, "value", 5, 0));
	SHOW(setxattr("plain", "user.c", BAD, 5, 0));
	SHOW(setxattr(BAD, "user.c", "value", 5, 0));
	SHOW(setxattr("nothing", "user.c", "value", 5, 0));
	SHOW(fsetxattr(-1, "user.c", "value", 5, 0));
	SHOW(getxattr("plain", "user.none", text, 16));
	SHOW(getxattr("plain", "user.a", text, 2));
	SHOW(getxattr("plain", "user.a", BAD, 16));
	SHOW(getxattr("plain", "user.a", NULL, 0));
	SHOW(getxattr("plain", "", text, 16));
	SHOW(getxattr("plain", BAD, text, 16));
	SHOW(getxattr("nothing", "user.a", text, 16));
	SHOW(getxattr("plain", "user.a", text, (size_t)-1));
	SHOW(fgetxattr(-1, "user.a", text, 16));
	SHOW(listxattr("plain", text, 2));
	SHOW(listxattr("plain", BAD, 100) < 0 ? -1 : 0);
	SHOW(listxattr("nothing", text, 2));
	SHOW(flistxattr(-1, text, 2));
	SHOW(removexattr("plain", "user.none"));
	SHOW(removexattr("plain", ""));
	SHOW(removexattr("plain", BAD));
	SHOW(removexattr("nothing", "user.a"));
	SHOW(fremovexattr(-1, "user.a"));
	SHOW(fremovexattr(file, "user.none"));
}

static void test_attributes(void)
{
	int file = file_make("plain", 1), p[2], path = open("plain", O_PATH);
	char text[32] = "";

	printf("-- extended attributes\n");
	pipe_make(p);
	SHOW(symlink("plain", "link"));
	SHOW(mkfifo("fifo", 0600));
	SHOW(setxattr("plain", "user.a", "value", 5, 0));
	SHOW(setxattr("link", "user.b", "of the target", 13, XATTR_CREATE));
	SHOW(fsetxattr(file, "user.empty", NULL, 0, 0));
	test_attribute_errors(file);
	SHOW(setxattr("plain", "user.a", "changed", 7, XATTR_REPLACE));
	SHOW(getxattr("link", "user.a", text, 32));
	puts(text);
	SHOW(fgetxattr(file, "user.b", text, 32));
	SHOW(getxattr("plain", "user.empty", text, 32));
	show_names("plain");
	SHOW(lgetxattr("link", "user.a", text, 32));
	SHOW(lsetxattr("link", "user.a", "value", 5, 0));
	SHOW(setxattr("fifo", "user.a", "value", 5, 0));
	SHOW(getxattr("fifo", "user.a", text, 32));
	SHOW(setxattr(".", "user.a", "value", 5, 0));
	SHOW(removexattr(".", "user.a"));
	SHOW(fsetxattr(p[0], "user.a", "value", 5, 0));
	SHOW(fgetxattr(p[0], "user.a", text, 32));
	SHOW(fgetxattr(path, "user.a", text, 32));
	SHOW(fsetxattr(path, "user.a", "value", 5, 0));
	SHOW(getxattr("/proc/self/status", "user.a", text, 32));
	SHOW(setxattr("/proc/self/status", "user.a", "value", 5, 0));
	SHOW(fremovexattr(file, "user.a"));
	SHOW(removexattr("link", "user.b"));
	SHOW(lremovexattr("link", "user.b"));
	show_names("plain");
	unlink("link");
	unlink("fifo");
	close_two(p[0], p[1]);
	close_two(file, path);
}

/* ---- inotify ------------------------------------------------------------------------------------- */

/* What there is to read now; watches by the order in which they were made. */
static void show_events(int fd)
{
	char buf[4096] __attribute__((aligned(8)));
	ssize_t n = read(fd, buf, sizeof(buf)), at;
	const struct inotify_event *e;

	if (n < 0)
		printf("   %s\n", strerrorname_np(errno));
	for (at = 0; at < n; at += (ssize_t)(sizeof(*e) + e->len)) {
		e = (const struct inotify_event *)(buf + at);
		printf("   watch %d mask %x cookie %d name %s\n", e->wd, e->mask, e->cookie != 0,
		       e->len ? e->name : "-");
	}
}

static void test_watching(void)
{
	int n = inotify_init1(IN_NONBLOCK | IN_CLOEXEC), file, left = 0, folder, one;
	char text[16];

	printf("-- inotify\n");
	SHOW(inotify_init1(1));
	SHOW(mkdir("watched", 0700));
	folder = inotify_add_watch(n, "watched", IN_ALL_EVENTS);
	printf("watch %d\n", folder);
	SHOW(read(n, text, 16));
	file = open("watched/a", O_RDWR | O_CREAT, 0600);
	SHOW(write(file, "x", 1));
	SHOW(pread(file, text, 1, 0));
	SHOW(fchmod(file, 0640));
	close(file);
	SHOW(read(n, text, 8));
	SHOW(ioctl(n, FIONREAD, &left));
	printf("to read %d\n", left);
	show_events(n);
	SHOW(rename("watched/a", "watched/b"));
	SHOW(rename("watched/b", "outside"));
	show_events(n);
	one = inotify_add_watch(n, "outside", IN_MODIFY | IN_DELETE_SELF | IN_ONESHOT);
	printf("watch %d\n", one);
	SHOW(truncate("outside", 5));
	SHOW(truncate("outside", 6));
	show_events(n);
	SHOW(inotify_rm_watch(n, one));
	SHOW(inotify_add_watch(n, "watched", IN_CREATE));
	SHOW(inotify_add_watch(n, "watched", IN_DELETE | IN_MASK_ADD));
	SHOW(inotify_add_watch(n, "watched", IN_DELETE | IN_MASK_CREATE));
	SHOW(inotify_add_watch(n, "outside", IN_OPEN | IN_ONLYDIR));
	SHOW(mkdir("watched/d", 0700));
	SHOW(rmdir("watched/d"));
	show_events(n);
	SHOW(rmdir("watched"));
	show_events(n);
	SHOW(inotify_rm_watch(n, folder));
	SHOW(unlink("outside"));
	close(n);
}

static void test_watch_errors(void)
{
	int n = inotify_init1(0), file = file_make("plain", 1), w;
	char buf[4096];

	printf("-- inotify: mistakes\n");
	SHOW(symlink("plain", "link"));
	SHOW(symlink("nothing", "broken"));
	SHOW(inotify_add_watch(-1, "plain", IN_OPEN));
	SHOW(inotify_add_watch(file, "plain", IN_OPEN));
	SHOW(inotify_add_watch(n, "plain", 0));
	SHOW(inotify_add_watch(-1, "plain", 0));
	SHOW(inotify_add_watch(n, "plain", IN_MASK_ADD | IN_MASK_CREATE | IN_OPEN));
	SHOW(inotify_add_watch(n, "nothing", IN_OPEN));
	SHOW(inotify_add_watch(n, "nothing", 0));
	SHOW(inotify_add_watch(n, "", IN_OPEN));
	SHOW(inotify_add_watch(n, BAD, IN_OPEN));
	SHOW(inotify_add_watch(n, "broken", IN_OPEN));
	w = inotify_add_watch(n, "link", IN_OPEN);
	printf("watch %d\n", w);
	SHOW(inotify_add_watch(n, "plain", IN_CLOSE));
	SHOW(inotify_add_watch(n, "link", IN_OPEN | IN_DONT_FOLLOW));
	SHOW(inotify_add_watch(n, "broken", IN_OPEN | IN_DONT_FOLLOW));
	SHOW(inotify_rm_watch(n, 99));
	SHOW(inotify_rm_watch(-1, w));
	SHOW(inotify_rm_watch(file, w));
	close(open("plain", O_RDONLY));
	SHOW(read(n, BAD, sizeof(buf)));
	SHOW(write(n, "x", 1));
	SHOW(inotify_rm_watch(n, w));
	show_events(n);
	alarm_in(30, 0);
	SHOW(read(n, buf, sizeof(buf)));
	alarm_in(0, 0);
	close_two(n, file);
	unlink("link");
	unlink("broken");
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	test_attributes();
	test_watching();
	test_watch_errors();
	return 0;
}
