/* SPDX-License-Identifier: MIT */
/*
 * From KVM's exits to traps of the program.
 *
 *   store to the doorbell behind the level-3 stub's store   system call
 *   OUT, 4 bytes wide                                       system call
 *   OUT, 1 byte wide                                        exception; the port
 *                                                           is the vector
 *
 * Level 3 cannot do OUT (no I/O privilege, no port open in the TSS), so an OUT
 * is always a stub's. An exception's registers are in the frame on the vCPU's
 * own stack, which no program can reach.
 *
 * At which level the processor stands is read at every exit and never assumed:
 * a software-virtualising host that leaves SYSCALL at level 3 enters level 0
 * all the same when it has to emulate it (seen with a non-canonical RSP), and a
 * program resumed there would own the guest.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vmm/compat.h"
#include "vmm/vcpu.h"

#define VECTOR_DB 1u
#define VECTOR_DF 8u
#define VECTOR_GP 13u
#define VECTOR_PF 14u
/* #DF #TS #NP #SS #GP #PF #AC #CP #VC #SX push an error code. */
#define VECTORS_WITH_ERROR                                                                      \
	(1u << 8 | 1u << 10 | 1u << 11 | 1u << 12 | 1u << 13 | 1u << 14 | 1u << 17 | 1u << 21 | \
	 1u << 29 | 1u << 30)
#define RFLAGS_TF (1ull << 8)
/* More than any instruction makes: a 64-byte store, 8 bytes a time, and back. */
#define MMIO_ACCESSES_MAX 64u

/* What the processor pushes, behind the error code. */
struct exception_frame {
	uint64_t rip, cs, rflags, rsp, ss;
};

static uint64_t syscall_user_gva(void)
{
	return KERNEL_PAGE_GVA(KERNEL_PAGE_SYSCALL_CPL3);
}

static uint64_t syscall_user_rung_gva(void)
{
	return syscall_user_gva() + (uint64_t)(entry_syscall_user_rung - entry_syscall_user);
}

static uint64_t sysret_gva(void)
{
	return KERNEL_PAGE_GVA(KERNEL_PAGE_SYSCALL_CPL0) +
	       (uint64_t)(entry_syscall_kernel_return - entry_syscall_kernel);
}

void trap_error(struct vcpu *v, struct trap *out, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(v->message, sizeof(v->message), fmt, ap);
	va_end(ap);
	v->broken = true;
	out->kind = TRAP_ERROR;
	out->message = v->message;
}

static bool at_level0(const struct vcpu *v)
{
	return !v->run->s.regs.sregs.ss.dpl || !v->run->s.regs.sregs.cs.dpl;
}

/* The processor's registers become the program's. */
static void registers_store(struct vcpu *v)
{
	v->place = at_level0(v) ? VCPU_IN_KERNEL : VCPU_IN_USER;
	memcpy(&v->regs, &v->run->s.regs.regs, sizeof(v->run->s.regs.regs));
	v->regs.fs_base = v->run->s.regs.sregs.fs.base;
	v->regs.gs_base = v->run->s.regs.sregs.gs.base;
}

/* SYSCALL left the return address in RCX and the flags in R11. */
static void syscall_store(struct vcpu *v)
{
	registers_store(v);
	v->regs.rip = v->regs.rcx;
	v->regs.rflags = v->regs.r11;
}

static bool decode_syscall(struct vcpu *v, struct trap *out)
{
	syscall_store(v);
	v->regs_dirty = true;
	out->kind = TRAP_SYSCALL;
	counter_add(&v->counters.syscalls, 1);
	return true;
}

static bool decode_exception(struct vcpu *v, struct trap *out, uint32_t vector)
{
	uint64_t page = KERNEL_PAGE_GVA(KERNEL_PAGE_VCPU0 + v->id);
	uint64_t offset = v->run->s.regs.regs.rsp - page;
	bool has_error = vector < 32 && (VECTORS_WITH_ERROR >> vector & 1);
	struct exception_frame frame;
	uint64_t error = 0;

	if (offset > UMM_PAGE_SIZE - sizeof(frame) - (has_error ? sizeof(error) : 0)) {
		trap_error(v, out, "exception %u with the stack at %#llx, outside of the vCPU's",
			   vector, (unsigned long long)v->run->s.regs.regs.rsp);
		return true;
	}
	if (has_error) {
		memcpy(&error, v->page + offset, sizeof(error));
		offset += sizeof(error);
	}
	memcpy(&frame, v->page + offset, sizeof(frame));
	if ((frame.cs & 3) != 3 || vector == VECTOR_DF) {
		trap_error(v, out,
			   "exception %u, error %#llx, at level %u, rip %#llx, address %#llx",
			   vector, (unsigned long long)error, (unsigned int)(frame.cs & 3),
			   (unsigned long long)frame.rip,
			   (unsigned long long)v->run->s.regs.sregs.cr2);
		return true;
	}
	registers_store(v);
	v->regs.rip = frame.rip;
	v->regs.rsp = frame.rsp;
	v->regs.rflags = frame.rflags;
	/* Single-stepping a program must not stop in our stub: no trap there. */
	if (vector == VECTOR_DB && frame.rip - syscall_user_gva() < UMM_PAGE_SIZE) {
		v->regs.rflags &= ~RFLAGS_TF;
		return false;
	}
	out->error = error;
	out->vector = vector;
	if (vector == VECTOR_PF) {
		out->kind = TRAP_FAULT;
		out->address = gva_make(v->run->s.regs.sregs.cr2);
		counter_add(&v->counters.faults, 1);
	} else {
		out->kind = TRAP_EXCEPTION;
		counter_add(&v->counters.others, 1);
	}
	return true;
}

static bool decode_io(struct vcpu *v, struct trap *out)
{
	const struct kvm_run *run = v->run;

	if (run->io.direction == KVM_EXIT_IO_OUT && run->io.size == 1)
		return decode_exception(v, out, run->io.port);
	if (run->io.direction == KVM_EXIT_IO_OUT && run->io.size == 4 &&
	    run->io.port == ENTRY_SYSCALL_PORT) {
		decode_syscall(v, out);
		v->place = VCPU_AT_SYSRET;
		return true;
	}
	trap_error(v, out, "unexpected I/O: port %#x, size %u, rip %#llx", run->io.port,
		   run->io.size, (unsigned long long)run->s.regs.regs.rip);
	return true;
}

/*
 * KVM finishes an instruction that touched the doorbell at the next KVM_RUN, and
 * with registers that may be others' by then. So let it finish now, all of its
 * accesses (a far return makes two, a wide store several); the caller then puts
 * back what it may have changed.
 */
static void mmio_finish(struct vcpu *v)
{
	struct kvm_run *run = v->run;
	int rc = 0;

	for (unsigned int i = 0; i < MMIO_ACCESSES_MAX && !rc; i++) {
		if (run->exit_reason != KVM_EXIT_MMIO)
			break;
		if (!run->mmio.is_write)
			memset(run->mmio.data, 0xff, sizeof(run->mmio.data));
		__atomic_store_n(&run->immediate_exit, 1, __ATOMIC_SEQ_CST);
		rc = kvm_vcpu_run(v->fd);
	}
	/* Left set: a kick that came meanwhile is not lost, at worst one is told too many. */
}

/* The program itself touched the doorbell: for it, nothing is there. */
static bool decode_mmio(struct vcpu *v, struct trap *out)
{
	struct kvm_run *run = v->run;
	uint64_t address = run->mmio.phys_addr;

	if (run->mmio.is_write && address == LAYOUT_DOORBELL_GPA &&
	    run->s.regs.regs.rip == syscall_user_rung_gva())
		return decode_syscall(v, out);
	if (address - LAYOUT_DOORBELL_GPA >= UMM_PAGE_SIZE) {
		trap_error(v, out, "access to unbacked guest physical address %#llx, rip %#llx",
			   (unsigned long long)address, (unsigned long long)run->s.regs.regs.rip);
		return true;
	}
	out->kind = TRAP_FAULT;
	out->error = PF_USER | (run->mmio.is_write ? PF_WRITE : 0);
	out->address = gva_make(ENTRY_DOORBELL_GVA + (address - LAYOUT_DOORBELL_GPA));
	registers_store(v);
	mmio_finish(v);
	v->place = VCPU_IN_KERNEL;
	v->regs_dirty = v->segs_dirty = true;
	counter_add(&v->counters.faults, 1);
	return true;
}

/*
 * A software-virtualising host emulates what raised #GP at level 3, and gives up
 * on what its emulator does not know: x87 and IRET, for example. The processor
 * would have raised the #GP, instead of whatever KVM may have queued.
 */
static bool decode_not_emulated(struct vcpu *v, struct trap *out)
{
	vcpu_events_drop(v);
	registers_store(v);
	v->regs_dirty = true;
	out->kind = TRAP_EXCEPTION;
	out->vector = VECTOR_GP;
	counter_add(&v->counters.others, 1);
	return true;
}

bool trap_decode(struct vcpu *v, struct trap *out)
{
	struct kvm_run *run = v->run;

	switch (run->exit_reason) {
	case KVM_EXIT_MMIO:
		return decode_mmio(v, out);
	case KVM_EXIT_IO:
		return decode_io(v, out);
	case KVM_EXIT_INTR:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
		return false;
	case KVM_EXIT_SHUTDOWN:
		trap_error(v, out, "triple fault, rip %#llx",
			   (unsigned long long)run->s.regs.regs.rip);
		return true;
	case KVM_EXIT_INTERNAL_ERROR:
		if (run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION && !at_level0(v))
			return decode_not_emulated(v, out);
		trap_error(v, out, "KVM internal error %u, rip %#llx", run->internal.suberror,
			   (unsigned long long)run->s.regs.regs.rip);
		return true;
	case KVM_EXIT_FAIL_ENTRY:
		trap_error(v, out, "the processor refused to enter the guest: reason %#llx",
			   (unsigned long long)run->fail_entry.hardware_entry_failure_reason);
		return true;
	case KVM_EXIT_MEMORY_FAULT:
		trap_error(v, out, "KVM cannot reach the host memory behind a guest frame");
		return true;
	default:
		trap_error(v, out, "unexpected KVM exit %u, rip %#llx", run->exit_reason,
			   (unsigned long long)run->s.regs.regs.rip);
		return true;
	}
}

bool trap_decode_interrupted(struct vcpu *v, struct trap *out)
{
	uint64_t rip = v->run->s.regs.regs.rip;
	bool level0 = at_level0(v);
	struct kvm_vcpu_events events;

	if (level0 && rip == sysret_gva()) {
		/* On the way out of a system call: the program stands behind it. */
		syscall_store(v);
		v->place = VCPU_AT_SYSRET;
		goto interrupted;
	}
	if (level0 || rip == syscall_user_gva())
		return false;
	/* Being delivered: with other registers it would hit the wrong place. */
	if (!kvm_vcpu_get_events(v->fd, &events)) {
		if (events.exception.injected)
			return false;
		/*
		 * KVM does not report #BP and #OF, for want of their instruction's
		 * length, but would deliver them all the same: to whatever runs next.
		 * Setting what it reported drops them, and the instruction, at which
		 * the program still stands, raises them again.
		 */
		(void)!kvm_vcpu_set_events(v->fd, &events);
	}
	registers_store(v);
	v->regs_dirty = false;
interrupted:
	out->kind = TRAP_KICK;
	counter_add(&v->counters.others, 1);
	return true;
}
