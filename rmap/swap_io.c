/* SPDX-License-Identifier: MIT */
/*
 * Moving pages between frames and swap slots, many at a time.
 *
 * Writing: pages that are all zero are only marked in the slot map. Reading: a
 * frame enters the swap cache locked and not up to date before the transfer, so
 * that everybody else who wants the slot waits for this one read.
 */
#include "rmap/internal.h"
#include "rmap/swap.h"

static bool frame_is_zero(const struct mm_sys *sys, pfn_t pfn)
{
	const uint64_t *w = frame_hva(sys, pfn);

	for (unsigned int i = 0; i < UMM_PAGE_SIZE / sizeof(*w); i += 8) {
		if (w[i] | w[i + 1] | w[i + 2] | w[i + 3] | w[i + 4] | w[i + 5] | w[i + 6] |
		    w[i + 7])
			return false;
	}
	return true;
}

static bool folio_is_zero(const struct mm_sys *sys, struct folio *f)
{
	pfn_t pfn = folio_pfn(sys, f);

	for (unsigned int i = 0; i < folio_nr(f); i++) {
		if (!frame_is_zero(sys, pfn_add(pfn, i)))
			return false;
	}
	return true;
}

static struct swap_io folio_io(const struct mm_sys *sys, struct folio *f, bool write)
{
	swp_entry_t e = { f->swap };

	return (struct swap_io){
		.area = sys->swap->areas[swp_type(e)].host,
		.slot = swp_offset(e),
		.pfn = folio_pfn(sys, f),
		.nr = folio_nr(f),
		.write = write,
	};
}

/* Consecutive slots and consecutive frames make one transfer. */
static bool io_follows(const struct swap_io *last, const struct swap_io *next)
{
	return last->area == next->area && last->slot + last->nr == next->slot &&
	       last->pfn.v + last->nr == next->pfn.v;
}

/* Add a folio's transfer to the list; returns the index of the one that covers it. */
static unsigned int io_add(const struct mm_sys *sys, struct swap_io *ios, unsigned int *nr,
			   struct folio *f, bool write)
{
	struct swap_io io = folio_io(sys, f, write);

	if (*nr && io_follows(&ios[*nr - 1], &io))
		ios[*nr - 1].nr += io.nr;
	else
		ios[(*nr)++] = io;
	return *nr - 1;
}

void swap_write_folios(struct mm_sys *sys, struct folio **f, int *errors, unsigned int nr)
{
	struct swap_io ios[SWAP_BATCH];
	int which[SWAP_BATCH];
	unsigned int n = 0;

	mm_assert(nr <= SWAP_BATCH);
	for (unsigned int i = 0; i < nr; i++) {
		bool zero = folio_is_zero(sys, f[i]);

		swap_set_zero(sys, (swp_entry_t){ f[i]->swap }, folio_nr(f[i]), zero);
		if (zero)
			sys_count(sys, EV_PGSWAP_ZERO, folio_nr(f[i]));
		which[i] = zero ? -1 : (int)io_add(sys, ios, &n, f[i], true);
	}
	if (n)
		(void)!sys->ops->swap_io(sys->ctx, ios, n); /* each has its own error */
	for (unsigned int i = 0; i < nr; i++) {
		errors[i] = which[i] < 0 ? 0 : ios[which[i]].error;
		if (which[i] >= 0 && !errors[i])
			sys_count(sys, EV_PGSWAPOUT, folio_nr(f[i]));
		if (errors[i] == -ENOSPC)
			swap_area_found_full(sys, (swp_entry_t){ f[i]->swap });
	}
}

/* A new frame for the slot, in the cache and locked. NULL: *found or an error. */
static struct folio *start_read(struct mm_sys *sys, swp_entry_t e, struct place place,
				unsigned int flags, struct folio **found, int *err)
{
	struct folio *f;

	*found = swap_cache_find(sys, e);
	if (*found)
		return NULL;
	f = folio_alloc_at(sys, place, 0, flags);
	if (!f) {
		*err = -ENOMEM;
		return NULL;
	}
	folio_set(f, PG_swapbacked);
	if (!folio_trylock(f))
		mm_assert(false);
	*err = swap_cache_insert(sys, f, e);
	if (!*err)
		return f;
	folio_unlock(sys, f);
	folio_put(sys, f);
	if (*err == -EEXIST) {
		*found = swap_cache_find(sys, e);
		*err = *found ? 0 : -EAGAIN;
	}
	return NULL;
}

/*
 * Let go of the lock. A folio that could not be read leaves the cache, so that
 * whoever comes next tries again.
 */
static void finish_read(struct mm_sys *sys, struct folio *f, int error)
{
	if (error) {
		swap_del_folio(sys, f);
	} else {
		folio_set(f, PG_uptodate);
		lru_add_read(sys, f);
		sys_count(sys, EV_PGSWAPIN, 1);
	}
	folio_unlock(sys, f);
}

/* What is being read by one call of swap_read_folios(). */
struct swap_read {
	struct swap_io ios[SWAP_READ_MAX];
	unsigned int nr_ios;
	struct folio *fresh[SWAP_READ_MAX]; /* by index of the request; NULL: not ours to read */
	int io[SWAP_READ_MAX];              /* its transfer; -1: zero page */
};

static void start_one(struct mm_sys *sys, struct swap_read *r, unsigned int i, swp_entry_t e,
		      struct place place, struct folio **out, int *err)
{
	struct folio *found = NULL;

	r->fresh[i] = NULL;
	out[i] = NULL;
	/* Only the first is needed; nothing is reclaimed for its neighbours. */
	if (i && frames_nr_free(sys) < 4 * SWAP_READ_MAX)
		return;
	r->fresh[i] = start_read(sys, e, place, i ? ALLOC_NORECLAIM : 0, &found, err);
	out[i] = r->fresh[i] ? r->fresh[i] : found;
	if (r->fresh[i])
		r->io[i] = swap_is_zero(sys, e)
				   ? -1
				   : (int)io_add(sys, r->ios, &r->nr_ios, out[i], false);
}

int swap_read_folios(struct mm_sys *sys, const swp_entry_t *e, const struct place *places,
		     unsigned int nr, struct folio **out)
{
	struct swap_read r = { .nr_ios = 0 };
	int first_err = 0;

	mm_assert(nr <= SWAP_READ_MAX);
	for (unsigned int i = 0; i < nr; i++) {
		int err = 0;

		start_one(sys, &r, i, e[i], places[i], out, &err);
		if (!i)
			first_err = err;
	}
	if (r.nr_ios)
		(void)!sys->ops->swap_io(sys->ctx, r.ios, r.nr_ios);
	for (unsigned int i = 0; i < nr; i++) {
		int err;

		if (!r.fresh[i])
			continue;
		if (r.io[i] < 0)
			err = sys->ops->clear_frames(sys->ctx, folio_pfn(sys, out[i]), 1);
		else
			err = r.ios[r.io[i]].error;
		finish_read(sys, out[i], err);
		if (!err)
			continue;
		folio_put(sys, out[i]);
		out[i] = NULL;
		if (!i)
			first_err = -EIO;
	}
	return first_err;
}
