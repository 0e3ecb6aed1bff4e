/* SPDX-License-Identifier: MIT */
/* umm's own seccomp filter: each case is a child process that enters it and makes calls. */
#include "tests/unit/util.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/cmd.h"
#include "vmm/seccomp.h"

#define WENT_ON   77 /* exit status of a child whose call came back */
#define NO_FILTER 78

/* A call with arguments that would do nothing, were it made. */
struct call {
	long nr;
	const char *name;
	long a[5];
};

static const struct call forbidden[] = {
	{ SYS_ptrace, "ptrace", { 99 } },
	{ SYS_kexec_load, "kexec_load", { 0, 99 } },
	{ SYS_init_module, "init_module", { 0 } },
	{ SYS_finit_module, "finit_module", { -1 } },
	{ SYS_delete_module, "delete_module", { 0 } },
	{ SYS_mount, "mount", { 0 } },
	{ SYS_umount2, "umount2", { 0 } },
	{ SYS_pivot_root, "pivot_root", { 0 } },
	{ SYS_move_mount, "move_mount", { -1 } },
	{ SYS_mount_setattr, "mount_setattr", { -1 } },
	{ SYS_chroot, "chroot", { 0 } },
	{ SYS_setns, "setns", { -1 } },
	{ SYS_unshare, "unshare", { 0x10000000 } },
	{ SYS_unshare, "unshare", { CLONE_FS | CLONE_NEWNS } },
	{ SYS_bpf, "bpf", { -1 } },
	{ SYS_perf_event_open, "perf_event_open", { 0 } },
	{ SYS_keyctl, "keyctl", { -1 } },
	{ SYS_add_key, "add_key", { 0 } },
	{ SYS_reboot, "reboot", { 0 } },
	{ SYS_swapon, "swapon", { 0 } },
	{ SYS_sethostname, "sethostname", { 0, -1 } },
	{ SYS_settimeofday, "settimeofday", { 1, 1 } },
	{ SYS_iopl, "iopl", { 99 } },
	{ SYS_process_vm_readv, "process_vm_readv", { 0 } },
	{ SYS_process_vm_writev, "process_vm_writev", { 0 } },
	{ SYS_pidfd_getfd, "pidfd_getfd", { -1 } },
	{ SYS_open_by_handle_at, "open_by_handle_at", { -1 } },
	{ SYS_execve, "execve", { 0 } },
	{ SYS_fork, "fork", { 0 } },
	{ SYS_clone, "clone", { SIGCHLD } },
	{ SYS_clone, "clone", { CLONE_VM | CLONE_THREAD | CLONE_SIGHAND | CLONE_NEWNET } },
	{ SYS_kill, "kill", { 1, 0 } },
	{ SYS_kill, "kill", { -1, 0 } },
	{ SYS_tgkill, "tgkill", { 1, 1, 0 } },
	{ SYS_prctl, "prctl", { PR_SET_DUMPABLE, 1 } },
	{ SYS_prlimit64, "prlimit64", { 1, 0 } },
	{ SYS_fcntl, "fcntl", { -1, F_SETOWN, 1 } },
	{ SYS_fcntl, "fcntl", { -1, F_SETOWN_EX, 0 } },
	{ SYS_fcntl, "fcntl", { -1, F_SETSIG, 9 } },
	{ SYS_fcntl, "fcntl", { -1, F_SETLEASE, 0 } },
	{ SYS_mknodat, "mknodat", { -1, 0, S_IFBLK } },
	{ SYS_mknod, "mknod", { 0, S_IFCHR } },
	{ SYS_seccomp, "seccomp", { -1 } },
	{ SYS_userfaultfd, "userfaultfd", { -1 } },
	/* What umm does by newer calls, or has no use for. */
	{ SYS_open, "open", { 0 } },
	{ SYS_creat, "creat", { 0 } },
	{ SYS_rename, "rename", { 0 } },
	{ SYS_truncate, "truncate", { 0 } },
	{ SYS_dup, "dup", { -1 } },
	{ SYS_dup2, "dup2", { -1 } },
	{ SYS_close_range, "close_range", { 1, 0 } },
	{ SYS_vmsplice, "vmsplice", { -1 } },
	{ SYS_io_uring_register, "io_uring_register", { -1 } },
	{ SYS_mlock, "mlock", { 0 } },
	{ SYS_set_mempolicy, "set_mempolicy", { -1 } },
	{ SYS_migrate_pages, "migrate_pages", { 0 } },
	{ SYS_mbind, "mbind", { 0 } },
	{ SYS_signalfd4, "signalfd4", { -1 } },
	{ SYS_rt_sigsuspend, "rt_sigsuspend", { 1, 1 } },
	{ 1000, "unknown", { 0 } },
};

static void make_call(const struct call *c)
{
	syscall(c->nr, c->a[0], c->a[1], c->a[2], c->a[3], c->a[4]);
	_exit(WENT_ON);
}

/* Runs @child(@arg) in a process whose stderr comes back in @text; its wait status. */
static int in_child(void (*child)(const void *arg), const void *arg, char *text, size_t size)
{
	int p[2], status = -1;
	ssize_t n;
	pid_t pid;

	if (pipe(p))
		return -1;
	fflush(stdout);
	pid = fork();
	if (!pid) {
		dup2(p[1], STDERR_FILENO);
		child(arg);
		_exit(0);
	}
	close(p[1]);
	n = read(p[0], text, size - 1);
	text[n > 0 ? n : 0] = 0;
	close(p[0]);
	waitpid(pid, &status, 0);
	return status;
}

static void filtered(const void *arg)
{
	if (seccomp_start(SECCOMP_ON, NULL))
		_exit(NO_FILTER);
	make_call(arg);
}

static void unfiltered(const void *arg)
{
	if (seccomp_start(SECCOMP_OFF, NULL))
		_exit(NO_FILTER);
	make_call(arg);
}

static void logged(const void *arg)
{
	if (seccomp_start(SECCOMP_LOG, NULL))
		_exit(NO_FILTER);
	make_call(arg);
}

static void test_forbidden(void)
{
	char text[512], named[64];
	int status;

	for (size_t i = 0; i < ARRAY_LEN(forbidden); i++) {
		status = in_child(filtered, &forbidden[i], text, sizeof(text));
		snprintf(named, sizeof(named), "%ld (%s)", forbidden[i].nr, forbidden[i].name);
		if (!WIFEXITED(status) || WEXITSTATUS(status) != CMD_NOT_STARTED ||
		    !strstr(text, named))
			printf("%s: status %#x, '%s'\n", named, (unsigned int)status, text);
		CU_ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == CMD_NOT_STARTED);
		CU_ASSERT_PTR_NOT_NULL(strstr(text, named));
	}
}

/* Without the filter, or only logged, the call comes back. */
static void test_off(void)
{
	static const struct call harmless = { SYS_ptrace, "ptrace", { 99 } };
	char text[512];

	CU_ASSERT_EQUAL(WEXITSTATUS(in_child(unfiltered, &harmless, text, sizeof(text))), WENT_ON);
	CU_ASSERT_EQUAL(WEXITSTATUS(in_child(logged, &harmless, text, sizeof(text))), WENT_ON);
}

/* ---- threads that were there before -------------------------------------------- */

static volatile bool go;

static void *wait_and_call(void *arg)
{
	while (!go)
		sched_yield();
	make_call(arg);
	return NULL;
}

static void filtered_late(const void *arg)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, wait_and_call, (void *)(uintptr_t)arg) ||
	    seccomp_start(SECCOMP_ON, NULL))
		_exit(NO_FILTER);
	go = true;
	pthread_join(thread, NULL);
}

static void test_other_threads(void)
{
	static const struct call c = { SYS_mount, "mount", { 0 } };
	char text[512];
	int status = in_child(filtered_late, &c, text, sizeof(text));

	CU_ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == CMD_NOT_STARTED);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "(mount)"));
}

/* ---- what must go on -------------------------------------------------------------- */

static void *nothing(void *arg)
{
	return arg;
}

static void ordinary(const void *arg)
{
	char name[] = "/tmp/umm-seccomp-XXXXXX";
	pthread_t thread;
	int fd;

	(void)arg;
	if (seccomp_start(SECCOMP_ON, NULL))
		_exit(NO_FILTER);
	/* clone3() is ENOSYS, so libc takes clone(). */
	if (pthread_create(&thread, NULL, nothing, NULL) || pthread_join(thread, NULL))
		_exit(1);
	fd = mkstemp(name);
	if (fd < 0 || unlink(name) || mkfifo(name, 0600) || unlink(name))
		_exit(2);
	if (unshare(CLONE_FS) || chdir("/") || prctl(PR_SET_NAME, "x") || raise(0))
		_exit(3);
	if (!malloc(64 << 20) || !fopen("/proc/self/status", "r"))
		_exit(4);
	_exit(WENT_ON);
}

static void test_allowed(void)
{
	char text[512];
	int status = in_child(ordinary, NULL, text, sizeof(text));

	CU_ASSERT_EQUAL(status, WENT_ON << 8);
	CU_ASSERT_STRING_EQUAL(text, "");
}

static void test_modes(void)
{
	enum seccomp_mode mode = SECCOMP_DEFAULT;

	CU_ASSERT_EQUAL(seccomp_mode_parse("on", &mode), 0);
	CU_ASSERT_EQUAL(mode, SECCOMP_ON);
	CU_ASSERT_EQUAL(seccomp_mode_parse("off", &mode), 0);
	CU_ASSERT_EQUAL(mode, SECCOMP_OFF);
	CU_ASSERT_EQUAL(seccomp_mode_parse("log", &mode), 0);
	CU_ASSERT_EQUAL(mode, SECCOMP_LOG);
	CU_ASSERT_EQUAL(seccomp_mode_parse("true", &mode), -EINVAL);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "modes", test_modes },
		{ "forbidden calls end the process by name", test_forbidden },
		{ "off and log let them through", test_off },
		{ "threads that were there before", test_other_threads },
		{ "ordinary calls go on", test_allowed },
	};

	return unit_run("seccomp", tests, ARRAY_LEN(tests), argc, argv);
}
