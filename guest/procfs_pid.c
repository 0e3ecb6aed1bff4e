/* SPDX-License-Identifier: MIT */
/* What /proc/PID tells of a process. Formats: proc(5). */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <umm/ksm.h>
#include <unistd.h>

#include "guest/host_dir.h"
#include "guest/procfs.h"
#include "guest/task.h"

/*
 * A process as it was at one moment, with references on what it had. What is of a thread is
 * of the one asked for, if it is still there.
 */
struct snapshot {
	struct proc_info info;
	struct mm *mm; /* NULL: zombie */
	struct creds_groups *groups;
	char comm[16];
	int exit_status; /* of a zombie, as wait() gives it */
	struct rlimit rlim[RLIM_NLIMITS];
	struct proc_creds creds;
	uint64_t signals_queued;
	bool no_new_privs;
};

static int snapshot_fill(const struct proc_info *p, void *arg)
{
	struct snapshot *s = arg;

	s->info = *p;
	s->mm = p->mm ? mm_get(p->mm) : NULL;
	return 0;
}

/* Lock held. */
static void snapshot_thread(struct snapshot *s, const struct task *t)
{
	memcpy(s->comm, t->comm, sizeof(s->comm));
	s->info.pending = t->pending.set;
	s->info.blocked = t->blocked;
	if (s->info.state == 'R' || s->info.state == 'S')
		s->info.state = __atomic_load_n(&t->sleeping, __ATOMIC_RELAXED) ? 'S' : 'R';
}

static int snapshot_take(struct task *t, const struct proc_name *n, struct snapshot *s)
{
	struct guest *g = task_guest(t);
	struct task *thread;
	struct proc *p;
	int r;

	memset(s, 0, sizeof(*s));
	r = guest_with_proc(g, n->pid, snapshot_fill, s);
	if (r)
		return r;
	memcpy(s->comm, s->info.comm, sizeof(s->comm));
	guest_lock(g);
	thread = task_find(g, n->tid);
	if (thread && thread->proc->pid == n->pid)
		snapshot_thread(s, thread);
	p = proc_find(g, n->pid);
	if (p) {
		memcpy(s->rlim, p->rlim, sizeof(s->rlim));
		s->creds = p->creds;
		s->groups = creds_groups_get(p->groups);
		s->signals_queued = signals_queued(p);
		s->no_new_privs = p->no_new_privs;
		s->exit_status = p->zombie ? p->status : 0;
		/* Linux keeps the first thread until somebody has waited for it. */
		s->info.nr_tasks = p->nr_tasks ? p->nr_tasks : 1;
	}
	guest_unlock(g);
	return 0;
}

static void snapshot_drop(struct snapshot *s)
{
	if (s->mm)
		mm_put(s->mm);
	creds_groups_put(s->groups);
}

/* Sizes in pages, read together. */
struct mm_sizes {
	uint64_t total, peak_total, locked, data, stack, exec;
	int64_t tables, anon, file, shmem, swap, rss, peak;
	gva_t start_code, end_code, start_data, end_data, start_brk, start_stack;
	gva_t arg_start, arg_end, env_start, env_end;
};

static void mm_sizes_read(struct mm *mm, struct mm_sizes *z)
{
	memset(z, 0, sizeof(*z));
	if (!mm)
		return;
	umm_read_lock(&mm->mmap_lock);
	z->total = mm->total_vm;
	z->peak_total = mm->peak_vm;
	z->locked = mm->locked_vm;
	z->data = mm->data_vm;
	z->stack = mm->stack_vm;
	z->exec = mm->exec_vm;
	umm_read_unlock(&mm->mmap_lock);
	z->anon = __atomic_load_n(&mm->counters[MM_ANONPAGES], __ATOMIC_RELAXED);
	z->file = __atomic_load_n(&mm->counters[MM_FILEPAGES], __ATOMIC_RELAXED);
	z->shmem = __atomic_load_n(&mm->counters[MM_SHMEMPAGES], __ATOMIC_RELAXED);
	z->swap = __atomic_load_n(&mm->counters[MM_SWAPENTS], __ATOMIC_RELAXED);
	z->rss = z->anon + z->file + z->shmem;
	z->tables = __atomic_load_n(&mm->nr_tables, __ATOMIC_RELAXED);
	z->peak = __atomic_load_n(&mm->peak_rss, __ATOMIC_RELAXED);
	z->peak = z->peak > z->rss ? z->peak : z->rss;
	z->start_code = mm->start_code;
	z->end_code = mm->end_code;
	z->start_data = mm->start_data;
	z->end_data = mm->end_data;
	z->start_brk = mm->start_brk;
	z->start_stack = mm->start_stack;
	z->arg_start = mm->arg_start;
	z->arg_end = mm->arg_end;
	z->env_start = mm->env_start;
	z->env_end = mm->env_end;
}

/* ---- status ------------------------------------------------------------------- */

static const char *state_name(char state)
{
	switch (state) {
	case 'R':
		return "R (running)";
	case 'T':
		return "T (stopped)";
	case 'Z':
		return "Z (zombie)";
	case 'D':
		return "D (disk sleep)";
	default:
		return "S (sleeping)";
	}
}

static void status_memory(const struct mm_sizes *z, FILE *out)
{
	uint64_t text = (page_align_up(z->end_code.v) - page_align_down(z->start_code.v)) >> 10;
	uint64_t exec = z->exec * 4, lib = exec > text ? exec - text : 0;

	fprintf(out, "VmPeak:\t%8" PRIu64 " kB\nVmSize:\t%8" PRIu64 " kB\n", z->peak_total * 4,
		z->total * 4);
	fprintf(out, "VmLck:\t%8" PRIu64 " kB\nVmPin:\t%8d kB\n", z->locked * 4, 0);
	fprintf(out, "VmHWM:\t%8" PRId64 " kB\nVmRSS:\t%8" PRId64 " kB\n", z->peak * 4, z->rss * 4);
	fprintf(out, "RssAnon:\t%8" PRId64 " kB\nRssFile:\t%8" PRId64 " kB\n", z->anon * 4,
		z->file * 4);
	fprintf(out, "RssShmem:\t%8" PRId64 " kB\n", z->shmem * 4);
	fprintf(out, "VmData:\t%8" PRIu64 " kB\nVmStk:\t%8" PRIu64 " kB\n", z->data * 4,
		z->stack * 4);
	fprintf(out, "VmExe:\t%8" PRIu64 " kB\nVmLib:\t%8" PRIu64 " kB\n", text, lib);
	/* Linux does not count the top table. */
	fprintf(out, "VmPTE:\t%8" PRId64 " kB\n", (z->tables - 1) * 4);
	fprintf(out, "VmSwap:\t%8" PRId64 " kB\nHugetlbPages:\t%8d kB\n", z->swap * 4, 0);
	fprintf(out, "CoreDumping:\t0\nTHP_enabled:\t1\n");
}

/* A mask as Linux prints it: groups of 32 bits, highest first; @nr is 32 at least. */
static void print_mask(FILE *out, unsigned int nr, unsigned int set)
{
	unsigned int word, bit;
	uint32_t v;

	for (word = nr / 32; word-- > 0;) {
		v = 0;
		for (bit = 0; bit < 32; bit++)
			if (word * 32 + bit < set)
				v |= 1u << bit;
		fprintf(out, "%08x%s", v, word ? "," : "");
	}
}

/* As many digits as the processors need; then groups of 32 bits. */
static void print_cpus(FILE *out, const uint64_t *mask, unsigned int nr)
{
	const char *comma = "";

	fputs("Cpus_allowed:\t", out);
	for (unsigned int word = (nr + 31) / 32; word-- > 0;)
		fprintf(out, nr <= 32 ? "%x%s" : "%08x%s",
			(uint32_t)(mask[word / 2] >> (word % 2 * 32)), word ? "," : "\n");
	fputs("Cpus_allowed_list:\t", out);
	for (unsigned int i = 0, end; i < nr; i = end + 1) {
		for (end = i; end < nr && mask[end / 64] >> (end % 64) & 1; end++)
			;
		if (end == i)
			continue;
		fprintf(out, end - i > 1 ? "%s%u-%u" : "%s%u", comma, i, end - 1);
		comma = ",";
	}
	fputc('\n', out);
}

static void status_places(struct task *t, int32_t tid, FILE *out)
{
	unsigned int cpus = procfs_nr_cpus(t);
	unsigned int nodes = mm_sys_nr_nodes(guest_config(task_guest(t))->sys);
	uint64_t mask[CPU_MASK_WORDS] = { 0 };
	struct task *thread;

	guest_lock(task_guest(t));
	thread = task_find(task_guest(t), tid);
	for (unsigned int i = 0; i < cpus && i < CPU_MASK_WORDS * 64; i++)
		if (!thread || task_may_use_cpu(thread, i))
			mask[i / 64] |= 1ull << (i % 64);
	guest_unlock(task_guest(t));
	print_cpus(out, mask, cpus);
	/* libnuma takes the length of this line for the kernel's largest node number. */
	fprintf(out, "Mems_allowed:\t");
	print_mask(out, 1024, nodes);
	fprintf(out, nodes > 1 ? "\nMems_allowed_list:\t0-%u\n" : "\nMems_allowed_list:\t%u\n",
		nodes - 1);
}

/* What it has, and not who asks. */
static void status_umask(struct guest *g, int32_t pid, FILE *out)
{
	struct fs *fs = guest_proc_fs(g, pid);

	if (!fs)
		return;
	fprintf(out, "Umask:\t%04o\n", fs_umask(fs));
	fs_put(fs);
}

static unsigned int table_size(struct guest *g, int32_t pid)
{
	struct files *files = guest_proc_files(g, pid);
	unsigned int size = files ? files_size(files) : 0;

	files_put(files);
	return size;
}

static void status_ids(const struct snapshot *s, unsigned int fd_size, FILE *out)
{
	const struct proc_creds *c = &s->creds;
	uint32_t nr = s->groups ? s->groups->nr : 0, i;

	fprintf(out, "Uid:\t%u\t%u\t%u\t%u\n", c->uid, c->euid, c->suid, c->fsuid);
	fprintf(out, "Gid:\t%u\t%u\t%u\t%u\n", c->gid, c->egid, c->sgid, c->fsgid);
	fprintf(out, "FDSize:\t%u\nGroups:\t", fd_size);
	for (i = 0; i < nr; i++)
		fprintf(out, "%u ", s->groups->gid[i]);
	fprintf(out, nr > 0 ? "\n" : " \n");
}

static void status_capabilities(const struct proc_creds *c, FILE *out)
{
	fprintf(out, "CapInh:\t%016" PRIx64 "\nCapPrm:\t%016" PRIx64 "\nCapEff:\t%016" PRIx64 "\n",
		c->cap_inheritable, c->cap_permitted, c->cap_effective);
	fprintf(out, "CapBnd:\t%016" PRIx64 "\nCapAmb:\t%016" PRIx64 "\n", c->cap_bounding,
		c->cap_ambient);
}

static int show_status(struct task *t, const struct proc_name *n, FILE *out)
{
	struct snapshot s;
	struct mm_sizes z;
	int r = snapshot_take(t, n, &s);

	if (r)
		return r;
	mm_sizes_read(s.mm, &z);
	fprintf(out, "Name:\t%.16s\n", s.comm);
	status_umask(task_guest(t), n->pid, out);
	fprintf(out, "State:\t%s\n", state_name(s.info.state));
	fprintf(out, "Tgid:\t%d\nNgid:\t0\nPid:\t%d\nPPid:\t%d\nTracerPid:\t0\n", n->pid, n->tid,
		s.info.ppid);
	status_ids(&s, table_size(task_guest(t), n->pid), out);
	fprintf(out, "NStgid:\t%d\nNSpid:\t%d\nNSpgid:\t%d\nNSsid:\t%d\nKthread:\t0\n", n->pid,
		n->tid, s.info.pgid, s.info.sid);
	if (s.mm)
		status_memory(&z, out);
	fprintf(out, "Threads:\t%u\nSigQ:\t%" PRIu64 "/%" PRIu64 "\n", s.info.nr_tasks,
		s.signals_queued, (uint64_t)s.rlim[RLIMIT_SIGPENDING].rlim_cur);
	fprintf(out, "SigPnd:\t%016" PRIx64 "\nShdPnd:\t%016" PRIx64 "\n", s.info.pending,
		s.info.shared_pending);
	fprintf(out, "SigBlk:\t%016" PRIx64 "\nSigIgn:\t%016" PRIx64 "\nSigCgt:\t%016" PRIx64 "\n",
		s.info.blocked, s.info.ignored, s.info.caught);
	status_capabilities(&s.creds, out);
	fprintf(out, "NoNewPrivs:\t%d\nSeccomp:\t0\nSeccomp_filters:\t0\n", s.no_new_privs);
	status_places(t, n->tid, out);
	fprintf(out, "voluntary_ctxt_switches:\t0\nnonvoluntary_ctxt_switches:\t0\n");
	snapshot_drop(&s);
	return 0;
}

/* ---- stat, statm ---------------------------------------------------------------- */

static uint64_t ticks(uint64_t us)
{
	return us / 10000; /* USER_HZ is 100 */
}

static int show_stat(struct task *t, const struct proc_name *n, FILE *out)
{
	struct snapshot s;
	struct mm_sizes z;
	int r = snapshot_take(t, n, &s);

	if (r)
		return r;
	mm_sizes_read(s.mm, &z);
	fprintf(out, "%d (%.16s) %c %d %d %d %d %d 4194304 0 0 0 0 ", n->tid, s.comm, s.info.state,
		s.info.ppid, s.info.pgid, s.info.sid, s.info.tty_device, s.info.tty_pgrp);
	fprintf(out, "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %d %d %u 0 %" PRIu64 " ",
		ticks(s.info.utime_us), ticks(s.info.stime_us), ticks(s.info.cutime_us),
		ticks(s.info.cstime_us), 20 + s.info.nice, s.info.nice, s.info.nr_tasks,
		s.info.start_ns / 10000000);
	fprintf(out, "%" PRIu64 " %" PRId64 " %" PRIu64 " ", z.total << UMM_PAGE_SHIFT, z.rss,
		(uint64_t)s.rlim[RLIMIT_RSS].rlim_cur);
	fprintf(out, "%" PRIu64 " %" PRIu64 " %" PRIu64 " 0 0 ", z.start_code.v, z.end_code.v,
		z.start_stack.v);
	fprintf(out, "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " 0 0 0 ",
		s.info.pending & 0x7fffffff, s.info.blocked & 0x7fffffff,
		s.info.ignored & 0x7fffffff, s.info.caught & 0x7fffffff);
	fprintf(out, "17 0 0 0 0 0 0 ");
	fprintf(out,
		"%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64
		" %d\n",
		z.start_data.v, z.end_data.v, z.start_brk.v, z.arg_start.v, z.arg_end.v,
		z.env_start.v, z.env_end.v, procfs_may_trace(t, n->pid) ? 0 : s.exit_status);
	snapshot_drop(&s);
	return 0;
}

static int show_statm(struct task *t, const struct proc_name *n, FILE *out)
{
	struct snapshot s;
	struct mm_sizes z;
	int r = snapshot_take(t, n, &s);

	if (r)
		return r;
	mm_sizes_read(s.mm, &z);
	fprintf(out, "%" PRIu64 " %" PRId64 " %" PRId64 " %" PRIu64 " 0 %" PRIu64 " 0\n", z.total,
		z.rss, z.file + z.shmem,
		(page_align_up(z.end_code.v) - page_align_down(z.start_code.v)) >> UMM_PAGE_SHIFT,
		z.data + z.stack);
	snapshot_drop(&s);
	return 0;
}

static int show_ksm_stat(struct task *t, const struct proc_name *n, FILE *out)
{
	struct ksm_mm_stats k;
	struct snapshot s;
	int r = snapshot_take(t, n, &s);

	if (r)
		return r;
	ksm_get_mm_stats(s.mm, &k);
	fprintf(out, "ksm_rmap_items %" PRIu64 "\nksm_zero_pages 0\n", k.rmap_items);
	fprintf(out, "ksm_merging_pages %" PRIu64 "\nksm_process_profit %" PRId64 "\n",
		k.merging_pages, k.process_profit);
	snapshot_drop(&s);
	return 0;
}

static int show_ksm_merging_pages(struct task *t, const struct proc_name *n, FILE *out)
{
	struct ksm_mm_stats k;
	struct snapshot s;
	int r = snapshot_take(t, n, &s);

	if (r)
		return r;
	ksm_get_mm_stats(s.mm, &k);
	fprintf(out, "%" PRIu64 "\n", k.merging_pages);
	snapshot_drop(&s);
	return 0;
}

/* ---- strings from the process's memory ------------------------------------------ */

static void copy_memory(struct mm *mm, gva_t start, gva_t end, FILE *out)
{
	char buf[UMM_PAGE_SIZE];
	size_t n, done;
	int r = 0;

	while (!r && start.v < end.v) {
		n = end.v - start.v < sizeof(buf) ? end.v - start.v : sizeof(buf);
		done = n;
		r = mm_copy_from_guest(mm, buf, start, n, &done);
		fwrite(buf, 1, r ? done : n, out);
		start = gva_add(start, n);
	}
}

static int show_strings(struct task *t, const struct proc_name *n, FILE *out, bool environment)
{
	struct snapshot s;
	struct mm_sizes z;
	int r = snapshot_take(t, n, &s);

	if (r)
		return r;
	mm_sizes_read(s.mm, &z);
	if (s.mm)
		copy_memory(s.mm, environment ? z.env_start : z.arg_start,
			    environment ? z.env_end : z.arg_end, out);
	snapshot_drop(&s);
	return 0;
}

static int show_cmdline(struct task *t, const struct proc_name *n, FILE *out)
{
	return show_strings(t, n, out, false);
}

static int show_environ(struct task *t, const struct proc_name *n, FILE *out)
{
	return show_strings(t, n, out, true);
}

static int show_comm(struct task *t, const struct proc_name *n, FILE *out)
{
	struct snapshot s;
	int r = snapshot_take(t, n, &s);

	if (r)
		return r;
	fprintf(out, "%.16s\n", s.comm);
	snapshot_drop(&s);
	return 0;
}

/* Threads may name each other; more than fits is cut. */
static int store_comm(struct task *t, const struct proc_name *n, const char *text)
{
	struct guest *g = task_guest(t);
	struct task *thread;
	char comm[16];
	int r = 0;

	snprintf(comm, sizeof(comm), "%s", text);
	guest_lock(g);
	thread = task_find(g, n->tid);
	if (!thread)
		r = proc_find(g, n->tid) ? -EINVAL : -ESRCH;
	else if (thread->proc != t->proc)
		r = -EINVAL;
	else
		task_set_comm(thread, comm);
	guest_unlock(g);
	return r;
}

/* ---- limits ----------------------------------------------------------------------- */

static void print_limit(FILE *out, rlim_t v)
{
	if (v == RLIM_INFINITY)
		fprintf(out, "%-20s ", "unlimited");
	else
		fprintf(out, "%-20" PRIu64 " ", (uint64_t)v);
}

static int show_limits(struct task *t, const struct proc_name *n, FILE *out)
{
	static const struct {
		const char *name, *unit;
	} rows[RLIM_NLIMITS] = {
		[RLIMIT_CPU] = { "Max cpu time", "seconds" },
		[RLIMIT_FSIZE] = { "Max file size", "bytes" },
		[RLIMIT_DATA] = { "Max data size", "bytes" },
		[RLIMIT_STACK] = { "Max stack size", "bytes" },
		[RLIMIT_CORE] = { "Max core file size", "bytes" },
		[RLIMIT_RSS] = { "Max resident set", "bytes" },
		[RLIMIT_NPROC] = { "Max processes", "processes" },
		[RLIMIT_NOFILE] = { "Max open files", "files" },
		[RLIMIT_MEMLOCK] = { "Max locked memory", "bytes" },
		[RLIMIT_AS] = { "Max address space", "bytes" },
		[RLIMIT_LOCKS] = { "Max file locks", "locks" },
		[RLIMIT_SIGPENDING] = { "Max pending signals", "signals" },
		[RLIMIT_MSGQUEUE] = { "Max msgqueue size", "bytes" },
		[RLIMIT_NICE] = { "Max nice priority", "" },
		[RLIMIT_RTPRIO] = { "Max realtime priority", "" },
		[RLIMIT_RTTIME] = { "Max realtime timeout", "us" },
	};
	struct snapshot s;
	size_t i;
	int r = snapshot_take(t, n, &s);

	if (r)
		return r;
	fprintf(out, "%-25s %-20s %-20s %-10s\n", "Limit", "Soft Limit", "Hard Limit", "Units");
	for (i = 0; i < RLIM_NLIMITS; i++) {
		fprintf(out, "%-25s ", rows[i].name);
		print_limit(out, s.rlim[i].rlim_cur);
		print_limit(out, s.rlim[i].rlim_max);
		fprintf(out, *rows[i].unit ? "%-10s\n" : "%s\n", rows[i].unit);
	}
	snapshot_drop(&s);
	return 0;
}

/* ---- what has one answer, or the host's ------------------------------------------- */

static int show_mounts(struct task *t, const struct proc_name *n, FILE *out)
{
	char path[64];

	(void)t;
	snprintf(path, sizeof(path), "thread-self/%s", n->leaf);
	return procfs_copy_host(path, out);
}

static int show_cgroup(struct task *t, const struct proc_name *n, FILE *out)
{
	(void)t;
	(void)n;
	fputs("0::/\n", out);
	return 0;
}

static int show_zero(struct task *t, const struct proc_name *n, FILE *out)
{
	(void)t;
	(void)n;
	fputs("0\n", out);
	return 0;
}

static int show_io(struct task *t, const struct proc_name *n, FILE *out)
{
	(void)t;
	(void)n;
	fputs("rchar: 0\nwchar: 0\nsyscr: 0\nsyscw: 0\nread_bytes: 0\nwrite_bytes: 0\n"
	      "cancelled_write_bytes: 0\n",
	      out);
	return 0;
}

static int show_id_map(struct task *t, const struct proc_name *n, FILE *out)
{
	(void)t;
	(void)n;
	fprintf(out, "%10u %10u %10u\n", 0, 0, UINT32_MAX);
	return 0;
}

const struct proc_file procfs_pid_files[] = {
	{ "cgroup", show_cgroup, 0444, false, NULL },
	{ "cmdline", show_cmdline, 0444, false, NULL },
	{ "comm", show_comm, 0644, true, store_comm },
	{ "coredump_filter", show_zero, 0644, true, NULL },
	{ "environ", show_environ, PROC_TRACED | 0400, false, NULL },
	{ "gid_map", show_id_map, 0644, false, NULL },
	{ "io", show_io, PROC_TRACED | 0400, false, NULL },
	{ "ksm_merging_pages", show_ksm_merging_pages, 0400, false, NULL },
	{ "ksm_stat", show_ksm_stat, 0400, false, NULL },
	{ "limits", show_limits, 0644, false, NULL },
	{ "loginuid", show_zero, 0644, true, NULL },
	{ "maps", procfs_show_maps, PROC_TRACED | 0444, false, NULL },
	{ "mountinfo", show_mounts, 0444, false, NULL },
	{ "mounts", show_mounts, 0444, false, NULL },
	{ "numa_maps", procfs_show_numa_maps, PROC_TRACED | 0444, false, NULL },
	{ "oom_adj", procfs_show_oom_adj, 0644, true, procfs_store_oom_adj },
	{ "oom_score", procfs_show_oom_score, 0444, false, NULL },
	{ "oom_score_adj", procfs_show_oom_score_adj, 0644, true, procfs_store_oom_score_adj },
	{ "smaps", procfs_show_smaps, PROC_TRACED | 0444, false, NULL },
	{ "smaps_rollup", procfs_show_smaps_rollup, PROC_TRACED | 0444, false, NULL },
	{ "stat", show_stat, 0444, false, NULL },
	{ "statm", show_statm, 0444, false, NULL },
	{ "status", show_status, 0444, false, NULL },
	{ "uid_map", show_id_map, 0644, false, NULL },
	{ NULL, NULL, 0, false, NULL },
};
