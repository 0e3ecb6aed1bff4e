/* SPDX-License-Identifier: MIT */
/*
 * Folios that reclaim may look at are with their node's policy, which keeps them
 * in an order of its own (umm/reclaim_policy.h).
 *
 * A folio is with the policy if PG_lru is set; taking it away ("isolating") clears
 * the bit under lru_lock and comes with a reference, so that two parties never
 * work on one folio. While policies are switched (rmap/policy.c) a node has two:
 * PG_epoch tells which of them has the folio; what is added goes to the new one.
 */
#include "rmap/internal.h"

#define LIST_FLAGS ((1u << PG_lru) | (1u << PG_epoch))

/* lru_lock held; the policy has just got it. */
static void mark_linked(struct policy_node *p, struct folio *f)
{
	p->listed += folio_nr(f);
	__atomic_fetch_or(&f->flags, p->mark, __ATOMIC_ACQ_REL);
}

/* lru_lock held. */
static void link_folio(struct policy_node *p, struct folio *f, enum policy_event why)
{
	mm_assert(!folio_test(f, PG_lru));
	p->policy->add(p, f, why);
	mark_linked(p, f);
}

/* lru_lock held; LIST_FLAGS are clear already. */
static void unlist_folio(struct policy_node *p, struct folio *f)
{
	p->policy->remove(p, f);
	p->listed -= folio_nr(f);
}

/* lru_lock held. */
static void unlink_folio(struct policy_node *p, struct folio *f)
{
	__atomic_fetch_and(&f->flags, ~LIST_FLAGS, __ATOMIC_ACQ_REL);
	unlist_folio(p, f);
}

/* lru_lock held; the folio is with one of them. */
static struct policy_node *policy_of(const struct mm_node *n, const struct folio *f)
{
	return n->old_policy && policy_has(n->old_policy, f) ? n->old_policy : n->policy;
}

static void add(struct mm_sys *sys, struct folio *f, enum policy_event why)
{
	struct mm_node *n = folio_node(sys, f);

	umm_mutex_lock(&n->lru_lock);
	link_folio(n->policy, f, why);
	umm_mutex_unlock(&n->lru_lock);
}

void lru_add(struct mm_sys *sys, struct folio *f, bool active)
{
	add(sys, f, active ? POLICY_USED : POLICY_NEW);
}

void lru_add_read(struct mm_sys *sys, struct folio *f)
{
	struct mm_node *n = folio_node(sys, f);
	bool hot = false, anon = folio_test(f, PG_swapcache);
	struct policy_node *p;
	uint64_t distance;

	if (!shadow_refault(sys, f, &distance)) {
		lru_add(sys, f, false);
		return;
	}
	umm_mutex_lock(&n->lru_lock);
	p = n->policy;
	if (p->policy->refault) {
		hot = p->policy->refault(p, f, distance);
		mark_linked(p, f);
	} else {
		link_folio(p, f, POLICY_NEW);
	}
	umm_mutex_unlock(&n->lru_lock);
	sys_count(sys, anon ? EV_WORKINGSET_REFAULT_ANON : EV_WORKINGSET_REFAULT_FILE, 1);
	sys_count(sys, EV_WORKINGSET_DISTANCE, distance);
	if (hot)
		sys_count(sys, anon ? EV_WORKINGSET_ACTIVATE_ANON : EV_WORKINGSET_ACTIVATE_FILE, 1);
}

void lru_add_many(struct mm_sys *sys, struct folio **f, unsigned int nr)
{
	unsigned int i = 0;

	while (i < nr) {
		struct mm_node *n = folio_node(sys, f[i]);

		umm_mutex_lock(&n->lru_lock);
		for (; i < nr && folio_node(sys, f[i]) == n; i++)
			link_folio(n->policy, f[i], POLICY_NEW);
		umm_mutex_unlock(&n->lru_lock);
	}
}

void lru_deactivate(struct mm_sys *sys, struct folio *f)
{
	add(sys, f, POLICY_COLD);
}

void lru_del(struct mm_sys *sys, struct folio *f)
{
	struct mm_node *n = folio_node(sys, f);

	if (!folio_test(f, PG_lru))
		return;
	umm_mutex_lock(&n->lru_lock);
	if (folio_test(f, PG_lru))
		unlink_folio(policy_of(n, f), f);
	umm_mutex_unlock(&n->lru_lock);
}

/* lru_lock held. Up to @nr frames of one policy's victims; returns frames scanned. */
static uint64_t isolate_from(struct policy_node *p, uint64_t nr, struct list_head *out,
			     uint64_t *taken)
{
	uint64_t scanned = 0;

	if (p->policy->prepare)
		p->policy->prepare(p, nr);
	while (*taken < nr && scanned < 2 * nr) {
		struct folio *f = p->policy->victim(p);

		if (!f)
			break;
		scanned += folio_nr(f);
		if (!folio_try_get_clearing(f, LIST_FLAGS)) {
			/* Being freed: its last owner takes it away. */
			p->policy->skip(p, f);
			continue;
		}
		unlist_folio(p, f);
		list_add_tail(&f->lru, out);
		*taken += folio_nr(f);
	}
	return scanned;
}

uint64_t lru_isolate(struct mm_sys *sys, int node, uint64_t nr, struct list_head *out,
		     uint64_t *taken)
{
	struct mm_node *n = &sys->nodes[node];
	uint64_t scanned = 0;

	*taken = 0;
	umm_mutex_lock(&n->lru_lock);
	if (n->old_policy)
		scanned = isolate_from(n->old_policy, nr, out, taken);
	if (*taken < nr)
		scanned += isolate_from(n->policy, nr, out, taken);
	umm_mutex_unlock(&n->lru_lock);
	return scanned;
}

/* lru_lock held. */
static bool isolate_one(struct mm_node *n, struct folio *f)
{
	struct policy_node *p;

	if (!folio_test(f, PG_lru))
		return false;
	/* Only under the lock does a folio change hands, so whose it is stays true. */
	p = policy_of(n, f);
	if (!folio_try_get_clearing(f, LIST_FLAGS))
		return false;
	unlist_folio(p, f);
	return true;
}

bool lru_isolate_folio(struct mm_sys *sys, struct folio *f)
{
	struct mm_node *n = folio_node(sys, f);
	bool got;

	umm_mutex_lock(&n->lru_lock);
	got = isolate_one(n, f);
	umm_mutex_unlock(&n->lru_lock);
	return got;
}

void lru_hold_end(struct lru_hold *hold)
{
	if (hold->node)
		umm_mutex_unlock(&hold->node->lru_lock);
	hold->node = NULL;
}

bool lru_isolate_held(struct mm_sys *sys, struct lru_hold *hold, struct folio *f)
{
	struct mm_node *n = folio_node(sys, f);

	if (hold->node != n || hold->used == hold->nr)
		lru_hold_end(hold);
	if (!hold->node) {
		umm_mutex_lock(&n->lru_lock);
		hold->node = n;
		hold->used = 0;
	}
	hold->used++;
	return isolate_one(n, f);
}

void lru_putback(struct mm_sys *sys, struct folio *f, bool active)
{
	add(sys, f, active ? POLICY_USED : POLICY_BACK);
	folio_put(sys, f);
}

void lru_putback_list(struct mm_sys *sys, struct folio **f, unsigned int nr)
{
	unsigned int i = 0;

	while (i < nr) {
		struct mm_node *n = folio_node(sys, f[i]);

		umm_mutex_lock(&n->lru_lock);
		for (; i < nr && folio_node(sys, f[i]) == n; i++)
			link_folio(n->policy, f[i], POLICY_BACK);
		umm_mutex_unlock(&n->lru_lock);
	}
	folio_put_list(sys, f, nr);
}

void lru_putback_locked(struct mm_sys *sys, struct folio **f, unsigned int nr)
{
	unsigned int i = 0, freed = 0;

	while (i < nr) {
		struct mm_node *n = folio_node(sys, f[i]);

		umm_mutex_lock(&n->lru_lock);
		for (; i < nr && folio_node(sys, f[i]) == n; i++) {
			struct policy_node *p = n->policy;

			p->policy->add(p, f[i], POLICY_BACK);
			p->listed += folio_nr(f[i]);
			if (folio_put_marking(sys, f[i], p->mark))
				f[freed++] = f[i];
		}
		umm_mutex_unlock(&n->lru_lock);
	}
	folio_free_list(sys, f, freed);
}

uint64_t lru_frames(struct mm_sys *sys, int node)
{
	struct mm_node *n = &sys->nodes[node];
	uint64_t nr;

	umm_mutex_lock(&n->lru_lock);
	nr = n->policy->listed + (n->old_policy ? n->old_policy->listed : 0);
	umm_mutex_unlock(&n->lru_lock);
	return nr;
}

bool lru_is_blind(struct mm_sys *sys, const struct folio *f)
{
	const struct policy_node *p =
		__atomic_load_n(&folio_node(sys, f)->policy, __ATOMIC_ACQUIRE);

	return p->policy->flags & POLICY_BLIND;
}

/*
 * lru_lock held. No reference is held: whoever frees the folio meanwhile looks at PG_lru
 * without the lock, so it must not seem to be with nobody in between.
 */
static void relink_folio(struct policy_node *from, struct policy_node *to, struct folio *f)
{
	from->policy->remove(from, f);
	from->listed -= folio_nr(f);
	policy_note_set(f, 0);
	folio_clear(f, PG_active);
	to->policy->add(to, f, POLICY_MOVED);
	to->listed += folio_nr(f);
	__atomic_fetch_xor(&f->flags, from->mark ^ to->mark, __ATOMIC_ACQ_REL);
}

unsigned int lru_hand_over(struct mm_node *n, unsigned int nr)
{
	unsigned int moved = 0;

	umm_mutex_lock(&n->lru_lock);
	for (; moved < nr; moved++) {
		struct folio *f = n->old_policy->policy->victim(n->old_policy);

		if (!f)
			break;
		relink_folio(n->old_policy, n->policy, f);
	}
	umm_mutex_unlock(&n->lru_lock);
	return moved;
}
