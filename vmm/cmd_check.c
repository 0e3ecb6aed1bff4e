/* SPDX-License-Identifier: MIT */
#include "vmm/cmd.h"

static int print_report(const json_t *r)
{
	printf("checked %lu frames, %lu processes, %lu areas, %lu entries in %.1f ms: ",
	       answer_count(r, "frames"), answer_count(r, "processes"), answer_count(r, "areas"),
	       answer_count(r, "entries"), (double)answer_count(r, "ns_total") / 1e6);
	if (!answer_count(r, "errors"))
		printf("clean\n");
	else
		printf("%lu errors\nfirst: %s\n", answer_count(r, "errors"),
		       answer_text(r, "first"));
	return CMD_OK;
}

static int verdict(const json_t *r)
{
	return answer_count(r, "errors") ? CMD_FAILED : CMD_OK;
}

int cmd_check(char **argv)
{
	bool json = false;
	const struct arg_option options[] = {
		CMD_OPTION_JSON(&json),
		{ .name = NULL },
	};
	const struct arg_command cmd = {
		.name = "check",
		.synopsis = "NAME [--json]",
		.summary =
			"Check the running guest NAME: that forward and reverse mappings agree for\n"
			"every frame, and all counts and trees with them. Changes wait meanwhile;\n"
			"the guest runs on. Exit status 1 if anything is wrong.\n",
		.options = options,
		CMD_ONE_GUEST,
	};
	struct arg_operands args;
	enum args_result r = args_parse(&cmd, argv, &args);

	if (r != ARGS_OK)
		return cmd_args_status(r);
	return cmd_show("check", args.v[0], json_object(), json, print_report, verdict);
}
