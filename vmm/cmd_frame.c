/* SPDX-License-Identifier: MIT */
/* What the commands about one frame share: how it is named, and asking for it. */
#include "vmm/args.h"
#include "vmm/cmd.h"
#include "vmm/ctl_io.h"

int cmd_show_frame(const char *op, const char *summary, char **argv,
		   int (*print)(const json_t *result))
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
		.name = op,
		.synopsis = "NAME --pfn N | --pid PID --addr VA [--json]",
		.summary = summary,
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
	return cmd_show(op, args.v[0], request, json, print, NULL);
}
