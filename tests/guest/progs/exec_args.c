/* SPDX-License-Identifier: MIT */
/* execve: arguments, environment, what survives, `#!` lines, errors; /proc/self/exe. */
#include <sys/auxv.h>

#include "progs.h"

static char *self;

static int report_self(int argc, char **argv, char **envp)
{
	char exe[4096] = "";
	sigset_t mask;
	int i;

	for (i = 0; i < argc; i++)
		printf("  argv[%d] = %.40s (%zu)\n", i, argv[i], strlen(argv[i]));
	for (i = 0; envp[i]; i++)
		printf("  envp[%d] = %s\n", i, envp[i]);
	if (readlink("/proc/self/exe", exe, sizeof(exe) - 1) > 0)
		printf("  exe = %s\n", strrchr(exe, '/'));
	sigprocmask(SIG_BLOCK, NULL, &mask);
	printf("  USR1 blocked %d, USR2 ignored %d, HUP caught %d\n", sigismember(&mask, SIGUSR1),
	       signal(SIGUSR2, SIG_DFL) == SIG_IGN, signal(SIGHUP, SIG_DFL) != SIG_DFL);
	printf("  fd 40 %s, fd 41 %s\n", fcntl(40, F_GETFD) < 0 ? "closed" : "open",
	       fcntl(41, F_GETFD) < 0 ? "closed" : "open");
	printf("  page size %lu, execfn %s, secure %lu, random %d\n", getauxval(AT_PAGESZ),
	       strrchr((char *)getauxval(AT_EXECFN), '/'), getauxval(AT_SECURE),
	       getauxval(AT_RANDOM) != 0);
	return 0;
}

/* argv may be bad on purpose: not char **, which the compiler would look through. */
static void run(const char *what, const char *path, void *argv, void *envp)
{
	pid_t pid;

	printf("-- %s\n", what);
	pid = fork_flushed();
	if (!pid) {
		execve(path, argv, envp);
		printf("  %s\n", strerrorname_np(errno));
		child_exit(99);
	}
	show_child(what, pid);
}

static void ignore_nothing(int number)
{
	(void)number;
}

static void test_survival(void)
{
	char *argv[] = { "renamed", "report", "", "a b", NULL };
	char *envp[] = { "A=1", "EMPTY=", NULL };
	pid_t pid = fork_flushed();

	if (!pid) {
		sigset_t mask;

		sigemptyset(&mask);
		sigaddset(&mask, SIGUSR1);
		sigprocmask(SIG_BLOCK, &mask, NULL);
		signal(SIGUSR2, SIG_IGN);
		signal(SIGHUP, ignore_nothing);
		dup3(0, 40, 0);
		dup3(0, 41, O_CLOEXEC);
		execve(self, argv, envp);
		child_exit(99);
	}
	show_child("survival", pid);
}

static void make_script(const char *name, const char *text, mode_t mode)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0700);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		perror(name);
	close(fd);
	chmod(name, mode);
}

static void test_scripts(void)
{
	char *argv[] = { "script", "x", "y z", NULL }, *envp[] = { "PATH=/usr/bin:/bin", NULL };
	char line[4096];

	make_script("plain", "#!/bin/sh\necho \"$#: $1,$2\"; exit 3\n", 0700);
	run("a shell script", "./plain", argv, envp);
	make_script("option", "#! /bin/sh -e\nfalse\necho not reached\n", 0700);
	run("with an option", "./option", argv, envp);
	make_script("twice", "#!./plain again\n", 0700);
	run("a script run by a script", "./twice", argv, envp);
	make_script("loop", "#!./loop\n", 0700);
	run("a script run by itself", "./loop", argv, envp);
	make_script("missing", "#!/nonexistent/interpreter\n", 0700);
	run("a missing interpreter", "./missing", argv, envp);
	make_script("empty", "", 0700);
	run("an empty file", "./empty", argv, envp);
	make_script("text", "echo no interpreter line\n", 0700);
	run("no interpreter line", "./text", argv, envp);
	make_script("bare", "#!\n", 0700);
	run("a bare #!", "./bare", argv, envp);
	make_script("forbidden", "#!/bin/sh\n", 0600);
	run("not executable", "./forbidden", argv, envp);
	snprintf(line, sizeof(line), "#!%s report\n", self);
	make_script("mine", line, 0700);
	run("this program as interpreter", "./mine", argv, envp);
}

static void test_errors(void)
{
	char *argv[] = { "x", NULL }, *none[] = { NULL };
	char *huge = malloc(200000), *huge_argv[] = { "x", huge, NULL };
	char elf[64] = "\177ELF\2\1\1";

	run("a folder", "/", argv, none);
	run("a missing file", "/nonexistent", argv, none);
	run("a file as folder", "/bin/sh/x", argv, none);
	run("an empty path", "", argv, none);
	make_script("broken",
		    "\177ELF garbage garbage garbage garbage garbage garbage garbage"
		    " garbage garbage garbage",
		    0700);
	run("a broken ELF file", "./broken", argv, none);
	make_script("short", elf, 0700);
	run("a truncated ELF file", "./short", argv, none);
	memset(huge, 'h', 199999);
	huge[199999] = 0;
	run("an argument over 128 KiB", self, huge_argv, none);
	run("a bad argv", self, (void *)8, none);
	free(huge);
}

static void test_long_arguments(void)
{
	char *big = malloc(100000), *argv[] = { "long", "report", big, big, NULL };
	char *none[] = { NULL };

	memset(big, 'b', 99999);
	big[99999] = 0;
	run("long arguments", self, argv, none);
	free(big);
}

int main(int argc, char **argv, char **envp)
{
	static char path[4096];

	if (argc > 1 && !strcmp(argv[1], "report"))
		return report_self(argc, argv, envp);
	if (readlink("/proc/self/exe", path, sizeof(path) - 1) < 0)
		return 2;
	self = path;
	test_survival();
	test_scripts();
	test_errors();
	test_long_arguments();
	return 0;
}
