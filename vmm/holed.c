/* SPDX-License-Identifier: MIT */
#include "vmm/holed.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <umm/poison.h>
#include <umm/reclaim.h>

#include "vmm/holes.h"

/* With a limit: some hundred pages are read back meanwhile, a device allowing. */
#define LIMIT_TICK_MS 1
/* A device that fails is given so long. */
#define LOST_TICK_MS 200
/* Somebody may be at work with the page for a moment. */
#define WAITS_TO_TELL 10u
/* Once over the limit, this part of it is made free at once. */
#define SLACK_SHARE 32u
#define SLACK_MAX   4096u /* frames */

/* ---- pages that cannot be read ------------------------------------------------------- */

static void tell_waiting(struct holed *d, pfn_t pfn)
{
	if (++d->waits != WAITS_TO_TELL)
		return;
	fprintf(stderr,
		"umm: guest frame %lu cannot be read back from where holes are kept (I/O "
		"error), and is in use; whoever touches it waits, it is tried again and again\n",
		pfn.v);
}

/* Take the page from all that map it: SIGBUS for who touches it. */
static void see_to(struct holed *d, struct holes *h, pfn_t pfn, bool out)
{
	struct poison_result r;
	int rc = out ? mm_poison(d->sys, pfn, NULL, 0, &r) : -EBUSY;

	if (rc == -EBUSY || rc == -EINVAL) {
		if (holes_try_again(h, pfn))
			tell_waiting(d, pfn);
		return;
	}
	/* Taken now, or before, or freed: in any case nobody finds the frame any more. */
	holes_give_up(h, pfn);
	if (!rc && r.outcome != POISON_READ_AGAIN)
		fprintf(stderr,
			"umm: guest frame %lu could not be read back from where holes are kept "
			"(I/O error): its page is lost, SIGBUS for who touches it\n",
			pfn.v);
}

static bool see_to_lost(struct holed *d, struct holes *h)
{
	pfn_t pfn = host_node_get(d->host, 0)->base;
	bool out;

	if (!holes_find_lost(h, &pfn))
		return false;
	/*
	 * A vCPU that waits for a hole does so inside KVM, and a flush of tables waits for it:
	 * so it must be out when entries are changed. It comes back when they are.
	 */
	out = host_try_pause(d->host);
	for (; holes_find_lost(h, &pfn); pfn = pfn_add(pfn, 1))
		see_to(d, h, pfn, out);
	host_resume(d->host);
	return true;
}

/* ---- the limit ------------------------------------------------------------------------ */

static void keep_limit(struct holed *d)
{
	uint64_t resident = host_resident_frames(d->host), slack = d->limit / SLACK_SHARE;
	struct reclaim_request req = { .node = -1, .holes = true };
	const struct reclaim_request unused = { .node = -1, .discard = true };
	struct reclaim_result r;

	if (resident > atomic_load(&d->peak))
		atomic_store(&d->peak, resident);
	slack = slack < SLACK_MAX ? slack : SLACK_MAX;
	/*
	 * What nobody uses goes first: a migration leaves as much as it moved, and without this
	 * all of what it moved would become holes.
	 */
	if (resident + slack / 2 > d->limit) {
		(void)!mm_reclaim(d->sys, &unused, &r);
		resident = host_resident_frames(d->host);
	}
	/* Before it is reached, as who wants more waits there. */
	for (int pass = 0;
	     pass < 2 && resident + slack / 2 > d->limit && !ticker_must_stop(&d->ticker); pass++) {
		req.nr_frames = resident + slack - d->limit;
		req.ignore_references = pass;
		/* Where nothing can be written, the limit is passed: told by counts. */
		(void)!mm_reclaim(d->sys, &req, &r);
		resident = host_resident_frames(d->host);
	}
}

static uint64_t holed_tick(void *arg)
{
	struct holed *d = arg;
	bool lost = see_to_lost(d, host_holes(d->host));

	if (d->limit) {
		keep_limit(d);
		return ticker_ms(LIMIT_TICK_MS);
	}
	return lost ? ticker_ms(LOST_TICK_MS) : TICKER_NEVER;
}

static void lost_one(void *arg)
{
	struct holed *d = arg;

	ticker_poke(&d->ticker);
}

int holed_start(struct holed *d, struct mm_sys *sys, struct host *host, uint64_t limit_bytes,
		struct errmsg *e)
{
	struct ticker_work work = { .tick = holed_tick, .arg = d };
	int rc;

	d->sys = sys;
	d->host = host;
	d->limit = limit_bytes >> UMM_PAGE_SHIFT;
	if (!host_holes(host))
		return 0;
	rc = ticker_start(&d->ticker, &work);
	if (rc)
		return errmsg_set(e, rc, "no thread to look after holes: %s", strerror(-rc));
	holes_on_loss(host_holes(host), lost_one, d);
	host_set_resident_limit(host, d->limit);
	return 0;
}

void holed_stop(struct holed *d)
{
	if (!d->ticker.running)
		return;
	host_set_resident_limit(d->host, 0);
	holes_on_loss(host_holes(d->host), NULL, NULL);
	ticker_stop(&d->ticker);
}
