/* SPDX-License-Identifier: MIT */
/*
 * The same work by the other mechanism: a guest of its own, of the same program, size and
 * back end, whose memory is taken by holes. It takes its turn in every round.
 */
#include <errno.h>

#include "vmm/bench_bulk.h"

int bulk_hole_start(struct bulk *k, struct errmsg *e)
{
	char spec[PATH_MAX], mem[32];
	char *options[] = { "--mem", mem, "--holes", spec, NULL };
	uint64_t bytes = k->b->bulk_bytes;
	int rc;

	/* One server at a time is started, and the other guest has all of it. */
	if (bulk_is(k, "nbd"))
		return errmsg_set(e, -ENOTSUP, "not measured over a server");
	snprintf(mem, sizeof(mem), "%lu", bytes + bytes / 8 + (64ul << 20));
	if (!reclaim_holes_spec(k->b, k->backend, bytes + bytes / 4 + (64ul << 20), spec,
				sizeof(spec)))
		return errmsg_set(e, -EINVAL, "there is no back end '%s'", k->backend);
	rc = paged_start(&k->holed, &k->b->paths, options, NULL, bytes, "heap", e);
	k->holed.holes = true;
	return rc;
}

void bulk_hole_report(struct bulk *k)
{
	const struct side *h = &k->hole;
	char name[48];

	if (!h->freed.nr) {
		snprintf(name, sizeof(name), "%s: hole", k->backend);
		reclaim_row_skip(k->b, name, k->why_no_holes);
		return;
	}
	bulk_row(k, "freed", "GB/s", &k->umm.freed, "hole", &h->freed);
	bulk_row(k, "processor time", "s/GiB", &k->umm.cpu, "hole", &h->cpu);
	bulk_row(k, "swap-in p50", "us", &k->umm.in_p50, "hole", &h->in_p50);
	bulk_row(k, "swap-in p99", "us", &k->umm.in_p99, "hole", &h->in_p99);
	bulk_row(k, "sequential swap-in", "GB/s", &k->umm.in_seq, "hole", &h->in_seq);
}
