/* SPDX-License-Identifier: MIT */
/*
 * A guest small enough to be written in a test: a VM, one or more address
 * spaces built by hand, machine code from the test's own assembly. For
 * test_vmm_* only, since it calls vmm/.
 *
 * Everything fails loudly: a helper that cannot do its job ends the test
 * program, but lack of KVM or userfaultfd ends it as "skipped".
 */
#ifndef TESTS_UNIT_KVM_GUEST_H
#define TESTS_UNIT_KVM_GUEST_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/host_priv.h"

#define GUEST_EXIT_SKIPPED 77

#define PTE_P  (1ull << 0)
#define PTE_W  (1ull << 1)
#define PTE_U  (1ull << 2)
#define PTE_A  (1ull << 5)
#define PTE_D  (1ull << 6)
#define PTE_RW (PTE_P | PTE_W | PTE_U | PTE_A | PTE_D)
#define PTE_RO (PTE_P | PTE_U | PTE_A)

/* Machine code, as a byte image named NAME .. NAME_end. */
#define GUEST_CODE(name, text)                  \
	extern const char name[], name##_end[]; \
	__asm__(".pushsection .rodata\n" #name ":\n" text "\n" #name "_end:\n.popsection\n")

struct kvm_guest {
	struct host *host;
	const struct vcpu_ops *vcpus;
	const struct mm_host_ops *mm;
	uint64_t next_table; /* of the table pool */
	uint64_t next_frame; /* of node 0 */
};

static inline void guest_die(const char *what, int rc)
{
	fprintf(stderr, "%s: %s\n", what, strerror(-rc));
	exit(1);
}

static inline void guest_init_config(struct kvm_guest *g, const struct host_config *cfg)
{
	struct errmsg e;
	int rc;

	memset(g, 0, sizeof(*g));
	rc = host_create(cfg, &g->host, &e);
	if (rc == -ENOENT || rc == -ENODEV || rc == -EACCES || rc == -EPERM) {
		printf("SKIP: %s\n", e.text);
		exit(GUEST_EXIT_SKIPPED);
	}
	if (rc) {
		fprintf(stderr, "host_create: %s\n", e.text);
		exit(1);
	}
	g->vcpus = host_vcpu_ops();
	g->mm = host_mm_ops();
}

static inline void guest_init(struct kvm_guest *g, unsigned int nr_nodes)
{
	const struct host_config cfg = { .nr_nodes = nr_nodes,
					 .mem_bytes = nr_nodes * (64ull << 20) };

	guest_init_config(g, &cfg);
}

static inline uint64_t *guest_table_hva(struct kvm_guest *g, gpa_t gpa)
{
	const struct host_tables *tables = host_tables_get(g->host);

	return (uint64_t *)((uint8_t *)tables->hva + (gpa.v - pfn_to_gpa(tables->base).v));
}

static inline gpa_t guest_table(struct kvm_guest *g)
{
	const struct host_tables *tables = host_tables_get(g->host);

	if (g->next_table == tables->nr)
		guest_die("guest_table", -ENOMEM);
	return pfn_to_gpa(pfn_add(tables->base, g->next_table++));
}

/* A new root with the kernel half in it. */
static inline gpa_t guest_root(struct kvm_guest *g)
{
	gpa_t root = guest_table(g);

	host_install_kernel_half(g->host, guest_table_hva(g, root));
	return root;
}

static inline pfn_t guest_frame(struct kvm_guest *g)
{
	return pfn_add(host_node_get(g->host, 0)->base, g->next_frame++);
}

/* The leaf entry for @gva, tables made as needed. */
static inline uint64_t *guest_entry(struct kvm_guest *g, gpa_t root, uint64_t gva)
{
	uint64_t *table = guest_table_hva(g, root);

	for (int shift = 39; shift > 12; shift -= 9) {
		uint64_t *entry = &table[gva >> shift & 511];

		if (!*entry)
			*entry = guest_table(g).v | PTE_RW;
		table = guest_table_hva(g, gpa_make(*entry & UMM_PAGE_MASK));
	}
	return &table[gva >> 12 & 511];
}

static inline void guest_map(struct kvm_guest *g, gpa_t root, uint64_t gva, pfn_t pfn,
			     uint64_t flags)
{
	__atomic_store_n(guest_entry(g, root, gva), pfn_to_gpa(pfn).v | flags, __ATOMIC_SEQ_CST);
}

/* A new frame with @code at its start, mapped read-only at @gva. */
static inline void guest_code(struct kvm_guest *g, gpa_t root, uint64_t gva, const char *code,
			      const char *end)
{
	pfn_t pfn = guest_frame(g);

	memcpy(host_frame_hva(g->host, pfn), code, (size_t)(end - code));
	guest_map(g, root, gva, pfn, PTE_RO);
}

static inline struct vcpu *guest_vcpu(struct kvm_guest *g, gpa_t root, uint64_t rip)
{
	struct vcpu *v;
	int rc = g->vcpus->get(g->host, &v);

	if (rc)
		guest_die("vcpu get", rc);
	g->vcpus->set_root(v, root);
	g->vcpus->regs(v)->rip = rip;
	g->vcpus->regs_changed(v);
	return v;
}

/* Start again at @rip with the registers as they are. */
static inline void guest_jump(struct kvm_guest *g, struct vcpu *v, uint64_t rip)
{
	g->vcpus->regs(v)->rip = rip;
	g->vcpus->regs_changed(v);
}

/* Run until something other than a kick: those may come unasked. */
static inline void guest_run(struct kvm_guest *g, struct vcpu *v, struct trap *trap)
{
	do {
		g->vcpus->run(v, trap);
	} while (trap->kind == TRAP_KICK);
}

#endif
