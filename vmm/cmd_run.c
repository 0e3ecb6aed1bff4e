/* SPDX-License-Identifier: MIT */
/*
 * umm run: options, guest, control socket, program, and the way back.
 *
 * The socket exists before the program's first instruction, so that whoever
 * starts `umm run` and sees its first output can talk to the guest.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "vmm/cmd.h"
#include "vmm/config.h"
#include "vmm/confine.h"
#include "vmm/ctl_ops.h"
#include "vmm/launch.h"
#include "vmm/program.h"
#include "vmm/signals.h"
#include "vmm/size.h"

struct run {
	struct run_options options;
	char **argv;
	char path[PATH_MAX];
	struct vm vm;
	struct signal_relay signals;
	int dirfd, stat_fd;
	struct ctl_server *server;
};

/* ---- options ------------------------------------------------------------ */

/* Options given on the command line, kept until the configuration file was read. */
struct given_option {
	const struct run_key *key;
	const char *value;
};

#define MAX_GIVEN 32

struct given {
	struct given_option v[MAX_GIVEN];
	unsigned int nr;
	const char *config;
};

/* Keys are C words, options have dashes. */
static const struct run_key *option_key(const char *option)
{
	char name[32];
	unsigned int i;

	snprintf(name, sizeof(name), "%s", option);
	for (i = 0; name[i]; i++)
		if (name[i] == '-')
			name[i] = '_';
	return run_key_find(name);
}

/* The option is named already: its key before the reason would be once too often. */
static const char *without_key(const char *reason, const char *key)
{
	size_t len = strlen(key);

	return !strncmp(reason, key, len) && !strncmp(reason + len, ": ", 2) ? reason + len + 2
									     : reason;
}

static int keep_option(void *to, const char *name, const char *value, struct errmsg *e)
{
	const struct run_key *key = option_key(name);
	struct run_options scratch = { .swap.nr = 0 };
	struct given *g = to;
	struct errmsg why;

	if (g->nr == MAX_GIVEN)
		return errmsg_set(e, -EINVAL, "too many options");
	if (key->kind != RUN_FLAG && run_option_set(&scratch, key, value, &why))
		return errmsg_set(e, -EINVAL, "%s", without_key(why.text, key->name));
	g->v[g->nr].key = key;
	g->v[g->nr].value = value;
	g->nr++;
	return 0;
}

static int apply_given(const struct given *g, struct run_options *o, struct errmsg *e)
{
	bool swap = false;
	unsigned int i;
	int rc;

	for (i = 0; i < g->nr; i++) {
		/* The areas of the command line stand instead of those of the file. */
		if (g->v[i].key->kind == RUN_SWAP && !swap) {
			o->swap.nr = 0;
			swap = true;
		}
		if (g->v[i].key->kind == RUN_FLAG) {
			run_option_set_flag(o, g->v[i].key, true);
			continue;
		}
		rc = run_option_set(o, g->v[i].key, g->v[i].value, e);
		if (rc)
			return rc;
	}
	return 0;
}

#define KEEP(option, metavar, text)                                               \
	{                                                                         \
		.name = option, .kind = ARG_CALL, .to = &given, .value = metavar, \
		.call = keep_option, .help = text                                 \
	}
#define KEEP_FLAG(option, text)                                                  \
	{                                                                        \
		.name = option, .kind = ARG_CALL, .to = &given, .is_flag = true, \
		.call = keep_option, .help = text                                \
	}

static enum args_result parse_options(char **argv, struct run *run)
{
	struct given given = { .nr = 0 };
	const struct arg_option options[] = {
		KEEP("name", "NAME",
		     "what other commands call the guest\n"
		     "(default: the program's name, with -PID if taken)"),
		KEEP("mem", "SIZE",
		     "guest memory, the hard limit of what its programs use\n"
		     "(default: half of what is available, at most 4G)"),
		KEEP("max-mem", "SIZE", "how far `umm limit` may raise that (default: not at all)"),
		KEEP("nodes", "N", "NUMA nodes of the guest (default: 1)"),
		KEEP("cpus", "N", "processors the guest is told of (default: all it may use)"),
		KEEP("balance", "POLICY",
		     "move memory to the node that uses it: on, two-fault, majority"),
		KEEP("tier", "POLICY", "keep hot memory off the slow nodes: on, recency, sampling"),
		KEEP("slow-nodes", "NODES",
		     "which nodes are slow, as 1 or 2-3 (default: those without\nprocessors)"),
		KEEP("policy", "POLICY",
		     "which pages reclaim takes first: active_inactive (the default),\n"
		     "fifo, clock, mglru, damon, random or ./FILE.so"),
		KEEP("swap", "AREA",
		     "where anonymous memory is paged out to: SIZE in an\n"
		     "unnamed file, FILE as it is, or FILE:SIZE to make it; may\n"
		     "be given several times (umm(1): SWAP AREAS)"),
		KEEP("holes", "AREA",
		     "let `umm reclaim --mechanism hole` take host memory and leave\n"
		     "the guest's tables alone, as VMMs without reverse mappings do;\n"
		     "what was there goes to AREA, named as for --swap"),
		KEEP("resident", "SIZE",
		     "with --holes: keep the host memory behind the guest near SIZE\n"
		     "by making holes (default: no such limit)"),
		{ .name = "config",
		  .letter = 'c',
		  .kind = ARG_TEXT,
		  .to = &given.config,
		  .value = "FILE",
		  .help = "read these settings first; options override them" },
		KEEP("thp", "LIST",
		     "folio sizes of anonymous memory: always, madvise or never\n"
		     "for all sizes, or SIZE:MODE,SIZE-SIZE:MODE and so on from\n"
		     "16K to 2M (default: 16K-64K:always,2M:always)"),
		KEEP("watermark-scale", "N",
		     "memory that is kept free, in 1/10000, as Linux's\n"
		     "vm.watermark_scale_factor has it (default: 50)"),
		KEEP("fault-around", "N", "most frames that one fault maps (default: 512)"),
		KEEP_FLAG("no-hugepages", "do not ask the host for huge pages"),
		KEEP("root", "DIR", "let the program see DIR as /, and no file outside of it"),
		KEEP_FLAG("ro", "let it write no file of the host's"),
		KEEP_FLAG("tmp", "give it an empty /tmp of its own"),
		KEEP_FLAG("no-net", "let it reach no network, nor sockets of other programs"),
		KEEP("seccomp", "MODE",
		     "umm's own system calls that it should never make: on ends\n"
		     "umm, log tells the audit log, off allows (default: on)"),
		KEEP("stat", "FILE", "write there at the end what `umm stat --json` says"),
		KEEP_FLAG("strace", "print the guest's system calls on stderr"),
		{ .name = "verbose",
		  .letter = 'v',
		  .kind = ARG_CALL,
		  .to = &given,
		  .is_flag = true,
		  .call = keep_option,
		  .help = "tell what kind of host was found, and what it all took" },
		{ .name = NULL },
	};
	const struct arg_command cmd = {
		.name = "run",
		.synopsis = "[OPTIONS] [--] PROGRAM [ARGUMENTS]",
		.summary =
			"Run PROGRAM, an unmodified Linux program of this system, in a guest of its\n"
			"own, with this terminal, directory and environment. Exit status: the\n"
			"program's; 128 + N if signal N ended it; 125 if umm itself failed; 126 if\n"
			"PROGRAM cannot be executed; 127 if there is none.\n",
		.options = options,
		.missing = "PROGRAM",
		.program_follows = true,
	};
	struct arg_operands args;
	enum args_result r = args_parse(&cmd, argv, &args);
	struct errmsg e;

	if (r != ARGS_OK)
		return r;
	run->argv = args.rest;
	run_options_default(&run->options);
	if ((given.config && config_load(given.config, &run->options, &e)) ||
	    apply_given(&given, &run->options, &e) || run_options_complete(&run->options, &e)) {
		fprintf(stderr, "umm run: %s\n", e.text);
		return ARGS_USAGE;
	}
	return ARGS_OK;
}

/* ---- the control socket ------------------------------------------------- */

/* The name asked for must be free; one of our own making is made so. */
static int listen_as(struct run *run, struct errmsg *e)
{
	char *name = run->vm.options.name;
	size_t len;
	int fd;

	if (name[0])
		return runtime_socket_listen(run->dirfd, name, e);
	guest_name_from_program(run->argv[0], name);
	fd = runtime_socket_listen(run->dirfd, name, e);
	if (fd != -EADDRINUSE)
		return fd;
	e->text[0] = 0;
	len = strlen(name);
	snprintf(name + len, GUEST_NAME_MAX + 1 - len, "-%d", (int)getpid());
	return runtime_socket_listen(run->dirfd, name, e);
}

static int start_server(struct run *run, struct errmsg *e)
{
	int fd;

	run->dirfd = runtime_dir_open(true, e);
	if (run->dirfd < 0)
		return run->dirfd;
	fd = listen_as(run, e);
	if (fd < 0)
		return fd;
	return ctl_server_start(fd, ctl_ops_handle, &run->vm, &run->server, e);
}

static void stop_server(struct run *run)
{
	if (run->server)
		runtime_socket_remove(run->dirfd, run->vm.options.name);
	ctl_server_stop(run->server);
	if (run->dirfd >= 0)
		close(run->dirfd);
}

/* ---- verbose ------------------------------------------------------------ */

static void describe_start(const struct run *run)
{
	const struct host_kind *kind = host_kind_get(run->vm.host);
	char text[2048], mem[SIZE_TEXT_MAX];

	host_describe(run->vm.host, text, sizeof(text));
	fputs(text, stderr);
	fprintf(stderr, "umm: guest '%s': %s on %u node%s%s, %lu cpus, ready after %.1f ms\n",
		run->vm.options.name, size_format(run->options.mem, mem),
		host_nr_nodes(run->vm.host), host_nr_nodes(run->vm.host) == 1 ? "" : "s",
		kind->simulated_nodes ? " (simulated nodes)" : "", run->options.cpus,
		(double)(vm_now_ns() - run->vm.start_ns) / 1e6);
}

static void describe_end(const struct run *run, int status)
{
	struct guest_counters g;
	struct host_counters h;

	guest_counters_read(run->vm.guest, &g);
	host_counters_read(run->vm.host, &h);
	fprintf(stderr,
		"umm: guest '%s' ended with status %d after %.1f ms: %lu exits (%lu for %lu system "
		"calls, %lu for faults), %lu frames zapped in %lu ranges\n",
		run->vm.options.name, status, (double)(vm_now_ns() - run->vm.start_ns) / 1e6,
		h.exits, h.exits_syscall, g.syscalls, h.exits_fault, h.zap_frames, h.zap_ranges);
}

/* Before the program runs: hours later would be late to learn that it cannot be written. */
static int open_stat(struct run *run, struct errmsg *e)
{
	const char *path = run->options.stat;

	if (!path[0])
		return 0;
	run->stat_fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	return run->stat_fd < 0
		       ? errmsg_set(e, -errno, "--stat: cannot write %s: %s", path, strerror(errno))
		       : 0;
}

/* What the guest has counted until its end, for who did not ask meanwhile. */
static void write_stat(struct run *run)
{
	const char *path = run->options.stat;
	json_t *request = json_object(), *stat = NULL;
	struct errmsg e = { .text = "out of memory" };

	if (!ctl_op_stat(&run->vm, NULL, request, &stat, &e) &&
	    json_dumpfd(stat, run->stat_fd, JSON_INDENT(2)))
		errmsg_set(&e, -EIO, "cannot write %s: %s", path, strerror(errno));
	else if (stat)
		e.text[0] = 0;
	if (e.text[0])
		fprintf(stderr, "umm: --stat: %s\n", e.text);
	json_decref(stat);
	json_decref(request);
}

/*
 * Descriptors 0 to 2 that the caller had closed must not become files of ours,
 * which the guest would get as its own. What holds their place can neither be
 * read nor written, and leads nowhere.
 */
static int hold_stdio(struct errmsg *e)
{
	int fd;

	for (fd = 0; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) >= 0)
			continue;
		if (open("/dev/null", O_PATH) != fd)
			return errmsg_set(e, -EBADF, "descriptor %d is closed", fd);
	}
	return 0;
}

/* ---- all of it ---------------------------------------------------------- */

static int run_program(struct run *run, struct errmsg *e)
{
	int status = launch(&run->vm, run->argv, e), rc;

	if (status != CMD_OK)
		return status;
	rc = signal_relay_start(&run->signals, run->vm.guest);
	if (rc) {
		errmsg_set(e, rc, "no thread to pass signals on: %s", strerror(-rc));
		guest_kill(run->vm.guest);
	}
	status = guest_wait(run->vm.guest);
	signal_relay_stop(&run->signals);
	return rc ? CMD_NOT_STARTED : program_wait_status(status);
}

static int run_guest(struct run *run, struct errmsg *e)
{
	int status = CMD_NOT_STARTED;

	signal_relay_prepare(&run->signals);
	if (open_stat(run, e) || confine_prepare(&run->options, e))
		return CMD_NOT_STARTED;
	if (vm_create(&run->vm, &run->options, run->argv, e))
		return CMD_NOT_STARTED;
	if (!start_server(run, e)) {
		if (run->options.verbose)
			describe_start(run);
		status = run_program(run, e);
		if (run->options.verbose && !e->text[0])
			describe_end(run, status);
		if (run->options.stat[0] && !e->text[0])
			write_stat(run);
	}
	stop_server(run);
	vm_destroy(&run->vm);
	return status;
}

int cmd_run(char **argv)
{
	static struct run run;
	struct errmsg e = { .text = "" };
	enum args_result r;
	int rc;

	run.dirfd = run.stat_fd = -1;
	if (hold_stdio(&e))
		return CMD_NOT_STARTED;
	r = parse_options(argv, &run);
	if (r == ARGS_HELP)
		return CMD_OK;
	/* The status of a mistake in the options must not pass for the program's. */
	if (r == ARGS_USAGE)
		return CMD_NOT_STARTED;
	/* What is not there needs no guest; in a tree of its own, launch() looks for it. */
	rc = confine_files(&run.options) ? 0 : program_find(run.argv[0], run.path, &e);
	rc = rc ? program_exit_status(rc) : run_guest(&run, &e);
	if (e.text[0])
		fprintf(stderr, "umm: %s%s\n", e.text,
			strstr(e.text, strerror(EMFILE)) ? "; raise the limit (ulimit -n)" : "");
	return rc;
}
