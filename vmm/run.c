/* SPDX-License-Identifier: MIT */
/*
 * Entering the guest with the program's registers.
 *
 * Ways back to the program, cheapest first:
 *   from SYSCALL, host of level 3   the processor is at level 3 already: set
 *                                   RIP and RFLAGS (the stub's are replaced)
 *   from SYSCALL, host of level 0   the stub's SYSRETQ, while RCX and R11 still
 *                                   are what it needs
 *   from an exception, and the rest set CS and SS, so the special registers
 */
#include <errno.h>
#include <string.h>

#include "vmm/vcpu.h"

/* struct guest_regs begins as struct kvm_regs does. */
_Static_assert(offsetof(struct guest_regs, fs_base) == sizeof(struct kvm_regs), "same registers");
_Static_assert(offsetof(struct guest_regs, rsp) == offsetof(struct kvm_regs, rsp), "same order");
_Static_assert(offsetof(struct guest_regs, r15) == offsetof(struct kvm_regs, r15), "same order");
_Static_assert(offsetof(struct guest_regs, rip) == offsetof(struct kvm_regs, rip), "same order");

#define RFLAGS_FIXED (1ull << 1 | 1ull << 9) /* always one; IF */
/* CF PF AF ZF SF TF DF OF RF AC ID: what a program may have as it likes. */
#define RFLAGS_USER 0x250dd5ull

static uint64_t rflags_sanitise(uint64_t rflags)
{
	return (rflags & RFLAGS_USER) | RFLAGS_FIXED;
}

static bool is_canonical(uint64_t address)
{
	return (uint64_t)((int64_t)(address << 16) >> 16) == address;
}

static void sregs_load(struct vcpu *v)
{
	struct kvm_sregs *sregs = &v->run->s.regs.sregs;

	vcpu_user_segments(sregs);
	if (v->segs_dirty) {
		sregs->fs.base = v->regs.fs_base;
		sregs->gs.base = v->regs.gs_base;
	}
	sregs->cr3 = v->root.v ^ v->cr3_bits;
	v->run->kvm_dirty_regs |= KVM_SYNC_X86_SREGS;
	v->segs_dirty = v->root_dirty = false;
}

static void registers_load(struct vcpu *v)
{
	struct kvm_regs *regs = &v->run->s.regs.regs;
	bool sregs = v->segs_dirty || v->root_dirty;

	v->regs.rflags = rflags_sanitise(v->regs.rflags);
	if (v->place == VCPU_AT_SYSRET && !sregs && v->regs.rcx == v->regs.rip &&
	    v->regs.r11 == v->regs.rflags) {
		uint64_t rip = regs->rip, rflags = regs->rflags;

		memcpy(regs, &v->regs, sizeof(*regs));
		regs->rip = rip;
		regs->rflags = rflags;
		v->run->kvm_dirty_regs |= KVM_SYNC_X86_REGS;
		v->place = VCPU_IN_USER;
		v->regs_dirty = false;
		return;
	}
	if (v->place != VCPU_IN_USER || sregs)
		sregs_load(v);
	if (v->place != VCPU_IN_USER || v->regs_dirty) {
		memcpy(regs, &v->regs, sizeof(*regs));
		v->run->kvm_dirty_regs |= KVM_SYNC_X86_REGS;
	}
	v->place = VCPU_IN_USER;
	v->regs_dirty = false;
}

void vcpu_run(struct vcpu *v, struct trap *out)
{
	bool kicked = false;
	int rc;

	*out = (struct trap){ 0 };
	/* VMX refuses to enter there; the processor would raise #GP. */
	if (!is_canonical(v->regs.rip)) {
		out->kind = TRAP_EXCEPTION;
		out->vector = 13;
		return;
	}
	for (;;) {
		registers_load(v);
		vcpu_gate_enter(v);
		rc = kvm_vcpu_run(v->fd);
		vcpu_gate_leave(v);
		counter_add(&v->counters.exits, 1);
		if (!rc) {
			if (trap_decode(v, out))
				break;
		} else if (rc == -EINTR) {
			__atomic_store_n(&v->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
			if (trap_decode_interrupted(v, out))
				return;
			kicked = true;
		} else {
			trap_error(v, out, "KVM_RUN: %s (exit reason %u)%s", strerror(-rc),
				   v->run->exit_reason,
				   rc == -EFAULT ? ": the host has no memory behind a guest frame"
						 : "");
			break;
		}
	}
	/* A kick that came amid a stub is told by the next run. */
	if (kicked)
		__atomic_store_n(&v->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
}
