/* SPDX-License-Identifier: MIT */
/* maps, smaps, smaps_rollup and numa_maps of a process. Formats: proc(5). */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "guest/filemap.h"
#include "guest/procfs.h"
#include "guest/task.h"
#include "guest/vdso.h"

/* Where the name stands in a line of maps. */
#define NAME_COLUMN 73

struct maps_writer {
	FILE *out;
	struct mm *mm;
	gva_t brk; /* read ahead: the walk holds mmap_lock */
	unsigned int nr_nodes;
	const struct mempolicy *policy; /* numa_maps: of the thread */
	struct vma_usage sum;           /* smaps_rollup */
	gva_t first, last;
};

static const char *special_name(const struct maps_writer *w, const struct vma_report *v)
{
	if (v->mapping)
		return vdso_is(v->mapping) ? VDSO_NAME : NULL;
	if (v->start.v <= w->mm->start_stack.v && v->end.v >= w->mm->start_stack.v &&
	    w->mm->start_stack.v)
		return "[stack]";
	if (v->start.v < w->brk.v && v->end.v > w->mm->start_brk.v)
		return "[heap]";
	return NULL;
}

/* Linux escapes a newline only. */
static void print_name(FILE *out, const char *name)
{
	for (; *name; name++) {
		if (*name == '\n')
			fputs("\\012", out);
		else
			fputc(*name, out);
	}
}

static void print_line(struct maps_writer *w, const struct vma_report *v)
{
	const char *special = special_name(w, v);
	uint64_t dev = 0, ino = 0;
	char path[PATH_MAX] = "";
	int n;

	if (v->mapping && !special) {
		mapping_identity(v->mapping, &dev, &ino);
		if (mapping_readlink(v->mapping, path, sizeof(path)))
			strcpy(path, "/dev/zero (deleted)");
	} else if (special) {
		strcpy(path, special);
	}
	n = fprintf(w->out,
		    "%08" PRIx64 "-%08" PRIx64 " %c%c%c%c %08" PRIx64 " %02x:%02x %" PRIu64 " ",
		    v->start.v, v->end.v, v->flags & VM_READ ? 'r' : '-',
		    v->flags & VM_WRITE ? 'w' : '-', v->flags & VM_EXEC ? 'x' : '-',
		    v->flags & VM_MAYSHARE ? 's' : 'p',
		    v->mapping ? v->pgoff.v << UMM_PAGE_SHIFT : 0, major(dev), minor(dev), ino);
	if (*path) {
		fprintf(w->out, "%*s", n < NAME_COLUMN ? NAME_COLUMN - n : 0, "");
		print_name(w->out, path);
	}
	fputc('\n', w->out);
}

static void report_done(const struct vma_report *v)
{
	if (v->mapping)
		mapping_put(v->mapping);
}

static int write_maps(const struct vma_report *v, void *arg)
{
	print_line(arg, v);
	report_done(v);
	return 0;
}

/* ---- smaps ----------------------------------------------------------------------- */

static void print_kb(FILE *out, const char *key, uint64_t pages)
{
	fprintf(out, "%s:%*s%8" PRIu64 " kB\n", key, (int)(15 - strlen(key)), "", pages * 4);
}

static void print_usage(FILE *out, const struct vma_usage *u)
{
	print_kb(out, "Rss", u->rss);
	fprintf(out, "Pss:            %8" PRIu64 " kB\n", u->pss_x4096 / 1024);
	print_kb(out, "Pss_Dirty", u->private_dirty);
	print_kb(out, "Shared_Clean", u->shared_clean);
	print_kb(out, "Shared_Dirty", u->shared_dirty);
	print_kb(out, "Private_Clean", u->private_clean);
	print_kb(out, "Private_Dirty", u->private_dirty);
	print_kb(out, "Referenced", u->referenced);
	print_kb(out, "Anonymous", u->anonymous);
	print_kb(out, "KSM", u->ksm);
	print_kb(out, "LazyFree", u->lazyfree);
	print_kb(out, "AnonHugePages", u->anon_huge);
	print_kb(out, "ShmemPmdMapped", 0);
	print_kb(out, "FilePmdMapped", 0);
	print_kb(out, "Shared_Hugetlb", 0);
	print_kb(out, "Private_Hugetlb", 0);
	print_kb(out, "Swap", u->swap);
	print_kb(out, "SwapPss", u->swap);
	print_kb(out, "Locked", u->locked);
}

static void print_vm_flags(FILE *out, uint64_t flags)
{
	static const struct {
		uint64_t bit;
		char name[3];
	} names[] = {
		{ VM_READ, "rd" },       { VM_WRITE, "wr" },      { VM_EXEC, "ex" },
		{ VM_SHARED, "sh" },     { VM_MAYREAD, "mr" },    { VM_MAYWRITE, "mw" },
		{ VM_MAYEXEC, "me" },    { VM_MAYSHARE, "ms" },   { VM_GROWSDOWN, "gd" },
		{ VM_LOCKED, "lo" },     { VM_SEQ_READ, "sr" },   { VM_RAND_READ, "rr" },
		{ VM_DONTCOPY, "dc" },   { VM_DONTEXPAND, "de" }, { VM_LOCKONFAULT, "lf" },
		{ VM_ACCOUNT, "ac" },    { VM_NORESERVE, "nr" },  { VM_SYNC, "sf" },
		{ VM_WIPEONFORK, "wf" }, { VM_DONTDUMP, "dd" },   { VM_SOFTDIRTY, "sd" },
		{ VM_HUGEPAGE, "hg" },   { VM_NOHUGEPAGE, "nh" }, { VM_MERGEABLE, "mg" },
		{ VM_SEALED, "sl" },
	};
	size_t i;

	fputs("VmFlags: ", out);
	for (i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (flags & names[i].bit)
			fprintf(out, "%s ", names[i].name);
	fputc('\n', out);
}

static int write_smaps(const struct vma_report *v, void *arg)
{
	struct maps_writer *w = arg;

	print_line(w, v);
	print_kb(w->out, "Size", (v->end.v - v->start.v) >> UMM_PAGE_SHIFT);
	print_kb(w->out, "KernelPageSize", 1);
	print_kb(w->out, "MMUPageSize", 1);
	print_usage(w->out, &v->usage);
	fputs("THPeligible:           0\n", w->out);
	print_vm_flags(w->out, v->flags);
	report_done(v);
	return 0;
}

static int sum_usage(const struct vma_report *v, void *arg)
{
	struct maps_writer *w = arg;
	struct vma_usage *s = &w->sum;
	const struct vma_usage *u = &v->usage;

	if (!w->first.v)
		w->first = v->start;
	w->last = v->end;
	s->rss += u->rss;
	s->pss_x4096 += u->pss_x4096;
	s->shared_clean += u->shared_clean;
	s->shared_dirty += u->shared_dirty;
	s->private_clean += u->private_clean;
	s->private_dirty += u->private_dirty;
	s->referenced += u->referenced;
	s->anonymous += u->anonymous;
	s->ksm += u->ksm;
	s->lazyfree += u->lazyfree;
	s->swap += u->swap;
	s->locked += u->locked;
	report_done(v);
	return 0;
}

/* ---- numa_maps --------------------------------------------------------------------- */

/* Nodes as "0-1,3". */
static void print_nodes(FILE *out, uint64_t nodes)
{
	const char *comma = "";

	for (unsigned int i = 0, end; i < 64; i = end + 1) {
		for (end = i; end < 64 && nodes >> end & 1; end++)
			;
		if (end == i)
			continue;
		fprintf(out, end - i > 1 ? "%s%u-%u" : "%s%u", comma, i, end - 1);
		comma = ",";
	}
}

static void print_policy(FILE *out, const struct mempolicy *p)
{
	static const char *const names[POLICY_NR] = {
		[POLICY_DEFAULT] = "default",
		[POLICY_PREFERRED] = "prefer",
		[POLICY_BIND] = "bind",
		[POLICY_INTERLEAVE] = "interleave",
		[POLICY_LOCAL] = "local",
		[POLICY_PREFERRED_MANY] = "prefer (many)",
		[POLICY_WEIGHTED_INTERLEAVE] = "weighted interleave",
	};
	unsigned int sets = POLICY_F_STATIC_NODES | POLICY_F_RELATIVE_NODES;

	fputs(names[p ? p->mode : POLICY_DEFAULT], out);
	if (!p)
		return;
	if (p->flags & sets)
		fputs(p->flags & POLICY_F_STATIC_NODES ? "=static" : "=relative", out);
	if (p->flags & POLICY_F_NUMA_BALANCING)
		fputs(p->flags & sets ? "|balancing" : "=balancing", out);
	if (p->nodes) {
		fputc(':', out);
		print_nodes(out, p->nodes);
	}
}

/* Names have what would end them written in octal, as Linux does here. */
static void print_escaped(FILE *out, const char *name)
{
	for (; *name; name++) {
		if (strchr("\n\t= ", *name))
			fprintf(out, "\\%03o", *name);
		else
			fputc(*name, out);
	}
}

static void print_placed(FILE *out, const struct vma_usage *u, unsigned int nr_nodes)
{
	uint64_t dirty = u->shared_dirty + u->private_dirty;

	if (u->anonymous)
		fprintf(out, " anon=%" PRIu64, u->anonymous);
	if (dirty)
		fprintf(out, " dirty=%" PRIu64, dirty);
	if (u->rss != u->anonymous && u->rss != dirty)
		fprintf(out, " mapped=%" PRIu64, u->rss);
	if (u->mapmax > 1)
		fprintf(out, " mapmax=%" PRIu64, u->mapmax);
	if (u->swapcache)
		fprintf(out, " swapcache=%" PRIu64, u->swapcache);
	if (u->active < u->rss)
		fprintf(out, " active=%" PRIu64, u->active);
	if (u->writeback)
		fprintf(out, " writeback=%" PRIu64, u->writeback);
	for (unsigned int i = 0; i < nr_nodes; i++)
		if (u->on_node[i])
			fprintf(out, " N%u=%" PRIu64, i, u->on_node[i]);
	fputs(" kernelpagesize_kB=4", out);
}

static int write_numa_maps(const struct vma_report *v, void *arg)
{
	struct maps_writer *w = arg;
	const char *special = special_name(w, v);
	char path[PATH_MAX];

	fprintf(w->out, "%08" PRIx64 " ", v->start.v);
	print_policy(w->out, v->policy ? v->policy : w->policy);
	if (v->mapping && !mapping_readlink(v->mapping, path, sizeof(path))) {
		fputs(" file=", w->out);
		print_escaped(w->out, path);
	} else if (special) {
		fprintf(w->out, " %.*s", (int)strlen(special) - 2, special + 1);
	}
	if (v->usage.rss)
		print_placed(w->out, &v->usage, w->nr_nodes);
	fputc('\n', w->out);
	report_done(v);
	return 0;
}

/* ---- the files ---------------------------------------------------------------------- */

static int take_mm(const struct proc_info *p, void *arg)
{
	struct mm **mm = arg;

	*mm = p->mm ? mm_get(p->mm) : NULL;
	return 0;
}

/* Walk the areas of @n's process; a zombie has none. */
static int walk(struct task *t, const struct proc_name *n, FILE *out, bool usage,
		int (*fn)(const struct vma_report *v, void *arg), struct maps_writer *w)
{
	struct mm *mm = NULL;
	int r = guest_with_proc(task_guest(t), n->pid, take_mm, &mm);

	if (r || !mm)
		return r;
	w->out = out;
	w->mm = mm;
	w->nr_nodes = mm_sys_nr_nodes(mm->sys);
	umm_read_lock(&mm->mmap_lock);
	w->brk = mm->brk;
	umm_read_unlock(&mm->mmap_lock);
	r = mm_for_each_vma(mm, usage, fn, w);
	mm_put(mm);
	return r;
}

int procfs_show_maps(struct task *t, const struct proc_name *n, FILE *out)
{
	struct maps_writer w = { .out = NULL };
	int r = walk(t, n, out, false, write_maps, &w);

	/* No area: it is in the kernel half, as Linux's [vsyscall] is. */
	if (!r && w.out && task_guest(t)->vdso)
		fprintf(out, "%-*s" VVAR_NAME "\n", NAME_COLUMN,
			VVAR_RANGE " r--p 00000000 00:00 0");
	return r;
}

int procfs_show_smaps(struct task *t, const struct proc_name *n, FILE *out)
{
	struct maps_writer w = { .out = NULL };

	return walk(t, n, out, true, write_smaps, &w);
}

int procfs_show_smaps_rollup(struct task *t, const struct proc_name *n, FILE *out)
{
	struct maps_writer w = { .out = NULL };
	int r = walk(t, n, out, true, sum_usage, &w);

	if (r || !w.out)
		return r;
	fprintf(out, "%08" PRIx64 "-%08" PRIx64 " ---p 00000000 00:00 0%*s[rollup]\n", w.first.v,
		w.last.v, 24, "");
	print_usage(out, &w.sum);
	return 0;
}

/* What holds for areas without a policy: a reference, or NULL. */
static struct mempolicy *thread_policy(struct task *t, int32_t tid)
{
	struct guest *g = task_guest(t);
	struct mempolicy *p = NULL;
	struct task *thread;

	guest_lock(g);
	thread = task_find(g, tid);
	if (thread)
		p = mm_thread_policy(&thread->placement);
	guest_unlock(g);
	return p;
}

int procfs_show_numa_maps(struct task *t, const struct proc_name *n, FILE *out)
{
	struct mempolicy *policy = thread_policy(t, n->tid);
	struct maps_writer w = { .policy = policy };
	int r = walk(t, n, out, true, write_numa_maps, &w);

	mempolicy_put(policy);
	return r;
}
