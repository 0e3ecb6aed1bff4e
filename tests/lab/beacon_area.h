/* SPDX-License-Identifier: MIT */
/* An area of beacon pages, in the guest program that counts in them. */
#ifndef LAB_BEACON_AREA_H
#define LAB_BEACON_AREA_H

#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/lab/beacon.h"

#define AREA_ALIGNMENT (2ul << 20)

struct area {
	const char *name;
	char *start;
	uint64_t pages;
	uint64_t round; /* of the process that counts here */
	uint64_t *seen; /* of one that only reads: the count of each page */
};

static inline volatile struct beacon *beacon(const struct area *a, uint64_t i)
{
	return (volatile struct beacon *)(a->start + i * BEACON_PAGE_SIZE);
}

static inline bool beacon_right(const struct area *a, uint64_t i)
{
	const volatile struct beacon *b = beacon(a, i);

	return b->magic == BEACON_MAGIC && b->index == i && !strcmp((const char *)b->area, a->name);
}

/*
 * Aligned as a large folio wants it, so that no folio belongs to two areas.
 * @fd -1: anonymous. => NULL after a message.
 */
static inline char *area_map(uint64_t pages, int flags, int fd)
{
	uint64_t bytes = pages * BEACON_PAGE_SIZE;
	char *room =
		mmap(NULL, bytes + AREA_ALIGNMENT, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *start = room + (-(uintptr_t)room & (AREA_ALIGNMENT - 1));

	if (room == MAP_FAILED ||
	    mmap(start, bytes, PROT_READ | PROT_WRITE,
		 flags | MAP_FIXED | (fd < 0 ? MAP_ANONYMOUS : 0), fd, 0) == MAP_FAILED) {
		perror("mmap");
		return NULL;
	}
	return start;
}

/* The first store to each page. */
static inline void area_fill(struct area *a)
{
	uint64_t i;

	for (i = 0; i < a->pages; i++) {
		struct beacon *b = (struct beacon *)beacon(a, i);

		snprintf(b->area, sizeof(b->area), "%s", a->name);
		b->index = i;
		b->magic = BEACON_MAGIC;
	}
}

/* One more in each page, if it holds what was stored last. => 1 after a message */
static inline int area_count(struct area *a)
{
	uint64_t i;

	for (i = 0; i < a->pages; i++) {
		volatile struct beacon *b = beacon(a, i);

		if (!beacon_right(a, i) || b->count != a->round) {
			printf("FAIL %s: page %lu counts %lu, not %lu\n", a->name, i, b->count,
			       a->round);
			return 1;
		}
		b->count = a->round + 1;
	}
	a->round++;
	return 0;
}

#endif
