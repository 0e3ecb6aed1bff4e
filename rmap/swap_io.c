/* SPDX-License-Identifier: MIT */
/*
 * Moving pages between frames and swap slots, many at a time.
 *
 * Writing: pages that are all zero are only marked in the slot map. Reading: a
 * frame enters the swap cache locked and not up to date before the transfer, so
 * that everybody else who wants the slot waits for this one read.
 */
#include "rmap/fault_wait.h"
#include "rmap/swap.h"
#include "rmap/swap_write.h"

/*
 * Pages. Most tell by their first word that they are not zero, and that word misses the
 * cache and the TLB: asked for so far ahead, it takes 0.1 us a page where it took 0.27.
 */
#define LOOK_AHEAD 8u
/* Pages: several writes in flight are faster than one as large as all of them. */
#define WRITE_PIECE 64u

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

	if (*nr && io_follows(&ios[*nr - 1], &io) &&
	    (!write || ios[*nr - 1].nr + io.nr <= WRITE_PIECE))
		ios[*nr - 1].nr += io.nr;
	else
		ios[(*nr)++] = io;
	return *nr - 1;
}

/* Which are all zero; how many frames that is. */
static uint64_t find_zero(const struct mm_sys *sys, struct folio *const *f, bool *zero,
			  unsigned int nr)
{
	uint64_t frames = 0;

	for (unsigned int i = 0; i < nr && i < LOOK_AHEAD; i++)
		__builtin_prefetch(frame_hva(sys, folio_pfn(sys, f[i])));
	for (unsigned int i = 0; i < nr; i++) {
		if (i + LOOK_AHEAD < nr)
			__builtin_prefetch(frame_hva(sys, folio_pfn(sys, f[i + LOOK_AHEAD])));
		zero[i] = folio_is_zero(sys, f[i]);
		frames += zero[i] ? folio_nr(f[i]) : 0;
	}
	return frames;
}

void swap_write_start(struct mm_sys *sys, struct swap_write *w)
{
	bool zero[SWAP_BATCH];

	mm_assert(w->nr && w->nr <= SWAP_BATCH);
	w->nr_ios = 0;
	w->started = NULL;
	w->zero = find_zero(sys, w->folios, zero, w->nr);
	sys_count(sys, EV_PGSWAP_ZERO, w->zero);
	swap_set_zero(sys, w->folios, zero, w->nr);
	for (unsigned int i = 0; i < w->nr; i++)
		w->which[i] = zero[i] ? -1
				      : (int)io_add(sys, w->ios, &w->nr_ios, w->folios[i], true);
	if (w->nr_ios && sys->ops->swap_start)
		w->started = sys->ops->swap_start(sys->ctx, w->ios, w->nr_ios);
	if (w->nr_ios && !w->started)
		(void)!sys->ops->swap_io(sys->ctx, w->ios, w->nr_ios); /* each has its error */
}

void swap_write_finish(struct mm_sys *sys, struct swap_write *w)
{
	uint64_t written = 0;

	if (w->started)
		sys->ops->swap_finish(sys->ctx, w->started, w->ios, w->nr_ios);
	for (unsigned int i = 0; i < w->nr; i++) {
		w->errors[i] = w->which[i] < 0 ? 0 : w->ios[w->which[i]].error;
		if (w->which[i] >= 0 && !w->errors[i])
			written += folio_nr(w->folios[i]);
	}
	sys_count(sys, EV_PGSWAPOUT, written);
	swap_wrote(sys, w->folios, w->errors, w->nr);
}

/* While frames for a read are looked for. */
struct frame_source {
	struct mm_sys *sys;
	const struct place *places;
	unsigned int want; /* pages in all */
	uint64_t room;     /* for pages that nobody needs at once */
	bool ahead;        /* nobody needs any of them */
	bool filled;
	/* Neighbouring frames, not used yet: then slots in a row are one transfer. */
	struct folio *pool[SWAP_READ_MAX];
	unsigned int next, nr;
};

/* How many pages there is room for that nobody needs at once, above the reserves. */
static uint64_t room_for_neighbours(const struct mm_sys *sys)
{
	uint64_t free = 0, keep = 0;

	for (unsigned int i = 0; i < sys->nr_nodes; i++) {
		free += node_nr_free(&sys->nodes[i]);
		keep += __atomic_load_n(&sys->nodes[i].wmark[WMARK_MIN], __ATOMIC_RELAXED);
	}
	return free > keep ? free - keep : 0;
}

static void pool_fill(struct frame_source *p)
{
	unsigned int order = 0;

	p->filled = true;
	while (2u << order <= p->want && 2u << order <= p->room + 1)
		order++;
	if (!order || p->places[0].spread)
		return;
	p->nr = folio_alloc_run(p->sys, p->places[0], order, 0, ALLOC_NORECLAIM, p->pool);
}

static struct folio *frame_get(struct frame_source *p, unsigned int i)
{
	bool needed = !i && !p->ahead;

	if (!needed && !p->room)
		return NULL;
	p->room -= !needed;
	if (!p->filled)
		pool_fill(p);
	if (p->next < p->nr)
		return p->pool[p->next++];
	return folio_alloc_at(p->sys, p->places[i], 0, needed ? 0 : ALLOC_NORECLAIM);
}

/* A new frame for the slot, in the cache and locked. NULL: *found or an error. */
static struct folio *start_read(struct swap_read *r, struct frame_source *p, unsigned int i,
				struct folio **found, int *err)
{
	struct mm_sys *sys = r->sys;
	struct folio *f;

	*found = swap_cache_find(sys, r->entries[i]);
	if (*found)
		return NULL;
	f = frame_get(p, i);
	if (!f) {
		*err = -ENOMEM;
		return NULL;
	}
	folio_set(f, PG_swapbacked);
	if (!folio_trylock(f))
		mm_assert(false);
	*err = swap_cache_insert(sys, f, r->entries[i]);
	if (!*err)
		return f;
	folio_unlock(sys, f);
	folio_put(sys, f);
	if (*err == -EEXIST) {
		*found = swap_cache_find(sys, r->entries[i]);
		*err = *found ? 0 : -EAGAIN;
	}
	return NULL;
}

/* A folio that could not be read leaves the cache, so that whoever comes next tries again. */
static void finish_read(struct mm_sys *sys, struct folio *f, int error)
{
	if (error) {
		swap_del_folio(sys, f);
		return;
	}
	folio_set(f, PG_uptodate);
	lru_add_read(sys, f);
	sys_count(sys, EV_PGSWAPIN, 1);
}

static void start_one(struct swap_read *r, struct frame_source *p, unsigned int i, int *err)
{
	struct folio *found = NULL;

	r->fresh[i] = start_read(r, p, i, &found, err);
	r->out[i] = r->fresh[i] ? r->fresh[i] : found;
	if (r->fresh[i])
		r->io[i] = swap_is_zero(r->sys, r->entries[i])
				   ? -1
				   : (int)io_add(r->sys, r->ios, &r->nr_ios, r->out[i], false);
}

/*
 * The pages by their slots. Neighbours that were evicted at another time have their slots
 * elsewhere: taken where they stand, each would cut the run of the others in two.
 */
static void order_by_slot(const struct swap_read *r, uint8_t *order)
{
	for (unsigned int i = 0; i < r->nr; i++) {
		unsigned int at = i;

		for (; at && r->entries[order[at - 1]].v > r->entries[i].v; at--)
			order[at] = order[at - 1];
		order[at] = (uint8_t)i;
	}
}

static void start_all(struct swap_read *r, struct frame_source *p)
{
	uint8_t order[SWAP_READ_MAX];
	int ignored;

	order_by_slot(r, order);
	for (unsigned int k = 0; k < r->nr; k++)
		start_one(r, p, order[k], order[k] ? &ignored : &r->error);
	while (p->next < p->nr)
		folio_put(r->sys, p->pool[p->next++]);
}

/* What became of page @i. The one that is needed is not lost for its neighbours' sake. */
static int read_error(struct swap_read *r, unsigned int i)
{
	struct swap_io *io = r->io[i] < 0 ? NULL : &r->ios[r->io[i]], alone;

	if (!io)
		return r->sys->ops->clear_frames(r->sys->ctx, folio_pfn(r->sys, r->out[i]), 1);
	if (!io->error || i || io->nr == 1)
		return io->error;
	alone = folio_io(r->sys, r->out[i], false);
	(void)!r->sys->ops->swap_io(r->sys->ctx, &alone, 1);
	return alone.error;
}

static void read_begin(struct swap_read *r, struct frame_source *p, const swp_entry_t *e,
		       struct folio **out)
{
	mm_assert(p->want <= SWAP_READ_MAX);
	for (unsigned int i = 0; i < p->want; i++)
		out[i] = NULL;
	r->sys = p->sys;
	r->entries = e;
	r->out = out;
	r->nr = p->want;
	r->error = 0;
	r->nr_ios = 0;
	start_all(r, p);
}

void swap_read_begin(struct swap_read *r, struct mm_sys *sys, const swp_entry_t *e,
		     const struct place *places, unsigned int nr, struct folio **out)
{
	/* Only the first is needed; nothing is reclaimed for its neighbours. */
	struct frame_source frames = {
		.sys = sys,
		.places = places,
		.want = nr,
		.room = nr > 1 ? room_for_neighbours(sys) : 0,
	};

	read_begin(r, &frames, e, out);
}

void swap_read_ahead(struct swap_read *r, struct mm_sys *sys, const swp_entry_t *e,
		     const struct place *places, unsigned int nr, struct folio **out)
{
	struct frame_source frames = {
		.sys = sys,
		.places = places,
		.want = nr,
		.room = room_for_neighbours(sys),
		.ahead = true,
	};

	read_begin(r, &frames, e, out);
	for (unsigned int i = 0; i < nr; i++) {
		if (!out[i] || r->fresh[i])
			continue;
		folio_put(sys, out[i]);
		out[i] = NULL;
	}
}

void swap_read_end(struct swap_read *r)
{
	struct mm_sys *sys = r->sys;

	if (r->nr_ios)
		(void)!sys->ops->swap_io(sys->ctx, r->ios, r->nr_ios);
	for (unsigned int i = 0; i < r->nr; i++) {
		int err = r->fresh[i] ? read_error(r, i) : 0;

		if (r->fresh[i])
			finish_read(sys, r->out[i], err);
		if (!err)
			continue;
		r->out[i] = NULL;
		if (!i)
			r->error = -EIO;
	}
	/* The first at last: who waits for it wants the others too. */
	for (unsigned int i = r->nr; i-- > 0;) {
		if (!r->fresh[i])
			continue;
		folio_unlock(sys, r->fresh[i]);
		if (!r->out[i])
			folio_put(sys, r->fresh[i]);
	}
}

void swap_read_release(struct mm_sys *sys, struct folio **f, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++) {
		if (!f[i])
			continue;
		/* Its entry went away while it was read. */
		if (!folio_mapped(f[i]) && folio_test(f[i], PG_swapcache) && folio_trylock(f[i])) {
			swap_try_free(sys, f[i]);
			folio_unlock(sys, f[i]);
		}
		folio_put(sys, f[i]);
	}
}

int swap_read_folios(struct mm_sys *sys, const swp_entry_t *e, const struct place *places,
		     unsigned int nr, struct folio **out)
{
	struct swap_read r;

	swap_read_begin(&r, sys, e, places, nr, out);
	swap_read_end(&r);
	return r.error;
}
