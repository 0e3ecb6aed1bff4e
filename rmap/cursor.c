/* SPDX-License-Identifier: MIT */
/* Isolating the folios that one process maps, a batch at a time. */
#include "rmap/internal.h"

/* Pages further on whose frames are fetched beforehand. */
#define AHEAD 8u

void mm_cursor_init(struct mm_cursor *c, struct mm *mm, gva_t start, gva_t end)
{
	*c = (struct mm_cursor){ .mm = mm, .at = start, .end = end, .to = -1 };
	if (!end.v)
		c->end = gva_make(UMM_TASK_SIZE);
}

/* Page-table lock held. The entry maps @nr pages. */
static void take_entry(struct mm_cursor *c, uint64_t e, uint64_t nr, struct list_head *out)
{
	struct mm_sys *sys = c->mm->sys;
	struct folio *f;

	if (!pte_present(e))
		return;
	f = folio_head(frame_find(sys, pte_pfn(e)));
	c->seen += nr;
	if (c->visit) {
		c->visit(c, f);
		return;
	}
	if (c->to >= 0 && f->node == c->to) {
		c->already_there += nr;
		return;
	}
	if (c->from_mask && !(c->from_mask & (1ul << f->node)))
		return;
	if (c->look) {
		c->found += nr;
		return;
	}
	if (c->private_only && folio_pages_mapped(f) > folio_nr(f)) {
		c->shared += nr;
		return;
	}
	if (!lru_isolate_folio(sys, f)) {
		/* The next page of a folio that is on the list already, or busy. */
		c->busy += !f->order || nr > 1 ? nr : 0;
		return;
	}
	list_add_tail(&f->lru, out);
	c->taken += folio_nr(f);
}

/* Most of the time of a look at many pages is waiting for their descriptors. */
static void fetch_frame(struct mm_cursor *c, uint64_t e)
{
	if (pte_present(e))
		__builtin_prefetch(frame_find(c->mm->sys, pte_pfn(e)));
}

static void scan_table(struct mm_cursor *c, gva_t end, struct list_head *out, unsigned int max)
{
	struct umm_mutex *ptl;
	gva_t base = gva_make(c->at.v & UMM_PMD_MASK);
	uint64_t *ptep = pmd_lock_leaf(c->mm, c->at, base, gva_add(base, UMM_PMD_SIZE), &ptl);

	if (ptep) {
		take_entry(c, pte_read(ptep), (end.v - c->at.v) >> UMM_PAGE_SHIFT, out);
		umm_mutex_unlock(ptl);
		c->at = end;
		return;
	}
	ptep = pte_lock(c->mm, c->at, &ptl);
	if (!ptep) {
		c->at = end;
		return;
	}
	for (; c->at.v < end.v && c->taken < max; c->at.v += UMM_PAGE_SIZE, ptep++) {
		if (c->at.v + AHEAD * UMM_PAGE_SIZE < end.v)
			fetch_frame(c, pte_read(ptep + AHEAD));
		take_entry(c, pte_read(ptep), 1, out);
	}
	umm_mutex_unlock(ptl);
}

unsigned int mm_cursor_isolate(struct mm_cursor *c, struct list_head *out, unsigned int max)
{
	if (!c->locked)
		umm_read_lock(&c->mm->mmap_lock);
	c->taken = 0;
	while (c->taken < max && c->at.v < c->end.v) {
		struct vma *vma = vma_find(c->mm, c->at);
		gva_t end;

		if (!vma || vma->start.v >= c->end.v) {
			c->at = c->end;
			break;
		}
		if (c->at.v < vma->start.v)
			c->at = vma->start;
		end = vma->end.v < c->end.v ? vma->end : c->end;
		c->at = tables_from(c->mm, c->at, end);
		while (c->taken < max && c->at.v < end.v) {
			scan_table(c, table_end(c->at, end), out, max);
			c->at = tables_from(c->mm, c->at, end);
		}
	}
	if (!c->locked)
		umm_read_unlock(&c->mm->mmap_lock);
	return c->taken;
}
