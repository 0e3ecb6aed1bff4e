/* SPDX-License-Identifier: MIT */
#include "vmm/memory.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "vmm/layout.h"

/* Smallest node that is any use: the largest folio, a few times over. */
#define NODE_MIN_BYTES (2 * UMM_PMD_SIZE)
/*
 * Tables can need a 512th of what they map, and sharing multiplies it; unused
 * frames of the pool cost address space only.
 */
#define TABLE_FRAMES_MIN   8192u
#define TABLE_FRAMES_SHARE 32u

gpa_t memory_system_gpa(unsigned int index)
{
	return gpa_make(LAYOUT_SYSTEM_GPA + ((uint64_t)index << UMM_PAGE_SHIFT));
}

/* Reserve @len bytes aligned to 2 MiB; what was mapped too much is returned. */
static int reserve(uint8_t **out, uint64_t len, struct errmsg *e)
{
	uint64_t slack = UMM_PMD_SIZE, head;
	uint8_t *raw = mmap(NULL, len + slack, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (raw == MAP_FAILED)
		return errmsg_set(e, -errno,
				  "cannot reserve %llu MiB of address space for guest memory: %s "
				  "(see ulimit -v and vm.overcommit_memory)",
				  (unsigned long long)(len >> 20), strerror(errno));
	head = -(uintptr_t)raw & (slack - 1);
	if (head)
		munmap(raw, head);
	if (slack - head)
		munmap(raw + head + len, slack - head);
	*out = raw + head;
	/* A child has no business in guest memory; a core dump neither. */
	madvise(*out, len, MADV_DONTFORK);
	madvise(*out, len, MADV_DONTDUMP);
	return 0;
}

static uint64_t system_size(uint64_t ram_bytes)
{
	uint64_t frames = (ram_bytes >> UMM_PAGE_SHIFT) / TABLE_FRAMES_SHARE;

	if (frames < TABLE_FRAMES_MIN)
		frames = TABLE_FRAMES_MIN;
	frames += SYSTEM_FRAME_POOL;
	return ((frames << UMM_PAGE_SHIFT) + UMM_PMD_SIZE - 1) & UMM_PMD_MASK;
}

/*
 * What each node has: as wished, or an equal share of what is left; whole 2 MiB.
 * Returns the smallest.
 */
static uint64_t share_out(struct memory *memory, const struct host_config *cfg)
{
	uint64_t left = cfg->mem_bytes, others = 0, least = UINT64_MAX;

	for (unsigned int i = 0; i < cfg->nr_nodes; i++) {
		uint64_t bytes = cfg->wishes ? cfg->wishes[i].bytes : 0;

		others += !bytes;
		left -= bytes < left ? bytes : left;
	}
	memory->ram_bytes = 0;
	for (unsigned int i = 0; i < cfg->nr_nodes; i++) {
		uint64_t bytes = cfg->wishes ? cfg->wishes[i].bytes : 0;

		bytes = bytes ? bytes : left / others;
		least = bytes < least ? bytes : least;
		bytes = (bytes + UMM_PMD_SIZE - 1) & UMM_PMD_MASK;
		memory->nodes[i].nr = bytes >> UMM_PAGE_SHIFT;
		memory->ram_bytes += bytes;
	}
	return least;
}

static int sizes_check(struct memory *memory, const struct host_config *cfg, const struct kvm *kvm,
		       struct errmsg *e)
{
	uint64_t share = share_out(memory, cfg);
	uint64_t limit = kvm->max_gpa > LAYOUT_SYSTEM_GPA ? kvm->max_gpa - LAYOUT_SYSTEM_GPA : 0;

	if (share < NODE_MIN_BYTES)
		return errmsg_set(e, -EINVAL,
				  "%llu KiB of guest memory are too little: each of %u "
				  "nodes needs at least %lu MiB",
				  (unsigned long long)(cfg->mem_bytes >> 10), cfg->nr_nodes,
				  NODE_MIN_BYTES >> 20);
	/* A sixteenth is enough for the system region of so large a machine. */
	if (cfg->mem_bytes > limit - limit / 16)
		return errmsg_set(e, -E2BIG,
				  "%llu MiB of guest memory are too much: this "
				  "processor's guests can have %llu MiB",
				  (unsigned long long)(cfg->mem_bytes >> 20),
				  (unsigned long long)((limit - limit / 16) >> 20));
	if (kvm->max_slots < cfg->nr_nodes + SLOT_NODE0)
		return errmsg_set(e, -E2BIG,
				  "%u guest nodes need as many memory slots; this KVM "
				  "has %u",
				  cfg->nr_nodes, kvm->max_slots);
	memory->nr_nodes = cfg->nr_nodes;
	memory->system_bytes = system_size(memory->ram_bytes);
	return 0;
}

static int ram_create(struct memory *memory, const struct host_config *cfg,
		      const struct topology *topology, struct errmsg *e)
{
	uint64_t gpa = LAYOUT_SYSTEM_GPA + memory->system_bytes, offset = 0;
	int rc;

	memory->ram = memory->system + memory->system_bytes;
	memory->hugepages = !cfg->no_hugepages &&
			    !madvise(memory->ram, memory->ram_bytes, MADV_HUGEPAGE);
	if (!memory->hugepages)
		madvise(memory->ram, memory->ram_bytes, MADV_NOHUGEPAGE);
	for (unsigned int i = 0; i < cfg->nr_nodes; i++) {
		struct host_node *node = &memory->nodes[i];
		uint64_t node_bytes = node->nr << UMM_PAGE_SHIFT;

		node->base = gpa_to_pfn(gpa_make(gpa + offset));
		node->hva = memory->ram + offset;
		offset += node_bytes;
		node->host_node = topology->host_node[i];
		rc = topology_bind(topology, node->hva, node_bytes, node->host_node);
		if (rc)
			return errmsg_set(e, rc,
					  "cannot bind guest node %u to host node %d: "
					  "mbind: %s",
					  i, node->host_node, strerror(-rc));
	}
	return 0;
}

static int system_create(struct memory *memory, const struct topology *topology, struct errmsg *e)
{
	int rc;

	/* Huge pages here would help walks over a thousand tables, but a flush of all tables
	 * then took milliseconds (9 ms, measured, instead of 0.5). */
	madvise(memory->system, memory->system_bytes, MADV_NOHUGEPAGE);
	rc = topology_bind(topology, memory->system, memory->system_bytes, -1);
	if (rc)
		return errmsg_set(e, rc, "cannot set the memory policy of page tables: mbind: %s",
				  strerror(-rc));
	memory->tables = (struct host_tables){
		.base = gpa_to_pfn(memory_system_gpa(SYSTEM_FRAME_POOL)),
		.nr = (memory->system_bytes >> UMM_PAGE_SHIFT) - SYSTEM_FRAME_POOL,
		.hva = memory_system_frame(memory, SYSTEM_FRAME_POOL),
	};
	memory->dummy = mmap(NULL, UMM_PAGE_SIZE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory->dummy == MAP_FAILED) {
		memory->dummy = NULL;
		return errmsg_set(e, -errno, "out of memory");
	}
	return 0;
}

/* Node 0's slot begins with the system region. */
static int node_slot_set(const struct memory *memory, const struct kvm *kvm, unsigned int i,
			 bool present)
{
	const struct host_node *node = &memory->nodes[i];
	uint64_t before = i ? 0 : memory->system_bytes;
	uint64_t size = before + (node->nr << UMM_PAGE_SHIFT);

	return kvm_slot_set(kvm, SLOT_NODE0 + i, gpa_make(pfn_to_gpa(node->base).v - before),
			    present ? size : 0, (uint8_t *)node->hva - before);
}

static int slots_create(const struct memory *memory, const struct kvm *kvm, struct errmsg *e)
{
	int rc = 0;

	for (unsigned int i = 0; !rc && i < memory->nr_nodes; i++)
		rc = node_slot_set(memory, kvm, i, true);
	if (rc)
		return errmsg_set(e, rc,
				  "KVM refuses guest memory of %llu MiB: "
				  "KVM_SET_USER_MEMORY_REGION: %s",
				  (unsigned long long)(memory->ram_bytes >> 20), strerror(-rc));
	return 0;
}

int memory_slots_cycle(const struct memory *memory, const struct kvm *kvm)
{
	int rc = 0;

	for (unsigned int i = 0; !rc && i < memory->nr_nodes; i++) {
		rc = node_slot_set(memory, kvm, i, false);
		if (!rc)
			rc = node_slot_set(memory, kvm, i, true);
	}
	return rc;
}

int memory_create(struct memory *memory, const struct host_config *cfg, const struct kvm *kvm,
		  const struct topology *topology, struct errmsg *e)
{
	int rc;

	*memory = (struct memory){ 0 };
	rc = sizes_check(memory, cfg, kvm, e);
	if (!rc)
		rc = reserve(&memory->system, memory->system_bytes + memory->ram_bytes, e);
	if (!rc)
		rc = ram_create(memory, cfg, topology, e);
	if (!rc)
		rc = system_create(memory, topology, e);
	if (!rc)
		rc = slots_create(memory, kvm, e);
	if (rc)
		memory_destroy(memory);
	return rc;
}

void memory_destroy(struct memory *memory)
{
	if (memory->system)
		munmap(memory->system, memory->system_bytes + memory->ram_bytes);
	if (memory->dummy)
		munmap(memory->dummy, UMM_PAGE_SIZE);
	memory->ram = memory->system = NULL;
	memory->dummy = NULL;
}
