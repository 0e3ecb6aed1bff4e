/* SPDX-License-Identifier: MIT */
/*
 * Requests to migrate.
 *
 *	pick a round of folios (migrate_pick.c)
 *	  -> isolate some of them from their lists
 *	     -> the engine moves them (migrate_batch.c)		  tells what stays
 *	  -> progress(): the caller may wait here, or stop
 *	what was busy or pinned is tried again, with growing pauses
 *
 * Every frame that was picked ends in exactly one count of the result. A folio
 * that the engine splits for want of room counts frame by frame; one that was
 * freed before its turn, or split and partly freed, is counted as gone.
 */
#include "rmap/migrate_pick.h"

#include <time.h>

/* Folios picked at a time, when not all must be known first. */
#define ROUND 16384u
/* The longest pause before what was busy is tried again. */
#define PAUSE_MAX_MS 16u
/* With give_back, the host gets its memory back in pieces of this many frames. */
#define GIVE_BACK_FRAMES 16384u

struct request {
	struct mm_sys *sys;
	const struct migrate_request *req;
	struct migrate_result *res;
	struct migration *m;
	struct picker picker;
	struct pick_list again; /* to be tried again */
	uint64_t retried;       /* frames that the engine put there */
	uint64_t handled;       /* frames with a fate, or on `again` */
	uint64_t estimate;      /* of what there is, when it began */
	uint64_t given_at;      /* moved when the host last got memory back */
	bool last_try, stopped;
};

static bool stop_asked(struct request *r)
{
	uint64_t total = r->estimate;

	if (r->req->progress && !r->stopped)
		r->stopped = r->req->progress(r->req->arg, r->handled,
					      total > r->handled ? total : r->handled);
	return r->stopped;
}

/* Hook of the engine: what was only in somebody's hands gets another try. */
static bool frame_stays(struct migration *m, struct folio *f, const uint64_t *why)
{
	struct request *r = m->request;

	if (r->last_try || (why != &m->res->busy && why != &m->res->pinned))
		return true;
	if (pick_list_add(r->sys, &r->again, folio_pfn(r->sys, f), f->order))
		return true;
	r->retried += folio_nr(f);
	return false;
}

/* Nobody holds the folio: its order is what was seen a moment ago. */
static void count_busy(struct request *r, struct folio *f, unsigned int order)
{
	uint64_t nr = 1ul << order;

	if (r->last_try || pick_list_add(r->sys, &r->again, folio_pfn(r->sys, f), order))
		r->res->busy += nr;
	else
		r->retried += nr;
}

/* The folios that the frames of a pick belong to now; returns the frames isolated. */
static uint64_t isolate_pick(struct request *r, uint64_t pick, struct list_head *list)
{
	uint64_t nr = PICK_FRAMES(pick), taken = 0;
	struct folio *f = sys_frame(r->sys, PICK_PFN(pick));

	for (uint64_t i = 0; i < nr;) {
		struct folio *at = f + i;
		unsigned int order = __atomic_load_n(&at->order, __ATOMIC_RELAXED);

		if (folio_test(at, PG_buddy) || folio_test(at, PG_tail) ||
		    folio_refcount(at) <= 0 || order > UMM_MAX_ORDER || 1ul << order > nr - i) {
			r->res->gone++;
			i++;
			continue;
		}
		if (!lru_isolate_folio(r->sys, at)) {
			count_busy(r, at, order);
			i += 1ul << order;
		} else {
			list_add_tail(&at->lru, list);
			taken += folio_nr(at);
			i += folio_nr(at);
		}
	}
	return taken;
}

static uint64_t counted(const struct request *r)
{
	const struct migrate_result *res = r->res;

	return res->moved + res->pinned + res->no_memory + res->busy + res->failed + r->retried;
}

/* Move some of the picks from *at on. */
static void move_some(struct request *r, const struct pick_list *picks, uint64_t *at)
{
	unsigned int max = r->req->batch ? r->req->batch : MIGRATE_ISOLATE;
	uint64_t isolated = 0, before;
	struct list_head list;

	list_init(&list);
	umm_read_lock(&r->sys->work_lock);
	while (*at < picks->nr && (!isolated || isolated + PICK_FRAMES(picks->v[*at]) <= max)) {
		r->handled += PICK_FRAMES(picks->v[*at]);
		isolated += isolate_pick(r, picks->v[(*at)++], &list);
	}
	before = counted(r);
	migrate_list(r->m, &list);
	umm_read_unlock(&r->sys->work_lock);
	/* Frames of a split folio that nobody mapped were freed by the split. */
	r->res->gone += isolated - (counted(r) - before);
}

static void give_back(struct request *r)
{
	uint64_t mask = r->req->from_mask ? r->req->from_mask : ~0ul;

	r->given_at = r->res->moved;
	for (unsigned int i = 0; i < r->sys->nr_nodes; i++) {
		if ((int)i != r->req->to && (mask & (1ul << i)))
			r->res->discarded += frames_discard_free(r->sys, (int)i);
	}
}

/* A full node takes nothing: the rest need not be unmapped to find that out. */
static bool target_is_full(const struct request *r)
{
	return !__atomic_load_n(&r->sys->nodes[r->req->to].nr_free, __ATOMIC_RELAXED);
}

static void move_picks(struct request *r, const struct pick_list *picks)
{
	uint64_t at = 0;

	while (at < picks->nr && !r->stopped) {
		if (target_is_full(r)) {
			r->res->no_memory += pick_list_frames(picks, at);
			r->handled += pick_list_frames(picks, at);
			return;
		}
		move_some(r, picks, &at);
		if (r->req->give_back && r->res->moved - r->given_at >= GIVE_BACK_FRAMES)
			give_back(r);
		stop_asked(r);
	}
	r->res->left += pick_list_frames(picks, at);
}

static void pause_ms(struct request *r, unsigned int ms)
{
	for (unsigned int i = 0; i < ms && !stop_asked(r); i++)
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
}

static void move_again(struct request *r)
{
	unsigned int tries = r->req->tries ? r->req->tries : MIGRATE_DEFAULT_TRIES, ms = 1;

	for (unsigned int t = 2; t <= tries && r->again.nr && !r->stopped; t++) {
		struct pick_list picks = r->again;

		r->again = (struct pick_list){ .nr = 0 };
		pause_ms(r, ms);
		r->last_try = t == tries;
		r->handled -= pick_list_frames(&picks, 0);
		move_picks(r, &picks);
		pick_list_free(r->sys, &picks);
		ms = ms * 2 < PAUSE_MAX_MS ? ms * 2 : PAUSE_MAX_MS;
	}
	/* Stopped: they have been tried, if not as often as they might. */
	r->res->busy += pick_list_frames(&r->again, 0);
}

static int move_all(struct request *r)
{
	bool at_once = r->req->percent && r->req->percent < 100;
	int ret;

	r->last_try = r->req->tries == 1;
	do {
		ret = picker_next(&r->picker, at_once ? UINT64_MAX : ROUND);
		if (at_once)
			r->res->left += picker_keep_coldest(&r->picker, r->req->percent);
		r->handled = r->res->total - pick_list_frames(&r->picker.picks, 0);
		move_picks(r, &r->picker.picks);
	} while (!ret && r->picker.picks.nr && !r->stopped);
	move_again(r);
	if (r->req->give_back)
		give_back(r);
	r->res->stopped = r->stopped;
	return ret;
}

/* What would be moved is counted; the target takes only so much. */
static int foretell_all(struct request *r)
{
	uint64_t room = __atomic_load_n(&r->sys->nodes[r->req->to].nr_free, __ATOMIC_RELAXED);
	struct migrate_result *res = r->res;
	int ret = picker_next(&r->picker, UINT64_MAX);

	if (r->req->percent && r->req->percent < 100) {
		uint64_t want = (res->would_move * r->req->percent + 99) / 100;

		res->left = res->would_move - want;
		res->would_move = want;
	}
	if (res->would_move > room) {
		res->no_memory = res->would_move - room;
		res->would_move = room;
	}
	return ret;
}

static int request_check(const struct mm_sys *sys, const struct migrate_request *req)
{
	if (req->to < 0 || req->to >= (int)sys->nr_nodes || req->percent > 100 ||
	    (req->pages && (req->start.v || req->end.v)))
		return -EINVAL;
	return mm_node_state(sys, req->to) == MM_NODE_ONLINE ? 0 : -ENODEV;
}

int mm_migrate(struct mm_sys *sys, const struct migrate_request *req, struct migrate_result *out)
{
	struct request *r;
	int ret = request_check(sys, req);

	if (ret)
		return ret;
	memset(out, 0, sizeof(*out));
	r = sys_alloc(sys, sizeof(*r));
	if (!r)
		return -ENOMEM;
	*r = (struct request){ .sys = sys, .req = req, .res = out };
	ret = picker_init(&r->picker, sys, req, out);
	if (ret)
		goto out;
	if (req->dry_run) {
		ret = foretell_all(r);
		goto out;
	}
	ret = -ENOMEM;
	r->m = migration_start(sys, req, out);
	if (!r->m)
		goto out;
	r->m->stays = frame_stays;
	r->m->request = r;
	r->estimate = picker_estimate(&r->picker);
	ret = move_all(r);
	migration_end(r->m);
out:
	pick_list_free(sys, &r->again);
	picker_destroy(&r->picker);
	sys_free(sys, r, sizeof(*r));
	return ret;
}
