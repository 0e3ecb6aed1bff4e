/* SPDX-License-Identifier: MIT */
/*
 * Looking for use, on behalf of the reclaim policy: by page tables, around a page
 * that was found used, and at one frame.
 *
 * The rmap costs a walk for each folio; a page table tells of 512 pages in a row.
 * So a policy may ask for a walk over all of them, and when reclaim has come by the
 * rmap to a used entry anyhow, it may see the entry's neighbours, which are likely
 * used as well, and need no rmap walk of their own then.
 *
 * Neighbours that are in the same batch of victims profit under any policy: they get
 * PG_referenced, which spares them their walk, and means the same. Others are only
 * looked at for policies that want it. Where a node's last looks found nothing, as
 * its lists are in no order of addresses, most are left out.
 *
 * Whatever is cleared here must be zapped, as cached translations would hide the
 * next use: a walk zaps a piece of an address space at once, look-around leaves it
 * to reclaim's batch.
 */
#include "rmap/internal.h"

/* Entries on each side; as far as Linux looks. */
#define AROUND 32u
/* Tables that are walked before mmap_lock is let go. */
#define PIECE 64u
/* A look has paid if it spared so many walks, ... */
#define LOOK_ENOUGH 4u
/* ... and where looks do not pay, one in so many is done anyhow. */
#define LOOK_ANYHOW    16u
#define LOOK_SCORE_MAX 8

/* ---- entries ------------------------------------------------------------------- */

/* One look at a row of entries; the page-table lock is held, and work_lock. */
struct look {
	struct mm_sys *sys;
	int node; /* only folios of this one; -1: of all */
	struct zap_batch *zap;
	bool around; /* neighbours: of those that are with a policy, only if it wants it */
	uint64_t looked, young;
};

static bool wants(const struct look *l, const struct folio *f, const struct policy_node *p)
{
	/*
	 * Isolated: whoever has it will ask. But a blind one's nobody asks about, and of a
	 * large one it is to be known how much was used.
	 */
	if (!folio_test(f, PG_lru))
		return !f->order && !(p->policy->flags & POLICY_BLIND);
	return p->policy->accessed && (!l->around || (p->policy->flags & POLICY_LOOKS_AROUND));
}

/* @nr: pages that the entry maps. */
static void look_at_entry(struct look *l, uint64_t *ptep, uint64_t nr)
{
	uint64_t e = pte_read(ptep);
	struct policy_node *p;
	struct folio *f;

	l->looked++;
	if (!pte_present(e) || !(e & PTE_ACCESSED))
		return;
	f = folio_head(sys_frame(l->sys, pte_pfn(e)));
	if (l->node >= 0 && f->node != l->node)
		return;
	p = __atomic_load_n(&folio_node(l->sys, f)->policy, __ATOMIC_ACQUIRE);
	if (!wants(l, f, p))
		return;
	if (!(__atomic_fetch_and(ptep, ~PTE_ACCESSED, __ATOMIC_ACQ_REL) & PTE_ACCESSED))
		return;
	l->young += nr;
	zap_batch_add(l->zap, pte_pfn(e), (uint32_t)nr);
	folio_clear(f, PG_idle);
	if (!folio_test(f, PG_lru) || !p->policy->accessed)
		folio_set(f, PG_referenced);
	else
		p->policy->accessed(p, f);
}

static void look_count(struct look *l)
{
	sys_count(l->sys, EV_POLICY_LOOKED, l->looked);
	sys_count(l->sys, EV_POLICY_YOUNG, l->young);
}

/* Do looks on this node pay? One that finds little lowers the score; see whether it still does. */
static bool look_pays(struct mm_node *n)
{
	return __atomic_load_n(&n->look_score, __ATOMIC_RELAXED) >= 0 ||
	       !(__atomic_add_fetch(&n->looks_left_out, 1, __ATOMIC_RELAXED) % LOOK_ANYHOW);
}

/* Races lose a point: it is a tendency. */
static void look_score(struct mm_node *n, uint64_t young)
{
	int score = __atomic_load_n(&n->look_score, __ATOMIC_RELAXED);

	if (young >= LOOK_ENOUGH && score < LOOK_SCORE_MAX)
		__atomic_store_n(&n->look_score, score + 1, __ATOMIC_RELAXED);
	else if (young < LOOK_ENOUGH && score > -LOOK_SCORE_MAX)
		__atomic_store_n(&n->look_score, score - 1, __ATOMIC_RELAXED);
}

void policy_look_around(struct mm_sys *sys, struct mm_node *n, const struct page_vma_mapped_walk *w,
			struct zap_batch *zap)
{
	struct look l = { .sys = sys, .node = -1, .zap = zap, .around = true };
	const struct vma *vma = w->vma;
	uint64_t size = 2 * AROUND * UMM_PAGE_SIZE;
	uint64_t lo = w->address.v & ~(size - 1), hi = lo + size;

	if (!look_pays(n))
		return;
	lo = lo < vma->start.v ? vma->start.v : lo;
	hi = hi > vma->end.v ? vma->end.v : hi;
	for (uint64_t at = lo; at < hi; at += UMM_PAGE_SIZE) {
		if (at != w->address.v)
			look_at_entry(&l, w->pte + ((int64_t)(at - w->address.v) >> UMM_PAGE_SHIFT),
				      1);
	}
	look_score(n, l.young);
	look_count(&l);
}

/* ---- address spaces --------------------------------------------------------------- */

/* [start, end) is in one table. */
static void walk_table(struct look *l, struct mm *mm, gva_t start, gva_t end)
{
	gva_t base = gva_make(start.v & UMM_PMD_MASK);
	struct umm_mutex *ptl;
	uint64_t *ptep = pmd_lock_leaf(mm, start, base, gva_add(base, UMM_PMD_SIZE), &ptl);

	if (ptep) {
		look_at_entry(l, ptep, UMM_PTRS_PER_TABLE);
		umm_mutex_unlock(ptl);
		return;
	}
	ptep = pte_lock(mm, start, &ptl);
	if (!ptep)
		return;
	for (uint64_t at = start.v; at < end.v; at += UMM_PAGE_SIZE)
		look_at_entry(l, ptep++, 1);
	umm_mutex_unlock(ptl);
}

static bool tells_nothing(const struct vma *vma)
{
	return vma_flags(vma) & (VM_LOCKED | VM_SEQ_READ | VM_RAND_READ);
}

/* A piece of the address space from @at on; returns where to go on, 0: it is done. */
static gva_t walk_piece(struct look *l, struct mm *mm, gva_t at)
{
	unsigned int tables = 0;
	struct vma *vma;

	umm_read_lock(&mm->mmap_lock);
	umm_read_lock(&l->sys->work_lock);
	for (vma = vma_find(mm, at); vma && tables < PIECE; vma = vma_next(vma)) {
		if (at.v < vma->start.v)
			at = vma->start;
		if (tells_nothing(vma)) {
			at = vma->end;
			continue;
		}
		at = tables_from(mm, at, vma->end);
		while (at.v < vma->end.v && tables++ < PIECE) {
			gva_t next = table_end(at, vma->end);

			walk_table(l, mm, at, next);
			at = tables_from(mm, next, vma->end);
		}
		if (at.v < vma->end.v)
			break;
	}
	zap_batch_flush(l->zap);
	umm_read_unlock(&l->sys->work_lock);
	umm_read_unlock(&mm->mmap_lock);
	return vma ? at : gva_make(0);
}

/* All address spaces, each with a reference; *nr 0 if there is no memory for the list. */
static struct mm **mms_get(struct mm_sys *sys, size_t *cap, size_t *nr)
{
	struct mm **mms = NULL, *mm;

	*cap = 0;
	*nr = 0;
	umm_mutex_lock(&sys->mms_lock);
	list_for_each_entry(mm, &sys->mms, all)(*cap)++;
	if (*cap)
		mms = sys_alloc(sys, *cap * sizeof(*mms));
	if (mms) {
		list_for_each_entry(mm, &sys->mms, all)
		{
			if (mm_try_get(mm))
				mms[(*nr)++] = mm;
		}
	}
	umm_mutex_unlock(&sys->mms_lock);
	return mms;
}

uint64_t policy_walk(struct mm_sys *sys, int node)
{
	struct zap_batch zap;
	struct look l = { .sys = sys, .node = node, .zap = &zap };
	size_t cap, nr;
	struct mm **mms = mms_get(sys, &cap, &nr);

	zap_batch_init(&zap, sys);
	for (size_t i = 0; i < nr; i++) {
		gva_t at = gva_make(0);

		do {
			at = walk_piece(&l, mms[i], at);
		} while (at.v);
		mm_put(mms[i]);
	}
	zap_batch_destroy(&zap);
	sys_free(sys, mms, cap * sizeof(*mms));
	look_count(&l);
	return l.young;
}

/* ---- one frame ------------------------------------------------------------------------ */

bool policy_sample(struct mm_sys *sys, int node, uint64_t frame)
{
	struct mm_node *n = &sys->nodes[node];
	struct folio *f = folio_head(&n->frames[frame]);
	struct zap_batch zap;
	uint64_t vm_flags;
	bool used = false;

	if (!folio_test(f, PG_lru) || !folio_try_get(f))
		return false;
	umm_read_lock(&sys->work_lock);
	if (folio_test(f, PG_lru) && folio_referenced(sys, f, false, &vm_flags) > 0) {
		used = true;
		zap_batch_init(&zap, sys);
		zap_batch_add(&zap, folio_pfn(sys, f), folio_nr(f));
		zap_batch_destroy(&zap);
	}
	umm_read_unlock(&sys->work_lock);
	folio_put(sys, f);
	return used;
}
