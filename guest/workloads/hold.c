/* SPDX-License-Identifier: MIT */
/*
 * Fills memory of a chosen shape at a known place, says so, and holds it for
 * others to move: private, or a file mapped many times over, or shared by forked
 * children; still, or stored to at a given rate.
 */
#include <fcntl.h>
#include <signal.h>

#include "common.h"

/* Aligned to 2 MiB, out of the way of everything. */
#define BASE    0x200000000000UL
#define TICK_NS 1000000ULL

struct shape {
	uint64_t size, forks, maps, dirty;
	bool huge;
	char *memory;
};

static int shape_map(struct shape *s)
{
	int fd = s->maps ? memfd_create("held", 0) : -1;
	int flags = s->maps ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS;

	if (s->maps && (fd < 0 || ftruncate(fd, (off_t)s->size)))
		return -errno;
	for (uint64_t i = 0; i < (s->maps ? s->maps : 1); i++) {
		/* A page between two keeps them areas of their own. */
		char *p = mmap((void *)(BASE + i * (s->size + WL_PAGE)), s->size,
			       PROT_READ | PROT_WRITE, flags | MAP_FIXED_NOREPLACE, fd, 0);

		if (p == MAP_FAILED)
			return -errno;
		if (!i)
			s->memory = p;
		if (s->huge)
			madvise(p, s->size, MADV_HUGEPAGE);
		for (uint64_t at = 0; at < s->size; at += WL_PAGE)
			*(volatile uint64_t *)(p + at) = wl_mix(at) | 1;
	}
	return 0;
}

/* => in each child: never */
static int shape_share(const struct shape *s)
{
	for (uint64_t i = 0; i < s->forks; i++) {
		pid_t pid = fork();

		if (pid < 0)
			return -errno;
		if (!pid)
			for (;;)
				pause();
	}
	return 0;
}

static void store_for_ever(const struct shape *s)
{
	uint64_t state = 1, pages = s->size / WL_PAGE, start = wl_now_ns(), done = 0;
	struct timespec tick = { .tv_nsec = (long)TICK_NS };

	for (;;) {
		uint64_t due = (wl_now_ns() - start) / TICK_NS * s->dirty / 1000;

		for (; done < due; done++)
			s->memory[wl_random(&state) % pages * WL_PAGE + 64]++;
		nanosleep(&tick, NULL);
	}
}

int main(int argc, char **argv)
{
	struct shape s = { .size = 64UL << 20 };
	const struct wl_option options[] = {
		{ "size", WL_SIZE, &s.size, "bytes to hold" },
		{ "forks", WL_COUNT, &s.forks, "children that share them" },
		{ "maps", WL_COUNT, &s.maps, "map a file of this size so often instead" },
		{ "dirty", WL_COUNT, &s.dirty, "pages to store to each second" },
		{ "huge", WL_FLAG, &s.huge, "ask for transparent huge pages" },
		{ NULL, WL_FLAG, NULL, NULL },
	};
	int rc = wl_parse(argc, argv, "Holds memory of a shape for others to move.", options);

	if (rc)
		return rc < 0 ? 2 : 0;
	rc = shape_map(&s);
	if (!rc)
		rc = shape_share(&s);
	if (rc) {
		fprintf(stderr, "hold: %s\n", strerror(-rc));
		return 1;
	}
	fprintf(stderr, "hold: ready at %p\n", (void *)s.memory);
	if (s.dirty)
		store_for_ever(&s);
	for (;;)
		pause();
}
