/* SPDX-License-Identifier: MIT */
/* The fake host: memory, swap, contracts, failures on order. See fake_host.h. */
#include "tests/unit/fake_host.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Nodes lie apart, so that arithmetic across nodes cannot work by luck. */
#define NODE_BASE(i) (0x1000ul + 0x10000ul * (i))
#define TABLE_BASE   0x200000ul

/* In front of each allocation; keeps what follows aligned to 64 bytes. */
struct alloc_header {
	size_t size;
	uint64_t magic;
	uint8_t pad[48];
};
#define ALLOC_MAGIC 0x6d656d6f72792121ul

_Static_assert(sizeof(struct alloc_header) == 64, "keeps the alignment");

/* ---- counting, failing, complaining -------------------------------------- */

void fake_violation(struct fake_host *h, const char *format, ...)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	char text[sizeof(h->first_violation)];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	pthread_mutex_lock(&lock);
	if (!__atomic_fetch_add(&h->violations, 1, __ATOMIC_RELAXED))
		memcpy(h->first_violation, text, sizeof(text));
	if (h->violations <= 5)
		fprintf(stderr, "fake host: %s\n", text);
	pthread_mutex_unlock(&lock);
}

static void set_failure(struct fake_host *h, enum fake_op op, uint64_t nth, bool on)
{
	h->fail_op = op;
	h->fail_on = on;
	__atomic_store_n(&h->fail_countdown, nth ? (int64_t)nth : -1, __ATOMIC_RELEASE);
}

void fake_fail_nth(struct fake_host *h, enum fake_op op, uint64_t nth)
{
	set_failure(h, op, nth, false);
}

void fake_fail_from(struct fake_host *h, enum fake_op op, uint64_t nth)
{
	set_failure(h, op, nth, true);
}

bool fake_should_fail(struct fake_host *h, enum fake_op op)
{
	__atomic_fetch_add(&h->calls[op], 1, __ATOMIC_RELAXED);
	if (h->hook)
		h->hook(h, op, h->hook_arg);
	if (op >= FAKE_NR_FAILING || __atomic_load_n(&h->fail_countdown, __ATOMIC_ACQUIRE) <= 0)
		return false;
	if (h->fail_op != FAKE_ANY && h->fail_op != op)
		return false;
	if (__atomic_sub_fetch(&h->fail_countdown, 1, __ATOMIC_ACQ_REL) != 0)
		return false;
	if (h->fail_on)
		__atomic_store_n(&h->fail_countdown, 1, __ATOMIC_RELEASE);
	__atomic_fetch_add(&h->failures, 1, __ATOMIC_RELAXED);
	return true;
}

uint64_t fake_calls(const struct fake_host *h, enum fake_op op)
{
	return __atomic_load_n(&h->calls[op], __ATOMIC_RELAXED);
}

/* ---- memory -------------------------------------------------------------- */

/* The node that holds all of [pfn, pfn + nr), or -1. */
static int node_of(const struct fake_host *h, pfn_t pfn, uint64_t nr)
{
	for (unsigned int i = 0; i < h->config.nr_nodes; i++) {
		uint64_t base = h->node_base[i].v;

		if (pfn.v >= base && pfn.v + nr <= base + h->config.frames_per_node)
			return (int)i;
	}
	return -1;
}

static bool in_tables(const struct fake_host *h, pfn_t pfn, uint64_t nr)
{
	return pfn.v >= h->table_base.v && pfn.v + nr <= h->table_base.v + h->config.nr_tables;
}

void *fake_hva(const struct fake_host *h, pfn_t pfn)
{
	int node = node_of(h, pfn, 1);

	if (node >= 0)
		return h->node_mem[node] + ((pfn.v - h->node_base[node].v) << UMM_PAGE_SHIFT);
	if (in_tables(h, pfn, 1))
		return h->table_mem + ((pfn.v - h->table_base.v) << UMM_PAGE_SHIFT);
	return NULL;
}

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
	if (nr && node_of(h, pfn, nr) >= 0)
		return true;
	/* Table frames are cleared through the same call. */
	if (nr && in_tables(h, pfn, nr) && !strcmp(what, "clear_frames"))
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

static int op_populate_frames(void *ctx, pfn_t pfn, uint32_t nr)
{
	struct fake_host *h = ctx;

	if (!frames_ok(h, pfn, nr, "populate_frames"))
		return -EINVAL;
	return fake_should_fail(h, FAKE_POPULATE) ? -ENOMEM : 0;
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
		if (!ranges[i].nr || (node_of(h, ranges[i].pfn, ranges[i].nr) < 0 &&
				      !in_tables(h, ranges[i].pfn, ranges[i].nr)))
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

static void swap_transfer(struct fake_host *h, struct swap_io *io)
{
	for (uint32_t i = 0; i < io->nr; i++) {
		uint64_t slot = io->slot + i;
		void *page = h->swap.bytes + (slot << UMM_PAGE_SHIFT);

		if (io->write) {
			copy_page_words(page, fake_hva(h, pfn_add(io->pfn, i)));
			__atomic_store_n(&h->swap.written[slot], 1, __ATOMIC_RELEASE);
			continue;
		}
		if (!__atomic_load_n(&h->swap.written[slot], __ATOMIC_ACQUIRE))
			fake_violation(h, "swap_io: slot %#lx is read and was never written", slot);
		copy_page_words(fake_hva(h, pfn_add(io->pfn, i)), page);
	}
}

static int op_swap_io(void *ctx, struct swap_io *ios, unsigned int nr)
{
	struct fake_host *h = ctx;
	int first = 0;

	fake_should_fail(h, FAKE_SWAP_CALL);
	for (unsigned int i = 0; i < nr; i++) {
		struct swap_io *io = &ios[i];

		io->error = -EINVAL;
		if (io->area != &h->swap || io->slot + io->nr > h->swap.nr_slots) {
			fake_violation(h, "swap_io: slots %#lx + %u are not in the area", io->slot,
				       io->nr);
		} else if (frames_ok(h, io->pfn, io->nr, "swap_io")) {
			if (!io->write)
				fake_mmu_check_reuse(h, io->pfn, io->nr, "swap_io read into");
			else
				fake_mmu_check_source(h, io->pfn, io->nr, "swap_io write of");
			io->error = fake_should_fail(h, FAKE_SWAP_IO) ? -EIO : 0;
			if (!io->error)
				swap_transfer(h, io);
		}
		if (io->error && !first)
			first = io->error;
	}
	return first;
}

/* ---- the rest ---------------------------------------------------------------- */

static unsigned int op_node_distance(void *ctx, int from, int to)
{
	(void)ctx;
	return from == to ? 10 : 20 + 5 * (unsigned int)abs(from - to);
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

const struct mm_host_ops fake_host_ops = {
	.alloc = op_alloc,
	.free = op_free,
	.copy_frames = op_copy_frames,
	.clear_frames = op_clear_frames,
	.populate_frames = op_populate_frames,
	.zap_frames = op_zap_frames,
	.flush_tables = op_flush_tables,
	.discard_frames = op_discard_frames,
	.swap_io = op_swap_io,
	.node_distance = op_node_distance,
	.wait = op_wait,
	.wake = op_wake,
};

/* ---- birth and death ----------------------------------------------------------- */

static void *map_memory(uint64_t pages)
{
	void *p = mmap(NULL, pages << UMM_PAGE_SHIFT, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static void unmap_memory(void *p, uint64_t pages)
{
	if (p)
		munmap(p, pages << UMM_PAGE_SHIFT);
}

static void host_free(struct fake_host *h)
{
	for (unsigned int i = 0; i < h->config.nr_nodes; i++)
		unmap_memory(h->node_mem[i], h->config.frames_per_node);
	unmap_memory(h->table_mem, h->config.nr_tables);
	unmap_memory(h->swap.bytes, h->swap.nr_slots);
	free(h->swap.written);
	free(h);
}

static struct fake_host *host_create(const struct fake_config *config)
{
	struct fake_host *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->config = *config;
	h->fail_countdown = -1;
	for (unsigned int i = 0; i < FAKE_MAX_VCPUS; i++)
		pthread_mutex_init(&h->vcpus[i].lock, NULL);
	for (unsigned int i = 0; i < config->nr_nodes; i++) {
		h->node_base[i] = pfn_make(NODE_BASE(i));
		h->node_mem[i] = map_memory(config->frames_per_node);
		if (!h->node_mem[i])
			goto fail;
	}
	h->table_base = pfn_make(TABLE_BASE);
	h->table_mem = map_memory(config->nr_tables);
	if (!h->table_mem)
		goto fail;
	if (config->swap_slots) {
		h->swap.nr_slots = config->swap_slots;
		h->swap.bytes = map_memory(config->swap_slots);
		h->swap.written = calloc(config->swap_slots, 1);
		if (!h->swap.bytes || !h->swap.written)
			goto fail;
	}
	return h;
fail:
	host_free(h);
	return NULL;
}

struct fake_host *fake_boot(const struct fake_config *config)
{
	struct fake_host *h = host_create(config);
	struct mm_sys_config sc = {
		.ops = &fake_host_ops,
		.nr_nodes = config->nr_nodes,
		.nr_tables = config->nr_tables,
		.shadow_paging = config->shadow_paging,
		.max_anon_order = config->max_anon_order,
		.fault_around = config->fault_around,
		.copy_around = config->copy_around,
	};
	int err;

	if (!h)
		return NULL;
	sc.ctx = h;
	sc.table_base = h->table_base;
	sc.table_hva = h->table_mem;
	for (unsigned int i = 0; i < config->nr_nodes; i++)
		sc.nodes[i] = (struct mm_node_config){ h->node_base[i], config->frames_per_node,
						       h->node_mem[i] };
	err = mm_sys_create(&sc, &h->sys);
	if (err) {
		fprintf(stderr, "fake host: mm_sys_create: %s\n", strerror(-err));
		host_free(h);
		return NULL;
	}
	if (config->swap_slots) {
		err = swap_on(h->sys, &h->swap, config->swap_slots);
		if (err) {
			fprintf(stderr, "fake host: swap_on: %s\n", strerror(-err));
			mm_sys_destroy(h->sys);
			host_free(h);
			return NULL;
		}
	}
	return h;
}

static unsigned int complain_if(bool wrong, const char *what, int64_t n)
{
	if (wrong)
		fprintf(stderr, "fake host: at the end: %s: %ld\n", what, n);
	return wrong;
}

static unsigned int check_all_free(struct fake_host *h)
{
	static const char *const names[OBJ_NR] = { "mms alive",
						   "vmas alive",
						   "anon_vmas alive",
						   "anon_vma_chains alive",
						   "address_spaces alive",
						   "tables alive" };
	struct swap_info swap = { 0 };
	unsigned int wrong = 0;

	for (unsigned int i = 0; i < OBJ_NR; i++) {
		int64_t n = mm_sys_objects(h->sys, (enum mm_object)i);

		wrong += complain_if(n != 0, names[i], n);
	}
	for (unsigned int i = 0; i < h->config.nr_nodes; i++) {
		struct mm_node_info info;

		mm_sys_node_info(h->sys, (int)i, &info);
		wrong += complain_if(info.free != info.nr_frames, "frames not free",
				     (int64_t)(info.nr_frames - info.free));
	}
	swap_get_info(h->sys, &swap);
	wrong += complain_if(swap.used != 0, "swap slots in use", (int64_t)swap.used);
	return wrong;
}

/*
 * Where threads raced, a page may be left in the swap cache with nobody who wants
 * it: whoever dropped the last entry could not get the folio's lock. Reclaim takes
 * such pages first; what it cannot take is lost for ever, and counted as wrong.
 */
static void collect_orphans(struct fake_host *h)
{
	struct reclaim_request req = {
		.nr_frames = UINT64_MAX,
		.node = -1,
		.ignore_references = true,
	};
	struct reclaim_result result;

	if (mm_reclaim(h->sys, &req, &result))
		fake_violation(h, "the last reclaim failed");
}

unsigned int fake_shutdown(struct fake_host *h)
{
	unsigned int wrong;

	h->hook = NULL;
	fake_fail_nth(h, FAKE_ANY, 0);
	if (h->config.concurrent)
		collect_orphans(h);
	wrong = check_all_free(h);
	fake_check(h);
	mm_sys_destroy(h->sys);
	wrong += complain_if(h->bytes_alive != 0, "bytes of the manager alive", h->bytes_alive);
	wrong += complain_if(h->violations != 0, "violations", (int64_t)h->violations);
	host_free(h);
	return wrong;
}
