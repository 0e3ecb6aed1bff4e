/* SPDX-License-Identifier: MIT */
/*
 * Large folios of which reclaim finds little used.
 *
 * A folio is kept if any page of it was used. Where use is scattered that is true of
 * nearly every large one: a single hot page of 64 KiB keeps fifteen cold ones in memory,
 * and smaller folios go instead, hot or not. (Linux has that, too, where large folios
 * are turned on.) But the entries tell of each page. So a folio of which at most half
 * was used is split, its A bits as they are, and its pages are looked at one by one, in the
 * same batch: the unused ones go, the others stay. A folio that was never looked at before
 * has all bits set, by the fault that filled it, and stays whole.
 *
 * Not where nothing can come of it (no swap, or the folio would be demoted whole), and not
 * where it is not known how much was used: of a 2 MiB leaf, or what idle tracking saw.
 */
#include "rmap/shrink.h"

struct pages_used {
	unsigned int nr;
	bool vague; /* it may be more */
};

static bool count_used(struct folio *f, struct vma *vma, gva_t addr, void *arg)
{
	struct pages_used *u = arg;
	struct page_vma_mapped_walk w;

	pvmw_init(&w, f, vma, addr, 0);
	while (page_vma_mapped_walk(&w)) {
		if (!w.pte) {
			u->vague = true;
			page_vma_mapped_walk_done(&w);
			return false;
		}
		u->nr += !!(pte_read(w.pte) & PTE_ACCESSED);
	}
	return true;
}

/* Pages that several processes use count for each of them. */
static struct pages_used pages_used(struct folio *f)
{
	struct pages_used u = { .nr = 0 };
	struct rmap_walk_control rwc = {
		.arg = &u,
		.try_lock = true,
		.rmap_one = count_used,
		.anon_lock = folio_lock_anon_vma_read,
	};

	rmap_walk(f, &rwc);
	u.vague |= rwc.contended;
	return u;
}

static bool may_split(struct shrink *s, struct folio *f)
{
	const uint32_t not = (1u << PG_swapcache) | (1u << PG_young) | (1u << PG_mlocked);

	if (!f->order || !folio_test_anon(f) || (folio_flags(f) & not ) || s->req->holes ||
	    s->req->ignore_references || lru_is_blind(s->sys, f))
		return false;
	if (s->demote != DEMOTE_NEVER && demotion_target(s->sys, f) >= 0)
		return false;
	return !swap_is_full(s->sys);
}

void shrink_split(struct shrink *s, struct folio *f, struct list_head *rest)
{
	unsigned int nr = folio_nr(f);
	struct pages_used u;

	if (!may_split(s, f))
		return;
	u = pages_used(f);
	if (u.vague || !u.nr || 2 * u.nr > nr || folio_split_onto(s->sys, f, rest))
		return;
	/* All were scanned as one; each will be scanned by itself. */
	s->res->scanned -= nr - 1;
}
