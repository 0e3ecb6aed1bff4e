/* SPDX-License-Identifier: MIT */
#include "vmm/host_priv.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "vmm/entry.h"
#include "vmm/frames.h"
#include "vmm/uffd.h"

/* For vCPUs to leave the guest: a kick, on a machine with much else to do. */
#define PAUSE_WAIT_NS 2000000000ull

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void kind_fill(struct host *host)
{
	struct host_kind *kind = &host->kind;

	kind->paging = kind->nested_paging ? "nested" : "shadow";
	kind->syscall_cpl = host->pool.syscall_cpl;
	kind->zap = zap_primitive_name(host->zapper.primitive);
	kind->flush = flush_primitive_name(host->zapper.flush);
	kind->tsc_is_host = host->pool.tsc_is_host;
	kind->nr_host_nodes = host->topology.nr_host_nodes;
	kind->simulated_nodes = host->topology.simulated;
	kind->hugepages = host->memory.hugepages;
	kind->xcr0 = host->pool.xcr0;
	kind->max_vcpus = host->kvm.max_vcpus;
}

/* From here on a touch of a frame without memory is an event. */
static int holes_start(struct host *host, const struct swap_spec *spec, struct errmsg *e)
{
	const struct holes_config cfg = {
		.memory = &host->memory,
		.uffd = host->uffd,
		.spec = spec,
	};
	int rc = uffd_register(host->uffd, host->memory.ram, host->memory.ram_bytes, true, e);

	/* The first flush of tables finds out how, which needs a vCPU that can run. */
	zap_flush_tables(&host->zapper);
	if (!rc)
		rc = holes_create(&cfg, &host->holes, e);
	if (!rc)
		host->zapper.holes = host->holes;
	return rc;
}

static int parts_create(struct host *host, const struct host_config *cfg, struct errmsg *e)
{
	int rc;

	rc = kvm_open(&host->kvm, e);
	if (rc)
		return rc;
	rc = topology_read(&host->topology, cfg->nr_nodes, cfg->nr_cpus ? cfg->nr_cpus : 1,
			   cfg->wishes, e);
	if (rc)
		return rc;
	rc = memory_create(&host->memory, cfg, &host->kvm, &host->topology, e);
	if (rc)
		return rc;
	rc = uffd_open(&host->uffd, &host->kind.uffd_features, e);
	if (rc)
		return rc;
	rc = uffd_register(host->uffd, host->memory.ram, host->memory.ram_bytes, false, e);
	if (rc)
		return rc;
	entry_build(&host->memory);
	rc = vcpu_pool_init(&host->pool, &host->kvm, &host->memory);
	if (rc)
		return errmsg_set(e, rc, "this processor's extended registers do not fit: %s",
				  strerror(-rc));
	zapper_init(&host->zapper, host);
	rc = kick_init(e);
	if (rc)
		return rc;
	rc = probe_host(host, e);
	return rc || !cfg->holes ? rc : holes_start(host, cfg->holes, e);
}

int host_create(const struct host_config *cfg, struct host **out, struct errmsg *e)
{
	uint64_t begin = now_us();
	struct host *host = calloc(1, sizeof(*host));
	int rc;

	if (!host)
		return errmsg_set(e, -ENOMEM, "out of memory");
	host->uffd = -1;
	host->kvm.dev_fd = host->kvm.vm_fd = -1;
	swap_areas_init(&host->swap, &host->memory);
	copier_init(&host->copier, &host->memory, &host->pool, &host->helper);
	rc = parts_create(host, cfg, e);
	if (rc) {
		host_destroy(host);
		return rc;
	}
	kind_fill(host);
	host->kind.setup_us = now_us() - begin;
	*out = host;
	return 0;
}

void host_destroy(struct host *host)
{
	if (!host)
		return;
	holes_destroy(host->holes);
	swap_areas_destroy(&host->swap);
	helper_destroy(&host->helper);
	copier_destroy(&host->copier);
	vcpu_pool_destroy(&host->pool);
	kvm_close(&host->kvm);
	if (host->uffd >= 0)
		close(host->uffd);
	memory_destroy(&host->memory);
	free(host);
}

void host_set_copy_threads(struct host *host, unsigned int threads)
{
	copier_set_threads(&host->copier, threads);
}

const struct guest_cpu *host_cpus_get(const struct host *host)
{
	return host->topology.cpus;
}

unsigned int host_nr_nodes(const struct host *host)
{
	return host->memory.nr_nodes;
}

const struct host_node *host_node_get(const struct host *host, unsigned int node)
{
	return &host->memory.nodes[node];
}

void *host_frame_hva(const struct host *host, pfn_t pfn)
{
	return memory_hva(&host->memory, pfn, 1);
}

int host_frame_node(const struct host *host, pfn_t pfn)
{
	int node;

	frames_host_nodes(&host->memory, &pfn, 1, &node);
	return node;
}

void host_count_nodes(const struct host *host, const pfn_t *pfns, unsigned int nr,
		      uint64_t *on_host, uint64_t *absent)
{
	int nodes[HOST_NODES_BATCH];

	frames_host_nodes(&host->memory, pfns, nr, nodes);
	for (unsigned int i = 0; i < nr; i++) {
		if (nodes[i] >= 0 && nodes[i] < UMM_MAX_NODES)
			on_host[nodes[i]]++;
		else
			++*absent;
	}
}

const struct host_tables *host_tables_get(const struct host *host)
{
	return &host->memory.tables;
}

void host_install_kernel_half(const struct host *host, uint64_t *pml4)
{
	(void)host;
	__atomic_store_n(&pml4[KERNEL_HALF_ROOT_INDEX], entry_root_value(), __ATOMIC_RELEASE);
}

static bool clocks_are_counters(void)
{
	char name[32] = "";
	FILE *f = fopen("/sys/devices/system/clocksource/clocksource0/current_clocksource", "re");

	if (!f)
		return false;
	if (!fgets(name, sizeof(name), f))
		name[0] = '\0';
	fclose(f);
	return !strcmp(name, "tsc\n") || !strcmp(name, "kvm-clock\n");
}

void *host_vvar(const struct host *host)
{
	if (!host->kind.tsc_is_host || !clocks_are_counters())
		return NULL;
	return memory_system_frame(&host->memory, SYSTEM_FRAME_VVAR);
}

const struct host_kind *host_kind_get(const struct host *host)
{
	return &host->kind;
}

int host_describe(const struct host *host, char *buf, size_t size)
{
	const struct host_kind *kind = &host->kind;

	return snprintf(buf, size,
			"host: KVM with %s paging, SYSCALL arrives at level %d\n"
			"host: translations are zapped with %s, tables flushed with %s\n"
			"host: %u NUMA node%s for %u guest node%s%s, %s pages\n"
			"host: XCR0 %#llx, up to %u vCPUs, TSC %s, userfaultfd features %#llx\n"
			"host: ready in %llu us, probes %llu us of it\n",
			kind->paging, kind->syscall_cpl, kind->zap, kind->flush,
			kind->nr_host_nodes, kind->nr_host_nodes == 1 ? "" : "s",
			host->memory.nr_nodes, host->memory.nr_nodes == 1 ? "" : "s",
			kind->simulated_nodes ? " (simulated nodes: several on one host node)" : "",
			kind->hugepages ? "huge" : "4 KiB", (unsigned long long)kind->xcr0,
			kind->max_vcpus, kind->tsc_is_host ? "as the host's" : "of its own",
			(unsigned long long)kind->uffd_features, (unsigned long long)kind->setup_us,
			(unsigned long long)kind->probe_us);
}

static uint64_t relaxed(_Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

void host_counters_read(struct host *host, struct host_counters *out)
{
	*out = (struct host_counters){
		.zap_calls = relaxed(&host->zapper.calls),
		.zap_ranges = relaxed(&host->zapper.ranges),
		.zap_frames = relaxed(&host->zapper.frames),
		.table_flushes = relaxed(&host->zapper.flushes),
		.discarded = relaxed(&host->discarded),
		.populated = relaxed(&host->populated),
		.swap_read = relaxed(&host->swap.bytes_read),
		.swap_written = relaxed(&host->swap.bytes_written),
	};
	pthread_mutex_lock(&host->pool.lock);
	for (unsigned int i = 0; i < host->pool.nr; i++) {
		struct vcpu_counters *counters = &host->pool.all[i]->counters;

		out->in_guest +=
			atomic_load_explicit(&host->pool.all[i]->in_guest, memory_order_relaxed);
		out->exits += relaxed(&counters->exits);
		out->exits_syscall += relaxed(&counters->syscalls);
		out->exits_fault += relaxed(&counters->faults);
		out->exits_other += relaxed(&counters->others);
	}
	pthread_mutex_unlock(&host->pool.lock);
}

int host_swap_open(struct host *host, const struct swap_spec *spec, void **area, uint64_t *nr_slots,
		   struct errmsg *e)
{
	struct swap_backend *b;
	int rc = swap_areas_open(&host->swap, spec, &b, e);

	if (rc)
		return rc;
	*area = b;
	*nr_slots = b->nr_slots;
	return 0;
}

void host_swap_close(struct host *host, void *area)
{
	swap_areas_close(&host->swap, area);
}

void host_swap_report(struct host *host, void *area, struct swap_report *out)
{
	(void)host;
	swap_areas_report(area, out);
}

void host_swap_compressed(struct host *host, uint64_t *memory_bytes, uint64_t *pages)
{
	swap_areas_compressed(&host->swap, memory_bytes, pages);
}

struct holes *host_holes(const struct host *host)
{
	return host->holes;
}

void host_holes_report(struct host *host, struct swap_report *out)
{
	swap_areas_report(host->holes->area, out);
}

uint64_t host_resident_frames(struct host *host)
{
	uint64_t gone = 0, there, away;
	struct holes_counts c;

	if (host->holes) {
		holes_counts_read(host->holes, &c);
		gone = c.frames;
	}
	/* In this order: what is given back between the looks must not count twice. */
	away = relaxed(&host->discarded) + gone;
	there = relaxed(&host->populated);
	return there > away ? there - away : 0;
}

void host_set_resident_limit(struct host *host, uint64_t frames)
{
	atomic_store(&host->resident_limit, frames);
}

bool host_try_pause(struct host *host)
{
	return vcpu_pool_try_pause(&host->pool, PAUSE_WAIT_NS);
}

void host_resume(struct host *host)
{
	vcpu_pool_resume(&host->pool);
}
