/* SPDX-License-Identifier: MIT */
/*
 * What kind of host is this? Decided by trying, not by module names.
 *
 * One vCPU runs a short program that reads a word and makes a system call, about
 * six times (half a millisecond on the slowest host known):
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
 *  4. The same for a change of the entry above and flush_tables().
 *
 * Its page tables are frames of the table pool that are never given to the
 * memory manager: KVM may hold shadows of them for as long as it likes.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <x86intrin.h>

#include "vmm/entry.h"
#include "vmm/frames.h"
#include "vmm/host_priv.h"

#define PTE_P    (1ull << 0)
#define PTE_W    (1ull << 1)
#define PTE_U    (1ull << 2)
#define PTE_A    (1ull << 5)
#define PTE_D    (1ull << 6)
#define PTE_USER (PTE_P | PTE_W | PTE_U | PTE_A | PTE_D)
#define CR3_PWT  (1ull << 3) /* of no effect here but to make the value differ */

#define PROBE_GVA 0x400000ull /* code; the word is one page up */
#define NR_WORDS  2u

enum probe_frame {
	FRAME_ROOT,
	FRAME_PDPT,
	FRAME_PD,
	FRAME_PT,
	FRAME_PT_OTHER,
	FRAME_CODE,
	NR_PROBE_FRAMES
};

struct probe {
	struct host *host;
	struct vcpu *v;
	uint64_t *frames[NR_PROBE_FRAMES];
	gpa_t frames_gpa;
	pfn_t data[NR_WORDS]; /* RAM frames; the first word of data[i] is i + 1 */
	struct trap trap;
};

static uint64_t frame_gpa(const struct probe *p, enum probe_frame frame)
{
	return p->frames_gpa.v + ((uint64_t)frame << UMM_PAGE_SHIFT);
}

static uint64_t *word_entry(struct probe *p, enum probe_frame table)
{
	return &p->frames[table][((PROBE_GVA >> UMM_PAGE_SHIFT) + 1) % UMM_PTRS_PER_TABLE];
}

static void word_map(struct probe *p, enum probe_frame table, unsigned int i)
{
	__atomic_store_n(word_entry(p, table), pfn_to_gpa(p->data[i]).v | PTE_USER,
			 __ATOMIC_SEQ_CST);
}

static void tables_build(struct probe *p)
{
	size_t code = (PROBE_GVA >> UMM_PAGE_SHIFT) % UMM_PTRS_PER_TABLE;
	size_t pd = (PROBE_GVA >> UMM_PMD_SHIFT) % UMM_PTRS_PER_TABLE;

	p->frames[FRAME_ROOT][0] = frame_gpa(p, FRAME_PDPT) | PTE_USER;
	p->frames[FRAME_PDPT][0] = frame_gpa(p, FRAME_PD) | PTE_USER;
	p->frames[FRAME_PD][pd] = frame_gpa(p, FRAME_PT) | PTE_USER;
	p->frames[FRAME_PT][code] = frame_gpa(p, FRAME_CODE) | PTE_USER;
	p->frames[FRAME_PT_OTHER][code] = frame_gpa(p, FRAME_CODE) | PTE_USER;
	host_install_kernel_half(p->host, p->frames[FRAME_ROOT]);
	memcpy(p->frames[FRAME_CODE], entry_probe, (size_t)(entry_probe_end - entry_probe));
}

/* The last frames of the table pool, and the last two of RAM. */
static int frames_take(struct probe *p, struct errmsg *e)
{
	struct host_tables *pool = &p->host->memory.tables;
	const struct host_node *node = &p->host->memory.nodes[0];
	uint8_t *hva;

	pool->nr -= NR_PROBE_FRAMES;
	p->frames_gpa = pfn_to_gpa(pfn_add(pool->base, pool->nr));
	for (unsigned int i = 0; i < NR_PROBE_FRAMES; i++)
		p->frames[i] =
			(uint64_t *)((uint8_t *)pool->hva + ((pool->nr + i) << UMM_PAGE_SHIFT));
	/* Two words are not worth clearing a huge page, or two. */
	hva = (uint8_t *)node->hva + ((node->nr << UMM_PAGE_SHIFT) - UMM_PMD_SIZE);
	madvise(hva, UMM_PMD_SIZE, MADV_NOHUGEPAGE);
	for (unsigned int i = 0; i < NR_WORDS; i++) {
		p->data[i] = pfn_add(node->base, node->nr - NR_WORDS + i);
		if (frames_populate(&p->host->memory, p->data[i], 1))
			return errmsg_set(e, -ENOMEM,
					  "host node %d has no memory left for guest "
					  "memory",
					  node->host_node);
		*(uint64_t *)memory_hva(&p->host->memory, p->data[i], 1) = i + 1;
	}
	return 0;
}

static void frames_return(struct probe *p)
{
	const struct host_node *node = &p->host->memory.nodes[0];

	*word_entry(p, FRAME_PT) = *word_entry(p, FRAME_PT_OTHER) = 0;
	(void)frames_discard(&p->host->memory, p->data[0], NR_WORDS);
	if (p->host->memory.hugepages)
		madvise((uint8_t *)node->hva + ((node->nr << UMM_PAGE_SHIFT) - UMM_PMD_SIZE),
			UMM_PMD_SIZE, MADV_HUGEPAGE);
}

static void program_run(struct probe *p, bool again)
{
	p->v->regs.rip = PROBE_GVA + (again ? (uint64_t)(entry_probe_again - entry_probe) : 0);
	p->v->regs.rdi = PROBE_GVA + UMM_PAGE_SIZE;
	p->v->regs_dirty = true;
	do {
		vcpu_run(p->v, &p->trap);
	} while (p->trap.kind == TRAP_KICK);
}

static int unexpected(struct probe *p, const char *step, struct errmsg *e)
{
	return errmsg_set(e, -ENOTSUP,
			  "this KVM does not run guests as umm needs it: probe \"%s\": "
			  "trap %d, vector %u, address %#llx%s%s",
			  step, (int)p->trap.kind, p->trap.vector,
			  (unsigned long long)p->trap.address.v, p->trap.message ? ": " : "",
			  p->trap.message ? p->trap.message : "");
}

/* Which data frame does the program see: its number, or -errno. */
static int word_read(struct probe *p, const char *step, struct errmsg *e)
{
	program_run(p, true);
	if (p->trap.kind != TRAP_SYSCALL || !p->v->regs.rsi || p->v->regs.rsi > NR_WORDS)
		return unexpected(p, step, e);
	return (int)p->v->regs.rsi - 1;
}

static int probe_syscall(struct probe *p, struct errmsg *e)
{
	uint64_t before = __rdtsc();
	int rc;

	program_run(p, false);
	p->host->pool.xcr0 &= p->v->regs.r8;
	if (p->trap.kind == TRAP_FAULT && (p->trap.error & PF_INSTR) &&
	    p->trap.address.v == KERNEL_PAGE_GVA(KERNEL_PAGE_SYSCALL_CPL0)) {
		p->host->pool.syscall_cpl = 3;
		entry_map_doorbell(&p->host->memory);
		rc = vcpu_state_set_entry(p->v);
		if (rc)
			return errmsg_set(e, rc, "KVM_SET_MSRS: %s", strerror(-rc));
	}
	rc = word_read(p, "system call", e);
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

	word_map(p, FRAME_PT, 1);
	p->v->root = gpa_make(root.v ^ CR3_PWT);
	p->v->root_dirty = true;
	seen = word_read(p, "paging", e);
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
		struct frame_range old = { .pfn = p->data[seen], .nr = 1 };

		if (mapped == seen) {
			mapped = !mapped;
			word_map(p, FRAME_PT, (unsigned int)mapped);
		}
		p->host->zapper.primitive = z;
		zap_frames(&p->host->zapper, &old, 1);
		seen = word_read(p, "zap", e);
		if (seen < 0)
			return seen;
		if (seen == mapped)
			return 0;
	}
	p->host->zapper.primitive = ZAP_FLUSH;
	return 0;
}

static int probe_flush(struct probe *p, struct errmsg *e)
{
	enum probe_frame table = FRAME_PT_OTHER;
	/* What each table maps: PT what probe_zap() left, PT_OTHER the other one. */
	unsigned int in_pt = (*word_entry(p, FRAME_PT) & UMM_PAGE_MASK) != pfn_to_gpa(p->data[0]).v;

	word_map(p, FRAME_PT_OTHER, !in_pt);
	for (enum flush_primitive f = FLUSH_DUMMY_SLOT; f < FLUSH_NR; f++) {
		unsigned int want = table == FRAME_PT ? in_pt : !in_pt;
		int seen;

		__atomic_store_n(
			&p->frames[FRAME_PD][(PROBE_GVA >> UMM_PMD_SHIFT) % UMM_PTRS_PER_TABLE],
			frame_gpa(p, table) | PTE_USER, __ATOMIC_SEQ_CST);
		p->host->zapper.flush = f;
		zap_flush_tables(&p->host->zapper);
		seen = word_read(p, "flush", e);
		if (seen < 0)
			return seen;
		if (seen == (int)want)
			return 0;
		table = table == FRAME_PT ? FRAME_PT_OTHER : FRAME_PT;
	}
	return errmsg_set(e, -ENOTSUP,
			  "this KVM keeps stale page tables whatever is done: umm "
			  "cannot run guests safely here");
}

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

int probe_host(struct host *host, struct errmsg *e)
{
	struct probe p = { .host = host };
	uint64_t begin = now_us();
	int rc = vcpu_pool_get(&host->pool, &p.v);

	if (rc)
		return errmsg_set(e, rc, "cannot make a vCPU: %s", strerror(-rc));
	rc = frames_take(&p, e);
	if (rc)
		goto out;
	tables_build(&p);
	word_map(&p, FRAME_PT, 0);
	p.v->root = gpa_make(frame_gpa(&p, FRAME_ROOT));
	p.v->root_dirty = true;
	rc = probe_syscall(&p, e);
	if (!rc)
		rc = probe_paging(&p, e);
	if (rc >= 0)
		rc = probe_zap(&p, rc, e);
	if (!rc)
		rc = probe_flush(&p, e);
	frames_return(&p);
out:
	vcpu_pool_put(&host->pool, p.v);
	host->kind.probe_us = now_us() - begin;
	return rc;
}
