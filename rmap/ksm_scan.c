/* SPDX-License-Identifier: MIT */
/* KSM: the scanner goes round all mergeable pages; what it does with one, ksm.c tells. */
#include "rmap/ksm.h"

/* Tables without entries that are passed over before mmap_lock is let go for a moment. */
#define EMPTY_TABLES 4096u

/* ---- what is remembered ---------------------------------------------------------- */

static void set_merged(struct ksm_page *page, bool merged)
{
	if (page->merged != merged)
		__atomic_fetch_add(&page->owner->nr_merged, merged ? 1ul : ~0ul, __ATOMIC_RELAXED);
	page->merged = merged;
}

void ksm_page_free(struct ksm *k, struct ksm_page *page)
{
	unstable_tree_erase(k, page);
	set_merged(page, false);
	list_del(&page->link);
	__atomic_fetch_sub(&page->owner->nr_pages, 1, __ATOMIC_RELAXED);
	__atomic_fetch_sub(&k->nr_pages, 1, __ATOMIC_RELAXED);
	sys_free(k->sys, page, sizeof(*page));
}

void ksm_mm_forget(struct ksm *k, struct ksm_mm *owner)
{
	while (!list_empty(&owner->pages))
		ksm_page_free(k, list_first_entry(&owner->pages, struct ksm_page, link));
}

/* The scanner is at k->addr of k->cursor: those it has passed are gone from there. */
static struct ksm_page *remember_page(struct ksm *k, struct ksm_mm *owner)
{
	struct ksm_page *page;

	while (k->at->next != &owner->pages) {
		page = list_entry(k->at->next, struct ksm_page, link);
		if (page->addr.v > k->addr.v)
			break;
		if (page->addr.v == k->addr.v) {
			k->at = &page->link;
			return page;
		}
		ksm_page_free(k, page);
	}
	page = sys_alloc(k->sys, sizeof(*page));
	if (!page)
		return NULL;
	page->owner = owner;
	page->addr = k->addr;
	list_add(&page->link, k->at);
	k->at = &page->link;
	__atomic_fetch_add(&owner->nr_pages, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&k->nr_pages, 1, __ATOMIC_RELAXED);
	return page;
}

/* ---- one page ----------------------------------------------------------------------- */

/* The page that @page stands for, as it is now, with a reference on its folio; NULL. */
static struct folio *find_frame(struct mm *mm, gva_t addr)
{
	struct folio *frame = NULL;
	struct vma *vma;

	umm_read_lock(&mm->mmap_lock);
	vma = vma_find_exact(mm, addr);
	if (vma && vma_may_merge(vma))
		frame = ksm_get_frame(vma, addr);
	umm_read_unlock(&mm->mmap_lock);
	return frame;
}

/*
 * The same page in a folio of its own: splits what is larger. *frame may be another then,
 * or NULL; its reference goes with it. False: it cannot be had.
 */
static bool frame_alone(struct ksm *k, struct mm *mm, gva_t addr, struct folio **frame)
{
	if (folio_head(*frame)->order) {
		ksm_split(k, folio_head(*frame));
		*frame = find_frame(mm, addr);
	}
	return *frame && !folio_head(*frame)->order && !folio_test_ksm(*frame);
}

/* A merged folio that nobody joined becomes an ordinary one again. */
static void undo_stable(struct ksm *k, struct folio *f)
{
	if (!folio_trylock(f))
		return;
	if (folio_test_ksm(f))
		ksm_node_unmake(k, f);
	folio_unlock(k->sys, f);
}

/* Others may join it. Without memory for the tree they cannot: no harm. */
static void show_stable(struct ksm *k, struct folio *f)
{
	uintptr_t m = folio_mapping_raw(f);

	if ((m & FOLIO_MAPPING_FLAGS) == FOLIO_MAPPING_KSM)
		(void)!stable_tree_insert(k, frame_hash(k->sys, folio_pfn(k->sys, f)),
					  (struct ksm_stable_node *)(m & ~FOLIO_MAPPING_FLAGS));
}

/* A page and its frame, with a reference on its folio; NULL: none. */
struct sight {
	struct mm *mm;
	struct ksm_page *page;
	struct folio *frame;
};

static void drop_frame(struct ksm *k, struct sight *s)
{
	if (s->frame)
		folio_put(k->sys, folio_head(s->frame));
	s->frame = NULL;
}

/* @a's folio becomes a merged one, and @b joins it: or neither. */
static int merge_two(struct ksm *k, struct sight *a, struct sight *b)
{
	int ret;

	/* Both may be of one large folio, which no other reference must hold to be split. */
	drop_frame(k, a);
	if (!frame_alone(k, b->mm, b->page->addr, &b->frame))
		return -EAGAIN;
	a->frame = find_frame(a->mm, a->page->addr);
	if (!a->frame || !frame_alone(k, a->mm, a->page->addr, &a->frame))
		return -EAGAIN;
	ret = ksm_make_stable(k, a->mm, a->page->addr, a->frame);
	if (ret)
		return ret;
	ret = ksm_merge_page(k, b->mm, b->page->addr, b->frame, a->frame);
	if (ret) {
		undo_stable(k, a->frame);
		return ret;
	}
	set_merged(a->page, true);
	set_merged(b->page, true);
	show_stable(k, a->frame);
	return 0;
}

/* The one that waited: is it there, and still equal? */
static int merge_with(struct ksm *k, struct sight *a, struct sight *b)
{
	int ret = -EAGAIN;

	a->frame = find_frame(a->mm, a->page->addr);
	if (!a->frame)
		return -EAGAIN;
	if (a->frame == b->frame)
		ret = 0; /* shared since a fork */
	else if (!folio_test_ksm(folio_head(a->frame)) &&
		 frames_equal(k->sys, folio_pfn(k->sys, a->frame), folio_pfn(k->sys, b->frame)))
		ret = merge_two(k, a, b);
	drop_frame(k, a);
	return ret;
}

static struct mm *owner_get_mm(struct ksm *k, struct ksm_mm *owner)
{
	struct mm *mm;

	umm_mutex_lock(&k->lock);
	mm = owner->mm;
	if (mm && !mm_try_get(mm))
		mm = NULL;
	umm_mutex_unlock(&k->lock);
	return mm;
}

/* The page has not changed for a round: whom could it share with? */
static void look_for_equal(struct ksm *k, struct sight *b)
{
	struct sight a = { .page = unstable_tree_find(k, b->page) };
	int ret = -EAGAIN;

	if (!a.page)
		return;
	a.mm = owner_get_mm(k, a.page->owner);
	if (a.mm) {
		ret = merge_with(k, &a, b);
		mm_put(a.mm);
	}
	if (!ret && !a.page->merged)
		return;
	/* It is in the stable tree now; or, changed or gone, must not stand in the way. */
	unstable_tree_erase(k, a.page);
	if (ret)
		unstable_tree_find(k, b->page);
}

static void look_at_page(struct ksm *k, struct sight *s)
{
	struct mm_sys *sys = k->sys;
	struct ksm_page *page = s->page;
	struct folio *kept;
	uint64_t hash;

	unstable_tree_erase(k, page);
	set_merged(page, folio_test_ksm(folio_head(s->frame)));
	if (page->merged)
		return;
	page->node = s->frame->node;
	hash = frame_hash(sys, folio_pfn(sys, s->frame));
	kept = stable_tree_find(k, hash, s->frame);
	if (kept) {
		if (frame_alone(k, s->mm, page->addr, &s->frame))
			set_merged(page, !ksm_merge_page(k, s->mm, page->addr, s->frame, kept));
		folio_put(sys, kept);
	} else if (page->hash == hash) {
		look_for_equal(k, s);
	}
	page->hash = hash;
}

/* ---- round and round -------------------------------------------------------------------- */

/* ksm->lock held. The next in turn; NULL: that was the last. */
static struct ksm_mm *next_owner(struct ksm *k, const struct ksm_mm *owner)
{
	return owner->link.next == &k->mms ? NULL
					   : list_entry(owner->link.next, struct ksm_mm, link);
}

void ksm_mm_unlink(struct ksm *k, struct ksm_mm *owner)
{
	if (k->here == owner)
		k->here = NULL;
	if (k->cursor == owner)
		k->cursor = next_owner(k, owner);
	list_del(&owner->link);
}

static struct ksm_mm *take_gone(struct ksm *k)
{
	struct ksm_mm *owner, *gone = NULL;

	umm_mutex_lock(&k->lock);
	list_for_each_entry(owner, &k->mms, link)
	{
		if (!owner->mm) {
			gone = owner;
			ksm_mm_unlink(k, gone);
			break;
		}
	}
	umm_mutex_unlock(&k->lock);
	return gone;
}

void ksm_reap(struct ksm *k)
{
	struct ksm_mm *gone;

	stable_tree_reap(k);
	while ((gone = take_gone(k))) {
		ksm_mm_forget(k, gone);
		sys_free(k->sys, gone, sizeof(*gone));
	}
}

/* ksm->lock held. Whose turn it is; NULL: there is none at all. */
static struct ksm_mm *current_owner(struct ksm *k)
{
	if (!k->cursor && !list_empty(&k->mms))
		k->cursor = list_first_entry(&k->mms, struct ksm_mm, link);
	if (k->cursor && k->cursor != k->here) {
		k->here = k->cursor;
		k->at = &k->here->pages;
		k->addr = gva_make(0);
	}
	return k->cursor;
}

/*
 * The process whose turn it is, with a user of its mm, passing over those that are
 * going. NULL: there is none, or (*over) none left in this round.
 */
static struct mm *turn_begin(struct ksm *k, bool *over)
{
	struct ksm_mm *owner;
	struct mm *mm = NULL;

	umm_mutex_lock(&k->lock);
	while (!mm && !*over && (owner = current_owner(k))) {
		if (owner->mm && mm_try_get(owner->mm)) {
			mm = owner->mm;
		} else {
			k->cursor = next_owner(k, owner);
			*over = !k->cursor;
		}
	}
	umm_mutex_unlock(&k->lock);
	return mm;
}

/* All of it was looked at. True: and of the others in this round too. */
static bool turn_end(struct ksm *k)
{
	struct ksm_mm *owner = k->here;
	bool over;

	while (k->at->next != &owner->pages)
		ksm_page_free(k, list_entry(k->at->next, struct ksm_page, link));
	umm_mutex_lock(&k->lock);
	k->cursor = next_owner(k, owner);
	k->here = NULL;
	/* Who is next may exit as soon as the lock is free. */
	over = !k->cursor;
	umm_mutex_unlock(&k->lock);
	return over;
}

/* From k->addr on, in one table; k->addr is the page's then, or the next table's. */
static struct folio *next_in_table(struct ksm *k, struct vma *vma, gva_t end)
{
	struct umm_mutex *lock;
	uint64_t *pmd = pmd_find(vma->mm, k->addr, &lock);

	if (!pmd || pmd_is_empty(pte_read(pmd))) {
		k->addr = end;
		return NULL;
	}
	for (; k->addr.v < end.v; k->addr.v += UMM_PAGE_SIZE) {
		struct folio *frame = ksm_get_frame(vma, k->addr);

		if (frame)
			return frame;
	}
	return NULL;
}

/* The next page from k->addr on; NULL and not *end: it may be a long way yet. */
static struct folio *next_frame(struct ksm *k, struct mm *mm, bool *end)
{
	struct folio *frame = NULL;
	unsigned int tables = 0;
	struct vma *vma;

	umm_read_lock(&mm->mmap_lock);
	for (vma = vma_find(mm, k->addr); vma && !frame && tables < EMPTY_TABLES;) {
		if (k->addr.v < vma->start.v)
			k->addr = vma->start;
		k->addr = vma_may_merge(vma) ? tables_from(mm, k->addr, vma->end) : vma->end;
		if (k->addr.v < vma->end.v)
			frame = next_in_table(k, vma, table_end(k->addr, vma->end));
		tables++;
		if (!frame && k->addr.v >= vma->end.v)
			vma = vma_next(vma);
	}
	*end = !vma;
	umm_read_unlock(&mm->mmap_lock);
	return frame;
}

static uint64_t scan_mm(struct ksm *k, struct mm *mm, uint64_t nr, bool *end)
{
	uint64_t looked = 0;

	*end = false;
	while (looked < nr && !*end) {
		struct sight s = { .mm = mm, .frame = next_frame(k, mm, end) };

		if (!s.frame)
			continue;
		*end = false;
		s.page = remember_page(k, k->here);
		if (s.page)
			look_at_page(k, &s);
		drop_frame(k, &s);
		k->addr.v += UMM_PAGE_SIZE;
		looked++;
	}
	return looked;
}

uint64_t ksm_scan(struct mm_sys *sys, uint64_t nr)
{
	struct ksm *k = sys_ksm(sys);
	uint64_t looked = 0;
	bool over = false;
	struct mm *mm;

	umm_mutex_lock(&k->scan_lock);
	ksm_reap(k);
	while (looked < nr && !over && (mm = turn_begin(k, &over))) {
		bool end;

		looked += scan_mm(k, mm, nr - looked, &end);
		over = end && turn_end(k);
		mm_put(mm);
	}
	if (over) {
		unstable_tree_forget(k);
		stable_tree_prune(k);
		__atomic_fetch_add(&k->full_scans, 1, __ATOMIC_RELAXED);
	}
	__atomic_fetch_add(&k->nr_scanned, looked, __ATOMIC_RELAXED);
	ksm_reap(k);
	umm_mutex_unlock(&k->scan_lock);
	return looked;
}
