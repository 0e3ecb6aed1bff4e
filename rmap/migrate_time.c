/* SPDX-License-Identifier: MIT */
/*
 * What a migration is held against, measured in the same run: rmap walks that
 * only look, and bare copies of the same frames.
 */
#include "rmap/migrate.h"

static bool count_one(struct folio *f, struct vma *vma, gva_t addr, void *arg)
{
	struct page_vma_mapped_walk w;
	uint64_t *found = arg;

	pvmw_init(&w, f, vma, addr, PVMW_SYNC);
	while (page_vma_mapped_walk(&w))
		++*found;
	return true;
}

void migrate_time_walks(struct migration *m)
{
	struct rmap_walk_control rwc = {
		.arg = &m->res->mappings,
		.rmap_one = count_one,
		.anon_lock = folio_lock_anon_vma_read,
	};
	uint64_t start = migrate_now_ns();

	for (unsigned int i = 0; i < m->nr; i++) {
		if (folio_mapped(m->items[i].src))
			rmap_walk(m->items[i].src, &rwc);
	}
	m->res->ns_walk += migrate_now_ns() - start;
}

static bool joins(const struct frame_copy *run, pfn_t src, pfn_t dst)
{
	return run->src.v + run->nr == src.v && run->dst.v + run->nr == dst.v;
}

void migrate_keep(struct migration *m, struct folio **dst, struct folio **src, unsigned int nr)
{
	uint64_t start = migrate_now_ns();

	for (unsigned int i = 0; i < nr; i++) {
		src[i]->swap = folio_pfn(m->sys, dst[i]).v;
		list_add_tail(&src[i]->lru, &m->kept);
	}
	m->res->ns_aside += migrate_now_ns() - start;
}

/* The next batch of kept sources into m->copies, neighbours joined, and m->put. */
static unsigned int fill_kept(struct migration *m, unsigned int *folios)
{
	unsigned int nr = 0, frames = 0;

	*folios = 0;
	while (!list_empty(&m->kept) && frames < MIGRATE_BATCH) {
		struct folio *f = list_first_entry(&m->kept, struct folio, lru);
		pfn_t back = folio_pfn(m->sys, f), from = pfn_make(f->swap);

		list_del(&f->lru);
		f->swap = 0;
		m->put[(*folios)++] = f;
		frames += folio_nr(f);
		if (nr && joins(&m->copies[nr - 1], from, back))
			m->copies[nr - 1].nr += folio_nr(f);
		else
			m->copies[nr++] =
				(struct frame_copy){ .dst = back, .src = from, .nr = folio_nr(f) };
	}
	return nr;
}

void migrate_time_kept(struct migration *m)
{
	uint64_t start = migrate_now_ns(), filled, copied;
	unsigned int nr, folios;

	while ((nr = fill_kept(m, &folios))) {
		filled = migrate_now_ns();
		/* What a frame holds that nobody owns does not matter. */
		(void)m->sys->ops->copy_runs(m->sys->ctx, m->copies, nr);
		copied = migrate_now_ns();
		m->res->ns_aside += filled - start;
		m->res->ns_bare += copied - filled;
		/* To free them is part of the move. */
		folio_free_list(m->sys, m->put, folios);
		start = migrate_now_ns();
		m->res->ns_restore += start - copied;
	}
}
