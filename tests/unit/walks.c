/* SPDX-License-Identifier: MIT */
/* Logged rmap walks; see walks.h. */
#include "tests/unit/walks.h"

static bool log_one(struct folio *f, struct vma *vma, gva_t addr, void *arg)
{
	struct walk_log *log = arg;

	(void)f;
	if (log->nr < WALK_MAX) {
		log->vma[log->nr] = vma;
		log->addr[log->nr] = addr;
	}
	log->nr++;
	return log->nr != log->stop_after;
}

static bool log_invalid(struct vma *vma, void *arg)
{
	struct walk_log *log = arg;

	return vma == log->invalid;
}

void walk_init(struct walk_log *log)
{
	memset(log, 0, sizeof(*log));
	log->rwc.arg = log;
	log->rwc.rmap_one = log_one;
	log->rwc.invalid_vma = log_invalid;
}

void walk_folio(struct fake_host *h, struct folio *f, struct walk_log *log)
{
	walk_init(log);
	if (folio_test_anon(f)) {
		rmap_walk(f, &log->rwc);
		return;
	}
	folio_lock(h->sys, f);
	rmap_walk(f, &log->rwc);
	folio_unlock(h->sys, f);
}

bool walk_saw(const struct walk_log *log, const struct vma *vma)
{
	for (unsigned int i = 0; i < log->nr && i < WALK_MAX; i++)
		if (log->vma[i] == vma)
			return true;
	return false;
}

void pvmw_collect(struct folio *f, struct vma *vma, unsigned int flags, struct pvmw_log *log)
{
	struct page_vma_mapped_walk w;
	gva_t addr;

	memset(log, 0, sizeof(*log));
	if (vma_address(vma, f->index, folio_nr(f), &addr))
		return;
	pvmw_init(&w, f, vma, addr, flags);
	while (page_vma_mapped_walk(&w)) {
		if (log->nr < WALK_MAX) {
			log->addr[log->nr] = w.address;
			log->entry[log->nr] = pte_read(w.pte ? w.pte : w.pmd);
		}
		log->huge += !w.pte;
		log->nr++;
	}
}

static bool ranges_overlap(const struct folio *f, const struct vma *vma)
{
	return f->index.v < vma->pgoff.v + vma_pages(vma) &&
	       vma->pgoff.v < f->index.v + folio_nr(f);
}

static bool area_belongs(struct folio *f, const struct vma *vma)
{
	uintptr_t av = folio_mapping_raw(f) & ~FOLIO_MAPPING_FLAGS;
	struct anon_vma_chain *avc;

	if (!folio_test_anon(f))
		return vma->mapping && vma->mapping == folio_file_mapping(f);
	list_for_each_entry(avc, &vma->anon_vma_chain, same_vma)
	{
		if ((uintptr_t)avc->anon_vma == av)
			return true;
	}
	return false;
}

unsigned int walk_expect(struct folio *f, struct mm *const *mms, unsigned int nr_mms,
			 struct vma **out)
{
	unsigned int nr = 0;

	for (unsigned int i = 0; i < nr_mms; i++) {
		umm_read_lock(&mms[i]->mmap_lock);
		for (struct vma *v = vma_first(mms[i]); v; v = vma_next(v))
			if (ranges_overlap(f, v) && area_belongs(f, v) && nr < WALK_MAX)
				out[nr++] = v;
		umm_read_unlock(&mms[i]->mmap_lock);
	}
	return nr;
}

void walk_check(struct fake_host *h, struct folio *f, struct mm *const *mms, unsigned int nr_mms)
{
	static struct vma *expect[WALK_MAX];
	static struct walk_log log;
	unsigned int nr = walk_expect(f, mms, nr_mms, expect);

	walk_folio(h, f, &log);
	CU_ASSERT_EQUAL(log.nr, nr);
	for (unsigned int i = 0; i < nr; i++)
		CU_ASSERT_TRUE(walk_saw(&log, expect[i]));
	for (unsigned int i = 0; i < log.nr && i < WALK_MAX; i++) {
		uint64_t first = log.vma[i]->pgoff.v;
		uint64_t page = f->index.v > first ? f->index.v - first : 0;

		CU_ASSERT_EQUAL(log.addr[i].v, page_at(log.vma[i]->start, page).v);
	}
}
