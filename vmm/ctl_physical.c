/* SPDX-License-Identifier: MIT */
#include "vmm/ctl_physical.h"

#include <inttypes.h>

#include <umm/reclaim.h>

/* Pages between two looks at the client: well under a second even where all are there. */
#define PROGRESS_PAGES (1ul << 18)

void physical_count(struct vm *vm, struct ctl_conn *conn, struct mm *mm, gva_t start, gva_t end,
		    uint64_t rss, struct physical_census *census)
{
	uint64_t total = (end.v - start.v) >> UMM_PAGE_SHIFT, page, entry;
	pfn_t pfns[HOST_NODES_BATCH];
	unsigned int nr = 0;
	bool present;

	for (page = 0; page < total && rss; page++) {
		if (page && !(page % PROGRESS_PAGES) && ctl_conn_progress(conn, page, total))
			return;
		if (mm_query_address(mm, gva_make(start.v + (page << UMM_PAGE_SHIFT)), &pfns[nr],
				     &entry, &present) ||
		    !present)
			continue;
		rss--;
		if (++nr == HOST_NODES_BATCH) {
			host_count_nodes(vm->host, pfns, nr, census->on_host, &census->absent);
			nr = 0;
		}
	}
	host_count_nodes(vm->host, pfns, nr, census->on_host, &census->absent);
}

json_t *physical_json(const struct physical_census *census)
{
	json_t *o = json_object();
	char name[24];
	unsigned int i;

	for (i = 0; i < UMM_MAX_NODES; i++) {
		snprintf(name, sizeof(name), "%u", i);
		if (census->on_host[i])
			json_object_set_new(o, name, json_integer((json_int_t)census->on_host[i]));
	}
	if (census->absent)
		json_object_set_new(o, "absent", json_integer((json_int_t)census->absent));
	return o;
}
