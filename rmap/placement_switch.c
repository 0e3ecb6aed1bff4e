/* SPDX-License-Identifier: MIT */
/*
 * Switching placement on and off, and the tick that drives it.
 *
 * The control lock keeps switching and the tick apart, so that no scanner sets
 * hints while they are being taken back. Hint faults take no notice of it: they
 * find a policy or none, and a policy's state lives as long as the system.
 */
#include "rmap/hint.h"

#define TICK_NS (100 * NS_PER_MS)

/* ---- switching ------------------------------------------------------------------ */

static int make_notes(struct mm_sys *sys)
{
	/* Who does not see it yet has no note to lose: nobody has noted anything. */
	__atomic_store_n(&sys->placement_notes, true, __ATOMIC_RELAXED);
	for (unsigned int n = 0; n < sys->nr_nodes; n++) {
		struct frame_note **slot = &sys->placements->notes[n];
		struct frame_note *notes;

		if (*slot)
			continue;
		notes = sys_alloc(sys, sys->nodes[n].nr_frames * sizeof(*notes));
		if (!notes)
			return -ENOMEM;
		__atomic_store_n(slot, notes, __ATOMIC_RELEASE);
	}
	return 0;
}

static int make_state(struct mm_sys *sys, const struct placement_policy *policy)
{
	unsigned int i = 0;
	void *state;

	while (placement_policy_get(i) != policy)
		i++;
	if (!policy->state_size || sys->placements->state[i])
		return 0;
	state = sys_alloc(sys, policy->state_size);
	if (!state)
		return -ENOMEM;
	__atomic_store_n(&sys->placements->state[i], state, __ATOMIC_RELEASE);
	return 0;
}

/* Control lock held. Every mm is scanned anew, at the pace of the new policy. */
static void restart_scans(struct mm_sys *sys, enum placement_kind kind)
{
	struct mm *mm;

	umm_mutex_lock(&sys->mms_lock);
	list_for_each_entry(mm, &sys->mms, all)
	{
		mm->scan[kind].due = 0;
		mm->scan[kind].delay = 0;
		mm->scan[kind].at = gva_make(0);
	}
	umm_mutex_unlock(&sys->mms_lock);
}

static int switch_to(struct placement *p, const struct placement_policy *policy)
{
	struct mm_sys *sys = p->sys;
	int ret = make_notes(sys);

	if (!ret)
		ret = make_state(sys, policy);
	if (ret)
		return ret;
	if (placement_policy_of(p) != policy)
		hints_sweep(sys, true);
	restart_scans(sys, p->kind);
	__atomic_store_n(&p->policy, policy, __ATOMIC_RELEASE);
	return 0;
}

int mm_placement_set(struct mm_sys *sys, enum placement_kind kind, const char *name)
{
	const struct placement_policy *policy = NULL;
	struct placements *all = sys->placements;
	int ret = 0;

	if (name) {
		policy = placement_policy_find(kind, name);
		if (!policy)
			return -ENOENT;
		if (sys->nr_nodes < 2 || (kind == PLACEMENT_TIER && !mm_placement_slow_nodes(sys)))
			return -ENODEV;
	}
	umm_mutex_lock(&all->lock);
	if (policy) {
		ret = switch_to(&all->kind[kind], policy);
	} else {
		/* What the other kind hinted at goes as well; it will hint again. */
		__atomic_store_n(&all->kind[kind].policy, NULL, __ATOMIC_RELEASE);
		hints_sweep(sys, true);
	}
	umm_mutex_unlock(&all->lock);
	return ret;
}

int mm_placement_set_slow_nodes(struct mm_sys *sys, uint64_t nodes)
{
	struct placements *all = sys->placements;
	uint64_t every = ~0ul >> (64 - sys->nr_nodes);
	int ret = 0;

	if ((nodes & ~every) || nodes == every)
		return -EINVAL;
	umm_mutex_lock(&all->lock);
	if (placement_policy_of(&all->kind[PLACEMENT_TIER]))
		ret = -EBUSY;
	else
		__atomic_store_n(&all->slow_nodes, nodes, __ATOMIC_RELAXED);
	umm_mutex_unlock(&all->lock);
	return ret;
}

/* ---- the tick --------------------------------------------------------------------- */

/* The windows that are due, but no longer than a tick's time; *next: when the next one is. */
static void run_scans(struct placement *p, uint64_t now, uint64_t *next)
{
	const struct placement_policy *policy = placement_policy_of(p);

	if (!policy || !policy->scan_window)
		return;
	while (hint_scan_one(p, now, next)) {
		if (placement_now() > now + TICK_NS)
			break;
	}
}

static void run_ticks(struct placements *all, uint64_t now)
{
	for (unsigned int k = 0; k < PLACEMENT_KINDS; k++) {
		struct placement *p = &all->kind[k];
		const struct placement_policy *policy = placement_policy_of(p);

		if (policy && policy->tick)
			policy->tick(p, now);
	}
	tier_demote(&all->kind[PLACEMENT_TIER]);
	tier_sample(&all->kind[PLACEMENT_TIER]);
}

uint64_t mm_placement_tick(struct mm_sys *sys, uint64_t now)
{
	struct placements *all = sys->placements;
	uint64_t next = now + NS_PER_S;

	umm_mutex_lock(&all->lock);
	for (unsigned int k = 0; k < PLACEMENT_KINDS; k++)
		run_scans(&all->kind[k], now, &next);
	if (now >= all->next_tick) {
		run_ticks(all, now);
		all->next_tick = now + TICK_NS;
	}
	if (next > all->next_tick)
		next = all->next_tick;
	umm_mutex_unlock(&all->lock);
	return next > now ? next - now : 1;
}
