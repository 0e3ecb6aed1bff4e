/* SPDX-License-Identifier: MIT */
/*
 * Software alone: what a page costs to unmap and free, over sizes, with the back
 * end that stores nothing; what it costs to look at a page and let it age; and how much memory
 * the manager needs for itself.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/bench_paged.h"
#include "vmm/bench_reclaim.h"

#define MIB (1ul << 20)
/* More than the program's own pages, which nobody uses meanwhile. */
#define AGE_SHARE 64

static int guest_start(struct reclaim_bench *b, struct bench_paged *p, const char *backend,
		       const char *thp, uint64_t bytes, struct errmsg *e)
{
	char spec[PATH_MAX], mem[32];
	char *options[] = { "--mem", mem, "--swap", spec, "--thp", (char *)(uintptr_t)thp, NULL };

	snprintf(mem, sizeof(mem), "%" PRIu64, bytes + bytes / 8 + 64 * MIB);
	reclaim_swap_spec(b, backend, bytes + bytes / 4, spec, sizeof(spec));
	return paged_start(p, &b->paths, options, NULL, bytes, "heap", e);
}

/* ---- paging out over sizes --------------------------------------------------------- */

static int cost_of_size(struct reclaim_bench *b, const char *thp, uint64_t bytes,
			struct samples *out, struct errmsg *e)
{
	struct bench_paged p;
	struct paged_out o;
	int rc = guest_start(b, &p, "null", thp, bytes, e);

	if (rc)
		return rc;
	for (unsigned int i = 0; i < b->repeat && !rc; i++) {
		if (i)
			rc = paged_ask(&p, "fill", NULL, e);
		if (!rc)
			rc = paged_out(&p, &o, e);
		if (!rc)
			samples_add(out, o.ns / 1e3 / (double)(o.freed / UMM_PAGE_SIZE));
	}
	paged_stop(&p);
	return rc;
}

/* Small folios, the sizes in turns with the smallest, which each is held against. */
static void rows_of_sizes(struct reclaim_bench *b)
{
	uint64_t most = b->quick ? 512 * MIB : 4096 * MIB;
	struct samples first = { .nr = 0 };
	struct bench_row *row;
	struct errmsg e;

	for (uint64_t bytes = 64 * MIB; bytes <= most && !reclaim_stopped(); bytes *= 8) {
		struct samples s = { .nr = 0 };
		char name[48];

		reclaim_say("cost of a page, %lu MiB", bytes / MIB);
		snprintf(name, sizeof(name), "null, 4 KiB folios, %lu MiB", bytes / MIB);
		if (cost_of_size(b, "never", bytes, &s, &e)) {
			report_add_failed(&b->report, name, &e);
			return;
		}
		if (!first.nr) {
			first = s;
			row = reclaim_row(b, name, "us/page", &s, "", NULL);
			row->target = TARGET_VALUE_MAX;
			row->limit = 0.6;
		} else {
			row = reclaim_row(b, name, "us/page", &s, "64 MiB", &first);
			row->target = TARGET_RATIO_MAX;
			row->limit = 1.1;
		}
	}
}

/* ---- ageing --------------------------------------------------------------------------- */

/*
 * All pages were just stored to. Reclaim that wants a few must then look at all of
 * them, clear their accessed bits and drop the translations, before it may take one.
 */
static int age_once(struct bench_paged *p, struct samples *out, struct errmsg *e)
{
	double scanned, ns;
	json_t *r;
	int rc = paged_ask(p, "fill", NULL, e);

	if (!rc)
		rc = paged_control(p,
				   json_pack("{s:s, s:I}", "op", "reclaim", "bytes",
					     (json_int_t)(p->bytes / AGE_SHARE)),
				   &r, e);
	if (rc)
		return rc;
	scanned = json_number_value(json_object_get(r, "scanned"));
	ns = json_number_value(json_object_get(r, "ns_total"));
	json_decref(r);
	if (scanned * (double)UMM_PAGE_SIZE >= (double)p->bytes / 2)
		samples_add(out, ns / 1e3 / scanned);
	return 0;
}

static void row_of_age(struct reclaim_bench *b)
{
	static const char name[] = "looked at and aged, 4 KiB folios";
	struct samples s = { .nr = 0 };
	struct bench_row *row;
	struct bench_paged p;
	struct errmsg e;
	int rc = guest_start(b, &p, "null", "never", 256 * MIB, &e);

	reclaim_say("ageing");
	if (!rc) {
		for (unsigned int i = 0; i < b->repeat && !rc; i++)
			rc = age_once(&p, &s, &e);
		paged_stop(&p);
	}
	if (rc) {
		report_add_failed(&b->report, name, &e);
		return;
	}
	if (!s.nr) {
		reclaim_row_skip(b, name, "reclaim did not have to look at most pages");
		return;
	}
	row = reclaim_row(b, name, "us/page", &s, "", NULL);
	row->target = TARGET_VALUE_MAX;
	row->limit = 1.0;
}

/* ---- metadata --------------------------------------------------------------------------- */

static uint64_t process_resident(pid_t pid)
{
	char path[64];
	uint64_t pages = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (fscanf(f, "%*u %" SCNu64, &pages) != 1)
		pages = 0;
	fclose(f);
	return pages * UMM_PAGE_SIZE;
}

/* Bytes of umm's memory while a guest uses all of its own: what is the guest's, and what is not. */
struct overhead {
	double guest, tables, metadata;
};

static int overhead(struct reclaim_bench *b, uint64_t bytes, struct overhead *out, struct errmsg *e)
{
	struct bench_paged p;
	json_t *r, *node;
	size_t i;
	int rc = guest_start(b, &p, "file", "never", bytes, e);

	if (rc)
		return rc;
	rc = paged_control(&p, json_pack("{s:s}", "op", "stat"), &r, e);
	if (!rc) {
		out->guest = 0;
		json_array_foreach(json_object_get(r, "numa"), i, node)
			out->guest += json_number_value(json_object_get(node, "rss_bytes"));
		node = json_object_get(json_object_get(r, "objects"), "page_table");
		out->tables = json_number_value(node) * UMM_PAGE_SIZE;
		out->metadata = (double)process_resident(p.pid) - out->guest - out->tables;
		json_decref(r);
	}
	paged_stop(&p);
	return rc;
}

/* Of two sizes the difference: what is there in any guest does not count. */
static void row_of_metadata(struct reclaim_bench *b)
{
	static const char name[] = "metadata, 4 KiB folios";
	struct overhead small, large;
	struct samples s = { .nr = 0 }, tables = { .nr = 0 };
	struct bench_row *row;
	double used;
	struct errmsg e;
	int rc;

	reclaim_say("metadata");
	rc = overhead(b, 64 * MIB, &small, &e);
	if (!rc)
		rc = overhead(b, b->quick ? 512 * MIB : 2048 * MIB, &large, &e);
	if (rc) {
		report_add_failed(&b->report, name, &e);
		return;
	}
	used = large.guest - small.guest;
	samples_add(&s, 100 * (large.metadata - small.metadata) / used);
	samples_add(&tables, 100 * (large.tables - small.tables) / used);
	row = reclaim_row(b, name, "%", &s, "", NULL);
	row->target = TARGET_VALUE_MAX;
	row->limit = 1.6;
	snprintf(row->note, sizeof(row->note),
		 "resident memory of umm beside the guest's frames and page tables, by which "
		 "%.0f MiB more of frames need more",
		 used / (double)MIB);
	reclaim_row(b, "page tables, 4 KiB folios", "%", &tables, "", NULL);
}

void bench_reclaim_cost(struct reclaim_bench *b)
{
	rows_of_sizes(b);
	if (!reclaim_stopped())
		row_of_age(b);
	if (!reclaim_stopped())
		row_of_metadata(b);
	reclaim_swap_remove(b);
}
