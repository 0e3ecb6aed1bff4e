/* SPDX-License-Identifier: MIT */
/*
 * Which folios a request to migrate means: what is in use on some nodes, what a
 * process maps, or a list of pages. Each folio is met once, however often it is
 * mapped, so that every frame has one fate.
 *
 * A share of them (percent) is the coldest. How warm a folio is, is told by what
 * is known without waiting: on the active list of its node or not, and whether
 * anything has touched it since somebody last looked (an A bit in one of its
 * entries, or a flag that keeps such a bit). That makes four degrees; folios of
 * one degree go in the order of their frames. Nothing is cleared, so looking
 * costs reclaim nothing of what it knows.
 */
#include "rmap/migrate_pick.h"

#include <stdlib.h>

/* Entries looked at before mmap_lock is let go for a moment. */
#define LOOK_ENTRIES 8192u

/* ---- lists --------------------------------------------------------------------------- */

int pick_list_grow(struct mm_sys *sys, struct pick_list *list)
{
	uint64_t room = list->room ? 2 * list->room : 1024;
	uint64_t *grown = sys_alloc(sys, room * sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	if (list->nr)
		memcpy(grown, list->v, list->nr * sizeof(*grown));
	sys_free(sys, list->v, list->room * sizeof(*grown));
	list->v = grown;
	list->room = room;
	return 0;
}

void pick_list_free(struct mm_sys *sys, struct pick_list *list)
{
	sys_free(sys, list->v, list->room * sizeof(*list->v));
	*list = (struct pick_list){ .nr = 0 };
}

uint64_t pick_list_frames(const struct pick_list *list, uint64_t from)
{
	uint64_t frames = 0;

	for (uint64_t i = from; i < list->nr; i++)
		frames += PICK_FRAMES(list->v[i]);
	return frames;
}

/* ---- one folio ------------------------------------------------------------------------ */

/* True the first time. Requests that cannot meet a folio twice have no bits. */
static bool first_sight(struct picker *p, const struct folio *f)
{
	uint64_t bit = (uint64_t)(f - p->sys->nodes[f->node].frames);

	if (!p->seen)
		return true;
	for (unsigned int i = 0; i < f->node; i++)
		bit += p->sys->nodes[i].nr_frames;
	if (p->seen[bit / 64] & (1ul << bit % 64))
		return false;
	p->seen[bit / 64] |= 1ul << bit % 64;
	return true;
}

/* What the engine would most likely say; nobody is asked to wait for the answer. */
static void foretell(struct picker *p, const struct folio *f, uint64_t nr)
{
	if (folio_pincount(f))
		p->res->pinned += nr;
	else if (!folio_test(f, PG_lru) || !folio_mapping_raw(f))
		p->res->busy += nr;
	else
		p->res->would_move += nr;
}

static void consider(struct picker *p, struct folio *frame)
{
	const struct migrate_request *req = p->req;
	struct folio *f = folio_head(frame);
	unsigned int order = __atomic_load_n(&f->order, __ATOMIC_RELAXED);
	uint64_t nr = 1ul << order;

	if (folio_test(f, PG_buddy) || folio_test(f, PG_tail) || folio_refcount(f) <= 0 ||
	    order > UMM_MAX_ORDER)
		return;
	if (req->from_mask && !(req->from_mask & (1ul << f->node)))
		return;
	if (!first_sight(p, f))
		return;
	p->res->total += nr;
	if (f->node == req->to) {
		p->res->already_there += nr;
	} else if (req->mm && !req->move_shared && folio_pages_mapped(f) > (int64_t)nr) {
		p->res->shared += nr;
	} else if (req->dry_run) {
		foretell(p, f, nr);
	} else if (pick_list_add(p->sys, &p->picks, folio_first_pfn(p->sys, f), order)) {
		p->res->total -= nr;
		p->error = -ENOMEM;
	}
}

/* ---- the frames of a node ---------------------------------------------------------------- */

static void scan_node(struct picker *p, uint64_t max)
{
	struct mm_node *n = &p->sys->nodes[p->node];
	uint64_t end = __atomic_load_n(&n->fresh, __ATOMIC_ACQUIRE);

	while (p->at < end && p->picks.nr < max && !p->error) {
		struct folio *f = &n->frames[p->at];

		/* Of a free block that is being split or joined only its first frame is passed. */
		if (folio_test(f, PG_buddy)) {
			unsigned int order = __atomic_load_n(&f->order, __ATOMIC_RELAXED);

			p->at += order <= UMM_MAX_ORDER ? 1ul << order : 1;
			continue;
		}
		p->at++;
		if (!folio_test(f, PG_tail))
			consider(p, f);
	}
	if (p->at >= end) {
		p->at = 0;
		p->node++;
	}
}

static void scan_nodes(struct picker *p, uint64_t max)
{
	uint64_t mask = p->req->from_mask ? p->req->from_mask : ~0ul;

	while (p->node < p->sys->nr_nodes && p->picks.nr < max && !p->error) {
		if (mask & (1ul << p->node))
			scan_node(p, max);
		else
			p->node++;
	}
	p->done = p->node == p->sys->nr_nodes;
}

/* ---- what a process maps -------------------------------------------------------------------- */

/* Page-table lock held. */
static void visit_folio(struct mm_cursor *c, struct folio *f)
{
	consider(c->visitor, f);
	c->taken++;
}

static void scan_mm(struct picker *p)
{
	mm_cursor_isolate(&p->cursor, NULL, LOOK_ENTRIES);
	p->done = p->cursor.at.v >= p->cursor.end.v;
}

/* ---- a list of pages -------------------------------------------------------------------------- */

static struct folio *frame_at(struct picker *p, uint64_t page)
{
	uint64_t entry;
	bool present;
	pfn_t pfn = pfn_make(page);

	if (!p->req->mm)
		return sys_frame(p->sys, pfn);
	if (mm_query_address(p->req->mm, gva_make(page), &pfn, &entry, &present) || !present)
		return NULL;
	return sys_frame(p->sys, pfn);
}

static void scan_list(struct picker *p, uint64_t max)
{
	while (p->at < p->req->nr_pages && p->picks.nr < max && !p->error) {
		struct folio *frame = frame_at(p, p->req->pages[p->at++]);

		if (frame && folio_refcount(folio_head(frame)) > 0)
			consider(p, frame);
		else
			p->res->absent++;
	}
	p->done = p->at == p->req->nr_pages;
}

/* ---- all of it ----------------------------------------------------------------------------------- */

int picker_init(struct picker *p, struct mm_sys *sys, const struct migrate_request *req,
		struct migrate_result *res)
{
	uint64_t frames = 0;

	*p = (struct picker){ .sys = sys, .req = req, .res = res };
	if (!req->mm && !req->pages)
		return 0;
	for (unsigned int i = 0; i < sys->nr_nodes; i++)
		frames += sys->nodes[i].nr_frames;
	p->nr_seen_words = (frames + 63) / 64;
	p->seen = sys_alloc(sys, p->nr_seen_words * sizeof(*p->seen));
	if (!p->seen)
		return -ENOMEM;
	if (!req->pages) {
		mm_cursor_init(&p->cursor, req->mm, req->start, req->end);
		p->cursor.visit = visit_folio;
		p->cursor.visitor = p;
	}
	return 0;
}

void picker_destroy(struct picker *p)
{
	pick_list_free(p->sys, &p->picks);
	sys_free(p->sys, p->seen, p->nr_seen_words * sizeof(*p->seen));
}

uint64_t picker_estimate(const struct picker *p)
{
	uint64_t frames = 0, mask = p->req->from_mask ? p->req->from_mask : ~0ul;

	if (p->req->pages)
		return p->req->nr_pages;
	if (p->req->mm) {
		for (int i = 0; i < MM_NR_COUNTERS; i++)
			frames += i == MM_SWAPENTS
					  ? 0
					  : (uint64_t)__atomic_load_n(&p->req->mm->counters[i],
								      __ATOMIC_RELAXED);
		return frames;
	}
	for (unsigned int i = 0; i < p->sys->nr_nodes; i++) {
		struct mm_node *n = &p->sys->nodes[i];

		if (mask & (1ul << i))
			frames += n->nr_frames - __atomic_load_n(&n->nr_free, __ATOMIC_RELAXED);
	}
	return frames;
}

int picker_next(struct picker *p, uint64_t max)
{
	p->picks.nr = 0;
	while (!p->done && !p->error && p->picks.nr < max) {
		if (p->req->pages)
			scan_list(p, max);
		else if (p->req->mm)
			scan_mm(p);
		else
			scan_nodes(p, max);
	}
	return p->error;
}

/* 0 to 3; a folio that is gone is cold, and found gone later. */
static uint64_t folio_warmth(struct mm_sys *sys, pfn_t pfn)
{
	struct folio *f = sys_frame(sys, pfn);
	uint64_t warmth = 0;

	if (!folio_try_get(f))
		return 0;
	if (!folio_test(f, PG_tail)) {
		if (folio_test(f, PG_active))
			warmth += 2;
		if (folio_is_young(sys, f))
			warmth += 1;
	}
	folio_put(sys, f);
	return warmth;
}

static int compare_picks(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

uint64_t picker_keep_coldest(struct picker *p, unsigned int percent)
{
	uint64_t all = pick_list_frames(&p->picks, 0), kept = 0, want, i;

	for (i = 0; i < p->picks.nr; i++)
		p->picks.v[i] |= folio_warmth(p->sys, PICK_PFN(p->picks.v[i])) << PICK_WARM_SHIFT;
	if (p->picks.nr)
		qsort(p->picks.v, p->picks.nr, sizeof(*p->picks.v), compare_picks);
	want = (all * percent + 99) / 100;
	for (i = 0; i < p->picks.nr && kept < want; i++)
		kept += PICK_FRAMES(p->picks.v[i]);
	p->picks.nr = i;
	return all - kept;
}
