/* SPDX-License-Identifier: MIT */
#include "vmm/bench_report.h"

#include <string.h>

#include "vmm/cmd.h"
#include "vmm/table.h"

struct bench_row *report_add(struct bench_report *r, const char *name, const char *unit,
			     const char *other)
{
	struct bench_row *row = &r->rows[r->nr < BENCH_MAX_ROWS ? r->nr++ : BENCH_MAX_ROWS - 1];

	memset(row, 0, sizeof(*row));
	snprintf(row->name, sizeof(row->name), "%s", name);
	row->unit = unit;
	row->other = other;
	return row;
}

void row_fail(struct bench_row *row, const struct errmsg *e)
{
	row->failed = true;
	snprintf(row->note, sizeof(row->note), "%.250s", e->text);
}

void report_add_failed(struct bench_report *r, const char *name, const struct errmsg *e)
{
	row_fail(report_add(r, name, "", ""), e);
}

void report_set_host(struct bench_report *r, struct host *host)
{
	const struct host_kind *k = host_kind_get(host);

	host_describe(host, r->host, sizeof(r->host));
	json_decref(r->host_json);
	r->host_json = json_pack("{s:s, s:i, s:s, s:s, s:b, s:i, s:b}", "paging", k->paging,
				 "syscall_cpl", k->syscall_cpl, "zap", k->zap, "flush", k->flush,
				 "tsc_is_host", k->tsc_is_host, "nodes", (int)k->nr_host_nodes,
				 "hugepages", k->hugepages);
}

double row_ratio(const struct bench_row *row)
{
	double other = samples_median(&row->other_samples);

	return other > 0 ? samples_median(&row->umm_samples) / other : 0;
}

double row_best_ratio(const struct bench_row *row)
{
	bool more_is_better = row->target == TARGET_RATIO_MIN || row->target == TARGET_VALUE_MIN;
	double umm = more_is_better ? samples_max(&row->umm_samples)
				    : samples_min(&row->umm_samples);
	double other = more_is_better ? samples_max(&row->other_samples)
				      : samples_min(&row->other_samples);

	return other > 0 ? umm / other : 0;
}

const char *row_mark(const struct bench_row *row)
{
	double value = samples_median(&row->umm_samples);
	bool pass = false;

	if (row->skipped)
		return "skipped";
	if (row->failed || !row->umm_samples.nr)
		return "failed";
	switch (row->target) {
	case TARGET_NONE:
		return "";
	case TARGET_RATIO_MAX:
		pass = row->other_samples.nr && row_ratio(row) <= row->limit;
		break;
	case TARGET_RATIO_MIN:
		pass = row->other_samples.nr && row_ratio(row) >= row->limit;
		break;
	case TARGET_VALUE_MAX:
		pass = value <= row->limit;
		break;
	case TARGET_VALUE_MIN:
		pass = value >= row->limit;
		break;
	}
	return pass ? "met" : "fell short";
}

int report_end(struct bench_report *r, int status)
{
	json_decref(r->host_json);
	r->host_json = NULL;
	for (unsigned int i = 0; i < r->nr; i++)
		if (!strcmp(row_mark(&r->rows[i]), "failed"))
			return CMD_FAILED;
	return status;
}

/* "12.3 (11.9-14.0)", with as many digits as say something. */
static void add_samples(struct text_table *t, const struct samples *s)
{
	double m = samples_median(s);
	int digits = m < 0.1 ? 4 : m < 10 ? 2 : m < 1000 ? 1 : 0;

	if (!s->nr)
		table_add(t, "-");
	else
		table_add(t, "%.*f (%.*f-%.*f)", digits, m, digits, samples_min(s), digits,
			  samples_max(s));
}

static void add_target(struct text_table *t, const struct bench_row *row)
{
	if (row->target == TARGET_NONE)
		table_add(t, "-");
	else if (row->target == TARGET_VALUE_MAX)
		table_add(t, "<= %g %s", row->limit, row->unit);
	else if (row->target == TARGET_VALUE_MIN)
		table_add(t, ">= %.2f %s", row->limit, row->unit);
	else if (row->target == TARGET_RATIO_MAX)
		table_add(t, "<= %.2f x", row->limit);
	else
		table_add(t, ">= %.2f x", row->limit);
}

static void add_row(struct text_table *t, const struct bench_row *row)
{
	table_add(t, "%s", row->name);
	table_add(t, "%s", row->unit);
	add_samples(t, &row->umm_samples);
	add_samples(t, &row->other_samples);
	table_add(t, "%s", row->other);
	if (row->other_samples.nr && row->umm_samples.nr) {
		table_add(t, "%.3f", row_ratio(row));
		table_add(t, "%.3f", row_best_ratio(row));
	} else {
		table_add(t, "-");
		table_add(t, "-");
	}
	add_target(t, row);
	if (row->exits)
		table_add(t, "%lu", row->exits);
	else
		table_add(t, "-");
	table_add(t, "%s", row_mark(row));
}

int report_print(const struct bench_report *r)
{
	static const char *const headings[] = { "BENCHMARK", "UNIT",   ">UMM",  ">OTHER",
						"WHAT",      ">RATIO", ">BEST", ">TARGET",
						">EXITS",    "",       NULL };
	struct text_table t;
	unsigned int i;
	int rc;

	printf("%s\nmedian (min-max) of %u interleaved runs; RATIO = umm / other, BEST of the two "
	       "best runs\n\n",
	       r->host, r->repeat);
	table_init(&t, headings);
	for (i = 0; i < r->nr; i++)
		add_row(&t, &r->rows[i]);
	rc = table_finish(&t, stdout, 0);
	putchar('\n');
	for (i = 0; i < r->nr; i++)
		if (r->rows[i].note[0])
			printf("%s: %s\n", r->rows[i].name, r->rows[i].note);
	return rc || fflush(stdout) ? CMD_FAILED : CMD_OK;
}

static json_t *target_json(const struct bench_row *row)
{
	static const char *const kinds[] = {
		[TARGET_RATIO_MAX] = "ratio_max",
		[TARGET_RATIO_MIN] = "ratio_min",
		[TARGET_VALUE_MAX] = "value_max",
		[TARGET_VALUE_MIN] = "value_min",
	};

	if (row->target == TARGET_NONE)
		return json_null();
	return json_pack("{s:s, s:f}", "kind", kinds[row->target], "limit", row->limit);
}

static json_t *row_json(const struct bench_row *row)
{
	return json_pack("{s:s, s:s, s:s, s:o, s:o, s:f, s:f, s:o, s:I, s:s, s:s}", "name",
			 row->name, "unit", row->unit, "other", row->other, "umm",
			 samples_json(&row->umm_samples), "other_samples",
			 samples_json(&row->other_samples), "ratio", row_ratio(row), "best_ratio",
			 row_best_ratio(row), "target", target_json(row), "exits",
			 (json_int_t)row->exits, "mark", row_mark(row), "note", row->note);
}

json_t *report_json(const struct bench_report *r)
{
	json_t *rows = json_array();
	unsigned int i;

	for (i = 0; i < r->nr; i++)
		json_array_append_new(rows, row_json(&r->rows[i]));
	return json_pack("{s:s, s:O?, s:i, s:o}", "version", UMM_VERSION, "host", r->host_json,
			 "repeat", (int)r->repeat, "benchmarks", rows);
}

int report_print_json(const struct bench_report *r)
{
	json_t *o = report_json(r);
	int status = o ? cmd_print_json(o) : CMD_FAILED;

	json_decref(o);
	return status;
}

enum args_result bench_check_repeat(const struct arg_command *cmd, uint64_t repeat, uint64_t least)
{
	if (repeat < least || repeat > BENCH_MAX_SAMPLES)
		return args_usage_error(cmd, "--repeat: from 1 to %d", BENCH_MAX_SAMPLES);
	return ARGS_OK;
}
