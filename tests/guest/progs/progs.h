/* SPDX-License-Identifier: MIT */
/*
 * What the self-tests share. Each is one program that prints a transcript of
 * what the system did; the transcript of the native run is the expectation for
 * the run in the guest. So it must hold nothing that differs between two
 * native runs: addresses are printed relative to a base, pids by role.
 */
#ifndef UMM_TESTS_PROGS_H
#define UMM_TESTS_PROGS_H

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096UL

/* A macro, to print the call as it is written. The call must say how it failed in errno. */
#define SHOW(call)                                \
	do {                                      \
		long show_result_;                \
		errno = 0;                        \
		show_result_ = (long)(call);      \
		show_result(#call, show_result_); \
	} while (0)

static inline void show_result(const char *call, long result)
{
	int error = errno;

	if (result == -1 && error)
		printf("%s: %s\n", call, strerrorname_np(error));
	else
		printf("%s: %ld\n", call, result);
}

/* For calls that answer with an address: its distance from base, in pages. */
static inline void show_address(const char *what, const void *p, const void *base)
{
	if (p == MAP_FAILED)
		printf("%s: %s\n", what, strerrorname_np(errno));
	else
		printf("%s: base%+ld pages\n", what,
		       ((long)(uintptr_t)p - (long)(uintptr_t)base) / (long)PAGE);
}

/* A stretch of address space to test in: reserved, then unmapped, base page aligned. */
static inline char *arena(size_t pages)
{
	char *p = mmap(NULL, pages * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		       -1, 0);

	if (p == MAP_FAILED || munmap(p, pages * PAGE)) {
		perror("arena");
		exit(2);
	}
	return p;
}

/* The VMAs between base and base + pages, as /proc/self/maps tells them. */
static inline void show_vmas(const char *title, const char *base, size_t pages)
{
	unsigned long start, end, offset, low = (unsigned long)base, high = low + pages * PAGE;
	char line[512], prot[8], name[256];
	FILE *maps = fopen("/proc/self/maps", "r");

	printf("-- %s\n", title);
	if (!maps) {
		perror("/proc/self/maps");
		exit(2);
	}
	while (fgets(line, sizeof(line), maps)) {
		name[0] = 0;
		if (sscanf(line, "%lx-%lx %7s %lx %*s %*s %255s", &start, &end, prot, &offset,
			   name) < 4)
			continue;
		if (end <= low || start >= high)
			continue;
		if (name[0] == '/')
			memmove(name, strrchr(name, '/'), strlen(strrchr(name, '/')) + 1);
		printf("   %ld-%ld %s %lx %s\n", (long)(start - low) / (long)PAGE,
		       (long)(end - low) / (long)PAGE, prot, offset, name);
	}
	fclose(maps);
}

static sigjmp_buf fault_jump;
static siginfo_t fault_info;

static inline void fault_caught(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)context;
	fault_info = *info;
	siglongjmp(fault_jump, 1);
}

static inline void fault_catch(void)
{
	struct sigaction action = { .sa_sigaction = fault_caught, .sa_flags = SA_SIGINFO };

	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGILL, &action, NULL);
	sigaction(SIGFPE, &action, NULL);
	sigaction(SIGTRAP, &action, NULL);
}

static inline const char *signal_name(int number)
{
	const char *name = sigabbrev_np(number);

	return name ? name : "?";
}

static inline void fault_show(const char *what, const char *base)
{
	printf("%s: SIG%s code %d at ", what, signal_name(fault_info.si_signo), fault_info.si_code);
	if (!fault_info.si_addr)
		printf("0\n");
	else if (base)
		printf("base%+ld\n", (long)((char *)fault_info.si_addr - base));
	else
		printf("somewhere\n");
}

static inline void try_read(const char *what, const volatile void *p, const char *base)
{
	if (sigsetjmp(fault_jump, 1))
		fault_show(what, base);
	else
		printf("%s: read %d\n", what, *(const volatile signed char *)p);
}

static inline void try_write(const char *what, volatile void *p, int value, const char *base)
{
	if (sigsetjmp(fault_jump, 1)) {
		fault_show(what, base);
		return;
	}
	*(volatile char *)p = (char)value;
	printf("%s: written, reads %d\n", what, *(volatile signed char *)p);
}

/* Waits for one child and prints how it ended. */
static inline void show_child(const char *what, pid_t pid)
{
	int status = 0;
	pid_t got;

	do
		got = waitpid(pid, &status, 0);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		printf("%s: waitpid: %s\n", what, strerrorname_np(errno));
	else if (WIFEXITED(status))
		printf("%s: exit %d\n", what, WEXITSTATUS(status));
	else if (WIFSIGNALED(status))
		printf("%s: killed by SIG%s\n", what, signal_name(WTERMSIG(status)));
	else
		printf("%s: status %#x\n", what, (unsigned int)status);
	fflush(stdout);
}

/* fork() with stdout flushed, so that no line is printed twice. */
static inline pid_t fork_flushed(void)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0) {
		perror("fork");
		exit(2);
	}
	return pid;
}

/* The end of a forked child: its lines first. */
static inline void child_exit(int status)
{
	fflush(stdout);
	_exit(status);
}

/* Until the process sleeps in a call. */
static inline void await_sleep(pid_t pid)
{
	char path[64], state = 0;
	FILE *stat;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	while (state != 'S') {
		stat = fopen(path, "r");
		if (!stat || fscanf(stat, "%*d (%*[^)]) %c", &state) != 1)
			exit(2);
		fclose(stat);
		usleep(1000);
	}
}

/* A file of `pages` pages in the current folder; page i is filled with letter 'a' + i. */
static inline int file_make(const char *name, size_t pages)
{
	char page[PAGE];
	size_t i;
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);

	for (i = 0; fd >= 0 && i < pages; i++) {
		memset(page, 'a' + (int)(i % 26), PAGE);
		if (write(fd, page, PAGE) != (ssize_t)PAGE) {
			close(fd);
			fd = -1;
		}
	}
	if (fd < 0) {
		perror(name);
		exit(2);
	}
	return fd;
}

/* All of @text at once into a file that is there; errno says why not. */
static inline bool file_put(const char *name, const char *text)
{
	int fd = open(name, O_WRONLY), error;
	bool taken = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	error = errno;
	close(fd);
	errno = error;
	return taken;
}

/* What one read of a file gives, as a string. */
static inline bool file_get(const char *name, char *text, size_t size)
{
	int fd = open(name, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, text, size - 1);

	text[n > 0 ? n : 0] = 0;
	close(fd);
	return n > 0;
}

#endif
