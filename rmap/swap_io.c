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

void swap_write_folios(struct mm_sys *sys, struct folio **f, int *errors, unsigned int nr)
{
	struct swap_io ios[SWAP_BATCH];
	unsigned int which[SWAP_BATCH], n = 0;

	mm_assert(nr <= SWAP_BATCH);
	for (unsigned int i = 0; i < nr; i++) {
		bool zero = folio_is_zero(sys, f[i]);

		errors[i] = 0;
		swap_set_zero(sys, (swp_entry_t){ f[i]->swap }, folio_nr(f[i]), zero);
		if (zero) {
			sys_count(sys, EV_PGSWAP_ZERO, folio_nr(f[i]));
			continue;
		}
		which[n] = i;
		ios[n++] = folio_io(sys, f[i], true);
	}
	if (n)
		(void)!sys->ops->swap_io(sys->ctx, ios, n); /* each has its own error */
	for (unsigned int i = 0; i < n; i++) {
		errors[which[i]] = ios[i].error;
		if (!ios[i].error)
			sys_count(sys, EV_PGSWAPOUT, ios[i].nr);
	}
}

/* A new frame for the slot, in the cache and locked. NULL: *found or an error. */
static struct folio *start_read(struct mm_sys *sys, swp_entry_t e, int node, unsigned int flags,
				struct folio **found, int *err)
{
	struct folio *f;

	*found = swap_cache_find(sys, e);
	if (*found)
		return NULL;
	f = folio_alloc(sys, node, 0, flags);
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

static void finish_read(struct mm_sys *sys, struct folio *f, int error)
{
	if (!error)
		folio_set(f, PG_uptodate);
	lru_add(sys, f, false);
	folio_unlock(sys, f);
}

int swap_read_folios(struct mm_sys *sys, const swp_entry_t *e, unsigned int nr, int node,
		     struct folio **out)
{
	struct swap_io ios[SWAP_READ_MAX];
	struct folio *fresh[SWAP_READ_MAX];
	unsigned int n = 0;
	int first_err = 0;

	mm_assert(nr <= SWAP_READ_MAX);
	for (unsigned int i = 0; i < nr; i++) {
		/* Only the first is needed; nothing is reclaimed for its neighbours. */
		unsigned int flags = i ? ALLOC_NORECLAIM : 0;
		struct folio *found = NULL, *f;
		int err = 0;

		if (i && frames_nr_free(sys) < 4 * SWAP_READ_MAX) {
			out[i] = NULL;
			continue;
		}
		f = start_read(sys, e[i], node, flags, &found, &err);
		out[i] = f ? f : found;
		if (!i)
			first_err = err;
		if (!f)
			continue;
		if (swap_is_zero(sys, e[i])) {
			int ret = sys->ops->clear_frames(sys->ctx, folio_pfn(sys, f), 1);

			finish_read(sys, f, ret);
			continue;
		}
		fresh[n] = f;
		ios[n++] = folio_io(sys, f, false);
	}
	if (n)
		(void)!sys->ops->swap_io(sys->ctx, ios, n);
	for (unsigned int i = 0; i < n; i++) {
		finish_read(sys, fresh[i], ios[i].error);
		sys_count(sys, EV_PGSWAPIN, 1);
	}
	return first_err;
}
