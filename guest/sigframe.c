/* SPDX-License-Identifier: MIT */
/*
 * Entering a handler and coming back from it.
 *
 *	higher addresses
 *	  the program's stack, then its red zone (or the top of the other stack)
 *	  XSAVE image, 64-byte aligned, XSTATE_MAGIC2 behind it
 *	  struct sigframe; at the handler's entry (rsp + 8) is a multiple of 16
 *	rsp ->
 *
 * All of it can be changed by the program before it returns, so nothing read
 * back is believed: flags are masked, a rip that no processor accepts is
 * refused here, and the VMM sanitises the XSAVE image once more.
 */
#include <string.h>

#include "guest/sigframe.h"

#define GUEST_SA_RESTORER   0x04000000ull
#define GUEST_SA_ONSTACK    0x08000000ull
#define GUEST_SS_AUTODISARM 0x80000000u
#define ALTSTACK_SIZE_MIN   2048
#define USER_CS             0x33
#define USER_SS             0x2b

/* CF PF AF ZF SF TF DF OF RF AC */
#define RFLAGS_USER 0x50dd5ull
#define RFLAGS_TF   0x100ull
#define RFLAGS_DF   0x400ull
#define RFLAGS_RF   0x10000ull

bool gva_is_canonical(uint64_t v)
{
	return (uint64_t)((int64_t)(v << 16) >> 16) == v;
}

uint64_t sigframe_fix_rflags(uint64_t now, uint64_t wanted)
{
	return (now & ~RFLAGS_USER) | (wanted & RFLAGS_USER);
}

struct sigframe_place sigframe_place(uint64_t sp, size_t xsave_size)
{
	struct sigframe_place at;

	at.fpstate = (sp - xsave_size - sizeof(uint32_t)) & ~63ull;
	at.frame = ((at.fpstate - sizeof(struct sigframe)) & ~15ull) - 8;
	return at;
}

/* ---- the alternate stack ---------------------------------------------- */

static bool inside_altstack(const struct guest_stack *ss, uint64_t sp)
{
	return ss->size && sp > ss->sp && sp - ss->sp <= ss->size;
}

bool task_on_altstack(const struct task *t, uint64_t sp)
{
	/* With AUTODISARM it is off while a handler runs. */
	return !((uint32_t)t->altstack.flags & GUEST_SS_AUTODISARM) &&
	       inside_altstack(&t->altstack, sp);
}

void task_get_altstack(const struct task *t, struct guest_stack *ss, uint64_t sp)
{
	*ss = t->altstack;
	ss->pad = 0;
	ss->flags = (int32_t)((uint32_t)ss->flags & GUEST_SS_AUTODISARM);
	if (!t->altstack.size)
		ss->flags |= SS_DISABLE;
	else if (task_on_altstack(t, sp))
		ss->flags |= SS_ONSTACK;
}

int task_set_altstack(struct task *t, const struct guest_stack *ss, uint64_t sp)
{
	uint32_t mode = (uint32_t)ss->flags & ~GUEST_SS_AUTODISARM;

	if (task_on_altstack(t, sp))
		return -EPERM;
	if (ss->sp == t->altstack.sp && ss->size == t->altstack.size &&
	    ss->flags == t->altstack.flags)
		return 0;
	if (mode != SS_DISABLE && mode != SS_ONSTACK && mode != 0)
		return -EINVAL;
	if (mode != SS_DISABLE && ss->size < ALTSTACK_SIZE_MIN)
		return -ENOMEM;
	t->altstack = *ss;
	if (mode == SS_DISABLE)
		t->altstack.sp = t->altstack.size = 0;
	return 0;
}

/* ---- in --------------------------------------------------------------- */

static void context_fill(struct sigframe_context *mc, const struct task *t,
			 const struct guest_regs *r, guest_sigset_t mask)
{
	mc->r8 = r->r8;
	mc->r9 = r->r9;
	mc->r10 = r->r10;
	mc->r11 = r->r11;
	mc->r12 = r->r12;
	mc->r13 = r->r13;
	mc->r14 = r->r14;
	mc->r15 = r->r15;
	mc->rdi = r->rdi;
	mc->rsi = r->rsi;
	mc->rbp = r->rbp;
	mc->rbx = r->rbx;
	mc->rdx = r->rdx;
	mc->rax = r->rax;
	mc->rcx = r->rcx;
	mc->rsp = r->rsp;
	mc->rip = r->rip;
	mc->rflags = r->rflags;
	mc->cs = USER_CS;
	mc->ss = USER_SS;
	mc->err = t->trap_error;
	mc->trapno = t->trap_vector;
	mc->cr2 = t->trap_address;
	mc->oldmask = mask;
}

static int write_xsave(struct task *t, uint64_t at, uint8_t *image, size_t size)
{
	struct sigframe_sw_bytes sw = {
		.magic1 = XSTATE_MAGIC1,
		.extended_size = (uint32_t)size + sizeof(uint32_t),
		.xfeatures = t->ops->xcr0(t->g->cfg.vcpu_ctx),
		.xstate_size = (uint32_t)size,
	};
	uint32_t magic2 = XSTATE_MAGIC2;

	memcpy(image + XSAVE_SW_OFFSET, &sw, sizeof(sw));
	if (copy_to_user(t, at, image, size))
		return -EFAULT;
	return copy_to_user(t, at + size, &magic2, sizeof(magic2));
}

/* *limited: the frame must fit on the alternate stack. */
static uint64_t choose_stack(const struct task *t, const struct guest_sigaction *act, uint64_t sp,
			     bool *limited)
{
	*limited = task_on_altstack(t, sp);
	if ((act->flags & GUEST_SA_ONSTACK) && t->altstack.size && !*limited) {
		*limited = true;
		return t->altstack.sp + t->altstack.size;
	}
	return sp - SIGFRAME_RED_ZONE;
}

static void enter(struct task *t, int sig, const struct guest_sigaction *act, uint64_t frame)
{
	struct guest_regs *r = task_regs(t);

	r->rdi = (uint64_t)sig;
	r->rsi = frame + offsetof(struct sigframe, info);
	r->rdx = frame + offsetof(struct sigframe, uc);
	r->rax = 0;
	r->rsp = frame;
	r->rip = act->handler;
	r->rflags &= ~(RFLAGS_DF | RFLAGS_TF | RFLAGS_RF);
	t->ops->regs_changed(t->vcpu);
}

int sigframe_setup(struct task *t, int sig, const struct guest_sigaction *act,
		   const siginfo_t *info, guest_sigset_t mask)
{
	struct guest_regs *r = task_regs(t);
	uint8_t image[GUEST_XSAVE_SIZE] __attribute__((aligned(64)));
	struct sigframe_place at;
	struct sigframe frame;
	bool limited;
	int size;

	if (!(act->flags & GUEST_SA_RESTORER) || !gva_is_canonical(act->handler))
		return -EFAULT;
	size = t->ops->xsave_get(t->vcpu, image);
	if (size < XSAVE_LEGACY_SIZE + XSAVE_HEADER_SIZE)
		return -EFAULT;
	at = sigframe_place(choose_stack(t, act, r->rsp, &limited), (size_t)size);
	/* What runs over its alternate stack must not get a frame below it. */
	if (limited && !inside_altstack(&t->altstack, at.frame))
		return -EFAULT;

	memset(&frame, 0, sizeof(frame));
	frame.restorer = act->restorer;
	frame.uc.flags = SIGFRAME_UC_FP_XSTATE | SIGFRAME_UC_SIGCONTEXT_SS |
			 SIGFRAME_UC_STRICT_RESTORE_SS;
	task_get_altstack(t, &frame.uc.stack, r->rsp);
	context_fill(&frame.uc.mc, t, r, mask);
	frame.uc.mc.fpstate = at.fpstate;
	frame.uc.sigmask = mask;
	frame.info = *info;
	if (write_xsave(t, at.fpstate, image, (size_t)size) ||
	    copy_to_user(t, at.frame, &frame, sizeof(frame)))
		return -EFAULT;
	if ((uint32_t)t->altstack.flags & GUEST_SS_AUTODISARM)
		t->altstack = (struct guest_stack){ .sp = 0 };
	enter(t, sig, act, at.frame);
	return 0;
}

/* ---- and out ---------------------------------------------------------- */

static void context_take(struct guest_regs *r, const struct sigframe_context *mc)
{
	r->r8 = mc->r8;
	r->r9 = mc->r9;
	r->r10 = mc->r10;
	r->r11 = mc->r11;
	r->r12 = mc->r12;
	r->r13 = mc->r13;
	r->r14 = mc->r14;
	r->r15 = mc->r15;
	r->rdi = mc->rdi;
	r->rsi = mc->rsi;
	r->rbp = mc->rbp;
	r->rbx = mc->rbx;
	r->rdx = mc->rdx;
	r->rax = mc->rax;
	r->rcx = mc->rcx;
	r->rsp = mc->rsp;
	r->rip = mc->rip;
	r->rflags = sigframe_fix_rflags(r->rflags, mc->rflags);
}

/* @have bytes were read. A frame without the magic numbers has SSE state only. */
int sigframe_check_xsave(uint8_t *image, size_t have)
{
	struct sigframe_sw_bytes sw;
	uint64_t legacy_only = 3;
	uint32_t magic2;

	if (have < XSAVE_LEGACY_SIZE)
		return -EFAULT;
	memcpy(&sw, image + XSAVE_SW_OFFSET, sizeof(sw));
	if (sw.magic1 == XSTATE_MAGIC1 && sw.xstate_size >= XSAVE_LEGACY_SIZE + XSAVE_HEADER_SIZE &&
	    sw.xstate_size <= GUEST_XSAVE_SIZE && have >= sw.xstate_size + sizeof(magic2)) {
		memcpy(&magic2, image + sw.xstate_size, sizeof(magic2));
		if (magic2 == XSTATE_MAGIC2)
			return (int)sw.xstate_size;
	}
	memset(image + XSAVE_LEGACY_SIZE, 0, XSAVE_HEADER_SIZE);
	memcpy(image + XSAVE_LEGACY_SIZE, &legacy_only, sizeof(legacy_only));
	return XSAVE_LEGACY_SIZE + XSAVE_HEADER_SIZE;
}

static int restore_xsave(struct task *t, uint64_t at)
{
	uint8_t image[GUEST_XSAVE_SIZE + 64] __attribute__((aligned(64)));
	struct sigframe_sw_bytes sw;
	size_t have = XSAVE_LEGACY_SIZE;
	int size;

	if (!at) {
		t->ops->xsave_reset(t->vcpu);
		return 0;
	}
	if (copy_from_user(t, image, at, XSAVE_LEGACY_SIZE))
		return -EFAULT;
	memcpy(&sw, image + XSAVE_SW_OFFSET, sizeof(sw));
	if (sw.magic1 == XSTATE_MAGIC1 && sw.xstate_size <= GUEST_XSAVE_SIZE &&
	    sw.xstate_size > XSAVE_LEGACY_SIZE) {
		have = sw.xstate_size + sizeof(uint32_t);
		if (copy_from_user(t, image + XSAVE_LEGACY_SIZE, at + XSAVE_LEGACY_SIZE,
				   have - XSAVE_LEGACY_SIZE))
			return -EFAULT;
	}
	size = sigframe_check_xsave(image, have);
	if (size < 0 || t->ops->xsave_set(t->vcpu, image, (size_t)size))
		return -EFAULT;
	return 0;
}

int sigframe_restore(struct task *t, guest_sigset_t *mask)
{
	struct guest_regs *r = task_regs(t);
	struct sigframe_ucontext uc;

	/* The handler's `ret` has taken the restorer's address off the frame. */
	if (copy_from_user(t, &uc, r->rsp, sizeof(uc)) || !gva_is_canonical(uc.mc.rip) ||
	    restore_xsave(t, uc.mc.fpstate))
		return -EFAULT;
	context_take(r, &uc.mc);
	t->ops->regs_changed(t->vcpu);
	task_set_altstack(t, &uc.stack, r->rsp);
	*mask = uc.sigmask;
	return 0;
}
