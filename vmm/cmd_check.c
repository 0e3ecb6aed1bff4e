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
	return fflush(stdout) ? CMD_FAILED : CMD_OK;
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
		.min_operands = 1,
		.max_operands = 1,
		.missing = "NAME of a guest",
	};
	struct arg_operands args;
	enum args_result r = args_parse(&cmd, argv, &args);
	json_t *result;
	int status;

	if (r != ARGS_OK)
		return cmd_args_status(r);
	status = cmd_ask("check", args.v[0], json_pack("{s:s}", "op", "check"), json, &result);
	if (status)
		return status;
	status = json ? cmd_print_json(result) : print_report(result);
	if (answer_count(result, "errors"))
		status = CMD_FAILED;
	json_decref(result);
	return status;
}
