/* SPDX-License-Identifier: MIT */
/*
 * What kind of host is this? Decided by trying, not by module names.
 *
 * One vCPU runs a short program that reads a word and makes a system call, four
 * times (a quarter of a millisecond on the slowest host known):
 *
 *  0. Which extended registers may programs use? Asked of CPUID and XGETBV in the
 *     guest, since there are hosts where level 3 sees the bare processor, whatever
 *     CPUID was set.
 *  1. SYSCALL with LSTAR at a page that only level 0 may execute: a system call
 *     means level 0; a fault fetching that page means level 3.
 *  2. The leaf entry under the word is changed to another frame. A host that,
 *     after a reload of CR3, still reads the old frame has shadow paging.
 *  3. The entry is changed again and the old frame zapped, with one primitive
 *     after the other until the new frame is seen.
 *
 * The same for a change of the entry above and flush_tables() waits until the
 * first flush (most programs live and die without one): setting a memory slot
 * takes a grace period of the kernel, milliseconds on a busy machine.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <x86intrin.h>

#include "vmm/entry.h"
#include "vmm/frames.h"
#include "vmm/probe.h"

#define CR3_PWT (1ull << 3) /* of no effect here but to make the value differ */

/* The last two frames of RAM stand in for the word's, since zaps are for RAM. */
static pfn_t ram_word(const struct probe *p, unsigned int i)
{
	const struct host_node *node = &p->host->memory.nodes[0];

	return pfn_add(node->base, node->nr - NR_WORDS + i);
}

static void word_map(struct probe *p, unsigned int i)
{
	probe_word_map(p, FRAME_PT, pfn_to_gpa(ram_word(p, i)));
}

/* The end of node 0 with or without huge pages: two words are not worth clearing one. */
static void last_huge_page(struct probe *p, int advice)
{
	const struct host_node *node = &p->host->memory.nodes[0];
	size_t end = node->nr << UMM_PAGE_SHIFT;

	if (p->host->memory.hugepages)
		madvise((uint8_t *)node->hva + end - UMM_PMD_SIZE, UMM_PMD_SIZE, advice);
}

static int words_take(struct probe *p, struct errmsg *e)
{
	last_huge_page(p, MADV_NOHUGEPAGE);
	for (unsigned int i = 0; i < NR_WORDS; i++) {
		if (frames_populate(&p->host->memory, ram_word(p, i), 1))
			return errmsg_set(e, -ENOMEM,
					  "host node %d has no memory left for guest memory",
					  p->host->memory.nodes[0].host_node);
		*(uint64_t *)memory_hva(&p->host->memory, ram_word(p, i), 1) = i + 1;
	}
	return 0;
}

/* Nothing maps the RAM frames any more when they go to the memory manager. */
static void words_return(struct probe *p)
{
	probe_word_map(p, FRAME_PT, probe_frame_gpa(p, FRAME_WORDS));
	(void)frames_discard(&p->host->memory, ram_word(p, 0), NR_WORDS);
	last_huge_page(p, MADV_HUGEPAGE);
}

static int probe_syscall(struct probe *p, struct errmsg *e)
{
	uint64_t before = __rdtsc();
	int rc;

	probe_program_run(p, false);
	p->host->pool.xcr0 &= p->v->regs.r8;
	if (p->trap.kind == TRAP_FAULT && (p->trap.error & PF_INSTR) &&
	    p->trap.address.v == KERNEL_PAGE_GVA(KERNEL_PAGE_SYSCALL_CPL0)) {
		p->host->pool.syscall_cpl = 3;
		entry_map_doorbell(&p->host->memory);
		rc = vcpu_state_set_entry(p->v);
		if (rc)
			return errmsg_set(e, rc, "KVM_SET_MSRS: %s", strerror(-rc));
	}
	rc = probe_word_read(p, "system call", e);
	if (rc < 0)
		return rc;
	if (p->v->regs.rbx < before || p->v->regs.rbx > __rdtsc())
		p->host->pool.tsc_is_host = false;
	return 0;
}

/*
 * Expects the word to be mapped to frame 0 and seen as such; maps it to frame 1.
 * Returns the frame that is seen then, or -errno.
 */
static int probe_paging(struct probe *p, struct errmsg *e)
{
	gpa_t root = p->v->root;
	int seen;

	word_map(p, 1);
	p->v->root = gpa_make(root.v ^ CR3_PWT);
	p->v->root_dirty = true;
	seen = probe_word_read(p, "paging", e);
	p->v->root = root;
	p->v->root_dirty = true;
	if (seen < 0)
		return seen;
	p->host->kind.nested_paging = seen == 1;
	return seen;
}

/* Goes on from probe_paging(): the entry maps frame 1, which may not be seen yet. */
static int probe_zap(struct probe *p, int seen, struct errmsg *e)
{
	int mapped = 1;

	for (enum zap_primitive z = ZAP_UFFD_CLEAR; z < ZAP_FLUSH; z++) {
		struct frame_range old = { .pfn = ram_word(p, (unsigned int)seen), .nr = 1 };

		if (mapped == seen) {
			mapped = !mapped;
			word_map(p, (unsigned int)mapped);
		}
		p->host->zapper.primitive = z;
		zap_frames(&p->host->zapper, &old, 1);
		seen = probe_word_read(p, "zap", e);
		if (seen < 0)
			return seen;
		if (seen == mapped)
			return 0;
	}
	p->host->zapper.primitive = ZAP_FLUSH;
	return 0;
}

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

int probe_host(struct host *host, struct errmsg *e)
{
	uint64_t begin = now_us();
	struct probe p;
	int rc = probe_begin(&p, host, e);

	if (rc)
		return rc;
	rc = words_take(&p, e);
	if (!rc) {
		word_map(&p, 0);
		rc = probe_syscall(&p, e);
	}
	if (!rc)
		rc = probe_paging(&p, e);
	if (rc >= 0)
		rc = probe_zap(&p, rc, e);
	words_return(&p);
	probe_end(&p);
	host->kind.probe_us = now_us() - begin;
	return rc;
}
