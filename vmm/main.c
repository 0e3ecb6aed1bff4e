/* SPDX-License-Identifier: MIT */
/* umm: the commands, and the only place that exits. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vmm/cmd.h"
#include "vmm/suggest.h"

static const struct command {
	const char *name;
	int (*run)(char **argv);
	const char *summary;
} commands[] = {
	{ "run", cmd_run, "run a program in a guest of its own" },
	{ "ps", cmd_ps, "list the running guests" },
	{ "maps", cmd_maps, "show the areas of a guest's processes, and where their pages are" },
	{ "stat", cmd_stat, "show a guest's nodes, counters and host" },
	{ "migrate", cmd_migrate, "move a guest's memory to another NUMA node" },
	{ "node", cmd_node, "show a guest's nodes; take one offline, online, or compact it" },
	{ "balance", cmd_balance, "let memory follow the processors that use it" },
	{ "tier", cmd_tier, "let memory move between fast and slow nodes by use" },
	{ "reclaim", cmd_reclaim, "page a guest's memory out" },
	{ "policy", cmd_policy, "show or switch how reclaim chooses what goes" },
	{ "sim", cmd_sim, "replay a page reference trace against reclaim policies" },
	{ "swap", cmd_swap, "show a guest's swap areas; add one, or remove one" },
	{ "limit", cmd_limit, "show or change how much memory a guest may use" },
	{ "rmap", cmd_rmap, "tell who maps a frame, and where" },
	{ "poison", cmd_poison, "let a frame fail, as broken memory does" },
	{ "check", cmd_check, "check all tables and counters of a running guest" },
	{ "kill", cmd_kill, "end a guest, or send it a signal" },
	{ "bench", cmd_bench, "measure this machine's guests against native programs" },
};

#define NR_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static int print_help(FILE *to)
{
	unsigned int i;

	fputs("usage: umm COMMAND [ARGUMENTS]\n\n"
	      "Runs unmodified Linux programs in KVM guests without a kernel, and manages\n"
	      "their memory from outside while they run.\n\ncommands:\n",
	      to);
	for (i = 0; i < NR_COMMANDS; i++)
		fprintf(to, "  %-8s  %s\n", commands[i].name, commands[i].summary);
	fputs("\n`umm COMMAND --help` tells more; umm(1) tells all; `umm --version`.\n", to);
	return fflush(to) ? CMD_FAILED : CMD_OK;
}

static const struct command *command_find(const char *name)
{
	unsigned int i;

	for (i = 0; i < NR_COMMANDS; i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

static int unknown_command(const char *name)
{
	unsigned int i;

	fprintf(stderr, "umm: unknown command '%s'", name);
	for (i = 0; i < NR_COMMANDS; i++) {
		if (!word_is_near(name, commands[i].name))
			continue;
		fprintf(stderr, "; did you mean '%s'?", commands[i].name);
		break;
	}
	fputs("\n`umm help` lists the commands\n", stderr);
	return CMD_USAGE;
}

/* umm help [COMMAND] */
static int run_help(char **argv)
{
	char help[] = "--help", *args[] = { argv[1], help, NULL };
	const struct command *c;

	if (!argv[1])
		return print_help(stdout);
	c = command_find(argv[1]);
	return c ? c->run(args) : unknown_command(argv[1]);
}

static int run_command(char **argv)
{
	const struct command *c;

	if (!strcmp(argv[0], "help") || !strcmp(argv[0], "--help") || !strcmp(argv[0], "-h"))
		return run_help(argv);
	if (!strcmp(argv[0], "--version") || !strcmp(argv[0], "version")) {
		puts("umm " UMM_VERSION);
		return CMD_OK;
	}
	c = command_find(argv[0]);
	return c ? c->run(argv) : unknown_command(argv[0]);
}

int main(int argc, char **argv)
{
	int status;

	if (argc < 2) {
		print_help(stderr);
		return CMD_USAGE;
	}
	status = run_command(argv + 1);
	errno = 0;
	if (!fflush(stdout) && !ferror(stdout))
		return status;
	/* What was asked for has happened; that it could not be told is a failure all the same. */
	/* Without a reason where the command itself has met it: it cannot be asked for again. */
	fprintf(stderr, "umm: cannot write to the standard output%s%s\n", errno ? ": " : "",
		errno ? strerror(errno) : "");
	return status == CMD_OK ? CMD_FAILED : status;
}
