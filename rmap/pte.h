/* SPDX-License-Identifier: MIT */
/*
 * The page-table entry, as the processor and as the manager read it.
 *
 * Present (bit 0) entries are x86-64's. Bits 9 to 11 are free for software:
 *	10  PTE_SOFT_DIRTY  written since last cleared by the user of soft-dirty
 *	8   PTE_PROTNONE    only with bit 0 clear: a mapped page that nobody may
 *			    touch now (PROT_NONE); pfn and all other bits hold. In an
 *			    area that allows access it is a hint (rmap/hint.h)
 *
 * Entries with bits 0 and 8 clear and not zero are swap entries:
 *	1..5   type + 1: a swap area, or one of the SWP_* kinds below
 *	6      PTE_SWP_EXCLUSIVE   the page was exclusive to this process
 *	7      PTE_SWP_SOFT_DIRTY
 *	9      PTE_SWP_YOUNG   (migration entries: A bit)
 *	10     PTE_SWP_DIRTY   (migration entries: D bit)
 *	12..61 offset: the slot, or the pfn of a migration or poison entry
 *
 * Entries in live tables are read and changed only with atomic operations: the
 * processor, and KVM for it, set A and D at any time. Replacing a live entry is
 * an exchange, so that no A or D that was set before it is lost.
 */
#ifndef RMAP_PTE_H
#define RMAP_PTE_H

#include <umm/types.h>

#define PTE_PRESENT    (1ul << 0)
#define PTE_WRITE      (1ul << 1)
#define PTE_USER       (1ul << 2)
#define PTE_ACCESSED   (1ul << 5)
#define PTE_DIRTY      (1ul << 6)
#define PTE_HUGE       (1ul << 7)
#define PTE_PROTNONE   (1ul << 8)
#define PTE_SOFT_DIRTY (1ul << 10)
#define PTE_NX         (1ul << 63)
#define PTE_PFN_MASK   0x000ffffffffff000ul
/* Non-leaf entries. */
#define TABLE_FLAGS (PTE_PRESENT | PTE_WRITE | PTE_USER | PTE_ACCESSED)

#define PTE_SWP_EXCLUSIVE  (1ul << 6)
#define PTE_SWP_SOFT_DIRTY (1ul << 7)
#define PTE_SWP_YOUNG      (1ul << 9)
#define PTE_SWP_DIRTY      (1ul << 10)

#define SWP_MAX_AREAS 24u
enum {
	SWP_MIGRATION_READ = SWP_MAX_AREAS,
	SWP_MIGRATION_READ_EXCLUSIVE,
	SWP_MIGRATION_WRITE,
	SWP_HWPOISON,
	SWP_MARKER,
};

/* What a swap entry names: a kind and an offset, without the entry's own bits. */
typedef struct {
	uint64_t v;
} swp_entry_t;

#define SWP_KEEP_MASK (0x3eul | (0x3fffffffffffful << 12))

static inline uint64_t pte_read(const uint64_t *e)
{
	return __atomic_load_n(e, __ATOMIC_ACQUIRE);
}

static inline void pte_set(uint64_t *e, uint64_t v)
{
	__atomic_store_n(e, v, __ATOMIC_RELEASE);
}

static inline uint64_t pte_xchg(uint64_t *e, uint64_t v)
{
	return __atomic_exchange_n(e, v, __ATOMIC_ACQ_REL);
}

static inline bool pte_none(uint64_t e)
{
	return e == 0;
}

/* Maps a page, also where nobody may touch it (PROT_NONE). */
static inline bool pte_present(uint64_t e)
{
	return e & (PTE_PRESENT | PTE_PROTNONE);
}

/* PROT_NONE, or a hint: only the area tells which. */
static inline bool pte_protnone(uint64_t e)
{
	return (e & (PTE_PRESENT | PTE_PROTNONE)) == PTE_PROTNONE;
}

static inline bool pte_is_swap(uint64_t e)
{
	return e && !pte_present(e);
}

static inline pfn_t pte_pfn(uint64_t e)
{
	return pfn_make((e & PTE_PFN_MASK) >> UMM_PAGE_SHIFT);
}

static inline uint64_t pte_make(pfn_t pfn, uint64_t flags)
{
	return (pfn.v << UMM_PAGE_SHIFT) | flags;
}

static inline swp_entry_t pte_to_swp(uint64_t e)
{
	return (swp_entry_t){ e & SWP_KEEP_MASK };
}

static inline uint64_t swp_to_pte(swp_entry_t s)
{
	return s.v;
}

static inline swp_entry_t swp_make(unsigned int type, uint64_t offset)
{
	return (swp_entry_t){ ((uint64_t)(type + 1) << 1) | (offset << 12) };
}

static inline unsigned int swp_type(swp_entry_t s)
{
	return (unsigned int)((s.v >> 1) & 0x1f) - 1;
}

static inline uint64_t swp_offset(swp_entry_t s)
{
	return s.v >> 12;
}

static inline bool swp_is_area(swp_entry_t s)
{
	return swp_type(s) < SWP_MAX_AREAS;
}

static inline bool swp_is_migration(swp_entry_t s)
{
	return swp_type(s) >= SWP_MIGRATION_READ && swp_type(s) <= SWP_MIGRATION_WRITE;
}

static inline pfn_t swp_pfn(swp_entry_t s)
{
	return pfn_make(swp_offset(s));
}

/*
 * Entries of a level-2 table (rmap/huge.c). Of a leaf bit 7 says so; without bit
 * 0 but with bit 8 it is one that nobody may touch now. Swap entries there are
 * migration entries of a whole 2 MiB folio, or the mark of a leaf that was taken
 * out (its offset is the number of the last flush that had begun by then).
 */
static inline bool pmd_is_table(uint64_t e)
{
	return (e & PTE_PRESENT) && !(e & PTE_HUGE);
}

static inline bool pmd_is_leaf(uint64_t e)
{
	return pte_present(e) && (e & PTE_HUGE);
}

static inline bool pmd_is_migration(uint64_t e)
{
	return pte_is_swap(e) && swp_is_migration(pte_to_swp(e));
}

static inline bool pmd_is_mark(uint64_t e)
{
	return pte_is_swap(e) && swp_type(pte_to_swp(e)) == SWP_MARKER;
}

/* Maps nothing, now or soon. */
static inline bool pmd_is_empty(uint64_t e)
{
	return pte_none(e) || pmd_is_mark(e);
}

/* The protection bits that VM_* flags (and nothing else) allow. */
static inline uint64_t vm_page_prot(uint64_t vm_flags)
{
	uint64_t p = PTE_USER | PTE_NX;

	/* VM_READ, VM_WRITE, VM_EXEC as in umm/mm.h; any access implies reading. */
	if (vm_flags & 7)
		p |= PTE_PRESENT;
	else
		p |= PTE_PROTNONE;
	if (vm_flags & 4)
		p &= ~PTE_NX;
	return p;
}

/*
 * PTE_WRITE for an entry with these other bits in an area with these VM_* flags, or 0.
 * Where the area is tracked (VM_SOFTDIRTY, bit 27 as in umm/mm.h, is clear) a page that
 * is not soft-dirty is never writable, so that the first store to it faults and is
 * noted. The folio's own reasons to forbid stores are the caller's matter.
 */
static inline uint64_t pte_write_bit(uint64_t vm_flags, uint64_t bits)
{
	bool unnoticed = !(vm_flags & (1ul << 27)) && !(bits & PTE_SOFT_DIRTY);

	return (vm_flags & 2) && !unnoticed ? PTE_WRITE : 0;
}

#endif
