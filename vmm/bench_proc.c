/* SPDX-License-Identifier: MIT */
#include "vmm/bench_proc.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/bench_cgroup.h"
#include "vmm/program.h"
#include "vmm/vm.h"

#define EXEC_FAILED 127

int bench_paths_find(struct bench_paths *p, struct errmsg *e)
{
	ssize_t n = readlink("/proc/self/exe", p->umm, sizeof(p->umm) - 1);
	char *slash;

	if (n < 0)
		return errmsg_set(e, -errno, "cannot find umm itself: /proc/self/exe: %s",
				  strerror(errno));
	p->umm[n] = 0;
	slash = strrchr(p->umm, '/');
	if (!slash || snprintf(p->workloads, sizeof(p->workloads), "%.*s/workloads",
			       (int)(slash - p->umm), p->umm) >= (int)sizeof(p->workloads))
		return errmsg_set(e, -ENAMETOOLONG, "%s: the path is too long", p->umm);
	/* The same program to the end, even if a newer one is built meanwhile. */
	snprintf(p->umm, sizeof(p->umm), "/proc/%d/exe", (int)getpid());
	if (access(p->workloads, X_OK))
		return errmsg_set(e, -errno,
				  "no workloads in %s: run umm from its build folder, after `make`",
				  p->workloads);
	return 0;
}

/* ---- building a command line -------------------------------------------- */

struct command {
	char *v[BENCH_MAX_ARGS + 1];
	unsigned int nr;
	char program[PATH_MAX];
};

static void command_add(struct command *c, const char *word)
{
	/* exec wants them without const and does not change them. */
	if (c->nr < BENCH_MAX_ARGS)
		c->v[c->nr++] = (char *)(uintptr_t)word;
	c->v[c->nr] = NULL;
}

static void command_add_program(struct command *c, const struct bench_paths *paths,
				char *const *argv)
{
	if (strchr(argv[0], '/'))
		snprintf(c->program, sizeof(c->program), "%s", argv[0]);
	else
		snprintf(c->program, sizeof(c->program), "%.3000s/%.200s", paths->workloads,
			 argv[0]);
	command_add(c, c->program);
	for (argv++; *argv; argv++)
		command_add(c, *argv);
}

/* ---- running it --------------------------------------------------------- */

/* In the child, only async-signal-safe calls. */
static void child_exec(const struct command *c, const struct bench_start *s)
{
	int null = open("/dev/null", O_RDWR);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (s->side == BENCH_NATIVE_SMALL && prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0))
		_exit(EXEC_FAILED);
	if ((s->cgroup && bench_cgroup_enter(s->cgroup)) || (s->dir && chdir(s->dir)))
		_exit(EXEC_FAILED);
	if (null < 0 || dup2(s->in_fd < 0 ? null : s->in_fd, 0) < 0 ||
	    dup2(s->out_fd < 0 ? null : s->out_fd, 1) < 0 ||
	    dup2(s->err_fd < 0 ? null : s->err_fd, 2) < 0)
		_exit(EXEC_FAILED);
	execv(c->v[0], c->v);
	_exit(EXEC_FAILED);
}

static int spawn_as(const struct command *c, const struct bench_start *s, pid_t *pid)
{
	*pid = fork();
	if (*pid < 0)
		return -errno;
	if (!*pid)
		child_exec(c, s);
	return 0;
}

static int spawn(const struct command *c, enum bench_side side, int err_fd, pid_t *pid)
{
	const struct bench_start s = { .side = side, .in_fd = -1, .out_fd = -1, .err_fd = err_fd };

	return spawn_as(c, &s, pid);
}

int bench_wait(pid_t pid, struct rusage *usage)
{
	int status;

	while (wait4(pid, &status, 0, usage) < 0)
		if (errno != EINTR)
			return -errno;
	return program_wait_status(status);
}

static int wait_for(pid_t pid)
{
	return bench_wait(pid, NULL);
}

int bench_spawn(const struct bench_paths *paths, const struct bench_start *start, pid_t *pid,
		struct errmsg *e)
{
	struct command c = { .nr = 0 };
	char *const *o;
	int rc;

	if (start->side == BENCH_UMM) {
		command_add(&c, paths->umm);
		command_add(&c, "run");
		if (start->name) {
			command_add(&c, "--name");
			command_add(&c, start->name);
		}
		for (o = start->options; o && *o; o++)
			command_add(&c, *o);
		command_add(&c, "--");
	}
	command_add_program(&c, paths, start->argv);
	rc = spawn_as(&c, start, pid);
	return rc ? errmsg_set(e, rc, "cannot start %s: %s", start->argv[0], strerror(-rc)) : 0;
}

/* The number that `umm run -v` tells at the end. */
static uint64_t parse_exits(const char *err)
{
	const char *p = strstr(err, " ended with status ");
	uint64_t exits = 0;

	p = p ? strstr(p, " ms: ") : NULL;
	if (p)
		exits = strtoull(p + strlen(" ms: "), NULL, 10);
	return exits;
}

static int run_command(const struct command *c, enum bench_side side, struct bench_run *out,
		       struct errmsg *e)
{
	int fd = memfd_create("stderr", MFD_CLOEXEC), rc;
	uint64_t start;
	ssize_t n;
	pid_t pid;

	if (fd < 0)
		return errmsg_set(e, -errno, "memfd_create: %s", strerror(errno));
	start = vm_now_ns();
	rc = spawn(c, side, fd, &pid);
	if (!rc)
		rc = wait_for(pid);
	out->wall_ns = (double)(vm_now_ns() - start);
	n = pread(fd, out->err, sizeof(out->err) - 1, 0);
	out->err[n > 0 ? n : 0] = 0;
	close(fd);
	if (rc)
		return errmsg_set(e, rc < 0 ? rc : -EIO, "%s %s: status %d: %.300s", c->v[0],
				  c->v[1] ? c->v[1] : "", rc, out->err);
	return 0;
}

int bench_run_program(const struct bench_paths *paths, enum bench_side side, char *const *argv,
		      bool verbose, struct bench_run *out, struct errmsg *e)
{
	struct command c = { .nr = 0 };
	int rc;

	if (side == BENCH_UMM) {
		command_add(&c, paths->umm);
		command_add(&c, "run");
		if (verbose)
			command_add(&c, "-v");
		command_add(&c, "--mem");
		command_add(&c, "2G");
		command_add(&c, "--");
	}
	command_add_program(&c, paths, argv);
	rc = run_command(&c, side, out, e);
	out->exits = verbose ? parse_exits(out->err) : 0;
	return rc;
}

int bench_guest_start(const struct bench_paths *paths, char *const *options, char *const *argv,
		      struct bench_guest *out, struct errmsg *e)
{
	return bench_guest_start_to(paths, options, argv, STDERR_FILENO, out, e);
}

int bench_guest_start_to(const struct bench_paths *paths, char *const *options, char *const *argv,
			 int err_fd, struct bench_guest *out, struct errmsg *e)
{
	struct command c = { .nr = 0 };
	int rc;

	snprintf(out->name, sizeof(out->name), "bench-%d", (int)getpid());
	command_add(&c, paths->umm);
	command_add(&c, "run");
	command_add(&c, "--name");
	command_add(&c, out->name);
	for (; *options; options++)
		command_add(&c, *options);
	command_add(&c, "--");
	command_add_program(&c, paths, argv);
	rc = spawn(&c, BENCH_UMM, err_fd, &out->pid);
	if (rc)
		return errmsg_set(e, rc, "cannot start a guest: %s", strerror(-rc));
	return 0;
}

int bench_guest_stop(struct bench_guest *g)
{
	kill(g->pid, SIGTERM);
	return wait_for(g->pid);
}
