/* SPDX-License-Identifier: MIT */
/* prctl, arch_prctl and other settings that a program makes for itself. */
#include <errno.h>
#include <sys/prctl.h>
#include <string.h>
#include <umm/ksm.h>

#include "guest/syscalls.h"
#include "guest/task.h"

#define ARCH_SET_GS_         0x1001
#define ARCH_SET_FS_         0x1002
#define ARCH_GET_FS_         0x1003
#define ARCH_GET_GS_         0x1004
#define ARCH_GET_CPUID_      0x1011
#define ARCH_SET_CPUID_      0x1012
#define ARCH_GET_XCOMP_SUPP_ 0x1021
#define ARCH_GET_XCOMP_PERM_ 0x1022
#define PERSONALITY_QUERY    0xffffffffu
/* Of Linux 6.4; headers may be older. */
#define PR_SET_MEMORY_MERGE_ 67
#define PR_GET_MEMORY_MERGE_ 68

static int64_t set_segment_base(struct task *t, uint64_t *base, uint64_t value)
{
	if (value >= UMM_TASK_SIZE)
		return -EPERM;
	*base = value;
	t->ops->segs_changed(t->vcpu);
	return 0;
}

int64_t sys_arch_prctl(struct task *t, const uint64_t a[6])
{
	struct guest_regs *r = task_regs(t);
	uint64_t xcr0;

	switch (a[0]) {
	case ARCH_SET_FS_:
		return set_segment_base(t, &r->fs_base, a[1]);
	case ARCH_SET_GS_:
		return set_segment_base(t, &r->gs_base, a[1]);
	case ARCH_GET_FS_:
		return copy_to_user(t, a[1], &r->fs_base, sizeof(r->fs_base));
	case ARCH_GET_GS_:
		return copy_to_user(t, a[1], &r->gs_base, sizeof(r->gs_base));
	case ARCH_GET_CPUID_:
		return 1;
	case ARCH_SET_CPUID_:
		return -ENODEV;
	case ARCH_GET_XCOMP_SUPP_:
	case ARCH_GET_XCOMP_PERM_:
		xcr0 = t->ops->xcr0(t->g->cfg.vcpu_ctx);
		return copy_to_user(t, a[1], &xcr0, sizeof(xcr0));
	default:
		return -EINVAL;
	}
}

/* ---- prctl ------------------------------------------------------------- */

static int64_t set_name(struct task *t, uint64_t at)
{
	char name[16] = "";
	ssize_t n = mm_strncpy_from_guest(t->mm, name, gva_make(at), sizeof(name));

	if (n < 0 && n != -ENAMETOOLONG)
		return n;
	/* Longer names are cut, not refused. */
	if (n == -ENAMETOOLONG && copy_from_user(t, name, at, sizeof(name)))
		return -EFAULT;
	name[sizeof(name) - 1] = '\0';
	guest_lock(t->g);
	task_set_comm(t, name);
	guest_unlock(t->g);
	return 0;
}

/* Other threads of the process may write it, by /proc. */
static int64_t get_name(struct task *t, uint64_t at)
{
	char name[sizeof(t->comm)];

	guest_lock(t->g);
	memcpy(name, t->comm, sizeof(name));
	guest_unlock(t->g);
	return copy_to_user(t, at, name, sizeof(name));
}

static int64_t put_int(struct task *t, uint64_t at, int value)
{
	return copy_to_user(t, at, &value, sizeof(value));
}

static int64_t set_pdeath_signal(struct task *t, uint64_t sig)
{
	if (sig > GUEST_NSIG)
		return -EINVAL;
	guest_lock(t->g);
	t->proc->pdeath_signal = (int)sig;
	guest_unlock(t->g);
	return 0;
}

/*
 * When to be told of lost memory: at once, or when it is touched (the default). Linux
 * has this for each thread, here it is the process's.
 */
static int64_t set_mce_kill(struct proc *p, const uint64_t a[6])
{
	if (a[3] || a[4])
		return -EINVAL;
	switch (a[1]) {
	case PR_MCE_KILL_CLEAR:
		if (a[2])
			return -EINVAL;
		p->mce_kill = 0;
		return 0;
	case PR_MCE_KILL_SET:
		if (a[2] > PR_MCE_KILL_DEFAULT)
			return -EINVAL;
		/* Stored one higher, so that 0 is "never set". */
		p->mce_kill = a[2] == PR_MCE_KILL_DEFAULT ? 0 : (uint8_t)(a[2] + 1);
		return 0;
	default:
		return -EINVAL;
	}
}

static int64_t get_mce_kill(const struct proc *p, const uint64_t a[6])
{
	if (a[1] || a[2] || a[3] || a[4])
		return -EINVAL;
	return p->mce_kill ? p->mce_kill - 1 : PR_MCE_KILL_DEFAULT;
}

static int64_t set_memory_merge(struct task *t, const uint64_t a[6])
{
	if (a[2] || a[3] || a[4])
		return -EINVAL;
	return mm_set_merge_any(t->mm, a[1]);
}

int64_t sys_prctl(struct task *t, const uint64_t a[6])
{
	struct proc *p = t->proc;
	int ret;

	switch ((int)a[0]) {
	case PR_SET_NAME:
		return set_name(t, a[1]);
	case PR_GET_NAME:
		return get_name(t, a[1]);
	case PR_SET_PDEATHSIG:
		return set_pdeath_signal(t, a[1]);
	case PR_GET_PDEATHSIG:
		return put_int(t, a[1], p->pdeath_signal);
	case PR_SET_DUMPABLE:
		if (a[1] > 1)
			return -EINVAL;
		p->dumpable = a[1];
		return 0;
	case PR_GET_DUMPABLE:
		return p->dumpable;
	case PR_SET_CHILD_SUBREAPER:
		p->subreaper = a[1];
		return 0;
	case PR_GET_CHILD_SUBREAPER:
		return put_int(t, a[1], p->subreaper);
	case PR_SET_NO_NEW_PRIVS:
		/* Nothing here ever gains privileges by exec. */
		if (a[1] != 1 || a[2] || a[3] || a[4])
			return -EINVAL;
		p->no_new_privs = true;
		return 0;
	case PR_GET_NO_NEW_PRIVS:
		return a[1] || a[2] || a[3] || a[4] ? -EINVAL : p->no_new_privs;
	case PR_GET_SECCOMP:
	case PR_GET_TIMING:
		return 0;
	case PR_SET_TIMING:
		return a[1] == PR_TIMING_STATISTICAL ? 0 : -EINVAL;
	case PR_GET_TIMERSLACK:
	case PR_SET_TIMERSLACK:
	case PR_GET_KEEPCAPS:
	case PR_SET_KEEPCAPS:
	case PR_GET_SECUREBITS:
	case PR_SET_SECUREBITS:
	case PR_CAPBSET_READ:
	case PR_CAPBSET_DROP:
	case PR_CAP_AMBIENT:
		/* The host thread's own (guest/creds.c for rights); none of them takes a pointer. */
		ret = prctl((int)a[0], a[1], a[2], a[3], a[4]);
		if (ret >= 0 && (a[0] == PR_CAPBSET_DROP || a[0] == PR_CAP_AMBIENT))
			creds_note(t);
		return ret < 0 ? -errno : ret;
	case PR_GET_TSC:
		return put_int(t, a[1], PR_TSC_ENABLE);
	case PR_GET_THP_DISABLE:
		return a[1] || a[2] || a[3] || a[4] ? -EINVAL : p->thp_disabled;
	case PR_SET_THP_DISABLE:
		p->thp_disabled = a[1];
		return 0;
	case PR_MCE_KILL:
		return set_mce_kill(p, a);
	case PR_MCE_KILL_GET:
		return get_mce_kill(p, a);
	case PR_SET_MEMORY_MERGE_:
		return set_memory_merge(t, a);
	case PR_GET_MEMORY_MERGE_:
		return a[1] || a[2] || a[3] || a[4] ? -EINVAL : mm_merge_any(t->mm);
	case PR_GET_TID_ADDRESS:
		return copy_to_user(t, a[1], &t->clear_child_tid, sizeof(t->clear_child_tid));
	case PR_SET_MM:
		return -EPERM;
	default:
		return -EINVAL;
	}
}

int64_t sys_personality(struct task *t, const uint64_t a[6])
{
	uint32_t old = __atomic_load_n(&t->proc->personality, __ATOMIC_RELAXED);

	if ((uint32_t)a[0] != PERSONALITY_QUERY)
		__atomic_store_n(&t->proc->personality, (uint32_t)a[0], __ATOMIC_RELAXED);
	return old;
}
