/* SPDX-License-Identifier: MIT */
/*
 * The reverse-mapping walk: one loop, three ways to find the areas.
 *
 *	anonymous   folio->mapping -> anon_vma -> interval tree of anon_vma_chains
 *	file, shmem folio->mapping -> address_space -> interval tree of areas
 *	KSM	    folio->mapping -> stable node -> rmap items -> anon_vma trees
 *
 * What is looked for is always the same: areas that overlap page offsets
 * [folio->index, folio->index + nr). An area found this way need not map the
 * folio (any more, or yet); page_vma_mapped_walk() tells.
 */
#include "rmap/walk_ahead.h"

int vma_address(const struct vma *vma, pgoff_t pgoff, uint64_t nr, gva_t *out)
{
	uint64_t first = vma->pgoff.v, last = pgoff.v + nr - 1;

	if (pgoff.v >= first) {
		uint64_t addr = vma->start.v + ((pgoff.v - first) << UMM_PAGE_SHIFT);

		/* Beyond the area, or around the end of the address space. */
		if (pgoff.v - first >= vma_pages(vma) || addr < vma->start.v)
			return -EFAULT;
		*out = gva_make(addr);
		return 0;
	}
	/* The range starts before the area: does it reach it? It may wrap. */
	if (last < pgoff.v || last < first)
		return -EFAULT;
	*out = vma->start;
	return 0;
}

gva_t vma_address_end(const struct vma *vma, pgoff_t pgoff, uint64_t nr)
{
	uint64_t end_off = pgoff.v + nr - vma->pgoff.v;

	if (pgoff.v + nr < pgoff.v || end_off > vma_pages(vma))
		return vma->end;
	return gva_add(vma->start, end_off << UMM_PAGE_SHIFT);
}

static struct anon_vma *folio_anon_vma(const struct folio *f)
{
	uintptr_t m = folio_mapping_raw(f);

	if ((m & FOLIO_MAPPING_FLAGS) != FOLIO_MAPPING_ANON)
		return NULL;
	return (struct anon_vma *)(m & ~FOLIO_MAPPING_FLAGS);
}

static struct anon_vma *anon_vma_root(const struct anon_vma *av)
{
	return __atomic_load_n(&av->root, __ATOMIC_ACQUIRE);
}

int page_address_in_vma(const struct mm_sys *sys, struct folio *frame, const struct vma *vma,
			gva_t *out)
{
	struct folio *f = folio_head(frame);

	(void)sys;
	if (folio_test_anon(f)) {
		struct anon_vma *av = folio_anon_vma(f);

		/* The family must be the same, whoever in it faulted the page in. */
		if (!vma->anon_vma || !av || anon_vma_root(vma->anon_vma) != anon_vma_root(av))
			return -EFAULT;
	} else if (!vma->mapping || vma->mapping != folio_file_mapping(f)) {
		return -EFAULT;
	}
	return vma_address(vma, pgoff_make(folio_index(f).v + (uint64_t)(frame - f)), 1, out);
}

/*
 * The default lock of an anonymous walk. It asks nothing of the map count, as
 * migration entries are restored on a folio that nothing maps; the caller then
 * keeps the anon_vma alive. folio->mapping may change until the lock is held.
 */
static struct anon_vma *default_anon_lock(struct folio *f, struct rmap_walk_control *rwc)
{
	for (;;) {
		struct anon_vma *av = folio_anon_vma(f);

		if (!av)
			return NULL;
		if (rwc->try_lock) {
			if (!anon_vma_trylock_read(av)) {
				rwc->contended = true;
				return NULL;
			}
		} else {
			anon_vma_lock_read(av);
		}
		if (folio_anon_vma(f) == av)
			return av;
		anon_vma_unlock_read(av);
	}
}

/* One area: false ends the walk. */
static bool visit(struct folio *f, struct rmap_walk_control *rwc, struct vma *vma, gva_t addr)
{
	if (rwc->invalid_vma && rwc->invalid_vma(vma, rwc->arg))
		return true;
	if (!rwc->rmap_one(f, vma, addr, rwc->arg))
		return false;
	return !(rwc->done && rwc->done(f));
}

static bool visit_overlap(struct folio *f, struct rmap_walk_control *rwc, struct vma *vma,
			  uint64_t first, uint64_t last)
{
	gva_t addr;
	int ret = vma_address(vma, pgoff_make(first), last - first + 1, &addr);

	mm_assert(!ret); /* the trees yield overlaps only */
	return ret || visit(f, rwc, vma, addr);
}

/* False ends the walk. */
static bool visit_group(struct folio *f, struct rmap_walk_control *rwc, struct mm_sys *sys,
			const struct walk_ahead *w, uint64_t first, uint64_t last)
{
	unsigned int i = 0;

	while (i < w->nr && visit_overlap(f, rwc, w->vmas[i], first, last))
		i++;
	sys_count(sys, EV_RMAP_VISITS, i < w->nr ? i + 1 : i);
	return i == w->nr;
}

static void walk_anon_tree(struct folio *f, struct rmap_walk_control *rwc, struct anon_vma *av)
{
	uint64_t first = folio_index(f).v, last = first + folio_nr(f) - 1;
	struct walk_ahead w = { .next = itree_first(&av->tree, first, last) };

	while (walk_ahead_anon(&w, first, last) && visit_group(f, rwc, av->sys, &w, first, last))
		;
}

static void rmap_walk_anon(struct folio *f, struct rmap_walk_control *rwc, bool locked)
{
	struct anon_vma *av;

	if (locked)
		av = folio_anon_vma(f);
	else if (rwc->anon_lock)
		av = rwc->anon_lock(f, rwc);
	else
		av = default_anon_lock(f, rwc);
	if (!av)
		return;
	sys_count(av->sys, EV_RMAP_WALKS, 1);
	walk_anon_tree(f, rwc, av);
	if (!locked)
		anon_vma_unlock_read(av);
}

static bool lock_file(struct address_space *m, struct rmap_walk_control *rwc)
{
	if (!rwc->try_lock) {
		umm_read_lock(&m->i_mmap_lock);
		return true;
	}
	if (umm_read_trylock(&m->i_mmap_lock))
		return true;
	rwc->contended = true;
	return false;
}

static void rmap_walk_file(struct folio *f, struct rmap_walk_control *rwc, bool locked)
{
	struct address_space *m = folio_file_mapping(f);
	struct walk_ahead w;
	uint64_t first, last;

	mm_assert(folio_test(f, PG_locked));
	if (!m || (!locked && !lock_file(m, rwc)))
		return;
	sys_count(m->sys, EV_RMAP_WALKS, 1);
	first = folio_index(f).v;
	last = first + folio_nr(f) - 1;
	w.next = itree_first(&m->i_mmap, first, last);
	while (walk_ahead_file(&w, first, last) && visit_group(f, rwc, m->sys, &w, first, last))
		;
	if (!locked)
		umm_read_unlock(&m->i_mmap_lock);
}

/*
 * One place that shares a merged page. The first pass visits only the process
 * that merged it, the second its relatives: most walks end in the first.
 */
static bool ksm_visit_item(struct folio *f, struct rmap_walk_control *rwc,
			   struct ksm_rmap_item *item, bool forks)
{
	struct itree_node *n;
	bool go_on = true;

	if (rwc->try_lock && !anon_vma_trylock_read(item->anon_vma)) {
		rwc->contended = true;
		return false;
	}
	if (!rwc->try_lock)
		anon_vma_lock_read(item->anon_vma);
	itree_for_each(n, &item->anon_vma->tree, item->index.v, item->index.v)
	{
		struct vma *vma = container_of(n, struct anon_vma_chain, node)->vma;
		gva_t addr;

		if ((vma->mm == item->mm) == forks || vma_address(vma, item->index, 1, &addr))
			continue;
		sys_count(vma->mm->sys, EV_RMAP_VISITS, 1);
		go_on = visit(f, rwc, vma, addr);
		if (!go_on)
			break;
	}
	anon_vma_unlock_read(item->anon_vma);
	return go_on;
}

static void rmap_walk_ksm(struct folio *f, struct rmap_walk_control *rwc)
{
	struct ksm_stable_node *s =
		(struct ksm_stable_node *)(folio_mapping_raw(f) & ~FOLIO_MAPPING_FLAGS);
	struct ksm_rmap_item *item;

	mm_assert(folio_test(f, PG_locked));
	if (!list_empty(&s->items))
		sys_count(list_first_entry(&s->items, struct ksm_rmap_item, link)->anon_vma->sys,
			  EV_RMAP_WALKS, 1);
	for (int forks = 0; forks < 2; forks++) {
		list_for_each_entry(item, &s->items, link)
		{
			if (!ksm_visit_item(f, rwc, item, forks))
				return;
		}
	}
}

void rmap_walk(struct folio *f, struct rmap_walk_control *rwc)
{
	if (folio_test_ksm(f))
		rmap_walk_ksm(f, rwc);
	else if (folio_test_anon(f))
		rmap_walk_anon(f, rwc, false);
	else
		rmap_walk_file(f, rwc, false);
}

void rmap_walk_locked(struct folio *f, struct rmap_walk_control *rwc)
{
	/* A KSM folio has no single lock that the caller could hold. */
	if (folio_test_ksm(f))
		return;
	if (folio_test_anon(f))
		rmap_walk_anon(f, rwc, true);
	else
		rmap_walk_file(f, rwc, true);
}
