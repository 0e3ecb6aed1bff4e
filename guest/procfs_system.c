/* SPDX-License-Identifier: MIT */
/* What /proc tells of the machine: the guest's memory, its CPUs, its load. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <umm/sysctl.h>

#include "guest/host_dir.h"
#include "guest/ipc.h"
#include "guest/procfs.h"
#include "guest/task.h"

unsigned int procfs_nr_cpus(struct task *t)
{
	unsigned int nr = guest_config(task_guest(t))->nr_cpus;

	return nr ? nr : 1;
}

int procfs_copy_host(const char *name, FILE *out)
{
	FILE *in = host_proc_fopen(name);
	char buf[4096];
	size_t n;

	if (!in)
		return -errno;
	while ((n = fread(buf, 1, sizeof(buf), in)) > 0)
		fwrite(buf, 1, n, out);
	fclose(in);
	return 0;
}

/* ---- memory ---------------------------------------------------------------------- */

static struct mm_sys *guest_sys(struct task *t)
{
	return guest_config(task_guest(t))->sys;
}

static struct mm_node_info memory_sum(struct mm_sys *sys)
{
	struct mm_node_info sum = { .free = 0 }, n;
	unsigned int i;

	for (i = 0; i < mm_sys_nr_nodes(sys); i++) {
		mm_sys_node_info(sys, (int)i, &n);
		sum.nr_frames += n.nr_frames;
		sum.free += n.free;
		sum.anon += n.anon;
		sum.anon_huge += n.anon_huge;
		sum.file += n.file;
		sum.shmem += n.shmem;
		sum.mlocked += n.mlocked;
	}
	return sum;
}

static void print_kb(FILE *out, const char *key, uint64_t pages)
{
	fprintf(out, "%s:%*s%8" PRIu64 " kB\n", key, (int)(15 - strlen(key)), "", pages * 4);
}

static int show_meminfo(struct task *t, const struct proc_name *n, FILE *out)
{
	struct mm_sys *sys = guest_sys(t);
	struct mm_node_info m = memory_sum(sys);
	uint64_t used = m.free + m.anon + m.file + m.shmem;
	const struct guest_config *cfg = guest_config(task_guest(t));
	struct guest_compressed z = { .pages = 0 };
	struct swap_info swap;

	(void)n;
	swap_get_info(sys, &swap);
	print_kb(out, "MemTotal", m.nr_frames);
	print_kb(out, "MemFree", m.free);
	print_kb(out, "MemAvailable", m.free + m.file);
	print_kb(out, "Buffers", 0);
	print_kb(out, "Cached", m.file + m.shmem);
	print_kb(out, "SwapCached", swap.cached);
	print_kb(out, "Active", m.anon);
	print_kb(out, "Inactive", m.file);
	print_kb(out, "Active(anon)", m.anon);
	print_kb(out, "Inactive(anon)", m.shmem);
	print_kb(out, "Active(file)", 0);
	print_kb(out, "Inactive(file)", m.file);
	print_kb(out, "Unevictable", m.mlocked);
	print_kb(out, "Mlocked", m.mlocked);
	print_kb(out, "SwapTotal", swap.nr_slots);
	print_kb(out, "SwapFree", swap.nr_slots - swap.used);
	if (cfg->compressed)
		cfg->compressed(cfg->vcpu_ctx, &z);
	fprintf(out, "Zswap:          %8" PRIu64 " kB\n", z.memory_bytes / 1024);
	print_kb(out, "Zswapped", z.pages);
	print_kb(out, "Dirty", 0);
	print_kb(out, "Writeback", 0);
	print_kb(out, "AnonPages", m.anon);
	print_kb(out, "Mapped", m.file);
	print_kb(out, "Shmem", m.shmem);
	print_kb(out, "Slab", m.nr_frames > used ? m.nr_frames - used : 0);
	print_kb(out, "PageTables", (uint64_t)mm_sys_objects(sys, OBJ_TABLE));
	print_kb(out, "CommitLimit", mm_commit_limit(sys));
	print_kb(out, "Committed_AS", mm_committed(sys));
	print_kb(out, "AnonHugePages", m.anon_huge);
	print_kb(out, "ShmemHugePages", 0);
	print_kb(out, "FileHugePages", 0);
	fprintf(out, "VmallocTotal:   34359738367 kB\nHugePages_Total:       0\n"
		     "HugePages_Free:        0\nHugePages_Rsvd:        0\n"
		     "HugePages_Surp:        0\nHugepagesize:       2048 kB\n");
	return 0;
}

static int show_buddyinfo(struct task *t, const struct proc_name *n, FILE *out)
{
	struct mm_sys *sys = guest_sys(t);
	uint64_t blocks[UMM_MAX_ORDER + 1];

	(void)n;
	for (unsigned int i = 0; i < mm_sys_nr_nodes(sys); i++) {
		mm_sys_free_blocks(sys, (int)i, blocks);
		fprintf(out, "Node %u, zone %8s ", i, "Normal");
		for (int o = 0; o <= UMM_MAX_ORDER; o++)
			fprintf(out, "%6" PRIu64 " ", blocks[o]);
		fputc('\n', out);
	}
	return 0;
}

static int show_vmstat(struct task *t, const struct proc_name *n, FILE *out)
{
	/* Names of Linux for events that we count under our own. */
	static const struct {
		const char *name;
		enum mm_event ev;
	} rows[] = {
		{ "pgfault", EV_FAULT },
		{ "pgmajfault", EV_FAULT_SWAP },
		{ "pswpin", EV_PGSWAPIN },
		{ "pswpout", EV_PGSWAPOUT },
		{ "pgscan_kswapd", EV_PGSCAN_KSWAPD },
		{ "pgscan_direct", EV_PGSCAN_DIRECT },
		{ "pgsteal_kswapd", EV_PGSTEAL_KSWAPD },
		{ "pgsteal_direct", EV_PGSTEAL_DIRECT },
		{ "pageoutrun", EV_PAGEOUTRUN },
		{ "kswapd_low_wmark_hit_quickly", EV_KSWAPD_LOW_HIT },
		{ "kswapd_high_wmark_hit_quickly", EV_KSWAPD_HIGH_HIT },
		{ "pgmigrate_success", EV_MIGRATE_OK },
		{ "pgmigrate_fail", EV_MIGRATE_FAIL },
		{ "allocstall_normal", EV_DIRECT_RECLAIM },
		{ "swpout_zero", EV_PGSWAP_ZERO },
		{ "numa_pte_updates", EV_NUMA_PTE_UPDATES },
		{ "numa_hint_faults", EV_NUMA_HINT_FAULTS },
		{ "numa_hint_faults_local", EV_NUMA_HINT_FAULTS_LOCAL },
		{ "numa_pages_migrated", EV_NUMA_PAGES_MIGRATED },
		{ "pgpromote_success", EV_PGPROMOTE_SUCCESS },
		{ "pgpromote_candidate", EV_PGPROMOTE_CANDIDATE },
		{ "pgdemote_kswapd", EV_PGDEMOTE_KSWAPD },
		{ "pgdemote_direct", EV_PGDEMOTE_DIRECT },
		{ "workingset_refault_anon", EV_WORKINGSET_REFAULT_ANON },
		{ "workingset_refault_file", EV_WORKINGSET_REFAULT_FILE },
		{ "workingset_activate_anon", EV_WORKINGSET_ACTIVATE_ANON },
		{ "workingset_activate_file", EV_WORKINGSET_ACTIVATE_FILE },
	};
	struct mm_sys *sys = guest_sys(t);
	struct mm_node_info m = memory_sum(sys);
	struct guest_counters counters;
	size_t i;

	(void)n;
	fprintf(out, "nr_free_pages %" PRIu64 "\nnr_anon_pages %" PRIu64 "\n", m.free, m.anon);
	fprintf(out, "nr_mapped %" PRIu64 "\nnr_file_pages %" PRIu64 "\n", m.file,
		m.file + m.shmem);
	fprintf(out, "nr_shmem %" PRIu64 "\nnr_mlock %" PRIu64 "\n", m.shmem, m.mlocked);
	fprintf(out, "nr_page_table_pages %" PRId64 "\n", mm_sys_objects(sys, OBJ_TABLE));
	fprintf(out, "pgpgin %" PRIu64 "\npgpgout %" PRIu64 "\n",
		mm_sys_event(sys, EV_PGFILE_READ) * 4, mm_sys_event(sys, EV_PGFILE_WRITE) * 4);
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		fprintf(out, "%s %" PRIu64 "\n", rows[i].name, mm_sys_event(sys, rows[i].ev));
	guest_counters_read(task_guest(t), &counters);
	fprintf(out, "oom_kill %" PRIu64 "\n", counters.oom_kills);
	return 0;
}

/* ---- processors --------------------------------------------------------------------- */

/* The host's blocks of text, up to the number of CPUs of the guest. */
static int show_cpuinfo(struct task *t, const struct proc_name *n, FILE *out)
{
	unsigned int left = procfs_nr_cpus(t);
	FILE *in = host_proc_fopen("cpuinfo");
	char *line = NULL;
	size_t size = 0;

	(void)n;
	if (!in)
		return -errno;
	while (left && getline(&line, &size, in) > 0) {
		fputs(line, out);
		left -= line[0] == '\n';
	}
	free(line);
	fclose(in);
	return 0;
}

struct cpu_times {
	uint64_t user_us, system_us;
	unsigned int running, all;
};

static int add_times(const struct proc_info *p, void *arg)
{
	struct cpu_times *c = arg;

	c->user_us += p->utime_us + p->cutime_us;
	c->system_us += p->stime_us + p->cstime_us;
	c->running += p->state == 'R';
	c->all += p->nr_tasks;
	return 0;
}

static int show_stat(struct task *t, const struct proc_name *n, FILE *out)
{
	struct cpu_times c = { .all = 0 };
	unsigned int cpus = procfs_nr_cpus(t), i;
	uint64_t up = clock_ns(CLOCK_BOOTTIME) / 10000000, busy, idle;
	struct timespec now;

	(void)n;
	guest_for_each_proc(task_guest(t), add_times, &c);
	busy = (c.user_us + c.system_us) / 10000;
	idle = up * cpus > busy ? up * cpus - busy : 0;
	fprintf(out, "cpu  %" PRIu64 " 0 %" PRIu64 " %" PRIu64 " 0 0 0 0 0 0\n", c.user_us / 10000,
		c.system_us / 10000, idle);
	for (i = 0; i < cpus; i++)
		fprintf(out, "cpu%u %" PRIu64 " 0 %" PRIu64 " %" PRIu64 " 0 0 0 0 0 0\n", i,
			c.user_us / 10000 / cpus, c.system_us / 10000 / cpus, idle / cpus);
	clock_gettime(CLOCK_REALTIME, &now);
	fprintf(out, "intr 0\nctxt 0\nbtime %" PRIu64 "\nprocesses %u\n",
		(uint64_t)now.tv_sec - up / 100, c.all);
	fprintf(out, "procs_running %u\nprocs_blocked 0\nsoftirq 0 0 0 0 0 0 0 0 0 0 0\n",
		c.running ? c.running : 1);
	return 0;
}

static int show_uptime(struct task *t, const struct proc_name *n, FILE *out)
{
	uint64_t up = clock_ns(CLOCK_BOOTTIME) / 10000000;

	(void)n;
	fprintf(out, "%" PRIu64 ".%02u %" PRIu64 ".00\n", up / 100, (unsigned int)(up % 100),
		up / 100 * procfs_nr_cpus(t));
	return 0;
}

static int show_loadavg(struct task *t, const struct proc_name *n, FILE *out)
{
	struct cpu_times c = { .all = 0 };
	double load[3] = { 0, 0, 0 };

	(void)n;
	if (getloadavg(load, 3) < 0)
		load[0] = load[1] = load[2] = 0;
	guest_for_each_proc(task_guest(t), add_times, &c);
	fprintf(out, "%.2f %.2f %.2f %u/%u %d\n", load[0], load[1], load[2],
		c.running ? c.running : 1, c.all, task_pid(t));
	return 0;
}

/* As seq_file_path() of Linux; the next column begins behind column 40. */
static void print_area_name(FILE *out, const char *name)
{
	int width = 0;

	for (; *name; name++)
		width += strchr(" \t\n\\", *name) ? fprintf(out, "\\%03o", (unsigned char)*name)
						  : fprintf(out, "%c", *name);
	fprintf(out, "%*s", width < 40 ? 40 - width : 1, "");
}

static int show_swaps(struct task *t, const struct proc_name *n, FILE *out)
{
	struct swap_area_info a;

	(void)n;
	fputs("Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n", out);
	for (unsigned int i = 0; swap_get_nth(guest_sys(t), i, &a); i++) {
		print_area_name(out, a.name);
		fprintf(out, "file\t\t%" PRIu64 "\t%s%" PRIu64 "\t%s%d\n", a.nr_slots * 4,
			a.nr_slots * 4 < 10000000 ? "\t" : "", a.used * 4,
			a.used * 4 < 10000000 ? "\t" : "", a.priority);
	}
	return 0;
}

static int show_pressure(struct task *t, const struct proc_name *n, FILE *out)
{
	static const char *const kinds[PRESSURE_KINDS] = { "some", "full" };
	struct mm_pressure p;

	(void)n;
	mm_pressure_get(guest_sys(t), &p);
	for (int k = 0; k < PRESSURE_KINDS; k++)
		fprintf(out, "%s avg10=%.2f avg60=%.2f avg300=%.2f total=%" PRIu64 "\n", kinds[k],
			p.avg[k][0], p.avg[k][1], p.avg[k][2], p.total_us[k]);
	return 0;
}

static int show_sysvipc(struct task *t, const struct proc_name *n, FILE *out)
{
	struct ipc *ipc = task_guest(t)->ipc;

	if (!strcmp(n->leaf, "sysvipc/shm"))
		shm_list(ipc, out);
	else if (!strcmp(n->leaf, "sysvipc/sem"))
		sem_list(ipc, out);
	else
		msgq_list(ipc, out);
	return 0;
}

const struct proc_file procfs_system_files[] = {
	{ "buddyinfo", show_buddyinfo, 0444, false, NULL },
	{ "cpuinfo", show_cpuinfo, 0444, false, NULL },
	{ "loadavg", show_loadavg, 0444, false, NULL },
	{ "meminfo", show_meminfo, 0444, false, NULL },
	{ "pressure/memory", show_pressure, 0444, false, NULL },
	{ "stat", show_stat, 0444, false, NULL },
	{ "swaps", show_swaps, 0444, false, NULL },
	{ "sysvipc/msg", show_sysvipc, 0444, false, NULL },
	{ "sysvipc/sem", show_sysvipc, 0444, false, NULL },
	{ "sysvipc/shm", show_sysvipc, 0444, false, NULL },
	{ "uptime", show_uptime, 0444, false, NULL },
	{ "vmstat", show_vmstat, 0444, false, NULL },
	{ "zoneinfo", procfs_show_zoneinfo, 0444, false, NULL },
	{ NULL, NULL, 0, false, NULL },
};
