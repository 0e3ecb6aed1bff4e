/* SPDX-License-Identifier: MIT */
#include "vmm/bench_cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NUDGE_BYTES (16 * UMM_PAGE_SIZE)

static int open_file(const struct bench_cgroup *g, const char *name, int flags)
{
	char path[PATH_MAX + 64];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", g->dir, name);
	fd = open(path, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int write_file(const struct bench_cgroup *g, const char *name, const char *text)
{
	int fd = open_file(g, name, O_WRONLY), rc = 0;

	if (fd < 0)
		return fd;
	if (write(fd, text, strlen(text)) < 0)
		rc = -errno;
	close(fd);
	return rc;
}

static int read_file(const struct bench_cgroup *g, const char *name, char *buf, size_t size)
{
	int fd = open_file(g, name, O_RDONLY);
	ssize_t n;

	buf[0] = 0;
	if (fd < 0)
		return fd;
	n = read(fd, buf, size - 1);
	buf[n > 0 ? n : 0] = 0;
	close(fd);
	return n < 0 ? -EIO : 0;
}

/* Where this process is in the hierarchy whose line in /proc/self/cgroup begins so. */
static void own_group(const char *controller, char *out, size_t size)
{
	FILE *f = fopen("/proc/self/cgroup", "re");
	char line[PATH_MAX];

	out[0] = 0;
	while (f && fgets(line, sizeof(line), f)) {
		char *name = strchr(line, ':'), *path = name ? strchr(name + 1, ':') : NULL;

		if (!path)
			continue;
		*path = 0;
		if (strcmp(name + 1, controller))
			continue;
		path[1 + strcspn(path + 1, "\n")] = 0;
		snprintf(out, size, "%s", strcmp(path + 1, "/") ? path + 1 : "");
	}
	if (f)
		fclose(f);
}

/* In the root of the hierarchy, or else where we are ourselves. */
static int make_in(struct bench_cgroup *g, const char *mount, const char *controller)
{
	char own[PATH_MAX];

	for (unsigned int i = 0; i < 2; i++) {
		own_group(controller, own, sizeof(own));
		snprintf(g->dir, sizeof(g->dir), "%.200s%.3000s/umm-bench-%d", mount, i ? own : "",
			 (int)getpid());
		if (!mkdir(g->dir, 0755) || errno == EEXIST)
			return 0;
	}
	return -errno;
}

static int find(struct bench_cgroup *g)
{
	char own[PATH_MAX], path[PATH_MAX + 64];
	int rc = -ENOENT;

	if (!access("/sys/fs/cgroup/memory/memory.limit_in_bytes", F_OK)) {
		g->v1 = true;
		return make_in(g, "/sys/fs/cgroup/memory", "memory");
	}
	if (access("/sys/fs/cgroup/cgroup.controllers", F_OK))
		return rc;
	/* The parent must hand the controller on; a refusal shows up below. */
	own_group("", own, sizeof(own));
	for (unsigned int i = 0; i < 2; i++) {
		struct bench_cgroup parent = { .v1 = false };

		snprintf(parent.dir, sizeof(parent.dir), "/sys/fs/cgroup%.3000s", i ? own : "");
		(void)write_file(&parent, "cgroup.subtree_control", "+memory");
	}
	rc = make_in(g, "/sys/fs/cgroup", "");
	snprintf(path, sizeof(path), "%s/memory.max", g->dir);
	if (!rc && access(path, W_OK)) {
		rc = -errno;
		rmdir(g->dir);
	}
	return rc;
}

/*
 * With pages enough on their way to a slow swap file, sixteen rounds of the kernel's
 * reclaim may free nothing and the killer comes, though each write's end would free
 * a page. Version 1 can be told to let who wants memory wait instead; version 2 holds
 * it back by itself before it comes to that, and counts in memory.events.
 */
static void prefer_waiting(struct bench_cgroup *g)
{
	int control = open_file(g, "memory.oom_control", O_RDONLY);
	char text[64];

	if (control < 0 || write_file(g, "memory.oom_control", "1"))
		goto out;
	g->oom_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	snprintf(text, sizeof(text), "%d %d", g->oom_fd, control);
	if (g->oom_fd >= 0 && write_file(g, "cgroup.event_control", text)) {
		close(g->oom_fd);
		g->oom_fd = -1;
	}
out:
	if (control >= 0)
		close(control);
}

int bench_cgroup_create(struct bench_cgroup *g, struct errmsg *e)
{
	int rc;

	*g = (struct bench_cgroup){ .procs_fd = -1, .oom_fd = -1 };
	rc = find(g);
	if (rc)
		return errmsg_set(e, rc, "no memory cgroup to be had here: %s", strerror(-rc));
	g->procs_fd = open_file(g, "cgroup.procs", O_WRONLY);
	if (g->procs_fd < 0) {
		rc = g->procs_fd;
		rmdir(g->dir);
		return errmsg_set(e, rc, "%.300s takes no processes: %s", g->dir, strerror(-rc));
	}
	if (g->v1)
		prefer_waiting(g);
	return 0;
}

void bench_cgroup_destroy(struct bench_cgroup *g)
{
	const struct timespec pause = { .tv_nsec = 20000000 };

	if (g->procs_fd < 0)
		return;
	close(g->procs_fd);
	g->procs_fd = -1;
	if (g->oom_fd >= 0)
		close(g->oom_fd);
	g->oom_fd = -1;
	/* The last process's end may not have reached it yet. */
	for (unsigned int i = 0; i < 100 && rmdir(g->dir) && errno == EBUSY; i++)
		nanosleep(&pause, NULL);
}

int bench_cgroup_enter(const struct bench_cgroup *g)
{
	return write(g->procs_fd, "0", 1) == 1 ? 0 : -errno;
}

int bench_cgroup_limit(const struct bench_cgroup *g, uint64_t bytes, struct errmsg *e)
{
	char text[32];
	int rc;

	if (bytes)
		snprintf(text, sizeof(text), "%" PRIu64, bytes);
	else
		snprintf(text, sizeof(text), "%s", g->v1 ? "-1" : "max");
	rc = write_file(g, g->v1 ? "memory.limit_in_bytes" : "memory.max", text);
	return rc ? errmsg_set(e, rc, "%.300s: limit of %s: %s", g->dir, text, strerror(-rc)) : 0;
}

static uint64_t read_number(const struct bench_cgroup *g, const char *name)
{
	char text[64];

	return read_file(g, name, text, sizeof(text)) ? 0 : strtoull(text, NULL, 10);
}

uint64_t bench_cgroup_usage(const struct bench_cgroup *g)
{
	return read_number(g, g->v1 ? "memory.usage_in_bytes" : "memory.current");
}

/* The number in the line of @file that begins with @name; 0: there is none. */
static uint64_t read_line(const struct bench_cgroup *g, const char *file, const char *name)
{
	char text[8192], *line = text, *rest;
	size_t len = strlen(name);

	if (read_file(g, file, text, sizeof(text)))
		return 0;
	while ((line = strtok_r(line, "\n", &rest))) {
		if (!strncmp(line, name, len) && line[len] == ' ')
			return strtoull(line + len, NULL, 10);
		line = NULL;
	}
	return 0;
}

int bench_cgroup_reclaim(const struct bench_cgroup *g)
{
	char text[32];

	if (g->v1)
		return write_file(g, "memory.force_empty", "0");
	snprintf(text, sizeof(text), "%" PRIu64, bench_cgroup_usage(g));
	return write_file(g, "memory.reclaim", text);
}

/* ---- out of memory --------------------------------------------------------------- */

void bench_cgroup_oom(struct bench_cgroup *g, struct cgroup_oom *out)
{
	uint64_t n;

	if (g->v1) {
		if (g->oom_fd >= 0 && read(g->oom_fd, &n, sizeof(n)) == (ssize_t)sizeof(n))
			g->oom_met += n;
		*out = (struct cgroup_oom){
			.met = g->oom_met,
			.killed = read_line(g, "memory.oom_control", "oom_kill"),
			.peak_bytes = read_number(g, "memory.max_usage_in_bytes"),
			.peak_swap_bytes = read_number(g, "memory.memsw.max_usage_in_bytes"),
		};
		/* Of both together. */
		if (out->peak_swap_bytes > out->peak_bytes)
			out->peak_swap_bytes -= out->peak_bytes;
		else
			out->peak_swap_bytes = 0;
	} else {
		*out = (struct cgroup_oom){
			.met = read_line(g, "memory.events", "oom"),
			.killed = read_line(g, "memory.events", "oom_kill"),
			.peak_bytes = read_number(g, "memory.peak"),
			.peak_swap_bytes = read_number(g, "memory.swap.peak"),
		};
	}
}

bool bench_cgroup_nudge(const struct bench_cgroup *g)
{
	uint64_t limit;
	char text[32];

	if (!g->v1 || !read_line(g, "memory.oom_control", "under_oom"))
		return false;
	limit = read_number(g, "memory.limit_in_bytes");
	/* A little more lets it go on; what that was is taken back, by us and not by it. */
	snprintf(text, sizeof(text), "%" PRIu64, limit + NUDGE_BYTES);
	(void)write_file(g, "memory.limit_in_bytes", text);
	snprintf(text, sizeof(text), "%" PRIu64, limit);
	(void)write_file(g, "memory.limit_in_bytes", text);
	return true;
}
