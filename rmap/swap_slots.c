/* SPDX-License-Identifier: MIT */
/*
 * Which slot of a swap area a folio gets.
 *
 * Next-fit: what is reclaimed together gets consecutive slots, is written in one
 * transfer and comes back in one. Where the slots behind the last one are in use, the
 * search goes on at a cluster of 1 MiB that is all free, as holes of single slots would
 * cut a batch into single pages; they are filled when no such cluster is left. Counts of
 * used slots by cluster keep the search short in areas that are large and nearly full.
 *
 * An area may be out of room before its slots are: compressed memory has a limit of its
 * own, a sparse file a full disk below it. Where the host can tell (swap_room), it is
 * asked. Where only a write tells, nothing is handed out any more beyond what was ever
 * written, and nothing at all until a sixteenth of what was in use is free. An area
 * whose writes fail otherwise is passed by for a second, if others have room.
 *
 * swap->lock is held throughout, unless a function says otherwise.
 */
#include "rmap/swap.h"

#include <time.h>

#define CLUSTER SWAP_CLUSTER
#define SHUN_NS 1000000000ull

static uint64_t nr_clusters(const struct swap_area *a)
{
	return (a->nr + CLUSTER - 1) / CLUSTER;
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

int area_slots_make(struct mm_sys *sys, struct swap_area *a)
{
	a->map = sys_alloc(sys, a->nr * sizeof(*a->map));
	a->cache = sys_alloc(sys, a->nr * sizeof(*a->cache));
	a->cluster = sys_alloc(sys, nr_clusters(a) * sizeof(*a->cluster));
	a->empty_clusters = a->nr / CLUSTER;
	a->usable = a->nr;
	if (a->map && a->cache && a->cluster)
		return 0;
	area_slots_free(sys, a);
	return -ENOMEM;
}

void area_slots_free(struct mm_sys *sys, struct swap_area *a)
{
	sys_free(sys, a->map, a->nr * sizeof(*a->map));
	sys_free(sys, a->cache, a->nr * sizeof(*a->cache));
	sys_free(sys, a->cluster, nr_clusters(a) * sizeof(*a->cluster));
}

/* ---- a slot changes hands ------------------------------------------------------ */

static bool slot_is_free(const struct swap_area *a, uint64_t slot)
{
	return !(a->map[slot] & SLOT_COUNT) && !a->cache[slot];
}

static void slot_used(struct swap_area *a, uint64_t slot)
{
	/* Swapoff looks without the lock how far it is. */
	__atomic_store_n(&a->used, a->used + 1, __ATOMIC_RELAXED);
	if (!a->cluster[slot / CLUSTER]++ && (slot / CLUSTER + 1) * CLUSTER <= a->nr)
		a->empty_clusters--;
}

/* The host may forget what the slot held; whoever gets it next writes first. */
static void slot_becomes_free(struct mm_sys *sys, struct swap_area *a, uint64_t slot)
{
	a->map[slot] = 0;
	__atomic_store_n(&a->used, a->used - 1, __ATOMIC_RELAXED);
	a->freed++;
	if (!--a->cluster[slot / CLUSTER] && (slot / CLUSTER + 1) * CLUSTER <= a->nr)
		a->empty_clusters++;
	if (sys->ops->swap_free)
		sys->ops->swap_free(sys->ctx, a->host, slot, 1);
}

void slot_count_change(struct mm_sys *sys, struct swap_area *a, uint64_t slot, int delta)
{
	bool was_free = slot_is_free(a, slot);

	a->map[slot] = (uint16_t)(a->map[slot] + delta);
	if (slot_is_free(a, slot) && !was_free)
		slot_becomes_free(sys, a, slot);
}

void slot_cache_set(struct mm_sys *sys, struct swap_area *a, uint64_t slot, struct folio *f)
{
	bool was_free = slot_is_free(a, slot);

	a->cached += !!f - !!a->cache[slot];
	a->cache[slot] = f;
	if (slot_is_free(a, slot) && !was_free)
		slot_becomes_free(sys, a, slot);
	else if (was_free && f)
		slot_used(a, slot);
}

/* ---- the search ------------------------------------------------------------------ */

/* First of @nr consecutive free slots at or after @from, below @to. */
static bool find_run(const struct swap_area *a, uint64_t from, uint64_t to, unsigned int nr,
		     uint64_t *out)
{
	uint64_t run = 0, s = from;

	while (s < to) {
		if (s % CLUSTER == 0 && a->cluster[s / CLUSTER] == CLUSTER) {
			run = 0;
			s += CLUSTER;
			continue;
		}
		run = slot_is_free(a, s) ? run + 1 : 0;
		s++;
		if (run == nr) {
			*out = s - nr;
			return true;
		}
	}
	return false;
}

/* A cluster that is all free, the next one from where the last slot was. */
static bool find_cluster(const struct swap_area *a, uint64_t *out)
{
	uint64_t nr = a->usable / CLUSTER, first = a->next / CLUSTER;

	for (uint64_t i = 0; a->empty_clusters && i < nr; i++) {
		uint64_t c = (first + i) % nr;

		if (!a->cluster[c]) {
			*out = c * CLUSTER;
			return true;
		}
	}
	return false;
}

static bool find_slots(struct swap_area *a, unsigned int nr, uint64_t *slot)
{
	if (a->usable < nr || a->nr - a->used < nr)
		return false;
	/* As many in a row were not there, and not much has changed since. */
	if (nr > 1 && a->futile_nr && nr >= a->futile_nr && a->freed - a->futile_at < CLUSTER)
		return false;
	if (a->next + nr <= a->usable && find_run(a, a->next, a->next + nr, nr, slot))
		return true;
	if (nr <= CLUSTER && find_cluster(a, slot))
		return true;
	if (find_run(a, a->next, a->usable, nr, slot) || find_run(a, 0, a->usable, nr, slot))
		return true;
	a->futile_nr = nr;
	a->futile_at = a->freed;
	return false;
}

/* ---- room --------------------------------------------------------------------------- */

static bool area_has_room(struct mm_sys *sys, struct swap_area *a)
{
	if (a->leaving)
		return false;
	if (a->full && a->used <= a->full_until)
		__atomic_store_n(&a->full, false, __ATOMIC_RELAXED);
	return !a->full && (!sys->ops->swap_room || sys->ops->swap_room(sys->ctx, a->host));
}

bool area_take(struct mm_sys *sys, struct swap_area *a, unsigned int nr, uint64_t *slot)
{
	if (!area_has_room(sys, a) || !find_slots(a, nr, slot))
		return false;
	a->next = *slot + nr;
	return true;
}

bool area_is_shunned(struct swap_area *a)
{
	if (a->shun_until && now_ns() > a->shun_until)
		__atomic_store_n(&a->shun_until, 0, __ATOMIC_RELAXED);
	return a->shun_until;
}

bool swap_slot_is_bad(const struct mm_sys *sys, const struct folio *f)
{
	swp_entry_t e = { f->swap };
	const struct swap_area *a = &sys->swap->areas[swp_type(e)];

	return swp_offset(e) >= __atomic_load_n(&a->usable, __ATOMIC_RELAXED) ||
	       __atomic_load_n(&a->full, __ATOMIC_RELAXED) ||
	       __atomic_load_n(&a->shun_until, __ATOMIC_RELAXED);
}

static void area_was_full(struct mm_sys *sys, struct swap_area *a)
{
	__atomic_store_n(&a->full, true, __ATOMIC_RELAXED);
	a->full_until = a->used - a->used / 16;
	if (a->full_until && a->full_until == a->used)
		a->full_until--;
	/* A host that can tell says itself when there is room again. */
	if (sys->ops->swap_room && !sys->ops->swap_room(sys->ctx, a->host))
		return;
	a->next = 0;
	__atomic_store_n(&a->usable, a->written, __ATOMIC_RELAXED);
}

void swap_wrote(struct mm_sys *sys, struct folio *const *f, const int *errors, unsigned int nr)
{
	umm_mutex_lock(&sys->swap->lock);
	for (unsigned int i = 0; i < nr; i++) {
		swp_entry_t e = { f[i]->swap };
		struct swap_area *a = &sys->swap->areas[swp_type(e)];
		uint64_t end = swp_offset(e) + folio_nr(f[i]);

		/* Zero pages are only marked. */
		if (!errors[i] && a->written < end && !(a->map[swp_offset(e)] & SLOT_ZERO))
			a->written = end;
	}
	for (unsigned int i = 0; i < nr; i++) {
		struct swap_area *a = &sys->swap->areas[swp_type((swp_entry_t){ f[i]->swap })];

		if (errors[i] == -ENOSPC)
			area_was_full(sys, a);
		else if (errors[i])
			__atomic_store_n(&a->shun_until, now_ns() + SHUN_NS, __ATOMIC_RELAXED);
	}
	umm_mutex_unlock(&sys->swap->lock);
}
