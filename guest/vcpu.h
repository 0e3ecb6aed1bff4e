/* SPDX-License-Identifier: MIT */
/*
 * What the guest side needs of a virtual processor, told without KVM.
 *
 * The VMM implements these calls (vmm/vcpu.c); guest/ never sees KVM. A vCPU
 * belongs to one host thread at a time, from vcpu_get() to vcpu_put(); all
 * calls are made by that thread, except vcpu_kick().
 */
#ifndef GUEST_VCPU_H
#define GUEST_VCPU_H

#include <stdatomic.h>
#include <umm/types.h>

struct vcpu;

/* The registers of the guest program, complete for a signal frame. */
struct guest_regs {
	uint64_t rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp;
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
	uint64_t rip, rflags;
	uint64_t fs_base, gs_base;
};

enum trap_kind {
	TRAP_SYSCALL,   /* regs->rax is the number; rip is behind the SYSCALL */
	TRAP_FAULT,     /* #PF: address and error are set; rip at the instruction */
	TRAP_EXCEPTION, /* another vector: vector and error are set */
	TRAP_KICK,      /* left because of vcpu_kick() or a host signal */
	TRAP_ERROR,     /* the vCPU cannot go on (KVM error, triple fault): message is set */
};

/* x86 page-fault error code bits, in trap.error of TRAP_FAULT. */
#define PF_PRESENT (1u << 0)
#define PF_WRITE   (1u << 1)
#define PF_USER    (1u << 2)
#define PF_RSVD    (1u << 3)
#define PF_INSTR   (1u << 4)

struct trap {
	enum trap_kind kind;
	uint32_t vector;     /* x86 vector, for TRAP_EXCEPTION */
	uint64_t error;      /* x86 error code */
	gva_t address;       /* CR2, for TRAP_FAULT */
	const char *message; /* static text, for TRAP_ERROR */
};

/* Largest XSAVE image we carry (AVX-512 and PKRU fit in 2,696 bytes). */
#define GUEST_XSAVE_SIZE 4096

struct vcpu_ops {
	/*
	 * Take a vCPU from the pool (making one if the pool is empty).
	 * -EAGAIN: the host has no more vCPUs to give.
	 */
	int (*get)(void *ctx, struct vcpu **out);
	/* Give it back. */
	void (*put)(void *ctx, struct vcpu *v);

	/* Use the page tables rooted at @root from the next run on. */
	void (*set_root)(struct vcpu *v, gpa_t root);

	/*
	 * Run guest code at user level until it traps. The caller reads and
	 * changes *vcpu_regs between runs; changes are taken at the next run.
	 */
	void (*run)(struct vcpu *v, struct trap *out);

	/*
	 * The registers; valid from the return of run() to the next run().
	 * After changing any register call regs_changed(); changing fs_base or
	 * gs_base needs segs_changed() too. A TRAP_SYSCALL returns to
	 * regs->rip when only rax is changed, without needing any call for
	 * rax: the trap itself marks it.
	 */
	struct guest_regs *(*regs)(struct vcpu *v);
	void (*regs_changed)(struct vcpu *v);
	void (*segs_changed)(struct vcpu *v);

	/*
	 * Extended state in XSAVE standard (non-compacted) format.
	 * get returns the number of bytes used (<= GUEST_XSAVE_SIZE) or
	 * -errno; set takes an image that it sanitises (XCR0 features only,
	 * MXCSR reserved bits cleared), -EINVAL if hopeless. reset gives a
	 * freshly exec'ed program's state.
	 */
	int (*xsave_get)(struct vcpu *v, void *image);
	int (*xsave_set)(struct vcpu *v, const void *image, size_t size);
	void (*xsave_reset)(struct vcpu *v);

	/*
	 * Make run() on @v return TRAP_KICK soon, or the next run() at once if
	 * it is not running. From any thread. The VMM sends the owner thread
	 * VCPU_KICK_SIGNAL, so that blocking host system calls end too.
	 */
	void (*kick)(struct vcpu *v);

	/* XCR0 as the guest sees it, for signal frames. */
	uint64_t (*xcr0)(void *ctx);
	/* Counts exits of all kinds of this vCPU since get(). */
	uint64_t (*exits)(struct vcpu *v);
};

/* Host signal used to kick vCPU threads; its handler is vmm's. */
#define VCPU_KICK_SIGNAL SIGUSR1

#endif
