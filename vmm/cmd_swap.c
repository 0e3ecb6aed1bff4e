/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "vmm/cmd.h"
#include "vmm/swap_spec.h"
#include "vmm/table.h"

static int print_areas(const json_t *r)
{
	static const char *const headings[] = { ">AREA", "KIND",    ">PRIORITY", ">SIZE",
						">USED", ">CACHED", "NAME",      NULL };
	static const char *const counts[] = { "slots", "used", "cached" };
	json_t *areas = json_object_get(r, "areas"), *a;
	char text[SIZE_TEXT_MAX];
	struct text_table t;
	size_t i;

	if (!json_array_size(areas)) {
		puts("no swap");
		return CMD_OK;
	}
	table_init(&t, headings);
	json_array_foreach(areas, i, a)
	{
		table_add(&t, "%lu", answer_count(a, "area"));
		table_add(&t, "%s", answer_text(a, "kind"));
		table_add(&t, "%ld", (int64_t)answer_count(a, "priority"));
		for (unsigned int c = 0; c < sizeof(counts) / sizeof(counts[0]); c++)
			table_add(&t, "%s", pages_text(answer_count(a, counts[c]), text));
		table_add(&t, "%s", answer_text(a, "name"));
	}
	return table_finish(&t, stdout, 0) ? CMD_FAILED : CMD_OK;
}

/* A file is named from where this command runs, which is not where the guest does. */
static int make_absolute(const struct swap_spec *spec, const char *text, char *out, size_t size)
{
	char here[PATH_MAX];
	int n;

	if (spec->kind != SWAP_FILE || !spec->path[0] || spec->path[0] == '/')
		n = snprintf(out, size, "%s", text);
	else if (!getcwd(here, sizeof(here)))
		return -errno;
	else
		n = snprintf(out, size, "file:%s/%s", here, strstr(text, spec->path));
	return n < (int)size ? 0 : -ENAMETOOLONG;
}

static enum args_result parse_change(const struct arg_command *cmd, const struct arg_operands *args,
				     char *what, size_t size)
{
	static struct swap_spec spec;
	struct errmsg e;

	if (args->nr == 2 && !strcmp(args->v[1], "list"))
		return ARGS_OK;
	if (strcmp(args->v[1], "add") && strcmp(args->v[1], "remove"))
		return args_usage_error(cmd, "'%s' is none of list, add, remove", args->v[1]);
	if (args->nr < 3)
		return args_usage_error(cmd, "%s what? %s is missing", args->v[1],
					args->v[1][0] == 'a' ? "SPEC" : "AREA");
	snprintf(what, size, "%s", args->v[2]);
	if (args->v[1][0] == 'r')
		return ARGS_OK;
	if (swap_spec_parse(args->v[2], &spec, &e))
		return args_usage_error(cmd, "%s", e.text);
	if (make_absolute(&spec, args->v[2], what, size))
		return args_usage_error(cmd, "'%s': the name is too long", args->v[2]);
	return ARGS_OK;
}

int cmd_swap(char **argv)
{
	static char what[2 * PATH_MAX];
	bool json = false;
	const struct arg_option options[] = {
		CMD_OPTION_JSON(&json),
		{ .name = NULL },
	};
	const struct arg_command cmd = {
		.name = "swap",
		.synopsis = "NAME [list | add SPEC | remove AREA] [--json]",
		.summary =
			"Show the swap areas of the running guest NAME, with what is used of each.\n"
			"add opens another, SPEC being what --swap of umm run takes; remove reads\n"
			"back all that AREA holds (its number in the list, or its name) and closes\n"
			"it. If there is no room for that it says so, and the area stays in use.\n",
		.options = options,
		.min_operands = 1,
		.max_operands = 3,
		.missing = "NAME of a guest",
	};
	struct arg_operands args;
	enum args_result r = args_parse(&cmd, argv, &args);
	json_t *request;

	if (r == ARGS_OK && args.nr > 1)
		r = parse_change(&cmd, &args, what, sizeof(what));
	if (r != ARGS_OK)
		return cmd_args_status(r);
	if (!what[0])
		return cmd_show("swap", args.v[0], json_object(), json, print_areas, NULL);
	request = json_pack("{s:s, s:s}", "action", args.v[1], "area", what);
	return cmd_show_long("swap", args.v[0], request, json, print_areas, NULL);
}
