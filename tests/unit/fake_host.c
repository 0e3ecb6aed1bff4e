/* SPDX-License-Identifier: MIT */
/*
 * The fake host's life: its memory, failures on order, complaints, and what must
 * be true when it ends. The operations themselves: fake_ops.c. See fake_host.h.
 */
#include "tests/unit/fake_host.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Nodes lie apart, so that arithmetic across nodes cannot work by luck. */
#define NODE_BASE(i) (0x1000ul + 0x10000ul * (i))
#define TABLE_BASE   0x200000ul

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

int fake_node_of(const struct fake_host *h, pfn_t pfn, uint64_t nr)
{
	for (unsigned int i = 0; i < h->config.nr_nodes; i++) {
		uint64_t base = h->node_base[i].v;

		if (pfn.v >= base && pfn.v + nr <= base + h->config.frames_per_node)
			return (int)i;
	}
	return -1;
}

bool fake_in_tables(const struct fake_host *h, pfn_t pfn, uint64_t nr)
{
	return pfn.v >= h->table_base.v && pfn.v + nr <= h->table_base.v + h->config.nr_tables;
}

void *fake_hva(const struct fake_host *h, pfn_t pfn)
{
	int node = fake_node_of(h, pfn, 1);

	if (node >= 0)
		return h->node_mem[node] + ((pfn.v - h->node_base[node].v) << UMM_PAGE_SHIFT);
	if (fake_in_tables(h, pfn, 1))
		return h->table_mem + ((pfn.v - h->table_base.v) << UMM_PAGE_SHIFT);
	return NULL;
}

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

static void fake_swap_free(struct fake_swap *s)
{
	unmap_memory(s->bytes, s->nr_slots);
	free(s->written);
}

static bool fake_swap_make(struct fake_swap *s, uint64_t nr_slots)
{
	s->nr_slots = nr_slots;
	s->bytes = map_memory(nr_slots);
	s->written = calloc(nr_slots, 1);
	return s->bytes && s->written;
}

static void host_free(struct fake_host *h)
{
	for (unsigned int i = 0; i < h->config.nr_nodes; i++)
		unmap_memory(h->node_mem[i], h->config.frames_per_node);
	unmap_memory(h->table_mem, h->config.nr_tables);
	fake_swap_free(&h->swap);
	fake_swap_free(&h->other);
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
	if (config->swap_slots && !fake_swap_make(&h->swap, config->swap_slots))
		goto fail;
	return h;
fail:
	host_free(h);
	return NULL;
}

int fake_swap_other(struct fake_host *h, int priority)
{
	if (!fake_swap_make(&h->other, h->swap.nr_slots))
		return -ENOMEM;
	return swap_on(h->sys, &h->other, h->other.nr_slots, priority);
}

struct fake_host *fake_boot(const struct fake_config *config)
{
	struct fake_host *h = host_create(config);
	struct mm_sys_config sc = {
		.ops = &fake_host_ops,
		.nr_nodes = config->nr_nodes,
		.nr_tables = config->nr_tables,
		.shadow_paging = config->shadow_paging,
		.fault_around = config->fault_around,
		.copy_around = config->copy_around,
	};
	int err;

	if (!h)
		return NULL;
	sc.ctx = h;
	sc.table_base = h->table_base;
	sc.table_hva = h->table_mem;
	for (unsigned int o = 1; o <= config->max_anon_order; o++)
		sc.thp[o] = THP_ALWAYS;
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
		err = swap_on(h->sys, &h->swap, config->swap_slots, 0);
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
