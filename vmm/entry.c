/* SPDX-License-Identifier: MIT */
/*
 * Everything here is written once and then only read by the processor, except
 * the exception stacks. Accessed and dirty bits, and the accessed bits of
 * segment descriptors, are set beforehand: no processor has to write them into
 * tables that all processes share.
 */
#include "vmm/entry.h"

#include <string.h>

#include "vmm/layout.h"

#define PTE_P  (1ull << 0)
#define PTE_W  (1ull << 1)
#define PTE_U  (1ull << 2)
#define PTE_A  (1ull << 5)
#define PTE_D  (1ull << 6)
#define PTE_NX (1ull << 63)

#define KERNEL_TEXT   (PTE_P | PTE_A | PTE_D)
#define KERNEL_RODATA (PTE_P | PTE_A | PTE_D | PTE_NX)
#define KERNEL_DATA   (PTE_P | PTE_W | PTE_A | PTE_D | PTE_NX)
#define USER_TEXT     (PTE_P | PTE_U | PTE_A | PTE_D)
#define USER_RODATA   (PTE_P | PTE_U | PTE_A | PTE_D | PTE_NX)
#define USER_DATA     (PTE_P | PTE_W | PTE_U | PTE_A | PTE_D | PTE_NX)
/* Leaves decide; the tables above them allow everything. */
#define TABLE_LINK (PTE_P | PTE_W | PTE_U | PTE_A)

#define DESC_KERNEL_CODE 0x00af9b000000ffffull
#define DESC_DATA(dpl)   (0x00cf93000000ffffull | (uint64_t)(dpl) << 45)
#define DESC_USER_CODE   0x00affb000000ffffull

#define GATE_INTERRUPT 0x8eull
#define GATE_DPL3      0x60ull
#define IST_EXCEPTION  1u
#define IST_DOUBLE     2u
#define VECTOR_BP      3u
#define VECTOR_OF      4u
#define VECTOR_DF      8u

/* Offsets in a 64-bit TSS. */
#define TSS_RSP0   4u
#define TSS_IST(n) (36u + ((n)-1) * 8u)
#define TSS_IOMAP  102u
#define TSS_SIZE   104u

static uint64_t frame_entry(unsigned int frame, uint64_t flags)
{
	return memory_system_gpa(frame).v | flags;
}

uint64_t entry_root_value(void)
{
	return frame_entry(SYSTEM_FRAME_PDPT, TABLE_LINK);
}

static void build_gdt(const struct memory *memory)
{
	uint64_t *gdt = memory_system_frame(memory, KERNEL_PAGE_GDT);

	/*
	 * No 32-bit user segment: programs cannot enter compatibility mode,
	 * whose entry paths nobody serves. TR is loaded by the host, and needs
	 * no descriptor.
	 */
	gdt[SEL_KERNEL_CS >> 3] = DESC_KERNEL_CODE;
	gdt[SEL_KERNEL_SS >> 3] = DESC_DATA(0);
	gdt[SEL_USER_SS >> 3] = DESC_DATA(3);
	gdt[SEL_USER_CS >> 3] = DESC_USER_CODE;
}

/*
 * Every gate switches to the vCPU's own stack, whatever level it comes from:
 * the stack pointer is the program's while the level-0 system-call stub runs.
 */
static void build_idt(const struct memory *memory)
{
	uint64_t *idt = memory_system_frame(memory, KERNEL_PAGE_IDT);

	for (unsigned int vector = 0; vector < 256; vector++) {
		uint64_t stub =
			KERNEL_PAGE_GVA(KERNEL_PAGE_EXCEPTIONS) + vector * ENTRY_EXCEPTION_STRIDE;
		uint64_t type = GATE_INTERRUPT;
		uint64_t ist = vector == VECTOR_DF ? IST_DOUBLE : IST_EXCEPTION;

		if (vector == VECTOR_BP || vector == VECTOR_OF)
			type |= GATE_DPL3;
		idt[vector * 2] = (stub & 0xffff) | (uint64_t)SEL_KERNEL_CS << 16 | ist << 32 |
				  type << 40 | (stub >> 16 & 0xffff) << 48;
		idt[vector * 2 + 1] = stub >> 32;
	}
}

static void copy_stub(const struct memory *memory, enum kernel_page page, const char *start,
		      const char *end)
{
	memcpy(memory_system_frame(memory, page), start, (size_t)(end - start));
}

static void build_tables(const struct memory *memory)
{
	uint64_t *pdpt = memory_system_frame(memory, SYSTEM_FRAME_PDPT);
	uint64_t *pd = memory_system_frame(memory, SYSTEM_FRAME_PD);
	uint64_t *pt = memory_system_frame(memory, SYSTEM_FRAME_PT);

	pdpt[KERNEL_GVA >> 30 & (UMM_PTRS_PER_TABLE - 1)] =
		frame_entry(SYSTEM_FRAME_PD, TABLE_LINK);
	for (unsigned int i = 0; i < SYSTEM_NR_PT; i++)
		pd[i] = frame_entry(SYSTEM_FRAME_PT + i, TABLE_LINK);
	pt[KERNEL_PAGE_GDT] = frame_entry(KERNEL_PAGE_GDT, KERNEL_RODATA);
	pt[KERNEL_PAGE_IDT] = frame_entry(KERNEL_PAGE_IDT, KERNEL_RODATA);
	pt[KERNEL_PAGE_EXCEPTIONS] = frame_entry(KERNEL_PAGE_EXCEPTIONS, KERNEL_TEXT);
	pt[KERNEL_PAGE_SYSCALL_CPL0] = frame_entry(KERNEL_PAGE_SYSCALL_CPL0, KERNEL_TEXT);
	pt[KERNEL_PAGE_SYSCALL_CPL3] = frame_entry(KERNEL_PAGE_SYSCALL_CPL3, USER_TEXT);
	pt[KERNEL_PAGE_VVAR] = frame_entry(SYSTEM_FRAME_VVAR, USER_RODATA);
}

void entry_build(const struct memory *memory)
{
	build_gdt(memory);
	build_idt(memory);
	copy_stub(memory, KERNEL_PAGE_EXCEPTIONS, entry_exception_stubs, entry_exception_stubs_end);
	copy_stub(memory, KERNEL_PAGE_SYSCALL_CPL0, entry_syscall_kernel, entry_syscall_kernel_end);
	copy_stub(memory, KERNEL_PAGE_SYSCALL_CPL3, entry_syscall_user, entry_syscall_user_end);
	build_tables(memory);
}

void entry_map_doorbell(const struct memory *memory)
{
	uint64_t *pt = memory_system_frame(memory, SYSTEM_FRAME_PT);

	__atomic_store_n(&pt[KERNEL_PAGE_DOORBELL], LAYOUT_DOORBELL_GPA | USER_DATA,
			 __ATOMIC_RELEASE);
}

static void store_u64(uint8_t *p, uint64_t value)
{
	memcpy(p, &value, sizeof(value));
}

void *entry_vcpu_page(const struct memory *memory, unsigned int id)
{
	uint64_t *pt = memory_system_frame(memory, SYSTEM_FRAME_PT);
	uint8_t *page = memory_system_frame(memory, SYSTEM_FRAME_VCPU0 + id);
	uint64_t gva = KERNEL_PAGE_GVA(KERNEL_PAGE_VCPU0 + id);
	uint16_t iomap = TSS_SIZE;

	store_u64(page + VCPU_PAGE_TSS + TSS_RSP0, gva + VCPU_PAGE_STACK_TOP);
	store_u64(page + VCPU_PAGE_TSS + TSS_IST(IST_EXCEPTION), gva + VCPU_PAGE_STACK_TOP);
	store_u64(page + VCPU_PAGE_TSS + TSS_IST(IST_DOUBLE), gva + VCPU_PAGE_FAULT_TOP);
	/* Beyond the TSS's limit: no port is open to level 3. */
	memcpy(page + VCPU_PAGE_TSS + TSS_IOMAP, &iomap, sizeof(iomap));
	/* The tables of vCPU pages follow each other: one flat array. */
	__atomic_store_n(&pt[KERNEL_PAGE_VCPU0 + id],
			 frame_entry(SYSTEM_FRAME_VCPU0 + id, KERNEL_DATA), __ATOMIC_RELEASE);
	return page;
}
