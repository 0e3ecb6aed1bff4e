/* SPDX-License-Identifier: MIT */
/*
 * PAGEMAP_SCAN on /proc/PID/pagemap (Linux 6.7): which pages are told of, in what regions,
 * where it stops, and every way to ask wrongly. The soft-dirty bit is left out, as many
 * kernels are built without it (soft_dirty.c has it), and the shared zero page, which umm
 * does not have. What nobody wrote is not asked for, as there is no userfaultfd to tell it.
 */
#include <sys/ioctl.h>

#include "progs.h"

#define RW (PROT_READ | PROT_WRITE)

/* Newer than some headers, which is why the names are not Linux's. */
struct scan {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t inverted, mask, anyof, wanted;
};

struct region {
	uint64_t start, end, categories;
};

#define SCAN       _IOWR('f', 16, struct scan)
#define WP_MATCH   1u
#define CHECK_WP   2u
#define WPALLOWED  (1u << 0)
#define WRITTEN    (1u << 1)
#define IS_FILE    (1u << 2)
#define PRESENT    (1u << 3)
#define SWAPPED    (1u << 4)
#define PFNZERO    (1u << 5)
#define HUGE       (1u << 6)
#define SOFT_DIRTY (1u << 7)
#define ALL        (WPALLOWED | WRITTEN | IS_FILE | PRESENT | SWAPPED | PFNZERO | HUGE)

#define REGIONS 700u
#define PAGES   2048u

static int pagemap;
static char *base;
static struct region found[REGIONS + 1];
static void *volatile nowhere = (void *)8;

static struct scan whole(void)
{
	return (struct scan){
		.size = sizeof(struct scan),
		.start = (uintptr_t)base,
		.end = (uintptr_t)base + PAGES * PAGE,
		.vec = (uintptr_t)found,
		.vec_len = REGIONS,
		.wanted = ALL,
	};
}

static long page_of(uint64_t addr)
{
	return (long)(addr - (uintptr_t)base) / (long)PAGE;
}

static void show_scan(const char *what, struct scan *s)
{
	int n;

	memset(found, 0xff, sizeof(found));
	errno = 0;
	s->walk_end = 0;
	n = ioctl(pagemap, SCAN, s);
	printf("%s: %d %s, end %ld:", what, n, n < 0 ? strerrorname_np(errno) : "",
	       s->walk_end ? page_of(s->walk_end) : -1);
	for (int i = 0; i < n && i < 12; i++)
		printf(" %ld-%ld:%" PRIx64, page_of(found[i].start), page_of(found[i].end),
		       found[i].categories);
	printf("%s\n", n > 0 && found[n].start != UINT64_MAX ? " and more" : "");
}

/* ---- what is told ------------------------------------------------------------------------- */

static char *put(unsigned int at, unsigned int pages, int prot, int flags, int fd)
{
	char *p = mmap(base + at * PAGE, pages * PAGE, prot, flags | MAP_FIXED, fd, 0);

	if (p == MAP_FAILED) {
		perror("mmap");
		exit(2);
	}
	madvise(p, pages * PAGE, MADV_NOHUGEPAGE);
	return p;
}

/*
 *	0         100        200      300      400        500  600        1000      1400
 *	|private  |2 hole 2  |shared  |private |read-only |    |PROT_NONE |every 2nd
 *	pages     1 page in  |        |file    |file      |    |written   |page of 400
 *	10-19, 30                                              before
 */
static void make_memory(int file)
{
	char *p = put(0, 100, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	memset(p + 10 * PAGE, 1, 10 * PAGE);
	p[30 * PAGE] = 1;
	p = put(100, 2, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	p[0] = 1;
	p = put(104, 2, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	p = put(200, 50, RW, MAP_SHARED | MAP_ANONYMOUS, -1);
	p[5 * PAGE] = 1;
	p = put(300, 4, RW, MAP_PRIVATE, file);
	p[PAGE] = 1;
	p = put(600, 20, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	memset(p, 1, 5 * PAGE);
	mprotect(p, 20 * PAGE, PROT_NONE);
	p = put(1000, 400, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	for (unsigned int i = 0; i < 400; i += 2)
		p[i * PAGE] = 1;
}

static void test_categories(void)
{
	struct scan s = whole();

	for (unsigned int bit = 0; bit < 7; bit++) {
		char what[32];

		s = whole();
		s.mask = 1u << bit;
		s.end = s.start + 1000 * PAGE;
		snprintf(what, sizeof(what), "with bit %u", bit);
		show_scan(what, &s);
		s.inverted = 1u << bit;
		snprintf(what, sizeof(what), "without bit %u", bit);
		show_scan(what, &s);
		s.mask = s.inverted = 0;
		s.anyof = PRESENT | 1u << bit;
		snprintf(what, sizeof(what), "present or bit %u", bit);
		show_scan(what, &s);
	}
	s = whole();
	s.end = s.start + 1000 * PAGE;
	show_scan("all areas", &s);
	s.wanted = 0;
	show_scan("all areas, no categories", &s);
	s.wanted = PRESENT;
	s.anyof = PRESENT | SWAPPED;
	s.inverted = SWAPPED;
	show_scan("present or not swapped", &s);
	s.mask = PRESENT | IS_FILE;
	s.inverted = IS_FILE;
	s.anyof = 0;
	s.wanted = ALL;
	show_scan("present, of no file", &s);
}

/* ---- where it stops ----------------------------------------------------------------------- */

static void test_ends(void)
{
	static const uint64_t limits[] = { 1, 5, 10, 11, 12, 13, 199, 200, 500 };
	struct scan s = whole();
	char what[48];
	unsigned int i;

	s.mask = PRESENT;
	s.wanted = PRESENT;
	show_scan("everything that is there", &s);
	for (i = 0; i < 9; i++) {
		s.max_pages = limits[i];
		snprintf(what, sizeof(what), "at most %" PRIu64 " pages", limits[i]);
		show_scan(what, &s);
	}
	s.max_pages = 0;
	for (i = 0; i < 9; i++) {
		s.vec_len = limits[i];
		snprintf(what, sizeof(what), "at most %" PRIu64 " regions", limits[i]);
		show_scan(what, &s);
	}
	s.vec_len = 2;
	s.max_pages = 11;
	show_scan("2 regions, 11 pages", &s);
	s.vec_len = REGIONS;
	s.max_pages = 6;
	s.mask = 0;
	show_scan("6 pages of any kind", &s);
	s.max_pages = 102;
	show_scan("102 pages of any kind", &s);
	s = whole();
	s.mask = PRESENT;
	s.start += 15 * PAGE;
	s.end = s.start + PAGE + 1;
	show_scan("an end within a page", &s);
	s.end = s.start;
	show_scan("nothing", &s);
	s.end = s.start + PAGE;
	s.vec_len = 0;
	show_scan("no room", &s);
	s.vec = 0;
	show_scan("no vector", &s);
	s = whole();
	s.start = 0;
	s.end = (1ul << 47) - PAGE;
	s.mask = PRESENT | SWAPPED;
	s.inverted = PRESENT;
	printf("all of the address space: %d\n", ioctl(pagemap, SCAN, &s) >= 0);
}

/* ---- asked wrongly -------------------------------------------------------------------------- */

static void test_errors(void)
{
	struct scan s = whole();
	char what[32];

	SHOW(ioctl(pagemap, SCAN, NULL));
	SHOW(ioctl(pagemap, SCAN, nowhere));
	SHOW(ioctl(pagemap, _IOWR('f', 17, struct scan), &s));
	SHOW(ioctl(pagemap, _IOWR('f', 16, struct region), &s));
	s.size = 0;
	show_scan("size 0", &s);
	s.size = sizeof(s) + 8;
	show_scan("a larger size", &s);
	for (unsigned int bit = 0; bit < 64; bit += bit < 10 ? 1 : 9) {
		/* Guard regions are younger. */
		if (bit == 8 || bit == 7)
			continue;
		s = whole();
		s.flags = 1ul << bit;
		s.end = s.start + 100 * PAGE;
		snprintf(what, sizeof(what), "flag %u", bit);
		show_scan(what, &s);
		for (unsigned int which = 0; which < 4; which++) {
			s = whole();
			s.end = s.start + PAGE;
			(&s.inverted)[which] = 1ul << bit;
			snprintf(what, sizeof(what), "mask %u bit %u", which, bit);
			show_scan(what, &s);
		}
	}
	s = whole();
	s.start += 8;
	show_scan("start within a page", &s);
	s = whole();
	s.end = s.start - PAGE;
	show_scan("end before start", &s);
	s.end = 0;
	show_scan("end 0", &s);
	s = whole();
	s.start = s.end = 0xffff800000000000;
	show_scan("the kernel's half", &s);
	s = whole();
	s.end = 0xffff800000000000;
	show_scan("up to the kernel's half", &s);
	s = whole();
	s.vec = 0;
	show_scan("no vector but a length", &s);
	s.vec = 8;
	show_scan("a bad vector", &s);
	s.mask = SWAPPED;
	show_scan("a bad vector that is not used", &s);
	s.vec = 0xffff800000000000;
	show_scan("a vector of the kernel's", &s);
	s = whole();
	s.vec_len = UINT64_MAX;
	show_scan("a length that wraps", &s);
	s = whole();
	s.vec += 4;
	s.end = s.start + 100 * PAGE;
	s.mask = PRESENT;
	SHOW(ioctl(pagemap, SCAN, &s));
	s = whole();
	s.start = s.end = (uintptr_t)base + 500 * PAGE;
	s.end += PAGE;
	s.flags = CHECK_WP;
	show_scan("protect where nothing is", &s);
	s.flags = WP_MATCH;
	s.vec = s.vec_len = 0;
	show_scan("protect without a vector", &s);
}

static void test_other_process(void)
{
	struct scan s = whole();
	char path[64];
	pid_t pid = fork_flushed();
	int own = pagemap;

	if (!pid)
		for (;;)
			pause();
	snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	pagemap = open(path, O_RDONLY);
	s.mask = PRESENT | IS_FILE;
	s.inverted = IS_FILE;
	s.end = s.start + 1000 * PAGE;
	show_scan("a child's", &s);
	kill(pid, SIGKILL);
	show_child("child", pid);
	show_scan("when it is gone", &s);
	s.flags = CHECK_WP;
	show_scan("when it is gone, to protect", &s);
	close(pagemap);
	pagemap = own;
}

/* Not one table: 10 MiB, of which the page at 2 MiB may come, at the end of a first answer. */
static void test_untouched(void)
{
	struct scan s = whole();
	char *p = mmap(NULL, 12ul << 20, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *low = (char *)(((uintptr_t)p + (2ul << 20) - 1) & ~((2ul << 20) - 1));

	madvise(p, 12ul << 20, MADV_NOHUGEPAGE);
	s.start = (uintptr_t)low;
	s.end = s.start + (10ul << 20);
	base = low;
	show_scan("untouched", &s);
	s.inverted = WRITTEN;
	s.mask = WRITTEN;
	show_scan("untouched, not written", &s);
	low[2ul << 20] = 1;
	show_scan("one touched, not written", &s);
	s.inverted = 0;
	show_scan("one touched, written", &s);
	s.mask = 0;
	show_scan("one touched", &s);
	s.max_pages = 513;
	show_scan("one touched, 513 pages", &s);
	s.max_pages = 512;
	show_scan("one touched, 512 pages", &s);
	munmap(p, 12ul << 20);
}

static void test_leaf(void)
{
	struct scan s = whole();
	char *p = mmap(NULL, 4ul << 20, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *leaf = (char *)(((uintptr_t)p + (2ul << 20) - 1) & ~((2ul << 20) - 1));

	madvise(p, 4ul << 20, MADV_HUGEPAGE);
	leaf[0] = 1;
	s.start = (uintptr_t)leaf + PAGE;
	s.end = s.start + 9 * PAGE;
	s.mask = PRESENT;
	s.wanted = PRESENT | HUGE;
	base = leaf;
	show_scan("a leaf", &s);
}

int main(void)
{
	pagemap = open("/proc/self/pagemap", O_RDONLY);
	base = arena(PAGES);
	make_memory(file_make("file", 4));
	test_categories();
	test_ends();
	test_errors();
	test_other_process();
	test_untouched();
	test_leaf();
	return 0;
}
