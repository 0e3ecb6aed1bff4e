/* SPDX-License-Identifier: MIT */
/* umm policy: which folios of a running guest reclaim takes first. */
#include <string.h>

#include "vmm/cmd.h"
#include "vmm/policy_load.h"

static void print_node(const json_t *n)
{
	const char *name;
	json_t *value;

	printf("node %lu: %lu pages", answer_count(n, "node"), answer_count(n, "pages"));
	json_object_foreach(json_object_get(n, "facts"), name, value)
		printf(", %s %lld", name, json_integer_value(value));
	putchar('\n');
}

static int print_report(const json_t *r)
{
	const char *name;
	json_t *o;
	size_t i;

	printf("policy: %s (%s)\n", answer_text(r, "policy"), answer_text(r, "summary"));
	json_array_foreach(json_object_get(r, "nodes"), i, o) print_node(o);
	json_object_foreach(json_object_get(r, "events"), name, o)
		printf("%8lld  %s\n", json_integer_value(o), name);
	puts("policies:");
	json_array_foreach(json_object_get(r, "policies"), i, o)
		printf("  %-15s  %s\n", answer_text(o, "name"), answer_text(o, "summary"));
	puts("  ./FILE.so        one of your own: docs/policies.md");
	return CMD_OK;
}

int cmd_policy(char **argv)
{
	char policy[POLICY_TEXT_MAX + 1];
	bool json = false;
	const struct arg_option options[] = {
		CMD_OPTION_JSON(&json),
		{ .name = NULL },
	};
	const struct arg_command cmd = {
		.name = "policy",
		.synopsis = "NAME [POLICY|./FILE.so] [--json]",
		.summary =
			"Show by which policy reclaim chooses what goes in the running guest NAME, after\n"
			"switching to POLICY if one is given, or to the one in a shared object.\n",
		.options = options,
		.min_operands = 1,
		.max_operands = 2,
		.missing = "NAME of a guest",
	};
	struct arg_operands args;
	enum args_result r = args_parse(&cmd, argv, &args);
	struct errmsg e = { .text = "" };
	json_t *request;

	if (r == ARGS_OK && args.nr > 1 && policy_text_resolve(args.v[1], policy, &e))
		r = args_usage_error(&cmd, "%s", e.text);
	if (r != ARGS_OK)
		return cmd_args_status(r);
	request = json_object();
	if (args.nr > 1)
		json_object_set_new(request, "policy", json_string(policy));
	return cmd_show("policy", args.v[0], request, json, print_report, NULL);
}
