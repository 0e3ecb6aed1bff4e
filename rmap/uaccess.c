/* SPDX-License-Identifier: MIT */
/*
 * Access to guest memory from the host.
 *
 * A short access copies with the page-table lock of the entry held: the frame
 * can then be neither unmapped nor moved. The entry must allow the access, else
 * it is faulted in as for the guest itself, and A and D are set as the processor
 * would. Longer use of a frame takes a pin: a reference and a count that reclaim,
 * migration and fork look at.
 */
#include "rmap/internal.h"

static bool entry_allows(uint64_t e, bool write)
{
	return (e & PTE_PRESENT) && (!write || (e & PTE_WRITE));
}

/* The frame's content must be here: a reference, and the lock is dropped. -EFAULT: it is lost. */
static int fill_hole(struct mm *mm, uint64_t page, struct umm_mutex *ptl)
{
	struct folio *frame = sys_frame(mm->sys, pte_pfn(page)), *f = folio_head(frame);
	int ret;

	folio_get(f);
	umm_mutex_unlock(ptl);
	ret = mm->sys->ops->hole_fill(mm->sys->ctx, pte_pfn(page), 1);
	folio_put(mm->sys, f);
	return ret ? -EFAULT : 0;
}

/*
 * Lock the entry for @addr, which allows the access; A (and D) set. *page is the
 * entry, of a 2 MiB leaf the part that is the page's. 0 or -EFAULT.
 */
static int lock_for_access(struct mm *mm, gva_t addr, unsigned int flags, uint64_t *page,
			   struct umm_mutex **ptl)
{
	bool write = flags & FAULT_FLAG_WRITE;
	uint64_t *entry;

	if (addr.v >= UMM_TASK_SIZE)
		return -EFAULT;
	for (;;) {
		entry = entry_lock(mm, addr, ptl, page);
		if (entry && entry_allows(*page, write)) {
			if (!frame_is_hole(mm->sys, pte_pfn(*page)))
				break;
			if (fill_hole(mm, *page, *ptl))
				return -EFAULT;
			continue;
		}
		if (entry)
			umm_mutex_unlock(*ptl);
		if (mm_fault(mm, addr, flags) != FAULT_DONE)
			return -EFAULT;
	}
	__atomic_fetch_or(entry, PTE_ACCESSED | (write ? PTE_DIRTY | PTE_SOFT_DIRTY : 0),
			  __ATOMIC_ACQ_REL);
	return 0;
}

static char *entry_hva(struct mm *mm, uint64_t e, gva_t addr)
{
	return (char *)frame_hva(mm->sys, pte_pfn(e)) + (addr.v & ~UMM_PAGE_MASK);
}

static size_t in_page(gva_t addr, size_t len)
{
	size_t room = UMM_PAGE_SIZE - (addr.v & ~UMM_PAGE_MASK);

	return len < room ? len : room;
}

int mm_copy_from_guest(struct mm *mm, void *dst, gva_t src, size_t len, size_t *done)
{
	size_t pos = 0;
	int ret = 0;

	while (pos < len) {
		gva_t addr = gva_add(src, pos);
		size_t n = in_page(addr, len - pos);
		struct umm_mutex *ptl;
		uint64_t page;

		ret = lock_for_access(mm, addr, 0, &page, &ptl);
		if (ret)
			break;
		memcpy((char *)dst + pos, entry_hva(mm, page, addr), n);
		umm_mutex_unlock(ptl);
		pos += n;
	}
	if (done)
		*done = pos;
	return ret;
}

int mm_copy_to_guest(struct mm *mm, gva_t dst, const void *src, size_t len, size_t *done)
{
	size_t pos = 0;
	int ret = 0;

	while (pos < len) {
		gva_t addr = gva_add(dst, pos);
		size_t n = in_page(addr, len - pos);
		struct umm_mutex *ptl;
		uint64_t page;

		ret = lock_for_access(mm, addr, FAULT_FLAG_WRITE, &page, &ptl);
		if (ret)
			break;
		memcpy(entry_hva(mm, page, addr), (const char *)src + pos, n);
		umm_mutex_unlock(ptl);
		pos += n;
	}
	if (done)
		*done = pos;
	return ret;
}

/* The end of what there is behind an area: it may reach beyond its file. */
static uint64_t backed_until(const struct vma *vma)
{
	struct address_space *m = vma->mapping;
	uint64_t pages, behind;
	int64_t size;

	if (!m)
		return vma->end.v;
	size = m->ops ? m->ops->size(m->file)
		      : (int64_t)__atomic_load_n(&m->shmem_size, __ATOMIC_SEQ_CST);
	pages = size < 0 ? 0 : page_align_up((uint64_t)size) >> UMM_PAGE_SHIFT;
	pages = pages > vma->pgoff.v ? pages - vma->pgoff.v : 0;
	behind = (vma->end.v - vma->start.v) >> UMM_PAGE_SHIFT;
	return vma->start.v + ((pages < behind ? pages : behind) << UMM_PAGE_SHIFT);
}

/* The end of what may be stored to in the area of @addr, beyond @addr; else 0. */
static uint64_t writable_until(struct mm *mm, gva_t addr)
{
	const struct vma *vma;
	uint64_t end = 0;

	umm_read_lock(&mm->mmap_lock);
	vma = vma_find_exact(mm, addr);
	if (vma && (vma_flags(vma) & VM_WRITE))
		end = backed_until(vma);
	umm_read_unlock(&mm->mmap_lock);
	return end > addr.v ? end : 0;
}

size_t mm_writable_span(struct mm *mm, gva_t addr, size_t len)
{
	uint64_t at = addr.v, end = addr.v + len, next;

	while (at < end && at < UMM_TASK_SIZE) {
		next = writable_until(mm, gva_make(at));
		/* A stack, maybe. */
		if (!next && mm_fault(mm, gva_make(at), FAULT_FLAG_WRITE) != FAULT_DONE)
			break;
		at = next ? next : (at | ~UMM_PAGE_MASK) + 1;
	}
	return (at < end ? at : end) - addr.v;
}

/* May a forced store go to this frame? Only if it is this process's own copy. */
static bool poke_allowed(struct mm *mm, uint64_t e)
{
	struct folio *frame;

	if (!pte_present(e))
		return false;
	frame = sys_frame(mm->sys, pte_pfn(e));
	return (e & PTE_WRITE) ||
	       (folio_test_anon(folio_head(frame)) && folio_test(frame, PG_anon_exclusive));
}

/*
 * The entry for @addr, with its lock held, through which a debugger may load, or store
 * with @write. NULL: a bad address.
 */
static uint64_t *lock_forced(struct mm *mm, gva_t addr, bool write, uint64_t *page,
			     struct umm_mutex **ptl)
{
	unsigned int flags = FAULT_FLAG_FORCE | (write ? FAULT_FLAG_WRITE : 0);
	uint64_t *entry;

	while (addr.v < UMM_TASK_SIZE) {
		entry = entry_lock(mm, addr, ptl, page);
		if (entry && (write ? poke_allowed(mm, *page) : pte_present(*page)))
			return entry;
		if (entry)
			umm_mutex_unlock(*ptl);
		if (mm_fault(mm, addr, flags) != FAULT_DONE)
			break;
	}
	return NULL;
}

int mm_peek_guest(struct mm *mm, void *dst, gva_t src, size_t len, size_t *done)
{
	size_t pos = 0, n;
	struct umm_mutex *ptl;
	uint64_t page;

	for (; pos < len; pos += n) {
		gva_t addr = gva_add(src, pos);

		n = in_page(addr, len - pos);
		if (!lock_forced(mm, addr, false, &page, &ptl))
			break;
		memcpy((char *)dst + pos, entry_hva(mm, page, addr), n);
		umm_mutex_unlock(ptl);
	}
	if (done)
		*done = pos;
	return pos < len ? -EFAULT : 0;
}

int mm_poke_guest(struct mm *mm, gva_t dst, const void *src, size_t len, size_t *done)
{
	size_t pos = 0, n;
	struct umm_mutex *ptl;
	uint64_t *entry, page;

	for (; pos < len; pos += n) {
		gva_t addr = gva_add(dst, pos);

		n = in_page(addr, len - pos);
		entry = lock_forced(mm, addr, true, &page, &ptl);
		if (!entry)
			break;
		__atomic_fetch_or(entry, PTE_DIRTY | PTE_SOFT_DIRTY, __ATOMIC_ACQ_REL);
		memcpy(entry_hva(mm, page, addr), (const char *)src + pos, n);
		umm_mutex_unlock(ptl);
	}
	if (done)
		*done = pos;
	return pos < len ? -EFAULT : 0;
}

ssize_t mm_strncpy_from_guest(struct mm *mm, char *dst, gva_t src, size_t size)
{
	size_t pos = 0;

	while (pos < size) {
		gva_t addr = gva_add(src, pos);
		size_t n = in_page(addr, size - pos), len;
		struct umm_mutex *ptl;
		uint64_t page;
		int ret = lock_for_access(mm, addr, 0, &page, &ptl);

		if (ret)
			return ret;
		len = strnlen(entry_hva(mm, page, addr), n);
		memcpy(dst + pos, entry_hva(mm, page, addr), len);
		umm_mutex_unlock(ptl);
		pos += len;
		if (len < n) {
			dst[pos] = '\0';
			return (ssize_t)pos;
		}
	}
	return -ENAMETOOLONG;
}

int mm_read_u32(struct mm *mm, gva_t addr, uint32_t *out)
{
	struct umm_mutex *ptl;
	uint64_t page;
	int ret;

	if (addr.v & 3)
		return -EINVAL;
	ret = lock_for_access(mm, addr, 0, &page, &ptl);
	if (ret)
		return ret;
	*out = __atomic_load_n((uint32_t *)entry_hva(mm, page, addr), __ATOMIC_SEQ_CST);
	umm_mutex_unlock(ptl);
	return 0;
}

int mm_cmpxchg_u32(struct mm *mm, gva_t addr, uint32_t expect, uint32_t desired, uint32_t *old)
{
	struct umm_mutex *ptl;
	uint64_t page;
	int ret;

	if (addr.v & 3)
		return -EINVAL;
	ret = lock_for_access(mm, addr, FAULT_FLAG_WRITE, &page, &ptl);
	if (ret)
		return ret;
	*old = expect;
	__atomic_compare_exchange_n((uint32_t *)entry_hva(mm, page, addr), old, desired, false,
				    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	umm_mutex_unlock(ptl);
	return 0;
}

/* ---- pins -------------------------------------------------------------------------- */

static bool pin_folio(struct folio *f)
{
	if (folio_crowded(f))
		return false;
	folio_get(f);
	__atomic_fetch_add(&f->pincount, 1, __ATOMIC_ACQ_REL);
	return true;
}

/* True if the piece continues the one before, in host memory and folio. */
static bool extends(const struct mm_pin_vec *last, const struct folio *f, const char *hva)
{
	return last->folio == f && (char *)last->hva + last->len == hva;
}

int mm_pin(struct mm *mm, gva_t addr, size_t len, bool write, struct mm_pin_vec *vec,
	   unsigned int max, unsigned int *nr, size_t *bytes)
{
	unsigned int flags = write ? FAULT_FLAG_WRITE : 0;
	int ret = 0;

	*nr = 0;
	*bytes = 0;
	while (*bytes < len) {
		gva_t at = gva_add(addr, *bytes);
		size_t n = in_page(at, len - *bytes);
		struct umm_mutex *ptl;
		struct folio *f;
		uint64_t page;
		char *hva;

		ret = lock_for_access(mm, at, flags, &page, &ptl);
		if (ret)
			break;
		f = folio_head(sys_frame(mm->sys, pte_pfn(page)));
		hva = entry_hva(mm, page, at);
		if (*nr && extends(&vec[*nr - 1], f, hva)) {
			vec[*nr - 1].len += n;
		} else if (*nr == max) {
			umm_mutex_unlock(ptl);
			break;
		} else if (!pin_folio(f)) {
			umm_mutex_unlock(ptl);
			ret = -ENOMEM;
			break;
		} else {
			vec[(*nr)++] = (struct mm_pin_vec){ .hva = hva, .len = n, .folio = f };
		}
		umm_mutex_unlock(ptl);
		*bytes += n;
	}
	return *bytes ? 0 : ret;
}

void mm_unpin(struct mm *mm, struct mm_pin_vec *vec, unsigned int nr, bool wrote)
{
	for (unsigned int i = 0; i < nr; i++) {
		struct folio *f = vec[i].folio;

		/* The entry may have been cleaned since the pin was taken. */
		if (wrote)
			folio_mark_dirty(f);
		__atomic_fetch_sub(&f->pincount, 1, __ATOMIC_ACQ_REL);
		folio_put(mm->sys, f);
	}
}

/* ---- futex keys ------------------------------------------------------------------------ */

int mm_futex_key_get(struct mm *mm, gva_t addr, bool process_shared, struct mm_futex_key *key)
{
	struct vma *vma;
	int ret = 0;

	if (addr.v & 3)
		return -EINVAL;
	if (addr.v >= UMM_TASK_SIZE)
		return -EFAULT;
	*key = (struct mm_futex_key){ .object = (uintptr_t)mm, .offset = addr.v };
	if (!process_shared)
		return 0;
	umm_read_lock(&mm->mmap_lock);
	vma = vma_find(mm, addr);
	if (!vma || vma->start.v > addr.v) {
		ret = -EFAULT;
	} else if (vma->mapping && (vma_flags(vma) & VM_SHARED)) {
		key->object = (uintptr_t)mapping_get(vma->mapping);
		key->offset = (vma->pgoff.v << UMM_PAGE_SHIFT) + (addr.v - vma->start.v);
		key->shared = true;
	}
	umm_read_unlock(&mm->mmap_lock);
	return ret;
}

void mm_futex_key_put(struct mm_futex_key *key)
{
	if (key->shared)
		mapping_put((struct address_space *)key->object);
	key->shared = false;
}
