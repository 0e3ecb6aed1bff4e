/* SPDX-License-Identifier: MIT */
/*
 * The life of a task: run guest code until it traps, answer the trap, look at
 * what else there is to do, run again.
 *
 *	run ---- TRAP_SYSCALL ---> the call's function ---- rax
 *	    ---- TRAP_FAULT -----> mm_fault() ------------- nothing, or a signal
 *	    ---- TRAP_EXCEPTION -> a signal
 *	    ---- TRAP_KICK ------> (somebody set `work`)
 *	then, if `work` is set or a call was interrupted: task_do_work()
 *
 * The way from trap to answer takes no lock.
 */
#include <stdio.h>
#include <string.h>

#include "guest/task.h"

enum {
	VECTOR_DE = 0,
	VECTOR_DB = 1,
	VECTOR_BP = 3,
	VECTOR_UD = 6,
	VECTOR_NP = 11,
	VECTOR_SS = 12,
	VECTOR_PF = 14,
	VECTOR_MF = 16,
	VECTOR_AC = 17,
	VECTOR_XM = 19,
};

struct guest_regs *task_regs(struct task *t)
{
	return t->ops->regs(t->vcpu);
}

/* ---- system calls ------------------------------------------------------ */

static int64_t call_unknown(struct task *t)
{
	counter_add(&t->g->counters.unknown_syscalls);
	return -ENOSYS;
}

static int64_t call_plain(struct task *t, uint64_t nr, const uint64_t args[6])
{
	if (nr >= SYSCALL_MAX || !syscall_table[nr].fn)
		return call_unknown(t);
	return syscall_table[nr].fn(t, args);
}

static int64_t call_traced(struct task *t, uint64_t nr, const uint64_t args[6])
{
	int64_t ret;

	strace_enter(t, nr, args);
	ret = call_plain(t, nr, args);
	strace_leave(t, nr, args, ret);
	return ret;
}

static bool is_interrupted(int64_t ret)
{
	return ret == -EINTR || ret == -ERESTARTSYS_ || ret == -ERESTARTNOINTR_ ||
	       ret == -ERESTARTNOHAND_ || ret == -ERESTARTBLOCK_;
}

static void handle_syscall(struct task *t)
{
	struct guest_regs *regs = task_regs(t);
	uint64_t nr = regs->rax;
	uint64_t args[6] = { regs->rdi, regs->rsi, regs->rdx, regs->r10, regs->r8, regs->r9 };
	int64_t ret;

	counter_add(&t->g->counters.syscalls);
	t->syscall_nr = (int64_t)nr;
	t->regs_replaced = false;
	ret = t->g->cfg.strace ? call_traced(t, nr, args) : call_plain(t, nr, args);
	if (t->regs_replaced)
		t->syscall_nr = -1;
	else
		regs->rax = (uint64_t)ret;
	if (t->leaving)
		return;
	if (is_interrupted(ret) && !t->regs_replaced) {
		task_do_work(t);
	} else if (t->restore_mask) {
		t->restore_mask = false;
		task_set_blocked(t, t->saved_mask);
	}
}

/* ---- faults and exceptions --------------------------------------------- */

static void handle_fault(struct task *t, const struct trap *trap)
{
	unsigned int flags = 0;

	counter_add(&t->g->counters.faults);
	__atomic_fetch_add(&t->nr_faults, 1, __ATOMIC_RELAXED);
	t->trap_vector = VECTOR_PF;
	t->trap_error = trap->error;
	t->trap_address = trap->address.v;
	if (trap->error & PF_WRITE)
		flags |= FAULT_FLAG_WRITE;
	if (trap->error & PF_INSTR)
		flags |= FAULT_FLAG_INSTR;
	switch (mm_fault(t->mm, trap->address, flags)) {
	case FAULT_DONE:
		break;
	case FAULT_MAPERR:
		task_raise(t, SIGSEGV, SEGV_MAPERR, trap->address);
		break;
	case FAULT_ACCERR:
		task_raise(t, SIGSEGV, SEGV_ACCERR, trap->address);
		break;
	case FAULT_BUS:
		task_raise(t, SIGBUS, BUS_ADRERR, trap->address);
		break;
	case FAULT_HWPOISON:
		task_raise(t, SIGBUS, BUS_MCEERR_AR, trap->address);
		break;
	case FAULT_OOM:
		oom_kill(t);
		break;
	}
}

/* x87 and SSE keep the same six causes in the same order. */
static int float_code(uint32_t causes)
{
	if (causes & 0x01)
		return FPE_FLTINV;
	if (causes & 0x04)
		return FPE_FLTDIV;
	if (causes & 0x08)
		return FPE_FLTOVF;
	if (causes & 0x12)
		return FPE_FLTUND;
	return FPE_FLTRES;
}

/* What is raised in the control and status words of the XSAVE image, unmasked. */
static int float_exception_code(struct task *t, uint32_t vector)
{
	uint8_t image[GUEST_XSAVE_SIZE] __attribute__((aligned(64)));
	uint16_t control, status;
	uint32_t mxcsr;

	if (t->ops->xsave_get(t->vcpu, image) < 0)
		return FPE_FLTINV;
	if (vector == VECTOR_MF) {
		memcpy(&control, image, sizeof(control));
		memcpy(&status, image + 2, sizeof(status));
		return float_code(status & ~control & 0x3f);
	}
	memcpy(&mxcsr, image + 24, sizeof(mxcsr));
	return float_code(mxcsr & ~(mxcsr >> 7) & 0x3f);
}

#define OPCODE_INT 0xcd

/* Hosts that interpret report INT n as an invalid opcode; processors as #GP. */
static bool is_soft_interrupt(struct task *t, gva_t rip)
{
	uint8_t opcode;

	return !copy_from_user(t, &opcode, rip.v, sizeof(opcode)) && opcode == OPCODE_INT;
}

static void handle_exception(struct task *t, const struct trap *trap)
{
	gva_t rip = gva_make(task_regs(t)->rip);

	counter_add(&t->g->counters.exceptions);
	t->trap_vector = trap->vector;
	t->trap_error = trap->error;
	switch (trap->vector) {
	case VECTOR_DE:
		task_raise(t, SIGFPE, FPE_INTDIV, rip);
		break;
	case VECTOR_DB:
		task_raise(t, SIGTRAP, TRAP_TRACE, rip);
		break;
	case VECTOR_BP:
		task_raise(t, SIGTRAP, SI_KERNEL, gva_make(0));
		break;
	case VECTOR_UD:
		if (is_soft_interrupt(t, rip))
			task_raise(t, SIGSEGV, SI_KERNEL, gva_make(0));
		else
			task_raise(t, SIGILL, ILL_ILLOPN, rip);
		break;
	case VECTOR_MF:
	case VECTOR_XM:
		task_raise(t, SIGFPE, float_exception_code(t, trap->vector), rip);
		break;
	case VECTOR_AC:
		task_raise(t, SIGBUS, BUS_ADRALN, gva_make(0));
		break;
	case VECTOR_NP:
	case VECTOR_SS:
		task_raise(t, SIGBUS, SI_KERNEL, gva_make(0));
		break;
	default:
		task_raise(t, SIGSEGV, SI_KERNEL, gva_make(0));
		break;
	}
}

/* The machine under the task failed: only its process ends. */
static void handle_error(struct task *t, const struct trap *trap)
{
	char text[256];

	snprintf(text, sizeof(text),
		 "process %d (%s) killed: its vCPU cannot go on at rip %#llx: %s", t->proc->pid,
		 t->comm, (unsigned long long)task_regs(t)->rip,
		 trap->message ? trap->message : "unknown reason");
	if (t->g->cfg.report)
		t->g->cfg.report(text);
	guest_lock(t->g);
	proc_kill(t->proc, SIGKILL);
	guest_unlock(t->g);
}

void task_loop(struct task *t)
{
	struct trap trap;

	for (;;) {
		if (task_has_work(t))
			task_do_work(t);
		if (t->leaving)
			return;
		if (!rseq_enter(t))
			continue;
		t->ops->run(t->vcpu, &trap);
		rseq_leave(t);
		t->syscall_nr = -1;
		switch (trap.kind) {
		case TRAP_SYSCALL:
			handle_syscall(t);
			break;
		case TRAP_FAULT:
			handle_fault(t, &trap);
			break;
		case TRAP_EXCEPTION:
			handle_exception(t, &trap);
			break;
		case TRAP_KICK:
			counter_add(&t->g->counters.kicks);
			break;
		case TRAP_ERROR:
			handle_error(t, &trap);
			break;
		}
	}
}
