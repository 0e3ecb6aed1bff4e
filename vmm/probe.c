/* SPDX-License-Identifier: MIT */
#include "vmm/probe.h"

#include <errno.h>
#include <string.h>

#define PTE_USER 0x67ull /* present, writable, user, accessed, dirty */

/* Behind the end of the pool as the memory manager knows it. */
static uint64_t frame_index(const struct probe *p, unsigned int frame)
{
	return p->host->memory.tables.nr + frame;
}

uint64_t *probe_frame_hva(const struct probe *p, unsigned int frame)
{
	uint8_t *pool = p->host->memory.tables.hva;

	return (uint64_t *)(pool + (frame_index(p, frame) << UMM_PAGE_SHIFT));
}

gpa_t probe_frame_gpa(const struct probe *p, unsigned int frame)
{
	return pfn_to_gpa(pfn_add(p->host->memory.tables.base, frame_index(p, frame)));
}

static void entry_set(struct probe *p, enum probe_frame table, size_t index, gpa_t gpa)
{
	__atomic_store_n(&probe_frame_hva(p, table)[index % UMM_PTRS_PER_TABLE], gpa.v | PTE_USER,
			 __ATOMIC_SEQ_CST);
}

void probe_word_map(struct probe *p, enum probe_frame table, gpa_t gpa)
{
	entry_set(p, table, (PROBE_GVA >> UMM_PAGE_SHIFT) + 1, gpa);
}

void probe_table_set(struct probe *p, enum probe_frame table)
{
	entry_set(p, FRAME_PD, PROBE_GVA >> UMM_PMD_SHIFT, probe_frame_gpa(p, table));
}

static void tables_build(struct probe *p)
{
	entry_set(p, FRAME_ROOT, 0, probe_frame_gpa(p, FRAME_PDPT));
	entry_set(p, FRAME_PDPT, 0, probe_frame_gpa(p, FRAME_PD));
	for (enum probe_frame table = FRAME_PT; table <= FRAME_PT_OTHER; table++)
		entry_set(p, table, PROBE_GVA >> UMM_PAGE_SHIFT, probe_frame_gpa(p, FRAME_CODE));
	probe_table_set(p, FRAME_PT);
	host_install_kernel_half(p->host, probe_frame_hva(p, FRAME_ROOT));
	memcpy(probe_frame_hva(p, FRAME_CODE), entry_probe,
	       (size_t)(entry_probe_end - entry_probe));
	for (unsigned int i = 0; i < NR_WORDS; i++)
		*probe_frame_hva(p, FRAME_WORDS + i) = i + 1;
}

int probe_begin(struct probe *p, struct host *host, struct errmsg *e)
{
	int rc;

	*p = (struct probe){ .host = host };
	if (!host->probe_frames_taken) {
		host->memory.tables.nr -= NR_PROBE_FRAMES;
		host->probe_frames_taken = true;
		tables_build(p);
	}
	rc = vcpu_pool_get(&host->pool, &p->v);
	if (rc)
		return errmsg_set(e, rc, "cannot make a vCPU: %s", strerror(-rc));
	p->v->root = probe_frame_gpa(p, FRAME_ROOT);
	p->v->root_dirty = true;
	return 0;
}

void probe_end(struct probe *p)
{
	vcpu_pool_put(&p->host->pool, p->v);
}

void probe_program_run(struct probe *p, bool again)
{
	p->v->regs.rip = PROBE_GVA + (again ? (uint64_t)(entry_probe_again - entry_probe) : 0);
	p->v->regs.rdi = PROBE_GVA + UMM_PAGE_SIZE;
	p->v->regs_dirty = true;
	do {
		vcpu_run(p->v, &p->trap);
	} while (p->trap.kind == TRAP_KICK);
}

int probe_word_read(struct probe *p, const char *step, struct errmsg *e)
{
	probe_program_run(p, true);
	if (p->trap.kind == TRAP_SYSCALL && p->v->regs.rsi && p->v->regs.rsi <= NR_WORDS)
		return (int)p->v->regs.rsi - 1;
	return errmsg_set(e, -ENOTSUP,
			  "this KVM does not run guests as umm needs it: probe \"%s\": "
			  "trap %d, vector %u, address %#llx%s%s",
			  step, (int)p->trap.kind, p->trap.vector,
			  (unsigned long long)p->trap.address.v, p->trap.message ? ": " : "",
			  p->trap.message ? p->trap.message : "");
}
