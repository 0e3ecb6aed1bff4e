/* SPDX-License-Identifier: MIT */
#include "vmm/swap_reader.h"

#include <string.h>

static void *reader_main(void *arg)
{
	pthread_setname_np(pthread_self(), "swapreader");
	mm_swap_reader(arg);
	return NULL;
}

int swap_readers_start(struct swap_readers *r, struct mm_sys *sys, struct errmsg *e)
{
	*r = (struct swap_readers){ .sys = sys };
	while (r->nr < SWAP_READERS) {
		int rc = pthread_create(&r->threads[r->nr], NULL, reader_main, sys);

		if (rc)
			return errmsg_set(e, -rc, "no thread to read swap ahead: %s", strerror(rc));
		r->nr++;
	}
	return 0;
}

void swap_readers_stop(struct swap_readers *r)
{
	if (!r->nr)
		return;
	mm_swap_readers_stop(r->sys);
	while (r->nr)
		pthread_join(r->threads[--r->nr], NULL);
}
