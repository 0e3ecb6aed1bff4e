/* SPDX-License-Identifier: MIT */
#include "vmm/cmd.h"

static const struct count_text reasons[] = {
	{ "already_there", "already there" },
	{ "pinned", "pinned by host I/O" },
	{ "shared", "mapped by other processes too (--shared moves them)" },
	{ "no_memory", "no free frame on the node" },
	{ "busy", "busy" },
	{ "failed", "failed" },
	{ NULL, NULL },
};

static void print_times(const json_t *r)
{
	uint64_t ns = answer_count(r, "ns_total"), moved = answer_count(r, "moved");
	double s = (double)ns / 1e9;

	printf("%.1f ms", s * 1e3);
	if (moved && ns)
		printf(", %.0f pages/s, %.2f us a page, %.2f GB/s", (double)moved / s,
		       (double)ns / 1e3 / (double)moved,
		       (double)moved * (double)UMM_PAGE_SIZE / (double)ns);
	printf("\nnew frames %.1f ms, unmap %.1f ms, zap %.1f ms, copy %.1f ms, restore %.1f ms\n",
	       (double)answer_count(r, "ns_alloc") / 1e6, (double)answer_count(r, "ns_unmap") / 1e6,
	       (double)answer_count(r, "ns_zap") / 1e6, (double)answer_count(r, "ns_copy") / 1e6,
	       (double)answer_count(r, "ns_restore") / 1e6);
}

static int print_report(const json_t *r)
{
	uint64_t moved = answer_count(r, "moved");
	const json_t *v = json_object_get(r, "verify");
	char text[SIZE_TEXT_MAX];

	printf("moved %lu of %lu pages (%s) to node %lu%s\n", moved, answer_count(r, "total"),
	       size_format(moved * UMM_PAGE_SIZE, text), answer_count(r, "to"),
	       json_is_true(json_object_get(r, "simulated_nodes")) ? " (simulated nodes)" : "");
	answer_print_counts(r, reasons);
	print_times(r);
	if (v)
		printf("verified: %lu frames of the guest are on their host node, %lu elsewhere, "
		       "%lu without memory\n",
		       answer_count(v, "on_their_host_node"), answer_count(v, "elsewhere"),
		       answer_count(v, "absent"));
	return CMD_OK;
}

int cmd_migrate(char **argv)
{
	struct cmd_number to = { .v = 0 }, from = { .v = 0 }, pid = { .v = 0 };
	bool json = false, shared = false, verify = false;
	struct cmd_range range = { .set = false };
	const char *mode = NULL;
	const struct arg_option options[] = {
		CMD_OPTION_NUMBER("to", &to, "NODE", "the guest node to move to"),
		CMD_OPTION_NUMBER("from", &from, "NODE",
				  "only from this node (default: all others)"),
		CMD_OPTION_PID(&pid, "only what this process maps"),
		CMD_OPTION_RANGE(&range),
		CMD_OPTION_FLAG("shared", &shared, "with --pid: also what other processes map too"),
		{ .name = "mode",
		  .kind = ARG_TEXT,
		  .to = &mode,
		  .value = "MODE",
		  .help = "auto, stop (a page is unmapped while it is copied) or optimistic\n"
			  "(copied while mapped, and again if stored to; default: auto)" },
		CMD_OPTION_FLAG("verify", &verify,
				"ask the host where the guest's frames are afterwards"),
		CMD_OPTION_JSON(&json),
		{ .name = NULL },
	};
	const struct arg_command cmd = {
		.name = "migrate",
		.synopsis = "NAME --to NODE [--from NODE] [--pid PID [--range A-B] [--shared]]\n"
			    "                   [--mode MODE] [--verify] [--json]",
		.summary =
			"Move the memory of the running guest NAME to NODE and tell how many pages\n"
			"went, why others did not, and what the time went into.\n",
		.options = options,
		CMD_ONE_GUEST,
	};
	struct arg_operands args;
	enum args_result r = args_parse(&cmd, argv, &args);
	json_t *request;

	if (r == ARGS_OK && !to.set)
		r = args_usage_error(&cmd, "to which node? --to is missing");
	if (r == ARGS_OK && (range.set || shared) && !pid.set)
		r = args_usage_error(&cmd, "--range and --shared need --pid");
	if (r != ARGS_OK)
		return cmd_args_status(r);
	request = json_pack("{s:I, s:b, s:b}", "to", (json_int_t)to.v, "shared", shared, "verify",
			    verify);
	if (mode)
		json_object_set_new(request, "mode", json_string(mode));
	request_add_number(request, "from", &from);
	request_add_number(request, "pid", &pid);
	request_add_range(request, &range);
	return cmd_show("migrate", args.v[0], request, json, print_report, NULL);
}
