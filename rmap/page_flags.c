/* SPDX-License-Identifier: MIT */
/*
 * What is told of single frames, by number: flags, map counts, idleness. Nothing is
 * locked to look: the frame may be another folio's a moment later, as on Linux.
 */
#include <linux/kernel-page-flags.h>
#include <umm/pagemap.h>
#include "rmap/internal.h"

/* Linux's own, not for other programs: include/linux/kernel-page-flags.h. */
#define KPF_MLOCKED        33
#define KPF_ANON_EXCLUSIVE 47

pfn_t mm_sys_end_pfn(const struct mm_sys *sys)
{
	uint64_t end = 0;

	for (unsigned int i = 0; i < sys->nr_nodes; i++) {
		const struct mm_node *n = &sys->nodes[i];

		if (n->base.v + n->nr_frames > end)
			end = n->base.v + n->nr_frames;
	}
	return pfn_make(end);
}

/* Flags that the head has for all frames of its folio. */
static uint64_t shared_flags(uint32_t flags)
{
	static const struct {
		enum folio_flag bit;
		unsigned int kpf;
	} same[] = {
		{ PG_locked, KPF_LOCKED },
		{ PG_referenced, KPF_REFERENCED },
		{ PG_uptodate, KPF_UPTODATE },
		{ PG_dirty, KPF_DIRTY },
		{ PG_lru, KPF_LRU },
		{ PG_active, KPF_ACTIVE },
		{ PG_writeback, KPF_WRITEBACK },
		{ PG_swapcache, KPF_SWAPCACHE },
		{ PG_swapbacked, KPF_SWAPBACKED },
		{ PG_mlocked, KPF_UNEVICTABLE },
		{ PG_mlocked, KPF_MLOCKED },
		{ PG_idle, KPF_IDLE },
	};
	uint64_t u = 0;

	for (size_t i = 0; i < sizeof(same) / sizeof(*same); i++)
		if (flags & (1u << same[i].bit))
			u |= 1ul << same[i].kpf;
	return u;
}

uint64_t mm_page_flags(const struct mm_sys *sys, pfn_t pfn)
{
	const struct folio *frame = sys_frame(sys, pfn), *f;
	uint64_t u;

	if (!frame)
		return 1ul << KPF_NOPAGE;
	f = folio_head((struct folio *)frame);
	u = folio_test(frame, PG_hwpoison) ? 1ul << KPF_HWPOISON : 0;
	if (!folio_refcount(f))
		return u | 1ul << KPF_BUDDY;
	u |= shared_flags(folio_flags(f));
	if (folio_frame_mapcount(f, frame))
		u |= 1ul << KPF_MMAP;
	if (folio_test_anon(f))
		u |= 1ul << KPF_ANON;
	if (folio_test_ksm(f))
		u |= 1ul << KPF_KSM;
	if (folio_test(frame, PG_head))
		u |= 1ul << KPF_COMPOUND_HEAD;
	if (folio_test(frame, PG_tail))
		u |= 1ul << KPF_COMPOUND_TAIL;
	if (folio_test(f, PG_head))
		u |= 1ul << KPF_THP;
	if (folio_test(frame, PG_anon_exclusive))
		u |= 1ul << KPF_ANON_EXCLUSIVE;
	return u;
}

uint64_t mm_page_count(const struct mm_sys *sys, pfn_t pfn)
{
	struct folio *frame = sys_frame(sys, pfn), *f = frame ? folio_head(frame) : NULL;
	int nr = f && folio_refcount(f) ? folio_frame_mapcount(f, frame) : 0;

	return nr > 0 ? (uint64_t)nr : 0;
}

/* ---- idleness ----------------------------------------------------------------------------- */

/* With a reference: the folio that begins at the frame, if the reclaim policy has it. */
static struct folio *get_idle_folio(struct mm_sys *sys, pfn_t pfn)
{
	struct folio *f = sys_frame(sys, pfn);

	if (!f || folio_test(f, PG_tail) || !folio_test(f, PG_lru) || !folio_try_get(f))
		return NULL;
	if (!folio_test(f, PG_tail) && folio_test(f, PG_lru))
		return f;
	folio_put(sys, folio_head(f));
	return NULL;
}

static bool look_idle(struct mm_sys *sys, pfn_t pfn)
{
	struct folio *f = get_idle_folio(sys, pfn);
	bool idle;

	if (!f)
		return false;
	idle = folio_test(f, PG_idle);
	if (idle) {
		page_idle_clear_pte_refs(sys, f);
		idle = folio_test(f, PG_idle);
	}
	folio_put(sys, f);
	return idle;
}

static void mark_idle(struct mm_sys *sys, pfn_t pfn, struct zap_batch *zap)
{
	struct folio *f = get_idle_folio(sys, pfn);

	if (!f)
		return;
	page_idle_clear_pte_refs(sys, f);
	folio_set(f, PG_idle);
	if (folio_mapped(f))
		zap_batch_add(zap, pfn, folio_nr(f));
	folio_put(sys, f);
}

void mm_page_idle_read(struct mm_sys *sys, pfn_t first, uint64_t *words, unsigned int nr)
{
	for (unsigned int w = 0; w < nr; w++) {
		words[w] = 0;
		umm_read_lock(&sys->work_lock);
		for (unsigned int bit = 0; bit < 64; bit++)
			if (look_idle(sys, pfn_add(first, w * 64 + bit)))
				words[w] |= 1ul << bit;
		umm_read_unlock(&sys->work_lock);
	}
}

void mm_page_idle_mark(struct mm_sys *sys, pfn_t first, const uint64_t *words, unsigned int nr)
{
	struct zap_batch zap;

	zap_batch_init(&zap, sys);
	for (unsigned int w = 0; w < nr; w++) {
		umm_read_lock(&sys->work_lock);
		for (unsigned int bit = 0; bit < 64; bit++)
			if (words[w] >> bit & 1)
				mark_idle(sys, pfn_add(first, w * 64 + bit), &zap);
		umm_read_unlock(&sys->work_lock);
	}
	zap_batch_destroy(&zap);
}
