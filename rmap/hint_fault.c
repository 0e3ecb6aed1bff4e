/* SPDX-License-Identifier: MIT */
/*
 * A fault on a hint: the page, and those around it that share the decision, are
 * made accessible again; if the policy says so they move to another node.
 *
 *	page-table lock		restore the entry, ask the policy, restore what else of
 *				the block has hints, isolate what is to move
 *	no lock but mmap_lock	move it: one batch, so one zap
 *
 * A 2 MiB leaf is its own block: it moves whole.
 *
 * The guest waits for the move, as on Linux. It is a block at most, 256 pages
 * with the policies there are, or a leaf: some hundred microseconds.
 */
#include "rmap/hint.h"
#include "rmap/migrate.h"

struct hint {
	struct fault *f;
	struct placement *p; /* NULL: off by now */
	struct hint_scan *scan;
	struct folio *folio; /* the one that was touched */
	int to;              /* where it goes; PLACEMENT_STAY */
	struct list_head list;
};

/* ---- moving ------------------------------------------------------------------------ */

bool node_has_room(const struct mm_sys *sys, int node, uint64_t nr)
{
	const struct mm_node *n = &sys->nodes[node];

	return __atomic_load_n(&n->nr_free, __ATOMIC_RELAXED) > n->nr_frames / 64 + nr;
}

static void count_moved(struct placement *p, const struct migrate_result *r)
{
	placement_count(&p->count.moved, r->moved);
	placement_count(&p->count.pinned, r->pinned);
	placement_count(&p->count.no_memory, r->no_memory);
	placement_count(&p->count.busy, r->busy);
	placement_count(&p->count.failed, r->failed);
	if (p->kind == PLACEMENT_TIER) {
		placement_count(&p->count.promoted, r->moved);
		sys_count(p->sys, EV_PGPROMOTE_SUCCESS, r->moved);
	} else {
		sys_count(p->sys, EV_NUMA_PAGES_MIGRATED, r->moved);
	}
}

static uint64_t list_frames(const struct list_head *list)
{
	uint64_t nr = 0;
	struct folio *f;

	list_for_each_entry(f, list, lru) nr += folio_nr(f);
	return nr;
}

static void put_all_back(struct mm_sys *sys, struct list_head *list)
{
	while (!list_empty(list)) {
		struct folio *f = list_first_entry(list, struct folio, lru);

		list_del(&f->lru);
		lru_putback(sys, f, folio_test(f, PG_active));
	}
}

uint64_t placement_move(struct placement *p, struct list_head *list, int to)
{
	struct migrate_request req = { .to = to };
	struct mm_sys *sys = p->sys;
	struct migrate_result res;
	uint64_t nr = list_frames(list);
	struct migration *m = NULL;

	placement_count(&p->count.tried, nr);
	if (p->kind == PLACEMENT_TIER)
		sys_count(sys, EV_PGPROMOTE_CANDIDATE, nr);
	if (node_has_room(sys, to, nr))
		m = migration_start(sys, &req, &res);
	if (!m) {
		placement_count(&p->count.no_memory, nr);
		__atomic_store_n(&p->wanted[to], nr, __ATOMIC_RELAXED);
		put_all_back(sys, list);
		return 0;
	}
	m->placement = p;
	umm_read_lock(&sys->work_lock);
	migrate_list(m, list);
	umm_read_unlock(&sys->work_lock);
	migration_end(m);
	count_moved(p, &res);
	return res.moved;
}

/* ---- the touched page ------------------------------------------------------------------ */

static void count_fault(struct hint *h, const struct placement_page *page)
{
	bool local = page->node == page->cpu_node;

	placement_count(&h->p->count.faults, 1);
	placement_count(&h->p->count.local, local);
	sys_count(h->p->sys, EV_NUMA_HINT_FAULTS, 1);
	sys_count(h->p->sys, EV_NUMA_HINT_FAULTS_LOCAL, local);
	__atomic_fetch_add(&h->scan->faults, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&h->scan->pass_faults, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&h->scan->pass_local, local, __ATOMIC_RELAXED);
	__atomic_fetch_add(&h->scan->touched[page->cpu_node], 1, __ATOMIC_RELAXED);
}

static uint64_t hint_age(const struct frame_note *note)
{
	uint32_t hinted = __atomic_load_n(&note->hinted, __ATOMIC_RELAXED);

	return (uint64_t)((uint32_t)(placement_now() / NS_PER_MS) - hinted) * NS_PER_MS;
}

/* Does a policy of memory, of the area or of the thread, forbid that pages go to @node? */
static bool policy_forbids(const struct hint *h, int node)
{
	const struct mm_sys *sys = h->p->sys;
	const struct mempolicy *policy = h->f->vma->policy;
	struct mm_thread *t = NULL;

	if (!policy && sys->ops->current_thread)
		t = sys->ops->current_thread(sys->ctx);
	if (t)
		policy = t->policy;
	if (!policy || policy->mode == POLICY_LOCAL)
		return false;
	return !(policy->flags & POLICY_F_NUMA_BALANCING) || !(policy->nodes & (1ul << node));
}

/* Page-table lock held. Ask the policy about the page that was touched. */
static void ask_policy(struct hint *h)
{
	const struct placement_policy *policy = placement_policy_of(h->p);
	struct placement_page page;

	if (!policy || !placement_page_init(h->p, h->folio, &page))
		return;
	page.cpu_node = sys_current_node(h->p->sys);
	page.write = h->f->flags & FAULT_FLAG_WRITE;
	page.latency = hint_age(folio_note(h->p->sys, h->folio));
	page.touched = h->scan->touched;
	count_fault(h, &page);
	if (policy->hint_fault)
		h->to = policy->hint_fault(h->p, &page);
	if (h->to == h->folio->node || h->to >= (int)h->p->sys->nr_nodes ||
	    (h->to >= 0 && policy_forbids(h, h->to)))
		h->to = PLACEMENT_STAY;
}

/* ---- the block around it ------------------------------------------------------------------ */

/* The pages that share the decision: those of the block on the same node, with its note. */
static void join_folio(struct hint *h, struct folio *f)
{
	struct mm_sys *sys = h->p->sys;
	uint32_t *from = &folio_note(sys, h->folio)->word[h->p->kind];

	__atomic_store_n(&folio_note(sys, f)->word[h->p->kind],
			 __atomic_load_n(from, __ATOMIC_RELAXED), __ATOMIC_RELAXED);
	if (h->to == PLACEMENT_STAY)
		return;
	if (hint_shared_by_fork(f))
		return;
	if (lru_isolate_folio(sys, f))
		list_add_tail(&f->lru, &h->list);
	else if (f == h->folio)
		placement_count(&h->p->count.busy, folio_nr(f));
}

/* Page-table lock held. */
static void join_block(struct hint *h, uint64_t *ptep)
{
	uint64_t size = (uint64_t)__atomic_load_n(&h->scan->block, __ATOMIC_RELAXED)
			<< UMM_PAGE_SHIFT;
	const struct vma *vma = h->f->vma;
	struct mm_sys *sys = h->f->mm->sys;
	uint64_t lo, hi;
	struct folio *last = NULL;

	if (!size)
		size = UMM_PAGE_SIZE;
	lo = h->f->addr.v & ~(size - 1);
	hi = lo + size;
	lo = lo < vma->start.v ? vma->start.v : lo;
	hi = hi > vma->end.v ? vma->end.v : hi;
	ptep -= (h->f->addr.v - lo) >> UMM_PAGE_SHIFT;
	for (; lo < hi; lo += UMM_PAGE_SIZE, ptep++) {
		uint64_t e = pte_read(ptep);
		struct folio *f;

		if (!pte_present(e))
			continue;
		f = folio_head(sys_frame(sys, pte_pfn(e)));
		if (f->node != h->folio->node || folio_test_ksm(f))
			continue;
		if (pte_protnone(e))
			pte_set(ptep, hint_restored(vma, e));
		if (f != last)
			join_folio(h, f);
		last = f;
	}
}

/* Page-table lock held. The entry as it is now; A and D as the access would set them. */
static uint64_t restore_entry(struct hint *h, uint64_t *ptep)
{
	uint64_t e = hint_restored(h->f->vma, pte_read(ptep)) | PTE_ACCESSED;

	if ((h->f->flags & FAULT_FLAG_WRITE) && (e & PTE_WRITE))
		e |= PTE_DIRTY | PTE_SOFT_DIRTY;
	pte_set(ptep, e);
	return e;
}

/* Page-table lock held. Takes the hint back; h->p is set if there is a policy to ask. */
static void take_hint(struct hint *h, uint64_t *ptep)
{
	struct mm_sys *sys = h->f->mm->sys;

	list_init(&h->list);
	h->f->orig = restore_entry(h, ptep);
	h->folio = folio_head(sys_frame(sys, pte_pfn(h->f->orig)));
	h->p = placement_for_node(sys, h->folio->node);
	if (!h->p)
		return;
	h->scan = &h->f->mm->scan[h->p->kind];
	ask_policy(h);
}

enum fault_result fault_hint(struct fault *f)
{
	struct hint h = { .f = f, .to = PLACEMENT_STAY };
	struct umm_mutex *ptl;
	uint64_t *ptep;

	f->orig = 0;
	ptep = pte_lock(f->mm, f->addr, &ptl);
	if (!ptep)
		return FAULT_DONE;
	if (!pte_protnone(pte_read(ptep))) {
		umm_mutex_unlock(ptl);
		return FAULT_DONE;
	}
	take_hint(&h, ptep);
	if (h.p)
		join_block(&h, ptep);
	umm_mutex_unlock(ptl);
	if (!list_empty(&h.list)) {
		f->orig = 0;
		placement_move(h.p, &h.list, h.to);
	}
	return FAULT_DONE;
}

void fault_hint_leaf(struct fault *f, uint64_t *pmd, struct umm_mutex *lock)
{
	struct hint h = { .f = f, .to = PLACEMENT_STAY };

	take_hint(&h, pmd);
	if (h.p)
		join_folio(&h, h.folio);
	umm_mutex_unlock(lock);
	if (!list_empty(&h.list))
		placement_move(h.p, &h.list, h.to);
}
