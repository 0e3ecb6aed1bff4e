/* SPDX-License-Identifier: MIT */
/*
 * Credentials. A guest thread is a host thread, and Linux keeps credentials for each
 * thread: so a change is made on the host thread itself, by the bare call (the C
 * library's would change all threads of umm), and what the guest does to files is then
 * judged by the host. Threads that it makes inherit them. What a program has given up
 * it has given up on the host, too; a set-user-id program gains nothing.
 *
 * What others ask about (kill, /proc/PID/status) is noted in the process, by whichever
 * of its threads changed last. The memory manager is told of each thread whether it may
 * lock memory without limit.
 */
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest/syscalls.h"
#include "guest/task.h"

#define ID_NONE ((uint32_t)-1)

/* Of the calling thread. */
static int cap_call(long nr, struct __user_cap_data_struct data[2])
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };

	return syscall(nr, &h, data) ? -errno : 0;
}

/*
 * What umm laid down on the host before it started a confined guest is still root's within
 * the guest: by it only the guest's own things are judged.
 */
static bool is_withheld(int cap)
{
	return current_task && current_task->g->caps_withheld >> cap & 1 && !geteuid();
}

bool creds_capable(int cap)
{
	struct __user_cap_data_struct data[2] = { 0 };

	if (!cap_call(SYS_capget, data) && data[cap / 32].effective >> (cap % 32) & 1)
		return true;
	return is_withheld(cap);
}

static void capabilities_read(struct proc_creds *c)
{
	struct __user_cap_data_struct data[2] = { 0 };
	int cap, in;

	if (cap_call(SYS_capget, data))
		return;
	c->cap_inheritable = (uint64_t)data[1].inheritable << 32 | data[0].inheritable;
	c->cap_permitted = (uint64_t)data[1].permitted << 32 | data[0].permitted;
	c->cap_effective = (uint64_t)data[1].effective << 32 | data[0].effective;
	c->cap_bounding = c->cap_ambient = 0;
	/* The first number that the host does not know is an error. */
	for (cap = 0; cap < 64; cap++) {
		in = prctl(PR_CAPBSET_READ, cap, 0, 0, 0);
		if (in < 0)
			break;
		c->cap_bounding |= (uint64_t)in << cap;
		if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, cap, 0, 0) == 1)
			c->cap_ambient |= 1ull << cap;
	}
}

static void creds_read(struct proc_creds *c)
{
	if (getresuid(&c->uid, &c->euid, &c->suid) || getresgid(&c->gid, &c->egid, &c->sgid))
		return;
	/* An impossible id changes nothing, and the call says what is there. */
	c->fsuid = (uint32_t)syscall(SYS_setfsuid, ID_NONE);
	c->fsgid = (uint32_t)syscall(SYS_setfsgid, ID_NONE);
	capabilities_read(c);
}

struct creds_groups *creds_groups_get(struct creds_groups *groups)
{
	if (groups)
		__atomic_fetch_add(&groups->refs, 1, __ATOMIC_RELAXED);
	return groups;
}

void creds_groups_put(struct creds_groups *groups)
{
	if (groups && __atomic_fetch_sub(&groups->refs, 1, __ATOMIC_ACQ_REL) == 1)
		free(groups);
}

/* Of the calling thread; NULL: none, or no memory to note them in. */
static struct creds_groups *groups_read(void)
{
	int nr = getgroups(0, NULL);
	struct creds_groups *groups;

	if (nr <= 0)
		return NULL;
	groups = malloc(sizeof(*groups) + (size_t)nr * sizeof(gid_t));
	if (!groups)
		return NULL;
	groups->refs = 1;
	nr = getgroups(nr, groups->gid);
	groups->nr = nr < 0 ? 0 : (uint32_t)nr;
	return groups;
}

static void groups_note(struct task *t)
{
	struct creds_groups *now = groups_read(), *old;

	guest_lock(t->g);
	old = t->proc->groups;
	t->proc->groups = now;
	guest_unlock(t->g);
	creds_groups_put(old);
}

/* What the process had in memory as somebody else is not for who it is now. */
static bool is_somebody_else(const struct proc_creds *old, const struct proc_creds *now)
{
	return old->euid != now->euid || old->egid != now->egid || old->fsuid != now->fsuid ||
	       old->fsgid != now->fsgid;
}

void creds_note(struct task *t)
{
	struct proc_creds now = { 0 };
	struct proc *p = t->proc;

	creds_read(&now);
	t->placement.may_lock_all = now.cap_effective >> CAP_IPC_LOCK & 1;
	guest_lock(t->g);
	if (is_somebody_else(&p->creds, &now)) {
		p->dumpable = false;
		p->pdeath_signal = 0;
	}
	p->creds = now;
	guest_unlock(t->g);
}

void creds_first(struct task *t)
{
	creds_read(&t->proc->creds);
	t->proc->groups = groups_read();
	if (!t->proc->creds.euid)
		t->g->caps_withheld = t->proc->creds.cap_bounding & ~t->proc->creds.cap_effective;
	t->placement.may_lock_all = t->proc->creds.cap_effective >> CAP_IPC_LOCK & 1;
}

/* Words of a set of capabilities. */
static void cap_words_limit(struct __user_cap_data_struct data[2], uint64_t permitted,
			    uint64_t effective)
{
	int i;

	for (i = 0; i < 2; i++) {
		data[i].permitted &= (uint32_t)(permitted >> (32 * i));
		data[i].effective = data[i].permitted & (uint32_t)(effective >> (32 * i));
	}
}

/*
 * What exec leaves of the capabilities, capabilities(7): who is root has the inheritable and the
 * bounding set, all in effect if that is the effective user; others the ambient ones, whatever they
 * had kept over a change of their ids. What was given up does not come back here.
 */
static void capabilities_exec(void)
{
	struct __user_cap_data_struct data[2] = { 0 };
	struct proc_creds now = { 0 };
	uint64_t permitted, effective;
	int bits = prctl(PR_GET_SECUREBITS, 0, 0, 0, 0);

	creds_read(&now);
	permitted = effective = now.cap_ambient;
	if (bits >= 0 && !(bits & SECBIT_NOROOT) && (!now.uid || !now.euid)) {
		permitted |= now.cap_bounding | now.cap_inheritable;
		if (!now.euid)
			effective = permitted;
	}
	prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
	if (cap_call(SYS_capget, data))
		return;
	cap_words_limit(data, permitted, effective);
	cap_call(SYS_capset, data);
}

void creds_exec(struct task *t)
{
	if (syscall(SYS_setresuid, ID_NONE, ID_NONE, geteuid()) ||
	    syscall(SYS_setresgid, ID_NONE, ID_NONE, getegid()))
		return;
	capabilities_exec();
	creds_note(t);
}

bool creds_allowed(mode_t mode, uid_t uid, gid_t gid, mode_t want)
{
	if (geteuid() == uid)
		mode >>= 6;
	else if (getegid() == gid || group_member(gid))
		mode >>= 3;
	return !(want & ~mode & 7) || creds_capable(CAP_DAC_OVERRIDE);
}

mode_t creds_wanted(int flags)
{
	switch (flags & O_ACCMODE) {
	case O_RDONLY:
		return 4;
	case O_WRONLY:
		return 2;
	default:
		return 6;
	}
}

bool creds_may_signal(const struct task *t, const struct proc *p, int sig)
{
	uint32_t uid = getuid(), euid = geteuid();

	return p == t->proc || creds_capable(CAP_KILL) || euid == p->creds.suid ||
	       euid == p->creds.uid || uid == p->creds.suid || uid == p->creds.uid ||
	       (sig == SIGCONT && p->sid == t->proc->sid);
}

/* All ids of @p are the caller's real ones. */
static bool same_person(const struct proc_creds *c)
{
	uint32_t uid = getuid(), gid = getgid();

	return uid == c->uid && uid == c->euid && uid == c->suid && gid == c->gid &&
	       gid == c->egid && gid == c->sgid;
}

bool creds_may_trace(const struct task *t, const struct proc *p)
{
	return p == t->proc || creds_capable(CAP_SYS_PTRACE) ||
	       (__atomic_load_n(&p->dumpable, __ATOMIC_RELAXED) && same_person(&p->creds));
}

bool creds_may_limit(const struct task *t, const struct proc *p)
{
	return p == t->proc || same_person(&p->creds) || creds_capable(CAP_SYS_RESOURCE);
}

bool creds_may_schedule(const struct task *t, const struct proc *p)
{
	uint32_t euid = geteuid();

	return p == t->proc || euid == p->creds.uid || euid == p->creds.euid ||
	       creds_capable(CAP_SYS_NICE);
}

/* ---- asking ------------------------------------------------------------- */

int64_t sys_getuid(struct task *t, const uint64_t a[6])
{
	(void)t;
	(void)a;
	return getuid();
}

int64_t sys_geteuid(struct task *t, const uint64_t a[6])
{
	(void)t;
	(void)a;
	return geteuid();
}

int64_t sys_getgid(struct task *t, const uint64_t a[6])
{
	(void)t;
	(void)a;
	return getgid();
}

int64_t sys_getegid(struct task *t, const uint64_t a[6])
{
	(void)t;
	(void)a;
	return getegid();
}

static int three_ids_to_user(struct task *t, const uint64_t a[6], const uint32_t ids[3])
{
	int i;

	for (i = 0; i < 3; i++)
		if (copy_to_user(t, a[i], &ids[i], sizeof(ids[i])))
			return -EFAULT;
	return 0;
}

int64_t sys_getresuid(struct task *t, const uint64_t a[6])
{
	uint32_t ids[3];

	if (getresuid(&ids[0], &ids[1], &ids[2]))
		return -errno;
	return three_ids_to_user(t, a, ids);
}

int64_t sys_getresgid(struct task *t, const uint64_t a[6])
{
	uint32_t ids[3];

	if (getresgid(&ids[0], &ids[1], &ids[2]))
		return -errno;
	return three_ids_to_user(t, a, ids);
}

int64_t sys_getgroups(struct task *t, const uint64_t a[6])
{
	gid_t groups[NGROUPS_MAX > 4096 ? 4096 : NGROUPS_MAX];
	int n = getgroups(sizeof(groups) / sizeof(groups[0]), groups);

	if (n < 0)
		return -errno;
	if ((int)a[0] < 0 || (a[0] && (int)a[0] < n))
		return -EINVAL;
	if (a[0] && copy_to_user(t, a[1], groups, (size_t)n * sizeof(groups[0])))
		return -EFAULT;
	return n;
}

/* ---- changing ------------------------------------------------------------ */

static int64_t change(struct task *t, long nr, uint64_t a, uint64_t b, uint64_t c)
{
	int64_t ret = syscall(nr, (uint32_t)a, (uint32_t)b, (uint32_t)c);

	if (ret < 0)
		return -errno;
	creds_note(t);
	return ret;
}

int64_t sys_setuid(struct task *t, const uint64_t a[6])
{
	return change(t, SYS_setuid, a[0], 0, 0);
}

int64_t sys_setgid(struct task *t, const uint64_t a[6])
{
	return change(t, SYS_setgid, a[0], 0, 0);
}

int64_t sys_setreuid(struct task *t, const uint64_t a[6])
{
	return change(t, SYS_setreuid, a[0], a[1], 0);
}

int64_t sys_setregid(struct task *t, const uint64_t a[6])
{
	return change(t, SYS_setregid, a[0], a[1], 0);
}

int64_t sys_setresuid(struct task *t, const uint64_t a[6])
{
	return change(t, SYS_setresuid, a[0], a[1], a[2]);
}

int64_t sys_setresgid(struct task *t, const uint64_t a[6])
{
	return change(t, SYS_setresgid, a[0], a[1], a[2]);
}

/* These two return the previous id and never fail. */
int64_t sys_setfsuid(struct task *t, const uint64_t a[6])
{
	return change(t, SYS_setfsuid, a[0], 0, 0);
}

int64_t sys_setfsgid(struct task *t, const uint64_t a[6])
{
	return change(t, SYS_setfsgid, a[0], 0, 0);
}

/* What a setgroups() here needs to hold at once; Linux allows as many. */
#define GROUPS_MAX 65536u

int64_t sys_setgroups(struct task *t, const uint64_t a[6])
{
	uint32_t nr = (uint32_t)a[0];
	gid_t *groups;
	int64_t ret;

	if (nr > GROUPS_MAX)
		return creds_capable(CAP_SETGID) ? -EINVAL : -EPERM;
	groups = calloc((size_t)nr + 1, sizeof(*groups));
	if (!groups)
		return -ENOMEM;
	/* Who may not is told so before anything is read. */
	if (!creds_capable(CAP_SETGID))
		ret = -EPERM;
	else if (copy_from_user(t, groups, a[1], nr * sizeof(*groups)))
		ret = -EFAULT;
	else
		ret = syscall(SYS_setgroups, nr, groups) ? -errno : 0;
	free(groups);
	if (!ret)
		groups_note(t);
	return ret;
}

/* ---- capabilities ------------------------------------------------------ */

/* How many data structs the version of the header means; it is corrected. */
static int cap_version(struct task *t, uint64_t at, struct __user_cap_header_struct *h)
{
	if (copy_from_user(t, h, at, sizeof(*h)))
		return -EFAULT;
	switch (h->version) {
	case _LINUX_CAPABILITY_VERSION_1:
		return 1;
	case _LINUX_CAPABILITY_VERSION_2:
	case _LINUX_CAPABILITY_VERSION_3:
		return 2;
	}
	h->version = _LINUX_CAPABILITY_VERSION_3;
	if (copy_to_user(t, at, h, sizeof(*h)))
		return -EFAULT;
	return -EINVAL;
}

static bool is_other(struct task *t, int32_t pid)
{
	return pid && pid != t->tid;
}

static void cap_words_fill(struct __user_cap_data_struct data[2], const struct proc_creds *c)
{
	int i;

	for (i = 0; i < 2; i++) {
		data[i].effective = (uint32_t)(c->cap_effective >> (32 * i));
		data[i].permitted = (uint32_t)(c->cap_permitted >> (32 * i));
		data[i].inheritable = (uint32_t)(c->cap_inheritable >> (32 * i));
	}
}

/* Of another task: what its process has noted, that of a zombie too. */
static int cap_of(struct guest *g, int32_t tid, struct __user_cap_data_struct data[2])
{
	struct task *other;
	struct proc *p;

	guest_lock(g);
	other = task_find(g, tid);
	p = other ? other->proc : proc_find(g, tid);
	if (p)
		cap_words_fill(data, &p->creds);
	guest_unlock(g);
	return p ? 0 : -ESRCH;
}

int64_t sys_capget(struct task *t, const uint64_t a[6])
{
	struct __user_cap_data_struct data[2] = { 0 };
	struct __user_cap_header_struct h;
	int n = cap_version(t, a[0], &h), err;

	if (n < 0)
		return n == -EINVAL && !a[1] ? 0 : n;
	if (h.pid < 0)
		return -EINVAL;
	err = is_other(t, h.pid) ? cap_of(t->g, h.pid, data) : cap_call(SYS_capget, data);
	if (err || !a[1])
		return err;
	return copy_to_user(t, a[1], data, (size_t)n * sizeof(data[0]));
}

int64_t sys_capset(struct task *t, const uint64_t a[6])
{
	struct __user_cap_data_struct want[2] = { 0 };
	struct __user_cap_header_struct h;
	int n = cap_version(t, a[0], &h), err;

	if (n < 0)
		return n;
	if (is_other(t, h.pid))
		return -EPERM;
	if (copy_from_user(t, want, a[1], (size_t)n * sizeof(want[0])))
		return -EFAULT;
	err = cap_call(SYS_capset, want);
	if (!err)
		creds_note(t);
	return err;
}
