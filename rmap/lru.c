/* SPDX-License-Identifier: MIT */
/*
 * The lists that reclaim looks at: active and inactive, a pair a node.
 *
 * A folio is on a list if PG_lru is set; taking it off ("isolating") clears
 * the bit under lru_lock and comes with a reference, so that two parties never
 * work on one folio. List order is age: new folios enter at the head.
 */
#include "rmap/internal.h"

static enum lru_kind list_of(const struct folio *f)
{
	return folio_test(f, PG_active) ? LRU_ACTIVE : LRU_INACTIVE;
}

/* lru_lock held. */
static void link_folio(struct mm_node *n, struct folio *f, bool active)
{
	/* Rarely a change, and an atomic operation is dear beside the rest. */
	if (active && !folio_test(f, PG_active))
		folio_set(f, PG_active);
	else if (!active && folio_test(f, PG_active))
		folio_clear(f, PG_active);
	list_add(&f->lru, &n->lru[list_of(f)]);
	n->nr_lru[list_of(f)] += folio_nr(f);
	folio_set(f, PG_lru);
}

/* lru_lock held. */
static void unlink_folio(struct mm_node *n, struct folio *f)
{
	folio_clear(f, PG_lru);
	list_del(&f->lru);
	n->nr_lru[list_of(f)] -= folio_nr(f);
}

void lru_add(struct mm_sys *sys, struct folio *f, bool active)
{
	struct mm_node *n = folio_node(sys, f);

	umm_mutex_lock(&n->lru_lock);
	mm_assert(!folio_test(f, PG_lru));
	link_folio(n, f, active);
	umm_mutex_unlock(&n->lru_lock);
}

void lru_add_many(struct mm_sys *sys, struct folio **f, unsigned int nr)
{
	unsigned int i = 0;

	while (i < nr) {
		struct mm_node *n = folio_node(sys, f[i]);

		umm_mutex_lock(&n->lru_lock);
		for (; i < nr && folio_node(sys, f[i]) == n; i++)
			link_folio(n, f[i], false);
		umm_mutex_unlock(&n->lru_lock);
	}
}

void lru_del(struct mm_sys *sys, struct folio *f)
{
	struct mm_node *n = folio_node(sys, f);

	if (!folio_test(f, PG_lru))
		return;
	umm_mutex_lock(&n->lru_lock);
	if (folio_test(f, PG_lru))
		unlink_folio(n, f);
	umm_mutex_unlock(&n->lru_lock);
}

/* lru_lock held. Keep at least half as much inactive as active, as age needs a queue. */
static void refill_inactive(struct mm_node *n, uint64_t nr)
{
	uint64_t moved = 0;

	while (moved < nr && n->nr_lru[LRU_INACTIVE] < n->nr_lru[LRU_ACTIVE] + nr &&
	       !list_empty(&n->lru[LRU_ACTIVE])) {
		struct folio *f = list_last_entry(&n->lru[LRU_ACTIVE], struct folio, lru);

		n->nr_lru[LRU_ACTIVE] -= folio_nr(f);
		list_del(&f->lru);
		folio_clear(f, PG_active);
		list_add(&f->lru, &n->lru[LRU_INACTIVE]);
		n->nr_lru[LRU_INACTIVE] += folio_nr(f);
		moved += folio_nr(f);
	}
}

uint64_t lru_isolate(struct mm_sys *sys, int node, uint64_t nr, struct list_head *out,
		     uint64_t *taken)
{
	struct mm_node *n = &sys->nodes[node];
	uint64_t scanned = 0;

	*taken = 0;
	umm_mutex_lock(&n->lru_lock);
	if (n->nr_lru[LRU_INACTIVE] < nr)
		refill_inactive(n, nr);
	while (*taken < nr && scanned < 2 * nr && !list_empty(&n->lru[LRU_INACTIVE])) {
		struct folio *f = list_last_entry(&n->lru[LRU_INACTIVE], struct folio, lru);

		scanned += folio_nr(f);
		if (!folio_try_get(f)) {
			/* Being freed: its last owner takes it off the list. */
			list_del(&f->lru);
			list_add(&f->lru, &n->lru[LRU_INACTIVE]);
			continue;
		}
		unlink_folio(n, f);
		list_add_tail(&f->lru, out);
		*taken += folio_nr(f);
	}
	umm_mutex_unlock(&n->lru_lock);
	return scanned;
}

bool lru_isolate_folio(struct mm_sys *sys, struct folio *f)
{
	struct mm_node *n = folio_node(sys, f);
	bool got = false;

	umm_mutex_lock(&n->lru_lock);
	if (folio_test(f, PG_lru) && folio_try_get(f)) {
		unlink_folio(n, f);
		got = true;
	}
	umm_mutex_unlock(&n->lru_lock);
	return got;
}

void lru_putback(struct mm_sys *sys, struct folio *f, bool active)
{
	lru_add(sys, f, active);
	folio_put(sys, f);
}

void lru_putback_list(struct mm_sys *sys, struct folio **f, unsigned int nr)
{
	unsigned int i = 0;

	while (i < nr) {
		struct mm_node *n = folio_node(sys, f[i]);

		umm_mutex_lock(&n->lru_lock);
		for (; i < nr && folio_node(sys, f[i]) == n; i++) {
			mm_assert(!folio_test(f[i], PG_lru));
			link_folio(n, f[i], folio_test(f[i], PG_active));
		}
		umm_mutex_unlock(&n->lru_lock);
	}
	folio_put_list(sys, f, nr);
}
