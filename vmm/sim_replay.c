/* SPDX-License-Identifier: MIT */
/*
 * One policy on simulated memory.
 *
 * The memory is an array of descriptors as the manager has them, one a frame, each
 * an order-0 folio; page and frame know each other by two tables. The A bit is a
 * byte a frame. Evicting is what rmap/reclaim.c does, one page at a time: the
 * policy's victim is looked at (unless the policy is blind) and handed back if it
 * was used; after all have been handed back once, the next is taken unseen.
 */
#include "vmm/sim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NO_FRAME UINT32_MAX
/* Reclaim's smallest batch, and its largest part of memory. */
#define BATCH      32u
#define BATCH_PART 16u
/* Pages on each side that look-around sees; within the page table of 512. */
#define AROUND 32u

struct sim {
	const struct sim_trace *t;
	struct sim_result *out;
	struct policy_node node;
	uint32_t *frame_of;   /* by page */
	uint32_t *page_of;    /* by frame */
	uint64_t *evicted_at; /* by page: evictions before and with its own; 0: never */
	uint8_t *used;        /* by frame: the A bit */
	uint8_t *dirty;       /* by frame */
	uint64_t batch; /* what the policy is told to prepare for: reclaim never asks for one page */
	uint64_t next_tick;
};

static struct sim *sim_of(struct policy_node *n)
{
	return n->owner;
}

/* ---- the host of the policy ---------------------------------------------------- */

static void *sim_alloc(struct policy_node *n, size_t size)
{
	(void)n;
	return calloc(1, size);
}

static void sim_free(struct policy_node *n, void *p, size_t size)
{
	(void)n;
	(void)size;
	free(p);
}

static void sim_no_lock(struct policy_node *n)
{
	(void)n;
}

static bool sim_sample(struct policy_node *n, uint64_t frame)
{
	struct sim *s = sim_of(n);
	bool used = s->used[frame];

	s->used[frame] = 0;
	return used;
}

static bool take_used(struct sim *s, uint64_t frame)
{
	if (!s->used[frame])
		return false;
	s->used[frame] = 0;
	if (s->node.policy->accessed)
		s->node.policy->accessed(&s->node, &s->node.frames[frame]);
	return true;
}

static uint64_t sim_walk(struct policy_node *n)
{
	struct sim *s = sim_of(n);
	uint64_t found = 0;

	for (uint64_t i = 0; i < n->nr_frames; i++)
		found += take_used(s, i);
	return found;
}

static const struct policy_host sim_host = {
	.alloc = sim_alloc,
	.free = sim_free,
	.lock = sim_no_lock,
	.unlock = sim_no_lock,
	.sample = sim_sample,
	.walk = sim_walk,
};

/* ---- memory ---------------------------------------------------------------------- */

static void link_frame(struct sim *s, struct folio *f)
{
	s->node.listed++;
	f->flags |= s->node.mark;
}

static void unlink_frame(struct sim *s, struct folio *f)
{
	f->flags &= ~s->node.mark;
	s->node.policy->remove(&s->node, f);
	s->node.listed--;
}

static void look_around(struct sim *s, uint32_t page)
{
	uint32_t first = page & ~(2 * AROUND - 1), last = first + 2 * AROUND;

	if (last > s->t->header.nr_pages)
		last = (uint32_t)s->t->header.nr_pages;
	for (uint32_t p = first; p < last; p++) {
		if (s->frame_of[p] != NO_FRAME)
			take_used(s, s->frame_of[p]);
	}
}

/* The victim was used: back to the policy. False: it has to go. */
static bool second_chance(struct sim *s, struct folio *f, uint64_t looks)
{
	const struct reclaim_policy *policy = s->node.policy;
	uint64_t frame = (uint64_t)(f - s->node.frames);

	if ((policy->flags & POLICY_BLIND) || looks > s->node.nr_frames)
		return false;
	s->out->looks++;
	if (!s->used[frame])
		return false;
	s->used[frame] = 0;
	s->out->used++;
	if (policy->flags & POLICY_LOOKS_AROUND)
		look_around(s, s->page_of[frame]);
	policy->add(&s->node, f, POLICY_USED);
	link_frame(s, f);
	return true;
}

static uint32_t evict_one(struct sim *s)
{
	const struct reclaim_policy *policy = s->node.policy;
	struct folio *f;
	uint32_t frame;

	for (uint64_t looks = 0;; looks++) {
		if (policy->prepare)
			policy->prepare(&s->node, s->batch);
		f = policy->victim(&s->node);
		if (!f)
			return NO_FRAME; /* it has lost what it was given */
		unlink_frame(s, f);
		if (!second_chance(s, f, looks))
			break;
	}
	frame = (uint32_t)(f - s->node.frames);
	s->out->evicted++;
	s->out->dirty += s->dirty[frame];
	s->evicted_at[s->page_of[frame]] = s->out->evicted;
	s->frame_of[s->page_of[frame]] = NO_FRAME;
	f->flags = 0;
	return frame;
}

static int fault_in(struct sim *s, uint32_t page, uint64_t *fresh)
{
	const struct reclaim_policy *policy = s->node.policy;
	uint64_t left_at = s->evicted_at[page], distance;
	uint32_t frame;
	struct folio *f;

	s->out->faults++;
	s->out->cold += !left_at;
	distance = s->out->evicted - left_at;
	frame = *fresh < s->node.nr_frames ? (uint32_t)(*fresh)++ : evict_one(s);
	if (frame == NO_FRAME)
		return -EINVAL;
	f = &s->node.frames[frame];
	s->frame_of[page] = frame;
	s->page_of[frame] = page;
	s->dirty[frame] = 0;
	if (left_at)
		s->out->distance_sum += distance;
	if (left_at && policy->refault)
		policy->refault(&s->node, f, distance);
	else
		policy->add(&s->node, f, POLICY_NEW);
	link_frame(s, f);
	return 0;
}

/* ---- the replay -------------------------------------------------------------------- */

static void run_tick(struct sim *s, uint64_t now)
{
	const struct reclaim_policy *policy = s->node.policy;

	s->next_tick = UINT64_MAX;
	if (policy->tick)
		s->next_tick = now + policy->tick(&s->node, now);
}

static int replay(struct sim *s)
{
	uint64_t fresh = 0, now = 0;
	int ret = 0;

	for (uint64_t i = 0; !ret && i < s->t->header.nr_refs; i++) {
		uint32_t page = s->t->refs[i] >> 1, frame;

		if (s->frame_of[page] == NO_FRAME)
			ret = fault_in(s, page, &fresh);
		if (ret)
			break;
		frame = s->frame_of[page];
		s->used[frame] = 1;
		s->dirty[frame] |= s->t->refs[i] & 1;
		now += SIM_REF_NS;
		if (now >= s->next_tick)
			run_tick(s, now);
	}
	return ret;
}

static int sim_init(struct sim *s, const struct sim_trace *t, const struct reclaim_policy *policy,
		    uint64_t frames, struct sim_result *out)
{
	uint64_t pages = t->header.nr_pages;

	memset(s, 0, sizeof(*s));
	s->t = t;
	s->out = out;
	s->batch = frames / BATCH_PART < BATCH ? frames / BATCH_PART + 1 : BATCH;
	s->node = (struct policy_node){
		.policy = policy,
		.host = &sim_host,
		.owner = s,
		.state = calloc(1, policy->state_size + 1),
		.frames = aligned_alloc(64, frames * sizeof(struct folio)),
		.nr_frames = frames,
		.mark = 1u << PG_lru,
	};
	s->frame_of = malloc(pages * sizeof(*s->frame_of));
	s->page_of = malloc(frames * sizeof(*s->page_of));
	s->evicted_at = calloc(pages, sizeof(*s->evicted_at));
	s->used = calloc(frames, 1);
	s->dirty = calloc(frames, 1);
	if (!s->node.state || !s->node.frames || !s->frame_of || !s->page_of || !s->evicted_at ||
	    !s->used || !s->dirty)
		return -ENOMEM;
	memset(s->node.frames, 0, frames * sizeof(struct folio));
	memset(s->frame_of, 0xff, pages * sizeof(*s->frame_of)); /* NO_FRAME */
	return 0;
}

static void sim_destroy(struct sim *s)
{
	free(s->node.state);
	free(s->node.frames);
	free(s->frame_of);
	free(s->page_of);
	free(s->evicted_at);
	free(s->used);
	free(s->dirty);
}

int sim_replay(const struct sim_trace *t, const struct reclaim_policy *policy, uint64_t frames,
	       struct sim_result *out)
{
	struct timespec from, to;
	struct sim s;
	int ret;

	memset(out, 0, sizeof(*out));
	/* More than are ever used would only cost time. */
	if (frames > t->touched)
		frames = t->touched;
	if (!frames || reclaim_policy_check(policy))
		return -EINVAL;
	clock_gettime(CLOCK_MONOTONIC, &from);
	ret = sim_init(&s, t, policy, frames, out);
	if (!ret && policy->init)
		ret = policy->init(&s.node);
	if (!ret) {
		run_tick(&s, 0);
		ret = replay(&s);
		if (policy->exit)
			policy->exit(&s.node);
	}
	sim_destroy(&s);
	clock_gettime(CLOCK_MONOTONIC, &to);
	out->refs = t->header.nr_refs;
	out->seconds =
		(double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
	return ret;
}
