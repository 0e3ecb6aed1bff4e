/* SPDX-License-Identifier: MIT */
/*
 * The report: one file that needs no other and no network. Tables are written
 * here, pictures are drawn by bench_html_plot.c and stand in it as SVG.
 */
#include "vmm/bench_html.h"

#include <errno.h>
#include <string.h>

static const char head[] =
	"<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
	"<title>umm bench reclaim</title>\n"
	"<link rel=\"icon\" href=\"data:,\">\n<style>\n"
	"body{font:15px/1.5 system-ui,sans-serif;max-width:76rem;margin:2rem auto;padding:0 1rem;"
	"color:#1c1c1c;background:#fff}\n"
	"h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2.5rem}\n"
	"table{border-collapse:collapse;font-size:13px;width:100%}\n"
	"th,td{padding:.25rem .4rem;border-bottom:1px solid #ddd;text-align:right;white-space:nowrap}\n"
	"th{white-space:normal}\n"
	"th:first-child,td:first-child,td.l,th.l{text-align:left}\n"
	"th{border-bottom:2px solid #888;vertical-align:bottom}\n"
	"tr:hover{background:#f5f7fa}.met{color:#0a6b2d;font-weight:600}\n"
	".fell{color:#a32a00;font-weight:600}.dim{color:#666}\n"
	"pre{background:#f5f7fa;padding:.6rem;overflow-x:auto;font-size:12px}\n"
	"figure{margin:1rem 0}svg{max-width:100%;height:auto}\n"
	".scroll{overflow-x:auto}\n"
	"</style></head><body>\n";

void html_text(FILE *f, const char *text)
{
	for (; text && *text; text++) {
		switch (*text) {
		case '<':
			fputs("&lt;", f);
			break;
		case '>':
			fputs("&gt;", f);
			break;
		case '&':
			fputs("&amp;", f);
			break;
		case '"':
			fputs("&quot;", f);
			break;
		default:
			fputc(*text, f);
		}
	}
}

static void cell_text(FILE *f, const char *class, const char *text)
{
	fprintf(f, "<td class=\"%s\">", class);
	html_text(f, text);
	fputs("</td>", f);
}

static void cell_number(FILE *f, double v, bool there)
{
	/* Counts have no fractions, and no nought has. */
	if (there && (v == 0 || v >= 1000))
		fprintf(f, "<td>%.0f</td>", v);
	else if (there)
		fprintf(f, "<td>%.*f</td>", v < 0.1 ? 4 : v < 10 ? 2 : 1, v);
	else
		fputs("<td class=\"dim\">-</td>", f);
}

/* A name begins with '>' (numbers) or with LEFT (text), as its cells do. */
#define LEFT " class=\"l\">"

static void headings(FILE *f, const char *id, const char *const *names)
{
	fprintf(f, "<div class=\"scroll\"><table id=\"%s\"><thead><tr>", id);
	for (; *names; names++)
		fprintf(f, "<th%s</th>", *names);
	fputs("</tr></thead><tbody>\n", f);
}

/* ---- mechanisms ------------------------------------------------------------------------ */

static double median_of(const json_t *row, const char *side)
{
	return json_number_value(json_object_get(json_object_get(row, side), "median"));
}

static void mechanism_row(FILE *f, const json_t *row)
{
	const json_t *target = json_object_get(row, "target");
	const char *mark = json_string_value(json_object_get(row, "mark"));
	const char *kind = json_string_value(json_object_get(target, "kind"));
	double limit = json_number_value(json_object_get(target, "limit"));
	double other = median_of(row, "other_samples"), umm = median_of(row, "umm");

	fputs("<tr>", f);
	cell_text(f, "l", json_string_value(json_object_get(row, "name")));
	cell_text(f, "l", json_string_value(json_object_get(row, "unit")));
	cell_number(f, umm, umm > 0);
	cell_number(f, other, other > 0);
	cell_text(f, "l", json_string_value(json_object_get(row, "other")));
	cell_number(f, other > 0 ? umm / other : 0, other > 0 && umm > 0);
	if (kind)
		fprintf(f, "<td>%s %.3g %s</td>", strstr(kind, "min") ? "&ge;" : "&le;", limit,
			strstr(kind, "ratio") ? "x"
					      : json_string_value(json_object_get(row, "unit")));
	else
		fputs("<td class=\"dim\">-</td>", f);
	cell_text(f, !strcmp(mark, "met") ? "l met" : !strcmp(mark, "") ? "dim" : "l fell", mark);
	fputs("</tr>\n", f);
}

static void mechanisms(FILE *f, const json_t *all)
{
	static const char *const names[] = { LEFT "measured", LEFT "unit",     ">umm",
					     ">beside it",    LEFT "which is", ">ratio",
					     ">target",       LEFT "verdict",  NULL };
	json_t *row;
	size_t i;

	fputs("<h2>Figures and their targets</h2>\n<p>Medians; each held against what was measured "
	      "beside it in the same run.</p>\n",
	      f);
	headings(f, "figures", names);
	json_array_foreach(json_object_get(all, "benchmarks"), i, row) mechanism_row(f, row);
	fputs("</tbody></table></div>\n<ul class=\"dim\">\n", f);
	json_array_foreach(json_object_get(all, "benchmarks"), i, row)
	{
		const char *note = json_string_value(json_object_get(row, "note"));

		if (!note || !*note)
			continue;
		fputs("<li>", f);
		html_text(f, json_string_value(json_object_get(row, "name")));
		fputs(": ", f);
		html_text(f, note);
		fputs("</li>\n", f);
	}
	fputs("</ul>\n", f);
}

static double number(const json_t *o, const char *name)
{
	return json_number_value(json_object_get(o, name));
}

/* ---- programs ---------------------------------------------------------------------------- */

static void program_cell(FILE *f, const json_t *p, const char *name)
{
	cell_number(f, json_number_value(json_object_get(p, name)), json_object_get(p, name));
}

static void cell_scaled(FILE *f, const json_t *p, const char *name, double scale)
{
	cell_number(f, json_number_value(json_object_get(p, name)) * scale,
		    json_object_get(p, name));
}

static void program_row(FILE *f, const json_t *p)
{
	const json_t *slow = json_object_get(p, "slowdown");
	double ratio = json_number_value(json_object_get(p, "ratio"));
	char side[128], memory[32];

	snprintf(side, sizeof(side), "%s %s", json_string_value(json_object_get(p, "side")),
		 json_string_value(json_object_get(p, "policy")));
	snprintf(memory, sizeof(memory), "%g %%", ratio);
	fputs("<tr>", f);
	cell_text(f, "l", json_string_value(json_object_get(p, "workload")));
	cell_text(f, "l", side);
	cell_text(f, "", ratio > 0 ? memory : "enough");
	cell_scaled(f, p, "memory_bytes", 1.0 / (1 << 20));
	program_cell(f, p, "seconds");
	if (slow || !json_is_string(json_object_get(p, "error")))
		cell_number(f, json_number_value(json_object_get(slow, "median")), slow);
	else
		cell_text(f, "fell", number(p, "oom_killed") > 0 ? "OOM-killed" : "failed");
	if (slow)
		fprintf(f, "<td>%.2f-%.2f</td>", json_number_value(json_object_get(slow, "low")),
			json_number_value(json_object_get(slow, "high")));
	else
		fputs("<td class=\"dim\">-</td>", f);
	program_cell(f, p, "swapin_pages");
	program_cell(f, p, "swapout_pages");
	program_cell(f, p, "refaults");
	program_cell(f, p, "write_amplification");
	program_cell(f, p, "p50_us");
	program_cell(f, p, "p99_us");
	program_cell(f, p, "p999_us");
	cell_scaled(f, p, "stall_share", 100);
	program_cell(f, p, "regret");
	fputs("</tr>\n", f);
}

static void failures(FILE *f, const json_t *points)
{
	json_t *p;
	size_t i;

	fputs("<ul class=\"dim\">\n", f);
	json_array_foreach(points, i, p)
	{
		bool failed = number(p, "failed") > 0;

		if (!failed && number(p, "oom_met") == 0)
			continue;
		fputs("<li>", f);
		html_text(f, json_string_value(json_object_get(p, "workload")));
		fprintf(f, ", %s, %g %%: ", json_string_value(json_object_get(p, "side")),
			number(p, "ratio"));
		if (failed) {
			fprintf(f, "%.0f failed: ", number(p, "failed"));
			html_text(f, json_string_value(json_object_get(p, "error")));
		} else {
			fprintf(f, "its cgroup ran out of memory %.0f times, it waited",
				number(p, "oom_met"));
		}
		fputs("</li>\n", f);
	}
	fputs("</ul>\n", f);
}

static void programs(FILE *f, const json_t *all)
{
	static const char *const names[] = { LEFT "program",
					     LEFT "side",
					     ">memory",
					     ">limit, MiB",
					     ">seconds",
					     ">slowdown",
					     ">95 %",
					     ">pages in",
					     ">pages out",
					     ">refaults",
					     ">written a page freed",
					     ">p50, us",
					     ">p99, us",
					     ">p99.9, us",
					     ">stalled, %",
					     ">regret",
					     NULL };
	json_t *p;
	size_t i;

	if (!json_array_size(json_object_get(all, "programs")))
		return;
	fputs("<h2>Programs short of memory</h2>\n<p>Slowdown is against the same side with memory "
	      "enough. Percentiles are of accesses (of requests, with redis) slower than 3 us.</p>\n",
	      f);
	headings(f, "programs", names);
	json_array_foreach(json_object_get(all, "programs"), i, p) program_row(f, p);
	fputs("</tbody></table></div>\n", f);
	failures(f, json_object_get(all, "programs"));
}

static void simulations(FILE *f, const json_t *all)
{
	static const char *const names[] = { LEFT "trace", LEFT "policy", ">memory", ">faults",
					     ">optimum",   ">regret",     NULL };
	json_t *s;
	size_t i;

	if (!json_array_size(json_object_get(all, "simulations")))
		return;
	fputs("<h2>Policies on the programs' own traces</h2>\n<p>Replayed offline. Regret: faults "
	      "beyond those of Belady's optimum, as a part of these.</p>\n",
	      f);
	headings(f, "simulations", names);
	json_array_foreach(json_object_get(all, "simulations"), i, s)
	{
		fputs("<tr>", f);
		cell_text(f, "l", json_string_value(json_object_get(s, "workload")));
		cell_text(f, "l", json_string_value(json_object_get(s, "policy")));
		fprintf(f, "<td>%g %%</td>", json_number_value(json_object_get(s, "ratio")));
		program_cell(f, s, "faults");
		program_cell(f, s, "optimum");
		program_cell(f, s, "regret");
		fputs("</tr>\n", f);
	}
	fputs("</tbody></table></div>\n", f);
}

/* ---- all ------------------------------------------------------------------------------------ */

int bench_reclaim_html(const struct reclaim_bench *b, const json_t *all, struct errmsg *e)
{
	char path[PATH_MAX + 32];
	FILE *f;
	int rc = 0, bad;

	snprintf(path, sizeof(path), "%s/report.html", b->dir);
	f = fopen(path, "we");
	if (!f)
		return errmsg_set(e, -errno, "%.300s: %s", path, strerror(errno));
	fputs(head, f);
	fprintf(f,
		"<h1>umm bench reclaim</h1>\n<p>%s run, %u repeats, sides interleaved.</p>\n<pre>",
		b->quick ? "A quick" : "A", b->repeat);
	html_text(f, b->report.host);
	fputs("</pre>\n", f);
	rc = html_plots(f, b, all, e);
	mechanisms(f, all);
	programs(f, all);
	simulations(f, all);
	fputs("<p class=\"dim\">All samples: results.json and runs.csv beside this file.</p>\n"
	      "</body></html>\n",
	      f);
	bad = ferror(f);
	if (fclose(f) || bad)
		rc = errmsg_set(e, -EIO, "cannot write %.300s", path);
	return rc;
}
