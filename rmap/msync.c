/* SPDX-License-Identifier: MIT */
/*
 * msync, and writing back all that a process has mapped. The object is held by
 * a reference while it is written, without mmap_lock: the guest goes on, and
 * may even unmap it.
 */
#include <sys/mman.h>
#include "rmap/vma.h"

/* A piece of a file that is to be written. */
struct file_piece {
	struct address_space *mapping; /* one reference */
	pgoff_t first, last;
};

static bool writes_to_file(const struct vma *vma)
{
	return (vma->flags & VM_SHARED) && vma->mapping && vma->mapping->ops;
}

static void piece_take(struct file_piece *p, const struct vma *vma, gva_t start, gva_t end)
{
	p->mapping = mapping_get(vma->mapping);
	p->first.v = vma->pgoff.v + ((start.v - vma->start.v) >> UMM_PAGE_SHIFT);
	p->last.v = p->first.v + ((end.v - start.v) >> UMM_PAGE_SHIFT) - 1;
}

/* Drops the piece's reference. @durable: fsync too. */
static int piece_write(struct file_piece *p, bool durable)
{
	struct address_space *m = p->mapping;
	int ret = mapping_write_range(m, p->first, p->last);

	if (!ret && durable && m->ops->sync)
		ret = m->ops->sync(m->file);
	mapping_put(m);
	return ret;
}

/*
 * Work through [*start, end) until a piece must be written: 1 with *piece, 0 at
 * the end, or an error that ends the call. *hole is set when one was passed.
 */
static int msync_next(struct mm *mm, gva_t *start, gva_t end, int flags, bool *hole,
		      struct file_piece *piece)
{
	while (start->v < end.v) {
		struct vma *vma = vma_find(mm, *start);
		gva_t from, stop;

		if (!vma)
			return -ENOMEM;
		if (start->v < vma->start.v) {
			if (flags == MS_ASYNC)
				return -ENOMEM;
			*hole = true;
			*start = vma->start;
			if (start->v >= end.v)
				return 0;
		}
		if ((flags & MS_INVALIDATE) && (vma->flags & VM_LOCKED))
			return -EBUSY;
		from = *start;
		stop = gva_min(vma->end, end);
		*start = stop;
		if ((flags & MS_SYNC) && writes_to_file(vma)) {
			piece_take(piece, vma, from, stop);
			return 1;
		}
	}
	return 0;
}

int mm_msync(struct mm *mm, gva_t addr, uint64_t len, int flags)
{
	struct file_piece piece;
	bool hole = false;
	gva_t end;
	int ret;

	if ((flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC)) || (addr.v & ~UMM_PAGE_MASK) ||
	    (flags & (MS_ASYNC | MS_SYNC)) == (MS_ASYNC | MS_SYNC))
		return -EINVAL;
	end = gva_add(addr, page_align_up(len));
	if (end.v < addr.v)
		return -ENOMEM;
	for (;;) {
		umm_read_lock(&mm->mmap_lock);
		ret = msync_next(mm, &addr, end, flags, &hole, &piece);
		umm_read_unlock(&mm->mmap_lock);
		if (ret <= 0)
			break;
		ret = piece_write(&piece, true);
		if (ret)
			break;
	}
	return ret ? ret : hole ? -ENOMEM : 0;
}

int mm_sync(struct mm *mm)
{
	gva_t at = gva_make(0);
	int ret = 0;

	for (;;) {
		struct file_piece piece;
		struct vma *vma;
		int err;

		umm_read_lock(&mm->mmap_lock);
		vma = vma_find(mm, at);
		while (vma && !writes_to_file(vma))
			vma = vma_next(vma);
		if (vma) {
			at = vma->end;
			piece_take(&piece, vma, vma->start, vma->end);
		}
		umm_read_unlock(&mm->mmap_lock);
		if (!vma)
			return ret;
		err = piece_write(&piece, false);
		if (!ret)
			ret = err;
	}
}
