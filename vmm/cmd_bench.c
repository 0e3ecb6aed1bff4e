/* SPDX-License-Identifier: MIT */
/* umm bench: the benchmarks there are. */
#include <stdio.h>
#include <string.h>

#include "vmm/cmd.h"

static const char help[] =
	"usage: umm bench launch|abi|migrate|reclaim [OPTIONS]\n\n"
	"Measure this machine's guests against native programs.\n\n"
	"benchmarks:\n"
	"  launch    start-up, computing, first touch, system calls, migration, reclaim\n"
	"  abi       system calls, faults, processes, redis and gcc, with their exits\n"
	"  migrate   memory moved between two nodes, and what a running guest feels of it\n"
	"  reclaim   paging out and in beside the device and the kernel; programs short of memory\n\n"
	"`umm bench launch --help` and so on tell more.\n";

int cmd_bench(char **argv)
{
	if (argv[1] && !strcmp(argv[1], "launch"))
		return bench_launch(argv + 1);
	if (argv[1] && !strcmp(argv[1], "abi"))
		return bench_abi(argv + 1);
	if (argv[1] && !strcmp(argv[1], "migrate"))
		return bench_migrate(argv + 1);
	if (argv[1] && !strcmp(argv[1], "reclaim"))
		return bench_reclaim(argv + 1);
	if (argv[1] && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
		fputs(help, stdout);
		return CMD_OK;
	}
	fprintf(stderr, "umm bench: %s%s%s\n%s",
		argv[1] ? "unknown benchmark '" : "which benchmark?", argv[1] ? argv[1] : "",
		argv[1] ? "'" : "", help);
	return CMD_USAGE;
}
