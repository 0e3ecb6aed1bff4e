/* SPDX-License-Identifier: MIT */
/*
 * Requests to migrate.
 *
 *	pick a round of folios (migrate_pick.c)
 *	  -> a mover isolates some of them, and the engine moves them (migrate_mover.c);
 *	     where the host has a thread to spare, a second one does so with the next
 *	  -> progress(): the caller may wait here, or stop
 *	what was busy or pinned is tried again, with growing pauses
 *
 * Every frame that was picked ends in exactly one count of the result. A folio
 * that the engine splits for want of room counts frame by frame; one that was
 * freed before its turn, or split and partly freed, is counted as gone.
 */
#include "rmap/migrate_mover.h"

#include <time.h>

/* Folios picked at a time, when not all must be known first: two shares, still in the caches. */
#define ROUND (2 * MIGRATE_ISOLATE)
/*
 * The longest pause before what was busy is tried again. Reclaim has all of a small node in its
 * hands at once (SHRINK_ISOLATE), and was seen to keep it for 174 ms where ten programs wanted its
 * processor, for 1 ms of work. The default tries wait for twice that.
 */
#define PAUSE_MAX_MS 128u
/* With give_back, the host gets its memory back in pieces of this many frames. */
#define GIVE_BACK_FRAMES 16384u
/* Two movers: in percent of the time of one; how often to try; on how much to judge. */
#define WORTH_A_MOVER   85u
#define TRY_OTHER_EVERY 32u
#define LEARN_FRAMES    1024u

struct request {
	struct mm_sys *sys;
	const struct migrate_request *req;
	struct migrate_result *res;
	struct mover movers[2]; /* the second one is made when it is first wanted */
	struct picker picker;
	struct pick_list again; /* to be tried again */
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

/*
 * Are two faster, as far as is known? A second mover that has begun and then loses its
 * processor holds the first one up, so it must be clearly better. The loser is tried
 * again now and then, since the other processor may have become idle or busy.
 */
static bool two_are_faster(struct request *r)
{
	struct mm_sys *sys = r->sys;
	uint64_t one = __atomic_load_n(&sys->migrate_ns_movers[0], __ATOMIC_RELAXED);
	uint64_t two = __atomic_load_n(&sys->migrate_ns_movers[1], __ATOMIC_RELAXED);
	bool better = two * 100 < one * WORTH_A_MOVER;

	if (r->req->threads)
		return r->req->threads == 2;
	if (!one || !two)
		return one != 0;
	return __atomic_add_fetch(&sys->migrate_choices, 1, __ATOMIC_RELAXED) % TRY_OTHER_EVERY
		       ? better
		       : !better;
}

static void learn(struct request *r, bool two, uint64_t ns, uint64_t frames)
{
	uint64_t *was = &r->sys->migrate_ns_movers[two], now, old;

	if (frames < LEARN_FRAMES)
		return;
	now = ns / frames + 1;
	old = __atomic_load_n(was, __ATOMIC_RELAXED);
	__atomic_store_n(was, old ? (3 * old + now) / 4 : now, __ATOMIC_RELAXED);
}

/*
 * The second mover with the picks from *at on, if another thread is to work beside this
 * one: not for a bounded batch, whose caller wants pieces (unless asked), and not to time walks, which
 * it would overlap.
 */
static struct mover *second_mover(struct request *r, const struct pick_list *picks, uint64_t *at)
{
	const struct mm_host_ops *ops = r->sys->ops;
	struct mover *v = &r->movers[1];
	uint64_t end;

	if (!ops->helper_begin || (r->req->batch && r->req->threads != 2) || r->req->time_walk ||
	    *at == picks->nr || !two_are_faster(r) || (!v->m && mover_init(v, r->sys, r->req)))
		return NULL;
	v->last_try = r->last_try;
	end = mover_share(v, picks, *at);
	if (!ops->helper_begin(r->sys->ctx, mover_run, v))
		return NULL;
	*at = end;
	return v;
}

static void settle_mover(struct request *r, struct mover *v)
{
	r->handled += v->handled;
	mover_tell(v, r->res, &r->again);
}

/* Move some of the picks from *at on, by one mover or two. */
static void move_some(struct request *r, const struct pick_list *picks, uint64_t *at)
{
	struct mover *first = &r->movers[0], *second;
	uint64_t before = r->res->moved, start = migrate_now_ns();

	first->last_try = r->last_try;
	*at = mover_share(first, picks, *at);
	second = second_mover(r, picks, at);
	mover_run(first);
	settle_mover(r, first);
	if (second) {
		/* Not even begun: others want that processor. */
		if (!r->sys->ops->helper_end(r->sys->ctx))
			mover_run(second);
		settle_mover(r, second);
	}
	learn(r, second, migrate_now_ns() - start, r->res->moved - before);
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
	uint64_t start;
	int ret;

	r->last_try = r->req->tries == 1;
	do {
		start = migrate_now_ns();
		ret = picker_next(&r->picker, at_once ? UINT64_MAX : ROUND);
		if (at_once)
			r->res->left += picker_keep_coldest(&r->picker, r->req->percent);
		r->res->ns_find += migrate_now_ns() - start;
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
	if (mover_init(&r->movers[0], sys, req))
		goto out;
	r->estimate = picker_estimate(&r->picker);
	ret = move_all(r);
	for (unsigned int i = 0; i < 2; i++) {
		mover_destroy(&r->movers[i]);
		mover_tell(&r->movers[i], out, &r->again);
	}
out:
	pick_list_free(sys, &r->again);
	picker_destroy(&r->picker);
	sys_free(sys, r, sizeof(*r));
	return ret;
}
