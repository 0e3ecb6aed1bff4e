/* SPDX-License-Identifier: MIT */
/*
 * Page tables and the 2 MiB leaves in them. A part of rmap/internal.h, which
 * includes it where what it needs is declared; nobody else does.
 */
#ifndef RMAP_TABLES_H
#define RMAP_TABLES_H

/* ---- pgtable.c -------------------------------------------------------- */
int pgtable_init(struct mm_sys *sys);
void pgtable_destroy(struct mm_sys *sys);
int pgtable_create(struct mm *mm);
/* All leaf entries are gone already. */
void pgtable_free(struct mm *mm);
static inline uint32_t table_index(const struct mm_sys *sys, pfn_t table)
{
	uint64_t idx = table.v - sys->config.table_base.v;

	mm_assert(idx < sys->config.nr_tables);
	return (uint32_t)idx;
}

static inline uint64_t *table_entries(const struct mm_sys *sys, pfn_t table)
{
	return (uint64_t *)((char *)sys->config.table_hva +
			    ((uint64_t)table_index(sys, table) << UMM_PAGE_SHIFT));
}

static inline struct umm_mutex *table_lock_of(const struct mm_sys *sys, pfn_t table)
{
	return &sys->tables[table_index(sys, table)].lock;
}

/* Its lock held. The lowest number of a flush after which its entries may change; 0: any. */
static inline uint64_t *table_unsettled(const struct mm_sys *sys, pfn_t table)
{
	return &sys->tables[table_index(sys, table)].unsettled;
}

/* Drop all copies of tables and 2 MiB entries that a host may keep; any lock but LEAF ones. */
void tables_flush(struct mm_sys *sys);
/* A zeroed table frame for @mm; false: none left, even after emptying the quarantine. */
bool table_alloc(struct mm *mm, pfn_t *out) UMM_MUST_CHECK;
/* A table of @mm that processors may know of; one that they never saw. */
void table_quarantine(struct mm *mm, pfn_t table);
void table_free_unused(struct mm *mm, pfn_t table);
/* The spare table of a leaf at @pmd; the level-2 lock held. */
void table_deposit(struct mm_sys *sys, const uint64_t *pmd, pfn_t table);
pfn_t table_withdraw(struct mm_sys *sys, const uint64_t *pmd);
/* How many lie in the deposit of this level-2 table; its lock held, or nothing changes. */
uint64_t table_deposits(const struct mm_sys *sys, pfn_t level2);
/*
 * The entry for @addr with its lock held, or NULL (no lock held) where there is
 * no leaf table. _alloc makes the tables; NULL then means no table frame left.
 * A 2 MiB leaf at @addr is split.
 */
uint64_t *pte_lock(struct mm *mm, gva_t addr, struct umm_mutex **ptl);
uint64_t *pte_lock_alloc(struct mm *mm, gva_t addr, struct umm_mutex **ptl);
/* The same where @pmd is known; NULL also if it leads to no table (any more). */
uint64_t *pte_lock_below(struct mm_sys *sys, const uint64_t *pmd, gva_t addr,
			 struct umm_mutex **ptl);
/*
 * Two entries, both locked, the table with the lower frame number first. The
 * mmap_locks of both mms are held; false if either has no leaf table.
 */
struct pte_pair {
	uint64_t *a, *b;
	struct umm_mutex *first, *second; /* second: NULL if it is one table */
};
bool pte_pair_lock(struct pte_pair *p, struct mm *mm_a, gva_t a, struct mm *mm_b, gva_t b);
void pte_pair_unlock(struct pte_pair *p);
/* The same of two 2 MiB entries, of which both level-2 tables exist. */
bool pmd_pair_lock(struct pte_pair *p, struct mm *mm_a, gva_t a, struct mm *mm_b, gva_t b);
/* Make the tables for @addr: 0 or -ENOMEM. */
int pgtable_make(struct mm *mm, gva_t addr);
/*
 * The first address from @addr on where entries may be, in steps of what has no tables
 * at all; @end if that comes first. For walks over areas that are mostly empty. No lock:
 * such tables stay for as long as mm lives.
 */
gva_t tables_from(struct mm *mm, gva_t addr, gva_t end);
/* First address of the next leaf table, or @end if that comes first. */
gva_t table_end(gva_t addr, gva_t end);
/* Was the level-2 table for @addr found of late? Then it is *out, for as long as mm lives. */
bool level2_known(struct mm *mm, gva_t addr, pfn_t *out);
/* The 2 MiB entry for @addr (present or not), no lock; NULL if no such table. */
uint64_t *pmd_find(struct mm *mm, gva_t addr, struct umm_mutex **pmd_lock);
uint64_t *pmd_alloc(struct mm *mm, gva_t addr, struct umm_mutex **pmd_lock);
/* The same with the lock held; NULL: no lock held. */
uint64_t *pmd_lock(struct mm *mm, gva_t addr, struct umm_mutex **lock);
/* Free leaf tables that map nothing and that no area covers; mmap_lock writing. */
uint64_t pgtable_trim(struct mm *mm);

/* ---- huge.c: 2 MiB leaves ---------------------------------------------- */

/* The entry lock held. Make an empty entry fit to be filled: flush if it must be. */
void pmd_settle(struct mm_sys *sys, uint64_t *pmd);
/* Lock held. The entry, whose leaf was exchanged away, gets the mark that it needs. */
void pmd_mark(struct mm_sys *sys, uint64_t *pmd);
/* Lock held. Take a leaf or migration entry out; its deposit goes too. Returns what it was. */
uint64_t pmd_take(struct mm *mm, uint64_t *pmd);
/* Make 4 KiB entries of the leaf, or 2 MiB migration entry, at @addr, if there is one. */
void pmd_split(struct mm *mm, gva_t addr);
/*
 * Lock held. Put the deposited table in place of a leaf or migration entry @e; its
 * entries are what @small makes of @e: the pages that @e maps, or none. No flush is
 * needed for that. Returns what @e was in the end, A and D included.
 */
uint64_t pmd_to_table(struct mm_sys *sys, uint64_t *pmd,
		      uint64_t (*small)(const void *arg, uint64_t e, unsigned int i),
		      const void *arg);
/*
 * The table's lock held, before its entries may be changed: flush if it took the
 * place of a leaf and no flush came since.
 */
void table_flush_unsettled(struct mm_sys *sys, pfn_t table);
static inline void table_settle(struct mm_sys *sys, pfn_t table)
{
	if (*table_unsettled(sys, table))
		table_flush_unsettled(sys, table);
}
/*
 * Lock the leaf that maps @addr, if there is one and all of it lies in [start, end).
 * NULL: no lock held.
 */
uint64_t *pmd_lock_leaf(struct mm *mm, gva_t addr, gva_t start, gva_t end, struct umm_mutex **lock);
/*
 * The entry, of either size, that maps @addr, with its lock held; *page is what a
 * 4 KiB entry for it would hold. NULL: no lock held, nothing there.
 */
uint64_t *entry_lock(struct mm *mm, gva_t addr, struct umm_mutex **lock, uint64_t *page);
/* The 4 KiB entry for page @i of a leaf. */
static inline uint64_t leaf_page(uint64_t leaf, unsigned int i)
{
	return (leaf & ~PTE_HUGE) + ((uint64_t)i << UMM_PAGE_SHIFT);
}
/* Pages of the folio that are mapped, each counted once an entry: a leaf counts for 512. */
static inline int64_t folio_pages_mapped(const struct folio *f)
{
	int64_t leaves = f->order == UMM_PMD_ORDER
				 ? __atomic_load_n(&f[1].large.entire_mapcount, __ATOMIC_ACQUIRE)
				 : 0;

	return folio_mapcount(f) + leaves * (UMM_PTRS_PER_TABLE - 1);
}

#endif
