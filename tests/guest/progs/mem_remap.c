/* SPDX-License-Identifier: MIT */
/* mremap with every flag: shrink, grow in place, move, FIXED, DONTUNMAP, shared copies. */
#include "progs.h"

#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define RW   (PROT_READ | PROT_WRITE)

static char *map_pages(char *at, int pages)
{
	char *p = mmap(at, (size_t)pages * PAGE, RW, ANON | MAP_FIXED, -1, 0);
	int i;

	for (i = 0; i < pages; i++)
		p[i * (long)PAGE] = (char)('A' + i);
	return p;
}

static void show_pages(const char *what, const char *p, int pages)
{
	int i;

	printf("%s: ", what);
	for (i = 0; i < pages; i++)
		printf("%c", p[i * (long)PAGE] ? p[i * (long)PAGE] : '.');
	printf("\n");
}

static void test_size(void)
{
	char *b = arena(64), *p;

	map_pages(b, 8);
	show_address("same size", mremap(b, 8 * PAGE, 8 * PAGE, 0), b);
	show_address("shrink", mremap(b, 8 * PAGE, 4 * PAGE, 0), b);
	show_vmas("shrunk", b, 64);
	show_address("grow in place", mremap(b, 4 * PAGE, 16 * PAGE, 0), b);
	show_vmas("grown", b, 64);
	show_pages("contents", b, 16);
	map_pages(b + 16 * PAGE, 1);
	show_vmas("the neighbour merged", b, 64);
	SHOW(mprotect(b + 16 * PAGE, PAGE, PROT_READ));
	show_address("grow against a neighbour, may not move", mremap(b, 16 * PAGE, 20 * PAGE, 0),
		     b);
	p = mremap(b, 16 * PAGE, 20 * PAGE, MREMAP_MAYMOVE);
	printf("grow, may move: %s\n", p == MAP_FAILED ? "failed" : p == b ? "in place" : "moved");
	show_vmas("left behind", b, 40);
	show_pages("contents", p, 20);
	munmap(p, 20 * PAGE);
	munmap(b, 64 * PAGE);
}

static void test_part_moves(void)
{
	char *b = arena(64);

	map_pages(b, 8);
	show_address("the middle moves",
		     mremap(b + 2 * PAGE, 3 * PAGE, 3 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
			    b + 32 * PAGE),
		     b);
	show_vmas("after the move", b, 64);
	show_pages("moved", b + 32 * PAGE, 3);
	show_pages("before it", b, 2);
	show_pages("after it", b + 5 * PAGE, 3);
	show_address("back again",
		     mremap(b + 32 * PAGE, 3 * PAGE, 3 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
			    b + 2 * PAGE),
		     b);
	show_vmas("one mapping again", b, 64);
	show_pages("contents", b, 8);
	map_pages(b + 40 * PAGE, 4);
	show_address("FIXED onto a mapping, growing",
		     mremap(b, 2 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, b + 40 * PAGE),
		     b);
	show_pages("replaced", b + 40 * PAGE, 4);
	show_vmas("after FIXED", b, 64);
	munmap(b, 64 * PAGE);
}

static void test_dontunmap(void)
{
	char *b = arena(64);

	map_pages(b, 4);
	show_address("DONTUNMAP",
		     mremap(b, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP,
			    b + 16 * PAGE),
		     b);
	show_vmas("both are mapped", b, 64);
	show_pages("the pages went", b + 16 * PAGE, 4);
	show_pages("zeroes stay", b, 4);
	b[0] = 'x';
	show_pages("and are apart", b + 16 * PAGE, 1);
	show_address("DONTUNMAP with another size",
		     mremap(b, 4 * PAGE, 8 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP), b);
	show_address("DONTUNMAP without MAYMOVE", mremap(b, 4 * PAGE, 4 * PAGE, MREMAP_DONTUNMAP),
		     b);
	munmap(b, 64 * PAGE);
}

/* An old size of 0 on a shared mapping makes a second mapping of the same pages. */
static void test_shared_copy(void)
{
	char *b = arena(64), *p;

	p = mmap(b, 4 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	p[0] = 'S';
	show_address("old size 0, shared",
		     mremap(b, 0, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, b + 8 * PAGE), b);
	b[8 * PAGE + 1] = 'T';
	printf("same pages: %c%c\n", b[8 * PAGE], b[1]);
	map_pages(b + 32 * PAGE, 2);
	show_address("old size 0, private", mremap(b + 32 * PAGE, 0, 2 * PAGE, MREMAP_MAYMOVE), b);
	munmap(b, 64 * PAGE);
}

static void test_file(void)
{
	int fd = file_make("remap_file", 8);
	char *b = arena(64);

	mmap(b, 4 * PAGE, RW, MAP_SHARED | MAP_FIXED, fd, 2 * PAGE);
	show_address("a file mapping moves",
		     mremap(b, 4 * PAGE, 6 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, b + 16 * PAGE),
		     b);
	show_pages("contents", b + 16 * PAGE, 6);
	show_vmas("with its offset", b, 64);
	close(fd);
	munmap(b, 64 * PAGE);
}

static void test_errors(void)
{
	char *b = arena(64);

	map_pages(b, 4);
	show_address("unaligned", mremap(b + 1, PAGE, 2 * PAGE, MREMAP_MAYMOVE), b);
	show_address("new size 0", mremap(b, PAGE, 0, MREMAP_MAYMOVE), b);
	show_address("unknown flag", mremap(b, PAGE, PAGE, 0x80), b);
	show_address("FIXED without MAYMOVE", mremap(b, PAGE, PAGE, MREMAP_FIXED, b + 32 * PAGE),
		     b);
	show_address("FIXED unaligned",
		     mremap(b, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, b + 32 * PAGE + 1), b);
	show_address("FIXED overlapping",
		     mremap(b, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, b + 2 * PAGE), b);
	show_address("unmapped", mremap(b + 16 * PAGE, PAGE, 2 * PAGE, MREMAP_MAYMOVE), b);
	show_address("growing past its VMA's end", mremap(b, 8 * PAGE, 9 * PAGE, MREMAP_MAYMOVE),
		     b);
	munmap(b, 64 * PAGE);
}

/* Contents after a move across page-table borders, forward and back. */
static void test_large_move(void)
{
	const int pages = 1500;
	char *b = arena(8192);
	long wrong = 0, i;

	mmap(b, (size_t)pages * PAGE, RW, ANON | MAP_FIXED, -1, 0);
	for (i = 0; i < pages; i++)
		*(long *)(b + i * (long)PAGE) = i * 7 + 1;
	show_address("large move",
		     mremap(b, (size_t)pages * PAGE, (size_t)pages * PAGE,
			    MREMAP_MAYMOVE | MREMAP_FIXED, b + 3001 * PAGE),
		     b);
	for (i = 0; i < pages; i++)
		wrong += *(long *)(b + (3001 + i) * (long)PAGE) != i * 7 + 1;
	printf("wrong pages after a large move: %ld\n", wrong);
	munmap(b, 8192 * PAGE);
}

int main(void)
{
	test_size();
	test_part_moves();
	test_dontunmap();
	test_shared_copy();
	test_file();
	test_errors();
	test_large_move();
	return 0;
}
