/* SPDX-License-Identifier: MIT */
#include "vmm/kswapd.h"

#include <stdio.h>
#include <string.h>

static void *kswapd_main(void *arg)
{
	struct kswapd_thread *t = arg;
	char name[16];

	snprintf(name, sizeof(name), "kswapd%d", t->node);
	pthread_setname_np(pthread_self(), name);
	mm_background_reclaim(t->sys, t->node);
	return NULL;
}

int kswapd_start(struct kswapd *k, struct mm_sys *sys, struct errmsg *e)
{
	memset(k, 0, sizeof(*k));
	for (unsigned int i = 0; i < mm_sys_nr_nodes(sys); i++) {
		struct kswapd_thread *t = &k->threads[i];
		int rc;

		*t = (struct kswapd_thread){ .sys = sys, .node = (int)i };
		rc = pthread_create(&t->thread, NULL, kswapd_main, t);
		if (rc)
			return errmsg_set(e, -rc, "no thread to reclaim memory: %s", strerror(rc));
		k->nr++;
	}
	return 0;
}

void kswapd_stop(struct kswapd *k)
{
	if (!k->nr)
		return;
	mm_background_stop(k->threads[0].sys);
	while (k->nr)
		pthread_join(k->threads[--k->nr].thread, NULL);
}
