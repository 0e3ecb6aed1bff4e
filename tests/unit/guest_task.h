/* SPDX-License-Identifier: MIT */
/*
 * A guest with one task that never runs, on the fake host: for tests that call
 * system calls of guest/ as functions. Its memory is real, so pointers are good or
 * bad as they would be for a program.
 */
#ifndef TESTS_GUEST_TASK_H
#define TESTS_GUEST_TASK_H

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "guest/files.h"
#include "guest/fs.h"
#include "guest/syscalls.h"
#include "guest/task.h"
#include "tests/unit/util.h"

#define GUEST_BUF_PAGES 64

struct guest_unit {
	struct fake_host *h;
	struct guest *g;
	struct task *t;
	gva_t buf;    /* GUEST_BUF_PAGES pages to read and write, then a hole */
	char dir[64]; /* an empty folder; the working directory */
};

static inline void guest_unit_no_hook(void (*hook)(void *ucontext))
{
	(void)hook;
}

static inline void guest_unit_open(struct guest_unit *u)
{
	static const struct vcpu_ops no_ops;
	struct guest_config cfg = { .vcpu_ops = &no_ops,
				    .nr_cpus = 4,
				    .set_kick_hook = guest_unit_no_hook };
	struct proc *p;
	int i;

	/* As the VMM does: what is for a guest must not end it. */
	signal(SIGPIPE, SIG_IGN);
	u->h = unit_open();
	cfg.sys = u->h->sys;
	CU_ASSERT_EQUAL_FATAL(guest_create(&cfg, &u->g), 0);
	p = proc_alloc(u->g);
	CU_ASSERT_PTR_NOT_NULL_FATAL(p);
	p->sighand = sighand_alloc();
	u->t = task_alloc(p);
	p->pid = p->pgid = u->t->tid = pid_alloc(u->g);
	for (i = 0; i < RLIM_NLIMITS; i++)
		p->rlim[i].rlim_cur = p->rlim[i].rlim_max = 100;
	p->rlim[RLIMIT_FSIZE].rlim_cur = p->rlim[RLIMIT_FSIZE].rlim_max = RLIM_INFINITY;
	u->t->mm = unit_mm(u->h);
	CU_ASSERT_EQUAL_FATAL(files_create(&u->t->files), 0);
	strcpy(u->dir, "/tmp/umm-unit-XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(u->dir));
	CU_ASSERT_EQUAL_FATAL(chdir(u->dir), 0);
	CU_ASSERT_EQUAL_FATAL(fs_create(&u->t->fs), 0);
	fs_set_umask(u->t->fs, 022);
	guest_lock(u->g);
	proc_publish(p, NULL);
	task_publish(u->t);
	guest_unlock(u->g);
	u->buf = unit_map(u->t->mm, GUEST_BUF_PAGES + 1, PROT_RW, MAP_ANON_PRIVATE);
	unit_unmap(u->t->mm, page_at(u->buf, GUEST_BUF_PAGES), 1);
}

static inline void guest_unit_close(struct guest_unit *u)
{
	char cmd[128];

	files_put(u->t->files);
	fs_put(u->t->fs);
	mm_put(u->t->mm);
	guest_lock(u->g);
	task_unpublish(u->t);
	guest_unlock(u->g);
	task_free(u->t);
	guest_destroy(u->g);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", u->dir);
	CU_ASSERT_EQUAL(chdir("/") || system(cmd), 0);
	unit_close(u->h);
}

/* A system call by its function, with up to six arguments. */
#define GUEST_CALL(u, name, ...) sys_##name((u)->t, (const uint64_t[6]){ __VA_ARGS__ })

/* Put bytes at @off in the buffer; the address. */
static inline uint64_t guest_put(struct guest_unit *u, uint64_t off, const void *data, size_t len)
{
	CU_ASSERT_EQUAL(mm_copy_to_guest(u->t->mm, gva_add(u->buf, off), data, len, NULL), 0);
	return u->buf.v + off;
}

static inline uint64_t guest_put_str(struct guest_unit *u, uint64_t off, const char *s)
{
	return guest_put(u, off, s, strlen(s) + 1);
}

/* True if the guest's bytes at @off are @data. */
static inline bool guest_holds(struct guest_unit *u, uint64_t off, const void *data, size_t len)
{
	char *copy = malloc(len + 1);
	bool same = copy && !mm_copy_from_guest(u->t->mm, copy, gva_add(u->buf, off), len, NULL) &&
		    !memcmp(copy, data, len);

	free(copy);
	return same;
}

/* openat() of a name; the guest's number or -errno. */
static inline int guest_open(struct guest_unit *u, const char *name, int flags)
{
	return (int)GUEST_CALL(u, openat, (uint64_t)AT_FDCWD, guest_put_str(u, 0, name),
			       (uint64_t)flags, 0644);
}

/* What a file of the host holds, for comparing; NULL if it cannot be read. Free it. */
static inline char *host_file_text(const char *name, size_t *len)
{
	FILE *f = fopen(name, "r");
	char *text = NULL;

	*len = 0;
	if (!f)
		return NULL;
	text = calloc(1, 1 << 20);
	if (text)
		*len = fread(text, 1, (1 << 20) - 1, f);
	fclose(f);
	return text;
}

#endif
