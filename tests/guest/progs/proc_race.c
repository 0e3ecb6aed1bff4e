/* SPDX-License-Identifier: MIT */
/*
 * proc_race SECONDS: memory looked at, cleared and stored to through /proc at any offset,
 * by any length, from and to bad addresses, while it is mapped, unmapped, shared with
 * children and gone with them. Whatever is answered is right; all must live to the end.
 */
#include <pthread.h>
#include <time.h>

#include "progs.h"

#define RW      (PROT_READ | PROT_WRITE)
#define PAGES   64u
#define READERS 3

static char *space;
static int child; /* the newest one's pid; it may be gone */
static int stop;

static unsigned int random_below(unsigned int *seed, unsigned int below)
{
	*seed = *seed * 1103515245u + 12345u;
	return (*seed >> 8) % below;
}

static void *change(void *arg)
{
	unsigned int *seed = arg;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		unsigned int at = random_below(seed, PAGES),
			     nr = 1 + random_below(seed, PAGES - at);
		char *p = space + at * PAGE;

		switch (random_below(seed, 4)) {
		case 0:
			munmap(p, nr * PAGE);
			break;
		case 1:
			mprotect(p, nr * PAGE, PROT_READ);
			break;
		case 2:
			madvise(p, nr * PAGE, random_below(seed, 2) ? MADV_DONTNEED : MADV_PAGEOUT);
			break;
		default:
			mmap(p, nr * PAGE, RW,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_POPULATE, -1, 0);
		}
	}
	return NULL;
}

/* A position in one of the files: in the space, near an end, or anywhere. */
static off_t some_offset(unsigned int *seed, bool pagemap)
{
	uint64_t at = (uintptr_t)space + random_below(seed, PAGES) * PAGE;

	switch (random_below(seed, 6)) {
	case 0:
		return (off_t)((uint64_t)random_below(seed, 1u << 24) << random_below(seed, 40));
	case 1:
		return INT64_MAX - random_below(seed, 64);
	case 2:
		at = (1ul << 47) - random_below(seed, 3) * PAGE;
	}
	return (off_t)(pagemap ? at / PAGE * 8 : at + random_below(seed, 100));
}

static void poke_at(const char *name, unsigned int *seed)
{
	static char buf[READERS * 2][8 * PAGE];
	char path[64], *own = buf[random_below(seed, READERS * 2)];
	char *to = random_below(seed, 8) ? own : space + random_below(seed, PAGES) * PAGE;
	int pid = random_below(seed, 2) ? getpid() : __atomic_load_n(&child, __ATOMIC_RELAXED);
	bool pagemap = !strcmp(name, "pagemap");
	size_t len = random_below(seed, 8 * PAGE) & ~(pagemap ? 7ul : 0);
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	fd = open(path, strcmp(name, "clear_refs") ? O_RDWR : O_WRONLY);
	if (fd < 0)
		return;
	for (int i = 0; i < 4; i++)
		(void)!pread(fd, to, len, some_offset(seed, pagemap));
	if (!strcmp(name, "clear_refs"))
		(void)!write(fd, "12345" + random_below(seed, 5), 1);
	/* Not in our own memory, but where nobody misses it. */
	else if (pid != getpid() || !pagemap)
		(void)!pwrite(fd, own, 100, (off_t)(uintptr_t)space + random_below(seed, 900));
	close(fd);
}

static void frames(const char *path, unsigned int *seed)
{
	uint64_t words[64];
	int fd = open(path, O_RDWR);

	if (fd < 0)
		return;
	memset(words, 0xff, sizeof(words));
	for (int i = 0; i < 8; i++) {
		off_t at = (off_t)random_below(seed, 1u << 20) * 8;

		(void)!pwrite(fd, words, sizeof(words), at / 64);
		(void)!pread(fd, words, sizeof(words), at);
	}
	close(fd);
}

static void *look(void *arg)
{
	static const char *const names[] = { "pagemap", "mem", "clear_refs", "mem", "smaps" };
	unsigned int *seed = arg;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		poke_at(names[random_below(seed, 5)], seed);
		if (!random_below(seed, 20)) {
			frames("/proc/kpageflags", seed);
			frames("/proc/kpagecount", seed);
			frames("/sys/kernel/mm/page_idle/bitmap", seed);
		}
	}
	return NULL;
}

/* Children that store to the space, if it is there, and go in one way or another. */
static void make_children(time_t end, unsigned int *seed)
{
	while (time(NULL) < end) {
		pid_t pid = fork();

		if (!pid) {
			fault_catch();
			if (!sigsetjmp(fault_jump, 1))
				for (unsigned int i = 0; i < PAGES; i++)
					space[i * PAGE] = 1;
			if (random_below(seed, 4) == 0)
				execl("/bin/true", "true", NULL);
			_exit(0);
		}
		__atomic_store_n(&child, (int)pid, __ATOMIC_RELAXED);
		random_below(seed, 2);
		waitpid(pid, NULL, 0);
	}
}

int main(int argc, char **argv)
{
	time_t end = time(NULL) + (argc > 1 ? strtol(argv[1], NULL, 10) : 1);
	pthread_t threads[READERS + 1];
	unsigned int seeds[READERS + 2];

	space = mmap(NULL, PAGES * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	child = getpid();
	for (unsigned int i = 0; i < READERS + 2; i++)
		seeds[i] = i + 1;
	for (int i = 0; i <= READERS; i++)
		pthread_create(&threads[i], NULL, i ? look : change, &seeds[i]);
	printf("ready\n");
	fflush(stdout);
	make_children(end, &seeds[READERS + 1]);
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (int i = 0; i <= READERS; i++)
		pthread_join(threads[i], NULL);
	printf("alive\n");
	return 0;
}
