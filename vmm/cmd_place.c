/* SPDX-License-Identifier: MIT */
/* umm balance and umm tier: automatic placement of a running guest, told and switched. */
#include <string.h>

#include "vmm/cmd.h"
#include "vmm/placer.h"

static const struct count_text counts[] = {
	{ "scanned", "pages scanned (hints set, or sampled)" },
	{ "hint_faults", "faults on hints" },
	{ "local", "of them on the right node already" },
	{ "tried", "pages that were to move" },
	{ "moved", "moved" },
	{ "ping_pong", "of them back within 30 s" },
	{ "pinned", "stayed: pinned by host I/O" },
	{ "no_memory", "stayed: no room on the node" },
	{ "busy", "stayed: busy" },
	{ "failed", "stayed: failed" },
	{ "rate_limited", "not tried: over the rate" },
	{ "promoted", "promoted to a fast node" },
	{ "demoted", "demoted to a slow node" },
	{ NULL, NULL },
};

static void print_slow(const json_t *slow)
{
	const json_t *n;
	size_t i;

	if (!json_is_array(slow))
		return;
	printf("slow nodes:%s", json_array_size(slow) ? "" : " none");
	json_array_foreach(slow, i, n) printf(" %lld", json_integer_value(n));
	putchar('\n');
}

static int print_report(const json_t *r)
{
	const char *policy = answer_text(r, "policy");
	const json_t *p;
	size_t i;

	printf("policy: %s%s\n", *policy ? policy : "off",
	       json_is_true(json_object_get(r, "simulated_nodes")) ? " (simulated nodes)" : "");
	print_slow(json_object_get(r, "slow_nodes"));
	answer_print_counts(r, counts);
	puts("policies:");
	json_array_foreach(json_object_get(r, "policies"), i, p)
		printf("  %-10s  %s\n", answer_text(p, "name"), answer_text(p, "summary"));
	return CMD_OK;
}

static int place(enum placement_kind kind, const struct arg_command *cmd, char **argv,
		 const bool *json, const char *const *slow)
{
	const char *name = placement_kind_name(kind);
	struct arg_operands args;
	enum args_result r = args_parse(cmd, argv, &args);
	struct errmsg e = { .text = "" };
	uint64_t nodes;
	json_t *request;

	if (r == ARGS_OK && args.nr > 1 && placer_check(kind, args.v[1], &e))
		r = args_usage_error(cmd, "%s", e.text);
	if (r == ARGS_OK && *slow && node_list_parse(*slow, &nodes, &e))
		r = args_usage_error(cmd, "--slow: %s", e.text);
	if (r != ARGS_OK)
		return cmd_args_status(r);
	request = json_object();
	if (args.nr > 1)
		json_object_set_new(request, "policy", json_string(args.v[1]));
	if (*slow)
		json_object_set_new(request, "slow", json_string(*slow));
	return cmd_show(name, args.v[0], request, *json, print_report, NULL);
}

int cmd_balance(char **argv)
{
	const char *slow = NULL;
	bool json = false;
	const struct arg_option options[] = {
		CMD_OPTION_JSON(&json),
		{ .name = NULL },
	};
	const struct arg_command cmd = {
		.name = "balance",
		.synopsis = "NAME [on|off|POLICY] [--json]",
		.summary =
			"Show what automatic NUMA balancing does in the running guest NAME, after\n"
			"switching it on, off, or to POLICY if one is given: pages move to the node\n"
			"whose processors use them.\n",
		.options = options,
		.min_operands = 1,
		.max_operands = 2,
		.missing = "NAME of a guest",
	};

	return place(PLACEMENT_BALANCE, &cmd, argv, &json, &slow);
}

int cmd_tier(char **argv)
{
	const char *slow = NULL;
	bool json = false;
	const struct arg_option options[] = {
		{ .name = "slow",
		  .kind = ARG_TEXT,
		  .to = &slow,
		  .value = "NODES",
		  .help = "which nodes are slow, as 1 or 2-3 (tiering must be off)" },
		CMD_OPTION_JSON(&json),
		{ .name = NULL },
	};
	const struct arg_command cmd = {
		.name = "tier",
		.synopsis = "NAME [on|off|POLICY] [--slow NODES] [--json]",
		.summary =
			"Show what tiering does in the running guest NAME, after switching it on,\n"
			"off, or to POLICY if one is given: cold pages of fast nodes are demoted to\n"
			"slow ones instead of swapped, hot ones come back.\n",
		.options = options,
		.min_operands = 1,
		.max_operands = 2,
		.missing = "NAME of a guest",
	};

	return place(PLACEMENT_TIER, &cmd, argv, &json, &slow);
}
