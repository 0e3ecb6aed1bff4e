/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "vmm/cmd.h"
#include "vmm/pace.h"
#include "vmm/page_list.h"

static const struct count_text reasons[] = {
	{ "already_there", "already there" },
	{ "shared", "shared, and left: other processes map them too (--shared moves them)" },
	{ "pinned", "stay: pinned by host I/O" },
	{ "busy", "stay: busy" },
	{ "no_memory", "stay: no memory on the node" },
	{ "failed", "stay: the copy failed" },
	{ "left", "left: beyond --percent, or it was stopped before their turn" },
	{ "gone", "gone: freed before their turn" },
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
	printf("\nfind %.1f ms, new frames %.1f ms, unmap %.1f ms, flush %.1f ms, zap %.1f ms, "
	       "copy %.1f ms, restore %.1f ms\n",
	       (double)answer_count(r, "ns_find") / 1e6, (double)answer_count(r, "ns_alloc") / 1e6,
	       (double)answer_count(r, "ns_unmap") / 1e6, (double)answer_count(r, "ns_flush") / 1e6,
	       (double)answer_count(r, "ns_zap") / 1e6, (double)answer_count(r, "ns_copy") / 1e6,
	       (double)answer_count(r, "ns_restore") / 1e6);
}

static void print_rate(const json_t *r)
{
	uint64_t moved = answer_count(r, "moved") * UMM_PAGE_SIZE, ns = answer_count(r, "ns_total");
	char asked[SIZE_TEXT_MAX], reached[SIZE_TEXT_MAX];

	if (json_object_get(r, "rate_bytes") && ns)
		printf("rate: %s/s of at most %s/s\n",
		       size_format((uint64_t)((double)moved * 1e9 / (double)ns), reached),
		       size_format(answer_count(r, "rate_bytes"), asked));
	if (answer_count(r, "ns_rested"))
		printf("rested %.1f ms of it, for the guest that runs (--rate max does not)\n",
		       (double)answer_count(r, "ns_rested") / 1e6);
}

static int print_report(const json_t *r)
{
	bool dry = json_is_true(json_object_get(r, "dry_run"));
	uint64_t moved = answer_count(r, dry ? "would_move" : "moved");
	const json_t *v = json_object_get(r, "verify");
	char text[SIZE_TEXT_MAX];

	printf("%s %lu of %lu pages (%s) to node %lu%s\n", dry ? "would move" : "moved", moved,
	       answer_count(r, "total"), size_format(moved * UMM_PAGE_SIZE, text),
	       answer_count(r, "to"),
	       json_is_true(json_object_get(r, "simulated_nodes")) ? " (simulated nodes)" : "");
	if (json_is_true(json_object_get(r, "stopped")))
		printf("stopped before the end\n");
	answer_print_counts(r, reasons);
	if (answer_count(r, "absent"))
		printf("%lu pages of the list have no frame\n", answer_count(r, "absent"));
	if (!dry)
		print_times(r);
	print_rate(r);
	if (json_object_get(r, "given_back_bytes"))
		printf("given back to the host: %s\n",
		       size_format(answer_count(r, "given_back_bytes"), text));
	if (v)
		printf("verified: %lu frames of the guest are on their host node, %lu elsewhere, "
		       "%lu without memory\n",
		       answer_count(v, "on_their_host_node"), answer_count(v, "elsewhere"),
		       answer_count(v, "absent"));
	return CMD_OK;
}

static int verdict(const json_t *r)
{
	if (json_is_true(json_object_get(r, "stopped")))
		return CMD_STOPPED;
	if (json_is_true(json_object_get(r, "dry_run")))
		return CMD_OK;
	return answer_count(r, "pinned") + answer_count(r, "busy") + answer_count(r, "no_memory") +
			       answer_count(r, "failed")
		       ? CMD_PARTIAL
		       : CMD_OK;
}

/* --rate: bytes a second, a share of the guest's time, or neither. */
struct rate {
	uint64_t bytes;
	unsigned int percent;
	bool max;
};

struct migrate_options {
	struct cmd_number to, from, pid, percent, tries;
	struct cmd_range range;
	const char *pages, *mode;
	struct rate rate;
	bool json, shared, verify, dry_run, give_back;
};

static enum args_result check_options(const struct arg_command *cmd,
				      const struct migrate_options *o)
{
	if (!o->to.set)
		return args_usage_error(cmd, "to which node? --to is missing");
	if ((o->range.set || o->shared) && !o->pid.set)
		return args_usage_error(cmd, "--range and --shared need --pid");
	if (o->range.set && o->pages)
		return args_usage_error(cmd, "either --range or --pages, not both");
	if (o->percent.set && (o->percent.v < 1 || o->percent.v > 100))
		return args_usage_error(cmd, "--percent: from 1 to 100, not %ld", o->percent.v);
	if (o->tries.set && (o->tries.v < 1 || o->tries.v > 1000))
		return args_usage_error(cmd, "--tries: from 1 to 1000, not %ld", o->tries.v);
	return ARGS_OK;
}

static json_t *make_request(const struct migrate_options *o, json_t *pages)
{
	json_t *request = json_pack("{s:I, s:b, s:b, s:b, s:b}", "to", (json_int_t)o->to.v,
				    "shared", o->shared, "verify", o->verify, "dry_run", o->dry_run,
				    "give_back", o->give_back);

	request_add_number(request, "from", &o->from);
	request_add_number(request, "pid", &o->pid);
	request_add_number(request, "percent", &o->percent);
	request_add_number(request, "tries", &o->tries);
	request_add_range(request, &o->range);
	if (o->rate.bytes)
		json_object_set_new(request, "rate_bytes", json_integer((json_int_t)o->rate.bytes));
	else if (o->rate.percent)
		json_object_set_new(request, "gentle_percent", json_integer(o->rate.percent));
	else if (!o->rate.max)
		json_object_set_new(request, "gentle", json_true());
	if (o->mode)
		json_object_set_new(request, "mode", json_string(o->mode));
	if (pages)
		json_object_set_new(request, "pages", pages);
	return request;
}

static int parse_rate(void *to, const char *name, const char *value, struct errmsg *e)
{
	struct rate *rate = to;
	char *end;
	long percent = strtol(value, &end, 10);

	(void)name;
	*rate = (struct rate){ .max = !strcmp(value, "max") };
	if (rate->max)
		return 0;
	if (end != value && !strcmp(end, "%")) {
		rate->percent = (unsigned int)percent;
		return percent >= 1 && percent <= PACE_PERCENT_MAX
			       ? 0
			       : errmsg_set(e, -1, "'%s': from 1%% to %d%% of the guest's time",
					    value, PACE_PERCENT_MAX);
	}
	if (size_parse(value, &rate->bytes) || !rate->bytes || rate->bytes > INT64_MAX)
		return errmsg_set(e, -1,
				  "'%s' is no rate; write 64K, 500M, 2G: bytes a second; 20%%: of "
				  "the guest's time; or max",
				  value);
	return 0;
}

static int parse_mode(void *to, const char *name, const char *value, struct errmsg *e)
{
	(void)name;
	if (strcmp(value, "auto") && strcmp(value, "stop") && strcmp(value, "optimistic"))
		return errmsg_set(e, -1, "auto, stop or optimistic, not '%s'", value);
	*(const char **)to = value;
	return 0;
}

int cmd_migrate(char **argv)
{
	struct migrate_options o = { .pages = NULL };
	const struct arg_option options[] = {
		CMD_OPTION_NUMBER("to", &o.to, "NODE", "the guest node to move to"),
		CMD_OPTION_NUMBER("from", &o.from, "NODE",
				  "only from this node (default: all others)"),
		CMD_OPTION_PID(&o.pid, "only what this process maps"),
		CMD_OPTION_RANGE(&o.range),
		CMD_OPTION_FLAG("shared", &o.shared,
				"with --pid: also what other processes map too"),
		{ .name = "pages",
		  .kind = ARG_TEXT,
		  .to = &o.pages,
		  .value = "FILE",
		  .help = "only these pages: one a line, an address of --pid or without\n"
			  "it a frame number; - reads stdin" },
		CMD_OPTION_NUMBER("percent", &o.percent, "P",
				  "only this share of what could go, coldest first"),
		CMD_OPTION_CALL("rate", &o.rate, parse_rate, "SIZE",
				"at most so many bytes a second, evenly; P%: as fast as costs a\n"
				"guest that runs about that share of its time; max: no rests\n"
				"(default: 10%)"),
		CMD_OPTION_CALL("mode", &o.mode, parse_mode, "MODE",
				"auto, stop (a page is unmapped while it is copied) or optimistic\n"
				"(copied while mapped, and again if stored to; default: auto)"),
		CMD_OPTION_NUMBER("tries", &o.tries, "K",
				  "try what is busy or pinned so often (default: 10)"),
		CMD_OPTION_FLAG("dry-run", &o.dry_run, "move nothing, only count"),
		CMD_OPTION_FLAG("give-back", &o.give_back,
				"return the memory of the nodes left to the host at once"),
		CMD_OPTION_FLAG("verify", &o.verify,
				"ask the host where the guest's frames are afterwards"),
		CMD_OPTION_JSON(&o.json),
		{ .name = NULL },
	};
	const struct arg_command cmd = {
		.name = "migrate",
		.synopsis =
			"NAME --to NODE [--from NODE] [--pid PID [--range A-B] [--shared]]\n"
			"                   [--pages FILE] [--percent P] [--rate SIZE] [--tries K]\n"
			"                   [--mode MODE] [--dry-run] [--give-back] [--verify] [--json]",
		.summary =
			"Move the memory of the running guest NAME to NODE and tell how many pages\n"
			"went, why others did not, and what the time went into. Ctrl-C stops it and\n"
			"tells what was done. Exit status 3 if pages that should move stayed (no\n"
			"memory on the node, pinned, busy), 130 if it was stopped.\n",
		.options = options,
		CMD_ONE_GUEST,
	};
	struct arg_operands args;
	enum args_result r = args_parse(&cmd, argv, &args);
	json_t *pages = NULL;
	struct errmsg e;

	if (r == ARGS_OK)
		r = check_options(&cmd, &o);
	if (r != ARGS_OK)
		return cmd_args_status(r);
	if (o.pages && page_list_read(o.pages, o.pid.set, &pages, &e))
		return cmd_failed("migrate", o.json, &e);
	return cmd_show_long("migrate", args.v[0], make_request(&o, pages), o.json, print_report,
			     verdict);
}
