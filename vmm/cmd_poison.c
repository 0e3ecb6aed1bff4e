/* SPDX-License-Identifier: MIT */
/* umm poison: memory failure on request. */
#include <stdio.h>

#include "vmm/args.h"
#include "vmm/cmd.h"
#include "vmm/ctl_io.h"
#include "vmm/table.h"

static int print_report(const json_t *r)
{
	static const char *const headings[] = { ">PID", ">ADDRESS", "SIGNAL", NULL };
	json_t *mappers = json_object_get(r, "mappers"), *m;
	struct text_table t;
	size_t i;

	printf("frame %lu failed (%s): its content is %s\n", answer_count(r, "pfn"),
	       answer_text(r, "kind"), answer_text(r, "content"));
	if (!json_array_size(mappers)) {
		printf("no entry mapped it\n");
		return CMD_OK;
	}
	table_init(&t, headings);
	json_array_foreach(mappers, i, m)
	{
		table_add(&t, "%lu", answer_count(m, "pid"));
		table_add(&t, "%s", answer_text(m, "address"));
		table_add(&t, "%s", answer_text(m, "signal"));
	}
	return table_finish(&t, stdout, 0) ? CMD_FAILED : CMD_OK;
}

int cmd_poison(char **argv)
{
	struct cmd_number pfn = { .v = 0 }, pid = { .v = 0 }, addr = { .v = 0 };
	bool json = false;
	const struct arg_option options[] = {
		CMD_OPTION_NUMBER("pfn", &pfn, "N", "the frame with this number"),
		CMD_OPTION_PID(&pid, "the frame behind an address of this process"),
		CMD_OPTION_CALL("addr", &addr, cmd_parse_address, "VA",
				"with --pid: the address, hexadecimal"),
		CMD_OPTION_JSON(&json),
		{ .name = NULL },
	};
	const struct arg_command cmd = {
		.name = "poison",
		.synopsis = "NAME --pfn N | --pid PID --addr VA [--json]",
		.summary =
			"Let one frame of the running guest NAME fail, as broken memory does, and tell\n"
			"who mapped it. A clean page of a file, or one that swap has too, is read again;\n"
			"else its content is lost, and every process that touches it gets SIGBUS with\n"
			"BUS_MCEERR_AR (at once, with BUS_MCEERR_AO, if it asked prctl(PR_MCE_KILL) for\n"
			"that). The frame is never used again. There is no way back.\n",
		.options = options,
		CMD_ONE_GUEST,
	};
	struct arg_operands args;
	enum args_result r = args_parse(&cmd, argv, &args);
	json_t *request;

	if (r == ARGS_OK && (pfn.set ? pid.set || addr.set : !pid.set || !addr.set))
		r = args_usage_error(&cmd, "which frame? --pfn N, or --pid PID with --addr VA");
	if (r != ARGS_OK)
		return cmd_args_status(r);
	request = json_object();
	request_add_number(request, "pfn", &pfn);
	request_add_number(request, "pid", &pid);
	if (addr.set)
		json_object_set_new(request, "addr", json_hex((uint64_t)addr.v));
	return cmd_show("poison", args.v[0], request, json, print_report, NULL);
}
