/* SPDX-License-Identifier: MIT */
/* umm sim: replay a page reference trace against reclaim policies and the optimum. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/cmd.h"
#include "vmm/policy_load.h"
#include "vmm/sim.h"

#define POLICIES_MAX 32u
#define SIZES_MAX    32u

/* A memory size as it was asked for, and in frames. */
struct sim_size {
	char text[24];
	double percent; /* 0: bytes */
	uint64_t bytes;
	uint64_t frames;
};

struct sim_plan {
	const struct reclaim_policy *policies[POLICIES_MAX];
	unsigned int nr_policies;
	struct sim_size sizes[SIZES_MAX];
	unsigned int nr_sizes;
};

/* ---- what is asked for ----------------------------------------------------------- */

/* The next part of a list with commas; false at its end. */
static bool next_part(const char **list, char *part, size_t size)
{
	size_t len = strcspn(*list, ",");

	if (!**list)
		return false;
	snprintf(part, size, "%.*s", (int)len, *list);
	*list += len + ((*list)[len] == ',');
	return true;
}

static int parse_size(const char *text, struct sim_size *s)
{
	char *end;

	memset(s, 0, sizeof(*s));
	snprintf(s->text, sizeof(s->text), "%.23s", text);
	s->percent = strtod(text, &end);
	if (end != text && (!*end || !strcmp(end, "%")))
		return isfinite(s->percent) && s->percent > 0 && s->percent <= 100 ? 0 : -EINVAL;
	s->percent = 0;
	return size_parse(text, &s->bytes) || !s->bytes ? -EINVAL : 0;
}

static int parse_sizes(const char *list, struct sim_plan *plan, struct errmsg *e)
{
	char part[64];

	while (next_part(&list, part, sizeof(part))) {
		if (plan->nr_sizes == SIZES_MAX)
			return errmsg_set(e, -EINVAL, "--mem: more than %u sizes", SIZES_MAX);
		if (parse_size(part, &plan->sizes[plan->nr_sizes]))
			return errmsg_set(
				e, -EINVAL,
				"--mem: '%s' is neither percent of the trace's pages (50, "
				"12.5%%) nor a size (64M)",
				part);
		plan->nr_sizes++;
	}
	return plan->nr_sizes ? 0 : errmsg_set(e, -EINVAL, "--mem: no size");
}

static int add_policy(struct sim_plan *plan, const struct reclaim_policy *p, struct errmsg *e)
{
	if (plan->nr_policies == POLICIES_MAX)
		return errmsg_set(e, -EINVAL, "--policy: more than %u", POLICIES_MAX);
	plan->policies[plan->nr_policies++] = p;
	return 0;
}

static int parse_policies(const char *list, struct sim_plan *plan, struct errmsg *e)
{
	char part[POLICY_TEXT_MAX + 1];
	int rc = 0;

	while (!rc && next_part(&list, part, sizeof(part))) {
		const struct reclaim_policy *p;

		if (!strcmp(part, "all")) {
			for (unsigned int i = 0; !rc && (p = reclaim_policy_get(i)); i++)
				rc = add_policy(plan, p, e);
			continue;
		}
		rc = policy_load(part, &p, e);
		if (!rc)
			rc = add_policy(plan, p, e);
	}
	return rc;
}

static void sizes_to_frames(struct sim_plan *plan, const struct sim_trace *t)
{
	for (unsigned int i = 0; i < plan->nr_sizes; i++) {
		struct sim_size *s = &plan->sizes[i];

		s->frames = s->percent > 0 ? (uint64_t)(s->percent / 100 * (double)t->touched)
					   : s->bytes / t->header.page_size;
		if (!s->frames)
			s->frames = 1;
	}
}

/* ---- what came out ----------------------------------------------------------------- */

static json_t *result_json(const char *policy, const struct sim_size *size,
			   const struct sim_result *r, const struct sim_result *opt)
{
	uint64_t refaults = r->faults - r->cold;
	double regret = sim_regret(r, opt);
	json_t *o = json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f}", "policy",
			      policy, "mem", size->text, "frames", (json_int_t)size->frames,
			      "faults", (json_int_t)r->faults, "refaults", (json_int_t)refaults,
			      "evicted", (json_int_t)r->evicted, "evicted_dirty",
			      (json_int_t)r->dirty, "looks", (json_int_t)r->looks, "looks_used",
			      (json_int_t)r->used, "refault_distance",
			      refaults ? (double)r->distance_sum / (double)refaults : 0.0,
			      "seconds", r->seconds);

	json_object_set_new(o, "regret", isfinite(regret) ? json_real(regret) : json_null());
	return o;
}

static void print_result(const json_t *o, uint64_t refs)
{
	uint64_t faults = answer_count(o, "faults");
	double seconds = json_real_value(json_object_get(o, "seconds"));
	const json_t *regret = json_object_get(o, "regret");

	printf("%-8s %-16s %10lu %8.3f%% %10lu", answer_text(o, "mem"), answer_text(o, "policy"),
	       faults, 100.0 * (double)faults / (double)refs, answer_count(o, "refaults"));
	if (json_is_null(regret))
		printf(" %8s", "inf");
	else
		printf(" %8.3f", json_real_value(regret));
	printf(" %10lu %8.1f\n", answer_count(o, "evicted_dirty"),
	       seconds > 0 ? (double)refs / seconds / 1e6 : 0.0);
}

static int run_one_size(const struct sim_trace *t, const struct sim_plan *plan,
			const struct sim_size *size, json_t *list, struct errmsg *e)
{
	struct sim_result opt, r;
	int rc = sim_optimum(t, size->frames, &opt);

	if (rc)
		return errmsg_set(e, rc, "optimum: %s", strerror(-rc));
	json_array_append_new(list, result_json("optimum", size, &opt, &opt));
	for (unsigned int i = 0; i < plan->nr_policies; i++) {
		const char *name = plan->policies[i]->name;

		rc = sim_replay(t, plan->policies[i], size->frames, &r);
		if (rc == -EINVAL)
			return errmsg_set(e, rc, "%s lost folios: it named no victim", name);
		if (rc)
			return errmsg_set(e, rc, "%s: %s", name, strerror(-rc));
		json_array_append_new(list, result_json(name, size, &r, &opt));
	}
	return 0;
}

static json_t *report_json(const struct sim_trace *t, json_t *list)
{
	return json_pack("{s:s, s:I, s:I, s:I, s:i, s:o}", "trace", t->header.name, "references",
			 (json_int_t)t->header.nr_refs, "pages", (json_int_t)t->header.nr_pages,
			 "pages_used", (json_int_t)t->touched, "page_size",
			 (int)t->header.page_size, "results", list);
}

static int show(const struct sim_trace *t, json_t *list, bool json)
{
	json_t *report = report_json(t, list);
	const json_t *o;
	size_t i;
	int rc = CMD_OK;

	if (json) {
		rc = cmd_print_json(report);
	} else {
		printf("%s: %lu references to %lu pages\n", t->header.name, t->header.nr_refs,
		       t->touched);
		printf("%-8s %-16s %10s %9s %10s %8s %10s %8s\n", "mem", "policy", "faults",
		       "of refs", "refaults", "regret", "dirty out", "Mref/s");
		json_array_foreach(list, i, o) print_result(o, t->header.nr_refs);
	}
	json_decref(report);
	return rc;
}

static int run_plan(const char *path, struct sim_plan *plan, bool json)
{
	struct sim_trace trace;
	struct errmsg e;
	json_t *list;
	int rc = sim_trace_load(path, &trace, &e);

	if (rc)
		return cmd_failed("sim", json, &e);
	list = json_array();
	sizes_to_frames(plan, &trace);
	for (unsigned int i = 0; !rc && i < plan->nr_sizes; i++)
		rc = run_one_size(&trace, plan, &plan->sizes[i], list, &e);
	rc = rc ? cmd_failed("sim", json, &e) : show(&trace, json_incref(list), json);
	json_decref(list);
	sim_trace_free(&trace);
	return rc;
}

int cmd_sim(char **argv)
{
	const char *policies = "all", *sizes = "75,50,25,12.5";
	struct sim_plan plan = { .nr_policies = 0 };
	bool json = false;
	const struct arg_option options[] = {
		{ .name = "policy",
		  .kind = ARG_TEXT,
		  .to = &policies,
		  .value = "LIST",
		  .help = "policies, with commas: names, ./FILE.so, or all (the default)" },
		{ .name = "mem",
		  .kind = ARG_TEXT,
		  .to = &sizes,
		  .value = "LIST",
		  .help = "memory: percent of the pages used, or sizes (75,50,25,12.5)" },
		CMD_OPTION_JSON(&json),
		{ .name = NULL },
	};
	const struct arg_command cmd = {
		.name = "sim",
		.synopsis = "TRACE [--policy LIST] [--mem LIST] [--json]",
		.summary =
			"Replay the page reference trace in the file TRACE against reclaim policies and\n"
			"Belady's optimum, which no policy can beat, with several sizes of memory.\n"
			"Regret is the faults beyond the optimum's, as a part of the optimum's refaults.\n",
		.options = options,
		.min_operands = 1,
		.max_operands = 1,
		.missing = "TRACE, a file that a workload wrote with --trace",
	};
	struct arg_operands args;
	enum args_result r = args_parse(&cmd, argv, &args);
	struct errmsg e = { .text = "" };

	if (r == ARGS_OK && (parse_sizes(sizes, &plan, &e) || parse_policies(policies, &plan, &e)))
		r = args_usage_error(&cmd, "%s", e.text);
	if (r != ARGS_OK)
		return cmd_args_status(r);
	return run_plan(args.v[0], &plan, json);
}
