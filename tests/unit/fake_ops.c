/* SPDX-License-Identifier: MIT */
/*
 * What the memory manager asks of the fake host: struct mm_host_ops over plain
 * memory. Each operation checks its contract, counts itself, and fails when its
 * turn has come.
 */
#include "tests/unit/fake_host.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* In front of each allocation; keeps what follows aligned to 64 bytes. */
struct alloc_header {
	size_t size;
	uint64_t magic;
	uint8_t pad[48];
};
#define ALLOC_MAGIC 0x6d656d6f72792121ul

_Static_assert(sizeof(struct alloc_header) == 64, "keeps the alignment");

/* ---- memory -------------------------------------------------------------- */

/* Word by word with atomics: a vCPU may be at work on a frame that is copied. */
static void copy_page_words(void *dst, const void *src)
{
	uint64_t *d = dst;
	const uint64_t *s = src;

	for (unsigned int i = 0; i < UMM_PAGE_SIZE / sizeof(*d); i++)
		__atomic_store_n(&d[i], s ? __atomic_load_n(&s[i], __ATOMIC_RELAXED) : 0,
				 __ATOMIC_RELAXED);
}

static bool frames_ok(struct fake_host *h, pfn_t pfn, uint32_t nr, const char *what)
{
	if (nr && fake_node_of(h, pfn, nr) >= 0)
		return true;
	fake_violation(h, "%s: frames %#lx + %u are not inside one node", what, pfn.v, nr);
	return false;
}

static void *op_alloc(void *ctx, size_t size)
{
	struct fake_host *h = ctx;
	struct alloc_header *header;
	size_t total = sizeof(*header) + ((size + 63) & ~63ul);

	if (!size)
		fake_violation(h, "alloc: size 0");
	if (fake_should_fail(h, FAKE_ALLOC))
		return NULL;
	header = aligned_alloc(64, total);
	if (!header)
		return NULL;
	memset(header, 0, total);
	header->size = size;
	header->magic = ALLOC_MAGIC;
	__atomic_fetch_add(&h->bytes_alive, (int64_t)size, __ATOMIC_RELAXED);
	return header + 1;
}

static void op_free(void *ctx, void *p, size_t size)
{
	struct fake_host *h = ctx;
	struct alloc_header *header = (struct alloc_header *)p - 1;

	fake_should_fail(h, FAKE_FREE);
	if (!p) {
		fake_violation(h, "free: NULL");
		return;
	}
	if (header->magic != ALLOC_MAGIC || header->size != size)
		fake_violation(h, "free: size %zu, allocated %zu", size, header->size);
	header->magic = 0;
	__atomic_fetch_sub(&h->bytes_alive, (int64_t)size, __ATOMIC_RELAXED);
	free(header);
}

static int op_copy_frames(void *ctx, pfn_t dst, pfn_t src, uint32_t nr)
{
	struct fake_host *h = ctx;

	if (!frames_ok(h, dst, nr, "copy_frames") || !frames_ok(h, src, nr, "copy_frames"))
		return -EINVAL;
	if (dst.v < src.v + nr && src.v < dst.v + nr)
		fake_violation(h, "copy_frames: %#lx and %#lx overlap", dst.v, src.v);
	fake_mmu_check_reuse(h, dst, nr, "copy_frames to");
	fake_mmu_check_source(h, src, nr, "copy_frames from");
	if (fake_should_fail(h, FAKE_COPY))
		return -EIO;
	for (uint32_t i = 0; i < nr; i++)
		copy_page_words(fake_hva(h, pfn_add(dst, i)), fake_hva(h, pfn_add(src, i)));
	return 0;
}

static int op_copy_runs(void *ctx, struct frame_copy *copies, unsigned int nr)
{
	struct fake_host *h = ctx;
	int first = 0;

	if (!nr)
		fake_violation(h, "copy_runs: no run");
	for (unsigned int i = 0; i < nr; i++) {
		struct frame_copy *c = &copies[i];

		for (unsigned int k = 0; k < i; k++)
			if (c->dst.v < copies[k].dst.v + copies[k].nr &&
			    copies[k].dst.v < c->dst.v + c->nr)
				fake_violation(h, "copy_runs: runs %u and %u have one target", k,
					       i);
		c->error = op_copy_frames(ctx, c->dst, c->src, c->nr);
		if (c->error && !first)
			first = c->error;
	}
	return first;
}

static int op_clear_frames(void *ctx, pfn_t pfn, uint32_t nr)
{
	struct fake_host *h = ctx;

	if (!frames_ok(h, pfn, nr, "clear_frames"))
		return -EINVAL;
	fake_mmu_check_reuse(h, pfn, nr, "clear_frames");
	if (fake_should_fail(h, FAKE_CLEAR))
		return -EIO;
	for (uint32_t i = 0; i < nr; i++)
		copy_page_words(fake_hva(h, pfn_add(pfn, i)), NULL);
	return 0;
}

static int op_populate_frames(void *ctx, pfn_t pfn, uint32_t nr, bool in_stead)
{
	struct fake_host *h = ctx;

	if (!frames_ok(h, pfn, nr, "populate_frames"))
		return -EINVAL;
	if (fake_should_fail(h, FAKE_POPULATE))
		return -ENOMEM;
	__atomic_fetch_add(&h->populated[in_stead], nr, __ATOMIC_RELAXED);
	return 0;
}

static int op_discard_frames(void *ctx, pfn_t pfn, uint32_t nr)
{
	struct fake_host *h = ctx;

	if (!frames_ok(h, pfn, nr, "discard_frames"))
		return -EINVAL;
	fake_mmu_check_reuse(h, pfn, nr, "discard_frames");
	for (uint32_t i = 0; i < nr; i++) {
		struct folio *f = h->sys ? sys_frame(h->sys, pfn_add(pfn, i)) : NULL;

		if (f && __atomic_load_n(&f->mapcount, __ATOMIC_RELAXED) > 0)
			fake_violation(h, "discard_frames: frame %#lx is mapped", pfn.v + i);
	}
	if (fake_should_fail(h, FAKE_DISCARD))
		return -ENOMEM;
	for (uint32_t i = 0; i < nr; i++)
		copy_page_words(fake_hva(h, pfn_add(pfn, i)), NULL);
	return 0;
}

/* ---- translations --------------------------------------------------------- */

static void op_zap_frames(void *ctx, const struct frame_range *ranges, unsigned int nr)
{
	struct fake_host *h = ctx;

	fake_should_fail(h, FAKE_ZAP);
	if (!nr)
		fake_violation(h, "zap_frames: no range");
	for (unsigned int i = 0; i < nr; i++) {
		if (!ranges[i].nr || (fake_node_of(h, ranges[i].pfn, ranges[i].nr) < 0 &&
				      !fake_in_tables(h, ranges[i].pfn, ranges[i].nr)))
			fake_violation(h, "zap_frames: bad range %#lx + %u", ranges[i].pfn.v,
				       ranges[i].nr);
		if (i && ranges[i - 1].pfn.v + ranges[i - 1].nr > ranges[i].pfn.v)
			fake_violation(h, "zap_frames: ranges %u and %u not sorted or not disjoint",
				       i - 1, i);
		__atomic_fetch_add(&h->frames_zapped, ranges[i].nr, __ATOMIC_RELAXED);
	}
	fake_mmu_zap(h, ranges, nr);
}

static void op_flush_tables(void *ctx)
{
	struct fake_host *h = ctx;

	fake_should_fail(h, FAKE_FLUSH);
	fake_mmu_flush_tables(h);
}

/* ---- swap ------------------------------------------------------------------ */

static void swap_transfer(struct fake_host *h, struct fake_swap *s, struct swap_io *io)
{
	for (uint32_t i = 0; i < io->nr; i++) {
		uint64_t slot = io->slot + i;
		void *page = s->bytes + (slot << UMM_PAGE_SHIFT);

		if (io->write) {
			copy_page_words(page, fake_hva(h, pfn_add(io->pfn, i)));
			__atomic_store_n(&s->written[slot], 1, __ATOMIC_RELEASE);
			continue;
		}
		if (!__atomic_load_n(&s->written[slot], __ATOMIC_ACQUIRE))
			fake_violation(h, "swap_io: slot %#lx is read and was never written", slot);
		copy_page_words(fake_hva(h, pfn_add(io->pfn, i)), page);
	}
}

static struct fake_swap *area_of(struct fake_host *h, void *area)
{
	return area == &h->swap || area == &h->other ? area : NULL;
}

static bool out_of_room(const struct fake_swap *s, const struct swap_io *io)
{
	return io->write && s->full_from && io->slot + io->nr > s->full_from;
}

static int op_swap_io(void *ctx, struct swap_io *ios, unsigned int nr)
{
	struct fake_host *h = ctx;
	int first = 0;

	fake_should_fail(h, FAKE_SWAP_CALL);
	for (unsigned int i = 0; i < nr; i++) {
		struct swap_io *io = &ios[i];
		struct fake_swap *s = area_of(h, io->area);

		io->error = -EINVAL;
		if (!s || io->slot + io->nr > s->nr_slots) {
			fake_violation(h, "swap_io: slots %#lx + %u are not in the area", io->slot,
				       io->nr);
		} else if (frames_ok(h, io->pfn, io->nr, "swap_io")) {
			if (!io->write)
				fake_mmu_check_reuse(h, io->pfn, io->nr, "swap_io read into");
			else
				fake_mmu_check_source(h, io->pfn, io->nr, "swap_io write of");
			io->error = fake_should_fail(h, FAKE_SWAP_IO) ? -EIO
				    : out_of_room(s, io)              ? -ENOSPC
								      : 0;
			if (!io->error)
				swap_transfer(h, s, io);
		}
		if (io->error && !first)
			first = io->error;
	}
	return first;
}

/*
 * As late as may be: a manager that takes a frame or a slot for free before it has waited
 * writes what is not there any more.
 */
static void *op_swap_start(void *ctx, struct swap_io *ios, unsigned int nr)
{
	(void)ctx;
	for (unsigned int i = 0; i < nr; i++)
		ios[i].error = -EINPROGRESS;
	return ios;
}

static void op_swap_finish(void *ctx, void *started, struct swap_io *ios, unsigned int nr)
{
	if (started != ios)
		fake_violation(ctx, "swap_finish: %u transfers that were not started", nr);
	(void)!op_swap_io(ctx, ios, nr);
}

/* ---- the rest ---------------------------------------------------------------- */

/* Nobody may read it before it is written again. */
static void op_swap_free(void *ctx, void *area, uint64_t slot, uint32_t nr)
{
	struct fake_host *h = ctx;
	struct fake_swap *s = area_of(h, area);

	if (!s || slot + nr > s->nr_slots) {
		fake_violation(h, "swap_free: slots %#lx + %u are not in the area", slot, nr);
		return;
	}
	for (uint32_t i = 0; i < nr; i++)
		__atomic_store_n(&s->written[slot + i], 0, __ATOMIC_RELEASE);
}

static bool op_swap_room(void *ctx, void *area)
{
	return !area_of(ctx, area)->no_room;
}

static bool op_swap_doubtful(void *ctx, void *area, uint64_t slot, uint32_t nr)
{
	(void)slot;
	(void)nr;
	return area_of(ctx, area)->doubtful;
}

static unsigned int op_node_distance(void *ctx, int from, int to)
{
	(void)ctx;
	return from == to ? 10 : 20 + 5 * (unsigned int)abs(from - to);
}

static struct mm_thread *op_current_thread(void *ctx)
{
	return ((struct fake_host *)ctx)->thread;
}

static int op_current_node(void *ctx)
{
	return __atomic_load_n(&((struct fake_host *)ctx)->node, __ATOMIC_RELAXED);
}

/*
 * Wakes by itself now and then: the contract allows it, and a lost wake-up then
 * shows as slowness. In a test of one thread nobody could ever wake it, so
 * there a wait that goes on is a hang: say so and end.
 */
static void op_wait(void *ctx, const uint32_t *word, uint32_t val)
{
	struct fake_host *h = ctx;
	struct timespec timeout = { 0, 20 * 1000 * 1000 };
	static __thread unsigned int waits;

	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, val, &timeout, NULL, 0);
	if (__atomic_load_n(word, __ATOMIC_ACQUIRE) != val) {
		waits = 0;
	} else if (++waits > (h->config.concurrent ? 1500 : 500)) {
		fprintf(stderr, "fake host: waited for ever for a word that stays %#x\n", val);
		abort();
	}
}

static void op_wake(void *ctx, const uint32_t *word, int nr)
{
	(void)ctx;
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, nr, NULL, NULL, 0);
}

struct helper_job {
	void (*work)(void *arg);
	void *arg;
};

static void *helper_main(void *arg)
{
	struct helper_job *job = arg;

	job->work(job->arg);
	free(job);
	return NULL;
}

/* Every fourth job comes too late: the helper gets no processor. */
static bool op_helper_begin(void *ctx, void (*work)(void *arg), void *arg)
{
	struct fake_host *h = ctx;
	struct helper_job *job;

	if (!h->config.helper || __atomic_exchange_n(&h->helper_busy, true, __ATOMIC_ACQUIRE))
		return false;
	h->helper_late = h->helped++ % 4 == 3;
	if (h->helper_late)
		return true;
	job = malloc(sizeof(*job));
	if (job) {
		*job = (struct helper_job){ .work = work, .arg = arg };
		if (!pthread_create(&h->helper, NULL, helper_main, job))
			return true;
	}
	free(job);
	__atomic_store_n(&h->helper_busy, false, __ATOMIC_RELEASE);
	return false;
}

static bool op_helper_end(void *ctx)
{
	struct fake_host *h = ctx;
	bool begun = !h->helper_late;

	if (!__atomic_load_n(&h->helper_busy, __ATOMIC_RELAXED))
		fake_violation(h, "helper_end: it has no job");
	if (begun)
		pthread_join(h->helper, NULL);
	__atomic_store_n(&h->helper_busy, false, __ATOMIC_RELEASE);
	return begun;
}

const struct mm_host_ops fake_host_ops = {
	.alloc = op_alloc,
	.free = op_free,
	.copy_frames = op_copy_frames,
	.copy_runs = op_copy_runs,
	.clear_frames = op_clear_frames,
	.populate_frames = op_populate_frames,
	.zap_frames = op_zap_frames,
	.flush_tables = op_flush_tables,
	.discard_frames = op_discard_frames,
	.swap_io = op_swap_io,
	.swap_start = op_swap_start,
	.swap_finish = op_swap_finish,
	.swap_free = op_swap_free,
	.swap_room = op_swap_room,
	.swap_doubtful = op_swap_doubtful,
	.helper_begin = op_helper_begin,
	.helper_end = op_helper_end,
	.node_distance = op_node_distance,
	.current_thread = op_current_thread,
	.current_node = op_current_node,
	.wait = op_wait,
	.wake = op_wake,
};
