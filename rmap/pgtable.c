/* SPDX-License-Identifier: MIT */
/*
 * Guest page tables: four levels of x86-64, in frames of their own region.
 *
 *	root (bits 47..39) -> level 3 (38..30) -> level 2 (29..21) -> leaf (20..12)
 *
 * Each table frame has a lock; a leaf table's lock guards its 512 entries, a
 * level-2 table's lock the installation of leaf tables (and 2 MiB leaves).
 * Entries that point to tables are only ever added while an mm lives, except by
 * pgtable_trim() and by collapse; so they are read without a lock and leaf locks
 * are taken after a look at them, and a second look confirms. Where a 2 MiB leaf
 * stands, asking for a 4 KiB entry splits it (rmap/huge.c): whoever can work on
 * a whole leaf looks for one first.
 *
 * With shadow paging KVM keeps a copy of every table, found by its frame number
 * and linked from the copy of its parent. An entry that never pointed to a table
 * has no copy, so adding one is always safe. A table that was taken out, however,
 * lives on in KVM until all its copies are dropped: its frame waits in quarantine,
 * and flush_tables() comes before it is used for anything again. That is done in
 * bulk, when no free frame is left, by one thread; the others that want a table
 * wait for it, as meanwhile the frames are neither free nor in quarantine.
 */
#include "rmap/internal.h"

#define NO_TABLE (~0u)

int pgtable_init(struct mm_sys *sys)
{
	uint64_t nr = sys->config.nr_tables;

	umm_mutex_init(&sys->table_drain_lock, LOCK_TABLE_DRAIN);
	umm_mutex_init(&sys->table_lock, LOCK_LEAF);
	sys->tables = sys_alloc(sys, nr * sizeof(*sys->tables));
	if (!sys->tables)
		return -ENOMEM;
	sys->table_free = NO_TABLE;
	sys->table_quarantine = NO_TABLE;
	sys->nr_table_fresh = nr;
	return 0;
}

void pgtable_destroy(struct mm_sys *sys)
{
	sys_free(sys, sys->tables, sys->config.nr_tables * sizeof(*sys->tables));
	umm_mutex_destroy(&sys->table_lock);
	umm_mutex_destroy(&sys->table_drain_lock);
}

/*
 * Each flush has a number. What was taken out while flush n was the last to have
 * begun is forgotten by all hosts once a flush with a higher number is over.
 */
void tables_flush(struct mm_sys *sys)
{
	uint64_t nr = __atomic_add_fetch(&sys->flush_begun, 1, __ATOMIC_SEQ_CST);
	uint64_t over = __atomic_load_n(&sys->flush_over, __ATOMIC_RELAXED);

	sys->ops->flush_tables(sys->ctx);
	sys_count(sys, EV_TABLE_FLUSH, 1);
	while (over < nr && !__atomic_compare_exchange_n(&sys->flush_over, &over, nr, true,
							 __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
		;
}

/* table_lock held. All of the quarantine becomes free; the caller has flushed. */
static void release_quarantine(struct mm_sys *sys, uint32_t head, uint64_t nr)
{
	uint32_t last = head;

	while (sys->tables[last].next_free != NO_TABLE)
		last = sys->tables[last].next_free;
	sys->tables[last].next_free = sys->table_free;
	sys->table_free = head;
	sys->nr_table_free += nr;
}

/*
 * table_drain_lock held. Take the quarantine out, flush, and make it free: false if it was
 * empty, and nothing was free either.
 */
static bool drain_quarantine(struct mm_sys *sys)
{
	uint32_t head;
	uint64_t nr;
	bool free;

	umm_mutex_lock(&sys->table_lock);
	head = sys->table_quarantine;
	nr = sys->nr_table_quarantine;
	sys->table_quarantine = NO_TABLE;
	sys->nr_table_quarantine = 0;
	free = sys->table_free != NO_TABLE;
	umm_mutex_unlock(&sys->table_lock);
	if (head == NO_TABLE)
		return free;
	tables_flush(sys);
	umm_mutex_lock(&sys->table_lock);
	release_quarantine(sys, head, nr);
	umm_mutex_unlock(&sys->table_lock);
	return true;
}

/* A free table's index; *dirty if its old content must be cleared. NO_TABLE if none. */
static uint32_t take_free(struct mm_sys *sys, bool *dirty)
{
	uint32_t idx = NO_TABLE;

	umm_mutex_lock(&sys->table_lock);
	*dirty = sys->table_free != NO_TABLE;
	if (*dirty) {
		idx = sys->table_free;
		sys->table_free = sys->tables[idx].next_free;
		sys->nr_table_free--;
	} else if (sys->nr_table_fresh) {
		/* Never used: zero, and its lock was never initialised. */
		idx = (uint32_t)(sys->config.nr_tables - sys->nr_table_fresh--);
		umm_mutex_init(&sys->tables[idx].lock, LOCK_PTL);
	}
	umm_mutex_unlock(&sys->table_lock);
	return idx;
}

/* None was free: the same after a flush, one's own or that of who was first. */
static uint32_t take_drained(struct mm_sys *sys, bool *dirty)
{
	uint32_t idx;

	umm_mutex_lock(&sys->table_drain_lock);
	do {
		idx = take_free(sys, dirty);
	} while (idx == NO_TABLE && drain_quarantine(sys));
	umm_mutex_unlock(&sys->table_drain_lock);
	return idx;
}

static void count_table(struct mm *mm, int64_t delta)
{
	sys_object(mm->sys, OBJ_TABLE, delta);
	__atomic_fetch_add(&mm->nr_tables, delta, __ATOMIC_RELAXED);
}

bool table_alloc(struct mm *mm, pfn_t *out)
{
	struct mm_sys *sys = mm->sys;
	bool dirty;
	uint32_t idx = take_free(sys, &dirty);

	if (idx == NO_TABLE)
		idx = take_drained(sys, &dirty);
	if (idx == NO_TABLE)
		return false;
	*out = pfn_add(sys->config.table_base, idx);
	sys->tables[idx].deposit = NO_TABLE;
	sys->tables[idx].unsettled = 0;
	if (dirty)
		memset(table_entries(sys, *out), 0, UMM_PAGE_SIZE);
	count_table(mm, 1);
	return true;
}

void table_quarantine(struct mm *mm, pfn_t table)
{
	struct mm_sys *sys = mm->sys;
	uint32_t idx = table_index(sys, table);

	umm_mutex_lock(&sys->table_lock);
	sys->tables[idx].next_free = sys->table_quarantine;
	sys->table_quarantine = idx;
	sys->nr_table_quarantine++;
	umm_mutex_unlock(&sys->table_lock);
	count_table(mm, -1);
}

void table_free_unused(struct mm *mm, pfn_t table)
{
	struct mm_sys *sys = mm->sys;
	uint32_t idx = table_index(sys, table);

	umm_mutex_lock(&sys->table_lock);
	sys->tables[idx].next_free = sys->table_free;
	sys->table_free = idx;
	sys->nr_table_free++;
	umm_mutex_unlock(&sys->table_lock);
	count_table(mm, -1);
}

/* The level-2 table that an entry stands in. */
static struct table *table_of_entry(struct mm_sys *sys, const uint64_t *pmd)
{
	uint64_t byte = (uint64_t)((const char *)pmd - (const char *)sys->config.table_hva);

	return &sys->tables[byte >> UMM_PAGE_SHIFT];
}

void table_deposit(struct mm_sys *sys, const uint64_t *pmd, pfn_t table)
{
	struct table *level2 = table_of_entry(sys, pmd);
	uint32_t idx = table_index(sys, table);

	sys->tables[idx].next_free = level2->deposit;
	level2->deposit = idx;
}

pfn_t table_withdraw(struct mm_sys *sys, const uint64_t *pmd)
{
	struct table *level2 = table_of_entry(sys, pmd);
	uint32_t idx = level2->deposit;

	mm_assert(idx != NO_TABLE);
	level2->deposit = sys->tables[idx].next_free;
	return pfn_add(sys->config.table_base, idx);
}

uint64_t table_deposits(const struct mm_sys *sys, pfn_t level2)
{
	uint64_t nr = 0;

	for (uint32_t i = sys->tables[table_index(sys, level2)].deposit; i != NO_TABLE;
	     i = sys->tables[i].next_free)
		nr++;
	return nr;
}

int pgtable_create(struct mm *mm)
{
	struct mm_sys *sys = mm->sys;

	if (!table_alloc(mm, &mm->root))
		return -ENOMEM;
	if (sys->config.init_root)
		sys->config.init_root(sys->ctx, table_entries(sys, mm->root));
	return 0;
}

static unsigned int index_at(gva_t addr, int level)
{
	return (addr.v >> (UMM_PAGE_SHIFT + 9 * level)) & (UMM_PTRS_PER_TABLE - 1);
}

/* Free the tables below an entry at @level (2: points to level-3 tables' children, 0: leaf). */
static void free_level(struct mm *mm, pfn_t table, int level)
{
	uint64_t *e = table_entries(mm->sys, table);

	/* The root's last entry is the host's kernel half, shared by all. */
	unsigned int nr = level == 3 ? UMM_PTRS_PER_TABLE / 2 : UMM_PTRS_PER_TABLE;

	for (unsigned int i = 0; level > 0 && i < nr; i++) {
		uint64_t v = pte_read(&e[i]);

		if (pmd_is_table(v))
			free_level(mm, pte_pfn(v), level - 1);
	}
	table_quarantine(mm, table);
}

void pgtable_free(struct mm *mm)
{
	free_level(mm, mm->root, 3);
}

/*
 * The entry of the table at @level + 1 that leads towards @addr, made to point
 * to a table if @make. NULL if there is none (or none can be had).
 */
static uint64_t *descend(struct mm *mm, pfn_t table, gva_t addr, int level, bool make)
{
	uint64_t *e = table_entries(mm->sys, table) + index_at(addr, level);
	uint64_t seen = pte_read(e);
	pfn_t fresh;

	if (pmd_is_table(seen))
		return e;
	if (seen || !make || !table_alloc(mm, &fresh))
		return NULL;
	if (!__atomic_compare_exchange_n(e, &seen, pte_make(fresh, TABLE_FLAGS), false,
					 __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		table_free_unused(mm, fresh);
	return pmd_is_table(pte_read(e)) ? e : NULL;
}

/*
 * Level-2 tables stay where they are while the mm lives, so those found of late are
 * known without a look at the two tables above. For a reverse walk through many
 * processes these are two misses less in each, of the cache and of the TLB.
 */
#define KNOWN_GIB_SHIFT  30
#define KNOWN_FRAME_BITS 46

static uint64_t *known_slot(struct mm *mm, uint64_t gib)
{
	return &mm->level2[gib % MM_LEVEL2_KNOWN];
}

bool level2_known(struct mm *mm, gva_t addr, pfn_t *out)
{
	uint64_t gib = addr.v >> KNOWN_GIB_SHIFT;
	uint64_t v = __atomic_load_n(known_slot(mm, gib), __ATOMIC_ACQUIRE);

	*out = pfn_make(v & ((1ul << KNOWN_FRAME_BITS) - 1));
	return v && v >> KNOWN_FRAME_BITS == gib;
}

/* The level-2 table for @addr. */
static bool level2_table(struct mm *mm, gva_t addr, bool make, pfn_t *out)
{
	uint64_t gib = addr.v >> KNOWN_GIB_SHIFT;
	pfn_t table = mm->root;

	if (level2_known(mm, addr, out))
		return true;
	for (int level = 3; level > 1; level--) {
		uint64_t *e = descend(mm, table, addr, level, make);

		if (!e)
			return false;
		table = pte_pfn(pte_read(e));
	}
	*out = table;
	__atomic_store_n(known_slot(mm, gib), gib << KNOWN_FRAME_BITS | table.v, __ATOMIC_RELEASE);
	return true;
}

uint64_t *pmd_find(struct mm *mm, gva_t addr, struct umm_mutex **pmd_lock)
{
	pfn_t table;

	if (!level2_table(mm, addr, false, &table))
		return NULL;
	*pmd_lock = table_lock_of(mm->sys, table);
	return table_entries(mm->sys, table) + index_at(addr, 1);
}

uint64_t *pmd_alloc(struct mm *mm, gva_t addr, struct umm_mutex **pmd_lock)
{
	pfn_t table;

	if (!level2_table(mm, addr, true, &table))
		return NULL;
	*pmd_lock = table_lock_of(mm->sys, table);
	return table_entries(mm->sys, table) + index_at(addr, 1);
}

uint64_t *pmd_lock(struct mm *mm, gva_t addr, struct umm_mutex **lock)
{
	uint64_t *pmd = pmd_find(mm, addr, lock);

	if (pmd)
		umm_mutex_lock(*lock);
	return pmd;
}

/* A table for an entry that has none: false if there is none left. */
static bool install_table(struct mm *mm, uint64_t *pmd, struct umm_mutex *lock)
{
	pfn_t fresh;

	if (!table_alloc(mm, &fresh))
		return false;
	umm_mutex_lock(lock);
	if (pmd_is_empty(pte_read(pmd))) {
		pmd_settle(mm->sys, pmd);
		pte_set(pmd, pte_make(fresh, TABLE_FLAGS));
		umm_mutex_unlock(lock);
	} else {
		umm_mutex_unlock(lock);
		table_free_unused(mm, fresh);
	}
	return true;
}

uint64_t *pte_lock_below(struct mm_sys *sys, const uint64_t *pmd, gva_t addr,
			 struct umm_mutex **ptl)
{
	uint64_t e = pte_read(pmd);

	if (!pmd_is_table(e))
		return NULL;
	*ptl = table_lock_of(sys, pte_pfn(e));
	umm_mutex_lock(*ptl);
	/* A and D of it may have changed meanwhile. */
	if (pmd_is_table(pte_read(pmd)) && pte_pfn(pte_read(pmd)).v == pte_pfn(e).v) {
		table_settle(sys, pte_pfn(e));
		return table_entries(sys, pte_pfn(e)) + index_at(addr, 0);
	}
	umm_mutex_unlock(*ptl);
	return NULL;
}

static uint64_t *leaf_lock(struct mm *mm, gva_t addr, bool make, struct umm_mutex **ptl)
{
	struct mm_sys *sys = mm->sys;
	struct umm_mutex *lock;
	uint64_t *pmd = make ? pmd_alloc(mm, addr, &lock) : pmd_find(mm, addr, &lock);

	while (pmd) {
		uint64_t e = pte_read(pmd);

		if (pmd_is_empty(e)) {
			if (!make || !install_table(mm, pmd, lock))
				return NULL;
		} else if (!pmd_is_table(e)) {
			pmd_split(mm, addr);
		} else {
			uint64_t *pte = pte_lock_below(sys, pmd, addr, ptl);

			if (pte)
				return pte;
		}
	}
	return NULL;
}

uint64_t *pte_lock(struct mm *mm, gva_t addr, struct umm_mutex **ptl)
{
	return leaf_lock(mm, addr, false, ptl);
}

uint64_t *pte_lock_alloc(struct mm *mm, gva_t addr, struct umm_mutex **ptl)
{
	return leaf_lock(mm, addr, true, ptl);
}

/* The leaf table for @addr; mmap_lock held for writing, so that it stays. */
static bool leaf_table(struct mm *mm, gva_t addr, pfn_t *leaf)
{
	struct umm_mutex *unused;
	uint64_t *pmd = pmd_find(mm, addr, &unused);

	if (pmd && !pmd_is_table(pte_read(pmd)) && !pmd_is_empty(pte_read(pmd)))
		pmd_split(mm, addr);
	if (!pmd || !pmd_is_table(pte_read(pmd)))
		return false;
	*leaf = pte_pfn(pte_read(pmd));
	return true;
}

static void pair_lock(struct mm_sys *sys, struct pte_pair *p, pfn_t ta, pfn_t tb)
{
	p->first = table_lock_of(sys, ta.v < tb.v ? ta : tb);
	p->second = ta.v == tb.v ? NULL : table_lock_of(sys, ta.v < tb.v ? tb : ta);
	umm_mutex_lock(p->first);
	if (p->second)
		umm_mutex_lock_nested(p->second);
	table_settle(sys, ta);
	table_settle(sys, tb);
}

bool pte_pair_lock(struct pte_pair *p, struct mm *mm_a, gva_t a, struct mm *mm_b, gva_t b)
{
	struct mm_sys *sys = mm_a->sys;
	pfn_t ta, tb;

	if (!leaf_table(mm_a, a, &ta) || !leaf_table(mm_b, b, &tb))
		return false;
	p->a = table_entries(sys, ta) + index_at(a, 0);
	p->b = table_entries(sys, tb) + index_at(b, 0);
	pair_lock(sys, p, ta, tb);
	return true;
}

bool pmd_pair_lock(struct pte_pair *p, struct mm *mm_a, gva_t a, struct mm *mm_b, gva_t b)
{
	struct mm_sys *sys = mm_a->sys;
	pfn_t ta, tb;

	if (!level2_table(mm_a, a, false, &ta) || !level2_table(mm_b, b, false, &tb))
		return false;
	p->a = table_entries(sys, ta) + index_at(a, 1);
	p->b = table_entries(sys, tb) + index_at(b, 1);
	pair_lock(sys, p, ta, tb);
	return true;
}

void pte_pair_unlock(struct pte_pair *p)
{
	if (p->second)
		umm_mutex_unlock(p->second);
	umm_mutex_unlock(p->first);
}

int pgtable_make(struct mm *mm, gva_t addr)
{
	struct umm_mutex *ptl;

	if (!pte_lock_alloc(mm, addr, &ptl))
		return -ENOMEM;
	umm_mutex_unlock(ptl);
	return 0;
}

/* Log2 of the range around @addr that has no table below level 1; 0: it has. */
static unsigned int gap_shift(struct mm *mm, gva_t addr)
{
	pfn_t table = mm->root, known;

	if (level2_known(mm, addr, &known))
		return 0;
	for (int level = 3; level > 1; level--) {
		uint64_t *e = descend(mm, table, addr, level, false);

		if (!e)
			return UMM_PAGE_SHIFT + 9 * (unsigned int)level;
		table = pte_pfn(pte_read(e));
	}
	return 0;
}

gva_t tables_from(struct mm *mm, gva_t addr, gva_t end)
{
	unsigned int shift;

	while (addr.v < end.v && (shift = gap_shift(mm, addr)))
		addr.v = (addr.v | ((1ul << shift) - 1)) + 1;
	return addr.v < end.v ? addr : end;
}

gva_t table_end(gva_t addr, gva_t end)
{
	uint64_t next = (addr.v + UMM_PMD_SIZE) & UMM_PMD_MASK;

	return gva_make(next < end.v ? next : end.v);
}

/* Is there an area in the 2 MiB around @addr? */
static bool area_near(struct mm *mm, gva_t base)
{
	struct vma *v = vma_find(mm, base);

	return v && v->start.v < base.v + UMM_PMD_SIZE;
}

/* Visit the leaf tables below @table; returns how many were taken out. */
static uint64_t trim_level(struct mm *mm, pfn_t table, int level, uint64_t base)
{
	uint64_t *e = table_entries(mm->sys, table), trimmed = 0;
	unsigned int nr = level == 3 ? UMM_PTRS_PER_TABLE / 2 : UMM_PTRS_PER_TABLE;

	for (unsigned int i = 0; i < nr; i++) {
		uint64_t v = pte_read(&e[i]);
		uint64_t at = base + ((uint64_t)i << (UMM_PAGE_SHIFT + 9 * level));

		if (!pmd_is_table(v))
			continue;
		if (level > 1) {
			trimmed += trim_level(mm, pte_pfn(v), level - 1, at);
		} else if (!area_near(mm, gva_make(at))) {
			pte_set(&e[i], 0);
			table_quarantine(mm, pte_pfn(v));
			trimmed++;
		}
	}
	return trimmed;
}

uint64_t pgtable_trim(struct mm *mm)
{
	/*
	 * No area, so no entries, and no rmap walk can come here: walks come
	 * through areas. The entries cleared must not be set again before the
	 * flush, which mmap_lock held for writing ensures.
	 */
	uint64_t trimmed = trim_level(mm, mm->root, 3, 0);

	if (trimmed)
		drain_quarantine(mm->sys);
	return trimmed;
}
