/* SPDX-License-Identifier: MIT */
/*
 * membarrier: all other threads of the process, or of all processes, pass a memory barrier.
 *
 * A guest thread is a thread of umm, on the host and in guest code alike, so the host's own
 * call does it: it interrupts every processor that runs one, which takes a vCPU out of the
 * guest, too. That guests share the host's barrier is more than was asked for. What the
 * host cannot do is to abort restartable sequences of guest code: those are fenced by their
 * seats (guest/seats.c).
 *
 * Who has registered for which barrier is each process's own; commands and errors are those
 * of Linux 6.12 (kernel/sched/membarrier.c).
 */
#include <errno.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest/syscalls.h"
#include "guest/task.h"

/* Newer than some headers. */
#define CMD_EXPEDITED_RSEQ          (1 << 7)
#define CMD_REGISTER_EXPEDITED_RSEQ (1 << 8)
#define CMD_GET_REGISTRATIONS       (1 << 9)
#define FLAG_CPU                    1u

#define REGISTRATIONS                                                                           \
	(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED | MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED | \
	 CMD_REGISTER_EXPEDITED_RSEQ | MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE)

static int64_t host_barrier(int cmd)
{
	return syscall(SYS_membarrier, cmd, 0, 0) < 0 ? -errno : 0;
}

/* What the host offers; its barrier between threads also serves those of sequences. */
static int64_t query(void)
{
	const int rseq = CMD_EXPEDITED_RSEQ | CMD_REGISTER_EXPEDITED_RSEQ;
	int all = MEMBARRIER_CMD_GLOBAL | MEMBARRIER_CMD_GLOBAL_EXPEDITED | REGISTRATIONS |
		  MEMBARRIER_CMD_PRIVATE_EXPEDITED | MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE;
	long host = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);

	if (host < 0)
		return -errno;
	all &= (int)host & ~rseq;
	if (all & MEMBARRIER_CMD_PRIVATE_EXPEDITED)
		all |= rseq;
	return all | CMD_GET_REGISTRATIONS;
}

static int64_t register_for(struct proc *p, int cmd)
{
	int64_t r = host_barrier(cmd == CMD_REGISTER_EXPEDITED_RSEQ
					 ? MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED
					 : cmd);

	if (!r)
		__atomic_fetch_or(&p->membarriers, (uint32_t)cmd, __ATOMIC_RELAXED);
	return r;
}

static bool has_registered(const struct proc *p, int cmd)
{
	return __atomic_load_n(&p->membarriers, __ATOMIC_RELAXED) & (uint32_t)cmd;
}

static int64_t fence_sequences(struct task *t, int cpu)
{
	if (!has_registered(t->proc, CMD_REGISTER_EXPEDITED_RSEQ))
		return -EPERM;
	seats_fence(t, cpu);
	return host_barrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
}

int64_t sys_membarrier(struct task *t, const uint64_t a[6])
{
	int cmd = (int)a[0], cpu = (int)a[2];
	unsigned int flags = (unsigned int)a[1];
	struct proc *p = t->proc;

	if (flags && (cmd != CMD_EXPEDITED_RSEQ || flags != FLAG_CPU))
		return -EINVAL;
	switch (cmd) {
	case MEMBARRIER_CMD_QUERY:
		return query();
	case MEMBARRIER_CMD_GLOBAL:
	case MEMBARRIER_CMD_GLOBAL_EXPEDITED:
		return host_barrier(cmd);
	case MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED:
	case MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED:
	case MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE:
	case CMD_REGISTER_EXPEDITED_RSEQ:
		return register_for(p, cmd);
	case MEMBARRIER_CMD_PRIVATE_EXPEDITED:
	case MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE:
		/* Each registration is the bit above. */
		return has_registered(p, cmd << 1) ? host_barrier(cmd) : -EPERM;
	case CMD_EXPEDITED_RSEQ:
		return fence_sequences(t, flags ? cpu : -1);
	case CMD_GET_REGISTRATIONS:
		return __atomic_load_n(&p->membarriers, __ATOMIC_RELAXED) & REGISTRATIONS;
	default:
		return -EINVAL;
	}
}
