/* SPDX-License-Identifier: MIT */
/*
 * mmap: check the request as Linux does, find the place, clear it, link a new
 * area, join it with its neighbours, and fault it in where that was asked for.
 *
 * Locks: mmap_lock for writing; populating is done without it.
 */
#include <sys/mman.h>
#include "rmap/vma.h"

#ifndef MAP_UNINITIALIZED
#define MAP_UNINITIALIZED 0x4000000
#endif
#ifndef MAP_HUGE_SHIFT
#define MAP_HUGE_SHIFT 26
#define MAP_HUGE_MASK  0x3f
#endif
#ifndef MAP_HUGE_2MB
#define MAP_HUGE_2MB (21 << MAP_HUGE_SHIFT)
#define MAP_HUGE_1GB (30 << MAP_HUGE_SHIFT)
#endif
#ifndef MAP_ABOVE4G
#define MAP_ABOVE4G 0x80 /* where areas are put without a hint anyway */
#endif

/* What MAP_SHARED_VALIDATE accepts; other flags are EOPNOTSUPP. */
#define VALIDATED_FLAGS                                                                     \
	(MAP_SHARED_VALIDATE | MAP_FIXED | MAP_ANONYMOUS | MAP_DENYWRITE | MAP_EXECUTABLE | \
	 MAP_UNINITIALIZED | MAP_GROWSDOWN | MAP_LOCKED | MAP_NORESERVE | MAP_POPULATE |    \
	 MAP_NONBLOCK | MAP_STACK | MAP_HUGETLB | MAP_32BIT | MAP_ABOVE4G | MAP_HUGE_2MB |  \
	 MAP_HUGE_1GB)

/* The request while it is worked on. */
struct map_work {
	const struct mm_map_request *req;
	struct address_space *mapping; /* one reference, or NULL */
	gva_t addr;
	uint64_t len, flags; /* page-aligned; VM_* */
	pgoff_t pgoff;
};

static uint64_t vm_flags_of(const struct mm_map_request *req)
{
	uint64_t f = VM_MAY_FLAGS | VM_SOFTDIRTY | req->extra_flags;

	f |= (uint64_t)req->prot & VM_ACCESS_FLAGS;
	if (req->flags & MAP_GROWSDOWN)
		f |= VM_GROWSDOWN;
	if (req->flags & MAP_LOCKED)
		f |= VM_LOCKED;
	if (req->flags & MAP_NORESERVE)
		f |= VM_NORESERVE;
	if (req->flags & MAP_SYNC)
		f |= VM_SYNC;
	if (req->flags & MAP_STACK)
		f |= VM_NOHUGEPAGE;
	return f;
}

/*
 * A file or a named piece of shared memory: what the descriptor allows decides.
 * On success w->mapping holds a reference.
 */
static int check_object(struct map_work *w)
{
	const struct mm_map_request *req = w->req;
	uint64_t may = req->may ? req->may : VM_MAY_FLAGS;

	if (req->offset > INT64_MAX - w->len)
		return -EOVERFLOW;
	if (req->flags & MAP_HUGETLB)
		return -EINVAL;
	switch (req->flags & MAP_TYPE) {
	case MAP_SHARED_VALIDATE:
		if (req->flags & ~VALIDATED_FLAGS)
			return -EOPNOTSUPP;
		/* fallthrough */
	case MAP_SHARED:
		if ((req->prot & PROT_WRITE) && !(may & VM_MAYWRITE))
			return -EACCES;
		w->flags |= VM_SHARED | VM_MAYSHARE;
		if (!(may & VM_MAYWRITE))
			w->flags &= ~(VM_MAYWRITE | VM_SHARED);
		break;
	case MAP_PRIVATE:
		break;
	default:
		return -EINVAL;
	}
	if (!(may & VM_MAYREAD))
		return -EACCES;
	if (!(may & VM_MAYEXEC)) {
		if (w->flags & VM_EXEC)
			return -EPERM;
		w->flags &= ~VM_MAYEXEC;
	}
	if (w->flags & VM_GROWSDOWN)
		return -EINVAL;
	w->mapping = mapping_get(req->mapping);
	w->pgoff = pgoff_make(req->offset >> UMM_PAGE_SHIFT);
	return 0;
}

/* There are no hugetlb pages: as on a Linux where none are reserved. */
static int check_hugetlb(int flags)
{
	unsigned int shift = ((unsigned int)flags >> MAP_HUGE_SHIFT) & MAP_HUGE_MASK;

	return !shift || shift == 21 || shift == 30 ? -ENOMEM : -EINVAL;
}

static int check_anonymous(struct mm *mm, struct map_work *w)
{
	const struct mm_map_request *req = w->req;

	switch (req->flags & MAP_TYPE) {
	case MAP_SHARED:
		if (w->flags & VM_GROWSDOWN)
			return -EINVAL;
		w->flags |= VM_SHARED | VM_MAYSHARE;
		w->pgoff = pgoff_make(0);
		return mapping_create_shmem(mm, w->len, !(w->flags & VM_NORESERVE), &w->mapping);
	case MAP_PRIVATE:
		return 0; /* pgoff once the place is known */
	default:
		return -EINVAL;
	}
}

/* What can be said of the request alone. */
static int request_check(struct map_work *w)
{
	const struct mm_map_request *req = w->req;

	if (!req->len || (req->offset & ~UMM_PAGE_MASK))
		return -EINVAL;
	if (!req->mapping && (req->flags & MAP_HUGETLB))
		return check_hugetlb(req->flags);
	w->len = page_align_up(req->len);
	if (!w->len || w->len > UMM_TASK_SIZE)
		return -ENOMEM;
	w->flags = vm_flags_of(req);
	return 0;
}

/* Pages of [start, start + len) that areas cover: MAP_FIXED gives them back. */
static uint64_t covered_pages(struct mm *mm, gva_t start, uint64_t len)
{
	uint64_t end = start.v + len, nr = 0;

	for (struct vma *v = vma_find(mm, start); v && v->start.v < end; v = vma_next(v)) {
		uint64_t from = v->start.v > start.v ? v->start.v : start.v;
		uint64_t to = v->end.v < end ? v->end.v : end;

		nr += (to - from) >> UMM_PAGE_SHIFT;
	}
	return nr;
}

static int limits_check(struct mm *mm, struct map_work *w)
{
	uint64_t pages = w->len >> UMM_PAGE_SHIFT;

	if (!mm_may_expand(mm, w->flags, pages) &&
	    !mm_may_expand(mm, w->flags, pages - covered_pages(mm, w->addr, w->len)))
		return -ENOMEM;
	if (vm_accountable(w->flags)) {
		if (!mm_overcommit_ok(mm, pages))
			return -ENOMEM;
		w->flags |= VM_ACCOUNT;
	}
	return 0;
}

/* Takes over w->mapping. */
static int area_link(struct mm *mm, struct map_work *w)
{
	struct vma *vma = vma_alloc(mm);

	if (!vma)
		return -ENOMEM;
	vma->start = w->addr;
	vma->end = gva_add(w->addr, w->len);
	vma->flags = w->flags;
	vma->pgoff = w->mapping ? w->pgoff : pgoff_make(w->addr.v >> UMM_PAGE_SHIFT);
	vma->mapping = w->mapping;
	w->mapping = NULL;
	vma_link(mm, vma);
	mm_account(mm, vma->flags, (int64_t)vma_pages(vma));
	vma_merge_around(vma);
	return 0;
}

/* Place first, then rights, then the object, then limits: the order of Linux's errors. */
static int map_prepare(struct mm *mm, struct map_work *w)
{
	const struct mm_map_request *req = w->req;
	int ret;

	if (mm->nr_vmas > max_map_count(mm))
		return -ENOMEM;
	ret = req->mapping ? vma_find_place(mm, req->addr, w->len, req->flags, &w->addr)
			   : vma_find_huge_place(mm, req->addr, w->len, req->flags, &w->addr);
	if (ret)
		return ret;
	if ((req->flags & MAP_FIXED_NOREPLACE) && covered_pages(mm, w->addr, w->len))
		return -EEXIST;
	w->flags |= mm->def_flags;
	if (overcommit_never(mm->sys))
		w->flags &= ~VM_NORESERVE;
	if ((req->flags & MAP_LOCKED) && !mm_may_lock(mm))
		return -EPERM;
	if (!mm_lock_limit_ok(mm, w->flags, w->len >> UMM_PAGE_SHIFT))
		return -EAGAIN;
	ret = req->mapping ? check_object(w) : check_anonymous(mm, w);
	w->flags |= ksm_new_flags(mm, w->flags);
	return ret ? ret : limits_check(mm, w);
}

/* mmap_lock held for writing. */
static int map_locked(struct mm *mm, struct map_work *w)
{
	int ret;

	ret = map_prepare(mm, w);
	if (ret)
		return ret;
	ret = munmap_locked(mm, w->addr, w->len);
	if (ret)
		return ret;
	return area_link(mm, w);
}

int mm_mmap(struct mm *mm, const struct mm_map_request *req, gva_t *out)
{
	struct map_work w = { .req = req };
	bool populate;
	int ret;

	ret = request_check(&w);
	if (ret)
		return ret;
	umm_write_lock(&mm->mmap_lock);
	ret = map_locked(mm, &w);
	umm_write_unlock(&mm->mmap_lock);
	if (w.mapping)
		mapping_put(w.mapping);
	if (ret)
		return ret;
	*out = w.addr;
	populate = (req->flags & (MAP_POPULATE | MAP_NONBLOCK)) == MAP_POPULATE;
	if (w.flags & VM_LOCKED)
		populate = !(w.flags & VM_LOCKONFAULT);
	/* As on Linux the mapping stands even if not all of it could be filled. */
	if (populate)
		(void)!populate_range(mm, w.addr, gva_add(w.addr, w.len), false, true);
	return 0;
}
