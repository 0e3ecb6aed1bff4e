/* SPDX-License-Identifier: MIT */
/*
 * The fake host's vCPUs: a page walk in software, and caches that go stale.
 *
 * As on a processor: a translation is cached with the rights and the D bit that
 * its entry had; a cached one is used without looking at the tables again; a
 * store through one without D walks again; a fault drops what was cached for
 * its address. On hosts with shadow paging the pointers to leaf tables are
 * cached as well, until flush_tables().
 *
 * Each vCPU's caches are guarded by its lock, which is also held over the
 * access itself. So when fake_mmu_zap() has taken and dropped every vCPU's
 * lock, each store through the old translation has landed.
 */
#include "rmap/pte.h"
#include "tests/unit/fake_host.h"

#include <string.h>

#define MAX_FAULTS 4000

/* ---- the tables, as they are --------------------------------------------- */

static unsigned int table_index(gva_t addr, unsigned int level)
{
	return (addr.v >> (UMM_PAGE_SHIFT + 9 * level)) & (UMM_PTRS_PER_TABLE - 1);
}

static uint64_t *table_at(const struct fake_host *h, pfn_t table)
{
	if (table.v < h->table_base.v || table.v >= h->table_base.v + h->config.nr_tables)
		return NULL;
	return (uint64_t *)(h->table_mem + ((table.v - h->table_base.v) << UMM_PAGE_SHIFT));
}

/*
 * Walk from the root to the entry of level @to (1: the 2 MiB level). NULL
 * where a level above is not present or a leaf.
 */
static uint64_t *walk_to(const struct fake_host *h, pfn_t root, gva_t addr, unsigned int to)
{
	pfn_t table = root;

	for (unsigned int level = 3;; level--) {
		uint64_t *entries = table_at(h, table);
		uint64_t e;

		if (!entries)
			return NULL;
		if (level == to)
			return &entries[table_index(addr, level)];
		e = pte_read(&entries[table_index(addr, level)]);
		if (!(e & PTE_PRESENT) || (e & PTE_HUGE))
			return NULL;
		table = pte_pfn(e);
	}
}

uint64_t *fake_entry_slot(const struct fake_host *h, pfn_t root, gva_t addr)
{
	return walk_to(h, root, addr, 0);
}

uint64_t fake_entry(const struct fake_host *h, pfn_t root, gva_t addr, bool *huge)
{
	uint64_t *pmd = walk_to(h, root, addr, 1), *pte;
	uint64_t e = pmd ? pte_read(pmd) : 0;

	if (huge)
		*huge = false;
	if (!(e & PTE_PRESENT) || (e & PTE_HUGE)) {
		if (huge)
			*huge = e & PTE_HUGE;
		return e;
	}
	pte = walk_to(h, root, addr, 0);
	return pte ? pte_read(pte) : 0;
}

/* ---- the caches ------------------------------------------------------------ */

static unsigned int tlb_slot(pfn_t root, uint64_t page)
{
	return (unsigned int)((page ^ (page >> 9) ^ root.v * 37) % FAKE_TLB_SLOTS);
}

static struct fake_tlb_entry *tlb_find(struct fake_vcpu *v, pfn_t root, gva_t addr)
{
	uint64_t page = addr.v >> UMM_PAGE_SHIFT, first = page & ~511ul;
	struct fake_tlb_entry *e = &v->tlb[tlb_slot(root, page)];

	if (e->nr == 1 && e->root.v == root.v && e->page == page)
		return e;
	e = &v->tlb[tlb_slot(root, first)];
	if (e->nr == UMM_PTRS_PER_TABLE && e->root.v == root.v && e->page == first)
		return e;
	return NULL;
}

static struct fake_pde_entry *pde_slot(struct fake_vcpu *v, pfn_t root, gva_t addr)
{
	uint64_t region = addr.v >> UMM_PMD_SHIFT;

	return &v->pde[(region ^ root.v * 37) % FAKE_PDE_SLOTS];
}

/*
 * A leaf was here and tables were not flushed since: whatever the entry maps now
 * must be the same frames, or the host counts pages for the wrong ones.
 */
static void check_kept_leaf(struct fake_host *h, struct fake_pde_entry *c, uint64_t e, gva_t addr)
{
	uint64_t i = table_index(addr, 0);

	if (!(e & PTE_PRESENT))
		return;
	if (!(e & PTE_HUGE)) {
		e = table_at(h, pte_pfn(e)) ? pte_read(&table_at(h, pte_pfn(e))[i]) : 0;
		if (!pte_present(e))
			return;
		i = pte_pfn(e).v - i;
	} else {
		i = pte_pfn(e).v;
	}
	if (i != c->table.v)
		fake_violation(h,
			       "%#lx: after a leaf for frame %#lx another entry is used without "
			       "a table flush",
			       addr.v, c->table.v);
}

/*
 * The entry that the walk ends at, by way of the cached leaf table if there is
 * one. *huge tells which kind.
 */
static uint64_t *cached_walk(struct fake_host *h, struct fake_vcpu *v, pfn_t root, gva_t addr,
			     bool *huge)
{
	struct fake_pde_entry *c = pde_slot(v, root, addr);
	uint64_t *pmd, e;

	bool kept = c->valid && c->root.v == root.v && c->region == addr.v >> UMM_PMD_SHIFT;

	*huge = false;
	if (kept && !c->leaf)
		return &table_at(h, c->table)[table_index(addr, 0)];
	pmd = walk_to(h, root, addr, 1);
	if (!pmd)
		return NULL;
	e = pte_read(pmd);
	if (kept)
		check_kept_leaf(h, c, e, addr);
	if (!(e & PTE_PRESENT))
		return NULL;
	if (e & PTE_HUGE) {
		if (h->config.shadow_paging)
			*c = (struct fake_pde_entry){ root, addr.v >> UMM_PMD_SHIFT, pte_pfn(e),
						      true, true };
		*huge = true;
		return pmd;
	}
	if (kept)
		return table_at(h, pte_pfn(e)) ? &table_at(h, pte_pfn(e))[table_index(addr, 0)]
					       : NULL;
	if (!table_at(h, pte_pfn(e))) {
		fake_violation(h, "table entry %#lx for %#lx leads to no table", e, addr.v);
		return NULL;
	}
	if (h->config.shadow_paging)
		*c = (struct fake_pde_entry){ root, addr.v >> UMM_PMD_SHIFT, pte_pfn(e), false,
					      true };
	return &table_at(h, pte_pfn(e))[table_index(addr, 0)];
}

static bool entry_allows(uint64_t e, enum fake_access kind)
{
	if (!(e & PTE_PRESENT) || !(e & PTE_USER))
		return false;
	if (kind == FAKE_STORE)
		return e & PTE_WRITE;
	return kind != FAKE_FETCH || !(e & PTE_NX);
}

/* Walk, set A and D as the processor does, and cache the outcome. */
static struct fake_tlb_entry *tlb_fill(struct fake_host *h, struct fake_vcpu *v, pfn_t root,
				       gva_t addr, enum fake_access kind)
{
	uint64_t want = PTE_ACCESSED | (kind == FAKE_STORE ? PTE_DIRTY : 0);
	uint64_t page = addr.v >> UMM_PAGE_SHIFT;
	struct fake_tlb_entry *t;
	uint64_t *slot, e;
	bool huge;

again:
	slot = cached_walk(h, v, root, addr, &huge);
	if (!slot)
		return NULL;
	e = pte_read(slot);
	do {
		/* The leaf was split since the walk: the entry leads to a table now. */
		if (huge && pte_present(e) && !(e & PTE_HUGE))
			goto again;
		if (!entry_allows(e, kind))
			return NULL;
	} while ((e & want) != want &&
		 !__atomic_compare_exchange_n(slot, &e, e | want, false, __ATOMIC_ACQ_REL,
					      __ATOMIC_ACQUIRE));
	e |= want;
	if (huge)
		page &= ~511ul;
	t = &v->tlb[tlb_slot(root, page)];
	*t = (struct fake_tlb_entry){
		.root = root,
		.page = page,
		.pfn = pte_pfn(e),
		.nr = huge ? UMM_PTRS_PER_TABLE : 1,
		.writable = e & PTE_WRITE,
		.dirty = e & PTE_DIRTY,
		.executable = !(e & PTE_NX),
	};
	return t;
}

static void drop_cached(struct fake_vcpu *v, pfn_t root, gva_t addr)
{
	struct fake_tlb_entry *t = tlb_find(v, root, addr);
	struct fake_pde_entry *c = pde_slot(v, root, addr);

	if (t)
		t->nr = 0;
	if (c->valid && !c->leaf && c->root.v == root.v && c->region == addr.v >> UMM_PMD_SHIFT)
		c->valid = false;
}

/* Law 2, at the moment of the access: the frame must not be free. */
static void check_frame_live(struct fake_host *h, gva_t addr, pfn_t pfn, enum fake_access kind)
{
	struct folio *f = sys_frame(h->sys, pfn);

	if (f && folio_refcount(folio_head(f)) == 0)
		fake_violation(h, "%s at %#lx goes to the free frame %#lx",
			       kind == FAKE_STORE ? "store" : "load", addr.v, pfn.v);
	if (!f && kind == FAKE_STORE)
		fake_violation(h, "store at %#lx goes to frame %#lx of no node", addr.v, pfn.v);
}

/* vCPU lock held. Where the word is, or NULL: fault. */
static uint64_t *translate(struct fake_host *h, struct fake_vcpu *v, pfn_t root, gva_t addr,
			   enum fake_access kind)
{
	struct fake_tlb_entry *t = tlb_find(v, root, addr);
	pfn_t pfn;
	uint8_t *hva;

	if (!t || (kind == FAKE_STORE && !(t->writable && t->dirty)) ||
	    (kind == FAKE_FETCH && !t->executable))
		t = tlb_fill(h, v, root, addr, kind);
	if (!t) {
		drop_cached(v, root, addr);
		return NULL;
	}
	pfn = pfn_add(t->pfn, (addr.v >> UMM_PAGE_SHIFT) - t->page);
	hva = fake_hva(h, pfn);
	if (!hva) {
		fake_violation(h, "%#lx translates to frame %#lx, which does not exist", addr.v,
			       pfn.v);
		return NULL;
	}
	check_frame_live(h, addr, pfn, kind);
	return (uint64_t *)(hva + (addr.v & (UMM_PAGE_SIZE - 1) & ~7ul));
}

/* ---- accesses ------------------------------------------------------------------ */

struct word_access {
	enum fake_access kind;
	bool add;       /* a store that adds */
	uint64_t value; /* in: what to store or add; out: what was loaded */
};

static bool try_access(struct fake_host *h, pfn_t root, unsigned int vcpu, gva_t addr,
		       struct word_access *a)
{
	struct fake_vcpu *v = &h->vcpus[vcpu];
	uint64_t *word;

	pthread_mutex_lock(&v->lock);
	word = translate(h, v, root, addr, a->kind);
	if (word && a->add)
		__atomic_fetch_add(word, a->value, __ATOMIC_RELAXED);
	else if (word && a->kind == FAKE_STORE)
		__atomic_store_n(word, a->value, __ATOMIC_RELAXED);
	else if (word)
		a->value = __atomic_load_n(word, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&v->lock);
	return word;
}

static enum fault_result access_word(struct fake_host *h, struct mm *mm, unsigned int vcpu,
				     gva_t addr, struct word_access *a)
{
	unsigned int flags = 0;

	if (a->kind == FAKE_STORE)
		flags = FAULT_FLAG_WRITE;
	else if (a->kind == FAKE_FETCH)
		flags = FAULT_FLAG_INSTR;
	for (unsigned int i = 0; i < MAX_FAULTS; i++) {
		enum fault_result r;

		if (try_access(h, mm->root, vcpu, addr, a))
			return FAULT_DONE;
		r = mm_fault(mm, addr, flags);
		if (r != FAULT_DONE)
			return r;
	}
	fake_violation(h, "%d faults at %#lx say done, and the access still faults", MAX_FAULTS,
		       addr.v);
	return FAULT_OOM;
}

enum fault_result fake_load(struct fake_host *h, struct mm *mm, unsigned int vcpu, gva_t addr,
			    uint64_t *value)
{
	struct word_access a = { .kind = FAKE_LOAD };
	enum fault_result r = access_word(h, mm, vcpu, addr, &a);

	if (r == FAULT_DONE)
		*value = a.value;
	return r;
}

enum fault_result fake_store(struct fake_host *h, struct mm *mm, unsigned int vcpu, gva_t addr,
			     uint64_t value)
{
	struct word_access a = { .kind = FAKE_STORE, .value = value };

	return access_word(h, mm, vcpu, addr, &a);
}

enum fault_result fake_add(struct fake_host *h, struct mm *mm, unsigned int vcpu, gva_t addr,
			   uint64_t n)
{
	struct word_access a = { .kind = FAKE_STORE, .add = true, .value = n };

	return access_word(h, mm, vcpu, addr, &a);
}

enum fault_result fake_fetch(struct fake_host *h, struct mm *mm, unsigned int vcpu, gva_t addr)
{
	struct word_access a = { .kind = FAKE_FETCH };

	return access_word(h, mm, vcpu, addr, &a);
}

bool fake_would_fault(struct fake_host *h, struct mm *mm, unsigned int vcpu, gva_t addr,
		      enum fake_access kind)
{
	struct fake_vcpu *v = &h->vcpus[vcpu];
	struct fake_tlb_entry *t;
	bool ok;

	pthread_mutex_lock(&v->lock);
	t = tlb_find(v, mm->root, addr);
	ok = t && (kind != FAKE_STORE || (t->writable && t->dirty)) &&
	     (kind != FAKE_FETCH || t->executable);
	pthread_mutex_unlock(&v->lock);
	return !ok && !entry_allows(fake_entry(h, mm->root, addr, NULL), kind);
}

/* ---- zaps and checks ------------------------------------------------------------- */

static bool in_ranges(const struct fake_tlb_entry *t, const struct frame_range *ranges,
		      unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		if (ranges[i].pfn.v < t->pfn.v + t->nr && t->pfn.v < ranges[i].pfn.v + ranges[i].nr)
			return true;
	return false;
}

void fake_mmu_zap(struct fake_host *h, const struct frame_range *ranges, unsigned int nr)
{
	for (unsigned int c = 0; c < FAKE_MAX_VCPUS; c++) {
		struct fake_vcpu *v = &h->vcpus[c];

		pthread_mutex_lock(&v->lock);
		for (unsigned int i = 0; i < FAKE_TLB_SLOTS; i++)
			if (v->tlb[i].nr && in_ranges(&v->tlb[i], ranges, nr))
				v->tlb[i].nr = 0;
		pthread_mutex_unlock(&v->lock);
	}
}

void fake_mmu_flush_tables(struct fake_host *h)
{
	for (unsigned int c = 0; c < FAKE_MAX_VCPUS; c++) {
		struct fake_vcpu *v = &h->vcpus[c];

		pthread_mutex_lock(&v->lock);
		memset(v->pde, 0, sizeof(v->pde));
		for (unsigned int i = 0; i < FAKE_TLB_SLOTS; i++)
			if (v->tlb[i].nr > 1)
				v->tlb[i].nr = 0;
		pthread_mutex_unlock(&v->lock);
	}
}

bool fake_cached(struct fake_host *h, pfn_t pfn, uint32_t nr)
{
	struct frame_range range = { pfn, nr };
	bool found = false;

	for (unsigned int c = 0; c < FAKE_MAX_VCPUS && !found; c++) {
		struct fake_vcpu *v = &h->vcpus[c];

		pthread_mutex_lock(&v->lock);
		for (unsigned int i = 0; i < FAKE_TLB_SLOTS && !found; i++)
			found = v->tlb[i].nr && in_ranges(&v->tlb[i], &range, 1);
		pthread_mutex_unlock(&v->lock);
	}
	return found;
}

void fake_mmu_check_reuse(struct fake_host *h, pfn_t pfn, uint32_t nr, const char *what)
{
	if (fake_cached(h, pfn, nr))
		fake_violation(h, "%s frames %#lx + %u while a vCPU still has a translation", what,
			       pfn.v, nr);
}

/* What, if anything, @t allows that its entry does not. vCPU lock held. */
static const char *tlb_too_wide(struct fake_host *h, const struct fake_tlb_entry *t)
{
	gva_t addr = gva_make(t->page << UMM_PAGE_SHIFT);
	bool huge;
	uint64_t e = fake_entry(h, t->root, addr, &huge);

	if (!(e & PTE_PRESENT))
		return "the entry is gone";
	if (pte_pfn(e).v != t->pfn.v || huge != (t->nr > 1))
		return "the entry maps another frame";
	if (t->writable && !(e & PTE_WRITE))
		return "the entry is read-only";
	if (t->dirty && !(e & PTE_DIRTY))
		return "D was cleared";
	if (t->executable && (e & PTE_NX))
		return "the entry is not executable";
	return NULL;
}

void fake_mmu_check_source(struct fake_host *h, pfn_t pfn, uint32_t nr, const char *what)
{
	struct frame_range range = { pfn, nr };

	if (h->config.concurrent)
		return;
	for (unsigned int c = 0; c < FAKE_MAX_VCPUS; c++)
		for (unsigned int i = 0; i < FAKE_TLB_SLOTS; i++) {
			const struct fake_tlb_entry *t = &h->vcpus[c].tlb[i];

			if (t->nr && t->writable && in_ranges(t, &range, 1) && tlb_too_wide(h, t))
				fake_violation(h, "%s frame %#lx: a vCPU may still store to it: %s",
					       what, pfn.v, tlb_too_wide(h, t));
		}
}

static void check_pdes(struct fake_host *h, const struct fake_vcpu *v)
{
	for (unsigned int i = 0; i < FAKE_PDE_SLOTS; i++) {
		const struct fake_pde_entry *c = &v->pde[i];
		gva_t addr = gva_make(c->region << UMM_PMD_SHIFT);
		uint64_t *pmd = c->valid ? walk_to(h, c->root, addr, 1) : NULL;
		uint64_t e = pmd ? pte_read(pmd) : 0;
		const uint64_t *table = c->valid && !c->leaf ? table_at(h, c->table) : NULL;

		/* A table that nobody points at any more is harmless while it is empty. */
		if (!c->valid || c->leaf || ((e & PTE_PRESENT) && pte_pfn(e).v == c->table.v))
			continue;
		for (unsigned int j = 0; j < UMM_PTRS_PER_TABLE; j++)
			if (pte_read(&table[j])) {
				fake_violation(h, "table %#lx was reused before a table flush",
					       c->table.v);
				break;
			}
	}
}

uint64_t fake_check(struct fake_host *h)
{
	for (unsigned int c = 0; c < FAKE_MAX_VCPUS; c++) {
		struct fake_vcpu *v = &h->vcpus[c];

		pthread_mutex_lock(&v->lock);
		for (unsigned int i = 0; i < FAKE_TLB_SLOTS; i++) {
			struct fake_tlb_entry *t = &v->tlb[i];
			const char *why = t->nr ? tlb_too_wide(h, t) : NULL;

			if (!why)
				continue;
			fake_violation(h, "vCPU %u keeps %#lx -> frame %#lx%s, but %s", c,
				       t->page << UMM_PAGE_SHIFT, t->pfn.v,
				       t->writable ? " (writable)" : "", why);
			t->nr = 0;
		}
		check_pdes(h, v);
		pthread_mutex_unlock(&v->lock);
	}
	return __atomic_load_n(&h->violations, __ATOMIC_RELAXED);
}
