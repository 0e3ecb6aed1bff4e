/* SPDX-License-Identifier: MIT */
/*
 * Makes pages that nobody needs any more, step by step. Each line of input is a step; "done" or
 * what went wrong is the answer, so that a script can reclaim in between and read counters.
 *
 *	fill		store to SIZE of private memory, no two pages alike
 *	zero		store zeroes to it
 *	read		every page must be as it was stored
 *	read-freed	every page must be as it was stored, or zero
 *	unmap		give it back
 *	free		MADV_FREE
 *	dontneed	MADV_DONTNEED
 *	child		a child fills as much, and exits
 *	file		read all of a file mapping; it stays mapped
 *	cold, pageout	the advice, for the pages FIRST to FIRST + COUNT
 *	resident	the answer is how many pages of it are in memory
 *
 *	dead_pages SIZE-IN-MIB FILE
 */
#include "progs.h"

static uint64_t *memory;
static size_t bytes;
static bool zeroes;

static uint64_t word_of(size_t page)
{
	return zeroes ? 0 : (page + 1) * 0x9e3779b97f4a7c15ull;
}

static void fill(bool with_zeroes)
{
	zeroes = with_zeroes;
	if (!memory)
		memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			      0);
	if (memory == MAP_FAILED) {
		perror("mmap");
		exit(2);
	}
	for (size_t p = 0; p < bytes / PAGE; p++)
		for (size_t w = 0; w < PAGE / 8; w++)
			memory[p * PAGE / 8 + w] = word_of(p);
}

/* How many pages hold something else. */
static size_t wrong(bool may_be_zero)
{
	size_t bad = 0;

	for (size_t p = 0; p < bytes / PAGE; p++) {
		uint64_t first = memory[p * PAGE / 8], last = memory[(p + 1) * PAGE / 8 - 1];

		if (first == word_of(p) && last == word_of(p))
			continue;
		bad += !(may_be_zero && !first && !last);
	}
	return bad;
}

static void run_child(void)
{
	pid_t pid = fork_flushed();
	int status;

	if (!pid) {
		fill(false);
		_exit(0);
	}
	waitpid(pid, &status, 0);
}

static void read_file(const char *name)
{
	int fd = open(name, O_RDONLY);
	volatile char *p = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);

	if (fd < 0 || p == MAP_FAILED) {
		perror(name);
		exit(2);
	}
	for (size_t i = 0; i < bytes; i += PAGE)
		(void)p[i];
	close(fd);
}

static size_t resident(void)
{
	unsigned char *in = malloc(bytes / PAGE);
	size_t nr = 0;

	if (!in || mincore(memory, bytes, in)) {
		perror("mincore");
		exit(2);
	}
	for (size_t p = 0; p < bytes / PAGE; p++)
		nr += in[p] & 1;
	free(in);
	return nr;
}

static void advise(const char *line, int advice)
{
	size_t first = 0, count = bytes / PAGE;

	sscanf(line, "%*s %zu %zu", &first, &count);
	if (madvise((char *)memory + first * PAGE, count * PAGE, advice))
		printf("%s: %s\n", line, strerrorname_np(errno));
}

/* What it answers is the line that the script waits for. */
static void step(const char *line, const char *file)
{
	if (!strcmp(line, "fill") || !strcmp(line, "zero"))
		fill(line[0] == 'z');
	else if (!strcmp(line, "unmap") && !munmap(memory, bytes))
		memory = NULL;
	else if (!strcmp(line, "free"))
		advise(line, MADV_FREE);
	else if (!strcmp(line, "dontneed"))
		advise(line, MADV_DONTNEED);
	else if (!strncmp(line, "cold", 4))
		advise(line, MADV_COLD);
	else if (!strncmp(line, "pageout", 7))
		advise(line, MADV_PAGEOUT);
	else if (!strcmp(line, "child"))
		run_child();
	else if (!strcmp(line, "file"))
		read_file(file);
	if (!strcmp(line, "resident"))
		printf("%zu\n", resident());
	else if (!strncmp(line, "read", 4))
		printf("%zu wrong\n", wrong(line[4]));
	else
		puts("done");
}

int main(int argc, char **argv)
{
	char line[64];

	if (argc != 3) {
		fputs("usage: dead_pages SIZE-IN-MIB FILE\n", stderr);
		return 2;
	}
	bytes = strtoul(argv[1], NULL, 10) << 20;
	setvbuf(stdout, NULL, _IOLBF, 0);
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = 0;
		step(line, argv[2]);
	}
	return 0;
}
