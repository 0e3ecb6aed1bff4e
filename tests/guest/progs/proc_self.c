/* SPDX-License-Identifier: MIT */
/* What /proc tells of this process must fit what the process did. */
#include <dirent.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>

#include "progs.h"

#define RW (PROT_READ | PROT_WRITE)

/* The number behind `key` in a file of "Key: number kB" lines, or -1. */
static long read_key(const char *path, const char *key)
{
	char line[512];
	FILE *file = fopen(path, "r");
	long value = -1;

	while (file && value < 0 && fgets(line, sizeof(line), file))
		if (!strncmp(line, key, strlen(key)) && line[strlen(key)] == ':')
			value = strtol(line + strlen(key) + 1, NULL, 10);
	if (file)
		fclose(file);
	return value;
}

static void expect_near(const char *what, long got, long low, long high)
{
	printf("%s: %s\n", what, got >= low && got <= high ? "as expected" : "wrong");
	if (got < low || got > high)
		fprintf(stderr, "%s: %ld is not in %ld..%ld\n", what, got, low, high);
}

static void test_sizes(void)
{
	const long kib = 32 * 1024;
	long rss = read_key("/proc/self/status", "VmRSS");
	long size = read_key("/proc/self/status", "VmSize");
	char *p = mmap(NULL, kib * 1024, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	expect_near("VmSize grows with mmap", read_key("/proc/self/status", "VmSize") - size, kib,
		    kib + 64);
	expect_near("VmRSS does not", read_key("/proc/self/status", "VmRSS") - rss, 0, 1024);
	memset(p, 1, (size_t)kib * 1024);
	expect_near("VmRSS grows with touching", read_key("/proc/self/status", "VmRSS") - rss,
		    kib - 1024, kib + 4096);
	expect_near("RssAnon too", read_key("/proc/self/status", "RssAnon"), kib, kib + 8192);
	madvise(p, (size_t)kib * 1024, MADV_DONTNEED);
	expect_near("and falls with DONTNEED", read_key("/proc/self/status", "VmRSS") - rss, 0,
		    4096);
	munmap(p, (size_t)kib * 1024);
	expect_near("VmSize falls with munmap", read_key("/proc/self/status", "VmSize") - size, 0,
		    64);
}

/* One page in each 2 MiB, far from all else: a table each, and one at both levels above. */
static void test_tables(void)
{
	const unsigned long step = 2ul << 20, nr = 32;
	long before = read_key("/proc/self/status", "VmPTE"), peak;
	char *p = mmap((void *)(1ul << 44), nr * step, RW,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

	SHOW(p != (void *)(1ul << 44));
	SHOW(madvise(p, nr * step, MADV_NOHUGEPAGE));
	for (unsigned long i = 0; i < nr; i++)
		p[i * step] = 1;
	printf("VmPTE grew by %ld kB\n", read_key("/proc/self/status", "VmPTE") - before);
	peak = read_key("/proc/self/status", "VmPeak");
	SHOW(munmap(p, nr * step));
	printf("VmPeak shrank by %ld kB\n", peak - read_key("/proc/self/status", "VmPeak"));
	expect_near("VmSize below VmPeak", peak - read_key("/proc/self/status", "VmSize"),
		    (long)(nr * step / 1024), peak);
}

static void test_smaps(void)
{
	char *p = mmap(NULL, 100 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char line[512], range[64];
	long rss = -1, size = -1;
	bool inside = false;
	FILE *file;
	int i;

	/* Apart from its neighbours, or it would be told as part of them. */
	mprotect(p, PAGE, PROT_NONE);
	mprotect(p + 99 * PAGE, PAGE, PROT_NONE);
	for (i = 1; i < 41; i++)
		p[i * (long)PAGE] = 1;
	snprintf(range, sizeof(range), "%lx-%lx ", (unsigned long)p + PAGE,
		 (unsigned long)p + 99 * PAGE);
	file = fopen("/proc/self/smaps", "r");
	while (file && fgets(line, sizeof(line), file)) {
		if (!strncmp(line, range, strlen(range)))
			inside = true;
		else if (inside && !strncmp(line, "Size:", 5))
			size = strtol(line + 5, NULL, 10);
		else if (inside && !strncmp(line, "Rss:", 4))
			rss = strtol(line + 4, NULL, 10);
		else if (inside && !strncmp(line, "VmFlags:", 8))
			inside = false;
	}
	if (file)
		fclose(file);
	printf("smaps: size %ld kB, rss %ld kB\n", size, rss);
	munmap(p, 100 * PAGE);
}

static void test_maps_names(void)
{
	static const char *const names[] = { "[heap]", "[stack]", "proc_self" };
	char line[512];
	size_t i;

	free(malloc(1000));
	for (i = 0; i < sizeof(names) / sizeof(*names); i++) {
		FILE *file = fopen("/proc/self/maps", "r");
		int found = 0;

		while (file && fgets(line, sizeof(line), file))
			found |= strstr(line, names[i]) != NULL;
		if (file)
			fclose(file);
		printf("maps names %s: %d\n", names[i], found);
	}
}

static void test_stat(void)
{
	char text[1024] = "", name[64] = "", state = 0;
	int pid = 0, ppid = 0, group = 0, fd = open("/proc/self/stat", O_RDONLY);
	long fields = 0;
	char *p;

	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0) {
		printf("/proc/self/stat: %s\n", strerrorname_np(errno));
		return;
	}
	close(fd);
	sscanf(text, "%d (%63[^)]) %c %d %d", &pid, name, &state, &ppid, &group);
	for (p = strchr(text, ')'); p && *p; p++)
		fields += *p == ' ';
	printf("stat: pid %d, name %s, state %c, ppid %d, group %d, fields %d\n", pid == getpid(),
	       name, state, ppid == getppid(), group == getpgrp(), fields >= 49);
	fd = open("/proc/self/statm", O_RDONLY);
	memset(text, 0, sizeof(text));
	printf("statm: %d\n", fd >= 0 && read(fd, text, sizeof(text) - 1) > 0 &&
				      sscanf(text, "%ld", &fields) == 1 && fields > 100);
	close(fd);
	printf("status: pid %d, ppid %d, threads %ld\n",
	       read_key("/proc/self/status", "Pid") == getpid(),
	       read_key("/proc/self/status", "PPid") == getppid(),
	       read_key("/proc/self/status", "Threads"));
}

static void test_fds(void)
{
	int fd = file_make("proc_file", 1), again, count = 0;
	char path[64], target[4096] = "";
	struct dirent *entry;
	DIR *folder;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (readlink(path, target, sizeof(target) - 1) > 0)
		printf("fd leads to %s\n", strrchr(target, '/'));
	again = open(path, O_RDONLY);
	printf("opened again: %d\n", again >= 0);
	folder = opendir("/proc/self/fd");
	while (folder && (entry = readdir(folder)))
		count += entry->d_name[0] != '.' && atoi(entry->d_name) == fd;
	if (folder)
		closedir(folder);
	printf("listed: %d\n", count);
	snprintf(path, sizeof(path), "/dev/fd/%d", fd);
	printf("/dev/fd: %d\n", access(path, R_OK));
	close(fd);
	close(again);
}

static void test_meminfo(void)
{
	long total = read_key("/proc/meminfo", "MemTotal");
	long available = read_key("/proc/meminfo", "MemAvailable");
	long pages = sysconf(_SC_PHYS_PAGES);

	printf("meminfo: %d\n", total > 0 && available > 0 && available <= total);
	printf("sysconf agrees: %d\n", pages * 4 == total);
	printf("cpus: %d\n", sysconf(_SC_NPROCESSORS_ONLN) >= 1);
}

static void test_others(void)
{
	char path[64], text[256] = "";
	int fd = open("/proc/self/cmdline", O_RDONLY);
	pid_t pid;

	printf("cmdline: %d\n",
	       fd >= 0 && read(fd, text, sizeof(text)) > 0 && strstr(text, "proc_self") != NULL);
	close(fd);
	pid = fork_flushed();
	if (!pid) {
		pause();
		_exit(0);
	}
	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	printf("the child's: %d\n", read_key(path, "Pid") == pid);
	kill(pid, SIGKILL);
	show_child("child", pid);
	printf("a dead child's: %d\n", access(path, R_OK));
	SHOW(open("/proc/self/nonexistent", O_RDONLY));
}

/* Not through a pipe, nor from file to file: what is written has to come as one text. */
static void test_copies(void)
{
	int out = open("/proc/self/oom_score_adj", O_WRONLY);
	int numbers = open("/proc/self/pagemap", O_RDONLY);
	int file = file_make("copied", 1), pipes[2];

	if (out < 0 || numbers < 0 || pipe(pipes) || write(pipes[1], "77", 2) != 2 ||
	    lseek(file, 0, SEEK_SET))
		perror("test_copies");
	SHOW(sendfile(out, file, NULL, 8));
	SHOW(splice(pipes[0], NULL, out, NULL, 2, 0));
	SHOW(sendfile(pipes[1], numbers, NULL, 8));
	SHOW(splice(numbers, NULL, pipes[1], NULL, 8, 0));
	SHOW(fallocate(out, 0, 0, 1 << 20));
	SHOW(fallocate(numbers, 0, 0, 1 << 20));
	SHOW(fsync(out));
	SHOW(fdatasync(numbers));
	close(out);
	close(numbers);
	close(file);
	close(pipes[0]);
	close(pipes[1]);
}

/* By how much six signals that wait are more in SigQ: they queue from SIGRTMIN on. */
static long signals_counted(const sigset_t *set)
{
	const union sigval value = { .sival_int = 1 };
	long before = read_key("/proc/self/status", "SigQ"), after;

	for (int i = 0; i < 3; i++) {
		sigqueue(getpid(), SIGRTMIN, value);
		kill(getpid(), SIGUSR1);
	}
	after = read_key("/proc/self/status", "SigQ");
	for (int i = 0; i < 4; i++)
		sigtimedwait(set, NULL, NULL);
	return after - before;
}

static void test_status(void)
{
	long counted = 0;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	/* Natively, signals and timers of everybody who is the same user are counted. */
	for (int tries = 0; counted != 4 && tries < 100; tries++)
		counted = signals_counted(&set);
	printf("SigQ grew by %ld\n", counted);
	printf("NoNewPrivs %ld", read_key("/proc/self/status", "NoNewPrivs"));
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	printf(" becomes %ld\n", read_key("/proc/self/status", "NoNewPrivs"));
}

int main(void)
{
	test_status();
	test_sizes();
	test_tables();
	test_smaps();
	test_maps_names();
	test_stat();
	test_fds();
	test_meminfo();
	test_others();
	test_copies();
	return 0;
}
