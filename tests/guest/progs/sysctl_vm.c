/* SPDX-License-Identifier: MIT */
/*
 * /proc/sys/vm in the guest, where writing it touches nobody else: overcommit, limits and
 * what drop_caches drops. Right is what stands in tests/guest/sysctl_vm.txt, after
 * Documentation/mm/overcommit-accounting.rst and kernel/sysctl.c. Sizes are told as
 * differences, or relative to what the limits are. To be run with 256 MiB and no swap.
 */
#include <sys/shm.h>

#include "progs.h"

#define RW   (PROT_READ | PROT_WRITE)
#define MIB  (1ul << 20)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static long meminfo(const char *key)
{
	FILE *file = fopen("/proc/meminfo", "r");
	char line[256];
	long v = -1;

	while (file && v < 0 && fgets(line, sizeof(line), file))
		if (!strncmp(line, key, strlen(key)) && line[strlen(key)] == ':')
			v = strtol(line + strlen(key) + 1, NULL, 10);
	if (file)
		fclose(file);
	return v;
}

static void set(const char *name, const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), "/proc/sys/vm/%s", name);
	printf("%s = \"%.*s\": %s\n", name, (int)strcspn(text, "\n"), text,
	       file_put(path, text) ? "taken" : strerrorname_np(errno));
}

static void show(const char *name)
{
	char path[128], text[64];

	snprintf(path, sizeof(path), "/proc/sys/vm/%s", name);
	printf("%s is %s", name, file_get(path, text, sizeof(text)) ? text : "?\n");
}

static void try_map(const char *what, size_t size, int prot, int flags)
{
	char *p = mmap(NULL, size, prot, flags, -1, 0);

	printf("%s: %s\n", what, p == MAP_FAILED ? strerrorname_np(errno) : "mapped");
	if (p != MAP_FAILED)
		munmap(p, size);
}

static void test_accounting(void)
{
	long before = meminfo("Committed_AS");
	char *p = mmap(NULL, 8 * MIB, RW, ANON, -1, 0), *r, *s;

	printf("8 MiB private: %+ld kB\n", meminfo("Committed_AS") - before);
	r = mmap(NULL, 8 * MIB, PROT_READ, ANON, -1, 0);
	printf("and 8 read-only: %+ld kB\n", meminfo("Committed_AS") - before);
	mprotect(r, 4 * MIB, RW);
	printf("half of it writable: %+ld kB\n", meminfo("Committed_AS") - before);
	s = mmap(NULL, 2 * MIB, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	printf("and 2 shared: %+ld kB\n", meminfo("Committed_AS") - before);
	try_map("8 MiB without a promise", 8 * MIB, RW, ANON | MAP_NORESERVE);
	munmap(p, 8 * MIB);
	munmap(r, 8 * MIB);
	munmap(s, 2 * MIB);
	printf("all unmapped: %+ld kB\n", meminfo("Committed_AS") - before);
}

static void test_modes(void)
{
	size_t total = (size_t)meminfo("MemTotal") << 10;
	char *most;
	pid_t pid;
	void *brk;
	int id;

	show("overcommit_memory");
	try_map("more than there is", total + MIB, RW, ANON);
	try_map("the same, no reserve", total + MIB, RW, ANON | MAP_NORESERVE);
	try_map("half", total / 2, RW, ANON);
	set("overcommit_memory", "1\n");
	try_map("ten times what there is", total * 10, RW, ANON);
	set("overcommit_memory", "2\n");
	show("overcommit_memory");
	printf("limit: %s\n",
	       meminfo("CommitLimit") / 1024 == meminfo("MemTotal") / 2048 ? "half" : "wrong");
	try_map("half", total / 2, RW, ANON);
	try_map("the same, no reserve", total / 2, RW, ANON | MAP_NORESERVE);
	try_map("the same, shared", total / 2, RW, MAP_SHARED | MAP_ANONYMOUS);
	try_map("the same, read-only", total / 2, PROT_READ, ANON);
	most = mmap(NULL, total / 4, RW, ANON, -1, 0);
	printf("a quarter: %s\n", most == MAP_FAILED ? strerrorname_np(errno) : "mapped");
	brk = sbrk((intptr_t)(total / 4));
	printf("brk: %s\n", brk == (void *)-1 ? strerrorname_np(errno) : "moved");
	id = shmget(IPC_PRIVATE, total / 4, IPC_CREAT | 0600);
	printf("shmget: %s\n", id < 0 ? strerrorname_np(errno) : "there");
	fflush(stdout);
	if (fork() < 0)
		printf("fork: %s\n", strerrorname_np(errno));
	set("overcommit_ratio", "100");
	pid = fork_flushed();
	if (!pid)
		_exit(0);
	show_child("a fork, with more allowed", pid);
	munmap(most, total / 4);
	set("overcommit_kbytes", "10240");
	show("overcommit_ratio");
	printf("limit: %ld kB\n", meminfo("CommitLimit"));
	try_map("20 MiB", 20 * MIB, RW, ANON);
	set("overcommit_ratio", "50");
	show("overcommit_kbytes");
	set("overcommit_memory", "0\n");
}

static void test_map_count(void)
{
	char *p = mmap(NULL, 400 * PAGE, RW, ANON, -1, 0);
	int nr = 0;

	show("max_map_count");
	set("max_map_count", "100");
	while (nr < 190 && !mprotect(p + (2 * nr + 1) * PAGE, PAGE, PROT_READ))
		nr++;
	printf("areas end: %s, %s\n", nr > 10 && nr < 60 ? "in time" : "wrong",
	       strerrorname_np(errno));
	set("max_map_count", "65530");
	SHOW(mprotect(p + 399 * PAGE, PAGE, PROT_READ));
	munmap(p, 400 * PAGE);
}

static void test_drop_caches(void)
{
	int fd = file_make("file", 2048);
	char *p = mmap(NULL, 2048 * PAGE, PROT_READ, MAP_SHARED, fd, 0);
	long before, after;
	volatile char sum = 0;

	for (int i = 0; i < 2048; i++)
		sum = (char)(sum + p[i * PAGE]);
	munmap(p, 2048 * PAGE);
	before = meminfo("Cached");
	set("drop_caches", "2");
	printf("caches fell: %d\n", before - meminfo("Cached") > 7000);
	set("drop_caches", "1");
	after = meminfo("Cached");
	printf("caches fell: %d\n", before - after > 7000);
	close(fd);
}

static void test_others(void)
{
	long low = 0;
	FILE *file = fopen("/proc/sys/vm/min_free_kbytes", "r");

	if (!file || fscanf(file, "%ld", &low) != 1)
		low = 0;
	printf("min_free_kbytes: %s\n", low > 100 && low < 100000 ? "some" : "wrong");
	fclose(file);
	set("min_free_kbytes", "8192");
	show("min_free_kbytes");
	set("min_free_kbytes", "0");
	show("mmap_min_addr");
	set("mmap_min_addr", "0x20000");
	show("mmap_min_addr");
	printf("below it: %s\n",
	       mmap((void *)0x10000, PAGE, RW, ANON | MAP_FIXED, -1, 0) == MAP_FAILED
		       ? strerrorname_np(errno)
		       : "mapped");
	set("mmap_min_addr", "65536");
	set("nr_hugepages", "10");
	show("nr_hugepages");
	set("compact_memory", "1");
	set("compact_memory", "2");
}

static void test_errors(void)
{
	set("overcommit_memory", "3");
	set("overcommit_memory", "-1");
	set("overcommit_memory", "x");
	set("overcommit_memory", " ");
	set("overcommit_memory", "0x");
	set("overcommit_memory", "1x");
	set("overcommit_memory", " 1 ");
	show("overcommit_memory");
	set("overcommit_memory", "0");
	set("overcommit_ratio", "99999999999");
	set("drop_caches", "0");
	set("drop_caches", "5");
	set("watermark_scale_factor", "0");
	set("watermark_scale_factor", "1001");
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	test_accounting();
	test_modes();
	test_map_count();
	test_drop_caches();
	test_others();
	test_errors();
	return 0;
}
