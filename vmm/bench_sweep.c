/* SPDX-License-Identifier: MIT */
#include "vmm/bench_sweep.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "vmm/ctl_io.h"
#include "vmm/table.h"

/* Where guest/workloads/hold.c puts its memory. */
#define HOLD_BASE 0x200000000000ul

static const struct {
	const char *name, *member;
} parts[PART_NR] = {
	[PART_FIND] = { "find", "ns_find" },
	[PART_ALLOC] = { "new frames", "ns_alloc" },
	[PART_UNMAP] = { "unmap", "ns_unmap" },
	[PART_FLUSH] = { "flush", "ns_flush" },
	[PART_ZAP] = { "zap", "ns_zap" },
	[PART_COPY] = { "copy", "ns_copy" },
	[PART_RESTORE] = { "restore", "ns_restore" },
};

struct sweep_point *sweep_add(struct sweep_set *set, const char *sweep, uint64_t x)
{
	struct sweep_point *p =
		&set->points[set->nr < SWEEP_MAX_POINTS ? set->nr++ : SWEEP_MAX_POINTS - 1];

	memset(p, 0, sizeof(*p));
	p->sweep = sweep;
	p->x = x;
	return p;
}

const struct sweep_point *sweep_find(const struct sweep_set *set, const char *sweep, uint64_t x)
{
	for (unsigned int i = 0; i < set->nr; i++) {
		const struct sweep_point *p = &set->points[i];

		if (!strcmp(p->sweep, sweep) && p->x == x && p->umm.nr)
			return p;
	}
	return NULL;
}

/* ---- measuring ---------------------------------------------------------- */

static int first_pid(struct bench_moved *g, json_int_t *pid, struct errmsg *e)
{
	json_t *stat;
	int rc = ctl_client_call(&g->client, json_pack("{s:s}", "op", "stat"), &stat, e);

	if (rc)
		return rc;
	*pid = json_integer_value(
		json_object_get(json_array_get(json_object_get(stat, "processes"), 0), "pid"));
	json_decref(stat);
	return *pid > 0 ? 0 : errmsg_set(e, -ESRCH, "the guest names no process");
}

static json_t *request_of(const struct sweep_way *way, json_int_t pid)
{
	json_t *o = json_pack("{s:b, s:b, s:b}", "time_copy", true, "time_walk", way->walk,
			      "shared", true);

	json_object_set_new(o, "pid", json_integer(pid));
	if (way->pages) {
		json_object_set_new(o, "start", json_hex(HOLD_BASE));
		json_object_set_new(o, "end", json_hex(HOLD_BASE + way->pages * UMM_PAGE_SIZE));
	}
	if (way->batch)
		json_object_set_new(o, "batch", json_integer(way->batch));
	if (way->threads)
		json_object_set_new(o, "copy_threads", json_integer(way->threads));
	if (way->mode)
		json_object_set_new(o, "mode", json_string(way->mode));
	return o;
}

static double number(const json_t *r, const char *name)
{
	return (double)json_integer_value(json_object_get(r, name));
}

static void take_sample(struct sweep_point *p, const json_t *r)
{
	double moved = number(r, "moved"), mappings = number(r, "mappings");

	if (moved <= 0)
		return;
	p->pages = (uint64_t)moved;
	samples_add(&p->umm, number(r, "ns_total") / 1e3 / moved);
	samples_add(&p->bare, number(r, "ns_bare") / 1e3 / moved);
	samples_add(&p->whole_us, number(r, "ns_total") / 1e3);
	for (unsigned int i = 0; i < PART_NR; i++)
		samples_add(&p->part[i], number(r, parts[i].member) / 1e3 / moved);
	if (mappings > 0)
		samples_add(&p->walk_ns, number(r, "ns_walk") / mappings);
	p->early = number(r, "early") / moved;
	if (number(r, "ns_window") / 1e3 > p->window_us)
		p->window_us = number(r, "ns_window") / 1e3;
}

int sweep_measure(struct sweep_point *p, struct bench_moved *g, const struct sweep_way *way,
		  bool warm, unsigned int repeat, struct errmsg *e)
{
	unsigned int unmeasured = warm ? 2 : 0;
	json_int_t pid;
	int rc = first_pid(g, &pid, e);

	for (unsigned int i = 0; !rc && i < unmeasured + repeat; i++) {
		json_t *result = NULL;

		rc = bench_moved_migrate(g, request_of(way, pid), &result, e);
		if (!rc && i >= unmeasured)
			take_sample(p, result);
		json_decref(result);
	}
	if (!rc && !p->umm.nr)
		rc = errmsg_set(e, -EIO, "sweep %s, %" PRIu64 ": nothing was moved", p->sweep,
				p->x);
	return rc;
}

/* ---- telling ------------------------------------------------------------ */

static void add_interval(struct text_table *t, const struct samples *s)
{
	double low, high;

	samples_interval(s, &low, &high);
	table_add(t, "%.3f (%.3f-%.3f)", samples_median(s), low, high);
}

static void add_point(struct text_table *t, const struct sweep_point *p)
{
	double us = samples_median(&p->umm), bare = samples_median(&p->bare);

	table_add(t, "%s", p->sweep);
	table_add(t, "%" PRIu64, p->x);
	table_add(t, "%" PRIu64, p->pages);
	add_interval(t, &p->umm);
	add_interval(t, &p->bare);
	table_add(t, "%.2f", bare > 0 ? us / bare : 0);
	table_add(t, "%.2f", us > 0 ? (double)UMM_PAGE_SIZE / 1e3 / us : 0);
	for (unsigned int i = 0; i < PART_NR; i++)
		table_add(t, "%.3f", samples_median(&p->part[i]));
	table_add(t, "%.1f", samples_median(&p->walk_ns));
	table_add(t, "%.0f", p->window_us);
	table_add(t, "%.0f%%", p->early * 100);
}

int sweep_print(const struct sweep_set *set)
{
	static const char *const headings[] = {
		"SWEEP", ">X",       ">PAGES",   ">US/PAGE (95%)", ">BARE COPY", ">RATIO",
		">GB/S", ">FIND",    ">FRAMES",  ">UNMAP",         ">FLUSH",     ">ZAP",
		">COPY", ">RESTORE", ">WALK NS", ">WINDOW US",     ">EARLY",     NULL
	};
	struct text_table t;

	table_init(&t, headings);
	for (unsigned int i = 0; i < set->nr; i++)
		if (set->points[i].umm.nr)
			add_point(&t, &set->points[i]);
	return table_finish(&t, stdout, 0);
}

json_t *sweep_json(const struct sweep_set *set)
{
	json_t *list = json_array();

	for (unsigned int i = 0; i < set->nr; i++) {
		const struct sweep_point *p = &set->points[i];
		json_t *o = json_pack("{s:s, s:I, s:I, s:o, s:o, s:o, s:o, s:f, s:f}", "sweep",
				      p->sweep, "x", (json_int_t)p->x, "pages",
				      (json_int_t)p->pages, "us_per_page", samples_json(&p->umm),
				      "bare_us_per_page", samples_json(&p->bare), "whole_us",
				      samples_json(&p->whole_us), "walk_ns_per_mapping",
				      samples_json(&p->walk_ns), "window_us", p->window_us, "early",
				      p->early);

		for (unsigned int k = 0; k < PART_NR; k++)
			json_object_set_new(o, parts[k].member, samples_json(&p->part[k]));
		json_array_append_new(list, o);
	}
	return list;
}
