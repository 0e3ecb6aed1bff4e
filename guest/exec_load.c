/* SPDX-License-Identifier: MIT */
/*
 * The first step of execve: find the program behind a name, through scripts and
 * interpreters, and load it into an address space of its own.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <umm/ksm.h>
#include <unistd.h>

#include "guest/exec.h"
#include "guest/host_dir.h"
#include "guest/path.h"
#include "guest/vdso.h"

#define SCRIPT_DEPTH_MAX 5
#define STACK_GAP_MIN    (128ul << 20) /* between mmap_base and the stack's top */
#define STACK_GAP_MAX    (UMM_TASK_SIZE / 6 * 5)

/* ---- the file ---------------------------------------------------------- */

int exec_check_file(const struct gfile *file)
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

int exec_open_file(struct guest *g, struct task *t, const char *path, struct gfile **out)
{
	int err = gfile_open(g, t, path, O_RDONLY, out);

	if (err)
		return err;
	err = exec_check_file(*out);
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
		ret = exec_open_file(g, t, name, file);
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
	gfile_put(im->exe);
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
		err = exec_open_file(g, t, name, &file);
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
	if (g->vdso)
		err = vdso_map(im->mm, g->vdso, &info.vdso);
	if (err)
		return err;
	note_program(im->mm, &place);
	info.interp_base = ef->layout.interp_len ? interp.bias : 0;
	im->entry = ef->layout.interp_len ? interp.entry : place.entry;
	if (im->entry >= UMM_TASK_SIZE)
		return -ENOEXEC;
	return exec_stack_setup(im->mm, x, &info, &im->sp);
}

/*
 * What /proc/PID/exe leads to, also when the file has lost its name or its folder may not be
 * searched. Not @file itself: that may be a descriptor of the program's, with its locks.
 */
static int program_place(const struct gfile *file, struct gfile **out)
{
	char link[64];
	int fd;

	snprintf(link, sizeof(link), "self/fd/%d", gfile_host_fd(file));
	fd = openat(host_proc_fd(), link, O_PATH | O_CLOEXEC);
	return fd < 0 ? -errno : gfile_create(NULL, fd, O_PATH, out);
}

static void set_comm(char comm[16], const char *path)
{
	const char *slash = strrchr(path, '/');

	snprintf(comm, 16, "%.15s", slash ? slash + 1 : path);
}

int exec_load(struct guest *g, struct task *t, struct gfile *file, const char *name,
	      struct exec_args *x, const struct rlimit *rlim, struct exec_image **out)
{
	struct exec_image *im = calloc(1, sizeof(*im));
	struct elf_file ef = { .file = NULL };
	int err = im ? resolve_scripts(g, t, &file, name, x) : -ENOMEM;

	if (!err)
		err = elf_open(file, &ef);
	if (!err)
		err = mm_create(g->cfg.sys, &im->mm);
	/* PR_SET_MEMORY_MERGE outlives exec. */
	if (!err && t && mm_merge_any(t->mm))
		err = mm_set_merge_any(im->mm, true);
	if (!err) {
		set_limits(im->mm, rlim);
		set_comm(im->comm, name);
		err = program_place(file, &im->exe);
		if (!err)
			err = load_program(g, t, im, &ef, x, name);
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
		err = exec_open_file(g, NULL, path, &file);
	if (!err)
		err = exec_load(g, NULL, file, path, &x, rlim, out);
	exec_args_free(&x);
	return err;
}
