/* SPDX-License-Identifier: MIT */
/* The validator's reverse half: what each folio says against what the scan found. */
#include "rmap/validate.h"

/* ---- page caches ------------------------------------------------------------- */

static void check_cached(struct validation *v, struct address_space *m, uint64_t index,
			 uintptr_t value, int64_t *dirty)
{
	struct folio *f = (struct folio *)value;

	if (value & 1) {
		swp_entry_t e = shmem_entry(value);

		v->slots[swp_type(e)][swp_offset(e)]++;
		return;
	}
	if (folio_file_mapping(f) != m || f->index.v != index)
		validation_error(v, "page cache: index %#lx holds pfn %#lx, which is another's",
				 index, folio_pfn(v->sys, f).v);
	*dirty += folio_test(f, PG_dirty);
}

void validate_mapping(struct validation *v, struct address_space *m)
{
	int64_t dirty = 0, said;
	uint64_t index = 0;

	umm_mutex_lock(&m->tree_lock);
	for (uintptr_t value; (value = radix_next(&m->pages, &index)); index++)
		check_cached(v, m, index, value, &dirty);
	said = __atomic_load_n(&m->nr_dirty, __ATOMIC_RELAXED);
	umm_mutex_unlock(&m->tree_lock);
	if (m->ops && dirty > said)
		validation_error(v, "page cache: %ld dirty pages, %ld counted", dirty, said);
	umm_read_lock(&m->i_mmap_lock);
	if (!itree_valid(&m->i_mmap))
		validation_error(v, "page cache: broken tree of areas");
	umm_read_unlock(&m->i_mmap_lock);
}

/* ---- folios ------------------------------------------------------------------- */

static bool count_one(struct folio *f, struct vma *vma, gva_t addr, void *arg)
{
	struct page_vma_mapped_walk w;
	uint64_t *found = arg;

	pvmw_init(&w, f, vma, addr, PVMW_SYNC);
	while (page_vma_mapped_walk(&w))
		++*found;
	return true;
}

/* Law 1: the walk finds exactly the entries that the scan found. */
static void check_reverse(struct validation *v, struct folio *f, uint64_t forward)
{
	uint64_t found = 0;
	struct rmap_walk_control rwc = { .arg = &found, .rmap_one = count_one };

	if (forward)
		rmap_walk(f, &rwc);
	if (found != forward)
		validation_error(v, "pfn %#lx: %lu entries map it, the reverse walk finds %lu",
				 folio_pfn(v->sys, f).v, forward, found);
}

static uint64_t check_frames(struct validation *v, struct folio *f, uint64_t *frames_mapped,
			     uint32_t leaves)
{
	uint64_t sum = 0;

	*frames_mapped = 0;
	for (unsigned int i = 0; i < folio_nr(f); i++) {
		uint32_t found = *validation_count(v, f + i);
		int32_t said = __atomic_load_n(&f[i].mapcount, __ATOMIC_RELAXED);

		if (found != (uint32_t)said)
			validation_error(v, "pfn %#lx: map count %d, %u entries",
					 folio_pfn(v->sys, f + i).v, said, found);
		if (folio_test(f + i, PG_anon_exclusive) && found + leaves > 1)
			validation_error(v, "pfn %#lx: exclusive, and mapped %u times",
					 folio_pfn(v->sys, f + i).v, found + leaves);
		sum += found;
		*frames_mapped += found > 0;
	}
	return sum;
}

static void check_folio(struct validation *v, struct folio *f)
{
	uint32_t leaves = f->order == UMM_PMD_ORDER ? *validation_leaves(v, f) : 0;
	uint64_t frames_mapped, sum = check_frames(v, f, &frames_mapped, leaves) + leaves;
	int64_t refs = (int64_t)sum;

	if (leaves && f[1].large.entire_mapcount != (int32_t)leaves)
		validation_error(v, "pfn %#lx: %d leaves by its count, %u found",
				 folio_pfn(v->sys, f).v, f[1].large.entire_mapcount, leaves);
	if (sum != (uint64_t)folio_mapcount(f))
		validation_error(v, "pfn %#lx: total map count %d, %lu entries",
				 folio_pfn(v->sys, f).v, folio_mapcount(f), sum);
	if (f->order && f[1].large.nr_frames_mapped != (int32_t)frames_mapped)
		validation_error(v, "pfn %#lx: %d frames mapped by its count, %lu by entries",
				 folio_pfn(v->sys, f).v, f[1].large.nr_frames_mapped,
				 frames_mapped);
	refs += folio_test(f, PG_swapcache) + (folio_file_mapping(f) != NULL);
	if (folio_refcount(f) - 1 < refs) /* one is ours */
		validation_error(v, "pfn %#lx: %d references, %ld needed", folio_pfn(v->sys, f).v,
				 folio_refcount(f) - 1, refs);
	if (folio_pincount(f) < 0)
		validation_error(v, "pfn %#lx: pin count %d", folio_pfn(v->sys, f).v,
				 folio_pincount(f));
	if (folio_test_ksm(f) && ksm_folio_wrong(v->sys, f))
		validation_error(v, "pfn %#lx: merged, and %s", folio_pfn(v->sys, f).v,
				 ksm_folio_wrong(v->sys, f));
	check_reverse(v, f, sum);
}

static void check_free(struct validation *v, struct folio *frame)
{
	if (*validation_count(v, frame))
		validation_error(v, "pfn %#lx: free, and mapped", folio_pfn(v->sys, frame).v);
}

static void check_free_count(struct validation *v, struct mm_node *n)
{
	uint64_t sum;

	umm_mutex_lock(&n->free_lock);
	sum = n->nr_frames - n->fresh;
	for (unsigned int o = 0; o <= UMM_MAX_ORDER; o++) {
		struct folio *f;

		uint64_t blocks = 0;

		list_for_each_entry(f, &n->free[o], lru) blocks++;
		sum += blocks << o;
		if (blocks != n->nr_blocks[o])
			validation_error(v, "node %d: %lu free blocks of order %u by count, %lu",
					 n->id, n->nr_blocks[o], o, blocks);
	}
	if (sum != n->nr_free)
		validation_error(v, "node %d: %lu frames free by count, %lu on the lists", n->id,
				 n->nr_free, sum);
	umm_mutex_unlock(&n->free_lock);
}

void validate_node(struct validation *v, struct mm_node *n)
{
	struct mm_sys *sys = v->sys;

	v->report->frames += n->nr_frames;
	for (uint64_t i = 0; i < n->fresh;) {
		struct folio *f = &n->frames[i];

		if (!folio_try_get(f)) {
			check_free(v, f);
			i++;
			continue;
		}
		if (folio_test(f, PG_tail)) {
			validation_error(v, "pfn %#lx: a tail with references of its own",
					 folio_pfn(sys, f).v);
			folio_put(sys, f);
			i++;
			continue;
		}
		folio_lock(sys, f);
		check_folio(v, f);
		i += folio_nr(f);
		folio_unlock(sys, f);
		folio_put(sys, f);
	}
	check_free_count(v, n);
}

/* ---- swap ---------------------------------------------------------------------- */

void validate_swap(struct validation *v)
{
	struct swap *sw = v->sys->swap;

	umm_mutex_lock(&sw->lock);
	for (unsigned int i = 0; i < sw->nr_areas; i++) {
		struct swap_area *a = &sw->areas[i];
		uint64_t used = 0;

		for (uint64_t s = 0; s < a->nr; s++) {
			uint32_t said = a->map[s] & SLOT_COUNT;

			used += said || a->cache[s];
			if (said != v->slots[i][s])
				validation_error(v,
						 "swap %u: slot %lu counted %u times, named %u "
						 "times",
						 i, s, said, v->slots[i][s]);
		}
		if (used != a->used)
			validation_error(v, "swap %u: %lu slots used by count, %lu found", i,
					 a->used, used);
	}
	umm_mutex_unlock(&sw->lock);
}
