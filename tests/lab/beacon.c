/* SPDX-License-Identifier: MIT */
/*
 * Guest program: beacon PAGES SECONDS. Counts in each of its pages until the
 * time is over, and fails if a count is ever not what was stored last.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#include "tests/lab/beacon.h"

static volatile struct beacon *beacon_page(char *area, uint64_t index)
{
	return (volatile struct beacon *)(area + index * BEACON_PAGE_SIZE);
}

static int count_until(char *area, uint64_t pages, time_t end)
{
	uint64_t round, i;

	for (round = 1; time(NULL) < end; round++) {
		for (i = 0; i < pages; i++) {
			volatile struct beacon *b = beacon_page(area, i);

			if (b->count != round - 1 || b->index != i) {
				printf("beacon: page %lu counts %lu, not %lu\n", i, b->count,
				       round - 1);
				return 1;
			}
			b->count = round;
		}
	}
	printf("beacon: ok\n");
	return 0;
}

int main(int argc, char **argv)
{
	uint64_t pages = argc > 1 ? strtoul(argv[1], NULL, 0) : 0;
	time_t end = time(NULL) + (argc > 2 ? atol(argv[2]) : 0);
	uint64_t i;
	char *area;

	if (argc != 3 || !pages || pages > BEACON_MAX_PAGES) {
		fprintf(stderr, "usage: beacon PAGES SECONDS\n");
		return 2;
	}
	area = mmap(NULL, pages * BEACON_PAGE_SIZE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (area == MAP_FAILED) {
		perror("beacon: mmap");
		return 2;
	}
	for (i = 0; i < pages; i++) {
		beacon_page(area, i)->index = i;
		beacon_page(area, i)->magic = BEACON_MAGIC;
	}
	return count_until(area, pages, end);
}
