/* SPDX-License-Identifier: MIT */
/*
 * Swap slots and the swap cache.
 *
 * A slot holds one page. Its map word counts the page-table entries (and shared
 * memory indices) that name it; a slot is free when its count is zero and the
 * swap cache has no folio for it. SLOT_ZERO: the page is all zero and was never
 * written; reading it is clearing a frame.
 *
 * A folio in the swap cache has PG_swapcache, its first slot in folio->swap, and
 * one reference from the cache. It stands for its slots: whoever finds it takes
 * it instead of reading. The folio lock guards membership; swap->lock guards the
 * map and cache words.
 *
 * Slots are handed out next-fit, so that folios reclaimed together get
 * consecutive slots, are written in one transfer, and come back in one.
 */
#include "rmap/internal.h"
#include "rmap/swap.h"

#include <stdio.h>

static struct swap_area *area_of(const struct mm_sys *sys, swp_entry_t e)
{
	mm_assert(swp_type(e) < sys->swap->nr_areas);
	return &sys->swap->areas[swp_type(e)];
}

int swap_init(struct mm_sys *sys)
{
	sys->swap = sys_alloc(sys, sizeof(*sys->swap));
	if (!sys->swap)
		return -ENOMEM;
	umm_mutex_init(&sys->swap->lock, LOCK_SWAP);
	if (!swap_ahead_init(sys))
		return 0;
	swap_destroy(sys);
	return -ENOMEM;
}

void swap_destroy(struct mm_sys *sys)
{
	for (unsigned int i = 0; i < sys->swap->nr_areas; i++) {
		struct swap_area *a = &sys->swap->areas[i];

		area_slots_free(sys, a);
	}
	if (sys->ahead)
		swap_ahead_destroy(sys);
	umm_mutex_destroy(&sys->swap->lock);
	sys_free(sys, sys->swap, sizeof(*sys->swap));
}

/* swap->lock held. The number of an area that is none any more, or of the next new one. */
static unsigned int unused_area(const struct swap *sw)
{
	unsigned int i = 0;

	while (i < sw->nr_areas && sw->areas[i].host)
		i++;
	return i;
}

/* swap->lock held. */
static void enter_area(struct swap *sw, const struct swap_area *a, unsigned int n)
{
	unsigned int at = sw->nr_order++;

	sw->areas[n] = *a;
	while (at && sw->areas[sw->order[at - 1]].priority < a->priority) {
		sw->order[at] = sw->order[at - 1];
		at--;
	}
	sw->order[at] = (uint8_t)n;
	if (n == sw->nr_areas)
		__atomic_store_n(&sw->nr_areas, n + 1, __ATOMIC_RELEASE);
}

int swap_on(struct mm_sys *sys, void *area, uint64_t nr_slots, int priority)
{
	struct swap_area a = { .host = area, .nr = nr_slots, .priority = priority };
	unsigned int n;
	int ret = 0;

	if (!nr_slots || !area)
		return -EINVAL;
	ret = area_slots_make(sys, &a);
	if (ret)
		return ret;
	/* The validator counts slots by area. */
	umm_read_lock(&sys->work_lock);
	umm_mutex_lock(&sys->swap->lock);
	n = unused_area(sys->swap);
	if (n < SWP_MAX_AREAS)
		enter_area(sys->swap, &a, n);
	else
		ret = -EPERM;
	umm_mutex_unlock(&sys->swap->lock);
	umm_read_unlock(&sys->work_lock);
	/* There is somewhere to go again. */
	for (unsigned int i = 0; !ret && i < sys->nr_nodes; i++)
		kswapd_encourage(&sys->nodes[i]);
	if (ret)
		area_slots_free(sys, &a);
	return ret;
}

void swap_get_info(struct mm_sys *sys, struct swap_info *out)
{
	memset(out, 0, sizeof(*out));
	umm_mutex_lock(&sys->swap->lock);
	for (unsigned int i = 0; i < sys->swap->nr_areas; i++) {
		/* What is on its way out has no room to offer. */
		out->nr_slots += sys->swap->areas[i].leaving ? sys->swap->areas[i].used
							     : sys->swap->areas[i].nr;
		out->used += sys->swap->areas[i].used;
		out->cached += sys->swap->areas[i].cached;
	}
	umm_mutex_unlock(&sys->swap->lock);
}

int swap_get_area_info(struct mm_sys *sys, const void *area, struct swap_info *out)
{
	int ret = -ENOENT;

	memset(out, 0, sizeof(*out));
	umm_mutex_lock(&sys->swap->lock);
	for (unsigned int i = 0; i < sys->swap->nr_areas; i++) {
		struct swap_area *a = &sys->swap->areas[i];

		if (a->host != area)
			continue;
		*out = (struct swap_info){ .nr_slots = a->nr,
					   .used = a->used,
					   .cached = a->cached };
		ret = 0;
	}
	umm_mutex_unlock(&sys->swap->lock);
	return ret;
}

void swap_set_name(struct mm_sys *sys, const void *area, const char *name)
{
	umm_mutex_lock(&sys->swap->lock);
	for (unsigned int i = 0; i < sys->swap->nr_areas; i++) {
		struct swap_area *a = &sys->swap->areas[i];

		if (a->host == area)
			snprintf(a->name, sizeof(a->name), "%s", name);
	}
	umm_mutex_unlock(&sys->swap->lock);
}

bool swap_get_nth(struct mm_sys *sys, unsigned int i, struct swap_area_info *out)
{
	struct swap *sw = sys->swap;
	bool found;

	umm_mutex_lock(&sw->lock);
	found = i < sw->nr_order;
	if (found) {
		const struct swap_area *a = &sw->areas[sw->order[i]];

		*out = (struct swap_area_info){
			.nr_slots = a->nr,
			.used = a->used,
			.cached = a->cached,
			.priority = a->priority,
			.leaving = a->leaving,
		};
		memcpy(out->name, *a->name ? a->name : "swap", *a->name ? sizeof(a->name) : 5);
	}
	umm_mutex_unlock(&sw->lock);
	return found;
}

bool swap_is_crowded(struct mm_sys *sys)
{
	struct swap_info info;

	swap_get_info(sys, &info);
	return info.used * 2 > info.nr_slots;
}

bool swap_is_full(struct mm_sys *sys)
{
	struct swap_info info;

	swap_get_info(sys, &info);
	return info.used >= info.nr_slots;
}

bool swap_is_leaving(struct mm_sys *sys, swp_entry_t e)
{
	return __atomic_load_n(&area_of(sys, e)->leaving, __ATOMIC_RELAXED);
}

bool swap_is_doubtful(struct mm_sys *sys, const struct folio *f)
{
	swp_entry_t e = { f->swap };

	return sys->ops->swap_doubtful &&
	       sys->ops->swap_doubtful(sys->ctx, area_of(sys, e)->host, swp_offset(e), folio_nr(f));
}

/* ---- counts ------------------------------------------------------------ */

int swap_dup_many(struct mm_sys *sys, swp_entry_t e, unsigned int nr)
{
	struct swap_area *a = area_of(sys, e);
	uint64_t slot = swp_offset(e);
	int ret = 0;

	umm_mutex_lock(&sys->swap->lock);
	for (unsigned int i = 0; i < nr; i++) {
		if ((a->map[slot + i] & SLOT_COUNT) == SLOT_COUNT)
			ret = -ENOMEM; /* the count must not wrap */
	}
	for (unsigned int i = 0; !ret && i < nr; i++)
		slot_count_change(sys, a, slot + i, 1);
	umm_mutex_unlock(&sys->swap->lock);
	return ret;
}

int swap_dup(struct mm_sys *sys, swp_entry_t e)
{
	return swap_dup_many(sys, e, 1);
}

/* swap->lock held. */
static void count_slot_of(struct mm_sys *sys, const struct folio *f, int delta)
{
	swp_entry_t e = { f->swap };

	slot_count_change(sys, area_of(sys, e), swp_offset(e), delta);
}

int swap_dup_folios(struct mm_sys *sys, struct folio *const *f, unsigned int nr)
{
	unsigned int i = 0;
	int ret;

	umm_mutex_lock(&sys->swap->lock);
	for (; i < nr; i++) {
		swp_entry_t e = { f[i]->swap };

		if ((area_of(sys, e)->map[swp_offset(e)] & SLOT_COUNT) == SLOT_COUNT)
			break;
		count_slot_of(sys, f[i], 1);
	}
	ret = i == nr ? 0 : -ENOMEM;
	while (ret && i)
		count_slot_of(sys, f[--i], -1);
	umm_mutex_unlock(&sys->swap->lock);
	return ret;
}

void swap_put(struct mm_sys *sys, swp_entry_t e)
{
	struct swap_area *a = area_of(sys, e);
	uint64_t slot = swp_offset(e);
	struct folio *f = NULL;

	umm_mutex_lock(&sys->swap->lock);
	mm_assert(a->map[slot] & SLOT_COUNT);
	slot_count_change(sys, a, slot, -1);
	if (!(a->map[slot] & SLOT_COUNT) && a->cache[slot] && folio_try_get(a->cache[slot]))
		f = a->cache[slot];
	umm_mutex_unlock(&sys->swap->lock);
	if (!f)
		return;
	/* Nobody needs the slot any more: do not let the cache keep it. */
	if (folio_trylock(f)) {
		if (!folio_mapped(f))
			swap_try_free(sys, f);
		folio_unlock(sys, f);
	}
	folio_put(sys, f);
}

int swap_count(struct mm_sys *sys, swp_entry_t e)
{
	int count;

	umm_mutex_lock(&sys->swap->lock);
	count = area_of(sys, e)->map[swp_offset(e)] & SLOT_COUNT;
	umm_mutex_unlock(&sys->swap->lock);
	return count;
}

bool swap_is_zero(struct mm_sys *sys, swp_entry_t e)
{
	bool zero;

	umm_mutex_lock(&sys->swap->lock);
	zero = area_of(sys, e)->map[swp_offset(e)] & SLOT_ZERO;
	umm_mutex_unlock(&sys->swap->lock);
	return zero;
}

/* swap->lock held. */
static void set_zero(struct mm_sys *sys, const struct folio *f, bool zero)
{
	swp_entry_t e = { f->swap };
	struct swap_area *a = area_of(sys, e);

	if (zero && sys->ops->swap_free)
		sys->ops->swap_free(sys->ctx, a->host, swp_offset(e), folio_nr(f));
	for (unsigned int i = 0; i < folio_nr(f); i++) {
		if (zero)
			a->map[swp_offset(e) + i] |= SLOT_ZERO;
		else
			a->map[swp_offset(e) + i] &= (uint16_t)~SLOT_ZERO;
	}
}

void swap_set_zero(struct mm_sys *sys, struct folio *const *f, const bool *zero, unsigned int nr)
{
	umm_mutex_lock(&sys->swap->lock);
	for (unsigned int i = 0; i < nr; i++)
		set_zero(sys, f[i], zero[i]);
	umm_mutex_unlock(&sys->swap->lock);
}

/* ---- the swap cache ----------------------------------------------------- */

static void enter_cache(struct mm_sys *sys, struct swap_area *a, struct folio *f, uint64_t slot,
			uint32_t flags)
{
	for (unsigned int i = 0; i < folio_nr(f); i++)
		slot_cache_set(sys, a, slot + i, f);
	folio_get(f);
	__atomic_fetch_or(&f->flags, flags | (1u << PG_swapcache), __ATOMIC_ACQ_REL);
}

/* swap->lock held. Slots of the first area that has them; false: none has. */
static bool add_to_some_area(struct mm_sys *sys, struct folio *f)
{
	struct swap *sw = sys->swap;

	mm_assert(folio_test(f, PG_locked) && !folio_test(f, PG_swapcache));
	/* One whose writes fail is tried again, but only if nobody else takes the folio. */
	for (unsigned int i = 0; i < 2 * sw->nr_order; i++) {
		unsigned int n = sw->order[i % sw->nr_order];
		struct swap_area *a = &sw->areas[n];
		uint64_t slot;

		if ((i < sw->nr_order && area_is_shunned(a)) ||
		    !area_take(sys, a, folio_nr(f), &slot))
			continue;
		f->swap = swp_make(n, slot).v;
		/* The slot has nothing yet. */
		enter_cache(sys, a, f, slot, 1u << PG_dirty);
		return true;
	}
	return false;
}

unsigned int swap_add_folios(struct mm_sys *sys, struct folio *const *f, unsigned int nr)
{
	unsigned int added = 0;

	umm_mutex_lock(&sys->swap->lock);
	for (unsigned int i = 0; i < nr; i++)
		added += add_to_some_area(sys, f[i]);
	umm_mutex_unlock(&sys->swap->lock);
	return added;
}

int swap_cache_insert(struct mm_sys *sys, struct folio *f, swp_entry_t e)
{
	struct swap_area *a = area_of(sys, e);
	uint64_t slot = swp_offset(e);
	int ret = 0;

	mm_assert(!f->order);
	umm_mutex_lock(&sys->swap->lock);
	/* Who read the entry without a lock may come after the area has gone. */
	if (slot >= a->nr)
		ret = -ENOENT;
	else if (a->cache[slot])
		ret = -EEXIST;
	else if (!(a->map[slot] & SLOT_COUNT))
		ret = -ENOENT;
	else {
		f->swap = e.v;
		enter_cache(sys, a, f, slot, 0);
	}
	umm_mutex_unlock(&sys->swap->lock);
	return ret;
}

/* swap->lock held. */
static void leave_cache(struct mm_sys *sys, struct folio *f)
{
	swp_entry_t e = { f->swap };
	struct swap_area *a = area_of(sys, e);

	folio_clear(f, PG_swapcache);
	for (unsigned int i = 0; i < folio_nr(f); i++)
		slot_cache_set(sys, a, swp_offset(e) + i, NULL);
}

void swap_del_folio(struct mm_sys *sys, struct folio *f)
{
	mm_assert(folio_test(f, PG_locked) && folio_test(f, PG_swapcache));
	umm_mutex_lock(&sys->swap->lock);
	leave_cache(sys, f);
	umm_mutex_unlock(&sys->swap->lock);
	folio_put(sys, f);
}

void swap_del_frozen_folios(struct mm_sys *sys, struct folio *const *f, unsigned int nr)
{
	umm_mutex_lock(&sys->swap->lock);
	for (unsigned int i = 0; i < nr; i++) {
		mm_assert(folio_test(f[i], PG_locked) && !folio_refcount(f[i]));
		leave_cache(sys, f[i]);
	}
	umm_mutex_unlock(&sys->swap->lock);
}

bool swap_try_free(struct mm_sys *sys, struct folio *f)
{
	swp_entry_t e = { f->swap };
	struct swap_area *a;
	bool needed = false;

	if (!folio_test(f, PG_swapcache) || folio_test(f, PG_writeback))
		return false;
	a = area_of(sys, e);
	umm_mutex_lock(&sys->swap->lock);
	for (unsigned int i = 0; i < folio_nr(f); i++)
		needed |= a->map[swp_offset(e) + i] & SLOT_COUNT;
	umm_mutex_unlock(&sys->swap->lock);
	if (needed)
		return false;
	/* Only the folio has the content now. */
	folio_set(f, PG_dirty);
	swap_del_folio(sys, f);
	return true;
}

struct folio *swap_cache_find(struct mm_sys *sys, swp_entry_t e)
{
	struct swap_area *a = area_of(sys, e);
	struct folio *f;

	umm_mutex_lock(&sys->swap->lock);
	f = swp_offset(e) < a->nr ? a->cache[swp_offset(e)] : NULL;
	if (f && !folio_try_get(f))
		f = NULL;
	umm_mutex_unlock(&sys->swap->lock);
	return f;
}

void swap_cache_replace(struct mm_sys *sys, struct folio *src, struct folio *dst)
{
	swp_entry_t e = { src->swap };
	struct swap_area *a = area_of(sys, e);

	umm_mutex_lock(&sys->swap->lock);
	for (unsigned int i = 0; i < folio_nr(src); i++)
		slot_cache_set(sys, a, swp_offset(e) + i, dst);
	dst->swap = src->swap;
	folio_set(dst, PG_swapcache);
	folio_clear(src, PG_swapcache);
	umm_mutex_unlock(&sys->swap->lock);
}
