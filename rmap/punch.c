/* SPDX-License-Identifier: MIT */
/*
 * MADV_REMOVE: holes in shared memory and in files, for every process that maps them. One
 * area at a time: found under mmap_lock, then punched without it, as the file's device may
 * be slow. A hole in the range is passed over and told of as ENOMEM after the rest was
 * done; an area that cannot be punched ends the call at once.
 */
#include <sys/mman.h>
#include "rmap/vma.h"

/* The object behind a part of one area. */
struct part {
	struct address_space *mapping; /* one reference, or NULL */
	pgoff_t first;
	uint64_t pages;
	gva_t end;
	bool after_hole;
};

/* mmap_lock held. */
static int part_of(const struct vma *vma, gva_t start, gva_t end, struct part *p)
{
	const uint64_t shared_writable = VM_SHARED | VM_MAYWRITE;

	if (advice_sealed(vma, MADV_REMOVE))
		return -EPERM;
	if ((vma->flags & VM_LOCKED) || !vma->mapping)
		return -EINVAL;
	if ((vma->flags & shared_writable) != shared_writable)
		return -EACCES;
	p->after_hole = vma->start.v > start.v;
	start = p->after_hole ? vma->start : start;
	p->end = gva_min(vma->end, end);
	p->first.v = vma->pgoff.v + ((start.v - vma->start.v) >> UMM_PAGE_SHIFT);
	p->pages = (p->end.v - start.v) >> UMM_PAGE_SHIFT;
	p->mapping = mapping_get(vma->mapping);
	return 0;
}

/* The first part of [start, end) with an area: 0, -ENOMEM where there is none, or its error. */
static int next_part(struct mm *mm, gva_t start, gva_t end, struct part *p)
{
	struct vma *vma;
	int ret = -ENOMEM;

	umm_read_lock(&mm->mmap_lock);
	vma = vma_find(mm, start);
	if (vma && vma->start.v < end.v)
		ret = part_of(vma, start, end, p);
	umm_read_unlock(&mm->mmap_lock);
	return ret;
}

/*
 * Pages are dropped only when the hole is there: not every file system makes holes, and then
 * nothing may be lost. They are written before, and none after, over the hole: it is held.
 * What a thread stores meanwhile is lost with its page, as it may be on Linux.
 */
static int punch_file(struct address_space *m, pgoff_t first, uint64_t pages)
{
	uint64_t off = first.v << UMM_PAGE_SHIFT, len = pages << UMM_PAGE_SHIFT;
	struct mapping_hold hold;
	int ret;

	if (!m->ops->punch)
		return -EOPNOTSUPP;
	ret = mapping_flush(m, off, len);
	if (ret)
		return ret;
	mapping_hold(m, &hold, off, len);
	ret = m->ops->punch(m->file, off, len);
	if (!ret)
		mapping_punch(m, first, pgoff_make(first.v + pages - 1));
	mapping_unhold(m, &hold);
	return ret;
}

int punch_range(struct mm *mm, gva_t start, gva_t end, bool write)
{
	int hole = 0, ret;
	struct part p;

	(void)write;
	for (; start.v < end.v; start = p.end) {
		ret = next_part(mm, start, end, &p);
		if (ret)
			return ret;
		hole = p.after_hole ? -ENOMEM : hole;
		if (p.mapping->ops)
			ret = punch_file(p.mapping, p.first, p.pages);
		else
			mapping_punch(p.mapping, p.first, pgoff_make(p.first.v + p.pages - 1));
		mapping_put(p.mapping);
		if (ret)
			return ret;
	}
	return hole;
}
