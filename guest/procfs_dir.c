/* SPDX-License-Identifier: MIT */
/* What the folders of /proc list. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest/host_dir.h"
#include "guest/proc_io.h"

struct lister {
	const char *dir;
	proc_entry_fn *fn;
	void *arg;
};

static int list_entry_named(const struct lister *l, const char *name, unsigned char type)
{
	char full[PATH_MAX];

	snprintf(full, sizeof(full), "%s/%s", l->dir, name);
	return l->fn(name, type, procfs_inode(full), l->arg);
}

static int list_number(const struct lister *l, int number, unsigned char type)
{
	char name[16];

	snprintf(name, sizeof(name), "%d", number);
	return list_entry_named(l, name, type);
}

int proc_files_list(const char *dir, const struct proc_file *files, proc_entry_fn *fn, void *arg)
{
	const struct lister l = { dir, fn, arg };
	int r = 0;

	for (; !r && files->name; files++)
		r = list_entry_named(&l, files->name, DT_REG);
	return r;
}

static int list_fds(struct task *t, int32_t pid, const struct lister *l)
{
	struct files *f = guest_proc_files(task_guest(t), pid);
	int fd, r = 0;

	if (!f)
		return -ENOENT;
	for (fd = files_next(f, 0); !r && fd >= 0; fd = files_next(f, fd + 1))
		r = list_number(l, fd, DT_LNK);
	files_put(f);
	return r;
}

static int list_tasks(struct task *t, int32_t pid, const struct lister *l)
{
	int nr = guest_proc_tids(task_guest(t), pid, NULL, 0), i, r = 0;
	int32_t *tids;

	if (nr < 0)
		return -ENOENT;
	tids = calloc((size_t)nr + 1, sizeof(*tids));
	if (!tids)
		return -ENOMEM;
	i = guest_proc_tids(task_guest(t), pid, tids, (unsigned int)nr);
	nr = i < nr ? i : nr;
	for (i = 0; !r && i < nr; i++)
		r = list_number(l, tids[i], DT_DIR);
	free(tids);
	return r;
}

struct pid_list {
	int32_t *pids;
	size_t nr, cap;
};

static int collect_pid(const struct proc_info *p, void *arg)
{
	struct pid_list *list = arg;
	size_t cap = list->cap ? list->cap * 2 : 64;
	int32_t *more;

	if (list->nr == list->cap) {
		more = realloc(list->pids, cap * sizeof(*more));
		if (!more)
			return -ENOMEM;
		list->pids = more;
		list->cap = cap;
	}
	list->pids[list->nr++] = p->pid;
	return 0;
}

/* The host's names that are not numbers stay visible; processes are the guest's. */
static int list_root(struct task *t, const struct lister *l)
{
	struct pid_list pids = { .nr = 0 };
	struct dirent *e;
	DIR *host;
	size_t i;
	int fd, r = 0;

	fd = host_proc_open(".", O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		return fd;
	host = fdopendir(fd);
	if (!host) {
		r = -errno;
		close(fd);
		return r;
	}
	while (!r && (e = readdir(host)))
		if (e->d_name[0] != '.' && (e->d_name[0] < '0' || e->d_name[0] > '9') &&
		    procfs_shows(t, e->d_name))
			r = list_entry_named(l, e->d_name, e->d_type);
	closedir(host);
	if (!r)
		r = guest_for_each_proc(task_guest(t), collect_pid, &pids);
	for (i = 0; !r && i < pids.nr; i++)
		r = list_number(l, pids.pids[i], DT_DIR);
	free(pids.pids);
	return r;
}

static int list_process(const struct lister *l, bool in_task)
{
	static const char *const dirs[] = { "fd", "fdinfo", "task" };
	static const char *const links[] = { "cwd", "exe", "root" };
	const struct proc_io_name *io;
	size_t i;
	int r = 0;

	for (i = 0; !r && i < 3u - in_task; i++)
		r = list_entry_named(l, dirs[i], DT_DIR);
	for (i = 0; !r && i < 3; i++)
		r = list_entry_named(l, links[i], DT_LNK);
	for (io = procfs_pid_io; !r && io->name; io++)
		r = list_entry_named(l, io->name, DT_REG);
	return r ? r : proc_files_list(l->dir, procfs_pid_files, l->fn, l->arg);
}

int procfs_list(struct task *t, const char *name, proc_entry_fn *fn, void *arg)
{
	struct lister l = { name, fn, arg };
	struct proc_name n;
	int r = procfs_parse(t, name, &n);

	if (r)
		return r;
	if (path_below(name, "/sys", NULL))
		return sysfs_list(t, name, fn, arg);
	if (procfs_sysctl_owns(name))
		return procfs_sysctl_list(name, fn, arg);
	if (!n.pid)
		return list_root(t, &l);
	if (n.leaf && !strcmp(n.leaf, "fd"))
		return list_fds(t, n.pid, &l);
	if (n.leaf && !strcmp(n.leaf, "fdinfo"))
		return 0;
	if (n.leaf && !strcmp(n.leaf, "task"))
		return list_tasks(t, n.pid, &l);
	return list_process(&l, strstr(name, "/task/") != NULL);
}
