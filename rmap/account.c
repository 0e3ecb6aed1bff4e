/* SPDX-License-Identifier: MIT */
/* How much an address space holds by kind, and the limits on it. */
#include "rmap/vma.h"

static bool is_exec(uint64_t f)
{
	return (f & (VM_EXEC | VM_WRITE | VM_GROWSDOWN)) == VM_EXEC;
}

static bool is_stack(uint64_t f)
{
	return f & VM_GROWSDOWN;
}

static bool is_data(uint64_t f)
{
	return (f & (VM_WRITE | VM_SHARED | VM_GROWSDOWN)) == VM_WRITE;
}

void mm_account(struct mm *mm, uint64_t vm_flags, int64_t pages)
{
	uint64_t nr = (uint64_t)pages; /* modulo 2^64, so that negative ones subtract */

	mm->total_vm += nr;
	if (mm->total_vm > mm->peak_vm)
		mm->peak_vm = mm->total_vm;
	if (vm_flags & VM_ACCOUNT)
		sys_commit(mm->sys, pages);
	if (vm_flags & VM_LOCKED)
		mm->locked_vm += nr;
	if (is_exec(vm_flags))
		mm->exec_vm += nr;
	else if (is_stack(vm_flags))
		mm->stack_vm += nr;
	else if (is_data(vm_flags))
		mm->data_vm += nr;
}

static uint64_t limit_pages(const uint64_t *rlim)
{
	return __atomic_load_n(rlim, __ATOMIC_RELAXED) >> UMM_PAGE_SHIFT;
}

bool mm_may_expand(const struct mm *mm, uint64_t vm_flags, uint64_t pages)
{
	if (mm->total_vm + pages > limit_pages(&mm->rlim_as))
		return false;
	return !is_data(vm_flags) || mm->data_vm + pages <= limit_pages(&mm->rlim_data);
}

static bool caller_may_lock_all(const struct mm *mm)
{
	const struct mm_thread *t = sys_current_thread(mm->sys);

	return t && t->may_lock_all;
}

bool mm_may_lock(const struct mm *mm)
{
	return __atomic_load_n(&mm->rlim_memlock, __ATOMIC_RELAXED) != 0 || caller_may_lock_all(mm);
}

bool mm_lock_limit_ok(const struct mm *mm, uint64_t vm_flags, uint64_t pages)
{
	return !(vm_flags & VM_LOCKED) || mm->locked_vm + pages <= limit_pages(&mm->rlim_memlock) ||
	       caller_may_lock_all(mm);
}

bool vm_accountable(uint64_t vm_flags)
{
	return (vm_flags & (VM_NORESERVE | VM_SHARED | VM_WRITE)) == VM_WRITE;
}
