/* SPDX-License-Identifier: MIT */
/*
 * execve: the new program is loaded completely into an address space of its own
 * while the old one is still there, so every failure is an errno to the old
 * program. Only then the other threads end and the task changes over; after
 * that nothing can fail.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest/exec.h"
#include "guest/syscalls.h"

#define SCRIPT_DEPTH_MAX 5
#define STACK_GAP_MIN    (128ul << 20) /* between mmap_base and the stack's top */
#define STACK_GAP_MAX    (UMM_TASK_SIZE / 6 * 5)

/* ---- the file ---------------------------------------------------------- */

static int check_executable(const struct gfile *file)
{
	struct stat st;
	int fd = gfile_host_fd(file);

	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EACCES;
	if (syscall(SYS_faccessat2, fd, "", X_OK, AT_EMPTY_PATH | AT_EACCESS)) {
		/* A kernel without faccessat2 has the mode bits at least. */
		if (errno != ENOSYS || !(st.st_mode & 0111))
			return -EACCES;
	}
	return 0;
}

static int open_executable(struct guest *g, struct task *t, const char *path, struct gfile **out)
{
	int err = gfile_open(g, t, path, O_RDONLY, out);

	if (err)
		return err;
	err = check_executable(*out);
	if (err) {
		gfile_put(*out);
		*out = NULL;
	}
	return err;
}

/*
 * Follow #! lines until @file is a program. @name: how scripts learn of
 * themselves. Replaces *file; the reference moves along.
 */
static int resolve_scripts(struct guest *g, struct task *t, struct gfile **file, const char *name,
			   struct exec_args *x)
{
	char head[SCRIPT_HEAD_SIZE + 1], previous[SCRIPT_HEAD_SIZE + 1];
	const char *strings[3];
	char *interp, *arg;
	unsigned int n;
	int depth, ret;

	for (depth = 0; depth <= SCRIPT_DEPTH_MAX; depth++) {
		memset(head, 0, sizeof(head));
		if (pread(gfile_host_fd(*file), head, SCRIPT_HEAD_SIZE, 0) < 0)
			return -errno;
		ret = script_parse(head, &interp, &arg);
		if (ret <= 0)
			return ret;
		n = 0;
		strings[n++] = interp;
		if (arg)
			strings[n++] = arg;
		strings[n++] = name;
		ret = exec_args_prepend(x, strings, n);
		if (ret)
			return ret;
		memmove(previous, interp, strlen(interp) + 1);
		name = previous;
		gfile_put(*file);
		*file = NULL;
		ret = open_executable(g, t, name, file);
		if (ret)
			return ret;
	}
	return -ELOOP;
}

/* ---- the image --------------------------------------------------------- */

void exec_image_free(struct exec_image *im)
{
	if (!im)
		return;
	if (im->mm)
		mm_put(im->mm);
	free(im->exe);
	free(im);
}

static void set_limits(struct mm *mm, const struct rlimit *rlim)
{
	uint64_t gap = rlim[RLIMIT_STACK].rlim_cur;

	mm->rlim_stack = rlim[RLIMIT_STACK].rlim_cur;
	mm->rlim_data = rlim[RLIMIT_DATA].rlim_cur;
	mm->rlim_as = rlim[RLIMIT_AS].rlim_cur;
	mm->rlim_memlock = rlim[RLIMIT_MEMLOCK].rlim_cur;
	if (gap < STACK_GAP_MIN)
		gap = STACK_GAP_MIN;
	if (gap > STACK_GAP_MAX)
		gap = STACK_GAP_MAX;
	mm->mmap_base = gva_make(page_align_down(UMM_TASK_SIZE - gap));
}

static int map_interp(struct guest *g, struct task *t, struct mm *mm, const struct elf_file *ef,
		      struct elf_place *out)
{
	char name[ELF_INTERP_MAX];
	struct elf_file interp;
	struct gfile *file;
	int err = elf_read_interp(ef, name);

	if (!err)
		err = open_executable(g, t, name, &file);
	if (err)
		return err;
	err = elf_open(file, &interp);
	gfile_put(file);
	if (err)
		return err == -ENOEXEC ? -ELIBBAD : err;
	err = elf_map(mm, &interp, true, out);
	elf_close(&interp);
	return err;
}

static void note_program(struct mm *mm, const struct elf_place *place)
{
	mm->start_code = gva_make(place->start_code);
	mm->end_code = gva_make(place->end_code);
	mm->start_data = gva_make(place->start_data);
	mm->end_data = gva_make(place->end_data);
	mm->start_brk = mm->brk = gva_make(place->end);
}

static int load_program(struct guest *g, struct task *t, struct exec_image *im,
			const struct elf_file *ef, const struct exec_args *x, const char *execfn)
{
	struct elf_place place, interp = { .bias = 0 };
	struct exec_stack_info info = {
		.ef = ef,
		.place = &place,
		.execfn = execfn,
		.executable = ef->layout.exec_stack,
	};
	int err = elf_map(im->mm, ef, false, &place);

	if (!err && ef->layout.interp_len)
		err = map_interp(g, t, im->mm, ef, &interp);
	if (err)
		return err;
	note_program(im->mm, &place);
	info.interp_base = ef->layout.interp_len ? interp.bias : 0;
	im->entry = ef->layout.interp_len ? interp.entry : place.entry;
	if (im->entry >= UMM_TASK_SIZE)
		return -ENOEXEC;
	return exec_stack_setup(im->mm, x, &info, &im->sp);
}

static char *host_path_of(const struct gfile *file)
{
	char link[64], path[4096];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", gfile_host_fd(file));
	n = readlink(link, path, sizeof(path) - 1);
	path[n < 0 ? 0 : n] = '\0';
	return strdup(path);
}

static void set_comm(char comm[16], const char *path)
{
	const char *slash = strrchr(path, '/');

	snprintf(comm, 16, "%.15s", slash ? slash + 1 : path);
}

/*
 * Load the program in @file, whose reference is taken over. @name: as the
 * caller named it.
 */
static int prepare(struct guest *g, struct task *t, struct gfile *file, const char *name,
		   struct exec_args *x, const struct rlimit *rlim, struct exec_image **out)
{
	struct exec_image *im = calloc(1, sizeof(*im));
	struct elf_file ef = { .file = NULL };
	int err = im ? resolve_scripts(g, t, &file, name, x) : -ENOMEM;

	if (!err)
		err = elf_open(file, &ef);
	if (!err)
		err = mm_create(g->cfg.sys, &im->mm);
	if (!err) {
		set_limits(im->mm, rlim);
		set_comm(im->comm, name);
		im->exe = host_path_of(file);
		err = im->exe ? load_program(g, t, im, &ef, x, name) : -ENOMEM;
	}
	elf_close(&ef);
	if (file)
		gfile_put(file);
	if (err)
		exec_image_free(im);
	else
		*out = im;
	return err;
}

int exec_prepare_first(struct guest *g, const char *path, char *const argv[], char *const envp[],
		       struct exec_image **out)
{
	struct rlimit rlim[RLIM_NLIMITS];
	struct exec_args x;
	struct gfile *file;
	int err, i;

	for (i = 0; i < RLIM_NLIMITS; i++)
		if (getrlimit((__rlimit_resource_t)i, &rlim[i]))
			rlim[i].rlim_cur = rlim[i].rlim_max = RLIM_INFINITY;
	exec_args_init(&x, rlim[RLIMIT_STACK].rlim_cur);
	err = exec_args_from_host(&x, argv, envp);
	if (!err)
		err = open_executable(g, NULL, path, &file);
	if (!err)
		err = prepare(g, NULL, file, path, &x, rlim, out);
	exec_args_free(&x);
	return err;
}

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
	t->mm->id = t->proc->pid;
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

	task_release_memory(t);
	t->robust_list = 0;
	guest_lock(t->g);
	if (rss > p->max_rss)
		p->max_rss = rss;
	t->mm = im->mm;
	im->mm->id = p->pid;
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
	free(p->exe);
	p->exe = im->exe;
	im->exe = NULL;
	p->has_execed = true;
	p->dumpable = true;
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
		err = prepare(t->g, t, file, name, &x, rlim, &im);
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
		err = open_executable(t->g, t, path, &file);
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
		return check_executable(dir);
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
		err = open_executable(t->g, t, path, &file);
	if (err) {
		if (file)
			gfile_put(file);
		return err;
	}
	return do_exec(t, file, path, a[2], a[3]);
}
