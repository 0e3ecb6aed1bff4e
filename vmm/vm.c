/* SPDX-License-Identifier: MIT */
#include "vmm/vm.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "vmm/confine.h"

uint64_t vm_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

static int create_host(struct vm *vm, struct errmsg *e)
{
	const struct host_config cfg = {
		.nr_nodes = (unsigned int)vm->options.nodes,
		.mem_bytes = vm->options.max_mem,
		/* Holes are pages: of huge ones nothing would come back as it was. */
		.no_hugepages = vm->options.no_hugepages || vm->options.holes.nr,
		.holes = vm->options.holes.nr ? vm->options.holes.v : NULL,
		.nr_cpus = (unsigned int)vm->options.cpus,
		.wishes = vm->options.node,
	};

	return host_create(&cfg, &vm->host, e);
}

static void init_root(void *ctx, uint64_t *root)
{
	host_install_kernel_half(ctx, root);
}

static int create_memory_manager(struct vm *vm, struct errmsg *e)
{
	const struct host_tables *tables = host_tables_get(vm->host);
	struct mm_sys_config cfg = {
		.ops = host_mm_ops(),
		.ctx = vm->host,
		.nr_nodes = host_nr_nodes(vm->host),
		.table_base = tables->base,
		.nr_tables = tables->nr,
		.table_hva = tables->hva,
		.init_root = init_root,
		.shadow_paging = !host_kind_get(vm->host)->nested_paging,
		.watermark_scale = (unsigned int)vm->options.watermark_scale,
		.fault_around = (unsigned int)vm->options.fault_around,
		.copy_around = vm->options.fault_around > 1 ? 8 : 1,
		.holes = vm->options.holes.nr,
	};
	const struct host_node *node;
	unsigned int i;
	int rc;

	memcpy(cfg.thp, vm->options.thp.mode, sizeof(cfg.thp));
	for (i = 0; i < cfg.nr_nodes; i++) {
		node = host_node_get(vm->host, i);
		cfg.nodes[i].base = node->base;
		cfg.nodes[i].nr_frames = node->nr;
		cfg.nodes[i].hva = node->hva;
	}
	rc = mm_sys_create(&cfg, &vm->sys);
	if (rc)
		return errmsg_set(e, rc, "cannot start the memory manager: %s", strerror(-rc));
	placer_init(&vm->placer, vm->sys);
	for (i = 0; i < cfg.nr_nodes; i++)
		mm_sys_set_interleave_weight(vm->sys, (int)i, vm->options.node[i].weight);
	return 0;
}

static int open_swap(struct vm *vm, struct errmsg *e)
{
	const struct swap_specs *specs = &vm->options.swap;
	unsigned int id;
	int rc = 0;

	vm_swap_init(&vm->swap, vm->sys, vm->host);
	for (unsigned int i = 0; i < specs->nr && !rc; i++)
		rc = vm_swap_add(&vm->swap, &specs->v[i], &id, e);
	return rc;
}

/* At the start nothing is in use, so this reclaims nothing. */
static int set_limit(struct vm *vm, struct errmsg *e)
{
	struct limit_request req = { .nr_frames = vm->options.mem >> UMM_PAGE_SHIFT };
	struct limit_result r;
	int rc;

	if (vm->options.mem >= vm->options.max_mem)
		return 0;
	rc = mm_limit_set(vm->sys, &req, &r);
	return rc ? errmsg_set(e, rc, "cannot limit the memory: %s", strerror(-rc)) : 0;
}

static int frame_node(void *ctx, pfn_t pfn)
{
	return host_frame_node(ctx, pfn);
}

static void compressed(void *ctx, struct guest_compressed *out)
{
	host_swap_compressed(ctx, &out->memory_bytes, &out->pages);
}

static void report_problem(const char *text)
{
	fprintf(stderr, "umm: %s\n", text);
}

static int create_guest(struct vm *vm, struct errmsg *e)
{
	const struct guest_config cfg = {
		.sys = vm->sys,
		.vcpu_ops = host_vcpu_ops(),
		.vcpu_ctx = vm->host,
		.nr_cpus = (unsigned int)vm->options.cpus,
		.cpus = host_cpus_get(vm->host),
		.mem_bytes = vm->options.mem,
		.strace = vm->options.strace ? stderr : NULL,
		.set_kick_hook = host_set_kick_hook,
		.frame_node = frame_node,
		.compressed = compressed,
		.swap = vm_swap_guest_ops(),
		.swap_ctx = &vm->swap,
		.own_root = confine_files(&vm->options),
		.no_net = vm->options.no_net,
		.vvar = host_vvar(vm->host),
		.report = report_problem,
	};
	int rc = guest_create(&cfg, &vm->guest);

	if (rc)
		return errmsg_set(e, rc, "cannot make the guest: %s", strerror(-rc));
	return 0;
}

/* What is slow unless somebody says otherwise: memory without processors. */
static uint64_t nodes_without_cpus(const struct vm *vm)
{
	const struct guest_cpu *cpus = host_cpus_get(vm->host);
	unsigned int nr = host_nr_nodes(vm->host);
	uint64_t nodes = ~0ull >> (64 - nr);

	for (uint64_t i = 0; i < vm->options.cpus; i++)
		nodes &= ~(1ull << cpus[i].node);
	return nodes;
}

static int start_placement(struct vm *vm, struct errmsg *e)
{
	const struct run_options *o = &vm->options;
	const char *const wanted[PLACEMENT_KINDS] = { o->balance, o->tier };
	uint64_t slow = o->slow_nodes ? o->slow_nodes : nodes_without_cpus(vm);
	int rc = slow ? placer_set_slow(&vm->placer, slow, e) : 0;

	for (int kind = 0; kind < PLACEMENT_KINDS && !rc; kind++)
		if (wanted[kind][0])
			rc = placer_set(&vm->placer, (enum placement_kind)kind, wanted[kind], e);
	return rc;
}

int vm_create(struct vm *vm, const struct run_options *options, char *const *argv, struct errmsg *e)
{
	int rc;

	memset(vm, 0, sizeof(*vm));
	vm->options = *options;
	vm->argv = argv;
	vm->start_ns = vm_now_ns();
	rc = create_host(vm, e);
	if (!rc)
		rc = create_memory_manager(vm, e);
	if (!rc)
		rc = open_swap(vm, e);
	if (!rc)
		rc = set_limit(vm, e);
	if (!rc)
		rc = create_guest(vm, e);
	if (!rc)
		rc = start_placement(vm, e);
	if (!rc)
		rc = khugepaged_start(&vm->khugepaged, vm->sys, e);
	if (!rc)
		rc = ksmd_start(&vm->ksmd, vm->sys, e);
	if (!rc)
		rc = kswapd_start(&vm->kswapd, vm->sys, e);
	if (!rc)
		rc = swap_readers_start(&vm->swap_readers, vm->sys, e);
	if (!rc)
		rc = policyd_start(&vm->policyd, vm->sys, vm->options.policy, e);
	if (!rc)
		rc = holed_start(&vm->holed, vm->sys, vm->host, vm->options.resident, e);
	if (rc)
		vm_destroy(vm);
	return rc;
}

void vm_destroy(struct vm *vm)
{
	if (vm->guest)
		guest_destroy(vm->guest);
	ksmd_stop(&vm->ksmd);
	khugepaged_stop(&vm->khugepaged);
	kswapd_stop(&vm->kswapd);
	swap_readers_stop(&vm->swap_readers);
	policyd_stop(&vm->policyd);
	holed_stop(&vm->holed);
	placer_destroy(&vm->placer);
	if (vm->sys)
		mm_sys_destroy(vm->sys);
	vm_swap_destroy(&vm->swap);
	host_destroy(vm->host);
	memset(vm, 0, sizeof(*vm));
}

/* ---- what is really there ----------------------------------------------- */

#define RESIDENT_CHUNK 16384 /* pages asked for at a time */

uint64_t vm_node_resident(const struct vm *vm, unsigned int node)
{
	const struct host_node *n = host_node_get(vm->host, node);
	static __thread unsigned char vec[RESIDENT_CHUNK];
	uint64_t page, resident = 0;
	size_t nr, i;

	for (page = 0; page < n->nr; page += nr) {
		nr = n->nr - page < RESIDENT_CHUNK ? n->nr - page : RESIDENT_CHUNK;
		if (mincore((char *)n->hva + (page << UMM_PAGE_SHIFT), nr << UMM_PAGE_SHIFT, vec))
			continue;
		for (i = 0; i < nr; i++)
			resident += vec[i] & 1;
	}
	return resident << UMM_PAGE_SHIFT;
}

uint64_t vm_resident(const struct vm *vm)
{
	uint64_t bytes = 0;
	unsigned int i;

	for (i = 0; i < host_nr_nodes(vm->host); i++)
		bytes += vm_node_resident(vm, i);
	return bytes;
}

void vm_node_physical(const struct vm *vm, unsigned int node, uint64_t on_host[UMM_MAX_NODES],
		      uint64_t *absent)
{
	const struct host_node *n = host_node_get(vm->host, node);
	pfn_t used[HOST_NODES_BATCH];
	struct folio *frame;
	unsigned int nr = 0;
	uint64_t i;

	memset(on_host, 0, UMM_MAX_NODES * sizeof(*on_host));
	*absent = 0;
	for (i = 0; i < n->nr; i++) {
		frame = sys_frame(vm->sys, pfn_add(n->base, i));
		if (frame && folio_refcount(folio_head(frame)) > 0)
			used[nr++] = pfn_add(n->base, i);
		if (nr && (nr == HOST_NODES_BATCH || i + 1 == n->nr)) {
			host_count_nodes(vm->host, used, nr, on_host, absent);
			nr = 0;
		}
	}
}
