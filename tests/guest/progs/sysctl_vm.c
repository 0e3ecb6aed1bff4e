/* SPDX-License-Identifier: MIT */
/*
 * /proc/sys/vm in the guest, where writing it touches nobody else: overcommit, limits,
 * what drop_caches drops, and the guest's own values of all others. Right is what stands in tests/guest/sysctl_vm.txt, after
 * Documentation/mm/overcommit-accounting.rst and kernel/sysctl.c. Sizes are told as
 * differences, or relative to what the limits are. To be run with 256 MiB and no swap.
 */
#include <dirent.h>
#include <sys/shm.h>

#include "progs.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x10u
#endif
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

/* First value, one that is taken, one on each side of the range. */
static void test_kept(void)
{
	static const struct {
		const char *name, *good, *low, *high;
	} kept[] = {
		{ "admin_reserve_kbytes", "4096", "-1", "x" },
		{ "compact_unevictable_allowed", "0", "-1", "2" },
		{ "compaction_proactiveness", "0", "-1", "101" },
		{ "dirty_background_ratio", "33", "-1", "101" },
		{ "dirty_background_bytes", "4096", "0", "x" },
		{ "dirty_bytes", "1048576", "8191", "x" },
		{ "dirty_ratio", "44", "-1", "101" },
		{ "dirty_expire_centisecs", "0", "-1", "2147483648" },
		{ "dirty_writeback_centisecs", "0", "-2147483649", "2147483648" },
		{ "dirtytime_expire_seconds", "1", "-1", "2147483648" },
		{ "extfrag_threshold", "1000", "-1", "1001" },
		{ "hugetlb_shm_group", "7", "x", "2147483648" },
		{ "laptop_mode", "5", "x", "y" },
		{ "legacy_va_layout", "1", "-1", "2147483648" },
		{ "memfd_noexec", "1", "-1", "3" },
		{ "min_slab_ratio", "100", "-1", "101" },
		{ "min_unmapped_ratio", "100", "-1", "101" },
		{ "mmap_rnd_bits", "32", "27", "33" },
		{ "mmap_rnd_compat_bits", "16", "7", "17" },
		{ "nr_overcommit_hugepages", "3", "x", "y" },
		{ "numa_stat", "0", "-1", "2" },
		{ "oom_dump_tasks", "0", "x", "2147483648" },
		{ "oom_kill_allocating_task", "1", "x", "2147483648" },
		{ "page-cluster", "0", "-1", "32" },
		{ "page_lock_unfairness", "0", "-1", "2147483648" },
		{ "panic_on_oom", "1", "-1", "3" },
		{ "percpu_pagelist_high_fraction", "8", "-1", "7" },
		{ "swappiness", "200", "-1", "201" },
		{ "unprivileged_userfaultfd", "1", "-1", "2" },
		{ "vfs_cache_pressure", "0", "-1", "2147483648" },
		{ "watermark_boost_factor", "0", "-1", "2147483648" },
		{ "zone_reclaim_mode", "7", "-1", "2147483648" },
	};
	char first[64], path[128];

	for (size_t i = 0; i < sizeof(kept) / sizeof(*kept); i++) {
		snprintf(path, sizeof(path), "/proc/sys/vm/%s", kept[i].name);
		file_get(path, first, sizeof(first));
		show(kept[i].name);
		set(kept[i].name, kept[i].good);
		show(kept[i].name);
		set(kept[i].name, kept[i].low);
		set(kept[i].name, kept[i].high);
		show(kept[i].name);
		set(kept[i].name, first);
	}
	show("dirty_background_ratio");
	show("dirty_bytes");
	show("lowmem_reserve_ratio");
	set("lowmem_reserve_ratio", "1 0 -3");
	show("lowmem_reserve_ratio");
	set("lowmem_reserve_ratio", "x");
	show("numa_zonelist_order");
	set("numa_zonelist_order", "Node");
	set("numa_zonelist_order", "zone");
	set("stat_refresh", "1");
	SHOW(open("/proc/sys/vm/no_such_setting", O_RDONLY));
}

/* Each name that the folder lists can be opened, and none is listed twice. */
static void test_list(void)
{
	DIR *dir = opendir("/proc/sys/vm");
	struct dirent *e;
	int nr = 0, bad = 0;

	while (dir && (e = readdir(dir))) {
		if (*e->d_name == '.')
			continue;
		nr++;
		bad += faccessat(dirfd(dir), e->d_name, W_OK, 0) != 0;
	}
	printf("listed: %d, not to be had: %d\n", nr, bad);
	closedir(dir);
}

static void test_memfd(void)
{
	struct stat st;
	int fd;

	set("memfd_noexec", "1");
	fd = memfd_create("x", 0);
	fstat(fd, &st);
	printf("a memfd: mode %o, seals %x\n", st.st_mode & 0777, fcntl(fd, F_GET_SEALS));
	fd = memfd_create("x", MFD_EXEC);
	fstat(fd, &st);
	printf("asked to be run: mode %o, seals %x\n", st.st_mode & 0777, fcntl(fd, F_GET_SEALS));
	set("memfd_noexec", "2");
	SHOW(memfd_create("x", MFD_EXEC));
	SHOW(memfd_create("x", 0) < 0);
	set("memfd_noexec", "0");
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

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "memfd")) {
		test_memfd();
		return 0;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	test_accounting();
	test_modes();
	test_map_count();
	test_drop_caches();
	test_others();
	test_errors();
	test_list();
	test_kept();
	return 0;
}
