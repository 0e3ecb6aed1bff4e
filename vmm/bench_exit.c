/* SPDX-License-Identifier: MIT */
/*
 * The bare exit: a program of two instructions at level 3 that leaves the guest
 * again and again, and a loop of KVM_RUN that looks at nothing. What `umm` adds
 * to it - registers, dispatch, the call itself - is the rest of a system call.
 *
 * The address space has one frame of code and one page that maps a guest
 * address without memory behind it; its tables are new frames of the pool, and
 * nothing in them changes once the guest has run.
 */
#include "vmm/bench_exit.h"

#include <errno.h>
#include <string.h>

#include "vmm/layout.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

#define CODE_GVA  0x400000ul
#define STORE_GVA 0x401000ul

#define ENTRY_PRESENT (1ull << 0)
#define ENTRY_WRITE   (1ull << 1)
#define ENTRY_USER    (1ull << 2)
#define ENTRY_A_D     (3ull << 5)
#define ENTRY_TABLE   (ENTRY_PRESENT | ENTRY_WRITE | ENTRY_USER | ENTRY_A_D)

/* Each begins with a SYSCALL, which the VMM's own vcpu_run() sees through. */
static const uint8_t store_loop[] = {
	0x0f, 0x05,                               /* syscall */
	0x89, 0x04, 0x25, 0x00, 0x10, 0x40, 0x00, /* 1: movl %eax, STORE_GVA */
	0xeb, 0xf7,                               /* jmp 1b */
};
static const uint8_t syscall_loop[] = {
	0x0f, 0x05, /* 1: syscall */
	0xeb, 0xfc, /* jmp 1b */
};

struct exit_space {
	struct host *host;
	uint64_t next_table;
	pfn_t code;
	gpa_t root;
};

static uint64_t *table_at(const struct exit_space *s, gpa_t table)
{
	const struct host_tables *t = host_tables_get(s->host);

	return (uint64_t *)((char *)t->hva + (table.v - pfn_to_gpa(t->base).v));
}

static gpa_t table_new(struct exit_space *s)
{
	return pfn_to_gpa(pfn_add(host_tables_get(s->host)->base, s->next_table++));
}

/* Sets the leaf entry of @gva; tables above it are made. */
static void space_map(struct exit_space *s, uint64_t gva, uint64_t leaf)
{
	uint64_t *table = table_at(s, s->root), *entry;
	int shift;

	for (shift = 39; shift > UMM_PAGE_SHIFT; shift -= 9) {
		entry = &table[gva >> shift & (UMM_PTRS_PER_TABLE - 1)];
		if (!*entry)
			*entry = table_new(s).v | ENTRY_TABLE;
		table = table_at(s, gpa_make(*entry & UMM_PAGE_MASK));
	}
	table[gva >> UMM_PAGE_SHIFT & (UMM_PTRS_PER_TABLE - 1)] = leaf;
}

static void space_init(struct exit_space *s, struct host *host)
{
	s->host = host;
	s->next_table = 0;
	s->code = host_node_get(host, 0)->base;
	s->root = table_new(s);
	host_install_kernel_half(host, table_at(s, s->root));
	space_map(s, CODE_GVA, pfn_to_gpa(s->code).v | ENTRY_PRESENT | ENTRY_USER | ENTRY_A_D);
	space_map(s, STORE_GVA, LAYOUT_DOORBELL_GPA | ENTRY_TABLE);
}

/* The program's first SYSCALL, seen by the VMM: from then on KVM_RUN alone goes on. */
static int start_program(const struct exit_space *s, struct vcpu *v, struct errmsg *e)
{
	const struct vcpu_ops *ops = host_vcpu_ops();
	struct trap trap;

	ops->set_root(v, s->root);
	ops->regs(v)->rip = CODE_GVA;
	ops->regs_changed(v);
	do {
		ops->run(v, &trap);
	} while (trap.kind == TRAP_KICK);
	if (trap.kind != TRAP_SYSCALL)
		return errmsg_set(e, -EIO, "the exit loop stopped at its first instruction%s%s",
				  trap.kind == TRAP_ERROR ? ": " : "",
				  trap.kind == TRAP_ERROR ? trap.message : "");
	return 0;
}

static int time_exits(struct vcpu *v, unsigned int rounds, double *ns, struct errmsg *e)
{
	uint64_t start = vm_now_ns();
	unsigned int i;
	int rc;

	for (i = 0; i < rounds; i++) {
		rc = kvm_vcpu_run(v->fd);
		if (rc && rc != -EINTR)
			return errmsg_set(e, rc, "KVM_RUN in the exit loop: %s", strerror(-rc));
	}
	*ns = (double)(vm_now_ns() - start) / rounds;
	return 0;
}

static int measure(struct exit_space *s, const uint8_t *code, size_t len, unsigned int rounds,
		   double *ns, struct errmsg *e)
{
	const struct vcpu_ops *ops = host_vcpu_ops();
	struct vcpu *v;
	int rc;

	memcpy(host_frame_hva(s->host, s->code), code, len);
	rc = ops->get(s->host, &v);
	if (rc)
		return errmsg_set(e, rc, "no vCPU for the exit loop: %s", strerror(-rc));
	rc = start_program(s, v, e);
	/* The first rounds build what the host caches. */
	if (!rc)
		rc = time_exits(v, rounds / 10 + 10, ns, e);
	if (!rc)
		rc = time_exits(v, rounds, ns, e);
	ops->put(s->host, v);
	return rc;
}

int bench_exit_measure(struct host *host, unsigned int rounds, struct exit_costs *out,
		       struct errmsg *e)
{
	struct exit_space s;
	int rc;

	space_init(&s, host);
	rc = measure(&s, store_loop, sizeof(store_loop), rounds, &out->store_ns, e);
	if (!rc)
		rc = measure(&s, syscall_loop, sizeof(syscall_loop), rounds, &out->syscall_ns, e);
	return rc;
}
