/* SPDX-License-Identifier: MIT */
/* Faulting a range in ahead of use: MAP_POPULATE, mlock, MADV_POPULATE_*. */
#include "rmap/internal.h"

/* What the next page needs, found under mmap_lock. */
struct step {
	gva_t addr;
	unsigned int flags;
	bool fault;
};

static bool entry_serves(struct mm *mm, gva_t addr, bool write)
{
	struct umm_mutex *lock;
	uint64_t e;

	if (!entry_lock(mm, addr, &lock, &e))
		return false;
	umm_mutex_unlock(lock);
	return pte_present(e) && (!write || (e & PTE_WRITE));
}

/* -ENOMEM: a hole; -EFAULT: the area does not allow the access. */
static int next_step(struct mm *mm, struct step *s, bool write, bool mlock)
{
	struct vma *vma;
	uint64_t vf;
	int ret = 0;

	umm_read_lock(&mm->mmap_lock);
	vma = vma_find(mm, s->addr);
	if (!vma || vma->start.v > s->addr.v) {
		ret = -ENOMEM;
		goto out;
	}
	vf = vma_flags(vma);
	/* mlock breaks COW ahead of time in private writable areas, as Linux does. */
	if (mlock)
		write = (vf & (VM_WRITE | VM_SHARED)) == VM_WRITE;
	s->flags = write ? FAULT_FLAG_WRITE : 0;
	s->fault = false;
	if (mlock && !(vf & VM_ACCESS_FLAGS))
		goto out;
	if (write ? !(vf & VM_WRITE) : !(vf & VM_ACCESS_FLAGS))
		ret = -EFAULT;
	else
		s->fault = !entry_serves(mm, s->addr, write);
out:
	umm_read_unlock(&mm->mmap_lock);
	return ret;
}

static int fault_error(enum fault_result r)
{
	switch (r) {
	case FAULT_DONE:
		return 0;
	case FAULT_OOM:
		return -ENOMEM;
	case FAULT_HWPOISON:
		return -EHWPOISON;
	default:
		return -EFAULT;
	}
}

int populate_range(struct mm *mm, gva_t start, gva_t end, bool write, bool mlock)
{
	struct step s = { .addr = start };
	int ret = 0;

	while (!ret && s.addr.v < end.v) {
		ret = sys_caller_ends(mm->sys) ? -EINTR : next_step(mm, &s, write, mlock);
		if (ret)
			break;
		if (s.fault)
			ret = fault_error(mm_fault(mm, s.addr, s.flags));
		else
			s.addr.v += UMM_PAGE_SIZE;
	}
	return ret;
}
