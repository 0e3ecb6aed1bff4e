/* SPDX-License-Identifier: MIT */
/*
 * The VM's two memories as host memory and KVM slots: RAM, one slot a guest
 * node, and the system region (vmm/layout.h), which lies below node 0 and in
 * its slot: each slot that is set costs a grace period of the kernel, which is
 * milliseconds on a busy machine.
 *
 * RAM is one contiguous mapping, so a frame's host address is one addition. It
 * is anonymous, reserved without commitment, bound strictly to host nodes,
 * backed by huge pages where the host can, registered with userfaultfd. It is
 * neither inherited by children nor dumped in core files.
 *
 * The system region has 4 KiB pages only: page tables are touched one by one,
 * and a huge page there would waste most of itself.
 */
#ifndef VMM_MEMORY_H
#define VMM_MEMORY_H

#include <umm/types.h>

#include "vmm/host.h"
#include "vmm/kvm.h"
#include "vmm/topology.h"

struct memory {
	unsigned int nr_nodes;
	struct host_node nodes[UMM_MAX_NODES];
	uint8_t *ram;
	uint64_t ram_bytes;
	uint8_t *system;
	uint64_t system_bytes;
	struct host_tables tables;
	void *dummy; /* one page, behind the dummy slot */
	bool hugepages;
};

enum memory_slot {
	SLOT_DUMMY,
	SLOT_NODE0,
};

int memory_create(struct memory *memory, const struct host_config *cfg, const struct kvm *kvm,
		  const struct topology *topology, struct errmsg *e) UMM_MUST_CHECK;
void memory_destroy(struct memory *memory);

/* Host address of a RAM frame, NULL when [pfn, pfn + nr) is not all RAM. */
static inline void *memory_hva(const struct memory *memory, pfn_t pfn, uint64_t nr)
{
	uint64_t first = memory->nodes[0].base.v;
	uint64_t frames = memory->ram_bytes >> UMM_PAGE_SHIFT;

	if (pfn.v < first || pfn.v - first >= frames || nr > frames - (pfn.v - first))
		return NULL;
	return memory->ram + ((pfn.v - first) << UMM_PAGE_SHIFT);
}

/* Host address and guest address of the system region's frame @index. */
static inline void *memory_system_frame(const struct memory *memory, unsigned int index)
{
	return memory->system + ((uint64_t)index << UMM_PAGE_SHIFT);
}

gpa_t memory_system_gpa(unsigned int index);

/* Delete and set again every RAM slot; no vCPU may run. For zap.c only. */
int memory_slots_cycle(const struct memory *memory, const struct kvm *kvm);

#endif
