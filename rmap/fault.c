/* SPDX-License-Identifier: MIT */
/*
 * Page faults.
 *
 *	entry seen			access		handler
 *	2 MiB, or place for one		any		fault_huge, if it can; else split, and:
 *	none, private anonymous		any		fault_anon: fill a window of zero pages
 *	none, file or shared memory	any		fault_file: page cache, map around
 *	swap entry			any		fault_swap: read a neighbourhood in
 *	migration entry			any		wait until it is gone
 *	poison				any		FAULT_HWPOISON
 *	hint (area allows access)	any		fault_hint: take it back, perhaps move it
 *	present, not writable		write		fault_wp: reuse, copy, or mkwrite
 *	present, allowed		any		nothing: somebody was faster
 *
 * Handlers run with mmap_lock held for reading and look at the entry again with
 * its lock before they change it; if it is no longer what was seen they answer
 * FAULT_DONE, and the guest faults once more if it must. They do not wait for a
 * device or another's lock of a folio: that is done without mmap_lock (fault_wait.c).
 *
 * There is no shared zero page. A read of untouched memory gets a frame of its
 * own: an exit costs tens of microseconds on the hosts at hand, so the second
 * fault and the zap that the first store would need cost more than clearing.
 */
#include "rmap/fault_wait.h"
#include "rmap/hint.h"

static bool access_allowed(const struct vma *vma, unsigned int flags)
{
	uint64_t vf = vma_flags(vma);

	if ((flags & FAULT_FLAG_FORCE) && !(flags & FAULT_FLAG_WRITE))
		return vf & VM_MAYREAD;
	/* A forced store goes to a private copy; to a shared page it must be allowed. */
	if ((flags & FAULT_FLAG_FORCE) && !(vf & VM_SHARED))
		return vf & VM_MAYWRITE;
	if (flags & FAULT_FLAG_WRITE)
		return vf & VM_WRITE;
	if (flags & FAULT_FLAG_INSTR)
		return vf & VM_EXEC;
	return vf & VM_ACCESS_FLAGS;
}

static enum fault_result fault_special_swap(struct fault *f)
{
	swp_entry_t s = pte_to_swp(f->orig);

	if (swp_is_migration(s)) {
		struct folio *folio = migration_entry_folio(f->mm, f->addr);

		sys_count(f->mm->sys, EV_FAULT_WAIT_MIGRATION, 1);
		/* A reference would make the migration fail. */
		if (folio)
			fault_wait_unlock(f, folio, false);
		return FAULT_DONE;
	}
	return swp_type(s) == SWP_HWPOISON ? FAULT_HWPOISON : FAULT_BUS;
}

static enum fault_result fault_entry(struct fault *f)
{
	uint64_t e = f->orig;

	if (pte_none(e))
		return vma_is_anonymous(f->vma) ? fault_anon(f) : fault_file(f);
	if (pte_is_swap(e))
		return swp_is_area(pte_to_swp(e)) ? fault_swap(f) : fault_special_swap(f);
	/* In an area that allows nothing it is no hint; a forced store goes on below. */
	if (pte_protnone(e) && (vma_flags(f->vma) & VM_ACCESS_FLAGS)) {
		enum fault_result r = fault_hint(f);

		/* The store would only fault again. */
		if (r != FAULT_DONE || !f->orig)
			return r;
		e = f->orig;
	}
	if ((f->flags & FAULT_FLAG_WRITE) && !(e & PTE_WRITE))
		return fault_wp(f);
	return FAULT_DONE;
}

/* mmap_lock held for reading; the area covers the address. */
static enum fault_result fault_in_vma(struct fault *f)
{
	struct umm_mutex *ptl;
	uint64_t *ptep;

	if (!access_allowed(f->vma, f->flags))
		return FAULT_ACCERR;
	if (vma_is_anonymous(f->vma) || !(vma_flags(f->vma) & VM_SHARED)) {
		if (f->mm->reaped)
			return FAULT_BUS;
		if (anon_vma_prepare(f->vma))
			return FAULT_OOM;
	}
	if (fault_huge(f))
		return FAULT_DONE;
	ptep = pte_lock_alloc(f->mm, f->addr, &ptl);
	if (!ptep)
		return FAULT_OOM;
	f->orig = pte_read(ptep);
	umm_mutex_unlock(ptl);
	return fault_entry(f);
}

/* The area below which the address lies may be a stack that grows down to it. */
static enum fault_result grow_stack(struct mm *mm, gva_t addr)
{
	enum fault_result r = FAULT_MAPERR;
	struct vma *vma;

	umm_write_lock(&mm->mmap_lock);
	vma = vma_find(mm, addr);
	if (vma && vma->start.v <= addr.v)
		r = FAULT_DONE;
	else if (vma && (vma->flags & VM_GROWSDOWN) && !vma_expand_down(vma, addr))
		r = FAULT_DONE;
	umm_write_unlock(&mm->mmap_lock);
	return r;
}

/* Out of memory may mean out of page tables: take back those that map nothing. */
static bool trim_tables(struct mm *mm)
{
	uint64_t trimmed;

	umm_write_lock(&mm->mmap_lock);
	trimmed = pgtable_trim(mm);
	umm_write_unlock(&mm->mmap_lock);
	return trimmed > 0;
}

static enum fault_result fault_once(struct mm *mm, gva_t addr, unsigned int flags,
				    struct fault_wait *wait, bool *grow)
{
	struct fault f = { .mm = mm, .addr = gva_page(addr), .flags = flags, .wait = wait };
	enum fault_result r = FAULT_MAPERR;

	*grow = false;
	umm_read_lock(&mm->mmap_lock);
	f.vma = vma_find(mm, addr);
	if (f.vma && f.vma->start.v <= addr.v)
		r = fault_in_vma(&f);
	else if (f.vma && (f.vma->flags & VM_GROWSDOWN))
		*grow = true;
	umm_read_unlock(&mm->mmap_lock);
	return r;
}

enum fault_result mm_fault(struct mm *mm, gva_t addr, unsigned int flags)
{
	struct fault_wait wait;
	bool grow, trimmed = false, again = true;
	enum fault_result r = FAULT_MAPERR;

	if (addr.v >= UMM_TASK_SIZE)
		return FAULT_MAPERR;
	sys_count(mm->sys, EV_FAULT, 1);
	fault_wait_init(&wait, mm->sys);
	while (again) {
		r = fault_once(mm, addr, flags, &wait, &grow);
		again = grow;
		if (grow) {
			r = grow_stack(mm, addr);
			again = r == FAULT_DONE;
		} else if (fault_must_wait(&wait)) {
			r = fault_wait(&wait);
			again = r == FAULT_DONE;
		}
		if (r == FAULT_OOM && !trimmed)
			again = trimmed = trim_tables(mm);
	}
	fault_wait_release(&wait);
	if (r == FAULT_OOM)
		sys_count(mm->sys, EV_OOM, 1);
	return r;
}

struct folio *migration_entry_folio(struct mm *mm, gva_t addr)
{
	struct folio *f = NULL;
	struct umm_mutex *lock;
	uint64_t e;

	if (!entry_lock(mm, addr, &lock, &e))
		return NULL;
	if (pte_is_swap(e) && swp_is_migration(pte_to_swp(e)))
		f = folio_head(sys_frame(mm->sys, swp_pfn(pte_to_swp(e))));
	umm_mutex_unlock(lock);
	return f;
}

void migration_entry_wait(struct mm *mm, gva_t addr)
{
	struct mm_sys *sys = mm->sys;
	struct folio *f = migration_entry_folio(mm, addr);

	/*
	 * The migrator unlocks its source when the entries are restored. No
	 * reference is taken: it would make the migration fail, and descriptors
	 * are never freed, so at worst this waits for another's lock.
	 */
	if (f)
		folio_wait_locked(sys, f);
}
