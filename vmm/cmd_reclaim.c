/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "vmm/cmd.h"

static const struct count_text counts[] = {
	{ "swapped", "written to swap" },
	{ "written", "written to their files" },
	{ "zero", "all zero, not written" },
	{ "referenced", "stay: in use" },
	{ "mlocked", "stay: locked in memory" },
	{ "pinned", "stay: pinned by host I/O" },
	{ "busy", "stay: busy" },
	{ "no_swap", "stay: no swap space (umm run --swap)" },
	{ "io_error", "stay: I/O error" },
	{ NULL, NULL },
};

static int print_report(const json_t *r)
{
	uint64_t freed = answer_count(r, "freed"), ns = answer_count(r, "ns_total");
	char a[SIZE_TEXT_MAX], b[SIZE_TEXT_MAX];

	printf("freed %lu pages (%s), looked at %lu\n", freed,
	       size_format(freed * UMM_PAGE_SIZE, a), answer_count(r, "scanned"));
	answer_print_counts(r, counts);
	printf("%.1f ms", (double)ns / 1e6);
	if (freed && ns)
		printf(", %.2f us a page, %.2f GB/s freed", (double)ns / 1e3 / (double)freed,
		       (double)freed * (double)UMM_PAGE_SIZE / (double)ns);
	printf("\nhost memory behind the guest: %s, was %s\n",
	       size_format(answer_count(r, "rss_after_bytes"), a),
	       size_format(answer_count(r, "rss_before_bytes"), b));
	if (json_object_get(r, "error"))
		fprintf(stderr, "umm reclaim: %s\n", answer_text(r, "error"));
	return CMD_OK;
}

/* An error on the way, or nothing could go because there is nowhere to write it. */
static int verdict(const json_t *r)
{
	return json_object_get(r, "error") ||
			       (!answer_count(r, "freed") && answer_count(r, "no_swap"))
		       ? CMD_FAILED
		       : CMD_OK;
}

int cmd_reclaim(char **argv)
{
	struct cmd_number pid = { .v = 0 }, node = { .v = 0 };
	struct cmd_range range = { .set = false };
	const char *mechanism = NULL;
	bool json = false;
	const struct arg_option options[] = {
		CMD_OPTION_PID(&pid, "only what this process maps"),
		CMD_OPTION_RANGE(&range),
		CMD_OPTION_NUMBER("node", &node, "NODE", "only what is on this guest node"),
		{ .name = "mechanism",
		  .kind = ARG_TEXT,
		  .to = &mechanism,
		  .value = "HOW",
		  .help = "unmap (the default): the frames are free for anybody then; hole:\n"
			  "they stay taken, only the host memory behind them goes (needs\n"
			  "umm run --holes)" },
		CMD_OPTION_JSON(&json),
		{ .name = NULL },
	};
	const struct arg_command cmd = {
		.name = "reclaim",
		.synopsis = "NAME SIZE|all [--pid PID [--range A-B]] [--node NODE]\n"
			    "       [--mechanism HOW] [--json]",
		.summary =
			"Page SIZE of the memory of the running guest NAME out, or all that can go,\n"
			"and give it back to the host. SIZE takes what was not used lately first;\n"
			"all takes everything. Anonymous memory needs a guest with --swap. Exit\n"
			"status 1 after an error, or if nothing could go for want of swap.\n",
		.options = options,
		.min_operands = 2,
		.max_operands = 2,
		.missing = "NAME of a guest, or SIZE",
	};
	struct arg_operands args;
	enum args_result r = args_parse(&cmd, argv, &args);
	json_t *request;
	uint64_t bytes = 0;

	if (r == ARGS_OK && strcmp(args.v[1], "all") && (size_parse(args.v[1], &bytes) || !bytes))
		r = args_usage_error(&cmd, "'%s' is no size; write 64K, 512M, 1G, or all",
				     args.v[1]);
	if (r == ARGS_OK && mechanism && strcmp(mechanism, "unmap") && strcmp(mechanism, "hole"))
		r = args_usage_error(&cmd, "--mechanism: unmap or hole, not '%s'", mechanism);
	if (r == ARGS_OK && range.set && !pid.set)
		r = args_usage_error(&cmd, "--range needs --pid");
	if (r != ARGS_OK)
		return cmd_args_status(r);
	request = json_object();
	if (bytes)
		json_object_set_new(request, "bytes", json_integer((json_int_t)bytes));
	if (mechanism)
		json_object_set_new(request, "mechanism", json_string(mechanism));
	request_add_number(request, "pid", &pid);
	request_add_number(request, "node", &node);
	request_add_range(request, &range);
	return cmd_show("reclaim", args.v[0], request, json, print_report, verdict);
}
