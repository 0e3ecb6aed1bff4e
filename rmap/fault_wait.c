/* SPDX-License-Identifier: MIT */
/*
 * Faults wait without mmap_lock, so that mmap, munmap and fork of the same process need
 * not wait for a device (what Linux calls FAULT_FLAG_RETRY).
 *
 *	handler		finds that it would sleep, notes for what, answers FAULT_DONE
 *	mm_fault()	drops mmap_lock
 *	  fault_wait()	does the transfer, or sleeps until somebody else's is over
 *	mm_fault()	starts over: the area is looked up again, the entry is read again
 *	handler		finds what was waited for in the cache, and maps it
 *
 * Anything may have changed meanwhile: the area may be gone, the entry may be another.
 * So nothing of the area is kept, only references that hold the folios in their caches:
 * without them little memory could evict what was read before it is mapped, for ever.
 * A swap-in keeps the entries that it began with too, and maps only those that are
 * still the same; its slots cannot be given to others as long as their folios are cached.
 *
 * Transfers begin with mmap_lock held, and what completes them takes no lock but those
 * below the folio lock: the validator waits for folio locks with all others held.
 */
#include <time.h>

#include "rmap/fault_wait.h"

#define MOMENT_NS 20000

void fault_wait_init(struct fault_wait *w, struct mm_sys *sys)
{
	/* Not all of it: the arrays are some KiB. */
	w->sys = sys;
	w->what = WAIT_NOTHING;
	w->again = w->stall = false;
	w->folio = w->held = NULL;
	w->mapping = NULL;
	w->swap.nr = 0;
}

void fault_wait_release(struct fault_wait *w)
{
	swap_read_release(w->sys, w->swap.folios, w->swap.nr);
	w->swap.nr = 0;
	if (w->held)
		folio_put(w->sys, w->held);
	w->held = NULL;
}

void fault_wait_unlock(struct fault *f, struct folio *folio, bool hold)
{
	struct fault_wait *w = f->wait;

	if (hold && w->held != folio) {
		if (w->held)
			folio_put(w->sys, w->held);
		folio_get(folio);
		w->held = folio;
	}
	w->what = WAIT_UNLOCK;
	w->folio = folio;
}

void fault_wait_swap(struct fault *f)
{
	f->wait->what = WAIT_SWAP;
	f->wait->stall = true;
}

void fault_wait_moment(struct fault *f)
{
	fault_wait_release(f->wait);
	f->wait->what = WAIT_MOMENT;
}

void fault_wait_file(struct fault *f, pgoff_t index)
{
	struct fault_wait *w = f->wait;

	w->what = WAIT_FILE;
	/* The first read of a file is no want of memory. */
	w->stall = shadow_expects(w->sys, f->vma->mapping, index);
	w->mapping = mapping_get(f->vma->mapping);
	w->index = index;
	w->random = vma_flags(f->vma) & VM_RAND_READ;
}

static enum fault_result wait_file(struct fault_wait *w)
{
	struct folio *folio;
	int ret = pagecache_get(w->mapping, w->index, w->random, &folio);

	if (!ret) {
		folio_unlock(w->sys, folio);
		if (w->held)
			folio_put(w->sys, w->held);
		w->held = folio;
	}
	/* Perhaps the last reference, if the area has gone: no lock is held. */
	mapping_put(w->mapping);
	w->mapping = NULL;
	return ret == 0 ? FAULT_DONE : ret == -ENOMEM ? FAULT_OOM : FAULT_BUS;
}

enum fault_result fault_wait(struct fault_wait *w)
{
	enum fault_wait_for what = w->what;
	enum fault_result r = FAULT_DONE;
	struct mm_thread *stalled = w->stall ? stall_begin(w->sys) : NULL;

	w->what = WAIT_NOTHING;
	w->again = true;
	if (what == WAIT_UNLOCK) {
		folio_wait_locked(w->sys, w->folio);
		folio_wait_writeback(w->sys, w->folio);
	} else if (what == WAIT_SWAP) {
		swap_read_end(&w->swap.read);
	} else if (what == WAIT_MOMENT) {
		nanosleep(&(struct timespec){ .tv_nsec = MOMENT_NS }, NULL);
	} else if (what == WAIT_FILE) {
		r = wait_file(w);
	}
	stall_end(w->sys, stalled);
	w->stall = false;
	return r;
}
