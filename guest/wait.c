/* SPDX-License-Identifier: MIT */
/* wait4 and waitid. Children belong to the process: any of its tasks may wait. */
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest/syscalls.h"
#include "guest/task.h"

#define P_PIDFD_ 3

struct wait_request {
	enum { WAIT_ALL, WAIT_PID, WAIT_PGID } which;
	int32_t id;
	int options;
	bool loose; /* nobody yet is EAGAIN */
};

/* What was found. */
struct wait_result {
	int32_t pid;
	int status; /* as wait4() gives it */
	int code;   /* CLD_* */
	int value;  /* si_status */
	uint32_t uid;
	struct rusage usage;
};

static bool child_matches(const struct proc *child, const struct wait_request *rq)
{
	bool clone_child = child->exit_signal != SIGCHLD;

	if (rq->which == WAIT_PID && child->pid != rq->id)
		return false;
	if (rq->which == WAIT_PGID && child->pgid != rq->id)
		return false;
	return (rq->options & __WALL) || clone_child == !!(rq->options & __WCLONE);
}

static void take_zombie(struct proc *parent, struct proc *child, bool keep, struct wait_result *res)
{
	struct proc_times total = child->dead_tasks;
	uint64_t rss = child->max_rss;

	if (child->children_max_rss > rss)
		rss = child->children_max_rss;
	proc_times_add(&total, &child->dead_children);
	rusage_fill(&res->usage, &total, rss);
	res->status = child->status;
	if (WIFSIGNALED(child->status)) {
		res->code = CLD_KILLED;
		res->value = WTERMSIG(child->status);
	} else {
		res->code = CLD_EXITED;
		res->value = WEXITSTATUS(child->status);
	}
	if (keep)
		return;
	proc_times_add(&parent->dead_children, &total);
	if (rss > parent->children_max_rss)
		parent->children_max_rss = rss;
	proc_reap(child);
}

/* True if @child has something to tell that was asked for. */
static bool take_event(struct proc *parent, struct proc *child, const struct wait_request *rq,
		       struct wait_result *res)
{
	bool keep = rq->options & WNOWAIT;
	struct proc_times times;

	memset(res, 0, sizeof(*res));
	res->pid = child->pid;
	res->uid = child->creds.uid;
	if (child->zombie) {
		if (!(rq->options & WEXITED))
			return false;
		take_zombie(parent, child, keep, res);
		return true;
	}
	if (child->stop_waitable && (rq->options & WSTOPPED)) {
		res->status = (child->stop_signal << 8) | 0x7f;
		res->code = CLD_STOPPED;
		res->value = child->stop_signal;
		child->stop_waitable = keep;
	} else if (child->cont_waitable && (rq->options & WCONTINUED)) {
		res->status = 0xffff;
		res->code = CLD_CONTINUED;
		res->value = SIGCONT;
		child->cont_waitable = keep;
	} else {
		return false;
	}
	proc_times(child, &times);
	rusage_fill(&res->usage, &times, child->max_rss);
	return true;
}

/* 1: found, 0: none yet, -ECHILD: and there will be none. Lock held. */
static int scan_children(struct proc *p, const struct wait_request *rq, struct wait_result *res)
{
	struct proc *child;
	int ret = -ECHILD;

	list_for_each_entry(child, &p->children, sibling)
	{
		if (!child_matches(child, rq))
			continue;
		if (take_event(p, child, rq, res))
			return 1;
		if (!child->zombie || (rq->options & WEXITED))
			ret = 0;
	}
	return ret;
}

static int wait_for_child(struct task *t, const struct wait_request *rq, struct wait_result *res)
{
	uint32_t seq;
	int ret;

	for (;;) {
		guest_lock(t->g);
		seq = task_sleep_begin(t);
		ret = scan_children(t->proc, rq, res);
		t->waiting_child = !ret && !(rq->options & WNOHANG);
		if (t->waiting_child && task_has_work(t)) {
			t->waiting_child = false;
			ret = -ERESTARTSYS_;
		}
		guest_unlock(t->g);
		if (ret || (rq->options & WNOHANG))
			return ret;
		task_sleep(t, seq, CLOCK_MONOTONIC, NULL);
	}
}

int64_t sys_wait4(struct task *t, const uint64_t a[6])
{
	int32_t pid = (int32_t)a[0];
	struct wait_request rq = { .options = (int)a[2] | WEXITED };
	struct wait_result res;
	int ret;

	if ((uint32_t)a[2] &
	    ~(uint32_t)(WNOHANG | WUNTRACED | WCONTINUED | __WNOTHREAD | __WCLONE | __WALL))
		return -EINVAL;
	if (pid == INT32_MIN)
		return -ESRCH;
	if (pid > 0) {
		rq.which = WAIT_PID;
		rq.id = pid;
	} else if (pid != -1) {
		rq.which = WAIT_PGID;
		rq.id = pid ? -pid : task_pgid(t);
	}
	ret = wait_for_child(t, &rq, &res);
	if (ret <= 0)
		return ret;
	if (a[1] && copy_to_user(t, a[1], &res.status, sizeof(res.status)))
		return -EFAULT;
	if (a[3] && copy_to_user(t, a[3], &res.usage, sizeof(res.usage)))
		return -EFAULT;
	return res.pid;
}

/* @loose: the descriptor is not to block. */
static int pid_of_pidfd(struct task *t, int fd, bool *loose)
{
	struct gfile *g;
	int pid;

	if (fd < 0)
		return -EINVAL;
	g = files_lookup(t->files, fd);
	if (!g)
		return -EBADF;
	pid = gfile_pidfd(g);
	*loose = gfile_flags(g) & O_NONBLOCK;
	gfile_put(g);
	return pid ? pid : -EBADF;
}

static int waitid_request(struct task *t, const uint64_t a[6], struct wait_request *rq)
{
	int32_t id = (int32_t)a[1];

	rq->options = (int)a[3];
	if (a[3] & ~(uint64_t)(WNOHANG | WNOWAIT | WEXITED | WSTOPPED | WCONTINUED | __WNOTHREAD |
			       __WCLONE | __WALL))
		return -EINVAL;
	if (!(a[3] & (WEXITED | WSTOPPED | WCONTINUED)))
		return -EINVAL;
	rq->id = id;
	switch ((int)a[0]) {
	case P_ALL:
		rq->which = WAIT_ALL;
		return 0;
	case P_PID:
		rq->which = WAIT_PID;
		return id > 0 ? 0 : -EINVAL;
	case P_PGID:
		rq->which = WAIT_PGID;
		if (!id)
			rq->id = task_pgid(t);
		return id >= 0 ? 0 : -EINVAL;
	case P_PIDFD_:
		rq->which = WAIT_PID;
		rq->id = pid_of_pidfd(t, id, &rq->loose);
		rq->loose = rq->loose && !(rq->options & WNOHANG);
		if (rq->loose)
			rq->options |= WNOHANG;
		return rq->id < 0 ? rq->id : 0;
	default:
		return -EINVAL;
	}
}

int64_t sys_waitid(struct task *t, const uint64_t a[6])
{
	struct wait_request rq = { .loose = false };
	struct wait_result res;
	siginfo_t info;
	int ret = waitid_request(t, a, &rq);

	if (ret)
		return ret;
	ret = wait_for_child(t, &rq, &res);
	if (!ret && rq.loose)
		ret = -EAGAIN;
	memset(&info, 0, sizeof(info));
	if (ret > 0) {
		info.si_signo = SIGCHLD;
		info.si_code = res.code;
		info.si_pid = res.pid;
		info.si_uid = res.uid;
		info.si_status = res.value;
		if (a[4] && copy_to_user(t, a[4], &res.usage, sizeof(res.usage)))
			return -EFAULT;
	}
	/* Linux writes only up to si_status, and zeros also where it fails. */
	if (a[2] && copy_to_user(t, a[2], &info, offsetof(siginfo_t, si_status) + sizeof(int)))
		return -EFAULT;
	return ret < 0 ? ret : 0;
}
