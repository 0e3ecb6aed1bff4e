/* SPDX-License-Identifier: MIT */
/*
 * Random memory calls against a model of what each page must hold and allow: map, unmap,
 * protect, move, discard, page out, write, and forks whose children go on by
 * themselves. First processes, then several threads at once in one address
 * space. The seed may be given; the last lines tell the state each run ended in.
 */
#include <pthread.h>

#include "progs.h"

#define PAGES   384
#define STEPS   3000
#define THREADS 3
#define RW      (PROT_READ | PROT_WRITE)

struct page {
	bool mapped;
	int prot;
	uint64_t key; /* what its marked words hold; 0: a zero page */
};

struct storm {
	char *base;
	struct page pages[PAGES];
	uint64_t random;
	int depth; /* how many forks deep */
	int steps;
	bool forks;
	int failed;
};

static uint64_t next_random(struct storm *s)
{
	uint64_t x = s->random += 0x9e3779b97f4a7c15;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
	return x ^ (x >> 29);
}

static int below(struct storm *s, int limit)
{
	return (int)(next_random(s) % (uint64_t)limit);
}

static char *address(const struct storm *s, int page)
{
	return s->base + page * (long)PAGE;
}

static void storm_fail(struct storm *s, const char *what, int page, uint64_t got)
{
	if (!s->failed)
		printf("FAIL: %s, page %d of depth %d: key %#" PRIx64 ", got %#" PRIx64
		       ", errno %s\n",
		       what, page, s->depth, s->pages[page].key, got, strerrorname_np(errno));
	s->failed = 1;
}

/* Three words of a page carry its key. */
static const size_t marks[] = { 0, 2048 - 8, 4096 - 8 };

static void page_verify(struct storm *s, int page)
{
	const struct page *p = &s->pages[page];
	uint64_t got;
	size_t i;

	if (!p->mapped || !(p->prot & PROT_READ))
		return;
	for (i = 0; i < 3; i++) {
		got = *(volatile uint64_t *)(address(s, page) + marks[i]);
		if (got != p->key)
			storm_fail(s, "wrong contents", page, got);
	}
}

static void page_write(struct storm *s, int page)
{
	struct page *p = &s->pages[page];
	size_t i;

	if (!p->mapped || !(p->prot & PROT_WRITE))
		return;
	p->key = next_random(s) | 1;
	for (i = 0; i < 3; i++)
		*(volatile uint64_t *)(address(s, page) + marks[i]) = p->key;
}

static void verify_all(struct storm *s)
{
	int i;

	for (i = 0; i < PAGES && !s->failed; i++)
		page_verify(s, i);
}

/* mincore: 0 where all is mapped, else ENOMEM. Cheap enough to ask about every page. */
static void verify_mapped(struct storm *s, int page)
{
	unsigned char in;
	int mapped = !mincore(address(s, page), PAGE, &in);

	if (mapped != s->pages[page].mapped)
		storm_fail(s, mapped ? "mapped" : "not mapped", page, 0);
}

static _Thread_local sigjmp_buf refused_jump;

static void refused(int number)
{
	(void)number;
	siglongjmp(refused_jump, 1);
}

/* A store where none is allowed must fault. What it would store is what is there. */
static void verify_refused(struct storm *s, int page)
{
	const struct page *p = &s->pages[page];

	if (p->mapped && (p->prot & PROT_WRITE))
		return;
	if (sigsetjmp(refused_jump, 1))
		return;
	*(volatile uint64_t *)address(s, page) = p->key;
	storm_fail(s, "not protected", page, 0);
}

static bool all_mapped(const struct storm *s, int first, int n)
{
	int i;

	for (i = first; i < first + n; i++)
		if (!s->pages[i].mapped)
			return false;
	return true;
}

static bool none_mapped(const struct storm *s, int first, int n)
{
	int i;

	for (i = first; i < first + n; i++)
		if (s->pages[i].mapped)
			return false;
	return true;
}

static void do_map(struct storm *s, int first, int n)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | (below(s, 4) ? 0 : MAP_POPULATE), i;

	if (mmap(address(s, first), (size_t)n * PAGE, RW, flags, -1, 0) == MAP_FAILED)
		storm_fail(s, "mmap", first, 0);
	for (i = first; i < first + n; i++)
		s->pages[i] = (struct page){ .mapped = true, .prot = RW };
}

static void do_unmap(struct storm *s, int first, int n)
{
	int i;

	if (munmap(address(s, first), (size_t)n * PAGE))
		storm_fail(s, "munmap", first, 0);
	for (i = first; i < first + n; i++)
		s->pages[i] = (struct page){ .mapped = false };
}

static void do_protect(struct storm *s, int first, int n)
{
	static const int prots[] = { RW, RW, PROT_READ, PROT_NONE };
	int prot = prots[below(s, 4)], i;

	if (!all_mapped(s, first, n))
		return;
	if (mprotect(address(s, first), (size_t)n * PAGE, prot))
		storm_fail(s, "mprotect", first, 0);
	for (i = first; i < first + n; i++)
		s->pages[i].prot = prot;
}

static void do_discard(struct storm *s, int first, int n)
{
	int i;

	if (!all_mapped(s, first, n))
		return;
	if (madvise(address(s, first), (size_t)n * PAGE, MADV_DONTNEED))
		storm_fail(s, "DONTNEED", first, 0);
	for (i = first; i < first + n; i++)
		s->pages[i].key = 0;
}

static void do_advise(struct storm *s, int first, int n)
{
	static const int advices[] = { MADV_PAGEOUT, MADV_PAGEOUT, MADV_COLD, MADV_WILLNEED };

	if (all_mapped(s, first, n) &&
	    madvise(address(s, first), (size_t)n * PAGE, advices[below(s, 4)]))
		storm_fail(s, "madvise", first, 0);
}

/* A page at a time, so that whether neighbours are one VMA does not matter. */
static void do_move(struct storm *s, int first, int n)
{
	int to = below(s, PAGES - n), i;
	void *got;

	if (!all_mapped(s, first, n) || !none_mapped(s, to, n))
		return;
	for (i = 0; i < n; i++) {
		got = mremap(address(s, first + i), PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
			     address(s, to + i));
		if (got != address(s, to + i))
			storm_fail(s, "mremap", first + i, (uint64_t)got);
		s->pages[to + i] = s->pages[first + i];
		s->pages[first + i] = (struct page){ .mapped = false };
	}
}

static void do_write(struct storm *s, int first, int n)
{
	int i;

	for (i = first; i < first + n; i++)
		page_write(s, i);
}

static void run_steps(struct storm *s, int steps);

static void do_fork(struct storm *s)
{
	pid_t pid;
	int status;

	if (!s->forks || s->depth >= 3)
		return;
	pid = fork_flushed();
	if (!pid) {
		s->depth++;
		verify_all(s);
		run_steps(s, 40);
		verify_all(s);
		child_exit(s->failed);
	}
	/* The parent goes on while the child looks at what they share. */
	run_steps(s, 10);
	if (waitpid(pid, &status, 0) != pid || status)
		storm_fail(s, "a child failed", 0, (uint64_t)status);
}

static void run_step(struct storm *s)
{
	int n = 1 + below(s, below(s, 8) ? 8 : 96), first = below(s, PAGES - n);

	switch (below(s, 14)) {
	case 0:
		do_map(s, first, n);
		break;
	case 1:
		do_unmap(s, first, n);
		break;
	case 2:
		do_protect(s, first, n);
		break;
	case 3:
		do_discard(s, first, n);
		break;
	case 4:
		do_advise(s, first, n);
		break;
	case 5:
		do_move(s, first, n);
		break;
	case 6:
		verify_mapped(s, first);
		verify_refused(s, first);
		break;
	case 7:
		if (!below(s, 12))
			do_fork(s);
		break;
	default:
		do_write(s, first, n);
		break;
	}
	page_verify(s, first);
	page_verify(s, below(s, PAGES));
}

static void run_steps(struct storm *s, int steps)
{
	int i;

	for (i = 0; i < steps && !s->failed; i++) {
		run_step(s);
		if (i % 200 == 0)
			verify_all(s);
	}
}

static void *run_storm(void *arg)
{
	struct storm *s = arg;

	do_map(s, 0, PAGES);
	run_steps(s, s->steps);
	verify_all(s);
	return NULL;
}

static void show_end(const char *what, const struct storm *s)
{
	uint64_t sum = 0;
	int i, mapped = 0;

	for (i = 0; i < PAGES; i++) {
		mapped += s->pages[i].mapped;
		sum = sum * 31 + s->pages[i].key + (uint64_t)s->pages[i].prot;
	}
	printf("%s: %s, %d pages mapped, sum %016" PRIx64 "\n", what, s->failed ? "FAIL" : "ok",
	       mapped, sum);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	static struct storm storms[THREADS];
	uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
	int steps = argc > 2 ? atoi(argv[2]) : STEPS;
	pthread_t threads[THREADS];
	int i, failed;

	signal(SIGSEGV, refused);
	storms[0] = (struct storm){
		.base = arena(PAGES + 64) + 32 * PAGE, .random = seed, .steps = steps, .forks = true
	};
	run_storm(&storms[0]);
	show_end("processes", &storms[0]);
	failed = storms[0].failed;
	munmap(storms[0].base, PAGES * PAGE);
	for (i = 0; i < THREADS; i++) {
		storms[i] = (struct storm){ .random = seed + 100 + (uint64_t)i, .steps = steps };
		/* Reserved until the thread maps over it: no stack may come to lie there. */
		storms[i].base =
			mmap(NULL, PAGES * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	}
	printf("threads\n");
	fflush(stdout);
	for (i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, run_storm, &storms[i]);
	for (i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		failed |= storms[i].failed;
		show_end("thread", &storms[i]);
	}
	return failed;
}
