/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "vmm/cmd.h"
#include "vmm/table.h"

static unsigned int count_nodes(const json_t *areas)
{
	return (unsigned int)json_array_size(json_object_get(json_array_get(areas, 0), "on_node"));
}

static void add_pages(struct text_table *t, uint64_t pages)
{
	char text[SIZE_TEXT_MAX];

	table_add(t, "%s", pages_text(pages, text));
}

static const char *skip_0x(const char *hex)
{
	return hex[0] && hex[1] == 'x' ? hex + 2 : hex;
}

static void add_area(struct text_table *t, const json_t *a)
{
	const char *start = answer_text(a, "start"), *end = answer_text(a, "end");
	json_t *pages;
	size_t i;

	/* As in /proc/PID/maps: without 0x. */
	table_add(t, "%s-%s", skip_0x(start), skip_0x(end));
	table_add(t, "%s", answer_text(a, "flags"));
	/* Of a file; what anonymous areas are numbered by is the memory manager's own. */
	table_add(t, "%lx",
		  json_is_true(json_object_get(a, "file"))
			  ? answer_count(a, "pgoff") * UMM_PAGE_SIZE
			  : 0);
	add_pages(t, answer_count(a, "rss"));
	add_pages(t, answer_count(a, "anonymous"));
	add_pages(t, answer_count(a, "private_dirty") + answer_count(a, "shared_dirty"));
	add_pages(t, answer_count(a, "swap"));
	json_array_foreach(json_object_get(a, "on_node"), i, pages)
		add_pages(t, (uint64_t)json_integer_value(pages));
	table_add(t, "%s", answer_text(a, "name"));
}

/* With --physical: the sum over the areas, "physical: 512 pages on host node 0, 3 on 1". */
static void print_physical(const json_t *areas)
{
	json_t *sum = json_object(), *area, *count;
	const char *node, *separator = "physical: ";
	size_t i;

	json_array_foreach(areas, i, area)
	{
		json_object_foreach(json_object_get(area, "physical"), node, count)
			json_object_set_new(sum, node,
					    json_integer((json_int_t)answer_count(sum, node) +
							 json_integer_value(count)));
	}
	json_object_foreach(sum, node, count)
	{
		printf("%s%lld pages %s%s", separator, json_integer_value(count),
		       strcmp(node, "absent") ? "on host node " : "", node);
		separator = ", ";
	}
	if (json_object_size(sum))
		putchar('\n');
	json_decref(sum);
}

static int print_process(const json_t *p)
{
	static const char *const fixed[] = { "AREA",  "MODE",   ">OFFSET", ">RSS",
					     ">ANON", ">DIRTY", ">SWAP" };
	const json_t *areas = json_object_get(p, "areas"), *a;
	const char *headings[TABLE_MAX_COLUMNS + 1] = { NULL };
	unsigned int nodes = count_nodes(areas), n = sizeof(fixed) / sizeof(fixed[0]);
	char node_heads[64][8];
	struct text_table t;
	size_t i;

	printf("process %lu: %s\n", answer_count(p, "pid"), answer_text(p, "command"));
	if (!json_array_size(areas)) {
		puts("  no areas");
		return 0;
	}
	memcpy(headings, fixed, sizeof(fixed));
	for (i = 0; i < nodes && i < 64; i++) {
		snprintf(node_heads[i], sizeof(node_heads[i]), ">N%u", (unsigned int)i);
		headings[n++] = node_heads[i];
	}
	headings[n] = "NAME";
	table_init(&t, headings);
	json_array_foreach(areas, i, a) add_area(&t, a);
	if (table_finish(&t, stdout, 0))
		return -1;
	print_physical(areas);
	return 0;
}

static int print_report(const json_t *r)
{
	const json_t *list = json_object_get(r, "processes"), *p;
	size_t i;
	int rc = 0;

	json_array_foreach(list, i, p)
	{
		if (i)
			putchar('\n');
		rc = rc ? rc : print_process(p);
	}
	return rc ? CMD_FAILED : CMD_OK;
}

int cmd_maps(char **argv)
{
	struct cmd_number pid = { .v = 0 };
	struct cmd_range range = { .set = false };
	bool json = false, physical = false;
	const struct arg_option options[] = {
		CMD_OPTION_PID(&pid, "only this process"),
		CMD_OPTION_RANGE(&range),
		CMD_OPTION_FLAG("physical", &physical,
				"also ask the host on which of its nodes each page is"),
		CMD_OPTION_JSON(&json),
		{ .name = NULL },
	};
	const struct arg_command cmd = {
		.name = "maps",
		.synopsis = "NAME [--pid PID [--range A-B]] [--physical] [--json]",
		.summary =
			"Show the areas of the processes of the running guest NAME: as\n"
			"/proc/PID/maps, with how much of each is in memory, anonymous, dirty, in\n"
			"swap, and on each node.\n",
		.options = options,
		CMD_ONE_GUEST,
	};
	struct arg_operands args;
	enum args_result r = args_parse(&cmd, argv, &args);
	json_t *request;

	if (r == ARGS_OK && range.set && !pid.set)
		r = args_usage_error(&cmd, "--range needs --pid");
	if (r != ARGS_OK)
		return cmd_args_status(r);
	request = json_pack("{s:b}", "physical", physical);
	request_add_number(request, "pid", &pid);
	request_add_range(request, &range);
	return cmd_show("maps", args.v[0], request, json, print_report, NULL);
}
