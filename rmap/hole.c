/* SPDX-License-Identifier: MIT */
/*
 * The other mechanism of reclaim: a folio stays mapped and its frames stay taken, but the
 * host memory behind them goes (ops->hole_protect; vmm/holes.h has the how). It is there to be
 * compared with unmapping, which makes frames free for anybody.
 *
 * To the rest of the manager a hole is a frame like others. Whoever touches its content,
 * vCPU or host, waits until that is back; no lock of the manager plays a part in that. So
 * all that is done here is to choose, to look for pins, and to tell when a frame is free.
 *
 * PG_holed is set before the first frame of a folio goes and stays until the folio is free:
 * a hint that it is worth asking.
 */
#include "rmap/shrink.h"

bool folio_is_hole(const struct mm_sys *sys, const struct folio *f)
{
	return folio_test(f, PG_holed) &&
	       !sys->ops->hole_here(sys->ctx, folio_pfn(sys, f), folio_nr(f));
}

bool frame_is_hole(const struct mm_sys *sys, pfn_t pfn)
{
	return folio_test(folio_head(sys_frame(sys, pfn)), PG_holed) &&
	       !sys->ops->hole_here(sys->ctx, pfn, 1);
}

int folio_fill(struct mm_sys *sys, struct folio *f)
{
	return folio_test(f, PG_holed)
		       ? sys->ops->hole_fill(sys->ctx, folio_pfn(sys, f), folio_nr(f))
		       : 0;
}

bool folio_drop_holes(struct mm_sys *sys, struct folio *f)
{
	pfn_t pfn = folio_pfn(sys, f);

	if (!folio_test(f, PG_holed))
		return false;
	sys->ops->hole_drop(sys->ctx, pfn, folio_nr(f));
	return !sys->ops->discard_frames(sys->ctx, pfn, folio_nr(f));
}

/* What became of a victim, which goes back to its policy: it still is a folio in use. */
static void account(struct shrink *s, struct folio *f, const struct frame_hole *h)
{
	s->res->freed += h->punched;
	s->res->zero += h->zero;
	s->res->swapped += h->punched - h->zero;
	if (h->keep)
		s->res->pinned += folio_nr(f);
	else if (h->error == -ENOSPC)
		s->res->no_swap += h->stayed;
	else if (h->error)
		s->res->io_error += h->stayed;
	else
		s->res->busy += h->stayed;
	if (h->error && h->error != -ENOSPC && !s->error)
		s->error = h->error;
}

void hole_victims(struct shrink *s)
{
	struct frame_hole v[BATCH];
	unsigned int nr = s->nr_victims;
	int rc;

	if (!nr)
		return;
	for (unsigned int i = 0; i < nr; i++) {
		v[i] = (struct frame_hole){ .pfn = folio_pfn(s->sys, s->victims[i]),
					    .nr = folio_nr(s->victims[i]) };
		folio_set(s->victims[i], PG_holed);
	}
	rc = s->sys->ops->hole_protect(s->sys->ctx, v, nr);
	/*
	 * Host I/O that began before may store where no entry is looked at. Who pins from here
	 * on meets the protection.
	 */
	for (unsigned int i = 0; !rc && i < nr; i++)
		v[i].keep = folio_pincount(s->victims[i]);
	if (!rc)
		s->sys->ops->hole_write(s->sys->ctx, v, nr);
	for (unsigned int i = 0; i < nr; i++) {
		if (rc)
			v[i].stayed = v[i].nr;
		v[i].error = rc ? rc : v[i].error;
		account(s, s->victims[i], &v[i]);
		folio_unlock(s->sys, s->victims[i]);
		/* Out of the way: the next victim is to be one that has memory. */
		lru_putback(s->sys, s->victims[i], true);
	}
	s->nr_victims = 0;
}
