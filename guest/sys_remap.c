/* SPDX-License-Identifier: MIT */
/*
 * remap_file_pages(): as Linux has it since 4.0, by mapping the object anew over a
 * part of the area, so that the area is split.
 */
#include <sys/mman.h>

#include "guest/syscalls.h"
#include "guest/task.h"

/* What the area at @start allows and maps; the object comes with a reference. */
static int area_request(struct mm *mm, gva_t start, uint64_t len, struct mm_map_request *req)
{
	struct vma *v;
	uint64_t end = start.v + len;
	int err = -EINVAL;

	umm_read_lock(&mm->mmap_lock);
	v = vma_find(mm, start);
	if (!v || v->start.v > start.v || !(v->flags & VM_SHARED) || !v->mapping)
		goto out;
	req->prot = (v->flags & VM_READ ? PROT_READ : 0) | (v->flags & VM_WRITE ? PROT_WRITE : 0) |
		    (v->flags & VM_EXEC ? PROT_EXEC : 0);
	req->may = v->flags & (VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC);
	req->flags |= v->flags & VM_LOCKED ? MAP_LOCKED : 0;
	req->mapping = v->mapping;
	/* It may span several areas, if nothing is between them and they map the same. */
	while (v->end.v < end) {
		struct vma *next = vma_next(v);

		if (!next || next->start.v != v->end.v || next->mapping != v->mapping ||
		    next->flags != v->flags)
			goto out;
		v = next;
	}
	mapping_get(req->mapping);
	err = 0;
out:
	umm_read_unlock(&mm->mmap_lock);
	return err;
}

int64_t sys_remap_file_pages(struct task *t, const uint64_t a[6])
{
	struct mm_map_request req = { .flags = MAP_SHARED | MAP_FIXED | MAP_POPULATE };
	uint64_t start = a[0] & UMM_PAGE_MASK, len = a[1] & UMM_PAGE_MASK;
	gva_t at;
	int err;

	if (a[2] || start + len <= start || a[3] + (len >> UMM_PAGE_SHIFT) < a[3])
		return -EINVAL;
	err = area_request(t->mm, gva_make(start), len, &req);
	if (err)
		return err;
	req.addr = gva_make(start);
	req.len = len;
	req.offset = a[3] << UMM_PAGE_SHIFT;
	req.flags |= (int)a[4] & MAP_NONBLOCK;
	err = mm_mmap(t->mm, &req, &at);
	mapping_put(req.mapping);
	return err;
}
