/* SPDX-License-Identifier: MIT */
#include "vmm/ctl_physical.h"

#include <inttypes.h>

#include <umm/reclaim.h>

/* Pages between two looks at the client: well under a second even where all are there. */
#define PROGRESS_PAGES (1ul << 18)

static void count_frame(const struct vm *vm, pfn_t pfn, struct physical_census *census)
{
	int node = host_frame_node(vm->host, pfn);

	if (node >= 0 && node < UMM_MAX_NODES)
		census->on_host[node]++;
	else
		census->absent++;
}

void physical_count(struct vm *vm, struct ctl_conn *conn, struct mm *mm, gva_t start, gva_t end,
		    uint64_t rss, struct physical_census *census)
{
	uint64_t total = (end.v - start.v) >> UMM_PAGE_SHIFT, page, entry;
	bool present;
	pfn_t pfn;

	for (page = 0; page < total && rss; page++) {
		if (page && !(page % PROGRESS_PAGES) && ctl_conn_progress(conn, page, total))
			return;
		if (mm_query_address(mm, gva_make(start.v + (page << UMM_PAGE_SHIFT)), &pfn, &entry,
				     &present) ||
		    !present)
			continue;
		count_frame(vm, pfn, census);
		rss--;
	}
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
