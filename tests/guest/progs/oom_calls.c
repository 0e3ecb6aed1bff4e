/* SPDX-License-Identifier: MIT */
/*
 * System calls that want new pages while memory is out: a child takes all there is, over and over,
 * until it is killed, and no call of the parent may notice. The memory is the guest's: never to be
 * run natively.
 */
#include <sys/sysinfo.h>
#include <sys/uio.h>
#include <time.h>

#include "progs.h"

#define KILLS 12
#define LARGE (1ul << 20)

static size_t wrong, calls;

static void expect(const char *what, long got, long wanted)
{
	calls++;
	if (got == wanted)
		return;
	if (wrong++ < 8)
		printf("%s: %ld %s, not %ld\n", what, got, got < 0 ? strerrorname_np(errno) : "",
		       wanted);
}

/* Pages that nobody has touched; the caller gives them back. */
static char *fresh(size_t size)
{
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED) {
		perror("mmap");
		exit(2);
	}
	return p;
}

static void small_ones(const int ends[2])
{
	char *p = fresh(4 * PAGE);

	expect("fstat", fstat(0, (struct stat *)p), 0);
	expect("stat", stat("/proc/self/exe", (struct stat *)(p + PAGE)), 0);
	expect("write of nothing stored", write(ends[1], p + 2 * PAGE, 100), 100);
	expect("read", read(ends[0], p + 3 * PAGE, 100), 100);
	munmap(p, 4 * PAGE);
}

/* By frames that the host reads into and writes from. */
static void large_ones(int zero, int file)
{
	char *p = fresh(LARGE);
	struct iovec parts[3] = { { p, PAGE }, { p + PAGE, 0 }, { p + PAGE, LARGE - PAGE } };

	expect("read of zeros", read(zero, p, LARGE), LARGE);
	madvise(p, LARGE, MADV_DONTNEED);
	expect("pwrite", pwrite(file, p, LARGE, 0), LARGE);
	madvise(p, LARGE, MADV_DONTNEED);
	expect("preadv", preadv(file, parts, 3, 0), LARGE);
	munmap(p, LARGE);
}

/* Takes one page after the other. */
static void be_greedy(void)
{
	struct sysinfo all;
	size_t size, at;
	char *p;

	if (sysinfo(&all) || all.totalram > 1ul << 30)
		child_exit(3);
	size = 2 * all.totalram * all.mem_unit;
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		 -1, 0);
	if (p == MAP_FAILED)
		child_exit(2);
	for (at = 0; at < size; at += PAGE)
		p[at] = 1;
	child_exit(0);
}

int main(void)
{
	int ends[2], zero = open("/dev/zero", O_RDONLY);
	int file = open("calls", O_RDWR | O_CREAT | O_TRUNC, 0600), kills = 0, status;
	struct timespec now;
	time_t end;
	pid_t greedy = 0;

	clock_gettime(CLOCK_MONOTONIC, &now);
	end = now.tv_sec + 60;
	if (pipe(ends) || zero < 0 || file < 0)
		return 2;
	while (kills < KILLS && now.tv_sec < end) {
		if (!greedy)
			greedy = fork_flushed();
		if (!greedy)
			be_greedy();
		small_ones(ends);
		large_ones(zero, file);
		if (waitpid(greedy, &status, WNOHANG) == greedy) {
			greedy = 0;
			if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
				printf("the greedy one ended with status %#x\n", status);
				return 2;
			}
			kills++;
		}
		clock_gettime(CLOCK_MONOTONIC, &now);
	}
	if (greedy) {
		kill(greedy, SIGKILL);
		waitpid(greedy, &status, 0);
	}
	fprintf(stderr, "%zu calls, %d kills\n", calls, kills);
	printf("%zu wrong, %s\n", wrong, kills == KILLS ? "killed often enough" : "TOO FEW KILLS");
	return 0;
}
