/* SPDX-License-Identifier: MIT */
/*
 * A mover takes a share of a request's picks, isolates their folios and has the engine
 * (migrate_batch.c) move them. There are one or two at work, each with an engine, a
 * result and a list of what is to be tried again of its own, so that they share nothing
 * but the manager's locks; the request adds up when both have done their shares.
 */
#include "rmap/migrate_mover.h"

/* So many folios are taken from the lists under one lock. */
#define HOLD_FOLIOS 64u
/* Folios further on in a share are fetched so early. */
#define AHEAD 8u

/* Hook of the engine: what was only in somebody's hands gets another try. */
static bool frame_stays(struct migration *m, struct folio *f, const uint64_t *why)
{
	struct mover *v = m->request;

	if (v->last_try || (why != &m->res->busy && why != &m->res->pinned))
		return true;
	if (pick_list_add(v->sys, &v->again, folio_pfn(v->sys, f), f->order))
		return true;
	v->retried += folio_nr(f);
	return false;
}

/* Nobody holds the folio: its order is what was seen a moment ago. */
static void count_busy(struct mover *v, struct folio *f, unsigned int order)
{
	uint64_t nr = 1ul << order;

	if (v->last_try || pick_list_add(v->sys, &v->again, folio_pfn(v->sys, f), order))
		v->res.busy += nr;
	else
		v->retried += nr;
}

/* The folios that the frames of a pick belong to now; returns the frames isolated. */
static uint64_t isolate_pick(struct mover *v, uint64_t pick, struct lru_hold *hold,
			     struct list_head *list)
{
	uint64_t nr = PICK_FRAMES(pick), taken = 0;
	struct folio *f = frame_find(v->sys, PICK_PFN(pick));

	/* What is picked next is most often next to it. */
	__builtin_prefetch(f + AHEAD * nr, 1);
	for (uint64_t i = 0; i < nr;) {
		struct folio *at = f + i;
		unsigned int order = __atomic_load_n(&at->order, __ATOMIC_RELAXED);

		if (folio_test(at, PG_buddy) || folio_test(at, PG_tail) ||
		    folio_refcount(at) <= 0 || order > UMM_MAX_ORDER || 1ul << order > nr - i) {
			v->res.gone++;
			i++;
			continue;
		}
		if (!lru_isolate_held(v->sys, hold, at)) {
			lru_hold_end(hold);
			count_busy(v, at, order);
			i += 1ul << order;
		} else {
			list_add_tail(&at->lru, list);
			taken += folio_nr(at);
			i += folio_nr(at);
		}
	}
	return taken;
}

static uint64_t counted(const struct mover *v)
{
	const struct migrate_result *res = &v->res;

	return res->moved + res->pinned + res->no_memory + res->busy + res->failed + v->retried;
}

uint64_t mover_share(struct mover *v, const struct pick_list *picks, uint64_t at)
{
	unsigned int max = v->req->batch ? v->req->batch : MIGRATE_ISOLATE;
	uint64_t frames = 0;

	v->picks = picks;
	v->at = at;
	v->handled = 0;
	while (at < picks->nr && (!frames || frames + PICK_FRAMES(picks->v[at]) <= max))
		frames += PICK_FRAMES(picks->v[at++]);
	v->end = at;
	return at;
}

void mover_run(void *arg)
{
	struct mover *v = arg;
	struct lru_hold hold = { .nr = HOLD_FOLIOS };
	uint64_t isolated = 0, before, start = migrate_now_ns();
	struct list_head list;

	list_init(&list);
	umm_read_lock(&v->sys->work_lock);
	for (; v->at < v->end; v->at++) {
		v->handled += PICK_FRAMES(v->picks->v[v->at]);
		isolated += isolate_pick(v, v->picks->v[v->at], &hold, &list);
	}
	lru_hold_end(&hold);
	before = counted(v);
	v->res.ns_find += migrate_now_ns() - start;
	migrate_list(v->m, &list);
	umm_read_unlock(&v->sys->work_lock);
	/* Frames of a split folio that nobody mapped were freed by the split. */
	v->res.gone += isolated - (counted(v) - before);
}

/* Of all that the engine and this file count. */
static void add_counts(struct migrate_result *to, const struct migrate_result *now,
		       const struct migrate_result *told)
{
	to->moved += now->moved - told->moved;
	to->folios += now->folios - told->folios;
	to->pinned += now->pinned - told->pinned;
	to->busy += now->busy - told->busy;
	to->no_memory += now->no_memory - told->no_memory;
	to->failed += now->failed - told->failed;
	to->gone += now->gone - told->gone;
	to->batches += now->batches - told->batches;
	to->early += now->early - told->early;
	to->stale += now->stale - told->stale;
	to->late += now->late - told->late;
	to->mappings += now->mappings - told->mappings;
}

static void add_times(struct migrate_result *to, const struct migrate_result *now,
		      const struct migrate_result *told)
{
	to->ns_find += now->ns_find - told->ns_find;
	to->ns_alloc += now->ns_alloc - told->ns_alloc;
	to->ns_unmap += now->ns_unmap - told->ns_unmap;
	to->ns_flush += now->ns_flush - told->ns_flush;
	to->ns_zap += now->ns_zap - told->ns_zap;
	to->ns_copy += now->ns_copy - told->ns_copy;
	to->ns_restore += now->ns_restore - told->ns_restore;
	to->ns_bare += now->ns_bare - told->ns_bare;
	to->ns_aside += now->ns_aside - told->ns_aside;
	to->ns_walk += now->ns_walk - told->ns_walk;
	if (now->ns_window > to->ns_window)
		to->ns_window = now->ns_window;
}

void mover_tell(struct mover *v, struct migrate_result *res, struct pick_list *again)
{
	add_counts(res, &v->res, &v->told);
	add_times(res, &v->res, &v->told);
	v->told = v->res;
	for (uint64_t i = 0; i < v->again.nr; i++) {
		uint64_t pick = v->again.v[i];

		if (pick_list_add(v->sys, again, PICK_PFN(pick), PICK_ORDER(pick)))
			res->busy += PICK_FRAMES(pick);
	}
	v->again.nr = 0;
}

int mover_init(struct mover *v, struct mm_sys *sys, const struct migrate_request *req)
{
	*v = (struct mover){ .sys = sys, .req = req };
	v->m = migration_start(sys, req, &v->res);
	if (!v->m)
		return -ENOMEM;
	v->m->stays = frame_stays;
	v->m->request = v;
	return 0;
}

void mover_destroy(struct mover *v)
{
	if (!v->m)
		return;
	migration_end(v->m);
	v->m = NULL;
	pick_list_free(v->sys, &v->again);
}
