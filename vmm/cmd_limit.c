/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "vmm/cmd.h"

static const struct count_text reasons[] = {
	{ "no_swap", "stay: no swap space (umm run --swap, umm swap)" },
	{ "mlocked", "stay: locked in memory" },
	{ "pinned", "stay: pinned by host I/O" },
	{ NULL, NULL },
};

static bool was_reached(const json_t *r)
{
	/* Shares of nodes are rounded down to whole pages. */
	return answer_count(r, "limit_bytes") <= answer_count(r, "wanted_bytes");
}

static int print_report(const json_t *r)
{
	char now[SIZE_TEXT_MAX], a[SIZE_TEXT_MAX], b[SIZE_TEXT_MAX];
	bool changed = json_object_get(r, "wanted_bytes");

	size_format(answer_count(r, "limit_bytes"), now);
	if (!changed) {
		printf("limit %s, of at most %s\n", now,
		       size_format(answer_count(r, "max_bytes"), a));
		return CMD_OK;
	}
	printf("limit %s, was %s\n", now, size_format(answer_count(r, "was_bytes"), a));
	if (answer_count(r, "wanted_bytes") >= answer_count(r, "was_bytes"))
		return CMD_OK;
	printf("  %10lu  pages reclaimed, %lu given back to the host, in %.1f ms\n",
	       answer_count(r, "reclaimed"), answer_count(r, "discarded"),
	       (double)answer_count(r, "ns_total") / 1e6);
	if (!was_reached(r)) {
		printf("%s was not reached%s; by the last look:\n",
		       size_format(answer_count(r, "wanted_bytes"), a),
		       json_is_true(json_object_get(r, "stopped")) ? " (stopped)" : "");
		answer_print_counts(r, reasons);
	}
	printf("host memory behind the guest: %s, was %s\n",
	       size_format(answer_count(r, "rss_after_bytes"), a),
	       size_format(answer_count(r, "rss_before_bytes"), b));
	if (json_object_get(r, "error"))
		fprintf(stderr, "umm limit: %s\n", answer_text(r, "error"));
	return CMD_OK;
}

static int verdict(const json_t *r)
{
	if (json_is_true(json_object_get(r, "stopped")))
		return CMD_STOPPED;
	if (json_object_get(r, "wanted_bytes") && !was_reached(r))
		return CMD_PARTIAL;
	return json_object_get(r, "error") ? CMD_FAILED : CMD_OK;
}

int cmd_limit(char **argv)
{
	bool json = false;
	const struct arg_option options[] = {
		CMD_OPTION_JSON(&json),
		{ .name = NULL },
	};
	const struct arg_command cmd = {
		.name = "limit",
		.synopsis = "NAME [SIZE|max] [--json]",
		.summary =
			"Show, or change, how much memory the programs of the running guest NAME\n"
			"may use. A smaller limit pages out what does not fit and gives it back to\n"
			"the host; a larger one holds at once, up to what --max-mem of umm run\n"
			"allowed (max). Exit status 3 if not enough could be paged out: then the\n"
			"limit is what was reached; 130 after Ctrl-C.\n",
		.options = options,
		.min_operands = 1,
		.max_operands = 2,
		.missing = "NAME of a guest",
	};
	struct arg_operands args;
	enum args_result r = args_parse(&cmd, argv, &args);
	uint64_t bytes = 0;
	bool max = false;
	json_t *request;

	if (r == ARGS_OK && args.nr == 2) {
		max = !strcmp(args.v[1], "max");
		if (!max && (size_parse(args.v[1], &bytes) || !bytes || bytes > INT64_MAX / 2))
			r = args_usage_error(&cmd, "'%s' is no size; write 64M, 1G, or max",
					     args.v[1]);
	}
	if (r != ARGS_OK)
		return cmd_args_status(r);
	request = json_object();
	if (bytes)
		json_object_set_new(request, "bytes", json_integer((json_int_t)bytes));
	if (max)
		json_object_set_new(request, "max", json_true());
	return cmd_show_long("limit", args.v[0], request, json, print_report, verdict);
}
