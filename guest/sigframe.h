/* SPDX-License-Identifier: MIT */
/*
 * What lies on a program's stack while a signal handler runs: the layout that
 * x86-64 programs, libraries and unwinders know (sigaction(2), the kernel's
 * exported asm/sigcontext.h and asm/ucontext.h).
 */
#ifndef GUEST_SIGFRAME_H
#define GUEST_SIGFRAME_H

#include "guest/task.h"

#define SIGFRAME_RED_ZONE 128 /* below rsp a function may use it without saying so */

/* The legacy area of the XSAVE image: its software bytes tell of the rest. */
#define XSAVE_LEGACY_SIZE 512
#define XSAVE_HEADER_SIZE 64
#define XSAVE_SW_OFFSET   464
#define XSTATE_MAGIC1     0x46505853u
#define XSTATE_MAGIC2     0x46505845u

struct sigframe_sw_bytes {
	uint32_t magic1;        /* XSTATE_MAGIC1: more than the legacy area is there */
	uint32_t extended_size; /* all of it, with XSTATE_MAGIC2 at the end */
	uint64_t xfeatures;
	uint32_t xstate_size; /* without XSTATE_MAGIC2 */
	uint32_t padding[7];
};

struct sigframe_context {
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
	uint64_t rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp;
	uint64_t rip, rflags;
	uint16_t cs, gs, fs, ss;
	uint64_t err, trapno, oldmask, cr2;
	uint64_t fpstate; /* gva of the XSAVE image, 64-byte aligned */
	uint64_t reserved[8];
};

#define SIGFRAME_UC_FP_XSTATE         1u
#define SIGFRAME_UC_SIGCONTEXT_SS     2u
#define SIGFRAME_UC_STRICT_RESTORE_SS 4u

struct sigframe_ucontext {
	uint64_t flags;
	uint64_t link;
	struct guest_stack stack;
	struct sigframe_context mc;
	guest_sigset_t sigmask;
};

struct sigframe {
	uint64_t restorer; /* the handler returns to it */
	struct sigframe_ucontext uc;
	siginfo_t info;
};

_Static_assert(sizeof(struct sigframe_sw_bytes) == XSAVE_LEGACY_SIZE - XSAVE_SW_OFFSET, "sw bytes");
_Static_assert(sizeof(struct sigframe_context) == 256, "sigcontext");
_Static_assert(sizeof(struct sigframe) == 440, "rt_sigframe");

/* Where the parts of a frame go below @sp; pure. */
struct sigframe_place {
	uint64_t frame, fpstate;
};
struct sigframe_place sigframe_place(uint64_t sp, size_t xsave_size);

/* Check and complete an image read from a frame: its size, or -EFAULT; pure. */
int sigframe_check_xsave(uint8_t *image, size_t have);

bool gva_is_canonical(uint64_t v);
/* The flags that a program may set for itself by returning from a handler. */
uint64_t sigframe_fix_rflags(uint64_t now, uint64_t wanted);

bool task_on_altstack(const struct task *t, uint64_t sp);
/* What sigaltstack() does with a new stack: 0 or -errno. */
int task_set_altstack(struct task *t, const struct guest_stack *ss, uint64_t sp);
void task_get_altstack(const struct task *t, struct guest_stack *ss, uint64_t sp);

#endif
