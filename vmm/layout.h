/* SPDX-License-Identifier: MIT */
/*
 * Where things are: guest physical memory, and the kernel half of every guest
 * address space.
 *
 *  guest physical
 *    0xf000_0000  doorbell: never backed, a store to it exits
 *    0xf100_0000  the dummy slot, which moves (zap.c)
 *    0xfffb_d000  KVM's own three pages, on processors that need them
 *  0x1_0000_0000  system region: descriptor tables, stubs, one page a vCPU,
 *                 then the pool of page-table frames
 *    then (2 MiB) RAM: node 0, node 1, ... without holes
 *
 *  guest virtual, entry 511 of every root, level 0 only unless noted
 *    0xffff_ffff_c000_0000 + n * 4 KiB
 *      n = 0  GDT
 *      n = 1  IDT
 *      n = 2  exception stubs
 *      n = 3  system-call stub for hosts where SYSCALL enters level 0
 *      n = 4  system-call stub for hosts where it stays at 3: user, read-only
 *      n = 5  doorbell: user, writable; mapped on the latter hosts only
 *      n = 6  what the vDSO reads (guest/vdso/vvar.h): user, read-only
 *      n = 512 + i  vCPU i: TSS and exception stacks
 */
#ifndef VMM_LAYOUT_H
#define VMM_LAYOUT_H

#include <umm/types.h>

#include "guest/stubs/entry_stubs.h"
#include "guest/vdso/vvar.h"

#define LAYOUT_DOORBELL_GPA  0xf0000000ul
#define LAYOUT_DUMMY_GPA     0xf1000000ul
#define LAYOUT_DUMMY_GPA_ALT 0xf1001000ul
#define LAYOUT_KVM_TSS_GPA   0xfffbd000ul
#define LAYOUT_SYSTEM_GPA    0x100000000ul

#define KERNEL_HALF_ROOT_INDEX 511
#define KERNEL_GVA             0xffffffffc0000000ul
#define KERNEL_PAGE_GVA(n)     (KERNEL_GVA + (uint64_t)(n)*UMM_PAGE_SIZE)

enum kernel_page {
	KERNEL_PAGE_GDT,
	KERNEL_PAGE_IDT,
	KERNEL_PAGE_EXCEPTIONS,
	KERNEL_PAGE_SYSCALL_CPL0,
	KERNEL_PAGE_SYSCALL_CPL3,
	KERNEL_PAGE_DOORBELL,
	KERNEL_PAGE_VVAR,
	KERNEL_PAGE_VCPU0 = UMM_PTRS_PER_TABLE,
};

/* More vCPUs than this are never made, whatever KVM allows. */
#define LAYOUT_MAX_VCPUS 4096u

/*
 * The system region begins with these frames: the fixed pages above (without
 * doorbell and vvar), the kernel half's tables, one frame a vCPU, then vvar.
 */
#define SYSTEM_FRAME_PDPT  5u
#define SYSTEM_FRAME_PD    6u
#define SYSTEM_FRAME_PT    7u
#define SYSTEM_NR_PT       (1u + LAYOUT_MAX_VCPUS / UMM_PTRS_PER_TABLE)
#define SYSTEM_FRAME_VCPU0 (SYSTEM_FRAME_PT + SYSTEM_NR_PT)
#define SYSTEM_FRAME_VVAR  (SYSTEM_FRAME_VCPU0 + LAYOUT_MAX_VCPUS)
#define SYSTEM_FRAME_POOL  (SYSTEM_FRAME_VVAR + 1u)

_Static_assert(ENTRY_DOORBELL_GVA == KERNEL_PAGE_GVA(KERNEL_PAGE_DOORBELL),
	       "the stubs know the doorbell's address");
_Static_assert(VVAR_GVA == KERNEL_PAGE_GVA(KERNEL_PAGE_VVAR), "the vDSO knows its page's address");

/*
 * A vCPU's page: the TSS, and two stacks that grow down, one for exceptions
 * and one for the double fault.
 */
#define VCPU_PAGE_TSS       0u
#define VCPU_PAGE_FAULT_TOP 2048u
#define VCPU_PAGE_STACK_TOP 4096u

#define SEL_KERNEL_CS 0x10
#define SEL_KERNEL_SS 0x18
#define SEL_USER_SS   0x2b
#define SEL_USER_CS   0x33
/* No descriptor is behind it: TR is loaded by the host. */
#define SEL_TSS 0x40

#endif
