/* SPDX-License-Identifier: MIT */
/*
 * truncate_storm SEED [STEPS]: a file that grows and shrinks under shared mappings. The parent
 * truncates it at random, stores through its mapping, and knows what each page must
 * hold: what was cut off reads as zeros when it is there again, pages past the end
 * raise SIGBUS. A child reads through a mapping of its own at the same time: whatever
 * it finds of a page is that page's or zero. Says nothing if all is right.
 */
#include <setjmp.h>
#include <signal.h>
#include <sys/wait.h>

#include "progs.h"

#define PAGES 256
#define STEPS 1500
#define TAG   (1ull << 48) /* the page's number + 1, above what was stored */

static sigjmp_buf beyond;
static uint64_t random_state, steps;

static void on_bus(int sig)
{
	(void)sig;
	siglongjmp(beyond, 1);
}

static uint64_t next_random(uint64_t below)
{
	random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
	return (random_state >> 33) % below;
}

static volatile uint64_t *word_of(char *base, uint64_t page)
{
	return (volatile uint64_t *)(base + page * PAGE + 8 * (page % 512));
}

/* False: there was SIGBUS. */
static bool look(char *base, uint64_t page, uint64_t *value)
{
	if (sigsetjmp(beyond, 1))
		return false;
	*value = *word_of(base, page);
	return true;
}

static int watch(char *base, pid_t parent)
{
	uint64_t value;

	while (getppid() == parent) {
		uint64_t page = next_random(PAGES);

		if (look(base, page, &value) && value && value / TAG != page + 1) {
			printf("child: page %lu holds %lx\n", page, value);
			fflush(stdout);
			return 1;
		}
	}
	return 0;
}

static int check_all(char *base, const uint64_t *model, uint64_t end)
{
	for (uint64_t p = 0; p < PAGES; p++) {
		uint64_t value = 0;
		bool there = look(base, p, &value);

		if (there != (p < end) || (there && value != model[p])) {
			printf("page %lu of %lu: %s %lx, should be %lx\n", p, end,
			       there ? "holds" : "raises SIGBUS, not", value, model[p]);
			return 1;
		}
	}
	return 0;
}

static int storm(int fd, char *base)
{
	static uint64_t model[PAGES];
	uint64_t end = PAGES;

	for (uint64_t step = 0; step < steps; step++) {
		if (next_random(8) == 0) {
			end = 1 + next_random(PAGES);
			if (ftruncate(fd, (off_t)(end * PAGE))) {
				perror("ftruncate");
				return 1;
			}
			memset(model + end, 0, (PAGES - end) * sizeof(*model));
		}
		for (int i = 0; i < 8; i++) {
			uint64_t p = next_random(end);

			model[p] = (p + 1) * TAG + step;
			*word_of(base, p) = model[p];
		}
		if (step % 50 == 0 && check_all(base, model, end))
			return 1;
	}
	return check_all(base, model, end);
}

int main(int argc, char **argv)
{
	char name[] = "truncated-XXXXXX";
	struct sigaction bus = { .sa_handler = on_bus };
	int fd = mkstemp(name), failed, status;
	char *base;
	pid_t pid;

	random_state = argc > 1 ? strtoul(argv[1], NULL, 0) : 1;
	steps = argc > 2 ? strtoul(argv[2], NULL, 0) : STEPS;
	if (fd < 0 || ftruncate(fd, PAGES * PAGE)) {
		perror(name);
		return 2;
	}
	unlink(name);
	base = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (base == MAP_FAILED) {
		perror("mmap");
		return 2;
	}
	sigaction(SIGBUS, &bus, NULL);
	pid = fork();
	if (!pid)
		_exit(watch(base, getppid()));
	failed = pid < 0 || storm(fd, base);
	/* It watches until then, or has found something. */
	if (pid > 0) {
		kill(pid, SIGKILL);
		failed |= waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status);
	}
	return failed;
}
