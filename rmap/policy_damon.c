/* SPDX-License-Identifier: MIT */
/*
 * Sampling, in the manner of Linux's DAMON: the node's frames are cut into regions,
 * and one frame of each is asked, tick after tick, whether it was used. After a
 * round of ticks every region has a frequency; neighbours that are alike become one
 * region, and large ones are cut in two at a random place, so that the cuts settle
 * where the heat changes. The cost is set by the number of regions, not by the size
 * of memory.
 *
 * Victims come from the coldest region, frame by frame, then from the next colder
 * one. A victim that was used all the same stays. Before the first round is over,
 * and where a pass over the regions finds nothing, the oldest folio goes.
 */
#include <umm/reclaim_policy.h>

#define REGIONS_MIN 16u
#define REGIONS_MAX 256u
#define ROUND       10u /* samples that make a frequency */
#define TICK_NS     20000000ul
#define LIKE        1 /* frequencies that differ by no more are one */

struct region {
	uint64_t start, end; /* frames */
	uint32_t hits;       /* of this round */
	uint32_t frequency;  /* of the round before, 0 to ROUND */
	uint32_t age;        /* rounds with about that frequency */
};

struct damon {
	struct list_head list; /* all folios, newest first */
	struct region regions[REGIONS_MAX];
	unsigned int nr;
	unsigned int samples; /* in this round */
	uint64_t rounds, asked;

	/* Victims: region numbers, coldest first, and where in them we are. */
	uint16_t order[REGIONS_MAX];
	unsigned int nr_order, at;
	uint64_t frame;
};

/* ---- regions ------------------------------------------------------------------ */

static int damon_init(struct policy_node *n)
{
	struct damon *d = n->state;
	uint64_t nr = n->nr_frames < REGIONS_MIN ? 1 : REGIONS_MIN;

	list_init(&d->list);
	for (uint64_t i = 0; i < nr; i++) {
		d->regions[i].start = n->nr_frames * i / nr;
		d->regions[i].end = n->nr_frames * (i + 1) / nr;
	}
	d->nr = (unsigned int)nr;
	return 0;
}

static bool alike(const struct region *a, const struct region *b)
{
	int diff = (int)a->frequency - (int)b->frequency;

	return diff >= -LIKE && diff <= LIKE;
}

static void merge_regions(struct damon *d, uint64_t largest)
{
	unsigned int out = 0;

	for (unsigned int i = 1; i < d->nr; i++) {
		struct region *last = &d->regions[out], *r = &d->regions[i];
		uint64_t a = last->end - last->start, b = r->end - r->start;

		if (alike(last, r) && a + b <= largest) {
			last->frequency =
				(uint32_t)((last->frequency * a + r->frequency * b + (a + b) / 2) /
					   (a + b));
			last->age = last->age < r->age ? last->age : r->age;
			last->end = r->end;
		} else {
			d->regions[++out] = *r;
		}
	}
	d->nr = out + 1;
}

/* Cut each in two, while there is room for all. */
static void split_regions(struct policy_node *n, struct damon *d)
{
	unsigned int nr = d->nr, out;

	if (nr > REGIONS_MAX / 2)
		return;
	for (unsigned int i = nr; i-- > 0;)
		d->regions[2 * i] = d->regions[i];
	out = 0;
	for (unsigned int i = 0; i < nr; i++) {
		struct region r = d->regions[2 * i];
		uint64_t size = r.end - r.start;

		d->regions[out] = r;
		if (size > 1) {
			uint64_t cut = r.start + 1 + policy_random(n) % (size - 1);

			d->regions[out++].end = cut;
			d->regions[out] = r;
			d->regions[out].start = cut;
		}
		out++;
	}
	d->nr = out;
}

static bool colder(const struct region *a, const struct region *b)
{
	if (a->frequency != b->frequency)
		return a->frequency < b->frequency;
	return a->age > b->age;
}

static void sort_regions(struct damon *d)
{
	for (unsigned int i = 0; i < d->nr; i++) {
		unsigned int k = i;

		for (; k && colder(&d->regions[i], &d->regions[d->order[k - 1]]); k--)
			d->order[k] = d->order[k - 1];
		d->order[k] = (uint16_t)i;
	}
	d->nr_order = d->nr;
	d->at = 0;
	d->frame = d->regions[d->order[0]].start;
}

/* lru_lock held: victims read the regions. */
static void end_round(struct policy_node *n, struct damon *d)
{
	for (unsigned int i = 0; i < d->nr; i++) {
		struct region *r = &d->regions[i];
		int diff = (int)r->hits - (int)r->frequency;

		r->age = diff >= -LIKE && diff <= LIKE ? r->age + 1 : 0;
		r->frequency = r->hits;
		r->hits = 0;
	}
	merge_regions(d, n->nr_frames / REGIONS_MIN + 1);
	split_regions(n, d);
	sort_regions(d);
	d->samples = 0;
	d->rounds++;
}

static uint64_t damon_tick(struct policy_node *n, uint64_t now)
{
	struct damon *d = n->state;

	(void)now;
	/* Only this function changes the regions, and nobody else runs it now. */
	for (unsigned int i = 0; i < d->nr; i++) {
		struct region *r = &d->regions[i];
		uint64_t frame;

		n->host->lock(n);
		frame = r->start + policy_random(n) % (r->end - r->start);
		n->host->unlock(n);
		r->hits += n->host->sample(n, frame);
	}
	n->host->lock(n);
	d->asked += d->nr;
	if (++d->samples == ROUND)
		end_round(n, d);
	n->host->unlock(n);
	return TICK_NS;
}

/* ---- folios --------------------------------------------------------------------- */

static void damon_add(struct policy_node *n, struct folio *f, enum policy_event why)
{
	struct damon *d = n->state;

	if (why == POLICY_COLD)
		list_add_tail(&f->lru, &d->list);
	else
		list_add(&f->lru, &d->list);
}

static void damon_remove(struct policy_node *n, struct folio *f)
{
	(void)n;
	list_del(&f->lru);
}

/* The next folio at or after the place where the last victim was; NULL: the pass is over. */
static struct folio *next_in_regions(struct policy_node *n, struct damon *d)
{
	while (d->at < d->nr_order) {
		const struct region *r = &d->regions[d->order[d->at]];

		while (d->frame < r->end) {
			struct folio *f = &n->frames[d->frame++];

			if (policy_has(n, f))
				return f;
		}
		if (++d->at < d->nr_order)
			d->frame = d->regions[d->order[d->at]].start;
	}
	return NULL;
}

static struct folio *damon_victim(struct policy_node *n)
{
	struct damon *d = n->state;
	struct folio *f;

	if (list_empty(&d->list))
		return NULL;
	f = next_in_regions(n, d);
	if (!f && d->nr_order) {
		sort_regions(d);
		f = next_in_regions(n, d);
	}
	return f ? f : list_last_entry(&d->list, struct folio, lru);
}

static void damon_skip(struct policy_node *n, struct folio *f)
{
	struct damon *d = n->state;

	list_del(&f->lru);
	list_add(&f->lru, &d->list);
}

static void damon_describe(struct policy_node *n,
			   void (*tell)(void *arg, const char *name, uint64_t value), void *arg)
{
	struct damon *d = n->state;
	uint64_t cold = 0, hot = 0, used = 0;

	for (unsigned int i = 0; i < d->nr; i++) {
		const struct region *r = &d->regions[i];

		*(r->frequency ? &hot : &cold) += r->end - r->start;
		used += (r->end - r->start) * r->frequency;
	}
	tell(arg, "regions", d->nr);
	tell(arg, "rounds", d->rounds);
	tell(arg, "samples", d->asked);
	tell(arg, "frames_never_hit", cold);
	tell(arg, "frames_hit", hot);
	/* Of each region, the part of the last round's samples that were used. */
	tell(arg, "frames_used", used / ROUND);
}

const struct reclaim_policy policy_damon = {
	.abi = RECLAIM_POLICY_ABI,
	.size = sizeof(struct reclaim_policy),
	.name = "damon",
	.summary = "regions of memory, sampled, split and merged by their heat; coldest first",
	.state_size = sizeof(struct damon),
	.init = damon_init,
	.add = damon_add,
	.remove = damon_remove,
	.victim = damon_victim,
	.skip = damon_skip,
	.tick = damon_tick,
	.describe = damon_describe,
};
