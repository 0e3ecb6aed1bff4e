/* SPDX-License-Identifier: MIT */
/* Questions about the state: who maps this frame, what is behind this address, smaps. */
#include "rmap/internal.h"

struct collect {
	struct mm_sys *sys;
	struct folio *frame;
	struct rmap_entry *entries;
	unsigned int max, nr;
};

static bool collect_one(struct folio *f, struct vma *vma, gva_t addr, void *arg)
{
	struct collect *c = arg;
	struct page_vma_mapped_walk w;
	pfn_t pfn = folio_pfn(c->sys, c->frame);

	pvmw_init(&w, f, vma, addr, PVMW_SYNC);
	while (page_vma_mapped_walk(&w)) {
		uint64_t e = pte_read(w.pte ? w.pte : w.pmd);

		/* The question is about one frame, the walk about its folio. */
		if (w.pte && pte_pfn(e).v != pfn.v)
			continue;
		if (c->nr < c->max)
			c->entries[c->nr] = (struct rmap_entry){
				.mm_id = vma->mm->id,
				.vma_start = vma->start,
				.vma_end = vma->end,
				.addr = w.address,
				.vma_flags = vma_flags(vma),
				.entry = e,
				.huge = !w.pte,
			};
		c->nr++;
	}
	return true;
}

static void describe(struct mm_sys *sys, struct folio *frame, struct folio *f,
		     struct frame_info *info)
{
	*info = (struct frame_info){
		.pfn = folio_pfn(sys, frame),
		.head = folio_pfn(sys, f),
		.node = f->node,
		.order = f->order,
		.flags = folio_flags(f),
		.refcount = folio_refcount(f),
		.mapcount = folio_mapcount(f),
		.pincount = folio_pincount(f),
		.anon = folio_test_anon(f),
		.ksm = folio_test_ksm(f),
		.file = folio_file_mapping(f) != NULL,
		.index = folio_index(f),
	};
}

int mm_query_frame(struct mm_sys *sys, pfn_t pfn, struct frame_info *info,
		   struct rmap_entry *entries, unsigned int max, unsigned int *nr)
{
	struct folio *frame = sys_frame(sys, pfn), *f;
	struct collect c = { .sys = sys, .frame = frame, .entries = entries, .max = max };
	struct rmap_walk_control rwc = {
		.arg = &c,
		.rmap_one = collect_one,
		.anon_lock = folio_lock_anon_vma_read,
	};
	bool locked;
	int ret = 0;

	*nr = 0;
	if (!frame)
		return -EINVAL;
	f = folio_head(frame);
	if (!folio_try_get(f)) {
		*info = (struct frame_info){
			.pfn = pfn, .head = pfn, .node = sys_node_of(sys, pfn), .free = true
		};
		return 0;
	}
	/* One that belongs to nothing yet is its maker's to lock: just allocated. */
	locked = folio_mapping_raw(f) != 0;
	if (locked)
		folio_lock(sys, f);
	if (folio_head(frame) != f) {
		ret = -EAGAIN;
		goto out;
	}
	describe(sys, frame, f, info);
	info->refcount--; /* not our own */
	if (locked) {
		info->flags &= ~((1u << PG_locked) | (1u << PG_waiters)); /* our lock */
		if (folio_mapped(f))
			rmap_walk(f, &rwc);
	}
	*nr = c.nr;
out:
	if (locked)
		folio_unlock(sys, f);
	folio_put(sys, f);
	return ret;
}

int mm_query_address(struct mm *mm, gva_t addr, pfn_t *pfn, uint64_t *entry, bool *present)
{
	struct umm_mutex *lock;

	*present = false;
	*entry = 0;
	if (addr.v >= UMM_TASK_SIZE)
		return -EFAULT;
	if (!entry_lock(mm, addr, &lock, entry))
		return 0;
	umm_mutex_unlock(lock);
	if (pte_present(*entry)) {
		*present = true;
		*pfn = pte_pfn(*entry);
	}
	return 0;
}

static void report_vma(struct vma *vma, bool usage, struct vma_report *r)
{
	*r = (struct vma_report){
		.start = vma->start,
		.end = vma->end,
		.flags = vma_flags(vma),
		.pgoff = vma->pgoff,
		.mapping = vma->mapping ? mapping_get(vma->mapping) : NULL,
		.has_anon_vma = __atomic_load_n(&vma->anon_vma, __ATOMIC_ACQUIRE) != NULL,
	};
	r->policy = vma_policy_at(vma, vma->start);
	if (usage)
		usage_range(vma, &r->usage);
}

int mm_for_each_vma(struct mm *mm, bool usage, int (*fn)(const struct vma_report *r, void *arg),
		    void *arg)
{
	int ret = 0;

	umm_read_lock(&mm->mmap_lock);
	for (struct vma *v = vma_first(mm); v && !ret; v = vma_next(v)) {
		struct vma_report r;

		report_vma(v, usage, &r);
		ret = fn(&r, arg);
		mempolicy_put(r.policy);
	}
	umm_read_unlock(&mm->mmap_lock);
	return ret;
}

uint64_t mm_badness(struct mm *mm)
{
	int64_t sum = 0;

	for (int i = 0; i < MM_NR_COUNTERS; i++)
		sum += __atomic_load_n(&mm->counters[i], __ATOMIC_RELAXED);
	return sum > 0 ? (uint64_t)sum : 0;
}
