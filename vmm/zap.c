/* SPDX-License-Identifier: MIT */
#include "vmm/zap.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/holes.h"
#include "vmm/host_priv.h"
#include "vmm/layout.h"
#include "vmm/uffd.h"

/* A fault that the guest's next touch of a frame costs, against a split of 512 entries. */
#define WIDEN_FRAMES 128u
/* vCPUs that wait for a hole come out at once, where the kernel lets them (6.2 on). */
#define PAUSE_NS 20000000ull

const char *zap_primitive_name(enum zap_primitive primitive)
{
	static const char *const names[] = { "uffd-wp-clear", "uffd-wp-toggle", "flush-all" };

	return names[primitive];
}

const char *flush_primitive_name(enum flush_primitive flush)
{
	static const char *const names[] = { "dummy-slot", "slot-cycle" };

	return names[flush];
}

static int dummy_set(struct zapper *zapper, bool moved)
{
	return kvm_slot_set(zapper->kvm, SLOT_DUMMY,
			    gpa_make(moved ? LAYOUT_DUMMY_GPA_ALT : LAYOUT_DUMMY_GPA),
			    UMM_PAGE_SIZE, zapper->memory->dummy);
}

void zapper_init(struct zapper *zapper, struct host *host)
{
	zapper->host = host;
	zapper->kvm = &host->kvm;
	zapper->memory = &host->memory;
	zapper->pool = &host->pool;
	zapper->uffd = host->uffd;
	pthread_mutex_init(&zapper->flush_lock, NULL);
}

static int dummy_move(struct zapper *zapper)
{
	int rc = zapper->dummy_set ? 0 : dummy_set(zapper, false);

	if (rc)
		return rc;
	zapper->dummy_set = true;
	rc = dummy_set(zapper, !zapper->dummy_moved);
	if (!rc)
		zapper->dummy_moved = !zapper->dummy_moved;
	return rc;
}

/*
 * KVM waits here for all that are inside it, and who waits for a hole there is inside it for
 * as long as the device takes: so they are out meanwhile, and find the hole again.
 */
static int dummy_move_beside_holes(struct zapper *zapper)
{
	int rc;

	(void)vcpu_pool_try_pause(zapper->pool, PAUSE_NS);
	rc = dummy_move(zapper);
	vcpu_pool_resume(zapper->pool);
	return rc;
}

int zap_flush_once(struct zapper *zapper)
{
	int rc;

	if (zapper->flush == FLUSH_DUMMY_SLOT)
		return zapper->holes && holes_any(zapper->holes) ? dummy_move_beside_holes(zapper)
								 : dummy_move(zapper);
	vcpu_pool_pause(zapper->pool);
	rc = memory_slots_cycle(zapper->memory, zapper->kvm);
	vcpu_pool_resume(zapper->pool);
	return rc;
}

/*
 * The first time, find out how; that is a flush as well. Going on with stale
 * translations would let programs write to memory that is no longer theirs, and
 * there is no error to return: so a host where nothing works ends here.
 */
static void flush_locked(struct zapper *zapper)
{
	int rc = -EAGAIN;

	if (!zapper->flush_proven) {
		rc = probe_flush(zapper->host);
		zapper->flush_proven = !rc;
	}
	if (rc == -EAGAIN)
		rc = zap_flush_once(zapper);
	if (rc) {
		fprintf(stderr, "umm: this KVM keeps stale page tables (%s)\n", strerror(-rc));
		abort();
	}
}

/*
 * Whoever waited for the lock while a flush that began after its own call was
 * done by another thread, is served.
 */
void zap_flush_tables(struct zapper *zapper)
{
	uint64_t begun = atomic_load(&zapper->flush_begun);

	pthread_mutex_lock(&zapper->flush_lock);
	if (zapper->flush_done <= begun) {
		uint64_t mine = atomic_fetch_add(&zapper->flush_begun, 1) + 1;

		flush_locked(zapper);
		zapper->flush_done = mine;
		counter_add(&zapper->flushes, 1);
	}
	pthread_mutex_unlock(&zapper->flush_lock);
}

/* A frame that is on its way to be a hole is protected on purpose: its hole is off then. */
static int clear_protection(struct zapper *zapper, uint8_t *hva, uint64_t len)
{
	pfn_t first = zapper->memory->nodes[0].base;

	if (!zapper->holes)
		return uffd_protect(zapper->uffd, hva, len, false);
	return holes_unprotect(zapper->holes,
			       pfn_add(first,
				       (uint64_t)(hva - zapper->memory->ram) >> UMM_PAGE_SHIFT),
			       len >> UMM_PAGE_SHIFT);
}

/* One run of frames inside one node. */
static void zap_run(struct zapper *zapper, uint8_t *hva, uint64_t len)
{
	int rc = 0;

	if (zapper->primitive == ZAP_UFFD_TOGGLE)
		rc = uffd_protect(zapper->uffd, hva, len, true);
	if (zapper->primitive != ZAP_FLUSH) {
		int cleared = clear_protection(zapper, hva, len);

		rc = rc ? rc : cleared;
	}
	if (rc || zapper->primitive == ZAP_FLUSH)
		zap_flush_tables(zapper);
	atomic_fetch_add_explicit(&zapper->ranges, 1, memory_order_relaxed);
}

/*
 * The host maps 2 MiB by one entry where it can, and a zap of less splits that for good:
 * each later zap and copy of the block is dearer then. Clearing a protection that was
 * never set does nothing to pages that did not ask for it but have them faulted in
 * again, so a run that takes a good part of a block at its end takes all of it.
 */
static void zap_widen(const struct zapper *zapper, const struct host_node *node, uint64_t *pfn,
		      uint64_t *nr)
{
	uint64_t first = *pfn - node->base.v, end = first + *nr;
	uint64_t block = 1ul << UMM_PMD_ORDER;
	uint64_t head = first % block, tail = end % block;

	if (zapper->primitive != ZAP_UFFD_CLEAR)
		return;
	if (head && block - head >= WIDEN_FRAMES && *nr >= WIDEN_FRAMES)
		first -= head;
	if (tail >= WIDEN_FRAMES && *nr >= WIDEN_FRAMES && end + block - tail <= node->nr)
		end += block - tail;
	*pfn = node->base.v + first;
	*nr = end - first;
}

/* Nodes are separate host mappings: cut there. */
static void zap_cut(struct zapper *zapper, uint64_t pfn, uint64_t nr)
{
	const struct host_node *node = zapper->memory->nodes;

	while (nr) {
		uint64_t left, part, first = pfn, frames;

		while (pfn - node->base.v >= node->nr)
			node++;
		left = node->base.v + node->nr - pfn;
		part = frames = nr < left ? nr : left;
		zap_widen(zapper, node, &first, &frames);
		zap_run(zapper, memory_hva(zapper->memory, pfn_make(first), frames),
			frames << UMM_PAGE_SHIFT);
		pfn += part;
		nr -= part;
	}
}

void zap_frames(struct zapper *zapper, const struct frame_range *ranges, unsigned int nr)
{
	uint64_t total = 0;
	unsigned int i = 0;

	atomic_fetch_add_explicit(&zapper->calls, 1, memory_order_relaxed);
	while (i < nr) {
		uint64_t first = ranges[i].pfn.v, end = first + ranges[i].nr;

		for (i++; i < nr && ranges[i].pfn.v == end; i++)
			end += ranges[i].nr;
		total += end - first;
		/* A frame that is not RAM is a bug of the caller: do not guess. */
		if (!memory_hva(zapper->memory, pfn_make(first), end - first))
			abort();
		zap_cut(zapper, first, end - first);
	}
	atomic_fetch_add_explicit(&zapper->frames, total, memory_order_relaxed);
}
