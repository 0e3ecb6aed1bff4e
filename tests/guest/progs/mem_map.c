/* SPDX-License-Identifier: MIT */
/* mmap, munmap, mprotect: flags, errors, and how VMAs split and merge. */
#include "progs.h"

#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define RW   (PROT_READ | PROT_WRITE)

static char *map_fixed(char *at, size_t pages, int prot, int flags)
{
	return mmap(at, pages * PAGE, prot, flags | MAP_FIXED, -1, 0);
}

static void test_split_and_merge(void)
{
	char *b = arena(64);

	map_fixed(b, 8, RW, ANON);
	show_vmas("one mapping", b, 64);
	map_fixed(b + 8 * PAGE, 8, RW, ANON);
	show_vmas("a neighbour with the same flags merges", b, 64);
	SHOW(munmap(b + 4 * PAGE, 2 * PAGE));
	show_vmas("a hole splits", b, 64);
	map_fixed(b + 4 * PAGE, 2, RW, ANON);
	show_vmas("the hole filled merges again", b, 64);
	SHOW(mprotect(b + 2 * PAGE, 3 * PAGE, PROT_READ));
	show_vmas("protection splits", b, 64);
	SHOW(mprotect(b + 5 * PAGE, 4 * PAGE, PROT_READ));
	show_vmas("protection grows over the border", b, 64);
	SHOW(mprotect(b, 16 * PAGE, RW));
	show_vmas("equal protection merges", b, 64);
	SHOW(munmap(b, 3 * PAGE));
	SHOW(munmap(b + 14 * PAGE, 50 * PAGE));
	show_vmas("ends cut off", b, 64);
	map_fixed(b + 1 * PAGE, 20, PROT_READ, ANON);
	show_vmas("FIXED over everything", b, 64);
	SHOW(munmap(b, 64 * PAGE));
	show_vmas("nothing left", b, 64);
}

static void test_contents(void)
{
	char *b = arena(16);
	int i;

	map_fixed(b, 8, RW, ANON);
	for (i = 0; i < 8; i++)
		b[i * (long)PAGE] = (char)(i + 1);
	map_fixed(b + 2 * PAGE, 2, RW, ANON);
	for (i = 0; i < 8; i++)
		printf("page %d holds %d\n", i, b[i * (long)PAGE]);
	SHOW(mprotect(b + 5 * PAGE, PAGE, PROT_NONE));
	SHOW(mprotect(b + 5 * PAGE, PAGE, PROT_READ));
	printf("after NONE and back: %d\n", b[5 * PAGE]);
	SHOW(munmap(b, 16 * PAGE));
}

static void test_placement(void)
{
	char *b = arena(32), *p;

	show_address("FIXED_NOREPLACE in free space",
		     mmap(b, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0), b);
	show_address("FIXED_NOREPLACE on a mapping",
		     mmap(b, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0), b);
	show_address("FIXED_NOREPLACE over a part",
		     mmap(b - PAGE, 3 * PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0), b);
	show_address("a hint in free space", mmap(b + 8 * PAGE, PAGE, RW, ANON, -1, 0), b);
	p = mmap(b + 8 * PAGE, PAGE, RW, ANON, -1, 0);
	printf("a hint on a mapping is %s\n", p == b + 8 * PAGE ? "taken" : "moved");
	show_address("an unaligned hint is rounded", mmap(b + 10 * PAGE + 5, PAGE, RW, ANON, -1, 0),
		     b);
	SHOW(munmap(b, 32 * PAGE));
}

static void test_errors(void)
{
	char *b = arena(4);

	show_address("length 0", mmap(NULL, 0, RW, ANON, -1, 0), b);
	show_address("neither private nor shared", mmap(NULL, PAGE, RW, MAP_ANONYMOUS, -1, 0), b);
	show_address("FIXED unaligned", mmap(b + 1, PAGE, RW, ANON | MAP_FIXED, -1, 0), b);
	show_address("bad fd", mmap(NULL, PAGE, RW, MAP_PRIVATE, 999, 0), b);
	show_address("no fd", mmap(NULL, PAGE, RW, MAP_PRIVATE, -1, 0), b);
	show_address("huge length", mmap(NULL, SIZE_MAX, RW, ANON, -1, 0), b);
	show_address("beyond the address space", mmap(NULL, 1UL << 47, RW, ANON, -1, 0), b);
	show_address("FIXED in the kernel half",
		     mmap((void *)0xffff800000000000, PAGE, RW, ANON | MAP_FIXED, -1, 0), b);
	show_address("FIXED at the last page",
		     mmap((void *)0x7ffffffff000, PAGE, RW, ANON | MAP_FIXED, -1, 0), b);
	SHOW(munmap(b + 1, PAGE));
	SHOW(munmap(b, 0));
	SHOW(munmap(b, PAGE));
	SHOW(munmap(b, SIZE_MAX));
	SHOW(munmap((void *)0x7ffffffff000, PAGE));
	SHOW(mprotect(b + 1, PAGE, PROT_READ));
	SHOW(mprotect(b, 0, PROT_READ));
	SHOW(mprotect(b, PAGE, PROT_READ));
	SHOW(mprotect(b, PAGE, 0x1000));
}

/* mprotect over a hole changes what lies before it and answers ENOMEM. */
static void test_protect_over_hole(void)
{
	char *b = arena(8);

	map_fixed(b, 2, RW, ANON);
	map_fixed(b + 4 * PAGE, 2, RW, ANON);
	SHOW(mprotect(b, 6 * PAGE, PROT_READ));
	show_vmas("after mprotect over a hole", b, 8);
	SHOW(munmap(b, 8 * PAGE));
}

static void test_files(void)
{
	int fd = file_make("map_file", 8), ro = open("map_file", O_RDONLY);
	int wo = open("map_file", O_WRONLY);
	char *b = arena(32);

	show_address("read-only file, private writable",
		     mmap(b, PAGE, RW, MAP_PRIVATE | MAP_FIXED, ro, 0), b);
	show_address("read-only file, shared writable",
		     mmap(b, PAGE, RW, MAP_SHARED | MAP_FIXED, ro, 0), b);
	show_address("write-only file", mmap(b, PAGE, PROT_WRITE, MAP_SHARED | MAP_FIXED, wo, 0),
		     b);
	show_address("unaligned offset", mmap(b, PAGE, RW, MAP_SHARED | MAP_FIXED, fd, 100), b);
	show_address("shared read of a read-only file",
		     mmap(b, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, ro, 0), b);
	SHOW(mprotect(b, PAGE, RW));
	mmap(b + 8 * PAGE, 2 * PAGE, RW, MAP_SHARED | MAP_FIXED, fd, 0);
	mmap(b + 10 * PAGE, 2 * PAGE, RW, MAP_SHARED | MAP_FIXED, fd, 2 * PAGE);
	mmap(b + 12 * PAGE, 2 * PAGE, RW, MAP_SHARED | MAP_FIXED, fd, 5 * PAGE);
	show_vmas("neighbours merge where the offsets follow", b, 32);
	SHOW(munmap(b + 9 * PAGE, PAGE));
	show_vmas("the part behind a hole keeps its offset", b, 32);
	printf("%c%c%c\n", b[8 * PAGE], b[10 * PAGE], b[12 * PAGE]);
	SHOW(munmap(b, 32 * PAGE));
	close(fd);
	close(ro);
	close(wo);
}

static void test_populate_and_noreserve(void)
{
	unsigned char in[4] = { 9, 9, 9, 9 };
	char *b = arena(4), *huge;

	map_fixed(b, 4, RW, ANON | MAP_POPULATE);
	SHOW(mincore(b, 4 * PAGE, in));
	printf("populated: %d%d%d%d\n", in[0] & 1, in[1] & 1, in[2] & 1, in[3] & 1);
	huge = mmap(NULL, 1UL << 38, RW, ANON | MAP_NORESERVE, -1, 0);
	printf("256 GiB NORESERVE: %s\n", huge == MAP_FAILED ? "failed" : "mapped");
	if (huge == MAP_FAILED)
		return;
	huge[1UL << 37] = 7;
	printf("sparse: %d %d\n", huge[1UL << 37], huge[(1UL << 37) + PAGE]);
	SHOW(munmap(huge, 1UL << 38));
}

int main(void)
{
	test_split_and_merge();
	test_contents();
	test_placement();
	test_errors();
	test_protect_over_hole();
	test_files();
	test_populate_and_noreserve();
	return 0;
}
