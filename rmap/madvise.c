/* SPDX-License-Identifier: MIT */
/*
 * madvise. One table says for each advice which lock it needs and what to do
 * with each area in the range; the walk over areas is the same for all. A hole
 * in the range is passed over and reported as ENOMEM after the rest was done; an
 * area for which the advice is wrong ends the call at once.
 *
 * Locks: mmap_lock for writing where flags of areas change, else for reading;
 * populating and reading ahead are done without it.
 */
#include <sys/mman.h>
#include "rmap/vma.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE 101
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif

struct advise_work {
	struct mm *mm;
	struct mmu_gather gather;
	int advice;
};

/* Does @advice to the part [start, end) of *vma; *vma follows splits and joins. */
typedef int (*advise_fn)(struct advise_work *w, struct vma **vma, gva_t start, gva_t end);

/* ---- flags ------------------------------------------------------------- */

static int advised_flags(const struct vma *vma, int advice, uint64_t *flags)
{
	switch (advice) {
	case MADV_NORMAL:
		*flags &= ~(VM_RAND_READ | VM_SEQ_READ);
		break;
	case MADV_SEQUENTIAL:
		*flags = (*flags & ~VM_RAND_READ) | VM_SEQ_READ;
		break;
	case MADV_RANDOM:
		*flags = (*flags & ~VM_SEQ_READ) | VM_RAND_READ;
		break;
	case MADV_DONTFORK:
		*flags |= VM_DONTCOPY;
		break;
	case MADV_DOFORK:
		*flags &= ~VM_DONTCOPY;
		break;
	case MADV_WIPEONFORK:
		if (!vma_is_anonymous(vma) || (vma->flags & VM_SHARED))
			return -EINVAL;
		*flags |= VM_WIPEONFORK;
		break;
	case MADV_KEEPONFORK:
		*flags &= ~VM_WIPEONFORK;
		break;
	case MADV_DONTDUMP:
		*flags |= VM_DONTDUMP;
		break;
	case MADV_DODUMP:
		if (vma->flags & VM_DONTEXPAND)
			return -EINVAL;
		*flags &= ~VM_DONTDUMP;
		break;
	case MADV_HUGEPAGE:
		*flags = (*flags & ~VM_NOHUGEPAGE) | VM_HUGEPAGE;
		break;
	case MADV_NOHUGEPAGE:
		*flags = (*flags & ~VM_HUGEPAGE) | VM_NOHUGEPAGE;
		break;
	default:
		return -EINVAL;
	}
	return 0;
}

static int advise_flags(struct advise_work *w, struct vma **vma, gva_t start, gva_t end)
{
	uint64_t flags = (*vma)->flags;
	int ret = advised_flags(*vma, w->advice, &flags);

	if (ret || flags == (*vma)->flags)
		return ret;
	ret = vma_change_flags(vma, start, end, flags);
	/* Linux: no memory for a split is "try again", as the advice is optional. */
	return ret == -ENOMEM ? -EAGAIN : ret;
}

static int advise_merge(struct advise_work *w, struct vma **vma, gva_t start, gva_t end)
{
	uint64_t flags = (*vma)->flags;
	int ret = ksm_advise(*vma, start, end, w->advice == MADV_MERGEABLE, &flags);

	if (!ret && flags != (*vma)->flags)
		ret = vma_change_flags(vma, start, end, flags);
	return ret == -ENOMEM ? -EAGAIN : ret;
}

/* ---- entries ----------------------------------------------------------- */

static int advise_drop(struct advise_work *w, struct vma **vma, gva_t start, gva_t end)
{
	if (((*vma)->flags & VM_LOCKED) && w->advice != MADV_DONTNEED_LOCKED)
		return -EINVAL;
	unmap_range(&w->gather, *vma, start, end);
	return 0;
}

static int advise_free(struct advise_work *w, struct vma **vma, gva_t start, gva_t end)
{
	if (!vma_is_anonymous(*vma) || ((*vma)->flags & VM_LOCKED))
		return -EINVAL;
	madvise_free_range(&w->gather, *vma, start, end);
	return 0;
}

static int advise_cold(struct advise_work *w, struct vma **vma, gva_t start, gva_t end)
{
	if ((*vma)->flags & VM_LOCKED)
		return -EINVAL;
	madvise_cold_range(&w->gather, *vma, start, end);
	return 0;
}

static int advise_pageout(struct advise_work *w, struct vma **vma, gva_t start, gva_t end)
{
	(void)w;
	if ((*vma)->flags & VM_LOCKED)
		return -EINVAL;
	madvise_pageout_range(*vma, start, end);
	return 0;
}

static int advise_nothing(struct advise_work *w, struct vma **vma, gva_t start, gva_t end)
{
	(void)w;
	(void)vma;
	(void)start;
	(void)end;
	return 0;
}

static int collapse_range(struct mm *mm, gva_t start, gva_t end, bool write)
{
	(void)write;
	return mm_collapse_range(mm, start, end);
}

/* ---- the table --------------------------------------------------------- */

static const struct advise_op {
	int advice;
	bool write; /* which way mmap_lock is taken */
	advise_fn fn;
	int (*after)(struct mm *mm, gva_t start, gva_t end, bool write); /* without locks */
	bool after_write;
} advise_ops[] = {
	{ .advice = MADV_NORMAL, .write = true, .fn = advise_flags },
	{ .advice = MADV_SEQUENTIAL, .write = true, .fn = advise_flags },
	{ .advice = MADV_RANDOM, .write = true, .fn = advise_flags },
	{ .advice = MADV_DONTFORK, .write = true, .fn = advise_flags },
	{ .advice = MADV_DOFORK, .write = true, .fn = advise_flags },
	{ .advice = MADV_WIPEONFORK, .write = true, .fn = advise_flags },
	{ .advice = MADV_KEEPONFORK, .write = true, .fn = advise_flags },
	{ .advice = MADV_DONTDUMP, .write = true, .fn = advise_flags },
	{ .advice = MADV_DODUMP, .write = true, .fn = advise_flags },
	{ .advice = MADV_HUGEPAGE, .write = true, .fn = advise_flags },
	{ .advice = MADV_NOHUGEPAGE, .write = true, .fn = advise_flags },
	{ .advice = MADV_MERGEABLE, .write = true, .fn = advise_merge },
	{ .advice = MADV_UNMERGEABLE, .write = true, .fn = advise_merge },
	{ .advice = MADV_DONTNEED, .fn = advise_drop },
	{ .advice = MADV_DONTNEED_LOCKED, .fn = advise_drop },
	{ .advice = MADV_FREE, .fn = advise_free },
	{ .advice = MADV_COLD, .fn = advise_cold },
	{ .advice = MADV_PAGEOUT, .fn = advise_pageout },
	{ .advice = MADV_REMOVE, .after = punch_range },
	{ .advice = MADV_WILLNEED, .fn = advise_nothing, .after = readahead_range },
	{ .advice = MADV_POPULATE_READ, .after = populate_checked },
	{ .advice = MADV_COLLAPSE, .fn = advise_nothing, .after = collapse_range },
	{ .advice = MADV_POPULATE_WRITE, .after = populate_checked, .after_write = true },
};

static const struct advise_op *find_op(int advice)
{
	for (unsigned int i = 0; i < sizeof(advise_ops) / sizeof(advise_ops[0]); i++)
		if (advise_ops[i].advice == advice)
			return &advise_ops[i];
	return NULL;
}

/* mmap_lock held as the advice needs it. */
static int advise_locked(struct advise_work *w, advise_fn fn, gva_t start, gva_t end)
{
	int ret = 0, hole = 0;

	while (!ret && start.v < end.v) {
		struct vma *vma = vma_find(w->mm, start);
		gva_t stop;

		if (!vma || vma->start.v >= end.v)
			return -ENOMEM;
		if (vma->start.v > start.v) {
			hole = -ENOMEM;
			start = vma->start;
		}
		stop = gva_min(vma->end, end);
		ret = advice_sealed(vma, w->advice) ? -EPERM : fn(w, &vma, start, stop);
		start = stop;
	}
	return ret ? ret : hole;
}

static int advise_areas(struct mm *mm, const struct advise_op *op, gva_t start, gva_t end)
{
	struct advise_work w = { .mm = mm, .advice = op->advice };
	int ret;

	mmu_gather_init(&w.gather, mm);
	if (op->write)
		umm_write_lock(&mm->mmap_lock);
	else
		umm_read_lock(&mm->mmap_lock);
	ret = advise_locked(&w, op->fn, start, end);
	mmu_gather_finish(&w.gather);
	if (op->write)
		umm_write_unlock(&mm->mmap_lock);
	else
		umm_read_unlock(&mm->mmap_lock);
	return ret;
}

int mm_madvise(struct mm *mm, gva_t addr, uint64_t len, int advice)
{
	const struct advise_op *op = find_op(advice);
	uint64_t size = page_align_up(len);
	gva_t end = gva_add(addr, size);
	int ret = 0;

	/* Poisoning a page is for those who administer the machine. */
	if (advice == MADV_HWPOISON || advice == MADV_SOFT_OFFLINE)
		return -EPERM;
	if (!op || (addr.v & ~UMM_PAGE_MASK) || (len && !size) || end.v < addr.v)
		return -EINVAL;
	if (!size)
		return 0;
	if (op->fn)
		ret = advise_areas(mm, op, addr, end);
	if (op->after) {
		int err = op->after(mm, addr, end, op->after_write);

		/* That of a hole is the last to be told. */
		ret = err ? err : ret;
	}
	return ret;
}
