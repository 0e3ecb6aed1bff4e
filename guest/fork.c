/* SPDX-License-Identifier: MIT */
/*
 * fork, vfork, clone and clone3: one function makes processes and threads, and
 * what it shares or copies is told by the flags, as on Linux.
 *
 * The new task is built completely, its thread waiting, before anybody can find
 * it; publishing it is the point of no return.
 */
#include <linux/capability.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "guest/ctty.h"
#include "guest/syscalls.h"
#include "guest/task.h"

/* Newer than the headers this is built with. */
#define GUEST_CLONE_CLEAR_SIGHAND 0x100000000ull
#define GUEST_CLONE_INTO_CGROUP   0x200000000ull
#define GUEST_CLONE_NEWTIME       0x00000080ull
#define CLONE_NAMESPACES                                                               \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | \
	 CLONE_NEWPID | CLONE_NEWNET)
#define CLONE_ARGS_SIZE_V0 64
#define CLONE_ARGS_SIZE_V2 88

struct clone_request {
	uint64_t flags;
	uint64_t stack;                        /* new stack pointer, 0: the caller's */
	uint64_t parent_tid, child_tid, pidfd; /* gva */
	uint64_t tls;
	int exit_signal;
};

static int check_flags(const struct clone_request *rq)
{
	uint64_t f = rq->flags;

	if ((f & CLONE_THREAD) && !(f & CLONE_SIGHAND))
		return -EINVAL;
	if ((f & CLONE_SIGHAND) && !(f & CLONE_VM))
		return -EINVAL;
	if ((f & CLONE_SIGHAND) && (f & GUEST_CLONE_CLEAR_SIGHAND))
		return -EINVAL;
	if ((f & CLONE_PIDFD) && (f & (CLONE_THREAD | CLONE_DETACHED)))
		return -EINVAL;
	if ((f & CLONE_FS) && (f & (CLONE_NEWNS | CLONE_NEWUSER)))
		return -EINVAL;
	if (f & GUEST_CLONE_INTO_CGROUP)
		return -EINVAL;
	/* There is one namespace of each kind. */
	if (f & CLONE_NAMESPACES)
		return -EPERM;
	return 0;
}

/* ---- the process ------------------------------------------------------- */

static struct sighand *sighand_copy(const struct sighand *old, bool clear)
{
	struct sighand *h = sighand_alloc();
	int i;

	for (i = 0; h && i < GUEST_NSIG; i++) {
		h->action[i] = old->action[i];
		if (clear && h->action[i].handler != (uintptr_t)SIG_IGN)
			memset(&h->action[i], 0, sizeof(h->action[i]));
	}
	return h;
}

/* Lock held. What a child process inherits. */
static struct proc *copy_proc(struct task *t, const struct clone_request *rq)
{
	struct proc *old = t->proc, *p = proc_alloc(t->g);

	if (!p)
		return NULL;
	if (rq->flags & CLONE_SIGHAND) {
		p->sighand = old->sighand;
		p->sighand->refs++;
	} else {
		p->sighand = sighand_copy(old->sighand, rq->flags & GUEST_CLONE_CLEAR_SIGHAND);
	}
	p->exe = old->exe ? gfile_get(old->exe) : NULL;
	if (!p->sighand) {
		proc_free(p);
		return NULL;
	}
	p->pgid = old->pgid;
	p->sid = old->sid;
	p->nice = old->nice;
	p->creds = old->creds;
	p->groups = creds_groups_get(old->groups);
	p->dumpable = old->dumpable;
	p->no_new_privs = old->no_new_privs;
	p->thp_disabled = old->thp_disabled;
	p->mce_kill = old->mce_kill;
	p->oom_score_adj = old->oom_score_adj;
	p->oom_adj_min = old->oom_adj_min;
	p->personality = old->personality;
	p->membarriers = old->membarriers;
	p->exit_signal = rq->flags & CLONE_PARENT ? old->exit_signal : rq->exit_signal;
	memcpy(p->comm, t->comm, sizeof(p->comm));
	memcpy(p->rlim, old->rlim, sizeof(p->rlim));
	return p;
}

/* ---- the task ---------------------------------------------------------- */

static int copy_memory(struct task *t, struct task *child, uint64_t flags)
{
	int err = 0;

	if (flags & CLONE_VM)
		child->mm = mm_get(t->mm);
	else
		err = mm_fork(t->mm, &child->mm);
	if (!err && child->mm != t->mm)
		__atomic_store_n(&child->mm->id, child->proc->pid, __ATOMIC_RELAXED);
	return err;
}

static int copy_tables(struct task *t, struct task *child, uint64_t flags)
{
	int err = 0;

	if (flags & CLONE_FILES)
		child->files = files_get(t->files);
	else
		err = files_fork(t->files, &child->files);
	if (err)
		return err;
	if (flags & CLONE_FS)
		child->fs = fs_get(t->fs);
	else
		err = fs_fork(t->fs, &child->fs);
	return err;
}

static int copy_cpu_state(struct task *t, struct task *child, const struct clone_request *rq)
{
	int size;

	child->start_regs = *task_regs(t);
	child->start_regs.rax = 0;
	if (rq->stack)
		child->start_regs.rsp = rq->stack;
	if (rq->flags & CLONE_SETTLS)
		child->start_regs.fs_base = rq->tls;
	child->start_xsave = aligned_alloc(64, GUEST_XSAVE_SIZE);
	if (!child->start_xsave)
		return -ENOMEM;
	memset(child->start_xsave, 0, GUEST_XSAVE_SIZE);
	size = t->ops->xsave_get(t->vcpu, child->start_xsave);
	return size < 0 ? size : 0;
}

/* Undo for a task that was never published. */
static void discard_task(struct task *child)
{
	if (child->files)
		files_put(child->files);
	if (child->fs)
		fs_put(child->fs);
	if (child->mm)
		mm_put(child->mm);
	task_free(child);
}

static int build_task(struct task *t, struct task *child, const struct clone_request *rq)
{
	int err;

	guest_lock(t->g);
	memcpy(child->comm, t->comm, sizeof(child->comm));
	guest_unlock(t->g);
	memcpy(child->affinity, t->affinity, sizeof(child->affinity));
	child->policy = t->policy & ~SCHED_RESET_ON_FORK;
	mm_thread_inherit(&child->placement, &t->placement);
	child->blocked = t->blocked;
	if (!(rq->flags & CLONE_VM))
		rseq_inherit(child, t);
	if (!(rq->flags & CLONE_VM) || (rq->flags & CLONE_VFORK))
		child->altstack = t->altstack;
	if (rq->flags & CLONE_CHILD_CLEARTID)
		child->clear_child_tid = rq->child_tid;
	err = copy_tables(t, child, rq->flags);
	if (!err)
		err = copy_memory(t, child, rq->flags);
	if (!err)
		err = copy_cpu_state(t, child, rq);
	return err;
}

/*
 * The child becomes visible. Like Linux, not while a signal waits for the
 * parent: one sent to the whole group must not miss the child.
 */
static int publish(struct task *t, struct task *child, const struct clone_request *rq,
		   struct vfork_wait *vfork)
{
	struct proc *p = child->proc;
	int err = 0;

	guest_lock(t->g);
	if (t->g->shutdown || task_has_work(t)) {
		err = -ERESTARTNOINTR_;
	} else {
		if (p != t->proc) {
			p->pgid = t->proc->pgid;
			p->sid = t->proc->sid;
			ctty_inherit(p, t->proc);
			proc_publish(p, rq->flags & CLONE_PARENT ? t->proc->parent : t->proc);
		}
		if (rq->flags & CLONE_VFORK)
			child->vfork = vfork;
		task_publish(child);
		t->g->nr_threads++;
		task_recalc_work(child);
		counter_add(&t->g->counters.forks);
	}
	guest_unlock(t->g);
	return err;
}

/* ids go to the guest's memory before the child runs; bad pointers are ignored. */
static void tell_ids(struct task *t, struct task *child, const struct clone_request *rq)
{
	int32_t tid = child->tid;

	if ((rq->flags & CLONE_PARENT_SETTID) &&
	    mm_copy_to_guest(t->mm, gva_make(rq->parent_tid), &tid, sizeof(tid), NULL))
		return;
	if ((rq->flags & CLONE_CHILD_SETTID) &&
	    mm_copy_to_guest(child->mm, gva_make(rq->child_tid), &tid, sizeof(tid), NULL))
		return;
}

static void wait_vfork(struct task *t, struct task *child, struct vfork_wait *vfork)
{
	guest_lock(t->g);
	while (!vfork->done) {
		if (!task_sleep_killable(t)) {
			/* Not done, so the child is still there. */
			if (!vfork->done)
				child->vfork = NULL;
			break;
		}
	}
	task_recalc_work(t);
	guest_unlock(t->g);
}

static int64_t start_child(struct task *t, struct task *child, const struct clone_request *rq)
{
	struct vfork_wait vfork = { .parent = t };
	int32_t tid = child->tid, pidfd = -1;
	int err;

	err = build_task(t, child, rq);
	if (!err)
		err = task_start_thread(child);
	if (err)
		return err;
	tell_ids(t, child, rq);
	err = publish(t, child, rq, &vfork);
	if (err) {
		task_cancel(child);
		return err;
	}
	if (rq->flags & CLONE_PIDFD) {
		pidfd = pidfd_install(t, child->proc->pid, 0);
		if (copy_to_user(t, rq->pidfd, &pidfd, sizeof(pidfd)))
			pidfd = -1;
	}
	task_go(child);
	if (rq->flags & CLONE_VFORK)
		wait_vfork(t, child, &vfork);
	return tid;
}

/*
 * Lock held: does RLIMIT_NPROC leave room for one more task of this user? A process
 * that ended counts until it was waited for. The privileged are not bound by it.
 */
static bool room_for_task(struct task *t)
{
	uint64_t limit = task_rlimit(t, RLIMIT_NPROC), nr = 1;
	uint32_t uid = t->proc->creds.uid;
	struct proc *p;

	if (limit == RLIM_INFINITY || !uid || creds_capable(CAP_SYS_RESOURCE) ||
	    creds_capable(CAP_SYS_ADMIN))
		return true;
	list_for_each_entry(p, &t->g->procs, all) if (p->creds.uid == uid)
		nr += p->nr_tasks ? p->nr_tasks : 1;
	return nr <= limit;
}

static int64_t do_clone(struct task *t, const struct clone_request *rq)
{
	struct proc *p = t->proc;
	struct task *child;
	int64_t ret = check_flags(rq);
	int32_t tid;

	if (ret)
		return ret;
	if ((rq->flags & CLONE_SETTLS) && rq->tls >= UMM_TASK_SIZE)
		return -EPERM;
	if (task_has_work(t))
		return -ERESTARTNOINTR_;
	guest_lock(t->g);
	tid = room_for_task(t) ? pid_alloc(t->g) : -EAGAIN;
	if (!(rq->flags & CLONE_THREAD))
		p = tid > 0 ? copy_proc(t, rq) : NULL;
	if (p && p != t->proc)
		p->pid = tid;
	guest_unlock(t->g);
	if (tid < 0)
		return tid;
	child = p ? task_alloc(p) : NULL;
	ret = -ENOMEM;
	if (child) {
		child->tid = tid;
		ret = start_child(t, child, rq);
		if (ret < 0)
			discard_task(child);
	}
	if (ret < 0 && p && p != t->proc) {
		guest_lock(t->g);
		proc_free(p);
		guest_unlock(t->g);
	}
	return ret;
}

/* ---- the calls --------------------------------------------------------- */

int64_t sys_fork(struct task *t, const uint64_t a[6])
{
	struct clone_request rq = { .exit_signal = SIGCHLD };

	(void)a;
	return do_clone(t, &rq);
}

int64_t sys_vfork(struct task *t, const uint64_t a[6])
{
	struct clone_request rq = { .flags = CLONE_VM | CLONE_VFORK, .exit_signal = SIGCHLD };

	(void)a;
	return do_clone(t, &rq);
}

int64_t sys_clone(struct task *t, const uint64_t a[6])
{
	struct clone_request rq = {
		.flags = (uint32_t)a[0] & ~(uint64_t)CSIGNAL,
		.stack = a[1],
		.parent_tid = a[2],
		.child_tid = a[3],
		.pidfd = a[2],
		.tls = a[4],
		.exit_signal = (int)(a[0] & CSIGNAL),
	};

	if ((rq.flags & CLONE_PIDFD) && (rq.flags & CLONE_PARENT_SETTID))
		return -EINVAL;
	if (rq.exit_signal > GUEST_NSIG)
		return -EINVAL;
	return do_clone(t, &rq);
}

/* The struct of clone3(2), in the order of its fields. */
struct guest_clone_args {
	uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
	uint64_t set_tid, set_tid_size, cgroup;
};

static int read_clone_args(struct task *t, uint64_t at, uint64_t size, struct guest_clone_args *out)
{
	uint8_t raw[UMM_PAGE_SIZE];
	size_t i;

	if (size < CLONE_ARGS_SIZE_V0)
		return -EINVAL;
	if (size > sizeof(raw))
		return -E2BIG;
	memset(raw, 0, CLONE_ARGS_SIZE_V2);
	if (copy_from_user(t, raw, at, size))
		return -EFAULT;
	for (i = CLONE_ARGS_SIZE_V2; i < size; i++)
		if (raw[i])
			return -E2BIG;
	memcpy(out, raw, sizeof(*out));
	return 0;
}

int64_t sys_clone3(struct task *t, const uint64_t a[6])
{
	struct clone_request rq = { .flags = 0 };
	struct guest_clone_args args;
	int err = read_clone_args(t, a[0], a[1], &args);

	if (err)
		return err;
	if (args.exit_signal > GUEST_NSIG || (args.flags & (CSIGNAL | CLONE_DETACHED)) ||
	    args.flags >> 34 || args.set_tid || args.set_tid_size ||
	    !args.stack != !args.stack_size)
		return args.flags & GUEST_CLONE_NEWTIME ? -EPERM : -EINVAL;
	if ((args.flags & (CLONE_THREAD | CLONE_PARENT)) && args.exit_signal)
		return -EINVAL;
	rq.flags = args.flags;
	rq.stack = args.stack ? args.stack + args.stack_size : 0;
	rq.parent_tid = args.parent_tid;
	rq.child_tid = args.child_tid;
	rq.pidfd = args.pidfd;
	rq.tls = args.tls;
	rq.exit_signal = (int)args.exit_signal;
	return do_clone(t, &rq);
}
