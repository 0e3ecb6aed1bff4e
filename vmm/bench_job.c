/* SPDX-License-Identifier: MIT */
#include "vmm/bench_job.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/bench_reclaim.h"
#include "vmm/vm.h"

/* How often a running program is looked after. */
#define LOOK_MS 100
/* How long it may find its cgroup without memory, each time that it is looked after. */
#define MEMORY_WAIT_MS 10000

static double seconds(struct timeval t)
{
	return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

/* Until it ends or its time is over: 0, -ETIMEDOUT, -EINTR, -ENOMEM. */
static int watch(pid_t pid, const struct bench_cgroup *cgroup, double limit_s)
{
	struct pollfd p = { .fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN };
	uint64_t end = vm_now_ns() + (uint64_t)(limit_s * 1e9), now;
	unsigned int waited = 0;
	int rc = 0;

	while (p.fd >= 0 && !rc) {
		now = vm_now_ns();
		if (reclaim_stopped() || now >= end) {
			rc = now >= end ? -ETIMEDOUT : -EINTR;
			break;
		}
		if (poll(&p, 1, LOOK_MS) > 0)
			break;
		waited = cgroup && bench_cgroup_nudge(cgroup) ? waited + 1 : 0;
		if (waited * LOOK_MS > MEMORY_WAIT_MS)
			rc = -ENOMEM;
	}
	if (p.fd >= 0)
		close(p.fd);
	return rc;
}

static int tell_why(int rc, double limit_s, struct errmsg *e)
{
	if (rc == -EINTR)
		return errmsg_set(e, rc, "stopped");
	if (rc == -ENOMEM)
		return errmsg_set(e, rc, "waited %d s for memory, and its cgroup had none to give",
				  MEMORY_WAIT_MS / 1000);
	return errmsg_set(e, rc, "took longer than %.0f s", limit_s);
}

int bench_job_wait(pid_t pid, const struct bench_cgroup *cgroup, double limit_s,
		   struct bench_job_done *out, struct errmsg *e)
{
	struct rusage usage = { .ru_majflt = 0 };
	int rc = watch(pid, cgroup, limit_s), status;

	if (rc)
		kill(pid, SIGKILL);
	status = bench_wait(pid, &usage);
	out->cpu_s = seconds(usage.ru_utime) + seconds(usage.ru_stime);
	out->major_faults = (uint64_t)usage.ru_majflt;
	out->peak_bytes = (uint64_t)usage.ru_maxrss << 10;
	if (rc)
		return tell_why(rc, limit_s, e);
	if (status)
		return errmsg_set(e, status < 0 ? status : -EIO, "ended with status %d", status);
	return 0;
}

/* All of it, to be freed; NULL if there is nothing. */
static char *read_all(int fd)
{
	struct stat st;
	char *text;
	ssize_t n;

	if (fstat(fd, &st) || !st.st_size)
		return NULL;
	text = malloc((size_t)st.st_size + 1);
	if (!text)
		return NULL;
	n = pread(fd, text, (size_t)st.st_size, 0);
	text[n > 0 ? n : 0] = 0;
	return text;
}

/* Keeps the last line that is JSON; *tail is the last one that is not. */
static void listen_to(char *text, struct bench_job_done *out, const char **tail)
{
	char *line, *rest = NULL;

	for (line = text ? strtok_r(text, "\n", &rest) : NULL; line;
	     line = strtok_r(NULL, "\n", &rest)) {
		json_t *o = *line == '{' ? json_loads(line, 0, NULL) : NULL;

		if (!o) {
			*tail = line;
			continue;
		}
		json_decref(out->said);
		out->said = o;
	}
}

int bench_job_run(const struct bench_paths *paths, const struct bench_job *job,
		  struct bench_job_done *out, struct errmsg *e)
{
	struct bench_start start = job->start;
	const char *tail = "it said nothing";
	uint64_t begin = vm_now_ns();
	char *text = NULL;
	struct errmsg why;
	pid_t pid;
	int rc;

	*out = (struct bench_job_done){ .said = NULL };
	start.out_fd = -1;
	start.in_fd = job->input ? open(job->input, O_RDONLY | O_CLOEXEC) : -1;
	start.err_fd = memfd_create("stderr", MFD_CLOEXEC);
	if (start.err_fd < 0 || (job->input && start.in_fd < 0))
		rc = errmsg_set(e, -errno, "%s: %s", job->input ? job->input : "memfd_create",
				strerror(errno));
	else
		rc = bench_spawn(paths, &start, &pid, e);
	if (rc)
		goto out;
	rc = bench_job_wait(pid, job->start.cgroup, job->limit_s, out, &why);
	out->wall_s = (double)(vm_now_ns() - begin) / 1e9;
	text = read_all(start.err_fd);
	listen_to(text, out, &tail);
	if (rc)
		errmsg_set(e, rc, "%s %s: %.100s: %.250s", start.argv[0],
			   start.argv[1] ? start.argv[1] : "", why.text, tail);
out:
	free(text);
	if (start.in_fd >= 0)
		close(start.in_fd);
	if (start.err_fd >= 0)
		close(start.err_fd);
	if (rc)
		bench_job_done(out);
	return rc;
}

void bench_job_done(struct bench_job_done *d)
{
	json_decref(d->said);
	d->said = NULL;
}

/* ---- the kernel's counters ---------------------------------------------------------- */

static uint64_t stall_read(void)
{
	FILE *f = fopen("/proc/pressure/memory", "re");
	uint64_t us = 0;

	if (!f)
		return 0;
	if (fscanf(f, "some avg10=%*f avg60=%*f avg300=%*f total=%" SCNu64, &us) != 1)
		us = 0;
	fclose(f);
	return us;
}

void kernel_counts_read(struct kernel_counts *c)
{
	const struct {
		const char *name;
		uint64_t *to;
	} lines[] = {
		{ "pswpin", &c->swapin },
		{ "pswpout", &c->swapout },
		{ "workingset_refault_anon", &c->refault },
		{ "pgscan_anon", &c->scan },
		{ "pgsteal_anon", &c->steal },
	};
	FILE *f = fopen("/proc/vmstat", "re");
	char name[64];
	uint64_t v;

	*c = (struct kernel_counts){ .stall_us = stall_read() };
	while (f && fscanf(f, "%63s %" SCNu64, name, &v) == 2)
		for (unsigned int i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
			if (!strcmp(name, lines[i].name))
				*lines[i].to = v;
	if (f)
		fclose(f);
}

struct kernel_counts kernel_counts_since(const struct kernel_counts *before)
{
	struct kernel_counts now;

	kernel_counts_read(&now);
	return (struct kernel_counts){
		.swapin = now.swapin - before->swapin,
		.swapout = now.swapout - before->swapout,
		.refault = now.refault - before->refault,
		.scan = now.scan - before->scan,
		.steal = now.steal - before->steal,
		.stall_us = now.stall_us - before->stall_us,
	};
}
