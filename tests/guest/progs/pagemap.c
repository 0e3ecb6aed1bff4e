/* SPDX-License-Identifier: MIT */
/*
 * /proc/PID/pagemap and clear_refs, /proc/kpageflags and kpagecount, for root: what they
 * tell of pages whose story is known, and every way to ask them wrongly. The soft-dirty
 * bit is left out, as many kernels are built without it: soft_dirty.c.
 */
#include <linux/kernel-page-flags.h>

#include "progs.h"

#define RW      (PROT_READ | PROT_WRITE)
#define PRESENT (1ul << 63)
#define SWAP    (1ul << 62)
#define FILEBIT (1ul << 61)
#define ALONE   (1ul << 56)
#define PFN     ((1ul << 55) - 1)
#define FLAG(f) (1ul << KPF_##f)
/* Bits that follow from the page's story alone. */
#define KNOWN                                                                                     \
	(FLAG(MMAP) | FLAG(ANON) | FLAG(UPTODATE) | FLAG(SWAPBACKED) | FLAG(BUDDY) | FLAG(SLAB) | \
	 FLAG(NOPAGE) | FLAG(KSM) | FLAG(HWPOISON) | FLAG(SWAPCACHE))

/* A bad buffer, which the compiler is not to see through. */
static void *volatile nowhere = (void *)8;

static uint64_t entry_of(int fd, const void *p)
{
	uint64_t e = 0;

	if (pread(fd, &e, sizeof(e), (off_t)((uintptr_t)p / PAGE * 8)) != sizeof(e))
		printf("pagemap cannot be read: %s\n", strerrorname_np(errno));
	return e;
}

static uint64_t number_of(const char *path, uint64_t pfn)
{
	int fd = open(path, O_RDONLY);
	uint64_t v = 0;

	if (fd < 0 || pread(fd, &v, sizeof(v), (off_t)(pfn * 8)) != sizeof(v))
		printf("%s: %s\n", path, strerrorname_np(errno));
	if (fd >= 0)
		close(fd);
	return v;
}

static void show_page(const char *what, int fd, const void *p)
{
	uint64_t e = entry_of(fd, p), pfn = e & PFN;

	printf("%s:%s%s%s%s%s", what, e & PRESENT ? " present" : "", e & SWAP ? " swapped" : "",
	       e & FILEBIT ? " file" : "", e & ALONE ? " alone" : "", pfn ? " pfn" : "");
	if (e & PRESENT)
		printf(", mapped %lu times, flags %#lx", number_of("/proc/kpagecount", pfn),
		       number_of("/proc/kpageflags", pfn) & KNOWN);
	printf("\n");
}

static void test_anonymous(int fd)
{
	char *p = mmap(NULL, 4 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pid_t pid;

	show_page("untouched", fd, p);
	p[0] = 1;
	show_page("private", fd, p);
	show_page("its neighbour", fd, p + 2 * PAGE);
	pid = fork_flushed();
	if (!pid) {
		int own = open("/proc/self/pagemap", O_RDONLY);

		show_page("in the child", own, p);
		p[0] = 2;
		show_page("its copy", own, p);
		child_exit(0);
	}
	show_child("child", pid);
	show_page("after the child", fd, p);
	mprotect(p, PAGE, PROT_NONE);
	show_page("that nobody may touch", fd, p);
	munmap(p, PAGE);
	show_page("unmapped", fd, p);
	munmap(p, 4 * PAGE);
}

static void test_shared(int fd)
{
	int file = file_make("file", 4);
	char *a = mmap(NULL, 4 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char *f = mmap(NULL, 4 * PAGE, RW, MAP_PRIVATE, file, 0);
	volatile char sum = 0;

	a[0] = 1;
	show_page("shared memory", fd, a);
	show_page("its untouched part", fd, a + 2 * PAGE);
	f[PAGE] = 1;
	show_page("copy of a file's page", fd, f + PAGE);
	sum = f[2 * PAGE];
	(void)sum;
	printf("a file's page: %s\n", entry_of(fd, f + 2 * PAGE) & FILEBIT ? "file" : "not file");
	munmap(a, 4 * PAGE);
	munmap(f, 4 * PAGE);
	close(file);
}

static void test_many(int fd)
{
	char *base = arena(2048), *p;
	uint64_t *all = calloc(2048, 8);
	unsigned int present = 0, other = 0, i;

	p = mmap(base + 100 * PAGE, 1000 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		 0);
	madvise(p, 1000 * PAGE, MADV_NOHUGEPAGE);
	for (i = 0; i < 1000; i += 10)
		p[i * PAGE] = 1;
	SHOW(pread(fd, all, 2048 * 8, (off_t)((uintptr_t)base / PAGE * 8)));
	for (i = 0; i < 2048; i++) {
		bool touched = i >= 100 && i < 1100 && (i - 100) % 10 == 0;

		present += touched && (all[i] & PRESENT);
		other += !touched && (all[i] & ~(1ul << 55));
	}
	printf("%u of 100 pages are there, %u that should not be\n", present, other);
	free(all);
	munmap(base, 2048 * PAGE);
}

static void test_errors(int fd)
{
	uint64_t e[4];
	const off_t end = (off_t)((1ul << 47) / PAGE * 8);
	int wr = open("/proc/self/pagemap", O_RDWR);

	SHOW(pread(fd, e, 7, 0));
	SHOW(pread(fd, e, 8, 4));
	SHOW(pread(fd, e, 0, 0));
	SHOW(pread(fd, e, 16, 0));
	SHOW(pread(fd, e, 8, end));
	SHOW(pread(fd, e, 8, INT64_MAX - 7));
	SHOW(pread(fd, nowhere, 8, 0));
	SHOW(lseek(fd, 16, SEEK_SET));
	SHOW(read(fd, e, 16));
	SHOW(lseek(fd, 8, SEEK_CUR));
	SHOW(lseek(fd, 0, SEEK_END));
	SHOW(lseek(fd, 4, SEEK_SET));
	SHOW(read(fd, e, 8));
	SHOW(write(wr, e, 8));
	printf("mmap: %s\n",
	       mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED ? "refused" : "works");
	close(wr);
	SHOW(open("/proc/self/task/1/pagemap", O_RDONLY));
}

static void test_frames(void)
{
	int count = open("/proc/kpagecount", O_RDONLY), flags = open("/proc/kpageflags", O_RDONLY);
	uint64_t e[4];

	SHOW(pread(count, e, 4, 0));
	SHOW(pread(count, e, 8, 4));
	SHOW(pread(flags, e, 8, 12));
	SHOW(pread(flags, e, 9, 0));
	SHOW(pread(count, e, 32, 0));
	SHOW(pread(flags, e, 32, 8));
	SHOW(pread(count, e, 8, INT64_MAX / 16 * 8));
	SHOW(pread(flags, e, 8, INT64_MAX / 16 * 8));
	SHOW(pread(flags, nowhere, 8, 0));
	SHOW(lseek(flags, 0, SEEK_END));
	close(count);
	close(flags);
}

/* ---- clear_refs ---------------------------------------------------------------------------- */

static void clear_refs(const char *text)
{
	int fd = open("/proc/self/clear_refs", O_WRONLY);
	ssize_t n;

	errno = 0;
	n = write(fd, text, strlen(text));
	printf("clear_refs \"%.*s\": %zd %s\n", (int)strcspn(text, "\n"), text, n,
	       n < 0 ? strerrorname_np(errno) : "");
	close(fd);
}

/* Of the area that begins at @p, in kB. */
static long smaps(const void *p, const char *key)
{
	FILE *file = fopen("/proc/self/smaps", "r");
	char line[512], start[32];
	bool inside = false;
	long v = -1;

	snprintf(start, sizeof(start), "%lx-", (unsigned long)p);
	while (file && v < 0 && fgets(line, sizeof(line), file)) {
		if (!strncmp(line, start, strlen(start)))
			inside = true;
		else if (inside && !strncmp(line, key, strlen(key)))
			v = strtol(line + strlen(key) + 1, NULL, 10);
	}
	if (file)
		fclose(file);
	return v;
}

static long status(const char *key)
{
	FILE *file = fopen("/proc/self/status", "r");
	char line[256];
	long v = -1;

	while (file && v < 0 && fgets(line, sizeof(line), file))
		if (!strncmp(line, key, strlen(key)))
			v = strtol(line + strlen(key) + 1, NULL, 10);
	if (file)
		fclose(file);
	return v;
}

static void test_references(void)
{
	char *base = arena(32), *p, *s;

	p = mmap(base, 8 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	s = mmap(base + 16 * PAGE, 8 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	memset(p, 1, 8 * PAGE);
	memset(s, 1, 8 * PAGE);
	printf("used: %ld %ld\n", smaps(p, "Referenced"), smaps(s, "Referenced"));
	clear_refs("2");
	printf("after 2: %ld %ld\n", smaps(p, "Referenced"), smaps(s, "Referenced"));
	clear_refs("3\n");
	printf("after 3: %ld %ld\n", smaps(p, "Referenced"), smaps(s, "Referenced"));
	clear_refs(" 1 ");
	printf("after 1: %ld %ld\n", smaps(p, "Referenced"), smaps(s, "Referenced"));
	clear_refs("4");
	printf("still there: %d %d\n", p[PAGE], s[PAGE]);
	memset(p, 2, 8 * PAGE);
	memset(s, 3, 8 * PAGE);
	printf("and written: %d %d\n", p[7 * PAGE], s[7 * PAGE]);
	munmap(base, 32 * PAGE);
}

static void test_peak(void)
{
	const size_t size = 32ul << 20;
	char *p = mmap(NULL, size, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	long high, low;

	memset(p, 1, size);
	munmap(p, size);
	high = status("VmHWM:") - status("VmRSS:");
	clear_refs("5");
	low = status("VmHWM:") - status("VmRSS:");
	printf("the peak was high above: %d, is: %d\n", high > 30 << 10, low > 2 << 10);
}

int main(void)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);

	test_anonymous(fd);
	test_shared(fd);
	test_many(fd);
	test_errors(fd);
	test_frames();
	test_references();
	test_peak();
	clear_refs("0");
	clear_refs("6");
	clear_refs("-1");
	clear_refs("");
	clear_refs("x");
	clear_refs("1x");
	clear_refs("99999999999");
	clear_refs("+5");
	clear_refs("2 2");
	fd = open("/proc/self/clear_refs", O_RDWR);
	SHOW(read(fd, &fd, 4));
	return 0;
}
