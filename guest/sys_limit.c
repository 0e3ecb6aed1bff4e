/* SPDX-License-Identifier: MIT */
/* Resource limits, and what the machine is that the guest sees. */
#include <linux/capability.h>
#include <string.h>
#include <sys/random.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "guest/syscalls.h"
#include "guest/task.h"

#define NR_OPEN_MAX  (1ul << 20) /* RLIMIT_NOFILE's ceiling, fs.nr_open */
#define RANDOM_CHUNK 4096
#define GRND_KNOWN   7u

/* ---- limits ------------------------------------------------------------ */

static bool may_raise(void)
{
	return creds_capable(CAP_SYS_RESOURCE);
}

/* The memory manager keeps its own copy of those that it enforces. */
static void limits_to_mm(struct proc *p)
{
	struct task *t;

	list_for_each_entry(t, &p->tasks, link)
	{
		if (!t->mm)
			continue;
		__atomic_store_n(&t->mm->rlim_stack, p->rlim[RLIMIT_STACK].rlim_cur,
				 __ATOMIC_RELAXED);
		__atomic_store_n(&t->mm->rlim_data, p->rlim[RLIMIT_DATA].rlim_cur,
				 __ATOMIC_RELAXED);
		__atomic_store_n(&t->mm->rlim_as, p->rlim[RLIMIT_AS].rlim_cur, __ATOMIC_RELAXED);
		__atomic_store_n(&t->mm->rlim_memlock, p->rlim[RLIMIT_MEMLOCK].rlim_cur,
				 __ATOMIC_RELAXED);
	}
}

/* Lock held. */
static int limit_set(struct proc *p, int resource, const struct rlimit *new)
{
	struct rlimit *slot = &p->rlim[resource];

	if (new->rlim_cur > new->rlim_max)
		return -EINVAL;
	if (new->rlim_max > slot->rlim_max && !may_raise())
		return -EPERM;
	if (resource == RLIMIT_NOFILE && new->rlim_max > NR_OPEN_MAX)
		return -EPERM;
	__atomic_store_n(&slot->rlim_cur, new->rlim_cur, __ATOMIC_RELAXED);
	slot->rlim_max = new->rlim_max;
	limits_to_mm(p);
	if (resource == RLIMIT_CPU && new->rlim_cur != RLIM_INFINITY)
		return itimer_service_poke(p->g->itimers);
	return 0;
}

static int limit_change(struct task *t, int32_t pid, uint64_t resource, const struct rlimit *new,
			struct rlimit *old)
{
	struct proc *p;
	int err = 0;

	guest_lock(t->g);
	p = pid ? proc_find(t->g, pid) : t->proc;
	if (!p)
		err = -ESRCH;
	else if (!creds_may_limit(t, p))
		err = -EPERM;
	else if (resource >= RLIM_NLIMITS)
		err = -EINVAL;
	else
		*old = p->rlim[resource];
	if (!err && new)
		err = limit_set(p, (int)resource, new);
	guest_unlock(t->g);
	return err;
}

int64_t sys_prlimit64(struct task *t, const uint64_t a[6])
{
	struct rlimit new, old;
	int err;

	if (a[2] && copy_from_user(t, &new, a[2], sizeof(new)))
		return -EFAULT;
	err = limit_change(t, (int32_t)a[0], (uint32_t)a[1], a[2] ? &new : NULL, &old);
	if (err)
		return err;
	return a[3] ? copy_to_user(t, a[3], &old, sizeof(old)) : 0;
}

int64_t sys_getrlimit(struct task *t, const uint64_t a[6])
{
	struct rlimit old;
	int err = limit_change(t, 0, (uint32_t)a[0], NULL, &old);

	return err ? err : copy_to_user(t, a[1], &old, sizeof(old));
}

int64_t sys_setrlimit(struct task *t, const uint64_t a[6])
{
	struct rlimit new, old;

	if (copy_from_user(t, &new, a[1], sizeof(new)))
		return -EFAULT;
	return limit_change(t, 0, (uint32_t)a[0], &new, &old);
}

/* ---- the machine ------------------------------------------------------- */

int64_t sys_uname(struct task *t, const uint64_t a[6])
{
	struct utsname name;

	if (uname(&name))
		return -errno;
	return copy_to_user(t, a[0], &name, sizeof(name));
}

static uint64_t count_tasks(struct guest *g)
{
	uint64_t n = 0;
	struct proc *p;

	guest_lock(g);
	list_for_each_entry(p, &g->procs, all) n += p->nr_tasks;
	guest_unlock(g);
	return n;
}

/* Memory and swap are the guest's; uptime and load the host's. */
int64_t sys_sysinfo(struct task *t, const uint64_t a[6])
{
	struct mm_sys *sys = t->g->cfg.sys;
	struct mm_node_info node;
	struct swap_info swap;
	struct sysinfo info;
	unsigned int i;

	if (sysinfo(&info))
		return -errno;
	info.totalram = mm_limit(t->g->cfg.sys) << UMM_PAGE_SHIFT;
	info.freeram = info.sharedram = info.bufferram = 0;
	for (i = 0; i < mm_sys_nr_nodes(sys); i++) {
		mm_sys_node_info(sys, (int)i, &node);
		info.freeram += node.free * UMM_PAGE_SIZE;
		info.sharedram += node.shmem * UMM_PAGE_SIZE;
	}
	swap_get_info(sys, &swap);
	info.totalswap = swap.nr_slots * UMM_PAGE_SIZE;
	info.freeswap = (swap.nr_slots - swap.used) * UMM_PAGE_SIZE;
	info.totalhigh = info.freehigh = 0;
	info.procs = (uint16_t)count_tasks(t->g);
	info.mem_unit = 1;
	return copy_to_user(t, a[0], &info, sizeof(info));
}

int64_t sys_getrandom(struct task *t, const uint64_t a[6])
{
	uint8_t chunk[RANDOM_CHUNK];
	uint64_t left = a[1] > INT32_MAX ? INT32_MAX : a[1], done = 0;
	size_t part;
	ssize_t n;

	if (a[2] & ~(uint64_t)GRND_KNOWN)
		return -EINVAL;
	while (left) {
		n = getrandom(chunk, left < sizeof(chunk) ? left : sizeof(chunk),
			      (unsigned int)a[2]);
		if (n < 0)
			return done ? (int64_t)done : -errno;
		part = 0;
		if (mm_copy_to_guest(t->mm, gva_make(a[0] + done), chunk, (size_t)n, &part)) {
			done += part;
			return done ? (int64_t)done : -EFAULT;
		}
		done += (uint64_t)n;
		left -= (uint64_t)n;
		if (task_has_work(t))
			break;
	}
	return (int64_t)done;
}
