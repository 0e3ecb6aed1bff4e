/* SPDX-License-Identifier: MIT */
/*
 * Host system calls that may block, and kicks that must end them.
 *
 * A kick sets task->work and then sends the thread a host signal. If the signal
 * comes while the call blocks, the kernel ends the call with EINTR. If it comes
 * before, task->work is seen by the test ahead of the call. The gap between the
 * test and the SYSCALL instruction is closed from the other side: the signal's
 * handler looks where it interrupted the thread, and if that is in the gap it
 * makes the thread continue behind the call with -EINTR. The test, the call and
 * the gap are therefore assembly (guest/stubs/blocking.S), where addresses say
 * exactly what has been executed.
 *
 * A kernel that restarts the call after the handler (no call is restarted here,
 * as the handler is installed without SA_RESTART) would come back to the
 * SYSCALL instruction, which is in the gap, too.
 */
#include <ucontext.h>

#include "guest/task.h"

int64_t blocking_syscall(const uint32_t *work, long nr, const uint64_t args[6]);
extern const char blocking_begin[], blocking_end[], blocking_cancel[];

int64_t host_syscall_blocking(struct task *t, long nr, uint64_t a0, uint64_t a1, uint64_t a2,
			      uint64_t a3, uint64_t a4, uint64_t a5)
{
	uint64_t args[6] = { a0, a1, a2, a3, a4, a5 };
	int64_t ret;

	mm_pressure_busy(t->g->cfg.sys, -1);
	__atomic_store_n(&t->sleeping, true, __ATOMIC_RELAXED);
	seat_rest(t);
	ret = blocking_syscall(&t->work, nr, args);
	__atomic_store_n(&t->sleeping, false, __ATOMIC_RELAXED);
	mm_pressure_busy(t->g->cfg.sys, 1);
	return ret;
}

/* In the handler of the kick signal: async-signal-safe. */
void blocking_kick_hook(void *ucontext)
{
	ucontext_t *uc = ucontext;
	uintptr_t rip = (uintptr_t)uc->uc_mcontext.gregs[REG_RIP];

	if (rip < (uintptr_t)blocking_begin || rip >= (uintptr_t)blocking_end)
		return;
	if (current_task && task_has_work(current_task))
		uc->uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)blocking_cancel;
}
