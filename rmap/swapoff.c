/* SPDX-License-Identifier: MIT */
/*
 * Taking a swap area away while the guest runs.
 *
 *	leaving = true: no new slots; what is read keeps no slot (fault_swap.c)
 *	  -> passes: every process, every object of shared memory, the swap cache
 *	  -> no slot is used: the area is forgotten
 *
 * Pages come back as a fault would bring them, neighbours included, and what memory
 * that takes is reclaimed to the other areas. A pass can miss what is on its way
 * (a fork copying entries, reclaim that found the folio before us), so passes go on
 * as long as they gain anything. If room runs out, or a page cannot be read, the area
 * just goes on as before: all slots that were not read back yet are as they were.
 */
#include "rmap/fault_wait.h"
#include "rmap/swap.h"

#include <time.h>

/* Faults under one hold of mmap_lock. */
#define FAULTS_AT_ONCE 16u
/* Passes without any gain, with pauses between them. */
#define FUTILE_PASSES 50
#define PAUSE_NS      2000000l

struct swapoff {
	struct mm_sys *sys;
	struct swap_area *area;
	unsigned int type;
	const struct swap_off_request *req;
	uint64_t total; /* slots in use at the beginning */
	struct fault_wait wait;
};

static uint64_t slots_used(const struct swapoff *s)
{
	return __atomic_load_n(&s->area->used, __ATOMIC_RELAXED);
}

/* 0, or -EINTR when the caller wants to stop. */
static int tell_progress(const struct swapoff *s)
{
	uint64_t left = slots_used(s);

	if (s->req->progress &&
	    s->req->progress(s->req->arg, s->total > left ? s->total - left : 0, s->total))
		return -EINTR;
	return 0;
}

/* ---- processes ---------------------------------------------------------------- */

/* The next entry of the area in [*at, end), which one table maps. mmap_lock held. */
static bool next_entry(const struct swapoff *s, struct mm *mm, gva_t *at, gva_t end,
		       uint64_t *entry)
{
	struct umm_mutex *ptl;
	uint64_t *pmd = pmd_find(mm, *at, &ptl), *ptep;
	bool found = false;

	/* A leaf has no swap entries, and need not be split to know that. */
	if (!pmd || !pmd_is_table(pte_read(pmd)))
		return false;
	ptep = pte_lock(mm, *at, &ptl);
	if (!ptep)
		return false;
	for (; at->v < end.v; at->v += UMM_PAGE_SIZE, ptep++) {
		*entry = pte_read(ptep);
		found = pte_is_swap(*entry) && swp_type(pte_to_swp(*entry)) == s->type;
		if (found)
			break;
	}
	umm_mutex_unlock(ptl);
	return found;
}

static int read_entry(struct swapoff *s, struct vma *vma, gva_t at, uint64_t entry)
{
	struct fault f = { .mm = vma->mm, .vma = vma, .addr = at, .orig = entry, .wait = &s->wait };

	switch (fault_swap(&f)) {
	case FAULT_OOM:
		return -ENOMEM;
	case FAULT_BUS:
		return -EIO;
	default:
		return 0;
	}
}

/*
 * mmap_lock held. From *at, some faults, until one has to wait; false: at the end of
 * the mm.
 */
static bool read_some(struct swapoff *s, struct mm *mm, gva_t *at, int *err)
{
	unsigned int faults = 0;

	while (!*err && faults < FAULTS_AT_ONCE) {
		struct vma *vma = vma_find(mm, *at);
		gva_t end;
		uint64_t entry;

		if (!vma)
			return false;
		if (at->v < vma->start.v)
			*at = vma->start;
		*at = tables_from(mm, *at, vma->end);
		if (at->v == vma->end.v)
			continue;
		end = table_end(*at, vma->end);
		if (!next_entry(s, mm, at, end, &entry)) {
			*at = end;
			continue;
		}
		*err = read_entry(s, vma, *at, entry);
		if (fault_must_wait(&s->wait))
			return true;
		/* Whether or not it went: the next pass comes by again. */
		at->v += UMM_PAGE_SIZE;
		faults++;
	}
	return true;
}

static int read_mm(struct swapoff *s, struct mm *mm)
{
	gva_t at = gva_make(0);
	bool more = true;
	int err = 0;

	while (more && !err) {
		umm_read_lock(&mm->mmap_lock);
		more = read_some(s, mm, &at, &err);
		umm_read_unlock(&mm->mmap_lock);
		/* Errors are told when the entry is looked at again. */
		if (fault_must_wait(&s->wait))
			(void)!fault_wait(&s->wait);
		if (!err)
			err = tell_progress(s);
	}
	fault_wait_release(&s->wait);
	return err;
}

/* The mm after @prev, whose user is given up; a user of an mm keeps it on the list. */
static struct mm *next_mm(struct mm_sys *sys, struct mm *prev)
{
	struct list_head *at;
	struct mm *found = NULL;

	umm_mutex_lock(&sys->mms_lock);
	at = prev ? prev->all.next : sys->mms.next;
	for (; at != &sys->mms && !found; at = at->next) {
		struct mm *mm = container_of(at, struct mm, all);

		if (mm_try_get(mm))
			found = mm;
	}
	umm_mutex_unlock(&sys->mms_lock);
	if (prev)
		mm_put(prev);
	return found;
}

static int read_mms(struct swapoff *s)
{
	struct mm *mm = NULL;
	int err = 0;

	while (!err && slots_used(s) && (mm = next_mm(s->sys, mm)))
		err = read_mm(s, mm);
	if (mm)
		mm_put(mm);
	return err;
}

/* ---- shared memory --------------------------------------------------------------- */

static bool next_value(const struct swapoff *s, struct address_space *m, pgoff_t *index)
{
	bool found = false;
	uintptr_t v;

	umm_mutex_lock(&m->tree_lock);
	for (; !found && (v = radix_next(&m->pages, &index->v)); index->v++) {
		found = (v & 1) && swp_type(shmem_entry(v)) == s->type;
		if (found)
			break;
	}
	umm_mutex_unlock(&m->tree_lock);
	return found;
}

static int read_mapping(struct swapoff *s, struct address_space *m)
{
	pgoff_t index = pgoff_make(0);
	int err = 0;

	for (; !err && next_value(s, m, &index); index.v++) {
		err = shmem_fill(m, index);
		if (err == -EFAULT)
			err = 0; /* truncated meanwhile */
		if (!err)
			err = tell_progress(s);
	}
	return err;
}

static struct address_space *next_mapping(struct mm_sys *sys, struct address_space *prev)
{
	struct address_space *found = NULL;
	struct list_head *at;

	umm_mutex_lock(&sys->mappings_lock);
	at = prev ? prev->all.next : sys->mappings.next;
	for (; at != &sys->mappings && !found; at = at->next) {
		struct address_space *m = container_of(at, struct address_space, all);

		if (!m->ops && mapping_try_get(m))
			found = m;
	}
	umm_mutex_unlock(&sys->mappings_lock);
	if (prev)
		mapping_put(prev);
	return found;
}

static int read_mappings(struct swapoff *s)
{
	struct address_space *m = NULL;
	int err = 0;

	while (!err && slots_used(s) && (m = next_mapping(s->sys, m)))
		err = read_mapping(s, m);
	if (m)
		mapping_put(m);
	return err;
}

/* ---- the swap cache ------------------------------------------------------------- */

/* Pages in memory whose slot nobody names any more. */
static void drop_cached(struct swapoff *s)
{
	struct swap *sw = s->sys->swap;

	for (uint64_t slot = 0; slot < s->area->nr && slots_used(s); slot++) {
		struct folio *f;

		umm_mutex_lock(&sw->lock);
		f = s->area->cache[slot];
		if (f && ((s->area->map[slot] & SLOT_COUNT) || !folio_try_get(f)))
			f = NULL;
		umm_mutex_unlock(&sw->lock);
		if (!f)
			continue;
		if (folio_trylock(f)) {
			/* Its neighbours in a large folio may be named still: then it stays. */
			if (folio_test(f, PG_swapcache))
				swap_try_free(s->sys, f);
			folio_unlock(s->sys, f);
		}
		folio_put(s->sys, f);
	}
}

/* ---- all of it ------------------------------------------------------------------ */

/* Where what is only in the area could go. swap->lock held. */
static bool has_room(struct mm_sys *sys, const struct swap_area *leaving)
{
	uint64_t room = frames_nr_free(sys), need = leaving->used - leaving->cached;

	for (unsigned int i = 0; i < sys->swap->nr_areas; i++) {
		const struct swap_area *a = &sys->swap->areas[i];

		if (!a->leaving && !a->full)
			room += a->nr - a->used;
	}
	for (unsigned int i = 0; i < sys->nr_nodes; i++) {
		int64_t file = __atomic_load_n(&sys->nodes[i].nr_file, __ATOMIC_RELAXED);

		room += file > 0 ? (uint64_t)file : 0;
	}
	return need <= room;
}

static int begin(struct swapoff *s, const void *area)
{
	struct swap *sw = s->sys->swap;
	int ret = -ENOENT;

	umm_mutex_lock(&sw->lock);
	for (unsigned int i = 0; i < sw->nr_areas; i++) {
		struct swap_area *a = &sw->areas[i];

		if (!area || a->host != area)
			continue;
		s->area = a;
		s->type = i;
		ret = a->leaving ? -EBUSY : 0;
		if (!ret) {
			__atomic_store_n(&a->leaving, true, __ATOMIC_RELAXED);
			ret = has_room(s->sys, a) ? 0 : -ENOMEM;
			__atomic_store_n(&a->leaving, !ret, __ATOMIC_RELAXED);
		}
		s->total = a->used;
	}
	umm_mutex_unlock(&sw->lock);
	return ret;
}

static void stay(struct swapoff *s)
{
	umm_mutex_lock(&s->sys->swap->lock);
	__atomic_store_n(&s->area->leaving, false, __ATOMIC_RELAXED);
	umm_mutex_unlock(&s->sys->swap->lock);
}

/* True: nobody knows the area any more. */
static bool forget(struct swapoff *s)
{
	struct swap *sw = s->sys->swap;
	struct swap_area gone;
	unsigned int at = 0;
	bool empty;

	/* The validator counts slots by area. */
	umm_read_lock(&s->sys->work_lock);
	umm_mutex_lock(&sw->lock);
	empty = !s->area->used;
	if (empty) {
		gone = *s->area;
		memset(s->area, 0, sizeof(*s->area));
		for (unsigned int i = 0; i < sw->nr_order; i++) {
			if (sw->order[i] != s->type)
				sw->order[at++] = sw->order[i];
		}
		sw->nr_order = at;
	}
	umm_mutex_unlock(&sw->lock);
	umm_read_unlock(&s->sys->work_lock);
	if (empty) {
		area_slots_free(s->sys, &gone);
	}
	return empty;
}

static int one_pass(struct swapoff *s)
{
	int err = read_mms(s);

	if (!err)
		err = read_mappings(s);
	if (!err)
		drop_cached(s);
	return err ? err : tell_progress(s);
}

int swap_off(struct mm_sys *sys, void *area, const struct swap_off_request *req)
{
	static const struct swap_off_request quiet;
	struct swapoff s = { .sys = sys, .req = req ? req : &quiet };
	int futile = 0, err = begin(&s, area);
	uint64_t before;

	if (err)
		return err;
	fault_wait_init(&s.wait, sys);
	while (!forget(&s)) {
		before = slots_used(&s);
		err = one_pass(&s);
		futile = slots_used(&s) < before ? 0 : futile + 1;
		if (!err && futile == FUTILE_PASSES)
			err = -EBUSY;
		if (err) {
			stay(&s);
			return err;
		}
		if (futile)
			nanosleep(&(struct timespec){ .tv_nsec = PAUSE_NS }, NULL);
	}
	return 0;
}
