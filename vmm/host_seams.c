/* SPDX-License-Identifier: MIT */
/*
 * The two tables of function pointers through which the memory manager and the
 * guest side reach the host. Each entry only finds its part of struct host.
 */
#include <errno.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "guest/guest.h"
#include "vmm/frames.h"
#include "vmm/host_priv.h"

/*
 * Tables of frames are large, and sparsely used at first: the kernel's fresh
 * pages are zero without being touched.
 */
#define SEAM_MAP_MIN (256ul << 10)
#define ROOM_WAIT_MS 20

static void *seam_alloc(void *ctx, size_t size)
{
	void *p;

	(void)ctx;
	if (size < 64)
		return calloc(1, size ? size : 1);
	if (size >= SEAM_MAP_MIN) {
		p = mmap(NULL, size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		return p == MAP_FAILED ? NULL : p;
	}
	size = (size + 63) & ~(size_t)63;
	p = aligned_alloc(64, size);
	if (p)
		memset(p, 0, size);
	return p;
}

static void seam_free(void *ctx, void *p, size_t size)
{
	(void)ctx;
	if (p && size >= SEAM_MAP_MIN)
		munmap(p, size);
	else
		free(p);
}

/* What cannot be read back must be an error here, not a wait for ever. */
static int bring_back(struct host *host, pfn_t pfn, uint32_t nr)
{
	return host->holes ? holes_fill(host->holes, pfn, nr) : 0;
}

static int seam_copy(void *ctx, pfn_t dst, pfn_t src, uint32_t nr)
{
	struct host *host = ctx;
	int rc = bring_back(host, src, nr);

	return rc ? rc : frames_copy(&host->memory, dst, src, nr);
}

/* One of them failed: the others are copied all the same. */
static int copy_one_by_one(struct host *host, struct frame_copy *copies, unsigned int nr)
{
	int rc = 0;

	for (unsigned int i = 0; i < nr; i++) {
		copies[i].error = bring_back(host, copies[i].src, copies[i].nr);
		if (!copies[i].error)
			(void)!copier_run(&host->copier, &copies[i], 1);
		rc = rc ? rc : copies[i].error;
	}
	return rc;
}

static int seam_copy_runs(void *ctx, struct frame_copy *copies, unsigned int nr)
{
	struct host *host = ctx;

	for (unsigned int i = 0; i < nr; i++)
		if (bring_back(host, copies[i].src, copies[i].nr))
			return copy_one_by_one(host, copies, nr);
	return copier_run(&host->copier, copies, nr);
}

static bool seam_helper_begin(void *ctx, void (*work)(void *arg), void *arg)
{
	struct host *host = ctx;

	return copier_wants_helper(&host->copier) && helper_begin(&host->helper, work, arg);
}

static bool seam_helper_end(void *ctx)
{
	struct host *host = ctx;

	return helper_end(&host->helper);
}

static int seam_clear(void *ctx, pfn_t pfn, uint32_t nr)
{
	struct host *host = ctx;

	return frames_clear(&host->memory, pfn, nr);
}

/*
 * A program that fills new memory would be far beyond the limit before anything is
 * written. It waits no longer than this: locks are held here that others may want.
 */
static void wait_for_room(struct host *host, uint32_t nr)
{
	uint64_t limit = atomic_load_explicit(&host->resident_limit, memory_order_relaxed);

	for (int ms = 0; limit && ms < ROOM_WAIT_MS && host_resident_frames(host) + nr > limit;
	     ms++)
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
}

static int seam_populate(void *ctx, pfn_t pfn, uint32_t nr, bool in_stead)
{
	struct host *host = ctx;
	int rc;

	if (!in_stead)
		wait_for_room(host, nr);
	rc = host->holes ? holes_populate(host->holes, pfn, nr)
			 : frames_populate(&host->memory, pfn, nr);

	if (!rc)
		atomic_fetch_add_explicit(&host->populated, nr, memory_order_relaxed);
	return rc;
}

static void seam_zap(void *ctx, const struct frame_range *ranges, unsigned int nr)
{
	struct host *host = ctx;

	zap_frames(&host->zapper, ranges, nr);
}

static void seam_flush_tables(void *ctx)
{
	struct host *host = ctx;

	zap_flush_tables(&host->zapper);
}

static int seam_discard(void *ctx, pfn_t pfn, uint32_t nr)
{
	struct host *host = ctx;
	int rc = frames_discard(&host->memory, pfn, nr);

	if (!rc)
		atomic_fetch_add_explicit(&host->discarded, nr, memory_order_relaxed);
	return rc;
}

static int seam_swap_io(void *ctx, struct swap_io *ios, unsigned int nr)
{
	struct host *host = ctx;

	return swap_areas_run(&host->swap, ios, nr);
}

static void *seam_swap_start(void *ctx, struct swap_io *ios, unsigned int nr)
{
	(void)ctx;
	return swap_areas_start(ios, nr);
}

static void seam_swap_finish(void *ctx, void *started, struct swap_io *ios, unsigned int nr)
{
	struct host *host = ctx;

	swap_areas_finish(&host->swap, started, ios, nr);
}

static void seam_swap_free(void *ctx, void *area, uint64_t slot, uint32_t nr)
{
	(void)ctx;
	swap_areas_freed(area, slot, nr);
}

static bool seam_swap_room(void *ctx, void *area)
{
	(void)ctx;
	return swap_areas_room(area);
}

static bool seam_swap_doubtful(void *ctx, void *area, uint64_t slot, uint32_t nr)
{
	(void)ctx;
	return swap_areas_doubtful(area, slot, nr);
}

static int seam_hole_protect(void *ctx, struct frame_hole *v, unsigned int nr)
{
	struct host *host = ctx;

	return holes_protect(host->holes, v, nr);
}

static void seam_hole_write(void *ctx, struct frame_hole *v, unsigned int nr)
{
	struct host *host = ctx;

	holes_write(host->holes, v, nr);
}

static int seam_hole_fill(void *ctx, pfn_t pfn, uint32_t nr)
{
	return bring_back(ctx, pfn, nr);
}

static void seam_hole_drop(void *ctx, pfn_t pfn, uint32_t nr)
{
	struct host *host = ctx;

	holes_drop(host->holes, pfn, nr);
}

static uint32_t seam_hole_here(void *ctx, pfn_t pfn, uint32_t nr)
{
	struct host *host = ctx;

	return holes_here(host->holes, pfn, nr);
}

static unsigned int seam_distance(void *ctx, int from, int to)
{
	struct host *host = ctx;

	return host->topology.distance[from][to];
}

static struct mm_thread *seam_current_thread(void *ctx)
{
	(void)ctx;
	return guest_current_thread();
}

static int seam_current_node(void *ctx)
{
	(void)ctx;
	return guest_current_node();
}

static void seam_wait(void *ctx, const uint32_t *word, uint32_t val)
{
	(void)ctx;
	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, val, NULL, NULL, 0);
}

static void seam_wake(void *ctx, const uint32_t *word, int nr)
{
	(void)ctx;
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, nr, NULL, NULL, 0);
}

const struct mm_host_ops *host_mm_ops(void)
{
	static const struct mm_host_ops ops = {
		.alloc = seam_alloc,
		.free = seam_free,
		.copy_frames = seam_copy,
		.copy_runs = seam_copy_runs,
		.clear_frames = seam_clear,
		.populate_frames = seam_populate,
		.zap_frames = seam_zap,
		.flush_tables = seam_flush_tables,
		.discard_frames = seam_discard,
		.swap_io = seam_swap_io,
		.swap_start = seam_swap_start,
		.swap_finish = seam_swap_finish,
		.swap_free = seam_swap_free,
		.swap_room = seam_swap_room,
		.swap_doubtful = seam_swap_doubtful,
		.helper_begin = seam_helper_begin,
		.helper_end = seam_helper_end,
		.hole_protect = seam_hole_protect,
		.hole_write = seam_hole_write,
		.hole_fill = seam_hole_fill,
		.hole_drop = seam_hole_drop,
		.hole_here = seam_hole_here,
		.node_distance = seam_distance,
		.current_thread = seam_current_thread,
		.current_node = seam_current_node,
		.wait = seam_wait,
		.wake = seam_wake,
	};

	return &ops;
}

static int seam_vcpu_get(void *ctx, struct vcpu **out)
{
	struct host *host = ctx;

	return vcpu_pool_get(&host->pool, out);
}

static void seam_vcpu_put(void *ctx, struct vcpu *v)
{
	struct host *host = ctx;

	vcpu_pool_put(&host->pool, v);
}

static void seam_set_root(struct vcpu *v, gpa_t root)
{
	if (v->root.v == root.v)
		return;
	v->root = root;
	v->root_dirty = true;
}

static struct guest_regs *seam_regs(struct vcpu *v)
{
	return &v->regs;
}

static void seam_regs_changed(struct vcpu *v)
{
	v->regs_dirty = true;
}

static void seam_segs_changed(struct vcpu *v)
{
	v->segs_dirty = true;
}

static uint64_t seam_xcr0(void *ctx)
{
	struct host *host = ctx;

	return host->pool.xcr0;
}

static uint64_t seam_exits(struct vcpu *v)
{
	return atomic_load_explicit(&v->counters.exits, memory_order_relaxed) - v->exits_at_get;
}

const struct vcpu_ops *host_vcpu_ops(void)
{
	static const struct vcpu_ops ops = {
		.get = seam_vcpu_get,
		.put = seam_vcpu_put,
		.set_root = seam_set_root,
		.run = vcpu_run,
		.regs = seam_regs,
		.regs_changed = seam_regs_changed,
		.segs_changed = seam_segs_changed,
		.xsave_get = vcpu_xsave_get,
		.xsave_set = vcpu_xsave_set,
		.xsave_reset = vcpu_xsave_reset,
		.kick = vcpu_kick,
		.xcr0 = seam_xcr0,
		.exits = seam_exits,
	};

	return &ops;
}
