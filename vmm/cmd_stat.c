/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "vmm/cmd.h"
#include "vmm/table.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

static void print_head(const json_t *r)
{
	const json_t *h = json_object_get(r, "host");
	char mem[SIZE_TEXT_MAX], rss[SIZE_TEXT_MAX];

	printf("guest %s: %s of memory, %s of the host's in use, up %.1f s\n",
	       answer_text(r, "name"), size_format(answer_count(r, "mem_bytes"), mem),
	       size_format(answer_count(r, "rss_bytes"), rss),
	       (double)answer_count(r, "uptime_ns") / 1e9);
	printf("host: %s paging, SYSCALL arrives at level %lu, zap by %s, table flush by %s, "
	       "%lu NUMA node%s\n",
	       answer_text(h, "paging"), answer_count(h, "syscall_cpl"), answer_text(h, "zap"),
	       answer_text(h, "flush"), answer_count(h, "nodes"),
	       answer_count(h, "nodes") == 1 ? "" : "s");
}

/* "0: 512 1: 3", frames by the host node that holds them. */
static void add_physical(struct text_table *t, json_t *physical)
{
	char text[256] = "";
	const char *node;
	json_t *n;
	size_t len;

	json_object_foreach(physical, node, n)
	{
		len = strlen(text);
		if (json_integer_value(n))
			snprintf(text + len, sizeof(text) - len, "%s%s:%lld", len ? " " : "", node,
				 json_integer_value(n));
	}
	table_add(t, "%s", text);
}

static int print_nodes(const json_t *r)
{
	static const char *const plain[] = { ">NODE", ">HOST NODE", ">SIZE",   ">FREE",     ">ANON",
					     ">FILE", ">SHMEM",     ">LOCKED", ">HOST RSS", NULL };
	static const char *const asked[] = { ">NODE",     ">HOST NODE", ">SIZE",  ">FREE",
					     ">ANON",     ">FILE",      ">SHMEM", ">LOCKED",
					     ">HOST RSS", "PHYSICAL",   NULL };
	const json_t *numa = json_object_get(r, "numa");
	bool physical = json_object_get(json_array_get(numa, 0), "physical");
	bool simulated =
		json_is_true(json_object_get(json_object_get(r, "host"), "simulated_nodes"));
	static const char *const counts[] = { "frames", "free", "anon", "file", "shmem", "mlocked" };
	char text[SIZE_TEXT_MAX];
	struct text_table t;
	unsigned int c;
	json_t *n;
	size_t i;

	printf("\nnodes%s\n", simulated ? " (simulated nodes: several share one host node)" : "");
	table_init(&t, physical ? asked : plain);
	json_array_foreach(numa, i, n)
	{
		table_add(&t, "%lu", answer_count(n, "node"));
		table_add(&t, "%lu", answer_count(n, "host_node"));
		for (c = 0; c < sizeof(counts) / sizeof(counts[0]); c++)
			table_add(&t, "%s", pages_text(answer_count(n, counts[c]), text));
		table_add(&t, "%s", size_format(answer_count(n, "rss_bytes"), text));
		if (physical)
			add_physical(&t, json_object_get(n, "physical"));
	}
	return table_finish(&t, stdout, 2);
}

static int print_processes(const json_t *r)
{
	static const char *const headings[] = { ">PID", ">PPID", "STATE",   ">THREADS",
						">RSS", ">SWAP", "COMMAND", NULL };
	char text[SIZE_TEXT_MAX];
	struct text_table t;
	json_t *p;
	size_t i;

	puts("\nprocesses");
	table_init(&t, headings);
	json_array_foreach(json_object_get(r, "processes"), i, p)
	{
		table_add(&t, "%lu", answer_count(p, "pid"));
		table_add(&t, "%lu", answer_count(p, "ppid"));
		table_add(&t, "%s", answer_text(p, "state"));
		table_add(&t, "%lu", answer_count(p, "threads"));
		table_add(&t, "%s", pages_text(answer_count(p, "resident"), text));
		table_add(&t, "%s", pages_text(answer_count(p, "swapped"), text));
		table_add(&t, "%s", answer_text(p, "command"));
	}
	return table_finish(&t, stdout, 2);
}

/* What only areas of its kind have, as "compressed_bytes 123". */
static void print_figures(json_t *area)
{
	static const char *const common[] = { "kind",       "name",          "priority",
					      "slots",      "used",          "cached",
					      "pages_read", "pages_written", "errors" };
	const char *name, *sep = "  ";
	size_t i;
	json_t *v;

	json_object_foreach(area, name, v)
	{
		for (i = 0; i < ARRAY_LEN(common) && strcmp(name, common[i]); i++)
			;
		if (i < ARRAY_LEN(common) || !json_is_integer(v))
			continue;
		printf("%s%s %lld", sep, name, json_integer_value(v));
		sep = ", ";
	}
	if (*sep == ',')
		putchar('\n');
}

static int print_areas(const json_t *areas)
{
	static const char *const headings[] = { "KIND",  ">PRIORITY", ">SIZE",   ">USED", ">CACHED",
						">READ", ">WRITTEN",  ">ERRORS", "NAME",  NULL };
	static const char *const counts[] = { "slots", "used", "cached", "pages_read",
					      "pages_written" };
	char text[SIZE_TEXT_MAX];
	struct text_table t;
	unsigned int c;
	json_t *a;
	size_t i;
	int rc;

	table_init(&t, headings);
	json_array_foreach(areas, i, a)
	{
		table_add(&t, "%s", answer_text(a, "kind"));
		table_add(&t, "%ld", (int64_t)answer_count(a, "priority"));
		for (c = 0; c < ARRAY_LEN(counts); c++)
			table_add(&t, "%s", pages_text(answer_count(a, counts[c]), text));
		table_add(&t, "%lu", answer_count(a, "errors"));
		table_add(&t, "%s", answer_text(a, "name"));
	}
	rc = table_finish(&t, stdout, 2);
	json_array_foreach(areas, i, a) print_figures(a);
	return rc;
}

static int print_swap(const json_t *swap)
{
	char a[SIZE_TEXT_MAX], b[SIZE_TEXT_MAX], c[SIZE_TEXT_MAX];

	if (!json_is_object(swap)) {
		puts("\nswap: none (umm run --swap)");
		return 0;
	}
	printf("\nswap: %s of %s used, %s of it also in memory\n",
	       pages_text(answer_count(swap, "used"), a),
	       pages_text(answer_count(swap, "slots"), b),
	       pages_text(answer_count(swap, "cached"), c));
	return print_areas(json_object_get(swap, "areas"));
}

static void print_pressure(const json_t *p)
{
	printf("\nwaits for memory: some %.1f s (%.1f %% of the last 10 s), all %.1f s (%.1f %%)\n",
	       (double)answer_count(p, "some_total_us") / 1e6,
	       json_real_value(json_object_get(p, "some_avg10")),
	       (double)answer_count(p, "full_total_us") / 1e6,
	       json_real_value(json_object_get(p, "full_avg10")));
}

static int print_counts(const char *title, json_t *o)
{
	static const char *const headings[] = { "COUNTER", ">VALUE", NULL };
	const char *name;
	struct text_table t;
	json_t *n;

	printf("\n%s\n", title);
	table_init(&t, headings);
	json_object_foreach(o, name, n)
	{
		if (!json_is_integer(n))
			continue;
		table_add(&t, "%s", name);
		table_add(&t, "%lld", json_integer_value(n));
	}
	return table_finish(&t, stdout, 2);
}

/* What is on: counts alone would show nothing but zeros. */
static int print_placement(json_t *placement)
{
	const char *kind;
	char title[64];
	json_t *o;
	int rc = 0;

	json_object_foreach(placement, kind, o)
	{
		if (!answer_count(o, "scanned") && !*answer_text(o, "policy"))
			continue;
		snprintf(title, sizeof(title), "placement: %s, %s", kind,
			 *answer_text(o, "policy") ? answer_text(o, "policy") : "off");
		rc = rc ? rc : print_counts(title, o);
	}
	return rc;
}

/* Nothing where nobody ever asked for it. */
static int print_ksm(json_t *ksm)
{
	if (!answer_count(ksm, "run") && !answer_count(ksm, "pages_scanned"))
		return 0;
	return print_counts("same-page merging (KSM)", ksm);
}

/* Nothing where they cannot be. */
static int print_holes(json_t *holes)
{
	char title[256];

	if (!json_is_object(holes))
		return 0;
	snprintf(title, sizeof(title), "holes: %s, %s", answer_text(holes, "kind"),
		 answer_text(holes, "name"));
	return print_counts(title, holes);
}

static int print_report(const json_t *r)
{
	int rc;

	print_head(r);
	rc = print_nodes(r);
	if (!rc)
		rc = print_processes(r);
	if (!rc)
		rc = print_swap(json_object_get(r, "swap"));
	if (!rc)
		rc = print_holes(json_object_get(r, "holes"));
	print_pressure(json_object_get(r, "pressure"));
	if (!rc)
		rc = print_placement(json_object_get(r, "placement"));
	if (!rc)
		rc = print_ksm(json_object_get(r, "ksm"));
	if (!rc)
		rc = print_counts("memory manager: events", json_object_get(r, "events"));
	if (!rc)
		rc = print_counts("memory manager: objects alive", json_object_get(r, "objects"));
	if (!rc)
		rc = print_counts("virtual machine", json_object_get(r, "machine"));
	if (!rc)
		rc = print_counts("guest", json_object_get(r, "guest"));
	return rc ? CMD_FAILED : CMD_OK;
}

int cmd_stat(char **argv)
{
	bool json = false, physical = false;
	const struct arg_option options[] = {
		CMD_OPTION_FLAG("physical", &physical,
				"also ask the host's kernel on which of its nodes the frames\n"
				"in use really are (a call a frame)"),
		CMD_OPTION_JSON(&json),
		{ .name = NULL },
	};
	const struct arg_command cmd = {
		.name = "stat",
		.synopsis = "NAME [--physical] [--json]",
		.summary =
			"Show the running guest NAME in figures: its nodes and the host memory\n"
			"behind them, processes, swap, counters of the memory manager and of the\n"
			"virtual machine, and what kind of host it found.\n",
		.options = options,
		CMD_ONE_GUEST,
	};
	struct arg_operands args;
	enum args_result r = args_parse(&cmd, argv, &args);
	json_t *request;

	if (r != ARGS_OK)
		return cmd_args_status(r);
	request = json_pack("{s:b}", "physical", physical);
	return cmd_show("stat", args.v[0], request, json, print_report, NULL);
}
