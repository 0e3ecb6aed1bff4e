/* SPDX-License-Identifier: MIT */
/*
 * KSM, same-page merging: its life, its processes, its settings.
 *
 * A scanner goes round all pages of all mergeable areas. What it does with a page:
 *
 *	equal to a merged folio (stable tree)		the entry goes to that folio
 *	changed since the last round			only remembered (by its hash)
 *	equal to another unchanged page (unstable	that one's folio becomes a merged
 *	tree, of this round only)			one, then as above
 *	else						waits in the unstable tree
 *
 * A merged folio is anonymous, of one frame, mapped read-only everywhere, exclusive to
 * nobody: a store copies it (fault_wp.c), always. Its content cannot change, so the
 * stable tree is in order for ever; pages in the unstable tree are not protected, so
 * that tree is only a guess, thrown away after each round, and every merge compares the
 * bytes once more when nobody can store to them (ksm_merge.c). Both trees are ordered
 * by a hash of the content, which spares most comparisons the pages themselves.
 *
 * Reverse mapping. folio->mapping names a stable node, which lists places, each being
 * page `index` of a family of areas (the root of their anon_vmas): what an ordinary
 * folio shared by fork has as mapping and index, many times. So all that keeps ordinary
 * folios findable (fork, split, join, mremap, exit of the parent) keeps merged ones
 * findable too. Linux lists addresses of processes instead, and therefore takes merged
 * pages apart before it moves an area, and loses sight of a child's page when the
 * parent lets go of it, until the scanner comes by. The walk keeps Linux's two passes:
 * first the areas of the process that merged the page, then those of its relatives.
 *
 * A place is forgotten when no area has that page any more, or one area only whose entry
 * is another (ksm_node_prune()).
 *
 * Life. The stable node has no reference on its folio: the last sharer's store, unmap or
 * swap frees it, and ksm_folio_freed() puts the node aside for the scanner to bury.
 * Pages that were swapped out merged come back as what they are if the folio is still in
 * the swap cache, and else as private copies, to be merged anew (fault_swap.c).
 *
 * Locks. scan_lock, outside all others, is held by one scan (or change of settings) at a
 * time and by the validator; ksm->lock is a leaf. A process is scanned with a user of its
 * mm, and with its mmap_lock for reading while one page is looked at or merged. The list
 * of places is guarded by the merged folio's lock; two folio locks are taken by trylock.
 */
#include "rmap/ksm.h"

/* Linux's defaults. */
static const uint64_t defaults[KSM_NR_KNOBS] = {
	[KSM_RUN] = KSM_STOP,         [KSM_PAGES_TO_SCAN] = 100,    [KSM_SLEEP_MILLISECS] = 20,
	[KSM_MAX_PAGE_SHARING] = 256, [KSM_MERGE_ACROSS_NODES] = 1,
};

int ksm_init(struct mm_sys *sys)
{
	struct ksm *k = sys_alloc(sys, sizeof(*k));

	if (!k)
		return -ENOMEM;
	k->sys = sys;
	umm_mutex_init(&k->scan_lock, LOCK_KSM);
	umm_mutex_init(&k->lock, LOCK_LEAF);
	list_init(&k->mms);
	list_init(&k->nodes);
	list_init(&k->dead);
	k->round = 1;
	memcpy(k->knobs, defaults, sizeof(defaults));
	sys->ksm = k;
	return 0;
}

void ksm_destroy(struct mm_sys *sys)
{
	struct ksm *k = sys->ksm;

	ksm_reap(k);
	mm_assert(list_empty(&k->mms) && list_empty(&k->nodes) && !k->stable);
	umm_mutex_destroy(&k->lock);
	umm_mutex_destroy(&k->scan_lock);
	sys_free(sys, k, sizeof(*k));
	sys->ksm = NULL;
}

void ksm_lock(struct mm_sys *sys)
{
	umm_mutex_lock(&sys->ksm->scan_lock);
}

void ksm_unlock(struct mm_sys *sys)
{
	umm_mutex_unlock(&sys->ksm->scan_lock);
}

/* ---- processes -------------------------------------------------------------- */

int ksm_enter(struct mm *mm)
{
	struct ksm *k = sys_ksm(mm->sys);
	struct ksm_mm *owner;

	if (mm->ksm)
		return 0;
	owner = sys_alloc(mm->sys, sizeof(*owner));
	if (!owner)
		return -ENOMEM;
	owner->mm = mm;
	list_init(&owner->pages);
	umm_mutex_lock(&k->lock);
	list_add_tail(&owner->link, &k->mms);
	umm_mutex_unlock(&k->lock);
	mm->ksm = owner;
	return 0;
}

/*
 * The scanner holds a user of the mm that it works on, so it is not here. What it
 * remembers of the pages may hang in its trees: that goes with its next round.
 */
void ksm_exit(struct mm *mm)
{
	struct ksm *k = sys_ksm(mm->sys);
	struct ksm_mm *owner = mm->ksm;
	bool known;

	if (!owner)
		return;
	umm_mutex_lock(&k->lock);
	owner->mm = NULL;
	known = __atomic_load_n(&owner->nr_pages, __ATOMIC_RELAXED);
	if (!known)
		ksm_mm_unlink(k, owner);
	umm_mutex_unlock(&k->lock);
	if (!known)
		sys_free(mm->sys, owner, sizeof(*owner));
}

/* ---- settings ---------------------------------------------------------------- */

uint64_t ksm_get(const struct mm_sys *sys, enum ksm_knob knob)
{
	return __atomic_load_n(&sys_ksm(sys)->knobs[knob], __ATOMIC_RELAXED);
}

static bool value_allowed(enum ksm_knob knob, uint64_t value)
{
	switch (knob) {
	case KSM_RUN:
		return value <= KSM_UNMERGE;
	case KSM_MAX_PAGE_SHARING:
		return value >= 2 && value <= INT32_MAX;
	case KSM_MERGE_ACROSS_NODES:
		return value <= 1;
	default:
		return value <= UINT32_MAX;
	}
}

static bool anything_merged(struct ksm *k)
{
	bool any;

	umm_mutex_lock(&k->lock);
	any = !list_empty(&k->nodes);
	umm_mutex_unlock(&k->lock);
	return any;
}

int ksm_set(struct mm_sys *sys, enum ksm_knob knob, uint64_t value)
{
	struct ksm *k = sys_ksm(sys);
	int ret = 0;

	if (knob >= KSM_NR_KNOBS || !value_allowed(knob, value))
		return -EINVAL;
	umm_mutex_lock(&k->scan_lock);
	if ((knob == KSM_MAX_PAGE_SHARING || knob == KSM_MERGE_ACROSS_NODES) &&
	    ksm_get(sys, knob) != value && anything_merged(k)) {
		ret = -EBUSY;
		goto out;
	}
	__atomic_store_n(&k->knobs[knob], value, __ATOMIC_RELAXED);
	ksm_reap(k);
	if (knob == KSM_RUN && value == KSM_UNMERGE) {
		ret = ksm_unmerge_all(k);
		if (ret)
			__atomic_store_n(&k->knobs[KSM_RUN], KSM_STOP, __ATOMIC_RELAXED);
	}
out:
	umm_mutex_unlock(&k->scan_lock);
	ksm_wake(sys);
	return ret;
}

uint32_t ksm_changes(const struct mm_sys *sys)
{
	return __atomic_load_n(&sys_ksm(sys)->changes, __ATOMIC_ACQUIRE);
}

void ksm_wait_change(struct mm_sys *sys, uint32_t seen)
{
	sys->ops->wait(sys->ctx, &sys_ksm(sys)->changes, seen);
}

void ksm_wake(struct mm_sys *sys)
{
	__atomic_fetch_add(&sys_ksm(sys)->changes, 1, __ATOMIC_ACQ_REL);
	sys->ops->wake(sys->ctx, &sys_ksm(sys)->changes, INT32_MAX);
}

/* ---- figures ------------------------------------------------------------------- */

static uint64_t bytes_taken(uint64_t pages, uint64_t nodes)
{
	return pages * sizeof(struct ksm_page) +
	       nodes * (sizeof(struct ksm_stable_node) + sizeof(struct ksm_rmap_item));
}

void ksm_get_stats(struct mm_sys *sys, struct ksm_stats *out)
{
	struct ksm *k = sys_ksm(sys);
	struct ksm_stable_node *node;
	uint64_t known;

	memset(out, 0, sizeof(*out));
	umm_mutex_lock(&k->lock);
	list_for_each_entry(node, &k->nodes, all)
	{
		int count = folio_mapcount(node->folio);

		out->pages_shared += count > 0;
		out->pages_sharing += count > 1 ? (uint64_t)count - 1 : 0;
		out->rmap_items += __atomic_load_n(&node->nr_items, __ATOMIC_RELAXED);
	}
	umm_mutex_unlock(&k->lock);
	known = __atomic_load_n(&k->nr_pages, __ATOMIC_RELAXED);
	out->pages_unshared = __atomic_load_n(&k->nr_unshared, __ATOMIC_RELAXED);
	out->pages_scanned = __atomic_load_n(&k->nr_scanned, __ATOMIC_RELAXED);
	out->full_scans = __atomic_load_n(&k->full_scans, __ATOMIC_RELAXED);
	out->stable_node_dups = __atomic_load_n(&k->nr_dups, __ATOMIC_RELAXED);
	out->general_profit = (int64_t)(out->pages_sharing * UMM_PAGE_SIZE) -
			      (int64_t)bytes_taken(known, out->rmap_items);
	/* The rest of what is known; the figures are of different moments. */
	if (known > out->pages_shared + out->pages_sharing + out->pages_unshared)
		out->pages_volatile =
			known - out->pages_shared - out->pages_sharing - out->pages_unshared;
	out->rmap_items = known;
}

void ksm_get_mm_stats(struct mm *mm, struct ksm_mm_stats *out)
{
	memset(out, 0, sizeof(*out));
	umm_read_lock(&mm->mmap_lock);
	if (mm->ksm) {
		out->rmap_items = __atomic_load_n(&mm->ksm->nr_pages, __ATOMIC_RELAXED);
		out->merging_pages = __atomic_load_n(&mm->ksm->nr_merged, __ATOMIC_RELAXED);
		out->process_profit = (int64_t)(out->merging_pages * UMM_PAGE_SIZE) -
				      (int64_t)bytes_taken(out->rmap_items, 0);
	}
	umm_read_unlock(&mm->mmap_lock);
}
