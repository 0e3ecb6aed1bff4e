/* SPDX-License-Identifier: MIT */
/*
 * What a beacon page looks like: the guest program (beacon.c) keeps counting in
 * each of its pages, the observer (live_nodes.c) tells by the count which host
 * page is the one in use and which is a copy left behind.
 */
#ifndef LAB_BEACON_H
#define LAB_BEACON_H

#include <stdint.h>

#define BEACON_MAGIC     0x6265616330e5a17dull
#define BEACON_PAGE_SIZE 4096ul
#define BEACON_MAX_PAGES 65536ul

struct beacon {
	uint64_t magic;
	uint64_t index; /* which of the beacon's pages this is */
	uint64_t count; /* grows for ever while the page is in use */
};

#endif
