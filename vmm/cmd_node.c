/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "vmm/cmd.h"
#include "vmm/table.h"

/* ---- what there is ------------------------------------------------------ */

static int print_nodes(const json_t *r)
{
	static const char *const headings[] = { ">NODE",   ">HOST NODE", "STATE",     ">SIZE",
						">FREE",   ">ANON",      ">FILE",     ">SHMEM",
						">LOCKED", ">HOST RSS",  "DISTANCES", NULL };
	static const char *const counts[] = { "frames", "free", "anon", "file", "shmem", "mlocked" };
	char text[SIZE_TEXT_MAX], distances[UMM_MAX_NODES * 4 + 1];
	struct text_table t;
	json_t *n, *d;
	size_t i, k;

	table_init(&t, headings);
	json_array_foreach(json_object_get(r, "nodes"), i, n)
	{
		table_add(&t, "%lu", answer_count(n, "node"));
		table_add(&t, "%lu", answer_count(n, "host_node"));
		table_add(&t, "%s", answer_text(n, "state"));
		for (k = 0; k < sizeof(counts) / sizeof(counts[0]); k++)
			table_add(&t, "%s", pages_text(answer_count(n, counts[k]), text));
		table_add(&t, "%s", size_format(answer_count(n, "rss_bytes"), text));
		distances[0] = 0;
		json_array_foreach(json_object_get(n, "distances"), k, d)
			snprintf(distances + strlen(distances),
				 sizeof(distances) - strlen(distances), "%s%d", k ? " " : "",
				 (int)json_integer_value(d));
		table_add(&t, "%s", distances);
	}
	return table_finish(&t, stdout, 0);
}

/* Two rows a node: free blocks, and folios in use, by their size. */
static int print_orders(const json_t *r)
{
	static const char *const rows[][2] = { { "free_blocks", "free blocks" },
					       { "folios", "folios" } };
	const char *headings[UMM_MAX_ORDER + 4] = { ">NODE", "" };
	char sizes[UMM_MAX_ORDER + 1][SIZE_TEXT_MAX + 1];
	struct text_table t;
	json_t *n, *v;
	size_t i, k, row;

	for (i = 0; i <= UMM_MAX_ORDER; i++) {
		sizes[i][0] = '>';
		size_format(UMM_PAGE_SIZE << i, sizes[i] + 1);
		headings[i + 2] = sizes[i];
	}
	puts("\nby size");
	table_init(&t, headings);
	json_array_foreach(json_object_get(r, "nodes"), i, n)
	{
		for (row = 0; row < 2; row++) {
			table_add(&t, "%lu", answer_count(n, "node"));
			table_add(&t, "%s", rows[row][1]);
			json_array_foreach(json_object_get(n, rows[row][0]), k, v)
				table_add(&t, "%lld", json_integer_value(v));
		}
	}
	return table_finish(&t, stdout, 0);
}

static int print_processes(const json_t *r)
{
	static const char *const headings[] = { ">NODE", ">PID", "PROGRAM", ">MAPS", NULL };
	char text[SIZE_TEXT_MAX];
	struct text_table t;
	json_t *n, *p;
	size_t i, k;

	puts("\nby process (what several map is told for each)");
	table_init(&t, headings);
	json_array_foreach(json_object_get(r, "nodes"), i, n)
	{
		json_array_foreach(json_object_get(n, "processes"), k, p)
		{
			table_add(&t, "%lu", answer_count(n, "node"));
			table_add(&t, "%lu", answer_count(p, "pid"));
			table_add(&t, "%s", answer_text(p, "name"));
			table_add(&t, "%s", pages_text(answer_count(p, "pages"), text));
		}
	}
	return table_finish(&t, stdout, 0);
}

static int print_all(const json_t *r)
{
	int rc;

	if (json_is_true(json_object_get(r, "simulated_nodes")))
		puts("simulated nodes: several share one host node");
	rc = print_nodes(r);
	if (!rc)
		rc = print_orders(r);
	if (!rc)
		rc = print_processes(r);
	printf("\npage tables: %lu frames, in a region of their own\n",
	       answer_count(r, "page_tables"));
	return rc ? CMD_FAILED : CMD_OK;
}

/* ---- changes ------------------------------------------------------------ */

static const struct count_text gone[] = {
	{ "reclaimed", "paged out or dropped, as the other nodes had no room" },
	{ NULL, NULL },
};

static const struct count_text reasons[] = {
	{ "pinned", "stay: pinned by host I/O" },
	{ "busy", "stay: busy" },
	{ "no_memory", "stay: no room on the other nodes, nor in swap" },
	{ "failed", "stay: the copy failed" },
	{ NULL, NULL },
};

static void print_stays(const json_t *r)
{
	json_t *f;
	size_t i;

	json_array_foreach(json_object_get(r, "stays"), i, f)
	{
		printf("  frame %lu: %s, %lu pins", answer_count(f, "pfn"), answer_text(f, "kind"),
		       answer_count(f, "pins"));
		if (json_object_get(f, "pid"))
			printf(", process %lu at %s", answer_count(f, "pid"),
			       answer_text(f, "address"));
		putchar('\n');
	}
}

static int print_offline(const json_t *r)
{
	const char *state = answer_text(r, "state");
	uint64_t node = answer_count(r, "node");
	char text[SIZE_TEXT_MAX];

	printf("node %lu is %s: moved %lu of %lu pages", node, state, answer_count(r, "moved"),
	       answer_count(r, "used_before"));
	printf(", %lu are still there (%.1f ms)\n", answer_count(r, "used_after"),
	       (double)answer_count(r, "ns_total") / 1e6);
	answer_print_counts(r, gone);
	/* Where nothing is left, reasons of a first try are of no interest. */
	if (answer_count(r, "used_after"))
		answer_print_counts(r, reasons);
	print_stays(r);
	if (!strcmp(state, "offline"))
		printf("given back to the host: %s\n",
		       size_format(answer_count(r, "given_back_bytes"), text));
	else if (!strcmp(state, "draining"))
		printf("nothing new goes there; ask again, or bring it back: online %lu\n", node);
	else
		printf("%s: it is in use as before\n",
		       json_is_true(json_object_get(r, "stopped")) ? "stopped" : "no room");
	return CMD_OK;
}

static int print_change(const json_t *r)
{
	if (!strcmp(answer_text(r, "action"), "offline"))
		return print_offline(r);
	if (!strcmp(answer_text(r, "action"), "online")) {
		printf("node %lu is online\n", answer_count(r, "node"));
		return CMD_OK;
	}
	printf("node %lu: %lu free blocks of 2 MiB, were %lu; moved %lu pages in %.1f ms%s\n",
	       answer_count(r, "node"), answer_count(r, "huge_after"),
	       answer_count(r, "huge_before"), answer_count(r, "moved"),
	       (double)answer_count(r, "ns_total") / 1e6,
	       json_is_true(json_object_get(r, "stopped")) ? "; stopped" : "");
	answer_print_counts(r, reasons);
	return CMD_OK;
}

static int verdict(const json_t *r)
{
	if (json_is_true(json_object_get(r, "stopped")))
		return CMD_STOPPED;
	if (!strcmp(answer_text(r, "action"), "offline") &&
	    strcmp(answer_text(r, "state"), "offline"))
		return CMD_PARTIAL;
	return CMD_OK;
}

/* The node of `umm node NAME ACTION N`. */
static enum args_result parse_change(const struct arg_command *cmd, const struct arg_operands *args,
				     struct cmd_number *node)
{
	static const char *const known[] = { "offline", "online", "compact" };
	struct errmsg e;
	unsigned int i;

	for (i = 0; i < 3 && strcmp(args->v[1], known[i]); i++)
		;
	if (i == 3)
		return args_usage_error(cmd, "'%s' is none of offline, online, compact",
					args->v[1]);
	if (args->nr < 3)
		return args_usage_error(cmd, "%s which node? N is missing", args->v[1]);
	if (cmd_parse_number(node, "N", args->v[2], &e))
		return args_usage_error(cmd, "%s", e.text);
	return ARGS_OK;
}

int cmd_node(char **argv)
{
	struct cmd_number node = { .v = 0 }, tries = { .v = 0 };
	bool json = false;
	const struct arg_option options[] = {
		CMD_OPTION_NUMBER("tries", &tries, "K",
				  "offline: try what is busy or pinned so often (default: 10)"),
		CMD_OPTION_JSON(&json),
		{ .name = NULL },
	};
	const struct arg_command cmd = {
		.name = "node",
		.synopsis = "NAME [offline N | online N | compact N] [--tries K] [--json]",
		.summary =
			"Show the nodes of the running guest NAME: what is free and used, by kind,\n"
			"size and process. offline moves all that is on node N to the others and\n"
			"lets nothing new go there; online undoes that; compact makes free blocks of\n"
			"2 MiB. Exit status 3 if the node could not be taken offline, 130 after\n"
			"Ctrl-C.\n",
		.options = options,
		.min_operands = 1,
		.max_operands = 3,
		.missing = "NAME of a guest",
	};
	struct arg_operands args;
	enum args_result r = args_parse(&cmd, argv, &args);
	json_t *request;

	if (r == ARGS_OK && args.nr > 1)
		r = parse_change(&cmd, &args, &node);
	if (r == ARGS_OK && tries.set && (tries.v < 1 || tries.v > 1000))
		r = args_usage_error(&cmd, "--tries: from 1 to 1000, not %ld", tries.v);
	if (r != ARGS_OK)
		return cmd_args_status(r);
	if (args.nr == 1)
		return cmd_show("node", args.v[0], json_object(), json, print_all, NULL);
	request = json_pack("{s:s}", "action", args.v[1]);
	request_add_number(request, "node", &node);
	request_add_number(request, "tries", &tries);
	return cmd_show_long("node", args.v[0], request, json, print_change, verdict);
}
