/* SPDX-License-Identifier: MIT */
/*
 * What a beacon page looks like: guest programs (shapes.c, places.c) keep counting in
 * each of their pages, the observer (live_nodes.c) tells by the count which host
 * page is the one in use and which is a copy left behind.
 */
#ifndef LAB_BEACON_H
#define LAB_BEACON_H

#include <stdint.h>
#include <stdio.h>

#define BEACON_MAGIC     0x6265616330e5a17dull
#define BEACON_PAGE_SIZE 4096ul
#define BEACON_MAX_PAGES 16384ul /* of one area */
#define BEACON_NAME_MAX  24

struct beacon {
	uint64_t magic;
	char area[BEACON_NAME_MAX]; /* its name, one word; ends with 0 */
	uint64_t index;             /* which page of its area this is */
	uint64_t count;             /* grows for ever while the page is in use */
};

/*
 * "AREA 0*3 1 0": where an area's pages are, in their order, the first three on node 0.
 * A negative number is a page that is nowhere.
 */
static inline void beacon_print_nodes(const char *area, const int *nodes, uint64_t nr)
{
	uint64_t i, same;

	printf("%s", area);
	for (i = 0; i < nr; i += same) {
		for (same = 1; i + same < nr && nodes[i + same] == nodes[i]; same++)
			;
		if (same > 1)
			printf(" %d*%lu", nodes[i], same);
		else
			printf(" %d", nodes[i]);
	}
	putchar('\n');
}

#endif
