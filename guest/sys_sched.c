/* SPDX-License-Identifier: MIT */
/*
 * Scheduling is the host's. Priorities are kept and told back, so that programs
 * which set them go on; processor sets bind the host threads (guest/cpus.c).
 */
#include <sched.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "guest/syscalls.h"
#include "guest/task.h"
#include "guest/vdso/vvar.h"

#define NICE_LOWEST  19
#define NICE_HIGHEST (-20)
#define KEEP_POLICY  (-1)

int64_t sys_sched_yield(struct task *t, const uint64_t a[6])
{
	(void)a;
	seat_rest(t);
	sched_yield();
	return 0;
}

int64_t sys_getcpu(struct task *t, const uint64_t a[6])
{
	/* Who has a seat is that processor, also where the host has moved it since. */
	unsigned int cpu = t->seat.number < 0 ? task_cpu(t) : (unsigned int)t->seat.number;
	unsigned int node = (unsigned int)guest_cpu_node(t->g, cpu);

	if (a[2] >> 32 == VVAR_AUX_MAGIC)
		task_saw_aux(t, (uint32_t)a[2]);
	if (a[0] && copy_to_user(t, a[0], &cpu, sizeof(cpu)))
		return -EFAULT;
	if (a[1] && copy_to_user(t, a[1], &node, sizeof(node)))
		return -EFAULT;
	return 0;
}

/* ---- nice -------------------------------------------------------------- */

static bool who_matches(struct task *t, const struct proc *p, int which, int32_t who)
{
	switch (which) {
	case PRIO_PROCESS:
		return who ? p->pid == who : p == t->proc;
	case PRIO_PGRP:
		return p->pgid == (who ? who : t->proc->pgid);
	default:
		return p->creds.uid == (who ? (uint32_t)who : getuid());
	}
}

int64_t sys_getpriority(struct task *t, const uint64_t a[6])
{
	int64_t best = -ESRCH;
	struct proc *p;

	if (a[0] > PRIO_USER)
		return -EINVAL;
	guest_lock(t->g);
	/* The call tells 20 - nice, so that it is never negative. */
	list_for_each_entry(p, &t->g->procs, all) if (who_matches(t, p, (int)a[0], (int32_t)a[1]) &&
						      20 - p->nice > best) best = 20 - p->nice;
	guest_unlock(t->g);
	return best;
}

int64_t sys_setpriority(struct task *t, const uint64_t a[6])
{
	int nice = (int)a[2];
	int64_t ret = -ESRCH;
	struct proc *p;

	if (a[0] > PRIO_USER)
		return -EINVAL;
	if (nice > NICE_LOWEST)
		nice = NICE_LOWEST;
	if (nice < NICE_HIGHEST)
		nice = NICE_HIGHEST;
	guest_lock(t->g);
	list_for_each_entry(p, &t->g->procs, all)
	{
		if (!who_matches(t, p, (int)a[0], (int32_t)a[1]))
			continue;
		if (!creds_may_schedule(t, p)) {
			ret = -EPERM;
			continue;
		}
		if (nice < p->nice && geteuid() != 0) {
			ret = -EACCES;
			continue;
		}
		p->nice = nice;
		if (ret == -ESRCH)
			ret = 0;
	}
	guest_unlock(t->g);
	return ret;
}

/* ---- policies ---------------------------------------------------------- */

static int check_tid(struct task *t, int32_t tid)
{
	bool found;

	if (tid < 0)
		return -EINVAL;
	guest_lock(t->g);
	/* The parent of the first process is outside, and asked for by its child. */
	found = !tid || tid == PID_OUTSIDE || task_find(t->g, tid);
	guest_unlock(t->g);
	return found ? 0 : -ESRCH;
}

int64_t sys_sched_getscheduler(struct task *t, const uint64_t a[6])
{
	int err = check_tid(t, (int32_t)a[0]), policy = SCHED_OTHER;
	struct task *other;

	if (err)
		return err;
	guest_lock(t->g);
	other = a[0] ? task_find(t->g, (int32_t)a[0]) : t;
	if (other)
		policy = other->policy;
	guest_unlock(t->g);
	return policy;
}

static int check_policy(int policy, const struct sched_param *param)
{
	switch (policy & ~SCHED_RESET_ON_FORK) {
	case SCHED_OTHER:
	case SCHED_BATCH:
	case SCHED_IDLE:
		return param->sched_priority ? -EINVAL : 0;
	case SCHED_FIFO:
	case SCHED_RR:
		return param->sched_priority < 1 || param->sched_priority > 99 ? -EINVAL : -EPERM;
	default:
		return -EINVAL;
	}
}

/* Kept for @tid and told again; KEEP_POLICY: it stays. 0; -ESRCH, -EPERM, -EINVAL. */
static int policy_set(struct task *t, int32_t tid, int policy, const struct sched_param *param)
{
	int err = check_tid(t, tid);
	struct task *other;

	/* Of those that are kept, all want the same priority. */
	if (!err)
		err = check_policy(policy == KEEP_POLICY ? SCHED_OTHER : policy, param);
	guest_lock(t->g);
	other = tid ? task_find(t->g, tid) : t;
	if (!err && other && !creds_may_schedule(t, other->proc))
		err = -EPERM;
	if (!err && other && policy != KEEP_POLICY)
		other->policy = policy;
	guest_unlock(t->g);
	return err;
}

int64_t sys_sched_setscheduler(struct task *t, const uint64_t a[6])
{
	struct sched_param param;

	if (!a[2] || (int32_t)a[0] < 0)
		return -EINVAL;
	if (copy_from_user(t, &param, a[2], sizeof(param)))
		return -EFAULT;
	if ((int)a[1] < 0)
		return -EINVAL;
	return policy_set(t, (int32_t)a[0], (int)a[1], &param);
}

/* The first version of the structure that sched_setattr() takes, and its size. */
struct guest_sched_attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};
#define SCHED_ATTR_SIZE 48u
#define SCHED_ATTR_MAX  UMM_PAGE_SIZE
#define SCHED_FLAGS     0x7full
/* SCHED_FLAG_RESET_ON_FORK, SCHED_FLAG_KEEP_POLICY */
#define SCHED_FLAG_RESET 0x1u
#define SCHED_FLAG_KEEP  0x8u

/* E2BIG, with the size that is understood, if there is more than that and not zero. */
static int sched_attr_read(struct task *t, uint64_t user, struct guest_sched_attr *attr)
{
	uint8_t rest[SCHED_ATTR_MAX];
	uint32_t size, i;

	memset(attr, 0, sizeof(*attr));
	if (copy_from_user(t, &size, user, sizeof(size)))
		return -EFAULT;
	if (!size)
		size = SCHED_ATTR_SIZE;
	if (size >= SCHED_ATTR_SIZE && size <= SCHED_ATTR_MAX) {
		if (copy_from_user(t, rest, user, size))
			return -EFAULT;
		for (i = sizeof(*attr); i < size && !rest[i]; i++)
			;
		if (i >= size) {
			memcpy(attr, rest, sizeof(*attr));
			return 0;
		}
	}
	size = SCHED_ATTR_SIZE;
	return copy_to_user(t, user, &size, sizeof(size)) ? -EFAULT : -E2BIG;
}

int64_t sys_sched_setattr(struct task *t, const uint64_t a[6])
{
	struct sched_param param = { 0 };
	struct guest_sched_attr attr;
	int err, policy;

	if (!a[1] || (int32_t)a[0] < 0 || a[2])
		return -EINVAL;
	err = sched_attr_read(t, a[1], &attr);
	if (err)
		return err;
	if ((int32_t)attr.policy < 0 || (attr.flags & ~SCHED_FLAGS))
		return -EINVAL;
	err = check_tid(t, (int32_t)a[0]);
	if (err)
		return err;
	if (attr.policy == SCHED_DEADLINE)
		return -EPERM;
	param.sched_priority = (int)attr.priority;
	policy = attr.flags & SCHED_FLAG_KEEP ? KEEP_POLICY : (int)attr.policy;
	if (policy != KEEP_POLICY && (attr.flags & SCHED_FLAG_RESET))
		policy |= SCHED_RESET_ON_FORK;
	return policy_set(t, (int32_t)a[0], policy, &param);
}

int64_t sys_sched_getattr(struct task *t, const uint64_t a[6])
{
	uint32_t size = (uint32_t)a[2];
	struct guest_sched_attr attr = { .policy = SCHED_OTHER };
	struct task *other;
	int err;

	if (!a[1] || (int32_t)a[0] < 0 || size < SCHED_ATTR_SIZE || size > SCHED_ATTR_MAX || a[3])
		return -EINVAL;
	err = check_tid(t, (int32_t)a[0]);
	if (err)
		return err;
	guest_lock(t->g);
	other = a[0] ? task_find(t->g, (int32_t)a[0]) : t;
	attr.nice = other ? other->proc->nice : 0;
	attr.policy = other ? (uint32_t)(other->policy & ~SCHED_RESET_ON_FORK) : SCHED_OTHER;
	attr.flags = other && (other->policy & SCHED_RESET_ON_FORK) ? SCHED_FLAG_RESET : 0;
	guest_unlock(t->g);
	attr.size = sizeof(attr);
	return copy_to_user(t, a[1], &attr, sizeof(attr));
}

int64_t sys_sched_setparam(struct task *t, const uint64_t a[6])
{
	struct sched_param param;

	if (!a[1] || (int32_t)a[0] < 0)
		return -EINVAL;
	if (copy_from_user(t, &param, a[1], sizeof(param)))
		return -EFAULT;
	return policy_set(t, (int32_t)a[0], KEEP_POLICY, &param);
}

int64_t sys_sched_getparam(struct task *t, const uint64_t a[6])
{
	struct sched_param param = { .sched_priority = 0 };
	int err = check_tid(t, (int32_t)a[0]);

	if (!a[1])
		return -EINVAL;
	return err ? err : copy_to_user(t, a[1], &param, sizeof(param));
}

int64_t sys_sched_get_priority_max(struct task *t, const uint64_t a[6])
{
	int ret = sched_get_priority_max((int)a[0]);

	(void)t;
	return ret < 0 ? -errno : ret;
}

int64_t sys_sched_get_priority_min(struct task *t, const uint64_t a[6])
{
	int ret = sched_get_priority_min((int)a[0]);

	(void)t;
	return ret < 0 ? -errno : ret;
}

int64_t sys_sched_rr_get_interval(struct task *t, const uint64_t a[6])
{
	struct timespec ts = { .tv_nsec = 4000000 };
	int err = check_tid(t, (int32_t)a[0]);

	return err ? err : copy_to_user(t, a[1], &ts, sizeof(ts));
}

/* ---- processor sets ---------------------------------------------------- */

static void cpus_all(const struct task *t, uint64_t mask[CPU_MASK_WORDS])
{
	unsigned int i;

	memset(mask, 0, CPU_MASK_WORDS * sizeof(mask[0]));
	for (i = 0; i < t->g->cfg.nr_cpus && i < CPU_MASK_WORDS * 64; i++)
		mask[i / 64] |= 1ull << (i % 64);
}

static size_t mask_bytes(const struct task *t)
{
	size_t words = (t->g->cfg.nr_cpus + 63) / 64;

	return (words > CPU_MASK_WORDS ? CPU_MASK_WORDS : words) * sizeof(uint64_t);
}

int64_t sys_sched_getaffinity(struct task *t, const uint64_t a[6])
{
	uint64_t mask[CPU_MASK_WORDS];
	size_t len = mask_bytes(t);
	struct task *other;

	if ((uint32_t)a[1] < len || a[1] % sizeof(uint64_t))
		return -EINVAL;
	cpus_all(t, mask);
	guest_lock(t->g);
	other = a[0] ? task_find(t->g, (int32_t)a[0]) : t;
	if (other && task_is_bound(other))
		memcpy(mask, other->affinity, sizeof(mask));
	guest_unlock(t->g);
	if (!other)
		return -ESRCH;
	return copy_to_user(t, a[2], mask, len) ? -EFAULT : (int64_t)len;
}

int64_t sys_sched_setaffinity(struct task *t, const uint64_t a[6])
{
	uint64_t mask[CPU_MASK_WORDS] = { 0 }, all[CPU_MASK_WORDS], any = 0;
	size_t len = (uint32_t)a[1] < sizeof(mask) ? (uint32_t)a[1] : sizeof(mask);
	struct task *other;
	int i, err;

	if (copy_from_user(t, mask, a[2], len))
		return -EFAULT;
	cpus_all(t, all);
	for (i = 0; i < CPU_MASK_WORDS; i++) {
		mask[i] &= all[i];
		any |= mask[i];
	}
	guest_lock(t->g);
	other = a[0] ? task_find(t->g, (int32_t)a[0]) : t;
	err = !other ? -ESRCH : creds_may_schedule(t, other->proc) ? 0 : -EPERM;
	if (!err && !any)
		err = -EINVAL;
	for (i = 0; !err && i < CPU_MASK_WORDS; i++)
		__atomic_store_n(&other->affinity[i], mask[i], __ATOMIC_RELAXED);
	if (!err)
		task_bind(other);
	if (!err && other != t)
		seat_rebind(other);
	guest_unlock(t->g);
	return err;
}
