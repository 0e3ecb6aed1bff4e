/* SPDX-License-Identifier: MIT */
/*
 * execve: the new program is loaded completely into an address space of its own
 * while the old one is still there (guest/exec_load.c), so every failure is an
 * errno to the old program. Only then the other threads end and the task changes
 * over; after that nothing can fail.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guest/exec.h"
#include "guest/syscalls.h"

static void first_regs(struct guest_regs *r, const struct exec_image *im)
{
	memset(r, 0, sizeof(*r));
	r->rip = im->entry;
	r->rsp = im->sp;
	r->rflags = 0x202;
}

void exec_install_first(struct task *t, struct exec_image *im)
{
	t->mm = im->mm;
	__atomic_store_n(&t->mm->id, t->proc->pid, __ATOMIC_RELAXED);
	first_regs(&t->start_regs, im);
	memcpy(t->comm, im->comm, sizeof(t->comm));
	memcpy(t->proc->comm, im->comm, sizeof(t->comm));
	t->proc->exe = im->exe;
	t->proc->has_execed = true;
	free(im);
}

/* ---- the switch -------------------------------------------------------- */

/* The other tasks of the process end; this one gets the first one's number. */
static int end_other_tasks(struct task *t)
{
	struct proc *p = t->proc;
	struct task *other;
	int err = 0;

	guest_lock(t->g);
	if (task_must_leave(t)) {
		guest_unlock(t->g);
		return -EINTR;
	}
	p->exec_task = t;
	list_for_each_entry(other, &p->tasks, link) if (other != t) task_interrupt(other);
	while (!err && p->nr_tasks > 1)
		if (!task_sleep_killable(t))
			err = -EINTR;
	p->exec_task = NULL;
	if (!err && t->tid != p->pid)
		task_set_tid(t, p->pid);
	task_recalc_work(t);
	guest_unlock(t->g);
	return err;
}

static void switch_memory(struct task *t, struct exec_image *im)
{
	struct proc *p = t->proc;
	struct mm *old = t->mm;
	uint64_t rss = mm_max_rss(old);

	rseq_forget(t);
	task_release_memory(t);
	t->robust_list = 0;
	guest_lock(t->g);
	if (rss > p->max_rss)
		p->max_rss = rss;
	t->mm = im->mm;
	__atomic_store_n(&im->mm->id, p->pid, __ATOMIC_RELAXED);
	im->mm = NULL;
	guest_unlock(t->g);
	t->ops->set_root(t->vcpu, pfn_to_gpa(t->mm->root));
	task_vfork_done(t);
	mm_put(old);
}

/* Handlers are gone with the old program; what was ignored stays so. */
static void reset_signals(struct task *t, struct sighand *fresh)
{
	struct sighand *old = t->proc->sighand;
	int i;

	guest_lock(t->g);
	for (i = 0; i < GUEST_NSIG; i++)
		if (old->action[i].handler == (uintptr_t)SIG_IGN)
			fresh->action[i].handler = (uintptr_t)SIG_IGN;
	t->proc->sighand = fresh;
	posix_timers_drop(t->proc);
	sighand_put(old);
	guest_unlock(t->g);
	t->altstack = (struct guest_stack){ .sp = 0 };
}

static void rename_process(struct task *t, struct exec_image *im)
{
	struct proc *p = t->proc;

	guest_lock(t->g);
	memcpy(t->comm, im->comm, sizeof(t->comm));
	memcpy(p->comm, im->comm, sizeof(p->comm));
	gfile_put(p->exe);
	p->exe = im->exe;
	im->exe = NULL;
	p->has_execed = true;
	p->dumpable = true;
	p->membarriers = 0;
	p->exit_signal = SIGCHLD;
	guest_unlock(t->g);
}

static void load_cpu(struct task *t, const struct exec_image *im)
{
	first_regs(task_regs(t), im);
	t->ops->regs_changed(t->vcpu);
	t->ops->segs_changed(t->vcpu);
	t->ops->xsave_reset(t->vcpu);
	t->regs_replaced = true;
}

/* @files: the task's own table, replacing one that it may share. */
static int commit(struct task *t, struct exec_image *im, struct files *files)
{
	struct sighand *fresh = sighand_alloc();
	struct files *old;
	int err = fresh ? end_other_tasks(t) : -ENOMEM;

	if (err) {
		free(fresh);
		return err;
	}
	switch_memory(t, im);
	reset_signals(t, fresh);
	if (files) {
		guest_lock(t->g);
		old = t->files;
		t->files = files;
		guest_unlock(t->g);
		files_put(old);
	}
	files_close_on_exec(t->files);
	creds_exec(t);
	rename_process(t, im);
	load_cpu(t, im);
	counter_add(&t->g->counters.execs);
	return 0;
}

/* ---- the calls --------------------------------------------------------- */

static int do_exec(struct task *t, struct gfile *file, const char *name, uint64_t argv,
		   uint64_t envp)
{
	struct rlimit rlim[RLIM_NLIMITS];
	struct exec_image *im = NULL;
	struct files *files = NULL;
	struct exec_args x;
	int err;

	guest_lock(t->g);
	memcpy(rlim, t->proc->rlim, sizeof(rlim));
	guest_unlock(t->g);
	exec_args_init(&x, rlim[RLIMIT_STACK].rlim_cur);
	err = exec_args_from_user(t, &x, argv, envp);
	if (err)
		gfile_put(file);
	else
		err = exec_load(t->g, t, file, name, &x, rlim, &im);
	exec_args_free(&x);
	if (!err && files_shared(t->files))
		err = files_fork(t->files, &files);
	if (!err) {
		err = commit(t, im, files);
		if (err && files)
			files_put(files);
	}
	exec_image_free(im);
	return err;
}

int64_t sys_execve(struct task *t, const uint64_t a[6])
{
	struct gfile *file;
	char path[4096];
	int err = path_from_user(t, path, a[0]);

	if (!err)
		err = exec_open_file(t->g, t, path, &file);
	return err ? err : do_exec(t, file, path, a[1], a[2]);
}

/* What execveat()'s descriptor and path name together, as one path. */
static int path_at(struct task *t, int dirfd, char path[4096], struct gfile **file)
{
	struct gfile *dir;
	char *joined;
	int err = 0;

	*file = NULL;
	if (path[0] == '/' || (dirfd == AT_FDCWD && path[0]))
		return 0;
	dir = files_lookup(t->files, dirfd);
	if (!dir)
		return -EBADF;
	if (!path[0]) {
		snprintf(path, 4096, "/dev/fd/%d", dirfd);
		*file = dir;
		return exec_check_file(dir);
	}
	if (asprintf(&joined, "%s/%s", gfile_path(dir), path) < 0) {
		err = -ENOMEM;
	} else {
		if (strlen(joined) >= 4096)
			err = -ENAMETOOLONG;
		else
			memcpy(path, joined, strlen(joined) + 1);
		free(joined);
	}
	gfile_put(dir);
	return err;
}

int64_t sys_execveat(struct task *t, const uint64_t a[6])
{
	struct gfile *file = NULL;
	char path[4096];
	int err = path_from_user(t, path, a[1]);

	if (err)
		return err;
	if (a[4] & ~(uint64_t)(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW))
		return -EINVAL;
	if (!path[0] && !(a[4] & AT_EMPTY_PATH))
		return -ENOENT;
	err = path_at(t, (int)a[0], path, &file);
	if (!err && !file)
		err = exec_open_file(t->g, t, path, &file);
	if (err) {
		if (file)
			gfile_put(file);
		return err;
	}
	return do_exec(t, file, path, a[2], a[3]);
}
