/* SPDX-License-Identifier: MIT */
/*
 * The fixed part of the system region: descriptor tables, entry stubs, the
 * kernel half of the guest's address spaces, and each vCPU's own page. Contents
 * and addresses: vmm/layout.h.
 */
#ifndef VMM_ENTRY_H
#define VMM_ENTRY_H

#include <umm/types.h>

#include "vmm/memory.h"

/* Fill the fixed frames. Before any vCPU runs. */
void entry_build(const struct memory *memory);

/* Let level 3 ring the doorbell: for hosts where SYSCALL stays there. */
void entry_map_doorbell(const struct memory *memory);

/* Make vCPU @id's page; returns its host address. */
void *entry_vcpu_page(const struct memory *memory, unsigned int id);

/* The value of entry 511 of every root table. */
uint64_t entry_root_value(void);

#endif
