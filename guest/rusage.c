/* SPDX-License-Identifier: MIT */
/* What processes have used: getrusage, times. */
#include <string.h>
#include <sys/times.h>

#include "guest/syscalls.h"
#include "guest/task.h"

#define US_PER_TICK 10000

void proc_times_add(struct proc_times *sum, const struct proc_times *add)
{
	sum->utime_us += add->utime_us;
	sum->stime_us += add->stime_us;
	sum->minflt += add->minflt;
	sum->nvcsw += add->nvcsw;
}

void rusage_fill(struct rusage *ru, const struct proc_times *times, uint64_t rss_pages)
{
	memset(ru, 0, sizeof(*ru));
	ru->ru_utime.tv_sec = (time_t)(times->utime_us / 1000000);
	ru->ru_utime.tv_usec = (suseconds_t)(times->utime_us % 1000000);
	ru->ru_stime.tv_sec = (time_t)(times->stime_us / 1000000);
	ru->ru_stime.tv_usec = (suseconds_t)(times->stime_us % 1000000);
	ru->ru_maxrss = (long)(rss_pages * (UMM_PAGE_SIZE / 1024));
	ru->ru_minflt = (long)times->minflt;
	ru->ru_nvcsw = (long)times->nvcsw;
}

uint64_t mm_max_rss(const struct mm *mm)
{
	int64_t now = 0, peak = __atomic_load_n(&mm->peak_rss, __ATOMIC_RELAXED);
	int i;

	for (i = 0; i < MM_SWAPENTS; i++)
		now += __atomic_load_n(&mm->counters[i], __ATOMIC_RELAXED);
	return (uint64_t)(now > peak ? now : peak);
}

static void rusage_self(struct task *t, struct rusage *ru)
{
	uint64_t rss = mm_max_rss(t->mm);
	struct proc_times times;

	guest_lock(t->g);
	proc_times(t->proc, &times);
	if (t->proc->max_rss > rss)
		rss = t->proc->max_rss;
	guest_unlock(t->g);
	rusage_fill(ru, &times, rss);
}

int64_t sys_getrusage(struct task *t, const uint64_t a[6])
{
	struct rusage ru;

	switch ((int)a[0]) {
	case RUSAGE_SELF:
		rusage_self(t, &ru);
		break;
	case RUSAGE_CHILDREN:
		guest_lock(t->g);
		rusage_fill(&ru, &t->proc->dead_children, t->proc->children_max_rss);
		guest_unlock(t->g);
		break;
	case RUSAGE_THREAD:
		if (getrusage(RUSAGE_THREAD, &ru))
			return -errno;
		break;
	default:
		return -EINVAL;
	}
	return copy_to_user(t, a[1], &ru, sizeof(ru));
}

int64_t sys_times(struct task *t, const uint64_t a[6])
{
	struct proc_times now;
	struct tms tms;

	guest_lock(t->g);
	proc_times(t->proc, &now);
	tms.tms_utime = (clock_t)(now.utime_us / US_PER_TICK);
	tms.tms_stime = (clock_t)(now.stime_us / US_PER_TICK);
	tms.tms_cutime = (clock_t)(t->proc->dead_children.utime_us / US_PER_TICK);
	tms.tms_cstime = (clock_t)(t->proc->dead_children.stime_us / US_PER_TICK);
	guest_unlock(t->g);
	if (a[0] && copy_to_user(t, a[0], &tms, sizeof(tms)))
		return -EFAULT;
	return (int64_t)(clock_ns(CLOCK_BOOTTIME) / 1000 / US_PER_TICK);
}
